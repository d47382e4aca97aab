// SPDX-License-Identifier: Apache-2.0

package licence

import (
	"fmt"
	"slices"
	"strings"
)

// Named is the licence of one package of a job, with the purposes its terms allow.
type Named struct {
	Name     string
	Licence  Licence
	Purposes []string
}

// Conflict is two clauses that cannot both be kept. A and B name the packages, or the job.
type Conflict struct {
	A       string `json:"a"`
	B       string `json:"b"`
	ClauseA string `json:"clauseA"`
	ClauseB string `json:"clauseB"`
	Message string `json:"message"`
}

func (c Conflict) String() string {
	return fmt.Sprintf("%s: %s / %s: %s: %s", c.A, c.ClauseA, c.B, c.ClauseB, c.Message)
}

// Compatible lists what stands in the way of one job over all of uses: every pair is compared, and then all together.
// What licences demand of results that are passed on counts only if they are. What the job itself wants of one package is
// for that package's owner to refuse. A package without a valid licence conflicts with any job.
func Compatible(uses []Named, passedOn bool) []Conflict {
	out := together(uses)
	if passedOn {
		out = append(out, sharing(uses)...)
	}
	return out
}

// together compares where and for what the data may be used at all.
func together(uses []Named) []Conflict {
	var out []Conflict
	for i, a := range uses {
		if err := a.Licence.Validate(); err != nil {
			out = append(out, Conflict{a.Name, "any job", "no valid licence", "any use", err.Error()})
			continue
		}
		for _, b := range uses[i+1:] {
			if b.Licence.Validate() == nil {
				out = append(out, purposes(a, b)...)
				out = append(out, lands(a, b)...)
			}
		}
	}
	if len(out) == 0 {
		out = append(out, joint(uses)...)
	}
	return out
}

// purposes compares what two packages may be used for: allowed by both and prohibited by neither.
func purposes(a, b Named) []Conflict {
	both := intersect(a.Purposes, b.Purposes)
	if len(both) == 0 {
		return []Conflict{{a.Name, b.Name, "purposes " + words(a.Purposes), "purposes " + words(b.Purposes), "no purpose is allowed by both"}}
	}
	if len(without(both, a.Licence.Prohibited, b.Licence.Prohibited)) > 0 {
		return nil
	}
	x, y := a, b // x is the one that prohibits
	if len(without(both, a.Licence.Prohibited)) == len(both) {
		x, y = b, a
	}
	return []Conflict{{
		x.Name, y.Name, x.clause("prohibited purposes " + words(x.Licence.Prohibited)), "purposes " + words(y.Purposes),
		"every purpose allowed by both is prohibited by one",
	}}
}

func lands(a, b Named) []Conflict {
	if len(overlap(a.Licence.Territories, b.Licence.Territories)) > 0 {
		return nil
	}
	return []Conflict{{
		a.Name, b.Name, a.clause("territories " + words(a.Licence.Territories)), b.clause("territories " + words(b.Licence.Territories)),
		"no territory is covered by both",
	}}
}

// joint finds what only three or more contradict together: each pair has a purpose and a territory left, all have none.
func joint(uses []Named) []Conflict {
	if len(uses) == 0 {
		return nil
	}
	var out []Conflict
	first := uses[0]
	names, allowed, prohibited, where := []string{first.Name}, first.Purposes, first.Licence.Prohibited, first.Licence.Territories
	for _, n := range uses[1:] {
		before, left, land := strings.Join(names, " with "), without(allowed, prohibited), where
		allowed, where = intersect(allowed, n.Purposes), overlap(where, n.Licence.Territories)
		prohibited = append(slices.Clone(prohibited), n.Licence.Prohibited...)
		names = append(names, n.Name)
		if len(left) > 0 && len(without(allowed, prohibited)) == 0 {
			clause := n.clause("purposes " + words(without(n.Purposes, n.Licence.Prohibited)))
			out = append(out, Conflict{before, n.Name, "purposes left " + words(left), clause, "no purpose is allowed by all"})
		}
		if len(land) > 0 && len(where) == 0 {
			clause := n.clause("territories " + words(n.Licence.Territories))
			out = append(out, Conflict{before, n.Name, "territories left " + words(land), clause, "no territory is covered by all"})
		}
	}
	return out
}

