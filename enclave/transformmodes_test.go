// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"archive/tar"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/scratch"
	"github.com/glovebox-dev/glovebox/transforms"
)

// people are records with few values, so that some look alike.
func people(records int) []byte {
	var b bytes.Buffer
	b.WriteString("town,age,ill\n")
	for i := range records {
		fmt.Fprintf(&b, "%s,%d,%s\n", []string{"Ulm", "Bonn", "Kiel"}[i%3], 30+i%2*10, []string{"yes", "no"}[i%2])
	}
	b.WriteString("Rare,99,yes\n") // looks like nobody
	return b.Bytes()
}

func fieldsOf(names ...string) (out []map[string]any) {
	for _, n := range names {
		out = append(out, map[string]any{"field": n})
	}
	return out
}

// TestSilentModes: where figures of records must not get out, none does: all are zero, and say so. Records that stand out are
// not delivered, and noise is debited once whatever the epochs.
func TestSilentModes(t *testing.T) {
	noise := func(field string) map[string]any {
		return map[string]any{"field": field, "optional": true, "categories": []string{"yes", "no"}, "default": "no", "epsilon": 1}
	}
	for mode, c := range map[string]struct {
		steps []dataset.Step
		terms func(*dataset.Manifest)
		spent int64
		left  func(seen string) bool
	}{
		dataset.ModeKAnonymous: {
			steps: []dataset.Step{pin(t, "kanon", map[string]any{"quasi": fieldsOf("town", "age"), "k": 3, "maxSuppressed": 0.1})},
			terms: func(m *dataset.Manifest) { m.Terms.Logs = grant.LogsSealed },
			left:  func(seen string) bool { return !strings.Contains(seen, "Rare") && strings.Count(seen, "\n") == 61 },
		},
		dataset.ModeLocalDP: {
			steps: []dataset.Step{
				pin(t, "keep", map[string]any{"fields": []map[string]any{{"field": "ill", "optional": true}}}),
				pin(t, "k-rr", map[string]any{"fields": []map[string]any{noise("ill")}}),
			},
			terms: func(m *dataset.Manifest) {
				m.Terms.Privacy.Adjacency, m.Terms.Privacy.Epsilon, m.Terms.Privacy.BuyerEpsilon = dataset.ReplaceOne, 1_500_000, 1_500_000
			},
			spent: 1_000_000,
			left:  func(seen string) bool { return strings.HasPrefix(seen, "ill\n") && strings.Count(seen, "\n") == 62 },
		},
	} {
		t.Run(mode, func(t *testing.T) {
			w := inMode(t, mode, people(60), c.terms, c.steps...)
			cp := newCopier(2)
			res, _ := w.run(cp)
			s := w.attested(res)
			seen := *cp.seen
			if s.Outcome != usage.OutcomeCompleted || len(seen) != 2 || !bytes.Equal(seen[0], seen[1]) || !c.left(string(seen[0])) {
				t.Fatalf("%s %q", s.Reason, seen)
			}
			if s.Privacy != c.spent || len(s.Transforms) != len(c.steps) {
				t.Errorf("%d spent, %d steps", s.Privacy, len(s.Transforms))
			}
			for _, did := range s.Transforms {
				if !did.Sealed || did.RecordsIn+did.RecordsOut+did.BytesIn+did.BytesOut != 0 || len(did.Findings)+len(did.Quarantined) != 0 {
					t.Errorf("%+v", did)
				}
			}
			if _, ok := w.open(res)["log.txt"]; ok {
				t.Error("the code's words left")
			}
			// A second job is over the budget, where there is one.
			w.signJob(func(j *job.Job) { j.Mode = mode })
			again, a := w.run(newCopier(1))
			if over := c.spent > 0; over != (again == nil || again.Outcome != usage.OutcomeCompleted) {
				t.Errorf("a second job: %+v %+v", again, a)
			}
		})
	}
}

