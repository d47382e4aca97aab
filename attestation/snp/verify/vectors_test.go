// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/snp/snptest"
	"github.com/glovebox-dev/glovebox/attestation/snp/verify"
)

// vector is evidence of real hardware.
type vector struct {
	name  string
	raw   func(t testing.TB) attestation.Raw
	at    string // a day at which its certificates were valid
	want  error  // of authentication
	fails string // of the default policy's SNP section, where it is authentic
	debug bool
	chip  string // its start
}

const trustee = "deps_verifier_test_data_"

func peer(repository, report, cert string) func(t testing.TB) attestation.Raw {
	return func(t testing.TB) attestation.Raw {
		return attestation.Raw{Report: attestationtest.Peer(t, repository, report), Certs: [][]byte{attestationtest.Peer(t, repository, cert)}}
	}
}

// old is what the default policy says of firmware before 2025.
const old = "tcb-reported tcb-current tcb-committed tcb-launch revocation-list"

func vectors() []vector {
	return []vector{
		{
			name: "go-sev-guest: Milan, a debug guest", raw: func(t testing.TB) attestation.Raw {
				return attestation.Raw{
					Report: attestationtest.ModuleFile(t, sevGuest, "verify/testdata/attestation.bin"),
					Certs: [][]byte{
						attestationtest.ModuleFile(t, sevGuest, "verify/testdata/milan.testcer"),
						attestationtest.ModuleFile(t, sevGuest, "verify/testdata/vcek.testcer"),
					},
				}
			}, at: "2024-01-01", fails: "alias-check firmware-abi " + old, debug: true, chip: "3ac3fe21",
		},
		{
			name: "shared: Milan, VCEK", raw: func(t testing.TB) attestation.Raw {
				return attestation.Raw{Report: attestationtest.Shared(t, "snp_test-report.bin"), Certs: [][]byte{attestationtest.Shared(t, "snp_test-vcek.der")}}
			}, at: "2024-01-01", fails: "alias-check " + old, chip: "c38427a3",
		},
		{name: "trustee: Milan, VCEK", raw: peer("trustee", trustee+"snp_test-report.bin", trustee+"snp_test-vcek.der"), at: "2024-01-01", fails: "alias-check " + old, chip: "c38427a3"},
		{name: "trustee: Milan, VLEK of AWS, asked for at VMPL 1", raw: peer("trustee", trustee+"snp_test-vlek-report.bin", trustee+"snp_test-vlek.der"), at: "2025-06-01", fails: "vmpl key-kind " + old},
		{name: "trustee: VLEK after its year", raw: peer("trustee", trustee+"snp_test-vlek-report.bin", trustee+"snp_test-vlek.der"), at: "2026-01-01", want: verify.ErrExpired},
		{name: "trustee: invalid VCEK, old form of chip id", raw: peer("trustee", trustee+"snp_test-report.bin", trustee+"snp_test-vcek-invalid-legacy.der"), at: "2024-01-01", want: verify.ErrRoot},
		{name: "trustee: invalid VCEK, new form of chip id", raw: peer("trustee", trustee+"snp_test-report.bin", trustee+"snp_test-vcek-invalid-new.der"), at: "2024-01-01", want: verify.ErrRoot},
		{name: "trustee: report of a VCEK, certificate of a VLEK", raw: peer("trustee", trustee+"snp_test-report.bin", trustee+"snp_test-vlek.der"), at: "2025-06-01", want: verify.ErrNoKey},
		{
			name: "dstack: Milan of 2026, version 3", raw: func(t testing.TB) attestation.Raw {
				return attestation.Raw{
					Report: attestationtest.Peer(t, "dstack", "dstack_dstack-attest_tests_sev_snp_attestation.bin"),
					Certs: [][]byte{
						attestationtest.Peer(t, "dstack", "dstack_dstack-attest_tests_sev_snp_ask.pem"),
						attestationtest.Peer(t, "dstack", "dstack_dstack-attest_tests_sev_snp_vcek.pem"),
					},
				}
			}, at: "2026-10-01", fails: old, chip: "38d17458",
		},
		{
			name: "dstack: the verifier's fixture, same report", raw: func(t testing.TB) attestation.Raw {
				return attestation.Raw{Report: attestationtest.Peer(t, "dstack", "dstack_verifier_fixtures_sev-snp-attestation.json")} // has its certificates inside
			}, at: "2026-10-01", fails: old, chip: "38d17458",
		},
		{name: "trustee: Azure, Milan of 2023", raw: func(t testing.TB) attestation.Raw {
			r := peer("trustee", trustee+"az-snp-vtpm_hcl-report.bin", trustee+"az-snp-vtpm_vcek.pem")(t)
			r.Report = r.Report[32:][:1184]
			return r
		}, at: "2024-06-01", fails: "alias-check " + old, chip: "19752a44"},
		azureVector("Azure, Milan", "v0", "66a5a7b4"),
		azureVector("Azure, Milan", "v1", "66a5a7b4"),
		azureVector("Azure, Milan", "v2", "2e0e62a0"),
		azureVector("Azure, Genoa", "genoa", "0506ffba"),
	}
}

