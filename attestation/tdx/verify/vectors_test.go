// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-tdx-guest/pcs"
	tdxtesting "github.com/google/go-tdx-guest/testing"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/tdx/quote"
	"github.com/glovebox-dev/glovebox/attestation/tdx/verify"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// file is a file of real evidence: "module:path" of a Go module, "shared:name", or "repository:name" of a peer.
type file string

// Sources of files.
const (
	google = "google:testing/testdata/"
	oasisD = "oasis:common/sgx/pcs/testdata/"
	shared = "shared:"
	qvl    = "dcap-qvl:sample_"
	forge  = "automata:evm_forge-test_assets_"
	solana = "automata:solana_automata-dcap-framework_tests_data_"
	crates = "automata:rust-crates_samples_"
	quotes = "teekit:packages_qvl_test_sampleQuotes_"
	infos  = "teekit:packages_qvl_test_sampleTcbInfos_tcbInfo-tdx-"
	coco   = "trustee:deps_verifier_test_data_"
	dstack = "dstack:dstack_verifier_fixtures_"
	intel  = "intel-qvl:Src_AttestationApp_sampleData_"
)

func (f file) read(t testing.TB) []byte {
	t.Helper()
	from, path, _ := strings.Cut(string(f), ":")
	switch from {
	case "google":
		return attestationtest.ModuleFile(t, goTDXGuest, path)
	case "oasis":
		return attestationtest.ModuleFile(t, oasis, path)
	case "shared":
		return attestationtest.Shared(t, path)
	case "header": // that came with Intel's answers to go-tdx-guest
		return []byte(tdxtesting.TcbInfoHeader[pcs.TcbInfoIssuerChainPhrase][0])
	}
	return attestationtest.Peer(t, from, path)
}

// Collateral of Intel's, gathered from whoever has some of the same weeks. All of a set hold at its time.
var (
	june2023 = set{"2023-06-20T00:00:00Z", []file{google + "sample_tcbInfo_response", google + "sample_qeIdentity_response", google + "pckcrl", google + "rootcrl.der", "header:"}}
	june2025 = set{"2025-06-20T00:00:00Z", []file{
		qvl + "tdx_quote_collateral.json", forge + "0625_tcbinfov3_00806f050000.json", forge + "0625_tcbinfov3_90C06F000000.json",
	}}
	october2025 = set{"2025-10-20T00:00:00Z", []file{
		infos + "90c06f000000.json", infos + "b0c06f000000.json", infos + "50806f000000.json", infos + "00806f050000.json",
		forge + "1025_identity.json", forge + "1025_pck_crl.der", solana + "intel_root_ca_crl.der", solana + "signing.der",
	}}
	november2025 = set{"2025-10-29T00:00:00Z", []file{
		coco + "tcbInfo.json", coco + "enclaveIdentity.json", forge + "1025_pck_crl.der", solana + "intel_root_ca_crl.der", solana + "signing.der",
	}}
	march2026 = set{"2026-03-01T00:00:00Z", []file{qvl + "tdx_quote_outdated_collateral.json"}}
	// Nobody kept revocation lists of these.
	september2024 = set{"2024-09-21T00:00:00Z", []file{oasisD + "tcb_info_v3_tdx_fmspc_C0806F000000.json", oasisD + "qe_identity_v2_tdx2.json", "header:"}}
	none2026      = set{"2026-05-01T00:00:00Z", nil}
	// They lie beside each other, but are of another family of platforms than the quote.
	together = set{"2025-10-29T00:00:00Z", []file{shared + "tcbInfo.json", shared + "enclaveIdentity.json", solana + "signing.der"}}
)

type set struct {
	at    string
	files []file
}

func (s set) now(t testing.TB) int64 {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s.at)
	if err != nil {
		t.Fatal(err)
	}
	return at.Unix()
}

// vector is one real quote and what it must come to.
type vector struct {
	quote  file
	log    file // "": none, or in the quote's own file
	with   set
	status string // Intel's word on the platform
	fails  string // the check that refuses it; "": authentic
}

