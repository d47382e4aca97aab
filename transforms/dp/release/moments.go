// SPDX-License-Identifier: Apache-2.0

package release

import (
	"math"
	"math/big"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/dp/noise"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// countQuery counts records.
type countQuery struct{ common }

func (q *countQuery) check() error     { return nil }
func (q *countQuery) fields() []string { return q.names() }

// parts: a unit comes, goes or becomes another: its records that match are from none to all of them.
func (q *countQuery) parts(s *setting) ([]part, error) {
	p, err := q.part("count", 1, noise.Scalar(big.NewInt(s.contributions)))
	return []part{p}, err
}

func (q *countQuery) start(_ *setting, parts []part) counter { return &counting{parts: parts} }

type counting struct {
	parts []part
	n     total
}

func (c *counting) add(int, *transforms.Record) { c.n.add(1) }

func (c *counting) result(src *sampler.Source, out *Result) error {
	v, err := c.n.noised(&c.parts[0], src)
	if err != nil {
		return err
	}
	m := c.parts[0].Margin(doubt)
	out.Value, out.Interval = &v, &Interval{confidence, max(v-m, 0), max(v+m, 0)}
	out.Noise = []Noise{c.parts[0].said(1)}
	return nil
}

// sumQuery adds up a field.
type sumQuery struct {
	common
	bounded
}

func (q *sumQuery) check() error     { return q.bounded.check() }
func (q *sumQuery) fields() []string { return q.names(q.Field) }

// parts: a unit's sum is from contributions·min(lower, 0) to contributions·max(upper, 0), since none of its records may match.
func (q *sumQuery) parts(s *setting) ([]part, error) {
	reach := max(q.high, -q.low)
	if s.replace {
		reach = max(q.high, 0) - min(q.low, 0)
	}
	p, err := q.part("sum", 1, noise.Scalar(noise.Product(max(reach, 1), s.contributions)))
	return []part{p}, err
}

func (q *sumQuery) start(_ *setting, parts []part) counter { return &summing{q: q, parts: parts} }

type summing struct {
	q     *sumQuery
	parts []part
	sum   total
}

func (c *summing) add(_ int, r *transforms.Record) {
	if v, ok := c.q.steps(r); ok {
		c.sum.add(v)
	}
}

func (c *summing) result(src *sampler.Source, out *Result) error {
	v, err := c.sum.noised(&c.parts[0], src)
	if err != nil {
		return err
	}
	m, f := c.parts[0].Margin(doubt), c.q.float
	value := f(v)
	out.Value, out.Interval = &value, &Interval{confidence, f(v - m), f(v + m)}
	out.Noise = []Noise{c.parts[0].said(c.q.per())}
	return nil
}

// moments is what mean and variance have in common: values as twice their distance from the middle of the bounds, so that a
// unit adds as little as can be.
type moments struct {
	common
	bounded
}

func (q *moments) check() error     { return q.bounded.check() }
func (q *moments) fields() []string { return q.names(q.Field) }

// width is the largest |2v-low-high|.
func (q *moments) width() int64 { return q.high - q.low }

// first and count are the noise on the sum of centred values, and on their number.
func (q *moments) first(s *setting, shares int64) ([]part, error) {
	sum, err := q.part("sum of distances from the middle", shares, noise.Scalar(noise.Product(q.width(), s.contributions, s.sides())))
	if err != nil {
		return nil, err
	}
	n, err := q.part("count", shares, noise.Scalar(big.NewInt(s.contributions)))
	return []part{sum, n}, err
}

// centred is a mean of centred values, in a unit.
func (q *moments) centred(v float64) float64 {
	return q.clamp((v + float64(q.low) + float64(q.high)) / 2)
}

// meanQuery is the mean of a field.
type meanQuery struct{ moments }

func (q *meanQuery) parts(s *setting) ([]part, error) { return q.first(s, 2) }

func (q *meanQuery) start(_ *setting, parts []part) counter { return &averaging{q: q, parts: parts} }

type averaging struct {
	q      *meanQuery
	parts  []part
	sum, n total
}

func (c *averaging) add(_ int, r *transforms.Record) {
	if v, ok := c.q.steps(r); ok {
		c.sum.add(2*v - c.q.low - c.q.high)
		c.n.add(1)
	}
}

func (c *averaging) result(src *sampler.Source, out *Result) error {
	sum, err := c.sum.noised(&c.parts[0], src)
	if err != nil {
		return err
	}
	n, err := c.n.noised(&c.parts[1], src)
	if err != nil {
		return err
	}
	v := c.q.centred(sum / max(n, 1))
	out.Value, out.Interval = &v, &Interval{Confidence: confidence, Lower: math.Inf(1), Upper: math.Inf(-1)}
	// Of two intervals that both hold with half the doubt, the mean is extreme at a corner.
	dn := c.parts[1].Margin(doubt / 2)
	for _, s := range around(sum, c.parts[0].Margin(doubt/2)) {
		for _, k := range around(n, dn) {
			out.Interval.reach(c.q.centred(s / max(k, 1)))
		}
	}
	out.Noise = []Noise{c.parts[0].said(2 * c.q.per()), c.parts[1].said(1)}
	return nil
}

func around(v, margin float64) []float64 { return []float64{v - margin, v, v + margin} }

func (i *Interval) reach(v float64) {
	i.Lower, i.Upper = min(i.Lower, v), max(i.Upper, v)
}

// varianceQuery is the variance of a field: of the records that count, not an estimate for a population.
type varianceQuery struct{ moments }

// parts: squares of centred values are from 0 to width². Twice their distance from the middle is at most width² again.
func (q *varianceQuery) parts(s *setting) ([]part, error) {
	out, err := q.first(s, 3)
	if err != nil {
		return nil, err
	}
	w := q.width()
	squares, err := q.part("sum of squares", 3, noise.Scalar(noise.Product(w, w, s.contributions, s.sides())))
	return append(out, squares), err
}

func (q *varianceQuery) start(_ *setting, parts []part) counter { return &varying{q: q, parts: parts} }

type varying struct {
	q               *varianceQuery
	parts           []part
	sum, n, squares total
}

func (c *varying) add(_ int, r *transforms.Record) {
	if v, ok := c.q.steps(r); ok {
		d, w := 2*v-c.q.low-c.q.high, c.q.width()
		c.sum.add(d)
		c.n.add(1)
		c.squares.add(2*d*d - w*w) // squares are of at most 11·gridSteps
	}
}

func (c *varying) result(src *sampler.Source, out *Result) error {
	var in [3]float64
	for i, t := range []*total{&c.sum, &c.n, &c.squares} {
		var err error
		if in[i], err = t.noised(&c.parts[i], src); err != nil {
			return err
		}
	}
	v := c.variance(in[0], in[1], in[2])
	out.Value, out.Interval = &v, &Interval{confidence, v, v}
	c.spread(in, out.Interval)
	per := c.q.per()
	out.Noise = []Noise{c.parts[0].said(2 * per), c.parts[1].said(1), c.parts[2].said(8 * per * per)}
	return nil
}

// spread finds how small and large the variance can be, where each sum is within its margin with a third of the doubt: at
// corners, at a mean in the middle, and at the number of records where its derivative is nothing.
func (c *varying) spread(in [3]float64, i *Interval) {
	sums, counts := around(in[0], c.parts[0].Margin(doubt/3)), around(in[1], c.parts[1].Margin(doubt/3))
	if sums[0] < 0 && sums[2] > 0 {
		sums = append(sums, 0)
	}
	for _, s := range sums {
		for _, q := range around(in[2], c.parts[2].Margin(doubt/3)) {
			flat := min(max(4*s*s/q, counts[0]), counts[2])
			if math.IsNaN(flat) {
				flat = counts[1]
			}
			for _, n := range append([]float64{flat}, counts...) {
				i.reach(c.variance(s, n, q))
			}
		}
	}
}

// variance makes one of the sums, within what is possible.
func (c *varying) variance(sum, n, squares float64) float64 {
	w, n := float64(c.q.width()), max(n, 1)
	mean := min(max(sum/n, -w), w)
	square := (min(max(squares/n, -w*w), w*w) + w*w) / 2
	per := c.q.per()
	return min(max(square-mean*mean, 0), w*w) / 4 / per / per
}
