// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-tpm/tpm2"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/azure/hcl"
	"github.com/glovebox-dev/glovebox/attestation/azure/verify"
	"github.com/glovebox-dev/glovebox/attestation/tpm/boot"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/tpmtest"
)

func platforms() []attestation.Platform {
	return []attestation.Platform{attestation.PlatformAzureSNP, attestation.PlatformAzureTDX}
}

func TestVerify(t *testing.T) {
	for _, p := range platforms() {
		s := newScenario(t, p)
		c, err := s.verifier(t).Verify(t.Context(), s.raw(t), s.now)
		if err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		if c.Assurance() != attestation.AssuranceTEE || c.Measurements()["enclave"] == "" || c.Measurements()["pcr15"] == "" {
			t.Errorf("%s: assurance %s, %v", p, c.Assurance(), c.Measurements())
		}
	}
}

// TestWithoutEventLog: the registers are vouched for; a log only explains them.
func TestWithoutEventLog(t *testing.T) {
	s := newScenario(t, attestation.PlatformAzureSNP)
	s.e.EventLogs = nil
	if r, err := s.authenticate(t); err != nil || r.Measurements["enclave"] != "" {
		t.Errorf("got %v, %v", r.Measurements, err)
	}
}

// departure is one thing that is wrong, alone.
type departure struct {
	name   string
	want   error
	change func(t *testing.T, s *scenario)
}

func TestRefused(t *testing.T) {
	n := 0
	for _, p := range platforms() {
		all := slices.Concat(reportDepartures(), runtimeDepartures(), quoteDepartures(), logDepartures())
		if p == attestation.PlatformAzureSNP {
			all = append(all, snpDepartures()...)
		} else {
			all = append(all, tdxDepartures()...)
		}
		for _, d := range all {
			t.Run(string(p)+" "+d.name, func(t *testing.T) {
				s := newScenario(t, p)
				d.change(t, s)
				r, err := s.authenticate(t)
				if err == nil || (d.want != nil && !errors.Is(err, d.want)) {
					t.Fatalf("got %v, want %v", err, d.want)
				}
				if n := len(r.Checks); n == 0 || r.Checks[n-1].Outcome != attestation.Fail || r.Assurance != "" {
					t.Errorf("checks %+v, assurance %q", r.Checks, r.Assurance)
				}
			})
		}
		n += len(all)
	}
	t.Logf("%d bad inputs refused, each with its own error", n)
}

func reportDepartures() []departure {
	put := func(at int, v uint32) func(*testing.T, *scenario) {
		return func(t *testing.T, s *scenario) {
			s.header = func(b []byte) { binary.LittleEndian.PutUint32(b[at:], v) }
			s.seal(t)
		}
	}
	cut := func(n int) func(*testing.T, *scenario) {
		return func(_ *testing.T, s *scenario) { s.x.HCLReport = s.x.HCLReport[:n] }
	}
	return []departure{
		{"no report", hcl.ErrMalformed, cut(0)},
		{"header alone", hcl.ErrMalformed, cut(32)},
		{"cut before the runtime data", hcl.ErrMalformed, cut(1236)},
		{"cut in the runtime data", hcl.ErrRuntime, cut(1300)},
		{"oversized report", hcl.ErrMalformed, func(_ *testing.T, s *scenario) { s.x.HCLReport = append(s.x.HCLReport, make([]byte, 16<<10)...) }},
		{"another signature", hcl.ErrMalformed, put(0, 1)},
		{"unknown version", hcl.ErrMalformed, put(4, 3)},
		{"another request", hcl.ErrMalformed, put(12, 1)},
		{"a status", hcl.ErrMalformed, put(16, 1)},
		{"another total", hcl.ErrRuntime, put(8, 1216)},
		{"another size", hcl.ErrRuntime, put(1216, 1<<31)},
		{"another version of runtime data", hcl.ErrRuntime, put(1220, 2)},
		{"unknown hardware", hcl.ErrMalformed, put(1224, 3)},
		{"SHA-1", hcl.ErrRuntime, put(1228, 0)},
		{"SHA-384", hcl.ErrRuntime, put(1228, 2)},
		{"length zero", hcl.ErrRuntime, put(1232, 0)},
		{"length beyond all", hcl.ErrRuntime, put(1232, 1<<32-1)},
		{"something behind it", hcl.ErrRuntime, func(_ *testing.T, s *scenario) { s.x.HCLReport[2599] = 1 }},
	}
}

