// SPDX-License-Identifier: Apache-2.0

package national

import "github.com/glovebox-dev/glovebox/transforms/redact/span"

var latin = []Recogniser{
	{
		Type: "BR_CPF", Country: "BR", Name: "taxpayer number of people", Shapes: "999.999.999~99|9{11}|9{9}~99|999 999 999 99|999~999~999~99", Words: taxWords + "|cpf|cadastro de pessoas físicas|cpf mf|número do cpf", Form: 210, Grouped: 680, Gain: 380, check: brCPF, Check: "two sums mod 11", Source: "Receita Federal",
	},
	{
		Type: "BR_CNPJ", Country: "BR", Name: "taxpayer number of firms", Shapes: "99.999.999/9999~99|9{14}|XX.XXX.XXX/XXXX~99|XXXXXXXXXXXX99", Words: "cnpj|cadastro nacional da pessoa jurídica|empresa", Form: 160, Grouped: 720, Gain: 400, check: brCNPJ, Check: "two sums mod 11", Source: "Receita Federal, IN RFB 2119 and 2229",
	},
	{
		Type: "BR_RG", Country: "BR", Name: "identity card", Shapes: "99.999.999~X|9{8}X|99.999.999", Words: "rg|registro geral|carteira de identidade|cédula de identidade|identidade", Form: 110, Grouped: 300, Source: "states' registries, law 7.116/1983",
	},
	{
		Type: "BR_CNH", Country: "BR", Name: "driving licence", Shapes: "9{11}", Words: driverWords + "|cnh|carteira de motorista|habilitação|carteira nacional de habilitação", Form: 130, Source: "Senatran",
	},
	{
		Type: "MX_CURP", Country: "MX", Name: "population registry code", Shapes: "AAAA999999AAAAAAX9", Words: "curp|clave única|registro de población|clave única de registro", Form: 780, Gain: 200, check: mxCURP, Check: "date of birth, sex, state; mod 10", Source: "RENAPO",
	},
	{
		Type: "MX_RFC", Country: "MX", Name: "taxpayer registry code", Shapes: "AAAA999999XXX|AAA999999XXX|AAAA~999999~XXX|AAA~999999~XXX", Words: taxWords + "|rfc|registro federal|registro federal de contribuyentes", Form: 600, Gain: 280, check: mxRFC, Check: "date; mod 11", Source: "SAT",
	},
	{
		Type: "MX_NSS", Country: "MX", Name: "social security number", Shapes: "9{11}|99-99-99-9999-9|99 99 99 9999 9", Words: socialWords + "|nss|imss|seguro social|número de seguridad social", Form: 150, Grouped: 420, Gain: 150, check: mxNSS, Check: "Luhn", Source: "IMSS",
	},
	{
		Type: "AR_CUIT", Country: "AR", Name: "tax or labour number", Shapes: "99~99999999~9|9{11}|99.99999999.9|99 99999999 9", Words: taxWords + "|cuit|cuil|cdi|c u i t", Form: 200, Grouped: 520, Gain: 250, check: arCUIT, Check: "prefix; mod 11", Source: "ARCA",
	},
	{
		Type: "AR_DNI", Country: "AR", Name: "identity document", Shapes: "99.999.999|9{8}|9.999.999|9{7}", Words: "dni|d n i|documento|" + esID, Form: 110, Grouped: 250, Source: "RENAPER, law 17.671",
	},
	{
		Type: "CL_RUT", Country: "CL", Name: "national and tax number", Shapes: "99.999.999~X|9.999.999~X|9{7,8}~X|9{8}X|9{7}X", Words: "rut|run|r u t|rol único|rol único tributario|cédula de identidad", Form: 130, Grouped: 520, Gain: 220, check: clRUT, Check: "mod 11", Source: "Registro Civil, SII",
	},
	{
		Type: "CO_NIT", Country: "CO", Name: "tax number", Shapes: "999.999.999~9|9{9}~9|9{10}", Words: taxWords + "|nit|n i t|rut", Form: 120, Grouped: 380, Gain: 180, check: coNIT, Check: "mod 11", Source: "DIAN, orden administrativa 4/1989",
	},
	{
		Type: "CO_CEDULA", Country: "CO", Name: "citizenship card", Shapes: "9{8}|9{10}|9.999.999.999|99.999.999", Words: "cédula|cédula de ciudadanía|c c|cc|ciudadanía", Form: 110, Grouped: 250, Source: "Registraduría Nacional",
	},
	{
		Type: "EC_CEDULA", Country: "EC", Name: "identity card", Shapes: "9{10}|9{9}~9", Words: "cédula|cédula de identidad|cedula|ruc|c i", Form: 150, Grouped: 300, Gain: 150, check: ecCedula, Check: "province; Luhn", Source: "Registro Civil",
	},
	{
		Type: "PE_RUC", Country: "PE", Name: "taxpayer number", Shapes: "9{11}", Words: taxWords + "|ruc|registro único de contribuyentes", Form: 170, Gain: 230, check: peRUC, Check: "prefix; mod 11", Source: "SUNAT",
	},
	{
		Type: "UY_CI", Country: "UY", Name: "identity card", Shapes: "9.999.999~9|9{7}~9|9{8}", Words: "cédula|c i|ci|cédula de identidad|documento", Form: 110, Grouped: 450, Gain: 180, check: uyCI, Check: "mod 10", Source: "DNIC",
	},
	{
		Type: "PASSPORT", Name: "passport of any other country", Shapes: "A9{6,9}|AA9{6,8}|AAA9{6,7}|9{8,9}|A9{7}A|AXXXXXXX9|AA-9{6,7}|A-9{7,8}", Words: passportWords + "|pasaporte|passeport|passaporto|passaporte|reisepass|pass nr|paspoort|paszport|паспорт|pasaport|pasapoarte|útlevél|διαβατήριο|passi|護照",
		Form: 180, Source: "ICAO Doc 9303",
	},
	{
		Type: "DRIVER_LICENSE", Name: "driving licence of any other country", Shapes: "XXXXXXXX9{1,8}|A9XXXXXX|AA-9{6,9}", Words: driverWords + "|" + deDriver + "|" + frDriver + "|licencia de conducir|carnet de conducir|permiso de conducir|carta de condução|rijbewijs|rijbewijsnummer|körkort|førerkort|kørekort|ajokortti|prawo jazdy",
		Form: 110, Source: "Directive 2006/126/EC; issuers' own",
	},
	{
		Type: "ID_CARD", Name: "identity card of any other country", Shapes: "XXXXXX9{1,9}|A9{5}|AA9{6,9}|9{3}-9{4}-9{3,5}|9{4,6}-9{4,7}|A-9{6,9}|AA-9{6,9}", Words: "national id|national identity|identity card|id card|national identification|id card number|identity card number|identity document|citizen id|id document|national id number|ausweisnummer|carte d'identité|carta d'identità|documento de identidad|carteira de identidade|identiteitskaart",
		Form: 110, Source: "ICAO Doc 9303; issuers' own",
	},
	{
		Type: "TAX_ID", Name: "tax number of any other country", Shapes: "XXXXXXX9{1,7}|9{2,3}-9{3,4}-9{3,5}|99-9{6,8}", Words: "tax id|tax number|tax identification|tax identification number|taxpayer id|taxpayer number|taxpayer identification|tax id number|tax no|tin",
		Form: 105, Source: "OECD, AEOI portal: issuers' own",
	},
	{
		Type: "SOCIAL_SECURITY_NUMBER", Name: "social security number of any other country", Shapes: "9{8,13}|999-9{2,6}-9{2,5}|9999-9{3,6}-9{2,5}|99-9{4,8}-9{1,3}|XXXXXXXX9{2,5}", Words: "social security|social security number|social insurance number|social sec|socialnumber|social number|social sec number|sozialversicherungsnummer|sécurité sociale|seguridad social|sicurezza sociale",
		Form: 104, Source: "issuers' own",
	},
}

