// SPDX-License-Identifier: Apache-2.0

package transforms_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
)

// runLines takes JSON Lines through steps.
func runLines(t *testing.T, text string, env *transforms.Env, list ...dataset.Step) (string, *transforms.Pipeline, error) {
	t.Helper()
	src, err := transforms.NewSource(strings.NewReader(text), dataset.FormatJSONL)
	if err != nil {
		t.Fatal(err)
	}
	p, err := transforms.New(t.Context(), list, src.Schema(), steps, env)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close() //nolint:errcheck // nothing is held outside memory
	var out strings.Builder
	err = p.Run(t.Context(), src, transforms.NewWriter(&out, p.Out()).Write)
	return out.String(), p, err
}

// deep is a record that packing takes and no step can take apart.
func deep() string { return strings.Repeat("[", 1000) + strings.Repeat("]", 1000) }

// manyValues is a record of more values than there may be.
func manyValues() string { return "[0" + strings.Repeat(",0", transforms.MaxValues) + "]" }

// TestOneRecordEndsEveryJob: what cannot be taken apart is left out with its reason, and the other records go on.
func TestOneRecordEndsEveryJob(t *testing.T) {
	text := "\"a\"\n" + deep() + "\n" + manyValues() + "\n\"b\"\n"
	out, p, err := runLines(t, text, nil, native("upper"), native("upper"))
	if err != nil || out != "\"A\"\n\"B\"\n" {
		t.Errorf("%q %v", out, err)
	}
	if got := fmt.Sprint(p.Reports()[0].Quarantined, p.Reports()[1].Quarantined); got != "[{too-complex 1} {unreadable 1}] []" {
		t.Error(got)
	}
	out, _, err = run(t, "w\nb\na\"a\n\"b\"\"\"\n", nil, native("upper"))
	if err == nil || !errors.Is(err, transforms.ErrRecord) { // the quote pairs with the next line's: the source cannot tell records apart
		t.Errorf("%q %v", out, err)
	}
	if out, p, err = run(t, "w\na\na\"\"a\nb\n", nil, native("upper")); err != nil || out != "w\nA\nB\n" || fmt.Sprint(p.Reports()[0].Quarantined) != "[{unreadable 1}]" {
		t.Errorf("%q %v", out, err)
	}
}

// TestOneRecordOfAModuleEndsTheRun: what a module makes must be records.
func TestOneRecordOfAModuleEndsTheRun(t *testing.T) {
	for _, made := range []string{deep(), manyValues()} {
		closed := 0
		env := &transforms.Env{Module: func(context.Context, *dataset.Step, transforms.Schema) (transforms.Module, error) {
			return guest{closed: &closed, batch: func([][]byte) ([][]byte, transforms.ModuleReport, error) {
				return [][]byte{[]byte(made)}, transforms.ModuleReport{}, nil
			}}, nil
		}}
		if _, _, err := runLines(t, "1\n", env, module(dataset.ShapeMap), native("upper")); !errors.Is(err, transforms.ErrModule) {
			t.Errorf("%.10s: %v", made, err)
		}
	}
}

// TestUnreadableAmongNoise: where steps draw noise, how many records come out says nothing of one that cannot be taken apart.
func TestUnreadableAmongNoise(t *testing.T) {
	noisy := native("upper")
	noisy.Epsilon = 1
	out, p, err := runLines(t, "\"a\"\n"+deep()+"\n\"b\"\n", nil, noisy)
	if err != nil || out != "\"A\"\n{}\n\"B\"\n" || len(p.Reports()[0].Quarantined) != 0 || p.Reports()[0].Unread != 1 {
		t.Errorf("%q %v", out, err)
	}
	out, _, err = run(t, "v,w\na,b\na\"\"a,c\n", nil, noisy)
	if err != nil || out != "v,w\nA,B\n,\n" {
		t.Errorf("%q %v", out, err)
	}
}

// TestOneRecordTakesAllMemory: a record of as many values as fit into it takes little more than its size, and nothing of it stays with
// the steps that it went through.
func TestOneRecordTakesAllMemory(t *testing.T) {
	zeros := append(append([]byte("[0"), bytes.Repeat([]byte(",0"), (dataset.MaxRecordBytes-16)/2)...), ']')
	var r transforms.Record
	c := transforms.NewCodec(transforms.Schema{Format: dataset.FormatJSONL})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	err := c.Parse(&r, "", zeros)
	runtime.ReadMemStats(&after)
	if took := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, transforms.ErrRecord) || took > 16*dataset.MaxRecordBytes {
		t.Errorf("%d bytes, %v", took, err)
	}
	r.Free()

	large := `"` + strings.Repeat("x", 8<<20) + `"` + "\n[0" + strings.Repeat(",0", transforms.MaxValues-2) + "]\n"
	src, err := transforms.NewSource(strings.NewReader(large+strings.Repeat("1\n", 10)), dataset.FormatJSONL)
	if err != nil {
		t.Fatal(err)
	}
	list := make([]dataset.Step, dataset.MaxSteps)
	for i := range list {
		list[i] = native("upper")
	}
	p, err := transforms.New(t.Context(), list, src.Schema(), steps, nil)
	if err != nil {
		t.Fatal(err)
	}
	held := func() uint64 {
		runtime.GC()
		runtime.ReadMemStats(&after)
		return after.HeapAlloc
	}
	n, start, most := 0, held(), uint64(0)
	err = p.Run(t.Context(), src, func(transforms.Item) error {
		if n++; n == 12 {
			most = held()
		}
		return nil
	})
	if err != nil || n != 12 || most > start+dataset.MaxRecordBytes+8<<20 { // the source keeps its line
		t.Errorf("%d records, %d bytes are held behind the large ones, %v", n, most-start, err)
	}
}

// TestModuleNamesWhatItLikes: names of findings that the step does not pin, and figures, say little of what the module saw.
func TestModuleNamesWhatItLikes(t *testing.T) {
	s := module(dataset.ShapeMap)
	s.Findings = dataset.Types{"A"}
	g := guest{batch: func(in [][]byte) ([][]byte, transforms.ModuleReport, error) {
		return in, transforms.ModuleReport{Findings: map[string]int64{"A": 1234, "SSN_219099999": 2, "SSN_219099998": 3}, Fuel: 219099999}, nil
	}}
	_, p, err := run(t, "w\n"+strings.Repeat("abcdefghi\n", 123), &g, s, native("upper"))
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(p.Reports()[0].Findings); got != "[{A 1234} {OTHER 5}]" {
		t.Error(got)
	}
	said := p.Stated()
	got := fmt.Sprint(said[0].Findings, said[0].Fuel, said[0].BytesIn, said[0].BytesOut, said[1].BytesIn, said[1].BytesOut, said[1].Findings)
	if got != "[{A 1300} {OTHER 5}] 220000000 1107 1200 1200 1200 [{WORD 130}]" {
		t.Error(got)
	}
	if p.Reports()[1].Findings[0].Count != 123 {
		t.Error("the exact report was rounded too")
	}
}
