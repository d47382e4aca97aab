// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"fmt"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

func surrogates(key byte) surrogate {
	p := newPRF([32]byte{key})
	return surrogate{p, shift{newPRF([32]byte{key, 1}), 365, "", ""}}
}

func (s surrogate) of(t *testing.T, kind span.Type, text string) string {
	t.Helper()
	out, ok := s.apply(nil, &match{kind: kind, text: []byte(text)})
	if !ok {
		return "<" + string(kind) + ">"
	}
	return string(out)
}

// TestSurrogateChecksums: cards and accounts have the check digits that their readers want, whatever the number.
func TestSurrogateChecksums(t *testing.T) {
	s := surrogates(1)
	for i := range 500 {
		card := s.of(t, span.CreditCard, fmt.Sprintf("4%03d-%04d 0000 %04d", i, i*7%10000, i))
		digits := []byte(strings.NewReplacer("-", "", " ", "").Replace(card))
		if n := len(digits); n != 16 || digits[n-1] != luhn(digits[:n-1]) || !strings.HasPrefix(string(digits), "411111") {
			t.Fatalf("card %s", card)
		}
		iban := s.of(t, span.IBAN, fmt.Sprintf("gb%02d NWBK 6016 1331 92%02d %02d", i%100, i/10, i%100))
		id := strings.ToUpper(strings.ReplaceAll(iban, " ", ""))
		if !strings.HasPrefix(id, "GB") || mod97([]byte(id[4:]+id[:4])) != 1 {
			t.Fatalf("account %s", iban)
		}
	}
	for want, digits := range map[byte]string{'1': "411111111111111", '3': "7992739871", '5': "37828224631000"} {
		if got := luhn([]byte(digits)); got != want {
			t.Errorf("Luhn of %s is %c, want %c", digits, got, want)
		}
	}
	if mod97([]byte("370400440532013000DE89")) != 1 {
		t.Error("mod 97 of the IBAN of ISO 13616's own example")
	}
}

// TestSurrogatesAreConsistent: a name's words keep their surrogates, in other company, case and spelling.
func TestSurrogatesAreConsistent(t *testing.T) {
	s := surrogates(1)
	whole := s.of(t, span.Person, "Maria Lindqvist")
	given, family, _ := strings.Cut(whole, " ")
	for text, want := range map[string]string{
		"Maria": given, "Lindqvist": family, "LINDQVIST": strings.ToUpper(family), "maria lindqvist": strings.ToLower(whole),
		"Lindqvist, Maria": family + ", " + given, "Maria\nLindqvist": given + "\n" + family,
	} {
		if got := s.of(t, span.Person, text); got != want {
			t.Errorf("%q became %q, want %q", text, got, want)
		}
	}
	for _, text := range []string{"jane@acme.com", "(212) 736-5000", "10.0.0.1", "https://acme.com/a"} {
		for _, kind := range []span.Type{span.Email, span.Phone, span.IP, span.URL} {
			if a, b := s.of(t, kind, text), s.of(t, kind, strings.ToUpper(text)); !strings.EqualFold(a, b) {
				t.Errorf("%s: %q became %q, in capitals %q", kind, text, a, b)
			}
		}
	}
}

// TestSurrogatesDiffer: of many texts most have surrogates of their own, none is itself, and another key gives others. Small ranges, such
// as the addresses for documentation, must collide; collisions are no error.
func TestSurrogatesDiffer(t *testing.T) {
	one, two := surrogates(1), surrogates(2)
	for kind, c := range map[span.Type]struct {
		form  string
		least int // of a thousand
	}{
		span.Email: {"user%d@acme.com", 999}, span.Phone: {"+49 30 1%06d", 990}, span.CreditCard: {"5500 0000 %04d 0000", 990},
		span.IBAN: {"DE89 3704 0044 0532 01%04d", 990}, span.IP: {"10.1.%d.7", 400}, "XX_ID": {"AB-%07d", 990}, span.MAC: {"3c:22:fb:01:%04d", 990},
		span.URL: {"https://acme.com/%d", 999}, span.Person: {"Ann%d Smith%[1]d", 900},
	} {
		seen, same := map[string]bool{}, 0
		for i := range 1000 {
			text := fmt.Sprintf(c.form, i)
			a := one.of(t, kind, text)
			if strings.EqualFold(a, text) {
				t.Errorf("%s: %q is its own surrogate", kind, text)
			}
			if seen[a] = true; a == two.of(t, kind, text) {
				same++
			}
		}
		if len(seen) < c.least || same > 100 {
			t.Errorf("%s: %d surrogates of 1000, %d alike under another key", kind, len(seen), same)
		}
	}
}

func TestSurrogatesOfOtherScripts(t *testing.T) {
	s := surrogates(1)
	for _, text := range []string{"Сергей Иванов", "王小明", "Γιώργος Παπαδόπουλος", "محمد علي", "김민준", "山田太郎", "รัตนา", "שרה לוי", "Ołga Żółć", "\xff\xfe"} {
		got := s.of(t, span.Person, text)
		if got == text || got == "" || strings.Count(got, " ") != strings.Count(text, " ") {
			t.Errorf("%q became %q", text, got)
		}
	}
}

// TestEmptyAndOdd: no operator panics on what no recogniser would give it, and none gives the text back.
func TestEmptyAndOdd(t *testing.T) {
	s := surrogates(1)
	ops := []operator{s, s.dates, bucket{width: 10, date: "month"}, bucket{width: 10, date: "year", prefix: 2}, mask{char: '*', last: 2}, keyedHash{s.prf, base()}, replace{}, remove{}}
	for _, kind := range append(general(), "US_SSN", "XX_ID") {
		for _, text := range []string{"", " ", "+", "1", "é", "\xff", "a@", "://", ":::", "/", "%", "0x", "-", "99999999999999999999999", strings.Repeat("9", 5000), "jan", "5 may", "00/00/0000", "31.02.2001"} {
			for _, o := range ops {
				out, ok := o.apply(nil, &match{kind: kind, text: []byte(text)})
				if ok && len(text) > 1 && string(out) == text && strings.ContainsAny(text, "a1230985e") {
					t.Errorf("%s of %s gives %q back", o.name(), kind, text)
				}
			}
		}
	}
}
