// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"strings"
	"time"
	"unicode/utf8"
)

// Orders of dates such as 3/4/2021.
const (
	orderMDY = "mdy"
	orderDMY = "dmy"
)

// part is a piece of a date's text.
type part struct {
	start, end int
	value      int  // of a number, a month (1 to 12) or a weekday (0 to 6)
	language   int  // of a word
	short      bool // the word is cut to three letters or so
}

// date is a date as it was written: which pieces of the text are its year, month, day and weekday. A piece without an end is not there.
type date struct {
	text                      []byte
	year, month, day, weekday part
	named                     bool // the month is a word
	compact                   bool // eight digits
}

func (p *part) is() bool { return p.end > p.start }

// maxDate is the longest text that is read as a date.
const maxDate = 96

// parseDate reads what the scanner takes for a date. Times of day in it stay as they are.
func parseDate(text []byte, order string) (d date, ok bool) {
	if len(text) > maxDate {
		return d, false
	}
	d.text = text
	numbers, ok := d.pieces()
	if !ok {
		return d, false
	}
	switch {
	case d.named:
		ok = d.byName(numbers)
	case len(numbers) == 1 && numbers[0].end-numbers[0].start == 8:
		ok = d.eight(numbers[0])
	case len(numbers) == 3:
		ok = d.byOrder(numbers, order)
	case len(numbers) == 2:
		ok = d.monthAndYear(numbers)
	case len(numbers) == 1 && numbers[0].end-numbers[0].start == 4:
		d.year, ok = numbers[0], numbers[0].value >= 1000 && numbers[0].value < 2200
	default:
		ok = false
	}
	return d, ok && d.valid()
}

// pieces takes the text apart: its numbers up to where a time of day begins, and its words.
func (d *date) pieces() (numbers []part, ok bool) {
	for i := 0; i < len(d.text); {
		c := d.text[i]
		switch {
		case c >= '0' && c <= '9':
			p := d.number(i)
			if p.end-p.start > 8 {
				return nil, false
			}
			i = p.end
			if i < len(d.text) && d.text[i] == ':' || clockWord(d.text[i:]) { // a time of day
				for i < len(d.text) && (d.text[i] >= '0' && d.text[i] <= ':' || d.text[i] == '.') {
					i++
				}
				i = d.afterTime(i)
				continue
			}
			numbers = append(numbers, p)
		case inWord(rune(c)) || c >= utf8.RuneSelf:
			p := d.word(i)
			i = p.end
			if !d.take(p) {
				return nil, false
			}
		default:
			i++
		}
	}
	return numbers, len(numbers) <= 3
}

// clockWord reports whether "am" or "pm" follows a number.
func clockWord(b []byte) bool {
	if len(b) > 0 && b[0] == ' ' {
		b = b[1:]
	}
	return len(b) >= 2 && b[1]|0x20 == 'm' && (b[0]|0x20 == 'a' || b[0]|0x20 == 'p') && (len(b) == 2 || !wordByte(b[2]))
}

// afterTime is where the words and offsets that belong to a time of day end.
func (d *date) afterTime(i int) int {
	rest := d.text[i:]
	n := 0
	for n < len(rest) && n < 12 {
		c := rest[n]
		switch {
		case c == ' ' || c == '.' || c == '+' || c == '-' || c == ':':
			n++
			continue
		case c >= '0' && c <= '9':
			m := n
			for m < len(rest) && rest[m] >= '0' && rest[m] <= '9' {
				m++
			}
			if sign := n > 0 && (rest[n-1] == '+' || rest[n-1] == '-' || rest[n-1] == ':'); !sign {
				return i + n
			}
			n = m
			continue
		}
		m := n
		for m < len(rest) && inWord(rune(rest[m])) {
			m++
		}
		switch strings.ToLower(string(rest[n:m])) {
		case "am", "pm", "a", "p", "m", "z", "utc", "gmt", "uhr", "h", "est", "edt", "cst", "cdt", "mst", "mdt", "pst", "pdt", "bst", "cet", "cest":
			n = m
			continue
		}
		return i + n
	}
	return i + n
}

func (d *date) number(i int) part {
	p := part{start: i}
	for ; i < len(d.text) && d.text[i] >= '0' && d.text[i] <= '9'; i++ {
		if p.value < 1<<28 {
			p.value = p.value*10 + int(d.text[i]-'0')
		}
	}
	p.end = i
	return p
}

func (d *date) word(i int) part {
	p := part{start: i}
	for i < len(d.text) {
		r, n := utf8.DecodeRune(d.text[i:])
		if !inWord(r) || r >= '0' && r <= '9' {
			break
		}
		i += n
	}
	if p.end = i; p.end == p.start { // no letter, but beyond ASCII
		p.end++
	}
	return p
}

// take says what a word is: a month, a weekday, or one that may stand in a date.
func (d *date) take(p part) bool {
	word := strings.ToLower(string(d.text[p.start:p.end]))
	german := p.start > 1 && d.text[p.start-1] == ' ' && d.text[p.start-2] == '.'
	if m, ok := lookUp(months(), word, german); ok && !d.month.is() {
		p.value, p.language, p.short = m.value+1, m.language, m.short
		d.month, d.named = p, true
		return true
	}
	if w, ok := lookUp(weekdays(), word, german); ok && !d.weekday.is() {
		p.value, p.language, p.short = w.value, w.language, w.short
		d.weekday = p
		return true
	}
	switch word {
	case "st", "nd", "rd", "th", "of", "the", "on", "at", "t", "z", "de", "del", "den", "der", "am", "um", "le", "er", "di", "il", "el", "do", "em", "op", "feira", "utc", "gmt":
		return true
	}
	return false
}

