// SPDX-License-Identifier: Apache-2.0

package national

// Rules of Germany, Austria, Switzerland, France, Belgium, the Netherlands, Luxembourg, Italy, Spain, Portugal, Greece and Turkey.

// deTaxID: of the first ten digits one comes twice or three times, and none is first a 0 (AO § 139b).
func deTaxID(id []byte) verdict {
	var count [10]byte
	twice, more := 0, 0
	for _, c := range id[:10] {
		switch count[c-'0']++; count[c-'0'] {
		case 2:
			twice++
		case 3:
			twice--
			more++
		case 4:
			more += 9
		}
	}
	return oddUnless(id[0] != '0' && twice+more == 1, is(mod11x10(id)))
}

func deVAT(id []byte) verdict { return oddUnless(id[2] != '0', is(mod11x10(id[2:]))) }

func deTaxNumber(id []byte) verdict {
	if len(id) == 13 {
		land := num(id[:2])
		return oddUnless((land >= 1 && land <= 16 || land >= 21 && land <= 32) && id[4] == '0', plain)
	}
	return plain
}

// icao checks a document number of nine characters and, where there is one, its check digit (ICAO Doc 9303, part 3).
func icao(id []byte) verdict {
	if len(id) == 10 {
		return is(sum(id, "731731731")%10 == int(id[9]-'0'))
	}
	return plain
}

// deLetters are those that German documents use: no vowels, and none that looks like a digit.
const deLetters = "0123456789CFGHJKLMNPRTVWXYZ"

func deDocument(id []byte, first string) verdict {
	n := 0
	for _, c := range id {
		if c < 'A' {
			n++
		}
	}
	if n < 4 || !has(first, id[0]) || !only(deLetters, id) {
		return never
	}
	return icao(id)
}

func dePassport(id []byte) verdict { return deDocument(id, "CFGHJK") }

func deIDCard(id []byte) verdict { return deDocument(id, "LMNPRTVWXY") }

// dePension: a district, the date of birth, an initial, a serial and a check digit (VKVV § 2). Days go on from 51 where numbers ran out.
func dePension(id []byte) verdict {
	var n [12]byte
	copy(n[:8], id)
	letter := id[8] - 'A' + 1
	n[8], n[9] = '0'+letter/10, '0'+letter%10
	copy(n[10:], id[9:11])
	day := num(id[2:4])
	if day > 50 {
		day -= 50
	}
	return oddUnless(dayOf(num(id[4:6]), day), is(crossSum(n[:], "212571212121")%10 == int(id[11]-'0')))
}

// deHealth: a letter as two digits, eight digits and a check digit (SGB V § 290).
func deHealth(id []byte) verdict {
	var n [10]byte
	letter := id[0] - 'A' + 1
	n[0], n[1] = '0'+letter/10, '0'+letter%10
	copy(n[2:], id[1:9])
	return is(crossSum(n[:], "1212121212")%10 == int(id[9]-'0'))
}

func deLANR(id []byte) verdict { return is(rest10(sum(id, "494949"), id[6])) }

func dePLZ(id []byte) verdict {
	code := id[len(id)-5:]
	if num(code) < 1001 || num(code) > 99998 {
		return odd
	}
	return plain
}

func dePlate(id []byte) verdict {
	i := 0
	for i < len(id) && id[i] >= 'A' {
		i++
	}
	return oddUnless(i < len(id) && id[i] != '0', plain)
}

func atSVNR(id []byte) verdict {
	n := sum(id, "379") + sum(id[4:], "584216")
	return oddUnless(id[0] != '0' && date(id[6:8], id[4:6]) || id[6] == '1' && id[7] > '2', is(n%11 == int(id[3]-'0')))
}

// chAHV: the prefix of Switzerland, and the check digit of an EAN-13.
func chAHV(id []byte) verdict {
	if string(id[:3]) != "756" {
		return never
	}
	return is(rest10(sum(id, "131313131313"), id[12]))
}

func chUID(id []byte) verdict { return is(rest11(sum(id[3:], "54327654"), id[11], 'X')) }

// frNIR: sex, year, month, department, municipality, serial, and the rest of it by 97. 2A and 2B of Corsica count as 19 and 18.
func frNIR(id []byte) verdict {
	var n [13]byte
	copy(n[:], id)
	if n[5] == '2' && (n[6] == 'A' || n[6] == 'B') {
		n[5], n[6] = '1', '9'-(n[6]-'A')
	}
	if !has("123478", n[0]) || !only("0123456789", n[:]) {
		return never
	}
	month := num(n[3:5])
	ok := month >= 1 && month <= 12 || month >= 20 && month <= 42 || month >= 50
	if len(id) == 13 {
		return oddUnless(ok, plain)
	}
	return oddUnless(ok, is(97-mod97(n[:]) == num(id[13:])))
}

func frSIREN(id []byte) verdict { return oddUnless(!same(id), is(luhn(id))) }

func frVAT(id []byte) verdict {
	if id[2] >= 'A' || id[3] >= 'A' {
		return is(luhn(id[4:]))
	}
	return is((12+3*mod97(id[4:]))%97 == num(id[2:4]))
}

func frTax(id []byte) verdict { return oddUnless(id[0] <= '3', is(num(id[:10])%511 == num(id[10:]))) }

// beNational: the date of birth, a serial, and what the rest by 97 lacks; a 2 stands before it for those born from 2000.
func beNational(id []byte) verdict {
	n, check := num(id[:9]), num(id[9:])
	month := num(id[2:4])
	for month > 12 && month <= 52 { // numbers of those who are not registered
		month -= 20
	}
	return oddUnless(month >= 0 && month <= 12 && num(id[4:6]) <= 31 && num(id[6:9]) != 0, is(97-n%97 == check || 97-(n+2_000_000_000)%97 == check))
}

