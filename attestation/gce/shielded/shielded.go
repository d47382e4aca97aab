// SPDX-License-Identifier: Apache-2.0

// Package shielded is the format of evidence of a Shielded VM on Google Compute Engine, and of what its attestation key's
// certificate says of the VM.
//
// Trust domain: shared by the collector (enclave) and the verifier; pure. Its one job: read both strictly and bounded.
package shielded

import (
	"encoding/asn1"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// ErrMalformed means bytes that are not what they are said to be.
var ErrMalformed = errors.New("gce: malformed")

// Bounds, checked before parsing.
const (
	MaxEvidence    = 24 << 10 // the platform's part of an envelope: a certificate, a key, a quote
	MaxCertificate = 8 << 10
	maxExtension   = 1 << 10
	maxText        = 128 // of a zone or a name
)

// Evidence is the platform's part of an envelope, as canonical JSON. It proves nothing by itself.
type Evidence struct {
	AKCertificate []byte            `json:"akCertificate"` // X.509, DER, by Google; empty if the key has none, which no verifier accepts
	AKPublic      []byte            `json:"akPublic"`      // TPMT_PUBLIC
	PCRs          map[string]string `json:"pcrs"`          // name → lower-case hex: exactly the quoted ones
	Quote         []byte            `json:"quote"`         // TPMS_ATTEST over the SHA-256 bank
	Signature     []byte            `json:"signature"`     // TPMT_SIGNATURE
}

// Parse reads evidence strictly.
func Parse(b []byte) (*Evidence, error) {
	var e Evidence
	if err := envelope.Decode(b, MaxEvidence, &e); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	switch {
	case len(e.AKCertificate) > MaxCertificate:
		return nil, fmt.Errorf("%w: certificate of %d bytes", ErrMalformed, len(e.AKCertificate))
	case len(e.AKPublic) == 0 || len(e.Quote) == 0 || len(e.Signature) == 0:
		return nil, fmt.Errorf("%w: key, quote or signature is missing", ErrMalformed)
	case len(e.PCRs) == 0 || len(e.PCRs) > quote.PCRCount:
		return nil, fmt.Errorf("%w: %d PCRs", ErrMalformed, len(e.PCRs))
	}
	return &e, nil
}

// Encode is the canonical encoding.
func (e *Evidence) Encode() ([]byte, error) { return envelope.Canonical(e) }

// InstanceOID is the certificate extension that names the VM.
var InstanceOID = asn1.ObjectIdentifier{1, 3, 6, 1, 4, 1, 11129, 2, 1, 21}

// Instance is the VM that a key was made for, as Google certifies it.
type Instance struct {
	Zone            string
	ProjectNumber   int64
	ProjectID       string
	ID              int64
	Name            string
	SecurityVersion int64
	Production      bool // of Google's own fleet, not of a test of theirs
}

// instance is the extension in ASN.1. Properties behind those named are passed over: Google adds to them.
type instance struct {
	Zone          string `asn1:"utf8"`
	ProjectNumber int64
	ProjectID     string `asn1:"utf8"`
	InstanceID    int64
	InstanceName  string     `asn1:"utf8"`
	Properties    properties `asn1:"explicit,optional,tag:0"`
}

type properties struct {
	SecurityVersion int64 `asn1:"explicit,tag:0,optional"`
	Production      bool  `asn1:"explicit,tag:1,optional"`
}

// ParseInstance reads the value of the extension. Negative numbers and data behind the value are refused.
func ParseInstance(der []byte) (*Instance, error) {
	if len(der) == 0 || len(der) > maxExtension {
		return nil, fmt.Errorf("%w: instance extension of %d bytes", ErrMalformed, len(der))
	}
	var x instance
	rest, err := asn1.Unmarshal(der, &x)
	if err != nil || len(rest) != 0 {
		return nil, fmt.Errorf("%w: instance extension (%v, %d bytes behind it)", ErrMalformed, err, len(rest))
	}
	p := x.Properties
	if x.ProjectNumber < 0 || x.InstanceID < 0 || p.SecurityVersion < 0 {
		return nil, fmt.Errorf("%w: a negative number in the instance extension", ErrMalformed)
	}
	for _, s := range []string{x.Zone, x.ProjectID, x.InstanceName} {
		if s == "" || len(s) > maxText || !utf8.ValidString(s) {
			return nil, fmt.Errorf("%w: zone, project or instance name", ErrMalformed)
		}
	}
	return &Instance{x.Zone, x.ProjectNumber, x.ProjectID, x.InstanceID, x.InstanceName, p.SecurityVersion, p.Production}, nil
}
