// SPDX-License-Identifier: Apache-2.0

package terms

import (
	"fmt"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/internal/licence"
	"github.com/glovebox-dev/glovebox/policies/input"
)

// variants are jobs that differ from the plain one in one thing each. Whether they pass is not known here.
func (c *Compiled) variants() []variant {
	return slices.Concat(c.useVariants(), c.sizeVariants(), c.privacyVariants(), c.partyVariants(), c.accessVariants(), c.runVariants())
}

// useVariants ask for other ends.
func (c *Compiled) useVariants() []variant {
	l := &c.Terms.Licence
	out := []variant{
		{"the same, commercially", func(s *scene) { s.job.Use.Commercial = true }},
		{"the same, and the results are passed on", func(s *scene) { s.job.Use.Derive = true }},
	}
	for _, p := range append([]string{otherPurpose(c.Terms.Purposes)}, l.Prohibited[:min(2, len(l.Prohibited))]...) {
		out = append(out, variant{"the same for " + p, func(s *scene) { s.job.Purpose = p; s.consentFor(p) }})
	}
	if l.Territories[0] != licence.Worldwide {
		for _, t := range []string{"US", "CN", "DE", "BR"} {
			if !slices.Contains(l.Territories, t) {
				out = append(out, variant{"the same, with results used in " + t, func(s *scene) { s.job.Use.Territory = t }})
				break
			}
		}
	}
	for _, class := range job.OutputClasses() {
		if !slices.Contains(c.Terms.Outputs, class) {
			out = append(out, variant{"the same with a " + class + " as output", func(s *scene) {
				s.job.Outputs = append(s.job.Outputs, job.Output{Name: class, Class: class})
			}})
		}
	}
	return out
}

// consentFor keeps the scene's records those that consent covers for the purpose.
func (s *scene) consentFor(purpose string) {
	if s.manifest.Terms.Consent {
		s.granted.Purpose = purpose
	}
}

func otherPurpose(allowed []string) string {
	for _, p := range []string{"marketing", "surveillance", "research"} {
		if !slices.Contains(allowed, p) {
			return p
		}
	}
	return "anything-else"
}

// sizeVariants ask for more.
func (c *Compiled) sizeVariants() []variant {
	t := &c.Terms
	out := []variant{
		{fmt.Sprintf("the same with %d bytes of output", t.MaxOutputBytes+1), func(s *scene) { s.job.Limits.OutputBytes++ }},
		{fmt.Sprintf("the same after %s", count(t.MaxUses, "job")), func(s *scene) { s.account.Uses = t.MaxUses }},
	}
	epochs := t.MaxEpochs
	if dataset.Private(t.Modes[0]) {
		epochs = 1
	}
	if epochs < job.MaxEpochs {
		out = append(out, variant{fmt.Sprintf("the same with %s", count(int64(epochs)+1, "pass")), func(s *scene) { s.job.Epochs++ }})
	}
	if t.Buyers.MaxUses < t.MaxUses {
		out = append(out, variant{fmt.Sprintf("the same after %s of the same buyer", count(t.Buyers.MaxUses, "job")), func(s *scene) {
			s.account.Uses, s.account.BuyerUses = t.Buyers.MaxUses, t.Buyers.MaxUses
		}})
	}
	if t.Price.PerUse > 0 {
		out = append(out, variant{"the same with a spend cap of " + Money(t.Price.PerUse-1, t.Price.Currency), func(s *scene) { s.job.SpendCap = t.Price.PerUse - 1 }})
	}
	return out
}

// privacyVariants spend more than one job may, say that they spend less than they do, or run where the owner did not say.
func (c *Compiled) privacyVariants() []variant {
	t := &c.Terms
	p := t.PrivacyFor(t.Modes[0])
	if p == nil {
		return nil
	}
	out := []variant{
		{"the same with an epsilon of " + decimal(p.Epsilon+1, 6), func(s *scene) {
			s.job.Privacy.Epsilon++
			s.account.Epsilon++
			s.account.EpsilonAfter, s.account.BuyerEpsilonAfter = s.account.EpsilonAfter+1, s.account.BuyerEpsilonAfter+1
			s.account.JobEpsilonAfter++
		}},
		{"the same with less noise than its epsilon takes", func(s *scene) { s.understated = 10 }},
		{"the same over one million million records", func(s *scene) { s.granted.Records = 1_000_000_000_000 }},
	}
	for _, r := range dataset.RuntimesFor(p.Mode) {
		if !slices.Contains(p.Runtimes, r) {
			out = append(out, variant{"the same in runtime " + r, func(s *scene) { s.in(r) }})
		}
	}
	return out
}

// partyVariants come from somebody else, or with somebody else's code.
func (c *Compiled) partyVariants() []variant {
	replace := func(key *envelope.PublicKey) {
		if k, err := stranger(); err == nil {
			*key = k
		}
	}
	out := []variant{
		{"the same of another buyer", func(s *scene) {
			replace(&s.job.Buyer)
			if s.entitlement.Kind == input.EntitlementReceipt {
				s.entitlement.Buyer = s.job.Buyer.String() // she has a receipt of her own
			}
		}},
		{"the same with other code", func(s *scene) {
			replace(&s.codeOwner)
			s.job.Code = envelope.Sum([]byte("other code"))
		}},
	}
	if c.Terms.Consent {
		out = append(out, variant{"the same when every contributor's consent is withdrawn", func(s *scene) {
			s.granted.Withheld, s.granted.Leaves = exampleLeaves, s.granted.Leaves[:0:0]
		}})
	}
	return out
}

// accessVariants lack what access asks for.
func (c *Compiled) accessVariants() []variant {
	t := &c.Terms
	if t.Access == dataset.AccessOpen {
		return nil
	}
	out := []variant{
		{"the same without a " + t.Access, func(s *scene) { s.entitlement = input.None() }},
		{"the same with a " + t.Access + " that was used up", func(s *scene) { s.entitlement.Left = 0 }},
	}
	if t.Access == dataset.AccessReceipt && t.Receipts.MinAmount > 0 {
		out = append(out, variant{"the same with a receipt for " + Money(t.Receipts.MinAmount-1, t.Price.Currency), func(s *scene) { s.entitlement.Paid-- }})
	}
	for _, a := range t.Buyers.Require {
		out = append(out, variant{"the same with a receipt that does not state the buyer's " + a.Name, func(s *scene) {
			attributes := map[string][]string{}
			for k, v := range s.entitlement.Attributes {
				if k != a.Name {
					attributes[k] = v
				}
			}
			s.entitlement.Attributes = attributes
		}})
	}
	return out
}

// runVariants run in other places, times and modes.
func (c *Compiled) runVariants() []variant {
	t := &c.Terms
	out := []variant{
		{"the same after the offer ended", func(s *scene) {
			s.now, s.job.NotAfter = t.NotAfter*1000, min(t.NotAfter+1, job.MaxAmount)
		}},
		{"the same after you withdrew the package", func(s *scene) { s.revoked.Manifest = true }},
	}
	levels := assurances(true)
	for i, l := range levels {
		if i+1 < len(levels) && levels[i+1] == t.MinAssurance {
			out = append(out, variant{"the same on a machine that proves " + l + " only", func(s *scene) { s.evidence.Assurance = attestation.Assurance(l) }})
		}
	}
	for _, m := range Modes() {
		if !slices.Contains(t.Modes, m.Name) {
			return append(out, variant{"the same in mode " + m.Name + ", " + strings.TrimSuffix(m.Says, "."), func(s *scene) { s.job.Mode = m.Name }})
		}
	}
	return out
}
