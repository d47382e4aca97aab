// SPDX-License-Identifier: Apache-2.0

package dp

import (
	"fmt"
	"math"
)

// logGaussianDelta is ln δ of the Gaussian mechanism at ε: δ = Φ(1/2s - εs) - e^ε·Φ(-1/2s - εs) (Balle and Wang, 2018,
// theorem 8).
func logGaussianDelta(s, e float64) float64 {
	a := logNormalTail(e*s - 1/(2*s))
	b := e + logNormalTail(e*s+1/(2*s))
	if b >= a {
		return math.Inf(-1)
	}
	return a + math.Log(-math.Expm1(b-a))
}

// AnalyticGaussian is ε at δ of one application of the Gaussian mechanism of noise multiplier s, rounded up.
func AnalyticGaussian(s, delta float64) (float64, error) {
	if !(s > 0) || math.IsInf(s, 1) || !(delta > 0 && delta < 1) {
		return 0, fmt.Errorf("%w: Gaussian noise of %v at delta %v", ErrAccountant, s, delta)
	}
	want := math.Log(delta)
	lo, hi := 0.0, 1/(2*s*s)+40/s
	if logGaussianDelta(s, 0) <= want {
		return 0, nil
	}
	if math.IsInf(hi, 1) {
		return 0, fmt.Errorf("%w: epsilon of Gaussian noise of %v is not finite", ErrAccountant, s)
	}
	for range 128 {
		if m := (lo + hi) / 2; logGaussianDelta(s, m) > want {
			lo = m
		} else {
			hi = m
		}
	}
	return hi * (1 + margin), nil
}
