// SPDX-License-Identifier: Apache-2.0

package national

var unitedStates = []Recogniser{
	{
		Type: "US_SSN", Country: "US", Name: "social security number", Shapes: "999-99-9999|999999999",
		Words: "ssn|ssns|social security|social security number|social security no|ss number|social|ss no|soc sec|social insurance|seguro social|ssn tin|ss",
		Form:  300, Grouped: 650, check: usSSN, Check: "areas, groups and serials never issued", Source: "Social Security Administration, POMS RM 10201",
	},
	{
		Type: "US_ITIN", Country: "US", Name: "individual taxpayer identification number", Shapes: "999-99-9999|999999999",
		Words: "itin|individual taxpayer|taxpayer|tax id|tin|tax identification|ssn|taxpayer identification number",
		Form:  300, Grouped: 650, check: usITIN, Check: "area 9xx, groups in use", Source: "Internal Revenue Service, Publication 1915",
	},
	{
		Type: "US_DRIVER_LICENSE", Country: "US", Name: "driver licence",
		Shapes: "9{6,12}|A9{4,14}|AA9{3,7}|AAA9{6}|AA999999A|A99999999A|9{7,9}A|999AA9999|99AAA9{4,5}|99AAA99999|A9A9A|A9A9{6}|9999999999A|9{8}AA|wdlXXXXXXXXX" +
			"|A999-9999-9999|A999-9999-9999-99|A999-999-99-999-9|A999-99-9999|A-999-999-999-999|A-999-99999-99999|A9999-99999-99999|A999-9999-9999-9999|999-999-999|99-999-999|999-99-9999|A99-99-9999|99 999 999",
		Words: driverWords + "|state id|permit number|cdl|licencia de conducir|dmv|driver id", Form: 130, Grouped: 100,
		Source: "AAMVA members, one format a state",
	},
	{
		Type: "US_PASSPORT", Country: "US", Name: "passport", Shapes: "9{9}|A99999999", Words: passportWords + "|pasaporte", Form: 240,
		Source: "Department of State; ICAO Doc 9303",
	},
	{
		Type: "US_BANK_NUMBER", Country: "US", Name: "bank account number", Shapes: "9{8,17}|9999-9999-9999|999-999999-9|9999-9999-99",
		Words: "bank account|account number|account no|account nr|acct|acct no|acct number|account|checking|checking account|savings|savings account|bank|direct deposit|account ending",
		Form:  110, Source: "no standard: 8 to 17 digits by NACHA's rules",
	},
	{
		Type: "ABA_ROUTING_NUMBER", Country: "US", Name: "bank routing number", Shapes: "9{9}|9999-9999-9",
		Words: "routing|routing number|aba|aba number|routing transit|rtn|bank routing|transit number|routing no|bankrouting",
		Form:  200, Grouped: 350, Gain: 150, check: abaRouting, Check: "prefix; weights 3 7 1, mod 10", Source: "ANSI X9.100-160; American Bankers Association",
	},
	{
		Type: "US_NPI", Country: "US", Name: "national provider identifier", Shapes: "9{10}|9999-999-999",
		Words: "npi|national provider|provider identifier|provider number|provider id|national provider identifier", Form: 180, Gain: 150, check: usNPI,
		Check: "Luhn with 80840 before it", Source: "CMS, 45 CFR 162.406",
	},
	{
		Type: "US_MBI", Country: "US", Name: "Medicare beneficiary identifier", Shapes: "9AX9AX9AA99|9AX9-AX9-AA99",
		Words: "mbi|medicare|beneficiary|medicare number|medicare id|medicare beneficiary", Form: 560, Grouped: 750, check: usMBI,
		Check: "letters in use", Source: "CMS, Understanding the MBI",
	},
	{
		Type: "MEDICAL_LICENSE", Country: "US", Name: "DEA registration of prescribers", Shapes: "AA9999999|A99999999|A9-9999999|AA-9999999",
		Words: "dea|dea number|medical license|medical licence|prescriber|dea registration|medical certificate|certificate|medical license number",
		Form:  240, Gain: 230, check: usDEA, Check: "weights 1 2, mod 10", Source: "DEA, 21 CFR 1301",
	},
	{
		Type: "US_EIN", Country: "US", Name: "employer identification number", Shapes: "99~9999999|9{9}",
		Words: "ein|employer identification|fein|federal tax id|federal ein|tax id|employer id|irs number", Form: 120, Grouped: 420, check: usEIN,
		Check: "prefixes in use", Source: "Internal Revenue Service",
	},
	{
		Type: "US_PROVIDER_TAX_ID", Country: "US", Name: "tax number of a health care provider", Shapes: "99~9999999|9{9}",
		Words: "provider tax id|provider tax number|provider tin|provider ein|billing provider|rendering provider|provider tax identification",
		Form:  120, Grouped: 430, check: usEIN, Check: "prefixes in use", Source: "Internal Revenue Service; NUCC 1500 form",
	},
	{
		Type: "US_CLAIM_NUMBER", Country: "US", Name: "health insurance claim number", Shapes: "clm9{6,15}|clm~9{6,15}|9{6,15}",
		Words: "claim number|claim no|claim id|medical claim|insurance claim|healthcare claim|claim ref|claim reference", Form: 130, Grouped: 560,
		Source: "payers' own; NUCC 1500 form",
	},
	{
		Type: "US_PRIOR_AUTHORIZATION_NUMBER", Country: "US", Name: "prior authorization number", Shapes: "pa9{6,12}|pa~9{6,12}|9{6,12}",
		Words: "prior authorization|prior auth|preauthorization|pre authorization|pre auth|authorization number|auth number|auth no|authorization no|prior authorisation",
		Form:  130, Grouped: 380, Source: "payers' own; X12 278",
	},
	{
		Type: "US_REFERRAL_NUMBER", Country: "US", Name: "referral number", Shapes: "ref9{6,12}|ref~9{6,12}|inf9{6,12}|inf~9{6,12}|9{6,12}",
		Words: "referral|referral number|referral no|referral id|infusion referral", Form: 130, Grouped: 380, Source: "payers' own; X12 278",
	},
	{
		Type: "US_PRESCRIPTION_NUMBER", Country: "US", Name: "prescription number", Shapes: "rx9{6,12}|rx~9{6,12}|rx 9{6,12}|9{6,12}",
		Words: "prescription|prescription number|prescription no|rx|rx number|rx no|script number", Form: 130, Grouped: 480, Source: "pharmacies' own; NCPDP",
	},
	{
		Type: "US_HEALTH_INSURANCE_MEMBER_ID", Country: "US", Name: "health plan member number",
		Shapes: "A{1,5}9{5,12}|A{1,5}~9{5,12}|9{8,12}|AAA999A99999|AAA9{9}A99|9{9}A|9{9}AA|A{3}9{3}A9{5}|A9A9A9A9{4}",
		Words: "member id|member number|member no|subscriber id|subscriber number|insurance id|insurance member|policy id|policy number|policy no|health plan|plan id|group number" +
			"|health insurance|insurance policy|beneficiary number|health plan beneficiary",
		Form: 120, Source: "payers' own; WEDI card guide",
	},
}

