// SPDX-License-Identifier: Apache-2.0

package chain_test

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/redact/name/internal/chain"
)

func words(text string) []string {
	ts, _ := chain.Piece(nil, []byte(text), 0)
	var out []string
	for _, t := range ts {
		out = append(out, text[t.Start:t.End])
	}
	return out
}

func TestPiece(t *testing.T) {
	for _, c := range []struct {
		text string
		want []string
	}{
		{"Ann's O'Brien", []string{"Ann", "'", "s", "O'Brien"}},
		{"Jean-Luc, 12b", []string{"Jean", "-", "Luc", ",", "12b"}},
		{"a\n \nb\nc", []string{"a", "\n \n", "b", "\n", "c"}},
		{"a  b\tc    d\n    e   \nf", []string{"a", "b", "\t", "c", "    ", "d", "\n", "e", "\n", "f"}},
		{"mail ann.lee@example.com.", []string{"mail", "ann.lee@example.com", "."}},
		{"see https://x.org/a?b=1, then", []string{"see", "https://x.org/a?b=1", ",", "then"}},
		{"and/or", []string{"and", "/", "or"}},
		{"e\u0301te\u0301", []string{"e\u0301te\u0301"}},
		{"a\xffb", []string{"a", "\xff", "b"}},
		{"", nil},
	} {
		if got := words(c.text); !slices.Equal(got, c.want) {
			t.Errorf("%q: %q, want %q", c.text, got, c.want)
		}
	}
}

// TestPieces: pieces cover the text, each bounded, and no token is in two of them.
func TestPieces(t *testing.T) {
	for _, s := range []string{"word ", "x", "1.", "a b\n\n", "ab@", "' "} {
		text := []byte(strings.Repeat(s, 9000))
		last := int32(0)
		for at := 0; at < len(text); {
			ts, next := chain.Piece(nil, text, at)
			if next <= at || len(ts) > 2000 {
				t.Fatalf("%q: from %d to %d, %d tokens", s, at, next, len(ts))
			}
			for i := range ts {
				if ts[i].Start < last || ts[i].End <= ts[i].Start || int(ts[i].End) > next {
					t.Fatalf("%q: token %d..%d after %d", s, ts[i].Start, ts[i].End, last)
				}
				last = ts[i].End
			}
			at = next
		}
	}
}

func TestFold(t *testing.T) {
	for in, want := range map[rune]rune{'A': 'a', 'É': 'e', 'ß': 's', 'ł': 'l', 'Ż': 'z', 'ễ': 'e', 'Я': 'я', 'Σ': 'σ', '’': '\'', '李': '李', 'ÿ': 'y', 'ſ': 's'} {
		if got := chain.Fold(in); got != want {
			t.Errorf("%c: %c, want %c", in, got, want)
		}
	}
	if chain.Hash("José") != chain.Hash("JOSE") {
		t.Error("accents and capitals change a hash")
	}
}

func TestGazetteer(t *testing.T) {
	g := chain.NewGazetteer(12)
	g.Add(chain.Hash("new"), chain.Begins|chain.Common)
	g.Add(chain.PhraseHash(chain.Hash("new"), chain.Hash("york")), chain.City)
	g.Add(chain.Hash("ann"), chain.Given)
	ts, _ := chain.Piece(nil, []byte("Ann in New York, new words"), 0)
	g.Annotate(ts)
	want := []chain.Phrase{0, 0, chain.PlaceFirst, chain.PlaceMore, 0, 0, 0}
	for i := range ts {
		if ts[i].Phrase != want[i] {
			t.Errorf("token %d: phrase %d, want %d", i, ts[i].Phrase, want[i])
		}
	}
	if ts[0].Gaz != chain.Given || ts[2].Gaz != chain.Common || ts[1].Gaz != 0 {
		t.Errorf("lists %b %b %b", ts[0].Gaz, ts[2].Gaz, ts[1].Gaz)
	}
	for i := range 200_000 { // a full table is no trap
		g.Add(chain.Hash(fmt.Sprint("w", i)), chain.Family)
	}
	if g.Fill() > 1000 {
		t.Errorf("fill %d", g.Fill())
	}
}

// TestBest compares Viterbi's algorithm with trying every labelling.
func TestBest(t *testing.T) {
	const n = 4
	var moves chain.Moves
	seed := uint32(1)
	next := func(bound uint32) int {
		seed = seed*1664525 + 1013904223
		return int(seed>>8%bound) - int(bound/2)
	}
	for round := range 20 {
		for k := range moves {
			for p := range moves[k] {
				for l := range moves[k][p] {
					moves[k][p][l] = int16(next(400))
				}
			}
		}
		tokens := make([]chain.Token, n)
		var d chain.Decoder
		d.Grow(n)
		for i := range n {
			tokens[i].Kind = chain.Kind(i)
			d.Scores[i] = chain.Scores{}
			for l := 1; l < int(chain.Labels); l++ {
				d.Scores[i][l] = int32(next(1000))
			}
		}
		chain.Best(&d, moves.Ways(), tokens)
		if got, want := value(&d, &moves, tokens, d.Labels), exhaustive(&d, &moves, tokens); got != want {
			t.Errorf("round %d: %v is worth %d, the best %d", round, d.Labels, got, want)
		}
	}
}

// value is what a labelling is worth; it is hopeless where a label may not follow.
func value(d *chain.Decoder, moves *chain.Moves, ts []chain.Token, labels []chain.Label) int32 {
	total, prev := int32(0), chain.Outside
	for i, l := range labels {
		if !l.Follows(prev) {
			return -1 << 30
		}
		total += d.Scores[i][l] + int32(moves[ts[i].Kind][prev][l])
		prev = l
	}
	return total
}

func exhaustive(d *chain.Decoder, moves *chain.Moves, ts []chain.Token) int32 {
	best := int32(-1 << 30)
	labels := make([]chain.Label, len(ts))
	var try func(i int)
	try = func(i int) {
		if i == len(ts) {
			best = max(best, value(d, moves, ts, labels))
			return
		}
		for l := range chain.Labels {
			labels[i] = l
			try(i + 1)
		}
	}
	try(0)
	return best
}

func TestModel(t *testing.T) {
	m := chain.New(8)
	m.SetRow(5, [8]int8{1, -2, 127, -127, 0, 3, 4, -5})
	m.SetRow(9, [8]int8{1, 1, 1, 1, 1, 1, 1, 1})
	m.Moves[3][2][1] = -77
	m.Calibration[1][3] = 12
	m.Words.Add(chain.Hash("ann"), chain.Given)
	var b bytes.Buffer
	if err := m.Encode(&b); err != nil {
		t.Fatal(err)
	}
	got, err := chain.Decode(b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if s := got.Score(&[chain.Count]uint32{5, 9, 77}); s != (chain.Scores{0, 2, -1, 128, -126, 1, 4, 5, -4}) {
		t.Errorf("scores %v", s)
	}
	if got.Moves != m.Moves || got.Calibration != m.Calibration || got.Words.Find(chain.Hash("ann")) != chain.Given {
		t.Error("another model than the one written")
	}
	for _, n := range []int{0, 5, 20, 60, b.Len() - 1} {
		if _, err := chain.Decode(b.Bytes()[:n]); !errors.Is(err, chain.ErrModel) {
			t.Errorf("cut at %d: %v", n, err)
		}
	}
}
