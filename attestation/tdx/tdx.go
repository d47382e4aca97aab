// SPDX-License-Identifier: Apache-2.0

// Package tdx collects evidence inside an Intel TDX guest: a quote, and the event log that firmware kept of the boot.
//
// Trust domain: enclave. Its one job: make the TDX module say, over a binding digest, which memory and boot this trust
// domain has. It talks to the kernel alone (package tsm); verifiers are in package verify, which the enclave does not
// import. It never met hardware here: its tests run against a fake of the kernel's interface.
// docs/spec/evidence.md is the format.
package tdx

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/tdx/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/attestation/tsm"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors of the collector.
var (
	ErrConfig   = errors.New("tdx: bad configuration")
	ErrQuote    = errors.New("tdx: no quote")
	ErrEventLog = errors.New("tdx: no event log that leads to the quoted registers")
)

// EventLog is where Linux shows the log of a TD's firmware.
const EventLog = "/sys/firmware/acpi/tables/data/CCEL"

const (
	logAttempts = 3 // a measurement may be made between quote and log
	pause       = 100 * time.Millisecond
)

// Config says what goes with a quote.
type Config struct {
	// EventLogFile is the CCEL, [EventLog] as a rule; "" to send none. Whoever extends RTMRs without adding to the log must
	// send none: a log that does not lead to the quoted registers is refused by every verifier.
	EventLogFile string
	// EndorsementsFile has Intel's collateral, see [attestation.ReadEndorsements]; "" for none. Verifiers refuse evidence
	// without it unless they have it from elsewhere.
	EndorsementsFile string
}

// reporter is [tsm.Reports].
type reporter interface {
	Report(ctx context.Context, reportData [64]byte) (provider string, outblob, auxblob []byte, err error)
}

// Collector makes quotes. Safe for concurrent use.
type Collector struct {
	cfg     Config
	reports reporter
}

var _ attestation.Collector = (*Collector)(nil)

// Open fails where the kernel makes no TDX quotes, and where a configured file cannot be read.
func Open(cfg Config) (*Collector, error) {
	r, err := tsm.Open(tsm.ProviderTDX)
	if err != nil {
		return nil, err
	}
	return open(cfg, r)
}

func open(cfg Config, r reporter) (*Collector, error) {
	c := &Collector{cfg, r}
	if _, err := c.eventLog(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	if _, err := c.endorsements(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return c, nil
}

// Platform implements [attestation.Collector].
func (c *Collector) Platform() attestation.Platform { return attestation.PlatformTDX }

// Collect implements [attestation.Collector]: a quote over d, and a log that leads to its registers.
func (c *Collector) Collect(ctx context.Context, d envelope.Digest) (attestation.Evidence, error) {
	if d.IsZero() {
		return attestation.Evidence{}, fmt.Errorf("%w: nothing to bind evidence to", attestation.ErrBinding)
	}
	ends, err := c.endorsements()
	if err != nil {
		return attestation.Evidence{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	for attempt := 1; ; attempt++ {
		raw, q, err := c.quote(ctx, d)
		if err != nil {
			return attestation.Evidence{}, err
		}
		logs, err := c.logsFor(q)
		if err == nil {
			return attestation.Evidence{
				Version: 1, Platform: attestation.PlatformTDX, Evidence: raw, Endorsements: ends, EventLogs: logs,
				Nested: []attestation.Nested{},
			}, nil
		}
		if attempt == logAttempts {
			return attestation.Evidence{}, err
		}
		select {
		case <-ctx.Done():
			return attestation.Evidence{}, context.Cause(ctx)
		case <-time.After(pause):
		}
	}
}

// quote asks for one and checks that it is what was asked for.
func (c *Collector) quote(ctx context.Context, d envelope.Digest) ([]byte, *quote.Quote, error) {
	want := attestation.ReportData(d)
	_, out, _, err := c.reports.Report(ctx, want)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrQuote, err)
	}
	raw, err := quote.Cut(out)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrQuote, err)
	}
	q, err := quote.Parse(raw)
	switch {
	case err != nil:
		return nil, nil, fmt.Errorf("%w: %w", ErrQuote, err)
	case !bytes.Equal(q.TD.ReportData, want[:]):
		return nil, nil, fmt.Errorf("%w: it is over other report data", ErrQuote)
	}
	return raw, q, nil
}

func (c *Collector) endorsements() ([]attestation.Endorsement, error) {
	if c.cfg.EndorsementsFile == "" {
		return []attestation.Endorsement{}, nil
	}
	return attestation.ReadEndorsements(c.cfg.EndorsementsFile)
}

// logsFor is the log, if one is configured. It must lead to q's registers.
func (c *Collector) logsFor(q *quote.Quote) ([]attestation.EventLog, error) {
	b, err := c.eventLog()
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEventLog, err)
	}
	if b == nil {
		return []attestation.EventLog{}, nil
	}
	l, err := eventlog.ParseCC(b)
	if err == nil {
		err = l.Replay(q.TD.RTMR)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEventLog, err)
	}
	return []attestation.EventLog{{Type: attestation.CCELLog, Body: b}}, nil
}

// eventLog reads the log without the padding behind it; nil if none is configured.
func (c *Collector) eventLog() ([]byte, error) {
	if c.cfg.EventLogFile == "" {
		return nil, nil
	}
	f, err := os.Open(c.cfg.EventLogFile)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, eventlog.MaxArea+1))
	if err != nil {
		return nil, err
	}
	return eventlog.TrimCC(b)
}
