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

// MaxFeatures bounds the features of one token; sums of that many weights stay within 16 bits.
const MaxFeatures = 40

const rowBits = 19

// Rows is how many rows of weights there are; features share them by hash.
const Rows = 1 << rowBits

func row(kind, a, b uint32) uint32 {
	h := kind*0xC2B2AE35 ^ a*0x9E3779B1 ^ (b*0x85EBCA6B + b>>16)
	h ^= h >> 15
	h *= 0x2C1B3C6D
	h ^= h >> 13
	h *= 0x297A2D39
	return h >> (32 - rowBits)
}

var edge = Token{Kind: Edge, Low: uint32(Edge) + 1, Shape: uint32(Edge) + 1}

func near(tokens []Token, i int) *Token {
	if i < 0 || i >= len(tokens) {
		return &edge
	}
	return &tokens[i]
}

// Features are the rows of weights that token i asks.
func Features(f *[MaxFeatures]uint32, tokens []Token, i int, mode Mode) int {
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
	n := 0
	add := func(k, a, b uint32) {
		f[n] = row(k, a, b)
		n++
	}
	add(1, t.Low, 0)
	add(2, t.Low, kind)
	add(3, t.Pre, kind)
	add(4, t.Suf3, kind)
	add(5, t.Suf, t.Shape)
	add(6, t.Shape<<10|l.Shape&0x1F<<5|r.Shape&0x1F, uint32(mode))
	add(7, g, t.Shape)
	add(8, g, gl<<16|kind)
	add(9, g, gr<<16|kind)
	add(10, g<<16|gl, gr<<8|uint32(t.Kind))
	add(11, l.Low, 0)
	add(12, r.Low, 0)
	add(13, ll.Low, 0)
	add(14, rr.Low, 0)
	add(15, l.Low, ll.Low)
	add(16, r.Low, rr.Low)
	add(17, l.Low, kind)
	add(18, r.Low, kind)
	add(19, l.Low, g|kind<<16)
	add(20, r.Low, g|kind<<16)
	add(21, l.Low, r.Low)
	add(22, uint32(t.Phrase)|uint32(l.Phrase)<<4|uint32(r.Phrase)<<8, kind)
	add(23, glue, glueRight<<8|kind)
	add(24, g|uint32(t.Phrase)<<16, kind)
	add(25, l.Low, ll.Low*31+kind)
	add(26, uint32(ll.Kind)|uint32(l.Kind)<<5|uint32(t.Kind)<<10|uint32(r.Kind)<<15|uint32(rr.Kind)<<20, uint32(mode))
	add(27, t.Head, kind)
	add(28, uint32(t.Place), kind)
	add(29, uint32(ll.Gaz)<<16|gl, kind)
	add(30, uint32(rr.Gaz)<<16|gr, kind)
	add(31, t.Low, l.Low)
	add(32, t.Low, r.Low)
	return n
}
