// SPDX-License-Identifier: Apache-2.0

package dp

import (
	"fmt"
	"math"
	"math/bits"
)

// composition is spectra, each to the power of its count, and the frame of their convolution that is computed. Losses are
// tilted by e^(tilt·loss) before and back after: floats are exact to a share of the largest probability, and the tilt puts the
// largest where ε is.
type composition struct {
	interval float64
	spectra  []*spectrum
	counts   []int64
	delta    float64
	infinite float64 // probability of an infinite loss, and of what is cut off
	tilt     float64 // at most what it is before frame
	bound    float64 // on ε, by moments
	lo, hi   float64 // losses, in intervals, that are computed
	work     *work
}

// logMoment is ln E[e^(order·loss)] of finite losses, and in parts by spectrum.
func (c *composition) logMoment(order float64) (sum float64) {
	for i, s := range c.spectra {
		sum += float64(c.counts[i]) * c.logMomentOf(s, order)
	}
	return sum
}

// logMomentOf is ln E[e^(order·loss)] of a spectrum, rounded up. It begins where e^(order·loss) is largest, and ends where all that
// follows is too little to matter: that is taken to be there as well. (To go on until weights are 0 would be to go on: close to the
// least of floats they stay what they are, and processors take a hundred times as long for each.)
func (c *composition) logMomentOf(s *spectrum, order float64) float64 {
	if c.work.do(0, 0) != nil { // frame says so
		return math.NaN()
	}
	f := math.Exp(-math.Abs(order) * c.interval)
	top := s.lo
	if order >= 0 {
		top += len(s.p) - 1
	}
	sum, n := descending(s.p, f, order >= 0)
	*c.work += work(n) * perMoment
	return order*c.interval*float64(top) + math.Log(sum)
}

// descending is Σ p[i]·fⁱ, rounded up, from the first element on or from the last, and how many terms it took.
func descending(p []float64, f float64, backwards bool) (sum float64, terms int) {
	f2 := f * f
	f4, w := f2*f2, 1.0
	var a, b, c, d float64 // of every fourth, so that no sum waits for the one before
	n := len(p)
	for i := 0; i+4 <= n; i += 4 {
		q := p[i : i+4 : i+4]
		if backwards {
			q = p[n-i-4 : n-i : n-i]
			a, b, c, d = a+w*q[3], b+w*q[2], c+w*q[1], d+w*q[0]
		} else {
			a, b, c, d = a+w*q[0], b+w*q[1], c+w*q[2], d+w*q[3]
		}
		if w *= f4; w < leastWeight || w < a*enough {
			return a + f*b + f2*(c+f*d) + w, i + 4
		}
	}
	sum = a + f*b + f2*(c+f*d)
	for i := n &^ 3; i < n; i++ {
		if backwards {
			sum += w * p[n-1-i]
		} else {
			sum += w * p[i]
		}
		w *= f
	}
	return sum, n
}

// chernoff is the least loss that bound(order) gives for an order in (0, maxTilt), and that order. bound falls, then rises.
func chernoff(bound func(order float64) float64) (least, order float64) {
	const golden = 0.6180339887498949
	lo, hi := math.Log(minTilt), math.Log(maxTilt)
	x, y := hi-golden*(hi-lo), lo+golden*(hi-lo)
	f, g := bound(math.Exp(x)), bound(math.Exp(y))
	for hi-lo > 1e-3 {
		if f <= g {
			hi, y, g = y, x, f
			x = hi - golden*(hi-lo)
			f = bound(math.Exp(x))
		} else {
			lo, x, f = x, y, g
			y = lo + golden*(hi-lo)
			g = bound(math.Exp(y))
		}
	}
	if f <= g {
		return f, math.Exp(x)
	}
	return g, math.Exp(y)
}

