// SPDX-License-Identifier: Apache-2.0

// Package chain verifies NVIDIA's certificate chains and the OCSP answers about them.
//
// Trust domain: brokers, buyers and auditors; never the enclave. Its one job: lead from one certificate to a root that is
// pinned by its hash, along the one path that was given. Offline.
package chain

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/certs"
)

// Errors.
var (
	ErrChain   = errors.New("gpu: bad certificate chain")
	ErrRoot    = fmt.Errorf("%w: root is not the pinned one", ErrChain)
	ErrExpired = fmt.Errorf("%w: not valid at this time", ErrChain)
	ErrOCSP    = errors.New("gpu: bad OCSP answer")
	ErrRevoked = errors.New("gpu: certificate is revoked")
)

const (
	minCerts       = 3
	maxCerts       = 6
	maxCertificate = 8 << 10
)

// Pin is the SHA-256 of a root certificate, DER.
type Pin [sha256.Size]byte

// Extensions that may be critical besides key usage and basic constraints, which are checked: what they say is checked here, or by who calls, or does not matter to a chain.
var known = []asn1.ObjectIdentifier{
	{2, 5, 29, 17},             // subject alternative name: the chip's name; nothing is matched to it
	{2, 23, 133, 5, 4, 1},      // TCG DICE: the caller compares its FWID
	{2, 23, 133, 5, 4, 1, 1},   // the same, multiple
	{2, 23, 133, 5, 4, 4},      // TCG DICE UEID: names the device
	{2, 23, 133, 5, 4, 100, 6}, // TCG key purpose: attestation, initialisation
}

// Parse reads certificates, leaf first.
func Parse(ders [][]byte) ([]*x509.Certificate, error) {
	if len(ders) < minCerts || len(ders) > maxCerts {
		return nil, fmt.Errorf("%w: %d certificates, want %d to %d, the leaf first and the root last", ErrChain, len(ders), minCerts, maxCerts)
	}
	var out []*x509.Certificate
	for i, der := range ders {
		if len(der) == 0 || len(der) > maxCertificate {
			return nil, fmt.Errorf("%w: certificate %d has %d bytes", ErrChain, i, len(der))
		}
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%w: certificate %d: %v", ErrChain, i, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// Verify walks from the leaf to the last certificate, which must be the pinned root: nothing in a chain is its own
// authority. A chain of n certificates costs n-1 ECDSA P-384 verifications; what is pinned need not vouch for itself.
func Verify(certs []*x509.Certificate, root Pin, now int64) error {
	if err := Check(certs, root, now); err != nil {
		return err
	}
	for i, c := range certs[:len(certs)-1] {
		if err := c.CheckSignatureFrom(certs[i+1]); err != nil {
			return fmt.Errorf("%w: certificate %d (%s): %v", ErrChain, i, c.Subject.CommonName, err)
		}
	}
	return nil
}

// Check is all of [Verify] but the signatures: it proves nothing, and refuses most mistakes at no cost.
func Check(certs []*x509.Certificate, root Pin, now int64) error {
	if len(certs) < minCerts || len(certs) > maxCerts {
		return fmt.Errorf("%w: %d certificates", ErrChain, len(certs))
	}
	if sha256.Sum256(certs[len(certs)-1].Raw) != root {
		return fmt.Errorf("%w: %s", ErrRoot, certs[len(certs)-1].Subject)
	}
	for i, c := range certs {
		if err := check(c, now); err != nil {
			return fmt.Errorf("certificate %d (%s): %w", i, c.Subject.CommonName, err)
		}
	}
	for i, c := range certs[:len(certs)-1] {
		if err := follows(c, certs[i+1], i); err != nil {
			return fmt.Errorf("certificate %d (%s): %w", i, c.Subject.CommonName, err)
		}
	}
	return CheckLeaf(certs[0])
}

// CheckLeaf demands of the leaf that it signs data and nothing else.
func CheckLeaf(c *x509.Certificate) error {
	if c.KeyUsage != x509.KeyUsageDigitalSignature || c.IsCA {
		return fmt.Errorf("%w: the leaf is not for signatures only", ErrChain)
	}
	return nil
}

// check looks at one certificate by itself.
func check(c *x509.Certificate, now int64) error {
	key, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok || key.Curve != elliptic.P384() || c.SignatureAlgorithm != x509.ECDSAWithSHA384 {
		return fmt.Errorf("%w: want ECDSA P-384 with SHA-384, got %s", ErrChain, c.SignatureAlgorithm)
	}
	if err := certs.Critical(c, known...); err != nil {
		return fmt.Errorf("%w: %w", ErrChain, err)
	}
	at := time.Unix(now, 0)
	if at.Before(c.NotBefore) || at.After(c.NotAfter) {
		return fmt.Errorf("%w: %s to %s", ErrExpired, c.NotBefore.UTC().Format(time.RFC3339), c.NotAfter.UTC().Format(time.RFC3339))
	}
	return nil
}

// follows checks that issuer, with below certificates between it and the leaf, may have signed c.
func follows(c, issuer *x509.Certificate, below int) error {
	switch {
	case !bytes.Equal(c.RawIssuer, issuer.RawSubject):
		return fmt.Errorf("%w: issued by %q, but the next one is %q", ErrChain, c.Issuer, issuer.Subject)
	case !issuer.BasicConstraintsValid || !issuer.IsCA || issuer.KeyUsage&x509.KeyUsageCertSign == 0:
		return fmt.Errorf("%w: issuer is not a CA", ErrChain)
	case (issuer.MaxPathLen > 0 || issuer.MaxPathLenZero) && below > issuer.MaxPathLen:
		return fmt.Errorf("%w: path is longer than the issuer allows", ErrChain)
	}
	return nil
}

// Holds is the time at which all of them hold.
func Holds(certs []*x509.Certificate) (from, to int64) {
	for i, c := range certs {
		if i == 0 || c.NotBefore.Unix() > from {
			from = c.NotBefore.Unix()
		}
		if i == 0 || c.NotAfter.Unix() < to {
			to = c.NotAfter.Unix()
		}
	}
	return from, to
}
