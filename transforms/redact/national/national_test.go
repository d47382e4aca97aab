// SPDX-License-Identifier: Apache-2.0

package national_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/redact/national"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// ownWords are a type's phrases that no other type has, or else its first.
func ownWords() map[span.Type]string {
	users := map[string]map[span.Type]bool{}
	for _, r := range national.Recognisers() {
		for phrase := range strings.SplitSeq(r.Words, "|") {
			if users[phrase] == nil {
				users[phrase] = map[span.Type]bool{}
			}
			users[phrase][r.Type] = true
		}
	}
	own := map[span.Type]string{}
	for _, r := range national.Recognisers() {
		phrases := strings.Split(r.Words, "|")
		i := slices.IndexFunc(phrases, func(p string) bool { return len(users[p]) == 1 })
		if _, ok := own[r.Type]; !ok {
			own[r.Type] = phrases[max(i, 0)]
		}
	}
	return own
}

// only finds with the recognisers of one type.
func only(kind span.Type, text string) (span.Finding, bool) {
	m := national.New(national.Options{Types: []span.Type{kind}})
	var found []span.Finding
	each([]byte(text), func(start, end int) { found = m.Match(found, []byte(text), start, end) })
	if found = span.Resolve(found); len(found) != 1 {
		return span.Finding{}, false
	}
	return found[0], true
}

func TestEveryTypeHasNumbers(t *testing.T) {
	types := map[string]bool{}
	for _, r := range national.Recognisers() {
		types[string(r.Type)] = true
		if len(numbers[string(r.Type)]) == 0 {
			t.Errorf("no numbers of %s", r.Type)
		}
	}
	for kind := range numbers {
		if !types[kind] {
			t.Errorf("numbers of %s, which there is no recogniser of", kind)
		}
	}
}

// A number beside a word that says what it is is found whole, and is at least of medium score; without the word it scores less.
func TestNumbersWithAndWithoutWords(t *testing.T) {
	own := ownWords()
	for kind, list := range numbers {
		for _, number := range list {
			with := fmt.Sprintf("The %s is %s, as it says here.", own[span.Type(kind)], number)
			f, ok := only(span.Type(kind), with)
			if !ok || with[f.Start:f.End] != number {
				t.Errorf("%s not found in %q", kind, with)
				continue
			}
			if f.Score < span.Medium || f.Why&span.ByContext == 0 {
				t.Errorf("%s %q with context: score %d, why %b", kind, with, f.Score, f.Why)
			}
			bare, ok := only(span.Type(kind), "It says "+number+" here.")
			if ok && bare.Score >= f.Score && f.Score < 990 {
				t.Errorf("%s %q: %d without context, %d with it", kind, number, bare.Score, f.Score)
			}
		}
	}
}

// Of all recognisers, the one that the words name wins.
func TestWordsDecideAmongTypes(t *testing.T) {
	own := ownWords()
	for _, r := range national.Recognisers() {
		for _, number := range numbers[string(r.Type)] {
			text := fmt.Sprintf("The %s is %s, as it says here.", own[r.Type], number)
			found := find(text)
			if i := slices.IndexFunc(found, func(f span.Finding) bool { return text[f.Start:f.End] == number }); i < 0 {
				t.Errorf("%q: %v", text, found)
			} else if found[i].Type != r.Type && !shares(own[r.Type], found[i].Type) {
				t.Errorf("%q is %s, not %s", text, found[i].Type, r.Type)
			}
		}
	}
}

// shares says whether the phrase, or a part of it, speaks of the type as well.
func shares(phrase string, kind span.Type) bool {
	for _, r := range national.Recognisers() {
		if r.Type == kind {
			for p := range strings.SplitSeq(r.Words, "|") {
				if strings.Contains(" "+phrase+" ", " "+p+" ") {
					return true
				}
			}
		}
	}
	return false
}

// mistyped are the number with each of its digits, one at a time, moved on by one.
func mistyped(number string) []string {
	var out []string
	for i := range len(number) {
		if c := number[i]; c >= '0' && c <= '9' {
			out = append(out, number[:i]+string('0'+(c-'0'+1)%10)+number[i+1:])
		}
	}
	return out
}

