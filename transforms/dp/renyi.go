// SPDX-License-Identifier: Apache-2.0

package dp

import (
	"fmt"
	"math"
	"math/bits"
)

// exact is a mechanism with its numbers as floats.
type exact struct {
	Mechanism
	noise float64 // the noise multiplier, or the probability
	rate  float64 // at which units are sampled
}

func (m *Mechanism) exact() *exact {
	return &exact{*m, float64(m.Noise) / Micro, m.Rate.Float()}
}

// depth is how many nodes of a tree over Size leaves a leaf is below (Kairouz et al., 2021, appendix D).
func (m *exact) depth() float64 { return float64(bits.Len64(uint64(m.Size))) }

// sampled reports whether sampling may hide a unit.
func (m *exact) sampled() bool { return m.Sampling != NoSampling && m.rate < 1 }

// supported refuses what no accountant here has a bound for.
func (m *exact) supported(adjacency string) error {
	switch {
	case m.Kind == Tree && adjacency != ReplaceOne:
		return fmt.Errorf("%w: a tree is accounted for under %s: one unit more would move others to other steps", ErrAccountant, ReplaceOne)
	case m.Kind == RandomisedResponse && adjacency != ReplaceOne:
		return fmt.Errorf("%w: randomised response is accounted for under %s: it does not hide that there is an answer", ErrAccountant, ReplaceOne)
	case m.Sampling == FixedSize && adjacency != ReplaceOne:
		return fmt.Errorf("%w: samples of fixed size are accounted for under %s", ErrAccountant, ReplaceOne)
	}
	return nil
}

// renyi bounds the divergence of one application at each order.
func (m *exact) renyi(adjacency string) ([]float64, error) {
	if err := m.supported(adjacency); err != nil {
		return nil, err
	}
	orders := Orders()
	v := make([]float64, len(orders))
	if !m.sampled() {
		for i, a := range orders {
			v[i] = m.divergence(a)
		}
		return v, nil
	}
	var at func(float64) float64
	q := m.rate
	switch {
	case m.Sampling == FixedSize:
		at = m.fixedSize(q)
	case adjacency == ReplaceOne:
		at = func(a float64) float64 { return mixed(q, a, m.divergence(a)) }
	case m.Kind == Gaussian:
		s := m.noise
		at = func(a float64) float64 { return sampledGaussian(q, s, a) }
	case m.Kind == DiscreteGaussian:
		at = interpolated(func(a int) float64 { return poissonAny(q, a, m.divergence) })
	case m.Kind == Laplace:
		at = func(a float64) float64 { return sampledLaplace(q, 1/m.noise, a) }
	default: // what is left is ε-differentially private, but for its δ
		at = func(a float64) float64 { return sampledPure(q, m.pure(), a) }
	}
	for i, a := range orders {
		if v[i] = at(a); math.IsNaN(v[i]) {
			v[i] = math.Inf(1)
		}
		if m.Kind != Gaussian || m.Sampling != Poisson { // of bounds that may be loose: sampling never reveals more
			v[i] = min(v[i], m.divergence(a))
		}
	}
	for i := len(v) - 2; i >= 0; i-- { // divergences rise with the order: the next one bounds what did not converge
		if math.IsInf(v[i], 1) {
			v[i] = v[i+1]
		}
	}
	return v, nil
}

// pure is ε of pure differential privacy, or +Inf: what the divergence is at order ∞.
func (m *exact) pure() float64 {
	switch m.Kind {
	case Laplace, DiscreteLaplace:
		return 1 / m.noise
	case Pure, Approximate:
		return float64(m.Epsilon) / Micro
	case RandomisedResponse:
		p, k := m.noise, float64(m.Size)
		return math.Log1p(k * (1 - p) / p)
	}
	return math.Inf(1)
}

// divergence is the Rényi divergence of one application at order a > 1 without sampling.
func (m *exact) divergence(a float64) float64 {
	switch s := m.noise; m.Kind {
	case Gaussian, DiscreteGaussian: // for the discrete one: Canonne, Kamath and Steinke, 2020, theorem 14
		return a / (2 * s * s)
	case Tree:
		return a * m.depth() / (2 * s * s)
	case Laplace:
		return laplace(1/s, a)
	case DiscreteLaplace:
		return discreteLaplace(1/s, float64(m.Sensitivity), a)
	case RandomisedResponse:
		return randomisedResponse(s, float64(m.Size), a)
	}
	return pure(m.pure(), a)
}

// laplace is Mironov, 2017, proposition 6: ε is sensitivity over scale.
func laplace(e, a float64) float64 {
	return e + math.Log1p((a-1)*math.Expm1(e*(1-2*a))/(2*a-1))/(a-1)
}

// discreteLaplace is the divergence between noise of mass ∝ e^(-|x|t) on integers around 0 and around s, t = e/s: masses
// 1/(1+e^(-t)) at losses ±e and a geometric series in between.
func discreteLaplace(e, s, a float64) float64 {
	t := e / s
	k := -math.Log1p(math.Exp(-t)) // mass of the side that the noise is centred on
	ends := logAdd(k+(a-1)*e, k-a*e)
	if s == 1 {
		return moment(ends, a)
	}
	// Σ over x = 1 … s-1 of c·e^(-xt)·e^(a(2x-s)t), c = tanh(t/2)
	c, u := math.Log(math.Tanh(t/2)), (2*a-1)*t
	series := c - a*e + u + logExpm1(u*(s-1)) - logExpm1(u)
	return moment(logAdd(ends, series), a)
}

// randomisedResponse is the divergence of answers of two values: the true one with 1-p+p/k, any other with p/k.
func randomisedResponse(p, k, a float64) float64 {
	l := math.Log1p(k * (1 - p) / p)
	sum := logAdd(math.Log(p/k)+a*l, logAdd(math.Log1p(-p+p/k)-a*l, math.Log(p)+math.Log1p(-2/k)))
	return moment(sum, a)
}

// pure is the divergence of randomised response of two values, which no ε-differentially private mechanism exceeds
// (Kairouz, Oh and Viswanath, 2015).
func pure(e, a float64) float64 {
	k := -math.Log1p(math.Exp(-e))
	return moment(logAdd(k+(a-1)*e, k-a*e), a)
}

// moment is the divergence of order a of ln E[Rᵃ], rounded up: R is the ratio of densities.
func moment(logA, a float64) float64 {
	return max(0, logA+ulp*(8+4*math.Abs(logA))) / (a - 1)
}

// logAdd is ln(eˣ + eʸ).
func logAdd(x, y float64) float64 {
	if x < y {
		x, y = y, x
	}
	if math.IsInf(y, -1) || math.IsInf(x, 1) {
		return x
	}
	return x + math.Log1p(math.Exp(y-x))
}

// logExpm1 is ln(eˣ - 1), x > 0.
func logExpm1(x float64) float64 {
	if x > 37 {
		return x + math.Log1p(-math.Exp(-x))
	}
	return math.Log(math.Expm1(x))
}
