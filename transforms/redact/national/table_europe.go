// SPDX-License-Identifier: Apache-2.0

package national

// Words of more than one country of Europe.
const (
	deDriver  = "führerschein|fuehrerschein|führerscheinnummer|führerscheinnr|fahrerlaubnis|lenkerberechtigung"
	frDriver  = "permis de conduire|permis"
	esID      = "documento nacional de identidad|documento de identidad|documento|identificación|identidad|cédula|cedula de identidad"
	ptTax     = "número de identificação fiscal|contribuinte|número de contribuinte"
	dePlace   = "kennzeichen|kfz|autokennzeichen|nummernschild|kfz kennzeichen|amtliches kennzeichen|fahrzeug"
	deVATWord = "ust idnr|ust id|umsatzsteuer|umsatzsteuer id|ustid|ustidnr|mwst|umsatzsteueridentifikationsnummer|uid"
	frVATWord = "tva|numéro de tva|tva intracommunautaire|btw|btw nummer"
)

var europe = []Recogniser{
	{
		Type: "DE_TAX_ID", Country: "DE", Name: "tax identification number", Shapes: "9{11}|99 999 999 999|99/999/999/999",
		Words: taxWords + "|steuer id|steueridentifikationsnummer|steuer idnr|steueridnr|steuernummer|identifikationsnummer|idnr|steuerliche identifikationsnummer|tin|steuer identifikationsnummer",
		Form:  200, Grouped: 350, Gain: 330, check: deTaxID, Check: "one digit twice or three times; ISO/IEC 7064 MOD 11,10", Source: "Bundeszentralamt für Steuern, AO § 139b",
	},
	{
		Type: "DE_TAX_NUMBER", Country: "DE", Name: "tax number", Shapes: "999/999/99999|99/999/99999|999/9999/9999|999 999 99999|99 999 99999|9{10,11}|9{13}",
		Words: "steuernummer|steuernr|st nr|stnr|steuer nr|finanzamt|elster|tax number", Form: 150, Grouped: 450, check: deTaxNumber, Check: "states' numbers", Source: "AO § 139a; ELSTER",
	},
	{
		Type: "DE_PASSPORT", Country: "DE", Name: "passport", Shapes: "AXXXXXXXX|AXXXXXXXX9", Words: passportWords + "|reisepass|reisepassnummer|pass|passnummer|reisepass nr|pass nr",
		Form: 260, Gain: 200, check: dePassport, Check: "letters in use; ICAO 7 3 1", Source: "PassG § 4; ICAO Doc 9303",
	},
	{
		Type: "DE_ID_CARD", Country: "DE", Name: "identity card", Shapes: "AXXXXXXXX|AXXXXXXXX9",
		Words: "personalausweis|personalausweisnummer|ausweis|ausweisnummer|id card|identity card|perso|personalausweis nr|ausweis nr|id number|ausweisnr",
		Form:  260, Gain: 200, check: deIDCard, Check: "letters in use; ICAO 7 3 1", Source: "PAuswG; ICAO Doc 9303",
	},
	{
		Type: "DE_SOCIAL_SECURITY", Country: "DE", Name: "pension insurance number", Shapes: "99999999A999|99 999999 A 999|99 999999 A999|99-999999-A-999|99999999 A 999",
		Words: socialWords + "|rentenversicherung|rentenversicherungsnummer|sozialversicherungsnummer|sv nummer|versicherungsnummer|rvnr|sozialversicherung|svnr|rv nummer",
		Form:  400, Grouped: 520, Gain: 300, check: dePension, Check: "date of birth; weighted cross sum mod 10", Source: "VKVV § 2; SGB VI § 147",
	},
	{
		Type: "DE_HEALTH_INSURANCE", Country: "DE", Name: "health insurance number", Shapes: "A9{9}|A999 999 999",
		Words: healthWords + "|krankenversicherung|krankenversichertennummer|krankenversicherungsnummer|krankenkasse|versichertennummer|kvnr|gesundheitskarte|egk|versicherungsnummer",
		Form:  240, Gain: 210, check: deHealth, Check: "cross sum mod 10", Source: "SGB V § 290, GKV-Spitzenverband",
	},
	{
		Type: "DE_VAT_ID", Country: "DE", Name: "VAT number", Shapes: "de9{9}|de 999 999 999|de 9{9}|de999 999 999", Words: vatWords + "|" + deVATWord, Form: 520, Gain: 330, check: deVAT,
		Check: "ISO/IEC 7064 MOD 11,10", Source: "UStG § 27a",
	},
	{
		Type: "DE_KFZ", Country: "DE", Name: "vehicle plate", Shapes: "A{1,3}~A{1,2} 9{1,4}|A{1,3}~A{1,2}9{2,4}|A{1,3}~A{1,2} 9{1,4}A|A{1,3}~A{1,2}~9{1,4}|A{1,3} A{1,2}~9{2,4}",
		Words: plateWords + "|" + dePlace, Form: 200, Grouped: 430, check: dePlate, Check: "no leading 0", Source: "FZV § 8",
	},
	{
		Type: "DE_KFZ", Country: "DE", Name: "vehicle plate, with spaces only", Shapes: "A{1,3} A{1,2} 9{1,4}", Words: "license plate|licence plate|number plate|plate number|" + dePlace,
		Form: 130, check: dePlate, Check: "no leading 0", Source: "FZV § 8",
	},
	{
		Type: "DE_HANDELSREGISTER", Country: "DE", Name: "commercial register number", Shapes: "hra 9{1,6}|hrb 9{1,6}|hra9{2,6}|hrb9{2,6}|hrb 9{3,6} A{1,2}",
		Words: "handelsregister|registergericht|amtsgericht|handelsregisternummer|commercial register|register", Form: 650, Source: "HGB § 9; HRV",
	},
	{
		Type: "DE_PLZ", Country: "DE", Name: "postal code", Shapes: "9{5}|d~9{5}|d 9{5}", Words: "plz|postleitzahl|postleitzahlen|wohnort|postanschrift", Form: 100, Grouped: 420,
		check: dePLZ, Check: "range", Source: "Deutsche Post",
	},
	{
		Type: "DE_LANR", Country: "DE", Name: "physician number", Shapes: "9{9}", Words: "lanr|arztnummer|lebenslange arztnummer|betriebsarzt|arzt nr", Form: 100, Gain: 120, check: deLANR,
		Check: "weights 4 9, mod 10", Source: "KBV, Arztnummern-Richtlinie, SGB V § 75",
	},
	{
		Type: "DE_BSNR", Country: "DE", Name: "medical practice number", Shapes: "9{9}", Words: "bsnr|betriebsstättennummer|betriebsstätte|nbsnr", Form: 110, Source: "KBV, SGB V § 75",
	},
	{
		Type: "DE_FUEHRERSCHEIN", Country: "DE", Name: "driving licence", Shapes: "A999XXXXXX9|AA9{8}X|A999XXXXX99", Words: driverWords + "|" + deDriver, Form: 180, Source: "FeV, annex 8; Directive 2006/126/EC",
	},
	{
		Type: "AT_SVNR", Country: "AT", Name: "social insurance number", Shapes: "9999 999999|9{10}|9999-999999|9999/999999",
		Words: socialWords + "|sozialversicherungsnummer|svnr|sv nummer|versicherungsnummer|sozialversicherung|svn", Form: 180, Grouped: 320, Gain: 250, check: atSVNR,
		Check: "date of birth; mod 11", Source: "ASVG § 30c, Dachverband der Sozialversicherungsträger",
	},
	{
		Type: "CH_AHV", Country: "CH", Name: "social insurance number", Shapes: "999.9999.9999.99|9{13}|999 9999 9999 99|999-9999-9999-99",
		Words: socialWords + "|ahv|ahv nummer|ahv nr|avs|numéro avs|sozialversicherungsnummer|nss|versichertennummer", Form: 520, Grouped: 800, Gain: 180, check: chAHV,
		Check: "prefix 756; EAN-13", Source: "AHVG art. 50c, Central Compensation Office",
	},
	{
		Type: "CH_UID", Country: "CH", Name: "enterprise number", Shapes: "che~999.999.999|che9{9}|che 999.999.999|che~9{9}|che 999 999 999", Words: companyWords + "|uid|ide|mwst|tva|handelsregister",
		Form: 650, Gain: 200, check: chUID, Check: "mod 11", Source: "UIDG, Federal Statistical Office",
	},
	{
		Type: "FR_NIR", Country: "FR", Name: "social security number",
		Shapes: "99999X9{9}|9 99 99 9X 999 999 99|9 99 99 9X 999 999|9-99-99-9X-999-999-99|999999X9{8}|999999X999999|9.99.99.9X.999.999.99|9 99 99 9X 999 999/99",
		Words:  socialWords + "|sécurité sociale|numéro de sécurité sociale|nir|n sécu|insee|numéro insee|sécu|carte vitale|nss|ssn", Form: 270, Grouped: 700, Gain: 350, check: frNIR,
		Check: "month; 97 less the rest by 97", Source: "INSEE, décret 82-103",
	},
	{
		Type: "FR_TAX_ID", Country: "FR", Name: "tax number", Shapes: "9{13}|99 99 999 999 999", Words: taxWords + "|numéro fiscal|spi|numéro spi|référence fiscale|impôts|identifiant fiscal", Form: 150,
		Grouped: 350, Gain: 300, check: frTax, Check: "rest by 511", Source: "Direction générale des finances publiques",
	},
	{
		Type: "FR_PASSPORT", Country: "FR", Name: "passport", Shapes: "99AA99999", Words: passportWords + "|passeport|numéro de passeport", Form: 300, Source: "Ministère de l'Intérieur; ICAO Doc 9303",
	},
	{
		Type: "FR_ID_CARD", Country: "FR", Name: "identity card", Shapes: "9{12}|99999X999999|AXXXXX999", Words: "carte d'identité|carte nationale d'identité|cni|pièce d'identité|id card|identity card",
		Form: 110, Source: "Ministère de l'Intérieur; ICAO Doc 9303",
	},
	{
		Type: "FR_DRIVER_LICENSE", Country: "FR", Name: "driving licence", Shapes: "9{12}|99AA99999|99 99 99 999999", Words: driverWords + "|" + frDriver, Form: 110, Source: "Code de la route; Directive 2006/126/EC",
	},
	{
		Type: "FR_SIREN", Country: "FR", Name: "enterprise number", Shapes: "999 999 999|9{9}|9{14}|999 999 999 99999", Words: "siren|siret|numéro siren|numéro siret|rcs|kbis", Form: 180, Grouped: 300, Gain: 120,
		check: frSIREN, Check: "Luhn", Source: "INSEE, Code de commerce R123-221",
	},
	{
		Type: "FR_VAT", Country: "FR", Name: "VAT number", Shapes: "frXX9{9}|frXX 9{9}|fr XX 9{9}|fr XX 999 999 999|frXX 999 999 999", Words: vatWords + "|" + frVATWord, Form: 480, Gain: 350, check: frVAT, Check: "rest by 97; Luhn",
		Source: "Code général des impôts 286 ter",
	},
	{
		Type: "FR_VEHICLE_REGISTRATION", Country: "FR", Name: "vehicle plate", Shapes: "AA~999~AA|AA 999 AA", Words: plateWords + "|plaque|immatriculation|plaque d'immatriculation|véhicule", Grouped: 480, Form: 300,
		Source: "Arrêté du 9 février 2009 (SIV); the same in Italy",
	},
	{
		Type: "BE_NATIONAL_NUMBER", Country: "BE", Name: "national register number", Shapes: "99.99.99~999.99|9{11}|99.99.99.999.99|999999-999-99|99 99 99 999 99|99.99.99 999.99|999999-99999|99/99/99-999/99|999999 999 99",
		Words: idWords + "|rijksregisternummer|rijksregister|registre national|numéro national|numéro de registre national|insz|niss|rrn|nationaal nummer", Form: 220, Grouped: 640, Gain: 350,
		check: beNational, Check: "date of birth; 97 less the rest by 97", Source: "Arrêté royal du 3 avril 1984",
	},
	{
		Type: "BE_VAT", Country: "BE", Name: "enterprise number", Shapes: "be9{10}|be 9999.999.999|9999.999.999|be 9{10}|be9999.999.999|be 9999 999 999", Words: vatWords + "|" + companyWords + "|" + frVATWord + "|ondernemingsnummer|kbo|bce|numéro d'entreprise",
		Form: 350, Grouped: 400, Gain: 330, check: beVAT, Check: "97 less the rest by 97", Source: "Banque-Carrefour des Entreprises",
	},
	{
		Type: "NL_BSN", Country: "NL", Name: "citizen service number", Shapes: "9{9}|9999.99.999|999 999 999|9999 99 999|999.999.999",
		Words: "bsn|burgerservicenummer|burger service nummer|sofinummer|sofi nummer|citizen service number|sofi|bsn nummer|bsn number|persoonsnummer", Form: 210, Grouped: 300, Gain: 130, check: nlBSN,
		Check: "elevens test", Source: "Wet algemene bepalingen burgerservicenummer",
	},
	{
		Type: "NL_VAT", Country: "NL", Name: "VAT number", Shapes: "nl9{9}A99|nl 9{9}A99|nl 9{9} A99|nl999999999.A99|nl9999.99.999.A99", Words: vatWords + "|btw|btw id|btw nummer", Form: 600, Gain: 250, check: nlVAT, Check: "mod 97, or elevens test",
		Source: "Belastingdienst",
	},
	{
		Type: "NL_PASSPORT", Country: "NL", Name: "passport or identity card", Shapes: "AAXXXXXX9", Words: passportWords + "|paspoort|paspoortnummer|identiteitskaart|id kaart|documentnummer|id card", Form: 140,
		Source: "RvIG; ICAO Doc 9303",
	},
	{
		Type: "LU_MATRICULE", Country: "LU", Name: "national identification number", Shapes: "9{13}|99999999 999 99|9999 99 99 999 99", Words: idWords + "|matricule|numéro de matricule|sozialversicherungsnummer", Form: 180, Grouped: 350,
		Gain: 400, check: luNational, Check: "date of birth; Luhn and Verhoeff", Source: "Loi du 19 juin 2013",
	},
	{
		Type: "IT_FISCAL_CODE", Country: "IT", Name: "fiscal code", Shapes: "AAAAAAXXAXXAXXXA|AAA AAA XXAXX AXXXA",
		Words: taxWords + "|codice fiscale|cod fisc|c f|cf|fiscal code|tax code", Form: 600, Gain: 350, check: itFiscal, Check: "month letter and day; mod 26", Source: "D.M. 23 dicembre 1976",
	},
	{
		Type: "IT_DRIVER_LICENSE", Country: "IT", Name: "driving licence", Shapes: "AA9{7}A|u9AXXXXXXA|u9XXXXXXXA|AA 9{7}A", Words: driverWords + "|patente|patente di guida|numero patente|patente guida", Form: 290, Source: "Motorizzazione civile",
	},
	{
		Type: "IT_VAT_CODE", Country: "IT", Name: "VAT code", Shapes: "9{11}", Words: vatWords + "|partita iva|p iva|piva|iva|codice iva", Form: 170, Gain: 150, check: itVAT, Check: "Luhn",
		Source: "D.P.R. 633/1972, Agenzia delle Entrate",
	},
	{
		Type: "IT_VAT_CODE", Country: "IT", Name: "VAT code with the country's", Shapes: "it9{11}|it 9{11}", Words: vatWords + "|partita iva|p iva|piva|iva|codice iva|codice fiscale", Form: 520, Gain: 330, check: itVAT,
		Check: "Luhn", Source: "D.P.R. 633/1972, Agenzia delle Entrate",
	},
	{
		Type: "IT_PASSPORT", Country: "IT", Name: "passport", Shapes: "AA9{7}", Words: passportWords + "|passaporto|numero passaporto", Form: 220, Source: "Ministero degli Affari Esteri; ICAO Doc 9303",
	},
	{
		Type: "IT_IDENTITY_CARD", Country: "IT", Name: "identity card", Shapes: "AA99999AA|AA9{7}|9{7}AA|AA 9{7}|9999999 AA", Words: "carta d'identità|carta identità|carta di identità|documento|documento d'identità|cie|identity card|id card|identità elettronica",
		Form: 240, Source: "D.M. 23 dicembre 2015; ICAO Doc 9303",
	},
	{
		Type: "ES_NIF", Country: "ES", Name: "identity and tax number", Shapes: "9{8}A|9{8}-A|99.999.999~A|99.999.999A|9{7}A|9{7}~A|99 999 999 A|9.999.999~A",
		Words: idWords + "|dni|nif" + "|" + esID + "|número de identificación fiscal|dni nie|d n i|n i f", Form: 380, Grouped: 420, Gain: 320, check: esNIF, Check: "mod 23", Source: "Ministerio del Interior, Real Decreto 255/2025",
	},
	{
		Type: "ES_NIE", Country: "ES", Name: "foreigners' number", Shapes: "A9{7}A|A-9{7}-A|A-9{7}A|A 9{7} A", Words: "nie|número de extranjero|extranjero|número de identificación de extranjero|n i e|dni|" + esID + "|foreigner",
		Form: 420, Grouped: 460, Gain: 320, check: esNIE, Check: "X, Y or Z; mod 23", Source: "Real Decreto 557/2011",
	},
	{
		Type: "ES_CIF", Country: "ES", Name: "tax number of firms", Shapes: "A9{7}X|A-9{7}X|A-9{8}|A9{7}-X|A-9{7}-X", Words: "cif|nif|n i f|c i f|código de identificación fiscal|razón social|empresa", Form: 250, Gain: 220, check: esCIF, Check: "cross sum mod 10",
		Source: "Orden EHA/451/2008",
	},
	{
		Type: "ES_PASSPORT", Country: "ES", Name: "passport", Shapes: "AAA9{6}|AA9{6}", Words: passportWords + "|pasaporte|número de pasaporte", Form: 240, Source: "Real Decreto 896/2003; ICAO Doc 9303",
	},
	{
		Type: "ES_NUSS", Country: "ES", Name: "social security number", Shapes: "9{12}|99/99999999/99|99 99999999 99|99/9999999999|99-99999999-99|99 9999999999", Words: socialWords + "|seguridad social|número de seguridad social|afiliación|nuss|naf|número de afiliación",
		Form: 160, Grouped: 420, Gain: 320, check: esNUSS, Check: "province; rest by 97", Source: "Tesorería General de la Seguridad Social",
	},
	{
		Type: "ES_VEHICLE_REGISTRATION", Country: "ES", Name: "vehicle plate", Shapes: "9999 AAA|9999AAA|9999~AAA", Words: plateWords + "|matrícula|coche|vehículo|placa", Form: 150, Grouped: 260, Source: "Real Decreto 2822/1998",
	},
	{
		Type: "PT_NIF", Country: "PT", Name: "taxpayer number", Shapes: "9{9}|999 999 999|pt 9{9}|999.999.999", Words: taxWords + "|nif|nipc|n i f" + "|" + ptTax, Form: 210, Grouped: 300, Gain: 130, check: ptNIF, Check: "mod 11",
		Source: "Decreto-Lei 14/2013",
	},
	{
		Type: "PT_CITIZEN_CARD", Country: "PT", Name: "citizen card", Shapes: "9{9}AX9|99999999 9 AX9|9{8}~9AX9|9{8} 9AX9", Words: idWords + "|cartão de cidadão|cartão do cidadão|bilhete de identidade|cc|identificação civil|documento de identificação|citizen card",
		Form: 450, Gain: 300, check: ptCard, Check: "Luhn of base 36", Source: "Lei 7/2007",
	},
	{
		Type: "GR_AFM", Country: "GR", Name: "tax number", Shapes: "9{9}|el 9{9}", Words: taxWords + "|αφμ|afm|α φ μ|αριθμός φορολογικού μητρώου", Form: 200, Gain: 130, check: grAFM, Check: "powers of 2, mod 11", Source: "AADE",
	},
	{
		Type: "GR_AMKA", Country: "GR", Name: "social security number", Shapes: "9{11}", Words: socialWords + "|αμκα|amka|α μ κ α", Form: 200, Gain: 280, check: grAMKA, Check: "date of birth; Luhn", Source: "IDIKA, law 3655/2008",
	},
	{
		Type: "TR_NATIONAL_ID", Country: "TR", Name: "identity number", Shapes: "9{11}|999 999 999 99", Words: idWords + "|tckn|tc kimlik|kimlik|kimlik no|kimlik numarası|tc no|t c kimlik|vatandaşlık|tc", Form: 190, Gain: 380, check: trNational, Check: "two sums mod 10",
		Source: "NVİ, law 5490",
	},
	{
		Type: "TR_LICENSE_PLATE", Country: "TR", Name: "vehicle plate", Shapes: "99 A 9999|99 A 99999|99 AA 999|99 AA 9999|99 AAA 99|99 AAA 999|99A9{4,5}|99AA9{3,4}|99AAA9{2,3}|99-A-9999|99-AA-9{3,4}|99-AAA-9{2,3}",
		Words: plateWords + "|plaka|araç|plakası|plaka no", Form: 200, Grouped: 430, check: trPlate, Check: "provinces and letters in use", Source: "Karayolları Trafik Kanunu 23",
	},
	{
		Type: "TR_PASSPORT", Country: "TR", Name: "passport", Shapes: "A9{8}", Words: passportWords + "|pasaport|pasaport no", Form: 215, Source: "NVİ; ICAO Doc 9303",
	},
}
