// SPDX-License-Identifier: Apache-2.0

package national

// Rules of Asia and of Arab countries.

func inPAN(id []byte) verdict { return oddUnless(has("ABCFGHJLPTK", id[3]), plain) }

func inAadhaar(id []byte) verdict { return oddUnless(id[0] >= '2', is(verhoeff(id))) }

// inStates are the codes of states that plates begin with.
const inStates = "AN,AP,AR,AS,BH,BR,CG,CH,DD,DL,DN,GA,GJ,HP,HR,JH,JK,KA,KL,LA,LD,MH,ML,MN,MP,MZ,NL,OD,OR,PB,PY,RJ,SK,TN,TR,TS,TG,UA,UK,UP,WB"

func inPlate(id []byte) verdict {
	if id[0] < 'A' { // 22 BH 1234 AA
		return oddUnless(in("BH", id[2:4]), plain)
	}
	if !in(inStates, id[:2]) {
		return never
	}
	return plain
}

func inPassport(id []byte) verdict { return oddUnless(!has("QXZ", id[0]) && id[1] != '0', plain) }

// inGSTIN: a state, a PAN, an entity's number, and a check character over all by a Luhn sum of base 36.
func inGSTIN(id []byte) verdict {
	n := 0
	for i, c := range id[:14] {
		p := value(c) * (1 + i&1)
		n += p/36 + p%36
	}
	state := num(id[:2])
	return oddUnless(state >= 1 && state <= 38 || state == 97 || state == 99, is(value(id[14]) == (36-n%36)%36))
}

func krRRN(id []byte) verdict {
	return krResident(id, has("12340", id[6]) || id[6] == '9')
}

func krFRN(id []byte) verdict { return krResident(id, has("5678", id[6])) }

// krResident: the sum holds only for numbers up to October 2020; those of foreigners are 2 more.
func krResident(id []byte, ours bool) verdict {
	if !ours {
		return never
	}
	d := 11 - sum(id, "234567892345")%11
	if has("5678", id[6]) {
		d += 2
	}
	v := plain
	if d%10 == int(id[12]-'0') {
		v = right
	}
	return oddUnless(date(id[2:4], id[4:6]), v)
}

func krBRN(id []byte) verdict {
	n := sum(id, "137137135") + int(id[8]-'0')*5/10
	return is(rest10(n, id[9]))
}

func krLicence(id []byte) verdict {
	region := num(id[:2])
	return oddUnless(region >= 11 && region <= 28, plain)
}

func krPassport(id []byte) verdict { return oddUnless(has("MSROD", id[0]), plain) }

func thTNIN(id []byte) verdict {
	return oddUnless(id[0] >= '1' && id[0] <= '8', is((11-sum(id, "DCBA98765432")%11)%10 == int(id[12]-'0')))
}

// sgNRIC: S and T of citizens, F, G and M of foreigners.
func sgNRIC(id []byte) verdict {
	n := sum(id[1:], "2765432")
	letters := "JZIHGFEDCBA"
	switch id[0] {
	case 'S':
	case 'T':
		n += 4
	case 'F':
		letters = "XWUTRQPNMLK"
	case 'G':
		n += 4
		letters = "XWUTRQPNMLK"
	case 'M':
		n += 3
		letters = "KLJNPQRTUWX"
		return is(id[8] == letters[10-n%11])
	default:
		return never
	}
	return is(id[8] == letters[n%11])
}

// sgUEN: of businesses nine characters, of local companies ten that begin with a year, of others ten that begin with T, S or R.
func sgUEN(id []byte) verdict {
	switch {
	case len(id) == 9:
		return is(id[8] == "XMKECAWLJDB"[sum(id, "A4938271")%11])
	case id[0] < 'A':
		return oddUnless(year(id[:4]), is(id[9] == "ZKCMDNERGWH"[sum(id, "A86497531")%11]))
	}
	const alphabet = "ABCDEFGHJKLMNPQRSTUVWX0123456789"
	n := 0
	for i, w := range [...]int{4, 3, 5, 3, 10, 2, 2, 5, 7} {
		n += w * max(index(alphabet, id[i]), 0)
	}
	return oddUnless(has("TSR", id[0]), is(id[9] == alphabet[(n+11-5)%11]))
}

