// SPDX-License-Identifier: Apache-2.0

package licence_test

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/licence"
)

// open permits everything.
func open() licence.Licence {
	return licence.Licence{SPDX: "CC0-1.0", Commercial: true, Derivatives: true, Prohibited: []string{}, Territories: []string{"*"}}
}

func with(change func(*licence.Licence)) licence.Licence {
	l := open()
	change(&l)
	return l
}

func use() licence.Use {
	return licence.Use{Commercial: true, Derive: true, Territory: "DE", Purpose: "research", Outputs: []string{"metrics", "table"}}
}

func TestZeroLicencePermitsNothing(t *testing.T) {
	var l licence.Licence
	if err := l.Validate(); !errors.Is(err, licence.ErrLicence) {
		t.Errorf("the zero licence is valid: %v", err)
	}
	if err := (*licence.Licence)(nil).Validate(); !errors.Is(err, licence.ErrLicence) {
		t.Errorf("no licence is valid: %v", err)
	}
	if r := l.Permits(licence.Use{Territory: "DE", Purpose: "research", Outputs: []string{"metrics"}}); len(r) == 0 {
		t.Error("the zero licence permits a modest use")
	}
	if r := open().Permits(licence.Use{}); len(r) == 0 {
		t.Error("a use that says nothing is permitted")
	}
}

func TestValidate(t *testing.T) {
	good := open()
	if err := good.Validate(); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*licence.Licence){
		"identifier":           func(l *licence.Licence) { l.SPDX = "CC BY" },
		"share nothing":        func(l *licence.Licence) { l.ShareAlike, l.Derivatives = true, false },
		"negative royalty":     func(l *licence.Licence) { l.RoyaltyPPM = -1 },
		"royalty above all":    func(l *licence.Licence) { l.RoyaltyPPM = licence.MaxRoyalty + 1 },
		"no list":              func(l *licence.Licence) { l.Prohibited = nil },
		"unsorted":             func(l *licence.Licence) { l.Prohibited = []string{"b", "a"} },
		"repeated":             func(l *licence.Licence) { l.Prohibited = []string{"a", "a"} },
		"bad purpose":          func(l *licence.Licence) { l.Prohibited = []string{"Ads"} },
		"too many":             func(l *licence.Licence) { l.Prohibited = make([]string, licence.MaxPurposes+1) },
		"nowhere":              func(l *licence.Licence) { l.Territories = []string{} },
		"everywhere and there": func(l *licence.Licence) { l.Territories = []string{"*", "DE"} },
		"no country":           func(l *licence.Licence) { l.Territories = []string{"XX"} },
		"a group":              func(l *licence.Licence) { l.Territories = []string{"EU"} },
		"lower case":           func(l *licence.Licence) { l.Territories = []string{"de"} },
		"unsorted countries":   func(l *licence.Licence) { l.Territories = []string{"FR", "DE"} },
	} {
		l := with(change)
		if err := l.Validate(); !errors.Is(err, licence.ErrLicence) {
			t.Errorf("%s: %v", name, err)
		}
		if len(l.Permits(use())) == 0 {
			t.Errorf("%s: an invalid licence permits", name)
		}
	}
}

func TestPermits(t *testing.T) {
	if r := open().Permits(use()); len(r) != 0 {
		t.Fatalf("an open licence refuses: %v", r)
	}
	for rule, change := range map[string]func(*licence.Licence){
		licence.RuleCommercial:  func(l *licence.Licence) { l.Commercial = false },
		licence.RuleDerivatives: func(l *licence.Licence) { l.Derivatives = false },
		licence.RuleProhibited:  func(l *licence.Licence) { l.Prohibited = []string{"ads", "research"} },
		licence.RuleTerritory:   func(l *licence.Licence) { l.Territories = []string{"CH", "FR"} },
		licence.RuleTraining:    func(l *licence.Licence) { l.TrainingOnly = true },
		licence.RuleInvalid:     func(l *licence.Licence) { l.Prohibited = nil },
	} {
		r := with(change).Permits(use())
		if len(r) != 1 || r[0].Rule != rule || r[0].Message == "" || r[0].Satisfy == "" {
			t.Errorf("%s: %+v", rule, r)
		}
	}
	worldwide := use()
	worldwide.Territory = licence.Worldwide
	if len(open().Permits(worldwide)) != 0 || len(with(func(l *licence.Licence) { l.Territories = []string{"DE"} }).Permits(worldwide)) == 0 {
		t.Error("use everywhere needs a licence for everywhere, no more and no less")
	}
	silent := use()
	silent.Purpose = ""
	if len(open().Permits(silent)) != 1 {
		t.Error("a use without a purpose is permitted")
	}
	for _, where := range []string{"", "XX", "EU", "de"} {
		u := use()
		u.Territory = where
		if len(open().Permits(u)) == 0 {
			t.Errorf("territory %q is taken for a country", where)
		}
	}
}

