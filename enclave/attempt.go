// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// attempt is one try at one job. Its fields fill from top to bottom; no step reads what a later one sets.
type attempt struct {
	e     *Enclave
	token string

	signedJob []byte
	job       *envelope.Verified[job.Job]
	packages  []*pack // the code first, then the datasets in the job's order
	lease     *lease

	evidence []byte
	ticket   []byte
	attempt  int      // from the grants
	ran      *lastRun // once the code has run to its end

	mu    sync.Mutex // guards what the heartbeats read
	state string
	live  []*pack // released, in order
}

// enter moves the run to a state and tells the host.
func (r *attempt) enter(ctx context.Context, state string) {
	r.mu.Lock()
	r.state = state
	r.mu.Unlock()
	r.progress(ctx)
}

// accept verifies what the host handed over: a job signed by its buyer and the manifests that it pins.
func (e *Enclave) accept(ctx context.Context, a *door.Assignment) (*attempt, error) {
	v, err := job.Verify(a.Job)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrJob, err)
	}
	if _, err := parseRecipient(v.Predicate.Recipient); err != nil {
		return nil, err
	}
	if slices.ContainsFunc(v.Predicate.Outputs, reservedOutput) {
		return nil, fmt.Errorf("%w: an output is named %s or %s", ErrJob, logName, usage.SaltName)
	}
	r := &attempt{e: e, token: a.Token, signedJob: a.Job, job: v, state: door.StateAttesting} // as its host has it already
	for i, d := range v.Predicate.Manifests() {
		p, err := e.manifest(ctx, d, i == 0)
		if err != nil {
			return nil, err
		}
		r.packages = append(r.packages, p)
	}
	if err := r.affordable(); err != nil {
		return nil, err
	}
	if err := r.compatible(); err != nil {
		return nil, err
	}
	if err := r.transformable(); err != nil {
		return nil, err
	}
	if err := r.private(); err != nil {
		return nil, err
	}
	if r.lease, err = newLease(); err != nil {
		return nil, err
	}
	return r, r.distinctKeys()
}

// compatible refuses a job that the licences of its datasets do not allow together. Each broker sees its own package only,
// so nobody else can; and it is before anything is asked for, so nothing is spent.
func (r *attempt) compatible() error {
	var data []*dataset.Manifest
	for _, p := range r.packages[1:] {
		data = append(data, p.m)
	}
	for _, c := range dataset.Conflicts(r.job.Predicate.LicenceUse(), data) {
		return fmt.Errorf("%w: %s", ErrLicence, c)
	}
	return nil
}

// manifest is a package that a job pins, as its owner signed it.
func (e *Enclave) manifest(ctx context.Context, d envelope.Digest, code bool) (*pack, error) {
	k := e.known.get(d)
	if k == nil {
		var err error
		if k, err = e.fetchManifest(ctx, d); err != nil {
			return nil, err
		}
		e.known.keep(k)
	}
	want := dataset.KindDataset
	if code {
		want = dataset.KindCode
	}
	if k.m.Kind != want {
		return nil, fmt.Errorf("%w: manifest %s is a %s, want a %s", ErrJob, d, k.m.Kind, want)
	}
	return &pack{id: d, signed: k.signed, m: k.m}, nil
}

func (e *Enclave) fetchManifest(ctx context.Context, d envelope.Digest) (*knownManifest, error) {
	ctx, cancel := context.WithTimeout(ctx, e.t.answer)
	defer cancel()
	signed, err := e.c.Host.Manifest(ctx, d)
	if err != nil {
		return nil, fmt.Errorf("%w: manifest %s: %w", ErrJob, d, err)
	}
	m, err := dataset.Verify(signed)
	if err != nil {
		return nil, fmt.Errorf("%w: manifest %s: %w", ErrJob, d, err)
	}
	if m.ID != d {
		return nil, fmt.Errorf("%w: the host gave manifest %s for %s", ErrJob, m.ID, d)
	}
	return &knownManifest{id: d, signed: signed, m: &m.Predicate}, nil
}

