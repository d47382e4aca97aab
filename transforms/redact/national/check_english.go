// SPDX-License-Identifier: Apache-2.0

package national

// Rules of the United States, Canada, the United Kingdom, Ireland, Australia and New Zealand, South Africa and Nigeria.

// usSSN: no area 000, 666 or 900 to 999, no group 00, no serial 0000 (SSA).
func usSSN(id []byte) verdict {
	area := num(id[:3])
	if area >= 900 && itinGroup(id) || same(id) {
		return never
	}
	if area == 0 || area == 666 || area >= 900 || num(id[3:5]) == 0 || num(id[5:]) == 0 {
		return odd
	}
	return plain
}

func itinGroup(id []byte) bool {
	g := num(id[3:5])
	return g >= 50 && g <= 65 || g >= 70 && g <= 88 || g >= 90 && g <= 92 || g >= 94
}

// usITIN: area 900 to 999 and groups of the IRS's.
func usITIN(id []byte) verdict {
	if id[0] != '9' {
		return never
	}
	return oddUnless(itinGroup(id), plain)
}

func usEIN(id []byte) verdict {
	return oddUnless(!in("00,07,08,09,17,18,19,28,29,49,69,70,78,79,89,96,97", id[:2]), plain)
}

func abaRouting(id []byte) verdict {
	d := num(id[:2])
	return oddUnless((d <= 12 || d >= 21 && d <= 32 || d >= 61 && d <= 72 || d == 80) && !same(id), is(sum(id, "371371371")%10 == 0))
}

func usNPI(id []byte) verdict {
	var full [15]byte
	copy(full[:], "80840")
	copy(full[5:], id)
	return oddUnless(id[0] == '1' || id[0] == '2', is(luhn(full[:])))
}

// usMBI: a letter is none of S, L, O, I, B, Z (CMS).
func usMBI(id []byte) verdict {
	const letters = "ACDEFGHJKMNPQRTUVWXY"
	for _, i := range [...]int{1, 2, 4, 5, 7, 8} {
		if id[i] >= 'A' && !has(letters, id[i]) {
			return odd
		}
	}
	return oddUnless(id[0] != '0', plain)
}

// usDEA: the registrant's kind, an initial or 9, six digits and their check digit.
func usDEA(id []byte) verdict {
	if id[1] < '9' {
		return never
	}
	n := id[2:]
	return oddUnless(has("ABCDEFGHJKLMNPQRSTUX", id[0]), is(sum(n, "121212")%10 == int(n[6]-'0')))
}

func caSIN(id []byte) verdict {
	return oddUnless(!same(id) && id[0] != '8', is(luhn(id)))
}

// caPostal: D, F, I, O, Q and U are not used, and W and Z not first.
func caPostal(id []byte) verdict {
	const letters = "ABCEGHJKLMNPRSTVWXYZ"
	if !has(letters, id[0]) || id[0] == 'W' || id[0] == 'Z' || !has(letters, id[2]) || !has(letters, id[4]) {
		return never
	}
	return plain
}

func ukNHS(id []byte) verdict {
	return oddUnless(!same(id), is(rest11(sum(id, "A98765432"), id[9], 'X')))
}

// ukNINO: prefixes and suffixes that HMRC gives out.
func ukNINO(id []byte) verdict {
	ok := !has("DFIQUV", id[0]) && !has("DFIOQUV", id[1]) && !in("BG,GB,KN,NK,NT,TN,ZZ", id[:2]) && id[8] <= 'D'
	return oddUnless(ok, plain)
}

// postcodeAreas are those of Royal Mail.
const postcodeAreas = "AB,AL,BA,BB,BD,BF,BH,BL,BN,BR,BS,BT,BX,CA,CB,CF,CH,CM,CO,CR,CT,CV,CW,DA,DD,DE,DG,DH,DL,DN,DT,DY,EC,EH,EN,EX,FK,FY," +
	"GL,GU,GY,HA,HD,HG,HP,HR,HS,HU,HX,IG,IM,IP,IV,JE,KA,KT,KW,KY,LA,LD,LE,LL,LN,LS,LU,ME,MK,ML,NE,NG,NN,NP,NR,NW,OL,OX,PA,PE,PH,PL,PO,PR," +
	"RG,RH,RM,SA,SE,SG,SK,SL,SM,SN,SO,SP,SR,SS,ST,SW,SY,TA,TD,TF,TN,TQ,TR,TS,TW,UB,WA,WC,WD,WF,WN,WR,WS,WV,YO,ZE"

func ukPostcode(id []byte) verdict {
	in3 := id[len(id)-3:]
	if has("CIKMOV", in3[1]) || has("CIKMOV", in3[2]) {
		return never
	}
	if id[1] >= 'A' && !in(postcodeAreas, id[:2]) || id[1] < 'A' && !has("BEGLMNSW", id[0]) {
		return never
	}
	return plain
}

