// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"strings"
	"testing"

	"golang.org/x/crypto/ocsp"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/gpu/chain"
	"github.com/glovebox-dev/glovebox/attestation/gpu/gputest"
	"github.com/glovebox-dev/glovebox/attestation/gpu/rim"
	"github.com/glovebox-dev/glovebox/attestation/gpu/spdm"
	"github.com/glovebox-dev/glovebox/attestation/gpu/verify"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// bad is one thing that is not as it should be, in evidence that is properly signed otherwise.
type bad struct {
	name   string
	change func(s *scenario)
	want   error
	says   string // in the error
}

func certificate(chainName string, index int, f func(c *x509.Certificate)) func(s *scenario) {
	return func(s *scenario) {
		s.options.Edit = func(n string, i int, c *x509.Certificate) {
			if n == chainName && i == index {
				f(c)
			}
		}
	}
}

func unsigned(f func(b []byte) []byte) func(s *scenario) {
	return func(s *scenario) { s.report.Edit = f }
}

func poke(at int, v byte) func(s *scenario) {
	return unsigned(func(b []byte) []byte { b[at] = v; return b })
}

func field(typ uint16, value []byte) func(s *scenario) {
	return func(s *scenario) { s.report.Set(typ, value) }
}

func device(f func(e *attestation.Nested)) func(s *scenario) {
	return func(s *scenario) {
		s.edit = func(_ *scenario, e *attestation.Evidence) { f(&e.Nested[0]) }
	}
}

func badReports() []bad {
	return []bad{
		{"truncated", device(func(e *attestation.Nested) { e.Evidence = e.Evidence[:len(e.Evidence)-1] }), spdm.ErrMalformed, ""},
		{"trailing byte", device(func(e *attestation.Nested) { e.Evidence = append(e.Evidence, 0) }), spdm.ErrMalformed, ""},
		{"oversized", device(func(e *attestation.Nested) { e.Evidence = make([]byte, spdm.MaxReport+1) }), spdm.ErrMalformed, ""},
		{"signed by another GPU", func(s *scenario) {
			s.edit = func(_ *scenario, e *attestation.Evidence) {
				e.Nested[0].Evidence = gputest.New(gputest.Options{}).Sign(gputest.NewReport(s.report.Nonce))
			}
		}, spdm.ErrSignature, ""},
		{"SPDM 1.2", poke(0, 0x12), spdm.ErrMalformed, ""},
		{"another request", poke(1, 0xe1), spdm.ErrMalformed, ""},
		{"without a signature asked for", poke(2, 0), spdm.ErrMalformed, ""},
		{"one measurement only", poke(3, 1), spdm.ErrMalformed, ""},
		{"another slot", poke(36, 1), spdm.ErrMalformed, ""},
		{"an error response", poke(38, 0x7f), spdm.ErrMalformed, ""},
		{"one block too many", poke(41, 65), spdm.ErrMalformed, ""},
		{"one block too few", poke(41, 63), spdm.ErrMalformed, ""},
		{"record too long", poke(44, 0xff), spdm.ErrMalformed, "record"},
		{"index out of order", poke(45, 9), spdm.ErrMalformed, "out of order"},
		{"index twice", poke(45+55, 1), spdm.ErrMalformed, "out of order"},
		{"raw value", poke(45+4, 0x81), spdm.ErrMalformed, "DMTF digest"},
		{"not DMTF", poke(45+1, 2), spdm.ErrMalformed, "DMTF digest"},
		{"block size", poke(45+2, 52), spdm.ErrMalformed, "size"},
		{"value size", poke(45+5, 49), spdm.ErrMalformed, "size"},
		{"no measurements", func(s *scenario) { s.report.Measurements = nil }, spdm.ErrMalformed, ""},
		{"no driver version", field(3, nil), spdm.ErrMalformed, "field 3"},
		{"driver version with a space", field(3, []byte("550 90")), spdm.ErrMalformed, "field 3"},
		{"no VBIOS version", field(6, nil), spdm.ErrMalformed, "VBIOS"},
		{"VBIOS version of another form", field(6, []byte{0, 0x9f, 0, 0x96, 1, 1, 0, 0}), spdm.ErrMalformed, "VBIOS"},
		{"FWID of 32 bytes", field(20, make([]byte, 32)), spdm.ErrMalformed, "FWID"},
		{"field twice", func(s *scenario) { s.report.Fields = append(s.report.Fields, s.report.Fields[0]) }, spdm.ErrMalformed, "twice"},
		{"unknown feature flag", field(36, []byte{9, 0}), spdm.ErrMalformed, "feature"},
		{"another generation", field(35, []byte("GB100\x00")), verify.ErrGeneration, ""},
		{"FWID of other firmware", field(20, make([]byte, 48)), verify.ErrFirmware, ""},
		{"event log", device(func(e *attestation.Nested) {
			e.EventLogs = []attestation.EventLog{{Type: attestation.TCG2Log, Body: []byte("x")}}
		}), spdm.ErrMalformed, "event log"},
	}
}

