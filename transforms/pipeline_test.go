// SPDX-License-Identifier: Apache-2.0

package transforms_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/transforms"
)

// guest is a module that does what a test says.
type guest struct {
	batch  func(in [][]byte) ([][]byte, transforms.ModuleReport, error)
	flush  func() ([][]byte, transforms.ModuleReport, error)
	closed *int
}

func (g guest) Batch(_ context.Context, in [][]byte) ([][]byte, transforms.ModuleReport, error) {
	return g.batch(in)
}

func (g guest) Flush(context.Context) ([][]byte, transforms.ModuleReport, error) {
	if g.flush == nil {
		return nil, transforms.ModuleReport{}, nil
	}
	return g.flush()
}

func (g guest) Close() error {
	*g.closed++
	return nil
}

func module(shape string) dataset.Step {
	return dataset.Step{
		Name: dataset.StepModule, Digest: envelope.Sum([]byte("a module")), ABI: dataset.ABITransform, Shape: shape, Config: json.RawMessage(`{}`),
	}
}

func native(name string) dataset.Step {
	return dataset.Step{Name: name, Digest: envelope.Sum([]byte(name)), Config: json.RawMessage(`{}`)}
}

// steps are built-ins for tests.
func steps(s *dataset.Step, _ transforms.Schema, _ *transforms.Env) (transforms.Step, error) {
	switch s.Name {
	case "upper":
		return upper{}, nil
	case "rare":
		return &rare{seen: map[string]int{}}, nil
	case "holder":
		return holder, nil
	case "nothing":
		return nothing{}, nil
	}
	return nil, fmt.Errorf("%w: %s", transforms.ErrUnknown, s.Name)
}

type same struct{}

func (same) Schema(in transforms.Schema) (transforms.Schema, error) { return in, nil }

// upper sets texts to upper case, drops "no" and quarantines "bad".
type upper struct{ same }

func (upper) Transform(r *transforms.Record, t *transforms.Trace) (transforms.Verdict, error) {
	for i := range r.Fields() {
		f := &r.Fields()[i]
		switch string(f.Text) {
		case "no":
			return transforms.Drop, nil
		case "bad":
			t.Reason("bad-word")
			return transforms.Quarantine, nil
		}
		f.Set([]byte(strings.ToUpper(string(f.Text))))
		t.Count("WORD", 1)
	}
	return transforms.Keep, nil
}

// rare keeps what occurs at least twice: it must see everything first.
type rare struct {
	same
	seen    map[string]int
	settled bool
}

func (x *rare) Survey(r *transforms.Record) error { x.seen[string(r.Fields()[0].Text)]++; return nil }

func (x *rare) Settle(t *transforms.Trace) error {
	x.settled = true
	t.Figure("k", 2)
	return nil
}

func (x *rare) Transform(r *transforms.Record, _ *transforms.Trace) (transforms.Verdict, error) {
	if !x.settled {
		return transforms.Refused, errors.New("too early")
	}
	if x.seen[string(r.Fields()[0].Text)] < 2 {
		return transforms.Drop, nil
	}
	return transforms.Keep, nil
}

// holder keeps a text until it is wiped.
var holder = &keeper{}

type keeper struct {
	same
	text []byte
}

func (k *keeper) Transform(r *transforms.Record, _ *transforms.Trace) (transforms.Verdict, error) {
	k.text = append(k.text, r.Fields()[0].Text...)
	return transforms.Keep, nil
}

func (k *keeper) Wipe() { k.text = nil }

// nothing is a step that forgets its verdict.
type nothing struct{ same }

func (nothing) Transform(*transforms.Record, *transforms.Trace) (v transforms.Verdict, err error) {
	return v, err
}

func run(t *testing.T, text string, g *guest, list ...dataset.Step) (string, *transforms.Pipeline, error) {
	t.Helper()
	closed := 0
	env := &transforms.Env{Module: func(context.Context, *dataset.Step, transforms.Schema) (transforms.Module, error) {
		if g == nil {
			return nil, transforms.ErrEnv
		}
		g.closed = &closed
		return *g, nil
	}}
	src, err := transforms.NewSource(strings.NewReader(text), dataset.FormatCSV)
	if err != nil {
		t.Fatal(err)
	}
	p, err := transforms.New(t.Context(), list, src.Schema(), steps, env)
	if err != nil {
		return "", p, err
	}
	var out strings.Builder
	w := transforms.NewWriter(&out, p.Out())
	err = p.Run(t.Context(), src, w.Write)
	if cerr := p.Close(); cerr != nil || g != nil && closed != 1 {
		t.Errorf("closed %d times, %v", closed, cerr)
	}
	return out.String(), p, err
}

