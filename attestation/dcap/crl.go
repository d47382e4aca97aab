// SPDX-License-Identifier: Apache-2.0

package dcap

import (
	"crypto/x509"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation"
)

// parseCRL refuses what would narrow a list's meaning: critical extensions, such as those of delta and indirect CRLs.
func parseCRL(der []byte) (*x509.RevocationList, error) {
	if len(der) > maxCRL {
		return nil, fmt.Errorf("%w: CRL of %d bytes", ErrMalformed, len(der))
	}
	l, err := x509.ParseRevocationList(der)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if len(l.Raw) != len(der) || l.SignatureAlgorithm != x509.ECDSAWithSHA256 {
		return nil, fmt.Errorf("%w: CRL of %q: bytes after it, or not ECDSA with SHA-256", ErrMalformed, l.Issuer.CommonName)
	}
	for _, x := range l.Extensions {
		if x.Critical {
			return nil, fmt.Errorf("%w: CRL of %q has critical extension %s", ErrMalformed, l.Issuer.CommonName, x.Id)
		}
	}
	for i := range l.RevokedCertificateEntries {
		for _, x := range l.RevokedCertificateEntries[i].Extensions {
			if x.Critical {
				return nil, fmt.Errorf("%w: an entry in the CRL of %q has critical extension %s", ErrMalformed, l.Issuer.CommonName, x.Id)
			}
		}
	}
	return l, nil
}

// rootCRL: the root revoked neither the PCK CA nor a TCB signing certificate.
func (v *verification) rootCRL() error {
	subjects := []*link{&v.chain.ca}
	for _, s := range v.signers {
		subjects = append(subjects, &s.link)
	}
	return v.crl("root-crl", v.col.rootCRL, &v.chain.root, subjects)
}

// pckCRL: the PCK CA did not revoke the platform.
func (v *verification) pckCRL() error {
	return v.crl("pck-crl", v.col.pckCRL, &v.chain.ca, []*link{&v.chain.pck})
}

func (v *verification) crl(name string, l *x509.RevocationList, by *link, subjects []*link) error {
	want := "current, signed by " + by.cert.Subject.CommonName + ", without"
	for _, s := range subjects {
		want += " " + s.serial()
	}
	if l == nil {
		return v.r.Fail(name, "none", want, fmt.Errorf("%w: no CRL of %s; %s", ErrMissing, by.cert.Subject.CommonName, fetchHint))
	}
	seen := fmt.Sprintf("%d entries, %s to %s", len(l.RevokedCertificateEntries), day(l.ThisUpdate), day(l.NextUpdate))
	if err := l.CheckSignatureFrom(by.cert); err != nil {
		return v.r.Fail(name, seen, want, fmt.Errorf("%w: of the CRL of %s: %w", ErrSignature, by.cert.Subject.CommonName, err))
	}
	if err := v.window("CRL", l.ThisUpdate, l.NextUpdate); err != nil {
		return v.r.Fail(name, seen, want, err)
	}
	v.collateral(name, l.ThisUpdate, l.NextUpdate, 0)
	for i := range l.RevokedCertificateEntries {
		serial := l.RevokedCertificateEntries[i].SerialNumber
		for _, s := range subjects {
			if serial.Cmp(s.cert.SerialNumber) == 0 {
				return v.r.Fail(name, seen, want, fmt.Errorf("%w: certificate %q, serial %s, by %s", ErrRevoked, s.cert.Subject.CommonName, s.serial(), by.cert.Subject.CommonName))
			}
		}
	}
	v.r.Pass(name, seen, want)
	v.r.Fact(attestation.AboutSigner, name, "%s", seen)
	return nil
}
