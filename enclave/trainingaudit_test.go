// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"crypto/rand"
	"fmt"
	"sync"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/audit"
)

var canaryGuest = sync.OnceValues(func() ([]byte, error) { return compiled("canary.c") })

// TestCanariesThroughTheWholeLine: records that each pull an element of their own, up or down by a coin, are packed, granted, read, and
// go through a guest in its sandbox, bounds, sum and noise; of the model that leaves the coins are guessed. What that bounds ε by must
// not be above what the job declares. Without noise it is, in each class: this test can fail (Steinke, Nasr, Jagielski 2023).
func TestCanariesThroughTheWholeLine(t *testing.T) {
	const (
		canaries = 2000 // canary.c has as many parameters
		guesses  = 1800 // of the clearest, for there are not as many up as down
		alpha    = 1e-8
	)
	module, spawner := orSkip(t, canaryGuest), newTestSpawner(t)
	for _, v := range []struct {
		runtime string
		noise   train.Noise // nil: as everywhere
	}{{job.RuntimeTrain, nil}, {job.RuntimeTrainSum, nil}, {job.RuntimeTrain, silence{}}, {job.RuntimeTrainSum, silence{}}} {
		t.Run(fmt.Sprintf("%s, noise %t", v.runtime, v.noise == nil), func(t *testing.T) {
			coins, up, lines := make([]byte, canaries), make([]bool, canaries), make([]string, canaries)
			_, err := rand.Read(coins)
			check(t, err)
			for i := range lines {
				up[i] = coins[i]&1 == 1
				lines[i] = fmt.Sprintf("%c,%d", "du"[coins[i]&1], i)
			}
			w := newTrainingWorld(t, module, lines, 1, func(j *job.Job) {
				j.Runtime, j.Privacy.Delta, j.Privacy.Mechanisms[0].Noise = v.runtime, 1, 2*dp.Micro
				j.Privacy.Training.Params, j.Outputs[0].MaxBytes = canaries, 1<<14
			})
			w.seams.testOnlyNoise = v.noise
			res, abandon := w.train(spawner)
			if res == nil || res.Outcome != usage.OutcomeCompleted {
				t.Fatalf("%+v %+v", res, abandon)
			}
			scores := make([]float64, canaries)
			for i, p := range params(t, w.opened(res)["model.safetensors"]) {
				scores[i] = -float64(p) // a step goes down
			}
			correct, err := audit.Guess(scores, up, guesses)
			check(t, err)
			s, _ := w.statement(res)
			low, err := audit.OneRun(canaries, guesses, correct, float64(s.Spent[0].Delta)/dp.Pico, alpha)
			check(t, err)
			claimed := float64(s.Spent[0].Epsilon) / dp.Micro
			t.Logf("%d of %d coins guessed: ε ≥ %.3f, claimed %.3f", correct, guesses, low, claimed)
			if v.noise == nil && (low > claimed || correct < guesses/2+50) { // the coins can be told a little: half and some 200, ±22
				t.Errorf("%d coins guessed, ε ≥ %v, claimed %v", correct, low, claimed)
			}
			if v.noise != nil && low <= claimed {
				t.Errorf("without noise only %d coins are guessed: ε ≥ %v, claimed %v", correct, low, claimed)
			}
		})
	}
}