// TestStepsAreWiped: a closed pipeline leaves nothing in its steps.
func TestStepsAreWiped(t *testing.T) {
	if out, _, err := run(t, "w\nsecret\n", nil, native("holder")); err != nil || out != "w\nsecret\n" || holder.text != nil {
		t.Errorf("%q, %v, %q is held", out, err, holder.text)
	}
}

func TestPipeline(t *testing.T) {
	out, p, err := run(t, "w\na\nno\nb\nbad\na\n", nil, native("upper"), native("rare"), native("upper"))
	if err != nil || out != "w\nA\nA\n" {
		t.Fatalf("%q %v", out, err)
	}
	r := p.Reports()
	if got := fmt.Sprint(r[0].RecordsIn, r[0].RecordsOut, r[0].BytesIn, r[0].BytesOut, r[0].Findings, r[0].Quarantined, r[1].RecordsIn, r[1].RecordsOut); got != "5 3 8 3 [{WORD 3}] [{bad-word 1}] 3 2" {
		t.Error(got)
	}
	if p.Figures()["k"] != 2 {
		t.Error(p.Figures())
	}
}

func TestUnknownStep(t *testing.T) {
	if _, _, err := run(t, "w\na\n", nil, native("lower")); !errors.Is(err, transforms.ErrUnknown) {
		t.Error(err)
	}
	if _, _, err := run(t, "w\na\n", nil, native("nothing")); !errors.Is(err, transforms.ErrShape) {
		t.Error(err)
	}
	if _, _, err := run(t, "w\na\n", nil, module(dataset.ShapeMap)); !errors.Is(err, transforms.ErrEnv) {
		t.Error(err)
	}
	s := native("upper")
	s.Config = json.RawMessage(`{ }`)
	if _, _, err := run(t, "w\na\n", nil, s); err == nil {
		t.Error("a configuration that is not canonical was taken")
	}
}

// TestModuleShapes: what came back is held to the shape that the step was pinned with.
func TestModuleShapes(t *testing.T) {
	copied := func(in [][]byte) ([][]byte, transforms.ModuleReport, error) {
		return in, transforms.ModuleReport{Findings: map[string]int64{"A": 2}, Fuel: 5}, nil
	}
	fewer := func(in [][]byte) ([][]byte, transforms.ModuleReport, error) {
		return in[1:], transforms.ModuleReport{}, nil
	}
	dropped := func(in [][]byte) ([][]byte, transforms.ModuleReport, error) {
		out := slices.Clone(in)
		out[0] = nil
		return out, transforms.ModuleReport{}, nil
	}
	twice := func(in [][]byte) ([][]byte, transforms.ModuleReport, error) {
		return append(slices.Clone(in), in...), transforms.ModuleReport{}, nil
	}
	text := func(s string) func([][]byte) ([][]byte, transforms.ModuleReport, error) {
		return func(in [][]byte) ([][]byte, transforms.ModuleReport, error) {
			return [][]byte{[]byte(s), in[1]}, transforms.ModuleReport{}, nil
		}
	}
	report := func(r transforms.ModuleReport) func([][]byte) ([][]byte, transforms.ModuleReport, error) {
		return func(in [][]byte) ([][]byte, transforms.ModuleReport, error) { return in, r, nil }
	}
	late := func() ([][]byte, transforms.ModuleReport, error) {
		return [][]byte{[]byte("z")}, transforms.ModuleReport{}, nil
	}
	many := map[string]int64{}
	for i := range transforms.MaxTypes + 1 {
		many[fmt.Sprint("T", i)] = 1
	}
	for name, c := range map[string]struct {
		shape string
		g     guest
		want  string
		err   error
	}{
		"map":                  {dataset.ShapeMap, guest{batch: copied}, "w\na\nb\n", nil},
		"map, fewer":           {dataset.ShapeMap, guest{batch: fewer}, "", transforms.ErrShape},
		"map, left out":        {dataset.ShapeMap, guest{batch: dropped}, "", transforms.ErrShape},
		"map, more":            {dataset.ShapeMap, guest{batch: twice}, "", transforms.ErrShape},
		"map, late":            {dataset.ShapeMap, guest{batch: copied, flush: late}, "", transforms.ErrShape},
		"filter":               {dataset.ShapeFilter, guest{batch: dropped}, "w\nb\n", nil},
		"filter, fewer":        {dataset.ShapeFilter, guest{batch: fewer}, "", transforms.ErrShape},
		"any":                  {dataset.ShapeAny, guest{batch: twice, flush: late}, "w\na\nb\na\nb\nz\n", nil},
		"two records in one":   {dataset.ShapeMap, guest{batch: text("x\ny")}, "", transforms.ErrModule},
		"no record":            {dataset.ShapeMap, guest{batch: text("")}, "", transforms.ErrModule},
		"another column":       {dataset.ShapeMap, guest{batch: text("x,y")}, "", transforms.ErrModule},
		"half a quote":         {dataset.ShapeMap, guest{batch: text(`"x`)}, "", transforms.ErrModule},
		"a zero byte":          {dataset.ShapeMap, guest{batch: text("x\x00")}, "", transforms.ErrModule},
		"findings of text":     {dataset.ShapeMap, guest{batch: report(transforms.ModuleReport{Findings: map[string]int64{"bob@x.org": 1}})}, "", transforms.ErrModule},
		"negative findings":    {dataset.ShapeMap, guest{batch: report(transforms.ModuleReport{Findings: map[string]int64{"A": -1}})}, "", transforms.ErrModule},
		"too many types":       {dataset.ShapeMap, guest{batch: report(transforms.ModuleReport{Findings: many})}, "", transforms.ErrModule},
		"fuel that comes back": {dataset.ShapeMap, guest{batch: report(transforms.ModuleReport{Fuel: -1})}, "", transforms.ErrModule},
	} {
		out, _, err := run(t, "w\na\nb\n", &c.g, module(c.shape))
		if !errors.Is(err, c.err) || err == nil && out != c.want || (err == nil) != (c.err == nil) {
			t.Errorf("%s: %q %v, want %q %v", name, out, err, c.want, c.err)
		}
	}
}

