// SPDX-License-Identifier: Apache-2.0

package release

import (
	"fmt"

	"github.com/glovebox-dev/glovebox/transforms"
)

// unity is 1 of a feature, in the integers that it is scaled to: its bounds are -unity and unity.
const unity = 1 << 10

// scaled gives a record's value from -unity to unity. At the middle of the bounds it is 0.
func (b *bounded) scaled(r *transforms.Record) (int64, bool) {
	v, ok := b.steps(r)
	if !ok {
		return 0, false
	}
	width := b.high - b.low
	return floorDiv((2*v-b.low-b.high)*2*unity+width, 2*width), true
}

// middle and half turn what is scaled to -1…1 back: middle + half·x.
func (b *bounded) middle() float64 { return b.float(float64(b.low)+float64(b.high)) / 2 }
func (b *bounded) half() float64   { return b.float(float64(b.high-b.low)) / 2 }

// features are what a regression explains by: an intercept, and fields.
type features struct {
	Features []bounded `json:"features"`
}

func (f *features) check() error {
	if len(f.Features) == 0 || len(f.Features) > MaxFeatures {
		return fmt.Errorf("features: %d of them, want 1 to %d objects {\"field\", \"lower\", \"upper\"}", len(f.Features), MaxFeatures)
	}
	seen := map[string]bool{}
	for i := range f.Features {
		b := &f.Features[i]
		if err := b.check(); err != nil {
			return fmt.Errorf("features[%d]: %w", i, err)
		}
		if seen[b.Field] {
			return fmt.Errorf("features[%d]: field %q is there twice", i, b.Field)
		}
		seen[b.Field] = true
	}
	return nil
}

func (f *features) featureNames() (out []string) {
	for i := range f.Features {
		out = append(out, f.Features[i].Field)
	}
	return out
}

// size is the number of weights: the intercept's and one of each feature.
func (f *features) size() int { return len(f.Features) + 1 }

// vector reads a record: 1, and each feature. A record that misses one does not count.
func (f *features) vector(r *transforms.Record, into []int64) bool {
	into[0] = unity
	for i := range f.Features {
		v, ok := f.Features[i].scaled(r)
		if !ok {
			return false
		}
		into[i+1] = v
	}
	return true
}

// model turns weights of scaled features into those of the fields, for a target of middle + half·y.
func (f *features) model(w []float64, middle, half, ridge float64) *Model {
	m := &Model{Intercept: middle + half*w[0], Ridge: ridge}
	for i := range f.Features {
		b := &f.Features[i]
		c := half * w[i+1] / b.half()
		m.Intercept -= c * b.middle()
		m.Coefficients = append(m.Coefficients, Coefficient{b.Field, c})
	}
	return m
}
