// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/rand"
	"testing"

	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// TestTrainingsAreWhatTheySay: the noise of each run is the least for its ε, and the engine takes the declaration.
func TestTrainingsAreWhatTheySay(t *testing.T) {
	for _, c := range trainings {
		p, err := c.privacy()
		if err != nil {
			t.Errorf("%s: %v", c.String(), err)
			continue
		}
		b, err := dp.Epsilon(composition(p), delta, p.Accountant)
		if err != nil || c.epsilon > 0 && (b.Epsilon > c.epsilon || b.Epsilon < 0.999*c.epsilon) {
			t.Errorf("%s: ε %v, %v", c.String(), b.Epsilon, err)
		}
		config := train.Config{
			Privacy: *p, Granted: p.Epsilon, Params: make([]float32, 10), Sampler: train.NewSampler(rand.Reader), Noise: train.NewNoise(rand.Reader), Clock: unpaced{},
		}
		if err := config.Check(images); err != nil {
			t.Errorf("%s: %v", c.String(), err)
		}
	}
}
