// SPDX-License-Identifier: Apache-2.0

package endorsements_test

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/verifiers"
)

// trial is one piece of evidence and what it came to where there is a network.
type trial struct {
	Name      string
	Envelope  []byte
	Now       int64
	Authentic bool // every check of authenticity passed
}

// real is evidence of real hardware, good or bad.
type real struct {
	name     string
	platform attestation.Platform
	at       string
	report   []byte
	certs    [][]byte
	files    [][]byte // collateral
	logs     [][]byte
}

const (
	oasis     = "github.com/oasisprotocol/oasis-core/go@v0.2601.0"
	tdxGuest  = "github.com/google/go-tdx-guest@v0.3.2-0.20250814004405-ffb0869e6f4d"
	sevGuest  = "github.com/google/go-sev-guest@v0.15.0"
	tpmTools  = "github.com/google/go-tpm-tools@v0.4.9"
	solana    = "solana_automata-dcap-framework_tests_data_"
	evm       = "evm_forge-test_assets_"
	nitroFile = "dstack_dstack-attest_tests_nitro_attestation"
)

// optional collects evidence whose files are here; a subtest that skips leaves its own out.
func optional(t *testing.T, name string, f func(t *testing.T) real) (out []real) {
	t.Helper()
	t.Run("files of "+name, func(t *testing.T) {
		r := f(t)
		r.name = name
		out = append(out, r)
	})
	return out
}

func realEvidence(t *testing.T) []real {
	t.Helper()
	shared, module, peer := attestationtest.Shared, attestationtest.ModuleFile, attestationtest.Peer
	var out []real
	add := func(name string, f func(t *testing.T) real) { out = append(out, optional(t, name, f)...) }
	add("snp", func(t *testing.T) real {
		return real{platform: attestation.PlatformSNP, at: "2024-01-01T00:00:00Z", report: shared(t, "snp_test-report.bin"), certs: [][]byte{shared(t, "snp_test-vcek.der")}}
	})
	add("snp, debug", func(t *testing.T) real {
		return real{platform: attestation.PlatformSNP, at: "2024-01-01T00:00:00Z", report: module(t, sevGuest, "verify/testdata/attestation.bin"), certs: [][]byte{
			module(t, sevGuest, "verify/testdata/milan.testcer"), module(t, sevGuest, "verify/testdata/vcek.testcer"),
		}}
	})
	add("snp, without a certificate", func(t *testing.T) real {
		return real{platform: attestation.PlatformSNP, at: "2024-01-01T00:00:00Z", report: module(t, sevGuest, "verify/testdata/attestation.bin"), certs: [][]byte{module(t, sevGuest, "verify/testdata/milan.testcer")}}
	})
	add("sgx", func(t *testing.T) real {
		return real{platform: attestation.PlatformSGX, at: "2025-06-25T00:00:00Z", report: peer(t, "dcap-qvl", "sample_sgx_quote"), files: [][]byte{peer(t, "dcap-qvl", "sample_sgx_quote_collateral.json")}}
	})
	add("sgx, oasis with collateral of 2025", func(t *testing.T) real {
		return real{
			platform: attestation.PlatformSGX, at: "2025-08-20T00:00:00Z", report: module(t, oasis, "common/sgx/pcs/testdata/quote_v3_ecdsa_p256_pck_chain.bin"),
			files: [][]byte{
				peer(t, "automata", evm+"0825_sgx_tcbinfov3_00606a000000.json"), peer(t, "automata", evm+"0825_sgx_qeidentity_v4.json"),
				peer(t, "automata", evm+"0825_platform_crl.der"), peer(t, "automata", solana+"intel_root_ca_crl.der"), peer(t, "automata", solana+"signing.der"),
			},
		}
	})
	add("sgx, without collateral", func(t *testing.T) real {
		return real{platform: attestation.PlatformSGX, at: "2025-08-20T00:00:00Z", report: shared(t, "occlum_quote.dat")}
	})
	add("tdx", func(t *testing.T) real {
		return real{platform: attestation.PlatformTDX, at: "2025-06-20T00:00:00Z", report: peer(t, "dcap-qvl", "sample_tdx_quote"), files: [][]byte{peer(t, "dcap-qvl", "sample_tdx_quote_collateral.json")}}
	})
	add("tdx, expired", func(t *testing.T) real {
		return real{platform: attestation.PlatformTDX, at: "2026-06-20T00:00:00Z", report: peer(t, "dcap-qvl", "sample_tdx_quote"), files: [][]byte{peer(t, "dcap-qvl", "sample_tdx_quote_collateral.json")}}
	})
	add("tdx, without collateral", func(t *testing.T) real {
		return real{platform: attestation.PlatformTDX, at: "2025-06-20T00:00:00Z", report: module(t, tdxGuest, "testing/testdata/tdx_prod_quote_SPR_E4.dat")}
	})
	add("nitro", func(t *testing.T) real {
		return real{platform: attestation.PlatformNitro, at: "2025-12-25T16:04:30Z", report: shared(t, nitroFile+".bin")}
	})
	add("nitro, debug", func(t *testing.T) real {
		return real{platform: attestation.PlatformNitro, at: "2025-12-25T08:21:00Z", report: shared(t, nitroFile+"_dbg.bin")}
	})
	add("nitro, years later", func(t *testing.T) real {
		return real{platform: attestation.PlatformNitro, at: "2028-01-01T00:00:00Z", report: shared(t, nitroFile+".bin")}
	})
	add("azure-snp", func(t *testing.T) real {
		return real{platform: attestation.PlatformAzureSNP, at: "2026-06-01T00:00:00Z", report: shared(t, "az-snp-vtpm_evidence-v1.json")}
	})
	add("azure-tdx, without collateral", func(t *testing.T) real {
		return real{platform: attestation.PlatformAzureTDX, at: "2025-10-29T00:00:00Z", report: shared(t, "az-tdx-vtpm_evidence-v1.json")}
	})
	add("azure-tdx", func(t *testing.T) real {
		return real{
			platform: attestation.PlatformAzureTDX, at: "2025-11-01T12:00:00Z", report: shared(t, "az-tdx-vtpm_evidence-v1.json"),
			certs: [][]byte{peer(t, "automata", solana+"signing.der")}, files: [][]byte{
				peer(t, "automata", evm+"1025_tcb_info.json"), peer(t, "automata", evm+"1025_identity.json"),
				peer(t, "automata", evm+"1025_pck_crl.der"), peer(t, "automata", solana+"intel_root_ca_crl.der"),
			},
		}
	})
	add("gce", func(t *testing.T) real {
		var certs [][]byte
		for _, f := range []string{"gcp_ek_ak_ca_intermediate_v3.crt", "gcp_ek_ak_ca_root.crt", "tpm_ek_intermediate_2.crt", "tpm_ek_intermediate_3.crt", "tpm_ek_root_1.cer"} {
			certs = append(certs, module(t, tpmTools, "server/ca-certs/"+f))
		}
		return real{platform: attestation.PlatformGCE, at: "2024-01-01T00:00:00Z", report: module(t, tpmTools, "internal/test/attestations/gce-cos-85-no-nonce.pb"), certs: certs}
	})
	add("gpu, on its own", func(t *testing.T) real {
		return real{platform: attestation.PlatformGPU, at: "2025-06-01T00:00:00Z", report: shared(t, "nvidia_hopperAttestationReport.txt"), certs: [][]byte{shared(t, "nvidia_hopper_cert_chain_case1.txt")}}
	})
	return out
}

