// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-tdx-guest/abi"
	"github.com/google/go-tdx-guest/pcs"
	"github.com/google/go-tdx-guest/validate"
	library "github.com/google/go-tdx-guest/verify"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
	"github.com/glovebox-dev/glovebox/attestation/dcap/dcaptest"
	"github.com/glovebox-dev/glovebox/attestation/tdx/verify"
)

// service answers go-tdx-guest in the place of Intel's, out of an evidence's endorsements.
type service struct {
	tcbInfo, identity, pckCRL, rootCRL []byte
	signers                            string // TCB signing certificate and root, as in Intel's headers
	chain                              string // PCK CA and root
}

var errNotHere = errors.New("not among the endorsements")

func (s *service) Get(u string) (map[string][]string, []byte, error) {
	answer := func(phrase, chain string, b []byte) (map[string][]string, []byte, error) {
		if b == nil {
			return nil, nil, errNotHere
		}
		return map[string][]string{phrase: {url.QueryEscape(chain)}}, b, nil
	}
	switch {
	case strings.Contains(u, "/tcb?"):
		return answer(pcs.TcbInfoIssuerChainPhrase, s.signers, s.tcbInfo)
	case strings.Contains(u, "/qe/identity"):
		return answer(pcs.SgxQeIdentityIssuerChainPhrase, s.signers, s.identity)
	case strings.Contains(u, "/pckcrl?"):
		return answer(pcs.SgxPckCrlIssuerChainPhrase, s.chain, s.pckCRL)
	}
	return answer("x", "", s.rootCRL)
}

