// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"context"
	"errors"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/azure"
	"github.com/glovebox-dev/glovebox/attestation/azure/hcl"
	"github.com/glovebox-dev/glovebox/attestation/azure/verify"
	"github.com/glovebox-dev/glovebox/attestation/tpm"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// relog keeps the events of a log that keep says, and adds one.
func relog(t *testing.T, log []byte, keep func(eventlog.Event) bool, more ...eventlog.Event) []byte {
	t.Helper()
	l, err := eventlog.Parse(log)
	if err != nil {
		t.Fatal(err)
	}
	b := eventlog.Header()
	for _, e := range append(l.Events, more...) {
		if !keep(e) {
			continue
		}
		if b, err = eventlog.Append(b, e); err != nil {
			t.Fatal(err)
		}
	}
	return b
}

// TestUnquotedEnclaveIsNotBelieved: the launcher's register is not among the quoted ones, and the host's log claims an
// enclave that others trust.
func TestUnquotedEnclaveIsNotBelieved(t *testing.T) {
	for _, p := range platforms() {
		s := newScenario(t, p)
		v := s.verifier(t)
		s.vm.Select = []uint{0, 1, 2, 3, 4, 5, 6, 7}
		s.quote(t)
		trusted := eventlog.Event{PCR: quote.EnclavePCR, Type: eventlog.IPL, Digest: envelope.Sum([]byte("trusted")), Data: []byte(eventlog.EnclaveEvent)}
		s.e.EventLogs[0].Body = relog(t, s.vm.Log, func(e eventlog.Event) bool { return e.PCR != quote.EnclavePCR || e.Digest == trusted.Digest }, trusted)
		r, err := s.authenticate(t)
		if err != nil {
			t.Fatal(err)
		}
		if m, ok := r.Measurements["enclave"]; ok {
			t.Errorf("%s: enclave %s", p, m)
		}
		if _, err := v.Verify(t.Context(), s.raw(t), s.now); !errors.Is(err, attestation.ErrAppraise) {
			t.Errorf("%s: verified: %v", p, err)
		}
	}
}

// required pins what every reference value must, and no more.
func required(t *testing.T, s *scenario) (*attestation.Verifier, error) {
	t.Helper()
	r, err := s.authenticate(t)
	if err != nil {
		t.Fatal(err)
	}
	pins := map[string]string{}
	for _, m := range attestation.Required(s.platform) {
		pins[m] = r.Measurements[m]
	}
	p := attestation.DefaultPolicy()
	p.TDX.UnsafeWithoutSEPTVE = true
	return attestation.NewVerifier(&attestation.Reference{Version: 1, NotAfter: s.now + 3600, Policy: p, Values: []attestation.ReferenceValue{
		{Name: "test", Platform: s.platform, Measurements: pins},
	}}, s.format(t))
}

// TestOtherCodeInAnyRegister: what must be pinned covers every register that code is measured into.
func TestOtherCodeInAnyRegister(t *testing.T) {
	for _, p := range platforms() {
		for _, pcr := range []int{2, 4, 7, 8, 9, 11, 12, 13, 14} {
			s := newScenario(t, p)
			v, err := required(t, s)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v.Verify(t.Context(), s.raw(t), s.now); err != nil {
				t.Fatalf("%s: before: %v", p, err)
			}
			s.vm.Measure(t, pcr, 4, []byte("other code"))
			s.quote(t)
			if _, err := v.Verify(t.Context(), s.raw(t), s.now); !errors.Is(err, attestation.ErrAppraise) {
				t.Errorf("%s: PCR %d: %v", p, pcr, err)
			}
		}
	}
}

// TestNoLauncherIsNoReference: a machine on which no enclave was measured is authentic, but nobody's reference value.
func TestNoLauncherIsNoReference(t *testing.T) {
	for _, p := range platforms() {
		s := newScenario(t, p)
		s.vm.Log = relog(t, s.vm.Log, func(e eventlog.Event) bool { return e.PCR < 8 })
		for i := 8; i < 16; i++ {
			s.vm.PCRs[i] = [32]byte{}
		}
		s.quote(t)
		if _, err := required(t, s); !errors.Is(err, attestation.ErrReference) {
			t.Errorf("%s: %v", p, err)
		}
	}
}

// weaker is hardware's verifier that authenticates, but not as confidential hardware.
type weaker struct {
	*fakeSNP
	assurance attestation.Assurance
}

func (w weaker) Authenticate(ctx context.Context, e *attestation.Evidence, now int64) (*attestation.Report, error) {
	r, err := w.fakeSNP.Authenticate(ctx, e, now)
	r.Assurance = w.assurance
	return r, err
}

// TestHardwareMustBeConfidential: this platform's assurance is the hardware's, and never better than it.
func TestHardwareMustBeConfidential(t *testing.T) {
	s := newScenario(t, attestation.PlatformAzureSNP)
	for _, a := range []attestation.Assurance{"", attestation.AssuranceSimulated, attestation.AssuranceTPM, attestation.AssuranceTEE} {
		f, err := verify.NewTestOnlyFormat(s.platform, weaker{&fakeSNP{s.line}, a})
		if err != nil {
			t.Fatal(err)
		}
		r, err := f.Authenticate(t.Context(), s.evidence(t), s.now)
		if good := a == attestation.AssuranceTEE; (err == nil) != good || (!good && (!errors.Is(err, verify.ErrHardware) || r.Assurance != "")) {
			t.Errorf("%q: %v", a, err)
		}
	}
}

// TestTDReportFields: each field of the TD report that a quote repeats is compared, in a report that hashes to what it says.
func TestTDReportFields(t *testing.T) {
	s := newScenario(t, attestation.PlatformAzureTDX)
	body := s.vendor.Body
	if err := hcl.CheckTDReport(tdReport(body), body); err != nil {
		t.Fatal(err)
	}
	for at := range 584 {
		other := append([]byte(nil), body...)
		other[at] ^= 1
		if err := hcl.CheckTDReport(tdReport(body), other); !errors.Is(err, hcl.ErrMalformed) {
			t.Errorf("byte %d of the quote's body differs: %v", at, err)
		}
		if err := hcl.CheckTDReport(tdReport(other), body); !errors.Is(err, hcl.ErrMalformed) {
			t.Errorf("byte %d of the TD report differs: %v", at, err)
		}
	}
}

// TestCollectorSendsNoOtherFile: the host's configuration names the file and the host gets the evidence.
func TestCollectorSendsNoOtherFile(t *testing.T) {
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	secret := write(t, "key", []byte("-----BEGIN PRIVATE KEY-----\nthe enclave's\n-----END PRIVATE KEY-----\n"))
	for _, file := range []string{"/etc/passwd", "/proc/self/environ", secret, fifo, t.TempDir()} {
		_, err := azure.Open(azure.Config{Platform: attestation.PlatformAzureSNP, Device: "unix:/nowhere", EventLogFile: file})
		if !errors.Is(err, azure.ErrConfig) || !errors.Is(err, tpm.ErrConfig) {
			t.Errorf("%s: opened: %v", file, err)
		}
	}
}
