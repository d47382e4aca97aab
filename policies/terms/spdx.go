// SPDX-License-Identifier: Apache-2.0

package terms

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/licence"
)

// spdxTerms is what a listed licence says, as far as it concerns results.
type spdxTerms struct {
	clauses string // of "C" commercial, "D" derivatives, "S" share-alike, "A" attribution, "T" training-only
	note    string // where the licence was read more strictly than its text
}

// Notes of the table below.
const (
	noteDatabase = "share-alike and attribution bind databases made from the data; they are taken for every result"
	noteEnhanced = "share-alike binds changed data, not results of computing with it; it is taken for every result"
	noteData     = "notices are due where data is passed on; they are taken for every result"
	noteCompute  = "data is for computation only: results are models and metrics, never tables"
)

// spdxTable are the licences of the SPDX list that data or code for data comes under, and that [licence.Licence] can
// say. All of them hold worldwide, for every purpose, for ever and without royalty. What is not here is refused.
func spdxTable() map[string]spdxTerms {
	t := map[string]spdxTerms{
		"CC0-1.0": {"CD", ""}, "CC-PDDC": {"CD", ""}, "PDDL-1.0": {"CD", ""}, "Unlicense": {"CD", ""}, "0BSD": {"CD", ""}, "MIT-0": {"CD", ""}, "DL-DE-ZERO-2.0": {"CD", ""},
		"ODbL-1.0": {"CDSA", noteDatabase}, "ODC-By-1.0": {"CDA", ""},
		"CDLA-Permissive-1.0": {"CDA", noteData}, "CDLA-Permissive-2.0": {"CD", ""}, "CDLA-Sharing-1.0": {"CDSA", noteEnhanced},
		"C-UDA-1.0": {"CDT", noteCompute}, "O-UDA-1.0": {"CDA", noteData},
		"DL-DE-BY-2.0": {"CDA", ""}, "etalab-2.0": {"CDA", ""}, "OGL-UK-3.0": {"CDA", ""}, "OGL-Canada-2.0": {"CDA", ""}, "NLOD-2.0": {"CDA", ""},
		"Apache-2.0": {"CDA", ""}, "MIT": {"CDA", ""}, "BSD-2-Clause": {"CDA", ""}, "BSD-3-Clause": {"CDA", ""}, "ISC": {"CDA", ""}, "BSL-1.0": {"CDA", ""}, "Zlib": {"CDA", ""},
	}
	for _, v := range []string{"3.0", "4.0"} {
		for name, clauses := range map[string]string{
			"CC-BY": "CDA", "CC-BY-SA": "CDSA", "CC-BY-NC": "DA", "CC-BY-ND": "CA", "CC-BY-NC-SA": "DSA", "CC-BY-NC-ND": "A",
		} {
			t[name+"-"+v] = spdxTerms{clauses, ""}
		}
	}
	return t
}

// spdxDeprecated are identifiers that the SPDX list has replaced.
func spdxDeprecated() map[string]string {
	t := map[string]string{"BSD-2-Clause-FreeBSD": "BSD-2-Clause", "BSD-2-Clause-NetBSD": "BSD-2-Clause", "StandardML-NJ": "SMLNJ"}
	for _, n := range []string{"GPL-1.0", "GPL-2.0", "GPL-3.0", "LGPL-2.0", "LGPL-2.1", "LGPL-3.0", "AGPL-1.0", "AGPL-3.0", "GFDL-1.1", "GFDL-1.2", "GFDL-1.3"} {
		t[n], t[n+"+"] = n+"-only", n+"-or-later"
	}
	return t
}

// spdxInexpressible are families of listed licences with a clause that no field of [licence.Licence] says.
func spdxInexpressible() map[string]string {
	return map[string]string{
		"GPL-": "it demands corresponding source", "LGPL-": "it demands corresponding source and relinking", "AGPL-": "it demands source for users over a network",
		"GFDL-": "it knows invariant sections", "MPL-": "its copyleft is by file", "EPL-": "its copyleft is by module", "CDDL-": "its copyleft is by file",
		"EUPL-": "its copyleft names other licences it may become", "OSL-": "it demands source for users over a network", "BUSL-": "it changes into another licence at a date",
		"SSPL-": "it demands the source of a whole service", "SMLNJ": "it is a licence of one program", "CC-SA-": "it is share-alike without attribution, in a version that was withdrawn",
		"PolyForm-": "it limits by the kind of user", "CC-BY-NC-SA-2": "only versions 3.0 and 4.0 are known", "CC-BY-": "only versions 3.0 and 4.0 without a port are known",
	}
}

