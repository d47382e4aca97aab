// SPDX-License-Identifier: Apache-2.0

package tdx

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/tdx/quote"
	"github.com/glovebox-dev/glovebox/attestation/tdx/tdxtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/attestation/tsm"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// kernel is a fake of [tsm.Reports]: it hands quotes over in a padded buffer, as kernels do.
type kernel struct {
	change func(td *tdxtest.TD) // of what the quote says
	raw    []byte               // instead of a quote
	err    error
	asked  int
	mu     sync.Mutex
}

func (k *kernel) Report(_ context.Context, reportData [64]byte) (string, []byte, []byte, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.asked++
	if k.err != nil || k.raw != nil {
		return tsm.ProviderTDX, k.raw, nil, k.err
	}
	td := tdxtest.New(4, 2, reportData)
	if k.change != nil {
		k.change(td)
	}
	return tsm.ProviderTDX, append(tdxtest.Quote(td.Signed(), []byte("signature data")), make([]byte, 3000)...), nil, nil
}

func write(t *testing.T, b []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func padded(log []byte) []byte { return append(bytes.Clone(log), bytes.Repeat([]byte{0xff}, 1<<16)...) }

func digest(t *testing.T) envelope.Digest {
	t.Helper()
	b := attestationtest.Binding(t, "tdx")
	d, err := b.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestCollect(t *testing.T) {
	log := tdxtest.New(4, 2, [64]byte{}).Log
	ends, err := json.Marshal([]attestation.Endorsement{{Type: attestation.TCBInfoType, Body: []byte("{}")}})
	if err != nil {
		t.Fatal(err)
	}
	for name, cfg := range map[string]Config{
		"all":             {EventLogFile: write(t, padded(log)), EndorsementsFile: write(t, ends)},
		"nothing besides": {},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := open(cfg, &kernel{})
			if err != nil {
				t.Fatal(err)
			}
			d := digest(t)
			e, err := c.Collect(t.Context(), d)
			if err != nil {
				t.Fatal(err)
			}
			q, err := quote.Parse(e.Evidence)
			if err != nil || attestation.CheckReportData(q.TD.ReportData, d) != nil {
				t.Errorf("quote: %v", err)
			}
			if all := cfg.EventLogFile != ""; all != (len(e.EventLogs) == 1) || all != (len(e.Endorsements) == 1) {
				t.Errorf("%d logs, %d endorsements", len(e.EventLogs), len(e.Endorsements))
			} else if all && !bytes.Equal(e.EventLogs[0].Body, log) {
				t.Error("log is not without its padding")
			}
			e.Claims = attestationtest.Binding(t, "tdx")
			raw, err := e.Encode()
			if err != nil {
				t.Fatal(err)
			}
			if _, err := attestation.ParseEvidence(raw); err != nil || e.Platform != c.Platform() {
				t.Errorf("envelope: %v", err)
			}
		})
	}
}

func TestCollectRefuses(t *testing.T) {
	log := tdxtest.New(4, 2, [64]byte{}).Log
	other := func(td *tdxtest.TD) { td.Measure(3, "an application") }
	for name, c := range map[string]struct {
		k    *kernel
		cfg  Config
		want error
	}{
		"kernel fails":             {&kernel{err: tsm.ErrReport}, Config{}, tsm.ErrReport},
		"not a quote":              {&kernel{raw: []byte("quote")}, Config{}, quote.ErrQuote},
		"an SGX quote":             {&kernel{raw: append([]byte{3, 0, 2, 0}, make([]byte, 1000)...)}, Config{}, quote.ErrUnsupported},
		"quote over other data":    {&kernel{change: func(td *tdxtest.TD) { td.ReportData[63] = 1 }}, Config{}, ErrQuote},
		"log of another boot":      {&kernel{change: other}, Config{EventLogFile: write(t, padded(log))}, eventlog.ErrReplay},
		"log without leading here": {&kernel{change: other}, Config{EventLogFile: write(t, padded(log))}, ErrEventLog},
	} {
		c2, err := open(c.cfg, c.k)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c2.Collect(t.Context(), digest(t)); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	c, err := open(Config{}, &kernel{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Collect(t.Context(), envelope.Digest{}); !errors.Is(err, attestation.ErrBinding) {
		t.Errorf("nothing to bind: %v", err)
	}
}

// TestMeasuredMeanwhile: something is measured between quote and log; the next quote has it.
func TestMeasuredMeanwhile(t *testing.T) {
	td := tdxtest.New(4, 2, [64]byte{})
	td.Measure(3, "an application")
	k := &kernel{}
	k.change = func(td *tdxtest.TD) {
		if k.asked > 1 {
			td.Measure(3, "an application")
		}
	}
	c, err := open(Config{EventLogFile: write(t, padded(td.Log))}, k)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := c.Collect(t.Context(), digest(t)); err != nil || len(e.EventLogs) != 1 || k.asked != 2 {
		t.Errorf("asked %d times: %v", k.asked, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	k.change, k.asked = nil, 0
	if _, err := c.Collect(ctx, digest(t)); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestOpenRefuses(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	for name, cfg := range map[string]Config{
		"no log":            {EventLogFile: missing},
		"empty log":         {EventLogFile: write(t, eventlog.CCHeader())},
		"log of a TPM":      {EventLogFile: write(t, eventlog.Header())},
		"log without end":   {EventLogFile: write(t, make([]byte, eventlog.MaxArea+1))},
		"no endorsements":   {EndorsementsFile: missing},
		"bad endorsements":  {EndorsementsFile: write(t, []byte("{}"))},
		"zero endorsements": {EndorsementsFile: write(t, []byte("[]"))},
	} {
		if _, err := open(cfg, &kernel{}); !errors.Is(err, ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestOpenHere: a machine without TDX is refused, never stood in for.
func TestOpenHere(t *testing.T) {
	if _, err := os.Stat("/sys/kernel/config/tsm/report"); err == nil {
		t.Skip("this machine makes reports")
	}
	if _, err := Open(Config{}); !errors.Is(err, tsm.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

func TestConcurrent(t *testing.T) {
	c, err := open(Config{EventLogFile: write(t, tdxtest.New(4, 2, [64]byte{}).Log)}, &kernel{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if _, err := c.Collect(t.Context(), digest(t)); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}
