// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"encoding/hex"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/gpu/gputest"
	"github.com/glovebox-dev/glovebox/attestation/gpu/verify"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// cpu is a machine that a GPU is nested in: its evidence is the digest that it is bound to.
type cpu struct{}

func (cpu) Platform() attestation.Platform { return attestation.PlatformSNP }

func (cpu) Authenticate(_ context.Context, e *attestation.Evidence, _ int64) (*attestation.Report, error) {
	return &attestation.Report{
		Platform: attestation.PlatformSNP, Assurance: attestation.AssuranceTEE, Bound: e.Evidence,
		Measurements: map[string]string{"measurement": hex.EncodeToString(bytes.Repeat([]byte{7}, 48)), "hostdata": hex.EncodeToString(make([]byte, 32))},
	}, nil
}

func (cpu) CheckBound(r *attestation.Report, d envelope.Digest) error {
	if string(r.Bound) != string(d[:]) {
		return attestation.ErrBind
	}
	return nil
}

// scenario is a GPU under a CPU, as it should be, for tests to change one thing of.
type scenario struct {
	vendor        *gputest.Vendor
	options       gputest.Options
	report        *gputest.Report
	driver, vbios *gputest.Manifest
	answers       func(v *gputest.Vendor) [][]byte
	edit          func(s *scenario, e *attestation.Evidence) // of the envelope, at last
	policy        *attestation.Policy
	now           int64
	pinOther      bool // the reference values pin another driver
}

func newScenario(t testing.TB) *scenario {
	t.Helper()
	return &scenario{
		report: gputest.NewReport(nested(t)), driver: gputest.DriverManifest(), vbios: gputest.VBIOSManifest(),
		answers: (*gputest.Vendor).Good, policy: attestation.DefaultPolicy(), now: gputest.Now,
	}
}

func bound(t testing.TB) envelope.Digest {
	t.Helper()
	b := attestationtest.Binding(t, "gpu")
	d, err := b.Digest()
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func nested(t testing.TB) envelope.Digest {
	t.Helper()
	return attestation.NestedDigest(bound(t))
}

// endorsements are the chain, the manifests and the answers.
func (s *scenario) endorsements() []attestation.Endorsement {
	var out []attestation.Endorsement
	for _, c := range gputest.Certs(s.vendor.Device) {
		out = append(out, attestation.Endorsement{Type: attestation.CertificateType, Body: c})
	}
	if s.driver != nil {
		out = append(out, attestation.Endorsement{Type: attestation.DriverRIMType, Body: s.vendor.SignManifest(s.driver)})
	}
	if s.vbios != nil {
		out = append(out, attestation.Endorsement{Type: attestation.VBIOSRIMType, Body: s.vendor.SignManifest(s.vbios)})
	}
	if s.answers != nil {
		for _, a := range s.answers(s.vendor) {
			out = append(out, attestation.Endorsement{Type: attestation.OCSPType, Body: a})
		}
	}
	return out
}

// evidence is the GPU's own.
func (s *scenario) evidence() *attestation.Evidence {
	if s.vendor == nil {
		s.vendor = gputest.New(s.options)
	}
	return &attestation.Evidence{Version: 1, Platform: attestation.PlatformGPU, Evidence: s.vendor.Sign(s.report), Endorsements: s.endorsements()}
}

func (s *scenario) format() *verify.Format {
	return verify.NewFormatUnder(gputest.Pin(s.vendor.Device), gputest.Pin(s.vendor.RIM))
}

// envelope is the GPU's evidence nested under the CPU's.
func (s *scenario) envelope(t testing.TB) *attestation.Evidence {
	t.Helper()
	g, d := s.evidence(), bound(t)
	return &attestation.Evidence{
		Version: 1, Platform: attestation.PlatformSNP, Evidence: d[:], Claims: attestationtest.Binding(t, "gpu"),
		Nested: []attestation.Nested{{Platform: g.Platform, Evidence: g.Evidence, Endorsements: g.Endorsements}},
	}
}

// run verifies the whole as a broker does.
func (s *scenario) run(t testing.TB) error {
	t.Helper()
	e := s.envelope(t)
	if s.edit != nil {
		s.edit(s, e)
	}
	r, err := s.format().Authenticate(t.Context(), s.evidence(), s.now)
	pins := map[string]string{"driver": envelope.Sum([]byte("x")).Hex(), "vbios": envelope.Sum([]byte("x")).Hex()}
	if err == nil {
		pins = map[string]string{"driver": r.Measurements["driver"], "vbios": r.Measurements["vbios"]}
		for i, typ := range []string{attestation.DriverRIMType, attestation.VBIOSRIMType} { // signatures differ at every signing
			for _, n := range e.Nested {
				for _, x := range n.Endorsements {
					if x.Type == typ {
						pins[[]string{"driver", "vbios"}[i]] = envelope.Sum(x.Body).Hex()
					}
				}
			}
		}
	}
	if s.pinOther {
		pins["driver"] = envelope.Sum([]byte("other")).Hex()
	}
	ref := &attestation.Reference{Version: 1, NotAfter: s.now + 10, Policy: s.policy, Values: []attestation.ReferenceValue{
		{Name: "gpu", Platform: attestation.PlatformGPU, Measurements: pins},
		{Name: "cpu", Platform: attestation.PlatformSNP, Measurements: map[string]string{"measurement": hex.EncodeToString(bytes.Repeat([]byte{7}, 48)), "hostdata": hex.EncodeToString(make([]byte, 32))}},
	}}
	v, err := attestation.NewVerifier(ref, cpu{}, s.format())
	if err != nil {
		t.Fatal(err)
	}
	raw, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	_, err = v.Verify(t.Context(), raw, s.now)
	return err
}
