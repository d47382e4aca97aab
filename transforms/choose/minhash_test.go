// SPDX-License-Identifier: Apache-2.0

package choose

import (
	"fmt"
	"math"
	"strings"
	"testing"
)

// TestMinHashEstimates holds estimates to true similarities: their mean error is near none, and none is off by more than five
// standard deviations.
func TestMinHashEstimates(t *testing.T) {
	const size = 400
	sum, pairs := 0.0, 0
	for shared := 0; shared <= size; shared += 20 {
		for trial := range 10 {
			a, b := words{shingle: 1, factors: multipliers()}, words{shingle: 1, factors: multipliers()}
			a.reset()
			b.reset()
			for i := range size {
				a.add(fmt.Appendf(nil, "w%dx%d", i, trial))
				if i < shared {
					b.add(fmt.Appendf(nil, "w%dx%d", i, trial))
				} else {
					b.add(fmt.Appendf(nil, "v%dx%d", i, trial))
				}
			}
			a.end()
			b.end()
			truth := float64(shared) / float64(2*size-shared)
			estimate := float64(a.min.agree(&b.min)) / permutations
			if math.Abs(estimate-truth) > 5*math.Sqrt(truth*(1-truth)/permutations)+0.02 {
				t.Errorf("similarity %.3f was estimated as %.3f", truth, estimate)
			}
			sum += estimate - truth
			pairs++
		}
	}
	if mean := sum / float64(pairs); math.Abs(mean) > 0.01 {
		t.Errorf("estimates are off by %.4f in the mean", mean)
	}
}

// FuzzWords: reading twice what was normalised changes nothing, and a signature agrees with itself alone.
func FuzzWords(f *testing.F) {
	for _, s := range []string{"", "The QUICK, brown-fox", "e\u0301t\u00c9", "東京 tower", "\xff\xfea", strings.Repeat("a ", 100)} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		w, again := words{shingle: 3, factors: multipliers()}, words{shingle: 3, factors: multipliers()}
		w.reset()
		w.add(b)
		w.end()
		again.reset()
		again.add(w.text)
		again.end()
		if string(again.text) != string(w.text) || again.min != w.min {
			t.Fatalf("%q became %q, then %q", b, w.text, again.text)
		}
	})
}
