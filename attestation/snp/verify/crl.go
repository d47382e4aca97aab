// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"

	"github.com/glovebox-dev/glovebox/attestation"
)

// Errors of revocation.
var (
	ErrRevoked = errors.New("snp: revoked by AMD")
	ErrCRL     = errors.New("snp: bad revocation list")
)

// findCRL is the newest list in AMD's root's name. Lists of other issuers are none of this line's.
func (l *line) findCRL(e *attestation.Evidence) (*x509.RevocationList, error) {
	bodies := e.Find(attestation.CRLType)
	if len(bodies) > maxCRLs {
		return nil, fmt.Errorf("%w: %d lists, at most %d", ErrCRL, len(bodies), maxCRLs)
	}
	var newest *x509.RevocationList
	for _, b := range bodies {
		if len(b) > maxCRL {
			return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrCRL, len(b), maxCRL)
		}
		c, err := x509.ParseRevocationList(b)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrCRL, err)
		}
		if len(c.Raw) != len(b) {
			return nil, fmt.Errorf("%w: %d bytes behind the list, under no signature", ErrCRL, len(b)-len(c.Raw))
		}
		if bytes.Equal(c.RawIssuer, l.ark.RawSubject) && (newest == nil || c.ThisUpdate.After(newest.ThisUpdate)) {
			newest = c
		}
	}
	return newest, nil
}

// checkCRL refuses a list that the root did not sign, that does not hold at now, or that names a key of the chain.
func (l *line) checkCRL(c *x509.RevocationList, e *endorsementKey, now int64) error {
	if err := c.CheckSignatureFrom(l.ark); err != nil {
		return fmt.Errorf("%w: not signed by %s: %w", ErrCRL, l.ark.Subject.CommonName, err)
	}
	if c.NextUpdate.IsZero() || now < c.ThisUpdate.Unix() || now > c.NextUpdate.Unix() {
		return fmt.Errorf("%w: it holds from %s to %s", ErrCRL, day(c.ThisUpdate), day(c.NextUpdate))
	}
	for _, x := range c.Extensions {
		if x.Critical {
			return fmt.Errorf("%w: critical extension %s", ErrCRL, x.Id)
		}
	}
	for _, x := range c.RevokedCertificateEntries {
		for _, cert := range []*x509.Certificate{l.ark, l.issuer(e.kind), e.cert} {
			if revokes(x.SerialNumber, cert) {
				return fmt.Errorf("%w: %s since %s", ErrRevoked, cert.Subject.CommonName, day(x.RevocationTime))
			}
		}
	}
	return nil
}

// revokes: KDS gives every VCEK the serial number 0, which therefore names none of them.
func revokes(serial *big.Int, c *x509.Certificate) bool {
	return serial.Sign() != 0 && serial.Cmp(c.SerialNumber) == 0
}
