// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// TestStepsAreOfTheData: rates and trees are of the units that manifests have, for the enclave refuses others.
func TestStepsAreOfTheData(t *testing.T) {
	for batches, want := range map[string]dp.Mechanism{
		"poisson":     {Kind: dp.Gaussian, Noise: 1, Sampling: dp.Poisson, Rate: dp.Rate{Num: 64, Den: 1000}, Count: 32},
		"fixed-size":  {Kind: dp.Gaussian, Noise: 1, Sampling: dp.FixedSize, Rate: dp.Rate{Num: 64, Den: 1000}, Count: 32},
		"consecutive": {Kind: dp.Gaussian, Noise: 1, Sampling: dp.NoSampling, Rate: dp.One, Count: 2},
		"tree":        {Kind: dp.Tree, Noise: 1, Size: 16, Sampling: dp.NoSampling, Rate: dp.One, Count: 2},
	} {
		p := &privateFlags{batches: batches, passes: 2}
		m, err := p.stepsOf(&subject{units: 1000, unit: "record", adjacency: dp.ReplaceOne}, 64)
		if err != nil || *m != want {
			t.Errorf("%s: %+v, %v, want %+v", batches, m, err, want)
		}
	}
}
