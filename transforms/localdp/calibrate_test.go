// SPDX-License-Identifier: Apache-2.0

package localdp

import (
	"math"
	"testing"
)

// trueDelta is the δ of discrete Gaussian noise at ε, by adding up the distribution (Canonne, Kamath, Steinke, theorem 7).
func trueDelta(sigma2 float64, steps int64, epsilon float64) float64 {
	reach := int64(60*math.Sqrt(sigma2)) + 2*steps
	total := 0.0
	for x := -reach; x <= reach; x++ {
		total += math.Exp(-float64(x) * float64(x) / (2 * sigma2))
	}
	above := func(bound float64) (p float64) {
		for x := reach; float64(x) > bound; x-- {
			p += math.Exp(-float64(x) * float64(x) / (2 * sigma2))
		}
		return p / total
	}
	middle, half := epsilon*sigma2/float64(steps), float64(steps)/2
	return above(middle-half) - math.Exp(epsilon)*above(middle+half)
}

// TestCalibration: the δ that the noise truly has is within what is claimed, and the noise is not far more than it takes.
func TestCalibration(t *testing.T) {
	for _, steps := range []int64{1, 2, 10, 100} {
		for _, epsilon := range []int64{100_000, 500_000, 1_000_000, 4_000_000, 10_000_000} {
			for _, delta := range []int64{1_000, 1_000_000, 10_000_000_000} {
				v, ok := calibrate(steps, epsilon, delta)
				if !ok {
					t.Fatalf("%d steps, ε %d, δ %d cannot be", steps, epsilon, delta)
				}
				sigma2 := float64(v.Num) / float64(v.Den)
				e, d := float64(epsilon)/million, float64(delta)*1e-12
				if got := trueDelta(sigma2, steps, e); got > d {
					t.Errorf("%d steps, ε %g: δ is %g, claimed %g", steps, e, got, d)
				}
				if steps < 100 {
					continue
				}
				// With less noise by a fifth, or for a large δ by a third, it would not hold.
				less := 0.8
				if delta > 1_000_000 {
					less = 0.66
				}
				if got := trueDelta(sigma2*less*less, steps, e); got <= d {
					t.Errorf("%d steps, ε %g, δ %g: noise is wasted", steps, e, d)
				}
			}
		}
	}
}

func TestCalibrationBounds(t *testing.T) {
	if _, ok := calibrate(maxSteps, 1, 1); ok {
		t.Error("noise that cannot be drawn was calibrated")
	}
	if v, ok := calibrate(100_000_000, 1_000_000, 1_000_000); !ok || float64(v.Num)/float64(v.Den) < 1e17 {
		t.Errorf("%v, %v", v, ok)
	}
	wide, _ := calibrate(1000, 1_000_000, 1_000_000)
	narrow, _ := calibrate(10, 1_000_000, 1_000_000)
	if r := float64(wide.Num) / float64(wide.Den) / (float64(narrow.Num) / float64(narrow.Den)); math.Abs(r/10_000-1) > 1e-5 {
		t.Errorf("variance grows by %g, want 10000", r)
	}
}
