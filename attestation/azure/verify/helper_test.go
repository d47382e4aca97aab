// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/x509"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/big"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/azure/hcl"
	"github.com/glovebox-dev/glovebox/attestation/azure/verify"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
	"github.com/glovebox-dev/glovebox/attestation/dcap/dcaptest"
	"github.com/glovebox-dev/glovebox/attestation/snp"
	"github.com/glovebox-dev/glovebox/attestation/snp/snptest"
	snpverify "github.com/glovebox-dev/glovebox/attestation/snp/verify"
	tdxverify "github.com/glovebox-dev/glovebox/attestation/tdx/verify"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/tpmtest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

var errFake = errors.New("fake hardware: refused")

// fakeSNP believes a fake AMD. It is short, since what platform snp demands is tested there: certificate by the
// intermediate, report by the certificate's key.
type fakeSNP struct{ line *snptest.Line }

func (f *fakeSNP) Platform() attestation.Platform { return attestation.PlatformSNP }

func (f *fakeSNP) Authenticate(_ context.Context, e *attestation.Evidence, now int64) (*attestation.Report, error) {
	r := &attestation.Report{Platform: attestation.PlatformSNP}
	p, err := snp.ParseReport(e.Evidence)
	if err != nil {
		return r, r.Fail("report-format", "", "", err)
	}
	for _, der := range e.Find(attestation.CertificateType) {
		c, err := x509.ParseCertificate(der)
		if err != nil || c.CheckSignatureFrom(f.line.ASK) != nil || now > c.NotAfter.Unix() {
			continue
		}
		h := sha512.Sum384(p.Signed)
		k, ok := c.PublicKey.(*ecdsa.PublicKey)
		if !ok || !ecdsa.Verify(k, h[:], new(big.Int).SetBytes(p.R), new(big.Int).SetBytes(p.S)) {
			continue
		}
		r.Pass("report-signature", "ok", "ok")
		r.Assurance, r.Bound, r.Root = attestation.AssuranceTEE, bytes.Clone(p.ReportData[:]), "fake AMD"
		r.Debug = p.Policy&snp.PolicyDebug != 0
		r.Measurements = map[string]string{"measurement": hex.EncodeToString(p.Measurement[:]), "hostdata": hex.EncodeToString(p.HostData[:])}
		r.Chip, r.Detail = hex.EncodeToString(p.ChipID[:]), p
		return r, nil
	}
	return r, errFake
}

func (f *fakeSNP) CheckBound(*attestation.Report, envelope.Digest) error { return errFake }

func (f *fakeSNP) Appraise(r *attestation.Report, p *attestation.Policy, now int64) []attestation.Check {
	if _, ok := r.Detail.(*snp.Report); !ok {
		return snpverify.Appraise(r, p, now)
	}
	return []attestation.Check{{Step: attestation.StepAppraise, Name: "fake", Outcome: attestation.Pass}}
}

// fakeTDX is platform tdx with a fake Intel's root.
type fakeTDX struct{ vendor *dcaptest.Vendor }

func (f *fakeTDX) Platform() attestation.Platform { return attestation.PlatformTDX }

func (f *fakeTDX) Authenticate(_ context.Context, e *attestation.Evidence, now int64) (*attestation.Report, error) {
	r := &attestation.Report{Platform: attestation.PlatformTDX}
	q, err := tdxverify.Quote(e.Evidence, e.Endorsements, f.vendor.Pin(), now, r)
	if err != nil {
		return r, err
	}
	r.Assurance, r.Detail = attestation.AssuranceTEE, &tdxverify.Detail{Attributes: q.TD.Attributes}
	return r, nil
}

func (f *fakeTDX) CheckBound(*attestation.Report, envelope.Digest) error { return errFake }

func (f *fakeTDX) Appraise(r *attestation.Report, p *attestation.Policy, now int64) []attestation.Check {
	return (&tdxverify.Format{}).Appraise(r, p, now)
}

// scenario is a good VM with good evidence, for tests to depart from. Change a part, then call seal.
type scenario struct {
	platform attestation.Platform
	now      int64
	vm       *tpmtest.Cloud
	runtime  string // JSON
	header   func(hcl []byte)
	report   func(raw []byte) // an SNP report before it is signed
	line     *snptest.Line
	vcek     *snptest.Key
	vendor   *dcaptest.Vendor
	x        hcl.Evidence
	e        *attestation.Evidence
}

func akKey(t testing.TB) *rsa.PrivateKey { return tpmtest.RSAKey(t, "azure ak", 2048) }

// runtimeData is what the paravisor says of a key.
func runtimeData(k *rsa.PublicKey) string {
	return fmt.Sprintf(`{"keys":[{"kid":"HCLAkPub","key_ops":["sign"],"kty":"RSA","e":"AQAB","n":%q}],`+
		`"vm-configuration":{"console-enabled":false,"secure-boot":true,"tpm-enabled":true,"vmUniqueId":"VM"},"user-data":"00"}`,
		base64.RawURLEncoding.EncodeToString(k.N.Bytes()))
}

