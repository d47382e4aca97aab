// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/jwk"
	"github.com/glovebox-dev/glovebox/internal/licence"
)

// TestOfferDigest: a marketplace that reads the manifest's JSON finds the digest that receipts must name, and every change
// of price or terms changes it.
func TestOfferDigest(t *testing.T) {
	f := newFixture(t)
	p := fullManifest(t, f)
	_, payload, _, err := envelope.Parts(p.Signed)
	if err != nil {
		t.Fatal(err)
	}
	var s struct {
		Predicate struct {
			Metadata struct {
				UsageInfo json.RawMessage `json:"usageInfo"`
			} `json:"metadata"`
		} `json:"predicate"`
	}
	if err := json.Unmarshal(payload, &s); err != nil {
		t.Fatal(err)
	}
	if got := p.Manifest.OfferDigest(); got != envelope.Sum(s.Predicate.Metadata.UsageInfo) {
		t.Errorf("%s is not the digest of %s", got, s.Predicate.Metadata.UsageInfo)
	}
	for name, change := range map[string]func(*Manifest){
		"price": func(m *Manifest) { m.Terms.Price.PerUse++ }, "currency": func(m *Manifest) { m.Terms.Price.Currency = "XXX" },
		"uses": func(m *Manifest) { m.Terms.MaxUses++ }, "version": func(m *Manifest) { m.Version++ },
	} {
		m := *p.Manifest
		change(&m)
		if m.OfferDigest() == p.Manifest.OfferDigest() {
			t.Errorf("another %s, the same offer", name)
		}
	}
}

// TestOfferSaysEveryTerm: no term can change without the offer, and so the digest that receipts name, changing too.
func TestOfferSaysEveryTerm(t *testing.T) {
	full := func() *Manifest {
		m := fullManifest(t, newFixture(t)).Manifest
		key, err := jwk.Of(newFixture(t).signer.Public().ECDSA())
		if err != nil {
			t.Fatal(err)
		}
		m.Terms.Access = AccessReceipt
		m.Terms.Steps[0].Steps[0].Findings = Types{"PERSON"}
		m.Terms.Receipts = &Receipts{"https://market.example", "glovebox", "alice", []jwk.JWK{key}, 5}
		m.Terms.Code = Code{Manifests: []envelope.Digest{{1}}, Owners: []envelope.PublicKey{m.Owner}}
		m.Terms.Buyers = Buyers{Keys: []envelope.PublicKey{m.Owner}, Require: []Attribute{{"country", []string{"DE"}}}, MaxUses: 3}
		m.Terms.Licence.ShareAlike, m.Terms.Licence.Prohibited, m.Terms.Licence.Territories = true, []string{"ads"}, []string{"DE"}
		m.Terms.Licence.RoyaltyPPM, m.Terms.Licence.SPDX = 1, "MIT"
		return m
	}
	m := full()
	seen := 0
	each(reflect.ValueOf(&m.Terms).Elem(), "terms", func(path string, change func() (undo func())) {
		before := m.OfferDigest()
		undo := change()
		if m.OfferDigest() == before {
			t.Errorf("%s changes, the offer does not", path)
		}
		undo()
		if m.OfferDigest() != before {
			t.Fatalf("%s: the test does not undo its change", path)
		}
		seen++
	})
	if seen < 40 {
		t.Errorf("only %d terms were changed", seen)
	}
}

// each calls do for every text, number, flag and byte array below v. The parts of a pinned key count as one: the offer
// names it by its thumbprint.
func each(v reflect.Value, path string, do func(path string, change func() (undo func()))) {
	old := reflect.New(v.Type()).Elem()
	old.Set(v)
	set := func(change func()) {
		do(path, func() func() { change(); return func() { v.Set(old) } })
	}
	switch x := v.Addr().Interface().(type) {
	case *envelope.PublicKey:
		return // a list of them is changed by its length
	case *json.RawMessage:
		set(func() { *x = json.RawMessage(`{}`) })
		return
	case *jwk.JWK:
		set(func() { x.X, x.Y = x.Y, x.X })
		return
	}
	switch v.Kind() {
	case reflect.String:
		set(func() { v.SetString(v.String() + "x") })
	case reflect.Int, reflect.Int64:
		set(func() { v.SetInt(v.Int() + 1) })
	case reflect.Bool:
		set(func() { v.SetBool(!v.Bool()) })
	case reflect.Array:
		set(func() { v.Index(1).SetUint(7) })
	case reflect.Pointer:
		each(v.Elem(), path, do)
	case reflect.Slice:
		set(func() { v.Set(reflect.AppendSlice(v, v.Slice(0, 1))) })
		each(v.Index(0), path+"[0]", do)
	case reflect.Struct:
		for i := range v.NumField() {
			each(v.Field(i), path+"."+v.Type().Field(i).Name, do)
		}
	default:
		panic("dataset: a term of kind " + v.Kind().String())
	}
}

// TestOfferOfLicence: clauses stand where tools look for them.
func TestOfferOfLicence(t *testing.T) {
	m := fullManifest(t, newFixture(t)).Manifest
	m.Terms.Licence = licence.Licence{
		SPDX: "CC-BY-NC-4.0", Derivatives: true, ShareAlike: true, Attribution: true, Prohibited: []string{"ads"}, Territories: []string{"DE", "FR"},
	}
	b, err := envelope.Canonical(m.offer())
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		`{"odrl:action":"odrl:commercialize","odrl:target":"glovebox:dataset:` + m.Dataset.String() + `"}`,
		`{"odrl:action":"odrl:derive","odrl:duty":[{"odrl:action":"cc:ShareAlike"}]`,
		`{"odrl:action":"odrl:attribute"}`, `"dct:license":"https://spdx.org/licenses/CC-BY-NC-4.0"`,
		`"odrl:leftOperand":"odrl:spatial","odrl:operator":"odrl:isAnyOf","odrl:rightOperand":["DE","FR"]`,
		`{"odrl:action":"odrl:use","odrl:constraint":[{"odrl:leftOperand":"odrl:purpose","odrl:operator":"odrl:isAnyOf","odrl:rightOperand":["ads"]}]`,
	} {
		if !strings.Contains(string(b), want) {
			t.Errorf("the offer does not say %s:\n%s", want, b)
		}
	}
	if len(m.offer().Permission) != 2 {
		t.Errorf("%d permissions", len(m.offer().Permission))
	}
	if got := m.licenceName(); got != "CC-BY-NC-4.0" {
		t.Errorf("the card calls the licence %q", got)
	}
}
