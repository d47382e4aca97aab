// SPDX-License-Identifier: Apache-2.0

package chain

// Scores of whole pieces stay below 2^23: no token's weights exceed [Count]*127 and no move exceeds [MaxMove].
const never = -1 << 24

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
	var f [Count]uint32
	for i := range tokens {
		Features(&f, tokens, i, mode)
		d.Scores[i] = m.Score(&f)
	}
	Best(d, &m.ways, tokens)
}

// Grow makes room for n tokens.
func (d *Decoder) Grow(n int) {
	if cap(d.Scores) < n {
		d.Scores, d.back, d.Labels = make([]Scores, n), make([][Labels]Label, n), make([]Label, n)
	}
	d.Scores, d.back, d.Labels = d.Scores[:n], d.back[:n], d.Labels[:n]
}

// Best is Viterbi's algorithm over d.Scores: linear in the tokens.
func Best(d *Decoder, ways *Ways, tokens []Token) {
	if len(tokens) == 0 {
		return
	}
	best := Scores{}
	for l := range best {
		best[l] = never
	}
	best[Outside] = 0
	for i := range tokens {
		best = advance(&best, &d.Scores[i], &ways[tokens[i].Kind], &d.back[i])
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

// advance finds the best way to each label of the next token. A way's score and where it came from are one number, so that the
// maximum needs no branch: of equal ways the one from the lesser label wins.
func advance(best, here *Scores, move *[Labels][Labels]int32, back *[Labels]Label) (next Scores) {
	var way Scores
	for p := range way {
		way[p] = best[p]<<4 | int32(15-p)
	}
	for l := 0; l < int(Labels); l++ {
		m := &move[l]
		top := way[0] + m[0]
		if l != 0 && l&1 == 0 { // only after itself and the first label of its type
			top = max(way[l]+m[l], way[l-1]+m[l-1])
		} else {
			for p := 1; p < len(way); p++ {
				top = max(top, way[p]+m[p])
			}
		}
		next[l], back[l] = top>>4+here[l], Label(15-top&15)
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
