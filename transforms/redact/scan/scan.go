// SPDX-License-Identifier: Apache-2.0

// Package scan finds structured personal data in text: what has a form of its own, from e-mail addresses to dates.
//
// Trust domain: pure; the same source runs natively and inside WebAssembly. Its one job: one pass over a text gives every
// stretch that looks like structured personal data, scored. It decides nothing: findings may overlap, [span.Resolve] chooses.
//
// The pass looks two bytes up at a time and stops at triggers only: digits, `@`, `:` and `.` with something solid behind them, the end of
// weekdays, and words in capitals (bank identifiers). From a trigger the recognisers look back and forward, never further than a bound or
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
	triggers *triggers
}

// New makes a Scanner.
func New(o Options) *Scanner {
	return &Scanner{national: o.National, words: context.New(entries[:]...), lexicon: newLexicon(), tlds: newTLDs(), triggers: newTriggers()}
}

// Scan appends what it finds in text to dst, roughly in order. Offsets are bytes, and never inside of a valid UTF-8 sequence.
func (s *Scanner) Scan(dst []span.Finding, text []byte) []span.Finding {
	c := cursor{Scanner: s, text: text, dst: dst}
	i, set := s.triggers.find(text, 0)
	for set != 0 {
		i, set = s.triggers.find(text, c.stops(i, set))
	}
	if i < len(text) {
		var tail [block]byte
		copy(tail[:], text[i:])
		_, set = s.triggers.find(tail[:], 0)
		c.stops(i, set)
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

// stops handles the triggers of the block at i, one bit each, and returns where to go on.
func (c *cursor) stops(i int, set uint64) int {
	for set != 0 {
		at := i + bits.TrailingZeros64(set)
		next := at + 1
		switch b := c.text[at]; {
		case b-'0' <= 9:
			next = c.run(at)
		case b == '.':
			if class[c.peek(next)]&hostClass != 0 {
				next = c.dot(at)
			}
		case b == ':':
			if class[c.peek(next)]&urlClass != 0 {
				next = c.colon(at)
			}
		case b == '@':
			next = c.mail(at)
		case b == 'y':
			next = c.weekday(at)
		case b == 'a':
			if c.peek(at+1) == 'y' {
				next = c.weekday(at + 1)
			}
		case c.four(at):
			next = c.capitals(at)
		}
		if next-i >= block {
			return next
		}
		set &= ^uint64(0) << (next - i)
	}
	return i + block
}

// four says whether two capitals follow those at i.
func (c *cursor) four(i int) bool {
	return i+4 <= len(c.text) && isUpper(c.text[i+2]) && isUpper(c.text[i+3])
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
