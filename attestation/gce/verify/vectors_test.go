// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/gce/verify"
)

const (
	tpmTools      = "github.com/google/go-tpm-tools@v0.4.9"
	goAttestation = "github.com/google/go-attestation@v0.6.1"

	realNow = 1_790_000_000 // certificates of 2021, for thirty years
)

// googleFiles are Google's certificates as a module has them.
func googleFiles(t testing.TB) [][]byte {
	var out [][]byte
	for _, f := range []string{
		"gcp_ek_ak_ca_intermediate_v3.crt", "gcp_ek_ak_ca_root.crt", "tpm_ek_intermediate_2.crt", "tpm_ek_intermediate_3.crt", "tpm_ek_root_1.cer",
	} {
		out = append(out, attestationtest.ModuleFile(t, tpmTools, "server/ca-certs/"+f))
	}
	return out
}

func googleFormat(t testing.TB) attestation.Format {
	t.Helper()
	f, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// realEvidence is a Container-Optimized OS VM of 2021, its key certified by Google.
func realEvidence(t testing.TB, name string) *attestation.Evidence {
	t.Helper()
	e, err := verify.Import(attestation.Raw{
		Report: attestationtest.ModuleFile(t, tpmTools, "internal/test/attestations/"+name), Certs: googleFiles(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestRealVectors(t *testing.T) {
	verified := 0
	for name, bound := range map[string]string{"gce-cos-85-no-nonce.pb": "", "gce-cos-85-nonce9009.pb": "\x90\x09"} {
		r, err := googleFormat(t).Authenticate(t.Context(), realEvidence(t, name), realNow)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if string(r.Bound) != bound || r.Assurance != attestation.AssuranceTPM || len(r.Measurements) != 24 {
			t.Errorf("%s: bound %x, assurance %s, %d measurements", name, r.Bound, r.Assurance, len(r.Measurements))
		}
		if r.Chip != "5e53e3fbbf8306c5" || !strings.Contains(r.Root, "cloud_host_root") {
			t.Errorf("%s: chip %s, root %s", name, r.Chip, r.Root)
		}
		for _, want := range []string{"instance cos-test", "firmware", "secure-boot", "revocation"} {
			n, v, _ := strings.Cut(want, " ")
			if !hasFact(r, n, v) {
				t.Errorf("%s: no fact %q in %+v", name, want, r.Facts)
			}
		}
		verified++
	}
	t.Logf("verified: %d attestations of 1 VM (AMD SEV), certificates to 2051", verified)
}

func hasFact(r *attestation.Report, name, value string) bool {
	for _, f := range r.Facts {
		if f.Name == name && strings.Contains(f.Value, value) {
			return true
		}
	}
	return false
}

// TestKeyWithoutCertificate: go-attestation's dump of a Windows VM parses, is explained, and is nobody's.
func TestKeyWithoutCertificate(t *testing.T) {
	e, err := verify.Import(attestation.Raw{
		Report: attestationtest.ModuleFile(t, goAttestation, "attest/testdata/windows_gcp_shielded_vm.json"), Certs: googleFiles(t),
	})
	if err != nil {
		t.Fatal(err)
	}
	r, err := googleFormat(t).Authenticate(t.Context(), e, realNow)
	if !errors.Is(err, verify.ErrCertificate) || !hasFact(r, "pcr0", "") || len(e.EventLogs) != 1 {
		t.Errorf("got %v, %+v", err, r)
	}
}

// TestRealKeyOfAnotherTime: the chain is held against the time of the verification.
func TestRealKeyOfAnotherTime(t *testing.T) {
	e := realEvidence(t, "gce-cos-85-nonce9009.pb")
	for _, now := range []int64{1_600_000_000, 2_700_000_000} {
		if _, err := googleFormat(t).Authenticate(t.Context(), e, now); !errors.Is(err, verify.ErrCertificate) {
			t.Errorf("at %d: %v", now, err)
		}
	}
}