func badChains() []bad {
	ca := func(c *x509.Certificate) { c.IsCA = false; c.BasicConstraintsValid = true }
	unknown := func(c *x509.Certificate) {
		c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}})
	}
	return []bad{
		{"wrong root", func(s *scenario) {
			s.edit = func(s *scenario, e *attestation.Evidence) {
				other := gputest.New(gputest.Options{})
				s2 := *s
				s2.vendor = other
				e.Nested[0].Evidence, e.Nested[0].Endorsements = other.Sign(s.report), s2.endorsements()
			}
		}, chain.ErrRoot, ""},
		{"our root over another vendor's chain", func(s *scenario) {
			s.edit = func(s *scenario, e *attestation.Evidence) {
				other := gputest.New(gputest.Options{})
				for i, c := range gputest.Certs(other.Device)[:4] {
					e.Nested[0].Endorsements[i].Body = c
				}
				e.Nested[0].Evidence = other.Sign(s.report)
			}
		}, chain.ErrChain, "certificate 3"},
		{"no certificates", device(func(e *attestation.Nested) { e.Endorsements = e.Endorsements[5:] }), chain.ErrChain, ""},
		{"without the root", device(func(e *attestation.Nested) { e.Endorsements = append(e.Endorsements[:4:4], e.Endorsements[5:]...) }), chain.ErrRoot, ""},
		{"without the leaf", device(func(e *attestation.Nested) { e.Endorsements = e.Endorsements[1:] }), chain.ErrChain, ""},
		{"without a link", device(func(e *attestation.Nested) { e.Endorsements = append(e.Endorsements[:2:2], e.Endorsements[3:]...) }), chain.ErrChain, "the next one is"},
		{"two chains", device(func(e *attestation.Nested) {
			e.Endorsements = append(e.Endorsements, attestation.Endorsement{Type: attestation.ChainType, Body: []byte("x")})
		}), verify.ErrEndorsements, ""},
		{"expired", func(s *scenario) {
			certificate("device", 2, func(c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(0, 0, 1) })(s)
		}, chain.ErrExpired, ""},
		{"not yet valid", certificate("device", 1, func(c *x509.Certificate) { c.NotBefore = c.NotAfter.AddDate(0, 0, -1) }), chain.ErrExpired, ""},
		{"issuer is no CA", certificate("device", 1, ca), chain.ErrChain, "not a CA"},
		{"issuer may not sign certificates", certificate("device", 2, func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageCRLSign }), chain.ErrChain, "not a CA"},
		{"path too long", certificate("device", 3, func(c *x509.Certificate) { c.MaxPathLen = 1 }), chain.ErrChain, "path"},
		{"leaf is a CA", certificate("device", 0, func(c *x509.Certificate) { c.IsCA = true; c.KeyUsage |= x509.KeyUsageCertSign }), chain.ErrChain, "leaf"},
		{"unknown critical extension", certificate("device", 0, unknown), chain.ErrChain, "critical"},
		{"leaf of other firmware", func(s *scenario) { s.options.FWID = make([]byte, 48) }, verify.ErrFirmware, ""},
		{"leaf of another device key", func(s *scenario) {
			s.options.DICE = func(der []byte) []byte { der[60] ^= 1; return der }
		}, verify.ErrFirmware, ""},
		{"leaf without DICE", certificate("device", 0, func(c *x509.Certificate) { c.ExtraExtensions = c.ExtraExtensions[1:] }), verify.ErrGeneration, ""},
		{"leaf without a device name", certificate("device", 0, func(c *x509.Certificate) { c.ExtraExtensions = c.ExtraExtensions[:1] }), verify.ErrGeneration, ""},
		{"another chip", func(s *scenario) { s.options.Name = "NVIDIA:GB100:0123456789ABCDEF" }, verify.ErrGeneration, ""},
		{"another vendor's device", func(s *scenario) { s.options.Name = "OTHER:GH100:0123456789ABCDEF" }, verify.ErrGeneration, ""},
	}
}