// distinctKeys holds each party to one key, one role. Owners and brokers may serve several packages of a job.
func (r *attempt) distinctKeys() error {
	roles := map[string]envelope.Role{}
	claim := func(k envelope.PublicKey, role envelope.Role) error {
		if have, ok := roles[k.String()]; ok && have != role {
			return fmt.Errorf("%w: %w: %s as %s and %s", ErrJob, envelope.ErrKeyReuse, k, have, role)
		}
		roles[k.String()] = role
		return nil
	}
	err := errors.Join(claim(r.job.Predicate.Buyer, envelope.RoleBuyer), claim(r.lease.signer.Public(), envelope.RoleEnclave))
	for _, p := range r.packages {
		err = errors.Join(err, claim(p.m.Owner, envelope.RoleOwner), claim(p.m.Broker.Key, envelope.RoleBroker))
		if !p.broker.IsZero() {
			err = errors.Join(err, claim(p.broker, envelope.RoleBroker))
		}
	}
	return err
}

// attest asks every owner for a nonce, has the attestation key vouched for where the platform needs it, and collects one
// evidence that answers them all.
func (r *attempt) attest(ctx context.Context) error {
	b := attestation.Binding{
		HPKEKey: r.lease.hpke.PublicKey().Bytes(), SigningKey: r.lease.signer.Public(), LeaseID: r.lease.id, Job: r.job.ID,
		Runtime: r.job.Predicate.Runtime, Configuration: r.e.c.Configuration, SelfTest: r.e.c.SelfTest, Engine: r.e.c.Engine,
	}
	nonces, err := r.challengeAll(ctx)
	if err != nil {
		return err
	}
	for i, p := range r.packages {
		b.Owners = append(b.Owners, attestation.Owner{Audience: p.broker, Nonce: nonces[i], Manifest: p.id})
	}
	for _, p := range r.packages {
		if err := r.enroll(ctx, p); err != nil {
			return err
		}
	}
	if err := r.distinctKeys(); err != nil { // brokers may speak with other keys than their manifests pin
		return err
	}
	d, err := b.Digest()
	if err != nil {
		return err
	}
	ev, err := r.e.c.Collector.Collect(ctx, d)
	if err != nil {
		return fmt.Errorf("collect evidence: %w", err)
	}
	ev.Claims, r.lease.d = b, d
	r.evidence, err = ev.Encode()
	return err
}

// granted are the packages whose keys were released; a prefix, since releases go in order and stop at the first refusal.
func (r *attempt) granted() []*pack {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.live[:len(r.live):len(r.live)]
}

// untilExpiry ends ctx when the first of the grants expires, by the enclave's monotonic clock.
func (r *attempt) untilExpiry(ctx context.Context) (context.Context, context.CancelFunc) {
	var earliest time.Duration
	for i, p := range r.granted() {
		left := time.Duration(p.grant.Predicate.Obligations.Expires-p.clock.now()) * time.Millisecond
		if i == 0 || left < earliest {
			earliest = left
		}
	}
	return context.WithTimeoutCause(ctx, max(earliest, 0), errStopped)
}

// progress tells the host how far the run is, best effort, and returns whether the host would rather end it. A host can
// end a run anyway; asked like this, it gets a usage attestation too.
func (r *attempt) progress(ctx context.Context) (cancel bool) {
	r.mu.Lock()
	p, released := door.Progress{State: r.state}, len(r.live)
	r.mu.Unlock()
	for i, k := range r.packages[1:] {
		p.Leaves += k.meter.delivered()
		if i+1 < released {
			p.Total += k.granted.Leaves
		} else {
			p.Total += k.m.Tree.Size
		}
	}
	ask, done := context.WithTimeout(context.WithoutCancel(ctx), r.e.t.answer)
	defer done()
	cancel, err := r.e.c.Host.Progress(ask, r.token, p)
	return cancel && err == nil // a broken door shows at the next question that matters
}

func (r *attempt) wipe() {
	r.lease.wipe()
	for _, p := range r.packages {
		p.keys.Wipe()
	}
}
