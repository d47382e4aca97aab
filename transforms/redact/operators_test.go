// SPDX-License-Identifier: Apache-2.0

package redact_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/redact"
)

func TestOperators(t *testing.T) {
	const mail = "Write to jane.doe@acme-corp.com, today."
	for name, c := range map[string]struct{ config, in, want string }{
		"replace":       {op("EMAIL_ADDRESS", `{"op":"replace"}`), mail, "Write to <EMAIL_ADDRESS>, today."},
		"replace text":  {op("EMAIL_ADDRESS", `{"op":"replace","text":"[gone]"}`), mail, "Write to [gone], today."},
		"replace empty": {op("EMAIL_ADDRESS", `{"op":"replace","text":""}`), "a jane@acme.com b", "a  b"},
		"redact":        {op("EMAIL_ADDRESS", `{"op":"redact"}`), mail, "Write to , today."},
		"redact joins":  {op("EMAIL_ADDRESS", `{"op":"redact"}`), "(jane@acme.com)", "( )"},
		"mask":          {op("CREDIT_CARD", `{"op":"mask","last":4}`), "card 4111-1111-1111-1111.", "card ****-****-****-1111."},
		"mask first":    {op("CREDIT_CARD", `{"op":"mask","first":2,"char":"#"}`), "card 4111 1111 1111 1111", "card 41## #### #### ####"},
		"mask too much": {op("CREDIT_CARD", `{"op":"mask","last":12}`), "card 4111 1111 1111 1111", "card **** **** **** ****"},
		"bucket age":    {op("AGE", `{"op":"bucket"}`), "She is 34 years old.", "She is 30-39 years old."},
		"bucket old":    {op("AGE", `{"op":"bucket"}`), "She is 97 years old.", "She is 90+ years old."},
		"bucket width":  {op("AGE", `{"op":"bucket","width":5}`), "She is 34 years old.", "She is 30-34 years old."},
		"bucket date":   {op("DATE_TIME", `{"op":"bucket"}`), "born on May 12, 1990 in", "born on 1990-05 in"},
		"bucket year":   {op("DATE_TIME", `{"op":"bucket","date":"year"}`), "born on 1990-05-12.", "born on 1990."},
		"default":       {`{"detect":["EMAIL_ADDRESS"],"operators":{"default":{"op":"redact"}}}`, mail, "Write to , today."},
		"none found":    {`{"detect":["IBAN_CODE"]}`, mail, mail},
		"pattern": {
			`{"detect":["TICKET"],"patterns":[{"name":"t","type":"TICKET","regexp":"TCK-\\d+"}],"operators":{"TICKET":{"op":"mask"}}}`,
			"see TCK-1234", "see ***-****",
		},
		"bucket prefix": {
			`{"detect":["ZIP"],"patterns":[{"name":"zip","type":"ZIP","regexp":"\\b\\d{5}\\b"}],"operators":{"ZIP":{"op":"bucket","prefix":3}}}`,
			"at 02139.", "at 021**.",
		},
		"words": {`{"detect":["PROJECT"],"words":[{"type":"PROJECT","words":["Blue  Heron","straße"]}]}`, "the BLUE\nHERON, Straße and Straßen", "the <PROJECT>, <PROJECT> and Straßen"},
		"allow": {`{"detect":["EMAIL_ADDRESS"],"allow":["Info@ACME.com"]}`, "info@acme.com, jane@acme.com", "info@acme.com, <EMAIL_ADDRESS>"},
	} {
		if got := line(t, c.config, c.in, "k"); got != c.want {
			t.Errorf("%s: got %q, want %q", name, got, c.want)
		}
	}
}

func TestHashIsKeyedAndStable(t *testing.T) {
	hash := func(text, scope string, k keys) string {
		return line(t, op("EMAIL_ADDRESS", `{"op":"hash","scope":"`+scope+`"}`), text, k)
	}
	one := hash("jane@acme.com", "dataset", "k")
	if !regexp.MustCompile(`^<EMAIL_ADDRESS:[a-z2-7]{26}>$`).MatchString(one) {
		t.Fatalf("got %q", one)
	}
	for _, same := range []string{"Jane@Acme.com", "jane&#64;acme.com", "jane＠acme.com"} {
		if got := hash(same, "dataset", "k"); got != one {
			t.Errorf("%q is %s, want %s", same, got, one)
		}
	}
	for what, other := range map[string]string{
		"another address": hash("joan@acme.com", "dataset", "k"),
		"another key":     hash("jane@acme.com", "dataset", "j"),
		"another scope":   hash("jane@acme.com", "grant", "k"),
	} {
		if other == one {
			t.Errorf("%s has the same name", what)
		}
	}
	card := func(text string) string { return line(t, op("CREDIT_CARD", `{"op":"hash"}`), text, "k") }
	if a, b := card("4111 1111 1111 1111"), card("4111-1111-1111-1111"); a != b {
		t.Errorf("two ways to write a card: %s and %s", a, b)
	}
}

