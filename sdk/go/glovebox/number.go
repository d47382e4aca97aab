// SPDX-License-Identifier: Apache-2.0

package glovebox

import "strconv"

// ParseFloat reads a decimal number, such as a CSV field, correctly rounded. Short ones are read without allocating. The
// error is an [ErrRecord] that does not repeat the text.
func ParseFloat(b []byte) (float64, error) {
	if v, ok := shortFloat(b); ok {
		return v, nil
	}
	v, err := strconv.ParseFloat(string(b), 64)
	if err != nil {
		return 0, wrap(ErrRecord, "has a field that is not a number")
	}
	return v, nil
}

// shortFloat reads numbers of at most 15 digits and a power of ten of at most 22, for which one division is exact.
func shortFloat(b []byte) (float64, bool) {
	i, minus := 0, false
	if len(b) > 0 && (b[0] == '-' || b[0] == '+') {
		i, minus = 1, b[0] == '-'
	}
	var n uint64
	digits, point := 0, -1
	for ; i < len(b); i++ {
		switch c := b[i]; {
		case c >= '0' && c <= '9' && digits < 15:
			n = 10*n + uint64(c-'0')
			digits++
		case c == '.' && point < 0:
			point = digits
		default:
			return 0, false
		}
	}
	if digits == 0 {
		return 0, false
	}
	v := float64(n)
	if point >= 0 {
		v /= powers[digits-point]
	}
	if minus {
		v = -v
	}
	return v, true
}

var powers = [...]float64{1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15}
