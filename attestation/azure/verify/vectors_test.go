// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/azure/verify"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
)

const (
	realNow = 1_790_000_000 // chips' certificates of 2022 to 2025, for seven years
	tdxNow  = 1_762_000_000 // 1 November 2025, when the collateral at hand held
)

func trustee(t testing.TB, name string) []byte {
	return attestationtest.Peer(t, "trustee", "deps_verifier_test_data_"+name)
}

// intelFiles are Intel's statements for FMSPC 00806F050000, of which these VMs are.
func intelFiles(t testing.TB) (certs, collateral [][]byte) {
	for _, n := range []string{
		"evm_forge-test_assets_1025_tcb_info.json", "evm_forge-test_assets_1025_identity.json", "evm_forge-test_assets_1025_pck_crl.der",
		"solana_automata-dcap-framework_tests_data_intel_root_ca_crl.der",
	} {
		collateral = append(collateral, attestationtest.Peer(t, "automata", n))
	}
	return [][]byte{attestationtest.Peer(t, "automata", "solana_automata-dcap-framework_tests_data_signing.der")}, collateral
}

func snpFormat(t testing.TB) *verify.Format {
	t.Helper()
	f, err := verify.NewSNPFormat()
	if err != nil {
		t.Fatal(err)
	}
	return f.(*verify.Format) //nolint:errcheck // it is one
}

func tdxFormat(t testing.TB) *verify.Format {
	t.Helper()
	f, err := verify.NewTDXFormat()
	if err != nil {
		t.Fatal(err)
	}
	return f.(*verify.Format) //nolint:errcheck // it is one
}

