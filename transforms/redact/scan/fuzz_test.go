// SPDX-License-Identifier: Apache-2.0

package scan_test

import (
	"bytes"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/transforms/redact/scan"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

var all = scan.New(scan.Options{National: func(dst []span.Finding, text []byte, start, end int) []span.Finding {
	digit := false
	for _, b := range text[start:end] {
		if b|0x20 < 'a' || b|0x20 > 'z' {
			if b < '0' || b > '9' {
				panic("a run of other than letters and digits")
			}
			digit = true
		}
	}
	if !digit || end < len(text) && alnum(text[end]) {
		panic("not a whole run with a digit")
	}
	return dst
}})

func alnum(b byte) bool { return b >= '0' && b <= '9' || b|0x20 >= 'a' && b|0x20 <= 'z' }

// sound says what is wrong with the findings of a text.
func sound(t *testing.T, text []byte) {
	t.Helper()
	copied := bytes.Clone(text)
	got := all.Scan(nil, text)
	if !bytes.Equal(copied, text) {
		t.Fatal("the text was changed")
	}
	if again := all.Scan(nil, copied); !slices.Equal(got, again) {
		t.Fatal("not the same twice")
	}
	valid := utf8.Valid(text)
	for _, f := range got {
		switch {
		case f.Start < 0 || f.End > len(text) || f.Start >= f.End:
			t.Fatalf("%+v in %d bytes", f, len(text))
		case f.Score < 0 || f.Score > span.Certain || f.Rule == "" || f.Type == "" || f.Why&span.ByForm == 0:
			t.Fatalf("%+v", f)
		case valid && (!utf8.RuneStart(text[f.Start]) || f.End < len(text) && !utf8.RuneStart(text[f.End])):
			t.Fatalf("%+v splits a character of %q", f, text)
		}
	}
}

// Prefixes that lead to a recogniser; the fuzzer chooses one by its first byte.
var prefixes = []string{"", "x@", "http://", "www.", "1.2.3.", "fe80::", "00:1b:", "+1 ", "(030) ", "4111 ", "GB82 ", "BIC DEUT", "0x", "bc1q", "1A1z", "2024-", "5 March ", "aged ", "34 years ", "48.8566, ", "48°51'", "geo:", "born in ", "phone 555", "\"a b\"@[", "12:30:"}

func FuzzScan(f *testing.F) {
	if len(seeds) < 10 {
		f.Fatal("no seeds")
	}
	for i, s := range seeds {
		f.Add(byte(i), []byte(s))
	}
	for i, s := range adversarial {
		f.Add(byte(i), []byte(s+s+s))
	}
	f.Fuzz(func(t *testing.T, prefix byte, rest []byte) {
		sound(t, append([]byte(prefixes[int(prefix)%len(prefixes)]), rest...))
	})
}

// TestCut: every beginning and every end of every seed is sound, with and without what broken text looks like.
func TestCut(t *testing.T) {
	for _, s := range slices.Concat(seeds, adversarial) {
		for i := range len(s) + 1 {
			sound(t, []byte(s[:i]))
			sound(t, []byte(s[i:]))
			sound(t, []byte("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"+s[i:]+" aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"))
		}
	}
}
