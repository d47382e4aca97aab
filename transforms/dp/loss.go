// SPDX-License-Identifier: Apache-2.0

package dp

import (
	"fmt"
	"math"
)

// atom is one value of the privacy loss, and the logarithm of its probability.
type atom struct{ loss, logMass float64 }

// pair is a dominating pair of distributions, P and Q, by the loss ln P/Q under P: atoms, and a density of a variable t in
// [lo, hi] in which the loss is slope·t + offset. Both directions of a mechanism without sampling have the same pair: the
// noises mirror each other.
type pair struct {
	atoms         []atom
	density       func(t float64) float64 // logarithm; nil for none
	lo, hi        float64
	slope, offset float64
	panel         float64 // in t: what is narrower is smooth
	beyond        float64 // probability of t above hi
}

const (
	maxSteepness = 200                    // of sampled Gaussians, inverse noise multiplier: ε is in the tens of thousands
	maxPure      = 1000                   // ε of Laplace above which its density does not matter
	maxAtoms     = 1 << 17                // of discrete Gaussian noise
	maxLosses    = 1 << 16                // of discrete Laplace noise
	far          = 40.0                   // e^-far is less than what floats can tell of 1
	logRoot      = 0.91893853320467274178 // ln √(2π)
	tailDeviates = 12.0                   // of a normal distribution, beyond which its mass, 10⁻³³, counts as an infinite loss
)

// pair is the dominating pair of one application without sampling.
func (m *exact) pair() (*pair, error) {
	switch s := m.noise; m.Kind {
	case Gaussian:
		return gaussianPair(s)
	case Laplace:
		return laplacePair(1 / s), nil
	case DiscreteLaplace:
		return discreteLaplacePair(1/s, m.Sensitivity), nil
	case DiscreteGaussian:
		return discreteGaussianPair(s, m.Sensitivity)
	case RandomisedResponse:
		k, l := float64(m.Size), m.pure()
		return &pair{atoms: []atom{{l, math.Log1p(-s + s/k)}, {-l, math.Log(s / k)}, {0, math.Log(s) + math.Log1p(-2/k)}}}, nil
	case Pure, Approximate:
		return purePair(m.pure()), nil
	}
	return nil, fmt.Errorf("%w: %s by privacy loss distributions", ErrAccountant, m.Kind)
}

func purePair(e float64) *pair {
	k := -math.Log1p(math.Exp(-e))
	return &pair{atoms: []atom{{e, k}, {-e, k - e}}}
}

// gaussianPair has Q standard normal and P the same around 1/s.
func gaussianPair(s float64) (*pair, error) {
	m := 1 / s
	if m > maxSteepness {
		return nil, fmt.Errorf("%w: a noise multiplier of %v is too small for privacy loss distributions; %s bounds it", ErrAccountant, s, RDP)
	}
	return &pair{
		density: func(z float64) float64 { return -(z-m)*(z-m)/2 - logRoot },
		lo:      -tailDeviates, hi: m + tailDeviates, slope: m, offset: -m * m / 2,
		panel:  0.1 / max(1, m),
		beyond: math.Erfc(tailDeviates/math.Sqrt2) / 2,
	}, nil
}

// laplacePair has half of P's mass at the highest loss, and t is the loss. The pair of one number that changes by the whole
// L1 sensitivity dominates those of several numbers that share it: docs/privacy.md has the proof.
func laplacePair(e float64) *pair {
	if e > maxPure {
		return purePair(e)
	}
	return &pair{
		atoms:   []atom{{e, -math.Ln2}, {-e, -math.Ln2 - e}},
		density: func(l float64) float64 { return -math.Log(4) - (e-l)/2 },
		lo:      -e, hi: e, slope: 1, panel: 0.1,
	}
}