func badBindings() []bad {
	return []bad{
		{"replayed nonce", func(s *scenario) { s.report.Nonce = envelope.Sum([]byte("earlier")) }, attestation.ErrBind, ""},
		{"zero nonce", func(s *scenario) { s.report.Nonce = [32]byte{} }, attestation.ErrBind, ""},
		{"other driver pinned", func(s *scenario) { s.pinOther = true }, attestation.ErrAppraise, "reference"},
		{"chip not on the list", func(s *scenario) { s.policy.Chips = []string{strings.Repeat("00", 10)} }, attestation.ErrAppraise, "chip"},
	}
}

func answersOf(f func(v *gputest.Vendor) [][]byte) func(s *scenario) {
	return func(s *scenario) { s.answers = f }
}

func withAnswer(i int, a gputest.Answer) func(s *scenario) {
	return answersOf(func(v *gputest.Vendor) [][]byte {
		out := v.Good()
		out[i-1] = gputest.OCSP(v.Device, i, a)
		return out
	})
}

func badRevocations() []bad {
	const from, to = gputest.Now - 100, gputest.Now + 100
	good := gputest.Answer{Status: ocsp.Good, From: from, To: to}
	return []bad{
		{"no OCSP answers", answersOf(nil), attestation.ErrAppraise, "gpu-revocation"},
		{"one answer missing", answersOf(func(v *gputest.Vendor) [][]byte { return v.Good()[1:] }), attestation.ErrAppraise, "gpu-revocation"},
		{"revoked device", withAnswer(1, gputest.Answer{Status: ocsp.Revoked, From: from, To: to}), chain.ErrRevoked, ""},
		{"revoked intermediate", withAnswer(3, gputest.Answer{Status: ocsp.Revoked, From: from, To: to}), chain.ErrRevoked, ""},
		{"revoked manifest signer", answersOf(func(v *gputest.Vendor) [][]byte {
			out := v.Good()
			out[3] = gputest.OCSP(v.RIM, 0, gputest.Answer{Status: ocsp.Revoked, From: from, To: to})
			return out
		}), chain.ErrRevoked, ""},
		{"unknown to the responder", withAnswer(1, gputest.Answer{Status: ocsp.Unknown, From: from, To: to}), chain.ErrOCSP, "know"},
		{"stale answer", withAnswer(1, gputest.Answer{Status: ocsp.Good, From: from - 500, To: from}), chain.ErrOCSP, "holds"},
		{"answer of tomorrow", withAnswer(1, gputest.Answer{Status: ocsp.Good, From: to, To: to + 500}), chain.ErrOCSP, "holds"},
		{"answer of yesterday, without an end", withAnswer(1, gputest.Answer{Status: ocsp.Good, From: from - 24*60*60}), chain.ErrOCSP, "holds"},
		{"answer about the certificate of another issuer", answersOf(func(v *gputest.Vendor) [][]byte {
			out, a := v.Good(), good
			a.Issuer = v.Device[4].Cert
			out[0] = gputest.OCSP(v.Device, 1, a)
			return out
		}), attestation.ErrAppraise, "gpu-revocation"},
		{"answer by a stranger", answersOf(func(v *gputest.Vendor) [][]byte {
			out, a := v.Good(), good
			a.Responder = gputest.Responder(v.Device[4], true)
			out[0] = gputest.OCSP(v.Device, 1, a)
			return out
		}), chain.ErrOCSP, ""},
		{"answer by a neighbouring device", answersOf(func(v *gputest.Vendor) [][]byte {
			out, a := v.Good(), good
			a.Responder = gputest.Responder(v.Device[2], false)
			out[0] = gputest.OCSP(v.Device, 1, a)
			return out
		}), chain.ErrOCSP, "not a responder"},
		{"answer that is none", answersOf(func(v *gputest.Vendor) [][]byte { return append(v.Good(), []byte("0")) }), chain.ErrOCSP, ""},
		{"too many answers", answersOf(func(v *gputest.Vendor) [][]byte { return append(v.Good(), append(v.Good(), v.Good()...)...) }), chain.ErrOCSP, "answers"},
	}
}

