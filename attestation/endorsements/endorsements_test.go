// SPDX-License-Identifier: Apache-2.0

package endorsements_test

import (
	"bytes"
	"context"
	"encoding/asn1"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/endorsements"
	"github.com/glovebox-dev/glovebox/attestation/endorsements/endorsementstest"
	"github.com/glovebox-dev/glovebox/attestation/verifiers"
)

// config is a fetcher's configuration that reaches v and never waits.
func config(v *endorsementstest.Vendor) endorsements.Config {
	c := endorsements.Config{Transport: v.Transport()}
	c.Timing(5*time.Second, time.Millisecond, time.Now, func(context.Context, time.Duration) error { return nil })
	return c
}

func fetcher(t *testing.T, c endorsements.Config) *endorsements.Fetcher {
	t.Helper()
	f, err := endorsements.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func imported(p attestation.Platform, evidence []byte) *attestation.Evidence {
	return &attestation.Evidence{Version: 1, Platform: p, Evidence: evidence}
}

func types(e *attestation.Evidence) []string {
	var out []string
	for _, x := range e.Endorsements {
		out = append(out, x.Type)
	}
	return out
}

func octets(t *testing.T, b []byte) []byte {
	t.Helper()
	der, err := asn1.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return der
}

// amdLines are the three lines, with the forms in which AMD writes chip ids and addresses.
func amdLines(t *testing.T) map[string]struct {
	report            []byte
	chip, query, line string
	id                []byte
} {
	const tcb = 0xdb18_0000_0000_0203 // microcode 219, SNP 24, …, 2, 3
	long, short := endorsementstest.Chip(false), endorsementstest.Chip(true)
	return map[string]struct {
		report            []byte
		chip, query, line string
		id                []byte
	}{
		"Milan":   {endorsementstest.Report(0x19, 0x01, tcb, long, false), hexOf(long), "blSPL=3&teeSPL=2&snpSPL=24&ucodeSPL=219", "Milan", octets(t, long)},
		"Genoa":   {endorsementstest.Report(0x19, 0x11, tcb, long, false), hexOf(long), "blSPL=3&teeSPL=2&snpSPL=24&ucodeSPL=219", "Genoa", long},
		"Bergamo": {endorsementstest.Report(0x19, 0xa0, tcb, long, false), hexOf(long), "blSPL=3&teeSPL=2&snpSPL=24&ucodeSPL=219", "Genoa", long},
		"Turin": {
			endorsementstest.Report(0x1a, 0x02, 0x47_00_00_00_04_01_02_01, short, false), hexOf(short[:8]),
			"fmcSPL=1&blSPL=2&teeSPL=1&snpSPL=4&ucodeSPL=71", "Turin", short[:8],
		},
	}
}

func hexOf(b []byte) string {
	const digits = "0123456789abcdef"
	var s strings.Builder
	for _, x := range b {
		s.WriteByte(digits[x>>4])
		s.WriteByte(digits[x&15])
	}
	return s.String()
}

func TestFillAMD(t *testing.T) {
	for name, line := range amdLines(t) {
		t.Run(name, func(t *testing.T) {
			v := endorsementstest.New(t)
			v.AMD(t, line.line, line.chip, line.query, line.id)
			e := imported(attestation.PlatformSNP, line.report)
			r, err := fetcher(t, config(v)).Fill(t.Context(), e)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff([]string{attestation.CertificateType, attestation.ChainType, attestation.CRLType}, types(e)); d != "" {
				t.Error(d)
			}
			if len(r.Fetched) != 3 || len(r.Notes) != 0 || len(r.Added) != 3 {
				t.Errorf("%+v", r)
			}
		})
	}
}

// TestFillVLEK: the certificate of a cloud's key comes with the report; AMD hands it to nobody else.
func TestFillVLEK(t *testing.T) {
	v := endorsementstest.New(t)
	v.AMD(t, "Genoa", "x", "y", nil)
	e := imported(attestation.PlatformSNP, endorsementstest.Report(0x19, 0x11, 1, make([]byte, 64), true))
	r, err := fetcher(t, config(v)).Fill(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"GET /vlek/v1/Genoa/cert_chain", "GET /vlek/v1/Genoa/crl"}
	if d := cmp.Diff(want, v.Asked()); d != "" {
		t.Error(d)
	}
	if len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "comes with the report") {
		t.Errorf("notes %q", r.Notes)
	}
}

