// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"crypto"
	"crypto/x509"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/tpm/boot"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// isOurs reports whether the key is of the one template that brokers endorse.
func isOurs(q *quote.Evidence) bool {
	_, err := quote.CheckAK(q.AKPublic)
	return err == nil
}

// foreign looks at a quote that other software had made, for people: by a key of another template, or of other registers.
// No broker endorses such a key, so whatever is found, the end is a refusal.
func foreign(r *attestation.Report, raw []byte, fault error) error {
	var q quote.Evidence
	if err := envelope.Decode(raw, quote.MaxEvidence, &q); err != nil {
		return r.Fail("format", fmt.Sprintf("%d bytes", len(raw)), "a TPM's quote with its key and values", fmt.Errorf("%w: %w", quote.ErrMalformed, err))
	}
	explain(r, q.Quote, q.PCRs)
	key, err := foreignKey(q.AKPublic)
	if err != nil {
		return r.Fail("ak-public", fmt.Sprintf("%d bytes", len(q.AKPublic)), "a restricted P-256 signing key", err)
	}
	if isOurs(&q) {
		return r.Fail(faulty(fault), "refused", "PCRs 0 to 9 and 11 to 14 of the SHA-256 bank", fault)
	}
	if err := quote.CheckSignature(key, q.Quote, q.Signature); err != nil {
		return r.Fail("quote-signature", "not by the key shown", "by the key shown", err)
	}
	r.Pass("quote-signature", "by the key shown", "by the key shown")
	a, err := quote.ParseAttest(q.Quote)
	if err != nil {
		return r.Fail("quote", fmt.Sprintf("%d bytes", len(q.Quote)), "a TPM's quote of the SHA-256 bank", err)
	}
	r.Pass("quote", fmt.Sprintf("PCRs %v", a.PCRs), "a TPM's quote of the SHA-256 bank")
	if _, err := a.CheckValues(q.PCRs); err != nil {
		return r.Fail("pcr-values", fmt.Sprintf("%d registers", len(q.PCRs)), "exactly the quoted registers, hashing to the quoted digest", err)
	}
	r.Pass("pcr-values", fmt.Sprintf("%d registers", len(q.PCRs)), "exactly the quoted registers, hashing to the quoted digest")
	err = fmt.Errorf("%w: it is vouched for by nobody, and not of the kind that brokers endorse; anybody could have made it", ErrEndorsed)
	return r.Fail("ak-endorsement", "none", "by an accepted broker, for this key, at this time", fmt.Errorf("%w: %w", err, quote.ErrKey))
}

// foreignKey is a key in a TPMT_PUBLIC, or in a SubjectPublicKeyInfo, which says nothing of its attributes.
func foreignKey(public []byte) (crypto.PublicKey, error) {
	if k, err := quote.CheckAK(public); err == nil {
		return k.Public.ECDSA(), nil
	}
	k, err := quote.CheckCloudAK(public)
	if err == nil {
		return k.Public, nil
	}
	if k, perr := x509.ParsePKIXPublicKey(public); perr == nil {
		return k, nil
	}
	return nil, err
}

// explain writes what a quote says, before anything in it is believed.
func explain(r *attestation.Report, message []byte, pcrs map[string]string) {
	if a, err := quote.ParseAttest(message); err == nil {
		boot.Explain(r, a)
	}
	for i := range quote.PCRCount {
		if v, ok := pcrs[quote.Name(i)]; ok {
			r.Fact(attestation.AboutRunning, quote.Name(i), "%s", v)
		}
	}
}
