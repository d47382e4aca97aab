// SPDX-License-Identifier: Apache-2.0

package scan_test

import (
	"bytes"
	"strings"
	"testing"
)

// adversarial are texts that make a recogniser begin, and fail late, again and again.
var adversarial = []string{
	"a(1", "@", "a@", "@a", "a@a@", "a.", "1.", "1.1.1.1.", ":", "1:", "a:", "::", "a:b:", "+1 ", "+1 +1", "1", "1 ", "1-", "(1)", "(1", "www.", "://", "a://", "aa://]", "aa://(", "%", "http://", "http://a@",
	"4111 1111 ", "GB82 ", "GB82", "DEUTDEFF", "ABCD", "y", "ay", "day", "March ", "1 March ", "5 de ", "aged ", "34 years ", "34 ans ", "48.8566, ", "48°", "48°51'", "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa",
	"bc1q", "00:", "00-", "001b.", "2024-01-01T", "2024-01-01 ", "12:00:00.", "\xff", "1\xc2\xa0", "\"a@", "\"", "<1@", "x1", "550e8400-", "年", "2024年1月", "555-123-4567 x", "phone 1234567 ", "é1", "a-", "1/", "geo:1,", "'", ".a", "..", "1a.",
}

// TestLinear: twice the text is at most three times the work, counted in the fuel that the scanner uses in WebAssembly. Fuel
// does not depend on how busy the machine is.
func TestLinear(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles a Go program to WebAssembly; the long tests do")
	}
	const (
		long  = 1 << 19
		short = 1 << 15 // still far beyond all that is looked at around a trigger
	)
	g := newGuest(t)
	work := func(text []byte) int64 {
		g.put(text)
		before := g.i.Used()
		g.call("scan")
		return g.i.Used() - before
	}
	for i, unit := range adversarial {
		size := short
		if i == 0 {
			size = long
		}
		text := bytes.Repeat([]byte(unit), 2*size/len(unit))
		work(text) // room for the findings
		once, twice := work(text[:len(text)/2]), work(text)
		if once <= 0 || float64(twice) > 3*float64(once) {
			t.Errorf("%q: %d units of fuel for %d bytes, %d for twice as many", unit, once, len(text)/2, twice)
		}
		if per := once / int64(size); per > 40_000 {
			t.Errorf("%q: %d units of fuel for each byte", unit, per)
		}
	}
}

// TestLongLine: a line of a hundred megabytes is one text like another.
func TestLongLine(t *testing.T) {
	if testing.Short() {
		t.Skip("takes a gigabyte; the long tests do")
	}
	text := []byte(strings.Repeat("a", 100<<20) + " x@example.com")
	if got := found(string(text), 900); len(got) != 1 || got[0] != "EMAIL_ADDRESS x@example.com" {
		t.Error(got)
	}
}
