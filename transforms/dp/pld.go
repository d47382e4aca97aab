// SPDX-License-Identifier: Apache-2.0

package dp

import (
	"fmt"
	"math"
	"slices"
)

const (
	interval    = 1e-4    // of the grid of losses
	maxGrid     = 1 << 21 // points of it; where they do not suffice, the interval is doubled: the bound stays one
	maxWork     = 1 << 32 // of one bound, in quarters of a nanosecond or so: who verifies a job must not be kept busy by it
	truncation  = 1e-15   // mass that each kind of mechanism may lose to an infinite loss, as with dp-accounting
	maxTilt     = 2000    // orders of moments that are looked at
	minTilt     = 1e-5
	maxGap      = 16 // between the loss that the tilt makes likeliest and ε, in e-folds
	negligible  = 40 // -ln of the share of mass that may wrap around
	lossMargin  = 3e-7
	maxSpectra  = 4 // different mechanisms of a composition, Gaussians without sampling apart
	wholeMargin = 1e-10
	enough      = 1e-20  // share of a moment that the rest of it may have, all of which is then counted
	leastWeight = 1e-290 // beyond which floats get slow
)

// What steps take, in units of maxWork.
const (
	perMoment = 3   // of a point, for one term of a moment
	perNode   = 180 // of a node of a quadrature, or an atom
	perFly    = 8   // of a point, for each level of a Fourier transform and each squaring of its power
)

// work is what a bound has cost so far.
type work int64

// do adds to it; beyond [maxWork] there is no bound.
func (w *work) do(n, each int) error {
	if *w += work(n) * work(each); *w > maxWork {
		return fmt.Errorf("%w: it takes too much work by %s; %s may bound it", ErrAccountant, PLD, RDP)
	}
	return nil
}

// applied is a mechanism and how often it was applied.
type applied struct {
	exact
	count int64
}

// lossEpsilon is ε at δ by privacy loss distributions. What reveals most is looked for in both directions.
func lossEpsilon(mechanisms []exact, adjacency string, delta float64) (float64, error) {
	return lossEpsilonAt(mechanisms, adjacency, delta, new(work))
}

// lossEpsilonAt is lossEpsilon, at a cost.
func lossEpsilonAt(mechanisms []exact, adjacency string, delta float64, cost *work) (float64, error) {
	all, gauss, err := gather(mechanisms, adjacency)
	if err != nil {
		return 0, err
	}
	if len(all) == 0 {
		return AnalyticGaussian(1/math.Sqrt(gauss), delta)
	}
	if len(all) > maxSpectra {
		return 0, fmt.Errorf("%w: %d different mechanisms, %s has at most %d; %s bounds them", ErrAccountant, len(all), PLD, maxSpectra, RDP)
	}
	directions := []direction{remove, add}
	if !slices.ContainsFunc(all, func(a applied) bool { return a.sampled() }) || adjacency == ReplaceOne {
		directions = directions[:1] // both are the same
	}
	largest := 0.0
	for _, d := range directions {
		pairs := make([]component, len(all))
		for i := range all {
			if pairs[i], err = all[i].component(adjacency, d); err != nil {
				return 0, fmt.Errorf("%s: %w", all[i].Kind, err)
			}
		}
		if gauss > 0 {
			p, err := gaussianPair(1 / math.Sqrt(gauss))
			if err != nil {
				return 0, err
			}
			pairs = append(pairs, component{parts: []part{{sampledPair: &sampledPair{pair: p}, from: math.Inf(-1), to: math.Inf(1)}}, weight: 1, count: 1})
		}
		e, err := composed(pairs, delta, cost)
		if err != nil {
			return 0, err
		}
		largest = max(largest, e)
	}
	return largest, nil
}

// gather joins equal mechanisms, and all Gaussians without sampling into one: the sum of inverse squares of their noise
// multipliers.
func gather(mechanisms []exact, adjacency string) (all []applied, gauss float64, err error) {
	at := map[exact]int{}
	for _, m := range mechanisms {
		if err := m.supported(adjacency); err != nil {
			return nil, 0, fmt.Errorf("%s: %w", m.Kind, err)
		}
		n := m.Count
		m.Count, m.Delta = 1, 0
		if m.Kind == Approximate {
			m.Kind = Pure
		}
		if !m.sampled() {
			m.Sampling, m.Rate, m.rate = NoSampling, One, 1
		}
		if s := m.noise; !m.sampled() && (m.Kind == Gaussian || m.Kind == Tree) {
			d := 1.0
			if m.Kind == Tree {
				d = m.depth()
			}
			gauss += float64(n) * d / (s * s) * (1 + 4*ulp)
			continue
		}
		if i, ok := at[m]; ok {
			all[i].count += n
			continue
		}
		at[m] = len(all)
		all = append(all, applied{m, n})
	}
	return all, gauss, nil
}