// trials are the real evidence and, of each, one with a flipped byte.
func trials(t *testing.T) []trial {
	t.Helper()
	var out []trial
	for _, r := range realEvidence(t) {
		e, err := verifiers.Import(r.platform, attestation.Raw{Report: r.report, Certs: r.certs, Collateral: r.files, EventLogs: r.logs})
		if err != nil {
			t.Fatalf("%s: %v", r.name, err)
		}
		at, err := time.Parse(time.RFC3339, r.at)
		if err != nil {
			t.Fatal(err)
		}
		add := func(name string, e *attestation.Evidence) {
			b, err := e.Encode()
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, trial{name, b, at.Unix(), authentic(t, b, at.Unix())})
		}
		add(r.name, e)
		bad := *e
		bad.Evidence = slices.Clone(e.Evidence)
		bad.Evidence[len(bad.Evidence)/2] ^= 1
		add(r.name+", altered", &bad)
	}
	return out
}

// authentic verifies with every format there is.
func authentic(t *testing.T, raw []byte, now int64) bool {
	t.Helper()
	i, err := attestation.NewInspector(nil, nil, verifiers.New(nil, nil)...)
	if err != nil {
		t.Fatal(err)
	}
	v, err := i.Inspect(t.Context(), raw, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	// A GPU on its own is refused for that only; what counts here is whether its signatures held.
	return v.Parts[0].Assurance != ""
}

// TestVerificationUsesNoNetwork: evidence of every platform, good and bad, is verified in a process that has no network.
// The verdicts are those that it gets elsewhere, and nothing was tried: no HTTP request, no look-up of a name, no packet
// that the kernel could not route.
func TestVerificationUsesNoNetwork(t *testing.T) {
	if path := os.Getenv(offlineEnv); path != "" {
		verifyOffline(t, path)
		return
	}
	all := trials(t)
	good := map[attestation.Platform]int{}
	bad := 0
	for _, x := range all {
		if !x.Authentic {
			bad++
			continue
		}
		e, err := attestation.ParseImported(x.Envelope)
		if err != nil {
			t.Fatal(err)
		}
		good[e.Platform]++
	}
	t.Logf("%d authentic pieces of %v, %d that are not", len(all)-bad, slices.Sorted(maps.Keys(good)), bad)
	if len(all) == 0 {
		t.Skip("SKIP 1: no evidence of real hardware is here")
	}
	b, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "trials.json")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	runWithoutNetwork(t, path)
}
