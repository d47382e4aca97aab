// SPDX-License-Identifier: Apache-2.0

package release

import (
	"fmt"
	"math"
	mathrand "math/rand/v2"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// exact gives the integers that counters hold before noise.
func exact(t testing.TB, queries, unit, adjacency string, contributions int64, header string, rows []row) (sums [][]int64, parts [][]part) {
	t.Helper()
	r, err := NewRun(parse(t, queries), unit, adjacency, contributions)
	if err != nil {
		t.Fatal(err)
	}
	feed(t, r, header, rows)
	s, _ := newSetting(unit, adjacency, contributions)
	for i, c := range r.counters {
		ps, err := r.q.list[i].parts(s)
		if err != nil {
			t.Fatal(err)
		}
		one := []total{}
		switch c := c.(type) {
		case *counting:
			one = []total{c.n}
		case *summing:
			one = []total{c.sum}
		case *averaging:
			one = []total{c.sum, c.n}
		case *varying:
			one = []total{c.sum, c.n, c.squares}
		case *fitting:
			one = c.sums
		case *grouping:
			for _, k := range []string{"a", "b", "c", "d"} {
				one = append(one, total{low: uint64(c.counts[k])})
			}
			one = append(one, total{low: uint64(c.other)})
		}
		var ints []int64
		for _, v := range one {
			if v.high != int64(v.low)>>63 {
				t.Fatal("more than 64 bits")
			}
			ints = append(ints, int64(v.low))
		}
		sums, parts = append(sums, ints), append(parts, ps)
	}
	return sums, parts
}

// norms are L1 and L2 of a difference.
func norms(a, b []int64) (l1, l2 float64) {
	for i := range a {
		d := math.Abs(float64(a[i] - b[i]))
		l1, l2 = l1+d, l2+d*d
	}
	return l1, math.Sqrt(l2)
}

// TestSensitivity changes one unit in every way that matters and looks how far the sums move: never beyond what the noise is
// made for, and, for the worst unit, all the way (so that the test would fail with half of the noise).
func TestSensitivity(t *testing.T) {
	const queries = `
		{"name": "a", "kind": "count", %[1]s},
		{"name": "a2", "kind": "count", "where": [{"field": "x", "from": 0}], %[1]s},
		{"name": "b", "kind": "sum", "field": "x", "lower": -3, "upper": 10, %[1]s},
		{"name": "b2", "kind": "sum", "field": "x", "lower": 5, "upper": 10, %[1]s},
		{"name": "b3", "kind": "sum", "field": "x", "lower": -10, "upper": -5, %[1]s},
		{"name": "c", "kind": "mean", "field": "x", "lower": -3, "upper": 10, %[1]s},
		{"name": "d", "kind": "variance", "field": "x", "lower": -3, "upper": 10, %[1]s},
		{"name": "f", "kind": "histogram", "field": "k", "keys": ["a", "b", "c", "d"], "other": true, %[1]s},
		{"name": "f2", "kind": "histogram", "field": "k", "delta": 1e-9, "groups": 1, "perGroup": 2, %[1]s},
		{"name": "h", "kind": "linear", "features": [{"field": "x", "lower": -3, "upper": 10}, {"field": "y", "lower": 0, "upper": 1}],
			"target": {"field": "z", "lower": -1, "upper": 1}, %[1]s}`
	// What one unit may be, with up to five records, of which three count.
	records := []string{
		"10,1,1,a", "-3,0,-1,b", "1e300,7,5,a", "-1e300,-7,-5,c", "0,0.5,0,d", "NaN,,,other", "10,1,-1,a", "-3,1,1,b", "5,0,0,c", "3.5,0,1,a",
	}
	var units [][]string
	for _, a := range records {
		units = append(units, []string{a}, []string{a, a, a}, []string{a, a, a, a, a})
		for _, b := range records {
			units = append(units, []string{a, b}, []string{a, b, b, a})
		}
	}
	rest := []row{{0, "1,1,1,a"}, {0, "2,0,1,b"}, {1, "9,1,0.5,c"}}
	with := func(u []string) (rows []row) {
		for _, l := range u {
			rows = append(rows, row{7, l})
		}
		return append(rows, rest...)
	}
	for _, budget := range []string{`"epsilon": 0.5`, `"noise": 3`} {
		for _, adjacency := range []string{dp.AddOrRemove, dp.ReplaceOne} {
			q := fmt.Sprintf(queries, budget)
			var all [][][]int64
			var parts [][]part
			for _, u := range append(units, nil) {
				var one [][]int64
				one, parts = exact(t, q, UnitContributor, adjacency, 3, "x,y,z,k", with(u))
				all = append(all, one)
			}
			worst := make([]float64, len(parts)) // of what the noise is made for
			for i, a := range all {
				for j := range i + 1 {
					if b := all[j]; adjacency == dp.ReplaceOne || i == len(all)-1 {
						for k := range parts {
							worst[k] = max(worst[k], measure(parts[k], a[k], b[k]))
						}
					}
				}
			}
			for k, w := range worst {
				if w > 1+1e-9 {
					t.Errorf("%s, %s: query %d moves %v times as far as its noise is for", budget, adjacency, k, w)
				}
				if w < 0.5 {
					t.Errorf("%s, %s: query %d moves %v times as far as its noise is for: too much noise, or a test that finds nothing", budget, adjacency, k, w)
				}
			}
		}
	}
}

// measure is how far sums moved, in what their noise is for: noise over multiplier. Sums with one noise move together.
func measure(parts []part, a, b []int64) (most float64) {
	for i, p := range parts {
		x, y := a, b
		if len(parts) > 1 {
			x, y = a[i:i+1], b[i:i+1]
		}
		l1, l2 := norms(x, y)
		made := p.Float(1) / (float64(p.Mechanism.Noise) / dp.Micro)
		if p.Mechanism.Kind == dp.Gaussian {
			most = max(most, l2/made)
			continue
		}
		most = max(most, l1/made, l1/float64(p.Mechanism.Sensitivity))
	}
	return most
}

// TestMinimiser: output perturbation holds for weights near the minimum only, whatever the records.
func TestMinimiser(t *testing.T) {
	rnd := mathrand.New(mathrand.NewPCG(5, 6))
	for name, row := range map[string]func(i int) []int16{
		"random": func(int) []int16 {
			return []int16{int16(rnd.IntN(2049) - 1024), int16(rnd.IntN(2049) - 1024), int16(2*rnd.IntN(2) - 1)}
		},
		"separable": func(i int) []int16 { y := int16(2*(i%2) - 1); return []int16{1024 * y, -1024 * y, y} },
		"one side":  func(int) []int16 { return []int16{1024, 1024, 1} },
		"collinear": func(i int) []int16 { return []int16{int16(i % 1024), int16(i % 1024), int16(2*(i%3%2) - 1)} },
	} {
		for _, strength := range []float64{0.01, 1, 1000} {
			m := minimiser{d: 3, strength: strength, enough: math.Sqrt(3) * exactness / 2}
			for i := range 3000 {
				m.rows = append(m.rows, row(i)...)
			}
			w, err := m.minimise()
			if err != nil {
				t.Fatalf("%s, %v: %v", name, strength, err)
			}
			if strength >= 1 { // the same by descent alone
				at, err := m.descend(make([]float64, 3))
				if err != nil {
					t.Fatalf("%s, %v: %v", name, strength, err)
				}
				for i := range w {
					near(t, name, at[i], w[i], 2*m.enough/strength)
				}
			}
		}
	}
}

// TestLogisticMoves: a unit that comes or goes, or becomes another, moves the rounded weights by no more than the noise is for,
// and by so much that half of it would be seen to be too little.
func TestLogisticMoves(t *testing.T) {
	const query = `{"name": "l", "kind": "logistic", "features": [{"field": "x", "lower": -1, "upper": 1}], "target": "y", "positive": ["1"], "regularisation": 20, "epsilon": 1}`
	for _, adjacency := range []string{dp.AddOrRemove, dp.ReplaceOne} {
		var made float64 // what the noise is for
		weights := func(rows []row) []int64 {
			r, err := NewRun(parse(t, query), UnitContributor, adjacency, 2)
			if err != nil {
				t.Fatal(err)
			}
			feed(t, r, "x,y", rows)
			c := r.counters[0].(*separating)
			made = float64(c.parts[0].Mechanism.Sensitivity)
			w, per, err := c.weights()
			if err != nil {
				t.Fatal(err)
			}
			// Two records, of gradients of at most √2 each, come or go; or two others come too. Nothing that is near 0 moves by more than
			// half of that, so that weights alone would not show half of the noise.
			want := moved * 20 / (2 * math.Sqrt2)
			if adjacency == dp.ReplaceOne {
				want /= 2
			}
			near(t, "integers in one", per, want, 1e-6)
			return w
		}
		far := 0.0
		rnd := mathrand.New(mathrand.NewPCG(7, 8))
		for range 100 {
			var rest []row
			for i := range rnd.IntN(3) {
				rest = append(rest, row{i, fmt.Sprintf("%d,%d", rnd.IntN(3)-1, rnd.IntN(2))})
			}
			unit := func(line string) []row { return append([]row{{9, line}, {9, line}, {9, line}}, rest...) }
			for _, x := range []string{"1,1", "-1,0", "1,0", "0,1", "-1,1"} {
				a, b := weights(unit(x)), weights(rest)
				if adjacency == dp.ReplaceOne {
					b = weights(unit("1,0"))
				}
				l1, _ := norms(a, b)
				far = max(far, l1)
			}
		}
		if far > made || far < made*0.4 {
			t.Errorf("%s: weights move by %v, the noise is for %v", adjacency, far, made)
		}
	}
}

// TestCostsMove: a unit changes what a quantile's values cost by no more than they are weighed with, and by all of it.
func TestCostsMove(t *testing.T) {
	for _, at := range []string{"0.5", "0.1", "0.9"} {
		query := `{"name": "q", "kind": "quantiles", "field": "x", "lower": 0, "upper": 10, "grid": 10, "quantiles": [` + at + `], "epsilon": 1}`
		for _, adjacency := range []string{dp.AddOrRemove, dp.ReplaceOne} {
			reach, far := int64(0), int64(0)
			signed := func(unit []string) []int64 {
				r, err := NewRun(parse(t, query), UnitContributor, adjacency, 3)
				if err != nil {
					t.Fatal(err)
				}
				var rows []row
				for _, l := range unit {
					rows = append(rows, row{9, l})
				}
				for i := range 100 { // on one side of all
					rows = append(rows, row{10 + i, "10"})
				}
				feed(t, r, "x", rows)
				c := r.counters[0].(*ranking)
				q := r.q.list[0].(*quantilesQuery).at[0]
				reach = c.reach(q)
				cost, _ := c.costs(q)
				var out []int64
				for _, v := range cost {
					out = append(out, int64(v))
				}
				return out
			}
			units := [][]string{{"0", "0", "0", "0"}, {"10", "10", "10", "10", "10"}, {"5", "0"}, {"3"}, {"", "x", ""}, {"-7", "1e99", "5"}}
			for i, a := range units {
				for j, b := range append(units[:i:i], nil) {
					if adjacency == dp.AddOrRemove && j < i {
						continue
					}
					x, y := signed(a), signed(b)
					for k := range x {
						far = max(far, x[k]-y[k], y[k]-x[k])
					}
				}
			}
			if far > reach || far < reach/2 {
				t.Errorf("%s, %s: costs move by %d, %d is reckoned with", at, adjacency, far, reach)
			}
		}
	}
}
