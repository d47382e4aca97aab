// SPDX-License-Identifier: Apache-2.0

package terms

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/licence"
)

// random makes sources of terms, and remembers by itself what each of them forbids.
type random struct {
	*rand.Rand
	forbids []func(u licence.Use) string // "" or what forbids the use
	uses    int64                        // most that any source allows
	never   []string                     // purposes that a source prohibits
}

func (r *random) coin() bool { return r.IntN(2) == 0 }

func (r *random) some(of ...string) []string {
	out := []string{}
	for _, s := range of {
		if r.coin() {
			out = append(out, s)
		}
	}
	return out
}

func (r *random) forbid(what string, when func(u licence.Use) bool) {
	r.forbids = append(r.forbids, func(u licence.Use) string {
		if when(u) {
			return what
		}
		return ""
	})
}

func (r *random) outside(what string, allowed []string) {
	r.forbid(what, func(u licence.Use) bool { return !slices.Contains(allowed, u.Territory) })
}

type kindOfUse struct {
	name string
	is   func(u licence.Use) bool
}

func uses(commercial, derive string) []kindOfUse {
	return []kindOfUse{{commercial, func(u licence.Use) bool { return u.Commercial }}, {derive, func(u licence.Use) bool { return u.Derive }}}
}

// listed picks a listed licence and reads its name.
func (r *random) listed() string {
	ids := []string{"CC0-1.0", "CC-BY-4.0", "CC-BY-NC-4.0", "CC-BY-ND-4.0", "CC-BY-NC-ND-4.0", "CC-BY-SA-4.0", "CC-BY-NC-SA-4.0", "C-UDA-1.0"}
	id := ids[r.IntN(len(ids))]
	r.forbid(id+" commercial", func(u licence.Use) bool { return u.Commercial && strings.Contains(id, "-NC") })
	r.forbid(id+" derivatives", func(u licence.Use) bool { return u.Derive && strings.Contains(id, "-ND") })
	r.forbid(id+" tables", func(u licence.Use) bool { return id == "C-UDA-1.0" && slices.Contains(u.Outputs, "table") })
	return "spdx: " + id
}

