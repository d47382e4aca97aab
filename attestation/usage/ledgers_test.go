// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// place is where a broker's ledger was just before a grant, in the history of which its state has a name.
type place struct {
	records, revision, sequence, issued int64
	state                               string
}

// placedGrant bends both brokers' grants to a place: each has its own ledger with the same figures.
func placedGrant(p place) usagetest.Scenario {
	return usagetest.Scenario{Grant: func(i int, g *grant.Grant) {
		g.Ledger = grant.Head{Records: p.records, Revision: p.revision}
		if p.records > 0 {
			d := envelope.Sum([]byte(p.state))
			g.Ledger.Digest = &d
		}
		g.Sequence, g.Issued = p.sequence, usagetest.Now+p.issued+int64(i)
		if p.sequence == 1 {
			g.Previous = nil
		}
	}}
}

// placed are bundles of one creator's and one buyer's broker, by place.
func placed(t *testing.T, places ...place) [][]byte {
	t.Helper()
	first := usagetest.New(t, placedGrant(places[0]))
	out := [][]byte{first.Bundle}
	for _, p := range places[1:] {
		out = append(out, first.Again(t, placedGrant(p)).Bundle)
	}
	return out
}

func compared(bundles ...[]byte) *usage.LedgerVerdict {
	var l usage.Ledgers
	for i, b := range bundles {
		l.Add(string(rune('a'+i)), b)
	}
	return l.Verdict()
}

func ledgerRules(v *usage.LedgerVerdict) (out []string) {
	for _, f := range v.Findings {
		out = append(out, f.Rule)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// TestLedgersOfHonestBrokers: an empty ledger, grants in one transaction, the same bundle twice, in any order.
func TestLedgersOfHonestBrokers(t *testing.T) {
	t.Parallel()
	bundles := placed(t, place{0, 3, 1, 100, ""}, place{4, 9, 2, 100, "four"}, place{5, 9, 3, 200, "five"}, place{90, 80, 7, 300, "ninety"})
	bundles = append(bundles, bundles[0], bundles[2])
	for range 2 {
		slices.Reverse(bundles)
		v := compared(bundles...)
		if !v.Verified || v.Err() != nil || v.Grants != 8 || len(v.Brokers) != 2 {
			t.Fatalf("%+v", v)
		}
		for _, b := range v.Brokers {
			if b.Grants != 4 || b.First != 0 || b.Last != 90 || b.Owner == "" || b.Broker == "" {
				t.Errorf("%+v", b)
			}
		}
	}
}

func TestLedgersThatWerePutBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		a, b place
		rule string
	}{
		"fork":                                  {place{4, 9, 2, 100, "four"}, place{4, 9, 3, 200, "another four"}, "ledger.fork"},
		"twice from one state":                  {place{4, 9, 2, 100, "four"}, place{4, 9, 3, 200, "four"}, "ledger.again"},
		"twice from nothing":                    {place{0, 1, 1, 100, ""}, place{0, 1, 2, 200, ""}, "ledger.again"},
		"later with fewer records":              {place{9, 9, 2, 100, "nine"}, place{4, 9, 1, 200, "four"}, "ledger.back"},
		"more records in fewer transactions":    {place{4, 9, 2, 100, "four"}, place{9, 8, 3, 200, "nine"}, "ledger.back"},
		"one place in a package's chain, twice": {place{4, 9, 2, 100, "four"}, place{9, 19, 2, 200, "nine"}, "ledger.sequence"},
		"a package's chain that goes back":      {place{4, 9, 3, 100, "four"}, place{9, 19, 2, 200, "nine"}, "ledger.sequence"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bundles := placed(t, c.a, c.b)
			for range 2 {
				slices.Reverse(bundles)
				v := compared(bundles...)
				if got := ledgerRules(v); v.Verified || v.Err() == nil || !slices.Equal(got, []string{c.rule}) {
					t.Errorf("rules %v, want %s: %v", got, c.rule, v.Findings)
				}
				if len(v.Findings) != 2 { // both brokers'
					t.Errorf("%d findings", len(v.Findings))
				}
			}
		})
	}
}

