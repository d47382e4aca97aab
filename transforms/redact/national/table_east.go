// SPDX-License-Identifier: Apache-2.0

package national

const jmbgWords = "jmbg|matični broj|emšo|embg|jedinstveni matični broj|enotna matična številka"

var north = []Recogniser{
	{
		Type: "FI_PERSONAL_IDENTITY_CODE", Country: "FI", Name: "personal identity code", Shapes: "999999~999X|999999A999X", Words: idWords + "|henkilötunnus|hetu|personbeteckning|personal identity code|personnummer|sotu|sosiaaliturvatunnus",
		Form: 430, Gain: 430, check: fiPIC, Check: "date of birth; mod 31", Source: "Digital and Population Data Services Agency, law 661/2009",
	},
	{
		Type: "SE_PERSONNUMMER", Country: "SE", Name: "personal number", Shapes: "999999~9999|99999999~9999|9{10}|9{12}|999999 9999|99999999 9999", Words: idWords + "|personnummer|personnr|pnr|samordningsnummer|person nummer|swedish id",
		Form: 200, Grouped: 450, Gain: 260, check: sePerson, Check: "date of birth; Luhn", Source: "Skatteverket, folkbokföringslagen § 18",
	},
	{
		Type: "SE_ORGANISATIONSNUMMER", Country: "SE", Name: "organisation number", Shapes: "999999~9999|9{10}", Words: companyWords + "|organisationsnummer|orgnr|org nr|org nummer|bolagsverket|organization number|organisation number",
		Form: 170, Grouped: 350, Gain: 180, check: seOrganisation, Check: "third digit; Luhn", Source: "Bolagsverket, lag 1974:174",
	},
	{
		Type: "DK_CPR", Country: "DK", Name: "personal number", Shapes: "999999~9999|9{10}|999999 9999", Words: idWords + "|cpr|cpr nummer|cpr nr|personnummer|cprnr|cprnummer", Form: 200, Grouped: 440, Gain: 180, check: dkCPR,
		Check: "date of birth; mod 11 until 2007", Source: "CPR-kontoret",
	},
	{
		Type: "NO_FODSELSNUMMER", Country: "NO", Name: "birth number", Shapes: "9{11}|999999 99999|999999-99999", Words: idWords + "|fødselsnummer|fodselsnummer|personnummer|fnr|d nummer|fødselsnr", Form: 210, Grouped: 330, Gain: 430,
		check: noFodselsnummer, Check: "date of birth; two sums mod 11", Source: "Skatteetaten, folkeregisterforskriften § 2-2-1",
	},
	{
		Type: "IS_KENNITALA", Country: "IS", Name: "identity number", Shapes: "999999~9999|9{10}", Words: idWords + "|kennitala|kt|kennitölu", Form: 180, Grouped: 400, Gain: 200, check: isKennitala, Check: "date of birth; mod 11", Source: "Þjóðskrá",
	},
	{
		Type: "EE_ISIKUKOOD", Country: "EE", Name: "personal code", Shapes: "9{11}", Words: idWords + "|isikukood|ik", Form: 190, Gain: 330, check: baltic, Check: "date of birth; mod 11", Source: "Rahvastikuregister, EVS 585",
	},
	{
		Type: "LT_ASMENS_KODAS", Country: "LT", Name: "personal code", Shapes: "9{11}", Words: idWords + "|asmens kodas|a k|ak", Form: 188, Gain: 330, check: baltic, Check: "date of birth; mod 11", Source: "Gyventojų registras",
	},
	{
		Type: "LV_PERSONAS_KODS", Country: "LV", Name: "personal code", Shapes: "999999~99999|9{11}", Words: idWords + "|personas kods|p k|pk", Form: 160, Grouped: 400, Gain: 250, check: lvPerson, Check: "date of birth; mod 11", Source: "PMLP",
	},
}