// A wrong check digit lowers the score and is told, and the number is found all the same.
func TestChecksumsAreScores(t *testing.T) {
	own := ownWords()
	for _, r := range national.Recognisers() {
		if r.Gain == 0 {
			continue
		}
		for _, number := range numbers[string(r.Type)] {
			text := fmt.Sprintf("The %s is %%s.", own[r.Type])
			good, ok := only(r.Type, fmt.Sprintf(text, number))
			if !ok || good.Why&span.ByChecksum == 0 {
				if r.Type != "VIN" && r.Type != "IMEI" && r.Type != "LV_PERSONAS_KODS" && r.Type != "DE_PASSPORT" && r.Type != "DE_ID_CARD" && r.Type != "DK_CPR" {
					t.Errorf("%s: the check digits of %s are right: %b", r.Type, number, good.Why)
				}
				continue
			}
			lower := 0
			for _, bad := range mistyped(number) {
				f, ok := only(r.Type, fmt.Sprintf(text, bad))
				if ok && f.Why&span.ByChecksum != 0 {
					continue // sums do not see every change
				}
				lower++
				if ok && f.Score >= good.Score && good.Score < 990 {
					t.Errorf("%s: %s scores %d, %s %d", r.Type, number, good.Score, bad, f.Score)
				}
				if ok && f.Why&span.NoChecksum != 0 && f.Score < span.Weak {
					t.Errorf("%s: %s is lost", r.Type, bad)
				}
			}
			if lower < min(3, len(mistyped(number))) {
				t.Errorf("%s: the sum saw only %d of %d changes to %s", r.Type, lower, len(mistyped(number)), number)
			}
		}
	}
}

func TestSSN(t *testing.T) {
	for _, c := range []struct {
		text string
		want span.Type
		low  span.Score
		high span.Score
	}{
		{"123-45-6789", "US_SSN", span.Medium, 800},
		{"It is 536-90-4399.", "US_SSN", span.Medium, 800},
		{"123–45–6789", "US_SSN", span.Medium, 800},
		{"123 45 6789", "US_SSN", span.Medium, 700},
		{"my SSN is 123-45-6789", "US_SSN", span.Strong, 1000},
		{"SSN:123456789", "US_SSN", span.Medium, 900},
		{`{"ssn":"123456789"}`, "US_SSN", span.Medium, 900},
		{"Social Security Number\n123456789", "US_SSN", span.Medium, 900},
		{"123456789 is his social security number", "US_SSN", span.Medium, 900},
		{"000-12-3456", "US_SSN", span.Weak, 499},
		{"666-12-3456", "US_SSN", span.Weak, 499},
		{"123-00-6789", "US_SSN", span.Weak, 499},
		{"953-20-1234", "US_SSN", span.Weak, 499},
		{"SSN 666-12-3456", "US_SSN", span.Medium, 900},
		{"953-70-1234", "US_ITIN", span.Medium, 800},
		{"ITIN 953701234", "US_ITIN", span.Medium, 900},
	} {
		found := find(c.text)
		if len(found) != 1 || found[0].Type != c.want || found[0].Score < c.low || found[0].Score > c.high {
			t.Errorf("%q: %+v, want %s with %d to %d", c.text, found, c.want, c.low, c.high)
		}
	}
}

// What stands alone is at least of medium score where its form is its own.
func TestDistinctForms(t *testing.T) {
	for _, c := range []struct {
		want span.Type
		text string
	}{
		{"PL_PESEL", "44051401359"},
		{"ES_NIF", "12345678Z"},
		{"ES_NIE", "X1234567L"},
		{"IT_FISCAL_CODE", "RSSMRA85T10A562S"},
		{"FR_NIR", "2 69 05 49 588 157 80"},
		{"FR_NIR", "269054958815780"},
		{"CN_RESIDENT_ID", "身份证号码是11010519491231002X。"},
		{"BR_CPF", "529.982.247-25"},
		{"BR_CNPJ", "11.222.333/0001-81"},
		{"UK_NINO", "AB 12 34 56 C"},
		{"FI_PERSONAL_IDENTITY_CODE", "131052-308T"},
		{"KR_RRN", "주민등록번호는 920101-1234567입니다"},
		{"CH_AHV", "756.9217.0769.85"},
		{"SG_NRIC_FIN", "S1234567D"},
		{"IN_PAN", "ABCPE1234F"},
		{"MX_CURP", "BOXW310820HNERXN09"},
		{"CL_RUT", "12.345.678-5"},
		{"TH_TNIN", "1-1012-00001-23-4"},
		{"IN_GSTIN", "27AAPFU0939F1ZV"},
		{"UK_DRIVING_LICENCE", "MORGA657054SM9IJ"},
		{"VIN", "1M8GDM9AXKP042788"},
		{"CA_SIN", "046 454 286"},
		{"DE_SOCIAL_SECURITY", "15070649C103"},
		{"DE_VAT_ID", "DE136695976"},
		{"MY_NRIC", "850730-10-5523"},
		{"RU_SNILS", "112-233-445 95"},
	} {
		found := find(c.text)
		if len(found) != 1 || found[0].Type != c.want || found[0].Score < span.Medium {
			t.Errorf("%q: %+v, want %s", c.text, found, c.want)
		}
	}
}

