// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"crypto"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-tpm/tpm2"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/gce/shielded"
	"github.com/glovebox-dev/glovebox/attestation/gce/verify"
	"github.com/glovebox-dev/glovebox/attestation/tpm/boot"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
	"github.com/glovebox-dev/glovebox/attestation/tpm/tpmtest"
)

func TestVerify(t *testing.T) {
	for name, key := range map[string]crypto.Signer{"RSA": rsaKey(t), "ECC": eccKey()} {
		s := newScenario(t, key)
		c, err := s.verifier(t).Verify(t.Context(), s.raw(t), now)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if c.Assurance() != attestation.AssuranceTPM || len(c.Measurements()) != 25 || c.Measurements()["enclave"] == "" {
			t.Errorf("%s: assurance %s, %v", name, c.Assurance(), c.Measurements())
		}
	}
}

// departure is one thing that is wrong, alone.
type departure struct {
	name   string
	want   error
	change func(t *testing.T, s *scenario)
}

func TestRefused(t *testing.T) {
	all := slices.Concat(chainDepartures(), keyDepartures(), quoteDepartures(), logDepartures())
	for _, d := range all {
		t.Run(d.name, func(t *testing.T) {
			s := newScenario(t, eccKey())
			d.change(t, s)
			r, err := s.format(t).Authenticate(t.Context(), s.evidence(t), now)
			if !errors.Is(err, d.want) {
				t.Fatalf("got %v, want %v", err, d.want)
			}
			if n := len(r.Checks); n == 0 || r.Checks[n-1].Outcome != attestation.Fail || r.Assurance != "" {
				t.Errorf("checks %+v, assurance %q", r.Checks, r.Assurance)
			}
		})
	}
	t.Logf("%d bad inputs refused, each with its own error", len(all))
}

