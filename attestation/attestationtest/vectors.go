// SPDX-License-Identifier: Apache-2.0

package attestationtest

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Vector is a file of header lines "name: value", an empty line, and a body. "expect" is "ok" or the name of the error
// that must come; "comment" says why.
type Vector struct {
	Name   string
	Header map[string]string
	Body   []byte
}

// Vectors reads the files that match pattern and fails t if there are fewer than least.
func Vectors(t testing.TB, pattern string, least int) []Vector {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	var out []Vector
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		v, err := parse(b)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		v.Name = filepath.Base(f)
		out = append(out, v)
	}
	if len(out) < least {
		t.Fatalf("%s: %d vectors, want at least %d", pattern, len(out), least)
	}
	return out
}

func parse(b []byte) (Vector, error) {
	head, body, ok := bytes.Cut(b, []byte("\n\n"))
	v := Vector{Header: map[string]string{}, Body: body}
	for line := range strings.Lines(string(head)) {
		k, val, found := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		if !found || v.Header[k] != "" {
			return v, fmt.Errorf("header line %q", line)
		}
		v.Header[k] = val
	}
	if !ok || v.Header["expect"] == "" || v.Header["comment"] == "" {
		return v, fmt.Errorf("no expect, no comment or no body")
	}
	return v, nil
}

// Write writes v to dir, for the tests' -update flag.
func (v Vector) Write(t testing.TB, dir string) {
	t.Helper()
	var b bytes.Buffer
	for _, k := range []string{"expect", "comment"} {
		fmt.Fprintf(&b, "%s: %s\n", k, v.Header[k])
	}
	for _, k := range slices.Sorted(maps.Keys(v.Header)) {
		if k != "expect" && k != "comment" {
			fmt.Fprintf(&b, "%s: %s\n", k, v.Header[k])
		}
	}
	b.WriteByte('\n')
	b.Write(v.Body)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, v.Name), b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}