// frame chooses the tilt and the losses to compute, and says how many points they take.
func (c *composition) frame(delta float64) (int, error) {
	logFinite, applications, bottom, top := 0.0, 0.0, 0.0, 0.0
	for i, s := range c.spectra {
		n := float64(c.counts[i])
		logFinite += n * math.Log1p(-s.infinite)
		applications += n
		bottom += n * float64(s.lo)
		top += n * float64(s.lo+len(s.p)-1)
	}
	cut := min(truncation*float64(len(c.spectra)), delta/8)
	c.infinite = cut - math.Expm1(logFinite)
	c.delta = delta * (1 - wholeMargin - 8*ulp*applications) // what floats may lack
	if c.delta <= c.infinite {
		return 0, fmt.Errorf("%w: a delta of %v is too small for %s", ErrAccountant, delta, PLD)
	}
	// where the conversion of Rényi divergences is best: ε is a little below that bound
	bound, best := chernoff(func(o float64) float64 {
		return (c.logMoment(o)-math.Log(c.delta-c.infinite)-math.Log1p(o))/o - math.Log1p(1/o)
	})
	c.tilt, c.bound = min(c.tilt, best), bound
	at := c.logMoment(c.tilt)
	tail, _ := chernoff(func(o float64) float64 { return (c.logMoment(o) - math.Log(cut)) / o })
	above, _ := chernoff(func(o float64) float64 { return (c.logMoment(c.tilt+o) - at + negligible) / o })
	below, _ := chernoff(func(o float64) float64 { return (c.logMoment(c.tilt-o) - at + negligible) / o })
	if err := c.work.do(0, 0); err != nil {
		return 0, err
	}
	c.hi = min(top, math.Ceil(max(tail, above)/c.interval)+1)
	c.lo = max(bottom, math.Floor(-below/c.interval)-1)
	n := 1.0
	for n < c.hi-c.lo+1 {
		n *= 2
	}
	if math.IsNaN(c.hi-c.lo) || n > 1<<60 {
		return 0, fmt.Errorf("%w: epsilon is out of range of %s; %s may bound it", ErrAccountant, PLD, RDP)
	}
	return int(n), nil
}

// convolve is the tilted distribution, n points of which those of loss L are at L modulo n. Mass outside of the frame wraps into
// it and makes probabilities too large, never too small; what was above the frame counts as infinite besides.
func (c *composition) convolve(n int) (tilted []complex128, logScale float64) {
	w := newFourier(n)
	work := make([]complex128, n)
	for i, s := range c.spectra {
		a := work
		if i > 0 {
			a = make([]complex128, n)
		}
		scale := c.logMomentOf(s, c.tilt)
		for j, p := range s.p {
			if p > 0 {
				at := (s.lo + j) & (n - 1)
				a[at] += complex(p*math.Exp(c.tilt*c.interval*float64(s.lo+j)-scale), 0)
			}
		}
		w.forward(a)
		for j := range a {
			z := power(a[j], c.counts[i])
			if i > 0 {
				z *= work[j]
			}
			work[j] = z
		}
		logScale += float64(c.counts[i]) * scale
	}
	w.inverse(work)
	return work, logScale
}

// epsilon is the least ε at which the divergence, P(L=∞) + E[(1-e^(ε-L))⁺], is at most δ. ok is false if that is below the
// frame or so far off the tilt that floats are not exact there: a lesser tilt has it.
func (c *composition) epsilon(n int) (epsilon float64, ok bool, err error) {
	if err := c.work.do(n*perFly, c.levels(n)); err != nil {
		return 0, false, err
	}
	tilted, logScale := c.convolve(n)
	// upper is the mass above the loss l of the loop, lower the same times e^(l-L)
	upper, lower, fall := c.infinite, 0.0, math.Exp(-c.interval)
	for j := c.hi; j >= c.lo; j-- {
		l := j * c.interval
		if upper-lower > c.delta {
			if c.tilt*(c.bound-l) > maxGap {
				return 0, false, nil
			}
			return max(0, l+math.Log((upper-c.delta)/lower))*(1+margin) + lossMargin, true, nil
		}
		if l <= 0 {
			return 0, true, nil
		}
		p := real(tilted[int64(j)&int64(n-1)])
		if p > 0 {
			p *= math.Exp(logScale - c.tilt*l)
			upper += p
			lower += p
		}
		lower *= fall
	}
	return 0, false, nil
}

// levels is how often a convolution of n points goes over all of them: transforms and powers of every spectrum, and one back.
func (c *composition) levels(n int) int {
	one := bits.Len64(uint64(n))
	sum := one + 2
	for _, k := range c.counts {
		sum += one + 2*bits.Len64(uint64(k))
	}
	return sum
}