// part is a pair of which losses between two bounds count.
type part struct {
	*sampledPair
	from, to float64
}

// component is a mechanism in one direction: parts of weight, and the rest of the mass at loss 0.
type component struct {
	parts  []part
	weight float64
	count  int64
}

func (a *applied) component(adjacency string, d direction) (component, error) {
	p, err := a.pair()
	if err != nil {
		return component{}, err
	}
	q, inf := a.rate, math.Inf(1)
	all := func(d direction) part { return part{&sampledPair{pair: p, direction: d, q: q}, -inf, inf} }
	switch {
	case !a.sampled():
		return component{[]part{all(whole)}, 1, a.count}, nil
	case a.Sampling == FixedSize:
		// above 0 the divergence is that of removal, below it that of addition (Zhu, Dong and Wang, 2022)
		up, down := all(remove), all(add)
		up.from, down.to = 0, 0
		return component{[]part{up, down}, 1, a.count}, nil
	case adjacency == ReplaceOne:
		return component{[]part{all(whole)}, q, a.count}, nil // joint convexity of the divergence
	}
	return component{[]part{all(d)}, 1, a.count}, nil
}

// points is how many points of a grid c takes.
func (c *component) points(interval float64) (n float64) {
	lo, hi := 0.0, 0.0
	for _, p := range c.parts {
		l, h := p.extent(interval)
		lo, hi = min(lo, l), max(hi, h)
	}
	return hi - lo + 2
}

// spectrum puts c on a grid.
func (c *component) spectrum(interval float64) *spectrum {
	lo, hi := 0, 0
	parts := make([]*spectrum, len(c.parts))
	for i, p := range c.parts {
		parts[i] = p.discretise(interval, p.from, p.to)
		lo, hi = min(lo, parts[i].lo), max(hi, parts[i].lo+len(parts[i].p))
	}
	s := &spectrum{lo: lo, p: make([]float64, hi-lo+1)}
	sum := 0.0
	for _, p := range parts {
		s.infinite += c.weight * p.infinite
		for i, m := range p.p {
			s.p[p.lo-lo+i] += c.weight * m
			sum += c.weight * m
		}
	}
	if len(c.parts) > 1 || c.weight < 1 {
		s.p[-lo] += max(0, 1-sum-s.infinite)
		return s
	}
	for i := range s.p { // what quadrature and the cut tail below lack
		s.p[i] *= (1 - s.infinite) / sum
	}
	first := slices.IndexFunc(s.p, func(m float64) bool { return m > 0 })
	last := len(s.p)
	for s.p[last-1] == 0 {
		last--
	}
	return &spectrum{s.lo + first, s.p[first:last], s.infinite}
}

// cost is what it takes to put c on a grid, in units of maxWork.
func (c *component) cost(interval float64) (n float64) {
	for _, p := range c.parts {
		n += float64(len(p.atoms))
		if p.density != nil {
			lo, hi := p.extent(interval)
			n += p.nodes(interval)*(hi-lo) + float64(len(legendre4))*(p.hi-p.lo)/p.panel
		}
	}
	return n
}

// composed is ε of all components at δ.
func composed(components []component, delta float64, cost *work) (float64, error) {
	step, points := interval, 0.0
	for i := range components {
		points += components[i].points(step)
	}
	for ; points > maxGrid; points /= 2 {
		step *= 2
	}
	tilt, s := float64(maxTilt), &composition{work: cost}
	for range 64 {
		s.tilt = tilt
		if err := s.place(components, step); err != nil {
			return 0, err
		}
		n, err := s.frame(delta)
		if err != nil {
			return 0, err
		}
		if n <= maxGrid {
			e, ok, err := s.epsilon(n)
			if ok || err != nil {
				return e, err
			}
			tilt = s.tilt / 2
			continue
		}
		for ; n > maxGrid; n /= 2 {
			step *= 2
		}
	}
	return 0, fmt.Errorf("%w: epsilon is out of range of %s; %s may bound it", ErrAccountant, PLD, RDP)
}

// place puts the components on a grid, unless they are on it.
func (c *composition) place(components []component, step float64) error {
	if c.interval == step {
		return nil
	}
	c.interval, c.spectra, c.counts = step, nil, nil
	for i := range components {
		if err := c.work.do(int(components[i].cost(step)), perNode); err != nil {
			return err
		}
		c.spectra = append(c.spectra, components[i].spectrum(step))
		c.counts = append(c.counts, components[i].count)
	}
	return nil
}
