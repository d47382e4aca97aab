// SPDX-License-Identifier: Apache-2.0

package redact

import (
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

// Groups that "detect" may name beside types.
const (
	All        = "all"
	Structured = "structured" // what has a form of its own: all but the names group
	Named      = "names"      // what the tagger finds
)

// groups are types by what they are about. National identifiers are a group of their own, and one for each country.
func groups() map[string][]span.Type {
	return map[string][]span.Type{
		"contact":   {span.Email, span.Phone, span.Address},
		"network":   {span.IP, span.MAC, span.URL, span.Domain},
		"financial": {span.CreditCard, span.CVV, span.IBAN, span.BIC, span.Crypto},
		"dates":     {span.Date, span.Age},
		"places":    {span.Location, span.Address, span.GPS},
		Named:       named(),
	}
}

func named() []span.Type {
	return []span.Type{span.Person, span.Location, span.Organisation, span.Address}
}

// general are the types that belong to no country.
func general() []span.Type {
	return []span.Type{
		span.Address, span.Age, span.BIC, span.CVV, span.CreditCard, span.Crypto, span.Date, span.Domain, span.Email, span.GPS, span.IBAN,
		span.IP, span.Location, span.MAC, span.Organisation, span.Password, span.Person, span.Phone, span.URL, span.Username,
	}
}

// Types are all types that the detector finds without patterns or word lists of the creator's, sorted.
func Types() []span.Type {
	out := append(general(), nationalTypes()...)
	slices.Sort(out)
	return slices.Compact(out)
}

// selection is the set of types that a configuration asks for.
type selection map[span.Type]bool

// choose reads "detect": types, groups, and with a leading dash what of those is left out.
func choose(detect []string, custom []span.Type) (selection, error) {
	known := append(Types(), custom...)
	byName := groups()
	byName["national"] = nationalTypes()
	byName[All] = known
	byName[Structured] = slices.DeleteFunc(slices.Clone(known), func(t span.Type) bool { return slices.Contains(named(), t) })
	for country, types := range countries() {
		byName[country] = types
	}
	if detect == nil {
		detect = []string{All}
	}
	out, added := selection{}, false
	for _, word := range detect {
		name, without := strings.CutPrefix(word, "-")
		types, ok := byName[name]
		if !ok && slices.Contains(known, span.Type(name)) {
			types, ok = []span.Type{span.Type(name)}, true
		}
		if !ok {
			return nil, invalid("detect: there is no type or group %q%s", name, hint(name, names(known, byName)))
		}
		for _, t := range types {
			if without {
				delete(out, t)
			} else {
				out[t] = true
			}
		}
		added = added || !without
	}
	if len(out) == 0 {
		if len(detect) > 0 && !added {
			return nil, invalid(`detect: types to leave out follow those to find: ["all", %q]`, detect[0])
		}
		return nil, invalid(`detect: nothing would be found; leave it out, or say ["all"]`)
	}
	return out, nil
}

// any reports whether one of the types is wanted.
func (s selection) any(types []span.Type) bool {
	return slices.ContainsFunc(types, func(t span.Type) bool { return s[t] })
}

func names(types []span.Type, byName map[string][]span.Type) []string {
	out := make([]string, 0, len(types)+len(byName))
	for _, t := range types {
		out = append(out, string(t))
	}
	for name := range byName {
		out = append(out, name)
	}
	slices.Sort(out)
	return out
}

// validName reports whether a type's name may stand in manifests and statements.
func validName(s string) bool {
	if s == "" || len(s) > maxTypeName {
		return false
	}
	for _, c := range []byte(s) {
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' {
			return false
		}
	}
	return true
}

// hint names what was probably meant.
func hint(word string, known []string) string {
	best, least := "", len(word)/3+2
	for _, k := range known {
		if strings.EqualFold(k, word) {
			return "; did you mean " + k + "?"
		}
		d := distance(strings.ToLower(word), strings.ToLower(k))
		if len(word) >= 3 && strings.Contains(strings.ToLower(k), strings.ToLower(word)) {
			d = 1
		}
		if d < least {
			best, least = k, d
		}
	}
	if best == "" {
		return ""
	}
	return "; did you mean " + best + "?"
}

// distance is Levenshtein's, of words of at most 64 bytes.
func distance(a, b string) int {
	a, b = a[:min(len(a), 64)], b[:min(len(b), 64)]
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := last
			if a[i] != b[j] {
				cost++
			}
			last = row[j+1]
			row[j+1] = min(cost, row[j]+1, last+1)
		}
	}
	return row[len(b)]
}
