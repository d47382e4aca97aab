// SPDX-License-Identifier: Apache-2.0

package redact_test

import (
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/redact"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// found are the texts of a type's findings.
func found(d *redact.Detector, label, text string, kind span.Type) (out []string) {
	for _, f := range d.FindLabelled(nil, label, []byte(text)) {
		if f.Type == kind {
			out = append(out, text[f.Start:f.End])
		}
	}
	return out
}

// TestRowsOfNumbersAreNoAddresses: nor do they hide identifiers that stand among them.
func TestRowsOfNumbersAreNoAddresses(t *testing.T) {
	d := detector(t, redact.Detect{})
	for _, text := range []string{
		"temperature 37.5, bp 120/80, hr 72, spo2 98, wt 82 kg", "order 1234567 ref 2024-118", "Meeting Room 12B, Floor 3, 10:30-11:45",
		"2024-118; 2024-2025; 10-15; 1", "amex 3782 822463 10005 exp 04/27 cvv 1234",
		"Steuernummer 93/815/08152, Sozialversicherungsnummer 65 170839 J 003, Krankenversichertennummer A123456780",
	} {
		if got := found(d, "", text, span.Address); len(got) > 0 {
			t.Errorf("%q: %q", text, got)
		}
	}
	if got := found(d, "", "Steuernummer 93/815/08152, Sozialversicherungsnummer 65 170839 J 003", "DE_SOCIAL_SECURITY"); len(got) != 1 {
		t.Errorf("the number is %q", got)
	}
}

// TestAddressesInARow: a semicolon parts them.
func TestAddressesInARow(t *testing.T) {
	all := []string{"P.O. Box 1123, Dayton OH", "Flat 2, 14 Baker Street, London NW1 6XE", "12 Tuas Ave, Singapore 639000", "House 12, Road 5, Dhanmondi, Dhaka 1205"}
	text := ""
	for _, a := range all {
		text += a + "; "
	}
	if got := found(detector(t, redact.Detect{}), "", text, span.Address); !slices.Equal(got, all) {
		t.Errorf("got %q", got)
	}
}

// TestNamesWithHyphens: a name is found with all of its parts.
func TestNamesWithHyphens(t *testing.T) {
	got := found(detector(t, redact.Detect{}), "", "Kim Jong-un and Park Geun-hye met Mr. Hans-Peter Meier.", span.Person)
	if want := []string{"Kim Jong-un", "Park Geun-hye", "Hans-Peter Meier"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestNamesInMailEncodings: a name is found in an encoded word of a header, and in quoted-printable of Latin-1.
func TestNamesInMailEncodings(t *testing.T) {
	d := detector(t, redact.Detect{})
	for text, want := range map[string]string{
		"From: =?utf-8?B?SsO8cmdlbiBNw7xsbGVy?= <x@y.de>":  "=?utf-8?B?SsO8cmdlbiBNw7xsbGVy?=",
		"Subject: =?iso-8859-1?Q?J=FCrgen_M=FCller?= left": "=?iso-8859-1?Q?J=FCrgen_M=FCller?=",
		"From: Herr J=FCrgen M=FCller":                     "J=FCrgen M=FCller",
	} {
		if got := found(d, "", text, span.Person); len(got) != 1 || got[0] != want {
			t.Errorf("%q: %q", text, got)
		}
	}
	for _, text := range []string{"=?", "=?utf-8?b?", "=?utf-8?B?!!?= x", "=?koi8-r?B?amFuZQ==?=", "=?utf-8?Q?=?=", "they met at noon dot matrix", "= @ =", "x @ y"} {
		for _, f := range d.Find(nil, []byte(text)) {
			if f.Type == span.Email || f.Type == span.Person {
				t.Errorf("%q: %v", text, f)
			}
		}
	}
}