// TestNoiseThatHidesNothing: an enclave does not promise what steps do not keep, whatever terms say.
func TestNoiseThatHidesNothing(t *testing.T) {
	step := pin(t, "k-rr", map[string]any{"fields": []map[string]any{{"field": "ill", "optional": true, "categories": []string{"yes", "no"}, "default": "no", "epsilon": 1}}})
	w := inMode(t, dataset.ModeLocalDP, people(6), func(m *dataset.Manifest) {
		m.Terms.Privacy.Adjacency, m.Terms.Privacy.Epsilon, m.Terms.Privacy.BuyerEpsilon = dataset.ReplaceOne, 1_500_000, 1_500_000
	}, step)
	if res, a := w.run(newCopier(1)); res != nil || a == nil || a.Retry || !strings.Contains(a.Message, "keep") {
		t.Errorf("%+v %+v", res, a)
	}
}

// TestFullDiskIsNoStep: a machine without room says nothing about steps and records, and the job can be tried elsewhere.
func TestFullDiskIsNoStep(t *testing.T) {
	if got := reasonOf(fmt.Errorf("%w: %w", errTransform, scratch.ErrFull), ""); got != usage.ReasonUnavailable {
		t.Errorf("told as %s", got)
	}
}

// TestHeaderNotGranted: without the header of CSV the first record would be taken for it, and no step looks at that.
func TestHeaderNotGranted(t *testing.T) {
	w := inMode(t, dataset.ModeRedacted, mails(10), nil, redactMail(t))
	r := &attempt{e: w.enclave(newCopier(1))}
	p := &pack{m: w.data.Manifest, grant: &envelope.Verified[grant.Grant]{}}
	p.grant.Predicate.Obligations.Leaves = grant.Ranges{{First: 1, Count: 1}}
	if _, err := r.transform(t.Context(), p); !errors.Is(err, ErrGrant) || reasonOf(err, "") != usage.ReasonNotPermitted {
		t.Errorf("%v", err)
	}
}

// TestRecordsAreCountedAlike: what packing counts as records, and what metering bills, is what steps are given.
func TestRecordsAreCountedAlike(t *testing.T) {
	for name, c := range map[string]struct {
		format dataset.Format
		text   string
	}{
		"CSV":                     {dataset.FormatCSV, "a,b\n1,2\n3,4\n"},
		"CSV without a last end":  {dataset.FormatCSV, "a,b\r\n1,2\r\n3,4"},
		"CSV with lines in it":    {dataset.FormatCSV, "a,b\n\"x\ny\",\"\"\"\"\n,\n"},
		"CSV of one column":       {dataset.FormatCSV, "a\n\"\"\nx\n"},
		"lines":                   {dataset.FormatJSONL, "{\"a\":1}\n[\"\\n\"]\n\"x\""},
		"lines that end with CR":  {dataset.FormatJSONL, "{\"a\":1}\r\n 2 \r\n"},
		"members of one name":     {dataset.FormatJSONL, "{\"a\":1,\"a\":2}\n"},
		"no UTF-8 between quotes": {dataset.FormatJSONL, "\"\xff\"\n"},
	} {
		m := &dataset.Manifest{}
		newWorldFrom(t, made{records: []byte(c.text), module: []byte("\x00asm"), offer: func(o *dataset.Manifest) {
			o.Format = c.format
			m = o
		}})
		src, err := transforms.NewSource(strings.NewReader(c.text), c.format)
		check(t, err)
		codec, n := transforms.NewCodec(src.Schema()), 0
		for {
			it, err := src.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			check(t, err)
			var r transforms.Record
			if err := codec.Parse(&r, it.Name, it.Raw); err != nil {
				t.Errorf("%s: record %d: %v", name, n, err)
			}
			n++
		}
		w := inMode(t, dataset.ModeRedacted, []byte(c.text), func(o *dataset.Manifest) { o.Format = c.format }, pin(t, "redact", map[string]any{"detect": []string{"EMAIL_ADDRESS"}}))
		if w.data.Manifest.Records != int64(n) || m.Format != c.format {
			t.Errorf("%s: %d records packed, %d are read", name, w.data.Manifest.Records, n)
		}
		res, _ := w.run(newCopier(1))
		if s := w.attested(res); s.Outcome != usage.OutcomeCompleted || s.Packages[1].Records != int64(n) {
			t.Errorf("%s: %s, %+v", name, s.Reason, s.Packages[1])
		}
	}
}