func runtimeDepartures() []departure {
	replace := func(old, to string) func(*testing.T, *scenario) {
		return func(t *testing.T, s *scenario) {
			was := s.runtime
			if s.runtime = strings.Replace(s.runtime, old, to, 1); s.runtime == was {
				t.Fatalf("%q is not there", old)
			}
			s.seal(t)
		}
	}
	return []departure{
		{"runtime data that the hardware did not report", verify.ErrRuntime, func(_ *testing.T, s *scenario) {
			i := strings.Index(string(s.x.HCLReport), "user-data")
			s.x.HCLReport[i] = 'U'
		}},
		{"evidence for another key", verify.ErrRuntime, func(t *testing.T, s *scenario) {
			other := tpmtest.RSAKey(t, "another ak", 2048)
			s.vm.Key = other
			s.quote(t)
			hardware, kind := s.x.HCLReport[32:1216], binary.LittleEndian.Uint32(s.x.HCLReport[1224:])
			s.x.HCLReport = hclReport(kind, hardware, runtimeData(&other.PublicKey))
		}},
		{"duplicate keys", hcl.ErrRuntime, replace(`"user-data"`, `"keys":[],"user-data"`)},
		{"duplicate keys in another case", hcl.ErrRuntime, replace(`"user-data"`, `"Keys":[],"user-data"`)},
		{"duplicate modulus", hcl.ErrRuntime, replace(`"kty":"RSA"`, `"kty":"RSA","n":"AA"`)},
		{"two attestation keys", hcl.ErrRuntime, func(t *testing.T, s *scenario) {
			one, _, _ := strings.Cut(strings.TrimPrefix(s.runtime, `{"keys":[`), `],"vm-`)
			s.runtime = strings.Replace(s.runtime, one, one+","+one, 1)
			s.seal(t)
		}},
		{"no attestation key", hcl.ErrRuntime, replace("HCLAkPub", "HCLEkPub")},
		{"key in another case", hcl.ErrRuntime, replace(`"kid"`, `"Kid"`)},
		{"key that decrypts too", hcl.ErrRuntime, replace(`["sign"]`, `["sign","decrypt"]`)},
		{"exponent 3", hcl.ErrRuntime, replace("AQAB", "Aw")},
		{"elliptic key", hcl.ErrRuntime, replace(`"RSA"`, `"EC"`)},
		{"short modulus", hcl.ErrRuntime, func(t *testing.T, s *scenario) {
			s.runtime = runtimeData(&tpmtest.RSAKey(t, "short", 1024).PublicKey)
			s.seal(t)
		}},
		{"not JSON", hcl.ErrRuntime, func(t *testing.T, s *scenario) { s.runtime = strings.Repeat("x", 900); s.seal(t) }},
		{"no configuration", hcl.ErrRuntime, replace(`"vm-configuration"`, `"configuration"`)},
		{"configuration that is none", hcl.ErrRuntime, replace(`"secure-boot":true`, `"secure-boot":"yes"`)},
	}
}

func quoteDepartures() []departure {
	attest := func(f func(*tpm2.TPMSAttest)) func(*testing.T, *scenario) {
		return func(t *testing.T, s *scenario) { s.vm.Attest = f; s.quote(t) }
	}
	return []departure{
		{"not evidence", hcl.ErrMalformed, func(_ *testing.T, s *scenario) { s.x.Signature = nil }},
		{"signed by another key", quote.ErrSignature, func(t *testing.T, s *scenario) {
			s.vm.Key = tpmtest.RSAKey(t, "another ak", 2048)
			s.quote(t)
		}},
		{"signed by an ECC key", quote.ErrMalformed, func(t *testing.T, s *scenario) {
			s.x.Signature = tpmtest.NewCloud(t, tpmtest.ECCKey("azure")).Sign(t, s.x.Quote)
		}},
		{"not generated by a TPM", quote.ErrMalformed, attest(func(a *tpm2.TPMSAttest) { a.Magic = 1 })},
		{"not a quote", quote.ErrMalformed, attest(func(a *tpm2.TPMSAttest) {
			a.Type = tpm2.TPMSTAttestTime
			a.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestTime, &tpm2.TPMSTimeAttestInfo{})
		})},
		{"SHA-1 bank", quote.ErrPCRs, attest(func(a *tpm2.TPMSAttest) {
			a.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, &tpm2.TPMSQuoteInfo{
				PCRSelect: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA1, PCRSelect: []byte{255, 255, 255}}}},
				PCRDigest: tpm2.TPM2BDigest{Buffer: make([]byte, 32)},
			})
		})},
		{"other values", quote.ErrPCRs, func(_ *testing.T, s *scenario) { s.x.PCRs["pcr4"] = strings.Repeat("a", 64) }},
		{"a value too many", quote.ErrPCRs, func(t *testing.T, s *scenario) {
			s.vm.Select = s.vm.Select[:16]
			s.quote(t)
			s.x.PCRs["pcr16"] = strings.Repeat("0", 64)
		}},
		{"firmware not quoted", verify.ErrUnmeasured, func(t *testing.T, s *scenario) { s.vm.Select = s.vm.Select[1:]; s.quote(t) }},
		{"zeroed PCRs", verify.ErrUnmeasured, func(t *testing.T, s *scenario) {
			for i := range s.vm.PCRs {
				s.vm.PCRs[i] = [32]byte{}
			}
			s.quote(t)
		}},
	}
}