var general = []Recogniser{
	{
		Type: span.Medical, Name: "medical record number", Shapes: "9{5,12}|A9{5,9}|999-99-99",
		Words: "mrn|medical record|medical record number|medical record no|med rec|chart number|patient number|patient id|unit no|hospital number",
		Form:  110, Source: "hospitals' own",
	},
	{
		Type: span.IDNumber, Name: "number of a customer, an employee, a member or a policy", Shapes: "9{5,14}|A9{4,9}|A-9{4,8}|AA9{5,10}|AAA9{5,10}|AA-999-99",
		Words: "customer number|customer no|customer id|client id|client number|employee id|employee number|employee no|staff id|member id|member number|" +
			"membership number|policy number|policy no|policy id|badge|badge number|student id|student number|subscriber id|kundennummer|personalnummer|numéro client|número de cliente|codice cliente|klantnummer",
		Form: 110, Source: "issuers' own",
	},
	{
		Type: "LICENSE_PLATE", Name: "vehicle plate of any other country",
		Shapes: "AA9{3,5}|AAA9{2,4}|A9{4,5}|9{2}A{3}|9{3,4}A{2,3}|AA9{2,4}A{1,3}|AAA9{2,3}A|A9{3,4}AA|9{2,3}A{2,3}9{1,3}|9A{3}9{3}|A{1,4}-9{2,5}|A{1,3}-9{1,4}-A{1,3}|9{1,4}-A{1,4}-9{1,5}|9{2,5}-A{1,4}|A{2}-99-A{2,3}|99-99-A{2}|A{2}-99-99|99-A{2}-A{2}|A{2}-99-999|A{1,3}-9{1,4} A{1,3}|9A9{3,5}|9A{2}-9{3,4}|A9{3}A{2}99|A9{3}A{2} 99",
		Words:  "license plate|licence plate|number plate|plate number|registration plate|plates|plate|plate no|vehicle registration|registration mark|" + dePlace + "|plaque d'immatriculation|immatriculation|matrícula|targa|kenteken|placa|patente|nummerplade|skilt|registreringsnummer|rekisterinumero|tablica rejestracyjna|spz|rendszám|车牌|plaka",
		Form:   110, Source: "issuers' own",
	},
	{
		Type: "EU_VAT", Name: "VAT number of other countries of Europe", Shapes: "atu9{8}|bg9{9,10}|cy9{8}A|cz9{8,10}|dk9{8}|ee9{9}|el9{9}|fi9{8}|gb9{9}|gb9{12}|gb 999 9999 99|gb999 9999 99|hu9{8}|hr9{11}|ie9{7}A{1,2}|ie9X9{5}A|lt9{9}|lt9{12}|lu9{8}|lv9{11}|mt9{8}|pl9{10}|pt9{9}|ro9{6,10}|se9{12}|si9{8}|sk9{10}|esX9{7}X",
		Words: vatWords + "|dph|dič|áfa|moms|alv|pvm|pvn|käibemaks|btw|iva|nif|ust|uid|φπα|ддс|pdv|ddv|tva", Form: 420, Source: "European Commission, VIES",
	},
	{
		Type: "VIN", Name: "vehicle identification number", Shapes: "X{17}", Words: "vin|chassis|chassis number|vehicle identification|vin number|vin no|fahrgestellnummer|fin|numéro de série|bastidor|número de bastidor|telaio|frame number|vehicle",
		Form: 330, Gain: 350, check: vin, Check: "letters in use; mod 11 in North America", Source: "ISO 3779; 49 CFR 565",
	},
	{
		Type: "IMEI", Name: "mobile device number", Shapes: "9{15}|99-999999-999999-9|99 999999 999999 9|99-999999-999999-99|9{16}|999999-99-999999-9", Words: "imei|imei number|imei no|imeisv|device id|phoneimei|handset", Form: 190, Grouped: 600, Gain: 230, check: imei, Check: "Luhn", Source: "3GPP TS 23.003",
	},
	{
		Type: "UUID", Name: "universally unique identifier", Shapes: "X{8}~X{4}~X{4}~X{4}~X{12}", Words: "user|user id|userid|uuid|guid|device|device id|session|account|patient|customer|customer id|client id|advertising id|idfa|gaid|member", Form: 450, check: uuid, Check: "hexadecimal", Source: "RFC 9562",
	},
}
