// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// TestDenialIsSaidFirst: a job that brokers denied says so in its first words, and whose, also if the enclave had started.
func TestDenialIsSaidFirst(t *testing.T) {
	a, b := envelope.Sum([]byte("a")), envelope.Sum([]byte("b"))
	reason := func(rule string) grant.Reason {
		return grant.Reason{Rule: rule, Message: rule + " is spent", Satisfy: "ask for less " + rule}
	}
	id := envelope.Sum([]byte("job")).String()
	v := &jobView{Job: id, State: "failed", Reason: usage.ReasonNotPermitted, Message: "the run failed", Hint: "a training does not fit its data"}
	v.names = map[envelope.Digest]string{a: "patients", b: "claims"}
	v.deny(&grant.Denial{Manifest: a, Reasons: []grant.Reason{reason("privacy"), reason("uses")}})
	v.deny(&grant.Denial{Manifest: b, Reasons: []grant.Reason{reason("purpose")}})
	err := v.failure()
	want := "job " + short(id) + " was denied by the broker of patients: privacy is spent (privacy); to satisfy it: ask for less privacy\n" +
		"uses is spent (uses); to satisfy it: ask for less uses\n" +
		"denied by the broker of claims: purpose is spent (purpose); to satisfy it: ask for less purpose"
	if err.Error() != want {
		t.Errorf("got %q\nwant %q", err, want)
	}
	wantKind(t, err, KindDenied, "")
	if h := classify(err).Hint; !strings.Contains(h, "buyer plan") || strings.Contains(h, "training") {
		t.Errorf("hint: %q", h)
	}
	// Without a denial the host's words are all there is; not permitted is an exit code of its own all the same.
	v.Denied, v.denied = nil, nil
	wantKind(t, v.failure(), KindDenied, "failed: not-permitted: the run failed")
}
