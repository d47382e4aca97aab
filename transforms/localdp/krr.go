// SPDX-License-Identifier: Apache-2.0

package localdp

import (
	"encoding/json"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/decimal"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
	"github.com/glovebox-dev/glovebox/transforms/fields"
)

// maxCategories bounds how many answers there are: a draw takes as many tries, at worst.
const maxCategories = 1024

// krrField is a field with declared values.
type krrField struct {
	fields.Ref
	Categories []string        `json:"categories"`
	Default    string          `json:"default"` // stands for any other value, and for none
	Epsilon    *decimal.Number `json:"epsilon"`

	epsilon int64
	place   map[string]uint64
}

func (c *krrField) check() (err error) {
	if len(c.Categories) < 2 || len(c.Categories) > maxCategories {
		return fields.Bad("field %q: %d categories, want 2 to %d", c.Field, len(c.Categories), maxCategories)
	}
	c.place = make(map[string]uint64, len(c.Categories))
	for i, name := range c.Categories {
		if _, twice := c.place[name]; twice {
			return fields.Bad("field %q: category %q is there twice", c.Field, name)
		}
		c.place[name] = uint64(i)
	}
	if _, ok := c.place[c.Default]; !ok {
		return fields.Bad("field %q: the default must be one of the categories", c.Field)
	}
	c.epsilon, err = epsilonOf(c.Field, c.Epsilon)
	return err
}

// draw gives the true category with probability e^ε/(e^ε+k-1), each other with 1/(e^ε+k-1), exactly: it takes one of all at random, and
// keeps it if it is the true one, or else with probability e^-ε, until one is kept. How often it tries does not depend on
// which is true.
func (c *krrField) draw(dst []byte, f *transforms.Field, s *sampler.Source) ([]byte, error) {
	name := c.Default
	if f != nil && f.Kind != transforms.Null {
		if _, ok := c.place[string(f.Text)]; ok {
			name = string(f.Text)
		}
	}
	is := c.place[name]
	for {
		n, err := s.Uniform(uint64(len(c.Categories)))
		if err != nil {
			return dst, err
		}
		keep, err := s.BernoulliExp(sampler.Rat{Num: uint64(c.epsilon), Den: million})
		if err != nil {
			return dst, err
		}
		if n == is || keep {
			return append(dst, c.Categories[n]...), nil
		}
	}
}

func (c *krrField) ref() fields.Ref { return c.Ref }
func (c *krrField) spends() int64   { return c.epsilon }

// NewKRR makes the step k-rr: k-ary randomised response.
func NewKRR(raw json.RawMessage, _ transforms.Schema, env *transforms.Env) (transforms.Step, error) {
	s, err := newStep[krrField](raw, transforms.Text, env)
	if err != nil {
		return nil, err
	}
	return s, nil
}

// KRREpsilon is what k-rr spends for a record, in millionths of pure epsilon.
func KRREpsilon(raw json.RawMessage) (int64, error) { return epsilon[krrField](raw) }
