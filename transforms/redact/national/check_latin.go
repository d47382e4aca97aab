// SPDX-License-Identifier: Apache-2.0

package national

// Rules of Latin America, and of numbers that are of no country.

func brCPF(id []byte) verdict {
	return oddUnless(!same(id), is(rest11(sum(id, "A98765432"), id[9], '0') && rest11(sum(id, "BA98765432"), id[10], '0')))
}

// brCNPJ: since 2026 the first twelve may be letters, which count as their ASCII code less 48.
func brCNPJ(id []byte) verdict {
	if id[12] >= 'A' || id[13] >= 'A' {
		return never
	}
	first, second := 0, 0
	for i, c := range id[:13] {
		v := int(c - '0')
		if i < 12 {
			first += v * int("543298765432"[i]-'0')
		}
		second += v * int("6543298765432"[i]-'0')
	}
	return oddUnless(!same(id), is(rest11(first, id[12], '0') && rest11(second, id[13], '0')))
}

const mxStates = "AS,BC,BS,CC,CL,CM,CS,CH,DF,DG,GT,GR,HG,JC,MC,MN,MS,NT,NL,OC,PL,QT,QR,SP,SL,SR,TC,TS,TL,VZ,YN,ZS,NE"

// mxCURP: names, date of birth, sex, state, consonants, and a check digit of base 37, in which Ñ, written X here, comes after N.
func mxCURP(id []byte) verdict {
	n := 0
	for i, c := range id[:17] {
		v := value(c)
		if c > 'N' {
			v++
		}
		n += v * (18 - i)
	}
	ok := date(id[6:8], id[8:10]) && has("HMX", id[10]) && in(mxStates, id[11:13])
	return oddUnless(ok, is(rest10(n, id[17])))
}

// mxRFC: of people thirteen characters, of firms twelve.
func mxRFC(id []byte) verdict {
	n, at := 0, 13
	if len(id) == 12 {
		n = 37 * 13 // a space stands before it
		at = 12
	}
	for i, c := range id[:len(id)-1] {
		v := value(c)
		if c > 'N' {
			v++
		}
		n += v * (at - i)
	}
	d := len(id) - 9
	return oddUnless(date(id[d+2:d+4], id[d+4:d+6]), is(rest11(n, id[len(id)-1], 'A')))
}

func mxNSS(id []byte) verdict { return oddUnless(!same(id), is(luhn(id))) }

func arCUIT(id []byte) verdict {
	n := sum(id, "5432765432")
	return oddUnless(in("20,23,24,25,26,27,30,33,34", id[:2]), is(rest11(n, id[10], '9')))
}

// clRUT: the check character is a digit or K.
func clRUT(id []byte) verdict {
	last := id[len(id)-1]
	if last >= 'A' && last != 'K' {
		return never
	}
	n := 0
	for i := range id[:len(id)-1] {
		n += int(id[len(id)-2-i]-'0') * (2 + i%6)
	}
	return oddUnless(!same(id), is(rest11(n, last, 'K')))
}

func coNIT(id []byte) verdict {
	n := 0
	for i := range id[:len(id)-1] {
		n += int(id[len(id)-2-i]-'0') * [...]int{3, 7, 13, 17, 19, 23, 29, 37, 41}[i]
	}
	n %= 11
	if n > 1 {
		n = 11 - n
	}
	return is(n == int(id[len(id)-1]-'0'))
}

func ecCedula(id []byte) verdict {
	province := num(id[:2])
	return oddUnless(province >= 1 && (province <= 24 || province == 30) && id[2] < '7', is(rest10(crossNine(id[:9]), id[9])))
}

// crossNine is the sum of digits by 2 and 1 in turn, with 9 taken away from what is more.
func crossNine(id []byte) int { return crossSum(id, "212121212") }

func peRUC(id []byte) verdict {
	return oddUnless(in("10,15,16,17,20", id[:2]), is((11-sum(id, "5432765432")%11)%10 == int(id[10]-'0')))
}

func uyCI(id []byte) verdict { return is(rest10(sum(id, "2987634"), id[7])) }

// vin: the ninth character is a check digit where the maker follows North America's rules; elsewhere it may be any.
func vin(id []byte) verdict {
	digits := 0
	n := 0
	for i, c := range id {
		v := int(c - '0')
		switch {
		case c == 'I' || c == 'O' || c == 'Q':
			return never
		case c >= 'A':
			v = int("12345678012345070923456789"[c-'A'] - '0')
		default:
			digits++
		}
		n += v * [...]int{8, 7, 6, 5, 4, 3, 2, 10, 0, 9, 8, 7, 6, 5, 4, 3, 2}[i]
	}
	if digits < 5 || digits > 16 || !only("0123456789", id[14:]) {
		return never
	}
	if id[8] == "0123456789X"[n%11] {
		return right
	}
	return plain
}

func imei(id []byte) verdict {
	if len(id) != 15 {
		return plain
	}
	return oddUnless(!same(id), is(luhn(id)))
}

// uuid: hexadecimal throughout.
func uuid(id []byte) verdict {
	if !only("0123456789ABCDEF", id) {
		return never
	}
	return plain
}
