// SPDX-License-Identifier: Apache-2.0

// Package gpu collects attestation reports of NVIDIA Hopper GPUs, to be nested under the evidence of the machine that
// holds them.
//
// Trust domain: enclave. Its one job: have every GPU that a job can reach sign the digest that nested evidence is bound
// to. It speaks to the driver through NVML, in builds with the tag nvml (and cgo); other builds refuse to open it. The
// driver, and all that lies between, are inside the measured machine and are not believed here either: a report is read
// back and must answer the nonce. It never met a GPU where this was written: its tests have a fake driver. Verifiers are
// in package verify, which the enclave does not import. docs/spec/evidence.md is the format.
package gpu

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/gpu/spdm"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors.
var (
	ErrConfig = errors.New("gpu: bad configuration")
	ErrDevice = errors.New("gpu: device failed")
)

const (
	maxDevices = 4 // that one envelope can nest
	maxChain   = 64 << 10
)

// Config says what is sent along with the reports.
type Config struct {
	EndorsementsFile string // manifests and OCSP answers, see [attestation.ReadEndorsements]; "": none
}

// driver is what is asked of the GPUs' driver.
type driver interface {
	// reports has every GPU sign nonce. Certificates are one PEM chain each, leaf first.
	reports(nonce [spdm.NonceSize]byte) ([]report, error)
}

type report struct{ report, certs []byte }

// Collector makes evidence of all GPUs of the machine. Safe for concurrent use.
type Collector struct {
	cfg    Config
	driver driver
}

// Open asks the driver whether confidential computing is on and its developer mode off, and refuses otherwise: the latter
// is what no report says. Errors: [ErrConfig] in builds without the tag nvml, [ErrDevice].
func Open(cfg Config) (*Collector, error) {
	d, err := open()
	if err != nil {
		return nil, err
	}
	return newCollector(cfg, d)
}

func newCollector(cfg Config, d driver) (*Collector, error) {
	if cfg.EndorsementsFile != "" {
		if _, err := attestation.ReadEndorsements(cfg.EndorsementsFile); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	return &Collector{cfg, d}, nil
}

// Collect makes the evidence that is nested under a binding of digest d.
func (c *Collector) Collect(ctx context.Context, d envelope.Digest) ([]attestation.Nested, error) {
	if d.IsZero() {
		return nil, fmt.Errorf("%w: nothing to bind evidence to", attestation.ErrBinding)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var ends []attestation.Endorsement
	if c.cfg.EndorsementsFile != "" {
		var err error
		if ends, err = attestation.ReadEndorsements(c.cfg.EndorsementsFile); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrConfig, err)
		}
	}
	nonce := attestation.NestedDigest(d)
	reports, err := c.driver.reports(nonce)
	if err != nil {
		return nil, err
	}
	if len(reports) == 0 || len(reports) > maxDevices {
		return nil, fmt.Errorf("%w: %d GPUs, want 1 to %d", ErrDevice, len(reports), maxDevices)
	}
	var out []attestation.Nested
	for i, r := range reports {
		n, err := r.nested(nonce, ends)
		if err != nil {
			return nil, fmt.Errorf("GPU %d: %w", i, err)
		}
		out = append(out, n)
	}
	return out, nil
}

// nested reads the report back: what is sent must answer this nonce.
func (r *report) nested(nonce envelope.Digest, ends []attestation.Endorsement) (attestation.Nested, error) {
	raw := spdm.Trim(bytes.Clone(r.report))
	parsed, err := spdm.Parse(raw)
	switch {
	case err != nil:
		return attestation.Nested{}, fmt.Errorf("%w: %w", ErrDevice, err)
	case parsed.Nonce != nonce:
		return attestation.Nested{}, fmt.Errorf("%w: the report answers another nonce", ErrDevice)
	case len(r.certs) == 0 || len(r.certs) > maxChain:
		return attestation.Nested{}, fmt.Errorf("%w: certificate chain of %d bytes", ErrDevice, len(r.certs))
	}
	chain := attestation.Endorsement{Type: attestation.ChainType, Body: bytes.TrimRight(r.certs, "\x00")}
	return attestation.Nested{
		Platform: attestation.PlatformGPU, Evidence: raw, Endorsements: append([]attestation.Endorsement{chain}, ends...), EventLogs: []attestation.EventLog{},
	}, nil
}

// nesting adds GPUs to a machine's evidence.
type nesting struct {
	attestation.Collector
	gpus *Collector
}

// Nest is a collector of the machine's evidence with that of its GPUs in it. If a GPU fails, so does the whole: evidence
// that leaves out what a job will use would show too little.
func Nest(machine attestation.Collector, gpus *Collector) attestation.Collector {
	return &nesting{machine, gpus}
}

// Collect implements [attestation.Collector].
func (n *nesting) Collect(ctx context.Context, d envelope.Digest) (attestation.Evidence, error) {
	nested, err := n.gpus.Collect(ctx, d)
	if err != nil {
		return attestation.Evidence{}, err
	}
	e, err := n.Collector.Collect(ctx, d)
	if err != nil {
		return attestation.Evidence{}, err
	}
	e.Nested = append(e.Nested, nested...)
	return e, nil
}
