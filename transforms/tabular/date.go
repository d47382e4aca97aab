// SPDX-License-Identifier: Apache-2.0

package tabular

import (
	"slices"
	"strconv"

	"github.com/glovebox-dev/glovebox/transforms/fields"
)

// dateFormat says how dates are written and what is kept of them.
type dateFormat struct {
	Keep  string `json:"keep"`  // month, quarter, year or decade
	Order string `json:"order"` // ymd, also without separators; dmy or mdy; "" stands for ymd
}

func (c *dateFormat) check(field string) error {
	if !slices.Contains([]string{"month", "quarter", "year", "decade"}, c.Keep) {
		return fields.Bad("field %q: keep %q, want month, quarter, year or decade", field, c.Keep)
	}
	if !slices.Contains([]string{"", "ymd", "dmy", "mdy"}, c.Order) {
		return fields.Bad("field %q: order %q, want ymd, dmy or mdy", field, c.Order)
	}
	return nil
}

// append appends what is kept of a date: 2024-05, 2024-Q2, 2024 or 2020s. A time after it is allowed, and goes.
func (c *dateFormat) append(dst, text []byte) ([]byte, bool) {
	year, month, ok := c.parse(text)
	if !ok {
		return dst, false
	}
	switch c.Keep {
	case "decade":
		return append(appendYear(dst, year-year%10), 's'), true
	case "month":
		return append(appendYear(dst, year), '-', byte('0'+month/10), byte('0'+month%10)), true
	case "quarter":
		return append(appendYear(dst, year), '-', 'Q', byte('1'+(month-1)/3)), true
	default:
		return appendYear(dst, year), true
	}
}

// appendYear appends four digits.
func appendYear(dst []byte, y int) []byte {
	return append(dst, byte('0'+y/1000), byte('0'+y/100%10), byte('0'+y/10%10), byte('0'+y%10))
}

// parse reads a date that there is.
func (c *dateFormat) parse(text []byte) (year, month int, ok bool) {
	var parts [3]int
	var sizes [3]int
	rest, sep := text, byte(0)
	for i := range parts {
		if i > 0 {
			if len(rest) == 0 || rest[0] != '-' && rest[0] != '/' && rest[0] != '.' || i == 2 && rest[0] != sep {
				return c.compact(text)
			}
			sep, rest = rest[0], rest[1:]
		}
		for len(rest) > 0 && rest[0] >= '0' && rest[0] <= '9' && sizes[i] < 4 {
			parts[i], rest = parts[i]*10+int(rest[0]-'0'), rest[1:]
			sizes[i]++
		}
	}
	y, m, d := 0, 1, 2
	switch c.Order {
	case "dmy":
		y, m, d = 2, 1, 0
	case "mdy":
		y, m, d = 2, 0, 1
	}
	if sizes[y] != 4 || sizes[m] == 0 || sizes[m] > 2 || sizes[d] == 0 || sizes[d] > 2 || !ends(rest) {
		return 0, 0, false
	}
	return parts[y], parts[m], isDay(parts[y], parts[m], parts[d])
}

// compact reads 20240531.
func (c *dateFormat) compact(text []byte) (year, month int, ok bool) {
	n := 0
	for n < len(text) && text[n] >= '0' && text[n] <= '9' {
		n++
	}
	if n != 8 || !ends(text[n:]) || c.Order != "" && c.Order != "ymd" {
		return 0, 0, false
	}
	all, _ := strconv.Atoi(string(text[:8]))
	return all / 10000, all / 100 % 100, isDay(all/10000, all/100%100, all%100)
}

// ends reports whether a date ends here: at the text's end, or before a time.
func ends(rest []byte) bool { return len(rest) == 0 || rest[0] == 'T' || rest[0] == ' ' }

// isDay reports whether there is such a day.
func isDay(y, m, d int) bool {
	if m < 1 || m > 12 || d < 1 {
		return false
	}
	days := [...]int{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31}[m-1]
	if m == 2 && y%4 == 0 && (y%100 != 0 || y%400 == 0) {
		days++
	}
	return d <= days
}
