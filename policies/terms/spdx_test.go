// SPDX-License-Identifier: Apache-2.0

package terms

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/licence"
)

// TestEverySPDX: each listed licence, and what it says in the letters commercial, derivatives, share-alike, attribution
// and training-only.
func TestEverySPDX(t *testing.T) {
	want := map[string]string{
		"CC0-1.0": "CD", "CC-PDDC": "CD", "PDDL-1.0": "CD", "Unlicense": "CD", "0BSD": "CD", "MIT-0": "CD", "DL-DE-ZERO-2.0": "CD",
		"CC-BY-3.0": "CDA", "CC-BY-4.0": "CDA", "CC-BY-SA-3.0": "CDSA", "CC-BY-SA-4.0": "CDSA",
		"CC-BY-NC-3.0": "DA", "CC-BY-NC-4.0": "DA", "CC-BY-ND-3.0": "CA", "CC-BY-ND-4.0": "CA",
		"CC-BY-NC-SA-3.0": "DSA", "CC-BY-NC-SA-4.0": "DSA", "CC-BY-NC-ND-3.0": "A", "CC-BY-NC-ND-4.0": "A",
		"ODbL-1.0": "CDSA", "ODC-By-1.0": "CDA", "CDLA-Permissive-1.0": "CDA", "CDLA-Permissive-2.0": "CD", "CDLA-Sharing-1.0": "CDSA",
		"C-UDA-1.0": "CDT", "O-UDA-1.0": "CDA", "DL-DE-BY-2.0": "CDA", "etalab-2.0": "CDA", "OGL-UK-3.0": "CDA", "OGL-Canada-2.0": "CDA", "NLOD-2.0": "CDA",
		"Apache-2.0": "CDA", "MIT": "CDA", "BSD-2-Clause": "CDA", "BSD-3-Clause": "CDA", "ISC": "CDA", "BSL-1.0": "CDA", "Zlib": "CDA",
	}
	for _, id := range SPDXIdentifiers() {
		l, _, err := SPDX(id)
		if err != nil {
			t.Errorf("%s: %v", id, err)
			continue
		}
		got := ""
		for i, is := range []bool{l.Commercial, l.Derivatives, l.ShareAlike, l.Attribution, l.TrainingOnly} {
			if is {
				got += string("CDSAT"[i])
			}
		}
		if want[id] == "" || got != want[id] {
			t.Errorf("%s says %q, want %q", id, got, want[id])
		}
		if err := l.Validate(); err != nil || l.SPDX != id || l.Revocable || l.RoyaltyPPM != 0 || !slices.Equal(l.Territories, []string{licence.Worldwide}) {
			t.Errorf("%s: %+v, %v", id, l, err)
		}
		delete(want, id)
	}
	for id := range want {
		t.Errorf("%s is not known", id)
	}
}

// TestNamesOfCreativeCommonsSayTheirClauses holds the table to what the names say.
func TestNamesOfCreativeCommonsSayTheirClauses(t *testing.T) {
	for _, id := range SPDXIdentifiers() {
		if !strings.HasPrefix(id, "CC-BY") {
			continue
		}
		l, _, err := SPDX(id)
		if err != nil {
			t.Fatal(err)
		}
		if l.Commercial == strings.Contains(id, "-NC") || l.Derivatives == strings.Contains(id, "-ND") || l.ShareAlike != strings.Contains(id, "-SA") || !l.Attribution {
			t.Errorf("%s: %+v", id, l)
		}
	}
}

func TestSPDXRefuses(t *testing.T) {
	for id, want := range map[string]string{
		"CC-BY":                   "CC-BY-4.0",
		"CC-BY-4":                 "did you mean CC-BY-4.0",
		"cc-by-4.0":               `is written "CC-BY-4.0"`,
		"CCBY-4.0":                "CC-BY-4.0",
		"CC0":                     "CC0-1.0",
		"ODbL":                    "ODbL-1.0",
		"Apache2":                 "Apache-2.0",
		"GPL-3.0":                 `deprecated identifier of "GPL-3.0-only"`,
		"GPL-2.0+":                `deprecated identifier of "GPL-2.0-or-later"`,
		"GPL-3.0-only":            "cannot be expressed: it demands corresponding source",
		"BSD-2-Clause-FreeBSD":    `deprecated identifier of "BSD-2-Clause"`,
		"CC-BY-2.0":               "only versions 3.0 and 4.0",
		"CC-BY-NC-2.5":            "only versions 3.0 and 4.0",
		"CC-BY-4.0 OR MIT":        "is an expression",
		"LicenseRef-Mine":         "say its clauses one by one",
		"all-rights-reserved-xyz": "name one of: 0BSD",
		"":                        "is not known",
		strings.Repeat("x", 100):  "100 bytes",
	} {
		l, _, err := SPDX(id)
		if !errors.Is(err, ErrLicence) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", id, err, want)
		}
		if l.Validate() == nil {
			t.Errorf("%q: a licence comes along with the error", id)
		}
	}
}

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		d    int
	}{{"", "", 0}, {"a", "", 1}, {"abc", "abd", 1}, {"abc", "ac", 1}, {"purpose", "purposes", 1}, {"kitten", "sitting", 3}} {
		if got := distance(c.a, c.b); got != c.d || distance(c.b, c.a) != got {
			t.Errorf("%q to %q: %d, want %d", c.a, c.b, got, c.d)
		}
	}
}