// TestModuleBatches: a module gets at most BatchBytes of records, or one record that is larger.
func TestModuleBatches(t *testing.T) {
	var text strings.Builder
	text.WriteString("w\n")
	sizes := []int{10, 40_000, 30_000, 100_000, 1, transforms.BatchBytes, 1}
	for _, n := range sizes {
		text.WriteString(strings.Repeat("x", n) + "\n")
	}
	var got []int
	g := guest{batch: func(in [][]byte) ([][]byte, transforms.ModuleReport, error) {
		sum := 0
		for _, r := range in {
			sum += len(r)
		}
		got = append(got, sum)
		return in, transforms.ModuleReport{}, nil
	}}
	out, _, err := run(t, text.String(), &g, module(dataset.ShapeMap))
	if err != nil || out != text.String() {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != "[40010 30000 100000 1 65536 1]" {
		t.Error(got)
	}
}

func TestSources(t *testing.T) {
	read := func(text string, f dataset.Format) (out []string, at []int64, err error) {
		src, err := transforms.NewSource(strings.NewReader(text), f)
		if err != nil {
			return nil, nil, err
		}
		for {
			it, err := src.Next()
			if errors.Is(err, io.EOF) {
				return out, at, nil
			}
			if err != nil {
				return nil, nil, err
			}
			out, at = append(out, string(it.Raw)), append(at, it.At)
		}
	}
	for _, c := range []struct {
		text string
		f    dataset.Format
		want string
	}{
		{"a,b\r\n1,\"x\ny\"\r\n2,3", "csv", `["1,\"x\ny\"" "2,3"] [5 14]`},
		{"{}\n[1]\n", "jsonl", `["{}" "[1]"] [0 3]`},
	} {
		out, at, err := read(c.text, c.f)
		if got := fmt.Sprintf("%q %d", out, at); err != nil || got != c.want {
			t.Errorf("%q: %s %v, want %s", c.text, got, err, c.want)
		}
	}
	for _, c := range [][2]string{{"", "csv"}, {"a,a\n", "csv"}, {"a\n\"x", "csv"}, {"not a tar", "files"}, {"x", "xml"}} {
		if _, _, err := read(c[0], dataset.Format(c[1])); !errors.Is(err, transforms.ErrRecord) {
			t.Errorf("%q: %v", c, err)
		}
	}
	long := strings.Repeat("x", dataset.MaxRecordBytes+1)
	if _, _, err := read(long, "jsonl"); !errors.Is(err, transforms.ErrRecord) || len(err.Error()) > 200 {
		t.Error(err)
	}
}