func chainDepartures() []departure {
	cert := func(f func(*x509.Certificate)) func(*testing.T, *scenario) {
		return func(t *testing.T, s *scenario) { s.bend(f, t) }
	}
	authorityWith := func(f func(root, inter *x509.Certificate)) func(*testing.T, *scenario) {
		return func(t *testing.T, s *scenario) {
			s.ca = newAuthority(t, "mine", f)
			s.root, s.e.Endorsements = s.ca.root, s.ca.endorsements()
			s.bend(nil, t)
		}
	}
	crl := func(f func(t *testing.T, s *scenario) attestation.Endorsement) func(*testing.T, *scenario) {
		return func(t *testing.T, s *scenario) { s.e.Endorsements = append(s.e.Endorsements, f(t, s)) }
	}
	return []departure{
		{"wrong root", verify.ErrCertificate, func(t *testing.T, s *scenario) { s.root = newAuthority(t, "other", nil).root }},
		{"another authority of the same name", verify.ErrCertificate, func(t *testing.T, s *scenario) {
			other := newAuthority(t, "mine", func(root, _ *x509.Certificate) { root.SerialNumber.SetInt64(9) })
			forged := *other
			forged.rootKey, forged.interKey = tpmtest.ECCKey("forged"), tpmtest.ECCKey("forged inter")
			forged.root = create(t, caTemplate("EK/AK CA Root mine", 1), caTemplate("EK/AK CA Root mine", 1), forged.rootKey.Public(), forged.rootKey)
			forged.inter = create(t, caTemplate("EK/AK CA Intermediate mine", 2), forged.root, forged.interKey.Public(), forged.rootKey)
			s.x.AKCertificate = forged.certify(t, s.vm.Key.Public(), nil).Raw
			s.e.Endorsements = forged.endorsements()
		}},
		{"root's key pinned, root's dates rewritten", verify.ErrCertificate, func(t *testing.T, s *scenario) {
			i := slices.IndexFunc(s.e.Endorsements, func(e attestation.Endorsement) bool { return string(e.Body) == string(s.ca.root.Raw) })
			raw := slices.Clone(s.ca.root.Raw)
			at := strings.Index(string(raw), s.ca.root.NotAfter.UTC().Format("060102150405Z"))
			raw[at+1]++
			s.e.Endorsements[i].Body = raw
		}},
		{"no intermediate", verify.ErrCertificate, func(_ *testing.T, s *scenario) { s.e.Endorsements = s.e.Endorsements[1:] }},
		{"no root", verify.ErrCertificate, func(_ *testing.T, s *scenario) { s.e.Endorsements = s.e.Endorsements[:1] }},
		{"too many certificates", verify.ErrCertificate, func(t *testing.T, s *scenario) {
			for range 9 {
				s.e.Endorsements = append(s.e.Endorsements, attestation.Endorsement{
					Type: attestation.CertificateType, Body: s.ca.certify(t, s.vm.Key.Public(), nil).Raw,
				})
			}
		}},
		{"expired key certificate", verify.ErrCertificate, cert(func(c *x509.Certificate) { c.NotAfter = time.Unix(now-1, 0) })},
		{"key certificate of tomorrow", verify.ErrCertificate, cert(func(c *x509.Certificate) { c.NotBefore = time.Unix(now+60, 0) })},
		{"expired intermediate", verify.ErrCertificate, authorityWith(func(_, i *x509.Certificate) { i.NotAfter = time.Unix(now-1, 0) })},
		{"expired root", verify.ErrCertificate, authorityWith(func(r, _ *x509.Certificate) { r.NotAfter = time.Unix(now-1, 0) })},
		{"intermediate that is no authority", verify.ErrCertificate, authorityWith(func(_, i *x509.Certificate) { i.IsCA = false })},
		{"unknown critical extension", verify.ErrCertificate, cert(func(c *x509.Certificate) {
			c.ExtraExtensions = append(c.ExtraExtensions, pkix.Extension{Id: asn1.ObjectIdentifier{1, 2, 3}, Critical: true, Value: []byte{5, 0}})
		})},
		{"endorsement key's certificate", verify.ErrCertificate, cert(func(c *x509.Certificate) { c.KeyUsage = x509.KeyUsageKeyEncipherment })},
		{"authority's certificate", verify.ErrCertificate, cert(func(c *x509.Certificate) { c.IsCA = true })},
		{"revoked", verify.ErrRevoked, crl(func(t *testing.T, s *scenario) attestation.Endorsement {
			c, err := x509.ParseCertificate(s.x.AKCertificate)
			if err != nil {
				t.Fatal(err)
			}
			return s.ca.crl(t, s.ca.interKey, now-60, now+60, c.SerialNumber)
		})},
		{"expired revocation list", verify.ErrCertificate, crl(func(t *testing.T, s *scenario) attestation.Endorsement {
			return s.ca.crl(t, s.ca.interKey, now-120, now-60)
		})},
		{"revocation list of tomorrow", verify.ErrCertificate, crl(func(t *testing.T, s *scenario) attestation.Endorsement {
			return s.ca.crl(t, s.ca.interKey, now+24*3600, now+48*3600)
		})},
		{"forged revocation list", verify.ErrCertificate, crl(func(t *testing.T, s *scenario) attestation.Endorsement {
			return s.ca.crl(t, tpmtest.ECCKey("forger"), now-60, now+60)
		})},
		{"revocation list that is none", verify.ErrCertificate, crl(func(*testing.T, *scenario) attestation.Endorsement {
			return attestation.Endorsement{Type: attestation.CRLType, Body: []byte("no list")}
		})},
	}
}

func keyDepartures() []departure {
	inst := func(f func(*instance)) func(*testing.T, *scenario) {
		return func(t *testing.T, s *scenario) {
			i := goodInstance()
			f(&i)
			s.bend(func(c *x509.Certificate) { c.ExtraExtensions[1] = extension(t, i) }, t)
		}
	}
	template := func(f func(*tpm2.TPMTPublic)) func(*testing.T, *scenario) {
		return func(t *testing.T, s *scenario) { f(&s.vm.Template); s.quote(t) }
	}
	return []departure{
		{"not evidence", shielded.ErrMalformed, func(_ *testing.T, s *scenario) { s.x.Quote = nil }},
		{"no certificate", verify.ErrCertificate, func(_ *testing.T, s *scenario) { s.x.AKCertificate = nil }},
		{"certificate that is none", verify.ErrCertificate, func(_ *testing.T, s *scenario) { s.x.AKCertificate = []byte("none") }},
		{"mixed quote and certificate", verify.ErrCertificate, func(t *testing.T, s *scenario) {
			s.x.AKCertificate = s.ca.certify(t, tpmtest.ECCKey("another").Public(), nil).Raw
		}},
		{"not production", verify.ErrInstance, inst(func(i *instance) { i.Properties.Production = false })},
		{"negative number", verify.ErrInstance, inst(func(i *instance) { i.ID = -1 })},
		{"no zone", verify.ErrInstance, inst(func(i *instance) { i.Zone = "" })},
		{"no instance", verify.ErrInstance, func(t *testing.T, s *scenario) {
			s.bend(func(c *x509.Certificate) { c.ExtraExtensions = c.ExtraExtensions[:1] }, t)
		}},
		{"instance with something behind it", verify.ErrInstance, func(t *testing.T, s *scenario) {
			s.bend(func(c *x509.Certificate) { c.ExtraExtensions[1].Value = append(c.ExtraExtensions[1].Value, 0) }, t)
		}},
		{"unrestricted key", quote.ErrKey, template(func(p *tpm2.TPMTPublic) { p.ObjectAttributes.Restricted = false })},
		{"key that can leave its TPM", quote.ErrKey, template(func(p *tpm2.TPMTPublic) { p.ObjectAttributes.FixedTPM = false })},
		{"key that was not made in its TPM", quote.ErrKey, template(func(p *tpm2.TPMTPublic) { p.ObjectAttributes.SensitiveDataOrigin = false })},
		{"key with a policy", quote.ErrKey, template(func(p *tpm2.TPMTPublic) { p.AuthPolicy.Buffer = make([]byte, 32) })},
		{"owner hierarchy", quote.ErrKey, func(t *testing.T, s *scenario) { s.vm.Hierarchy = tpm2.TPMRHOwner; s.quote(t) }},
	}
}

