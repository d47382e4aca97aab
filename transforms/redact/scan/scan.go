// SPDX-License-Identifier: Apache-2.0

// Package scan finds structured personal data in text: what has a form of its own, from e-mail addresses to dates.
//
// Trust domain: pure; the same source runs natively and inside WebAssembly. Its one job: one pass over a text gives every
// stretch that looks like structured personal data, scored. It decides nothing: findings may overlap, [span.Resolve] chooses.
//
// The pass skips eight bytes at a time and stops at trigger bytes only: digits, `@`, `:`, `.`, a `y` (weekdays) and
// words in capitals (bank identifiers). From a trigger the recognisers look back and forward, never further than a bound or
// than what no other trigger looks at again: the work is linear in the text, whatever the text is.
package scan

import (
	"math/bits"

	"github.com/glovebox-dev/glovebox/transforms/redact/context"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// Options say what else a [Scanner] does.
type Options struct {
	// National is called once for each maximal run text[start:end] of ASCII letters and digits that holds a digit, but not
	// for those inside e-mail addresses, URLs, IPv6 addresses and UUIDs. It appends what it finds. Nil: none.
	National func(dst []span.Finding, text []byte, start, end int) []span.Finding
}

// Scanner is the recognisers with their word lists, ready to be used. It does not change and may be shared.
type Scanner struct {
	national func(dst []span.Finding, text []byte, start, end int) []span.Finding
	words    *context.Set
	lexicon  *lexicon
	tlds     *tldTable
}

// New makes a Scanner.
func New(o Options) *Scanner {
	return &Scanner{national: o.National, words: context.New(entries[:]...), lexicon: newLexicon(), tlds: newTLDs()}
}

// Scan appends what it finds in text to dst, roughly in order. Offsets are bytes, and never inside of a valid UTF-8 sequence.
func (s *Scanner) Scan(dst []span.Finding, text []byte) []span.Finding {
	c := cursor{Scanner: s, text: text, dst: dst}
	i := 0
	for i+block <= len(text) {
		a, b, d, e := load(text, i), load(text, i+8), load(text, i+16), load(text, i+24)
		x, y, z, w := a&^highs, b&^highs, d&^highs, e&^highs
		x = (figures8(x)|signs8(x, a))&^a&highs | capitals8(x)
		y = (figures8(y)|signs8(y, b))&^b&highs | capitals8(y)
		z = (figures8(z)|signs8(z, d))&^d&highs | capitals8(z)
		w = (figures8(w)|signs8(w, e))&^e&highs | capitals8(w)
		if x|y|z|w == 0 {
			i += block
			continue
		}
		i = c.stops(i, gather8(x)|gather8(y)<<8|gather8(z)<<16|gather8(w)<<24)
	}
	for i < len(text) {
		if i = rest(text, i); i < len(text) {
			i = c.at(i)
		}
	}
	return c.dst
}

// block is how many bytes Scan looks at before it branches: a WebAssembly engine pays for each branch.
const block = 32

// gather8 moves the high bits of eight bytes to the low eight bits.
func gather8(x uint64) uint64 { return x >> 7 * 0x0102040810204080 >> 56 }

// stops handles the triggers of the block at i, one bit each, and returns where to go on.
func (c *cursor) stops(i int, set uint64) int {
	for set != 0 {
		next := c.at(i + bits.TrailingZeros64(set))
		if next-i >= block {
			return next
		}
		set &= ^uint64(0) << (next - i)
	}
	return i + block
}

// cursor is one pass over a text.
type cursor struct {
	*Scanner
	text []byte
	dst  []span.Finding

	floor   int // the end of the run or address seen last: no run starts before it
	busy    int // the end of the structure found last: a run before it is part of that
	host    int // up to here, dots were judged and belong to no domain name
	address int // the end of the e-mail address or URL found last
	groups  groups
}

// at handles the trigger at i and returns where to go on, after i.
func (c *cursor) at(i int) int {
	switch b := c.text[i]; {
	case b-'0' <= 9:
		return c.run(i)
	case b == '.':
		return c.dot(i)
	case b == ':':
		return c.colon(i)
	case b == '@':
		return c.mail(i)
	case b == 'y':
		return c.weekday(i)
	case b-'A' < 26:
		return c.capitals(i)
	}
	return i + 1
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// rest is the first trigger at or after i in what is shorter than a block, or len(text).
func rest(text []byte, i int) int {
	for ; i < len(text); i++ {
		switch b := text[i]; {
		case b >= '.' && b <= '@', b == 'y', isUpper(b) && i+4 <= len(text) && capitals4(text[i:i+4]):
			return i
		}
	}
	return i
}

// These mark the triggers among eight bytes by their high bits: a digit, an `@`, a `.` or `:` that no space follows, a `y` after an
// `a`; and the first or fifth byte if it begins four capitals. What the byte before or after the eight would have to be is taken for
// granted. low are the bytes without their high bits, so that no sum carries from byte to byte. They are apart so that they are inlined.

// figures8 has digits and `@`.
func figures8(low uint64) uint64 {
	return (low+(0x80-'0')*ones)&^(low+(0x80-':')*ones) | ^(low ^ '@'*ones + 0x7f*ones)
}

// signs8 has `.` and `:` that something solid follows, and `y` after `a`.
func signs8(low, x uint64) uint64 {
	solid := (low + (0x80-'.')*ones) | x
	sign := ^((low ^ '.'*ones + 0x7f*ones) & (low ^ ':'*ones + 0x7f*ones))
	return sign&(solid>>8|0x80<<56) | ^((low ^ 'y'*ones + 0x7f*ones) | (low^'a'*ones+0x7f*ones)<<8&^0xff)
}

// capitals8 has the first and the fifth byte, if four capitals begin there. Bytes beyond ASCII count by their low bits: they are rare.
func capitals8(low uint64) uint64 {
	m := (low + (0x80-'A')*ones) &^ (low + (0x80-'[')*ones)
	m &= m >> 8 & highs
	return m & (m >> 16) & (0x80 | 0x80<<32)
}

func capitals4(b []byte) bool {
	return isUpper(b[0]) && isUpper(b[1]) && isUpper(b[2]) && isUpper(b[3])
}

// add appends a finding.
func (c *cursor) add(t span.Type, start, end int, score span.Score, why span.Why, rule string) {
	c.dst = append(c.dst, span.Finding{Type: t, Start: start, End: end, Score: clamp(score), Rule: rule, Why: why | span.ByForm})
}

// weigh appends a finding whose score the words near it move: to high if they speak of topic, down if the nearest speak of
// what anti says. It returns the score.
func (c *cursor) weigh(f span.Finding, high span.Score, topic, anti context.Topic) span.Score {
	w := c.words.Near(c.text, f.Start, f.End)
	switch {
	case w.Nearest.Has(topic):
		f.Score, f.Why = max(f.Score, high), f.Why|span.ByContext
	case w.Nearest.Has(anti) || w.Before.Has(anti) && !w.Has(topic):
		f.Score, f.Why = min(f.Score, f.Score/2), f.Why|span.AgainstIt
	case w.Has(topic):
		f.Score, f.Why = max(f.Score, high), f.Why|span.ByContext
	}
	f.Score, f.Why = clamp(f.Score), f.Why|span.ByForm
	c.dst = append(c.dst, f)
	return f.Score
}

// retract takes back what was found from start on: it is part of something larger.
func (c *cursor) retract(start int) {
	for n := len(c.dst); n > 0 && c.dst[n-1].Start >= start; n-- {
		c.dst = c.dst[:n-1]
	}
}

func clamp(s span.Score) span.Score { return min(max(s, 0), span.Certain) }
