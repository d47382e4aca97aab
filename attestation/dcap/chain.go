// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation/certs"
)

// Common names of Intel's certificates.
const (
	namePCK       = "Intel SGX PCK Certificate"
	nameProcessor = "Intel SGX PCK Processor CA"
	namePlatform  = "Intel SGX PCK Platform CA"
	nameSigning   = "Intel SGX TCB Signing"
	pemType       = "CERTIFICATE"
)

// link is one certificate of Intel's hierarchy.
type link struct {
	cert *x509.Certificate
	key  *ecdsa.PublicKey
	spki [32]byte
}

// chain is what certifies a platform.
type chain struct {
	pck, ca, root link
	ext           *extension
}

func (l *link) serial() string { return fmt.Sprintf("%X", l.cert.SerialNumber) }

// parseLink accepts nothing but ECDSA P-256 certificates: Intel has no others.
func parseLink(der []byte) (link, error) {
	if len(der) > maxCertificate {
		return link{}, fmt.Errorf("%w: certificate of %d bytes", ErrMalformed, len(der))
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return link{}, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	k, ok := c.PublicKey.(*ecdsa.PublicKey)
	if !ok || k.Curve != elliptic.P256() || c.SignatureAlgorithm != x509.ECDSAWithSHA256 || c.Version != 3 {
		return link{}, fmt.Errorf("%w: certificate %q is not ECDSA P-256 with SHA-256", ErrMalformed, c.Subject.CommonName)
	}
	return link{c, k, sha256.Sum256(c.RawSubjectPublicKeyInfo)}, nil
}

// splitPEM reads certificates and nothing between them. The bytes must be what an encoder writes, since no signature covers
// them: one newline at the end may be missing, or a NUL may follow it, as Intel's quoting library leaves one.
func splitPEM(b []byte) ([][]byte, error) {
	if len(b) > maxChain {
		return nil, fmt.Errorf("%w: certificate chain of %d bytes", ErrMalformed, len(b))
	}
	b = bytes.TrimSuffix(b, []byte{0})
	var out [][]byte
	var again bytes.Buffer
	for rest := b; len(rest) > 0; {
		var p *pem.Block
		if p, rest = pem.Decode(rest); p == nil || p.Type != pemType || len(p.Headers) != 0 || len(out) == maxCertificates {
			return nil, fmt.Errorf("%w: certificate chain is not PEM certificates only", ErrMalformed)
		}
		if err := pem.Encode(&again, p); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
		}
		out = append(out, p.Bytes)
	}
	if want := again.Bytes(); !bytes.Equal(b, want) && !bytes.Equal(b, bytes.TrimSuffix(want, []byte("\n"))) {
		return nil, fmt.Errorf("%w: certificate chain has bytes between its certificates", ErrMalformed)
	}
	return out, nil
}

// parseChain reads the three certificates in a quote, in Intel's order.
func parseChain(b []byte) (*chain, error) {
	ders, err := splitPEM(b)
	if err != nil {
		return nil, err
	}
	if len(ders) != 3 {
		return nil, fmt.Errorf("%w: %d certificates in the quote, want PCK certificate, PCK CA and root", ErrMalformed, len(ders))
	}
	c := &chain{}
	for i, l := range []*link{&c.pck, &c.ca, &c.root} {
		if *l, err = parseLink(ders[i]); err != nil {
			return nil, err
		}
	}
	c.ext, err = parseExtension(c.pck.cert)
	return c, err
}

// pckChain: root key as pinned, and each certificate signed by the next, valid now and used as it may be. Revocation comes
// last, with the collateral.
func (v *verification) pckChain() error {
	const name = "pck-chain"
	c := v.chain
	seen := fmt.Sprintf("%x", c.root.spki)
	if c.root.spki != v.root {
		return v.r.Fail("root", seen, fmt.Sprintf("%x", v.root), fmt.Errorf("%w: another root key", ErrChain))
	}
	v.r.Root = fmt.Sprintf("%s, key SHA-256 %s", c.root.cert.Subject.CommonName, seen)
	v.r.Pass("root", seen, "the pinned key of Intel SGX Root CA")
	ca := c.ca.cert.Subject.CommonName
	names := c.pck.cert.Subject.CommonName + " ← " + ca + " ← " + c.root.cert.Subject.CommonName
	fail := func(err error) error { return v.r.Fail(name, names, "valid at "+day(v.now), err) }
	if c.pck.cert.Subject.CommonName != namePCK || (ca != namePlatform && ca != nameProcessor) {
		return fail(fmt.Errorf("%w: not a PCK certificate of a PCK CA", ErrChain))
	}
	for _, step := range []struct {
		c, by *link
		ca    bool
	}{{&c.root, &c.root, true}, {&c.ca, &c.root, true}, {&c.pck, &c.ca, false}} {
		if err := v.issued(step.c, step.by, step.ca); err != nil {
			return fail(err)
		}
	}
	from, to := c.pck.cert.NotBefore, c.pck.cert.NotAfter
	for _, x := range []*x509.Certificate{c.ca.cert, c.root.cert} {
		if x.NotBefore.After(from) {
			from = x.NotBefore
		}
		if x.NotAfter.Before(to) {
			to = x.NotAfter
		}
	}
	v.collateral(name, from, to, 0)
	v.r.Pass(name, names, "valid at "+day(v.now))
	return nil
}

// issued checks one certificate against its issuer. The depth is fixed, so path lengths need no arithmetic: a PCK CA may sign
// PCK certificates and no CAs. crypto/x509 does the same by search, over pools, for any shape of chain.
func (v *verification) issued(c, by *link, ca bool) error {
	cert, what := c.cert, c.cert.Subject.CommonName
	usage := x509.KeyUsageDigitalSignature
	if ca {
		usage = x509.KeyUsageCertSign | x509.KeyUsageCRLSign
	}
	switch {
	case !v.holds(cert.NotBefore, cert.NotAfter):
		return fmt.Errorf("%w: %s from %s to %s", ErrExpired, what, day(cert.NotBefore), day(cert.NotAfter))
	case !cert.BasicConstraintsValid || cert.IsCA != ca || cert.KeyUsage&usage != usage:
		return fmt.Errorf("%w: %s may not be used so", ErrChain, what)
	case !bytes.Equal(cert.RawIssuer, by.cert.RawSubject):
		return fmt.Errorf("%w: %s is issued by %q", ErrChain, what, cert.Issuer.CommonName)
	}
	if err := certs.Critical(cert); err != nil {
		return fmt.Errorf("%w: %s: %w", ErrChain, what, err)
	}
	if err := cert.CheckSignatureFrom(by.cert); err != nil {
		return fmt.Errorf("%w: %s is not signed by %s: %w", ErrChain, what, by.cert.Subject.CommonName, err)
	}
	return nil
}
