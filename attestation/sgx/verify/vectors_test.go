// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/dcap"
	"github.com/glovebox-dev/glovebox/attestation/sgx/verify"
)

const (
	oasis    = "github.com/oasisprotocol/oasis-core/go@v0.2601.0"
	oasisDir = "common/sgx/pcs/testdata/"
)

// vector is evidence of real hardware and what must come of it.
type vector struct {
	name       string
	quote      func(t testing.TB) []byte
	collateral func(t testing.TB) [][]byte
	at         string
	err        error  // nil: verified
	failed     string // the check that refused it
	status     string // Intel's word on the platform
	debug      bool
}

func inOasis(name string) func(testing.TB) []byte {
	return func(t testing.TB) []byte { t.Helper(); return attestationtest.ModuleFile(t, oasis, oasisDir+name) }
}

func inShared(name string) func(testing.TB) []byte {
	return func(t testing.TB) []byte { t.Helper(); return attestationtest.Shared(t, name) }
}

func inPeer(repository, name string) func(testing.TB) []byte {
	return func(t testing.TB) []byte { t.Helper(); return attestationtest.Peer(t, repository, name) }
}

func files(readers ...func(testing.TB) []byte) func(testing.TB) [][]byte {
	return func(t testing.TB) [][]byte {
		t.Helper()
		var out [][]byte
		for _, r := range readers {
			out = append(out, r(t))
		}
		return out
	}
}

const (
	solana   = "solana_automata-dcap-framework_tests_data_"
	evm      = "evm_forge-test_assets_"
	tcbInfos = "packages_qvl_test_sampleTcbInfos_tcbInfo-sgx-"
	teekit   = "packages_qvl_test_sampleQuotes_"
	sample   = "Src_AttestationApp_sampleData_"
)

func noCollateral(testing.TB) [][]byte { return nil }

// The collateral that there is: each set is of one family of platforms and one time.
var (
	client2025 = files(inPeer("dcap-qvl", "sample_sgx_quote_collateral.json"))
	server2025 = files(inPeer("automata", evm+"0825_sgx_tcbinfov3_00606a000000.json"), inPeer("automata", evm+"0825_sgx_qeidentity_v4.json"),
		inPeer("automata", evm+"0825_platform_crl.der"), inPeer("automata", solana+"intel_root_ca_crl.der"), inPeer("automata", solana+"signing.der"))
	mixed2025 = files(inPeer("teekit", tcbInfos+"30606a000000.json"), inPeer("teekit", tcbInfos+"00906ed50000.json"), inPeer("teekit", tcbInfos+"b0c06f000000.json"), inPeer("teekit", tcbInfos+"90c06f000000.json"),
		inPeer("automata", evm+"0825_sgx_qeidentity_v4.json"), inPeer("automata", solana+"signing.der"))
	server2022 = files(inOasis("tcb_info_v3_fmspc_00606A000000.json"), inOasis("qe_identity_v2.json"), inOasis("tcb_info_v3_fmspc_00606A000000_certs.pem"))
	intelQVL   = files(inPeer("intel-qvl", sample+"tcbInfo.json"), inPeer("intel-qvl", sample+"qeIdentity.json"), inPeer("intel-qvl", sample+"rootCaCrl.pem"),
		inPeer("intel-qvl", sample+"intermediateCaCrl.pem"), inPeer("intel-qvl", sample+"tcbSignChain.pem"))
)