// cnResident: six digits of a place, date of birth, serial, and ISO/IEC 7064 MOD 11-2.
func cnResident(id []byte) verdict {
	if !only("0123456789", id[:17]) || id[17] != 'X' && id[17] >= 'A' {
		return never
	}
	province := num(id[:2])
	ok := province >= 11 && province <= 91 && year(id[6:10]) && date(id[10:12], id[12:14])
	return oddUnless(ok, is(id[17] == "10X98765432"[sum(id, "79A584216379A5842")%11]))
}

func hkID(id []byte) verdict {
	n := 0
	letters := id
	if id[1] >= 'A' {
		n = value(id[0]) * 9
		letters = id[1:]
	} else {
		n = 36 * 9
	}
	n += sum(letters, "8765432")
	c := letters[7]
	if c >= 'A' && c != 'A' {
		return never
	}
	return is((n+value(c))%11 == 0)
}

// twLetters are what the letters of Taiwanese numbers count, from 10 on, in the order of A to Z.
const twLetters = "\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x22\x12\x13\x14\x15\x16\x23\x17\x18\x19\x1a\x1b\x1c\x1d\x20\x1e\x1f\x21"

func twID(id []byte) verdict {
	p := int(twLetters[id[0]-'A'])
	n := p/10 + p%10*9
	if id[1] >= 'A' { // of foreigners before 2021
		n += int(twLetters[id[1]-'A']) % 10 * 8
	} else {
		n += int(id[1]-'0') * 8
	}
	n += sum(id[2:], "7654321")
	return oddUnless(id[1] >= 'A' && id[1] <= 'D' || has("1289", id[1]), is(rest10(n, id[9])))
}

func jpMyNumber(id []byte) verdict {
	n := 11 - sum(id, "65432765432")%11
	if n > 9 {
		n = 0
	}
	return oddUnless(!same(id), is(n == int(id[11]-'0')))
}

// idNIK: the day has 40 added for women.
func idNIK(id []byte) verdict {
	day := num(id[6:8])
	if day > 40 {
		day -= 40
	}
	ok := num(id[:2]) >= 11 && num(id[:2]) <= 97 && dayOf(num(id[8:10]), day) && num(id[12:]) != 0
	if !ok {
		return odd
	}
	return plain
}

func myNRIC(id []byte) verdict {
	return oddUnless(date(id[2:4], id[4:6]) && num(id[6:8]) != 0, plain)
}

func pkCNIC(id []byte) verdict { return oddUnless(id[0] >= '1' && id[0] <= '8', plain) }

func lkNIC(id []byte) verdict {
	day := 0
	if len(id) == 12 {
		if !year(id[:4]) {
			return odd
		}
		day = num(id[4:7])
	} else {
		if !has("VX", id[9]) {
			return never
		}
		day = num(id[2:5])
	}
	if day > 500 {
		day -= 500
	}
	return oddUnless(day >= 1 && day <= 366, plain)
}

func vnCCCD(id []byte) verdict { return oddUnless(num(id[:3]) >= 1 && num(id[:3]) <= 96, plain) }

func ilID(id []byte) verdict { return oddUnless(!same(id), is(luhn(id))) }

func egNational(id []byte) verdict {
	return oddUnless((id[0] == '2' || id[0] == '3') && date(id[3:5], id[5:7]), is((11-sum(id, "2765432765432")%11)%10 == int(id[13]-'0')))
}

func saNational(id []byte) verdict { return oddUnless(id[0] == '1' || id[0] == '2', is(luhn(id))) }

func aeID(id []byte) verdict {
	if string(id[:3]) != "784" {
		return never
	}
	return oddUnless(year(id[3:7]), is(luhn(id)))
}

func kwCivil(id []byte) verdict {
	return oddUnless(id[0] >= '1' && id[0] <= '4' && date(id[3:5], id[5:7]), is(rest11(sum(id, "216379A5842"), id[11], 'X')))
}
