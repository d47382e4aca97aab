// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/broker/ledger"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// roomy has the account allow far more than one job may spend.
func roomy(m *dataset.Terms) { m.Privacy.Epsilon, m.Privacy.BuyerEpsilon = 50_000_000, 50_000_000 }

// half has the world's job ask for less than half of what one job may spend.
func half(j *job.Job) {
	j.Privacy.Mechanisms[0].Noise, j.Privacy.Epsilon = 12_000_000, 480_000
}

// together is what the attempts of the world's job come to at the δ of one job, in millionths.
func (w *world) together() (epsilon int64) {
	w.t.Helper()
	must(w.t, w.creator.View(w.t.Context(), func(tx *ledger.Tx) error {
		m := w.data.Manifest
		s, err := tx.JobSum(m.Terms.Privacy.Population, w.jobID)
		if err != nil {
			return err
		}
		nano, ok := s.Guarantee(m.Terms.Private[0].Delta)
		if !ok {
			w.t.Error("no epsilon holds")
		}
		epsilon = (nano + 999) / 1000
		return nil
	}))
	return epsilon
}

// TestAttackTicketsForOneJob: a buyer's broker gives tickets as often as it likes. What the attempts of a job reveal together, with
// noise of their own each, is what the terms allow one job, whether or not they completed.
func TestAttackTicketsForOneJob(t *testing.T) {
	t.Parallel()
	for name, completed := range map[string]bool{"completed": true, "never heard of again": false} {
		w := training(t, roomy)
		if completed {
			e := w.released()
			_, err := e.commit(w.data, e.usage(e.trained(trainingSteps)))
			must(t, err)
		} else {
			must(t, w.again(1))
		}
		spent, _ := w.account()
		for attempt := 2; attempt < 6; attempt++ {
			if got := rules(t, w.again(attempt)); !slices.Equal(got, []string{"privacy-attempts"}) {
				t.Errorf("%s: attempt %d: %v", name, attempt, got)
			}
		}
		w.creator.restart()
		if got, n := w.account(); got != spent || n != 1 {
			t.Errorf("%s: %d releases, epsilon %d, and one was %d", name, n, got, spent)
		}
		w.trainingJob(nil) // another job is another job: all of them together have the account
		must(t, w.again(1))
	}
}

// TestAttemptsWithinWhatOneJobMay: who asks for less than half can be tried again, and a plan says whether.
func TestAttemptsWithinWhatOneJobMay(t *testing.T) {
	t.Parallel()
	w := training(t, roomy)
	w.trainingJob(half)
	n, most := 0, w.data.Manifest.Terms.Private[0].Epsilon
	for ; n < 16; n++ {
		allowed := w.plan().Allowed
		err := w.again(n + 1)
		if allowed != (err == nil) {
			t.Errorf("attempt %d: planned %t: %v", n+1, allowed, err)
		}
		if err != nil {
			if got := rules(t, err); !slices.Equal(got, []string{"privacy-attempts"}) {
				t.Error(got)
			}
			break
		}
	}
	if got := w.together(); n < 2 || n == 16 || got > most || got < most/2 {
		t.Errorf("%d attempts came to %d, and one job may spend %d", n, got, most)
	}
}

// TestAttemptThatDidNothingIsFree: an attempt costs the job what the ledger says that it cost.
func TestAttemptThatDidNothingIsFree(t *testing.T) {
	t.Parallel()
	w := training(t, roomy)
	w.trainingJob(func(j *job.Job) { j.Privacy.Epsilon = 1_000_000 })
	for _, steps := range []int64{0, 0, 1} {
		e := w.released()
		_, err := e.commit(w.data, e.usage(e.stopped(steps)))
		must(t, err)
		w.clock.advance(testTimeout)
		must(t, w.buyer.ExpireLeases(t.Context()))
		if want := int64(0); steps == 0 && w.together() != want {
			t.Errorf("epsilon %d of nothing", w.together())
		}
	}
	about(t, "one step", w.together(), w.steps(1))
}
