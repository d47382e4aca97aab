// SPDX-License-Identifier: Apache-2.0

// Package snp collects AMD SEV-SNP attestation reports, and reads their format.
//
// Trust domain: enclave; its pure format code also verifiers. Its one job: make the chip say, over a binding digest and at
// VMPL 0, which guest it runs, and send the host's certificates along. It asks configfs-tsm first and /dev/sev-guest where
// the kernel is older. It never met hardware here: its tests run against fakes of both interfaces. Verification is in
// package verify, which the enclave does not import. docs/spec/evidence.md is the format.
package snp

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/tsm"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors of the collector.
var (
	ErrUnavailable = errors.New("snp: this is no SEV-SNP guest, or its kernel offers no reports")
	ErrDevice      = errors.New("snp: device failed")
)

// Config says what goes along with a report.
type Config struct {
	EndorsementsFile string // certificates and CRLs, see [attestation.ReadEndorsements]; "": only what the host's firmware interface gives
}

// source makes a report over data, with the host's certificate table if there is one.
type source func(ctx context.Context, data [64]byte) (report, table []byte, err error)

// Collector asks for reports. Safe for concurrent use.
type Collector struct {
	cfg            Config
	testOnlySource source
}

var _ attestation.Collector = (*Collector)(nil)

// Open finds the kernel's interface ([ErrUnavailable]) and reads the configuration's file once, to fail early.
func Open(cfg Config) (*Collector, error) {
	src, err := find()
	if err != nil {
		return nil, err
	}
	return newCollector(cfg, src)
}

func newCollector(cfg Config, src source) (*Collector, error) {
	c := &Collector{cfg, src}
	_, err := c.endorsements(nil)
	return c, err
}

// find prefers configfs-tsm, which newer kernels have.
func find() (source, error) {
	reports, err := tsm.Open(tsm.ProviderSNP)
	if err == nil {
		return func(ctx context.Context, data [64]byte) (report, table []byte, err error) {
			_, report, table, err = reports.Report(ctx, data)
			return report, table, err
		}, nil
	}
	d, derr := openDevice()
	if derr != nil {
		return nil, fmt.Errorf("%w: %w; %w", ErrUnavailable, err, derr)
	}
	return d.report, nil
}

// Platform implements [attestation.Collector].
func (c *Collector) Platform() attestation.Platform { return attestation.PlatformSNP }

// Collect makes a report over d. The file's endorsements come before the host's, which may be stale. Claims is left for
// the caller, who knows what d is the digest of.
func (c *Collector) Collect(ctx context.Context, d envelope.Digest) (attestation.Evidence, error) {
	if d.IsZero() {
		return attestation.Evidence{}, fmt.Errorf("%w: nothing to bind evidence to", attestation.ErrBinding)
	}
	data := attestation.ReportData(d)
	raw, table, err := c.testOnlySource(ctx, data)
	if err != nil {
		return attestation.Evidence{}, err
	}
	r, err := ParseReport(raw)
	if err != nil {
		return attestation.Evidence{}, fmt.Errorf("%w: %w", ErrDevice, err)
	}
	if r.ReportData != data || r.VMPL != 0 {
		return attestation.Evidence{}, fmt.Errorf("%w: report is over other data, or of VMPL %d", ErrDevice, r.VMPL)
	}
	ends, err := c.endorsements(table)
	if err != nil {
		return attestation.Evidence{}, err
	}
	return attestation.Evidence{
		Version: 1, Platform: attestation.PlatformSNP, Evidence: raw, Endorsements: ends,
		EventLogs: []attestation.EventLog{}, Nested: []attestation.Nested{},
	}, nil
}

// endorsements are the file's, and the certificates of the host's table.
func (c *Collector) endorsements(table []byte) ([]attestation.Endorsement, error) {
	out := []attestation.Endorsement{}
	if c.cfg.EndorsementsFile != "" {
		list, err := attestation.ReadEndorsements(c.cfg.EndorsementsFile)
		if err != nil {
			return nil, fmt.Errorf("snp: %w", err)
		}
		out = list
	}
	if len(table) == 0 || bytes.Equal(table, make([]byte, len(table))) {
		return out, nil
	}
	certs, err := ParseTable(table)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDevice, err)
	}
	for _, der := range certs {
		out = append(out, attestation.Endorsement{Type: attestation.CertificateType, Body: der})
	}
	return out, nil
}
