// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"encoding/hex"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/gpu/chain"
	"github.com/glovebox-dev/glovebox/attestation/gpu/rim"
	"github.com/glovebox-dev/glovebox/attestation/gpu/verify"
)

const (
	goNVTrust = "github.com/confidentsecurity/go-nvtrust@v0.2.2"
	mocks     = "pkg/gonvtrust/mocks/"
	samples   = "guest_tools_gpu_verifiers_local_gpu_verifier_src_verifier_samples_"
	coco      = "deps_verifier_test_data_nvidia_hopper"

	nonceNVTrust = "4cff7f5380ead8fad8ec2c531c110aca4302a88f603792801a8ca29ee151af2e"
	nonceTrustee = "931d8dd0add203ac3d8b4fbde75e115278eefcdceac5b87671a748f32364dfcb"
	nonceCoco    = "87d8e24ab336adafe228d49e83d745f6dba4ae505372b6a5704820856b343fec"
)

// at is a day in the life of all real reports; NVIDIA's device certificates do not end.
var at = time.Date(2025, 6, 1, 0, 0, 0, 0, time.UTC).Unix()

// real is a report of a real H100.
type real struct {
	name          string
	report, chain func(t *testing.T) []byte
	nonce         string
	want          error
}

func mock(name string) func(t *testing.T) []byte {
	return func(t *testing.T) []byte { return attestationtest.ModuleFile(t, goNVTrust, mocks+name) }
}

func shared(name string) func(t *testing.T) []byte {
	return func(t *testing.T) []byte { return attestationtest.Shared(t, name) }
}

func peer(repo, name string) func(t *testing.T) []byte {
	return func(t *testing.T) []byte { return attestationtest.Peer(t, repo, name) }
}

func reals() []real {
	trustee := peer("trustee", coco+"AttestationReport.txt")
	return []real{
		{"go-nvtrust", mock("attestationReport.txt"), mock("gpuAkCertChain.txt"), nonceNVTrust, nil},
		{"go-nvtrust, invalid chain", mock("attestationReport.txt"), mock("invalidCertChain.txt"), nonceNVTrust, chain.ErrChain},
		{"shared", shared("nvidia_hopperAttestationReport.txt"), shared("nvidia_hopper_cert_chain_case1.txt"), nonceTrustee, nil},
		{"shared, the root alone", shared("nvidia_hopperAttestationReport.txt"), shared("nvidia_hopper_cert_chain_case2.txt"), nonceTrustee, chain.ErrChain},
		{"nvtrust", peer("nvtrust", samples+"hopperAttestationReport.txt"), peer("nvtrust", samples+"hopperCertChain.txt"), nonceTrustee, nil},
		{"trustee, case 1", trustee, peer("trustee", coco+"_cert_chain_case1.txt"), nonceTrustee, nil},
		{"trustee, case 2: the root alone", trustee, peer("trustee", coco+"_cert_chain_case2.txt"), nonceTrustee, chain.ErrChain},
		{"trustee, case 3: a link is missing", trustee, peer("trustee", coco+"_cert_chain_case3.txt"), nonceTrustee, chain.ErrChain},
		{"trustee, case 4: the leaf is missing", trustee, peer("trustee", coco+"_cert_chain_case4.txt"), nonceTrustee, chain.ErrChain},
		{"trustee, the leaf alone", trustee, peer("trustee", coco+"_signing_cert.pem"), nonceTrustee, chain.ErrChain},
		{"trustee, CoCo", peer("trustee", coco+"_coco_report1.txt"), peer("trustee", coco+"_coco_certs1.txt"), nonceCoco, nil},
		{"mixed: CoCo's report, another's chain", peer("trustee", coco+"_coco_report1.txt"), peer("trustee", coco+"_cert_chain_case1.txt"), nonceCoco, verify.ErrFirmware},
	}
}

// TestRealReports: NVIDIA's own evidence, under NVIDIA's own root.
func TestRealReports(t *testing.T) {
	verified, refused := 0, 0
	for _, r := range reals() {
		t.Run(r.name, func(t *testing.T) {
			e, err := verify.Import(attestation.Raw{Report: r.report(t), Certs: [][]byte{r.chain(t)}})
			if err != nil {
				t.Fatal(err)
			}
			f, err := verify.NewFormat()
			if err != nil {
				t.Fatal(err)
			}
			rep, err := f.Authenticate(t.Context(), e, at)
			if r.want != nil {
				if !errors.Is(err, r.want) {
					t.Errorf("got %v, want %v", err, r.want)
				}
				refused++
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(rep.Bound); got != r.nonce || rep.Debug || rep.Chip == "" || rep.Assurance != attestation.AssuranceTEE {
				t.Errorf("bound to %s, chip %q", got, rep.Chip)
			}
			verified++
			for _, x := range rep.Facts {
				t.Logf("%s %s: %s", x.About, x.Name, x.Value)
			}
		})
	}
	t.Logf("verified %d real reports, refused %d with their reasons", verified, refused)
}

// manifestAt is a day on which the signers of NVIDIA's samples were valid.
var manifestAt = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).Unix()