func logDepartures() []departure {
	one := func(b []byte) []attestation.EventLog {
		return []attestation.EventLog{{Type: attestation.TCG2Log, Body: b}}
	}
	return []departure{
		{"empty event log", eventlog.ErrEmpty, func(_ *testing.T, s *scenario) { s.e.EventLogs = one(nil) }},
		{"event log without events", eventlog.ErrEmpty, func(_ *testing.T, s *scenario) { s.e.EventLogs = one(eventlog.Header()) }},
		{"two event logs", boot.ErrLog, func(_ *testing.T, s *scenario) { s.e.EventLogs = slices.Repeat(s.e.EventLogs, 2) }},
		{"event log that does not replay", eventlog.ErrReplay, func(t *testing.T, s *scenario) {
			s.vm.Measure(t, 9, 4, []byte("other"))
			s.e.EventLogs = one(s.vm.Log)
		}},
	}
}

func snpDepartures() []departure {
	report := func(f func([]byte)) func(*testing.T, *scenario) {
		return func(t *testing.T, s *scenario) { s.report = f; s.seal(t) }
	}
	return []departure{
		{"asked for at VMPL 2", verify.ErrHardware, report(func(b []byte) { b[0x30] = 2 })},
		{"report data with a tail", verify.ErrRuntime, report(func(b []byte) { b[0x50+63] = 1 })},
		{"report data of another", verify.ErrRuntime, report(func(b []byte) { b[0x50] ^= 1 })},
		{"reserved bits", nil, report(func(b []byte) { b[0x4c] = 1 })},
		{"a TD quote beside it", verify.ErrHardware, func(_ *testing.T, s *scenario) { s.x.TDQuote = []byte{4} }},
		{"evidence of TDX", verify.ErrHardware, func(t *testing.T, s *scenario) {
			other := newScenario(t, attestation.PlatformAzureTDX)
			s.x.HCLReport = other.x.HCLReport
		}},
		{"no certificate", errFake, func(_ *testing.T, s *scenario) { s.e.Endorsements = nil }},
		{"another chip's certificate", errFake, func(t *testing.T, s *scenario) {
			s.e.Endorsements[0].Body = s.line.VCEK(t, s.line.TCB(), nil).Cert.Raw
		}},
		{"report that was changed", errFake, func(_ *testing.T, s *scenario) { s.x.HCLReport[32+0x90] ^= 1 }},
	}
}

