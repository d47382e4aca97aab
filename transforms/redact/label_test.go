// SPDX-License-Identifier: Apache-2.0

package redact_test

import (
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/redact"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// TestLabelsSayWhatValuesAre: a value that is nothing by itself is what its column is called.
func TestLabelsSayWhatValuesAre(t *testing.T) {
	d := detector(t, redact.Detect{})
	for _, c := range []struct {
		label, value string
		kind         span.Type
	}{
		{"customer_name", "zylphora bexley", span.Person},
		{"lname", "Li", span.Person},
		{"patient.lastName", "Qwrt", span.Person},
		{"geo.lat", "40.712776", span.GPS},
		{"lon", "-74.005974", span.GPS},
		{"zip", "10118", span.Address},
		{"postalCode", "SW1A 1AA", span.Address},
		{"birth_year", "1980", span.Date},
		{"birthdate", "120580", span.Date},
		{"home_phone", "2127365000.0", span.Phone},
		{"userName", "jroe88", span.Username},
		{"password", "Hunter2!", span.Password},
		{"card.cvv", "123", span.CVV},
		{"mrn", "00482913", span.Medical},
		{"policy_no", "PL-882-11", span.IDNumber},
	} {
		if got := found(d, c.label, c.value, c.kind); c.kind != span.Address && (len(got) != 1 || got[0] != c.value) {
			t.Errorf("%s %q: %q, all: %v", c.label, c.value, got, d.FindLabelled(nil, c.label, []byte(c.value)))
		}
		if all := d.FindLabelled(nil, c.label, []byte(c.value)); len(all) != 1 || all[0].Len() != len(c.value) {
			t.Errorf("%s %q: %v", c.label, c.value, all)
		}
	}
	for label, value := range map[string]string{
		"text": "12345678", "message": "536221234", "note": "2127365000", "name": "Quarterly report", "file_name": "report", "lat": "n/a",
		"phone": "yes", "cvv": "match", "dob": "unknown",
	} {
		if got := d.FindLabelled(nil, label, []byte(value)); len(got) > 0 {
			t.Errorf("%s %q: %v", label, value, got)
		}
	}
}

// TestWordsBeforeAValue: in a text, a word right before says the same.
func TestWordsBeforeAValue(t *testing.T) {
	d := detector(t, redact.Detect{})
	for text, want := range map[string]span.Type{
		"Username: night_owl77 / x": span.Username, `{"password":"correcthorse"}`: span.Password, "user=mkowalski uid=1": span.Username,
		"Pt is male, MRN 00482913": span.Medical, "visa 4111111111111111 exp 04/27 cvv 123": span.CVV, "Employee ID E00412 left": span.IDNumber,
	} {
		if got := found(d, "", text, want); len(got) != 1 {
			t.Errorf("%q: %s %q", text, want, got)
		}
	}
	for _, text := range []string{"the user: a person who", "order 00482913", "cv 1234", "a=b", "password:", "the CVV of 123 cards"} {
		for _, f := range d.Find(nil, []byte(text)) {
			if f.Type == span.Username || f.Type == span.Password || f.Type == span.CVV || f.Type == span.IDNumber {
				t.Errorf("%q: %v", text, f)
			}
		}
	}
	if text := strings.Repeat("user=", 1<<16); len(d.Find(nil, []byte(text))) > 1<<16 {
		t.Error("too much was found")
	}
}
