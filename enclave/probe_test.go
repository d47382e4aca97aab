// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// nobody runs nothing: a probe needs no worker.
type nobody struct{ Runner }

// ask probes an enclave as a host would.
func (w *world) ask(e *Enclave, raw []byte) door.Probed {
	w.t.Helper()
	w.answered = nil
	check(w.t, e.serveProbe(w.t.Context(), &door.Assignment{Token: "p", Job: raw, Probe: true}))
	if len(w.answered) != 1 {
		w.t.Fatalf("%d answers", len(w.answered))
	}
	return w.answered[0]
}

// probe is for this world's job, with nonces that the buyer drew or the brokers gave.
func (w *world) probe(nonce func(manifest envelope.Digest, p *party) envelope.Nonce) *attestation.Probe {
	v, err := job.Verify(w.job)
	check(w.t, err)
	p := &attestation.Probe{Version: 1, Job: v.ID, Runtime: v.Predicate.Runtime}
	for i, of := range []*party{w.buyer, w.creator} {
		signer, err := envelope.LoadKeyFile(of.cfg.Layout().BrokerKey(), envelope.RoleBroker)
		check(w.t, err)
		d := v.Predicate.Manifests()[i]
		p.Owners = append(p.Owners, attestation.Owner{Audience: signer.Public(), Nonce: nonce(d, of), Manifest: d})
	}
	return p
}

func drawn(envelope.Digest, *party) envelope.Nonce { return envelope.NewNonce() }

func encodeProbe(t testing.TB, p *attestation.Probe) []byte {
	t.Helper()
	b, err := p.Encode()
	check(t, err)
	return b
}

// TestProbe: the answer is evidence by the platform over what was asked, each time over fresh keys.
func TestProbe(t *testing.T) {
	w := newWorld(t, nil)
	e := w.enclave(nobody{})
	p := w.probe(drawn)
	keys := map[string]bool{}
	for range 2 {
		a := w.ask(e, encodeProbe(t, p))
		ev, err := attestation.ParseEvidence(a.Evidence)
		if err != nil {
			t.Fatalf("%v (%s)", err, a.Message)
		}
		check(t, p.Answered(ev))
		v, err := attestation.NewVerifier(&attestation.Reference{Version: 1, NotAfter: 2, Values: []attestation.ReferenceValue{
			{Name: "x", Platform: w.root.Platform(), Measurements: map[string]string{"enclave": measured}},
		}}, w.root)
		check(t, err)
		c, err := v.Verify(t.Context(), a.Evidence, 1)
		check(t, err)
		if b := c.Binding(); b.Configuration.IsZero() || b.Job == w.jobID {
			t.Errorf("bound to %+v", b)
		}
		keys[ev.Claims.SigningKey.String()] = true
	}
	if len(keys) != 2 {
		t.Error("two probes were answered over one key")
	}
}

// TestProbeReleasesNothing: evidence that a probe got with the brokers' own nonces is refused by both of them.
func TestProbeReleasesNothing(t *testing.T) {
	w := newWorld(t, nil)
	p := w.probe(func(d envelope.Digest, of *party) envelope.Nonce {
		m, err := envelope.Canonical(&grant.Message{Challenge: &grant.ChallengeRequest{Manifest: d, Job: w.jobID}})
		check(t, err)
		r, err := grant.ParseReply(of.broker.Exchange(t.Context(), m))
		check(t, err)
		c, err := envelope.Peek[grant.Challenge](r.Challenge, envelope.ChallengeType)
		check(t, err)
		return c.Predicate.Nonce
	})
	a := w.ask(w.enclave(nobody{}), encodeProbe(t, p))
	m, err := envelope.Canonical(&grant.Message{Release: &grant.ReleaseRequest{
		Evidence: a.Evidence, Job: w.job, Code: w.code.Signed, Manifest: w.code.Signed,
	}})
	check(t, err)
	r, err := grant.ParseReply(w.buyer.broker.Exchange(t.Context(), m))
	check(t, err)
	if r.Error == nil || r.Error.Code != grant.CodeEvidence || !strings.Contains(r.Error.Message, "another job") {
		t.Errorf("the code's broker answers %+v", r)
	}
}

// TestProbeOfStrangers: nonsense is answered with words, and no faster than the pace.
func TestProbeOfStrangers(t *testing.T) {
	w := newWorld(t, nil)
	e := w.enclave(nobody{})
	good := w.probe(drawn)
	twice := *good
	twice.Owners = []attestation.Owner{good.Owners[0], good.Owners[0]}
	alone := *good
	alone.Owners = good.Owners[:1]
	runtime := *good
	runtime.Runtime = "Bash"
	start, n := time.Now(), 0
	for name, raw := range map[string][]byte{
		"nothing": nil, "random": []byte("\x00\xff"), "a job": w.job, "oversized": make([]byte, attestation.MaxProbe+1), "one owner": encodeProbe(t, &alone),
		"an owner twice": encodeProbe(t, &twice), "no such runtime": encodeProbe(t, &runtime),
	} {
		if a := w.ask(e, raw); len(a.Evidence) != 0 || a.Message == "" {
			t.Errorf("%s: answered with %+v", name, a)
		}
		n++
	}
	if took := time.Since(start); took < time.Duration(n-1)*e.t.probePace {
		t.Errorf("%d probes in %s", n, took)
	}
}

// unendorsed is a collector whose key no broker vouched for.
type unendorsed struct {
	attestation.Collector
	Enroller
	by envelope.PublicKey
}

func (u unendorsed) Endorsed(b envelope.PublicKey) bool { return b.Equal(u.by) }

// TestProbeBeforeEnrolment: a platform whose key nobody vouched for says so, and asks nobody to.
func TestProbeBeforeEnrolment(t *testing.T) {
	w := newWorld(t, nil)
	p := w.probe(drawn)
	w.relay = func(string, []byte) ([]byte, error) {
		t.Error("a probe reached a broker")
		return nil, context.Canceled
	}
	e := w.enclave(nobody{})
	e.c.Collector = unendorsed{Collector: w.root}
	if a := w.ask(e, encodeProbe(t, p)); len(a.Evidence) != 0 || !strings.Contains(a.Message, "vouched") {
		t.Errorf("got %+v", a)
	}
	e.c.Collector = unendorsed{Collector: w.root, by: p.Owners[1].Audience}
	if a := w.ask(e, encodeProbe(t, p)); len(a.Evidence) == 0 {
		t.Errorf("endorsed by one of them: %+v", a)
	}
}
