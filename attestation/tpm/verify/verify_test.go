// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/tpmtest"
	"github.com/glovebox-dev/glovebox/attestation/tpm/verify"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

func encode(t testing.TB, e *attestation.Evidence) []byte {
	t.Helper()
	raw, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func TestVerify(t *testing.T) {
	m := newMachine(t, "a")
	e := m.evidence(t, attestationtest.Binding(t, "a"))
	c, err := newVerifier(t, m.pins(), newFormat(t)).Verify(t.Context(), encode(t, e), now)
	if err != nil {
		t.Fatal(err)
	}
	if c.Assurance() != attestation.AssuranceSoftwareTPM || c.Measurements()["enclave"] != enclave.Hex() {
		t.Errorf("assurance %s, enclave %s", c.Assurance(), c.Measurements()["enclave"])
	}
}

// TestEvidenceOfAnotherEnclave: another enclave's quote, by the same endorsed key, beside my claims.
func TestEvidenceOfAnotherEnclave(t *testing.T) {
	m := newMachine(t, "a")
	mine, other := m.evidence(t, attestationtest.Binding(t, "mine")), m.evidence(t, attestationtest.Binding(t, "other"))
	mine.Evidence = other.Evidence
	if _, err := newVerifier(t, m.pins(), newFormat(t)).Verify(t.Context(), encode(t, mine), now); !errors.Is(err, attestation.ErrBind) {
		t.Errorf("got %v", err)
	}
}

// TestQualifyingDataIsExactlyD: neither a longer nor a shorter string that begins like d will do.
func TestQualifyingDataIsExactlyD(t *testing.T) {
	f, d := newFormat(t), envelope.Digest{1}
	if err := f.CheckBound(&attestation.Report{Bound: d[:]}, d); err != nil {
		t.Error(err)
	}
	for name, b := range map[string][]byte{"empty": nil, "prefix": d[:31], "longer": append(d[:], 0), "other": make([]byte, 32)} {
		if err := f.CheckBound(&attestation.Report{Bound: b}, d); !errors.Is(err, attestation.ErrBind) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if err := f.CheckBound(nil, d); !errors.Is(err, attestation.ErrBind) {
		t.Errorf("nil report: got %v", err)
	}
	if err := f.CheckBound(&attestation.Report{Bound: make([]byte, 32)}, envelope.Digest{}); !errors.Is(err, attestation.ErrBind) {
		t.Errorf("zero digest: got %v", err)
	}
}

func TestEndorsementRefused(t *testing.T) {
	a, b := newMachine(t, "a"), newMachine(t, "b")
	mine := broker(t, "mine")
	edit := func(f func(*grant.AKEndorsement)) []attestation.Endorsement {
		e := a.endorsement(t, attestation.AssuranceSoftwareTPM)
		f(&e)
		return []attestation.Endorsement{sign(t, e, mine)}
	}
	good := sign(t, a.endorsement(t, attestation.AssuranceSoftwareTPM), mine)
	for name, c := range map[string]struct {
		ends []attestation.Endorsement
		want error
	}{
		"none":            {nil, verify.ErrEndorsed},
		"stranger's":      {[]attestation.Endorsement{sign(t, a.endorsement(t, "software-tpm"), broker(t, "other"))}, verify.ErrEndorsed},
		"another key's":   {[]attestation.Endorsement{sign(t, b.endorsement(t, "software-tpm"), mine)}, verify.ErrOtherKey},
		"expired":         {edit(func(e *grant.AKEndorsement) { e.Issued, e.Expires = (now-120)*1000, now*1000 }), verify.ErrExpired},
		"from the future": {edit(func(e *grant.AKEndorsement) { e.Issued = (now + 61) * 1000 }), verify.ErrExpired},
		"of another type": {[]attestation.Endorsement{{Type: envelope.GrantType, Body: good.Body}}, verify.ErrEndorsed},
		"too many":        {slices.Repeat([]attestation.Endorsement{good}, 33), verify.ErrEndorsed},
		"cut":             {[]attestation.Endorsement{{Type: good.Type, Body: good.Body[:100]}}, verify.ErrEndorsed},
	} {
		e := a.evidence(t, attestationtest.Binding(t, "a"))
		e.Endorsements = c.ends
		_, err := newFormat(t).Authenticate(t.Context(), e, now)
		if !errors.Is(err, c.want) || !errors.Is(err, verify.ErrEndorsed) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
}

// TestWeakestEndorsementCounts, whatever the order; other brokers' are passed over.
func TestWeakestEndorsementCounts(t *testing.T) {
	m := newMachine(t, "a").firmware(t)
	soft := sign(t, m.endorsement(t, attestation.AssuranceSoftwareTPM), broker(t, "soft"))
	hard := sign(t, m.endorsement(t, attestation.AssuranceTPM), broker(t, "hard"))
	both := newFormat(t, broker(t, "soft").Public(), broker(t, "hard").Public())
	for name, c := range map[string]struct {
		f    *verify.Format
		ends []attestation.Endorsement
		want attestation.Assurance
	}{
		"both accepted":           {both, []attestation.Endorsement{soft, hard}, attestation.AssuranceSoftwareTPM},
		"both, other order":       {both, []attestation.Endorsement{hard, soft}, attestation.AssuranceSoftwareTPM},
		"only the strong one's":   {newFormat(t, broker(t, "hard").Public()), []attestation.Endorsement{soft, hard}, attestation.AssuranceTPM},
		"the strong one is alone": {both, []attestation.Endorsement{hard}, attestation.AssuranceTPM},
	} {
		e := m.evidence(t, attestationtest.Binding(t, "a"))
		e.Endorsements = c.ends
		r, err := c.f.Authenticate(t.Context(), e, now)
		if err != nil || r.Assurance != c.want {
			t.Errorf("%s: got %v, %v", name, r, err)
		}
	}
}

// TestHardwareWithoutFirmware: a hardware TPM whose firmware extended nothing was reset or bypassed.
func TestHardwareWithoutFirmware(t *testing.T) {
	m := newMachine(t, "a")
	e := m.evidence(t, attestationtest.Binding(t, "a"))
	e.Endorsements = []attestation.Endorsement{sign(t, m.endorsement(t, attestation.AssuranceTPM), broker(t, "mine"))}
	if _, err := newFormat(t).Authenticate(t.Context(), e, now); !errors.Is(err, verify.ErrUnmeasured) {
		t.Errorf("got %v", err)
	}
}

// TestAnotherInitrd: a host that boots its own kernel, initrd or command line, and lets it measure the genuine enclave, is
// not the machine that was pinned, whatever its log says.
func TestAnotherInitrd(t *testing.T) {
	good := newMachine(t, "a").firmware(t)
	check := func(m *machine) error {
		e := m.evidence(t, attestationtest.Binding(t, "a"))
		e.Endorsements = []attestation.Endorsement{sign(t, m.endorsement(t, attestation.AssuranceTPM), broker(t, "mine"))}
		_, err := newVerifier(t, good.pins(), newFormat(t)).Verify(t.Context(), encode(t, e), now)
		return err
	}
	if err := check(good); err != nil {
		t.Fatal(err)
	}
	for _, pcr := range []int{8, 9, 11, 12, 13} {
		bad := newMachine(t, "a").firmware(t)
		bad.measure(t, eventlog.Event{PCR: pcr, Type: eventlog.IPL, Digest: envelope.Sum([]byte("init=/bin/sh")), Data: []byte("init=/bin/sh")})
		if err := check(bad); !errors.Is(err, attestation.ErrAppraise) {
			t.Errorf("PCR %d: got %v", pcr, err)
		}
	}
}

// TestRegistersThatTheLogLeavesOut: whatever extended a quoted register has to be in the log.
func TestRegistersThatTheLogLeavesOut(t *testing.T) {
	for _, pcr := range quote.PCRs() {
		m := newMachine(t, "a").firmware(t)
		m.tpm.Extend(pcr, envelope.Sum([]byte("not in the log")))
		e := m.evidence(t, attestationtest.Binding(t, "a"))
		if _, err := newFormat(t).Authenticate(t.Context(), e, now); !errors.Is(err, eventlog.ErrReplay) {
			t.Errorf("PCR %d: got %v", pcr, err)
		}
	}
}

func TestEventLogRefused(t *testing.T) {
	m := newMachine(t, "a")
	log := func(b []byte) []attestation.EventLog {
		return []attestation.EventLog{{Type: quote.EventLogType, Body: b}}
	}
	other := newMachine(t, "b")
	other.measure(t, eventlog.Event{PCR: 7, Digest: enclave, Type: 1})
	for name, c := range map[string][]attestation.EventLog{
		"header only":    log(eventlog.Header()),
		"another's":      log(other.log),
		"cut":            log(m.log[:len(m.log)-1]),
		"unknown format": {{Type: "ima", Body: m.log}},
		"two":            slices.Repeat(log(m.log), 2),
	} {
		e := m.evidence(t, attestationtest.Binding(t, "a"))
		e.EventLogs = c
		if _, err := newFormat(t).Authenticate(t.Context(), e, now); !errors.Is(err, verify.ErrLog) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestEventLogStripped: boot is claimed, so a log must show it, of hardware and of a software TPM alike.
func TestEventLogStripped(t *testing.T) {
	m := newMachine(t, "a").firmware(t)
	for _, a := range []attestation.Assurance{attestation.AssuranceTPM, attestation.AssuranceSoftwareTPM} {
		e := m.evidence(t, attestationtest.Binding(t, "a"))
		e.Endorsements = []attestation.Endorsement{sign(t, m.endorsement(t, a), broker(t, "mine"))}
		if _, err := newFormat(t).Authenticate(t.Context(), e, now); err != nil {
			t.Fatalf("%s, with a log: %v", a, err)
		}
		e.EventLogs = nil
		r, err := newFormat(t).Authenticate(t.Context(), e, now)
		if !errors.Is(err, verify.ErrLog) || r.Assurance != "" {
			t.Errorf("%s: got %v, assurance %q", a, err, r.Assurance)
		}
		if _, err := newVerifier(t, m.pins(), newFormat(t)).Verify(t.Context(), encode(t, e), now); !errors.Is(err, attestation.ErrAuthenticate) {
			t.Errorf("%s: verifier: %v", a, err)
		}
	}
}

// TestTwoEnclaveEvents: which of them runs is not known, so neither is reported.
func TestTwoEnclaveEvents(t *testing.T) {
	m := newMachine(t, "a")
	m.measure(t, eventlog.Event{PCR: 14, Type: eventlog.IPL, Digest: envelope.Sum(nil), Data: []byte(eventlog.EnclaveEvent)})
	r, err := newFormat(t).Authenticate(t.Context(), m.evidence(t, attestationtest.Binding(t, "a")), now)
	if err != nil || r.Measurements["enclave"] != "" {
		t.Errorf("got %v, %v", r, err)
	}
}

func TestNewFormatRefuses(t *testing.T) {
	for name, keys := range map[string][]envelope.PublicKey{
		"no broker": nil, "zero key": {{}}, "too many": slices.Repeat([]envelope.PublicKey{broker(t, "mine").Public()}, 65),
	} {
		if _, err := verify.NewFormat(verify.Config{Brokers: keys}); !errors.Is(err, verify.ErrConfig) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestEveryFieldOfEvidence deletes and zeroes each field of the envelope, and of the TPM's part inside it.
func TestEveryFieldOfEvidence(t *testing.T) {
	m := newMachine(t, "a")
	e := m.evidence(t, attestationtest.Binding(t, "a"))
	v := newVerifier(t, m.pins(), newFormat(t))
	for _, x := range attestationtest.Mutations(t, encode(t, e)) {
		if _, err := v.Verify(t.Context(), x.Doc, now); !errors.Is(err, attestation.ErrEvidence) {
			t.Errorf("%s: got %v", x.Name, err)
		}
	}
	inner := e.Evidence
	for _, x := range attestationtest.Mutations(t, inner) {
		e.Evidence = x.Doc
		if _, err := v.Verify(t.Context(), encode(t, e), now); !errors.Is(err, attestation.ErrEvidence) {
			t.Errorf("evidence %s: got %v", x.Name, err)
		}
	}
}

// TestEveryByteOfEvidence flips a bit in every fifth byte of the canonical envelope. What is left unvouched for, such as errata
// numbers in the event log's header, may change the evidence's digest but never its claims.
func TestEveryByteOfEvidence(t *testing.T) {
	m := newMachine(t, "a")
	raw := encode(t, m.evidence(t, attestationtest.Binding(t, "a")))
	v := newVerifier(t, m.pins(), newFormat(t))
	want, err := v.Verify(t.Context(), raw, now)
	if err != nil {
		t.Fatal(err)
	}
	step, accepted := 5, 0
	if testing.Short() {
		step = 29
	}
	for i := 0; i < len(raw); i += step {
		bad := slices.Clone(raw)
		bad[i] ^= 1
		got, err := v.Verify(t.Context(), bad, now)
		if err != nil {
			continue
		}
		accepted++
		if got.EvidenceDigest() == want.EvidenceDigest() || got.Bound() != want.Bound() || got.Assurance() != want.Assurance() ||
			!maps.Equal(got.Measurements(), want.Measurements()) {
			t.Errorf("byte %d (%q) flipped: other claims", i, raw[max(0, i-8):i+1])
		}
	}
	if accepted > 8 {
		t.Errorf("%d flips accepted", accepted)
	}
}

// TestRootNamesTheBroker: people see whose word it is.
func TestRootNamesTheBroker(t *testing.T) {
	m := newMachine(t, "a")
	r, err := newFormat(t).Authenticate(t.Context(), m.evidence(t, attestationtest.Binding(t, "a")), now)
	if err != nil || !strings.Contains(r.Root, broker(t, "mine").Public().String()) {
		t.Errorf("got %v, %v", r, err)
	}
}

func TestQuoteFaultsArePassedOn(t *testing.T) {
	m := newMachine(t, "a")
	e := m.evidence(t, attestationtest.Binding(t, "a"))
	d, _ := e.Claims.Digest()
	forged := tpmtest.New("b").Quote(t, d)
	forged.AKPublic = m.tpm.AKPublic()
	raw, err := forged.Encode()
	if err != nil {
		t.Fatal(err)
	}
	e.Evidence = raw
	if _, err := newVerifier(t, m.pins(), newFormat(t)).Verify(t.Context(), encode(t, e), now); !errors.Is(err, quote.ErrQuote) {
		t.Errorf("got %v", err)
	}
}
