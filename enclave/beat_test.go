// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"fmt"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// TestFirstAllowance: a grant lets its own allowance be read, and not a leaf more before a heartbeat is answered.
func TestFirstAllowance(t *testing.T) {
	for records, completes := range map[int]bool{500: true, 20_000: false} {
		w := newWorldOf(t, records, nil)
		w.relay = func(address string, msg []byte) ([]byte, error) {
			if grant.KindOf(msg) == grant.KindHeartbeat {
				return nil, fmt.Errorf("%w: dropped", door.ErrRefused)
			}
			return w.forward(address, msg)
		}
		r, a := w.run(reader{})
		if r == nil {
			t.Fatalf("%+v", a)
		}
		s, _ := w.statement(r)
		data, most := s.Packages[1], w.data.Manifest.Terms.Allowance
		if (s.Outcome == usage.OutcomeCompleted) != completes || data.Heartbeat != 0 || data.Reads < 1 || data.Reads > most {
			t.Errorf("%d records: %s %s after %d leaves and %d heartbeats, %d are allowed", records, s.Outcome, s.Reason, data.Reads, data.Heartbeat, most)
		}
		if !completes && data.Reads != most {
			t.Errorf("%d of %d leaves", data.Reads, most)
		}
	}
}