// vectors are all quotes at hand. A few are the same file under two names; they are counted once each, as they come.
func vectors() []vector {
	const (
		ok    = attestation.UpToDate
		stale = attestation.OutOfDate
		below = "tcb-level" // component 7 of the platform, or component 2 of its module, is below every level of Intel's
	)
	return []vector{
		// In modules and beside this repository.
		{google + "tdx_prod_quote_SPR_E4.dat", "", june2023, "", below},
		{oasisD + "quote_v4_tdx_ecdsa_p256_out_of_date.bin", "", june2023, "", below},
		{shared + "tdx_quote_4.dat", "", june2023, ok, ""},
		{oasisD + "quote_v4_tdx_ecdsa_p256.bin", "", september2024, "", "root-crl"},
		{oasisD + "quote_v4_tdx_ecdsa_p256_trailing.bin", "", september2024, "", "root-crl"},
		// With collateral that peers keep.
		{google + "ccel/cos-113-tdx-quote.dat", google + "ccel/ccel_data.dat", june2025, ok, ""},
		{qvl + "tdx_quote", "", june2025, ok, ""},
		{qvl + "tdx-quote.hex", "", june2025, "", below},
		{qvl + "quote-from-tappd.hex", "", june2025, "", below},
		{qvl + "tdx_quote_outdated", "", march2026, "", below},
		{crates + "quotev4.hex", "", june2025, stale, ""},
		{crates + "quotev5.dat", "", june2025, ok, ""},
		{solana + "quote_tdx.bin", "", june2025, stale, ""},
		{forge + "quotes_alibaba_quote_5.dat", "", june2025, ok, ""},
		{forge + "quotes_alibaba_quote_5.hex", "", march2026, stale, ""},
		{forge + "quotes_tdx_quote_5.dat", "", june2025, "", below},
		{quotes + "tdx-v4-azure", "", june2025, ok, ""},
		{quotes + "tdx-v4-edgeless.dat", "", june2025, stale, ""},
		{quotes + "tdx-v4-gcp.json", "", june2025, ok, ""},
		{quotes + "tdx-v4-gcp-no-nonce.json", "", october2025, ok, ""},
		{quotes + "tdx-v4-moemahhouk.dat", "", june2025, "", below},
		{quotes + "tdx-v4-phala.dat", "", june2025, ok, ""},
		{quotes + "tdx-v4-phala.hex", "", october2025, "", below},
		{quotes + "tdx-v4-tappd.hex", "", october2025, "", below},
		{quotes + "tdx-v4-trustee.dat", "", october2025, stale, ""},
		{quotes + "tdx-v4-zkdcap.dat", "", october2025, stale, ""},
		{quotes + "tdx-v5-trustee.dat", "", october2025, "", below},
		{coco + "az-tdx-vtpm_td-quote.bin", "", june2025, stale, ""},
		{coco + "tdx_quote_4.dat", "", october2025, stale, ""},
		{coco + "tdx_quote_5.dat", "", march2026, "", below},
		{coco + "tdx_quote_6.dat", "", november2025, stale, ""},
		{dstack + "quote-report.json", "", october2025, ok, ""},
		// Not authentic, or with somebody else's collateral, or none.
		{dstack + "tdx-lite-getquote.json", "", none2026, "", "tcb-signing-chain"},
		{coco + "tdx_quote_4.dat", "", november2025, "", "tcb-info"},
		{shared + "tdx_quote_4.dat", "", together, "", "tcb-info"},
		{intel + "tdx_quote.dat", "", june2025, "", "xfam"}, // of Intel's own sample vendor: nothing in it is of a TD
		{quotes + "tdx_quote.dat", "", june2025, "", "xfam"},
	}
}

func (v vector) evidence(t testing.TB) *attestation.Evidence {
	t.Helper()
	raw := attestation.Raw{Report: v.quote.read(t)}
	for _, f := range v.with.files {
		raw.Collateral = append(raw.Collateral, f.read(t))
	}
	if v.log != "" {
		raw.EventLogs = [][]byte{v.log.read(t)}
	}
	e, err := verify.Import(raw)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestRealQuotes: what hardware signed, at a time when the collateral at hand held.
func TestRealQuotes(t *testing.T) {
	f, err := verify.NewFormat()
	if err != nil {
		t.Fatal(err)
	}
	verified, refused := 0, 0
	distinct := map[envelope.Digest]bool{}
	for _, v := range vectors() {
		t.Run(string(v.quote), func(t *testing.T) {
			e := v.evidence(t)
			r, err := f.Authenticate(t.Context(), e, v.with.now(t))
			if failed(r) != v.fails || (err == nil) != (v.fails == "") {
				t.Errorf("failed check %q, want %q: %v", failed(r), v.fails, err)
			}
			if err != nil {
				refused++
				if v.fails != "xfam" && !(passed(r)["quote-signature"] && passed(r)["pck-chain"] && passed(r)["root"]) {
					t.Errorf("not even signed by Intel's hardware: %v", err)
				}
				return
			}
			verified++
			distinct[envelope.Sum(e.Evidence)] = true
			if v.status != "" && r.TCB.Status != v.status {
				t.Errorf("status %s, want %s", r.TCB.Status, v.status)
			}
		})
	}
	t.Logf("%d of %d real pairs of quote and collateral verified (%d distinct quotes), %d refused for a reason that is known",
		verified, len(vectors()), len(distinct), refused)
	if os.Getenv(attestationtest.PeersEnv) != "" && verified+refused != len(vectors()) {
		t.Error("some were not tried")
	}
}

// TestRealLogs: logs of real boots lead to the registers that hardware quoted, or are known not to.
func TestRealLogs(t *testing.T) {
	for _, c := range []struct {
		quote, log file
		want       error
	}{
		{google + "ccel/cos-113-tdx-quote.dat", google + "ccel/ccel_data.dat", nil},
		{dstack + "quote-report.json", "", nil},
		{dstack + "tdx-lite-getquote.json", "", nil},
		// Firmware's log, while the system extended RTMR2 and RTMR3 and kept a log of its own.
		{qvl + "quote-from-tappd.hex", "dstack:dstack_cc-eventlog_samples_ccel.bin", eventlog.ErrReplay},
		{google + "tdx_prod_quote_SPR_E4.dat", google + "ccel/ccel_data.dat", eventlog.ErrReplay},
	} {
		t.Run(string(c.quote), func(t *testing.T) {
			e := vector{quote: c.quote, log: c.log}.evidence(t)
			q, err := quote.Parse(e.Evidence)
			if err != nil || len(e.EventLogs) != 1 {
				t.Fatalf("%d logs: %v", len(e.EventLogs), err)
			}
			l, err := eventlog.ParseCC(e.EventLogs[0].Body)
			if err != nil {
				t.Fatal(err)
			}
			if err := l.Replay(q.TD.RTMR); !errors.Is(err, c.want) {
				t.Errorf("got %v", err)
			}
			if b := l.Boot(); b.Events != len(l.Events) || (c.want == nil && c.log != "" && (b.CommandLine == "" || b.SecureBoot != "off")) {
				t.Errorf("%+v", b)
			}
		})
	}
}