func quoteDepartures() []departure {
	attest := func(f func(*tpm2.TPMSAttest)) func(*testing.T, *scenario) {
		return func(t *testing.T, s *scenario) { s.vm.Attest = f; s.quote(t) }
	}
	return []departure{
		{"another key's signature", quote.ErrSignature, func(t *testing.T, s *scenario) {
			s.x.Signature = tpmtest.NewCloud(t, tpmtest.ECCKey("another")).Sign(t, s.x.Quote)
		}},
		{"RSA signature of an ECC key", quote.ErrMalformed, func(t *testing.T, s *scenario) {
			s.x.Signature = tpmtest.NewCloud(t, rsaKey(t)).Sign(t, s.x.Quote)
		}},
		{"not generated by a TPM", quote.ErrMalformed, attest(func(a *tpm2.TPMSAttest) { a.Magic = 1 })},
		{"SHA-1 bank", quote.ErrPCRs, attest(func(a *tpm2.TPMSAttest) {
			a.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, &tpm2.TPMSQuoteInfo{
				PCRSelect: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{{Hash: tpm2.TPMAlgSHA1, PCRSelect: []byte{255, 255, 255}}}},
				PCRDigest: tpm2.TPM2BDigest{Buffer: make([]byte, 32)},
			})
		})},
		{"two banks", quote.ErrQuote, attest(func(a *tpm2.TPMSAttest) {
			a.Attested = tpm2.NewTPMUAttest(tpm2.TPMSTAttestQuote, &tpm2.TPMSQuoteInfo{
				PCRSelect: tpm2.TPMLPCRSelection{PCRSelections: []tpm2.TPMSPCRSelection{
					{Hash: tpm2.TPMAlgSHA256, PCRSelect: []byte{255, 255, 255}}, {Hash: tpm2.TPMAlgSHA1, PCRSelect: []byte{255, 255, 255}},
				}},
				PCRDigest: tpm2.TPM2BDigest{Buffer: make([]byte, 32)},
			})
		})},
		{"nothing quoted", quote.ErrPCRs, func(t *testing.T, s *scenario) {
			s.vm.Select = nil
			s.quote(t)
			s.x.PCRs = map[string]string{"pcr0": "00"}
		}},
		{"other values", quote.ErrPCRs, func(_ *testing.T, s *scenario) { s.x.PCRs["pcr4"] = strings.Repeat("a", 64) }},
		{"a value less", quote.ErrPCRs, func(_ *testing.T, s *scenario) { delete(s.x.PCRs, "pcr14") }},
		{"a register not quoted", quote.ErrPCRs, func(t *testing.T, s *scenario) {
			all := s.vm.Values()
			s.vm.Select = s.vm.Select[:16]
			s.quote(t)
			s.x.PCRs = all
		}},
		{"firmware not quoted", verify.ErrUnmeasured, func(t *testing.T, s *scenario) { s.vm.Select = s.vm.Select[8:]; s.quote(t) }},
		{"zeroed PCRs", verify.ErrUnmeasured, func(t *testing.T, s *scenario) {
			for i := range s.vm.PCRs {
				s.vm.PCRs[i] = [32]byte{}
			}
			s.quote(t)
		}},
	}
}

