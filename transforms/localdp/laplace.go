// SPDX-License-Identifier: Apache-2.0

package localdp

import (
	"encoding/json"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
	"github.com/glovebox-dev/glovebox/transforms/fields"
)

// laplaceField is a number with discrete Laplace noise.
type laplaceField struct{ numberField }

func (c *laplaceField) scale() sampler.Rat {
	return sampler.Rat{Num: uint64(c.steps) * million, Den: uint64(c.epsilon)}
}

func (c *laplaceField) check() error {
	if err := c.numberField.check(); err != nil {
		return err
	}
	if r := c.scale(); r.Num/r.Den >= sampler.MaxScale {
		return fields.Bad("field %q: too little epsilon for %d steps", c.Field, c.steps)
	}
	return nil
}

func (c *laplaceField) draw(dst []byte, f *transforms.Field, s *sampler.Source) ([]byte, error) {
	noise, err := s.Laplace(c.scale())
	if err != nil {
		return dst, err
	}
	return c.write(dst, c.value(f), noise), nil
}

// NewLaplace makes the step discrete-laplace: noise with a scale of the whole range over epsilon.
func NewLaplace(raw json.RawMessage, _ transforms.Schema, env *transforms.Env) (transforms.Step, error) {
	s, err := newStep[laplaceField](raw, transforms.Number, env)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// LaplaceEpsilon is what discrete-laplace spends for a record, in millionths of pure epsilon.
func LaplaceEpsilon(raw json.RawMessage) (int64, error) { return epsilon[laplaceField](raw) }
