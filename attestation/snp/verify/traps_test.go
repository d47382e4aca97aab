// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/x509"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"flag"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/google/go-sev-guest/abi"
	"github.com/google/go-sev-guest/kds"
	"github.com/google/go-sev-guest/proto/sevsnp"
	"github.com/google/go-sev-guest/validate"
	sev "github.com/google/go-sev-guest/verify"
	"github.com/google/go-sev-guest/verify/testdata"
	"github.com/google/go-sev-guest/verify/trust"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/snp"
	"github.com/glovebox-dev/glovebox/attestation/snp/snptest"
	"github.com/glovebox-dev/glovebox/attestation/snp/verify"
)

// The traps of go-sev-guest. Each test shows the library's and that ours is not caught in it.

// library is evidence in go-sev-guest's form.
func library(t testing.TB, report, cert []byte) *sevsnp.Attestation {
	t.Helper()
	p, err := abi.ReportToProto(report)
	if err != nil {
		t.Fatal(err)
	}
	c := &sevsnp.CertificateChain{VcekCert: cert}
	if p.SignerInfo>>2&7 == snp.SignedByVLEK {
		c = &sevsnp.CertificateChain{VlekCert: cert}
	}
	return &sevsnp.Attestation{Report: p, CertificateChain: c}
}

// libraryOptions trust a fake AMD, and use no network.
func libraryOptions(t testing.TB, l *snptest.Line) *sev.Options {
	t.Helper()
	root := trust.AMDRootCertsProduct(l.Name)
	root.ProductCerts = &trust.ProductCerts{Ark: l.ARK, Ask: l.ASK, Asvk: l.ASVK}
	return &sev.Options{DisableCertFetching: true, Now: snptest.Now, TrustedRoots: map[string][]*trust.AMDRootCerts{l.Name: {root}}}
}

func TestGoSEVGuestTestdataIsADebugGuest(t *testing.T) {
	report := testdata.AttestationBytes[:abi.ReportSize]
	at := time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)
	if err := sev.SnpAttestation(library(t, report, testdata.VcekBytes), &sev.Options{DisableCertFetching: true, Now: at}); err != nil {
		t.Fatalf("verify alone minds: %v", err)
	}
	f, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.Authenticate(t.Context(), evidence(report, certDER(t, testdata.VcekBytes), nil), at.Unix())
	if err != nil || !r.Debug {
		t.Errorf("debug %t, %v", r.Debug, err)
	}
}

func certDER(t testing.TB, b []byte) []byte {
	t.Helper()
	e, err := verify.Import(attestation.Raw{Report: testdata.AttestationBytes, Certs: [][]byte{b}})
	if err != nil {
		t.Fatal(err)
	}
	return e.Endorsements[0].Body
}

// TestGoSEVGuestVerifySkipsDebug: the host reads the memory of such a guest, and verify says nothing.
func TestGoSEVGuestVerifySkipsDebug(t *testing.T) {
	w := newWorld(t, "Milan")
	raw := w.report(t, func(b []byte) { b[0x0a] |= 1 << 3 })
	if err := sev.SnpAttestation(library(t, raw, w.vcek.Cert.Raw), libraryOptions(t, w.line)); err != nil {
		t.Fatalf("the library minds: %v", err)
	}
	if _, err := w.verify(t, w.evidence(t, raw), nil); !errors.Is(err, attestation.ErrAppraise) || !strings.Contains(err.Error(), "debug") {
		t.Errorf("got %v", err)
	}
}

