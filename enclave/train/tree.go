// SPDX-License-Identifier: Apache-2.0

package train

import "math/bits"

// tree adds up the sums of one pass's steps by a binary tree whose every node has noise of its own: a unit is in one leaf, so
// in at most ⌈log₂(steps+1)⌉ nodes, and what is known of all steps so far has little noise (Dwork et al. 2010; Chan, Shi and
// Song 2011). The estimate of a node takes those below it into account (Honaker 2015). It is computed of noised nodes alone.
type tree struct {
	add    func(sum []int64) error // of the next noise
	levels []level
	taken  int64     // leaves
	prefix []float64 // the estimate of all steps so far
	work   []float64
}

// level has the complete node of its height that waits for the one beside it, if there is one.
type level struct {
	sum      []int64   // exact
	estimate []float64 // of noised nodes
}

// heights is how many levels a tree of so many leaves has.
func heights(steps int64) int { return bits.Len64(uint64(steps)) }

func newTree(n int, steps int64, add func([]int64) error) *tree {
	t := &tree{add: add, prefix: make([]float64, n), work: make([]float64, n)}
	for range heights(steps) {
		t.levels = append(t.levels, level{make([]int64, n), make([]float64, n)})
	}
	return t
}

// restart begins the next pass.
func (t *tree) restart() {
	t.taken = 0
	clear(t.prefix)
}

// leaf takes the sum of a step, and writes over it what the estimate of all steps grew by. noised is scratch.
func (t *tree) leaf(sum, noised []int64, grew []float64) error {
	// Like adding one to a binary number: every level that has a node carries.
	carry := t.work
	variance := 1.0
	for h := 0; ; h++ {
		copy(noised, sum)
		if err := t.add(noised); err != nil {
			return err
		}
		own := 1.0
		if h > 0 { // a node's own noise and its two halves' say the same, in inverse proportion to their variances
			own = 2 * variance / (1 + 2*variance)
			variance = own
		}
		for i, v := range noised {
			carry[i] = own*float64(v) + (1-own)*carry[i]
		}
		l := &t.levels[h]
		if t.taken>>h&1 == 0 {
			copy(l.sum, sum)
			copy(l.estimate, carry)
			break
		}
		for i := range sum {
			sum[i] += l.sum[i]
			carry[i] += l.estimate[i]
		}
	}
	t.taken++
	t.total(grew)
	return nil
}

// total adds up the nodes of all steps so far.
func (t *tree) total(grew []float64) {
	clear(grew)
	for h := range t.levels {
		if t.taken>>h&1 == 0 {
			continue
		}
		for i, v := range t.levels[h].estimate {
			grew[i] += v
		}
	}
	for i, v := range grew {
		grew[i] = v - t.prefix[i]
		t.prefix[i] = v
	}
}

// wipe forgets exact sums.
func (t *tree) wipe() {
	for _, l := range t.levels {
		clear(l.sum)
	}
}