var east = []Recogniser{
	{
		Type: "PL_PESEL", Country: "PL", Name: "personal number", Shapes: "9{11}", Words: idWords + "|pesel|numer pesel|nr pesel", Form: 230, Gain: 330, check: plPESEL, Check: "date of birth; weights 1 3 7 9, mod 10", Source: "Ustawa o ewidencji ludności, art. 15",
	},
	{
		Type: "PL_NIP", Country: "PL", Name: "tax number", Shapes: "999-999-99-99|999-99-99-999|9{10}", Words: taxWords + "|nip|numer nip|nr nip", Form: 170, Grouped: 400, Gain: 170, check: plNIP, Check: "mod 11", Source: "Ustawa o zasadach ewidencji podatników",
	},
	{
		Type: "PL_REGON", Country: "PL", Name: "business register number", Shapes: "9{9}|9{14}", Words: "regon|numer regon|nr regon", Form: 170, Gain: 120, check: plREGON, Check: "mod 11", Source: "GUS",
	},
	{
		Type: "PL_ID_CARD", Country: "PL", Name: "identity card", Shapes: "AAA9{6}|AAA 9{6}", Words: "dowód|dowód osobisty|dowodu osobistego|seria i numer|nr dowodu|id card|identity card", Form: 240, Gain: 130, check: plCard, Check: "weights 7 3 1", Source: "Ustawa o dowodach osobistych; ICAO Doc 9303",
	},
	{
		Type: "PL_PASSPORT", Country: "PL", Name: "passport", Shapes: "AA9{7}|AA 9{7}", Words: passportWords + "|paszport|paszportu|nr paszportu", Form: 220, Gain: 130, check: plPassport, Check: "weights 7 3 1", Source: "Ustawa o dokumentach paszportowych",
	},
	{
		Type: "CZ_RODNE_CISLO", Country: "CZ", Name: "birth number (also of Slovakia)", Shapes: "999999/9999|999999/999|9{10}|9{9}", Words: idWords + "|rodné číslo|rč|r č|rodne cislo|birth number|rodného čísla", Form: 190, Grouped: 600, Gain: 200,
		check: rodneCislo, Check: "date of birth; mod 11", Source: "Zákon 133/2000 Sb. § 13; zákon 301/1995 Z. z.",
	},
	{
		Type: "HU_TAJ", Country: "HU", Name: "social security number", Shapes: "999 999 999|9{9}|999-999-999", Words: socialWords + "|taj|taj szám|tajszám|társadalombiztosítási", Form: 170, Grouped: 300, Gain: 120, check: huTAJ, Check: "weights 3 7, mod 10", Source: "1996. évi XX. törvény",
	},
	{
		Type: "HU_TAX_ID", Country: "HU", Name: "tax identification of people", Shapes: "9{10}", Words: taxWords + "|adóazonosító|adóazonosító jel", Form: 160, Gain: 150, check: huTax, Check: "first digit 8; mod 11", Source: "1996. évi XX. törvény",
	},
	{
		Type: "RO_CNP", Country: "RO", Name: "personal numeric code", Shapes: "9{13}", Words: idWords + "|cnp|cod numeric personal|codul numeric", Form: 220, Gain: 350, check: roCNP, Check: "date of birth; mod 11", Source: "Legea 105/1996, DEPABD",
	},
	{
		Type: "BG_EGN", Country: "BG", Name: "unified civil number", Shapes: "9{10}", Words: idWords + "|егн|egn|единен граждански номер", Form: 190, Gain: 240, check: bgEGN, Check: "date of birth; mod 11", Source: "GRAO, Zakon za grazhdanskata registratsiya",
	},
	{
		Type: "HR_OIB", Country: "HR", Name: "personal identification number", Shapes: "9{11}", Words: idWords + "|oib|osobni identifikacijski broj", Form: 180, Gain: 150, check: hrOIB, Check: "ISO/IEC 7064 MOD 11,10", Source: "Zakon o osobnom identifikacijskom broju",
	},
	{
		Type: "SI_EMSO", Country: "SI", Name: "unique master number of citizens", Shapes: "9{13}", Words: idWords + "|" + jmbgWords, Form: 210, Gain: 350, check: jmbg, Check: "date of birth; mod 11", Source: "Zakon o centralnem registru prebivalstva",
	},
	{
		Type: "RS_JMBG", Country: "RS", Name: "unique master number of citizens (also of its neighbours)", Shapes: "9{13}", Words: idWords + "|" + jmbgWords + "|јмбг|матични број", Form: 209, Gain: 350, check: jmbg, Check: "date of birth; mod 11", Source: "Zakon o jedinstvenom matičnom broju građana",
	},
	{
		Type: "RU_INN", Country: "RU", Name: "taxpayer number", Shapes: "9{12}|9{10}", Words: taxWords + "|инн|inn|идентификационный номер", Form: 160, Gain: 180, check: ruINN, Check: "mod 11", Source: "ФНС, order ЕД-7-14/559@",
	},
	{
		Type: "RU_SNILS", Country: "RU", Name: "insurance number", Shapes: "999-999-999 99|999~999~999~99|9{11}|999 999 999 99", Words: socialWords + "|снилс|snils|страховой номер", Form: 180, Grouped: 600, Gain: 300, check: ruSNILS, Check: "mod 101", Source: "Social Fund of Russia, law 27-ФЗ",
	},
	{
		Type: "RU_PASSPORT", Country: "RU", Name: "passport", Shapes: "9999 999999|99 99 999999|9{10}|9{9}|99 9999999", Words: passportWords + "|паспорт|паспорта|паспорт серия|серия", Form: 150, Grouped: 300, check: ruPassport, Source: "Government decree 2267 of 2023",
	},
	{
		Type: "UA_RNOKPP", Country: "UA", Name: "taxpayer number", Shapes: "9{10}", Words: taxWords + "|рнокпп|іпн|ідентифікаційний код|ідентифікаційний номер|иин", Form: 160, Gain: 150, check: uaTax, Check: "mod 11", Source: "Tax Code of Ukraine, art. 70",
	},
	{
		Type: "KZ_IIN", Country: "KZ", Name: "individual identification number", Shapes: "9{12}", Words: idWords + "|иин|iin|жсн", Form: 190, Gain: 280, check: kzIIN, Check: "date of birth; mod 11", Source: "Law 223-III of 2007",
	},
}