// Ordinary numbers are no identifiers.
func TestLookAlikes(t *testing.T) {
	for _, text := range []string{
		mail,
		"Call 415-555-0198 or (415) 555-0198, fax +1 415 555 0198, +44 20 7946 0958 and 020 7946 0958.",
		"Invoice 123456789 of 12/03/2003, due 2003-12-01, total $123456789.00, 1,234,567.89 EUR, 99.5%.",
		"4111-1111-1111-1111 and 4111 1111 1111 1111, 5500 0000 0000 0004",
		"IP 192.168.100.123, port 8080, 10.0.0.1:443, version 1.2.3.4-5, v2.10.0",
		"ISBN 978-3-16-148410-0, ISBN 0-306-40615-2, order 1234567890, tracking number 123456789012",
		"sha1 da39a3ee5e6b4b0d3255bfef95601890afd80709 commit 0cc175b9c0f1b6a831c399e269772661",
		"I AM 25 AND IN 2003 WE HAD 12 OF 34. A 4 B 5. MP3, H2O, B2B, 3D, 4K, A4, UTF-8, ISO-8859-1, RFC 2822, KB123456, CVE-2024-12345",
		"1700000000 1700000000123 20031201120000 2003120112 0x7ffe12345678 1e10 1234567 12345 00000",
		"at 12:30:45.123 GMT-0700, build 20240115.1, line 12345, 1048576 bytes, 65536 x 65536, room B-12, flight BA 123, M25",
		"scores 3-2-1, 10-12-14, 1/2/3, 5/10/15, 100/200/300, 7-11, 24/7, 9/11, 50-50, 1.5.2, 3.14159265358979",
	} {
		for _, f := range find(text) {
			if f.Score >= span.Medium {
				t.Errorf("%q is %s with %d, in %q", text[f.Start:f.End], f.Type, f.Score, text)
			}
		}
	}
}

// A word of what a number is not takes from its score.
func TestOtherWordsCount(t *testing.T) {
	plain, _ := only("PL_PESEL", "It is 44051401359")
	order, ok := only("PL_PESEL", "Order number 44051401359")
	if ok && order.Score >= plain.Score {
		t.Errorf("%d after another word, %d without", order.Score, plain.Score)
	}
}

func TestPartsOfLongerNumbers(t *testing.T) {
	for _, text := range []string{
		"123-45-6789-01", "1-123-45-6789", "0.123456789", "$123-45-6789", "123456789%", "a_123-45-6789", "12:123-45-6789", "123-45-6789.5", "123 45 6789 0123", "1234 123 45 6789",
		strings.Repeat("123-45-6789-", 50), strings.Repeat("9", 100),
	} {
		for _, f := range find(text) {
			if f.Score >= span.Medium {
				t.Errorf("%q is %s with %d, in %q", text[f.Start:f.End], f.Type, f.Score, text)
			}
		}
	}
}

func TestOptions(t *testing.T) {
	text := []byte("his passport is 123456789")
	start, end := len(text)-9, len(text)
	for _, c := range []struct {
		o    national.Options
		want span.Type
	}{
		{national.Options{}, "US_PASSPORT"},
		{national.Options{Countries: []string{"GB"}}, "UK_PASSPORT"},
		{national.Options{Types: []span.Type{"UK_PASSPORT"}}, "UK_PASSPORT"},
		{national.Options{Types: []span.Type{"UK_PASSPORT"}, Countries: []string{"US"}}, ""},
		{national.Options{Types: []span.Type{"US_SSN"}, Countries: []string{"US"}}, "US_SSN"},
	} {
		found := national.New(c.o).Match(nil, text, start, end)
		got := span.Type("")
		if len(found) > 0 {
			got = found[0].Type
		}
		if got != c.want {
			t.Errorf("%+v: %q, want %q", c.o, got, c.want)
		}
	}
	if found := (*national.Matcher)(nil).Match(nil, text, start, end); found != nil {
		t.Error("no matcher found something")
	}
	for _, at := range [][2]int{{-1, 3}, {5, 5}, {6, 5}, {3, 1000}} {
		if found := national.Match(nil, text, at[0], at[1]); found != nil {
			t.Error("a range outside the text found something")
		}
	}
}

func TestMatchAllocatesNothing(t *testing.T) {
	text := []byte("SSN 123-45-6789, PESEL 44051401359")
	dst := make([]span.Finding, 0, 8)
	if n := testing.AllocsPerRun(200, func() {
		each(text, func(start, end int) { dst = national.Match(dst[:0], text, start, end) })
	}); n >= 1 {
		t.Errorf("%v allocations a text", n)
	}
}