// sharing compares what becomes of results that are passed on. Share-alike allows no further restriction of them.
func sharing(uses []Named) []Conflict {
	var out []Conflict
	for i, a := range uses {
		for j, b := range uses {
			if i == j || a.Licence.Validate() != nil || b.Licence.Validate() != nil || !a.Licence.ShareAlike {
				continue
			}
			if b.Licence.ShareAlike && i > j {
				continue // said once, from the other side
			}
			out = append(out, alike(a, b)...)
		}
	}
	return out
}

// alike compares a, which is share-alike, with b.
func alike(a, b Named) []Conflict {
	mine, theirs := a.Licence, b.Licence
	if theirs.ShareAlike {
		if same(mine, theirs) {
			return nil
		}
		return []Conflict{{a.Name, b.Name, a.clause("share-alike"), b.clause("share-alike"), "results cannot be under both licences"}}
	}
	var out []Conflict
	add := func(clause, msg string) {
		out = append(out, Conflict{a.Name, b.Name, a.clause("share-alike"), b.clause(clause), msg})
	}
	if !theirs.Derivatives {
		add("no derivatives", "results must be passed on alike, and may not be passed on")
	}
	if mine.Commercial && !theirs.Commercial {
		add("non-commercial", "results must be free for commercial use, and may not be used so")
	}
	if len(overlap(mine.Territories, theirs.Territories)) < len(overlap(mine.Territories, mine.Territories)) ||
		slices.Contains(mine.Territories, Worldwide) && !slices.Contains(theirs.Territories, Worldwide) {
		add("territories "+words(theirs.Territories), "results must be usable in "+words(mine.Territories))
	}
	if extra := without(theirs.Prohibited, mine.Prohibited); len(extra) > 0 {
		add("prohibited purposes "+words(extra), "results must not be restricted further")
	}
	if theirs.Revocable && !mine.Revocable {
		add("revocable", "results must stay usable, and may be withdrawn")
	}
	if theirs.RoyaltyPPM > mine.RoyaltyPPM {
		add(fmt.Sprintf("royalty of %s", Percent(theirs.RoyaltyPPM)), "results must not cost more")
	}
	return out
}

// same reports whether two share-alike licences are one.
func same(a, b Licence) bool {
	return a.SPDX == b.SPDX && a.Commercial == b.Commercial && a.Derivatives == b.Derivatives && a.Attribution == b.Attribution &&
		a.Revocable == b.Revocable && a.RoyaltyPPM == b.RoyaltyPPM &&
		slices.Equal(a.Prohibited, b.Prohibited) && slices.Equal(a.Territories, b.Territories)
}

// clause says one of the licence's clauses in the words of terms.
func (n Named) clause(what string) string {
	if n.Licence.SPDX == "" {
		return "own licence, " + what
	}
	return "licence " + n.Licence.SPDX + ", " + what
}

// Percent writes millionths as a percentage, exactly.
func Percent(ppm int64) string {
	s := fmt.Sprintf("%d.%04d", ppm/10_000, ppm%10_000)
	return strings.TrimSuffix(strings.TrimRight(s, "0"), ".") + " %"
}

func words(list []string) string {
	if len(list) == 0 {
		return "(none)"
	}
	return strings.Join(list, ", ")
}

func intersect(a, b []string) []string {
	var out []string
	for _, s := range a {
		if slices.Contains(b, s) {
			out = append(out, s)
		}
	}
	return out
}

// overlap intersects territories, of which "*" is all.
func overlap(a, b []string) []string {
	switch {
	case slices.Contains(a, Worldwide):
		return b
	case slices.Contains(b, Worldwide):
		return a
	}
	return intersect(a, b)
}

func without(a []string, sets ...[]string) []string {
	var out []string
	for _, s := range a {
		if !slices.ContainsFunc(sets, func(set []string) bool { return slices.Contains(set, s) }) {
			out = append(out, s)
		}
	}
	return out
}
