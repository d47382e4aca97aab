// SPDX-License-Identifier: Apache-2.0

package release

import (
	"bytes"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	mathrand "math/rand/v2"
	"os"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// source is a fixed stream of noise.
func source(seed byte) *sampler.Source {
	return sampler.NewSource(mathrand.NewChaCha8([32]byte{seed}))
}

// row is a record of a unit.
type row struct {
	unit int
	line string
}

func each(lines ...string) (out []row) {
	for i, l := range lines {
		out = append(out, row{i, l})
	}
	return out
}

// parse reads queries that must be right.
func parse(t testing.TB, queries string) *Queries {
	t.Helper()
	q, err := Parse([]byte(`{"version": 1, "queries": [` + queries + `]}`))
	if err != nil {
		t.Fatal(err)
	}
	return q
}

// feed runs queries over CSV whose first row is the header.
func feed(t testing.TB, r *Run, header string, rows []row) {
	t.Helper()
	columns, err := transforms.ParseHeader([]byte(header))
	if err != nil {
		t.Fatal(err)
	}
	c := transforms.NewCodec(transforms.Schema{Format: dataset.FormatCSV, Columns: columns})
	var rec transforms.Record
	for _, x := range rows {
		if err := c.Parse(&rec, "", []byte(x.line)); err != nil {
			t.Fatal(err)
		}
		if err := r.Add(x.unit, &rec); err != nil {
			t.Fatal(err)
		}
	}
}

// drawn gives a run's result, of noise from a source.
func drawn(r *Run, s *sampler.Source) ([]byte, error) {
	if err := r.DrawAhead(s); err != nil {
		return nil, err
	}
	return r.Result()
}

func results(t testing.TB, r *Run, s *sampler.Source) []Result {
	t.Helper()
	b, err := drawn(r, s)
	if err != nil {
		t.Fatal(err)
	}
	var out Results
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(&out); err != nil {
		t.Fatal(err)
	}
	return out.Results
}

func answer(t testing.TB, queries, header string, rows []row) []Result {
	t.Helper()
	r, err := NewRun(parse(t, queries), UnitRecord, dp.AddOrRemove, 1)
	if err != nil {
		t.Fatal(err)
	}
	feed(t, r, header, rows)
	return results(t, r, source(1))
}

// people are 20,000 records that are known exactly.
func people() (rows []row) {
	countries := []string{"DE", "FR", "IT", "AT"}
	for i := range 20_000 {
		age := 20 + i%61              // 20 … 80
		income := 1000 + 50*age + i%7 // almost a line
		buys := "no"
		if age > 50 && i%10 != 0 || age <= 50 && i%10 == 0 {
			buys = "yes"
		}
		rows = append(rows, row{i, fmt.Sprintf("%s,%d,%d,%s", countries[min(i%10, 3)], age, income, buys)})
	}
	return rows
}

const peopleHeader = "country,age,income,buys"

func near(t testing.TB, what string, got, want, by float64) {
	t.Helper()
	if !(math.Abs(got-want) <= by) {
		t.Errorf("%s: %v, want %v ± %v", what, got, want, by)
	}
}

func TestExampleFile(t *testing.T) {
	b, err := os.ReadFile("../../../examples/dp-queries/queries.json")
	if err != nil {
		t.Fatal(err)
	}
	q, err := Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if err := q.Bind(transforms.Schema{Format: dataset.FormatCSV, Columns: strings.Split(peopleHeader, ",")}); err != nil {
		t.Fatal(err)
	}
	r, err := NewRun(q, UnitRecord, dp.AddOrRemove, 1)
	if err != nil {
		t.Fatal(err)
	}
	feed(t, r, peopleHeader, people())
	b, err = drawn(r, source(7))
	if err != nil {
		t.Fatal(err)
	}
	if n := q.ResultBytes(); int64(len(b)) > n || int64(len(b)) < n/8 {
		t.Errorf("a result of %d bytes, %d were thought to be the most", len(b), n)
	}
	var res Results
	if err := json.Unmarshal(b, &res); err != nil {
		t.Fatal(err)
	}
	out := res.Results
	if len(out) != len(Kinds()) {
		t.Errorf("%d results, and there are %d kinds: the example has one of each", len(out), len(Kinds()))
	}
}

// TestAnswers holds each kind against what is true. Noise is of a fixed stream: it is the same in each run.
func TestAnswers(t *testing.T) {
	rows := people()
	out := answer(t, `
		{"name": "all", "kind": "count", "epsilon": 1},
		{"name": "german", "kind": "count", "where": [{"field": "country", "in": ["DE"]}], "noise": 1},
		{"name": "young", "kind": "count", "where": [{"field": "age", "from": 20, "to": 30}, {"field": "country", "in": ["DE"], "not": true}], "epsilon": 1},
		{"name": "income", "kind": "sum", "field": "income", "lower": 0, "upper": 10000, "epsilon": 1},
		{"name": "age", "kind": "mean", "field": "age", "lower": 0, "upper": 100, "epsilon": 1},
		{"name": "spread", "kind": "variance", "field": "age", "lower": 0, "upper": 100, "noise": 1},
		{"name": "ages", "kind": "quantiles", "field": "age", "lower": 0, "upper": 100, "grid": 100, "quantiles": [0.01, 0.25, 0.5, 0.99], "epsilon": 1}
	`, peopleHeader, rows)
	var young, income, age, squares float64
	for i := range rows {
		a := float64(20 + i%61)
		age, squares, income = age+a, squares+a*a, income+1000+50*a+float64(i%7)
		if a < 30 && i%10 != 0 {
			young++
		}
	}
	n := float64(len(rows))
	for i, want := range []float64{n, n / 10, young, income, age / n, squares/n - age/n*age/n} {
		r := out[i]
		m := max(r.Interval.Upper-*r.Value, *r.Value-r.Interval.Lower)
		near(t, r.Name, *r.Value, want, 2*m+1e-9)
		if !(r.Interval.Lower <= *r.Value && *r.Value <= r.Interval.Upper) || m <= 0 || r.Interval.Confidence != 0.95 {
			t.Errorf("%s: %v in %+v", r.Name, *r.Value, *r.Interval)
		}
		if len(r.Noise) == 0 || r.Noise[0].Scale <= 0 {
			t.Errorf("%s: noise %+v", r.Name, r.Noise)
		}
	}
	for i, want := range []float64{20, 35, 50, 80} {
		near(t, "quantile", out[6].Quantiles[i].Value, want, 2)
	}
	near(t, "mean", *out[4].Value, age/n, 0.1)
	near(t, "variance", *out[5].Value, squares/n-age/n*age/n, 5)
}

func TestHistogram(t *testing.T) {
	out := answer(t, `
		{"name": "declared", "kind": "histogram", "field": "country", "keys": ["DE", "FR", "US"], "other": true, "epsilon": 1},
		{"name": "chosen", "kind": "histogram", "field": "country", "delta": 1e-8, "noise": 2}
	`, peopleHeader, people())
	want := []float64{2000, 2000, 0, 16000}
	for i, g := range out[0].Groups {
		near(t, g.Key, g.Count, want[i], 20)
		if g.Other != (i == 3) {
			t.Errorf("%+v", g)
		}
	}
	if len(out[0].Groups) != 4 || out[0].Threshold != 0 {
		t.Errorf("%+v", out[0])
	}
	if len(out[1].Groups) != 4 || out[1].Groups[0].Key != "AT" || out[1].Threshold < 5 {
		t.Errorf("%+v", out[1])
	}
}

// TestKeyOfOnePerson: a key that one contributor alone has, with all the records that count, is not shown.
func TestKeyOfOnePerson(t *testing.T) {
	q := parse(t, `{"name": "h", "kind": "histogram", "field": "k", "delta": 1e-9, "epsilon": 2}`)
	for seed := range 20 {
		r, err := NewRun(q, UnitContributor, dp.AddOrRemove, 5)
		if err != nil {
			t.Fatal(err)
		}
		rows := []row{}
		for u := range 2000 {
			rows = append(rows, row{u, "common"})
		}
		for range 10_000 {
			rows = append(rows, row{2000, "somebody"})
		}
		feed(t, r, "k", rows)
		out := results(t, r, source(byte(seed)))[0]
		if len(out.Groups) != 1 || out.Groups[0].Key != "common" {
			t.Fatalf("%+v", out)
		}
	}
}

// TestThreshold computes the tail beyond the threshold and compares it with delta.
func TestThreshold(t *testing.T) {
	for _, budget := range []string{`"epsilon": 0.5`, `"epsilon": 10`, `"noise": 0.7`, `"noise": 30`} {
		for _, c := range []int64{1, 3, 100} {
			q := parse(t, `{"name": "h", "kind": "histogram", "field": "k", "delta": 1e-9, `+budget+`}`)
			h, s := q.list[0].(*histogramQuery), &setting{UnitContributor, false, c}
			parts, err := h.parts(s)
			if err != nil {
				t.Fatal(err)
			}
			groups, each := h.limits(s)
			over := float64(h.threshold(s, &parts[0]) - each) // noise must be at least so much
			scale := parts[0].Float(1)
			tail := func(over float64) float64 {
				if parts[0].Mechanism.Kind == dp.Gaussian {
					return float64(groups) * math.Erfc((over-0.5)/scale/math.Sqrt2) / 2
				}
				return float64(groups) * math.Exp(-over/scale) / (1 + math.Exp(-1/scale))
			}
			if tail(over) > 1e-9 || tail(over-2-scale) < 1e-10 {
				t.Errorf("%s, %d contributions: a lone key is shown with probability %g, want at most 1e-9 and not much less", budget, c, tail(over))
			}
		}
	}
}

func TestLinear(t *testing.T) {
	out := answer(t, `{"name": "l", "kind": "linear", "features": [{"field": "age", "lower": 0, "upper": 100}],
		"target": {"field": "income", "lower": 0, "upper": 10000}, "epsilon": 1}`, peopleHeader, people())[0]
	near(t, "slope", out.Model.Coefficients[0].Value, 50, 2)
	near(t, "intercept", out.Model.Intercept, 1003, 100)
}

func TestLogistic(t *testing.T) {
	out := answer(t, `{"name": "l", "kind": "logistic", "features": [{"field": "age", "lower": 0, "upper": 100}],
		"target": "buys", "positive": ["yes"], "regularisation": 20, "epsilon": 4}`, peopleHeader, people())[0]
	// The line between both is where they are equally likely.
	near(t, "border", -out.Model.Intercept/out.Model.Coefficients[0].Value, 50.5, 3)
	if out.Model.Coefficients[0].Value < 0.05 {
		t.Errorf("%+v", out.Model)
	}
}

func TestEmpty(t *testing.T) {
	all := `
		{"name": "a", "kind": "count", "epsilon": 1},
		{"name": "b", "kind": "sum", "field": "x", "lower": -1, "upper": 1, "epsilon": 1},
		{"name": "c", "kind": "mean", "field": "x", "lower": -1, "upper": 1, "epsilon": 1},
		{"name": "d", "kind": "variance", "field": "x", "lower": -1, "upper": 1, "epsilon": 1},
		{"name": "e", "kind": "quantiles", "field": "x", "lower": -1, "upper": 1, "quantiles": [0.5], "epsilon": 1},
		{"name": "f", "kind": "histogram", "field": "x", "keys": ["1"], "epsilon": 1},
		{"name": "g", "kind": "histogram", "field": "x", "delta": 1e-9, "noise": 1},
		{"name": "h", "kind": "linear", "features": [{"field": "x", "lower": -1, "upper": 1}], "target": {"field": "x", "lower": -1, "upper": 1}, "noise": 1},
		{"name": "i", "kind": "logistic", "features": [{"field": "x", "lower": -1, "upper": 1}], "target": "x", "positive": ["1"], "regularisation": 1, "epsilon": 1}`
	for name, rows := range map[string][]row{
		"none": nil, "one": each("1"), "empty": each(`""`), "nan": each("NaN", "Inf", "-inf", "1e999999999999", "0x10", "1_000", "two"),
	} {
		for seed := range byte(20) {
			r, err := NewRun(parse(t, all), UnitRecord, dp.ReplaceOne, 1)
			if err != nil {
				t.Fatal(err)
			}
			feed(t, r, "x", rows)
			for _, one := range results(t, r, source(seed)) { // JSON has no NaN: it would be an error
				if one.Kind == "mean" && (*one.Value < -1 || *one.Value > 1) || one.Kind == "variance" && (*one.Value < 0 || *one.Value > 1) {
					t.Errorf("%s: %+v", name, one)
				}
				if one.Name == "g" && len(one.Groups) > 0 {
					t.Errorf("%s: %+v", name, one)
				}
			}
		}
	}
}

// TestContributorWithAMillionRecords: no more count than the contributions.
func TestContributorWithAMillionRecords(t *testing.T) {
	rows := []row{{0, "1"}}
	for range 1_000_000 {
		rows = append(rows, row{1, "1"})
	}
	sums, _ := exact(t, `{"name": "a", "kind": "count", "epsilon": 1}`, UnitContributor, dp.AddOrRemove, 4, "x", rows)
	if sums[0][0] != 5 {
		t.Errorf("%d records count", sums[0][0])
	}
}

// TestOrderAndHugeValues: sums are the same in any order, and nothing overflows (Casacuberta and others 2022).
func TestOrderAndHugeValues(t *testing.T) {
	const q = `{"name": "s", "kind": "sum", "field": "x", "lower": -9e15, "upper": 9e15, "epsilon": 1}`
	var rows []row
	for i, v := range []string{"9e15", "1e400", "-9e99", "0.000000001", "123456789012345678901234567890", "-1"} {
		for k := range 50 {
			rows = append(rows, row{6*k + i, v})
		}
	}
	a, _ := exact(t, q, UnitRecord, dp.AddOrRemove, 1, "x", rows)
	mathrand.New(mathrand.NewPCG(1, 2)).Shuffle(len(rows), func(i, j int) { rows[i], rows[j] = rows[j], rows[i] })
	b, _ := exact(t, q, UnitRecord, dp.AddOrRemove, 1, "x", rows)
	// Of the six, two are beyond the upper bound, one is it, one is beyond the lower, and two are less than half a step.
	if want := 50 * (3 - 1) * parse(t, q).list[0].(*sumQuery).high; a[0][0] != want || b[0][0] != want {
		t.Errorf("%d in one order, %d in another, want %d", a[0][0], b[0][0], want)
	}
	var sum total
	for range 4 {
		sum.add(math.MaxInt64)
	}
	for range 4 {
		sum.add(math.MinInt64)
	}
	if sum.high != -1 || int64(sum.low) != -4 {
		t.Errorf("%+v", sum)
	}
}

func TestMechanismsAreWhatRuns(t *testing.T) {
	q := parse(t, `
		{"name": "m", "kind": "mean", "field": "x", "lower": 0, "upper": 1, "epsilon": 0.3},
		{"name": "v", "kind": "variance", "field": "x", "lower": 0, "upper": 1, "noise": 2},
		{"name": "q", "kind": "quantiles", "field": "x", "lower": 0, "upper": 1, "quantiles": [0.1, 0.2, 0.3], "epsilon": 1},
		{"name": "h", "kind": "histogram", "field": "x", "delta": 1e-8, "epsilon": 3}`)
	ms, err := q.Mechanisms(UnitContributor, dp.ReplaceOne, 3)
	if err != nil {
		t.Fatal(err)
	}
	var spent float64 // of the mean and the histogram
	var inverse float64
	for i, m := range ms {
		switch {
		case i < 2 || i == 6:
			spent += dp.Micro / float64(m.Noise)
		case i < 5:
			inverse += math.Pow(dp.Micro/float64(m.Noise), 2)
		}
	}
	if spent > 3.3 || spent < 3.2999 {
		t.Errorf("epsilon %v", spent)
	}
	if n := 1 / math.Sqrt(inverse); n < 2 || n > 2.0001 {
		t.Errorf("noise multiplier %v", n)
	}
	if m := ms[5]; m.Kind != dp.Pure || m.Count != 3 || m.Epsilon != 333_333 {
		t.Errorf("%+v", m)
	}
	if m := ms[6]; m.Delta != 10_000 || m.Sensitivity != 6 {
		t.Errorf("%+v", m)
	}
	if err := (&dp.Composition{Adjacency: dp.ReplaceOne, Mechanisms: ms}).Validate(); err != nil {
		t.Error(err)
	}
}

// TestExponential compares how often each value of a grid is chosen with its exact probability.
func TestExponential(t *testing.T) {
	q := parse(t, `{"name": "q", "kind": "quantiles", "field": "x", "lower": 0, "upper": 5, "grid": 5, "quantiles": [0.4], "epsilon": 1}`)
	r, err := NewRun(q, UnitRecord, dp.AddOrRemove, 1)
	if err != nil {
		t.Fatal(err)
	}
	feed(t, r, "x", each("0", "1", "1", "3", "4", "4", "5"))
	c := r.counters[0].(*ranking)
	cost, _ := c.costs(400_000)
	want := []uint64{2_400_000, 1_000_000, 200_000, 600_000, 2_000_000, 3_600_000}
	sum := 0.0
	p := make([]float64, len(cost))
	for i, x := range cost {
		if x != want[i] {
			t.Errorf("costs %v, want %v", cost, want)
		}
		p[i] = math.Exp(-float64(x) / 1e6 / (2 * 0.6))
		sum += p[i]
	}
	const n = 200_000
	got, s := make([]float64, len(cost)), source(3)
	for range n {
		i, err := c.choose(400_000, s)
		if err != nil {
			t.Fatal(err)
		}
		got[i]++
	}
	chi := 0.0
	for i := range p {
		e := n * p[i] / sum
		chi += (got[i] - e) * (got[i] - e) / e
	}
	if chi > 45 { // of 5 degrees of freedom: once in 10⁸
		t.Errorf("chi-square %v: %v", chi, got)
	}
}

// TestHalfTheNoiseIsSeen: the noise that is drawn has the scale that the mechanism says.
func TestHalfTheNoiseIsSeen(t *testing.T) {
	for _, budget := range []string{`"epsilon": 0.1`, `"noise": 10`} {
		q := parse(t, `{"name": "a", "kind": "count", `+budget+`}`)
		parts, err := q.list[0].parts(&setting{UnitContributor, false, 7})
		if err != nil {
			t.Fatal(err)
		}
		var square float64
		const n = 20_000
		s := source(9)
		for range n {
			v, err := parts[0].Draw(s)
			if err != nil {
				t.Fatal(err)
			}
			square += float64(v) * float64(v) / n
		}
		want := 70.0
		if parts[0].Mechanism.Kind == dp.DiscreteLaplace {
			want *= math.Sqrt2
		}
		near(t, budget, math.Sqrt(square), want, want/20)
	}
}

func TestRunsOnce(t *testing.T) {
	r, err := NewRun(parse(t, `{"name": "a", "kind": "count", "epsilon": 1}`), UnitRecord, dp.AddOrRemove, 1)
	if err != nil {
		t.Fatal(err)
	}
	feed(t, r, "x", each("1"))
	if _, err := r.Result(); !errors.Is(err, ErrRun) {
		t.Errorf("a result without noise: %v", err)
	}
	if _, err := drawn(r, sampler.NewSource(rand.Reader)); err != nil {
		t.Fatal(err)
	}
	if err := r.DrawAhead(sampler.NewSource(rand.Reader)); !errors.Is(err, ErrRun) {
		t.Errorf("more noise: %v", err)
	}
	if _, err := r.Result(); !errors.Is(err, ErrRun) {
		t.Errorf("a second result: %v", err)
	}
	if err := r.Add(0, &transforms.Record{}); !errors.Is(err, ErrRun) {
		t.Errorf("a record after the result: %v", err)
	}
}

// once gives uniform bytes until it is told that there are no more.
type once struct {
	io.Reader
	over bool
}

func (o *once) Read(b []byte) (int, error) {
	if o.over {
		return 0, io.EOF
	}
	return o.Reader.Read(b)
}

// TestNoiseIsDrawnAhead: once records are there, nothing is drawn of which the file says how much there is. What is not said there
// is drawn then, and fails without entropy.
func TestNoiseIsDrawnAhead(t *testing.T) {
	const all = `{"name": "a", "epsilon": 1, "kind": "count"}, {"name": "b", "epsilon": 1, "kind": "sum", "field": "x", "lower": 0, "upper": 1},
		{"name": "c", "epsilon": 1, "kind": "mean", "field": "x", "lower": 0, "upper": 1},
		{"name": "d", "epsilon": 1, "kind": "variance", "field": "x", "lower": 0, "upper": 1},
		{"name": "e", "epsilon": 1, "kind": "histogram", "field": "x", "keys": ["1", "2"], "other": true},
		{"name": "f", "epsilon": 1, "kind": "linear", "features": [{"field": "x", "lower": 0, "upper": 1}], "target": {"field": "x", "lower": 0, "upper": 1}},
		{"name": "g", "epsilon": 1, "kind": "logistic", "features": [{"field": "x", "lower": 0, "upper": 1}], "target": "x", "positive": ["1"], "regularisation": 1}`
	for queries, want := range map[string]error{
		all: nil,
		`{"name": "a", "epsilon": 1, "kind": "quantiles", "field": "x", "lower": 0, "upper": 1, "quantiles": [0.5]}`: sampler.ErrEntropy,
		`{"name": "a", "epsilon": 1, "kind": "histogram", "field": "x", "delta": 1e-8}`:                              sampler.ErrEntropy,
	} {
		r, err := NewRun(parse(t, queries), UnitRecord, dp.AddOrRemove, 1)
		if err != nil {
			t.Fatal(err)
		}
		// A source has bytes ahead of its own: they are used up first.
		bytes := &once{Reader: rand.Reader}
		s := sampler.NewSource(bytes)
		if err := r.DrawAhead(s); err != nil {
			t.Fatal(err)
		}
		bytes.over = true
		for err = nil; err == nil; {
			_, err = s.Uniform(1 << 32)
		}
		feed(t, r, "x", each("1"))
		if _, err := r.Result(); !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", queries, err, want)
		}
	}
}