func tdxDepartures() []departure {
	return []departure{
		{"no TD quote", verify.ErrHardware, func(_ *testing.T, s *scenario) { s.x.TDQuote = nil }},
		{"evidence of SNP", verify.ErrHardware, func(t *testing.T, s *scenario) {
			other := newScenario(t, attestation.PlatformAzureSNP)
			s.x.HCLReport = other.x.HCLReport
		}},
		{"report data with a tail", verify.ErrRuntime, func(t *testing.T, s *scenario) {
			s.vendor.Body[520+63] = 1
			s.x.TDQuote = s.vendor.Quote(t)
			copy(s.x.HCLReport[32:], tdReport(s.vendor.Body))
		}},
		{"TD quote of another report", hcl.ErrMalformed, func(t *testing.T, s *scenario) {
			s.vendor.Body[520] ^= 1
			s.x.TDQuote = s.vendor.Quote(t)
		}},
		{"TD quote of another domain", hcl.ErrMalformed, func(t *testing.T, s *scenario) {
			s.vendor.Body[136] ^= 1
			s.x.TDQuote = s.vendor.Quote(t)
		}},
		{"TD report that does not hash", hcl.ErrMalformed, func(_ *testing.T, s *scenario) { s.x.HCLReport[32+1023] = 1 }},
		{"report of another kind", hcl.ErrMalformed, func(_ *testing.T, s *scenario) { s.x.HCLReport[32] = 0 }},
		{"something behind the TD report", hcl.ErrMalformed, func(_ *testing.T, s *scenario) { s.x.HCLReport[32+1100] = 1 }},
		{"signature of another key", nil, func(t *testing.T, s *scenario) {
			s.vendor.QuoteKey = attestationtest.PrivateKey("another")
			s.x.TDQuote = s.vendor.Quote(t)
		}},
		{"no collateral", nil, func(_ *testing.T, s *scenario) { s.e.Endorsements = nil }},
		{"trailing bytes behind the TD quote", nil, func(_ *testing.T, s *scenario) { s.x.TDQuote = append(s.x.TDQuote, 0) }},
	}
}

// TestDebugIsAppraised: the hardware says that the VM can be debugged.
func TestDebugIsAppraised(t *testing.T) {
	s := newScenario(t, attestation.PlatformAzureSNP)
	v := s.verifier(t)
	s.report = func(b []byte) { b[0x08+2] |= 1 << 3 }
	s.seal(t)
	if _, err := v.Verify(t.Context(), s.raw(t), s.now); !errors.Is(err, attestation.ErrAppraise) {
		t.Errorf("got %v", err)
	}
}

// TestReplayedNonce: a quote over another question, and one over none. The hardware's report stays the same.
func TestReplayedNonce(t *testing.T) {
	for _, p := range platforms() {
		s := newScenario(t, p)
		v := s.verifier(t)
		b := attestationtest.Binding(t, "other")
		other, err := b.Digest()
		if err != nil {
			t.Fatal(err)
		}
		mine, err := s.e.Claims.Digest()
		if err != nil {
			t.Fatal(err)
		}
		for name, q := range map[string][]byte{"another's": other[:], "none": nil, "longer": append(mine[:], 0), "zeros": make([]byte, 32)} {
			s.quoteOver(t, q)
			if _, err := v.Verify(t.Context(), s.raw(t), s.now); !errors.Is(err, attestation.ErrBind) {
				t.Errorf("%s %s: got %v", p, name, err)
			}
		}
	}
}

// TestAKOfAnotherMachine: each half is authentic, of two machines.
func TestAKOfAnotherMachine(t *testing.T) {
	s := newScenario(t, attestation.PlatformAzureSNP)
	s.vm.Key = tpmtest.RSAKey(t, "another ak", 2048)
	s.quote(t)
	if _, err := s.authenticate(t); !errors.Is(err, quote.ErrSignature) {
		t.Errorf("got %v", err)
	}
}

// TestFormatNeedsItsHardware: neither format takes the other's verifier, nor one that has no demands.
func TestFormatNeedsItsHardware(t *testing.T) {
	s := newScenario(t, attestation.PlatformAzureTDX)
	for _, p := range []attestation.Platform{attestation.PlatformAzureSNP, attestation.PlatformTDX, ""} {
		if _, err := verify.NewTestOnlyFormat(p, &fakeTDX{s.vendor}); !errors.Is(err, verify.ErrConfig) {
			t.Errorf("%s: got %v", p, err)
		}
	}
}

// TestConcurrently mixes good and bad evidence.
func TestConcurrently(t *testing.T) {
	s, bad := newScenario(t, attestation.PlatformAzureSNP), newScenario(t, attestation.PlatformAzureSNP)
	bad.x.Quote[len(bad.x.Quote)-1] ^= 1
	bad.line, bad.vcek, bad.e.Endorsements = s.line, s.vcek, s.e.Endorsements
	f, good, broken := s.format(t), s.evidence(t), bad.evidence(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 10 {
				e := good
				if i%2 == 1 {
					e = broken
				}
				if _, err := f.Authenticate(t.Context(), e, s.now); (err == nil) != (i%2 == 0) {
					t.Errorf("goroutine %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
}
