// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/glovebox-dev/glovebox/transforms/redact/evaluate"
)

// presidio is presidio-analyzer from PyPI, in a Python of its own, driven by presidio.py: texts go in as JSON lines
// {"doc","text"}, findings come out as lines of glovebox creator scan --json, then one line with the speed.
type presidio struct {
	python string
	what   string // version, and whether it has a model for names
}

// newPresidio finds or makes the Python.
func newPresidio(ctx context.Context, python string, w io.Writer) (*presidio, error) {
	switch python {
	case "none":
		return nil, errors.New("left out by -presidio none")
	case "auto":
		var err error
		if python, err = installed(ctx, w); err != nil {
			return nil, err
		}
	}
	p := &presidio{python: python}
	out, err := p.run(ctx, nil, "--version")
	if err != nil {
		return nil, err
	}
	p.what = strings.TrimSpace(string(out))
	return p, nil
}

// installed is the Python in the cache; it is made, once, of the pinned packages.
func installed(ctx context.Context, w io.Writer) (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(cache, "glovebox", "presidio")
	python, done := filepath.Join(dir, "bin", "python"), filepath.Join(dir, "complete")
	want, err := os.ReadFile("pii/requirements.txt")
	if err != nil {
		return "", err
	}
	if have, err := os.ReadFile(done); err == nil && bytes.Equal(have, want) {
		return python, nil
	}
	fmt.Fprintln(w, "installing presidio-analyzer from PyPI, once")
	for _, c := range [][]string{{"python3", "-m", "venv", "--clear", dir}, {python, "-m", "pip", "install", "-q", "--require-hashes", "--only-binary", ":all:", "-r", "pii/requirements.txt"}} {
		if out, err := exec.CommandContext(ctx, c[0], c[1:]...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("%s: %w: %s", strings.Join(c[:3], " "), err, lastLine(out))
		}
	}
	return python, os.WriteFile(done, want, 0o600)
}

func lastLine(b []byte) string {
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	return lines[len(lines)-1]
}

func (p *presidio) name() string { return "Presidio " + p.what }

func (p *presidio) run(ctx context.Context, in []byte, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, p.python, append([]string{"pii/presidio.py"}, args...)...)
	cmd.Stdin = bytes.NewReader(in)
	var failed bytes.Buffer
	cmd.Stderr = &failed
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("presidio.py: %w: %s", err, lastLine(failed.Bytes()))
	}
	return out, nil
}

func lines(docs []evaluate.Document) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	for i := range docs {
		if err := e.Encode(map[string]any{"doc": i, "text": docs[i].Text}); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

func (p *presidio) find(ctx context.Context, docs []evaluate.Document, types []string) ([][]evaluate.Span, error) {
	in, err := lines(docs)
	if err != nil {
		return nil, err
	}
	text, err := p.run(ctx, in, "--types", strings.Join(types, ","))
	if err != nil {
		return nil, err
	}
	out := make([][]evaluate.Span, len(docs))
	s := bufio.NewScanner(bytes.NewReader(text))
	for s.Scan() {
		var f struct {
			Doc        *int
			Type       string
			Start, End int
		}
		if err := json.Unmarshal(s.Bytes(), &f); err != nil || f.Doc != nil && (*f.Doc < 0 || *f.Doc >= len(docs)) {
			return nil, fmt.Errorf("presidio.py wrote %q", s.Text())
		}
		if f.Doc != nil {
			out[*f.Doc] = append(out[*f.Doc], evaluate.Span{Type: f.Type, Start: f.Start, End: f.End})
		}
	}
	return out, s.Err()
}

func (p *presidio) speed(ctx context.Context, docs []evaluate.Document, types []string) (float64, error) {
	in, err := lines(docs)
	if err != nil {
		return 0, err
	}
	text, err := p.run(ctx, in, "--types", strings.Join(types, ","), "--speed")
	if err != nil {
		return 0, err
	}
	var f struct {
		MBs float64 `json:"mbs"`
	}
	if err := json.Unmarshal([]byte(lastLine(text)), &f); err != nil || f.MBs <= 0 {
		return 0, fmt.Errorf("presidio.py gave no speed")
	}
	return f.MBs, nil
}