func beVAT(id []byte) verdict {
	id = id[len(id)-10:]
	return oddUnless(id[0] <= '1', is(97-num(id[:8])%97 == num(id[8:])))
}

func nlBSN(id []byte) verdict {
	n := sum(id, "98765432") - int(id[8]-'0')
	return oddUnless(!same(id), is(n%11 == 0))
}

// nlVAT: of firms by the elevens test, of people by 97, with letters as numbers from 10.
func nlVAT(id []byte) verdict {
	if id[11] != 'B' {
		return never
	}
	n := 0
	for _, c := range id {
		if c >= 'A' {
			n = (n*100 + value(c)) % 97
		} else {
			n = (n*10 + value(c)) % 97
		}
	}
	return is(n == 1 || nlBSN(id[2:11]) == right)
}

func luNational(id []byte) verdict {
	return oddUnless(year(id[:4]) && date(id[4:6], id[6:8]), is(luhn(id[:12]) && verhoeffWith(id[:11], id[12])))
}

// verhoeffWith says whether the check digit is the number's.
func verhoeffWith(id []byte, check byte) bool {
	var n [16]byte
	k := copy(n[:], id)
	n[k] = check
	return verhoeff(n[:k+1])
}

// itOdd is what the characters at odd places count in a fiscal code: of A to Z; digits count as the first ten letters.
const itOdd = "\x01\x00\x05\x07\x09\x0d\x0f\x11\x13\x15\x02\x04\x12\x14\x0b\x03\x06\x08\x0c\x0e\x10\x0a\x16\x19\x18\x17"

// itFiscal: names, year, month as a letter, day, birthplace and a check letter; letters may stand for digits where two people had the same.
func itFiscal(id []byte) verdict {
	n := 0
	for i, c := range id[:15] {
		v := value(c)
		if c >= 'A' {
			v -= 10
		}
		if i&1 == 0 {
			v = int(itOdd[v])
		}
		n += v
	}
	for _, i := range [...]int{6, 7, 9, 10, 12, 13, 14} {
		if id[i] >= 'A' && !has("LMNPQRSTUV", id[i]) {
			return odd
		}
	}
	ok := has("ABCDEHLMPRST", id[8])
	if id[9] < 'A' && id[10] < 'A' {
		day := num(id[9:11])
		ok = ok && day >= 1 && day <= 71 && (day <= 31 || day > 40)
	}
	return oddUnless(ok, is(id[15] == 'A'+byte(n%26)))
}

func itVAT(id []byte) verdict {
	id = id[len(id)-11:]
	return oddUnless(!same(id), is(luhn(id)))
}

const esLetters = "TRWAGMYFPDXBNJZSQVHLCKE"

func esNIF(id []byte) verdict {
	n := len(id) - 1
	return oddUnless(num(id[:n]) != 0, is(id[n] == esLetters[num(id[:n])%23]))
}

func esNIE(id []byte) verdict {
	if id[0] < 'X' {
		return never
	}
	return is(id[8] == esLetters[(int(id[0]-'X')*10_000_000+num(id[1:8]))%23])
}

func esCIF(id []byte) verdict {
	if !has("ABCDEFGHJNPQRSUVW", id[0]) {
		return never
	}
	d := (10 - crossSum(id[1:8], "2121212")%10) % 10
	return is(int(id[8]) == '0'+d || id[8] == "JABCDEFGHI"[d])
}

func esNUSS(id []byte) verdict {
	n := num(id[:2])*100_000_000 + num(id[2:10])
	if id[2] == '0' {
		n = num(id[:2])*10_000_000 + num(id[3:10])
	}
	return oddUnless(num(id[:2]) >= 1 && num(id[:2]) <= 66, is(n%97 == num(id[10:])))
}

func ptNIF(id []byte) verdict {
	id = id[len(id)-9:]
	return oddUnless(id[0] != '0' && id[0] != '4' && !same(id), is(rest11(sum(id, "98765432"), id[8], '0')))
}

// ptCard: eight digits of the civil number with its check digit, two characters of the card's version, and a check digit over all.
func ptCard(id []byte) verdict {
	n := 0
	for i, c := range id {
		v := value(c)
		if i&1 == 0 {
			if v *= 2; v > 9 {
				v -= 9
			}
		}
		n += v
	}
	return is(n%10 == 0)
}

func grAFM(id []byte) verdict {
	n := 0
	for i, c := range id[:8] {
		n += int(c-'0') << (8 - i)
	}
	return oddUnless(!same(id), is(n%11%10 == int(id[8]-'0')))
}

func grAMKA(id []byte) verdict { return oddUnless(date(id[2:4], id[:2]), is(luhn(id))) }

func trNational(id []byte) verdict {
	oddSum, evenSum := 0, 0
	for i, c := range id[:9] {
		if i&1 == 0 {
			oddSum += int(c - '0')
		} else {
			evenSum += int(c - '0')
		}
	}
	tenth := (oddSum*7 - evenSum + 90) % 10
	return oddUnless(id[0] != '0', is(tenth == int(id[9]-'0') && (oddSum+evenSum+tenth)%10 == int(id[10]-'0')))
}

// trPlate: provinces 01 to 81; Q, W and X are not used.
func trPlate(id []byte) verdict {
	if n := num(id[:2]); n < 1 || n > 81 {
		return never
	}
	letters := 0
	for _, c := range id[2:] {
		if has("QWX", c) {
			return never
		}
		if c >= 'A' {
			letters++
		}
	}
	digits := len(id) - 2 - letters
	return oddUnless(letters == 1 && digits >= 4 || letters == 2 && digits >= 3 || letters == 3 && digits <= 3, plain)
}
