// SPDX-License-Identifier: Apache-2.0

package terms

import (
	"fmt"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/internal/licence"
)

// clause is one of the questions that licences answer with yes or no.
type clause string

// The clauses. Each has a loose answer, which allows more than the other.
const (
	commercial   clause = "commercial"
	derivatives  clause = "derivatives"
	shareAlike   clause = "share-alike"
	attribution  clause = "attribution"
	trainingOnly clause = "training-only"
	revocable    clause = "revocable"
)

func allClauses() []clause {
	return []clause{commercial, derivatives, shareAlike, attribution, trainingOnly, revocable}
}

// loose is the answer that allows more.
func (c clause) loose() bool { return c == commercial || c == derivatives }

// answer is what one source says to a clause.
type answer struct {
	yes   bool
	firm  bool   // said for its own sake: no other source may say the contrary, not even one that is stricter
	where string // for messages: what says so, and where it stands
}

// quantity is a number or text that a source fixes.
type quantity[T any] struct {
	value T
	where string
}

// source is what one place says about the licence: a listed licence, an offer, or the creator's own clauses. What is
// absent is not said; combine decides what that means.
type source struct {
	name        string
	answers     map[clause]answer
	prohibited  []quantity[string]
	territories *quantity[[]string]
	excluded    []quantity[string] // territories
	royalty     *quantity[int64]   // millionths of revenue

	// What offers say beyond the licence; the creator's own terms may be narrower, never wider.
	purposes, modes, outputs, recipients *quantity[[]string]
	uses, epochs, outputBytes, notAfter  *quantity[int64]
	perUse, perRecord                    *quantity[price]
	assurance                            *quantity[string]
}

// price is in millionths of a currency unit.
type price struct {
	currency string
	amount   int64
}

func (s *source) say(c clause, a answer) {
	if s.answers == nil {
		s.answers = map[clause]answer{}
	}
	s.answers[c] = a
}

// fromSPDX is a listed licence as a source. What it allows is not firm: terms may narrow it.
func fromSPDX(l licence.Licence, where string) source {
	s := source{name: l.SPDX}
	for c, yes := range map[clause]bool{
		commercial: l.Commercial, derivatives: l.Derivatives, shareAlike: l.ShareAlike, attribution: l.Attribution, trainingOnly: l.TrainingOnly,
	} {
		s.say(c, answer{yes, false, where})
	}
	s.territories = &quantity[[]string]{l.Territories, where}
	return s
}

// contradiction is two clauses that cannot both hold.
type contradiction struct {
	a, b string // where
	why  string
}

func (c contradiction) String() string {
	return fmt.Sprintf("%s and %s contradict each other: %s", c.a, c.b, c.why)
}

// combined is the strictest of several sources.
type combined struct {
	licence        licence.Licence
	notes          []string
	contradictions []contradiction
	missing        []string
}

// combine takes the strictest answer to every clause. A source that insists on the loose answer contradicts one that
// gives the strict answer. Commercial use and derivatives that no source allows are not allowed; duties that no source
// names are none; territories must be named.
func combine(sources []source) combined {
	out := combined{licence: licence.Licence{Prohibited: []string{}}}
	set := map[clause]*bool{
		commercial: &out.licence.Commercial, derivatives: &out.licence.Derivatives, shareAlike: &out.licence.ShareAlike,
		attribution: &out.licence.Attribution, trainingOnly: &out.licence.TrainingOnly, revocable: &out.licence.Revocable,
	}
	for _, c := range allClauses() {
		*set[c] = out.clause(c, sources)
	}
	out.prohibit(sources)
	out.place(sources)
	out.charge(sources)
	out.name(sources)
	return out
}

func (o *combined) clause(c clause, sources []source) bool {
	var strict, loose, firm *answer
	for _, s := range sources {
		a, ok := s.answers[c]
		switch {
		case !ok:
		case a.yes != c.loose():
			if strict == nil {
				strict = &a
			}
		default:
			loose = &a
			if a.firm && firm == nil {
				firm = &a
			}
		}
	}
	switch {
	case strict == nil:
		return loose != nil && c.loose()
	case firm != nil:
		o.contradictions = append(o.contradictions, contradiction{firm.where, strict.where, fmt.Sprintf("%s is said to be %s by one and %s by the other", c, yesNo(firm.yes), yesNo(strict.yes))})
	case loose != nil:
		o.notes = append(o.notes, fmt.Sprintf("%s: %s, by %s; %s alone would be wider", c, yesNo(strict.yes), strict.where, loose.where))
	}
	return strict.yes
}

func yesNo(b bool) string {
	if b {
		return "true"
	}
	return "false"
}

