// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/broker/ledger/report"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// TestPermitsSayWhatIsLeft: how often a permit was used is shown, and where that is not known, no number is.
func TestPermitsSayWhatIsLeft(t *testing.T) {
	list := []permitView{
		{ID: envelope.Digest{1}, State: "standing", Package: "used", Count: 5},
		{ID: envelope.Digest{2}, State: "standing", Package: "fresh", Count: 3},
		{ID: envelope.Digest{3}, State: "revoked", Package: "ended", Count: 4},
	}
	words := func() string {
		var b strings.Builder
		printPermits(&b, list)
		return strings.Join(strings.Fields(b.String()), " ")
	}
	wants := func(all ...string) {
		t.Helper()
		for _, want := range all {
			if got := words(); !strings.Contains(got, want) {
				t.Errorf("no %q in %s", want, got)
			}
		}
	}
	wants("JOBS USED LEFT", "standing used 5 ? ? any", "revoked ended 4 ? 0 any")
	usedIn(list, &report.Report{Permits: []report.Permit{{ID: envelope.Digest{1}, Used: 2}, {ID: envelope.Digest{3}, Used: 1}}})
	wants("standing used 5 2 3 any", "standing fresh 3 0 3 any", "revoked ended 4 1 0 any")
}
