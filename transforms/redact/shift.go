// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"encoding/binary"
	"strconv"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// Bounds of how far dates are moved. A shift of a few days is soon guessed.
const (
	minDays = 7
	maxDays = 100 * 365
)

// shift moves dates by a number of days that a key chooses: one for the dataset, or one for each value of a field. Spaces between the
// dates of one person stay as they are. It is never none.
type shift struct {
	prf   *prf
	days  int
	by    string
	order string
}

func (shift) name() string { return OpShift }
func (shift) token() bool  { return false }

func (s shift) apply(dst []byte, m *match) ([]byte, bool) {
	d, ok := parseDate(m.text, s.order)
	if !ok || m.kind != span.Date {
		return dst, false
	}
	var whose []byte
	if s.by != "" {
		if whose = m.by[s.by]; len(whose) == 0 {
			return dst, false // nobody's date: a shift that others share would tie it to them
		}
	}
	return d.appendShifted(dst, s.amount(whose))
}

// amount is from 1 to days, forwards or back.
func (s shift) amount(whose []byte) int {
	d := s.prf.sum(span.Date, whose, 1)
	n := 1 + int(binary.BigEndian.Uint64(d[:])%uint64(s.days))
	if d[8]&1 != 0 {
		return -n
	}
	return n
}

// bucket writes a range that the finding lies in.
type bucket struct {
	width  int
	date   string
	order  string
	prefix int
}

const maxWidth = 1_000_000

func (o *Operator) bucket() (operator, error) {
	b := bucket{o.Width, o.Date, o.Order, o.Prefix}
	if b.width == 0 {
		b.width = 10
	}
	if b.date == "" {
		b.date = "month"
	}
	switch {
	case b.width < 2 || b.width > maxWidth:
		return nil, invalid("bucket: width: %d, want 2 to %d", b.width, maxWidth)
	case b.date != "month" && b.date != "year":
		return nil, invalid("bucket: date: %q, want month or year%s", b.date, hint(b.date, []string{"month", "year"}))
	case b.prefix < 0 || b.prefix > maxKept:
		return nil, invalid("bucket: prefix: want 0 to %d", maxKept)
	}
	return b, nil
}

func (bucket) name() string { return OpBucket }
func (bucket) token() bool  { return false }

func (b bucket) apply(dst []byte, m *match) ([]byte, bool) {
	switch {
	case m.kind == span.Date:
		return b.calendar(dst, m.text)
	case m.kind == span.Age:
		return b.number(dst, m.text, true)
	case b.prefix > 0:
		return b.start(dst, m.text, m.own)
	case m.own:
		return b.number(dst, m.text, false)
	}
	return dst, false // ten neighbours of a card are as good as the card
}

// calendar writes the month or the year alone: 2021-03.
func (b bucket) calendar(dst, text []byte) ([]byte, bool) {
	d, ok := parseDate(text, b.order)
	if !ok || !d.year.is() || b.date == "month" && !d.month.is() {
		return dst, false
	}
	y, m, _ := d.when()
	dst = appendNumber(dst, y, 4)
	if b.date == "month" {
		dst = appendNumber(append(dst, '-'), int(m), 2)
	}
	return dst, true
}

// oldest is the age from which ages are one bucket: there are few people above it.
const oldest = 90

// number writes the range that the one number of a text lies in: "30-39 years old".
func (b bucket) number(dst, text []byte, age bool) ([]byte, bool) {
	from := bytes.IndexAny(text, "0123456789")
	if from < 0 {
		return dst, false
	}
	to := from
	for to < len(text) && text[to] >= '0' && text[to] <= '9' {
		to++
	}
	n, err := strconv.ParseInt(string(text[from:to]), 10, 62)
	if err != nil || bytes.ContainsAny(text[to:], "0123456789") || !age && len(text) != to-from {
		return dst, false
	}
	dst = append(dst, text[:from]...)
	w := int64(b.width)
	switch low := n / w * w; {
	case age && n >= oldest:
		dst = append(strconv.AppendInt(dst, oldest, 10), '+')
	case age:
		dst = strconv.AppendInt(append(strconv.AppendInt(dst, low, 10), '-'), min(low+w, oldest)-1, 10)
	default:
		dst = strconv.AppendInt(append(strconv.AppendInt(dst, low, 10), '-'), low+w-1, 10)
	}
	return append(dst, text[to:]...), true
}

// start writes the first characters and stars for the other letters and digits: 021**. As with a mask, no more than half is kept; of what
// the creator's own patterns find, all but one.
func (b bucket) start(dst, text []byte, own bool) ([]byte, bool) {
	n := 0
	for _, r := range string(text) {
		if inWord(r) {
			n++
		}
	}
	if n <= b.prefix || !own && n < 2*b.prefix {
		return dst, false
	}
	i := 0
	for _, r := range string(text) {
		if inWord(r) {
			if i++; i > b.prefix {
				r = '*'
			}
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst, true
}
