// SPDX-License-Identifier: Apache-2.0

package terms

import (
	"errors"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// withOffer compiles the plain terms beside an offer.
func withOffer(text, offer string) (*Compiled, error) {
	text = strings.Replace(text, "licence: {commercial: true, derivatives: true, territories: [EU, CH]}", "licence: {odrl: offer.jsonld}", 1)
	return Parse([]byte(text)).Compile(Config{Now: testNow, File: func(string, int64) ([]byte, error) { return []byte(offer), nil }})
}

// TestOfferNarrows: bounds of an offer lower what the terms say, and are noted.
func TestOfferNarrows(t *testing.T) {
	c, err := withOffer(plain, constraints(`
		{"leftOperand":"count","operator":"lteq","rightOperand":3},
		{"leftOperand":"gb:epochs","operator":"lteq","rightOperand":2},
		{"leftOperand":"gb:outputBytes","operator":"lteq","rightOperand":1024},
		{"leftOperand":"dateTime","operator":"lt","rightOperand":"2027-01-01"},
		{"leftOperand":"purpose","operator":"isAnyOf","rightOperand":["research","teaching","care"]},
		{"leftOperand":"gb:mode","operator":"eq","rightOperand":"raw-in-tee"},
		{"leftOperand":"gb:assurance","operator":"gteq","rightOperand":"tee"}`))
	if err != nil {
		t.Fatal(err)
	}
	tm := c.Terms
	if tm.MaxUses != 3 || tm.Buyers.MaxUses != 3 || tm.MaxEpochs != 2 || tm.MaxOutputBytes != 1024 || tm.NotAfter != 1798761600 || len(tm.Purposes) != 2 || len(c.Notes) != 4 {
		t.Errorf("%+v, %q", tm, c.Notes)
	}
	c, err = withOffer(strings.Replace(plain, "assurance: tee", "assurance: tpm", 1), constraints(`{"leftOperand":"gb:assurance","operator":"gteq","rightOperand":"tee"}`))
	if err != nil || c.Terms.MinAssurance != "tee" || len(c.Notes) != 1 {
		t.Errorf("%+v, %v", c, err)
	}
}

// TestOfferContradictsTerms: what the terms allow beyond an offer is an error that names both.
func TestOfferContradictsTerms(t *testing.T) {
	k, err := envelope.GenerateSigner(envelope.RoleOwner)
	if err != nil {
		t.Fatal(err)
	}
	pay := func(amount, unit string) string {
		return duties(`{"action":"compensate","constraint":[{"leftOperand":"payAmount","operator":"eq","rightOperand":"` + amount + `","unit":"` + unit + `"}]}`)
	}
	bob := `{"leftOperand":"recipient","operator":"isAnyOf","rightOperand":["` + k.Public().String() + `"]}`
	for name, c := range map[string]struct{ text, offer, want string }{
		"purpose":       {plain, constraints(`{"leftOperand":"purpose","operator":"eq","rightOperand":"research"}`), "the offer does not allow teaching"},
		"output":        {plain, constraints(`{"leftOperand":"gb:output","operator":"eq","rightOperand":"metrics"}`), "the offer does not allow model"},
		"mode":          {plain, constraints(`{"leftOperand":"gb:mode","operator":"eq","rightOperand":"dp-training"}`), "the offer does not allow raw-in-tee"},
		"price":         {plain, pay("19.99", "EUR"), "price.per-use: 20.00 (line 6) and licence.odrl: offer.jsonld (line 10) $.permission[0].duty[0].constraint[0] contradict each other: the offer has another price"},
		"currency":      {plain, pay("20", "USD"), "the offer has another price"},
		"any buyer":     {plain, constraints(bob), "buyers (line 7) and licence.odrl: offer.jsonld (line 10) $.permission[0].constraint[0] contradict each other"},
		"another buyer": {strings.Replace(plain, "buyers: {any: true}", "buyers: {keys: [did:key:zDnaerx9CtbPJ1q36T5Ln5wYt3MQYeGRG5ehnPAmxcf5mDZpv]}", 1), constraints(bob), "certain buyers only"},
		"assurance":     {plain, constraints(`{"leftOperand":"gb:assurance","operator":"gteq","rightOperand":"best"}`), `assurance "best" is not known`},
		"not an offer":  {plain, `{"@type":"odrl:Set"}`, "is not of @type odrl:Offer"},
	} {
		if _, err := withOffer(c.text, c.offer); !errors.Is(err, ErrTerms) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %q", name, err, c.want)
		}
	}
	if _, err := withOffer(plain, pay("20.00", "EUR")); err != nil {
		t.Errorf("the same price: %v", err)
	}
	own := strings.Replace(plain, "buyers: {any: true}", "buyers: {keys: ["+k.Public().String()+"]}", 1)
	if _, err := withOffer(own, constraints(bob)); err != nil {
		t.Errorf("the same buyer: %v", err)
	}
}

// TestKeyOfUnknownKind: a key that receipts could not be verified with is not left out in silence.
func TestKeyOfUnknownKind(t *testing.T) {
	text := strings.Replace(plain, "access: open", "access: receipt\nreceipts: {issuer: i, audience: a, payee: p, minimum: 20, keys: ["+marketKey+", {kty: OKP, crv: Ed25519, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo}]}", 1)
	if _, err := compile(t, text); err == nil || !strings.Contains(err.Error(), "some of the keys are of a kind") {
		t.Errorf("%v", err)
	}
}
