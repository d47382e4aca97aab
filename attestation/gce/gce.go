// SPDX-License-Identifier: Apache-2.0

// Package gce collects evidence on Google Compute Engine's Shielded VMs: a quote by the virtual TPM's attestation key, the
// certificate that Google left in the TPM for it, and the firmware's log of the boot.
//
// Trust domain: enclave. Its one job: make the TPM say, over a binding digest, what was booted, with all that a verifier
// needs but Google's own certificates, which come from a file. It never met Google's TPM here: its tests run against a
// software TPM that holds what Google's would. docs/spec/evidence.md is the format.
package gce

import (
	"bytes"
	"context"
	"crypto"
	"crypto/x509"
	"encoding/asn1"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/gce/shielded"
	"github.com/glovebox-dev/glovebox/attestation/tpm"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors of the collector.
var (
	ErrConfig  = errors.New("gce: bad configuration")
	ErrCollect = errors.New("gce: no evidence")
)

// Where Google leaves certificates and templates of its attestation keys in the TPM.
const (
	CertificateRSA = 0x01c10000
	TemplateRSA    = 0x01c10001
	CertificateECC = 0x01c10002
	TemplateECC    = 0x01c10003
)

// EventLog is where Linux shows the firmware's log.
const EventLog = "/sys/kernel/security/tpm0/binary_bios_measurements"

// Config says where evidence comes from. There is no default device: touching a TPM is a decision.
type Config struct {
	Device           string // /dev/tpmrmN, or "unix:PATH" of a software TPM
	ECC              bool   // use the ECC key; the RSA key by default, which every instance has
	EventLogFile     string // [EventLog] as a rule; verifiers refuse evidence without one
	EndorsementsFile string // Google's certificates, see [attestation.ReadEndorsements]; "" for none
}

// Collector makes quotes. Safe for concurrent use.
type Collector struct{ cfg Config }

var _ attestation.Collector = (*Collector)(nil)

// Open reads the key's certificate once, and fails where there is none.
func Open(cfg Config) (*Collector, error) {
	c := &Collector{cfg}
	if _, _, err := c.files(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	err := tpm.WithVTPM(context.Background(), cfg.Device, func(v *tpm.VTPM) error {
		_, err := c.certificate(v)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCollect, err)
	}
	return c, nil
}

// Platform implements [attestation.Collector].
func (c *Collector) Platform() attestation.Platform { return attestation.PlatformGCE }

// Collect implements [attestation.Collector]: a quote over d by the certified key.
func (c *Collector) Collect(ctx context.Context, d envelope.Digest) (attestation.Evidence, error) {
	if d.IsZero() {
		return attestation.Evidence{}, fmt.Errorf("%w: nothing to bind evidence to", attestation.ErrBinding)
	}
	ends, logs, err := c.files()
	if err != nil {
		return attestation.Evidence{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	var cert *x509.Certificate
	var q *tpm.Quoted
	err = tpm.WithVTPM(ctx, c.cfg.Device, func(v *tpm.VTPM) (err error) {
		if cert, err = c.certificate(v); err != nil {
			return err
		}
		template, err := v.ReadIndex(c.index(TemplateRSA, TemplateECC))
		if err != nil {
			return err
		}
		q, err = v.QuoteTemplate(template, d)
		return err
	})
	if err == nil {
		err = checkKey(cert, q)
	}
	if err != nil {
		return attestation.Evidence{}, fmt.Errorf("%w: %w", ErrCollect, err)
	}
	x := shielded.Evidence{AKCertificate: cert.Raw, AKPublic: q.Public, PCRs: q.PCRs, Quote: q.Message, Signature: q.Signature}
	body, err := x.Encode()
	if err != nil {
		return attestation.Evidence{}, err
	}
	return attestation.Evidence{
		Version: 1, Platform: attestation.PlatformGCE, Evidence: body, Endorsements: ends, EventLogs: logs, Nested: []attestation.Nested{},
	}, nil
}

func (c *Collector) index(rsa, ecc uint32) uint32 {
	if c.cfg.ECC {
		return ecc
	}
	return rsa
}

// certificate is the one in the TPM, without what may follow it in its index.
func (c *Collector) certificate(v *tpm.VTPM) (*x509.Certificate, error) {
	b, err := v.ReadIndex(c.index(CertificateRSA, CertificateECC))
	if err != nil {
		return nil, fmt.Errorf("%w; is this a Shielded VM on Compute Engine?", err)
	}
	var der asn1.RawValue
	if _, err := asn1.Unmarshal(b, &der); err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der.FullBytes)
}

// checkKey: the key that the template makes is the certified one, and it signed.
func checkKey(cert *x509.Certificate, q *tpm.Quoted) error {
	key, err := quote.CheckCloudAK(q.Public)
	if err != nil {
		return err
	}
	if k, ok := key.Public.(interface{ Equal(crypto.PublicKey) bool }); !ok || !k.Equal(cert.PublicKey) {
		return fmt.Errorf("%w: the certificate in the TPM is of another key", quote.ErrKey)
	}
	a, err := quote.ParseAttest(q.Message)
	if err != nil {
		return err
	}
	if !bytes.Equal(a.Signer, key.QualifiedName()) {
		return fmt.Errorf("%w: not a primary key of the endorsement hierarchy", quote.ErrKey)
	}
	return quote.CheckSignature(key.Public, q.Message, q.Signature)
}

// files are read anew each time: the launcher adds to the log.
func (c *Collector) files() (ends []attestation.Endorsement, logs []attestation.EventLog, err error) {
	ends = []attestation.Endorsement{}
	if c.cfg.EndorsementsFile != "" {
		if ends, err = attestation.ReadEndorsements(c.cfg.EndorsementsFile); err != nil {
			return nil, nil, err
		}
	}
	if c.cfg.EventLogFile == "" {
		return nil, nil, errors.New("no event log: verifiers refuse evidence without one")
	}
	b, err := tpm.ReadEventLog(c.cfg.EventLogFile)
	if err != nil {
		return nil, nil, err
	}
	return ends, []attestation.EventLog{{Type: attestation.TCG2Log, Body: b}}, nil
}
