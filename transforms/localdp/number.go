// SPDX-License-Identifier: Apache-2.0

package localdp

import (
	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/decimal"
	"github.com/glovebox-dev/glovebox/transforms/fields"
)

// numberField is a number with declared bounds. Values are clipped to them and rounded to steps of the resolution from the lower
// one on; noise is a whole number of steps.
type numberField struct {
	fields.Ref
	Lower      *decimal.Number `json:"lower"`
	Upper      *decimal.Number `json:"upper"`
	Resolution *decimal.Number `json:"resolution"` // 1 without it
	Default    *decimal.Number `json:"default"`    // stands for what is no number, and for none
	Epsilon    *decimal.Number `json:"epsilon"`
	Clamp      bool            `json:"clamp"` // what comes out is within the bounds too

	epsilon int64
	places  int   // digits after the point
	low     int64 // the lower bound, and one step, in units of 10^-places
	unit    int64
	steps   int64 // from bound to bound: what one value may change
	absent  int64 // steps of the default
	most    int64 // steps either way that can be written
}

// maxSteps bounds how many values there are between the bounds.
const maxSteps = 1_000_000_000

// maxWritten bounds what is written, in units of 10^-places.
const maxWritten = 8_000_000_000_000_000_000

func (c *numberField) check() (err error) {
	if c.Lower == nil || c.Upper == nil || c.Default == nil {
		return fields.Bad("field %q: want lower, upper and default", c.Field)
	}
	if c.Resolution == nil {
		c.Resolution = new(decimal.Number)
		if err := c.Resolution.UnmarshalJSON([]byte("1")); err != nil {
			return err
		}
	}
	for _, n := range []*decimal.Number{c.Lower, c.Upper, c.Resolution} {
		p, ok := n.Places()
		if !ok {
			return fields.Bad("field %q: %s has more than 18 digits after the point", c.Field, n.Literal)
		}
		c.places = max(c.places, p)
	}
	if err := c.measure(); err != nil {
		return err
	}
	if c.Default.Cmp(&c.Lower.Decimal) < 0 || c.Default.Cmp(&c.Upper.Decimal) > 0 {
		return fields.Bad("field %q: the default is out of the bounds", c.Field)
	}
	c.absent = c.round(&c.Default.Decimal)
	c.epsilon, err = epsilonOf(c.Field, c.Epsilon)
	return err
}

// measure finds how many steps there are between the bounds.
func (c *numberField) measure() error {
	var in [3]int64
	for i, n := range []*decimal.Number{c.Lower, c.Upper, c.Resolution} {
		if _, _, ok := n.Scaled(c.places + 1); !ok {
			return fields.Bad("field %q: %s has more than 17 digits, with those after the point that the others need", c.Field, n.Literal)
		}
		in[i], _, _ = n.Scaled(c.places)
	}
	low, high, unit := in[0], in[1], in[2]
	switch {
	case unit <= 0:
		return fields.Bad("field %q: resolution %s, want more than 0", c.Field, c.Resolution.Literal)
	case low >= high:
		return fields.Bad("field %q: lower %s is not below upper %s", c.Field, c.Lower.Literal, c.Upper.Literal)
	case (high-low)%unit != 0:
		return fields.Bad("field %q: from %s to %s is no whole number of steps of %s", c.Field, c.Lower.Literal, c.Upper.Literal, c.Resolution.Literal)
	case (high-low)/unit > maxSteps:
		return fields.Bad("field %q: %d steps between the bounds, at most %d: take a coarser resolution", c.Field, (high-low)/unit, maxSteps)
	}
	c.low, c.unit, c.steps = low, unit, (high-low)/unit
	c.most = (maxWritten - max(low, -low)) / unit
	return nil
}

// round gives the steps that are nearest to a number, within the bounds.
func (c *numberField) round(d *decimal.Decimal) int64 {
	switch {
	case d.Cmp(&c.Lower.Decimal) <= 0:
		return 0
	case d.Cmp(&c.Upper.Decimal) >= 0:
		return c.steps
	}
	n, _, _ := d.Scaled(c.places + 1) // fits: the bounds do
	return (n - 10*c.low + 5*c.unit) / (10 * c.unit)
}

// value gives the steps of what a record has.
func (c *numberField) value(f *transforms.Field) int64 {
	if f == nil || f.Kind != transforms.Number && f.Kind != transforms.Text {
		return c.absent
	}
	d, ok := decimal.Parse(f.Text)
	if !ok {
		return c.absent
	}
	return c.round(&d)
}

// write appends steps and noise as a number, always with the same digits after the point.
func (c *numberField) write(dst []byte, steps, noise int64) []byte {
	least, most := -c.most, c.most
	if c.Clamp {
		least, most = 0, c.steps
	}
	// Neither sum nor product overflows: steps are few, and noise is cut first. All this is done to what is private already.
	n := min(max(noise, least-c.steps), most) + steps
	return decimal.AppendFixed(dst, c.low+min(max(n, least), most)*c.unit, c.places)
}

func (c *numberField) ref() fields.Ref { return c.Ref }
func (c *numberField) spends() int64   { return c.epsilon }