// SPDX compiles an identifier of the SPDX list. The note says where the licence was read more strictly than its text.
// An identifier that is unknown, deprecated or says what [licence.Licence] cannot is refused.
func SPDX(id string) (l licence.Licence, note string, err error) {
	t, ok := spdxTable()[id]
	if !ok {
		return licence.Licence{}, "", unknownSPDX(id)
	}
	has := func(c string) bool { return strings.Contains(t.clauses, c) }
	return licence.Licence{
		SPDX: id, Commercial: has("C"), Derivatives: has("D"), ShareAlike: has("S"), Attribution: has("A"), TrainingOnly: has("T"),
		Prohibited: []string{}, Territories: []string{licence.Worldwide},
	}, t.note, nil
}

// SPDXIdentifiers are those that [SPDX] compiles, sorted.
func SPDXIdentifiers() []string { return slices.Sorted(maps.Keys(spdxTable())) }

func unknownSPDX(id string) error {
	bad := func(f string, a ...any) error {
		return fmt.Errorf("%w: licence %q %s", ErrLicence, id, fmt.Sprintf(f, a...))
	}
	if len(id) > 64 {
		return fmt.Errorf("%w: an SPDX identifier of %d bytes", ErrLicence, len(id))
	}
	for _, op := range []string{" OR ", " AND ", " WITH "} {
		if strings.Contains(strings.ToUpper(id), op) {
			return bad("is an expression; name one identifier")
		}
	}
	switch now, old := spdxDeprecated()[id]; {
	case old:
		return bad("is a deprecated identifier of %q%s", now, reasonAgainst(now))
	case strings.HasPrefix(id, "LicenseRef-"), strings.HasPrefix(id, "DocumentRef-"):
		return bad("is not on the SPDX list; leave spdx out and say its clauses one by one")
	}
	for _, k := range SPDXIdentifiers() {
		if strings.EqualFold(k, id) {
			return bad("is written %q", k)
		}
	}
	hint := ""
	if near := near(id, SPDXIdentifiers()); len(near) > 0 {
		hint = "; did you mean " + strings.Join(near, " or ") + "?"
	}
	if why := reasonAgainst(id); why != "" {
		return bad("cannot be expressed%s%s", why, hint)
	}
	if hint != "" {
		return bad("is not known%s", hint)
	}
	return bad("is not known; leave spdx out and say its clauses one by one, or name one of: %s", strings.Join(SPDXIdentifiers(), ", "))
}

// reasonAgainst says why a family of licences cannot be expressed; the longest prefix decides.
func reasonAgainst(id string) string {
	best, why := "", ""
	for prefix, reason := range spdxInexpressible() {
		if strings.HasPrefix(id, prefix) && len(prefix) > len(best) {
			best, why = prefix, ": "+reason
		}
	}
	return why
}

// near are up to three of known that resemble s, the most alike first: equal but for case, then one that s begins, then
// within a third of s by edits.
func near(s string, known []string) []string {
	type scored struct {
		name string
		d    int
	}
	var found []scored
	low := strings.ToLower(s)
	for _, k := range known {
		d := distance(low, strings.ToLower(k))
		switch {
		case len(low) >= 2 && strings.HasPrefix(strings.ToLower(k), low):
			d = 1
		case d > max(1, len(low)/3):
			continue
		}
		found = append(found, scored{k, d})
	}
	slices.SortStableFunc(found, func(a, b scored) int { return a.d - b.d })
	var out []string
	for _, f := range found[:min(3, len(found))] {
		out = append(out, f.name)
	}
	return out
}

// distance is the number of insertions, deletions and substitutions between a and b, at most 64 bytes of each.
func distance(a, b string) int {
	a, b = a[:min(64, len(a))], b[:min(64, len(b))]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := diagonal
			if a[i] != b[j] {
				cost++
			}
			diagonal = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