func TestExpand(t *testing.T) {
	eu, err := licence.Expand([]string{"EU"})
	if err != nil || len(eu) != 27 || slices.Contains(eu, "GB") || slices.Contains(eu, "NO") {
		t.Errorf("EU: %v, %v", eu, err)
	}
	eea, err := licence.Expand([]string{"EEA", "DE"})
	if err != nil || len(eea) != 30 || !slices.IsSorted(eea) {
		t.Errorf("EEA: %v, %v", eea, err)
	}
	for _, g := range licence.Groups() {
		if _, err := licence.Expand([]string{g}); err != nil {
			t.Errorf("%s: %v", g, err)
		}
	}
	if all, err := licence.Expand([]string{"*"}); err != nil || !slices.Equal(all, []string{"*"}) {
		t.Errorf("everywhere: %v, %v", all, err)
	}
	for name, hint := range map[string]string{"UK": `"GB"`, "eu": `"EU"`, "de": `"DE"`, "EL": `"GR"`, "XX": "EEA", "": "EEA", "XK": "EEA"} {
		if _, err := licence.Expand([]string{name}); err == nil || !strings.Contains(err.Error(), hint) {
			t.Errorf("%q: %v, want a hint of %s", name, err, hint)
		}
	}
	for _, l := range [][]string{nil, {}, {"*", "DE"}, {"DE", "*"}} {
		if out, err := licence.Expand(l); err == nil {
			t.Errorf("%q: %v", l, out)
		}
	}
}

func TestCountries(t *testing.T) {
	n := 0
	for a := 'A'; a <= 'Z'; a++ {
		for b := 'A'; b <= 'Z'; b++ {
			if licence.IsTerritory(string([]rune{a, b})) {
				n++
			}
		}
	}
	if n != 249 {
		t.Errorf("%d countries, ISO 3166-1 has 249", n)
	}
}

func named(name string, change func(*licence.Licence), purposes ...string) licence.Named {
	return licence.Named{Name: name, Licence: with(change), Purposes: purposes}
}

func sa(id string, commercial bool) func(*licence.Licence) {
	return func(l *licence.Licence) {
		l.SPDX, l.ShareAlike, l.Attribution, l.Commercial = id, true, true, commercial
	}
}

