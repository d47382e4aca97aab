// SPDX-License-Identifier: Apache-2.0

package redact_test

import (
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/redact"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

func detector(t testing.TB, c redact.Detect) *redact.Detector {
	t.Helper()
	d, err := redact.NewDetector(c)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestWaysAround: what hides personal data from a recogniser, on purpose or because a mail program writes so, does not.
func TestWaysAround(t *testing.T) {
	d := detector(t, redact.Detect{Types: []string{"EMAIL_ADDRESS", "CREDIT_CARD", "US_SSN", "PHONE_NUMBER", "IBAN_CODE"}})
	for _, s := range []string{
		"jane@acme.com",
		"jane＠acme.com",
		"jane﹫acme․com",
		"jane&#64;acme.com",
		"jane&#x40;acme&period;com",
		"jane&commat;acme.com",
		"jane=40acme.com",
		"jane@ac=\r\nme.com",
		"jane%40acme.com",
		`jane\u0040acme.com`,
		`jane\x40acme.com`,
		"jane (at) acme (dot) com",
		"jane[at]acme[dot]com",
		"jane{at}acme{dot}com",
		"jane[@]acme[.]com",
		"jane @ acme.com",
		"jane dot roe at acme dot com",
		"jane.roe AT mail DOT acme DOT com",
		"=?utf-8?B?amFuZUBhY21lLmNvbQ==?=",
		"=?ISO-8859-1?Q?jane=40acme.com?=",
		"ja\u00adne@acme.com",
		"ja\u200bne@ac\u2060me.com",
		"ｊａｎｅ＠ａｃｍｅ．ｃｏｍ",
		"4111\u00a01111\u00a01111\u00a01111",
		"4111\u20111111\u20111111\u20111111",
		"4111=201111=201111=201111",
		"4111&nbsp;1111&nbsp;1111&nbsp;1111",
		"４１１１１１１１１１１１１１１１",
		"٤١١١١١١١١١١١١١١١",
		"4111\u200b1111\u200b1111\u200b1111",
		"𝟒𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏𝟏",
		"219–09–9999",
		"219=E2=80=9309=E2=80=939999",
		"DE89\u00a03704\u00a00044\u00a00532\u00a00130\u00a000",
	} {
		text := []byte("About " + s + " and more.")
		found := d.Find(nil, text)
		if len(found) != 1 || string(text[found[0].Start:found[0].End]) != s {
			t.Errorf("%q: found %v", s, found)
		}
	}
}

// TestTokensAreNotFound: what operators wrote is no finding, and no context for what stands beside it.
func TestTokensAreNotFound(t *testing.T) {
	d := detector(t, redact.Detect{})
	for _, s := range []string{
		"<US_SSN> 987654320 <PHONE_NUMBER>",
		"<EMAIL_ADDRESS:aaaaaaaaaaaaaaaaaaaaaaaaaa>",
		"<PERSON> <PERSON> <LOCATION>",
	} {
		if found := d.Find(nil, []byte(s)); len(found) != 0 {
			t.Errorf("%q: found %v", s, found)
		}
	}
	// Only what looks exactly like a token is one.
	for _, s := range []string{"<EMAIL_ADDRESS:jane@acme.com>", "<MAIL: jane@acme.com>", "<JANE@ACME.COM>"} {
		if found := d.Find(nil, []byte(s)); len(found) == 0 {
			t.Errorf("%q: nothing was found", s)
		}
	}
}

func TestOverlaps(t *testing.T) {
	for _, c := range []struct {
		detect []string
		text   string
		want   string
	}{
		{[]string{"EMAIL_ADDRESS", "URL", "DOMAIN_NAME"}, "see https://acme.com/?u=jane@acme.com now", "URL"},
		{[]string{"EMAIL_ADDRESS"}, "see https://acme.com/?u=jane@acme.com now", "EMAIL_ADDRESS"},
		{[]string{"EMAIL_ADDRESS", "DOMAIN_NAME"}, "to jane@acme.com now", "EMAIL_ADDRESS"},
		{[]string{"IP_ADDRESS", "URL"}, "at http://10.1.2.3:80/x now", "URL"},
	} {
		found := detector(t, redact.Detect{Types: c.detect}).Find(nil, []byte(c.text))
		if len(found) != 1 || string(found[0].Type) != c.want {
			t.Errorf("%q: %v, want %s", c.text, found, c.want)
		}
	}
}

// TestNothingIsLeftOver: of two findings that overlap, the loser's other half is covered too.
func TestNothingIsLeftOver(t *testing.T) {
	low := 0.6
	d := detector(t, redact.Detect{Types: []string{"A", "B"}, Patterns: []redact.Pattern{
		{Name: "a", Type: "A", Regexp: "one two three"}, {Name: "b", Type: "B", Regexp: "zero, one two|three four", Score: &low},
	}})
	text := "so zero, one two three four go"
	found := d.Find(nil, []byte(text))
	var got []string
	for _, f := range found {
		got = append(got, string(f.Type)+"="+text[f.Start:f.End])
	}
	if want := "B=zero A=one two three B=four"; strings.Join(got, " ") != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestFormsCutNames: a telephone number below an address is no part of it, whatever the tagger says.
func TestFormsCutNames(t *testing.T) {
	d := detector(t, redact.Detect{})
	text := "Jane Roe\n12 Elm Road\nSpringfield, IL 62704\n(212) 736-5000\njane.roe@acme.com\n"
	var phone, mail bool
	for _, f := range d.Find(nil, []byte(text)) {
		phone = phone || f.Type == span.Phone && text[f.Start:f.End] == "(212) 736-5000"
		mail = mail || f.Type == span.Email && text[f.Start:f.End] == "jane.roe@acme.com"
	}
	if !phone || !mail {
		t.Errorf("found %v", d.Find(nil, []byte(text)))
	}
}

func TestThresholds(t *testing.T) {
	low, high := 0.3, 0.99
	text := []byte("call 5551234 or 2125550123 now, j@acme.com")
	loose := detector(t, redact.Detect{MinScore: &low}).Find(nil, text)
	strict := detector(t, redact.Detect{Types: []string{"all"}, MinScore: &high}).Find(nil, text)
	if len(strict) > len(loose) {
		t.Errorf("a higher threshold found more: %v, %v", loose, strict)
	}
	d := detector(t, redact.Detect{Thresholds: map[string]float64{"EMAIL_ADDRESS": 0.4}, MinScore: &high})
	if found := d.Find(nil, []byte("j@acme.com")); len(found) != 1 {
		t.Errorf("a type's own threshold: %v", found)
	}
}

func TestLabels(t *testing.T) {
	d := detector(t, redact.Detect{Types: []string{"US_SSN", "EMAIL_ADDRESS"}})
	if found := d.Find(nil, []byte("219099999")); len(found) != 0 {
		t.Skip("nine digits alone are an SSN here: the label changes nothing")
	}
	for _, label := range []string{"ssn", "patient.socialSecurity", "a.ssn[]"} {
		found := d.FindLabelled(nil, label, []byte("219099999"))
		if len(found) != 1 || found[0].Start != 0 || found[0].End != 9 {
			t.Errorf("%s: %v", label, found)
		}
	}
	for _, label := range []string{"jane@acme.com", "#1", "", strings.Repeat("x", 100)} {
		if found := d.FindLabelled(nil, label, []byte("nothing")); len(found) != 0 {
			t.Errorf("%s: %v", label, found)
		}
	}
}

func TestTypesAndGroups(t *testing.T) {
	all := redact.Types()
	if len(all) < 17 {
		t.Fatalf("%d types", len(all))
	}
	for _, kind := range all {
		if _, err := redact.NewDetector(redact.Detect{Types: []string{string(kind)}}); err != nil {
			t.Error(err)
		}
	}
	for _, g := range []string{"all", "structured", "names", "contact", "network", "financial", "dates", "places", "national", "us", "de"} {
		if _, err := redact.NewDetector(redact.Detect{Types: []string{g, "-URL", "EMAIL_ADDRESS"}}); err != nil {
			t.Error(err)
		}
	}
}

// check holds findings to what everybody builds on.
func check(t testing.TB, text []byte, found []span.Finding) {
	t.Helper()
	at := 0
	for _, f := range found {
		if f.Start < at || f.End <= f.Start || f.End > len(text) || f.Type == "" || f.Score < 1 || f.Score > span.Certain {
			t.Fatalf("%q: %+v after byte %d", text, f, at)
		}
		if f.Start > 0 && splits(text, f.Start) || splits(text, f.End) {
			t.Fatalf("%q: %+v begins or ends inside a character", text, f)
		}
		at = f.End
	}
}
