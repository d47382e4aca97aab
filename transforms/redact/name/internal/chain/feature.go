// SPDX-License-Identifier: Apache-2.0

package chain

// Mode is how a piece of text writes capitals.
type Mode uint8

// Modes.
const (
	Normal   Mode = iota
	AllLower      // no capitals: a small letter says nothing
	AllUpper      // no small letters
)

// ModeOf looks at the words of a piece.
func ModeOf(tokens []Token) Mode {
	var capital, lower, upper int
	for i := range tokens {
		switch tokens[i].Kind {
		case Lower:
			lower++
		case Title, Mixed:
			capital++
		case Upper:
			upper++
		}
	}
	switch {
	case lower > 0 && (capital+upper)*40 < lower:
		return AllLower
	case upper > 0 && (lower+capital)*4 < upper:
		return AllUpper
	}
	return Normal
}

// Count is how many features a token has; sums of that many weights stay within 16 bits.
const Count = 32

const rowBits = 19

// Rows is how many rows of weights there are; features share them by hash.
const Rows = 1 << rowBits

func row(kind, a, b uint32) uint32 {
	h := kind*0xC2B2AE35 ^ a*0x9E3779B1 ^ (b*0x85EBCA6B + b>>16)
	h ^= h >> 15
	h *= 0x2C1B3C6D
	return (h ^ h>>11) * 0x297A2D39 >> (32 - rowBits)
}

var edge = Token{Kind: Edge, Low: uint32(Edge) + 1, Shape: uint32(Edge) + 1}

func near(tokens []Token, i int) *Token {
	if i < 0 || i >= len(tokens) {
		return &edge
	}
	return &tokens[i]
}

// Features are the rows of weights that token i asks.
func Features(f *[Count]uint32, tokens []Token, i int, mode Mode) {
	t, l, r, ll, rr := &tokens[i], near(tokens, i-1), near(tokens, i+1), near(tokens, i-2), near(tokens, i+2)
	kind := uint32(t.Kind) | uint32(mode)<<5
	g, gl, gr := uint32(t.Gaz), uint32(l.Gaz), uint32(r.Gaz)
	glue := uint32(0)
	if t.Left {
		glue = 1 + l.Low<<2
	}
	glueRight := uint32(0)
	if t.Right {
		glueRight = 1 + r.Low<<2
	}
	*f = [Count]uint32{
		row(1, t.Low, 0),
		row(2, t.Low, kind),
		row(3, t.Pre, kind),
		row(4, t.Suf3, kind),
		row(5, t.Suf, t.Shape),
		row(6, t.Shape<<10|l.Shape&0x1F<<5|r.Shape&0x1F, uint32(mode)),
		row(7, g, t.Shape),
		row(8, g, gl<<16|kind),
		row(9, g, gr<<16|kind),
		row(10, g<<16|gl, gr<<8|uint32(t.Kind)),
		row(11, l.Low, 0),
		row(12, r.Low, 0),
		row(13, ll.Low, 0),
		row(14, rr.Low, 0),
		row(15, l.Low, ll.Low),
		row(16, r.Low, rr.Low),
		row(17, l.Low, kind),
		row(18, r.Low, kind),
		row(19, l.Low, g|kind<<16),
		row(20, r.Low, g|kind<<16),
		row(21, l.Low, r.Low),
		row(22, uint32(t.Phrase)|uint32(l.Phrase)<<4|uint32(r.Phrase)<<8, kind),
		row(23, glue, glueRight<<8|kind),
		row(24, g|uint32(t.Phrase)<<16, kind),
		row(25, l.Low, ll.Low*31+kind),
		row(26, uint32(ll.Kind)|uint32(l.Kind)<<5|uint32(t.Kind)<<10|uint32(r.Kind)<<15|uint32(rr.Kind)<<20, uint32(mode)),
		row(27, t.Head, kind),
		row(28, uint32(t.Place), kind),
		row(29, uint32(ll.Gaz)<<16|gl, kind),
		row(30, uint32(rr.Gaz)<<16|gr, kind),
		row(31, t.Low, l.Low),
		row(32, t.Low, r.Low),
	}
}