func TestFillIntel(t *testing.T) {
	for _, p := range []attestation.Platform{attestation.PlatformSGX, attestation.PlatformTDX} {
		for name, pccs := range map[string]string{"PCS": "", "PCCS": "https://cache.example:8081/sgx/certification/v4/"} {
			t.Run(string(p)+" "+name, func(t *testing.T) {
				v := endorsementstest.New(t)
				e := imported(p, v.Intel(t))
				c := config(v)
				c.PCCS = pccs
				if _, err := fetcher(t, c).Fill(t.Context(), e); err != nil {
					t.Fatal(err)
				}
				want := []string{
					attestation.TCBInfoType, attestation.ChainType, attestation.QEIdentityType, attestation.CRLType, attestation.ChainType,
					attestation.CRLType,
				}
				if d := cmp.Diff(want, types(e)); d != "" {
					t.Error(d)
				}
				for _, x := range e.Endorsements {
					if d := endorsements.Describe(x, time.Now()); d.Problem != "" || d.Expired || d.To == 0 || d.Issuer == "" {
						t.Errorf("%+v", d)
					}
				}
			})
		}
	}
}

// TestFillAgain: later statements take the place of earlier ones about the same thing; nothing else changes.
func TestFillAgain(t *testing.T) {
	v := endorsementstest.New(t)
	e := imported(attestation.PlatformTDX, v.Intel(t))
	extra := attestation.Endorsement{Type: "text/plain", Body: []byte("kept")}
	e.Endorsements = []attestation.Endorsement{extra, {Type: attestation.TCBInfoType, Body: v.PKI.TCBInfo("TDX", endorsementstest.FMSPC, -1)}}
	e.Claims = attestationtest.Binding(t, "a")
	bound, err := e.Claims.Digest()
	if err != nil {
		t.Fatal(err)
	}
	f := fetcher(t, config(v))
	if _, err := f.Fill(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	once, err := e.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Fill(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	twice, err := e.Encode()
	if err != nil || !bytes.Equal(once, twice) {
		t.Errorf("a second fill changed the envelope: %v", err)
	}
	if len(e.Find(attestation.TCBInfoType)) != 1 || !bytes.Contains(e.Find(attestation.TCBInfoType)[0], []byte(v.PKI.Now.AddDate(0, 0, 30).Format(time.RFC3339))) {
		t.Error("the expired TCB info is still there")
	}
	if !bytes.Equal(e.Endorsements[0].Body, extra.Body) {
		t.Error("what is of no concern moved")
	}
	if after, err := e.Claims.Digest(); err != nil || after != bound {
		t.Errorf("the binding changed: %v", err)
	}
}

// TestNeeds is about evidence that cannot be filled: each says why and what to do.
func TestNeeds(t *testing.T) {
	v := endorsementstest.New(t)
	chip := endorsementstest.Chip(false)
	old := endorsementstest.Report(0x19, 1, 1, chip, false)
	old[0] = 2
	old[0x188], old[0x189] = 0, 0
	for name, c := range map[string]struct {
		e    *attestation.Evidence
		want string
	}{
		"nothing":                 {nil, "there is none"},
		"short report":            {imported(attestation.PlatformSNP, []byte("x")), "report"},
		"version 2, alone":        {imported(attestation.PlatformSNP, old), "does not say which product"},
		"unknown processor":       {imported(attestation.PlatformSNP, endorsementstest.Report(0x17, 1, 1, chip, false)), "does not say which product"},
		"masked chip":             {imported(attestation.PlatformSNP, endorsementstest.Report(0x19, 1, 1, make([]byte, 64), false)), "MASK_CHIP_ID"},
		"quote without a chain":   {imported(attestation.PlatformTDX, []byte("quote")), "no PCK certificate"},
		"nitro without certs":     {imported(attestation.PlatformNitro, []byte("x")), "no certificate"},
		"a token":                 {imported(attestation.PlatformOIDC, []byte("x")), "relying party"},
		"a TPM":                   {imported(attestation.PlatformTPM, []byte("x")), "owner's broker"},
		"simulated":               {imported(attestation.PlatformSimulated, []byte("x")), "owner's broker"},
		"a platform nobody knows": {imported("abacus", []byte("x")), "unknown platform"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := fetcher(t, config(v)).Fill(t.Context(), c.e)
			if !errors.Is(err, endorsements.ErrNeeds) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
	if len(v.Asked()) != 0 {
		t.Errorf("asked %q", v.Asked())
	}
}

// TestRealEvidence reads what real hardware signed. What is asked for is a fact about it.
func TestRealEvidence(t *testing.T) {
	f := fetcher(t, endorsements.Config{})
	ask := func(t *testing.T, p attestation.Platform, evidence []byte, want ...string) {
		t.Helper()
		urls, _, err := f.Asks(attestation.Nested{Platform: p, Evidence: evidence})
		if err != nil {
			t.Fatal(err)
		}
		all := strings.Join(urls, "\n")
		for _, w := range want {
			if !strings.Contains(all, w) {
				t.Errorf("%q is not among\n%s", w, all)
			}
		}
		t.Logf("%d addresses", len(urls))
	}
	const tdx = "github.com/google/go-tdx-guest@v0.3.2-0.20250814004405-ffb0869e6f4d"
	t.Run("tdx", func(t *testing.T) {
		ask(t, attestation.PlatformTDX, attestationtest.Shared(t, "tdx_quote_4.dat"), "/tdx/certification/v4/tcb?fmspc=", "/tdx/certification/v4/qe/identity", "ca=platform", "IntelSGXRootCA.der")
	})
	t.Run("tdx module", func(t *testing.T) {
		ask(t, attestation.PlatformTDX, attestationtest.ModuleFile(t, tdx, "testing/testdata/tdx_prod_quote_SPR_E4.dat"), "fmspc=50806F000000")
	})
	t.Run("sgx", func(t *testing.T) {
		ask(t, attestation.PlatformSGX, attestationtest.Shared(t, "occlum_quote.dat"), "/sgx/certification/v4/tcb?fmspc=", "/sgx/certification/v4/qe/identity", "ca=p")
	})
	t.Run("nitro", func(t *testing.T) {
		ask(t, attestation.PlatformNitro, attestationtest.Shared(t, "dstack_dstack-attest_tests_nitro_attestation.bin"),
			"https://aws-nitro-enclaves-crl.s3.amazonaws.com/crl/", "https://crl-us-east-1-aws-nitro-enclaves.s3.us-east-1.amazonaws.com/crl/")
	})
	t.Run("gpu", func(t *testing.T) {
		raw := attestation.Raw{
			Report: attestationtest.Shared(t, "nvidia_hopperAttestationReport.txt"),
			Certs:  [][]byte{attestationtest.Shared(t, "nvidia_hopper_cert_chain_case1.txt")},
		}
		e, err := verifiers.Import(attestation.PlatformGPU, raw)
		if err != nil {
			t.Fatal(err)
		}
		urls, notes, err := f.Asks(attestation.Nested{Platform: e.Platform, Evidence: e.Evidence, Endorsements: e.Endorsements})
		t.Logf("%q %q", urls, notes)
		if err != nil || len(urls) < 4 {
			t.Error(err)
		}
	})
	t.Run("azure-snp", func(t *testing.T) {
		e, err := verifiers.Import(attestation.PlatformAzureSNP, attestation.Raw{Report: attestationtest.Shared(t, "az-snp-vtpm_evidence-v1.json")})
		if err != nil {
			t.Fatal(err)
		}
		urls, _, err := f.Asks(attestation.Nested{Platform: e.Platform, Evidence: e.Evidence, Endorsements: e.Endorsements})
		if err != nil || len(urls) != 3 || !strings.HasPrefix(urls[0], "https://kdsintf.amd.com/vcek/v1/") {
			t.Errorf("%q, %v", urls, err)
		}
	})
	t.Run("azure-tdx", func(t *testing.T) {
		e, err := verifiers.Import(attestation.PlatformAzureTDX, attestation.Raw{Report: attestationtest.Shared(t, "az-tdx-vtpm_evidence-v1.json")})
		if err != nil {
			t.Fatal(err)
		}
		ask(t, e.Platform, e.Evidence, "/tdx/certification/v4/tcb?fmspc=", "/tdx/certification/v4/qe/identity", "ca=platform", "IntelSGXRootCA.der")
	})
	t.Run("snp", func(t *testing.T) {
		report, vcek := attestationtest.Shared(t, "snp_test-report.bin"), attestationtest.Shared(t, "snp_test-vcek.der")
		urls, _, err := f.Asks(attestation.Nested{Platform: attestation.PlatformSNP, Evidence: report, Endorsements: []attestation.Endorsement{{Type: attestation.CertificateType, Body: vcek}}})
		if err != nil || len(urls) != 3 || !strings.HasPrefix(urls[0], "https://kdsintf.amd.com/vcek/v1/Milan/") {
			t.Errorf("%q, %v", urls, err)
		}
	})
}

const someUUID = "62d71773-0000-21da-852e-f4f5e80d7778"

// TestVendorsAddresses: the forms that Amazon's and Google's have, over HTTPS and without a query.
func TestVendorsAddresses(t *testing.T) {
	v := endorsementstest.New(t)
	root := v.PKI.Issue(t, "root", nil, nil)
	for addr, want := range map[string]string{
		"http://aws-nitro-enclaves-crl.s3.amazonaws.com/crl/" + someUUID + ".crl":                                "",
		"https://crl-us-east-1-aws-nitro-enclaves.s3.us-east-1.amazonaws.com/crl/" + someUUID + ".crl":           "",
		"http://crl-us-gov-west-1-aws-nitro-enclaves.s3.us-gov-west-1.amazonaws.com/crl/" + someUUID + ".crl":    "",
		"http://privateca-content-" + someUUID + ".storage.googleapis.com/032bf9d39db4fa06aade/crl.crl":          "",
		"http://privateca-content-" + someUUID + ".storage.googleapis.com/032bf9d39db4fa06aade/ca.crt?leak=me#x": "http://privateca-content-" + someUUID + ".storage.googleapis.com/032bf9d39db4fa06aade/ca.crt",
	} {
		if want == "" {
			want = addr
		}
		want = "https" + strings.TrimPrefix(strings.TrimPrefix(want, "https"), "http")
		c := v.PKI.Issue(t, "good", root, func(c *certificate) { c.CRLDistributionPoints = []string{addr} })
		urls, notes, err := fetcher(t, config(v)).Asks(attestation.Nested{Platform: attestation.PlatformNitro, Evidence: c.Cert.Raw})
		if err != nil || len(urls) != 1 || urls[0] != want {
			t.Errorf("%s: asks %q, notes %q, %v", addr, urls, notes, err)
		}
	}
}

// TestStrangersAddresses: certificates in evidence cannot send a fetcher anywhere.
func TestStrangersAddresses(t *testing.T) {
	v := endorsementstest.New(t)
	root := v.PKI.Issue(t, "root", nil, nil)
	leaf := v.PKI.Issue(t, "leaf", root, nil)
	for _, addr := range []string{
		"http://169.254.169.254/latest/meta-data/", "http://localhost:7300/", "https://evil.example/crl", "ldap://aws-nitro-enclaves-crl.s3.amazonaws.com/x",
		"http://aws-nitro-enclaves-crl.s3.amazonaws.com.evil.example/", "http://u:p@aws-nitro-enclaves-crl.s3.amazonaws.com/", "file:///etc/passwd",
		"http://aws-nitro-enclaves-crl.s3.amazonaws.com:8080/crl/" + someUUID + ".crl", "http://aws-nitro-enclaves-crl.s3.amazonaws.com:/crl/" + someUUID + ".crl",
		// buckets that anybody can make
		"http://privateca-content-attacker.storage.googleapis.com/032bf9d39db4fa06aade/crl.crl", "http://privateca-content-" + someUUID + "x.storage.googleapis.com/032bf9d39db4fa06aade/crl.crl",
		"http://crl-attacker-aws-nitro-enclaves.s3.us-east-1.amazonaws.com/crl/" + someUUID + ".crl",
		"http://crl-mars-east-1-aws-nitro-enclaves.s3.us-east-1.amazonaws.com/crl/" + someUUID + ".crl",
		"http://crl-us-east-2-aws-nitro-enclaves.s3.us-east-1.amazonaws.com/crl/" + someUUID + ".crl",
		// paths that carry a stranger's words
		"http://aws-nitro-enclaves-crl.s3.amazonaws.com/a", "http://aws-nitro-enclaves-crl.s3.amazonaws.com/crl/a%20b.crl",
		"http://privateca-content-" + someUUID + ".storage.googleapis.com/me/crl.crl",
	} {
		bad := v.PKI.Issue(t, "bad", root, func(c *certificate) { c.CRLDistributionPoints = []string{addr} })
		p := attestation.Nested{Platform: attestation.PlatformNitro, Evidence: append(bad.Cert.Raw, leaf.Cert.Raw...)}
		urls, notes, err := fetcher(t, config(v)).Asks(p)
		if err != nil || len(urls) != 0 || len(notes) == 0 {
			t.Errorf("%s: asks %q, notes %q, %v", addr, urls, notes, err)
		}
	}
}

func TestConfigRefused(t *testing.T) {
	for name, c := range map[string]endorsements.Config{
		"http":              {PCCS: "http://localhost:8081"},
		"no host":           {KDS: "https://"},
		"a password":        {PCS: "https://u:p@example.com"},
		"another scheme":    {RIM: "file:///etc/passwd"},
		"not a URL":         {OCSP: "https://a b"},
		"offline, no cache": {Offline: true},
	} {
		if _, err := endorsements.New(c); !errors.Is(err, endorsements.ErrConfig) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestKeys(t *testing.T) {
	v := endorsementstest.New(t)
	const issuer = "https://issuer.example"
	v.Set("/.well-known/openid-configuration", endorsementstest.Answer{Body: []byte(`{"issuer":"` + issuer + `","jwks_uri":"` + issuer + `/keys"}`)})
	v.Set("/keys", endorsementstest.Answer{Body: []byte(`{"keys":[{"kty":"RSA"}]}`)})
	keys, _, err := fetcher(t, config(v)).Keys(t.Context(), issuer)
	if err != nil || string(keys) != `{"keys":[{"kty":"RSA"}]}` {
		t.Errorf("%s, %v", keys, err)
	}
	if _, _, err := fetcher(t, config(v)).Keys(t.Context(), "https://other.example"); !errors.Is(err, endorsements.ErrContent) {
		t.Errorf("another issuer's document: %v", err)
	}
	v.Set("/.well-known/openid-configuration", endorsementstest.Answer{Body: []byte(`{"issuer":"` + issuer + `","jwks_uri":"http://issuer.example/keys"}`)})
	if _, _, err := fetcher(t, config(v)).Keys(t.Context(), issuer); !errors.Is(err, endorsements.ErrContent) {
		t.Errorf("keys over http: %v", err)
	}
	if _, _, err := fetcher(t, config(v)).Keys(t.Context(), "http://issuer.example"); !errors.Is(err, endorsements.ErrConfig) {
		t.Errorf("an issuer over http: %v", err)
	}
}

// TestVendorsReached asks the real services once, where there is a route. It shows nothing where there is none.
func TestVendorsReached(t *testing.T) {
	if os.Getenv("GLOVEBOX_VENDORS") == "" {
		t.Skip("SKIP 1: set GLOVEBOX_VENDORS=1 to ask the vendors' real services")
	}
	e := imported(attestation.PlatformSGX, attestationtest.Shared(t, "occlum_quote.dat"))
	r, err := fetcher(t, endorsements.Config{}).Fill(t.Context(), e)
	t.Logf("%+v", r)
	if err != nil {
		t.Error(err)
	}
}
