// SPDX-License-Identifier: Apache-2.0

// Package sgx collects evidence from Intel SGX, inside an enclave, and holds the rules for keys that an enclave seals with.
//
// Trust domain: enclave. Its one job: make the platform say, over a binding digest, which enclave this is, and refuse to do
// anything before the platform has said that it is one. It talks to a [Runtime], which package ego provides in builds with
// the tag "ego"; this package has neither cgo nor net/http. Verifiers are in package verify, which the enclave does not
// import. It has never met SGX hardware here: its tests use a runtime of their own, and EGo's outside an enclave.
// docs/spec/evidence.md is the format.
package sgx

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors of the collector.
var (
	ErrConfig  = errors.New("sgx: bad configuration")
	ErrOutside = errors.New("sgx: not in an enclave that the platform vouches for")
	ErrDebug   = errors.New("sgx: debug enclave: the host can read its memory")
	ErrDevice  = errors.New("sgx: platform failed")
	ErrSealKey = errors.New("sgx: no sealing key")
)

// Self is what the platform says of the enclave that asks.
type Self struct {
	Debug     bool
	MREnclave []byte // 32 bytes
	MRSigner  []byte // 32 bytes
}

// Runtime is what EGo offers to an enclave. Outside one, its functions fail; those for keys do not.
type Runtime interface {
	// Self is verified by the platform.
	Self() (Self, error)
	// Quote is a remote report over data, 64 bytes always: EGo panics on none, and pads fewer with what we did not write.
	Quote(data [64]byte) ([]byte, error)
	// NewSealKey is a fresh key of this enclave's measurement, and what to ask for it again with.
	NewSealKey() (key, info []byte, err error)
	// SealKey is the key that info was given out with.
	SealKey(info []byte) ([]byte, error)
}

// Layout of a remote report: OpenEnclave's header, then a quote of version 3.
const (
	wrapSize     = 16
	reportDataAt = wrapSize + 48 + 320
	maxQuote     = 64 << 10
	sealKeySize  = 16
	maxKeyInfo   = 4 << 10
)

// Config is the collector's configuration.
type Config struct {
	EndorsementsFile string // Intel's collateral, see [attestation.ReadEndorsements]; "": none goes along
}

// Collector makes quotes and gives out sealing keys. There is none before [Open] has asked the platform. Safe for concurrent
// use if its runtime is.
type Collector struct {
	cfg  Config
	rt   Runtime
	self Self
}

var _ attestation.Collector = (*Collector)(nil)

// Open asks the platform which enclave this is, and refuses a process that is none ([ErrOutside]) or that is debugged
// ([ErrDebug]). Everything else an enclave may do with the platform needs the collector that Open returns.
func Open(cfg Config, rt Runtime) (*Collector, error) {
	if rt == nil {
		return nil, fmt.Errorf("%w: no runtime", ErrConfig)
	}
	self, err := rt.Self()
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", ErrOutside, err)
	case len(self.MREnclave) != 32 || zero(self.MREnclave) || len(self.MRSigner) != 32 || zero(self.MRSigner):
		return nil, fmt.Errorf("%w: its own report names no enclave", ErrOutside)
	case self.Debug:
		return nil, ErrDebug
	}
	c := &Collector{cfg: cfg, rt: rt, self: self}
	_, err = c.endorsements()
	return c, err
}

// Platform implements [attestation.Collector].
func (c *Collector) Platform() attestation.Platform { return attestation.PlatformSGX }

// Collect quotes this enclave over d. OpenEnclave's header stays on: verifiers check it and take it off. Claims is left for
// the caller, who knows what d is the digest of.
func (c *Collector) Collect(_ context.Context, d envelope.Digest) (attestation.Evidence, error) {
	if c == nil || c.rt == nil {
		return attestation.Evidence{}, ErrOutside
	}
	if d.IsZero() {
		return attestation.Evidence{}, fmt.Errorf("%w: nothing to bind evidence to", attestation.ErrBinding)
	}
	ends, err := c.endorsements()
	if err != nil {
		return attestation.Evidence{}, err
	}
	data := attestation.ReportData(d)
	q, err := c.rt.Quote(data)
	if err != nil {
		return attestation.Evidence{}, fmt.Errorf("%w: %w", ErrDevice, err)
	}
	if err := checkQuote(q, data); err != nil {
		return attestation.Evidence{}, err
	}
	return attestation.Evidence{
		Version: 1, Platform: attestation.PlatformSGX, Evidence: q, Endorsements: ends, EventLogs: []attestation.EventLog{},
		Nested: []attestation.Nested{},
	}, nil
}

// checkQuote notices an answer to another question, which no owner would accept.
func checkQuote(q []byte, data [64]byte) error {
	switch {
	case len(q) < reportDataAt+len(data) || len(q) > maxQuote || binary.LittleEndian.Uint64(q[8:]) != uint64(len(q)-wrapSize):
		return fmt.Errorf("%w: a report of %d bytes", ErrDevice, len(q))
	case !bytes.Equal(q[reportDataAt:reportDataAt+len(data)], data[:]):
		return fmt.Errorf("%w: report is over other data", ErrDevice)
	}
	return nil
}

func (c *Collector) endorsements() ([]attestation.Endorsement, error) {
	if c.cfg.EndorsementsFile == "" {
		return []attestation.Endorsement{}, nil
	}
	out, err := attestation.ReadEndorsements(c.cfg.EndorsementsFile)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return out, nil
}

// NewSealKey is a fresh key that only this enclave, on this platform, can ask for again with info. Nobody can seal before
// [Open] succeeded with debug off in this process, and a key of zeros is refused: EGo gives that one out, without an error,
// wherever there is no enclave.
func (c *Collector) NewSealKey() (key, info []byte, err error) {
	if c == nil || c.rt == nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrSealKey, ErrOutside)
	}
	key, info, err = c.rt.NewSealKey()
	if err := checkKey(key, err); err != nil {
		return nil, nil, err
	}
	if len(info) == 0 || len(info) > maxKeyInfo {
		clear(key)
		return nil, nil, fmt.Errorf("%w: nothing to ask for it again with", ErrSealKey)
	}
	return key, info, nil
}

// SealKey is the key that info was given out with.
func (c *Collector) SealKey(info []byte) ([]byte, error) {
	if c == nil || c.rt == nil {
		return nil, fmt.Errorf("%w: %w", ErrSealKey, ErrOutside)
	}
	if len(info) == 0 || len(info) > maxKeyInfo {
		return nil, fmt.Errorf("%w: key information of %d bytes", ErrSealKey, len(info))
	}
	key, err := c.rt.SealKey(info)
	if err := checkKey(key, err); err != nil {
		return nil, err
	}
	return key, nil
}

func checkKey(key []byte, err error) error {
	switch {
	case err != nil:
		clear(key)
		return fmt.Errorf("%w: %w", ErrSealKey, err)
	case len(key) != sealKeySize:
		clear(key)
		return fmt.Errorf("%w: of %d bytes, want %d", ErrSealKey, len(key), sealKeySize)
	case zero(key):
		return fmt.Errorf("%w: it is all zero, which everybody knows", ErrSealKey)
	}
	return nil
}

func zero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}