// discreteLaplacePair has losses (2x-s)·e/s, x from 0 to s. Its divergence from one loss to the next is a chord, in e^loss, of
// that of the continuous mechanism; so chords over several losses are above it, and stand for them where there are too many.
func discreteLaplacePair(e float64, s int64) *pair {
	n := min(s, maxLosses)
	loss := func(i int64) float64 {
		x := s / n * i
		x += s % n * i / n
		return (2*float64(x)/float64(s) - 1) * e
	}
	// Q's mass above the i-th loss is the slope of the chord from there to the next, and its mass at the i-th their difference
	logMass := func(i int64) float64 {
		l := loss(i)
		switch {
		case i == 0: // 1 - e^(-e/2)/(e^(next/2) + e^(l/2)), all with l = -e: 1/(1 + e^(-(next-l)/2))
			return l - math.Log1p(math.Exp(-(loss(1)-l)/2))
		case i == n:
			return -math.Log1p(math.Exp(-(l - loss(n-1)) / 2))
		}
		up, down := loss(i+1)-l, l-loss(i-1)
		return (l-e)/2 + math.Log(-math.Expm1(-(up+down)/2)) - math.Log1p(math.Exp(-up/2)) - math.Log1p(math.Exp(-down/2))
	}
	p := &pair{atoms: make([]atom, n+1)}
	for i := range p.atoms {
		p.atoms[i] = atom{loss(int64(i)), logMass(int64(i))}
	}
	return p
}

// discreteGaussianPair is of a change by one, in one number: an integer vector cannot change by less or otherwise.
func discreteGaussianPair(s float64, sensitivity int64) (*pair, error) {
	if sensitivity != 1 {
		return nil, fmt.Errorf("%w: discrete Gaussian noise is accounted for by privacy loss distributions at sensitivity 1 only; %s bounds it", ErrAccountant, RDP)
	}
	reach := math.Ceil(tailDeviates*s) + 1
	if reach > maxAtoms/2 {
		return nil, fmt.Errorf("%w: a noise multiplier of %v is too large for discrete privacy loss distributions; %s bounds it", ErrAccountant, s, RDP)
	}
	p, total := &pair{}, 0.0
	for x := -reach; x <= reach; x++ {
		total += math.Exp(-x * x / (2 * s * s))
		p.atoms = append(p.atoms, atom{(2*x + 1) / (2 * s * s), -x * x / (2 * s * s)})
	}
	for i := range p.atoms {
		p.atoms[i].logMass -= math.Log(total)
	}
	// above the reach the mass falls faster than geometrically, by e^(-reach/s²) each
	last := math.Exp(-(reach + 1) * (reach + 1) / (2 * s * s))
	p.beyond = last / total / -math.Expm1(-reach/(s*s))
	return p, nil
}

// How a sample changes the loss.
type direction int

const (
	whole  direction = iota // no sampling
	remove                  // (1-q)·Q + q·P over Q
	add                     // P over (1-q)·P + q·Q
)

// sampledPair is a pair of which a unit is in with probability q (Zhu, Dong and Wang, 2022, theorem 11).
type sampledPair struct {
	*pair
	direction
	q float64
}

// loss is that of the sampled mechanism where the pair's is l.
func (s *sampledPair) loss(l float64) float64 {
	switch s.direction {
	case remove:
		return mixedLoss(s.q, l)
	case add:
		return -mixedLoss(s.q, -l)
	}
	return l
}

// inverse is what the pair's loss is where that of the sampled mechanism is l, and infinite where it is never so high or low.
func (s *sampledPair) inverse(l float64) float64 {
	switch s.direction {
	case remove:
		return unmixed(s.q, l)
	case add:
		return -unmixed(s.q, -l)
	}
	return l
}

// unmixed is ln((eˡ - 1 + q)/q).
func unmixed(q, l float64) float64 {
	if l > far {
		return l - math.Log(q)
	}
	if l > 30 {
		return l - math.Log(q) + math.Log1p((q-1)*math.Exp(-l))
	}
	x := math.Expm1(l)
	if x <= -q {
		return math.Inf(-1)
	}
	return math.Log1p(x / q)
}

// upper turns the logarithm of P's mass at loss l into the sampled mechanism's mass.
func (s *sampledPair) upper(logP, l float64) float64 {
	if s.direction == remove {
		if l > far-math.Log(s.q) {
			return s.q * math.Exp(logP)
		}
		return s.q*math.Exp(logP) + (1-s.q)*math.Exp(logP-l)
	}
	return math.Exp(logP)
}

// spectrum is a distribution of privacy losses on a grid: p[i] at (lo+i)·interval, and a probability of an infinite loss.
type spectrum struct {
	lo       int
	p        []float64
	infinite float64
}

