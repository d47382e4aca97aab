// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"crypto/x509"
	"encoding/asn1"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// EKRoot is a CA that a broker trusts to certify endorsement keys, and what its word is worth.
type EKRoot struct {
	Cert      *x509.Certificate
	Assurance attestation.Assurance // software-tpm or tpm
}

// checkedRoot is the root that a certificate led to.
type checkedRoot struct {
	digest    envelope.Digest
	assurance attestation.Assurance
}

// CheckRoot refuses a root that is not a CA, names no assurance a TPM can have, or is a test CA declared as hardware.
func CheckRoot(r EKRoot) error {
	switch {
	case r.Cert == nil || !r.Cert.BasicConstraintsValid || !r.Cert.IsCA:
		return fmt.Errorf("%w: EK root is not a CA certificate", ErrConfig)
	case !knownAssurance(r.Assurance):
		return fmt.Errorf("%w: EK root %q with assurance %q", ErrConfig, r.Cert.Subject.CommonName, r.Assurance)
	case strings.HasPrefix(r.Cert.Subject.CommonName, quote.SoftwareCA) && r.Assurance != attestation.AssuranceSoftwareTPM:
		return fmt.Errorf("%w: %q is a software TPM's CA", ErrConfig, r.Cert.Subject.CommonName)
	}
	return nil
}

var subjectAltName = asn1.ObjectIdentifier{2, 5, 29, 17}

// checkEKCert verifies a certificate against each root on its own, so that the assurance is that of the root which
// certifies; of several, the weakest.
func checkEKCert(der []byte, roots []EKRoot, now time.Time) (*x509.Certificate, *checkedRoot, error) {
	if len(der) > maxCertificate {
		return nil, nil, fmt.Errorf("%w: %d bytes", ErrEKCert, len(der))
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrEKCert, err)
	}
	if cert.IsCA || cert.KeyUsage&x509.KeyUsageKeyAgreement == 0 {
		return nil, nil, fmt.Errorf("%w: not for an ECC endorsement key", ErrEKCert)
	}
	// The EK credential profile puts a directory name into a critical subject alternative name, which crypto/x509 leaves
	// unhandled. It names the TPM's maker and model; nothing here rests on it. Any other critical extension stays fatal.
	cert.UnhandledCriticalExtensions = slices.DeleteFunc(cert.UnhandledCriticalExtensions, subjectAltName.Equal)
	var found *checkedRoot
	for _, r := range roots {
		pool := x509.NewCertPool()
		pool.AddCert(r.Cert)
		if _, verr := cert.Verify(x509.VerifyOptions{
			Roots: pool, Intermediates: x509.NewCertPool(), CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny},
		}); verr != nil {
			err = verr
			continue
		}
		if found == nil || !r.Assurance.AtLeast(found.assurance) {
			found = &checkedRoot{envelope.Sum(r.Cert.Raw), r.Assurance}
		}
	}
	if found == nil {
		return nil, nil, fmt.Errorf("%w: leads to none of %d roots: %w", ErrEKCert, len(roots), err)
	}
	return cert, found, nil
}
