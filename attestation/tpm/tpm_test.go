// SPDX-License-Identifier: Apache-2.0

package tpm_test

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/tpm"
	"github.com/glovebox-dev/glovebox/attestation/tpm/swtpm"
	"github.com/glovebox-dev/glovebox/attestation/tpm/swtpm/swtpmtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/verify"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// bench is one software TPM with a measured "enclave", a collector and a broker that enrols.
type bench struct {
	tpm       *swtpm.Instance
	collector *tpm.Collector
	broker    *envelope.Signer
	enroller  *verify.Enroller
	enclave   envelope.Digest
	now       time.Time
}

func newBench(t *testing.T) *bench {
	t.Helper()
	b := &bench{tpm: swtpmtest.Start(t), now: time.Now()}
	binary := filepath.Join(t.TempDir(), "glovebox-enclave")
	if err := os.WriteFile(binary, []byte("an enclave binary"), 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	if b.enclave, err = b.tpm.MeasureFile(t.Context(), binary); err != nil {
		t.Fatal(err)
	}
	b.collector = openCollector(t, b.tpm)
	b.broker = newBroker(t)
	b.enroller = newEnroller(t, b.tpm, b.broker)
	return b
}

func openCollector(t *testing.T, i *swtpm.Instance) *tpm.Collector {
	t.Helper()
	c, err := tpm.Open(tpm.Config{Device: i.Device(), EKCertFile: i.EKCertFile, EventLogFile: i.EventLogFile})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func newBroker(t *testing.T) *envelope.Signer {
	t.Helper()
	s, err := envelope.GenerateSigner(envelope.RoleBroker)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func newEnroller(t *testing.T, i *swtpm.Instance, broker *envelope.Signer) *verify.Enroller {
	t.Helper()
	e, err := verify.NewEnroller(verify.EnrollerConfig{
		Roots: []verify.EKRoot{{Cert: caOf(t, i), Assurance: attestation.AssuranceSoftwareTPM}}, Signer: broker,
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func caOf(t *testing.T, i *swtpm.Instance) *x509.Certificate {
	t.Helper()
	b, err := os.ReadFile(i.CAFile)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(b)
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func (b *bench) enrol(t *testing.T) {
	t.Helper()
	reply, err := b.enroller.Begin(b.collector.EnrollRequest(), b.now)
	if err != nil {
		t.Fatal(err)
	}
	activate, err := b.collector.Activate(reply)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := b.enroller.Finish(activate, b.now)
	if err != nil {
		t.Fatal(err)
	}
	if err := b.collector.AddEndorsement(b.broker.Public(), signed); err != nil {
		t.Fatal(err)
	}
}

// evidence collects over binding and encodes.
func (b *bench) evidence(t *testing.T, binding attestation.Binding) []byte {
	t.Helper()
	d, err := binding.Digest()
	if err != nil {
		t.Fatal(err)
	}
	e, err := b.collector.Collect(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	e.Claims = binding
	raw, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// verifier pins what the TPM measured now.
func (b *bench) verifier(t *testing.T) *attestation.Verifier {
	t.Helper()
	m, err := tpm.ReadMeasurements(t.Context(), b.tpm.Device())
	if err != nil {
		t.Fatal(err)
	}
	m["enclave"] = b.enclave.Hex()
	f, err := verify.NewFormat(verify.Config{Brokers: []envelope.PublicKey{b.broker.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	v, err := attestation.NewVerifier(&attestation.Reference{
		Version: 1, NotAfter: b.now.Add(time.Hour).Unix(),
		Values: []attestation.ReferenceValue{{Name: "test", Platform: attestation.PlatformTPM, Measurements: m}},
	}, f)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func newBinding(t *testing.T) attestation.Binding {
	t.Helper()
	key := func() envelope.PublicKey { return newBroker(t).Public() }
	digest := func() envelope.Digest { return envelope.Digest(envelope.NewNonce()) }
	hpke := make([]byte, 1216)
	if _, err := rand.Read(hpke); err != nil {
		t.Fatal(err)
	}
	return attestation.Binding{
		Owners: []attestation.Owner{
			{Audience: key(), Nonce: envelope.NewNonce(), Manifest: digest()},
			{Audience: key(), Nonce: envelope.NewNonce(), Manifest: digest()},
		},
		HPKEKey: hpke, SigningKey: key(), LeaseID: envelope.NewNonce(), Job: digest(), Runtime: "wasm/1",
		Configuration: digest(), SelfTest: digest(), Engine: digest(),
	}
}

func TestWholeLine(t *testing.T) {
	b := newBench(t)
	if _, err := b.collector.Collect(t.Context(), envelope.Digest(envelope.NewNonce())); !errors.Is(err, tpm.ErrUnendorsed) {
		t.Fatalf("evidence before any endorsement: %v", err)
	}
	b.enrol(t)
	binding := newBinding(t)
	claims, err := b.verifier(t).Verify(t.Context(), b.evidence(t, binding), b.now.Unix())
	if err != nil {
		t.Fatal(err)
	}
	d, _ := binding.Digest()
	if claims.Assurance() != attestation.AssuranceSoftwareTPM || claims.Bound() != d {
		t.Errorf("claims: %s over %s", claims.Assurance(), claims.Bound())
	}
	if got := claims.Measurements()["enclave"]; got != b.enclave.Hex() {
		t.Errorf("enclave measured as %q", got)
	}
}

// TestOtherCodeMeasured: anything extended after the pinned state makes another PCR 14.
func TestOtherCodeMeasured(t *testing.T) {
	b := newBench(t)
	b.enrol(t)
	v := b.verifier(t)
	other := filepath.Join(t.TempDir(), "other")
	if err := os.WriteFile(other, []byte("another binary"), 0o700); err != nil {
		t.Fatal(err)
	}
	if _, err := b.tpm.MeasureFile(t.Context(), other); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Verify(t.Context(), b.evidence(t, newBinding(t)), b.now.Unix()); !errors.Is(err, attestation.ErrAppraise) {
		t.Errorf("got %v", err)
	}
}

// TestHostExtendsUnlogged: the log no longer leads to the quoted register.
func TestHostExtendsUnlogged(t *testing.T) {
	b := newBench(t)
	b.enrol(t)
	for _, pcr := range []int{7, 14} {
		if err := tpm.Extend(t.Context(), b.tpm.Device(), pcr, b.enclave); err != nil {
			t.Fatal(err)
		}
		if _, err := b.verifier(t).Verify(t.Context(), b.evidence(t, newBinding(t)), b.now.Unix()); !errors.Is(err, verify.ErrLog) {
			t.Errorf("PCR %d: got %v", pcr, err)
		}
	}
}

// TestEvidenceOfAnotherEnclave: an endorsement of one TPM's key does not serve another TPM.
func TestEvidenceOfAnotherEnclave(t *testing.T) {
	a, b := newBench(t), newBench(t)
	a.enrol(t)
	signed := endorsementOf(t, a)
	if err := b.collector.AddEndorsement(a.broker.Public(), signed); !errors.Is(err, tpm.ErrEnrolment) {
		t.Errorf("collector took a foreign endorsement: %v", err)
	}
	b.broker, b.enroller = a.broker, newEnroller(t, b.tpm, a.broker)
	b.enrol(t)
	e, err := attestation.ParseEvidence(b.evidence(t, newBinding(t)))
	if err != nil {
		t.Fatal(err)
	}
	e.Endorsements[0].Body = signed
	raw, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.verifier(t).Verify(t.Context(), raw, b.now.Unix()); !errors.Is(err, verify.ErrOtherKey) {
		t.Errorf("got %v", err)
	}
}

func endorsementOf(t *testing.T, b *bench) []byte {
	t.Helper()
	e, err := b.collector.Collect(t.Context(), envelope.Digest(envelope.NewNonce()))
	if err != nil {
		t.Fatal(err)
	}
	return e.Endorsements[0].Body
}

// TestEKOfAnotherTPM: a genuine certificate beside another TPM's keys does not enrol, nor does a genuine pair beside
// another TPM's attestation key.
func TestEKOfAnotherTPM(t *testing.T) {
	a, b := newBench(t), newBench(t)
	mixed := a.collector.EnrollRequest()
	mixed.EKPublic = b.collector.EnrollRequest().EKPublic
	if _, err := a.enroller.Begin(mixed, a.now); !errors.Is(err, verify.ErrEK) {
		t.Errorf("certificate and key of two TPMs: %v", err)
	}
	if _, err := a.enroller.Begin(b.collector.EnrollRequest(), a.now); !errors.Is(err, verify.ErrEKCert) {
		t.Errorf("certificate of another CA: %v", err)
	}
	mixed = a.collector.EnrollRequest()
	mixed.AKPublic = b.collector.EnrollRequest().AKPublic
	reply, err := a.enroller.Begin(mixed, a.now)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]*tpm.Collector{"TPM of the EK": a.collector, "TPM of the AK": b.collector} {
		if _, err := c.Activate(reply); !errors.Is(err, tpm.ErrEnrolment) {
			t.Errorf("%s opened a credential for two TPMs: %v", name, err)
		}
	}
}

// TestTransientSlots: a TPM has three; more operations than that must not exhaust them.
func TestTransientSlots(t *testing.T) {
	b := newBench(t)
	for range 5 {
		b.enrol(t)
		b.evidence(t, newBinding(t))
	}
}

// TestClientWaits: a software TPM serves one client; a second waits, and its context ends the waiting.
func TestClientWaits(t *testing.T) {
	b := newBench(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tpm.ReadMeasurements(ctx, b.tpm.Device()); !errors.Is(err, tpm.ErrDevice) {
		t.Errorf("got %v", err)
	}
	if _, err := tpm.ReadMeasurements(t.Context(), b.tpm.Device()); err != nil {
		t.Errorf("after a cancelled client: %v", err)
	}
}

func TestActivateRefusesRubbish(t *testing.T) {
	b := newBench(t)
	for name, r := range map[string]grant.EnrollReply{
		"empty":     {},
		"no secret": {Token: envelope.NewNonce(), Credential: []byte{1}},
		"oversized": {Token: envelope.NewNonce(), Credential: make([]byte, 4096), Secret: []byte{1}},
		"rubbish":   {Token: envelope.NewNonce(), Credential: make([]byte, 64), Secret: make([]byte, 64)},
	} {
		if _, err := b.collector.Activate(r); !errors.Is(err, tpm.ErrEnrolment) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestRestart: keys and certificate survive, the registers begin again.
func TestRestart(t *testing.T) {
	swtpmtest.Require(t)
	dir := t.TempDir()
	run := func() (grant.EnrollRequest, map[string]string) {
		i, err := swtpm.Start(t.Context(), dir)
		if err != nil {
			t.Fatal(err)
		}
		defer i.Stop() //nolint:errcheck // the next Start would fail
		m, err := tpm.ReadMeasurements(t.Context(), i.Device())
		if err != nil {
			t.Fatal(err)
		}
		if err := tpm.Extend(t.Context(), i.Device(), 14, envelope.Digest(envelope.NewNonce())); err != nil {
			t.Fatal(err)
		}
		return openCollector(t, i).EnrollRequest(), m
	}
	first, _ := run()
	second, m := run()
	if string(first.EKCert) != string(second.EKCert) || string(first.AKPublic) != string(second.AKPublic) {
		t.Error("keys or certificate changed over a restart")
	}
	if m["pcr14"] != strings.Repeat("0", 64) {
		t.Errorf("PCR 14 after a restart: %s", m["pcr14"])
	}
}

func TestBadDevice(t *testing.T) {
	for _, d := range []string{"", "unix:", "/dev/tpm0", "/dev/null", "/dev/tpmrm0/../mem", "tcp:127.0.0.1:2321"} {
		if _, err := tpm.ReadMeasurements(t.Context(), d); !errors.Is(err, tpm.ErrConfig) {
			t.Errorf("%q: %v", d, err)
		}
	}
	if _, err := tpm.Open(tpm.Config{Device: "unix:/nowhere", EKCertFile: "/nowhere"}); !errors.Is(err, tpm.ErrConfig) {
		t.Errorf("no certificate: %v", err)
	}
}
