// SPDX-License-Identifier: Apache-2.0

package national_test

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/transforms/redact/context"
	"github.com/glovebox-dev/glovebox/transforms/redact/national"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// hostile are texts that make the matcher look as far as it can, as often as it can.
var hostile = []string{
	"1 ", "1-", "1.", "1/", "11 ", "111-", "A1 ", "A 1 ", "AB-1-", "AAAA 1111 ", "AAAA AAAA 1", "9 99 99 99 999 999 99 ", "123-45-6789 ", "123456789 ",
	"ssn 123456789 ", "passport 1 ", "social security ", "Ä1", "ÄÖÜ-AB 12", "1\u00a0", "1\u2011", "1\u2013\u2013", "é1", "\xff1", "\xc21", "\xe2\x801", "12345678-1234-1234-1234-123456789012 ",
	"a1", "1a", "aaaa1", "aaaaaaaa1-", "身份证1", "日本1", "9", "\u0301" + "1 ", "driver's license 1A ",
}

// A text twice as long takes twice the steps, and no text takes more of them a byte than some hundreds.
func TestDoubling(t *testing.T) {
	for i, unit := range hostile {
		size := 1 << 16
		if i == 0 {
			size = 1 << 20
		}
		once := steps(bytes.Repeat([]byte(unit), size/2/len(unit)))
		text := bytes.Repeat([]byte(unit), size/len(unit))
		twice := steps(text)
		if twice > 2*once+once/50+1000 {
			t.Errorf("%q: %d steps, and with twice the text %d", unit, once, twice)
		}
		if twice > 500*len(text) {
			t.Errorf("%q: %d steps for %d bytes", unit, twice, len(text))
		}
	}
}

// steps are those of all calls for a text.
func steps(text []byte) (n int) {
	each(text, func(start, end int) { n += national.Steps(text, start, end) })
	return n
}

// What a call says depends on what is near only. That is why calls have a bounded cost.
func TestFarTextDoesNotMatter(t *testing.T) {
	for _, unit := range hostile {
		text := []byte(strings.Repeat(unit, 2000/len(unit)) + " SSN 123-45-6789 " + strings.Repeat(unit, 2000/len(unit)))
		at := bytes.Index(text, []byte("SSN 123-")) + 4
		const near = 300
		whole := national.Match(nil, text, at, at+3)
		from := at - near
		for !utf8.RuneStart(text[from]) {
			from--
		}
		part := national.Match(nil, text[from:at+near], at-from, at-from+3)
		if len(whole) != len(part) || len(whole) > 0 && whole[0].Score != part[0].Score {
			t.Errorf("%q: %v with all of the text, %v with what is near", unit, whole, part)
		}
	}
}

func FuzzMatch(f *testing.F) {
	seeds := 0
	for _, unit := range hostile {
		f.Add([]byte(strings.Repeat(unit, 3)))
		seeds++
	}
	for kind, list := range numbers {
		for _, number := range list {
			f.Add([]byte(kind + " " + number + "."))
			f.Add([]byte(strings.ToLower(number)))
			seeds++
		}
	}
	if seeds < 300 {
		f.Fatalf("only %d seeds", seeds)
	}
	types := map[span.Type]bool{}
	for _, r := range national.Recognisers() {
		types[r.Type] = true
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		each(text, func(start, end int) {
			found := national.Match(nil, text, start, end)
			if len(found) > 1 {
				t.Fatalf("%d findings of one call", len(found))
			}
			for _, got := range found {
				check(t, text, got, start, end)
				if !types[got.Type] || got.Rule == "" {
					t.Fatalf("%+v is of no recogniser", got)
				}
			}
			again := national.Match(nil, text, start, end)
			if len(again) != len(found) || len(found) == 1 && again[0] != found[0] {
				t.Fatalf("%v, and then %v", found, again)
			}
		})
	})
}

// check holds a finding of a call to what every finding must be.
func check(t *testing.T, text []byte, got span.Finding, start, end int) {
	t.Helper()
	switch {
	case got.Start < 0 || got.Start > start || got.End < end || got.End > len(text):
		t.Fatalf("%+v does not hold the run %d to %d of %d bytes", got, start, end, len(text))
	case got.Start < start-20 || got.End > end+80:
		t.Fatalf("%+v goes too far from the run %d to %d", got, start, end)
	case got.Score < span.Weak || got.Score >= span.Certain || got.Why&span.ByForm == 0:
		t.Fatalf("%+v has no right score or reason", got)
	case !utf8.RuneStart(text[got.Start]) && utf8.Valid(text), got.End < len(text) && !utf8.RuneStart(text[got.End]) && utf8.Valid(text):
		t.Fatalf("%+v splits a character", got)
	}
}

// A word that is far off is no context.
func TestContextIsBounded(t *testing.T) {
	far, _ := only("US_SSN", "SSN "+strings.Repeat("and so on ", 20)+"123456789")
	near, _ := only("US_SSN", "SSN and so on 123456789")
	if far.Why&span.ByContext != 0 || near.Why&span.ByContext == 0 {
		t.Errorf("far %b, near %b; a word counts up to %d bytes away", far.Why, near.Why, context.Back)
	}
}
