// SPDX-License-Identifier: Apache-2.0

package national

// Rules of the Nordic and Baltic countries, and of central and eastern Europe.

const fiCheck = "0123456789ABCDEFHJKLMNPRSTUVWXY"

// fiPIC: date of birth, a sign for the century, a serial and a check character. The sign may be a dash, which is no character here.
func fiPIC(id []byte) verdict {
	if len(id) == 11 {
		if !has("ABCDEFUVWXY", id[6]) {
			return never
		}
	}
	serial := id[len(id)-4 : len(id)-1]
	if !only("0123456789", serial) {
		return never
	}
	n := num(id[:6])*1000 + num(serial)
	return oddUnless(date(id[2:4], id[:2]), is(id[len(id)-1] == fiCheck[n%31]))
}

// sePerson: date of birth, with the day moved by 60 in coordination numbers, a serial and a Luhn digit.
func sePerson(id []byte) verdict {
	short := id[len(id)-10:]
	day := num(short[4:6])
	if day > 60 {
		day -= 60
	}
	ok := dayOf(num(short[2:4]), day)
	if len(id) == 12 {
		ok = ok && year(id[:4])
	}
	return oddUnless(ok, is(luhn(short)))
}

// seOrganisation: what would be the month is 20 or more, so that it is no person's.
func seOrganisation(id []byte) verdict {
	if num(id[2:4]) < 20 {
		return never
	}
	return is(luhn(id))
}

// dkCPR: the weighted sum holds only for numbers up to 2007.
func dkCPR(id []byte) verdict {
	v := plain
	if sum(id, "4327654321")%11 == 0 {
		v = right
	}
	return oddUnless(date(id[2:4], id[:2]), v)
}

// noFodselsnummer: D-numbers have 40 added to the day, synthetic ones 40 or 80 to the month.
func noFodselsnummer(id []byte) verdict {
	day, month := num(id[:2]), num(id[2:4])%40
	if day > 40 {
		day -= 40
	}
	return oddUnless(dayOf(month, day), is(sum(id, "3761894521")%11 == 0 && sum(id, "54327654321")%11 == 0))
}

func isKennitala(id []byte) verdict {
	day := num(id[:2])
	if day > 40 {
		day -= 40
	}
	return oddUnless(dayOf(num(id[2:4]), day) && (id[9] == '9' || id[9] == '0' || id[9] == '8'), is(rest11(sum(id, "32765432"), id[8], 'X')))
}

// baltic is Estonia's and Lithuania's: century and sex, date of birth, serial, a sum that is made anew where it gives 10.
func baltic(id []byte) verdict {
	n := sum(id, "1234567891") % 11
	if n == 10 {
		n = sum(id, "3456789123") % 11 % 10
	}
	return oddUnless(id[0] >= '1' && id[0] <= '8' && date(id[3:5], id[5:7]), is(n == int(id[10]-'0')))
}

// lvPerson: those given since 2017 begin with 32 and tell nothing.
func lvPerson(id []byte) verdict {
	if id[0] == '3' && id[1] >= '2' {
		return plain
	}
	n := (1101 - sum(id, "16379A5842")) % 11 % 10
	return oddUnless(date(id[2:4], id[:2]) && id[6] <= '2', is(n == int(id[10]-'0')))
}

// plPESEL: the month tells the century.
func plPESEL(id []byte) verdict {
	return oddUnless(dayOf(num(id[2:4])%20, num(id[4:6])), is(rest10(sum(id, "1379137913"), id[10])))
}

func plNIP(id []byte) verdict {
	id = id[len(id)-10:]
	return oddUnless(!same(id), is(sum(id, "657234567")%11 == int(id[9]-'0')))
}

func plREGON(id []byte) verdict {
	return oddUnless(!same(id), is(sum(id, "89234567")%11%10 == int(id[8]-'0')))
}

func plCard(id []byte) verdict {
	return is((sum(id[:3], "731")+sum(id[4:], "73173"))%10 == int(id[3]-'0'))
}

func plPassport(id []byte) verdict {
	return is((sum(id[:2], "73")+sum(id[3:], "173173"))%10 == int(id[2]-'0'))
}

// rodneCislo: women have 50 added to the month, and 20 where numbers ran out. Those of nine digits are from before 1954.
func rodneCislo(id []byte) verdict {
	month := num(id[2:4])
	if month > 50 {
		month -= 50
	}
	if month > 20 {
		month -= 20
	}
	v := plain
	if len(id) == 10 {
		n := num(id[:9]) % 11
		v = is(num(id)%11 == 0 || n == 10 && id[9] == '0')
	}
	return oddUnless(dayOf(month, num(id[4:6])), v)
}

func huTAJ(id []byte) verdict {
	return oddUnless(!same(id), is(sum(id, "37373737")%10 == int(id[8]-'0')))
}

func huTax(id []byte) verdict {
	return oddUnless(id[0] == '8', is(sum(id, "123456789")%11 == int(id[9]-'0')))
}

func roCNP(id []byte) verdict {
	n := sum(id, "279146358279") % 11
	if n == 10 {
		n = 1
	}
	return oddUnless(id[0] != '0' && date(id[3:5], id[5:7]), is(n == int(id[12]-'0')))
}

// bgEGN: the month has 20 added for the 1800s and 40 for the 2000s.
func bgEGN(id []byte) verdict {
	month := num(id[2:4])
	for month > 20 {
		month -= 20
	}
	return oddUnless(dayOf(month, num(id[4:6])), is(sum(id, "2485A9736")%11%10 == int(id[9]-'0')))
}

// jmbg is that of Yugoslavia, still in use in Serbia and its neighbours, and Slovenia's EMŠO.
func jmbg(id []byte) verdict {
	return oddUnless(date(id[2:4], id[:2]) && (id[4] == '9' || id[4] == '0'), is(rest11(sum(id, "765432765432"), id[12], '0')))
}

func hrOIB(id []byte) verdict { return oddUnless(!same(id), is(mod11x10(id))) }

// ruINN: of people 12 digits, of firms 10.
func ruINN(id []byte) verdict {
	if len(id) == 10 {
		return is(sum(id, "24A359468")%11%10 == int(id[9]-'0'))
	}
	return is(sum(id, "724A359468")%11%10 == int(id[10]-'0') && sum(id, "3724A359468")%11%10 == int(id[11]-'0'))
}

func ruSNILS(id []byte) verdict {
	n := sum(id, "987654321") % 101 % 100
	return oddUnless(!same(id), is(n == num(id[9:])))
}

func ruPassport(id []byte) verdict {
	return oddUnless(num(id[:2]) >= 1 && num(id[:2]) <= 99 && !same(id), plain)
}

func uaTax(id []byte) verdict {
	// The weights are -1, 5, 7, 9, 4, 6, 10, 5, 7; -1 is 10 by 11.
	return is(sum(id, "A57946A57")%11%10 == int(id[9]-'0'))
}

func kzIIN(id []byte) verdict {
	n := sum(id, "123456789AB") % 11
	if n == 10 {
		n = sum(id, "3456789AB12") % 11
	}
	return oddUnless(date(id[2:4], id[4:6]) && id[6] <= '6', is(n == int(id[11]-'0')))
}
