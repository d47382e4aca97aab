// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
	"github.com/glovebox-dev/glovebox/attestation/dcap/dcaptest"
	"github.com/glovebox-dev/glovebox/attestation/tdx/tdxtest"
	"github.com/glovebox-dev/glovebox/attestation/tdx/verify"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

const (
	goTDXGuest = "github.com/google/go-tdx-guest@v0.3.2-0.20250814004405-ffb0869e6f4d"
	oasis      = "github.com/oasisprotocol/oasis-core/go@v0.2601.0"
)

// shapes are version and body type of every kind of quote.
var shapes = [][2]int{{4, 2}, {5, 2}, {5, 3}}

// scenario is evidence in the making, by a vendor of our own. Tests change one thing.
type scenario struct {
	vendor  *dcaptest.Vendor
	td      *tdxtest.TD
	binding attestation.Binding
	now     int64
	pin     [32]byte // zero: the vendor's

	quote  func([]byte) []byte // changes the finished quote; nil: as it is
	change func(*attestation.Evidence)
}

func newScenario(t testing.TB, version, body int) *scenario {
	t.Helper()
	s := &scenario{vendor: dcaptest.New(dcap.TDX), binding: attestationtest.Binding(t, "tdx")}
	s.td = tdxtest.New(version, body, attestation.ReportData(s.digest(t)))
	s.now = s.vendor.Now.Unix()
	return s
}

func (s *scenario) digest(t testing.TB) envelope.Digest {
	t.Helper()
	d, err := s.binding.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func (s *scenario) evidence(t testing.TB) *attestation.Evidence {
	t.Helper()
	signed := s.td.Signed()
	raw := tdxtest.Quote(signed, s.vendor.Signature(t, signed))
	if s.quote != nil {
		raw = s.quote(raw)
	}
	e := &attestation.Evidence{
		Version: 1, Platform: attestation.PlatformTDX, Evidence: raw, Endorsements: s.vendor.Endorsements(t), Claims: s.binding,
		EventLogs: []attestation.EventLog{{Type: attestation.CCELLog, Body: s.td.Log}}, Nested: []attestation.Nested{},
	}
	if s.change != nil {
		s.change(e)
	}
	return e
}

func (s *scenario) format() *verify.Format {
	if s.pin == [32]byte{} {
		return verify.NewFormatWithRoot(s.vendor.Pin())
	}
	return verify.NewFormatWithRoot(s.pin)
}

// authenticate is the first step alone.
func (s *scenario) authenticate(t testing.TB) (*attestation.Report, error) {
	t.Helper()
	return s.format().Authenticate(t.Context(), s.evidence(t), s.now)
}

// reference pins what the scenario's trust domain is by default.
func reference(t testing.TB, p *attestation.Policy) *attestation.Reference {
	t.Helper()
	r, err := newScenario(t, 5, 3).authenticate(t)
	if err != nil {
		t.Fatal(err)
	}
	pins := map[string]string{}
	for _, m := range []string{"mrtd", "rtmr0", "rtmr1", "rtmr2", "rtmr3", "mrconfigid"} {
		pins[m] = r.Measurements[m]
	}
	return &attestation.Reference{Version: 1, NotAfter: 1 << 40, Policy: p, Values: []attestation.ReferenceValue{
		{Name: "ours", Platform: attestation.PlatformTDX, Measurements: pins},
	}}
}

// verify is all four steps under a policy; nil is the default one.
func (s *scenario) verify(t testing.TB, p *attestation.Policy) (*attestation.Claims, error) {
	t.Helper()
	v, err := attestation.NewVerifier(reference(t, p), s.format())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := s.evidence(t).Encode()
	if err != nil {
		t.Fatal(err)
	}
	return v.Verify(t.Context(), raw, s.now)
}

// failed is the name of the check that failed.
func failed(r *attestation.Report) string {
	if r == nil || len(r.Checks) == 0 || r.Checks[len(r.Checks)-1].Outcome != attestation.Fail {
		return ""
	}
	return r.Checks[len(r.Checks)-1].Name
}

// passed are the names of the checks that passed.
func passed(r *attestation.Report) map[string]bool {
	out := map[string]bool{}
	for _, c := range r.Checks {
		out[c.Name] = c.Outcome == attestation.Pass
	}
	return out
}
