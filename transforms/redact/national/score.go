// SPDX-License-Identifier: Apache-2.0

package national

import (
	"github.com/glovebox-dev/glovebox/transforms/redact/context"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// Recogniser is what is known of one kind of identifier.
type Recogniser struct {
	Type    span.Type
	Country string // ISO 3166-1 alpha-2; empty: of no country
	Name    string
	Shapes  string // see shape
	Words   string // that stand near it, parted by '|'
	Form    span.Score
	Grouped span.Score // when it is written with separators; 0: as Form
	Gain    span.Score // when its check digits are right
	Check   string     // what they are, in words
	Source  string     // who says what the form is
	check   func(id []byte) verdict
}

// most is what it scores at most without words.
func (r *Recogniser) most() span.Score { return max(r.Form, r.Grouped) + r.Gain }

// verdict is what the rules of an issuer say of an identifier that has the right form.
type verdict uint8

const (
	plain verdict = iota // there is nothing to check
	right                // its check digits are right
	wrong                // they are not
	odd                  // it breaks another rule: mistyped, made up, or something else
	never                // it is something else
)

// What moves a score.
const (
	nearest  span.Score = 400 // the last word before it says what it is
	before   span.Score = 350 // a word before it
	after    span.Score = 300 // a word after it
	far      span.Score = 150 // a word on the other side of another number
	place    span.Score = 40  // its country is spoken of as well
	other    span.Score = 300 // the last word before it says that it is something else; half of it where the form is distinct
	distinct span.Score = 600
	miscount span.Score = 100 // wrong check digits
	small    span.Score = 100 // small letters, and no word beside
	glued    span.Score = 150 // it seems to be a part of something longer
	breach   span.Score = 250 // a rule broken
	broken   span.Score = 100 // what is left then at least
	topmost  span.Score = 990
)

// judge scores the candidate by one recogniser, and keeps it where it is the best so far. Of equals the one first in the table stays.
func (c *candidate) judge(s *shape) {
	r := &table[s.rec]
	own := span.Score(0)
	if !c.wordless {
		own = c.own(&c.m.topics[s.rec])
	}
	if own == 0 && r.most() < max(c.best.Score, span.Weak) {
		return // whatever its check digits are
	}
	v := plain
	if r.check != nil {
		v = r.check(c.copy())
	}
	if v == never {
		return
	}
	score, why := c.form(s, r, v)
	score, why = c.context(r, own, score, why)
	if score < span.Weak {
		return
	}
	if best := &c.best; score < best.Score || score == best.Score &&
		(c.end-c.start < best.Len() || c.end-c.start == best.Len() && s.rec >= c.order) {
		return
	}
	c.order = s.rec
	c.best = span.Finding{Type: r.Type, Start: c.start, End: c.end, Score: score, Rule: c.m.rules[s.rec], Why: why}
}

// copy is the identifier where checks may read it.
func (c *candidate) copy() []byte {
	if c.checked == nil {
		c.checked = buffers.Get().(*[reach]byte)
	}
	return c.checked[:copy(c.checked[:], c.id[:c.n])]
}

// ask reads the words near the candidate, once.
func (c *candidate) ask() {
	if c.before && c.after {
		return
	}
	if !c.before {
		c.near, c.before = c.m.words.Before(c.text, c.start), true
		c.steps += context.Back
	}
	c.near.After, c.after = c.m.words.After(c.text, c.end), true
	c.steps += context.Forward
	c.wordless = c.near.Before.Empty() && c.near.After.Empty() && c.near.Far.Empty()
}

// own is what the words near the candidate add for a recogniser.
func (c *candidate) own(topics *context.Bits) span.Score {
	w := &c.near
	switch {
	case w.Before.Meets(topics):
		if w.Nearest.Meets(topics) {
			return nearest
		}
		return before
	case w.After.Meets(topics):
		return after
	case w.Far.Meets(topics):
		return far
	}
	return 0
}

// form is the score without regard to what stands around.
func (c *candidate) form(s *shape, r *Recogniser, v verdict) (span.Score, span.Why) {
	score, why := r.Form, span.ByForm
	if s.seps != 0 && r.Grouped != 0 {
		score = r.Grouped
	}
	switch v {
	case right:
		score += r.Gain
		why |= span.ByChecksum
	case wrong:
		score -= miscount
		why |= span.NoChecksum
	case odd:
		score = max(score-breach, broken)
	}
	if s.loose {
		score -= looseness(c.sep[:c.groups], &s.parting)
	}
	return max(score, 0), why
}

// looseness is what separators cost that could be any: those of most identifiers are dashes.
func looseness(seps []byte, parting *[maxGroups]byte) span.Score {
	for i, sep := range seps {
		if parting[i] != '-' {
			continue
		}
		switch sep {
		case ' ':
			return 100
		case '.':
			return 150
		case '/':
			return 200
		}
	}
	return 0
}

// context moves a score by what stands around.
func (c *candidate) context(r *Recogniser, own, score span.Score, why span.Why) (span.Score, span.Why) {
	w := &c.near
	if own != 0 {
		score, why = score+own, why|span.ByContext
		if p, ok := placeOf(r.Country); ok && w.Has(p) {
			score += place
		}
	} else if w.Nearest.Has(elsewhere) || w.After.Has(elsewhere) {
		if score >= distinct {
			score += other / 2
		}
		score, why = score-other, why|span.AgainstIt
	}
	if c.small {
		score -= small
		if own != 0 { // all of the text may be in small letters
			score += small - 20
		}
	}
	if c.glue != free {
		if own == 0 {
			return 0, why
		}
		score -= glued
	}
	return min(score, topmost), why
}

// How a candidate hangs on to what is around it.
const (
	free    = iota
	loosely // a letter and a separator before it or after it, a sign before it
	firmly  // a digit and a separator
)

// hangs says how the candidate goes on where it starts or ends: a price, a decimal, a longer number.
func (c *candidate) hangs() int {
	spaced := false
	for _, sep := range c.sep[:c.groups] {
		spaced = spaced || sep == ' '
	}
	return max(hangsBefore(c.text, c.start, spaced), hangsAfter(c.text, c.end, spaced))
}

func hangsBefore(text []byte, i int, spaced bool) int {
	if i == 0 {
		return free
	}
	last := byte(0)
	if i > 1 {
		last = text[i-2]
	}
	switch text[i-1] {
	case '-', '/', '_', '\\':
		return by(last)
	case '.', ':', ',':
		if digit(last) {
			return firmly
		}
	case '+', '$', '%':
		return loosely
	case '=':
		if last == '=' {
			return loosely // quoted-printable, base64
		}
	case ' ':
		if spaced && digit(last) {
			return firmly
		}
	}
	return free
}

func hangsAfter(text []byte, i int, spaced bool) int {
	if i >= len(text) {
		return free
	}
	next := byte(0)
	if i+1 < len(text) {
		next = text[i+1]
	}
	switch text[i] {
	case '-', '/', '_', '@', '\\':
		return by(next)
	case '.':
		if digit(next) {
			return firmly
		}
		if alnum(next) {
			return loosely
		}
	case ':':
		if digit(next) {
			return firmly
		}
	case '%':
		return loosely
	case ' ':
		if spaced && digit(next) {
			return firmly
		}
	}
	return free
}

// by says how something hangs by a separator and the character beyond it.
func by(c byte) int {
	switch {
	case digit(c):
		return firmly
	case alnum(c):
		return loosely
	}
	return free
}

func digit(c byte) bool { return c-'0' < 10 }

func alnum(c byte) bool { return digit(c) || (c|0x20)-'a' < 26 }
