// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"context"
	"errors"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// appraise judges the evidence once for each grant, as its broker did: with that broker's word on attestation keys, at
// the time of its decision, but by the auditor's reference values. The weakest assurance is the run's.
func (a *audit) appraise(ctx context.Context) error {
	judged := 0
	for i := range a.lease {
		l := &a.lease[i]
		if l.grant == nil || a.evidence == nil || a.formats == nil {
			continue
		}
		c, rule, err := a.judge(ctx, l.speaker, l.grant.Predicate.Issued/1000)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			a.find(rule, PartEvidence, "as %s was granted: %v", part(PartGrant, i), err)
			continue
		}
		judged++
		l.derived = c.Assurance()
		a.checkAssurance(i)
		if a.verdict.Assurance == "" || a.verdict.Assurance.AtLeast(l.derived) {
			a.verdict.Assurance = l.derived
		}
	}
	a.checkStated()
	if judged < len(a.lease) || judged == 0 {
		a.verdict.Assurance = ""
		a.find("evidence.unappraised", PartEvidence, "appraised for %d of %d grants", judged, len(a.lease))
	}
	return nil
}

// judge tries every trusted list of reference values; one must accept. The refusal that got furthest is returned.
func (a *audit) judge(ctx context.Context, broker envelope.PublicKey, now int64) (*attestation.Claims, string, error) {
	rule, refusal := "evidence.appraise", error(errNoReference)
	for _, ref := range a.references {
		v, err := attestation.NewVerifier(ref, a.formats([]envelope.PublicKey{broker})...)
		if err == nil {
			var c *attestation.Claims
			if c, err = v.Verify(ctx, a.bundle.Evidence, now); err == nil && c.Valid() && c.Bound() == a.binding {
				return c, "", nil
			}
		}
		if err != nil {
			rule, refusal = evidenceRule(err), err
		}
	}
	return nil, rule, refusal
}

var errNoReference = errors.New("no trusted reference values to appraise by")

func evidenceRule(err error) string {
	switch {
	case errors.Is(err, attestation.ErrPlatform):
		return "evidence.platform"
	case errors.Is(err, attestation.ErrAuthenticate):
		return "evidence.authenticate"
	case errors.Is(err, attestation.ErrBind):
		return "evidence.bind"
	case errors.Is(err, attestation.ErrAppraise), errors.Is(err, attestation.ErrReference):
		return "evidence.appraise"
	}
	return "evidence.malformed"
}

// checkAssurance compares what the evidence earned with what was stated and asked for.
func (a *audit) checkAssurance(i int) {
	l := &a.lease[i]
	g, m := &l.grant.Predicate, &l.manifest.Predicate
	a.must(attestation.Assurance(g.Assurance) == l.derived, "assurance.grant", part(PartGrant, i),
		"states assurance %q, the evidence earns %q", g.Assurance, l.derived)
	a.must(l.derived.AtLeast(a.trust.MinAssurance), "assurance.minimum", PartEvidence,
		"earns assurance %q, the auditor asks for %q", l.derived, a.trust.MinAssurance)
	a.must(l.derived.AtLeast(attestation.Assurance(m.Terms.MinAssurance)), "assurance.terms", part(PartGrant, i),
		"released at assurance %q, the terms ask for %q", l.derived, m.Terms.MinAssurance)
	a.must(l.derived.AtLeast(attestation.AssuranceTPM) || m.Test, "assurance.test", part(PartGrant, i),
		"released at assurance %q, which only a package made with test: true allows", l.derived)
}

// checkStated: the statement's assurance is the weakest that any grant states, no more and no less.
func (a *audit) checkStated() {
	if a.usage == nil {
		return
	}
	var weakest attestation.Assurance
	for _, l := range a.lease {
		if l.grant == nil {
			continue
		}
		if s := attestation.Assurance(l.grant.Predicate.Assurance); weakest == "" || !s.AtLeast(weakest) {
			weakest = s
		}
	}
	stated := a.usage.Predicate.Assurance
	a.must(weakest != "" && attestation.Assurance(stated) == weakest, "assurance.statement", PartUsage,
		"states assurance %q, the weakest grant %q", stated, weakest)
}

// meaning says what an assurance is worth, for people.
func meaning(a attestation.Assurance) string {
	switch a {
	case attestation.AssuranceTEE:
		return "known code ran, and its memory is secret from the host"
	case attestation.AssuranceTPM:
		return "known code was booted, but the host can read its memory"
	case attestation.AssuranceSoftwareTPM:
		return "the TPM is software, so whoever runs it could have forged this"
	}
	return "nothing is assured: no hardware took part"
}