func (o *combined) prohibit(sources []source) {
	for _, s := range sources {
		for _, p := range s.prohibited {
			o.licence.Prohibited = append(o.licence.Prohibited, p.value)
		}
	}
	slices.Sort(o.licence.Prohibited)
	o.licence.Prohibited = slices.Compact(o.licence.Prohibited)
}

// place intersects territories and takes the excluded ones away.
func (o *combined) place(sources []source) {
	var have *quantity[[]string]
	for _, s := range sources {
		switch {
		case s.territories == nil:
		case have == nil:
			have = &quantity[[]string]{slices.Clone(s.territories.value), s.territories.where}
		default:
			both := intersectTerritories(have.value, s.territories.value)
			if len(both) == 0 {
				o.contradictions = append(o.contradictions, contradiction{have.where, s.territories.where, "no territory is in both"})
			} else if !slices.Equal(both, have.value) {
				o.notes = append(o.notes, fmt.Sprintf("territories: narrowed by %s", s.territories.where))
			}
			have = &quantity[[]string]{both, s.territories.where}
		}
	}
	for _, s := range sources {
		for _, x := range s.excluded {
			if have == nil {
				continue
			}
			left := exclude(have.value, x.value)
			if len(left) == 0 && len(have.value) > 0 {
				o.contradictions = append(o.contradictions, contradiction{have.where, x.where, "no territory is left"})
			}
			have.value = left
		}
	}
	if have == nil {
		o.missing = append(o.missing, "licence.territories")
		return
	}
	o.licence.Territories = have.value
}

func intersectTerritories(a, b []string) []string {
	switch {
	case slices.Equal(a, []string{licence.Worldwide}):
		return b
	case slices.Equal(b, []string{licence.Worldwide}):
		return a
	}
	out := []string{}
	for _, t := range a {
		if slices.Contains(b, t) {
			out = append(out, t)
		}
	}
	return out
}

// exclude takes one country away; everywhere becomes every other country.
func exclude(from []string, territory string) []string {
	if slices.Equal(from, []string{licence.Worldwide}) {
		from = licence.Countries()
	}
	return slices.DeleteFunc(slices.Clone(from), func(t string) bool { return t == territory })
}

func (o *combined) charge(sources []source) {
	var have *quantity[int64]
	for _, s := range sources {
		switch {
		case s.royalty == nil:
		case have != nil && have.value != s.royalty.value:
			o.contradictions = append(o.contradictions, contradiction{have.where, s.royalty.where, fmt.Sprintf("a royalty of %s, and of %s", licence.Percent(have.value), licence.Percent(s.royalty.value))})
		default:
			have = s.royalty
			o.licence.RoyaltyPPM = have.value
		}
	}
	if have != nil && have.value > 0 && !o.licence.Commercial {
		o.contradictions = append(o.contradictions, contradiction{have.where, o.whyNot(commercial, sources), "a royalty is of revenue, and commercial use is not allowed"})
	}
	if o.licence.ShareAlike && !o.licence.Derivatives {
		o.contradictions = append(o.contradictions, contradiction{o.whyNot(shareAlike, sources), o.whyNot(derivatives, sources), "share-alike is about derivatives, which are not allowed"})
	}
}

// whyNot is where the strict answer to a clause stands.
func (o *combined) whyNot(c clause, sources []source) string {
	for _, s := range sources {
		if a, ok := s.answers[c]; ok && a.yes != c.loose() {
			return a.where
		}
	}
	return fmt.Sprintf("licence.%s is not said, which is false", c)
}

// name keeps a listed licence's name only if nothing narrowed it: a name must not promise more than the terms.
func (o *combined) name(sources []source) {
	for _, s := range sources {
		if s.name == "" {
			continue
		}
		listed, _, err := SPDX(s.name)
		if err != nil {
			continue
		}
		l := o.licence
		l.SPDX = s.name
		if same(l, listed) {
			o.licence.SPDX = s.name
			return
		}
		o.notes = append(o.notes, fmt.Sprintf("the licence is narrower than %s, and is not called so", s.name))
	}
}

func same(a, b licence.Licence) bool {
	return a.Commercial == b.Commercial && a.Derivatives == b.Derivatives && a.ShareAlike == b.ShareAlike && a.Attribution == b.Attribution &&
		a.TrainingOnly == b.TrainingOnly && a.Revocable == b.Revocable && a.RoyaltyPPM == b.RoyaltyPPM && a.SPDX == b.SPDX &&
		strings.Join(a.Prohibited, " ") == strings.Join(b.Prohibited, " ") && slices.Equal(a.Territories, b.Territories)
}