func TestEncryptAndReveal(t *testing.T) {
	const text = "a: jane@acme.com, b: Jane@acme.com, c: jane@acme.com <EMAIL_ADDRESS> <x:y>"
	config := op("EMAIL_ADDRESS", `{"op":"encrypt"}`)
	sealed := line(t, config, text, "k")
	if strings.Contains(sealed, "acme") || strings.Count(sealed, "<EMAIL_ADDRESS:") != 3 || sealed != line(t, config, text, "k") {
		t.Fatalf("got %q", sealed)
	}
	out, n, bad, err := reveal(keys("k"), []byte(sealed))
	if err != nil || string(out) != text || n != 3 || bad != 0 {
		t.Errorf("got %q, %d, %d, %v", out, n, bad, err)
	}
	for what, c := range map[string]struct {
		text string
		k    keys
		bad  int64
	}{
		"another key":  {sealed, "j", 3},
		"another type": {strings.Replace(sealed, "<EMAIL_ADDRESS:", "<PHONE_NUMBER:", 1), "k", 1},
		"changed":      {strings.Replace(sealed, "<EMAIL_ADDRESS:a", "<EMAIL_ADDRESS:b", 1), "k", 0},
		"cut off":      {sealed[:40], "k", 0},
		"a hash":       {line(t, op("EMAIL_ADDRESS", `{"op":"hash"}`), "jane@acme.com", "k"), "k", 0},
	} {
		out, _, bad, err := reveal(c.k, []byte(c.text))
		if err != nil || bad < c.bad || c.bad > 0 && !strings.Contains(string(out), "<") {
			t.Errorf("%s: %q, %d, %v", what, out, bad, err)
		}
	}
	// A flipped letter anywhere in a sealed text is never read as another text.
	token := line(t, config, "jane@acme.com", "k")
	for i := len("<EMAIL_ADDRESS:"); i < len(token)-2; i++ {
		b := []byte(token)
		if b[i]++; b[i] == 'z'+1 || b[i] == '8' {
			b[i] = 'a'
		}
		if out, n, bad, _ := reveal(keys("k"), b); n != 0 || bad != 1 || string(out) != string(b) {
			t.Fatalf("letter %d: %q, %d, %d", i, out, n, bad)
		}
	}
}

func TestShift(t *testing.T) {
	config := op("DATE_TIME", `{"op":"shift","days":30}`)
	for _, text := range []string{
		"on 2021-03-04 at", "on 2021-03-04T10:11:12Z at", "on 03/04/2021 at", "on 3/4/21 at", "on 4.3.2021 at", "on 12 May 1990 at",
		"on May 12, 1990 at", "on May 12th, 1990 at", "on Sat, 12 May 1990 10:11:12 +0200 at", "am 12. Mai 1990 um", "le 12 mai 1990 à",
	} {
		got := line(t, config, text, "k")
		if got == text || strings.Contains(got, "DATE_TIME") || got != line(t, config, text, "k") {
			t.Errorf("%q became %q", text, got)
		}
		if other := line(t, config, text, "j"); other == got {
			t.Errorf("%q became %q under another key too", text, other)
		}
	}
	// Two dates of one dataset stay as far from each other.
	if got := line(t, config, "from 2021-02-27 to 2021-03-02", "k"); !regexp.MustCompile(`from \d{4}-\d\d-\d\d to \d{4}-\d\d-\d\d`).MatchString(got) {
		t.Errorf("got %q", got)
	}
	// What is no date one can move becomes a token: never the text.
	if got := line(t, `{"detect":["DATE_TIME"],"minScore":0.05,"operators":{"DATE_TIME":{"op":"shift"}}}`, "due yesterday", "k"); strings.Contains(got, "yesterday") && strings.Contains(got, "<") {
		t.Errorf("got %q", got)
	}
}

func TestShiftByPerson(t *testing.T) {
	config := `{"detect":["DATE_TIME"],"operators":{"DATE_TIME":{"op":"shift","by":"id"}}}`
	r := redacted(t, config, "jsonl", `{"id":"a","t":"on 2021-03-04"}
{"id":"b","t":"on 2021-03-04"}
{"id":"a","t":"on 2021-03-04"}
{"t":"on 2021-03-04"}
`)
	got := regexp.MustCompile(`on [^"]+`).FindAllString(r.out, -1)
	if r.err != nil || len(got) != 4 || got[0] == got[1] || got[0] != got[2] || got[3] != "on <DATE_TIME>" {
		t.Errorf("%v %v", got, r.err)
	}
}