// extent is the least and largest loss, in intervals, rounded outwards.
func (s *sampledPair) extent(interval float64) (lo, hi float64) {
	lo, hi = math.Inf(1), math.Inf(-1)
	see := func(l float64) { lo, hi = min(lo, s.loss(l)), max(hi, s.loss(l)) }
	for _, a := range s.atoms {
		see(a.loss)
	}
	if s.density != nil {
		see(s.slope*s.lo + s.offset)
		see(s.slope*s.hi + s.offset)
	}
	return math.Floor(lo / interval), math.Ceil(hi / interval)
}

// discretise connects the dots (Doroshenko et al., 2022): mass between two points of the grid goes to both such that P and Q
// keep theirs, which makes the divergence exact on the grid and too large in between. No differences of nearly equal numbers
// are taken: the mass that goes up is an integral of what is positive. Only losses in (from, to) are taken.
func (s *sampledPair) discretise(interval, from, to float64) *spectrum {
	lo, hi := s.extent(interval)
	g := &grid{spectrum: spectrum{lo: int(lo), p: make([]float64, int(hi-lo)+2), infinite: s.beyond}, interval: interval, scale: -1 / math.Expm1(-interval)}
	for _, a := range s.atoms {
		if l := s.loss(a.loss); l > from && l < to {
			i := math.Floor(l / interval)
			g.put(int(i), s.upper(a.logMass, a.loss), l)
		}
	}
	if s.density != nil {
		s.integrate(g, max(from, lo*interval), min(to, hi*interval))
	}
	return &g.spectrum
}

type grid struct {
	spectrum
	interval, scale float64
}

// put divides mass at loss l, which is in the i-th interval, between its ends.
func (g *grid) put(i int, mass, l float64) {
	up := min(mass, max(0, mass*-expm1(float64(i)*g.interval-l)*g.scale))
	g.p[i-g.lo] += mass - up
	g.p[i-g.lo+1] += up
}

// expm1 is math.Expm1, sooner where x is little.
func expm1(x float64) float64 {
	if math.Abs(x) > 1e-3 {
		return math.Expm1(x)
	}
	return x * (1 + x*(1./2+x*(1./6+x*(1./24+x/120)))) // the next term is less than floats can tell
}

// nodes is how many nodes [sampledPair.integrate] has for an interval of the grid. Where the loss of the sample stands nearly still
// while the pair's moves an interval has more; there are few of them, and [component.cost] counts panels besides.
func (s *sampledPair) nodes(interval float64) float64 {
	if interval/s.slope < s.panel/narrow {
		return float64(len(legendre2))
	}
	return float64(len(legendre4))
}

// narrow is the least share of half a panel for which the rule of more nodes is taken.
const narrow = 32

// integrate adds the density between two losses, by Gauss-Legendre quadrature within each interval of the grid.
func (s *sampledPair) integrate(g *grid, from, to float64) {
	at := func(l float64) float64 { return min(s.hi, max(s.lo, (s.inverse(l)-s.offset)/s.slope)) }
	first, last := int(math.Floor(from/g.interval)), int(math.Ceil(to/g.interval))
	t := at(from)
	for i := first; i < last; i++ {
		end := at(min(to, float64(i+1)*g.interval))
		n := math.Ceil((end - t) / s.panel)
		w := (end - t) / n / 2
		for k := 0.0; k < n; k++ {
			mid := t + (2*k+1)*w
			nodes := legendre4[:]
			if w < s.panel/narrow {
				nodes = legendre2[:]
			}
			for _, node := range nodes {
				x := mid + w*node[0]
				l := s.slope*x + s.offset
				g.put(i, w*node[1]*s.upper(s.density(x), l), s.loss(l))
			}
		}
		t = end
	}
}

// Nodes and weights of Gauss-Legendre quadrature on [-1, 1].
var (
	legendre2 = [2][2]float64{{-0.5773502691896257645, 1}, {0.5773502691896257645, 1}}
	legendre4 = [4][2]float64{
		{-0.8611363115940525752, 0.3478548451374538574},
		{-0.3399810435848562648, 0.6521451548625461426},
		{0.3399810435848562648, 0.6521451548625461426},
		{0.8611363115940525752, 0.3478548451374538574},
	}
)