// TestGoSEVGuestVerifySkipsChipAndTCB: a report of one chip and TCB with the certificate of another, if the key is the same.
func TestGoSEVGuestVerifySkipsChipAndTCB(t *testing.T) {
	w := newWorld(t, "Genoa")
	for name, at := range map[string]int{"chip": 0x1a0, "TCB": 0x187} {
		raw := w.report(t, func(b []byte) { b[at]++ })
		if err := sev.SnpAttestation(library(t, raw, w.vcek.Cert.Raw), libraryOptions(t, w.line)); err != nil {
			t.Fatalf("%s: the library minds: %v", name, err)
		}
		if _, err := w.format.Authenticate(t.Context(), w.evidence(t, raw), now); !errors.Is(err, verify.ErrMismatch) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestGoSEVGuestEmptyReportDataIsUnchecked: an empty expectation is one.
func TestGoSEVGuestEmptyReportDataIsUnchecked(t *testing.T) {
	w := newWorld(t, "Milan")
	raw := w.report(t, nil)
	o := &validate.Options{GuestPolicy: abi.SnpPolicy{SMT: true, ABIMajor: 1, ABIMinor: 55}, ReportData: []byte{}}
	if err := validate.SnpAttestation(library(t, raw, w.vcek.Cert.Raw), o); err != nil {
		t.Fatalf("the library minds: %v", err)
	}
	r, err := w.format.Authenticate(t.Context(), w.evidence(t, raw), now)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.format.CheckBound(r, [32]byte{}); !errors.Is(err, attestation.ErrBind) {
		t.Errorf("empty: %v", err)
	}
	if err := w.format.CheckBound(nil, w.digest); !errors.Is(err, attestation.ErrBind) {
		t.Errorf("no report: %v", err)
	}
	r.Bound = r.Bound[:32]
	if err := w.format.CheckBound(r, w.digest); !errors.Is(err, attestation.ErrBind) {
		t.Errorf("32 bytes: %v", err)
	}
}

// TestGoSEVGuestAliasCheckIsAnOption that nobody sets: BadRAM goes unnoticed.
func TestGoSEVGuestAliasCheckIsAnOption(t *testing.T) {
	w := newWorld(t, "Milan")
	raw := w.report(t, func(b []byte) { b[0x40] &^= 1 << 5 })
	o := &validate.Options{GuestPolicy: abi.SnpPolicy{SMT: true, ABIMajor: 1, ABIMinor: 55}, ReportData: raw[0x50:0x90]}
	if err := validate.SnpAttestation(library(t, raw, w.vcek.Cert.Raw), o); err != nil {
		t.Fatalf("the library minds: %v", err)
	}
	if _, err := w.verify(t, w.evidence(t, raw), nil); !errors.Is(err, attestation.ErrAppraise) || !strings.Contains(err.Error(), "alias-check") {
		t.Errorf("got %v", err)
	}
}

// getter counts what is asked of the network.
type getter struct{ n int }

func (g *getter) Get(string) ([]byte, error) {
	g.n++
	return nil, errors.New("no network")
}

// refuse fails a test that uses HTTP.
type refuse struct{ t *testing.T }

func (r refuse) RoundTrip(q *http.Request) (*http.Response, error) {
	r.t.Errorf("asked the network for %s", q.URL)
	return nil, errors.New("no network")
}

// TestGoSEVGuestDefaultGetter: without an ASK in the chain the library asks the network, which blocked for two minutes.
// Ours has nothing to ask with.
func TestGoSEVGuestDefaultGetter(t *testing.T) {
	w := newWorld(t, "Milan")
	raw := w.report(t, nil)
	o, g := libraryOptions(t, w.line), &getter{}
	o.DisableCertFetching, o.Getter = false, g
	trust.ClearProductCertCache()
	if err := sev.SnpAttestation(library(t, raw, w.vcek.Cert.Raw), o); err == nil || g.n == 0 {
		t.Fatalf("the library asked %d times: %v", g.n, err)
	}
	old := http.DefaultTransport
	http.DefaultTransport = refuse{t}
	defer func() { http.DefaultTransport = old }()
	for _, e := range []*attestation.Evidence{w.evidence(t, raw), evidence(raw, nil, nil), evidence(raw, w.vcek.Cert.Raw, nil)} {
		w.format.Authenticate(t.Context(), e, now) //nolint:errcheck // only the network matters
	}
}

// TestGoSEVGuestChangesItsOptions: shared by two calls, one decides what the other expects.
func TestGoSEVGuestChangesItsOptions(t *testing.T) {
	w := newWorld(t, "Milan")
	raw := w.report(t, func(b []byte) { b[0] = 2; clear(b[0x188:0x18b]) })
	o := libraryOptions(t, w.line)
	o.DisableCertFetching, o.Getter = false, &getter{}
	a := library(t, raw, w.vcek.Cert.Raw)
	a.CertificateChain.AskCert, a.CertificateChain.ArkCert = []byte("anything"), []byte("anything")
	a.Product = &sevsnp.SevProduct{Name: sevsnp.SevProduct_SEV_PRODUCT_GENOA}
	if err := sev.SnpAttestation(a, o); o.Product == nil || o.Product.Name != sevsnp.SevProduct_SEV_PRODUCT_GENOA {
		t.Fatalf("the library left its options alone: %v, %v", o.Product, err)
	}
	if _, err := w.format.Authenticate(t.Context(), w.evidence(t, raw), now); err != nil {
		t.Error(err) // ours has no options; many calls at once are TestManyAtOnce
	}
}

// TestGoSEVGuestVLEKNeedsRoots: its own roots certify VCEKs only.
func TestGoSEVGuestVLEKNeedsRoots(t *testing.T) {
	for _, name := range []string{"Milan", "Genoa", "Turin"} {
		root, err := trust.GetDefaultRootCerts(name)
		if err != nil {
			t.Fatal(err)
		}
		if root.ProductCerts.Asvk != nil {
			t.Errorf("%s: the library has learned VLEK", name)
		}
	}
	w := newWorld(t, "Milan")
	k := w.line.VLEK(t, w.line.TCB(), nil)
	b := w.line.Report([64]byte{})
	b[0x48] = snp.SignedByVLEK << 2
	k.Sign(t, b)
	o := libraryOptions(t, w.line)
	o.TrustedRoots["Milan"][0].ProductCerts.Asvk = nil
	if err := sev.SnpAttestation(library(t, b, k.Cert.Raw), o); err == nil {
		t.Fatal("the library accepts it without")
	}
	if _, err := w.format.Authenticate(t.Context(), evidence(b, k.Cert.Raw, nil), now); err != nil {
		t.Error(err)
	}
}

// TestGoSEVGuestCheckRevocationsIgnoresVCEK: its argument is not looked at.
func TestGoSEVGuestCheckRevocationsIgnoresVCEK(t *testing.T) {
	w := newWorld(t, "Milan")
	k := w.line.VCEK(t, w.line.TCB(), func(c *x509.Certificate) { c.SerialNumber.SetInt64(9) })
	der := w.line.CRL(t, nil, 9)
	crl, err := x509.ParseRevocationList(der)
	if err != nil {
		t.Fatal(err)
	}
	o := libraryOptions(t, w.line)
	root := o.TrustedRoots["Milan"][0]
	root.CRL = crl
	if err := sev.VcekNotRevoked(root, k.Cert, o); err != nil {
		t.Fatalf("the library minds: %v", err)
	}
	raw := k.Sign(t, w.line.Report([64]byte{}))
	if _, err := w.format.Authenticate(t.Context(), evidence(raw, k.Cert.Raw, der), now); !errors.Is(err, verify.ErrRevoked) {
		t.Errorf("got %v", err)
	}
}

// TestGoSEVGuestCannotReadTurin: its certificates name 8 bytes of chip id, and a level for the FMC.
func TestGoSEVGuestCannotReadTurin(t *testing.T) {
	w := newWorld(t, "Turin")
	if _, err := kds.VcekCertificateExtensions(w.vcek.Cert); err == nil {
		t.Error("the library has learned Turin: compare with it")
	}
	if _, err := w.format.Authenticate(t.Context(), w.evidence(t, w.report(t, nil)), now); err != nil {
		t.Error(err)
	}
}

// TestGoSEVGuestTablePanics on an entry whose offset and length overflow together.
func TestGoSEVGuestTablePanics(t *testing.T) {
	table := make([]byte, 64)
	copy(table, "\x63\xda\x75\x8d\xe6\x64\x45\x64\xad\xc5\xf4\xb9\x3b\xe8\xac\xcd")
	binary.LittleEndian.PutUint32(table[16:], 0xfffffff0)
	binary.LittleEndian.PutUint32(table[20:], 0x20)
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the library has learned to add")
			}
		}()
		new(abi.CertTable).Unmarshal(table) //nolint:errcheck // it panics
	}()
	if _, err := snp.ParseTable(table); !errors.Is(err, snp.ErrTable) {
		t.Errorf("got %v", err)
	}
}

