// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"

	"github.com/glovebox-dev/glovebox/examples/mail"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/redact/evaluate"
)

// What is drawn, so that everybody draws the same.
const (
	hams     = 1000
	drawn    = 100
	mailSeed = 2002
)

// judgement is what somebody who read a finding in its mail said of it. There is no text of mails in it.
type judgement struct {
	Doc        string `json:"doc"`
	Type       string `json:"type"`
	Start      int    `json:"start"` // code points of mail.Record's Text
	End        int    `json:"end"`
	TextSHA256 string `json:"text_sha256"`
	Verdict    string `json:"verdict"` // "true", "false" or "unsure"
	Why        string `json:"why"`     // a word
}

// place names a finding.
type place struct {
	doc, kind  string
	start, end int
}

func (j *judgement) place() place { return place{j.Doc, j.Type, j.Start, j.End} }

// judgements prints the precision of each type in real mail.
func judgements(ctx context.Context, w io.Writer, file string) error {
	fmt.Fprintf(w, "\nReal text: %d ham e-mails of %s (seed %d)\n", hams, mail.Package, mailSeed)
	judged, err := readJudgements(file)
	if err != nil {
		fmt.Fprintf(w, "SKIPPED: judgements: %v\n", err)
		return nil
	}
	docs, err := hamMails(ctx)
	if err != nil {
		fmt.Fprintf(w, "SKIPPED: real mail: %v\n", err)
		return nil
	}
	found, err := findIn(ctx, docs)
	if err != nil {
		return err
	}
	precision(w, docs, found, judged)
	return nil
}

func readJudgements(file string) ([]judgement, error) {
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	var out []judgement
	for s := bufio.NewScanner(bytes.NewReader(b)); s.Scan(); {
		var j judgement
		if err := json.Unmarshal(s.Bytes(), &j); err != nil {
			return nil, fmt.Errorf("%s: line %d: %w", file, len(out)+1, err)
		}
		if j.Verdict != "true" && j.Verdict != "false" && j.Verdict != "unsure" {
			return nil, fmt.Errorf("%s: line %d: verdict %q", file, len(out)+1, j.Verdict)
		}
		out = append(out, j)
	}
	return out, nil
}

// hamMails gives the sample as texts. The package is fetched once, by its name, into the cache.
func hamMails(ctx context.Context) ([]evaluate.Document, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(cache, "glovebox", "mail")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	packed, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
	if err == nil && len(packed) == 0 {
		out, failed := exec.CommandContext(ctx, "npm", "pack", "--silent", "--pack-destination", dir, mail.Package).CombinedOutput()
		if failed != nil {
			return nil, fmt.Errorf("npm pack %s: %w: %s", mail.Package, failed, lastLine(out))
		}
		packed, err = filepath.Glob(filepath.Join(dir, "*.tgz"))
	}
	if err != nil || len(packed) == 0 {
		return nil, errors.Join(err, errors.New("npm packed nothing"))
	}
	f, err := os.Open(packed[0])
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	all, err := mail.ReadPackage(f)
	if err != nil {
		return nil, err
	}
	var docs []evaluate.Document
	for _, r := range mail.Sample(all, mail.Ham, hams, mailSeed) {
		docs = append(docs, evaluate.Document{ID: r.ID, Text: r.Text()})
	}
	return docs, nil
}

// findIn gives all findings, by type.
func findIn(ctx context.Context, docs []evaluate.Document) (map[string][]transforms.Finding, error) {
	found := map[string][]transforms.Finding{}
	err := scan(ctx, docs, nil, func(f transforms.Finding) { found[f.Type] = append(found[f.Type], f) })
	return found, err
}

