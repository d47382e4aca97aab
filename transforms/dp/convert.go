// SPDX-License-Identifier: Apache-2.0

package dp

import (
	"fmt"
	"math"
)

// Rho is ρ of zero-concentrated differential privacy of a composition (Bun and Steinke, 2016). Sampled mechanisms have none
// but that without sampling, and approximate ones none at all: that is [ErrAccountant].
func Rho(c *Composition) (float64, error) {
	if err := c.Validate(); err != nil {
		return 0, err
	}
	sum := 0.0
	for i := range c.Mechanisms {
		m := c.Mechanisms[i].exact()
		if err := m.supported(c.Adjacency); err != nil {
			return 0, fmt.Errorf("%s: %w", m.Kind, err)
		}
		s := m.noise
		var rho float64
		switch {
		case m.Delta > 0 || m.sampled():
			return 0, fmt.Errorf("%w: %s with sampling, or with a delta of its own, is not zero-concentrated", ErrAccountant, m.Kind)
		case m.Kind == Gaussian || m.Kind == DiscreteGaussian:
			rho = 1 / (2 * s * s)
		case m.Kind == Tree:
			rho = m.depth() / (2 * s * s)
		default:
			rho = m.pure() * m.pure() / 2
		}
		sum += float64(m.Count) * rho * (1 + 8*ulp)
	}
	return sum, nil
}

// ConcentratedEpsilon is ε at δ of ρ-zero-concentrated differential privacy: the least, over all orders, of the conversion
// that [Epsilon] has at some (Canonne, Kamath and Steinke, 2020).
func ConcentratedEpsilon(rho, delta float64) (float64, error) {
	if !(rho >= 0) || math.IsInf(rho, 1) || !(delta > 0 && delta < 1) {
		return 0, fmt.Errorf("%w: ρ of %v at delta %v", ErrAccountant, rho, delta)
	}
	if rho == 0 {
		return 0, nil
	}
	at := func(u float64) float64 { // u is ln(α - 1)
		a := 1 + math.Exp(u)
		return rho*a + math.Log1p(-1/a) - math.Log(delta*a)/(a-1)
	}
	lo, hi := math.Log(1e-3), math.Log(1e9)
	for range 200 { // by thirds; what is not the minimum is a bound too
		x, y := lo+(hi-lo)/3, hi-(hi-lo)/3
		if at(x) < at(y) {
			hi = y
		} else {
			lo = x
		}
	}
	return max(0, at((lo+hi)/2)*(1+margin)), nil
}

// GaussianEpsilon is ε at δ of μ-Gaussian differential privacy: of a Gaussian mechanism of noise multiplier 1/μ (Dong, Roth and
// Su, 2022).
func GaussianEpsilon(mu, delta float64) (float64, error) { return AnalyticGaussian(1/mu, delta) }

// GaussianMu is the μ at which Gaussian differential privacy is (ε, δ), rounded down.
func GaussianMu(epsilon, delta float64) (float64, error) {
	s, err := AnalyticNoise(epsilon, delta)
	return (1 - margin) / s, err
}

// AnalyticNoise is the least noise multiplier at which one application of the Gaussian mechanism is (ε, δ), rounded up (Balle and
// Wang, 2018).
func AnalyticNoise(epsilon, delta float64) (float64, error) {
	if !(epsilon > 0) || math.IsInf(epsilon, 1) || !(delta > 0 && delta < 1) {
		return 0, fmt.Errorf("%w: Gaussian noise for epsilon %v at delta %v", ErrAccountant, epsilon, delta)
	}
	lo, hi := math.Log(1e-9), math.Log(1e15)
	if logGaussianDelta(math.Exp(hi), epsilon) > math.Log(delta) {
		return 0, fmt.Errorf("%w: no Gaussian noise for epsilon %v at delta %v", ErrAccountant, epsilon, delta)
	}
	for range 100 {
		if m := (lo + hi) / 2; logGaussianDelta(math.Exp(m), epsilon) > math.Log(delta) {
			lo = m
		} else {
			hi = m
		}
	}
	return math.Exp(hi) * (1 + margin), nil
}

// CentralLimitMu is the μ that Poisson-sampled Gaussians of noise multiplier s come to in the limit of many steps of small rate q (Bu,
// Dong, Long and Su, 2020). It is an approximation that may lie below the truth: for comparison with others' figures, and never
// for a decision.
func CentralLimitMu(q, s float64, steps int64) float64 {
	return q * math.Sqrt(float64(steps)*math.Expm1(1/(s*s)))
}