func TestWithoutEntropy(t *testing.T) {
	for _, kind := range []string{
		`"kind": "count"`, `"kind": "mean", "field": "x", "lower": 0, "upper": 1`, `"kind": "quantiles", "field": "x", "lower": 0, "upper": 1, "quantiles": [0.5]`,
		`"kind": "histogram", "field": "x", "keys": ["1"]`, `"kind": "linear", "features": [{"field": "x", "lower": 0, "upper": 1}], "target": {"field": "x", "lower": 0, "upper": 1}`,
		`"kind": "logistic", "features": [{"field": "x", "lower": 0, "upper": 1}], "target": "x", "positive": ["1"], "regularisation": 1`,
	} {
		for _, s := range []*sampler.Source{nil, sampler.NewSource(bytes.NewReader(nil))} {
			r, err := NewRun(parse(t, `{"name": "a", "epsilon": 1, `+kind+`}`), UnitRecord, dp.AddOrRemove, 1)
			if err != nil {
				t.Fatal(err)
			}
			feed(t, r, "x", each("1"))
			if b, err := drawn(r, s); err == nil {
				t.Errorf("%s: %s", kind, b)
			}
		}
	}
}

func BenchmarkAdd(b *testing.B) {
	r, err := NewRun(parse(b, `
		{"name": "a", "kind": "count", "where": [{"field": "country", "in": ["DE"]}], "epsilon": 1},
		{"name": "b", "kind": "mean", "field": "age", "lower": 0, "upper": 100, "epsilon": 1},
		{"name": "c", "kind": "histogram", "field": "country", "delta": 1e-8, "epsilon": 1}`), UnitRecord, dp.AddOrRemove, 1)
	if err != nil {
		b.Fatal(err)
	}
	c := transforms.NewCodec(transforms.Schema{Format: dataset.FormatCSV, Columns: strings.Split(peopleHeader, ",")})
	var rec transforms.Record
	if err := c.Parse(&rec, "", []byte("DE,37,2850,yes")); err != nil {
		b.Fatal(err)
	}
	for i := 0; b.Loop(); i++ {
		if err := r.Add(i, &rec); err != nil {
			b.Fatal(err)
		}
	}
}