func TestCompatible(t *testing.T) {
	same := func(*licence.Licence) {}
	for _, c := range []struct {
		name string
		a, b licence.Named
		want []string // of "A: clause / B: clause"; none if compatible
	}{
		{"open", named("a", same, "x"), named("b", same, "x", "y"), nil},
		{"the same share-alike", named("a", sa("CC-BY-SA-4.0", true), "x"), named("b", sa("CC-BY-SA-4.0", true), "x"), nil},
		{
			"another share-alike", named("alice-photos", sa("CC-BY-SA-4.0", true), "x"), named("bob-texts", sa("CC-BY-NC-SA-4.0", false), "x"),
			[]string{"alice-photos: licence CC-BY-SA-4.0, share-alike / bob-texts: licence CC-BY-NC-SA-4.0, share-alike"},
		},
		{
			"no derivatives", named("a", sa("CC-BY-SA-4.0", true), "x"), named("b", func(l *licence.Licence) { l.SPDX, l.Derivatives = "CC-BY-ND-4.0", false }, "x"),
			[]string{"a: licence CC-BY-SA-4.0, share-alike / b: licence CC-BY-ND-4.0, no derivatives"},
		},
		{
			"non-commercial", named("b", func(l *licence.Licence) { l.SPDX, l.Commercial = "CC-BY-NC-4.0", false }, "x"), named("a", sa("CC-BY-SA-4.0", true), "x"),
			[]string{"a: licence CC-BY-SA-4.0, share-alike / b: licence CC-BY-NC-4.0, non-commercial"},
		},
		{
			"territory of alike results", named("a", sa("CC-BY-SA-4.0", true), "x"), named("b", func(l *licence.Licence) { l.SPDX, l.Territories = "", []string{"DE"} }, "x"),
			[]string{"a: licence CC-BY-SA-4.0, share-alike / b: own licence, territories DE"},
		},
		{
			"revocable", named("a", sa("ODbL-1.0", true), "x"), named("b", func(l *licence.Licence) { l.Revocable = true }, "x"),
			[]string{"a: licence ODbL-1.0, share-alike / b: licence CC0-1.0, revocable"},
		},
		{
			"royalty", named("a", sa("ODbL-1.0", true), "x"), named("b", func(l *licence.Licence) { l.RoyaltyPPM = 12_500 }, "x"),
			[]string{"a: licence ODbL-1.0, share-alike / b: licence CC0-1.0, royalty of 1.25 %"},
		},
		{"disjoint purposes", named("a", same, "x"), named("b", same, "y"), []string{"a: purposes x / b: purposes y"}},
		{"no purposes", named("a", same), named("b", same, "y"), []string{"a: purposes (none) / b: purposes y"}},
		{
			"prohibited", named("a", same, "ads", "x"), named("b", func(l *licence.Licence) { l.Prohibited = []string{"ads"} }, "ads"),
			[]string{"b: licence CC0-1.0, prohibited purposes ads / a: purposes ads, x"},
		},
		{"prohibited with others left", named("a", same, "ads", "x"), named("b", func(l *licence.Licence) { l.Prohibited = []string{"ads"} }, "ads", "x"), nil},
		{
			"disjoint territories", named("a", func(l *licence.Licence) { l.Territories = []string{"DE"} }, "x"), named("b", func(l *licence.Licence) { l.Territories = []string{"US"} }, "x"),
			[]string{"a: licence CC0-1.0, territories DE / b: licence CC0-1.0, territories US"},
		},
		{"zero", licence.Named{Name: "a", Purposes: []string{"x"}}, named("b", same, "x"), []string{"a: no valid licence / any job: any use"}},
	} {
		var got []string
		for _, x := range licence.Compatible([]licence.Named{c.a, c.b}, true) {
			got = append(got, x.A+": "+x.ClauseA+" / "+x.B+": "+x.ClauseB)
			if x.Message == "" {
				t.Errorf("%s: no message", c.name)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s:\n got %q\nwant %q", c.name, got, c.want)
		}
	}
}

// TestThreeContradictTogether: what no pair contradicts, all three may.
func TestThreeContradictTogether(t *testing.T) {
	same := func(*licence.Licence) {}
	prohibit := func(p ...string) func(*licence.Licence) { return func(l *licence.Licence) { l.Prohibited = p } }
	in := func(c ...string) func(*licence.Licence) { return func(l *licence.Licence) { l.Territories = c } }
	for name, uses := range map[string][]licence.Named{
		"purposes":     {named("a", same, "x", "y"), named("b", same, "y", "z"), named("c", same, "x", "z")},
		"prohibitions": {named("a", prohibit("x"), "x", "y", "z"), named("b", prohibit("y"), "x", "y", "z"), named("c", prohibit("z"), "x", "y", "z")},
		"territories":  {named("a", in("DE", "FR"), "x"), named("b", in("FR", "IT"), "x"), named("c", in("DE", "IT"), "x")},
	} {
		for i := range uses {
			pair := slices.Delete(slices.Clone(uses), i, i+1)
			if c := licence.Compatible(pair, true); len(c) != 0 {
				t.Errorf("%s: a pair conflicts already: %v", name, c)
			}
		}
		c := licence.Compatible(uses, true)
		if len(c) != 1 || c[0].A != "a with b" || c[0].B != "c" {
			t.Errorf("%s: %v", name, c)
		}
	}
}

// TestResultsThatAreKept: share-alike binds only who passes results on.
func TestResultsThatAreKept(t *testing.T) {
	nc := named("bob", func(l *licence.Licence) { l.SPDX, l.Commercial = "CC-BY-NC-4.0", false }, "research")
	free := named("alice", sa("CC-BY-SA-4.0", true), "research")
	got := licence.Compatible([]licence.Named{nc, free}, true)
	if len(got) != 1 || !strings.Contains(got[0].String(), "alice: licence CC-BY-SA-4.0, share-alike / bob: licence CC-BY-NC-4.0, non-commercial") {
		t.Errorf("results passed on: %v", got)
	}
	if got := licence.Compatible([]licence.Named{nc, free}, false); len(got) != 0 {
		t.Errorf("share-alike binds results that are kept: %v", got)
	}
	if got := licence.Compatible([]licence.Named{{Name: "x"}}, false); len(got) == 0 {
		t.Error("the zero licence has nothing against a job")
	}
}

// TestNoConflictInWhatAllPermit: where every licence permits a use on its own, and nothing is passed on, they do not
// contradict each other.
func TestNoConflictInWhatAllPermit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	coin := func() bool { return r.IntN(2) == 0 }
	some := func(of ...string) []string {
		out := []string{}
		for _, s := range of {
			if coin() {
				out = append(out, s)
			}
		}
		return out
	}
	passed := 0
	for range 20_000 {
		var uses []licence.Named
		for i := range 1 + r.IntN(3) {
			uses = append(uses, licence.Named{
				Name: string(rune('a' + i)), Purposes: some("x", "y", "z"),
				Licence: licence.Licence{
					Commercial: coin(), Derivatives: coin(), ShareAlike: coin(), TrainingOnly: coin(),
					Prohibited: some("x", "y"), Territories: some("DE", "FR", "US"),
				},
			})
		}
		u := licence.Use{Commercial: coin(), Territory: "DE", Purpose: "x", Outputs: some("metrics", "table")}
		refused := slices.ContainsFunc(uses, func(n licence.Named) bool {
			return len(n.Licence.Permits(u)) > 0 || !slices.Contains(n.Purposes, u.Purpose)
		})
		if refused {
			continue
		}
		passed++
		if c := licence.Compatible(uses, false); len(c) > 0 {
			t.Fatalf("%+v is permitted by all of %+v, and they say %v", u, uses, c)
		}
	}
	if passed < 50 {
		t.Errorf("only %d of the random jobs pass: the property is hardly tested", passed)
	}
}