func importSNP(t testing.TB, raw attestation.Raw) *attestation.Evidence {
	t.Helper()
	e, err := verify.ImportSNP(raw)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func importTDX(t testing.TB, raw attestation.Raw) *attestation.Evidence {
	t.Helper()
	e, err := verify.ImportTDX(raw)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func checkReport(t *testing.T, name string, r *attestation.Report, err error, bound string) {
	t.Helper()
	if err != nil {
		t.Errorf("%s: %v", name, err)
		return
	}
	if r.Assurance != attestation.AssuranceTEE || !strings.HasPrefix(string(r.Bound), bound) || r.Measurements["pcr7"] == "" {
		t.Errorf("%s: assurance %s, bound %q, %v", name, r.Assurance, r.Bound, r.Measurements)
	}
	for _, about := range []string{attestation.AboutSigner, attestation.AboutRunning, attestation.AboutWeakness} {
		if !slices.ContainsFunc(r.Facts, func(f attestation.Fact) bool { return f.About == about }) {
			t.Errorf("%s: nothing about %s", name, about)
		}
	}
}

func TestSharedSNPVector(t *testing.T) {
	e := importSNP(t, attestation.Raw{Report: attestationtest.Shared(t, "az-snp-vtpm_evidence-v1.json")})
	r, err := snpFormat(t).Authenticate(t.Context(), e, realNow)
	checkReport(t, "v1", r, err, "challenge")
	if r.Chip == "" || r.Measurements["measurement"] == "" || r.Measurements["hostdata"] == "" || r.Measurements["pcr4"] == "" {
		t.Errorf("chip %q, %v", r.Chip, r.Measurements)
	}
}

// TestPeersSNPVectors: Milan and Genoa, all forms of the JSON, and the bare files.
func TestPeersSNPVectors(t *testing.T) {
	verified := 0
	for name, bound := range map[string]string{"v0": "challenge", "v1": "challenge", "v2": "\x98\x2f\x5c", "genoa": ""} {
		e := importSNP(t, attestation.Raw{Report: trustee(t, "az-snp-vtpm_evidence-"+name+".json")})
		r, err := snpFormat(t).Authenticate(t.Context(), e, realNow)
		checkReport(t, name, r, err, bound)
		verified++
	}
	for _, quote := range []string{"az-snp-vtpm_quote.bin", "az-snp-vtpm_tpm-quote-v1.json"} {
		raw := attestation.Raw{
			Report: trustee(t, "az-snp-vtpm_hcl-report.bin"), Collateral: [][]byte{trustee(t, quote)}, Certs: [][]byte{trustee(t, "az-snp-vtpm_vcek.pem")},
		}
		r, err := snpFormat(t).Authenticate(t.Context(), importSNP(t, raw), realNow)
		checkReport(t, quote, r, err, "challenge")
		verified++
		raw.Certs = [][]byte{trustee(t, "az-snp-vtpm_vcek-genoa.pem")}
		if _, err := snpFormat(t).Authenticate(t.Context(), importSNP(t, raw), realNow); err == nil {
			t.Errorf("%s: another chip's certificate accepted", quote)
		}
	}
	t.Logf("verified: %d (5 Milan, 1 Genoa)", verified)
}

// TestSharedTDXVector has no collateral beside it, and is refused for that and nothing else.
func TestSharedTDXVector(t *testing.T) {
	e := importTDX(t, attestation.Raw{Report: attestationtest.Shared(t, "az-tdx-vtpm_evidence-v1.json")})
	r, err := tdxFormat(t).Authenticate(t.Context(), e, tdxNow)
	if !errors.Is(err, dcap.ErrMissing) {
		t.Fatalf("got %v", err)
	}
	for _, c := range r.Checks[:len(r.Checks)-1] {
		if c.Outcome == attestation.Fail {
			t.Errorf("failed: %+v", c)
		}
	}
}

// TestPeersTDXVectors verifies them at the time of collateral that another peer kept.
func TestPeersTDXVectors(t *testing.T) {
	certs, collateral := intelFiles(t)
	raws := map[string]attestation.Raw{}
	for _, n := range []string{"v0", "v1"} {
		raws[n] = attestation.Raw{Report: trustee(t, "az-tdx-vtpm_evidence-"+n+".json"), Certs: certs, Collateral: collateral}
	}
	for _, n := range []string{"az-tdx-vtpm_quote.bin", "az-tdx-vtpm_tpm-quote-v1.json"} {
		raws[n] = attestation.Raw{
			Report: trustee(t, "az-tdx-vtpm_hcl-report.bin"), Certs: certs,
			Collateral: append([][]byte{trustee(t, n), trustee(t, "az-tdx-vtpm_td-quote.bin")}, collateral...),
		}
	}
	for name, raw := range raws {
		e := importTDX(t, raw)
		r, err := tdxFormat(t).Authenticate(t.Context(), e, tdxNow)
		checkReport(t, name, r, err, "challenge")
		if err == nil && (r.TCB == nil || r.TCB.Status != attestation.OutOfDate || r.Measurements["mrtd"] == "") {
			t.Errorf("%s: TCB %+v", name, r.TCB)
		}
		if _, err := tdxFormat(t).Authenticate(t.Context(), e, realNow); err == nil {
			t.Errorf("%s: accepted when the collateral had expired", name)
		}
	}
	t.Logf("verified: %d of 1 VM (4th generation Xeon), TCB out of date", len(raws))
}

// TestRealVectorsAreAppraised: these machines are as old as their evidence, and the default policy refuses them for it.
func TestRealVectorsAreAppraised(t *testing.T) {
	e := importSNP(t, attestation.Raw{Report: attestationtest.Shared(t, "az-snp-vtpm_evidence-v1.json")})
	f := snpFormat(t)
	r, err := f.Authenticate(t.Context(), e, realNow)
	if err != nil {
		t.Fatal(err)
	}
	failed := map[string]bool{}
	for _, c := range f.Appraise(r, attestation.DefaultPolicy(), realNow) {
		failed[c.Name] = c.Outcome == attestation.Fail
	}
	if !failed["tcb-reported"] || failed["vmpl"] {
		t.Errorf("failed: %v", failed)
	}
	if checks := f.Appraise(&attestation.Report{}, attestation.DefaultPolicy(), realNow); len(checks) != 1 || checks[0].Outcome != attestation.Fail {
		t.Errorf("nothing to appraise: %+v", checks)
	}
}

// TestImportSaysWhatIsMissing, with a hint.
func TestImportSaysWhatIsMissing(t *testing.T) {
	v1 := attestationtest.Shared(t, "az-snp-vtpm_evidence-v1.json")
	for name, c := range map[string]struct {
		importer func(attestation.Raw) (*attestation.Evidence, error)
		raw      attestation.Raw
		hint     string
	}{
		"SNP as TDX":       {verify.ImportTDX, attestation.Raw{Report: v1}, "azure-snp"},
		"nothing":          {verify.ImportSNP, attestation.Raw{}, "0 bytes"},
		"something else":   {verify.ImportSNP, attestation.Raw{Report: []byte("{}")}, "neither"},
		"HCL report alone": {verify.ImportSNP, attestation.Raw{Report: append([]byte("HCLA"), make([]byte, 3000)...)}, "no TPM quote"},
		"bad certificate":  {verify.ImportSNP, attestation.Raw{Report: v1, Certs: [][]byte{[]byte("none")}}, "certificate file"},
		"two logs":         {verify.ImportSNP, attestation.Raw{Report: v1, EventLogs: [][]byte{{1}, {2}}}, "2 event logs"},
	} {
		if _, err := c.importer(c.raw); !errors.Is(err, verify.ErrImport) || !strings.Contains(err.Error(), c.hint) {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
