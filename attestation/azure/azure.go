// SPDX-License-Identifier: Apache-2.0

// Package azure collects evidence on Azure's confidential VMs: a quote by the virtual TPM that the paravisor is, and the
// hardware's report on the paravisor, which names the TPM's key.
//
// Trust domain: enclave. Its one job: make the TPM say, over a binding digest, what was booted, and bring the report that
// says why the TPM may be believed. On TDX a quote of that report is made by Azure's metadata service, which is reached
// through package relay since the enclave has no HTTP: the answer authenticates itself. It never met Azure here: its tests
// run against a software TPM that holds what Azure's would. docs/spec/evidence.md is the format.
package azure

import (
	"context"
	"errors"
	"fmt"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/azure/hcl"
	"github.com/glovebox-dev/glovebox/attestation/relay"
	tdxquote "github.com/glovebox-dev/glovebox/attestation/tdx/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Errors of the collector.
var (
	ErrConfig  = errors.New("azure: bad configuration")
	ErrCollect = errors.New("azure: no evidence")
)

// Where Azure leaves what is needed in the TPM.
const (
	ReportIndex = 0x01400001 // the HCL report
	KeyHandle   = 0x81000003 // the attestation key that it names
)

const (
	bodyV4 = 48 // where a TD's report is in a quote of version 4
	bodyV5 = 54
)

// Config says where evidence comes from. There is no default device: touching a TPM is a decision.
type Config struct {
	Platform attestation.Platform // azure-snp or azure-tdx
	Device   string               // /dev/tpmrmN, or "unix:PATH" of a software TPM
	// RelaySocket is where package relay's helper listens; azure-tdx only.
	RelaySocket string
	// EventLogFile is the firmware's log, /sys/kernel/security/tpm0/binary_bios_measurements as a rule; "" to send none.
	EventLogFile string
	// EndorsementsFile has the chip's certificate or Intel's collateral, see [attestation.ReadEndorsements]; "" for none.
	EndorsementsFile string
}

// Collector makes quotes. Safe for concurrent use.
type Collector struct {
	cfg Config
	ask func(ctx context.Context, socket string, kind relay.Kind, body []byte) ([]byte, error)
}

var _ attestation.Collector = (*Collector)(nil)

// Open reads the paravisor's report once, and fails where there is none, or one of other hardware.
func Open(cfg Config) (*Collector, error) {
	switch {
	case cfg.Platform != attestation.PlatformAzureSNP && cfg.Platform != attestation.PlatformAzureTDX:
		return nil, fmt.Errorf("%w: platform %q", ErrConfig, cfg.Platform)
	case (cfg.Platform == attestation.PlatformAzureTDX) != (cfg.RelaySocket != ""):
		return nil, fmt.Errorf("%w: a relay's socket is for azure-tdx, which needs one", ErrConfig)
	}
	c := &Collector{cfg, relay.Ask}
	if _, _, err := c.files(); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	err := tpm.WithVTPM(context.Background(), cfg.Device, func(v *tpm.VTPM) error {
		_, _, err := c.report(v)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrCollect, err)
	}
	return c, nil
}

// Platform implements [attestation.Collector].
func (c *Collector) Platform() attestation.Platform { return c.cfg.Platform }

// Collect implements [attestation.Collector]: report and quote over d, read in one session with the TPM.
func (c *Collector) Collect(ctx context.Context, d envelope.Digest) (attestation.Evidence, error) {
	if d.IsZero() {
		return attestation.Evidence{}, fmt.Errorf("%w: nothing to bind evidence to", attestation.ErrBinding)
	}
	ends, logs, err := c.files()
	if err != nil {
		return attestation.Evidence{}, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	var raw []byte
	var h *hcl.Report
	var q *tpm.Quoted
	err = tpm.WithVTPM(ctx, c.cfg.Device, func(v *tpm.VTPM) (err error) {
		if raw, h, err = c.report(v); err != nil {
			return err
		}
		q, err = v.QuotePersistent(KeyHandle, d)
		return err
	})
	if err == nil {
		err = quote.CheckSignature(h.AK, q.Message, q.Signature)
	}
	if err != nil {
		return attestation.Evidence{}, fmt.Errorf("%w: %w", ErrCollect, err)
	}
	x := hcl.Evidence{HCLReport: raw, PCRs: q.PCRs, Quote: q.Message, Signature: q.Signature}
	if c.cfg.Platform == attestation.PlatformAzureTDX {
		if x.TDQuote, err = c.tdQuote(ctx, h); err != nil {
			return attestation.Evidence{}, fmt.Errorf("%w: %w", ErrCollect, err)
		}
	}
	body, err := x.Encode()
	if err != nil {
		return attestation.Evidence{}, err
	}
	return attestation.Evidence{
		Version: 1, Platform: c.cfg.Platform, Evidence: body, Endorsements: ends, EventLogs: logs, Nested: []attestation.Nested{},
	}, nil
}

// report is the HCL report, as it is and parsed, of the platform's hardware.
func (c *Collector) report(v *tpm.VTPM) ([]byte, *hcl.Report, error) {
	raw, err := v.ReadIndex(ReportIndex)
	if err != nil {
		return nil, nil, fmt.Errorf("%w; is this a confidential VM on Azure?", err)
	}
	h, err := hcl.Parse(raw)
	if err != nil {
		return nil, nil, err
	}
	if want := map[attestation.Platform]hcl.Kind{attestation.PlatformAzureSNP: hcl.SNP, attestation.PlatformAzureTDX: hcl.TDX}[c.cfg.Platform]; h.Kind != want {
		return nil, nil, fmt.Errorf("%w: this VM is under %s, not %s", ErrConfig, h.Kind, want)
	}
	return raw, h, nil
}

// tdQuote has the TD report turned into a quote, and checks that the quote is of that report.
func (c *Collector) tdQuote(ctx context.Context, h *hcl.Report) ([]byte, error) {
	out, err := c.ask(ctx, c.cfg.RelaySocket, relay.KindAzureTDQuote, h.Hardware)
	if err != nil {
		return nil, err
	}
	if out, err = tdxquote.Cut(out); err != nil {
		return nil, err
	}
	q, err := tdxquote.Parse(out)
	if err != nil {
		return nil, err
	}
	start := bodyV4
	if q.Version != 4 {
		start = bodyV5
	}
	return out, hcl.CheckTDReport(h.Hardware, q.Signed[start:])
}

// files are read anew each time: endorsements expire while an enclave runs, and the launcher adds to the log.
func (c *Collector) files() (ends []attestation.Endorsement, logs []attestation.EventLog, err error) {
	ends, logs = []attestation.Endorsement{}, []attestation.EventLog{}
	if c.cfg.EndorsementsFile != "" {
		if ends, err = attestation.ReadEndorsements(c.cfg.EndorsementsFile); err != nil {
			return nil, nil, err
		}
	}
	if c.cfg.EventLogFile == "" {
		return ends, logs, nil
	}
	b, err := tpm.ReadEventLog(c.cfg.EventLogFile)
	if err != nil {
		return nil, nil, err
	}
	return ends, []attestation.EventLog{{Type: attestation.TCG2Log, Body: b}}, nil
}
