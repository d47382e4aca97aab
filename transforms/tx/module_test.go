// SPDX-License-Identifier: Apache-2.0

package tx_test

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/tx"
)

// talk is a conversation with a function instead of a module.
type talk struct {
	answer func(batch []byte) ([]byte, error)
	reason string
	sizes  []int // of batches, in records
	closed int
}

func (c *talk) Batch(_ context.Context, batch []byte, n int) (tx.Result, []byte, error) {
	c.sizes = append(c.sizes, n)
	if c.reason != "" {
		return tx.Result{Reason: c.reason, Detail: "of the record", Fuel: 1}, nil, nil
	}
	out, err := c.answer(batch)
	return tx.Result{Fuel: 1, Findings: []tx.Count{{Type: "X", Count: int64(n)}}}, out, err
}

func (c *talk) Flush(context.Context) (tx.Result, []byte, error) {
	out, err := c.answer(nil)
	return tx.Result{Fuel: 1}, out, err
}

func (c *talk) Close() error {
	c.closed++
	return nil
}

func same(b []byte) ([]byte, error) { return b, nil }

func step(abi, shape string) *dataset.Step {
	return &dataset.Step{Name: dataset.StepModule, Digest: envelope.Sum([]byte("module")), ABI: abi, Shape: shape, Config: []byte("{}")}
}

