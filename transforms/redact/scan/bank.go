// SPDX-License-Identifier: Apache-2.0

package scan

import "github.com/glovebox-dev/glovebox/transforms/redact/span"

// ibanLengths are the countries of the IBAN registry (ISO 13616) with the length of their numbers, in order.
const ibanLengths = "AD24AE23AL28AO25AT20AZ28BA20BE16BF28BG22BH22BI27BJ28BR29BY28CF27CG27CH21CI28CM27CR22CV25CY28CZ24DE22DJ27DK18DO28DZ26EE20EG29ES24FI18FK18FO18FR27GA27GB22GE22GI23GL18GQ27GR27GT28GW25HN28HR21HU28" +
	"IE22IL23IQ23IR26IS26IT27JO30KM27KW30KZ20LB28LC32LI21LT20LU20LV21LY25MA28MC27MD24ME22MG27MK19ML28MN20MR27MT31MU30MZ25NE28NI28NL18NO15OM23PK24PL28PS29PT25QA29RO24RS22RU33SA24SC31SD18SE24SI19SK24SM27SN28SO23ST25SV28TD27TG28TL23TN24TR26UA29VA22VG24XK20YE30"

// ibanLength is the length of a country's numbers; 0 is that it has none.
func ibanLength(a, b byte) int {
	a, b = a&^0x20, b&^0x20
	low, high := 0, len(ibanLengths)/4
	for low < high {
		mid := (low + high) / 2
		x, y := ibanLengths[mid*4], ibanLengths[mid*4+1]
		switch {
		case x == a && y == b:
			return int(ibanLengths[mid*4+2]-'0')*10 + int(ibanLengths[mid*4+3]-'0')
		case x < a || x == a && y < b:
			low = mid + 1
		default:
			high = mid
		}
	}
	return 0
}

const maxIBAN = 34

// iban handles two letters and two digits at s.
func (c *cursor) iban(s int) bool {
	length := ibanLength(c.text[s], c.text[s+1])
	if length == 0 || c.peek(s-1) == '_' {
		return false
	}
	var d [maxIBAN]byte
	n, digits, spaced, grid := 0, 0, 0, true
	i, group := s, 0
	for n < length {
		b := c.peek(i)
		if isAlnum(b) {
			if isDigit(b) {
				digits++
			}
			d[n] = b &^ 0x20
			if isDigit(b) {
				d[n] = b
			}
			n, i, group = n+1, i+1, group+1
			continue
		}
		sep, wide := c.spaces(i), b == '-'
		if wide {
			sep = i + 1
		}
		if sep == i || !isAlnum(c.peek(sep)) {
			return false
		}
		grid = grid && group == 4
		spaced, group, i = spaced+1, 0, sep
	}
	if isAlnum(c.peek(i)) || c.peek(i) == '_' || spaced > 0 && digits < n/2 {
		return false
	}
	f := span.Finding{Type: span.IBAN, Start: s, End: i, Score: span.Certain, Rule: "iban", Why: span.ByChecksum}
	if !mod97(d[:n]) {
		f.Why = span.NoChecksum
		switch {
		case spaced == 0 && digits >= n/2, spaced > 0 && grid:
			f.Score = 600
		case spaced > 0:
			f.Score = span.Weak
		default:
			f.Score = 350
		}
	} else if spaced > 0 && !grid {
		f.Score = 800
	}
	if c.weigh(f, min(f.Score+300, span.Certain), topicBank, topicOther) < span.Medium {
		return false
	}
	c.busy = i
	return true
}

// mod97 checks the two digits after the country (ISO 7064, MOD 97-10).
func mod97(d []byte) bool {
	m := 0
	for i := range d {
		b := d[(i+4)%len(d)]
		if isDigit(b) {
			m = (m*10 + int(b-'0')) % 97
		} else {
			m = (m*100 + int(b-'A') + 10) % 97
		}
	}
	return m == 1
}

// capitals handles four or more capital letters around i: a bank identifier without digits.
func (c *cursor) capitals(i int) int {
	t := c.text
	s, e := i, i
	for s > c.floor && i-s <= 11 && isAlnum(t[s-1]) {
		s--
	}
	for e < len(t) && isUpper(t[e]) {
		e++
	}
	if n := e - s; (n == 8 || n == 11) && (e == len(t) || !isAlnum(t[e])) {
		c.bic(s, e)
	}
	return e
}

// bic handles a word that has the length of a business identifier code (ISO 9362): four letters or digits of the institution, the
// country, two of the place, and three of the branch, if any. Words in capitals have the form too: without more they score low.
func (c *cursor) bic(s, e int) bool {
	t := c.text[s:e]
	digits := 0
	for i, b := range t {
		if isDigit(b) && i >= 6 {
			digits++
		} else if !isUpper(b) {
			return false
		}
	}
	before, after := c.peek(s-1), c.peek(e)
	if c.tlds.find(t[4:6]) == 0 || isLetter(before) || before == '_' || before == '-' || isLetter(after) || after == '_' || after == '-' {
		return false
	}
	f := span.Finding{Type: span.BIC, Start: s, End: e, Score: 150, Rule: "bic"}
	switch {
	case len(t) == 11 && string(t[8:]) == "XXX":
		f.Score = 700
	case digits > 0 && len(t) == 8 && digits < 2 || len(t) == 11 && digits >= 3:
		f.Score = 400
	}
	w := c.words.Near(c.text, s, e)
	switch {
	case w.Has(topicBIC):
		f.Score, f.Why = max(f.Score, 900), span.ByContext
	case f.Score < 400:
		return false
	}
	c.add(f.Type, s, e, f.Score, f.Why, f.Rule)
	return f.Score >= span.Medium
}