// TestRealManifests: every sample verifies under NVIDIA's root while its signer was valid, and none today or ever after.
func TestRealManifests(t *testing.T) {
	if os.Getenv(attestationtest.PeersEnv) == "" {
		t.Skip("SKIP 1: NVIDIA's samples are not here: set " + attestationtest.PeersEnv)
	}
	files, err := filepath.Glob(filepath.Join(os.Getenv(attestationtest.PeersEnv), "nvtrust", samples+"*.swidtag"))
	if err != nil || len(files) < 20 {
		t.Fatalf("%d manifests: %v", len(files), err)
	}
	for _, f := range files {
		doc, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		m, err := rim.Verify(doc, verify.RIMRoot(), manifestAt)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(f), err)
			continue
		}
		version := strings.NewReplacer(".", "").Replace(m.Version)
		if !strings.Contains(f, version) && m.Version != "545.00" || m.Product != "GH100" || len(m.Golden) != 64 {
			t.Errorf("%s: %s %s with %d measurements", filepath.Base(f), m.Product, m.Version, len(m.Golden))
		}
		if _, err := rim.Verify(doc, verify.RIMRoot(), time.Date(2025, 12, 1, 0, 0, 0, 0, time.UTC).Unix()); !errors.Is(err, chain.ErrExpired) {
			t.Errorf("%s, when its signer had expired: %v", filepath.Base(f), err)
		}
	}
	t.Logf("verified %d real manifests", len(files))
}

// appraised is what Appraise says of the measurements of a real report beside real manifests.
func appraised(t *testing.T, report, chain []byte, manifests ...string) attestation.Check {
	t.Helper()
	raw := attestation.Raw{Report: report, Certs: [][]byte{chain}}
	for _, m := range manifests {
		raw.Collateral = append(raw.Collateral, attestationtest.Peer(t, "nvtrust", samples+m+".swidtag"))
	}
	e, err := verify.Import(raw)
	if err != nil {
		t.Fatal(err)
	}
	f, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	r, err := f.Authenticate(t.Context(), e, manifestAt)
	if err != nil {
		return attestation.Check{Note: err.Error()}
	}
	c := f.(attestation.Appraiser).Appraise(r, attestation.DefaultPolicy(), manifestAt)[0]
	t.Logf("%s: seen %s: %s", c.Outcome, c.Seen, c.Note)
	return c
}

// TestRealMeasurements: a real H100's measurements are those of the manifests that NVIDIA published for its driver and
// VBIOS, and not of others.
func TestRealMeasurements(t *testing.T) {
	report, certs := mock("attestationReport.txt")(t), mock("gpuAkCertChain.txt")(t)
	const driver, vbios = "Driver_RIM_test_no_gpu", "1010_0200_882_96005E0001_test_no_gpu"
	if c := appraised(t, report, certs, driver, vbios); c.Outcome != attestation.Pass {
		t.Errorf("%+v", c)
	}
	if c := appraised(t, report, certs, driver); c.Outcome != attestation.Fail || !strings.Contains(c.Note, "needed") {
		t.Errorf("without the VBIOS manifest: %+v", c)
	}
	if c := appraised(t, report, certs, driver, "1010_0200_882_96005E0003_PROD"); !strings.Contains(c.Note, verify.ErrRIM.Error()) {
		t.Errorf("another VBIOS: %+v", c)
	}
	// NVIDIA's manifest of 2023 for this VBIOS does not list what a driver of 2025 makes of measurement 9.
	report, certs = peer("trustee", coco+"_coco_report1.txt")(t), peer("trustee", coco+"_coco_certs1.txt")(t)
	if c := appraised(t, report, certs, "1010_0200_882_960074001A_PROD"); c.Outcome != attestation.Fail || !strings.HasSuffix(c.Note, "differ: 9 (vbios)") {
		t.Errorf("%+v", c)
	}
}