// TestLedgersOfGrantsThatDoNotVerify: by another key, of a package that is not there, of no bundle at all.
func TestLedgersOfGrantsThatDoNotVerify(t *testing.T) {
	t.Parallel()
	r := usagetest.New(t, placedGrant(place{4, 9, 2, 100, "four"}))
	good := r.Parts.Grants[1]
	forged, err := usagetest.Resign(good, r.Keys.Nobody, func(map[string]any) {})
	r.Check(err)
	r.Parts.Grants[1] = forged
	r.Seal()
	v := compared(r.Bundle)
	if got := ledgerRules(v); v.Grants != 1 || !slices.Equal(got, []string{"grant.signature"}) || v.Findings[0].Part != "a grant[1]" {
		t.Errorf("%+v", v)
	}
	other := usagetest.New(t, placedGrant(place{5, 9, 2, 100, "five"}))
	r.Parts.Grants[1] = other.Parts.Grants[1]
	r.Seal()
	if got := ledgerRules(compared(r.Bundle)); !slices.Equal(got, []string{"grant.signature"}) {
		t.Errorf("another's grant: %v", got)
	}
	if v := compared([]byte("{}")); !slices.Equal(ledgerRules(v), []string{"bundle.malformed", "ledger.none"}) || v.Err() == nil {
		t.Errorf("%+v", v)
	}
	if v := compared(); v.Verified || v.Err() == nil {
		t.Errorf("nothing compared: %+v", v)
	}
	if (&usage.LedgerVerdict{}).Err() == nil || (&usage.LedgerVerdict{Verified: true}).Err() == nil {
		t.Error("the zero verdict is good")
	}
}

// TestLedgersAcrossAHandOver: a fresh key is no fresh ledger, whichever of the two keys the manifest pins.
func TestLedgersAcrossAHandOver(t *testing.T) {
	t.Parallel()
	first := usagetest.New(t, placedGrant(place{9, 9, 2, 100, "nine"}))
	next, err := usagetest.NewKey(envelope.RoleBroker)
	first.Check(err)
	signed, _, err := grant.Sign(&grant.HandOver{
		Old: first.Keys.CreatorBroker.Public(), New: next.Public(), Head: grant.Head{Records: 9, Digest: new(envelope.Sum([]byte("nine"))), Revision: 9},
		Reason: "r", Time: usagetest.Now,
	}, first.Keys.Creator.Signer)
	first.Check(err)
	s := placedGrant(place{9, 9, 3, 200, "another nine"})
	bend := s.Grant
	s.Grant = func(i int, g *grant.Grant) {
		bend(i, g)
		if i == 1 {
			g.HandOvers = [][]byte{signed}
		}
	}
	second := first.Again(t, s)
	g, err := usagetest.Resign(second.Parts.Grants[1], next, func(map[string]any) {})
	first.Check(err)
	second.Parts.Grants[1] = g
	second.Seal()
	// A later package of hers pins the new key, and its grant is from before the hand-over's head.
	third := usagetest.New(t, usagetest.Scenario{
		Offer: func(i int, m *dataset.Manifest) {
			if i == 1 {
				m.Broker.Key = next.Public()
			}
		},
		Pack: func(i int, c *dataset.PackConfig) {
			if i == 1 {
				c.Signer = first.Keys.Creator.Signer
			}
		},
		Grant: placedGrant(place{4, 4, 1, 300, "four"}).Grant,
	})
	third.Parts.Manifests[1], err = usagetest.Resign(third.Parts.Manifests[1], first.Keys.Creator, func(map[string]any) {})
	first.Check(err)
	third.Parts.Grants[1], err = usagetest.Resign(third.Parts.Grants[1], next, func(map[string]any) {})
	first.Check(err)
	third.Seal()
	if v := compared(first.Bundle, third.Bundle); !v.Verified || len(v.Brokers) != 4 {
		t.Errorf("nothing joins the two keys: %+v", v)
	}
	joined := compared(third.Bundle, first.Bundle, second.Bundle)
	if len(joined.Brokers) != 3 || !slices.Equal(ledgerRules(joined), []string{"ledger.back", "ledger.fork"}) {
		t.Errorf("%+v", joined)
	}
	v := compared(first.Bundle, second.Bundle)
	if len(v.Brokers) != 2 || len(v.Findings) != 2 || !slices.Equal(ledgerRules(v), []string{"ledger.fork"}) {
		t.Errorf("%+v", v)
	}
	if !slices.ContainsFunc(v.Findings, func(f usage.Finding) bool {
		return f.Part == "b grant[1]" && strings.Contains(f.Message, "a grant[1]")
	}) {
		t.Errorf("findings %v", v.Findings)
	}
}
