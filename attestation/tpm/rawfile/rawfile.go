// SPDX-License-Identifier: Apache-2.0

// Package rawfile reads files as the tools of TPMs and clouds leave them: liberal about encodings, strict about content.
//
// Trust domain: brokers, buyers and auditors; pure. Its one job: turn what a person was handed into endorsements and
// bytes. It believes nothing.
package rawfile

import (
	"bytes"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// ErrFile refuses a file.
var ErrFile = errors.New("not such a file")

const (
	maxFile  = 4 << 20
	maxCerts = 64
)

// Binary undoes hex or base64 (any of its four alphabets), if b is text that is wholly either. Binary files are returned
// as they are.
func Binary(b []byte) []byte {
	text := bytes.TrimSpace(b)
	if len(text) == 0 || len(text) > maxFile {
		return b
	}
	compact := bytes.Join(bytes.Fields(text), nil)
	if out, err := hex.DecodeString(string(bytes.TrimPrefix(compact, []byte("0x")))); err == nil {
		return out
	}
	for _, e := range []*base64.Encoding{base64.StdEncoding, base64.RawStdEncoding, base64.URLEncoding, base64.RawURLEncoding} {
		if out, err := e.DecodeString(string(compact)); err == nil {
			return out
		}
	}
	return b
}

// Certificates reads X.509 certificates: one or several, DER or PEM, also in hex or base64.
func Certificates(b []byte) ([]*x509.Certificate, error) {
	if len(b) == 0 || len(b) > maxFile {
		return nil, fmt.Errorf("%w: certificate file of %d bytes", ErrFile, len(b))
	}
	var der []byte
	if bytes.Contains(b, []byte("-----BEGIN")) {
		for rest := b; ; {
			var p *pem.Block
			if p, rest = pem.Decode(rest); p == nil {
				break
			}
			if p.Type == "CERTIFICATE" {
				der = append(der, p.Bytes...)
			}
		}
	} else {
		der = Binary(b)
	}
	certs, err := x509.ParseCertificates(der)
	if err != nil || len(certs) == 0 || len(certs) > maxCerts {
		return nil, fmt.Errorf("%w: want 1 to %d certificates, DER or PEM (%v)", ErrFile, maxCerts, err)
	}
	return certs, nil
}

// CertificateEndorsements are the certificates of files, each once, in order.
func CertificateEndorsements(files [][]byte) ([]attestation.Endorsement, error) {
	var out []attestation.Endorsement
	for i, f := range files {
		certs, err := Certificates(f)
		if err != nil {
			return nil, fmt.Errorf("certificate file %d: %w", i+1, err)
		}
		for _, c := range certs {
			out = Add(out, attestation.Endorsement{Type: attestation.CertificateType, Body: c.Raw})
		}
	}
	return out, nil
}

// Add appends x unless it is there.
func Add(list []attestation.Endorsement, x attestation.Endorsement) []attestation.Endorsement {
	if slices.ContainsFunc(list, func(o attestation.Endorsement) bool { return o.Type == x.Type && bytes.Equal(o.Body, x.Body) }) {
		return list
	}
	return append(list, x)
}

// CRLEndorsements are the certificate revocation lists of files, DER or PEM; and what is in lists of endorsements as the
// fetcher writes them.
func CRLEndorsements(files [][]byte) ([]attestation.Endorsement, error) {
	var out []attestation.Endorsement
	for i, f := range files {
		if text := bytes.TrimSpace(f); bytes.HasPrefix(text, []byte("[")) {
			var list []attestation.Endorsement
			if err := envelope.DecodeStrict(text, maxFile, &list); err != nil {
				return nil, fmt.Errorf("collateral file %d: %w: want a list of endorsements: %w", i+1, ErrFile, err)
			}
			for _, x := range list {
				out = Add(out, x)
			}
			continue
		}
		der := Binary(f)
		if p, _ := pem.Decode(f); p != nil {
			der = p.Bytes
		}
		if _, err := x509.ParseRevocationList(der); err != nil {
			return nil, fmt.Errorf("collateral file %d: %w: want a certificate revocation list, DER or PEM: %w", i+1, ErrFile, err)
		}
		out = Add(out, attestation.Endorsement{Type: attestation.CRLType, Body: der})
	}
	return out, nil
}

// EventLogs takes at most one TCG log as it is.
func EventLogs(files [][]byte) ([]attestation.EventLog, error) {
	if len(files) > 1 {
		return nil, fmt.Errorf("%w: %d event logs, a TPM has one", ErrFile, len(files))
	}
	var out []attestation.EventLog
	for _, f := range files {
		if len(f) == 0 {
			return nil, fmt.Errorf("%w: the event log is empty, and proves nothing", ErrFile)
		}
		out = append(out, attestation.EventLog{Type: attestation.TCG2Log, Body: f})
	}
	return out, nil
}
