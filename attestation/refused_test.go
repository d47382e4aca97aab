// SPDX-License-Identifier: Apache-2.0

package attestation_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation"
)

// TestRefusedError: the error of a failed check is of its step, says everything to whoever holds the lists, and only the
// check's name and what was seen to whoever sent the evidence.
func TestRefusedError(t *testing.T) {
	part := attestation.PartVerdict{Platform: attestation.PlatformSGX, Checks: []attestation.Check{
		{Step: attestation.StepAuthenticate, Name: "authentic", Outcome: attestation.Pass},
		{Step: attestation.StepBind, Name: "binding", Outcome: attestation.Pass},
		{Step: attestation.StepAppraise, Name: "tcb-status", Outcome: attestation.Fail, Seen: "OutOfDate", Want: "UpToDate", Note: "too old"},
	}}
	err := (&attestation.Verdict{Parts: []attestation.PartVerdict{part}}).Err()
	r, ok := errors.AsType[*attestation.RefusedError](err)
	if !ok || !errors.Is(err, attestation.ErrAppraise) || !errors.Is(err, attestation.ErrEvidence) || errors.Is(err, attestation.ErrBind) {
		t.Fatalf("got %v", err)
	}
	if got, want := err.Error(), `attestation: evidence refused: not acceptable: sgx: tcb-status: too old (seen "OutOfDate", want "UpToDate")`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if got, want := r.Public(), `attestation: evidence refused: not acceptable: sgx: tcb-status (seen "OutOfDate")`; got != want {
		t.Errorf("public: got %q, want %q", got, want)
	}
	part.Checks[2] = attestation.Check{Step: attestation.StepAppraise, Name: "reference-values", Seen: "pcr0=aa", Want: "an enclave: pcr0=bb", Note: "match none of 3 values"}
	r, ok = errors.AsType[*attestation.RefusedError]((&attestation.Verdict{Parts: []attestation.PartVerdict{part}}).Err())
	if !ok || strings.Contains(r.Public(), "bb") || strings.Contains(r.Public(), "pcr0=aa") || strings.Contains(r.Public(), "an enclave") || strings.Contains(r.Public(), "3") {
		t.Errorf("public: %q", r.Public())
	}
}
