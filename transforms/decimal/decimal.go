// SPDX-License-Identifier: Apache-2.0

// Package decimal reads the numbers of records and of configurations exactly, without floats.
//
// Trust domain: wherever steps run; pure. Its one job: numbers compare, round and scale by what they say, the same on every
// machine, in time linear in their text, whatever their exponent.
package decimal

import (
	"errors"
	"math"
)

// ErrNumber is text that is no number where there must be one.
var ErrNumber = errors.New("decimal: not a number")

// maxExponent bounds what is read of an exponent; a larger one is no number.
const maxExponent = 1_000_000_000

// Decimal is a number: 0.d₁d₂d₃… times a power of ten. The zero value is zero. Its digits are lent by the text that it was read of.
type Decimal struct {
	neg         bool
	whole, frac []byte // the digits, in two parts; the first and the last of them are not 0
	point       int64
}

// Parse reads a number as JSON and most programs write it: an optional sign, digits with or without a point, and an optional
// exponent, with spaces around. Nothing else is a number: no separators, no infinity.
func Parse(text []byte) (d Decimal, ok bool) {
	text = trim(text)
	if len(text) > 0 && (text[0] == '-' || text[0] == '+') {
		d.neg = text[0] == '-'
		text = text[1:]
	}
	d.whole, text = digits(text)
	if len(text) > 0 && text[0] == '.' {
		d.frac, text = digits(text[1:])
	}
	if len(d.whole)+len(d.frac) == 0 {
		return Decimal{}, false
	}
	exponent, ok := parseExponent(text)
	if !ok {
		return Decimal{}, false
	}
	d.point = int64(len(d.whole)) + exponent
	d.strip()
	return d, true
}

func trim(b []byte) []byte {
	for len(b) > 0 && (b[0] == ' ' || b[0] == '\t') {
		b = b[1:]
	}
	for len(b) > 0 && (b[len(b)-1] == ' ' || b[len(b)-1] == '\t') {
		b = b[:len(b)-1]
	}
	return b
}

func digits(b []byte) (these, rest []byte) {
	n := 0
	for n < len(b) && b[n] >= '0' && b[n] <= '9' {
		n++
	}
	return b[:n], b[n:]
}

func parseExponent(b []byte) (n int64, ok bool) {
	if len(b) == 0 {
		return 0, true
	}
	if b[0] != 'e' && b[0] != 'E' {
		return 0, false
	}
	b = b[1:]
	neg := false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		neg = b[0] == '-'
		b = b[1:]
	}
	if len(b) == 0 {
		return 0, false
	}
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, false
		}
		if n = n*10 + int64(c-'0'); n > maxExponent {
			return 0, false
		}
	}
	if neg {
		n = -n
	}
	return n, true
}

// strip takes zeros from both ends.
func (d *Decimal) strip() {
	for len(d.whole) > 0 && d.whole[0] == '0' {
		d.whole = d.whole[1:]
		d.point--
	}
	if len(d.whole) == 0 {
		for len(d.frac) > 0 && d.frac[0] == '0' {
			d.frac = d.frac[1:]
			d.point--
		}
	}
	for len(d.frac) > 0 && d.frac[len(d.frac)-1] == '0' {
		d.frac = d.frac[:len(d.frac)-1]
	}
	if len(d.frac) == 0 {
		for len(d.whole) > 0 && d.whole[len(d.whole)-1] == '0' {
			d.whole = d.whole[:len(d.whole)-1]
		}
	}
	if d.len() == 0 {
		*d = Decimal{}
	}
}

func (d *Decimal) len() int { return len(d.whole) + len(d.frac) }

func (d *Decimal) at(i int) byte {
	if i < len(d.whole) {
		return d.whole[i]
	}
	return d.frac[i-len(d.whole)]
}

// Sign is -1, 0 or 1.
func (d *Decimal) Sign() int {
	switch {
	case d.len() == 0:
		return 0
	case d.neg:
		return -1
	}
	return 1
}

// Cmp compares d with e.
func (d *Decimal) Cmp(e *Decimal) int {
	a, b := d.Sign(), e.Sign()
	switch {
	case a != b && a < b:
		return -1
	case a != b:
		return 1
	case a == 0:
		return 0
	}
	if d.point != e.point {
		if d.point < e.point {
			return -a
		}
		return a
	}
	for i := range max(d.len(), e.len()) {
		switch {
		case i == d.len():
			return -a
		case i == e.len():
			return a
		case d.at(i) != e.at(i):
			if d.at(i) < e.at(i) {
				return -a
			}
			return a
		}
	}
	return 0
}

// Scaled is d times ten to the power of places, rounded down, and whether nothing was rounded off. It is not ok where the result has
// more than 18 digits.
func (d *Decimal) Scaled(places int) (n int64, exact, ok bool) {
	if d.len() == 0 {
		return 0, true, true
	}
	keep := d.point + int64(places)
	if keep > 18 {
		return 0, false, false
	}
	for i := range max(keep, 0) {
		n *= 10
		if i < int64(d.len()) {
			n += int64(d.at(int(i)) - '0')
		}
	}
	exact = keep >= int64(d.len())
	if d.neg {
		if n = -n; !exact {
			n--
		}
	}
	return n, exact, true
}

// Places is how many digits after the point it takes to write d, and whether that is at most 18.
func (d *Decimal) Places() (int, bool) {
	n := max(int64(d.len())-d.point, 0)
	if d.len() == 0 {
		return 0, true
	}
	return int(min(n, math.MaxInt32)), n <= 18
}

// AppendKey appends the one form that all spellings of a number share.
func (d *Decimal) AppendKey(dst []byte) []byte {
	if d.len() == 0 {
		return append(dst, '0')
	}
	if d.neg {
		dst = append(dst, '-')
	}
	dst = append(append(append(dst, '.'), d.whole...), d.frac...)
	return AppendFixed(append(dst, 'e'), d.point, 0)
}

// AppendFixed appends n divided by ten to the power of places, with exactly as many digits after the point.
func AppendFixed(dst []byte, n int64, places int) []byte {
	u := uint64(n)
	if n < 0 {
		dst, u = append(dst, '-'), -u
	}
	var room [40]byte
	i := len(room)
	for k := 0; u > 0 || k <= places; k++ {
		if k == places && places > 0 {
			i--
			room[i] = '.'
		}
		i--
		room[i] = byte('0' + u%10)
		u /= 10
	}
	return append(dst, room[i:]...)
}

// Number is a JSON number of a configuration. A string is none.
type Number struct {
	Decimal
	Literal string // as it was written
}

// UnmarshalJSON reads a number.
func (n *Number) UnmarshalJSON(b []byte) error {
	d, ok := Parse(append([]byte{}, b...))
	if !ok {
		return ErrNumber
	}
	n.Decimal, n.Literal = d, string(b)
	return nil
}