func badManifests() []bad {
	driver := func(f func(m *gputest.Manifest)) func(s *scenario) { return func(s *scenario) { f(s.driver) } }
	doc := func(from, to string) func(s *scenario) {
		return driver(func(m *gputest.Manifest) { m.Doc = func(d string) string { return strings.Replace(d, from, to, 1) } })
	}
	return []bad{
		{"no manifests", func(s *scenario) { s.driver, s.vbios = nil, nil }, attestation.ErrAppraise, "gpu-measurements"},
		{"no VBIOS manifest", func(s *scenario) { s.vbios = nil }, attestation.ErrAppraise, "gpu-measurements"},
		{"no driver manifest", func(s *scenario) { s.driver = nil }, attestation.ErrAppraise, "gpu-measurements"},
		{"a measurement differs", func(s *scenario) { s.report.Measurements[20] = make([]byte, 48) }, attestation.ErrAppraise, "20 (driver)"},
		{"a measurement is missing", func(s *scenario) { s.report.Measurements = s.report.Measurements[:63] }, attestation.ErrAppraise, "63 (vbios)"},
		{"a measurement differs, and the policy is lax", func(s *scenario) {
			s.report.Measurements[20], s.policy.GPU.UnsafeWithoutRIM = make([]byte, 48), true
		}, attestation.ErrAppraise, "20 (driver)"},
		{"both manifests list a measurement", func(s *scenario) { s.vbios.Golden[2] = s.driver.Golden[2] }, attestation.ErrAppraise, "both list it"},
		{"manifest of another driver", driver(func(m *gputest.Manifest) { m.Version = "550.90.08" }), verify.ErrRIM, ""},
		{"manifest of another chip", driver(func(m *gputest.Manifest) { m.Product = "GB100" }), verify.ErrRIM, ""},
		{"manifest of the VBIOS in the driver's place", func(s *scenario) { s.driver = s.vbios }, verify.ErrRIM, ""},
		{"two driver manifests", device(func(e *attestation.Nested) { e.Endorsements = append(e.Endorsements, e.Endorsements[5]) }), verify.ErrEndorsements, ""},
		{"manifest of another vendor", device(func(e *attestation.Nested) {
			e.Endorsements[5].Body = gputest.New(gputest.Options{}).SignManifest(gputest.DriverManifest())
		}), chain.ErrRoot, ""},
		{"manifest's signer expired", certificate("rim", 0, func(c *x509.Certificate) { c.NotAfter = c.NotBefore.AddDate(0, 0, 1) }), chain.ErrExpired, ""},
		{"no active measurement", doc2(`active="True"`, `active="False"`), rim.ErrContent, "no active"},
		{"no Meta", doc("ns0:Meta colloquialVersion", "ns0:Beta colloquialVersion"), rim.ErrMalformed, ""},
		{"fewer hashes than stated", doc(`alternatives="2"`, `alternatives="3"`), rim.ErrContent, "hash"},
		{"more hashes than stated", doc(`alternatives="2"`, `alternatives="1"`), rim.ErrContent, "more hashes"},
		{"measurement listed twice", doc(`index="1"`, `index="0"`), rim.ErrContent, "twice"},
		{"size that is not the hash's", doc(`size="48"`, `size="32"`), rim.ErrContent, "hash"},
		{"activity that is neither", doc(`active="True"`, `active="true"`), rim.ErrContent, "active"},
	}
}

