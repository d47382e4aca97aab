// SPDX-License-Identifier: Apache-2.0

package main

import (
	"math/rand"

	"github.com/glovebox-dev/glovebox/transforms/redact/name/internal/chain"
)

// example is a piece of text with its labels.
type example struct {
	tokens []chain.Token
	labels []chain.Label
	weight int32 // how far an error moves the weights
	skip   []bool
	rows   []uint32 // features of all tokens
	bounds []int32
}

// unknown says that nobody knows the label of token i: what is found is taken for right.
func (e *example) unknown(i int) bool { return e.skip != nil && e.skip[i] }

// features leaves out some features each time: what is known must not hang on one of them.
func (e *example) features(r *rand.Rand) {
	mode := chain.ModeOf(e.tokens)
	var f [chain.Count]uint32
	e.bounds = append(e.bounds[:0], 0)
	e.rows = e.rows[:0]
	for i := range e.tokens {
		chain.Features(&f, e.tokens, i, mode)
		for _, row := range f {
			if r.Uint32()>>28 > 3 { // three of four
				e.rows = append(e.rows, row)
			}
		}
		e.bounds = append(e.bounds, int32(len(e.rows)))
	}
}

// weights are those of an averaged perceptron: whole numbers, so that training gives the same model on every machine.
type weights struct {
	now   [][8]int32
	sum   [][8]int64
	moves [chain.Kinds][chain.Labels][chain.Labels][2]int64
	step  int64
}

func newWeights() *weights {
	return &weights{now: make([][8]int32, chain.Rows), sum: make([][8]int64, chain.Rows), step: 1}
}

// margin is by how much, in steps of an update, a wrong label must lose; calling a name nothing must lose by more.
const (
	unit       = 4
	margin     = 6 * unit
	missMargin = 12 * unit
)

func (w *weights) learn(e *example, d *chain.Decoder) (wrong int) {
	n := len(e.tokens)
	d.Grow(n)
	for i := range e.tokens {
		var s chain.Scores
		for _, row := range e.rows[e.bounds[i]:e.bounds[i+1]] {
			for k, v := range &w.now[row] {
				s[k+1] += v
			}
		}
		for l := range s {
			switch {
			case e.unknown(i), chain.Label(l) == e.labels[i]:
			case l == 0:
				s[l] += missMargin
			default:
				s[l] += margin
			}
		}
		d.Scores[i] = s
	}
	chain.Best(d, w.currentWays(), e.tokens)
	prevGold, prev := chain.Outside, chain.Outside
	for i := range e.tokens {
		gold, got := e.labels[i], d.Labels[i]
		kind := e.tokens[i].Kind
		if e.unknown(i) {
			prevGold, prev = got, got
			continue
		}
		if gold != got {
			wrong++
			for _, row := range e.rows[e.bounds[i]:e.bounds[i+1]] {
				w.add(row, gold, int64(e.weight))
				w.add(row, got, -int64(e.weight))
			}
		}
		if gold != got || prevGold != prev {
			w.move(kind, prevGold, gold, int64(e.weight))
			w.move(kind, prev, got, -int64(e.weight))
		}
		prevGold, prev = gold, got
	}
	w.step++
	return wrong
}

// add changes a weight; the sum takes it times the steps before, and is subtracted at the end.
func (w *weights) add(row uint32, l chain.Label, by int64) {
	if l != chain.Outside {
		w.now[row][l-1] += int32(by)
		w.sum[row][l-1] += by * w.step
	}
}

func (w *weights) move(k chain.Kind, prev, l chain.Label, by int64) {
	m := &w.moves[k][prev][l]
	m[0] += by
	m[1] += by * w.step
}

func (w *weights) currentWays() *chain.Ways {
	var m chain.Moves
	for k := range w.moves {
		for p := range w.moves[k] {
			for l := range w.moves[k][p] {
				m[k][p][l] = int16(max(-chain.MaxMove, min(chain.MaxMove, w.moves[k][p][l][0])))
			}
		}
	}
	return m.Ways()
}

// train runs over the examples in a random order, epochs times.
func (w *weights) train(all []*example, epochs int, seed int64, say func(epoch, wrong, tokens int)) {
	r := rand.New(rand.NewSource(seed))
	order := r.Perm(len(all))
	var d chain.Decoder
	for epoch := range epochs {
		r.Shuffle(len(order), func(i, j int) { order[i], order[j] = order[j], order[i] })
		wrong, tokens := 0, 0
		for _, i := range order {
			e := all[i]
			e.features(r)
			wrong += w.learn(e, &d)
			tokens += len(e.tokens)
			e.rows, e.bounds = nil, nil
		}
		say(epoch, wrong, tokens)
	}
}

// quantise writes the averages into a model, eight bits each. scale is by how much an averaged weight is divided.
func (w *weights) quantise(m *chain.Model) (clipped int) {
	for row := range w.now {
		var q [8]int8
		for k := range q {
			avg := int64(w.now[row][k])*w.step - w.sum[row][k]
			v := roundDiv(avg*scaleUp, w.step*unit)
			if v > 127 || v < -127 {
				clipped++
			}
			q[k] = int8(max(-127, min(127, v)))
		}
		m.SetRow(uint32(row), q)
	}
	for k := range w.moves {
		for p := range w.moves[k] {
			for l := range w.moves[k][p] {
				avg := w.moves[k][p][l][0]*w.step - w.moves[k][p][l][1]
				m.Moves[k][p][l] = int16(max(-chain.MaxMove, min(chain.MaxMove, roundDiv(avg*scaleUp, w.step*unit))))
			}
		}
	}
	m.Ready()
	return clipped
}

// scaleUp is how many units of the model one update of a weight is.
const scaleUp = 4

func roundDiv(a, b int64) int64 {
	if a < 0 {
		return -((-a + b/2) / b)
	}
	return (a + b/2) / b
}
