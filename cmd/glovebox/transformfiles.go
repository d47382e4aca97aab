// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"errors"
	"os"

	"github.com/spf13/cobra"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/scratch"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
)

// fileNote is what became of one file.
type fileNote struct {
	name, becomes string
	was, is       int64 // bytes
	changed       bool
}

// notedFiles is a source of files that remembers their names, and the one at hand, to tell what became of each.
type notedFiles struct {
	transforms.Source
	notes []fileNote
	at    map[int64]int // places in notes, by where items begin
	raw   []byte        // of the file at hand
}

// Next implements transforms.Source.
func (s *notedFiles) Next() (transforms.Item, error) {
	it, err := s.Source.Next()
	if err == nil {
		s.at[it.At] = len(s.notes)
		s.notes = append(s.notes, fileNote{name: it.Name, was: max(it.Size, int64(len(it.Raw)))})
		s.raw = append(s.raw[:0], it.Raw...)
	}
	return it, err
}

// became notes what a file turned into. Steps that see all files first give them again: then only lengths are compared.
func (s *notedFiles) became(it transforms.Item) {
	i, ok := s.at[it.At]
	if !ok {
		return
	}
	n := &s.notes[i]
	n.becomes, n.is = it.Name, max(it.Size, int64(len(it.Raw)))
	n.changed = n.is != n.was || !it.TooLong && i == len(s.notes)-1 && !bytes.Equal(it.Raw, s.raw)
}

// runFiles takes files through the steps. It lists what became of each, or with a directory writes them there, all or none.
func runFiles(cmd *cobra.Command, steps []dataset.Step, src transforms.Source, env *transforms.Env, out string) (err error) {
	if out != "" {
		if err := newOrEmpty(out); err != nil {
			return err
		}
	}
	noted := &notedFiles{Source: src, at: map[int64]int{}}
	p, err := transforms.New(cmd.Context(), steps, src.Schema(), builtin.New, env)
	if err != nil {
		return refusedSteps(err)
	}
	defer func() { err = errors.Join(err, p.Close()) }()
	tree := transforms.NewTree(scratch.New("", ingestMemory))
	defer func() { err = errors.Join(err, tree.Close()) }()
	if err := p.Run(cmd.Context(), noted, func(it transforms.Item) error {
		noted.became(it)
		return tree.Add(it)
	}); err != nil {
		return err
	}
	if out == "" {
		noted.list(cmd)
	} else if err := os.CopyFS(out, tree); err != nil {
		return Errorf(KindError, "give a directory that you may write").from(err)
	}
	sayReports(func(f string, args ...any) { say(cmd, f, args...) }, p.Reports())
	return nil
}

// list shows what became of each file.
func (s *notedFiles) list(cmd *cobra.Command) {
	rows := [][]string{{"FILE", "BECOMES", "BYTES"}}
	for _, n := range s.notes {
		switch {
		case n.becomes == "":
			rows = append(rows, []string{n.name, "left out", "-"})
		case n.changed:
			rows = append(rows, []string{n.name, n.becomes, amount(n.was, "bytes") + " to " + amount(n.is, "bytes")})
		default:
			rows = append(rows, []string{n.name, n.becomes, "as it was"})
		}
	}
	table(cmd.OutOrStdout(), rows...)
}

// newOrEmpty refuses a directory that has something in it.
func newOrEmpty(dir string) error {
	entries, err := os.ReadDir(dir)
	switch {
	case err == nil && len(entries) > 0:
		return Errorf(KindUsage, "choose another directory, or empty this one").because("%s is not empty", dir)
	case err != nil && !os.IsNotExist(err):
		return Errorf(KindUsage, "choose another directory").from(err)
	}
	return nil
}
