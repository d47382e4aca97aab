// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"context"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// newDigest is one that nobody used before.
func newDigest() envelope.Digest {
	n := envelope.NewNonce()
	return envelope.Sum(n[:])
}

// newLease is a live lease of a job, not yet signed.
func newLease(manifest, job envelope.Digest, buyer envelope.PublicKey) *Lease {
	ticket := newDigest()
	return &Lease{
		Manifest: manifest, Job: job, Binding: newDigest(), Evidence: newDigest(), Policy: newDigest(), Ticket: &ticket, Attempt: 1,
		Assurance: "simulated", Buyer: buyer, SigningKey: buyer, Code: newDigest(), Purpose: "research", Issued: 1,
		Obligations: grant.Obligations{
			Mode: grant.ModeRaw, Transforms: []envelope.Digest{}, Leaves: grant.Ranges{{First: 0, Count: 10}}, Epochs: 1, Logs: grant.LogsOff, Allowance: 10, Expires: 1000,
		},
		State: Live, Allowed: 10,
	}
}

// addGrant signs a lease's grant into the chain and stores both.
func addGrant(t *Tx, s *envelope.Signer, l *Lease) error {
	sequence, previous, err := t.Next(l.Manifest)
	if err != nil {
		return err
	}
	l.SignedGrant, l.Grant, err = grant.Sign(&grant.Grant{
		Binding: l.Binding, Evidence: l.Evidence, Job: l.Job, Manifest: l.Manifest, Buyer: l.Buyer, Ticket: l.Ticket, Attempt: l.Attempt,
		Assurance: l.Assurance, Reference: "r", Policy: l.Policy, Sequence: sequence, Previous: previous, Issued: l.Issued,
		Population: l.Population, Obligations: l.Obligations,
	}, s)
	if err != nil {
		return err
	}
	if err := t.Append(l.Manifest, l.SignedGrant, s.Public()); err != nil {
		return err
	}
	return t.AddLease(l)
}

// releaseOne is what a release does to the ledger: it reads, reserves and records, and then keeps the sealed key.
func releaseOne(ctx context.Context, l *Ledger, s *envelope.Signer, manifest envelope.Digest, buyer envelope.PublicKey) error {
	lease := newLease(manifest, newDigest(), buyer)
	err := l.View(ctx, func(t *Tx) error {
		if _, err := t.Uses(manifest, lease.Job); err != nil {
			return err
		}
		_, err := t.Committed(lease.Job, manifest)
		return err
	})
	if err != nil {
		return err
	}
	err = l.Update(ctx, func(t *Tx) error {
		if err := t.SetAccount(manifest, lease.Job, Account{Reserved: 5}); err != nil {
			return err
		}
		if err := addGrant(t, s, lease); err != nil {
			return err
		}
		return t.AddJob(lease.Job, make([]byte, 2000))
	})
	if err != nil {
		return err
	}
	return l.Update(ctx, func(t *Tx) error {
		got, err := t.Lease(lease.Grant)
		if err != nil {
			return err
		}
		got.Sealed = make([]byte, 1200)
		return t.SetLease(got)
	})
}