// newService sorts endorsements by what the library asks for. It answers only for quotes with this chain.
func newService(t testing.TB, e *attestation.Evidence) *service {
	t.Helper()
	p, err := abi.QuoteToProto(e.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	c, err := library.ExtractChainFromQuote(p)
	if err != nil {
		t.Fatal(err)
	}
	text := func(x *x509.Certificate) string { return string(dcaptest.PEM(x.Raw)) }
	s := &service{chain: text(c.IntermediateCertificate) + text(c.RootCertificate)}
	for _, x := range e.Endorsements {
		switch x.Type {
		case attestation.TCBInfoType:
			s.tcbInfo = x.Body
		case attestation.QEIdentityType:
			s.identity = x.Body
		case attestation.CRLType:
			l, err := x509.ParseRevocationList(x.Body)
			if err != nil {
				t.Fatal(err)
			}
			if l.Issuer.String() == c.RootCertificate.Subject.String() {
				s.rootCRL = x.Body
			} else {
				s.pckCRL = x.Body
			}
		case attestation.CertificateType, attestation.ChainType:
			for _, cert := range certificates(x.Body) {
				if cert.Subject.CommonName == "Intel SGX TCB Signing" {
					s.signers = text(cert) + text(c.RootCertificate)
				}
			}
		}
	}
	return s
}

func certificates(b []byte) (out []*x509.Certificate) {
	if c, err := x509.ParseCertificate(b); err == nil {
		return []*x509.Certificate{c}
	}
	for p, rest := pem.Decode(b); p != nil; p, rest = pem.Decode(rest) {
		if c, err := x509.ParseCertificate(p.Bytes); err == nil {
			out = append(out, c)
		}
	}
	return out
}

func times(now int64) *library.TimeSet {
	t := time.Unix(now, 0)
	return &library.TimeSet{PckCertChain: t, TcbInfo: t, QeIdentity: t, PckCrl: t, RootCaCrl: t}
}

// full are the library's options with every check on; roots nil is Intel's.
func full(s *service, now int64, roots *x509.CertPool) *library.Options {
	return &library.Options{CheckRevocations: true, GetCollateral: true, Getter: s, Now: times(now), TrustedRoots: roots}
}

// likeIntel gives certificates the extensions that the library counts.
func likeIntel(v *dcaptest.Vendor) {
	for i, c := range []*x509.Certificate{v.Root, v.CA, v.PCK, v.Signing} {
		c.SubjectKeyId, c.CRLDistributionPoints = []byte{byte(i + 1)}, []string{"https://example.test/crl"}
	}
}

// known is a scenario whose vendor the library can be made to accept, and the roots for that.
func known(t testing.TB, version, body int) (*scenario, *x509.CertPool) {
	t.Helper()
	s := newScenario(t, version, body)
	likeIntel(s.vendor)
	root, _, _, _ := s.vendor.Certificates(t)
	c, err := x509.ParseCertificate(root)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(c)
	return s, pool
}

// TestGoTDXGuestDefaultOptionsSkipCollateral: by default nobody asks what the platform is worth, nor whether Intel revoked
// it. The quote is one that Intel signed, of a platform below every level that Intel then supported.
func TestGoTDXGuestDefaultOptionsSkipCollateral(t *testing.T) {
	raw, err := verify.Import(attestation.Raw{Report: file(google + "tdx_prod_quote_SPR_E4.dat").read(t)})
	if err != nil {
		t.Fatal(err)
	}
	o := library.DefaultOptions()
	o.Now = times(june2023.now(t))
	if err := library.RawTdxQuote(raw.Evidence, o); err != nil || o.GetCollateral || o.CheckRevocations {
		t.Errorf("the library no longer has this trap: %v", err)
	}
	f, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Authenticate(t.Context(), raw, june2023.now(t)); !errors.Is(err, dcap.ErrMissing) {
		t.Errorf("ours, without collateral: %v", err)
	}
	whole := vector{quote: google + "tdx_prod_quote_SPR_E4.dat", with: june2023}.evidence(t)
	if _, err := f.Authenticate(t.Context(), whole, june2023.now(t)); !errors.Is(err, dcap.ErrTCB) {
		t.Errorf("ours, with collateral: %v", err)
	}
}

// TestGoTDXGuestValidateAcceptsDebug: unless TdAttributes are given, a TD whose memory the host reads is fine.
func TestGoTDXGuestValidateAcceptsDebug(t *testing.T) {
	s := newScenario(t, 4, 2)
	s.td.Attributes |= 1
	if err := validate.RawTdxQuote(s.evidence(t).Evidence, &validate.Options{}); err != nil {
		t.Errorf("the library no longer has this trap: %v", err)
	}
	if _, err := s.verify(t, nil); !errors.Is(err, attestation.ErrAppraise) || !strings.Contains(err.Error(), "tdx: debug") {
		t.Errorf("ours: %v", err)
	}
}

// TestGoTDXGuestEmptyReportDataIsUnchecked: so an empty expectation accepts every exchange's evidence.
func TestGoTDXGuestEmptyReportDataIsUnchecked(t *testing.T) {
	s := newScenario(t, 4, 2)
	e := s.evidence(t)
	o := &validate.Options{TdQuoteBodyOptions: validate.TdQuoteBodyOptions{ReportData: []byte{}}}
	if err := validate.RawTdxQuote(e.Evidence, o); err != nil {
		t.Errorf("the library no longer has this trap: %v", err)
	}
	r, err := s.authenticate(t)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.format().CheckBound(r, [32]byte{}); !errors.Is(err, attestation.ErrBind) {
		t.Errorf("ours: %v", err)
	}
}

// TestGoTDXGuestVerifyChangesItsOptions: what one verification found stays in the options for the next, or for another
// goroutine's in between.
func TestGoTDXGuestVerifyChangesItsOptions(t *testing.T) {
	a, roots := known(t, 4, 2)
	e := a.evidence(t)
	p, err := abi.QuoteToProto(e.Evidence)
	if err != nil {
		t.Fatal(err)
	}
	o := full(newService(t, e), a.now, roots)
	if _, _, err := library.SupportedTcbLevelsFromCollateral(p, o); err == nil {
		t.Fatal("options have collateral before anybody asked")
	}
	if err := library.TdxQuote(p, o); err != nil {
		t.Fatal(err)
	}
	if _, _, err := library.SupportedTcbLevelsFromCollateral(p, o); err != nil {
		t.Errorf("the library no longer has this trap: %v", err)
	}
	if raceDetector {
		return // TestConcurrent runs ours under it
	}
	other := newScenario(t, 4, 2)
	other.vendor.PCKKey = attestationtest.PrivateKey("other platform")
	other.vendor.QEReportKey = other.vendor.PCKKey
	other.vendor.Platform.FMSPC = [6]byte{1}
	other.vendor.TCBInfo["fmspc"] = "010000000000"
	failures := shareOptions(t, a, other, roots)
	t.Logf("%d of %d good quotes failed in shared options", failures, 2*half)
}

const half = 60 // as many of each platform

// shareOptions verifies good quotes of two platforms in goroutines that share their options, and counts those that fail.
func shareOptions(t *testing.T, a, b *scenario, roots *x509.CertPool) int {
	t.Helper()
	likeIntel(b.vendor)
	raws := [][]byte{}
	both := &twoPlatforms{second: fmt.Sprintf("%x", b.vendor.Platform.FMSPC)}
	for i, s := range []*scenario{a, b} {
		e := s.evidence(t)
		raws = append(raws, e.Evidence)
		*[]**service{&both.a, &both.b}[i] = newService(t, e)
	}
	both.arrived.Add(2 * half)
	o := full(nil, a.now, roots)
	o.Getter = both
	o.CheckRevocations = false
	results := make(chan error)
	for _, raw := range raws {
		for range half {
			go func() {
				defer func() {
					if x := recover(); x != nil {
						results <- fmt.Errorf("panic: %v", x)
					}
				}()
				results <- library.RawTdxQuote(raw, o)
			}()
		}
	}
	failures := 0
	for range 2 * half {
		if err := <-results; err != nil {
			failures++
		}
	}
	return failures
}

// twoPlatforms answers for either, and lets nobody go on before all are here.
type twoPlatforms struct {
	a, b    *service
	second  string // FMSPC
	arrived sync.WaitGroup
}

func (s *twoPlatforms) Get(u string) (map[string][]string, []byte, error) {
	if strings.HasSuffix(u, s.second) {
		return s.b.Get(u)
	}
	if strings.Contains(u, "/qe/identity") {
		s.arrived.Done()
		s.arrived.Wait()
	}
	return s.a.Get(u)
}

// TestGoTDXGuestOnlyUpToDate: a platform whose open advisories an owner has read cannot be accepted at all.
func TestGoTDXGuestOnlyUpToDate(t *testing.T) {
	s, roots := known(t, 4, 2)
	s.vendor.QEIdentity["tcbLevels"] = []any{dcaptest.SVN(8, "SWHardeningNeeded", "INTEL-SA-00615")}
	e := s.evidence(t)
	if err := library.RawTdxQuote(e.Evidence, full(newService(t, e), s.now, roots)); err == nil || !strings.Contains(err.Error(), "SWHardeningNeeded") {
		t.Errorf("the library no longer has this trap: %v", err)
	}
	if _, err := s.verify(t, nil); !errors.Is(err, attestation.ErrAppraise) || !strings.Contains(err.Error(), "tcb-status") {
		t.Errorf("ours, by default: %v", err)
	}
	p := attestation.DefaultPolicy()
	p.TCB.Advisories = map[string][]string{"SWHardeningNeeded": {"INTEL-SA-00615"}}
	if _, err := s.verify(t, p); err != nil {
		t.Errorf("ours, with the advisory named: %v", err)
	}
}

// TestGoTDXGuestModuleHidesPlatform: from TDX 1.5 on, the module's level is all that counts, and a platform that is out of
// date is called up to date.
func TestGoTDXGuestModuleHidesPlatform(t *testing.T) {
	s, roots := known(t, 4, 2)
	s.vendor.Platform.Components[3] = 3
	e := s.evidence(t)
	if err := library.RawTdxQuote(e.Evidence, full(newService(t, e), s.now, roots)); err != nil {
		t.Errorf("the library no longer has this trap: %v", err)
	}
	r, err := s.authenticate(t)
	if err != nil || r.TCB.Status != attestation.OutOfDate {
		t.Errorf("ours: %v", err)
	}
}

// TestGoTDXGuestNoVersion5: newer quoting enclaves' quotes are not read.
func TestGoTDXGuestNoVersion5(t *testing.T) {
	s := newScenario(t, 5, 3)
	if _, err := abi.QuoteToProto(s.evidence(t).Evidence); err == nil {
		t.Error("the library reads version 5 now: add it to the differential test")
	}
	if _, err := s.authenticate(t); err != nil {
		t.Errorf("ours: %v", err)
	}
}

// TestMRTDAloneIsFirmware: two TDs with one MRTD run different code. The library can be content with MRTD; ours has no way.
func TestMRTDAloneIsFirmware(t *testing.T) {
	s := newScenario(t, 4, 2)
	s.td.Measure(2, "a miner")
	o := &validate.Options{TdQuoteBodyOptions: validate.TdQuoteBodyOptions{MrTd: s.td.MRTD[:]}}
	if err := validate.RawTdxQuote(s.evidence(t).Evidence, o); err != nil {
		t.Errorf("the library no longer has this trap: %v", err)
	}
	if _, err := s.verify(t, nil); !errors.Is(err, attestation.ErrAppraise) {
		t.Errorf("ours: %v", err)
	}
	alone := reference(t, nil)
	alone.Values[0].Measurements = map[string]string{"mrtd": alone.Values[0].Measurements["mrtd"]}
	if err := alone.Validate(); !errors.Is(err, attestation.ErrReference) {
		t.Errorf("reference values with MRTD alone: %v", err)
	}
}
