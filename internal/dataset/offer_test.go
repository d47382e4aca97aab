// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"encoding/json"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
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