// offer writes an ODRL offer.
func (r *random) offer() string {
	actions := []string{"use"}
	for _, x := range uses("commercialize", "derive") {
		if r.coin() {
			actions = append(actions, x.name)
		} else {
			r.forbid("offer without "+x.name, x.is)
		}
	}
	type rule map[string]any
	cs := []rule{}
	if r.IntN(4) > 0 {
		list := append(r.some("b", "c"), "a")
		cs = append(cs, rule{"leftOperand": "purpose", "operator": "isAnyOf", "rightOperand": list})
		r.forbid("offer's purposes", func(u licence.Use) bool { return !slices.Contains(list, u.Purpose) })
	}
	if r.coin() {
		list := append(r.some("FR", "US"), "DE")
		cs = append(cs, rule{"leftOperand": "spatial", "operator": "isAnyOf", "rightOperand": list})
		r.outside("offer's places", list)
	}
	if r.coin() {
		list := append(r.some("table", "model"), "metrics")
		cs = append(cs, rule{"leftOperand": "gb:output", "operator": "isAnyOf", "rightOperand": list})
		r.forbid("offer's outputs", func(u licence.Use) bool {
			return slices.ContainsFunc(u.Outputs, func(c string) bool { return !slices.Contains(list, c) })
		})
	}
	if r.coin() {
		n := 1 + r.Int64N(20)
		cs = append(cs, rule{"leftOperand": "count", "operator": "lteq", "rightOperand": n})
		r.uses = min(r.uses, n)
	}
	var prohibited []rule
	for _, p := range r.some("b", "c") {
		prohibited = append(prohibited, rule{"action": "use", "constraint": rule{"leftOperand": "purpose", "operator": "eq", "rightOperand": p}})
		r.never = append(r.never, p)
		r.forbid("offer prohibits "+p, func(u licence.Use) bool { return u.Purpose == p })
	}
	for _, place := range r.some("US") {
		prohibited = append(prohibited, rule{"action": "use", "constraint": rule{"leftOperand": "spatial", "operator": "eq", "rightOperand": place}})
		r.forbid("offer prohibits "+place, func(u licence.Use) bool { return u.Territory == place })
	}
	permission := rule{"action": actions}
	if len(cs) > 0 {
		permission["constraint"] = cs
	}
	out := map[string]any{"@context": odrlContext, "@type": "Offer", "permission": permission}
	if len(prohibited) > 0 {
		out["prohibition"] = prohibited
	}
	b, err := json.Marshal(out)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// own writes the clauses of the terms themselves.
func (r *random) own() []string {
	var out []string
	for _, x := range uses("commercial", "derivatives") {
		switch r.IntN(3) {
		case 0:
			out = append(out, x.name+": false")
			r.forbid(x.name+": false", x.is)
		case 1:
			out = append(out, x.name+": true")
		}
	}
	if r.coin() {
		out = append(out, "training-only: true")
		r.forbid("training-only", func(u licence.Use) bool { return slices.Contains(u.Outputs, "table") })
	}
	if list := r.some("b", "c"); len(list) > 0 {
		r.never = append(r.never, list...)
		out = append(out, "prohibited: ["+strings.Join(list, ", ")+"]")
		r.forbid("prohibited", func(u licence.Use) bool { return slices.Contains(list, u.Purpose) })
	}
	if list := r.some("DE", "FR", "US"); len(list) > 0 {
		out = append(out, "territories: ["+strings.Join(list, ", ")+"]")
		r.outside("territories", list)
	} else {
		out = append(out, "territories: everywhere")
	}
	return out
}

// terms writes a terms file over up to three sources.
func (r *random) terms() (text, offer string) {
	clauses := r.own()
	if r.coin() {
		clauses = append(clauses, r.listed())
	}
	if r.coin() {
		offer = r.offer()
		clauses = append(clauses, "odrl: offer.jsonld")
	}
	purposes, outputs, jobs := append(r.some("b", "c"), "a"), append(r.some("model", "table"), "metrics"), 1+r.Int64N(20)
	r.uses = min(r.uses, jobs)
	r.forbid("purposes", func(u licence.Use) bool { return !slices.Contains(purposes, u.Purpose) })
	r.forbid("outputs", func(u licence.Use) bool {
		return slices.ContainsFunc(u.Outputs, func(c string) bool { return !slices.Contains(outputs, c) })
	})
	return fmt.Sprintf(`version: 1
purposes: [%s]
modes: [raw-in-tee]
outputs: {classes: [%s], most: 1MiB}
uses: {jobs: %d, epochs: 20, until: 2027-06-30}
price: {currency: EUR, per-use: 0, per-record: 0}
buyers: {any: true}
code: {any: true}
access: open
licence: {%s}
consent: none
privacy: {population: p}
`, strings.Join(purposes, ", "), strings.Join(outputs, ", "), jobs, strings.Join(clauses, ", ")), offer
}

func allUses() []licence.Use {
	var out []licence.Use
	for i := range 1 << 2 {
		for _, territory := range []string{"DE", "FR", "US", "JP"} {
			for _, p := range []string{"a", "b", "c", "d"} {
				for _, classes := range [][]string{{"metrics"}, {"model"}, {"table"}, {"metrics", "table"}} {
					out = append(out, licence.Use{Commercial: i&1 > 0, Derive: i&2 > 0, Territory: territory, Purpose: p, Outputs: classes})
				}
			}
		}
	}
	return out
}

// TestCompiledTermsNeverPermitWhatASourceForbids: over random sources and every use.
func TestCompiledTermsNeverPermitWhatASourceForbids(t *testing.T) {
	compiled, permitted, refused := 0, 0, 0
	for seed := range uint64(1500) {
		r := &random{Rand: rand.New(rand.NewPCG(seed, 7)), uses: 1 << 40}
		text, offer := r.terms()
		c, err := Parse([]byte(text)).Compile(Config{Now: testNow, File: func(string, int64) ([]byte, error) { return []byte(offer), nil }})
		if err != nil {
			refused++
			if !strings.Contains(err.Error(), "contradict each other") {
				t.Fatalf("seed %d: %v\n%s%s", seed, err, text, offer)
			}
			continue
		}
		compiled++
		if c.Terms.MaxUses > r.uses {
			t.Fatalf("seed %d: %d jobs, a source allows %d", seed, c.Terms.MaxUses, r.uses)
		}
		for _, p := range r.never { // prohibited ones stay so in whatever else reads the licence
			if !slices.Contains(c.Terms.Licence.Prohibited, p) {
				t.Fatalf("seed %d: %s is not prohibited\n%s%s", seed, p, text, offer)
			}
		}
		for _, u := range allUses() {
			if !permits(c, u) {
				continue
			}
			permitted++
			for _, f := range r.forbids {
				if what := f(u); what != "" {
					t.Fatalf("seed %d: %+v is permitted, forbidden by %s\n%s%s", seed, u, what, text, offer)
				}
			}
		}
	}
	if compiled < 100 || permitted < 300 || refused < 100 {
		t.Errorf("%d compile and permit %d uses, %d are refused: the property is hardly tested", compiled, permitted, refused)
	}
}

// permits reads compiled terms as the rules do.
func permits(c *Compiled, u licence.Use) bool {
	for _, class := range u.Outputs {
		if !slices.Contains(c.Terms.Outputs, class) {
			return false
		}
	}
	return slices.Contains(c.Terms.Purposes, u.Purpose) && len(c.Terms.Licence.Permits(u)) == 0
}
