// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// contributorsEnd is when consents to research end in these tests, in Unix seconds.
const contributorsEnd = usagetest.Now/1000 + 3000

// contributed is a run over a dataset of four contributors, of whom the first agreed to nothing, the second to another
// purpose and the others to research, where terms ask for it. keep says who is granted; nil: all.
func contributed(keep func(i int, u *dataset.ErasureUnit) bool, change func(g *grant.Grant)) usagetest.Scenario {
	s := onGrant(1, func(g *grant.Grant) {
		if change != nil {
			change(g)
		}
	})
	s.Keep = keep
	s.Pack = func(i int, c *dataset.PackConfig) {
		if i != 1 {
			return
		}
		var src strings.Builder
		src.WriteString("who,text\n")
		for n := range 400 {
			fmt.Fprintf(&src, "p%d,%s\n", n%4, envelope.Sum([]byte{byte(n), byte(n >> 8)}))
		}
		agreed := func(purpose string) *dataset.Consent {
			return &dataset.Consent{Reference: "form", Purposes: []string{purpose}, NotAfter: contributorsEnd}
		}
		c.Source, c.SegmentBytes, c.BatchBytes, c.Manifest.Terms.Consent = strings.NewReader(src.String()), 4<<10, 2<<10, true
		c.Contributors = &dataset.Contributors{
			By: "who",
			Unit: func(name string) (envelope.Digest, dataset.Key, error) {
				return dataset.UnitID([]byte("index"), name), dataset.NewKey(), nil
			},
			Consents: map[envelope.Digest]*dataset.Consent{
				dataset.UnitID([]byte("index"), "p1"): agreed("advertising"),
				dataset.UnitID([]byte("index"), "p2"): agreed("research"),
				dataset.UnitID([]byte("index"), "p3"): agreed("research"),
			},
		}
	}
	return s
}

// agreeing keeps who agreed to research.
func agreeing(_ int, u *dataset.ErasureUnit) bool {
	return u.Consent.Covers("research", usagetest.Now/1000)
}

// TestWithheldContributors: a run over those who agree verifies, and the verdict says how many were left out.
func TestWithheldContributors(t *testing.T) {
	v := usagetest.New(t, contributed(agreeing, nil)).Verify()
	told := slices.ContainsFunc(v.Facts, func(f usage.Fact) bool {
		return f.Rule == "withheld" && f.Part == "grant[1]" && f.Message == "2 of 4 contributors' records were withheld"
	})
	if !v.OK() || !told {
		t.Errorf("findings %v, facts %v", v.Findings, v.Facts)
	}
}

// TestWithheldLeavesDelivered: what was delivered of contributors left out of the grant is found, whoever's word it is.
func TestWithheldLeavesDelivered(t *testing.T) {
	s := contributed(agreeing, nil)
	s.Statement = func(s *usage.Statement) {
		p := &s.Packages[1]
		p.Leaves = grant.Ranges{{First: 0, Count: p.Leaves[len(p.Leaves)-1].First + p.Leaves[len(p.Leaves)-1].Count}}
		p.Reads = 2 * p.Leaves[0].Count
	}
	wantRule(t, usagetest.New(t, s).Verify().Findings, "use.leaves")
	// Nor can more records have been delivered, or billed, than those of the contributors granted.
	s.Statement = func(s *usage.Statement) {
		s.Packages[1].Records++
		s.Packages[1].Billable++
	}
	wantRule(t, usagetest.New(t, s).Verify().Findings, "use.records")
}
