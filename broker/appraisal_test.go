// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// demand signs reference values with an appraisal policy.
func (o *owner) demand(version int64, p *attestation.Policy) {
	o.t.Helper()
	signed, err := attestation.SignReference(&attestation.Reference{
		Version: version, NotAfter: o.clock.now().Add(48 * time.Hour).Unix(), Policy: p,
		Values: []attestation.ReferenceValue{{
			Name: "test enclave", Platform: attestation.PlatformSimulated, Measurements: map[string]string{"enclave": measured},
		}},
	}, o.key(o.cfg.Layout().ReferenceKey(), envelope.RoleReference))
	must(o.t, err)
	must(o.t, config.WriteFile(o.cfg.Layout().Reference(), signed))
}

// TestPolicyOfTheOwner: the policy in the signed list is what the broker appraises by, from the next request on.
func TestPolicyOfTheOwner(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := attestation.DefaultPolicy()
	p.Chips = []string{strings.Repeat("c1", 32)}
	w.buyer.demand(2, p)
	e := w.newEnclave(nil)
	err := e.release(w.code)
	want(t, err, attestation.ErrAppraise)
	if !strings.Contains(err.Error(), "chip") {
		t.Errorf("the refusal does not name the check: %v", err)
	}
	w.buyer.demand(3, attestation.DefaultPolicy())
	must(t, e.release(w.code))
}

// TestRefusalKeepsTheOwnersLists: an enclave's owner learns which check failed and what her evidence showed, and not what
// the owner of the data would have accepted.
func TestRefusalKeepsTheOwnersLists(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := attestation.DefaultPolicy()
	p.GPU.Required = true
	other := hexName(envelope.Sum([]byte("x")))
	for name, c := range map[string]struct {
		policy *attestation.Policy
		change func(*quote)
		check  string
	}{
		"measurement": {nil, func(q *quote) { q.Measurement = other }, "reference-values"},
		"debug":       {nil, func(q *quote) { q.Debug = true }, "debug"},
		"gpu":         {p, nil, "gpu"},
	} {
		w.buyer.demand(2, c.policy)
		e := w.newEnclave(nil)
		if c.change != nil {
			e.attest(c.change)
		}
		r := w.buyer.exchange(encode(t, &grant.Message{Release: e.request(w.code)}))
		if r.Error == nil || r.Error.Code != grant.CodeEvidence || !strings.Contains(r.Error.Message, c.check) {
			t.Errorf("%s: %+v, want check %s", name, r.Error, c.check)
			continue
		}
		for _, secret := range []string{measured, "test enclave", "at least 1", "want"} {
			if strings.Contains(r.Error.Message, secret) || strings.Contains(r.Error.Hint, secret) {
				t.Errorf("%s: the refusal says %q: %+v", name, secret, r.Error)
			}
		}
	}
}
