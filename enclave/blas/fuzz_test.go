// SPDX-License-Identifier: Apache-2.0

package blas

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// FuzzSgemm takes any arguments: a call that is not refused gives the bits of the definition and leaves the elements between
// C's rows alone, and a call that is refused changes nothing.
func FuzzSgemm(f *testing.F) {
	seeds := []struct {
		flags                  uint8
		m, n, k, lda, ldb, ldc int
		la, lb, lc             uint16
	}{
		{0, 4, 16, 8, 8, 16, 16, 32, 128, 64},
		{1, 5, 17, 9, 5, 17, 20, 45, 153, 97},
		{2, 65, 10, 130, 130, 131, 10, 8450, 1310, 650},
		{3, 33, 1, 7, 33, 7, 1, 231, 7, 33},
		{0, math.MaxInt, math.MaxInt, math.MaxInt, math.MaxInt, 1, 1, 9, 9, 9},
		{0, -1, 2, 3, 4, 5, 6, 7, 8, 9},
		{0, 2, 2, 0, 1, 2, 2, 0, 0, 4},
	}
	for i, s := range seeds {
		f.Add(uint64(i), s.flags, s.m, s.n, s.k, s.lda, s.ldb, s.ldc, s.la, s.lb, s.lc)
	}
	f.Fuzz(func(t *testing.T, seed uint64, flags uint8, m, n, k, lda, ldb, ldc int, la, lb, lc uint16) {
		r := rand.New(rand.NewPCG(seed, 1))
		transA, transB := flags&1 != 0, flags&2 != 0
		alpha, beta := scalar(r), scalar(r)
		a, b, c := values(r, int(la)), values(r, int(lb)), values(r, int(lc))
		want := slices.Clone(c)
		err := Sgemm(transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc)
		switch {
		case err == nil && FuelSgemm(transA, transB, m, n, k, lda, ldb, ldc) < 1:
			t.Error("a call without cost")
		case err == nil:
			refGemm(transA, transB, m, n, k, alpha, a, lda, b, ldb, beta, want, ldc)
		case !errors.Is(err, ErrArgument):
			t.Errorf("another error: %v", err)
		}
		if i := firstDifference(c, want); i >= 0 {
			t.Errorf("element %d: %x, want %x (%v)", i, math.Float32bits(c[i]), math.Float32bits(want[i]), err)
		}
	})
}
