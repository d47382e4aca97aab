// SPDX-License-Identifier: Apache-2.0

package gpu

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/gpu/gputest"
	"github.com/glovebox-dev/glovebox/attestation/gpu/spdm"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// fake is a driver with GPUs, which a test may have misbehave.
type fake struct {
	vendor *gputest.Vendor
	gpus   int
	edit   func(r *report)
	err    error
}

func (f *fake) reports(nonce [spdm.NonceSize]byte) ([]report, error) {
	var out []report
	for range f.gpus {
		r := report{report: f.vendor.Sign(gputest.NewReport(nonce))}
		for _, c := range gputest.Certs(f.vendor.Device) {
			r.certs = append(r.certs, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c})...)
		}
		if f.edit != nil {
			f.edit(&r)
		}
		out = append(out, r)
	}
	return out, f.err
}

type machine struct{ err error }

func (machine) Platform() attestation.Platform { return attestation.PlatformSNP }

func (m machine) Collect(_ context.Context, d envelope.Digest) (attestation.Evidence, error) {
	return attestation.Evidence{Version: 1, Platform: attestation.PlatformSNP, Evidence: d[:]}, m.err
}

func collector(t *testing.T, f *fake, cfg Config) *Collector {
	t.Helper()
	if f.vendor == nil {
		f.vendor = gputest.New(gputest.Options{})
	}
	c, err := newCollector(cfg, f)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCollect(t *testing.T) {
	d, path := envelope.Sum([]byte("d")), filepath.Join(t.TempDir(), "endorsements")
	write := func(typ string) {
		b, err := json.Marshal([]attestation.Endorsement{{Type: typ, Body: []byte("x")}})
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write(attestation.DriverRIMType)
	n := Nest(machine{}, collector(t, &fake{gpus: 2, edit: func(r *report) { r.report = append(r.report, 0) }}, Config{path}))
	write(attestation.VBIOSRIMType) // a newer file is read at the next collection
	e, err := n.Collect(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	if n.Platform() != attestation.PlatformSNP || len(e.Nested) != 2 {
		t.Fatalf("%s with %d nested", n.Platform(), len(e.Nested))
	}
	for _, x := range e.Nested {
		r, err := spdm.Parse(x.Evidence)
		if err != nil || r.Nonce != attestation.NestedDigest(d) || x.Platform != attestation.PlatformGPU {
			t.Errorf("%v", err)
		}
		if len(x.Endorsements) != 2 || x.Endorsements[0].Type != attestation.ChainType || x.Endorsements[1].Type != attestation.VBIOSRIMType {
			t.Errorf("%+v", x.Endorsements)
		}
	}
}

func TestCollectRefuses(t *testing.T) {
	d := envelope.Sum([]byte("d"))
	for name, f := range map[string]*fake{
		"no GPU":              {},
		"too many":            {gpus: 5},
		"driver fails":        {gpus: 1, err: ErrDevice},
		"answers another":     {gpus: 1, edit: func(r *report) { r.report[5] ^= 1 }},
		"is cut off":          {gpus: 1, edit: func(r *report) { r.report = r.report[:100] }},
		"is empty":            {gpus: 1, edit: func(r *report) { r.report = nil }},
		"without a chain":     {gpus: 1, edit: func(r *report) { r.certs = nil }},
		"with a vast chain":   {gpus: 1, edit: func(r *report) { r.certs = make([]byte, maxChain+1) }},
		"has a byte too many": {gpus: 1, edit: func(r *report) { r.report = append(r.report, 1) }},
	} {
		if _, err := collector(t, f, Config{}).Collect(t.Context(), d); !errors.Is(err, ErrDevice) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := Nest(machine{}, collector(t, f, Config{})).Collect(t.Context(), d); !errors.Is(err, ErrDevice) {
			t.Errorf("nested, %s: %v", name, err)
		}
	}
	good := collector(t, &fake{gpus: 1}, Config{})
	if _, err := good.Collect(t.Context(), envelope.Digest{}); !errors.Is(err, attestation.ErrBinding) {
		t.Errorf("bound to nothing: %v", err)
	}
	if _, err := Nest(machine{ErrDevice}, good).Collect(t.Context(), d); !errors.Is(err, ErrDevice) {
		t.Errorf("machine fails: %v", err)
	}
	if _, err := newCollector(Config{"/nowhere"}, &fake{}); !errors.Is(err, ErrConfig) {
		t.Errorf("no file: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := good.Collect(ctx, d); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// TestOpenRefuses: there is no GPU here, and builds without NVML say so.
func TestOpenRefuses(t *testing.T) {
	if _, err := Open(Config{}); !errors.Is(err, ErrConfig) && !errors.Is(err, ErrDevice) {
		t.Errorf("got %v", err)
	}
}

func TestConcurrent(t *testing.T) {
	c := collector(t, &fake{gpus: 1}, Config{})
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			d := envelope.Sum([]byte{byte(i)})
			n, err := c.Collect(t.Context(), d)
			if err != nil {
				t.Error(err)
				return
			}
			if r, err := spdm.Parse(n[0].Evidence); err != nil || r.Nonce != attestation.NestedDigest(d) {
				t.Error("another goroutine's report", err)
			}
		})
	}
	wg.Wait()
}
