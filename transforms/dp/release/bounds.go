// SPDX-License-Identifier: Apache-2.0

package release

import (
	"errors"
	"fmt"
	"math"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/decimal"
)

// bounded is a field whose values are clamped to declared bounds and rounded to a grid of whole powers of ten that is fine
// enough to have 100,000 steps between them.
type bounded struct {
	Field string          `json:"field"`
	Lower *decimal.Number `json:"lower"` // values below count as this
	Upper *decimal.Number `json:"upper"` // values above count as this

	places    int   // a step is 10^-places
	low, high int64 // the bounds in steps, rounded outwards
}

const (
	gridSteps = 100_000
	minPlaces = -12
	maxPlaces = 16
)

func (b *bounded) check() error {
	if err := checkField("field", b.Field); err != nil {
		return err
	}
	if b.Lower == nil || b.Upper == nil {
		return errors.New("want lower and upper: values are clamped to them, and they must not be taken from the data")
	}
	if b.Lower.Cmp(&b.Upper.Decimal) >= 0 {
		return fmt.Errorf("lower: %s is not below upper, %s", b.Lower.Literal, b.Upper.Literal)
	}
	for b.places = minPlaces; b.places <= maxPlaces; b.places++ {
		low, _, okLow := b.Lower.Scaled(b.places + 1)
		high, _, okHigh := b.Upper.Scaled(b.places + 1)
		if !okLow || !okHigh {
			break
		}
		// Rounded outwards: ⌊⌊10x⌋/10⌋ is ⌊x⌋, and one more is not below the upper bound.
		b.low, b.high = floorDiv(low, 10), floorDiv(high, 10)
		if _, exact, _ := b.Upper.Scaled(b.places); !exact {
			b.high++
		}
		if n := b.high - b.low; n > 11*gridSteps {
			break
		} else if n >= gridSteps {
			return nil
		}
	}
	return fmt.Errorf("lower and upper: from %s to %s is too little for numbers of their size, or too much", b.Lower.Literal, b.Upper.Literal)
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

// steps gives what a record has, in steps. What is no number, or none at all, is not ok: the record does not count.
func (b *bounded) steps(r *transforms.Record) (int64, bool) {
	f := value(r, b.Field)
	if f == nil || f.Kind != transforms.Number && f.Kind != transforms.Text {
		return 0, false
	}
	d, ok := decimal.Parse(f.Text)
	if !ok {
		return 0, false
	}
	switch {
	case d.Cmp(&b.Lower.Decimal) <= 0:
		return b.low, true
	case d.Cmp(&b.Upper.Decimal) >= 0:
		return b.high, true
	}
	n, _, _ := d.Scaled(b.places + 1) // fits: the bounds do
	return min(max(floorDiv(n+5, 10), b.low), b.high), true
}

// per is how many steps are one.
func (b *bounded) per() float64 { return math.Pow10(b.places) }

func (b *bounded) float(steps float64) float64 { return steps / b.per() }

// clamp bounds what noise made of a value.
func (b *bounded) clamp(steps float64) float64 {
	return b.float(min(max(steps, float64(b.low)), float64(b.high)))
}
