// SPDX-License-Identifier: Apache-2.0

package tpm

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/google/go-tpm/tpm2/transport"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// EnrollRequest asks a broker to endorse the attestation key.
func (c *Collector) EnrollRequest() grant.EnrollRequest {
	return grant.EnrollRequest{
		EKCert: bytes.Clone(c.ekCert), EKPublic: bytes.Clone(c.ekPub), AKPublic: bytes.Clone(c.akPub),
	}
}

// Activate proves to the broker that both keys live in this TPM.
func (c *Collector) Activate(r grant.EnrollReply) (grant.ActivateRequest, error) {
	if r.Token.IsZero() || len(r.Credential) == 0 || len(r.Secret) == 0 || len(r.Credential)+len(r.Secret) > maxResponse/2 {
		return grant.ActivateRequest{}, fmt.Errorf("%w: incomplete or oversized credential", ErrEnrolment)
	}
	var secret []byte
	err := withDevice(context.Background(), c.cfg.Device, func(t transport.TPM) (err error) {
		secret, err = activate(t, r.Credential, r.Secret)
		return err
	})
	if err != nil {
		return grant.ActivateRequest{}, fmt.Errorf("%w: %w", ErrEnrolment, err)
	}
	return grant.ActivateRequest{Token: r.Token, Secret: secret}, nil
}

// AddEndorsement keeps a broker's endorsement for [Collector.Collect], in place of an older one by the same broker. It
// must be signed by that broker and name this TPM's attestation key.
func (c *Collector) AddEndorsement(broker envelope.PublicKey, signed []byte) error {
	v, err := envelope.Verify[grant.AKEndorsement](signed, envelope.Expect{
		Role: envelope.RoleBroker, Key: broker, PayloadType: envelope.PayloadType, PredicateType: envelope.AKEndorsementType,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrEnrolment, err)
	}
	if v.Predicate.Expires <= v.Predicate.Issued || v.Predicate.Expires-v.Predicate.Issued > maxLife.Milliseconds() {
		return fmt.Errorf("%w: endorsement with impossible times", ErrEnrolment)
	}
	if v.Predicate.AKName != c.akName || !bytes.Equal(v.Predicate.AKPublic, c.akPub) {
		return fmt.Errorf("%w: endorsement is of another key", ErrEnrolment)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.endorsements = slices.DeleteFunc(c.endorsements, func(e endorsement) bool { return e.broker.Equal(broker) })
	if len(c.endorsements) == maxEndorsements { // the oldest makes room; its broker will be asked again
		c.endorsements = slices.Delete(c.endorsements, 0, 1)
	}
	life := time.Duration(v.Predicate.Expires-v.Predicate.Issued) * time.Millisecond
	c.endorsements = append(c.endorsements, endorsement{broker, bytes.Clone(signed), c.testOnlyNow(), life})
	return nil
}

// Endorsed reports whether broker's endorsement is in the first half of its life, by this process's monotonic clock.
// Afterwards the enclave enrols again, well before the broker would refuse. A host that stops the clock only earns that
// refusal.
func (c *Collector) Endorsed(broker envelope.PublicKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.endorsements {
		if e.broker.Equal(broker) {
			return c.testOnlyNow().Sub(e.added) < e.life/2
		}
	}
	return false
}

// signedEndorsements are all endorsements, in the order of the brokers' keys.
func (c *Collector) signedEndorsements() []attestation.Endorsement {
	c.mu.Lock()
	defer c.mu.Unlock()
	sorted := slices.SortedFunc(slices.Values(c.endorsements), func(a, b endorsement) int {
		return cmp.Compare(a.broker.String(), b.broker.String())
	})
	var out []attestation.Endorsement
	for _, e := range sorted {
		out = append(out, attestation.Endorsement{Type: envelope.AKEndorsementType, Body: bytes.Clone(e.signed)})
	}
	return out
}