// precision prints, for each type, how many of the judged findings are right. A judged finding that is not made any more, or
// elsewhere, is not counted: nobody has judged what is there now.
func precision(w io.Writer, docs []evaluate.Document, found map[string][]transforms.Finding, judged []judgement) {
	made := map[place]bool{}
	for kind, list := range found {
		for _, f := range list {
			made[place{docs[f.Record].ID, kind, f.Start, f.End}] = true
		}
	}
	type tally struct{ right, wrong, unsure, changed int }
	of := map[string]*tally{}
	for kind := range found {
		of[kind] = &tally{}
	}
	for i := range judged {
		j := &judged[i]
		t := of[j.Type]
		if t == nil {
			t = &tally{}
			of[j.Type] = t
		}
		switch {
		case !made[j.place()]:
			t.changed++
		case j.Verdict == "true":
			t.right++
		case j.Verdict == "false":
			t.wrong++
		default:
			t.unsure++
		}
	}
	fmt.Fprintf(w, "%-20s %9s %7s %6s %6s %6s %11s  %s\n", "type", "findings", "judged", "true", "false", "unsure", "not judged", "precision")
	weighted, weight, right, wrong, changed := 0.0, 0, 0, 0, 0
	for _, kind := range slices.Sorted(maps.Keys(of)) {
		t, n := of[kind], len(found[kind])
		share := "-"
		if t.right+t.wrong > 0 {
			p := float64(t.right) / float64(t.right+t.wrong)
			share, weighted, weight = fmt.Sprintf("%.3f", p), weighted+p*float64(n), weight+n
		}
		right, wrong, changed = right+t.right, wrong+t.wrong, changed+t.changed
		fmt.Fprintf(w, "%-20s %9d %7d %6d %6d %6d %11d  %s\n", kind, n, t.right+t.wrong+t.unsure, t.right, t.wrong, t.unsure, t.changed, share)
	}
	if weight > 0 {
		fmt.Fprintf(w, "of those drawn %d of %d are right; weighted by how often each type is found, precision is %.3f; %d of the judged findings have changed since\n",
			right, right+wrong, weighted/float64(weight), changed)
	}
}

// draw writes findings for somebody to judge, with the text around them: not for the repository. The types take turns, so that
// each has as many as the others while it has any; within a type every finding is as likely. Those judged before come with their verdict.
func draw(ctx context.Context, out, file string) error {
	docs, err := hamMails(ctx)
	if err != nil {
		return err
	}
	found, err := findIn(ctx, docs)
	if err != nil {
		return err
	}
	known := map[place]judgement{}
	if judged, err := readJudgements(file); err == nil {
		for _, j := range judged {
			known[j.place()] = j
		}
	}
	type item struct {
		judgement
		Score int    `json:"score"`
		Rule  string `json:"rule"`
		Text  string `json:"text"`
	}
	var items []item
	for _, f := range choose(docs, found) {
		d := &docs[f.Record]
		text := []rune(d.Text)
		j := judgement{Doc: d.ID, Type: f.Type, Start: f.Start, End: f.End, TextSHA256: fmt.Sprintf("%x", f.TextSHA256[:])}
		if k, ok := known[j.place()]; ok {
			j = k
		}
		items = append(items, item{j, f.Score, f.Rule, string(text[max(0, f.Start-90):f.Start]) + "⟦" + string(text[f.Start:f.End]) + "⟧" + string(text[f.End:min(len(text), f.End+60)])})
	}
	slices.SortStableFunc(items, func(a, b item) int { return cmp.Compare(a.Type, b.Type) })
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	for _, it := range items {
		if err := e.Encode(it); err != nil {
			return err
		}
	}
	return os.WriteFile(out, b.Bytes(), 0o600)
}

// choose orders the findings of a type by a hash of where they are, which is as good as by chance, and changes least when the detector does.
func choose(docs []evaluate.Document, found map[string][]transforms.Finding) []transforms.Finding {
	kinds := slices.Sorted(maps.Keys(found))
	ordered := map[string][]transforms.Finding{}
	for _, k := range kinds {
		list := slices.Clone(found[k])
		order := func(f *transforms.Finding) string {
			h := sha256.Sum256(fmt.Appendf(nil, "%d %s %s %d %d", mailSeed, docs[f.Record].ID, k, f.Start, f.End))
			return string(h[:])
		}
		slices.SortFunc(list, func(a, b transforms.Finding) int { return cmp.Compare(order(&a), order(&b)) })
		ordered[k] = list
	}
	var out []transforms.Finding
	for turn := 0; len(out) < drawn; turn++ {
		n := len(out)
		for _, k := range kinds {
			if turn < len(ordered[k]) && len(out) < drawn {
				out = append(out, ordered[k][turn])
			}
		}
		if len(out) == n {
			break
		}
	}
	return out
}
