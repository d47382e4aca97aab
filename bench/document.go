// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
)

// document is what is printed and, if there is a path, written: as a whole, or sections in place of those that a file has.
type document struct {
	path  string
	part  bool
	whole strings.Builder
	made  [][2]string // titles and texts of sections
}

func (d *document) begin(text string) { d.print(text) }

func (d *document) print(text string) {
	fmt.Print(text)
	d.whole.WriteString(text)
}

// add makes a section. What went wrong is what it then says.
func (d *document) add(s section) {
	fmt.Fprintln(os.Stderr, "bench:", s.title)
	body, err := s.make()
	if err != nil {
		body = "skipped: " + oneLine(err) + "\n"
	}
	text := fmt.Sprintf("## %s\n\n%s\n\n%s", s.title, s.text, body)
	d.made = append(d.made, [2]string{s.title, text})
	d.print(text + "\n")
}

// end writes the file.
func (d *document) end() error {
	if d.path == "" {
		return nil
	}
	text := strings.TrimRight(d.whole.String(), "\n") + "\n"
	if old, err := os.ReadFile(d.path); err == nil && d.part {
		text = string(old)
		for _, m := range d.made {
			text = replaceSection(text, m[0], m[1])
		}
	} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return os.WriteFile(d.path, []byte(text), 0o644)
}

// replaceSection puts a section in the place of the one with its title; what is new comes before all others.
func replaceSection(text, title, section string) string {
	from := strings.Index(text, "\n## "+title+"\n")
	if from < 0 {
		if from = strings.Index(text, "\n## "); from < 0 {
			return strings.TrimRight(text, "\n") + "\n\n" + section
		}
		return text[:from+1] + section + "\n" + text[from+1:]
	}
	end := len(text)
	for _, next := range []string{"\n## ", "\n# "} {
		if i := strings.Index(text[from+1:], next); i >= 0 {
			end = min(end, from+1+i)
		}
	}
	rest := text[end:]
	if rest != "" {
		section += "\n"
		rest = rest[1:]
	}
	return text[:from+1] + section + rest
}
