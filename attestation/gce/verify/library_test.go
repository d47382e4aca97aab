// SPDX-License-Identifier: Apache-2.0

package verify_test

import (
	"bytes"
	"crypto"
	"encoding/hex"
	"errors"
	"testing"

	"github.com/google/go-attestation/attest"
	attestpb "github.com/google/go-tpm-tools/proto/attest"
	"github.com/google/go-tpm-tools/server"
	"github.com/google/go-tpm/legacy/tpm2"
	"google.golang.org/protobuf/proto"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/attestationtest"
	"github.com/glovebox-dev/glovebox/attestation/gce/verify"
	"github.com/glovebox-dev/glovebox/attestation/tpm/boot"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/attestation/tpm/quote"
)

// TestGoTPMToolsEmptyEventLogVerifies: go-tpm-tools verifies an attestation without an event log, with a nil error and an
// empty machine state. Here it is refused.
func TestGoTPMToolsEmptyEventLogVerifies(t *testing.T) {
	var a attestpb.Attestation
	if err := proto.Unmarshal(attestationtest.ModuleFile(t, tpmTools, "internal/test/attestations/gce-cos-85-nonce9009.pb"), &a); err != nil {
		t.Fatal(err)
	}
	public, err := tpm2.DecodePublic(a.AkPub)
	if err != nil {
		t.Fatal(err)
	}
	key, err := public.Key()
	if err != nil {
		t.Fatal(err)
	}
	a.EventLog = nil
	state, err := server.VerifyAttestation(&a, server.VerifyOpts{Nonce: []byte{0x90, 0x09}, TrustedAKs: []crypto.PublicKey{key}})
	if err != nil || len(state.GetRawEvents()) != 0 {
		t.Errorf("the trap is gone: %v, %d events; drop this test's first half", err, len(state.GetRawEvents()))
	}

	b, err := proto.Marshal(&a)
	if err != nil {
		t.Fatal(err)
	}
	e, err := verify.Import(attestation.Raw{Report: b, Certs: googleFiles(t)})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := googleFormat(t).Authenticate(t.Context(), e, realNow); !errors.Is(err, boot.ErrLog) {
		t.Errorf("no log: got %v", err)
	}
}

// realLog is the log of the same VM, with the values that were quoted.
func realLog(t *testing.T) (raw []byte, pcrs map[int][]byte, values []attest.PCR) {
	t.Helper()
	e := realEvidence(t, "gce-cos-85-nonce9009.pb")
	r, err := googleFormat(t).Authenticate(t.Context(), e, realNow)
	if err != nil {
		t.Fatal(err)
	}
	pcrs = map[int][]byte{}
	for i := range quote.PCRCount {
		v, err := hex.DecodeString(r.Measurements[quote.Name(i)])
		if err != nil {
			t.Fatal(err)
		}
		pcrs[i] = v
		values = append(values, attest.PCR{Index: i, Digest: v, DigestAlg: crypto.SHA256})
	}
	return e.EventLogs[0].Body, pcrs, values
}

// TestGoAttestationVerifiesAgainstNoPCRs: go-attestation replays a log against no registers at all with a nil error.
func TestGoAttestationVerifiesAgainstNoPCRs(t *testing.T) {
	raw, _, _ := realLog(t)
	l, err := attest.ParseEventLog(raw)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Verify(nil); err != nil {
		t.Errorf("the trap is gone: %v; drop this test's first half", err)
	}

	ours, err := eventlog.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	if err := ours.Replay(nil); !errors.Is(err, eventlog.ErrReplay) {
		t.Errorf("no registers: got %v", err)
	}
}

// TestGoAttestationPassesOverPCRsThatTheLogLeavesOut: a log without a word of PCR 4, the boot loader's, replays there
// against all registers with a nil error. Here each register that firmware writes must come out of the log.
func TestGoAttestationPassesOverPCRsThatTheLogLeavesOut(t *testing.T) {
	raw, pcrs, values := realLog(t)
	parsed, err := eventlog.Parse(raw)
	if err != nil {
		t.Fatal(err)
	}
	short := eventlog.Header()
	for _, e := range parsed.Events {
		if e.PCR != 4 {
			if short, err = eventlog.Append(short, e); err != nil {
				t.Fatal(err)
			}
		}
	}
	l, err := attest.ParseEventLog(short)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := l.Verify(values); err != nil {
		t.Errorf("the trap is gone: %v; drop this test's first half", err)
	}

	logs := []attestation.EventLog{{Type: attestation.TCG2Log, Body: short}}
	if _, err := boot.Check(&attestation.Report{}, pcrs, logs, boot.Optional); !errors.Is(err, eventlog.ErrReplay) {
		t.Errorf("PCR 4 left out: got %v", err)
	}
	logs[0].Body = bytes.Clone(raw)
	if _, err := boot.Check(&attestation.Report{}, pcrs, logs, boot.Required); err != nil {
		t.Errorf("the whole log: %v", err)
	}
}
