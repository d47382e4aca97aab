// SPDX-License-Identifier: Apache-2.0

package national

// Identifiers come here in capitals, and in the form of a shape: their lengths and where digits are need no second look.

// is says right or wrong.
func is(ok bool) verdict {
	if ok {
		return right
	}
	return wrong
}

// oddUnless turns a verdict to odd where the rule does not hold.
func oddUnless(rule bool, v verdict) verdict {
	if !rule {
		return odd
	}
	return v
}

// num is the number that digits are.
func num(id []byte) int {
	n := 0
	for _, c := range id {
		n = n*10 + int(c-'0')
	}
	return n
}

// value is a digit's or a letter's: A is 10.
func value(c byte) int {
	if c >= 'A' {
		return int(c-'A') + 10
	}
	return int(c - '0')
}

// sum weighs the characters: a weight is a digit, or a letter from A for 10.
func sum(id []byte, weights string) int {
	n := 0
	for i := range len(weights) {
		n += value(id[i]) * value(weights[i])
	}
	return n
}

// crossSum is sum, of each product's digits.
func crossSum(id []byte, weights string) int {
	n := 0
	for i := range len(weights) {
		p := value(id[i]) * value(weights[i])
		n += p/10 + p%10
	}
	return n
}

// luhn says whether the digits' Luhn sum is right (ISO/IEC 7812-1, annex B).
func luhn(id []byte) bool {
	n := 0
	for i := range id {
		d := int(id[len(id)-1-i] - '0')
		if i&1 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		n += d
	}
	return n%10 == 0
}

// mod11x10 says whether the check digit is right by ISO/IEC 7064, MOD 11,10.
func mod11x10(id []byte) bool {
	p := 10
	for _, c := range id[:len(id)-1] {
		p = (p + int(c-'0')) % 10
		if p == 0 {
			p = 10
		}
		p = p * 2 % 11
	}
	return (11-p)%10 == int(id[len(id)-1]-'0')
}

// verhoeffD is the dihedral group's table, verhoeffP its permutation and what that is when repeated.
var (
	verhoeffD = [10]string{
		"0123456789", "1234067895", "2340178956", "3401289567", "4012395678",
		"5987604321", "6598710432", "7659821043", "8765932104", "9876543210",
	}
	verhoeffP = [8]string{
		"0123456789", "1576283094", "5803796142", "8916043527", "9453126870", "4286573901", "2793806415", "7046913258",
	}
)

// verhoeff says whether the digits' Verhoeff sum is right.
func verhoeff(id []byte) bool {
	c := byte('0')
	for i := range id {
		c = verhoeffD[c-'0'][verhoeffP[i&7][id[len(id)-1-i]-'0']-'0']
	}
	return c == '0'
}

// mod97 is the number's rest by 97.
func mod97(id []byte) int {
	n := 0
	for _, c := range id {
		n = (n*10 + int(c-'0')) % 97
	}
	return n
}

// days are the longest that months have.
const days = "\x1f\x1d\x1f\x1e\x1f\x1e\x1f\x1f\x1e\x1f\x1e\x1f"

// date says whether there can be such a day in some year.
func date(month, day []byte) bool { return dayOf(num(month), num(day)) }

func dayOf(month, day int) bool {
	return month >= 1 && month <= 12 && day >= 1 && day <= int(days[month-1])
}

// year says whether the four digits are a year that people or firms of today have.
func year(id []byte) bool {
	y := num(id)
	return y >= 1880 && y <= 2099
}

// in says whether the list, of entries of a width, holds the entry.
func in(list string, entry []byte) bool {
	w := len(entry)
	for i := 0; i+w <= len(list); i += w + 1 {
		if list[i:i+w] == string(entry) {
			return true
		}
	}
	return false
}

// has says whether one of the characters is in the set.
func has(set string, c byte) bool {
	for i := range len(set) {
		if set[i] == c {
			return true
		}
	}
	return false
}

// only says whether all characters are in the set.
func only(set string, id []byte) bool {
	for _, c := range id {
		if !has(set, c) {
			return false
		}
	}
	return true
}

// same says whether all characters are one.
func same(id []byte) bool {
	for _, c := range id[1:] {
		if c != id[0] {
			return false
		}
	}
	return true
}

// rest11 says whether the check digit is what the sum lacks to a multiple of 11, where 10 is written as ten and 11 as 0.
func rest11(sum int, check, ten byte) bool {
	switch d := (11 - sum%11) % 11; d {
	case 10:
		return check == ten
	default:
		return int(check) == '0'+d
	}
}

// rest10 is rest11 to a multiple of 10.
func rest10(sum int, check byte) bool { return int(check) == '0'+(10-sum%10)%10 }
