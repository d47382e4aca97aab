// SPDX-License-Identifier: Apache-2.0

package broker

import (
	"context"
	"crypto/hpke"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// request is a release request on its way. Each step reads only what the steps before it have checked.
type request struct {
	now       time.Time
	pack      *config.Package
	code      *envelope.Verified[dataset.Manifest]
	job       *envelope.Verified[job.Job]
	signedJob []byte
	ticket    *envelope.Verified[grant.Ticket] // nil when the code itself is asked for
	teller    envelope.PublicKey               // speaks for the code's broker, and signed the ticket
	claims    *attestation.Claims
	d         envelope.Digest
}

// Release is the one way out for a key: authenticate → bind → appraise → decide → reserve → record → unwrap → seal.
// The same binding and ticket get the same bytes, whatever failed in between, and are debited once.
func (b *Broker) Release(ctx context.Context, r *grant.ReleaseRequest) (*grant.ReleaseReply, error) {
	q, err := b.read(r)
	if err != nil {
		return nil, err
	}
	if err := b.scan(ctx); err != nil {
		return nil, err
	}
	if err := b.appraise(ctx, q, r.Evidence); err != nil {
		return nil, err
	}
	if err := b.bind(ctx, q); err != nil {
		return nil, err
	}
	b.releasing.Lock()
	defer b.releasing.Unlock()
	lease, err := b.resume(ctx, q)
	if err != nil {
		return nil, err
	}
	if lease == nil {
		if lease, err = b.grant(ctx, q); err != nil {
			return nil, err
		}
	}
	if len(lease.Sealed) == 0 {
		if lease, err = b.unwrapAndSeal(ctx, q, lease); err != nil {
			return nil, err
		}
	}
	return &grant.ReleaseReply{Grant: lease.SignedGrant, Ticket: lease.SignedTicket, Sealed: lease.Sealed}, nil
}

// read verifies every signature in a request: the job by its buyer, the manifests by their owners, the ticket by the
// broker that the job's code names.
func (b *Broker) read(r *grant.ReleaseRequest) (q *request, err error) {
	q = &request{now: b.now(), signedJob: r.Job}
	if q.job, err = job.Verify(r.Job); err != nil {
		return nil, fmt.Errorf("%w: job: %w", ErrRequest, err)
	}
	if q.code, err = dataset.Verify(r.Code); err != nil {
		return nil, fmt.Errorf("%w: code manifest: %w", ErrRequest, err)
	}
	if q.code.ID != q.job.Predicate.Code || q.code.Predicate.Kind != dataset.KindCode {
		return nil, fmt.Errorf("%w: the code manifest is not the job's", ErrRequest)
	}
	id, err := envelope.ID(r.Manifest)
	if err != nil {
		return nil, fmt.Errorf("%w: manifest: %w", ErrRequest, err)
	}
	if !slices.Contains(q.job.Predicate.Manifests(), id) {
		return nil, fmt.Errorf("%w: the job does not name manifest %s", ErrRequest, id)
	}
	if q.pack, err = b.pack(id); err != nil {
		return nil, err
	}
	isCode := id == q.code.ID
	if isCode != (q.pack.Manifest.Kind == dataset.KindCode) {
		return nil, fmt.Errorf("%w: the package is a %s, the job uses it as something else", ErrRequest, q.pack.Manifest.Kind)
	}
	if isCode {
		if len(r.Ticket) != 0 {
			return nil, fmt.Errorf("%w: the code's release gives the ticket, it takes none", ErrTicket)
		}
		q.teller = b.signer.Public()
		return q, nil
	}
	voice := grant.Voice{Owner: q.code.Predicate.Owner, Pinned: q.code.Predicate.Broker.Key}
	if q.ticket, q.teller, err = voice.Ticket(r.Ticket); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrTicket, err)
	}
	return q, nil
}

// appraise authenticates the evidence, checks that it is bound to its claims, and compares its measurements with the
// owner's reference values; [attestation.Verifier.Verify] does the three in this order.
func (b *Broker) appraise(ctx context.Context, q *request, evidence []byte) error {
	now := q.now.Unix()
	v, err := b.appraiser(ctx, now)
	if err != nil {
		return err
	}
	if q.claims, err = v.Verify(ctx, evidence, now); err != nil {
		return err
	}
	if !q.claims.Valid() {
		return fmt.Errorf("%w: no claims", attestation.ErrEvidence)
	}
	q.d = q.claims.Bound()
	return nil
}

// bind compares what the evidence is bound to with what is asked for, and spends the nonce.
func (b *Broker) bind(ctx context.Context, q *request) error {
	c := q.claims.Binding()
	if c.Job != q.job.ID || c.Runtime != q.job.Predicate.Runtime {
		return fmt.Errorf("%w: another job or runtime", ErrBinding)
	}
	manifests := q.job.Predicate.Manifests()
	if len(c.Owners) != len(manifests) {
		return fmt.Errorf("%w: %d owners, the job has %d packages", ErrBinding, len(c.Owners), len(manifests))
	}
	var mine *attestation.Owner
	for i, o := range c.Owners {
		if o.Manifest != manifests[i] {
			return fmt.Errorf("%w: owner %d is not the job's package %d", ErrBinding, i, i)
		}
		if o.Manifest == q.pack.ID {
			mine = &c.Owners[i]
		}
	}
	if mine == nil || !mine.Audience.Equal(b.signer.Public()) {
		return fmt.Errorf("%w: another broker was asked for this package", ErrBinding)
	}
	if !c.Owners[0].Audience.Equal(q.teller) {
		return fmt.Errorf("%w: the code's broker is another", ErrBinding)
	}
	if err := checkTicket(q); err != nil {
		return err
	}
	return b.ledger.Update(ctx, func(t *ledger.Tx) error {
		// A binding that has its lease or denial already has spent its nonce, perhaps so long ago that it was pruned.
		if _, err := t.LeaseOf(q.pack.ID, q.d); !errors.Is(err, ledger.ErrNotFound) {
			return err
		}
		if _, err := t.Denial(q.pack.ID, q.d); !errors.Is(err, ledger.ErrNotFound) {
			return err
		}
		return b.consume(t, *mine, q.job.ID, q.d, q.now)
	})
}