func vectors() []vector {
	const client, server = "2025-06-25T00:00:00Z", "2025-08-20T00:00:00Z"
	return []vector{
		{name: "oasis: no CRLs", quote: inOasis("quote_v3_ecdsa_p256_pck_chain.bin"), collateral: server2022, at: "2022-12-20T00:50:04Z", err: dcap.ErrMissing, failed: "root-crl"},
		{name: "oasis: collateral of 2025", quote: inOasis("quote_v3_ecdsa_p256_pck_chain.bin"), collateral: server2025, at: server, status: attestation.OutOfDate},
		{name: "oasis: EPPID", quote: inOasis("quote_v3_ecdsa_p256_eppid.bin"), collateral: server2022, at: "2022-12-20T00:50:04Z", err: dcap.ErrMalformed, failed: "quote-format"},
		{name: "occlum: no collateral", quote: inShared("occlum_quote.dat"), collateral: noCollateral, at: server, err: dcap.ErrMissing, failed: "tcb-signing-chain"},
		{name: "occlum", quote: inShared("occlum_quote.dat"), collateral: server2025, at: server, status: attestation.OutOfDate, debug: true},
		{name: "dcap-qvl", quote: inPeer("dcap-qvl", "sample_sgx_quote"), collateral: client2025, at: client, status: attestation.ConfigurationAndSWHardeningNeeded},
		{name: "dcap-qvl: a year later", quote: inPeer("dcap-qvl", "sample_sgx_quote"), collateral: client2025, at: "2026-06-25T00:00:00Z", err: dcap.ErrExpired, failed: "tcb-info"},
		{name: "automata solana", quote: inPeer("automata", solana+"quote_sgx.bin"), collateral: client2025, at: client, status: attestation.ConfigurationAndSWHardeningNeeded, debug: true},
		{name: "automata v3", quote: inPeer("automata", "rust-crates_samples_quotev3.hex"), collateral: server2025, at: server, status: attestation.SWHardeningNeeded},
		{name: "teekit chinenyeokafor", quote: inPeer("teekit", teekit+"sgx-chinenyeokafor.dat"), collateral: mixed2025, at: "2025-10-15T00:00:00Z", err: dcap.ErrExpired, failed: "qe-identity"},
		{name: "teekit occlum", quote: inPeer("teekit", teekit+"sgx-occlum.dat"), collateral: mixed2025, at: "2025-10-15T00:00:00Z", err: dcap.ErrExpired, failed: "qe-identity"},
		{name: "teekit quote9", quote: inPeer("teekit", teekit+"sgx-tlsn-quote9.dat"), collateral: mixed2025, at: "2025-10-15T00:00:00Z", err: dcap.ErrExpired, failed: "qe-identity"},
		{name: "teekit quotedev", quote: inPeer("teekit", teekit+"sgx-tlsn-quotedev.dat"), collateral: mixed2025, at: "2025-10-15T00:00:00Z", err: dcap.ErrExpired, failed: "qe-identity"},
		{name: "automata godcap", quote: firstLine(inPeer("automata", "go-sdk_packages_godcap_mock_sample_quotes.hex")), collateral: server2025, at: server, status: attestation.SWHardeningNeeded},
		{name: "trustee request", quote: trusteeRequest, collateral: server2025, at: server, status: attestation.OutOfDate, debug: true},
		{name: "intel-qvl sample", quote: inPeer("intel-qvl", sample+"quote.dat"), collateral: intelQVL, at: "2020-01-01T00:00:00Z", err: dcap.ErrMalformed, failed: "quote-format"},
	}
}

func firstLine(read func(testing.TB) []byte) func(testing.TB) []byte {
	return func(t testing.TB) []byte {
		t.Helper()
		line, _, _ := bytes.Cut(read(t), []byte("\n"))
		return line
	}
}

// trusteeRequest is what Confidential Containers' attestation service is asked: JSON with the quote, in base64 for URLs.
func trusteeRequest(t testing.TB) []byte {
	t.Helper()
	var doc struct {
		Requests []struct{ TEE, Evidence string } `json:"verification_requests"`
	}
	if err := json.Unmarshal(attestationtest.Peer(t, "trustee", "attestation-service_tests_coco-as_request.json"), &doc); err != nil {
		t.Fatal(err)
	}
	out, err := base64.RawURLEncoding.DecodeString(doc.Requests[0].Evidence)
	if err != nil || doc.Requests[0].TEE != "sgx" {
		t.Fatalf("%+v, %v", doc, err)
	}
	return out
}

func at(t testing.TB, s string) int64 {
	t.Helper()
	x, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return x.Unix()
}

// authenticate imports and judges.
func authenticate(t testing.TB, v vector) (*attestation.Report, error) {
	t.Helper()
	f, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	e, err := verify.Import(attestation.Raw{Report: v.quote(t), Collateral: v.collateral(t)})
	if err != nil {
		t.Fatal(err)
	}
	return f.Authenticate(context.Background(), e, at(t, v.at))
}

func outcomes(r *attestation.Report, o attestation.Outcome) []string {
	var out []string
	for _, c := range r.Checks {
		if c.Outcome == o {
			out = append(out, c.Name)
		}
	}
	return out
}

// TestRealQuotes verifies every SGX quote of real hardware that there is, or refuses it for the reason in the table.
func TestRealQuotes(t *testing.T) {
	verified, refused := 0, 0
	for _, v := range vectors() {
		t.Run(strings.ReplaceAll(v.name, " ", "-"), func(t *testing.T) {
			r, err := authenticate(t, v)
			if !errors.Is(err, v.err) || r == nil {
				t.Fatalf("got %v, want %v; failed %q", err, v.err, outcomes(r, attestation.Fail))
			}
			if got := outcomes(r, attestation.Fail); v.failed != "" && !slices.Equal(got, []string{v.failed}) {
				t.Errorf("failed %q, want %q", got, v.failed)
			}
			if v.err != nil {
				refused++
				t.Logf("refused: %v; passed before: %v", err, outcomes(r, attestation.Pass))
				return
			}
			verified++
			if r.TCB.Status != v.status || r.Debug != v.debug || r.Assurance != attestation.AssuranceTEE || len(r.Chip) != 32 {
				t.Errorf("status %+v, debug %t, assurance %q, chip %q", r.TCB, r.Debug, r.Assurance, r.Chip)
			}
			if len(r.Bound) != 64 || len(r.Measurements["mrenclave"]) != hex.EncodedLen(32) {
				t.Errorf("bound %x, measured %v", r.Bound, r.Measurements)
			}
			t.Logf("verified: %s %v", r.TCB.Status, r.TCB.Advisories)
		})
	}
	t.Logf("%d quotes of real hardware verified, %d refused for a reason", verified, refused)
}
