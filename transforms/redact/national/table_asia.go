// SPDX-License-Identifier: Apache-2.0

package national

var asia = []Recogniser{
	{
		Type: "IN_PAN", Country: "IN", Name: "permanent account number", Shapes: "AAAAA9999A", Words: "pan|pan card|permanent account|permanent account number|pan number|pan no|income tax", Form: 650, check: inPAN, Check: "holder's letter", Source: "Income Tax Department",
	},
	{
		Type: "IN_AADHAAR", Country: "IN", Name: "Aadhaar number", Shapes: "9999 9999 9999|9999-9999-9999|9{12}", Words: "aadhaar|aadhar|aadhaar number|uidai|uid|adhar|आधार|aadhaar card", Form: 190, Grouped: 380, Gain: 180, check: inAadhaar, Check: "Verhoeff", Source: "UIDAI",
	},
	{
		Type: "IN_VEHICLE_REGISTRATION", Country: "IN", Name: "vehicle plate", Shapes: "AA99AA9999|AA 99 AA 9999|AA99 AA 9999|AA-99-AA-9999|AA99A9999|AA9A9999|AA9AA9999|AA9AAA9999|AA 99 A 9999|AA~99 AA 9999|99AA9999A{1,2}|99 AA 9999 A{1,2}|AA~99~A~9999|AA 9 AAA 9999|AA99AAA9999",
		Words: plateWords + "|rto|registration", Form: 520, Grouped: 620, check: inPlate, Check: "states", Source: "Central Motor Vehicles Rules 1989, rule 50",
	},
	{
		Type: "IN_VOTER", Country: "IN", Name: "voter's card (EPIC)", Shapes: "AAA9{7}|AAA 9{7}", Words: "voter|voter id|epic|election|electoral|elector|voter card|election commission", Form: 330, Source: "Election Commission of India",
	},
	{
		Type: "IN_PASSPORT", Country: "IN", Name: "passport", Shapes: "A9{7}|A9 99999|A9{6} 9", Words: passportWords, Form: 240, check: inPassport, Check: "letters in use", Source: "Ministry of External Affairs; ICAO Doc 9303",
	},
	{
		Type: "IN_GSTIN", Country: "IN", Name: "goods and services tax number", Shapes: "99AAAAA9999AXXX", Words: "gst|gstin|gst number|gst no|goods and services tax|gst registration", Form: 680, Gain: 250, check: inGSTIN, Check: "state; Luhn of base 36", Source: "GSTN, CGST Rules 2017, rule 10",
	},
	{
		Type: "IN_DRIVER_LICENSE", Country: "IN", Name: "driving licence", Shapes: "AA99 9{11}|AA9{13}|AA~9{13}|AA~99~9999~9{7}|AA99~9{11}", Words: driverWords + "|rto", Form: 300, Grouped: 420, check: inPlate, Check: "states", Source: "Ministry of Road Transport, Sarathi",
	},
	{
		Type: "KR_RRN", Country: "KR", Name: "resident registration number", Shapes: "999999~9999999|9{13}|999999 9999999", Words: idWords + "|주민등록번호|주민번호|rrn|resident registration|korean id", Form: 250, Grouped: 620, Gain: 180, check: krRRN, Check: "date of birth; mod 11 until 2020", Source: "Ministry of the Interior and Safety",
	},
	{
		Type: "KR_FRN", Country: "KR", Name: "foreigner registration number", Shapes: "999999~9999999|9{13}|999999 9999999", Words: "외국인등록번호|외국인|frn|foreigner registration|alien registration|arc|foreign registration", Form: 250, Grouped: 620, Gain: 180, check: krFRN, Check: "date of birth; mod 11 until 2020", Source: "Immigration Act of Korea",
	},
	{
		Type: "KR_BRN", Country: "KR", Name: "business registration number", Shapes: "999~99~99999|9{10}", Words: companyWords + "|사업자등록번호|사업자번호|사업자|brn", Form: 150, Grouped: 420, Gain: 180, check: krBRN, Check: "mod 10", Source: "National Tax Service",
	},
	{
		Type: "KR_DRIVER_LICENSE", Country: "KR", Name: "driver licence", Shapes: "99~99~999999~99|9{12}|99 99 999999 99", Words: driverWords + "|운전면허|면허번호|운전면허번호", Form: 140, Grouped: 620, check: krLicence, Check: "regions 11 to 28", Source: "Korea Road Traffic Authority",
	},
	{
		Type: "KR_PASSPORT", Country: "KR", Name: "passport", Shapes: "A9{8}|A999A9999|AA9{7}", Words: passportWords + "|여권|여권번호", Form: 215, check: krPassport, Check: "letters in use", Source: "Ministry of Foreign Affairs; ICAO Doc 9303",
	},
	{
		Type: "TH_TNIN", Country: "TH", Name: "identity number", Shapes: "9-9999-99999-99-9|9 9999 99999 99 9|9{13}", Words: idWords + "|บัตรประชาชน|เลขประจำตัว|ประชาชน|thai id|tnin", Form: 200, Grouped: 680, Gain: 200, check: thTNIN, Check: "mod 11", Source: "Department of Provincial Administration",
	},
	{
		Type: "SG_NRIC_FIN", Country: "SG", Name: "identity card or foreigner's number", Shapes: "A9{7}A", Words: "nric|fin|nric fin|ic number|ic no|nric no|identity card|singapore id|work permit|fin number", Form: 430, Gain: 320, check: sgNRIC, Check: "S, T, F, G or M; mod 11", Source: "National Registration Act 1965, ICA",
	},
	{
		Type: "SG_UEN", Country: "SG", Name: "unique entity number", Shapes: "9{8}A|9{9}A|A99AA9999A", Words: companyWords + "|uen|unique entity|acra", Form: 220, Gain: 230, check: sgUEN, Check: "mod 11", Source: "ACRA",
	},
	{
		Type: "CN_RESIDENT_ID", Country: "CN", Name: "resident identity number", Shapes: "9{17}X|999999 99999999 999X|999999-99999999-999X", Words: idWords + "|身份证|身份证号|身分证|身份證|居民身份|公民身份|shenfenzheng", Form: 420, Grouped: 480, Gain: 450, check: cnResident, Check: "date of birth; ISO/IEC 7064 MOD 11-2", Source: "GB 11643-1999",
	},
	{
		Type: "HK_HKID", Country: "HK", Name: "identity card", Shapes: "A9{6}X|AA9{6}X|A9{6}~X|AA9{6}~X", Words: idWords + "|hkid|身份證|hong kong id|hong kong identity|hkid no", Form: 230, Gain: 200, check: hkID, Check: "mod 11", Source: "Immigration Department, Registration of Persons Ordinance",
	},
	{
		Type: "TW_NATIONAL_ID", Country: "TW", Name: "identity number", Shapes: "AX9{8}", Words: idWords + "|身分證|身分證字號|統一證號|居留證|taiwan id|arc", Form: 230, Gain: 270, check: twID, Check: "mod 10", Source: "Ministry of the Interior, Household Registration Act",
	},
	{
		Type: "JP_MY_NUMBER", Country: "JP", Name: "individual number", Shapes: "9{12}|9999 9999 9999|9999-9999-9999", Words: "マイナンバー|個人番号|my number|individual number|mynumber", Form: 170, Grouped: 270, Gain: 150, check: jpMyNumber, Check: "mod 11", Source: "Digital Agency, Number Act",
	},
	{
		Type: "JP_PASSPORT", Country: "JP", Name: "passport", Shapes: "AA9{7}", Words: passportWords + "|パスポート|旅券|旅券番号", Form: 215, Source: "Ministry of Foreign Affairs; ICAO Doc 9303",
	},
	{
		Type: "JP_DRIVER_LICENSE", Country: "JP", Name: "driver licence", Shapes: "9{12}", Words: driverWords + "|運転免許|免許証番号|免許証", Form: 120, Source: "National Police Agency",
	},
	{
		Type: "CN_PASSPORT", Country: "CN", Name: "passport", Shapes: "A9{8}|AA9{7}", Words: passportWords + "|护照|护照号|護照", Form: 214, Source: "National Immigration Administration; ICAO Doc 9303",
	},
	{
		Type: "ID_NIK", Country: "ID", Name: "population number", Shapes: "9{16}|999999 999999 9999|999999.999999.9999", Words: idWords + "|nik|ktp|nomor induk|nomor induk kependudukan|no ktp", Form: 260, Grouped: 480, check: idNIK, Check: "date of birth", Source: "Law 23 of 2006, Dukcapil",
	},
	{
		Type: "MY_NRIC", Country: "MY", Name: "identity card", Shapes: "999999~99~9999|9{12}", Words: idWords + "|mykad|ic|ic number|nric|kad pengenalan|no ic|ic no|no kp", Form: 200, Grouped: 620, check: myNRIC, Check: "date of birth", Source: "National Registration Department",
	},
	{
		Type: "PK_CNIC", Country: "PK", Name: "identity card", Shapes: "99999~9999999~9|9{13}", Words: idWords + "|cnic|nadra|nic|nicop|cnic no", Form: 170, Grouped: 620, check: pkCNIC, Check: "province", Source: "NADRA",
	},
	{
		Type: "LK_NIC", Country: "LK", Name: "identity card", Shapes: "9{9}A|9{12}", Words: idWords + "|nic|nic no|nic number", Form: 200, check: lkNIC, Check: "day of birth", Source: "Department for Registration of Persons",
	},
	{
		Type: "VN_CCCD", Country: "VN", Name: "citizen identity number", Shapes: "9{12}", Words: idWords + "|cccd|căn cước|cmnd|căn cước công dân|can cuoc", Form: 160, check: vnCCCD, Check: "province", Source: "Decree 137/2015",
	},
	{
		Type: "IL_ID", Country: "IL", Name: "identity number", Shapes: "9{9}|9{8}~9", Words: idWords + "|תעודת זהות|תז|מספר זהות|teudat zehut|ת ז|tz", Form: 200, Grouped: 220, Gain: 130, check: ilID, Check: "Luhn", Source: "Population and Immigration Authority",
	},
	{
		Type: "EG_NATIONAL_ID", Country: "EG", Name: "national number", Shapes: "9{14}", Words: idWords + "|الرقم القومي|رقم قومي", Form: 210, Gain: 330, check: egNational, Check: "date of birth; mod 11", Source: "Civil Status Organisation",
	},
	{
		Type: "SA_NATIONAL_ID", Country: "SA", Name: "national number or iqama", Shapes: "9{10}", Words: idWords + "|iqama|الهوية|رقم الهوية|إقامة|الإقامة", Form: 160, Gain: 150, check: saNational, Check: "first digit; Luhn", Source: "Ministry of Interior, Absher",
	},
	{
		Type: "AE_EMIRATES_ID", Country: "AE", Name: "identity number", Shapes: "999-9999-9999999-9|9{15}|999 9999 9999999 9", Words: idWords + "|emirates id|الهوية|eid", Form: 500, Grouped: 780, Gain: 180, check: aeID, Check: "prefix 784; Luhn", Source: "ICP",
	},
	{
		Type: "KW_CIVIL_ID", Country: "KW", Name: "civil number", Shapes: "9{12}", Words: idWords + "|civil id|civil number|الرقم المدني|البطاقة المدنية", Form: 180, Gain: 280, check: kwCivil, Check: "date of birth; mod 11", Source: "PACI",
	},
}