// checkTicket compares a verified ticket with the evidence and the clock. The other broker's clock is not ours: one that
// is far ahead is refused like an expired ticket.
func checkTicket(q *request) error {
	if q.ticket == nil {
		return nil
	}
	p, now := q.ticket.Predicate, millis(q.now)
	switch {
	case p.Job != q.job.ID:
		return fmt.Errorf("%w: for another job", ErrTicket)
	case p.Binding != q.d:
		return fmt.Errorf("%w: for another binding", ErrTicket)
	case now >= p.Expires:
		return fmt.Errorf("%w: expired at %d, it is %d", ErrTicket, p.Expires, now)
	case p.Issued > now+maxSkew.Milliseconds():
		return fmt.Errorf("%w: issued at %d, but it is %d here: one broker's clock is wrong", ErrTicket, p.Issued, now)
	}
	return nil
}

// resume finds what the same request got before: a lease to go on with, or a denial to repeat. Neither: nil, nil.
func (b *Broker) resume(ctx context.Context, q *request) (lease *ledger.Lease, err error) {
	var denial []byte
	err = b.ledger.Update(ctx, func(t *ledger.Tx) error {
		l, err := t.LeaseOf(q.pack.ID, q.d)
		if errors.Is(err, ledger.ErrNotFound) {
			denial, err = t.Denial(q.pack.ID, q.d)
			if errors.Is(err, ledger.ErrNotFound) {
				return nil
			}
			return err
		}
		if err != nil {
			return err
		}
		lease = l
		return checkResumable(t, l, q)
	})
	switch {
	case err != nil:
		return nil, err
	case denial != nil:
		return nil, b.deniedBefore(denial)
	}
	return lease, nil
}

func checkResumable(t *ledger.Tx, l *ledger.Lease, q *request) error {
	if l.Evidence != q.claims.EvidenceDigest() || l.Job != q.job.ID || (l.Ticket == nil) != (q.ticket == nil) ||
		(l.Ticket != nil && *l.Ticket != q.ticket.ID) {
		return fmt.Errorf("%w: this binding was released with other evidence or another ticket", ErrBinding)
	}
	if l.State != ledger.Live {
		return fmt.Errorf("%w: %s", ErrLease, l.State)
	}
	stop, err := stopReason(t, l, millis(q.now))
	if err == nil && stop != "" {
		err = fmt.Errorf("%w: %s", ErrWithdrawn, stop)
	}
	return err
}

func (b *Broker) deniedBefore(signed []byte) error {
	v, err := grant.VerifyDenial(signed, b.signer.Public())
	if err != nil {
		return fmt.Errorf("%w: denial: %w", ledger.ErrCorrupt, err)
	}
	return &DeniedError{signed, v.Predicate}
}

// unwrapAndSeal does the last two steps. The sealed bytes are kept before they are sent: a retry gets the same ones.
func (b *Broker) unwrapAndSeal(ctx context.Context, q *request, l *ledger.Lease) (*ledger.Lease, error) {
	key, err := b.unwrap(ctx, q.pack.ID)
	if err != nil {
		return nil, err
	}
	defer clear(key)
	binding := q.claims.Binding()
	sealed, err := Seal(binding.HPKEKey, q.d, l.Grant, key)
	if err != nil {
		return nil, err
	}
	var out *ledger.Lease
	err = b.ledger.Update(ctx, func(t *ledger.Tx) error {
		var err error
		if out, err = t.Lease(l.Grant); err != nil {
			return err
		}
		if out.State != ledger.Live {
			return fmt.Errorf("%w: %s", ErrLease, out.State)
		}
		if len(out.Sealed) != 0 {
			return nil
		}
		out.Sealed = sealed
		return t.SetLease(out)
	})
	return out, err
}

func (b *Broker) unwrap(ctx context.Context, manifest envelope.Digest) ([]byte, error) {
	wrapped, err := b.cfg.Settings.WrappedKey(manifest)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	key, err := b.keys.Unwrap(ctx, keyholder.Context(manifest), wrapped)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrKey, err)
	}
	if len(key) != dataKeySize {
		clear(key)
		return nil, fmt.Errorf("%w: it has %d bytes", ErrKey, len(key))
	}
	return key, nil
}

// Seal encrypts a data key to an attested enclave: HPKE base mode (RFC 9180), MLKEM768-X25519, HKDF-SHA256, AES-256-GCM,
// info = d, aad = the grant's digest. The result is the encapsulated key followed by the ciphertext.
func Seal(hpkeKey []byte, d, grantID envelope.Digest, key []byte) ([]byte, error) {
	pk, err := hpke.MLKEM768X25519().NewPublicKey(hpkeKey)
	if err != nil {
		return nil, fmt.Errorf("%w: HPKE key: %v", ErrBinding, err)
	}
	enc, s, err := hpke.NewSender(pk, hpke.HKDFSHA256(), hpke.AES256GCM(), d[:])
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	ct, err := s.Seal(grantID[:], key)
	if err != nil {
		return nil, fmt.Errorf("seal: %w", err)
	}
	return append(enc, ct...), nil
}
