// SPDX-License-Identifier: Apache-2.0

package chain

const never = -1 << 28

// Decoder finds the best labels of a piece. It keeps its memory between pieces; it is for one goroutine.
type Decoder struct {
	Scores []Scores
	back   [][Labels]Label
	Labels []Label
}

// Decode fills d.Scores and d.Labels for the tokens.
func (d *Decoder) Decode(m *Model, tokens []Token) {
	d.Grow(len(tokens))
	mode := ModeOf(tokens)
	var f [MaxFeatures]uint32
	for i := range tokens {
		n := Features(&f, tokens, i, mode)
		d.Scores[i] = m.Score(f[:n])
	}
	Best(d, &m.Moves, tokens)
}

// Grow makes room for n tokens.
func (d *Decoder) Grow(n int) {
	if cap(d.Scores) < n {
		d.Scores, d.back, d.Labels = make([]Scores, n), make([][Labels]Label, n), make([]Label, n)
	}
	d.Scores, d.back, d.Labels = d.Scores[:n], d.back[:n], d.Labels[:n]
}

// Best is Viterbi's algorithm over d.Scores: linear in the tokens.
func Best(d *Decoder, moves *Moves, tokens []Token) {
	if len(tokens) == 0 {
		return
	}
	best := Scores{}
	for l := range best {
		best[l] = never
	}
	best[Outside] = 0
	for i := range tokens {
		best = advance(&best, &d.Scores[i], &moves[tokens[i].Kind], &d.back[i])
	}
	last := Outside
	for l := Outside; l < Labels; l++ {
		if best[l] > best[last] {
			last = l
		}
	}
	for i := len(tokens) - 1; i >= 0; i-- {
		d.Labels[i] = last
		last = d.back[i][last]
	}
}

func advance(best, here *Scores, move *[Labels][Labels]int16, back *[Labels]Label) (next Scores) {
	for l := Outside; l < Labels; l++ {
		top, from := int32(never), Outside
		if l != Outside && !l.First() {
			from = l
			top = best[l] + int32(move[l][l])
			if v := best[l-1] + int32(move[l-1][l]); v > top {
				top, from = v, l-1
			}
		} else {
			for p := range best {
				if v := best[p] + int32(move[p][l]); v > top {
					top, from = v, Label(p)
				}
			}
		}
		next[l], back[l] = top+here[l], from
	}
	return next
}

// Margin is by how much the labels of tokens from..to-1 are better than calling all of them outside.
func (d *Decoder) Margin(m *Model, tokens []Token, from, to int) int32 {
	prev, total := Outside, int32(0)
	if from > 0 {
		prev = d.Labels[from-1]
	}
	left, right := prev, Outside
	for i := from; i < to; i++ {
		l := d.Labels[i]
		total += d.Scores[i][l] + int32(m.Moves[tokens[i].Kind][prev][l])
		total -= int32(m.Moves[tokens[i].Kind][left][Outside])
		prev, left = l, Outside
	}
	if to < len(tokens) {
		right = d.Labels[to]
		total += int32(m.Moves[tokens[to].Kind][prev][right]) - int32(m.Moves[tokens[to].Kind][Outside][right])
	}
	return total
}
