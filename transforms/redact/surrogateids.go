// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"bytes"
	"strconv"
	"unicode"
	"unicode/utf8"
)

// card gives a number of a range that card schemes use for tests, of the same length and form, with the right check digit.
func card(dst, text []byte, r *draw) []byte {
	var digits [32]byte
	n := 0
	for _, c := range text {
		if c >= '0' && c <= '9' && n < len(digits) {
			digits[n] = c
			n++
		}
	}
	begin := "411111"
	switch {
	case n == 0:
		return dst
	case digits[0] == '5' || digits[0] == '2':
		begin = "555555"
	case digits[0] == '3' && n == 15:
		begin = "378282"
	case digits[0] == '3' && n == 14:
		begin = "305693"
	case digits[0] == '3':
		begin = "353011"
	case digits[0] == '6':
		begin = "601111"
	}
	for i := range n {
		if i < len(begin) && n > len(begin) {
			digits[i] = begin[i]
		} else {
			digits[i] = r.digit()
		}
	}
	digits[n-1] = luhn(digits[:n-1])
	k := 0
	for _, c := range text {
		if c >= '0' && c <= '9' && k < n {
			c = digits[k]
			k++
		}
		dst = append(dst, c)
	}
	return dst
}

// luhn is the check digit of digits (ISO/IEC 7812-1).
func luhn(digits []byte) byte {
	sum := 0
	for i, c := range digits {
		d := int(c - '0')
		if (len(digits)-i)%2 == 1 {
			if d *= 2; d > 9 {
				d -= 9
			}
		}
		sum += d
	}
	return byte('0' + (10-sum%10)%10)
}

// account keeps an IBAN's country, length and form, and computes the check digits (ISO 13616, mod 97).
func account(dst, text []byte, r *draw) ([]byte, bool) {
	var id []byte
	for _, c := range text {
		if wordByte(c) {
			if c >= 0x80 {
				return dst, false
			}
			id = append(id, byte(unicode.ToUpper(rune(c))))
		}
	}
	if len(id) < 6 || len(id) > 40 {
		return dst, false
	}
	for i := 4; i < len(id); i++ {
		if id[i] >= '0' && id[i] <= '9' {
			id[i] = r.digit()
		} else {
			id[i] = byte('A' + r.pick(26))
		}
	}
	id[2], id[3] = '0', '0'
	check := 98 - mod97(append(append([]byte{}, id[4:]...), id[:4]...))
	id[2], id[3] = byte('0'+check/10), byte('0'+check%10)
	k := 0
	for _, c := range text {
		if wordByte(c) {
			u := id[k]
			k++
			if c >= 'a' && c <= 'z' {
				u = byte(unicode.ToLower(rune(u)))
			}
			c = u
		}
		dst = append(dst, c)
	}
	return dst, true
}

// mod97 is the remainder of letters and digits read as a number, A being 10.
func mod97(id []byte) int {
	n := 0
	for _, c := range id {
		if c >= 'A' {
			n = (n*100 + int(c-'A') + 10) % 97
		} else {
			n = (n*10 + int(c-'0')) % 97
		}
	}
	return n
}

// age gives another age of the same ten years; from ninety on it is ninety.
func age(dst, text []byte, r *draw) ([]byte, bool) {
	from := bytes.IndexAny(text, "0123456789")
	if from < 0 {
		return dst, false
	}
	to := from
	for to < len(text) && text[to] >= '0' && text[to] <= '9' {
		to++
	}
	n, err := strconv.Atoi(string(text[from:to]))
	if err != nil || bytes.ContainsAny(text[to:], "0123456789") {
		return dst, false
	}
	other := n/10*10 + (n%10+1+r.pick(9))%10
	if n >= oldest {
		other = oldest
	}
	dst = appendInt(append(dst, text[:from]...), other)
	return append(dst, text[to:]...), true
}

// coordinates writes other numbers of the same form. All parts are below sixty, and so is any latitude.
func coordinates(dst, text []byte, r *draw) []byte {
	for i := 0; i < len(text); {
		if text[i] < '0' || text[i] > '9' {
			dst = append(dst, text[i])
			i++
			continue
		}
		dst = appendInt(dst, r.pick(60))
		for i < len(text) && text[i] >= '0' && text[i] <= '9' {
			i++
		}
		if i+1 < len(text) && text[i] == '.' && text[i+1] >= '0' && text[i+1] <= '9' {
			dst = append(dst, '.')
			for i++; i < len(text) && text[i] >= '0' && text[i] <= '9'; i++ {
				dst = append(dst, r.digit())
			}
		}
	}
	return dst
}