// TestShiftByTheFieldAsItCame: the field that says whose date it is may be redacted itself; all persons are not one for that.
func TestShiftByTheFieldAsItCame(t *testing.T) {
	config := `{"detect":["DATE_TIME","EMAIL_ADDRESS"],"operators":{"DATE_TIME":{"op":"shift","by":"who"}}}`
	r := redacted(t, config, "jsonl", `{"who":"ann@acme.com","t":"on 2021-03-04"}
{"who":"bob@acme.com","t":"on 2021-03-04"}
{"who":"ann@acme.com","t":"on 2021-03-04"}
{"who":null,"t":"on 2021-03-04"}
{"who":"","t":"on 2021-03-04"}
`)
	got := regexp.MustCompile(`on [^"]+`).FindAllString(r.out, -1)
	if r.err != nil || strings.Contains(r.out, "acme") || len(got) != 5 || got[0] == got[1] || got[0] != got[2] ||
		got[3] != "on <DATE_TIME>" || got[4] != got[3] {
		t.Errorf("%s %v", r.out, r.err)
	}
}

// TestBucketOfIdentifiers: a range of ten cards is a card.
func TestBucketOfIdentifiers(t *testing.T) {
	for kind, in := range map[string]string{
		"CREDIT_CARD": "4111111111111111", "US_SSN": "219099999", "PHONE_NUMBER": "+12127365000", "US_BANK_NUMBER": "945456787",
	} {
		if got := line(t, op(kind, `{"op":"bucket"}`), kind+" "+in, "k"); strings.Contains(got, in[:6]) {
			t.Errorf("%s became %s", in, got)
		}
		if got := line(t, op(kind, `{"op":"bucket","prefix":7}`), kind+" "+in, "k"); strings.Contains(got, in[:7]) && len(in) < 14 {
			t.Errorf("%s became %s", in, got)
		}
	}
	r := redacted(t, op("CREDIT_CARD", `{"op":"bucket"}`), "jsonl", `{"card":4111111111111111}`+"\n")
	if r.err != nil || r.out != `{"card":"<CREDIT_CARD>"}`+"\n" {
		t.Errorf("got %s %v", r.out, r.err)
	}
	own := `{"detect":["WAGE"],"patterns":[{"name":"w","type":"WAGE","regexp":"\\d{5}"}],"operators":{"WAGE":{"op":"bucket","width":1000}}}`
	if got := line(t, own, "earns 45210", "k"); got != "earns 45000-45999" {
		t.Errorf("got %q", got)
	}
}

func TestSurrogates(t *testing.T) {
	for kind, c := range map[string]struct{ in, want string }{
		"EMAIL_ADDRESS": {"to jane@acme.com now", `^to [a-z]+\.[a-z]+\d{4}@example\.(com|net|org) now$`},
		"PHONE_NUMBER":  {"call (212) 736-5000 now", `^call \([2-9]\d\d\) 555-01\d\d now$`},
		"CREDIT_CARD":   {"card 5500 0000 0000 0004 now", `^card 5555 55\d\d \d{4} \d{4} now$`},
		"IBAN_CODE":     {"IBAN DE89 3704 0044 0532 0130 00 now", `^IBAN DE\d\d \d{4} \d{4} \d{4} \d{4} \d\d now$`},
		"IP_ADDRESS":    {"from 10.11.12.13 now", `^from (192\.0\.2|198\.51\.100|203\.0\.113)\.\d+ now$`},
		"MAC_ADDRESS":   {"mac 3c:22:fb:01:02:03 now", `^mac [0-9a-f][26ae](:[0-9a-f]{2}){5} now$`},
		"URL":           {"see https://intra.acme.com/x?y=1 now", `^see https://host-[a-z2-7]{8}\.example\.(com|net|org)/[a-z2-7]{10} now$`},
		"US_SSN":        {"SSN 123-45-6789 now", `^SSN 666-\d\d-\d{4} now$`},
		"AGE":           {"he is 34 years old now", `^he is 3[0-9] years old now$`},
		"DATE_TIME":     {"on 2021-03-04 now", `^on \d{4}-\d\d-\d\d now$`},
	} {
		config := op(kind, `{"op":"surrogate"}`)
		got := line(t, config, c.in, "k")
		if !regexp.MustCompile(c.want).MatchString(got) || got == c.in {
			t.Errorf("%s: %q became %q, want %s", kind, c.in, got, c.want)
		}
		if again := line(t, config, c.in, "k"); again != got {
			t.Errorf("%s: %q, and then %q", kind, got, again)
		}
		if other := line(t, config, c.in, "j"); other == got && kind != "AGE" && kind != "IP_ADDRESS" {
			t.Errorf("%s: %q under another key too", kind, other)
		}
	}
}

// reveal is Revealer.Text for one text: the new text, how many were put back, and how many could not be read.
func reveal(k transforms.Keys, text []byte) (out []byte, revealed, unread int64, err error) {
	v, err := redact.NewRevealer(k)
	if err != nil {
		return nil, 0, 0, err
	}
	out = v.Text(nil, text)
	return out, v.Revealed, v.Unread, nil
}
