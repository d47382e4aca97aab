// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
)

// scanReport is the list of findings in what is sealed, as lines of glovebox creator scan --json. It stays in the creator's
// directory; its digest, which is its name, goes into the manifest. What was found can be guessed, and its hash with it: the first line
// is random, so that nobody can try guesses at the digest.
type scanReport struct {
	dir  string
	file *os.File // under a temporary name
	out  *bufio.Writer
	sum  hash.Hash
	err  error
}

// saltSize is how many random bytes a report begins with.
const saltSize = 32

func newScanReport(dir string, salt []byte) (*scanReport, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	f, err := os.CreateTemp(dir, ".report-*") // mode 0600
	if err != nil {
		return nil, err
	}
	r := &scanReport{dir: dir, file: f, sum: sha256.New()}
	r.out = bufio.NewWriter(io.MultiWriter(f, r.sum))
	if _, err := fmt.Fprintf(r.out, "{\"salt\":\"%x\"}\n", salt); err != nil {
		r.drop()
		return nil, err
	}
	return r, nil
}

func (r *scanReport) found(f *transforms.Finding) {
	if r.err != nil {
		return
	}
	line := newFindingLine(f.Record, f)
	line.Field = &f.Path
	b, err := json.Marshal(line)
	if err == nil {
		_, err = r.out.Write(append(b, '\n'))
	}
	r.err = err
}

// keep gives the report its name.
func (r *scanReport) keep() (d envelope.Digest, err error) {
	if err := errors.Join(r.err, r.out.Flush(), r.file.Sync()); err != nil {
		return d, err
	}
	r.sum.Sum(d[:0])
	if err := os.Rename(r.file.Name(), filepath.Join(r.dir, d.Hex()+".jsonl")); err != nil {
		return d, err
	}
	err = r.file.Close()
	r.file = nil
	return d, err
}

// drop removes a report that was not kept.
func (r *scanReport) drop() {
	if r.file != nil {
		os.Remove(r.file.Name()) //nolint:errcheck // a file that only its owner can read
		r.file.Close()           //nolint:errcheck // nobody needs it
	}
}

// traceFile gets each finding of each step.
type traceFile struct {
	file *os.File // nil: nobody asked
	out  *bufio.Writer
	err  error
}

func newTraceFile(path string) (*traceFile, error) {
	if path == "" {
		return &traceFile{}, nil
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_EXCL, 0o600)
	if err != nil {
		return nil, Errorf(KindUsage, "give the path of a file that does not exist").from(err)
	}
	return &traceFile{file: f, out: bufio.NewWriter(f)}, nil
}

// traceLine is a finding with what was done about it, and why.
type traceLine struct {
	Step   int    `json:"step"` // from 1
	Action string `json:"action"`
	findingLine
	Rule string   `json:"rule"`
	Why  []string `json:"why"`
}

func (t *traceFile) found(f *transforms.Finding) {
	if t.file == nil || t.err != nil {
		return
	}
	line := traceLine{f.Step + 1, f.Action, *newFindingLine(f.Record, f), f.Rule, f.Why}
	line.Field = &f.Path
	b, err := json.Marshal(line)
	if err == nil {
		_, err = t.out.Write(append(b, '\n'))
	}
	t.err = err
}

func (t *traceFile) close() error {
	if t.file == nil {
		return nil
	}
	return errors.Join(t.err, t.out.Flush(), t.file.Close())
}
