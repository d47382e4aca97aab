// SPDX-License-Identifier: Apache-2.0

package national_test

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/redact/national"
)

var update = flag.Bool("update", false, "write docs/transforms/identifiers.md anew")

const page = "../../../docs/transforms/identifiers.md"

// presidio are the entities of presidio-analyzer 2.2.366's recognisers of countries, and generic ones that are found here.
var presidio = strings.Fields(`ABA_ROUTING_NUMBER AU_ABN AU_ACN AU_MEDICARE AU_TFN CA_POSTAL_CODE CA_SIN DE_BSNR DE_FUEHRERSCHEIN DE_HANDELSREGISTER
DE_HEALTH_INSURANCE DE_ID_CARD DE_KFZ DE_LANR DE_PASSPORT DE_PLZ DE_SOCIAL_SECURITY DE_TAX_ID DE_TAX_NUMBER DE_VAT_ID ES_NIE ES_NIF ES_PASSPORT
FI_PERSONAL_IDENTITY_CODE IN_AADHAAR IN_GSTIN IN_PAN IN_PASSPORT IN_VEHICLE_REGISTRATION IN_VOTER IT_DRIVER_LICENSE IT_FISCAL_CODE IT_IDENTITY_CARD
IT_PASSPORT IT_VAT_CODE KR_BRN KR_DRIVER_LICENSE KR_FRN KR_PASSPORT KR_RRN MEDICAL_LICENSE NG_NIN NG_VEHICLE_REGISTRATION PH_PASSPORT PH_TIN PH_UMID
PL_PESEL SE_ORGANISATIONSNUMMER SE_PERSONNUMMER SG_NRIC_FIN SG_UEN TH_TNIN TR_LICENSE_PLATE TR_NATIONAL_ID UK_DRIVING_LICENCE UK_NHS UK_NINO UK_PASSPORT
UK_POSTCODE UK_VEHICLE_REGISTRATION US_BANK_NUMBER US_CLAIM_NUMBER US_DRIVER_LICENSE US_HEALTH_INSURANCE_MEMBER_ID US_ITIN US_MBI US_NPI US_PASSPORT
US_PRESCRIPTION_NUMBER US_PRIOR_AUTHORIZATION_NUMBER US_PROVIDER_TAX_ID US_REFERRAL_NUMBER US_SSN UUID ZA_COMPANY_REGISTRATION ZA_DRIVER_LICENSE
ZA_ID_NUMBER ZA_INCOME_TAX_NUMBER ZA_LICENSE_PLATE ZA_PASSPORT ZA_TRAFFIC_REGISTER_NUMBER ZA_VAT_NUMBER`)

// elsewhere are entities of Presidio that this package does not find, and who does or why none.
var elsewhere = [][2]string{
	{"CREDIT_CARD, CRYPTO, DATE_TIME, EMAIL_ADDRESS, IBAN_CODE, IP_ADDRESS, MAC_ADDRESS, PHONE_NUMBER, URL", "package `scan`"},
	{"ZA_TELEPHONE_NUMBER, ZA_MOBILE_NUMBER, and other telephone numbers by country", "`PHONE_NUMBER` of package `scan`: one type for all countries"},
	{"PERSON, LOCATION, ORGANIZATION", "package `name`"},
	{"NRP (nationality, religion, politics)", "left out: such words are in most texts and identify nobody; a creator names them in a word list"},
	{"MEDICAL_DISEASE_DISORDER and the other MEDICAL_ types of Presidio's medical recogniser", "left out: they need a language model of some hundred megabytes; MEDICAL_LICENSE is found"},
	{"types of remote services (Azure AI Language, Azure Health Data Services, LangExtract)", "left out: nothing in an enclave calls out"},
}

func TestPresidiosTypesAreFound(t *testing.T) {
	have := map[string]bool{}
	for _, r := range national.Recognisers() {
		have[string(r.Type)] = true
	}
	for _, kind := range presidio {
		if !have[kind] {
			t.Errorf("%s is not found", kind)
		}
	}
}

func TestRecognisersAreDescribed(t *testing.T) {
	if types := national.Misplaced(); len(types) > 0 {
		t.Errorf("shared words are not first: %v", types)
	}
	for _, r := range national.Recognisers() {
		if r.Name == "" || r.Source == "" || r.Shapes == "" || r.Words == "" || r.Form == 0 || (r.Gain != 0) && r.Check == "" {
			t.Errorf("%s %q lacks something", r.Type, r.Name)
		}
		if strings.Contains(r.Shapes, "|"+"|") || strings.Contains(r.Words, "||") || strings.ContainsAny(r.Words, "#") || strings.HasSuffix(r.Words, "|") || strings.HasSuffix(r.Shapes, "|") {
			t.Errorf("%s has an empty shape or phrase", r.Type)
		}
	}
}

func TestDocs(t *testing.T) {
	want := document()
	if *update {
		if err := os.MkdirAll("../../../docs/transforms", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s is not what the recognisers say: run this test with -update", page)
	}
}

const preface = `# Identifiers of countries

Written by the tests of ` + "`transforms/redact/national`" + ` (` + "`-update`" + `); do not edit.

A recogniser looks for a form, and says how likely it is: in thousandths, by its form alone, and how much right check digits add. Wrong check digits take
100 away, a broken rule of the issuer's 250, small letters where no word is near 100; the last word before it that says what it is adds 400, another word before it 350, one after it
300, one beyond another number 150, and its country 40. The last word before it that says it is something else (an invoice, a telephone) takes 300 away, or 150 of 600 and more. What has
less than 300 is no finding; what has less than 500 is weak, and redaction leaves it unless told otherwise. So a common form, such as nine digits, counts
only beside a word that names it. Check digits are scores and not gates: a mistyped number is personal data too.

Forms: 9 is a digit, A a letter, X either, small letters themselves; {2,4} is how many; "-" is a dash, space, stop or slash, the same throughout; "~" a dash only; other
signs are themselves. A second score is for forms with separators.

The likeliest type wins; of equals the one that is earlier here. A creator who knows where the records come from should choose countries or types: the fewer
there are, the fewer numbers are taken for what they are not.
`

func document() string {
	var b strings.Builder
	b.WriteString(preface)
	fmt.Fprintf(&b, "\n%d recognisers of %d types. P marks the types of Presidio (presidio-analyzer 2.2.366).\n", len(national.Recognisers()), kinds())
	b.WriteString("\n| Type | P | Country | What | Forms | Score | Check digits add | Checked | Form from |\n|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range national.Recognisers() {
		mark := ""
		for _, kind := range presidio {
			if kind == string(r.Type) {
				mark = "P"
			}
		}
		score := fmt.Sprint(r.Form)
		if r.Grouped != 0 && r.Grouped != r.Form {
			score += ", " + fmt.Sprint(r.Grouped)
		}
		gain := ""
		if r.Gain != 0 {
			gain = fmt.Sprint(r.Gain)
		}
		fmt.Fprintf(&b, "| %s | %s | %s | %s | `%s` | %s | %s | %s | %s |\n", r.Type, mark, r.Country, r.Name,
			strings.ReplaceAll(r.Shapes, "|", "` `"), score, gain, r.Check, r.Source)
	}
	b.WriteString("\n## Presidio's other types\n\n| Type | Where, or why not |\n|---|---|\n")
	for _, e := range elsewhere {
		fmt.Fprintf(&b, "| %s | %s |\n", e[0], e[1])
	}
	return b.String()
}

func kinds() int {
	types := map[string]bool{}
	for _, r := range national.Recognisers() {
		types[string(r.Type)] = true
	}
	return len(types)
}
