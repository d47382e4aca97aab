// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// TestAttackOldNonce: the code's broker is away for so long that the nonce of the dataset's, asked for at the same time, expires. It
// is asked for again, and nothing is debited for an attempt that must fail.
func TestAttackOldNonce(t *testing.T) {
	for _, jointly := range []bool{false, true} {
		w := newWorldOf(t, 500, nil)
		w.patience = time.Minute
		dropped := 0
		w.relay = func(address string, msg []byte) ([]byte, error) {
			if grant.KindOf(msg) == grant.KindChallenge && address == w.buyer.cfg.Address && dropped < 4 {
				if dropped++; dropped == 4 { // what waiting for it would do
					w.creator.ahead += grant.MaxNonceLife + 5*time.Second
					w.buyer.ahead += grant.MaxNonceLife + 5*time.Second
				}
				return nil, fmt.Errorf("%w: away", door.ErrRefused)
			}
			return w.forward(address, msg)
		}
		e := w.enclave(reader{})
		e.t.nonce = 0
		if jointly {
			e.c.Host = &posting{w, func(a [][]byte) ([][]byte, error) { return a, nil }}
		}
		check(t, e.serveOne(t.Context(), &door.Assignment{Token: "t", Job: w.job}))
		if w.result == nil || w.result.Outcome != usage.OutcomeCompleted {
			t.Errorf("jointly=%t: %+v, %+v", jointly, w.result, w.abandon)
		}
	}
}

// TestNothingReleasedOnOldNonces: with one nonce expired nothing is asked for, and with one about to expire the first release is waited
// for no longer than that. The attempt is given back to be tried again.
func TestNothingReleasedOnOldNonces(t *testing.T) {
	for left, asks := range map[time.Duration]bool{-time.Second: false, 100 * time.Millisecond: true} {
		w := newWorldOf(t, 500, nil)
		w.patience = 20 * time.Minute
		releases := 0
		w.relay = func(address string, msg []byte) ([]byte, error) {
			if grant.KindOf(msg) == grant.KindRelease {
				releases++
				return nil, fmt.Errorf("%w: away", door.ErrRefused)
			}
			return w.forward(address, msg)
		}
		r, err := w.enclave(reader{}).accept(t.Context(), &door.Assignment{Token: "t", Job: w.job})
		check(t, err)
		check(t, r.attest(t.Context()))
		late := &r.packages[1].clock
		late.expires = late.now() + left.Milliseconds()
		err = r.release(t.Context())
		if !errors.Is(err, ErrBroker) || !abandonment(err).Retry || !asks && releases > 0 {
			t.Errorf("%s left: %v after %d questions", left, err, releases)
		}
	}
}
