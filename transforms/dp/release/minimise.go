// SPDX-License-Identifier: Apache-2.0

package release

import (
	"fmt"
	"math"
)

// minimiser finds the weights of a logistic regression, so near the minimum that how near it is does not matter to privacy: the
// gradient there is at most enough long, and, since the regularisation bends the sum everywhere, weights are then at most
// enough/strength from the minimum. Floats lose less than as much again: sums are made of blocks, so that rounding adds up to
// less than n·R·(block+n/block+64)·2⁻⁵³, which for MaxRows is below a thousandth of R.
//
// It never gives up, because that would tell: Newton's method ends after a few steps on nearly everything, and where it
// does not, accelerated descent ends after a number of steps that the bounds alone give (Nesterov 2004, theorem 2.2.3): the
// loss comes nearer to the least by a factor of 1-√(strength/steep) a step, which for the least strength, the most records and
// weights, and the longest way to go makes less than 10⁷ steps.
type minimiser struct {
	rows     []int16
	d        int
	strength float64
	enough   float64
}

const (
	sumBlock     = 4096 // records whose terms are summed on their own
	newtonSteps  = 60
	halvings     = 40
	descentSteps = 1 << 24
)

func (m *minimiser) minimise() ([]float64, error) {
	w := make([]float64, m.d)
	for range newtonSteps {
		loss, g, h := m.look(w, true)
		if norm(g) <= m.enough {
			return w, nil
		}
		step := solve(h, g)
		if step == nil || !m.search(w, step, dot(g, step), loss) {
			break
		}
	}
	return m.descend(w)
}

// search takes a step that makes the loss less by enough, halved as often as it must be.
func (m *minimiser) search(w, step []float64, slope, loss float64) bool {
	next := make([]float64, m.d)
	for t, tries := 1.0, 0; tries < halvings; t, tries = t/2, tries+1 {
		for i := range w {
			next[i] = w[i] - t*step[i]
		}
		// At the very minimum losses are equal up to rounding: a full step there is as good as any.
		if l, _, _ := m.look(next, false); l <= loss-1e-4*t*slope+1e-13*math.Abs(loss) {
			copy(w, next)
			return true
		}
	}
	return false
}

// descend is gradient descent with a constant momentum, for a sum whose second derivatives are from strength to steep.
func (m *minimiser) descend(w []float64) ([]float64, error) {
	n := float64(len(m.rows) / m.d)
	steep := m.strength + n*float64(m.d)/4
	momentum := (math.Sqrt(steep) - math.Sqrt(m.strength)) / (math.Sqrt(steep) + math.Sqrt(m.strength))
	at := append([]float64{}, w...)
	for range descentSteps {
		_, g, _ := m.look(at, false)
		if norm(g) <= m.enough {
			return at, nil
		}
		for i := range w {
			next := at[i] - g[i]/steep
			at[i] = next + momentum*(next-w[i])
			w[i] = next
		}
	}
	return nil, fmt.Errorf("%w: too little regularisation", ErrRun)
}

// look gives the loss, its gradient and, if asked, its second derivatives.
func (m *minimiser) look(w []float64, curved bool) (loss float64, g []float64, h [][]float64) {
	g = make([]float64, m.d)
	h = newMatrix(m.d)
	b := block{x: make([]float64, m.d), g: make([]float64, m.d), h: newMatrix(m.d)}
	for at := 0; at < len(m.rows); at += sumBlock * m.d {
		b.sum(m.rows[at:min(at+sumBlock*m.d, len(m.rows))], w, curved)
		loss += b.loss
		for i := range g {
			g[i] += b.g[i]
			for j := range i + 1 {
				h[i][j] += b.h[i][j]
			}
		}
	}
	for i := range g {
		loss += m.strength / 2 * w[i] * w[i]
		g[i] += m.strength * w[i]
		h[i][i] += m.strength
		for j := range i {
			h[j][i] = h[i][j]
		}
	}
	return loss, g, h
}

// block is the sums of some records.
type block struct {
	loss float64
	x, g []float64
	h    [][]float64
}

func (b *block) sum(rows []int16, w []float64, curved bool) {
	d := len(w)
	b.loss = 0
	clear(b.g)
	for i := range b.h {
		clear(b.h[i])
	}
	for ; len(rows) > 0; rows = rows[d:] {
		y := float64(rows[d-1])
		b.x[0] = 1
		for i, v := range rows[:d-1] {
			b.x[i+1] = float64(v) / unity
		}
		z := y * dot(w, b.x)
		b.loss += softplus(-z)
		p := 1 / (1 + math.Exp(z)) // of the other label
		for i, v := range b.x {
			b.g[i] -= y * p * v
			if !curved {
				continue
			}
			for j := range i + 1 {
				b.h[i][j] += p * (1 - p) * v * b.x[j]
			}
		}
	}
}

// softplus is log(1+exp(z)).
func softplus(z float64) float64 { return max(z, 0) + math.Log1p(math.Exp(-math.Abs(z))) }

func dot(a, b []float64) (sum float64) {
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

func norm(g []float64) float64 { return math.Sqrt(dot(g, g)) }
