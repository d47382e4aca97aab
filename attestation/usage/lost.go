// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// VerifyLeaseLost checks the broker's word that a lease went silent, which stands in place of a usage statement. The
// manifest says whose word that is, and its owner must be trusted. All findings are returned; the record is nil unless
// its own signature verifies.
func VerifyLeaseLost(record, signedGrant, manifest []byte, t Trust) (*grant.LeaseLost, []Finding) {
	a := &audit{trust: t, verdict: &Verdict{}}
	m, err := dataset.Verify(manifest)
	if err != nil {
		a.find("manifest.signature", part(PartManifest, 0), "%v", err)
		return nil, a.verdict.Findings
	}
	a.must(a.trustsOwner(m.Predicate.Owner), "manifest.owner", part(PartManifest, 0), "owner %s is not trusted", m.Predicate.Owner)
	v := voice(&m.Predicate)
	g, _, err := v.Grant(signedGrant)
	if err != nil {
		a.find("grant.signature", part(PartGrant, 0), "%v", err)
	}
	r, _, err := v.LeaseLost(record)
	if err != nil {
		a.find("lost.signature", PartLost, "%v", err)
		return nil, a.verdict.Findings
	}
	if g != nil {
		a.checkLost(&r.Predicate, g, m.ID)
	}
	return &r.Predicate, a.verdict.Findings
}

func (a *audit) checkLost(r *grant.LeaseLost, g *envelope.Verified[grant.Grant], manifest envelope.Digest) {
	a.must(g.Predicate.Manifest == manifest, "grant.manifest", part(PartGrant, 0), "is for another manifest")
	a.must(r.Grant == g.ID, "lost.grant", PartLost, "is for grant %s, not %s", r.Grant, g.ID)
	a.must(r.Binding == g.Predicate.Binding, "lost.binding", PartLost, "is for another binding than its grant")
	a.must(r.Job == g.Predicate.Job, "lost.job", PartLost, "is for another job than its grant")
	a.must(r.Manifest == g.Predicate.Manifest, "lost.manifest", PartLost, "is for another manifest than its grant")
	a.must(r.Attempt == g.Predicate.Attempt, "lost.attempt", PartLost, "is for another attempt than its grant")
	a.must(r.Sequence > g.Predicate.Sequence, "lost.sequence", PartLost, "is record %d, not after its grant, %d", r.Sequence, g.Predicate.Sequence)
	a.must(r.Sequence != g.Predicate.Sequence+1 || (r.Previous != nil && *r.Previous == g.ID), "lost.sequence", PartLost, "follows its grant, but names another record before it")
	a.must(r.Time > g.Predicate.Issued, "lost.time", PartLost, "was signed before its grant")
}
