// SPDX-License-Identifier: Apache-2.0

package train

import (
	"context"
	"math"
	"math/bits"
	"math/rand/v2"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// TestTreeWithoutNoiseIsExact: whatever the number of steps, what the estimate grows by is the step's sum.
func TestTreeWithoutNoiseIsExact(t *testing.T) {
	for _, steps := range []int64{1, 2, 3, 4, 5, 7, 8, 100} {
		tr := newTree(2, steps, func([]int64) error { return nil })
		grew, scratch := make([]float64, 2), make([]int64, 2)
		for pass := range 2 {
			tr.restart()
			for s := range steps {
				if err := tr.leaf([]int64{s + 1, -7}, scratch, grew); err != nil {
					t.Fatal(err)
				}
				if math.Abs(grew[0]-float64(s+1)) > 1e-6 || math.Abs(grew[1]+7) > 1e-6 {
					t.Fatalf("%d steps, pass %d, step %d: %v", steps, pass, s, grew)
				}
			}
		}
	}
}

// TestTreeNoisesEveryNodeOnce: as many draws as a training plans, and no leaf below more nodes than the accountant counts.
func TestTreeNoisesEveryNodeOnce(t *testing.T) {
	for _, steps := range []int64{1, 2, 3, 4, 5, 6, 7, 8, 9, 31, 32, 33, 1000} {
		drawn, above := int64(0), make([]int, steps)
		step := int64(0)
		tr := newTree(int(steps), steps, func(v []int64) error {
			drawn++
			for i, x := range v { // which leaves are in the node
				if x != 0 {
					above[i]++
				}
			}
			return nil
		})
		grew, scratch := make([]float64, steps), make([]int64, steps)
		for ; step < steps; step++ {
			sum := make([]int64, steps)
			sum[step] = 1
			if err := tr.leaf(sum, scratch, grew); err != nil {
				t.Fatal(err)
			}
		}
		planned := int64(0)
		for n := steps; n > 0; n /= 2 {
			planned += n
		}
		if drawn != planned {
			t.Errorf("%d steps: %d draws, %d planned", steps, drawn, planned)
		}
		for i, n := range above {
			if n > bits.Len64(uint64(steps)) || n < 1 {
				t.Errorf("%d steps: leaf %d is in %d nodes", steps, i, n)
			}
		}
	}
}

// TestTreeTellsMoreThanSums: the noise of the last of 255 sums is far less than that of 255 added up, and less than a tree's
// whose halves are forgotten.
func TestTreeTellsMoreThanSums(t *testing.T) {
	const steps, n = 255, 2000
	r := rand.New(stream(3))
	tr := newTree(n, steps, func(v []int64) error {
		for i := range v {
			v[i] += int64(r.NormFloat64() * 1e6)
		}
		return nil
	})
	grew, scratch, sum := make([]float64, n), make([]int64, n), make([]float64, n)
	for range steps {
		if err := tr.leaf(make([]int64, n), scratch, grew); err != nil {
			t.Fatal(err)
		}
		for i, g := range grew {
			sum[i] += g
		}
	}
	variance := 0.0
	for _, s := range sum {
		variance += s * s / 1e12 / n
	}
	// Eight nodes of variances 1, 2/3, 4/7, …: 2^h / (2^(h+1) - 1).
	want := 0.0
	for h := range 8 {
		want += math.Exp2(float64(h)) / (math.Exp2(float64(h+1)) - 1)
	}
	if math.Abs(variance/want-1) > 0.2 || want > 5 {
		t.Errorf("variance %.2f, want %.2f", variance, want)
	}
}

// TestTreeWeighsByVariance: the noise of the node above four leaves counts 4/7, what is known of it from below 3/7 (Honaker 2015).
func TestTreeWeighsByVariance(t *testing.T) {
	drawn := 0
	tr := newTree(1, 4, func(v []int64) error {
		if drawn++; drawn == 7 {
			v[0] += 7
		}
		return nil
	})
	grew, scratch := make([]float64, 1), make([]int64, 1)
	for range 4 {
		if err := tr.leaf(make([]int64, 1), scratch, grew); err != nil {
			t.Fatal(err)
		}
	}
	if math.Abs(grew[0]-4) > 1e-12 {
		t.Errorf("%v, want 4", grew[0])
	}
}

// TestTreeWithoutNoiseForANode ends there, whichever node it is.
func TestTreeWithoutNoiseForANode(t *testing.T) {
	for fails := range 7 {
		drawn, failed := 0, -1
		tr := newTree(1, 4, func([]int64) error {
			if drawn++; drawn > fails {
				return ErrSeam
			}
			return nil
		})
		grew, scratch := make([]float64, 1), make([]int64, 1)
		for i := range 4 {
			if err := tr.leaf(make([]int64, 1), scratch, grew); err != nil {
				failed = i
				break
			}
		}
		if want := []int{0, 1, 1, 2, 3, 3, 3}[fails]; failed != want || drawn != fails+1 {
			t.Errorf("draw %d: leaf %d failed, want %d", fails, failed, want)
		}
	}
}

// TestSumsOfATreeAreForgotten when the run is over.
func TestSumsOfATreeAreForgotten(t *testing.T) {
	c := poisson()
	c.Privacy.Adjacency = dp.ReplaceOne
	c.Privacy.Mechanisms[0] = dp.Mechanism{Kind: dp.Tree, Noise: 8 * dp.Micro, Size: 8, Sampling: dp.NoSampling, Rate: dp.One, Count: 1}
	r, err := newRun(c, units(12), &plain{clip: 1, gradient: one})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	r.noise = drawAhead(ctx, c.Noise, 2, r.vectors())
	defer r.noise.stop(cancel)
	if err := r.train(ctx); err != nil || r.tree.levels[0].sum[0] == 0 {
		t.Fatal("nothing to forget", err)
	}
	r.wipe()
	for h, l := range r.tree.levels {
		if l.sum[0] != 0 || l.sum[1] != 0 {
			t.Errorf("height %d: %v is left", h, l.sum)
		}
	}
}

// TestTreeTraining: a run with a tree takes the steps of a run without noise, and its trees count, not its steps.
func TestTreeTraining(t *testing.T) {
	c := poisson()
	c.Privacy.Adjacency, c.Noise = dp.ReplaceOne, silence{}
	c.Privacy.Mechanisms[0] = dp.Mechanism{Kind: dp.Tree, Noise: 8 * dp.Micro, Size: 8, Sampling: dp.NoSampling, Rate: dp.One, Count: 2}
	w := &plain{clip: 1, gradient: one}
	res, err := Run(t.Context(), c, units(18), w)
	if err != nil {
		t.Fatal(err)
	}
	if res.Steps != 10 || res.Ran[0].Count != 2 || math.Abs(float64(res.Params[0])+9) > 1e-4 {
		t.Fatalf("%d steps, %+v, %v", res.Steps, res.Ran, res.Params)
	}
	if n := len(w.seen[4]); n != 2 {
		t.Fatalf("last batch of a pass has %d units", n)
	}
}