var english = []Recogniser{
	{
		Type: "CA_SIN", Country: "CA", Name: "social insurance number", Shapes: "999 999 999|999-999-999|9{9}",
		Words: "sin|social insurance|social insurance number|sin number|numéro d'assurance sociale|assurance sociale|nas|sin no", Form: 250, Grouped: 380, Gain: 170,
		check: caSIN, Check: "Luhn", Source: "Employment and Social Development Canada",
	},
	{
		Type: "CA_POSTAL_CODE", Country: "CA", Name: "postal code", Shapes: "A9A 9A9|A9A9A9|A9A~9A9",
		Words: "postal|postal code|code postal|zip|postcode", Form: 300, Grouped: 490, check: caPostal, Check: "letters in use", Source: "Canada Post, Addressing Guidelines",
	},
	{
		Type: "CA_PASSPORT", Country: "CA", Name: "passport", Shapes: "AA999999|A999999AA", Words: passportWords + "|passeport", Form: 200,
		Source: "IRCC; ICAO Doc 9303",
	},
	{
		Type: "UK_NHS", Country: "GB", Name: "NHS number", Shapes: "999 999 9999|999-999-9999|9{10}",
		Words: "nhs|nhs number|nhs no|national health|health service|chi number|chi|patient", Form: 200, Grouped: 260, Gain: 150, check: ukNHS, Check: "mod 11",
		Source: "NHS Data Dictionary, ISB 0149",
	},
	{
		Type: "UK_NINO", Country: "GB", Name: "national insurance number", Shapes: "AA999999A|AA 99 99 99 A|AA-99-99-99-A|AA 999999 A|AA999999 A",
		Words: "nino|ni number|national insurance|national insurance number|ni no|insurance number|nin|ni", Form: 680, Grouped: 800, check: ukNINO,
		Check: "prefixes and suffixes in use", Source: "HMRC, NIM39110",
	},
	{
		Type: "UK_PASSPORT", Country: "GB", Name: "passport", Shapes: "9{9}|AA9{7}", Words: passportWords, Form: 230, Source: "HM Passport Office; ICAO Doc 9303",
	},
	{
		Type: "UK_POSTCODE", Country: "GB", Name: "postcode",
		Shapes: "A9 9AA|A99 9AA|AA9 9AA|AA99 9AA|A9A 9AA|AA9A 9AA|A99AA|A999AA|AA99AA|AA999AA|A9A9AA|AA9A9AA",
		Words:  "postcode|post code|postal code|postal|zip", Form: 240, Grouped: 490, check: ukPostcode, Check: "areas and letters in use", Source: "Royal Mail; BS 7666",
	},
	{
		Type: "UK_VEHICLE_REGISTRATION", Country: "GB", Name: "vehicle registration", Shapes: "AA99 AAA|AA99AAA|A9{1,3} AAA|A9{2,3}AAA|AAA 9{1,3}A|AAA9{2,3}A",
		Words: plateWords + "|registration|reg|reg number|v5c|dvla|mot", Form: 250, Grouped: 420, check: ukPlate, Check: "age marks and letters in use", Source: "DVLA, INF104",
	},
	{
		Type: "UK_DRIVING_LICENCE", Country: "GB", Name: "driving licence", Shapes: "XXXXX999999XXXAA|XXXXX 999999 XXXAA|XXXXX999999XXXAA 99|XXXXX999999XXXAA99",
		Words: driverWords + "|dvla|driver number", Form: 800, check: ukDriver, Check: "date of birth", Source: "DVLA, driving licence customer service guide",
	},
	{
		Type: "UK_UTR", Country: "GB", Name: "unique taxpayer reference", Shapes: "9{10}|99999 99999", Words: "utr|taxpayer reference|unique taxpayer|self assessment|tax reference",
		Form: 150, Gain: 100, check: ukUTR, Check: "mod 11", Source: "HMRC",
	},
	{
		Type: "UK_SORT_CODE", Country: "GB", Name: "bank sort code", Shapes: "99~99~99", Words: "sort code|sortcode|sort", Grouped: 150, Form: 150, Source: "Pay.UK",
	},
	{
		Type: "IE_PPSN", Country: "IE", Name: "personal public service number", Shapes: "9999999A|9999999AA",
		Words: "pps|ppsn|pps number|pps no|personal public service|uimhir psp", Form: 330, Gain: 270, check: iePPSN, Check: "mod 23", Source: "Department of Social Protection",
	},
	{
		Type: "AU_ABN", Country: "AU", Name: "business number", Shapes: "99 999 999 999|9{11}", Words: "abn|australian business number|business number", Form: 200, Grouped: 400, Gain: 300,
		check: auABN, Check: "mod 89", Source: "Australian Business Register",
	},
	{
		Type: "AU_ACN", Country: "AU", Name: "company number", Shapes: "999 999 999|999-999-999|9{9}", Words: "acn|australian company number|company number|arbn", Form: 180, Grouped: 300,
		Gain: 120, check: auACN, Check: "weights 8 to 1, mod 10", Source: "ASIC, Corporations Regulations 2001",
	},
	{
		Type: "AU_TFN", Country: "AU", Name: "tax file number", Shapes: "999 999 999|999-999-999|9{9}", Words: "tfn|tax file|tax file number|tax id|tax number",
		Form: 190, Grouped: 310, Gain: 120, check: auTFN, Check: "mod 11", Source: "Australian Taxation Office",
	},
	{
		Type: "AU_MEDICARE", Country: "AU", Name: "Medicare number", Shapes: "9999 99999 9|9999-99999-9|9{10}|9{11}|9999 99999 9/9|9999 99999 99",
		Words: "medicare|medicare number|medicare card|medicare no", Form: 190, Grouped: 450, Gain: 150, check: auMedicare, Check: "mod 10", Source: "Services Australia",
	},
	{
		Type: "AU_PASSPORT", Country: "AU", Name: "passport", Shapes: "A9{7}|AA9{7}", Words: passportWords, Form: 210, Source: "Australian Passport Office; ICAO Doc 9303",
	},
	{
		Type: "NZ_IRD", Country: "NZ", Name: "Inland Revenue number", Shapes: "99-999-999|999-999-999|9{8,9}", Words: "ird|ird number|inland revenue", Form: 150, Grouped: 250, Gain: 120,
		check: nzIRD, Check: "mod 11", Source: "Inland Revenue, Resident withholding tax specification",
	},
	{
		Type: "NZ_NHI", Country: "NZ", Name: "national health index number", Shapes: "AAA9999|AAA99AX", Words: "nhi|national health index|nhi number", Form: 150, Gain: 100, check: nzNHI,
		Check: "mod 11; mod 23", Source: "HISO 10046",
	},
	{
		Type: "ZA_ID_NUMBER", Country: "ZA", Name: "identity number", Shapes: "9{13}|999999 9999 999|999999 9999 99 9|999999-9999-999",
		Words: idWords + "|rsa id|sa id|smart id|identity document", Form: 250, Gain: 330, Grouped: 300, check: zaID, Check: "date of birth; Luhn", Source: "Department of Home Affairs, Identification Act 68 of 1997",
	},
	{
		Type: "ZA_PASSPORT", Country: "ZA", Name: "passport", Shapes: "A9{8}", Words: passportWords, Form: 220, check: zaPassport, Check: "letters in use", Source: "Department of Home Affairs",
	},
	{
		Type: "ZA_DRIVER_LICENSE", Country: "ZA", Name: "driving licence", Shapes: "9{6,10}AX{1,4}", Words: driverWords, Form: 120, Source: "National Road Traffic Act 93 of 1996",
	},
	{
		Type: "ZA_INCOME_TAX_NUMBER", Country: "ZA", Name: "income tax number", Shapes: "9{10}|9999-999-99-9|9999/999/99/9", Words: taxWords + "|income tax|income tax number|tax reference|sars",
		Form: 130, Gain: 60, check: zaTax, Check: "first digit; Luhn", Source: "SARS",
	},
	{
		Type: "ZA_VAT_NUMBER", Country: "ZA", Name: "VAT number", Shapes: "9{10}", Words: vatWords, Form: 140, check: zaVAT, Check: "first digit 4", Source: "SARS",
	},
	{
		Type: "ZA_COMPANY_REGISTRATION", Country: "ZA", Name: "company registration", Shapes: "9999/999999/99|ck9999/999999|k9999/999999|nr9999/999999|t9999/999999|w9999/999999|b9999/999999|m9999/999999|n9999/999999",
		Words: companyWords + "|cipc|registration", Form: 520, check: zaCompany, Check: "year", Source: "CIPC",
	},
	{
		Type: "ZA_TRAFFIC_REGISTER_NUMBER", Country: "ZA", Name: "traffic register number", Shapes: "9{13}|9{8}AX{1,4}", Words: "traffic register|traffic register number|trn|enatis", Form: 140,
		Source: "National Road Traffic Act 93 of 1996",
	},
	{
		Type: "ZA_LICENSE_PLATE", Country: "ZA", Name: "vehicle plate", Shapes: "AA99AAAA|AA 99 AA AA|AAA999AA|AAA 999 AA|AA99AA AA|AA 999~999|AAA999 AA|AA9{3,6}",
		Words: plateWords + "|registration", Form: 180, Grouped: 420, check: zaPlate, Check: "provinces", Source: "National Road Traffic Regulations 2000",
	},
	{
		Type: "NG_NIN", Country: "NG", Name: "national identification number", Shapes: "9{11}|9999-999-9999|9999 999 9999", Words: idWords + "|nin|nimc|national identification",
		Form: 150, Gain: 100, check: verhoeffSum, Check: "Verhoeff", Source: "National Identity Management Commission",
	},
	{
		Type: "NG_VEHICLE_REGISTRATION", Country: "NG", Name: "vehicle plate", Shapes: "AAA999AA|AAA-999AA|AAA-999-AA", Words: plateWords + "|registration|frsc|plaque", Form: 230, Grouped: 430,
		Source: "Federal Road Safety Corps",
	},
	{
		Type: "PH_TIN", Country: "PH", Name: "taxpayer identification number", Shapes: "999-999-999|999-999-999-999|999-999-999-99999|9{9}|9{12}|9{14}", Words: taxWords + "|bir",
		Form: 130, Grouped: 300, Gain: 120, check: phTIN, Check: "mod 11", Source: "Bureau of Internal Revenue",
	},
	{
		Type: "PH_UMID", Country: "PH", Name: "common reference number", Shapes: "9999-9999999-9|9{12}", Words: "umid|crn|common reference|unified multi purpose|sss|gsis|philhealth|pag ibig",
		Form: 150, Grouped: 520, Source: "Social Security System",
	},
	{
		Type: "PH_PASSPORT", Country: "PH", Name: "passport", Shapes: "A9999999A|AA9999999", Words: passportWords + "|pasaporte", Form: 220, Source: "Department of Foreign Affairs; ICAO Doc 9303",
	},
}
