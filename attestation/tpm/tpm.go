// SPDX-License-Identifier: Apache-2.0

// Package tpm collects evidence from a TPM 2.0: quotes by an attestation key that brokers have endorsed.
//
// Trust domain: enclave. Its one job: make the TPM say, over a binding digest, which code was measured at boot. It
// speaks to /dev/tpmrmN or to a software TPM's Unix socket and to nothing else. Verifiers and the enrolment of keys at
// brokers are in package verify, which the enclave does not import. docs/spec/evidence.md is the format.
package tpm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/google/go-tpm/tpm2/transport"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors of the collector.
var (
	ErrConfig     = errors.New("tpm: bad configuration")
	ErrDevice     = errors.New("tpm: device failed")
	ErrEnrolment  = errors.New("tpm: enrolment failed")
	ErrUnendorsed = errors.New("tpm: no broker has endorsed the attestation key")
)

// unixPrefix marks a software TPM's socket in [Config.Device].
const unixPrefix = "unix:"

var resourceManager = regexp.MustCompile(`^/dev/tpmrm[0-9]{1,2}$`)

// Config says which TPM to use. There is no default device: touching a real TPM is a decision.
type Config struct {
	Device       string // "unix:PATH" of a software TPM, or /dev/tpmrmN
	EKCertFile   string // the endorsement key's certificate, DER
	EventLogFile string // crypto-agile log; "" where the platform keeps none
}

// Collector makes quotes. It opens the device for each operation and closes it again, since a software TPM serves one
// client at a time and a TPM has three slots for transient objects. Safe for concurrent use.
type Collector struct {
	cfg    Config
	ekCert []byte
	ekPub  []byte // TPMT_PUBLIC
	akPub  []byte // TPMT_PUBLIC
	akName string

	testOnlyNow func() time.Time

	mu           sync.Mutex
	endorsements []endorsement
}

type endorsement struct {
	broker envelope.PublicKey
	signed []byte
	added  time.Time     // monotonic
	life   time.Duration // as the broker set it
}

var _ attestation.Collector = (*Collector)(nil)

// Open reads the configuration's files and asks the TPM for its endorsement and attestation keys. Both are primary keys
// of the endorsement hierarchy: the same at every start, never stored. Like [Collector.Activate] it takes no context: the
// TPM answers within the device's own time limit or fails.
func Open(cfg Config) (*Collector, error) {
	cert, err := readFile(cfg.EKCertFile, maxCertificate)
	if err != nil {
		return nil, fmt.Errorf("%w: EK certificate: %w", ErrConfig, err)
	}
	c := &Collector{cfg: cfg, ekCert: cert, testOnlyNow: time.Now}
	if _, err := c.readLog(); err != nil {
		return nil, err
	}
	err = withDevice(context.Background(), cfg.Device, func(t transport.TPM) error {
		if c.ekPub, err = publicOf(t, ekTemplate()); err != nil {
			return err
		}
		c.akPub, err = publicOf(t, akTemplate())
		return err
	})
	if err != nil {
		return nil, err
	}
	if _, err := quote.CheckEK(c.ekPub); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDevice, err)
	}
	ak, err := quote.CheckAK(c.akPub)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDevice, err)
	}
	c.akName = ak.NameHex()
	return c, nil
}

// Platform implements [attestation.Collector].
func (c *Collector) Platform() attestation.Platform { return attestation.PlatformTPM }

// Collect quotes the PCRs over d. Brokers refuse evidence without their endorsement, so Collect refuses to make it
// ([ErrUnendorsed]). Claims is left for the caller, who knows what d is the digest of.
func (c *Collector) Collect(ctx context.Context, d envelope.Digest) (attestation.Evidence, error) {
	if d.IsZero() {
		return attestation.Evidence{}, fmt.Errorf("%w: nothing to bind evidence to", attestation.ErrBinding)
	}
	ends := c.signedEndorsements()
	if len(ends) == 0 {
		return attestation.Evidence{}, ErrUnendorsed
	}
	logs, err := c.readLog()
	if err != nil {
		return attestation.Evidence{}, err
	}
	var q quote.Evidence
	err = withDevice(ctx, c.cfg.Device, func(t transport.TPM) error {
		q, err = quoteOver(t, d)
		return err
	})
	if err != nil {
		return attestation.Evidence{}, err
	}
	if bound, err := q.Verify(); err != nil {
		return attestation.Evidence{}, fmt.Errorf("%w: %w", ErrDevice, err)
	} else if !bytes.Equal(bound, d[:]) || !bytes.Equal(q.AKPublic, c.akPub) {
		return attestation.Evidence{}, fmt.Errorf("%w: quote is by another key or over other data", ErrDevice)
	}
	raw, err := q.Encode()
	if err != nil {
		return attestation.Evidence{}, err
	}
	return attestation.Evidence{
		Version: 1, Platform: attestation.PlatformTPM, Evidence: raw, Endorsements: ends, EventLogs: logs,
		Nested: []attestation.Nested{},
	}, nil
}

func (c *Collector) readLog() ([]attestation.EventLog, error) {
	if c.cfg.EventLogFile == "" {
		return []attestation.EventLog{}, nil
	}
	b, err := ReadEventLog(c.cfg.EventLogFile)
	if err != nil {
		return nil, err
	}
	return []attestation.EventLog{{Type: quote.EventLogType, Body: b}}, nil
}

// checkDevice accepts a socket or a resource-managed device: /dev/tpm0 itself would let two clients exhaust its slots.
func checkDevice(device string) error {
	if p, ok := strings.CutPrefix(device, unixPrefix); ok && p != "" {
		return nil
	}
	if resourceManager.MatchString(device) {
		return nil
	}
	return fmt.Errorf("%w: device %q is neither unix:PATH nor /dev/tpmrmN", ErrConfig, device)
}
