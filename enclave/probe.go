// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/door"
)

// errNotEnrolled means that no broker that the asker would believe has vouched for this platform's key yet.
var errNotEnrolled = errors.New("enclave: no broker of this job has vouched for this machine's attestation key yet; it is asked to when a first job runs")

// serveProbe answers a probe and hands the answer to the host. As with jobs only a broken door is an error. Probes come one
// after the other and no faster than the pace, so that strangers cannot keep the enclave, or its platform, from its jobs.
func (e *Enclave) serveProbe(ctx context.Context, a *door.Assignment) error {
	if wait := time.Until(e.probed.Add(e.t.probePace)); wait > 0 {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return nil
		}
	}
	e.probed = time.Now()
	var out door.Probed
	var err error
	if out.Evidence, err = e.probe(ctx, a.Job); err != nil {
		out = door.Probed{Message: err.Error()}
	}
	deliver, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.t.answer)
	defer cancel()
	if err := e.c.Host.Probed(deliver, a.Token, out); err != nil && !errors.Is(err, door.ErrRefused) {
		return err
	}
	return nil
}

// probe collects evidence as for a job, over keys that are forgotten at once and a digest that is no job's: nothing can be
// released to it.
func (e *Enclave) probe(ctx context.Context, raw []byte) ([]byte, error) {
	p, err := attestation.ParseProbe(raw)
	if err != nil {
		return nil, err
	}
	if c, ok := e.c.Collector.(Enroller); ok && !endorsed(c, p) {
		return nil, errNotEnrolled
	}
	l, err := newLease()
	if err != nil {
		return nil, err
	}
	defer l.wipe()
	b := attestation.Binding{
		Owners: p.Owners, HPKEKey: l.hpke.PublicKey().Bytes(), SigningKey: l.signer.Public(), LeaseID: l.id, Job: attestation.ProbeJob(p.Job),
		Runtime: p.Runtime, Configuration: e.c.Configuration, SelfTest: e.c.SelfTest, Engine: e.c.Engine,
	}
	d, err := b.Digest()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, e.t.probe)
	defer cancel()
	ev, err := e.c.Collector.Collect(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("collect evidence: %w", err)
	}
	ev.Claims = b
	return ev.Encode()
}

// endorsed reports whether one of the brokers that the asker names has vouched for the collector's key.
func endorsed(c Enroller, p *attestation.Probe) bool {
	for _, o := range p.Owners {
		if c.Endorsed(o.Audience) {
			return true
		}
	}
	return false
}
