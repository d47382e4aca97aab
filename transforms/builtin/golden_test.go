// SPDX-License-Identifier: Apache-2.0

package builtin_test

import (
	"archive/tar"
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/builtin"
)

var update = flag.Bool("update", false, "write the golden digests anew")

// golden is a run of a step over records that never change, and the digests of what came of it. When the output of a step changes, its
// version must: a pinned step does the same to the same record, or is refused.
type golden struct {
	Step    string                     `json:"step"`
	Config  json.RawMessage            `json:"config"`
	Format  dataset.Format             `json:"format"`
	Version string                     `json:"version"`
	Method  envelope.Digest            `json:"method"`
	Output  envelope.Digest            `json:"output"`
	Reports map[string]json.RawMessage `json:"reports"`
}

const goldenFile = "testdata/golden.json"

// keys are fixed.
type keys struct{}

func (keys) Dataset(label string) [32]byte { return sha256.Sum256([]byte("dataset/" + label)) }
func (keys) Grant(label string) [32]byte   { return sha256.Sum256([]byte("grant/" + label)) }

// noise is a fixed stream of bytes: SHA-256 in counter mode.
type noise struct {
	n    uint64
	rest []byte
}

func (s *noise) Read(p []byte) (int, error) {
	for i := range p {
		if len(s.rest) == 0 {
			h := sha256.Sum256(fmt.Appendf(nil, "noise %d", s.n))
			s.n, s.rest = s.n+1, h[:]
		}
		p[i], s.rest = s.rest[0], s.rest[1:]
	}
	return len(p), nil
}

// corpus is what goes through the steps: testdata/corpus.jsonl and corpus.csv, written for this test, and each line of the former as a file.
func corpus(t *testing.T, f dataset.Format) []byte {
	t.Helper()
	if f != dataset.FormatFiles {
		b, err := os.ReadFile(filepath.Join("testdata", "corpus."+string(f)))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	lines, err := os.ReadFile("testdata/corpus.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for i, line := range bytes.Split(bytes.TrimSpace(lines), []byte("\n")) {
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: fmt.Sprintf("mail/%d jane.roe@acme.com.txt", i), Size: int64(len(line))}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// run takes the corpus through the step and gives the digest of the stream and all that was reported.
func (g *golden) run(t *testing.T) {
	t.Helper()
	s, err := builtin.Pin(g.Step, g.Config)
	if err != nil {
		t.Fatalf("%s: %v", g.Step, err)
	}
	src, err := transforms.NewSource(bytes.NewReader(corpus(t, g.Format)), g.Format)
	if err != nil {
		t.Fatal(err)
	}
	traces := sha256.New()
	env := &transforms.Env{Keys: keys{}, Noise: &noise{}, Finding: func(f transforms.Finding) { fmt.Fprintf(traces, "%+v\n", f) }}
	p, err := transforms.New(t.Context(), []dataset.Step{s}, src.Schema(), builtin.New, env)
	if err != nil {
		t.Fatalf("%s %s: %v", g.Step, g.Config, err)
	}
	defer p.Close()
	out := sha256.New()
	w := transforms.NewWriter(out, p.Out())
	if err := p.Run(t.Context(), src, w.Write); err != nil {
		t.Fatalf("%s %s: %v", g.Step, g.Config, err)
	}
	g.Method, g.Output, g.Reports = s.Digest, envelope.Digest(out.Sum(nil)), map[string]json.RawMessage{}
	for _, e := range builtin.Describe() {
		if e.Name == g.Step {
			g.Version = e.Version
		}
	}
	r := p.Reports()[0]
	for name, v := range map[string]any{
		"findings": r.Findings, "quarantined": r.Quarantined, "figures": p.Figures(), "records": []int64{r.RecordsIn, r.RecordsOut},
		"trace": envelope.Digest(traces.Sum(nil)),
	} {
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		g.Reports[name] = b
	}
}

// TestGolden holds the steps to their golden digests; those of fieldSteps have theirs there. With -update it writes what the steps do now; a step whose output is new and whose version is not is refused even then.
func TestGolden(t *testing.T) {
	b, err := os.ReadFile(goldenFile)
	if err != nil {
		t.Fatal(err)
	}
	var all []golden
	if err := envelope.DecodeStrict(b, 1<<20, &all); err != nil || len(all) == 0 {
		t.Fatalf("%s: %v", goldenFile, err)
	}
	seen := map[string]bool{}
	for i := range all {
		was := all[i]
		all[i].run(t)
		now := &all[i]
		seen[now.Step] = true
		same := was.Output == now.Output && maps.EqualFunc(was.Reports, now.Reports, func(a, b json.RawMessage) bool { return sameJSON(a, b) })
		switch {
		case was.Method == now.Method && !same && was.Output != (envelope.Digest{}):
			t.Errorf("%s %s: the output changed and neither the version (%s) nor a table did: a pinned step would do something else. Raise the version", now.Step, now.Config, now.Version)
		case was.Method != now.Method && !*update:
			t.Errorf("%s: its digest is new (version %s, was %s): record it with -update", now.Step, now.Version, was.Version)
		}
	}
	for _, s := range fieldSteps {
		seen[s.name] = true
	}
	for _, name := range builtin.Names() {
		if !seen[name] {
			t.Errorf("%s has no line in %s", name, goldenFile)
		}
	}
	if *update && !t.Failed() {
		out, err := json.MarshalIndent(all, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(goldenFile, append(out, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func sameJSON(a, b json.RawMessage) bool {
	x, errX := envelope.Canonical(a)
	y, errY := envelope.Canonical(b)
	return errX == nil && errY == nil && slices.Equal(x, y)
}
