// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/certs"
)

// chain is a document's certificates from the root down to the leaf.
type chain []*x509.Certificate

func (c chain) leaf() *x509.Certificate { return c[len(c)-1] }

// key is the leaf's, once parseChain has said that it is on P-384.
func (c chain) key() *ecdsa.PublicKey { return c.leaf().PublicKey.(*ecdsa.PublicKey) }

// parseChain reads the certificates and refuses every kind of key but P-384's, before any of them is used: AWS has no
// other, and a signature of 96 bytes means something under no other.
func parseChain(d *document) (chain, error) {
	var out chain
	for i, der := range append(d.CABundle[:len(d.CABundle):len(d.CABundle)], d.Certificate) {
		c, err := x509.ParseCertificate(der)
		if err != nil {
			return nil, fmt.Errorf("%w: certificate %d: %w", ErrChain, i, err)
		}
		k, ok := c.PublicKey.(*ecdsa.PublicKey)
		if !ok || k.Curve != elliptic.P384() {
			return nil, fmt.Errorf("%w: certificate %d has a key of another kind than ECDSA on P-384", ErrChain, i)
		}
		if c.SignatureAlgorithm != x509.ECDSAWithSHA384 || c.Version != 3 {
			return nil, fmt.Errorf("%w: certificate %d is signed with %s, of version %d, want ECDSA with SHA-384 and 3", ErrChain, i, c.SignatureAlgorithm, c.Version)
		}
		if err := applied(c); err != nil {
			return nil, fmt.Errorf("%w: certificate %d: %w", ErrChain, i, err)
		}
		out = append(out, c)
	}
	return out, nil
}

// applied refuses a certificate that says more about its use than verify applies. AWS's have no extended key usage.
func applied(c *x509.Certificate) error {
	if err := certs.Critical(c); err != nil {
		return err
	}
	if len(c.ExtKeyUsage)+len(c.UnknownExtKeyUsage) > 0 {
		return errors.New("it has an extended key usage, which AWS's have not")
	}
	return nil
}

// leafUsages are those of AWS's leaves, and all that they may have; the first is what they must have.
const leafUsages = x509.KeyUsageDigitalSignature | x509.KeyUsageContentCommitment

// checkRoot compares the bundle's first certificate with the pinned one, byte by byte through its digest. Its own
// signature proves nothing more.
func (c chain) checkRoot(root [32]byte) error {
	if got := sha256.Sum256(c[0].Raw); got != root {
		return fmt.Errorf("%w: its root is %s, want %s", ErrRoot, hex.EncodeToString(got[:]), hex.EncodeToString(root[:]))
	}
	return nil
}

// verify checks each certificate against the one above it: names, signature, right to sign, and how long a path it allows.
// The order is AWS's and fixed, so there is one path and one signature check a certificate.
func (c chain) verify() error {
	for i := 1; i < len(c); i++ {
		up, below := c[i-1], len(c)-1-i // CA certificates that follow up
		switch {
		case !bytes.Equal(c[i].RawIssuer, up.RawSubject):
			return fmt.Errorf("%w: certificate %d is not of the one above it, by name", ErrChain, i)
		case !up.BasicConstraintsValid || !up.IsCA || up.KeyUsage&x509.KeyUsageCertSign == 0:
			return fmt.Errorf("%w: certificate %d may not sign certificates", ErrChain, i-1)
		case up.MaxPathLen >= 0 && below > up.MaxPathLen: // -1: no bound
			return fmt.Errorf("%w: certificate %d allows %d below it, there are %d", ErrChain, i-1, up.MaxPathLen, below)
		}
		if err := c[i].CheckSignatureFrom(up); err != nil {
			return fmt.Errorf("%w: certificate %d: %w", ErrChain, i, err)
		}
	}
	if l := c.leaf(); !l.BasicConstraintsValid || l.IsCA || l.KeyUsage&x509.KeyUsageDigitalSignature == 0 || l.KeyUsage&^leafUsages != 0 {
		return fmt.Errorf("%w: the leaf is a CA, may not sign documents, or may do more than that", ErrChain)
	}
	return nil
}

// valid demands that every certificate is valid at t, the document's own time.
func (c chain) valid(t time.Time) error {
	for i, x := range c {
		if t.Before(x.NotBefore) || t.After(x.NotAfter.Add(time.Second-1)) { // a certificate's times have no fractions
			return fmt.Errorf("%w: certificate %d holds from %s to %s, the document is of %s", ErrTime, i, x.NotBefore, x.NotAfter, t)
		}
	}
	return nil
}

// collateral is how long each certificate holds, for the policy to judge at the time of the verdict: documents live as long
// as their leaf, three hours. A leaf is made seconds before its first document, so a verifier whose clock is a little
// behind is let off for as much as documents are.
func (c chain) collateral(now int64) []attestation.Collateral {
	var out []attestation.Collateral
	for i, x := range c {
		name := fmt.Sprintf("ca-certificate-%d", i)
		switch i {
		case 0:
			name = "root-certificate"
		case len(c) - 1:
			name = "leaf-certificate"
		}
		issued := x.NotBefore.Unix()
		if issued > now && issued <= now+int64(maxSkew/time.Second) {
			issued = now
		}
		out = append(out, attestation.Collateral{Name: name, Issued: issued, Expires: x.NotAfter.Unix()})
	}
	return out
}

// checkCRLs applies the revocation lists that came along. AWS tells verifiers to check none, and its leaves live for hours;
// one that is here must be of a CA of this chain all the same, or it would only look as if it had been applied.
func (c chain) checkCRLs(crls [][]byte) ([]attestation.Collateral, error) {
	if len(crls) > maxCRLs {
		return nil, fmt.Errorf("%w: %d CRLs, at most %d", ErrRevoked, len(crls), maxCRLs)
	}
	var out []attestation.Collateral
	for _, der := range crls {
		if len(der) > maxCRL {
			return nil, fmt.Errorf("%w: a CRL of %d bytes, at most %d", ErrRevoked, len(der), maxCRL)
		}
		l, err := x509.ParseRevocationList(der)
		if err != nil {
			return nil, fmt.Errorf("%w: CRL: %w", ErrRevoked, err)
		}
		if err := c.apply(l); err != nil {
			return nil, err
		}
		out = append(out, attestation.Collateral{Name: fmt.Sprintf("crl-%d", len(out)), Issued: l.ThisUpdate.Unix(), Expires: l.NextUpdate.Unix()})
	}
	return out, nil
}

func (c chain) apply(l *x509.RevocationList) error {
	for i, ca := range c[:len(c)-1] {
		if !bytes.Equal(ca.RawSubject, l.RawIssuer) {
			continue
		}
		if err := l.CheckSignatureFrom(ca); err != nil {
			return fmt.Errorf("%w: CRL of certificate %d: %w", ErrRevoked, i, err)
		}
		for _, e := range l.RevokedCertificateEntries {
			if e.SerialNumber.Cmp(c[i+1].SerialNumber) == 0 {
				return fmt.Errorf("%w: certificate %d, on %s", ErrRevoked, i+1, e.RevocationTime)
			}
		}
		return nil
	}
	return fmt.Errorf("%w: a CRL of %q, which is no CA of this chain", ErrRevoked, l.Issuer)
}
