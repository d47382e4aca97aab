// SPDX-License-Identifier: Apache-2.0

package verify

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/snp"
)

// ErrImport is a file that is none of the forms in which reports, certificates and revocation lists come.
var ErrImport = errors.New("snp: cannot read file")

// Import makes evidence of a vendor's files. The report may be binary, hex or base64; bare, followed by the host's
// certificate table (an extended report), in go-sev-guest's protocol buffer, or in dstack's attestation. Certificates may be DER, PEM, or a
// certificate table, any number in any order; those of AMD's own keys are not needed. Collateral is revocation lists.
// Nothing is verified. Errors: [ErrImport].
func Import(raw attestation.Raw) (*attestation.Evidence, error) {
	report, certs, err := importReport(raw.Report)
	if err != nil {
		return nil, err
	}
	e := &attestation.Evidence{Version: 1, Platform: attestation.PlatformSNP, Evidence: report}
	for _, f := range raw.Certs {
		ders, err := importCertificates(f)
		if err != nil {
			return nil, err
		}
		certs = append(certs, ders...)
	}
	for _, der := range certs {
		if _, err := x509.ParseCertificate(der); err != nil {
			return nil, fmt.Errorf("%w: certificate: %w", ErrImport, err)
		}
		e.Endorsements = append(e.Endorsements, attestation.Endorsement{Type: attestation.CertificateType, Body: der})
	}
	for _, f := range raw.Collateral {
		der, err := importCRL(f)
		if err != nil {
			return nil, err
		}
		e.Endorsements = append(e.Endorsements, attestation.Endorsement{Type: attestation.CRLType, Body: der})
	}
	if len(raw.EventLogs) != 0 {
		return nil, fmt.Errorf("%w: SEV-SNP reports have no event log; is this a virtual TPM's, such as Azure's?", ErrImport)
	}
	return e, nil
}

func importReport(file []byte) (report []byte, certs [][]byte, err error) {
	if len(file) == 0 || len(file) > maxImport {
		return nil, nil, fmt.Errorf("%w: report of %d bytes, want 1 to %d", ErrImport, len(file), maxImport)
	}
	b := binary(file, func(b []byte) bool { r, _, err := splitReport(b); return err == nil && r != nil })
	return splitReport(b)
}

// splitReport reads the binary forms.
func splitReport(b []byte) (report []byte, certs [][]byte, err error) {
	if len(b) >= snp.ReportSize {
		_, err := snp.ParseReport(b[:snp.ReportSize])
		rest := b[snp.ReportSize:]
		switch {
		case err == nil && bytes.Equal(rest, make([]byte, len(rest))):
			return b[:snp.ReportSize], nil, nil
		case err == nil:
			if certs, err = snp.ParseTable(rest); err == nil {
				return b[:snp.ReportSize], certs, nil
			}
		}
		if report, certs := fromPeer(b); report != nil {
			return report, certs, nil
		}
		return nil, nil, fmt.Errorf("%w: %w", ErrImport, err)
	}
	return nil, nil, fmt.Errorf("%w: %d bytes, a report has %d; binary, hex, base64, an extended report, go-sev-guest's protocol buffer and dstack's attestation are read", ErrImport, len(b), snp.ReportSize)
}

func importCertificates(file []byte) ([][]byte, error) {
	if len(file) == 0 || len(file) > maxImport {
		return nil, fmt.Errorf("%w: certificate of %d bytes, want 1 to %d", ErrImport, len(file), maxImport)
	}
	if bytes.Contains(file, []byte("-----BEGIN ")) {
		return importPEM(file, "CERTIFICATE")
	}
	b := binary(file, func(b []byte) bool { _, err := x509.ParseCertificates(b); return err == nil })
	if list, err := x509.ParseCertificates(b); err == nil && len(list) > 0 {
		var out [][]byte
		for _, c := range list {
			out = append(out, c.Raw)
		}
		return out, nil
	}
	if out, err := snp.ParseTable(b); err == nil && len(out) > 0 {
		return out, nil
	}
	return nil, fmt.Errorf("%w: neither DER, nor PEM, nor a certificate table; AMD's .cert format holds no signature that can be checked: ask KDS for PEM", ErrImport)
}

func importCRL(file []byte) ([]byte, error) {
	if len(file) == 0 || len(file) > maxCRL*2 {
		return nil, fmt.Errorf("%w: collateral of %d bytes, want 1 to %d", ErrImport, len(file), maxCRL*2)
	}
	b := binary(file, func(b []byte) bool { _, err := x509.ParseRevocationList(b); return err == nil })
	if bytes.Contains(file, []byte("-----BEGIN ")) {
		list, err := importPEM(file, "X509 CRL")
		if err != nil {
			return nil, err
		}
		b = list[0]
	}
	c, err := x509.ParseRevocationList(b)
	if err != nil {
		return nil, fmt.Errorf("%w: collateral for SEV-SNP is AMD's revocation list, DER or PEM: %w", ErrImport, err)
	}
	if len(c.Raw) != len(b) {
		return nil, fmt.Errorf("%w: %d bytes behind the revocation list", ErrImport, len(b)-len(c.Raw))
	}
	return b, nil
}

func importPEM(file []byte, typ string) ([][]byte, error) {
	var out [][]byte
	for {
		block, rest := pem.Decode(file)
		if block == nil {
			break
		}
		if file = rest; block.Type != typ {
			return nil, fmt.Errorf("%w: PEM of %q, want %q", ErrImport, block.Type, typ)
		}
		out = append(out, block.Bytes)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("%w: PEM without a %q", ErrImport, typ)
	}
	return out, nil
}

// binary undoes hex or base64 if what is in it is good, and else returns the file as it is.
func binary(file []byte, good func([]byte) bool) []byte {
	if good(file) {
		return file
	}
	text := string(bytes.Join(bytes.Fields(file), nil))
	for _, decode := range []func(string) ([]byte, error){
		hex.DecodeString, base64.StdEncoding.DecodeString, base64.RawStdEncoding.DecodeString,
		base64.URLEncoding.DecodeString, base64.RawURLEncoding.DecodeString,
	} {
		if b, err := decode(text); err == nil && good(b) {
			return b
		}
	}
	return file
}
