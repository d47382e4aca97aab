// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"fmt"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// TestBrokerAwayWaitOrFail: what becomes of a run whose broker does not answer for a while is for that broker's terms to
// say.
func TestBrokerAwayWaitOrFail(t *testing.T) {
	t.Parallel()
	for _, away := range []string{dataset.AwayWait, dataset.AwayFail} {
		for _, when := range []grant.Kind{grant.KindChallenge, grant.KindRelease, grant.KindHeartbeat} {
			t.Run(away+" "+string(when), func(t *testing.T) {
				t.Parallel()
				w := newWorldFrom(t, made{records: numbers(20_000), module: []byte("\x00asm-for-a-fake-runner"), terms: func(t *dataset.Terms) {
					t.BrokerAway = away
					t.Allowance = 1
				}})
				w.patience = time.Minute
				lost := 2
				w.relay = func(address string, msg []byte) ([]byte, error) {
					if address == w.creator.cfg.Address && grant.KindOf(msg) == when && lost > 0 {
						lost--
						return nil, fmt.Errorf("%w: no broker there", door.ErrRefused)
					}
					return w.forward(address, msg)
				}
				res, no := w.run(reader{})
				switch {
				case away == dataset.AwayWait && (res == nil || res.Outcome != usage.OutcomeCompleted):
					t.Errorf("it did not wait: %+v, %+v", res, no)
				case away == dataset.AwayFail && when == grant.KindChallenge && (no == nil || !no.Retry || lost != 1):
					t.Errorf("it did not fail at once: %+v, %+v", res, no)
				case away == dataset.AwayFail && when != grant.KindChallenge && (res == nil || res.Outcome != usage.OutcomeFailed || res.Reason != usage.ReasonUnavailable):
					t.Errorf("it did not fail at once: %+v, %+v", res, no)
				}
			})
		}
	}
}