func doc2(from, to string) func(s *scenario) {
	return func(s *scenario) {
		s.driver.Doc = func(d string) string { return strings.ReplaceAll(d, from, to) }
	}
}

// TestGood: what the bad evidence departs from is accepted.
func TestGood(t *testing.T) {
	if err := newScenario(t).run(t); err != nil {
		t.Fatal(err)
	}
}

// TestLaxPolicy: what a policy may accept less of, each with a field that says so.
func TestLaxPolicy(t *testing.T) {
	s := newScenario(t)
	s.answers, s.policy.GPU.UnsafeWithoutOCSP = nil, true
	if err := s.run(t); err != nil {
		t.Error("without answers:", err)
	}
	s = newScenario(t)
	s.driver, s.vbios, s.policy.GPU.UnsafeWithoutRIM = nil, nil, true
	s.answers = func(v *gputest.Vendor) [][]byte { return v.Good()[:3] }
	if err := s.run(t); err != nil {
		t.Error("without manifests:", err)
	}
}

func TestBad(t *testing.T) {
	n := 0
	for _, group := range [][]bad{badReports(), badChains(), badBindings(), badRevocations(), badManifests()} {
		for _, b := range group {
			t.Run(b.name, func(t *testing.T) {
				s := newScenario(t)
				b.change(s)
				err := s.run(t)
				if !errors.Is(err, b.want) || !errors.Is(err, attestation.ErrEvidence) || !strings.Contains(err.Error(), b.says) {
					t.Errorf("got %v, want %v with %q", err, b.want, b.says)
				}
			})
			n++
		}
	}
	t.Logf("refused %d kinds of bad evidence, each properly signed but for one thing", n)
}

// TestRelayedGPU: a GPU's report belongs to one machine's exchange. Another machine's, an exchange of the same machine's,
// and a report on its own are refused.
func TestRelayedGPU(t *testing.T) {
	s := newScenario(t)
	s.report.Nonce = bound(t) // the CPU's own digest is not the nested one
	if err := s.run(t); !errors.Is(err, attestation.ErrBind) {
		t.Errorf("bound as a CPU: %v", err)
	}
	s = newScenario(t)
	s.edit = func(s *scenario, e *attestation.Evidence) {
		g := s.evidence()
		e.Platform, e.Evidence, e.Endorsements, e.Nested = g.Platform, g.Evidence, g.Endorsements, nil
	}
	if err := s.run(t); !errors.Is(err, attestation.ErrBind) || !strings.Contains(err.Error(), "on its own") {
		t.Errorf("on its own: %v", err)
	}
	s = newScenario(t)
	s.edit = func(_ *scenario, e *attestation.Evidence) {
		e.Claims.LeaseID[0] ^= 1 // another exchange, for which the CPU makes new evidence and the GPU does not
		d, err := e.Claims.Digest()
		if err != nil {
			t.Fatal(err)
		}
		e.Evidence = d[:]
	}
	if err := s.run(t); !errors.Is(err, attestation.ErrBind) {
		t.Errorf("of another exchange: %v", err)
	}
	f, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	other := nested(t)
	if err := f.CheckBound(&attestation.Report{Bound: bytes.Clone(other[:31])}, other); !errors.Is(err, attestation.ErrBind) {
		t.Errorf("a part of the nonce: %v", err)
	}
}
