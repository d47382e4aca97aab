// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/x509"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/gce"
	"github.com/glovebox-dev/glovebox/attestation/tpm"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/swtpm/swtpmtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/tpmtest"
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
	s := newScenario(t, eccKey())
	v := s.verifier(t)
	s.vm.Select = []uint{0, 1, 2, 3, 4, 5, 6, 7}
	s.quote(t)
	trusted := eventlog.Event{PCR: quote.EnclavePCR, Type: eventlog.IPL, Digest: envelope.Sum([]byte("trusted")), Data: []byte(eventlog.EnclaveEvent)}
	s.e.EventLogs[0].Body = relog(t, s.vm.Log, func(e eventlog.Event) bool { return e.PCR != quote.EnclavePCR || e.Digest == trusted.Digest }, trusted)
	r, err := s.format(t).Authenticate(t.Context(), s.evidence(t), now)
	if err != nil {
		t.Fatal(err)
	}
	if m, ok := r.Measurements["enclave"]; ok {
		t.Errorf("enclave %s", m)
	}
	if _, err := v.Verify(t.Context(), s.raw(t), now); !errors.Is(err, attestation.ErrAppraise) {
		t.Errorf("verified: %v", err)
	}
}

// required is a verifier that pins what every reference value must, and no more.
func required(t *testing.T, s *scenario) (*attestation.Verifier, error) {
	t.Helper()
	all, pins := s.vm.Values(), map[string]string{}
	for _, m := range attestation.Required(attestation.PlatformGCE) {
		pins[m] = all[m]
	}
	return attestation.NewVerifier(&attestation.Reference{Version: 1, NotAfter: now + 3600, Values: []attestation.ReferenceValue{
		{Name: "test", Platform: attestation.PlatformGCE, Measurements: pins},
	}}, s.format(t))
}

// TestOtherCodeInAnyRegister: what must be pinned covers every register that code is measured into.
func TestOtherCodeInAnyRegister(t *testing.T) {
	for _, pcr := range []int{0, 2, 4, 7, 8, 9, 11, 12, 13, 14} {
		s := newScenario(t, eccKey())
		v, err := required(t, s)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := v.Verify(t.Context(), s.raw(t), now); err != nil {
			t.Fatalf("before: %v", err)
		}
		s.vm.Measure(t, pcr, 4, []byte("other code"))
		s.quote(t)
		if _, err := v.Verify(t.Context(), s.raw(t), now); !errors.Is(err, attestation.ErrAppraise) {
			t.Errorf("PCR %d: %v", pcr, err)
		}
	}
}

// TestNoLauncherIsNoReference: a machine on which no enclave was measured is authentic, but nobody's reference value.
func TestNoLauncherIsNoReference(t *testing.T) {
	s := newScenario(t, eccKey())
	s.vm.Log = relog(t, s.vm.Log, func(e eventlog.Event) bool { return e.PCR < 8 })
	for i := 8; i < 16; i++ {
		s.vm.PCRs[i] = [32]byte{}
	}
	s.quote(t)
	if _, err := s.format(t).Authenticate(t.Context(), s.evidence(t), now); err != nil {
		t.Fatal(err)
	}
	if _, err := required(t, s); !errors.Is(err, attestation.ErrReference) {
		t.Errorf("got %v", err)
	}
}

// TestCertificateWithoutKeyIdentifier: the issuer is found by its name alone, and by its key's identifier where the
// certificate gives one, whatever else has that name.
func TestCertificateWithoutKeyIdentifier(t *testing.T) {
	s := newScenario(t, eccKey())
	nameless, anonymous := *s.ca, *s.ca.inter
	anonymous.SubjectKeyId = nil // so that what it signs has no identifier of it
	nameless.inter = &anonymous
	with, without := s.x.AKCertificate, nameless.certify(t, s.vm.Key.Public(), nil).Raw
	namesake := caTemplate("EK/AK CA Intermediate mine", 7)
	namesake.SubjectKeyId = []byte("another key")
	decoy := create(t, namesake, s.ca.root, tpmtest.ECCKey("namesake").Public(), s.ca.rootKey)
	first := append([]attestation.Endorsement{{Type: attestation.CertificateType, Body: decoy.Raw}}, s.ca.endorsements()...)
	if c, err := x509.ParseCertificate(without); err != nil || len(c.AuthorityKeyId) != 0 {
		t.Fatalf("%v: identifier %x", err, c.AuthorityKeyId)
	}
	for name, x := range map[string]struct {
		cert []byte
		list []attestation.Endorsement
		ok   bool
	}{
		"without":               {without, s.ca.endorsements(), true},
		"with, and a namesake":  {with, first, true},
		"without, and namesake": {without, first, false}, // one chain is tried
	} {
		s.x.AKCertificate, s.e.Endorsements = x.cert, x.list
		if _, err := s.format(t).Authenticate(t.Context(), s.evidence(t), now); (err == nil) != x.ok {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestCollectorSendsNoOtherFile: the host's configuration names the file and the host gets the evidence.
func TestCollectorSendsNoOtherFile(t *testing.T) {
	i := swtpmtest.Start(t)
	s := newScenario(t, eccKey())
	key, err := quote.CheckCloudAK(swtpmtest.Key(t, i, tpmtest.RSATemplate(), 0))
	if err != nil {
		t.Fatal(err)
	}
	swtpmtest.WriteIndex(t, i, gce.TemplateRSA, tpm2.Marshal(tpmtest.RSATemplate()))
	swtpmtest.WriteIndex(t, i, gce.CertificateRSA, s.ca.certify(t, key.Public, nil).Raw)
	fifo := filepath.Join(t.TempDir(), "fifo")
	if err := syscall.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	secret := write(t, "key", []byte("-----BEGIN PRIVATE KEY-----\nthe enclave's\n-----END PRIVATE KEY-----\n"))
	others := []string{"/etc/passwd", "/proc/self/environ", secret, fifo, t.TempDir()}
	for _, file := range others {
		if _, err := gce.Open(gce.Config{Device: i.Device(), EventLogFile: file}); !errors.Is(err, gce.ErrConfig) || !errors.Is(err, tpm.ErrConfig) {
			t.Errorf("%s: opened: %v", file, err)
		}
	}
	log := write(t, "log", s.vm.Log)
	c, err := gce.Open(gce.Config{Device: i.Device(), EventLogFile: log})
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range [][]byte{[]byte("root:x:0:0"), slices.Concat(s.vm.Log, []byte("secret"))} { // the file changes after Open
		if err := os.WriteFile(log, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if e, err := c.Collect(t.Context(), s.digest(t)); !errors.Is(err, gce.ErrConfig) || len(e.EventLogs) != 0 {
			t.Errorf("collected: %v", err)
		}
	}
}