// TestGoSEVGuestRegistersGlobalFlags: they are in this test's flags, since it imports the library's verifier, and in none
// of ours, which do not. Its client, and the log flags that come along, are as far away.
func TestGoSEVGuestRegistersGlobalFlags(t *testing.T) {
	if flag.Lookup("workaround_kds_productname") == nil {
		t.Error("the library has stopped it")
	}
	out, err := exec.CommandContext(t.Context(), "go", "list", "-deps", "..", ".", "../../../cmd/...").Output()
	if err != nil {
		t.Skipf("SKIP 1: go list: %v", err)
	}
	for p := range strings.Lines(string(out)) {
		switch p = strings.TrimSpace(p); p {
		case "github.com/google/go-sev-guest/verify", "github.com/google/go-sev-guest/client", "github.com/google/go-sev-guest/testing":
			t.Errorf("a command reaches %s", p)
		}
	}
}

// TestGoSEVGuestAgrees: whatever ours calls authentic, the library's verifier does too, and it is as strict with chains.
func TestGoSEVGuestAgrees(t *testing.T) {
	f, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	asked := 0
	for _, v := range vectors() {
		t.Run(v.name, func(t *testing.T) {
			e, at := v.evidence(t)
			_, ours := f.Authenticate(t.Context(), e, at)
			var cert []byte
			for _, der := range e.Find(attestation.CertificateType) {
				if c, err := x509.ParseCertificate(der); err == nil && (c.Subject.CommonName == "SEV-VCEK" || c.Subject.CommonName == "SEV-VLEK") {
					cert = der
				}
			}
			o := &sev.Options{DisableCertFetching: true, Now: time.Unix(at, 0)}
			root := trust.AMDRootCertsProduct("Milan")
			if e.Evidence[0x48]>>2&7 == snp.SignedByVLEK {
				if err := root.FromKDSCertBytes(trust.AskArkMilanVlekBytes); err != nil {
					t.Fatal(err)
				}
				o.TrustedRoots = map[string][]*trust.AMDRootCerts{"Milan": {root}}
			}
			theirs := sev.SnpAttestation(library(t, e.Evidence, cert), o)
			if (ours == nil) != (theirs == nil) {
				t.Errorf("ours says %v, the library %v", ours, theirs)
			}
			asked++
		})
	}
	for _, name := range []string{"Milan", "Genoa"} {
		w := newWorld(t, name)
		raw := w.report(t, nil)
		if err := sev.SnpAttestation(library(t, raw, w.vcek.Cert.Raw), libraryOptions(t, w.line)); err != nil {
			t.Errorf("%s: the library refuses what the fake AMD signs: %v", name, err)
		}
		asked++
	}
	t.Logf("%d verdicts compared", asked)
	if b, _ := pem.Decode(trust.AskArkTurinVlekBytes); b == nil {
		t.Error("no roots for Turin's VLEK")
	}
}