// ukPlate: the plates since 2001 tell the half year; I, Q and Z are not in their first two letters.
func ukPlate(id []byte) verdict {
	if len(id) != 7 || id[1] < 'A' || id[2] >= 'A' {
		return plain
	}
	age := num(id[2:4])
	return oddUnless((age >= 2 && age <= 39 || age >= 51 && age <= 89) && !has("IQZ", id[0]) && !has("IQZ", id[1]) && id[4] != 'I' && id[4] != 'Q', plain)
}

// ukDriver: five of the name, padded with nines, the date of birth turned about, initials, and three characters to tell namesakes apart (DVLA).
func ukDriver(id []byte) verdict {
	i := 0
	for i < 5 && id[i] >= 'A' {
		i++
	}
	if i == 0 || !only("9", id[i:5]) {
		return never
	}
	month := num(id[6:8])
	if month > 50 {
		month -= 50
	}
	return oddUnless(dayOf(month, num(id[8:10])) && (id[11] >= 'A' || id[11] == '9') && (id[12] >= 'A' || id[12] == '9'), plain)
}

func ukUTR(id []byte) verdict { return is(id[0] == "21987654321"[sum(id[1:], "6789A5432")%11]) }

func iePPSN(id []byte) verdict {
	n := sum(id, "8765432")
	if len(id) == 9 && !has("WTX", id[8]) { // those were marks, and do not count
		n += 9 * int(id[8]-'A'+1)
	}
	return is(id[7] == "WABCDEFGHIJKLMNOPQRSTUV"[n%23])
}

func auABN(id []byte) verdict {
	n := (int(id[0]-'0') - 1) * 10
	n += sum(id[1:], "13579BDFHJ")
	return oddUnless(id[0] != '0', is(n%89 == 0))
}

func auACN(id []byte) verdict { return oddUnless(!same(id), is(rest10(sum(id, "87654321"), id[8]))) }

func auTFN(id []byte) verdict { return oddUnless(!same(id), is(sum(id, "14375869A")%11 == 0)) }

func auMedicare(id []byte) verdict {
	return oddUnless(id[0] >= '2' && id[0] <= '6', is(sum(id, "13791379")%10 == int(id[8]-'0')))
}

func nzIRD(id []byte) verdict {
	base := id[:len(id)-1]
	weights, again := "32765432", "74325276"
	check := id[len(id)-1]
	if len(id) == 8 {
		weights, again = weights[1:], again[1:]
	}
	n := num(id)
	if n < 10_000_000 || n > 150_000_000 {
		return odd
	}
	if s := sum(base, weights) % 11; s != 1 {
		return is(rest11(s, check, 'X'))
	}
	return is(rest11(sum(base, again), check, 'X'))
}

// nzNHI: no I and no O; the old form ends in a digit, the new one in a letter (HISO 10046).
func nzNHI(id []byte) verdict {
	const letters = "ABCDEFGHJKLMNPQRSTUVWXYZ"
	n := 0
	for i, c := range id[:6] {
		v := int(c - '0')
		if c >= 'A' {
			if v = index(letters, c) + 1; v == 0 {
				return odd
			}
		}
		n += v * (7 - i)
	}
	if id[6] < 'A' {
		return oddUnless(n%11 != 0, is((11-n%11)%10 == int(id[6]-'0')))
	}
	return is(letters[22-n%23] == id[6])
}

// index is where the set has the character, or -1.
func index(set string, c byte) int {
	for i := range len(set) {
		if set[i] == c {
			return i
		}
	}
	return -1
}

func zaID(id []byte) verdict {
	return oddUnless(date(id[2:4], id[4:6]) && id[10] <= '2', is(luhn(id)))
}

func zaVAT(id []byte) verdict { return oddUnless(id[0] == '4', plain) }

func zaTax(id []byte) verdict { return oddUnless(has("01239", id[0]), is(luhn(id))) }

func zaCompany(id []byte) verdict {
	if id[0] >= 'A' {
		return plain
	}
	return oddUnless(year(id[:4]), plain)
}

func zaPlate(id []byte) verdict {
	last := id[len(id)-2:]
	if last[1] < 'A' { // CA 123-456
		return oddUnless(id[0] == 'C' || id[0] == 'N', plain)
	}
	if !in("GP,ZN,WP,EC,NC,FS,LP,MP,NW", last) {
		return never
	}
	return plain
}

func zaPassport(id []byte) verdict { return oddUnless(has("ADMT", id[0]), plain) }

func verhoeffSum(id []byte) verdict { return is(verhoeff(id)) }

func phTIN(id []byte) verdict {
	return oddUnless(!same(id), is(sum(id, "98765432")%11 == int(id[8]-'0')))
}
