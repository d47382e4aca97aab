// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha512"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/gpu/gputest"
	"github.com/glovebox-dev/glovebox/attestation/gpu/verify"
)

// answers reports which certificates are said to be good: an answer that no longer is about one of them is left alone,
// and then its certificate has none.
func answers(r *attestation.Report) int {
	n := 0
	for _, c := range r.Collateral {
		if len(c.Name) > 5 && c.Name[:5] == "ocsp-" {
			n++
		}
	}
	return n
}

// thin is how many bytes a test of flips goes on from one to the next. One bit of a byte stands for all eight: bytes take
// turns in which.
func thin() int {
	if testing.Short() {
		return 23
	}
	return 1
}

// TestBitFlips: no byte of a report, of a certificate or of an OCSP answer can change. Manifests have a test of their own.
// No byte is outside a signature: a report ends with its signature and a certificate too, the root is pinned whole, and
// an OCSP answer that still parses but is about nobody any more answers for nobody.
func TestBitFlips(t *testing.T) {
	s := newScenario(t)
	s.report.Measurements, s.driver, s.vbios = s.report.Measurements[:4], nil, nil
	s.answers = func(v *gputest.Vendor) [][]byte { return v.Good()[:1] }
	e, n := s.evidence(), 0
	f := s.format()
	flip := func(name string, b []byte, always bool) {
		for i := 0; i < len(b); i += thin() {
			bit := i % 8
			b[i] ^= 1 << bit
			if r, err := f.Authenticate(t.Context(), e, s.now); err == nil && (always || answers(r) != 0) {
				t.Errorf("%s: byte %d bit %d", name, i, bit)
			}
			b[i] ^= 1 << bit
			n++
		}
	}
	if r, err := f.Authenticate(t.Context(), e, s.now); err != nil || answers(r) != 1 {
		t.Fatal(err)
	}
	flip("report", e.Evidence, true)
	for i, x := range e.Endorsements {
		e.Endorsements[i].Body = bytes.Clone(x.Body)
		flip(fmt.Sprint(x.Type, i), e.Endorsements[i].Body, x.Type == attestation.CertificateType)
	}
	t.Logf("refused %d bit flips", n)
}

// TestRealBitFlips: the same for a real report and its chain.
func TestRealBitFlips(t *testing.T) {
	e, err := verify.Import(attestation.Raw{Report: mock("attestationReport.txt")(t), Certs: [][]byte{mock("gpuAkCertChain.txt")(t)}})
	if err != nil {
		t.Fatal(err)
	}
	f, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Authenticate(t.Context(), e, at); err != nil {
		t.Fatal(err)
	}
	n := 0
	bodies := [][]byte{e.Evidence}
	for i := range e.Endorsements {
		bodies = append(bodies, e.Endorsements[i].Body)
	}
	for k, b := range bodies {
		for i := 0; i < len(b); i += thin() {
			b[i] ^= 1 << (i % 8)
			if _, err := f.Authenticate(t.Context(), e, at); err == nil {
				t.Errorf("part %d: byte %d bit %d", k, i, i%8)
			}
			b[i] ^= 1 << (i % 8)
			n++
		}
	}
	t.Logf("refused %d bit flips", n)
}

// TestTruncated: every shorter report is refused, and every report with a byte more.
func TestTruncated(t *testing.T) {
	s := newScenario(t)
	s.driver, s.vbios, s.answers = nil, nil, nil
	e := s.evidence()
	whole := e.Evidence
	for i := range whole {
		e.Evidence = whole[:i]
		if _, err := s.format().Authenticate(t.Context(), e, s.now); err == nil {
			t.Errorf("%d bytes of %d", i, len(whole))
		}
	}
	t.Logf("refused %d truncations", len(whole))
}

// TestConcurrent: good and bad evidence at once, by one format.
func TestConcurrent(t *testing.T) {
	s := newScenario(t)
	good := s.evidence()
	other := *good
	other.Evidence = bytes.Clone(good.Evidence)
	other.Evidence[len(other.Evidence)-1] ^= 1
	f := s.format()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			e, want := good, true
			if i%2 == 1 {
				e, want = &other, false
			}
			for range 10 {
				if _, err := f.Authenticate(t.Context(), e, s.now); (err == nil) != want {
					t.Errorf("goroutine %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
}

// FuzzAuthenticate: no panic, bounded time, and only the report that was signed.
func FuzzAuthenticate(f *testing.F) {
	s := newScenario(f)
	e := s.evidence()
	seeds := [][]byte{e.Evidence, e.Evidence[:100], bytes.Repeat([]byte{0xff}, 4200), {}}
	for _, b := range badReports() {
		x := newScenario(f)
		x.vendor = s.vendor
		if b.change(x); x.edit == nil {
			seeds = append(seeds, x.vendor.Sign(x.report))
		}
	}
	if len(seeds) < 20 {
		f.Fatalf("%d seeds", len(seeds))
	}
	for _, x := range seeds {
		f.Add(x)
	}
	format, signed := s.format(), map[string]bool{}
	for _, x := range seeds {
		signed[string(x)] = true
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		x := *e
		x.Evidence = b
		start := time.Now()
		r, err := format.Authenticate(t.Context(), &x, s.now)
		if time.Since(start) > 30*time.Second {
			t.Error("too slow")
		}
		if err == nil && (r == nil || !signed[string(b)]) {
			t.Errorf("accepted what nobody signed: %x", b)
		}
	})
}

// FuzzImport: no panic, and what it makes of files is bounded by them.
func FuzzImport(f *testing.F) {
	s := newScenario(f)
	e := s.evidence()
	for _, x := range [][]byte{e.Evidence, fmt.Appendf(nil, "%x", e.Evidence), []byte(`{"evidence":"AA==","certificate":"AA=="}`), []byte("-----BEGIN CERTIFICATE-----\n"), e.Endorsements[0].Body, e.Endorsements[5].Body} {
		f.Add(x, e.Endorsements[0].Body, e.Endorsements[5].Body)
		f.Add(e.Evidence, x, x)
	}
	f.Fuzz(func(t *testing.T, report, cert, collateral []byte) {
		out, err := verify.Import(attestation.Raw{Report: report, Certs: [][]byte{cert}, Collateral: [][]byte{collateral}})
		if err == nil && (out == nil || len(out.Endorsements) < 2 || len(out.Evidence) > len(report)) {
			t.Errorf("%+v", out)
		}
	})
}

// BenchmarkVerify is one verification with both manifests and no OCSP answers: [verify.SignatureChecks] of ECDSA P-384.
func BenchmarkVerify(b *testing.B) {
	s := newScenario(b)
	s.answers = nil
	e := s.evidence()
	f := s.format()
	for b.Loop() {
		if _, err := f.Authenticate(b.Context(), e, s.now); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSignatures is the same number of bare ECDSA P-384 verifications, and nothing else.
func BenchmarkSignatures(b *testing.B) {
	key, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		b.Fatal(err)
	}
	digest := sha512.Sum384([]byte("a report"))
	x, y, err := ecdsa.Sign(rand.Reader, key, digest[:])
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		for range verify.SignatureChecks {
			if !ecdsa.Verify(&key.PublicKey, digest[:], x, y) {
				b.Fatal("bad signature")
			}
		}
	}
}
