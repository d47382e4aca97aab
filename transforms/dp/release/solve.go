// SPDX-License-Identifier: Apache-2.0

package release

import (
	"fmt"
	"math"
)

func prefixed(what string, err error) error { return fmt.Errorf("%s: %w", what, err) }

func newMatrix(n int) [][]float64 {
	m := make([][]float64, n)
	for i := range m {
		m[i] = make([]float64, n)
	}
	return m
}

// solve gives x of a·x = b for a symmetric a, by Cholesky's decomposition; nil if a is not positive definite.
func solve(a [][]float64, b []float64) []float64 {
	n := len(b)
	l := newMatrix(n)
	for i := range n {
		for j := 0; j <= i; j++ {
			sum := a[i][j]
			for k := range j {
				sum -= l[i][k] * l[j][k]
			}
			if i > j {
				l[i][j] = sum / l[j][j]
				continue
			}
			if !(sum > 0) || math.IsInf(sum, 0) {
				return nil
			}
			l[i][i] = math.Sqrt(sum)
		}
	}
	x := make([]float64, n)
	for i := range n {
		x[i] = b[i]
		for k := range i {
			x[i] -= l[i][k] * x[k]
		}
		x[i] /= l[i][i]
	}
	for i := n - 1; i >= 0; i-- {
		for k := i + 1; k < n; k++ {
			x[i] -= l[k][i] * x[k]
		}
		x[i] /= l[i][i]
		if math.IsNaN(x[i]) || math.IsInf(x[i], 0) {
			return nil
		}
	}
	return x
}

// leastEigenvalue is that of a symmetric matrix, by Jacobi's rotations.
func leastEigenvalue(of [][]float64) float64 {
	n := len(of)
	a := newMatrix(n)
	for i := range a {
		copy(a[i], of[i])
	}
	for range 60 { // sweeps; each squares what is left off the diagonal, once that is little
		var off, on float64
		for i := range n {
			on += a[i][i] * a[i][i]
			for j := range i {
				off += a[i][j] * a[i][j]
			}
		}
		if off <= 1e-24*on {
			break
		}
		for p := range n {
			for q := p + 1; q < n; q++ {
				rotate(a, p, q)
			}
		}
	}
	least := math.Inf(1)
	for i := range n {
		least = min(least, a[i][i])
	}
	return least
}

// rotate makes one element off the diagonal, and its mirror image, 0.
func rotate(a [][]float64, p, q int) {
	if a[p][q] == 0 {
		return
	}
	theta := (a[q][q] - a[p][p]) / (2 * a[p][q])
	t := 1 / (math.Abs(theta) + math.Hypot(theta, 1))
	if theta < 0 {
		t = -t
	}
	c := 1 / math.Hypot(t, 1)
	s := t * c
	for k := range a {
		a[k][p], a[k][q] = c*a[k][p]-s*a[k][q], s*a[k][p]+c*a[k][q]
	}
	for k := range a {
		a[p][k], a[q][k] = c*a[p][k]-s*a[q][k], s*a[p][k]+c*a[q][k]
	}
}
