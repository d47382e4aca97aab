// SPDX-License-Identifier: Apache-2.0

package localdp

import (
	"math"
	"math/bits"
	"sort"

	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// calibrate gives the variance of discrete Gaussian noise on a number that one record changes by as much as steps, so that it is
// (ε, δ)-private. Noise of variance steps²/(2ρ) is ρ-concentrated (Canonne, Kamath, Steinke, theorem 4), exactly; that is (ε, δ)-private
// for the δ below. The floats here only look for ρ, with a margin; the noise has none.
func calibrate(steps, epsilonMillionths, deltaPicos int64) (sigma2 sampler.Rat, ok bool) {
	const nano = 1_000_000_000
	epsilon, delta := float64(epsilonMillionths)/million, math.Log(float64(deltaPicos)*1e-12)
	const most = 1000 * nano
	// The first ρ, in billionths, that is too much.
	n := sort.Search(most, func(n int) bool { return logDelta(float64(n+1)/nano, epsilon) > delta-1e-9 })
	if n == 0 || steps <= 0 || steps > math.MaxUint32 {
		return sampler.Rat{}, false
	}
	// steps²·10⁹/(2n), rounded up where that is no matter.
	hi, lo := bits.Mul64(uint64(steps)*uint64(steps), nano/2)
	if hi >= uint64(n) {
		return sampler.Rat{}, false
	}
	if q, _ := bits.Div64(hi, lo, uint64(n)); q >= 1<<20 {
		return sampler.Rat{Num: q + 1, Den: 1}, q < sampler.MaxTerm
	}
	return sampler.Rat{Num: lo, Den: uint64(n)}, true
}

// logDelta is the logarithm of a δ at which what is ρ-concentrated is (ε, δ)-private: the least, over orders α, of
// exp((α-1)(αρ-ε))·(1-1/α)^α/(α-1) (the same, proposition 12). It holds at every order, so that it need not be the best one.
func logDelta(rho, epsilon float64) float64 {
	at := func(x float64) float64 { // x is ln(α-1)
		a1 := math.Exp(x)
		return a1*((a1+1)*rho-epsilon) - x - (a1+1)*math.Log1p(1/a1)
	}
	low, high := -20.0, 25.0
	for range 120 {
		a, b := low+(high-low)/3, high-(high-low)/3
		if at(a) < at(b) {
			high = b
		} else {
			low = a
		}
	}
	return at((low + high) / 2)
}
