// SPDX-License-Identifier: Apache-2.0

package localdp

import (
	"encoding/json"
	"fmt"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/decimal"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
	"github.com/glovebox-dev/glovebox/transforms/fields"
)

// gaussianField is a number with discrete Gaussian noise.
type gaussianField struct {
	numberField
	Delta *decimal.Number `json:"delta"`

	delta  int64 // 10⁻¹²
	sigma2 sampler.Rat
}

// maxDelta bounds delta of a field: a chance of one in a hundred that nothing is promised is none worth the name of privacy.
const maxDelta = 10_000_000_000

func (c *gaussianField) check() error {
	if err := c.numberField.check(); err != nil {
		return err
	}
	if c.Delta == nil {
		return fields.Bad("field %q: no delta", c.Field)
	}
	d, exact, ok := c.Delta.Scaled(12)
	if !ok || !exact || d <= 0 || d > maxDelta {
		return fields.Bad("field %q: delta %s, want more than 0, at most 0.01, and no more than twelve digits after the point", c.Field, c.Delta.Literal)
	}
	c.delta = d
	if c.sigma2, ok = calibrate(c.steps, c.epsilon, d); !ok {
		return fields.Bad("field %q: too little epsilon and delta for %d steps", c.Field, c.steps)
	}
	return nil
}

func (c *gaussianField) draw(dst []byte, f *transforms.Field, s *sampler.Source) ([]byte, error) {
	noise, err := s.Gaussian(c.sigma2)
	if err != nil {
		return dst, err
	}
	return c.write(dst, c.value(f), noise), nil
}

// NewGaussian makes the step discrete-gaussian. What it promises has a delta, which a signed step cannot say: it runs only where the
// caller accounts for that himself ([transforms.Env].Approximate), and is refused elsewhere.
func NewGaussian(raw json.RawMessage, _ transforms.Schema, env *transforms.Env) (transforms.Step, error) {
	s, err := newStep[gaussianField](raw, transforms.Number, env)
	if err != nil {
		return nil, err
	}
	if !env.Approximate {
		s.refuse = fmt.Errorf("%w: discrete-gaussian spends a delta, and what runs it can account for pure epsilon only: "+
			"take discrete-laplace, or add this noise at ingest", transforms.ErrEnv)
	}
	return s, nil
}

// GaussianSpends is what discrete-gaussian spends for a record: epsilon in millionths at a delta in 10⁻¹².
func GaussianSpends(raw json.RawMessage) (epsilon, delta int64, err error) {
	list, err := decode[gaussianField](raw)
	for _, f := range list {
		if g, ok := f.(*gaussianField); ok {
			delta += g.delta
		}
	}
	return spent(list), delta, err
}

// GaussianEpsilon is the epsilon of [GaussianSpends].
func GaussianEpsilon(raw json.RawMessage) (int64, error) { return epsilon[gaussianField](raw) }
