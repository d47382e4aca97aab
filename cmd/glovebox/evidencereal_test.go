// SPDX-License-Identifier: Apache-2.0

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/verifiers"
)

const (
	goSEVGuest = "github.com/google/go-sev-guest@v0.15.0"
	goTDXGuest = "github.com/google/go-tdx-guest@v0.3.2-0.20250814004405-ffb0869e6f4d"
	goTPMTools = "github.com/google/go-tpm-tools@v0.4.9"
	oasisCore  = "github.com/oasisprotocol/oasis-core/go@v0.2601.0"
	oasisDir   = "common/sgx/pcs/testdata/"
)

// realEvidence is what hardware signed, as files that a person has.
type realEvidence struct {
	name, platform, at string
	report             string
	certs, collateral  []string
	authentic          bool
	fails              string // a check that the default policy fails, or that keeps it from being authentic
	without            string // what was not measured and reference values must pin; "" if there is nothing
}

func inModule(module, path string) string { return "module:" + module + " " + path }

// path is where a file is found, or skips.
func vectorPath(t *testing.T, dir, file string) string {
	t.Helper()
	rest, ok := strings.CutPrefix(file, "module:")
	if ok {
		module, path, _ := strings.Cut(rest, " ")
		return filepath.Join(attestationtest.Module(t, module), path)
	}
	path := filepath.Join(dir, filepath.Base(file))
	if err := os.WriteFile(path, attestationtest.Shared(t, file), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func realVectors() []realEvidence {
	oasis := func(name string) string { return inModule(oasisCore, oasisDir+name) }
	var google []string
	for _, f := range []string{"gcp_ek_ak_ca_intermediate_v3.crt", "gcp_ek_ak_ca_root.crt", "tpm_ek_intermediate_2.crt", "tpm_ek_intermediate_3.crt", "tpm_ek_root_1.cer"} {
		google = append(google, inModule(goTPMTools, "server/ca-certs/"+f))
	}
	return []realEvidence{
		{
			name: "snp of go-sev-guest, a debug guest", platform: "snp", at: "2024-01-01T00:00:00Z", report: inModule(goSEVGuest, "verify/testdata/attestation.bin"),
			certs: []string{inModule(goSEVGuest, "verify/testdata/milan.testcer"), inModule(goSEVGuest, "verify/testdata/vcek.testcer")}, authentic: true, fails: "debug",
		},
		{name: "snp of the same without its chip's certificate", platform: "snp", at: "2024-01-01T00:00:00Z", report: inModule(goSEVGuest, "verify/testdata/attestation.bin"), fails: "certificate"},
		{
			name: "sgx of oasis, which kept no CRLs", platform: "sgx", at: "2022-12-20T00:50:04Z", report: oasis("quote_v3_ecdsa_p256_pck_chain.bin"),
			collateral: []string{oasis("tcb_info_v3_fmspc_00606A000000.json"), oasis("qe_identity_v2.json"), oasis("tcb_info_v3_fmspc_00606A000000_certs.pem")}, fails: "root-crl",
		},
		{
			name: "tdx of oasis without collateral", platform: "tdx", at: "2024-09-21T00:00:00Z", report: oasis("quote_v4_tdx_ecdsa_p256.bin"), fails: "tcb-signing-chain",
		},
		{
			name: "gce of go-tpm-tools", platform: "gce", at: "2022-06-01T00:00:00Z", report: inModule(goTPMTools, "internal/test/attestations/gce-cos-85-no-nonce.pb"), certs: google, authentic: true, without: "pcr14",
		},
		{name: "nitro beside this repository", platform: "nitro", at: "2025-12-25T16:04:20Z", report: "dstack_dstack-attest_tests_nitro_attestation.bin", authentic: true},
		{name: "nitro beside this repository, in debug mode", platform: "nitro", at: "2025-12-25T08:20:47Z", report: "dstack_dstack-attest_tests_nitro_attestation_dbg.bin", authentic: true, fails: "debug"},
		{name: "azure-snp beside this repository", platform: "azure-snp", at: "2025-06-01T00:00:00Z", report: "az-snp-vtpm_evidence-v1.json", authentic: true, fails: "event-log"},
		{name: "azure-tdx beside this repository, without collateral", platform: "azure-tdx", at: "2025-06-01T00:00:00Z", report: "az-tdx-vtpm_evidence-v1.json", fails: "tcb-signing-chain"},
		{name: "snp beside this repository", platform: "snp", at: "2024-01-01T00:00:00Z", report: "snp_test-report.bin", certs: []string{"snp_test-vcek.der"}, authentic: true, fails: "tcb-reported"},
		{name: "sgx beside this repository, without collateral", platform: "sgx", at: "2025-08-20T00:00:00Z", report: "occlum_quote.dat", fails: "tcb-signing-chain"},
		{name: "tdx beside this repository, without collateral", platform: "tdx", at: "2025-10-29T00:00:00Z", report: "tdx_quote_4.dat", fails: "tcb-signing-chain"},
	}
}

// TestRealEvidence takes what real hardware signed along the way of an auditor: import, explain, verify without and with
// reference values that are made from it.
func TestRealEvidence(t *testing.T) {
	for _, v := range realVectors() {
		t.Run(v.name, func(t *testing.T) {
			dir := t.TempDir()
			env := filepath.Join(dir, "env.json")
			args := []string{"auditor", "evidence", "import", "--platform", v.platform, "--report", vectorPath(t, dir, v.report), "-o", env}
			for _, f := range v.certs {
				args = append(args, "--cert", vectorPath(t, dir, f))
			}
			for _, f := range v.collateral {
				args = append(args, "--collateral", vectorPath(t, dir, f))
			}
			if code, _, stderr := glovebox(args...); code != 0 {
				t.Fatalf("import: exit %d: %s", code, stderr)
			}
			v.explain(t, dir, env)
		})
	}
}

func (v *realEvidence) explain(t *testing.T, dir, env string) {
	t.Helper()
	code, text, stderr := glovebox("auditor", "evidence", "explain", env, "--at", v.at)
	if code != 0 {
		t.Fatalf("explain: exit %d: %s", code, stderr)
	}
	if v.authentic != strings.Contains(text, "authentic  yes") || v.authentic == strings.Contains(text, "(claimed, not verified)") {
		t.Errorf("want authentic %v, got\n%s", v.authentic, text)
	}
	for _, want := range []string{"who signed it", "what ran", "what is weak", v.fails} {
		if !strings.Contains(text, want) {
			t.Errorf("explain does not say %q:\n%s", want, text)
		}
	}
	code, text, _ = glovebox("auditor", "evidence", "verify", env, "--at", v.at)
	if code != 4 || !strings.Contains(text, "REFUSED") {
		t.Errorf("verify without reference values: exit %d\n%s", code, text)
	}
	if v.authentic {
		v.verify(t, dir, env)
	}
}

// verify makes a list of the evidence's own measurements: then nothing fails but what the policy refuses.
func (v *realEvidence) verify(t *testing.T, dir, env string) {
	t.Helper()
	_, text, _ := glovebox("auditor", "evidence", "explain", env, "--at", v.at, "--json")
	var x explanation
	if err := json.Unmarshal([]byte(text), &x); err != nil {
		t.Fatal(err)
	}
	p := x.Parts[0]
	ref := attestation.Reference{Version: 1, NotAfter: 4_000_000_000, Values: []attestation.ReferenceValue{{Name: "it", Platform: p.Platform, Measurements: p.Measurements}}}
	if err := ref.Validate(); err != nil { // a debug enclave's are zero, and elsewhere no launcher of ours measured
		if v.fails == "" && (v.without == "" || !strings.Contains(err.Error(), v.without)) {
			t.Error(err)
		}
		return
	}
	b, err := json.Marshal(ref)
	if err != nil {
		t.Fatal(err)
	}
	list := filepath.Join(dir, "reference.json")
	if err := os.WriteFile(list, b, 0o600); err != nil {
		t.Fatal(err)
	}
	code, text, stderr := glovebox("auditor", "evidence", "verify", env, "--at", v.at, "--reference", list)
	if want := map[bool]int{true: 0, false: 4}[v.fails == ""]; code != want {
		t.Errorf("verify: exit %d, want %d: %s\n%s", code, want, stderr, text)
	}
	if !strings.Contains(text, "reference-values") || v.fails != "" && !strings.Contains(text, v.fails) {
		t.Errorf("verify does not name %q:\n%s", v.fails, text)
	}
}

// TestRealEvidenceMistaken: real evidence that is said to be of another platform, cut short, or followed by something else is
// refused at import or never authentic, and explain still reads what could be imported.
func TestRealEvidenceMistaken(t *testing.T) {
	dir, refused, imported := t.TempDir(), 0, 0
	out := filepath.Join(dir, "env.json")
	try := func(what, platform, report, at string) {
		t.Helper()
		os.Remove(out)
		code, _, stderr := glovebox("auditor", "evidence", "import", "--platform", platform, "--report", report, "-o", out)
		if code != 0 {
			if _, err := os.Stat(out); err == nil || code != 4 || !strings.Contains(stderr, "hint: ") {
				t.Errorf("%s: exit %d, %v, %s", what, code, err, stderr)
			}
			refused++
			return
		}
		imported++
		code, text, _ := glovebox("auditor", "evidence", "explain", out, "--at", at)
		if code != 0 || !strings.Contains(text, "authentic  NO") {
			t.Errorf("%s: explain exits %d\n%s", what, code, text)
		}
	}
	for _, v := range realVectors() {
		if len(v.certs) > 0 {
			continue // not authentic on its own in any case
		}
		report := vectorPath(t, dir, v.report)
		for _, p := range verifiers.Importable() {
			if string(p) != v.platform && p != attestation.PlatformSimulated {
				try(v.name+" as "+string(p), string(p), report, v.at)
			}
		}
		b, err := os.ReadFile(report)
		if err != nil {
			t.Fatal(err)
		}
		cut := filepath.Join(dir, "cut")
		for _, n := range []int{1, 16, 64, len(b) / 2} {
			if err := os.WriteFile(cut, b[:n], 0o600); err != nil {
				t.Fatal(err)
			}
			try(fmt.Sprintf("%s, cut to %d", v.name, n), v.platform, cut, v.at)
		}
	}
	t.Logf("%d refused at import, %d imported and not authentic", refused, imported)
}