// wallet keeps what says of which kind an address is. Its checksum is wrong: nobody can send anything to it.
func wallet(dst, text []byte, r *draw) []byte {
	keep := 1
	switch {
	case len(text) > 4 && text[2]|0x20 == '1' && text[0]|0x20 == 'b':
		keep = 4
	case len(text) > 2 && text[0] == '0':
		keep = 2
	}
	for i, c := range text {
		switch {
		case i < keep || !wordByte(c):
			dst = append(dst, c)
		case text[0] == '0':
			dst = append(dst, "0123456789abcdef"[r.pick(16)])
		case keep == 4:
			dst = append(dst, "qpzry9x8gf2tvdw0s3jn54khce6mua7l"[r.pick(32)])
		default:
			dst = append(dst, "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"[r.pick(58)])
		}
	}
	return dst
}

// scripts are letters to choose from, for letters of other scripts than Latin.
func scripts(c rune) string {
	switch {
	case unicode.Is(unicode.Cyrillic, c) && unicode.IsUpper(c):
		return "АВГДЕЗИКЛМНОПРСТУФ"
	case unicode.Is(unicode.Cyrillic, c):
		return "авгдезиклмнопрстуф"
	case unicode.Is(unicode.Greek, c) && unicode.IsUpper(c):
		return "ΑΒΓΔΕΖΗΙΚΛΜΝΟΠΡΣΤΦ"
	case unicode.Is(unicode.Greek, c):
		return "αβγδεζηικλμνοπρστφ"
	case unicode.Is(unicode.Arabic, c):
		return "ابتجحدرسشصعفقكلمنهوي"
	case unicode.Is(unicode.Hebrew, c):
		return "אבגדהוזחטילמנסעפצקרשת"
	case unicode.Is(unicode.Hangul, c):
		return "가나다라마바사아자하민서준지현우영수진호"
	case unicode.Is(unicode.Hiragana, c):
		return "あいうえおかきくけこさしすせそたちつてとなにのはひふほまみむめもやゆよらりるれわ"
	case unicode.Is(unicode.Katakana, c):
		return "アイウエオカキクケコサシスセソタチツテトナニノハヒフホマミムメモヤユヨラリルレワ"
	case unicode.Is(unicode.Han, c):
		return "安白丁方高何江林李陆马孟宁钱石田王吴徐杨张周朱子文明华芳丽伟国平春秋海山川木村本中正和"
	case unicode.Is(unicode.Devanagari, c) && unicode.IsLetter(c):
		return "अकगचजटडतदनपबमयरलवसह"
	case unicode.Is(unicode.Thai, c) && unicode.IsLetter(c):
		return "กขคงจชดตทนบปพมยรลวสห"
	case unicode.IsUpper(c):
		return "ABCDEFGHIJKLMNOPRSTUVWYZ"
	case unicode.IsLetter(c):
		return "abcdefghijklmnoprstuvwyz"
	}
	return ""
}

// appendLike writes another letter or digit of the same kind; anything else stays.
func appendLike(dst []byte, c rune, r *draw) []byte {
	switch {
	case c >= '0' && c <= '9':
		return append(dst, r.digit())
	case c >= 'A' && c <= 'Z':
		return append(dst, byte('A'+r.pick(26)))
	case c >= 'a' && c <= 'z':
		return append(dst, byte('a'+r.pick(26)))
	case unicode.IsDigit(c):
		return append(dst, r.digit())
	}
	list := scripts(c)
	if list == "" {
		return utf8.AppendRune(dst, c)
	}
	return utf8.AppendRune(dst, pickRune(list, r))
}

func pickRune(list string, r *draw) rune {
	n := r.pick(utf8.RuneCountInString(list))
	for _, c := range list {
		if n == 0 {
			return c
		}
		n--
	}
	return 'x'
}

func appendInt(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 10) }

func appendHex(dst []byte, n int) []byte { return strconv.AppendInt(dst, int64(n), 16) }