// azureVector is the SNP report inside a report of Azure's paravisor. Its report data is a digest of Azure's own.
func azureVector(name, version, chip string) vector {
	return vector{name: "trustee: " + name + ", " + version, raw: func(t testing.TB) attestation.Raw {
		var doc struct {
			Report []int
			HCL    string `json:"hcl_report"`
			VCEK   string
		}
		if err := json.Unmarshal(attestationtest.Peer(t, "trustee", trustee+"az-snp-vtpm_evidence-"+version+".json"), &doc); err != nil {
			t.Fatal(err)
		}
		hcl, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(doc.HCL, "="))
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range doc.Report {
			hcl = append(hcl, byte(b))
		}
		return attestation.Raw{Report: hcl[32:][:1184], Certs: [][]byte{[]byte(doc.VCEK)}}
	}, at: "2026-06-01", fails: old, chip: chip}
}

func (v *vector) evidence(t testing.TB) (*attestation.Evidence, int64) {
	t.Helper()
	e, err := verify.Import(v.raw(t))
	if err != nil {
		t.Fatal(err)
	}
	at, err := time.Parse(time.DateOnly, v.at)
	if err != nil {
		t.Fatal(err)
	}
	return e, at.Unix()
}

// TestRealHardware: each vector either verifies under AMD's roots or is refused for the reason that is written down.
func TestRealHardware(t *testing.T) {
	f, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	verified, refused := 0, 0
	for _, v := range vectors() {
		t.Run(v.name, func(t *testing.T) {
			e, at := v.evidence(t)
			r, err := f.Authenticate(t.Context(), e, at)
			if !errors.Is(err, v.want) || (err == nil) != (v.want == nil) {
				t.Fatalf("got %v\n%s", err, checksJSON(t, r.Checks))
			}
			if err != nil {
				refused++
				return
			}
			verified++
			if got := failed(f.(attestation.Appraiser).Appraise(r, attestation.DefaultPolicy(), at)); got != v.fails {
				t.Errorf("the default policy fails %q, want %q", got, v.fails)
			}
			if r.Debug != v.debug || !strings.HasPrefix(r.Chip, v.chip) || (v.chip == "") != (r.Chip == "") {
				t.Errorf("debug %t, chip %s", r.Debug, r.Chip)
			}
			for _, m := range []string{"measurement", "hostdata", "idkeydigest", "authorkeydigest"} {
				if r.Measurements[m] == "" {
					t.Errorf("no %s", m)
				}
			}
		})
	}
	t.Logf("%d reports of real chips verified, %d refused as they must be", verified, refused)
}

// TestMixedRealEvidence: no report verifies with another chip's certificate, whatever the time.
func TestMixedRealEvidence(t *testing.T) {
	f, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	var list []*attestation.Evidence
	var times []int64
	var chips []string
	for _, v := range vectors() {
		t.Run(v.name, func(t *testing.T) {
			e, at := v.evidence(t)
			if r, err := f.Authenticate(t.Context(), e, at); err == nil {
				list, times, chips = append(list, e), append(times, at), append(chips, r.Chip)
			}
		})
	}
	n := 0
	for i := range list {
		for j := range list {
			if chips[i] == chips[j] {
				continue
			}
			e := &attestation.Evidence{Version: 1, Platform: attestation.PlatformSNP, Evidence: list[i].Evidence, Endorsements: list[j].Endorsements}
			for _, at := range []int64{times[i], times[j]} {
				if _, err := f.Authenticate(t.Context(), e, at); err == nil {
					t.Errorf("report of chip %.8s with the certificate of %.8s accepted", chips[i], chips[j])
				}
				n++
			}
		}
	}
	t.Logf("%d mixtures of %d reports refused", n, len(list))
}

// TestRealRoots: AMD's own certificates, pinned by what they are, not by whoever embeds them.
func TestRealRoots(t *testing.T) {
	f, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"Milan", "Genoa", "Turin"} {
		w := newWorld(t, name)
		r, err := f.Authenticate(t.Context(), w.evidence(t, w.report(t, nil)), now)
		if !errors.Is(err, verify.ErrRoot) || failed(r.Checks) != "vcek-chain" {
			t.Errorf("%s by a fake AMD: %v", name, err)
		}
	}
	if l := snptest.New(t, "Milan"); l.ARK.Subject.CommonName != "ARK-Milan" {
		t.Error(l.ARK.Subject)
	}
}
