// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"slices"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// CheckGround holds what a grant says it stands on, a capability and an account, against the terms of its package. Enclave
// and auditors use it.
func CheckGround(g *grant.Grant, m *dataset.Manifest) []Problem {
	var p problems
	p.must((g.Entitlement != nil) == (m.Terms.Access != dataset.AccessOpen), "grant.entitlement",
		"names a capability: %t, the terms say access %q", g.Entitlement != nil, m.Terms.Access)
	account := m.Terms.Privacy.Population
	if m.Kind == dataset.KindCode {
		account = ""
	}
	p.must(g.Population == account, "grant.population", "was debited to account %q, the terms say %q", g.Population, account)
	return p
}

// CheckJob holds a job that a package was granted to, and the classes granted, against the terms: who asks, with whose
// code, for what and under which licence. coder signed the job's code package; the zero key is nobody's. Code is asked for
// nothing: the job is its own owner's word. Enclave and auditors use it.
func CheckJob(j *job.Job, o *grant.Obligations, m *dataset.Manifest, coder envelope.PublicKey) []Problem {
	if m.Kind == dataset.KindCode {
		return nil
	}
	var p problems
	t := &m.Terms
	p.must(t.Buyers.Admits(j.Buyer), "terms.buyers", "the terms do not admit buyer %s", j.Buyer)
	p.must(t.Code.Admits(j.Code, coder), "terms.code", "the terms do not admit code %s", j.Code)
	p.must(slices.Contains(t.Purposes, j.Purpose), "terms.purpose", "the job's purpose is not in the terms")
	use := j.LicenceUse()
	for _, c := range o.Outputs {
		if !slices.Contains(use.Outputs, c) {
			use.Outputs = append(use.Outputs, c) // more may leave than the job declares today
		}
	}
	for _, r := range t.Licence.Permits(use) {
		p.must(false, "terms.licence", "%s: %s", r.Rule, r.Message)
	}
	return append(p, CheckPrivacy(j, o, m)...)
}