func (d *date) byName(numbers []part) bool {
	for _, n := range numbers {
		switch size := n.end - n.start; {
		case size == 4 && !d.year.is():
			d.year = n
		case size <= 2 && !d.day.is() && n.value >= 1 && n.value <= 31:
			d.day = n
		case size == 2 && !d.year.is():
			d.year = n
		default:
			return false
		}
	}
	return d.day.is() || d.year.is()
}

// eight reads 20210304 as a year, a month and a day.
func (d *date) eight(n part) bool {
	d.compact = true
	d.year = part{start: n.start, end: n.start + 4, value: n.value / 10000}
	d.month = part{start: n.start + 4, end: n.start + 6, value: n.value / 100 % 100}
	d.day = part{start: n.start + 6, end: n.end, value: n.value % 100}
	return true
}

func (d *date) byOrder(n []part, order string) bool {
	size := func(i int) int { return n[i].end - n[i].start }
	if size(0) == 4 {
		d.year, d.month, d.day = n[0], n[1], n[2]
		return size(1) <= 2 && size(2) <= 2
	}
	if size(0) > 2 || size(1) > 2 || size(2) != 2 && size(2) != 4 {
		return false
	}
	first, second := n[0], n[1]
	dayFirst := order == orderDMY || order == "" && d.text[first.end] == '.'
	if first.value > 12 {
		dayFirst = true
	} else if second.value > 12 {
		dayFirst = false
	}
	d.month, d.day, d.year = first, second, n[2]
	if dayFirst {
		d.month, d.day = second, first
	}
	return true
}

func (d *date) monthAndYear(n []part) bool {
	switch {
	case n[1].end-n[1].start == 4 && n[0].end-n[0].start <= 2:
		d.month, d.year = n[0], n[1]
	case n[0].end-n[0].start == 4 && n[1].end-n[1].start <= 2:
		d.year, d.month = n[0], n[1]
	default:
		return false
	}
	return true
}

// valid reports whether there is such a day. What is not said is the middle: the 15th, July, a leap year.
func (d *date) valid() bool {
	y, m, day := d.when()
	t := time.Date(y, m, day, 0, 0, 0, 0, time.UTC)
	return y >= 1 && y <= 9999 && t.Month() == m && t.Day() == day
}

func (d *date) when() (y int, m time.Month, day int) {
	y, m, day = 2000, time.July, 15
	if d.year.is() {
		if y = d.year.value; d.year.end-d.year.start == 2 {
			if y += 1900; y < 1969 {
				y += 100
			}
		}
	}
	if d.month.is() {
		m = time.Month(d.month.value)
	}
	if d.day.is() {
		day = d.day.value
	}
	return y, m, day
}

// appendShifted writes the date some days later, in the form that it has.
func (d *date) appendShifted(dst []byte, days int) ([]byte, bool) {
	y, m, day := d.when()
	t := time.Date(y, m, day+days, 0, 0, 0, 0, time.UTC)
	if t.Year() < 1 || t.Year() > 9999 {
		return dst, false
	}
	at := 0
	for _, p := range d.inOrder() {
		dst = append(dst, d.text[at:p.start]...)
		at = p.end
		switch p {
		case &d.year:
			dst = appendNumber(dst, t.Year(), p.end-p.start)
		case &d.day:
			dst = appendNumber(dst, t.Day(), d.width(p))
			at = d.ordinal(&dst, at, t.Day())
		case &d.weekday:
			dst = d.appendWord(dst, weekdays(), p, int(t.Weekday()))
		default:
			if d.named {
				dst = d.appendWord(dst, months(), p, int(t.Month())-1)
			} else {
				dst = appendNumber(dst, int(t.Month()), d.width(p))
			}
		}
	}
	return append(dst, d.text[at:]...), true
}

// width is how many digits a day or month has at least. One that stood alone as a single digit needs no zero.
func (d *date) width(p *part) int {
	if p.end-p.start == 2 && d.text[p.start] != '0' && d.loose() {
		return 1
	}
	return p.end - p.start
}

// loose reports whether the date's other number is a single digit: then numbers have no zeros before them.
func (d *date) loose() bool {
	return d.named || d.day.end-d.day.start == 1 || d.month.end-d.month.start == 1
}

// ordinal writes the ending of an English ordinal where the text has one, and says where to go on.
func (d *date) ordinal(dst *[]byte, at, day int) int {
	if at+2 > len(d.text) {
		return at
	}
	switch strings.ToLower(string(d.text[at : at+2])) {
	case "st", "nd", "rd", "th":
	default:
		return at
	}
	end := "th"
	if day/10 != 1 && day%10 >= 1 && day%10 <= 3 {
		end = [...]string{"st", "nd", "rd"}[day%10-1]
	}
	*dst = append(*dst, end...)
	return at + 2
}

// inOrder are the pieces that there are, as they stand in the text.
func (d *date) inOrder() []*part {
	var out []*part
	for _, p := range []*part{&d.year, &d.month, &d.day, &d.weekday} {
		if !p.is() {
			continue
		}
		i := len(out)
		for i > 0 && out[i-1].start > p.start {
			i--
		}
		out = append(out, nil)
		copy(out[i+1:], out[i:])
		out[i] = p
	}
	return out
}

// appendNumber writes a number with zeros before it; a year of two digits is the last two.
func appendNumber(dst []byte, n, width int) []byte {
	var b [4]byte
	i := len(b)
	for k := 0; k < width || n > 0 && k < len(b) && (width != 2 || k < 2); k++ {
		i--
		b[i] = byte('0' + n%10)
		n /= 10
		if i == 0 {
			break
		}
	}
	return append(dst, b[i:]...)
}
