// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"maps"
	"math/big"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/azure/hcl"
	"github.com/glovebox-dev/glovebox/attestation/azure/verify"
	"github.com/glovebox-dev/glovebox/attestation/snp"
	"github.com/glovebox-dev/glovebox/attestation/tpm/tpmtest"
)

// FuzzAuthenticate: no panic, an end within a deadline, and nothing accepted but what the good evidence claims.
func FuzzAuthenticate(f *testing.F) {
	all := map[attestation.Platform]*scenario{}
	want := map[attestation.Platform]*attestation.Report{}
	for _, p := range platforms() {
		s := newScenario(f, p)
		e := s.evidence(f)
		r, err := s.authenticate(f)
		if err != nil {
			f.Fatal(err)
		}
		all[p], want[p] = s, r
		f.Add(p == attestation.PlatformAzureTDX, s.x.HCLReport, s.x.Quote, s.x.Signature, s.x.TDQuote, e.EventLogs[0].Body)
	}
	if len(all) != 2 {
		f.Fatal("no seeds")
	}
	f.Fuzz(func(t *testing.T, isTDX bool, report, quote, signature, td, log []byte) {
		start := time.Now()
		p := attestation.PlatformAzureSNP
		if isTDX {
			p = attestation.PlatformAzureTDX
		}
		s := all[p]
		x := s.x
		x.HCLReport, x.Quote, x.Signature, x.TDQuote = report, quote, signature, td
		raw, err := x.Encode()
		if err != nil {
			return
		}
		e := *s.e
		e.Evidence, e.EventLogs = raw, []attestation.EventLog{{Type: attestation.TCG2Log, Body: log}}
		r, err := s.format(t).Authenticate(t.Context(), &e, s.now)
		if err == nil && (!bytes.Equal(r.Bound, want[p].Bound) || !subset(r.Measurements, want[p].Measurements)) {
			t.Error("other claims accepted")
		}
		if d := time.Since(start); d > 30*time.Second {
			t.Errorf("took %s", d)
		}
	})
}

// subset: a log that does not name the enclave loses its measurement, and no other.
func subset(got, want map[string]string) bool {
	got, want = maps.Clone(got), maps.Clone(want)
	if got["enclave"] == "" {
		delete(got, "enclave")
		delete(want, "enclave")
	}
	return maps.Equal(got, want)
}

// FuzzParseHCL: no panic; what is accepted has a key, and lengths that agree.
func FuzzParseHCL(f *testing.F) {
	for _, p := range platforms() {
		f.Add(newScenario(f, p).x.HCLReport)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := hcl.Parse(b)
		if err == nil && (r.AK == nil || r.AK.Size() != 256 || len(r.Runtime) == 0 || len(r.Hardware) < 1024) {
			t.Errorf("%+v", r)
		}
	})
}

// FuzzImport: no panic; what is imported can be judged, and is never accepted by the vendors' roots.
func FuzzImport(f *testing.F) {
	for _, p := range platforms() {
		f.Add(newScenario(f, p).evidence(f).Evidence)
	}
	f.Add([]byte(`{"quote":{"message":[255],"signature":"AA==","pcrs":[[1]]},"report":[72],"vcek":"-----BEGIN CERTIFICATE-----"}`))
	f.Add([]byte{0, 1, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, read := range []func(attestation.Raw) (*attestation.Evidence, error){verify.ImportSNP, verify.ImportTDX} {
			e, err := read(attestation.Raw{Report: b})
			if err != nil {
				continue
			}
			if _, err := snpFormat(t).Authenticate(t.Context(), e, realNow); err == nil {
				t.Error("accepted")
			}
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	b.Run("SNP real", func(b *testing.B) {
		e := importSNP(b, attestation.Raw{Report: attestationtest.Shared(b, "az-snp-vtpm_evidence-v1.json")})
		f := snpFormat(b)
		for b.Loop() {
			if _, err := f.Authenticate(b.Context(), e, realNow); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("TDX fake", func(b *testing.B) {
		s := newScenario(b, attestation.PlatformAzureTDX)
		e, f := s.evidence(b), s.format(b)
		for b.Loop() {
			if _, err := f.Authenticate(b.Context(), e, s.now); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// bareChecks are verify.SNPSignatureChecks signature verifications over prepared hashes, as in the real evidence. The
// certificate's is RSA-4096 PSS by AMD's intermediate, of which the key here is another of the same size.
func bareChecks(t testing.TB) func() {
	t.Helper()
	e := importSNP(t, attestation.Raw{Report: attestationtest.Shared(t, "az-snp-vtpm_evidence-v1.json")})
	x, err := hcl.ParseEvidence(e.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	h, err := hcl.Parse(x.HCLReport)
	if err != nil {
		t.Fatal(err)
	}
	vcek, err := x509.ParseCertificate(e.Endorsements[0].Body)
	if err != nil {
		t.Fatal(err)
	}
	p, err := snp.ParseReport(h.Hardware)
	if err != nil {
		t.Fatal(err)
	}
	quote, report, tbs := sha256.Sum256(x.Quote), sha512.Sum384(p.Signed), sha512.Sum384(vcek.RawTBSCertificate)
	r, s := new(big.Int).SetBytes(p.R), new(big.Int).SetBytes(p.S)
	ask, pss := pssKey(t, tbs[:])
	return func() {
		if rsa.VerifyPKCS1v15(h.AK, crypto.SHA256, quote[:], x.Signature[6:]) != nil ||
			!ecdsa.Verify(vcek.PublicKey.(*ecdsa.PublicKey), report[:], r, s) || rsa.VerifyPSS(ask, crypto.SHA384, tbs[:], pss, nil) != nil {
			t.Fatal("a bare check failed")
		}
	}
}

func TestSignatureChecksAreCounted(t *testing.T) {
	bareChecks(t)()
	if verify.SNPSignatureChecks != 3 || verify.TDXSignatureChecks < 2 {
		t.Error("another number of checks")
	}
}

func BenchmarkBareChecks(b *testing.B) {
	check := bareChecks(b)
	for b.Loop() {
		check()
	}
}

func pssKey(t testing.TB, digest []byte) (*rsa.PublicKey, []byte) {
	t.Helper()
	k := tpmtest.RSAKey(t, "another ask", 4096)
	s, err := rsa.SignPSS(rand.Reader, k, crypto.SHA384, digest, &rsa.PSSOptions{SaltLength: 48})
	if err != nil {
		t.Fatal(err)
	}
	return &k.PublicKey, s
}