func logDepartures() []departure {
	log := func(f func(t *testing.T, s *scenario) []attestation.EventLog) func(*testing.T, *scenario) {
		return func(t *testing.T, s *scenario) { s.e.EventLogs = f(t, s) }
	}
	one := func(b []byte) []attestation.EventLog {
		return []attestation.EventLog{{Type: attestation.TCG2Log, Body: b}}
	}
	return []departure{
		{"no event log", boot.ErrLog, log(func(*testing.T, *scenario) []attestation.EventLog { return nil })},
		{"empty event log", eventlog.ErrEmpty, log(func(*testing.T, *scenario) []attestation.EventLog { return one(nil) })},
		{"event log without events", eventlog.ErrEmpty, log(func(*testing.T, *scenario) []attestation.EventLog { return one(eventlog.Header()) })},
		{"event log that measured nothing", eventlog.ErrEmpty, log(func(t *testing.T, _ *scenario) []attestation.EventLog {
			b, err := eventlog.Append(eventlog.Header(), eventlog.Event{Type: eventlog.NoAction, Data: []byte("hello")})
			if err != nil {
				t.Fatal(err)
			}
			return one(b)
		})},
		{"two event logs", boot.ErrLog, log(func(_ *testing.T, s *scenario) []attestation.EventLog { return slices.Repeat(s.e.EventLogs, 2) })},
		{"another type of log", boot.ErrLog, log(func(_ *testing.T, s *scenario) []attestation.EventLog {
			return []attestation.EventLog{{Type: attestation.CCELLog, Body: s.vm.Log}}
		})},
		{"event log that does not replay", eventlog.ErrReplay, log(func(t *testing.T, s *scenario) []attestation.EventLog {
			s.vm.Measure(t, 4, 4, []byte("other"))
			return one(s.vm.Log)
		})},
		{"event log cut short", eventlog.ErrFormat, log(func(_ *testing.T, s *scenario) []attestation.EventLog { return one(s.vm.Log[:len(s.vm.Log)-1]) })},
	}
}

// TestReplayedNonce: a quote over another question, and one over none.
func TestReplayedNonce(t *testing.T) {
	s := newScenario(t, eccKey())
	v := s.verifier(t)
	b := attestationtest.Binding(t, "other")
	other, err := b.Digest()
	if err != nil {
		t.Fatal(err)
	}
	mine := s.digest(t)
	for name, q := range map[string][]byte{"another's": other[:], "none": nil, "longer": append(mine[:], 0), "shorter": mine[:31], "zeros": make([]byte, 32)} {
		s.quoteOver(t, q)
		if _, err := v.Verify(t.Context(), s.raw(t), now); !errors.Is(err, attestation.ErrBind) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}

// TestOtherCode: another kernel was booted, and its log leads there.
func TestOtherCode(t *testing.T) {
	s := newScenario(t, eccKey())
	v := s.verifier(t)
	s.vm.Measure(t, 8, 4, []byte("another kernel"))
	s.quote(t)
	if _, err := v.Verify(t.Context(), s.raw(t), now); !errors.Is(err, attestation.ErrAppraise) {
		t.Errorf("got %v", err)
	}
}

// TestRevocationListInForce: with a good list the weakness is gone and the list's dates are collateral.
func TestRevocationListInForce(t *testing.T) {
	s := newScenario(t, eccKey())
	s.e.Endorsements = append(s.e.Endorsements, s.ca.crl(t, s.ca.interKey, now-60, now+60))
	r, err := s.format(t).Authenticate(t.Context(), s.evidence(t), now)
	if err != nil || hasFact(r, "revocation", "") {
		t.Fatalf("got %v, %+v", err, r.Facts)
	}
	if !slices.ContainsFunc(r.Collateral, func(c attestation.Collateral) bool { return c.Name == "ak-crl" && c.Expires == now+60 }) {
		t.Errorf("collateral %+v", r.Collateral)
	}
}

// TestConcurrently mixes good and bad evidence.
func TestConcurrently(t *testing.T) {
	s, bad := newScenario(t, eccKey()), newScenario(t, eccKey())
	bad.x.Quote[len(bad.x.Quote)-1] ^= 1
	f, good, broken := s.format(t), s.evidence(t), bad.evidence(t)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for range 10 {
				e := good
				if i%2 == 1 {
					e = broken
				}
				if _, err := f.Authenticate(t.Context(), e, now); (err == nil) != (i%2 == 0) {
					t.Errorf("goroutine %d: %v", i, err)
				}
			}
		})
	}
	wg.Wait()
}
