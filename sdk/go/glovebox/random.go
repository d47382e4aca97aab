// SPDX-License-Identifier: Apache-2.0

package glovebox

import "math/rand/v2"

// Rand is a generator seeded by the job: the same code, data, parameters and seed draw the same numbers. Each call gives
// an independent one. Outside the sandbox the seed is GLOVEBOX_SEED, or zeros, and the numbers are others than inside,
// where Go's own runtime draws first.
func Rand() (*rand.Rand, error) {
	s, err := drawSeed()
	if err != nil {
		return nil, err
	}
	return rand.New(rand.NewChaCha8(s)), nil
}