func newModule(t testing.TB, c tx.Conversation, s *dataset.Step, in transforms.Schema) transforms.Module {
	t.Helper()
	m, err := tx.NewModule(s, in, c)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestBatches: records go in batches of bounded bytes and number, and a large one alone.
func TestBatches(t *testing.T) {
	in := [][]byte{make([]byte, 40<<10), make([]byte, 24<<10), {}, {1}, make([]byte, 1<<20), {2}}
	for range 2 * tx.MaxBatch {
		in = append(in, nil)
	}
	c := &talk{answer: same}
	m := newModule(t, c, step(dataset.ABITransform, dataset.ShapeMap), transforms.Schema{Format: dataset.FormatJSONL})
	out, report, err := m.Batch(t.Context(), in)
	if err != nil || len(out) != len(in) || report.Fuel != int64(len(c.sizes)) || report.Findings["X"] != int64(len(in)) {
		t.Fatalf("%d records, %+v, %v", len(out), report, err)
	}
	want := []int{3, 1, 1, tx.MaxBatch, tx.MaxBatch, 1}
	if len(c.sizes) != len(want) {
		t.Fatalf("batches of %v, want %v", c.sizes, want)
	}
	for i := range want {
		if c.sizes[i] != want[i] {
			t.Fatalf("batches of %v, want %v", c.sizes, want)
		}
	}
	for i := range in {
		if !bytes.Equal(in[i], out[i]) || out[i] == nil {
			t.Fatalf("record %d: %d bytes, want %d", i, len(out[i]), len(in[i]))
		}
	}
}

// TestModuleEnds: whatever ends a module ends it for good, says nothing of a record, and closes the conversation.
func TestModuleEnds(t *testing.T) {
	lost := errors.New("lost")
	for what, c := range map[string]struct {
		talk talk
		is   error
	}{
		"the module's fault":   {talk{reason: "trap"}, transforms.ErrModule},
		"the sandbox's fault":  {talk{answer: func([]byte) ([]byte, error) { return nil, lost }}, lost},
		"no answer":            {talk{answer: func([]byte) ([]byte, error) { return nil, nil }}, tx.ErrAnswer},
		"too many in one":      {talk{answer: func([]byte) ([]byte, error) { return make([]byte, 8), nil }}, tx.ErrAnswer},
		"no flush of anything": {talk{answer: func([]byte) ([]byte, error) { return make([]byte, 4), nil }}, tx.ErrAnswer},
	} {
		t.Run(what, func(t *testing.T) {
			m := newModule(t, &c.talk, step(dataset.ABITransform, dataset.ShapeMap), transforms.Schema{Format: dataset.FormatJSONL})
			_, _, err := m.Batch(t.Context(), [][]byte{{}})
			if err == nil {
				_, _, err = m.Flush(t.Context())
			}
			if !errors.Is(err, transforms.ErrModule) || !errors.Is(err, c.is) || strings.Contains(err.Error(), "of the record") {
				t.Fatal(err)
			}
			for _, again := range []func() error{
				func() error { _, _, err := m.Batch(t.Context(), [][]byte{{}}); return err },
				func() error { _, _, err := m.Flush(t.Context()); return err },
			} {
				if err := again(); !errors.Is(err, transforms.ErrModule) {
					t.Error(err)
				}
			}
			if c.talk.closed == 0 {
				t.Error("not closed")
			}
		})
	}
	m := newModule(t, &talk{answer: same}, step(dataset.ABITransform, dataset.ShapeMap), transforms.Schema{Format: dataset.FormatFiles})
	if _, _, err := m.Batch(t.Context(), [][]byte{make([]byte, tx.MaxRecord+1)}); !errors.Is(err, transforms.ErrRecord) {
		t.Errorf("a record that is too large: %v", err)
	}
}

// TestText: what commands of WASI write is taken apart as their format has it.
func TestText(t *testing.T) {
	csv := transforms.Schema{Format: dataset.FormatCSV, Columns: []string{"a", "b\n\"c\""}}
	const header = "a,\"b\n\"\"c\"\"\"\n"
	lines := transforms.Schema{Format: dataset.FormatJSONL}
	for what, c := range map[string]struct {
		in     transforms.Schema
		shape  string
		give   string
		answer string
		want   string // separated by |; "-" is one left out; "!" an error
	}{
		"lines":                 {lines, dataset.ShapeMap, "1|2", "3\n4\n", "3|4"},
		"the last line open":    {lines, dataset.ShapeMap, "1|2", "3\r\n4", "3|4"},
		"a line too few":        {lines, dataset.ShapeMap, "1|2", "3\n", "!"},
		"a line too many":       {lines, dataset.ShapeMap, "1", "3\n4\n", "!"},
		"filtered":              {lines, dataset.ShapeFilter, "1|2|2|3", "2\n3\n", "-|2|-|3"},
		"all filtered":          {lines, dataset.ShapeFilter, "1|2", "", "-|-"},
		"filtered out of order": {lines, dataset.ShapeFilter, "1|2", "2\n1\n", "!"},
		"any":                   {lines, dataset.ShapeAny, "1|2", "2\n1\n0\n", "2|1|0"},
		"csv":                   {csv, dataset.ShapeMap, "1,2|3,4", header + "5,\"6\n\"\n7,8\n", "5,\"6\n\"|7,8"},
		"csv, header changed":   {csv, dataset.ShapeMap, "1,2", "a,c\n5,6\n", "!"},
		"csv, header longer":    {csv, dataset.ShapeMap, "1,2", header[:len(header)-1] + "x\n5,6\n", "!"},
		"csv, no header":        {csv, dataset.ShapeAny, "1,2", "", "!"},
		"csv, header alone":     {csv, dataset.ShapeAny, "1,2", header, ""},
		"csv, header, no end":   {csv, dataset.ShapeAny, "1,2", header[:len(header)-1], ""},
		"csv, open quote":       {csv, dataset.ShapeAny, "1,2", header + "5,\"6\n", "!"},
		"a file":                {transforms.Schema{Format: dataset.FormatFiles}, dataset.ShapeMap, "one\ntwo", "three\n", "three\n"},
	} {
		t.Run(what, func(t *testing.T) {
			var got []byte
			m := newModule(t, &talk{answer: func(b []byte) ([]byte, error) {
				got = bytes.Clone(b)
				return []byte(c.answer), nil
			}}, step(dataset.ABIWASI, c.shape), c.in)
			var in [][]byte
			want := ""
			if c.in.Format == dataset.FormatCSV {
				want = header
			}
			for r := range strings.SplitSeq(c.give, "|") {
				in, want = append(in, []byte(r)), want+r+"\n"
			}
			if c.in.Format == dataset.FormatFiles {
				want = c.give
			}
			out, _, err := m.Batch(t.Context(), in)
			if string(got) != want {
				t.Errorf("gave %q, want %q", got, want)
			}
			var said []string
			for _, r := range out {
				if r == nil {
					r = []byte("-")
				}
				said = append(said, string(r))
			}
			if c.want == "!" {
				if !errors.Is(err, tx.ErrAnswer) {
					t.Errorf("%q, %v", said, err)
				}
				return
			}
			if err != nil || strings.Join(said, "|") != c.want {
				t.Errorf("%q, %v, want %q", said, err, c.want)
			}
			if out, _, err := m.Flush(t.Context()); len(out) != 0 || err != nil {
				t.Errorf("flushed %q, %v", out, err)
			}
		})
	}
	for _, shape := range []string{dataset.ShapeFilter, dataset.ShapeAny} {
		if _, err := tx.NewModule(step(dataset.ABIWASI, shape), transforms.Schema{Format: dataset.FormatFiles}, &talk{}); !errors.Is(err, transforms.ErrConfig) {
			t.Errorf("files with shape %s: %v", shape, err)
		}
	}
}

// FuzzText: whatever a command writes is taken apart into what the shape allows, or refused.
func FuzzText(f *testing.F) {
	seeds := []string{"", "\n", "a,b\n1,2\n", "a,b\n\"1\n", "a,b", "1\n2\n", "\r\n\r\n", "a,b\r\n1,\"2\"\"\n\"\n"}
	for _, s := range seeds {
		for shape := range shapes {
			f.Add(s, uint8(shape), true)
			f.Add(s, uint8(shape), false)
		}
	}
	f.Fuzz(func(t *testing.T, answer string, which uint8, csv bool) {
		in := transforms.Schema{Format: dataset.FormatJSONL}
		if csv {
			in = transforms.Schema{Format: dataset.FormatCSV, Columns: []string{"a", "b"}}
		}
		shape := shapes[int(which)%len(shapes)]
		m := newModule(t, &talk{answer: func([]byte) ([]byte, error) { return []byte(answer), nil }}, step(dataset.ABIWASI, shape), in)
		out, _, err := m.Batch(t.Context(), [][]byte{[]byte("1,2"), []byte("3,4")})
		switch {
		case err != nil && !errors.Is(err, tx.ErrAnswer):
			t.Fatal(err)
		case err == nil && shape != dataset.ShapeAny && len(out) != 2:
			t.Fatalf("%d records for 2, shape %s", len(out), shape)
		}
		size := 0
		for _, r := range out {
			size += len(r)
		}
		if size > len(answer) {
			t.Fatalf("%d bytes of %d", size, len(answer))
		}
	})
}

// TestEmptyFileIsAFile: a file of which a command makes nothing is empty, not left out; the first answer of all too.
func TestEmptyFileIsAFile(t *testing.T) {
	for _, first := range []string{"", "x"} {
		c := &talk{answer: func([]byte) ([]byte, error) { return nil, nil }}
		m := newModule(t, c, step(dataset.ABIWASI, dataset.ShapeMap), transforms.Schema{Format: dataset.FormatFiles})
		out, _, err := m.Batch(t.Context(), [][]byte{[]byte(first), {}})
		if err != nil || len(out) != 2 || out[0] == nil || out[1] == nil || len(out[0]) != 0 {
			t.Errorf("%q: %q, %v", first, out, err)
		}
	}
}

// TestLentKeysAreWiped: once a conversation is over, no token can be made with its keys.
func TestLentKeysAreWiped(t *testing.T) {
	keys, err := transforms.NewPackageKeys(bytes.Repeat([]byte{1}, 32), envelope.Digest{1})
	if err != nil {
		t.Fatal(err)
	}
	lent, err := tx.Lend(step(dataset.ABITransform, dataset.ShapeMap), keys, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := lent.Services.Token(tx.TokenDigits, []byte("123456")); !ok || err != nil {
		t.Fatal(err)
	}
	tx.NewCaller(nil, nil, lent).Wipe()
	for kind := range uint32(3) {
		if _, ok, err := lent.Services.Token(kind, []byte("123456")); ok || err == nil {
			t.Errorf("kind %d: a token", kind)
		}
	}
}
