// SPDX-License-Identifier: Apache-2.0

package release

import (
	"math"
	"math/big"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/dp/noise"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// linearQuery is linear least squares by perturbed sufficient statistics: sums of products of all pairs of features, and of
// features and target, with noise; what is solved after that is seen by everybody who sees the sums (Vu, Slavković 2009). The
// ridge follows from the noise, as in AdaSSP (Wang 2018), but from the least eigenvalue of what has noise already.
type linearQuery struct {
	common
	features
	Target bounded `json:"target"`
}

func (q *linearQuery) check() error {
	if err := q.features.check(); err != nil {
		return err
	}
	if err := q.Target.check(); err != nil {
		return prefixed("target", err)
	}
	return nil
}

func (q *linearQuery) values() []string { return append([]string{""}, q.featureNames()...) }

func (q *linearQuery) fields() []string {
	return q.names(append(q.featureNames(), q.Target.Field)...)
}

// sums is how many there are: the upper triangle of the products of n weights' features, and n with the target.
func (q *linearQuery) sums() int64 {
	n := int64(q.size())
	return n*(n+1)/2 + n
}

// parts: each record adds at most unity² to each sum, either way.
func (q *linearQuery) parts(s *setting) ([]part, error) {
	each := noise.Product(unity, unity, s.contributions, s.sides())
	p, err := q.part("sums of products", 1, noise.Sensitivity{
		L1: new(big.Int).Mul(each, big.NewInt(q.sums())), L2: each, Root: big.NewInt(q.sums()),
	})
	p.draws = int(q.sums())
	return []part{p}, err
}

func (q *linearQuery) start(_ *setting, parts []part) counter {
	return &fitting{q: q, parts: parts, x: make([]int64, q.size()), sums: make([]total, q.sums())}
}

type fitting struct {
	q     *linearQuery
	parts []part
	x     []int64
	sums  []total // of x[0]·x[0], x[0]·x[1], … x[1]·x[1], …, then of x[0]·y, …
}

func (c *fitting) add(_ int, r *transforms.Record) {
	y, ok := c.q.Target.scaled(r)
	if !ok || !c.q.vector(r, c.x) {
		return
	}
	at := 0
	for i := range c.x {
		for _, other := range c.x[i:] {
			c.sums[at].add(c.x[i] * other)
			at++
		}
	}
	for _, v := range c.x {
		c.sums[at].add(v * y)
		at++
	}
}

func (c *fitting) result(src *sampler.Source, out *Result) error {
	n, at := len(c.x), 0
	next := func() (float64, error) {
		v, err := c.sums[at].noised(&c.parts[0], src)
		at++
		return v / (unity * unity), err
	}
	a, b := newMatrix(n), make([]float64, n)
	var err error
	for i := range n {
		for j := i; j < n; j++ {
			if a[i][j], err = next(); err != nil {
				return err
			}
			a[j][i] = a[i][j]
		}
	}
	for i := range n {
		if b[i], err = next(); err != nil {
			return err
		}
	}
	w, ridge := ridged(a, b, c.parts[0].Float(unity*unity))
	out.Model = c.q.model(w, c.q.Target.middle(), c.q.Target.half(), ridge)
	out.Noise = []Noise{c.parts[0].said(unity * unity)}
	return nil
}

// ridged solves (a + ridge·1)·w = b. Noise of a deviation of scale on each of n² elements moves eigenvalues by about 2·√n of
// it: the ridge makes the least of them at least that.
func ridged(a [][]float64, b []float64, scale float64) (w []float64, ridge float64) {
	want := 2 * math.Sqrt(float64(len(b))) * scale
	ridge = max(want-leastEigenvalue(a), 0)
	for {
		for i := range a {
			a[i][i] += ridge
		}
		if w = solve(a, b); w != nil {
			return w, ridge
		}
		for i := range a {
			a[i][i] -= ridge
		}
		ridge = 2*ridge + max(want, 1)
	}
}
