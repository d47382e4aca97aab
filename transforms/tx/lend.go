// SPDX-License-Identifier: Apache-2.0

package tx

import (
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
	"github.com/glovebox-dev/glovebox/transforms/ff1"
)

// Lend is what a pipeline's [transforms.Env] lends to a step's module: tokens where there are keys, noise where the step
// may spend some and there is a source of it.
func Lend(s *dataset.Step, env *transforms.Env) (Lent, error) {
	id, err := s.ID()
	if err != nil {
		return Lent{}, err
	}
	var noise func(sensitivity, epsilon int64) (int64, error)
	if env.Noise != nil && s.Epsilon > 0 {
		source := sampler.NewSource(env.Noise)
		noise = func(sensitivity, epsilon int64) (int64, error) {
			return source.Laplace(sampler.Rat{Num: uint64(sensitivity) * 1_000_000, Den: uint64(epsilon)})
		}
	}
	l := Lent{Token: env.Keys != nil, Services: NewLender(env.Keys, id.String(), encryptDigits, noise)}
	if noise != nil {
		l.Epsilon = s.Epsilon
	}
	return l, nil
}

// encryptDigits is FF1 over decimal digits, and nothing but digits.
func encryptDigits(key [32]byte, text []byte) ([]byte, error) {
	t, err := ff1.NewText(key[:], "0123456789", "")
	if err != nil {
		return nil, err
	}
	return t.Encrypt(nil, text, nil)
}