func newScenario(t testing.TB, p attestation.Platform) *scenario {
	t.Helper()
	k := akKey(t)
	s := &scenario{platform: p, vm: tpmtest.NewCloud(t, k), runtime: runtimeData(&k.PublicKey)}
	s.e = &attestation.Evidence{Version: 1, Platform: p, Claims: attestationtest.Binding(t, "a"), Nested: []attestation.Nested{}}
	if p == attestation.PlatformAzureSNP {
		s.line, s.now = snptest.New(t, "Milan"), snptest.Now.Unix()
		s.vcek = s.line.VCEK(t, s.line.TCB(), nil)
		s.e.Endorsements = []attestation.Endorsement{{Type: attestation.CertificateType, Body: s.vcek.Cert.Raw}}
	} else {
		s.vendor = dcaptest.New(dcap.TDX)
		s.now = s.vendor.Now.Unix()
		s.e.Endorsements = s.vendor.Endorsements(t)
	}
	s.quote(t)
	s.seal(t)
	return s
}

// quote makes the TPM's over the binding.
func (s *scenario) quote(t testing.TB) {
	t.Helper()
	d, err := s.e.Claims.Digest()
	if err != nil {
		t.Fatal(err)
	}
	s.quoteOver(t, d[:])
}

func (s *scenario) quoteOver(t testing.TB, qualifying []byte) {
	t.Helper()
	s.x.PCRs = s.vm.Values()
	s.x.Quote, s.x.Signature = s.vm.Quote(t, qualifying)
	s.e.EventLogs = []attestation.EventLog{{Type: attestation.TCG2Log, Body: s.vm.Log}}
}

// seal has the hardware report the runtime data, and wraps both.
func (s *scenario) seal(t testing.TB) {
	t.Helper()
	var data [64]byte
	h := sha256.Sum256([]byte(s.runtime))
	copy(data[:], h[:])
	var hardware []byte
	kind := uint32(hcl.SNP)
	if s.platform == attestation.PlatformAzureSNP {
		hardware = s.line.Report(data)
		if s.report != nil {
			s.report(hardware)
		}
		s.vcek.Sign(t, hardware)
	} else {
		kind = uint32(hcl.TDX)
		copy(s.vendor.Body[520:], data[:])
		s.x.TDQuote = s.vendor.Quote(t)
		hardware = tdReport(s.vendor.Body)
	}
	s.x.HCLReport = hclReport(kind, hardware, s.runtime)
	if s.header != nil {
		s.header(s.x.HCLReport)
	}
}

// hclReport wraps as the paravisor does.
func hclReport(kind uint32, hardware []byte, runtime string) []byte {
	le := binary.LittleEndian
	b := make([]byte, 2600)
	copy(b, "HCLA")
	le.PutUint32(b[4:], 2)
	le.PutUint32(b[8:], uint32(1216+20+len(runtime)))
	le.PutUint32(b[12:], 2)
	copy(b[32:], hardware)
	for i, v := range []uint32{uint32(20 + len(runtime)), 1, kind, 1, uint32(len(runtime))} {
		le.PutUint32(b[1216+4*i:], v)
	}
	copy(b[1236:], runtime)
	return b
}

// tdReport is the report that a quote's body was made of.
func tdReport(body []byte) []byte {
	b := make([]byte, 1024)
	b[0] = 0x81
	copy(b[128:], body[520:584])
	copy(b[256+8:], body[:120])
	copy(b[512:], body[120:520])
	tcb, info := sha512.Sum384(b[256:495]), sha512.Sum384(b[512:])
	copy(b[32:], tcb[:])
	copy(b[80:], info[:])
	return b
}

func (s *scenario) format(t testing.TB) *verify.Format {
	t.Helper()
	var hw attestation.Format = &fakeSNP{s.line}
	if s.platform == attestation.PlatformAzureTDX {
		hw = &fakeTDX{s.vendor}
	}
	f, err := verify.NewTestOnlyFormat(s.platform, hw)
	if err != nil {
		t.Fatal(err)
	}
	return f.(*verify.Format) //nolint:errcheck // it is one
}

func (s *scenario) evidence(t testing.TB) *attestation.Evidence {
	t.Helper()
	b, err := s.x.Encode()
	if err != nil {
		t.Fatal(err)
	}
	s.e.Evidence = b
	return s.e
}

func (s *scenario) raw(t testing.TB) []byte {
	t.Helper()
	b, err := s.evidence(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func (s *scenario) authenticate(t testing.TB) (*attestation.Report, error) {
	return s.format(t).Authenticate(t.Context(), s.evidence(t), s.now)
}

// verifier pins what the good VM measured, and accepts what these fakes have in common with Azure's TDX.
func (s *scenario) verifier(t testing.TB) *attestation.Verifier {
	t.Helper()
	r, err := s.authenticate(t)
	if err != nil {
		t.Fatal(err)
	}
	pins := map[string]string{}
	for n, v := range r.Measurements {
		pins[n] = v
	}
	for i := 16; i < quote.PCRCount; i++ {
		delete(pins, quote.Name(i))
	}
	p := attestation.DefaultPolicy()
	p.TDX.UnsafeWithoutSEPTVE = true
	v, err := attestation.NewVerifier(&attestation.Reference{
		Version: 1, NotAfter: time.Unix(s.now, 0).Add(time.Hour).Unix(), Policy: p,
		Values: []attestation.ReferenceValue{{Name: "test", Platform: s.platform, Measurements: pins}},
	}, s.format(t))
	if err != nil {
		t.Fatal(err)
	}
	return v
}
