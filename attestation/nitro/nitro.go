// SPDX-License-Identifier: Apache-2.0

// Package nitro collects evidence in an AWS Nitro Enclave: attestation documents of its security module.
//
// Trust domain: enclave. Its one job: have the module sign a binding digest as user data. It speaks to /dev/nsm and to
// nothing else, in the few bytes of CBOR that one request and one answer have: a library for them would weigh more than
// they do in a measured binary. It has met no hardware here; tests put AWS's published formats behind a fake device. The
// verifier is in package verify, which the enclave does not import. docs/spec/evidence.md is the format.
package nitro

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors of the collector.
var (
	ErrConfig = errors.New("nitro: bad configuration")
	ErrDevice = errors.New("nitro: security module failed")
)

// Device is where the kernel's driver has the Nitro Security Module.
const Device = "/dev/nsm"

// Config says which module to use. There is no default: being in an enclave is a claim.
type Config struct {
	Device           string // [Device]
	EndorsementsFile string // CRLs, see [attestation.ReadEndorsements]; "": none
}

// Collector asks for documents. It opens the device for each one. Safe for concurrent use.
type Collector struct {
	cfg Config

	testOnlyAsk func(request []byte) ([]byte, error)
}

var _ attestation.Collector = (*Collector)(nil)

// Open checks that the device is there, and that the endorsements, if there are to be any, can be read.
func Open(cfg Config) (*Collector, error) {
	if cfg.Device != Device {
		return nil, fmt.Errorf("%w: device %q, want %s", ErrConfig, cfg.Device, Device)
	}
	i, err := os.Stat(cfg.Device)
	if err != nil {
		return nil, fmt.Errorf("%w: %w: a Nitro Enclave has this device", ErrDevice, err)
	}
	if i.Mode()&os.ModeCharDevice == 0 {
		return nil, fmt.Errorf("%w: %s is not a device", ErrDevice, cfg.Device)
	}
	c := &Collector{cfg: cfg}
	if _, err := c.endorsements(); err != nil {
		return nil, err
	}
	return c, nil
}

// Platform implements [attestation.Collector].
func (c *Collector) Platform() attestation.Platform { return attestation.PlatformNitro }

// Collect has the module sign d as user data, without a nonce or a key: d is the digest of all of them. Claims is left for
// the caller, who knows what d is the digest of. The module answers at once, or the enclave has lost its hypervisor.
func (c *Collector) Collect(ctx context.Context, d envelope.Digest) (attestation.Evidence, error) {
	if d.IsZero() {
		return attestation.Evidence{}, fmt.Errorf("%w: nothing to bind evidence to", attestation.ErrBinding)
	}
	if err := ctx.Err(); err != nil {
		return attestation.Evidence{}, err
	}
	ends, err := c.endorsements()
	if err != nil {
		return attestation.Evidence{}, err
	}
	ask := askDevice
	if c.testOnlyAsk != nil {
		ask = c.testOnlyAsk
	}
	answer, err := ask(attestationRequest(d[:]))
	if err != nil {
		return attestation.Evidence{}, fmt.Errorf("%w: %w", ErrDevice, err)
	}
	doc, err := document(answer)
	if err != nil {
		return attestation.Evidence{}, fmt.Errorf("%w: %w", ErrDevice, err)
	}
	return attestation.Evidence{
		Version: 1, Platform: attestation.PlatformNitro, Evidence: doc, Endorsements: ends,
		EventLogs: []attestation.EventLog{}, Nested: []attestation.Nested{},
	}, nil
}

func (c *Collector) endorsements() ([]attestation.Endorsement, error) {
	if c.cfg.EndorsementsFile == "" {
		return []attestation.Endorsement{}, nil
	}
	ends, err := attestation.ReadEndorsements(c.cfg.EndorsementsFile)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return ends, nil
}
