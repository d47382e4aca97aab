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
	for i := next(text, 0); i < len(text); i = next(text, i) {
		i = c.at(i)
	}
	return c.dst
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

// next is the first trigger at or after i, or len(text). It looks at eight bytes at a time: a WebAssembly engine pays for each
// branch, and Go's code for it for each call.
func next(text []byte, i int) int {
	last := len(text) - 8
	for ; i <= last-24; i += 32 {
		a, b := triggers(load(text, i)), triggers(load(text, i+8))
		c, d := triggers(load(text, i+16)), triggers(load(text, i+24))
		if a|b|c|d == 0 {
			continue
		}
		switch {
		case a != 0:
			return i + bits.TrailingZeros64(a)>>3
		case b != 0:
			return i + 8 + bits.TrailingZeros64(b)>>3
		case c != 0:
			return i + 16 + bits.TrailingZeros64(c)>>3
		}
		return i + 24 + bits.TrailingZeros64(d)>>3
	}
	for ; i <= last; i += 8 {
		if m := triggers(load(text, i)); m != 0 {
			return i + bits.TrailingZeros64(m)>>3
		}
	}
	for ; i < len(text); i++ {
		switch b := text[i]; {
		case b >= '.' && b <= '@', b == 'y', isUpper(b) && i+4 <= len(text) && capitals4(text[i:i+4]):
			return i
		}
	}
	return i
}

// triggers has the high bit of each byte of x that is a trigger: a digit, an `@`, a `.` or `:` that no space follows, a `y` after
// an `a`; and the first or fifth if it begins four capitals. What the byte before or after x would have to be is taken for granted.
// The sums never carry from byte to byte, since the high bits are taken out before.
func triggers(x uint64) uint64 {
	low := x &^ highs
	solid := (low + (0x80-'.')*ones) | x // '.' or more
	digit := (low + (0x80-'0')*ones) &^ (low + (0x80-':')*ones)
	notDot := (low ^ '.'*ones) + 0x7f*ones
	notColon := (low ^ ':'*ones) + 0x7f*ones
	notAt := (low ^ '@'*ones) + 0x7f*ones
	notY := (low ^ 'y'*ones) + 0x7f*ones
	notA := (low ^ 'a'*ones) + 0x7f*ones
	capital := (low + (0x80-'A')*ones) &^ (low + (0x80-'[')*ones) &^ x
	capital &= capital >> 8 & highs
	capital &= capital >> 16
	m := digit | ^notAt | ^(notDot&notColon)&(solid>>8|0x80<<56) | ^(notY | notA<<8&^0xff)
	return m&^x&highs | capital&(0x80|0x80<<32)
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