// TestLargeDatasetSpills: what does not fit into memory waits in a file without a name, and nothing is left of it.
func TestLargeDatasetSpills(t *testing.T) {
	if testing.Short() {
		t.Skip("packs and redacts 40 MiB")
	}
	dir := t.TempDir()
	var b bytes.Buffer
	b.WriteString("id,text\n")
	filler := strings.Repeat("nothing to see here ", 5000)
	for i := 0; b.Len() < scratchMemory+8<<20; i++ {
		fmt.Fprintf(&b, "%d,%s %s\n", i, filler, canary)
	}
	w := inMode(t, dataset.ModeRedacted, b.Bytes(), func(m *dataset.Manifest) { m.Terms.Allowance = 1000 }, redactMail(t))
	t.Setenv("TMPDIR", dir)
	c := newCopier(1)
	files := 0
	c.during = func() {
		list, err := filepath.Glob("/proc/self/fd/*")
		check(t, err)
		for _, f := range list {
			if to, err := os.Readlink(f); err == nil && strings.HasPrefix(to, dir) && strings.HasSuffix(to, "(deleted)") {
				files++
			}
		}
	}
	res, _ := w.run(c)
	if s := w.attested(res); s.Outcome != usage.OutcomeCompleted || files != 1 {
		t.Fatalf("%s, %d files", s.Reason, files)
	}
	want := bytes.ReplaceAll(b.Bytes(), []byte(canary), []byte("<EMAIL_ADDRESS>"))
	if !bytes.Equal((*c.seen)[0], want) {
		t.Errorf("%d bytes of %d, or others", len((*c.seen)[0]), len(want))
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestFilesAreRedacted: text files arrive redacted, in a tar stream as before, and what is no text is quarantined.
func TestFilesAreRedacted(t *testing.T) {
	step := pin(t, "redact", map[string]any{"detect": []string{"EMAIL_ADDRESS"}, "keys": true})
	w := newWorldFrom(t, made{
		module: []byte("\x00asm-for-a-fake-runner"),
		files: fstest.MapFS{
			"a/mail.txt": {Data: []byte("write to " + canary)}, "b.txt": {Data: []byte("nothing")}, "photo.jpg": {Data: []byte("\xff\xd8\xff\xe0 " + canary)},
		},
		terms: func(m *dataset.Terms) { m.Modes = []string{dataset.ModeRedacted} },
		offer: func(m *dataset.Manifest) {
			m.Terms.Steps = []dataset.ModeSteps{{Mode: dataset.ModeRedacted, Steps: []dataset.Step{step}}}
		},
		job: func(j *job.Job) { j.Mode = dataset.ModeRedacted },
	})
	c := newCopier(1)
	res, _ := w.run(c)
	s := w.attested(res)
	if s.Outcome != usage.OutcomeCompleted || s.Packages[1].Records != 2 || dataset.SumCounts(s.Transforms[0].Quarantined) != 1 {
		t.Fatalf("%s %+v", s.Reason, s.Transforms)
	}
	got := map[string]string{}
	for in := tar.NewReader(bytes.NewReader((*c.seen)[0])); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		check(t, err)
		b, err := io.ReadAll(in)
		check(t, err)
		got[h.Name] = string(b)
	}
	if len(got) != 2 || got["a/mail.txt"] != "write to <EMAIL_ADDRESS>" || got["b.txt"] != "nothing" {
		t.Errorf("%q", got)
	}
}
