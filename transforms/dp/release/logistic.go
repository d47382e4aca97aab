// SPDX-License-Identifier: Apache-2.0

package release

import (
	"errors"
	"fmt"
	"math"
	"math/big"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/decimal"
	"github.com/glovebox-dev/glovebox/transforms/dp/noise"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// logisticQuery is regularised logistic regression by output perturbation (Chaudhuri, Monteleoni, Sarwate 2011).
//
// The weights minimise Σ log(1+exp(-y·w·x)) + regularisation/2·|w|², over features scaled to -1…1 and an intercept, so that
// |x| ≤ R = √weights. The gradient of one record's loss is at most R long, so records of a unit that come or go move the
// minimum by at most contributions·R/regularisation, and by twice that if they become others (the lemmas 7 and 8 there, without
// a division by the number of records, which is private).
type logisticQuery struct {
	common
	features
	Target         string          `json:"target"`   // a field
	Positive       []string        `json:"positive"` // its values that are to be told from the others
	Regularisation *decimal.Number `json:"regularisation"`

	strength float64
	positive map[string]bool
}

const (
	// moved is how far a unit moves the weights, in the integers that they are rounded to.
	moved = 1 << 20
	// exactness is how near the minimum the weights are, of what a unit moves them by.
	exactness = 1.0 / 1024
	// slack is for both weights being only near the minimum, and for the rounding of up to MaxFeatures+1 numbers by less than one
	// in sum each: 2·moved·exactness + √33 is less.
	slack = 1 << 12
	// leastStrength is of the regularisation, in millionths: see minimiser.
	leastStrength = 10_000
)

func (q *logisticQuery) check() error {
	if err := q.features.check(); err != nil {
		return err
	}
	if err := checkField("target", q.Target); err != nil {
		return err
	}
	if len(q.Positive) == 0 || len(q.Positive) > MaxValues {
		return fmt.Errorf("positive: %d values, want 1 to %d: those of %q that are to be told from the others", len(q.Positive), MaxValues, q.Target)
	}
	if q.Regularisation == nil {
		return errors.New("want regularisation, e.g. a hundredth of the number of records: more of it means less noise and smaller coefficients")
	}
	n, err := millionths("regularisation", q.Regularisation)
	if err != nil {
		return err
	}
	if n < leastStrength {
		return fmt.Errorf("regularisation: %s, want at least %g: with less the minimum may take too long to find", q.Regularisation.Literal, float64(leastStrength)/1e6)
	}
	q.strength, q.positive = float64(n)/1e6, map[string]bool{}
	for _, v := range q.Positive {
		q.positive[v] = true
	}
	return nil
}

func (q *logisticQuery) values() []string { return append([]string{""}, q.featureNames()...) }

func (q *logisticQuery) fields() []string { return q.names(append(q.featureNames(), q.Target)...) }

// parts: in L2 the rounded weights move by moved and the slack; in L1 by at most √weights times as much.
func (q *logisticQuery) parts(*setting) ([]part, error) {
	l2 := big.NewInt(moved + slack)
	l1 := new(big.Int).Mul(l2, l2)
	p, err := q.part("weights of scaled features", 1, noise.Sensitivity{L1: noise.RootUp(l1.Mul(l1, big.NewInt(int64(q.size())))), L2: l2, Root: big.NewInt(1)})
	p.draws = q.size()
	return []part{p}, err
}

func (q *logisticQuery) start(s *setting, parts []part) counter {
	return &separating{q: q, s: s, parts: parts, x: make([]int64, q.size())}
}

type separating struct {
	q     *logisticQuery
	s     *setting
	parts []part
	x     []int64
	rows  []int16 // features of each record but the intercept, then ±1
	full  bool
}

func (c *separating) add(_ int, r *transforms.Record) {
	y := value(r, c.q.Target)
	if y == nil || !c.q.vector(r, c.x) {
		return
	}
	if len(c.rows)/c.q.size() >= MaxRows {
		c.full = true
		return
	}
	for _, v := range c.x[1:] {
		c.rows = append(c.rows, int16(v))
	}
	label := int16(-1)
	if c.q.positive[string(y.Text)] {
		label = 1
	}
	c.rows = append(c.rows, label)
}

// weights are those of the minimum, in whole numbers of which there are per to one.
func (c *separating) weights() (whole []int64, per float64, err error) {
	if c.full {
		return nil, 0, fmt.Errorf("%w: more than %d records for a logistic regression", ErrRun, MaxRows)
	}
	reach := float64(c.s.contributions*c.s.sides()) * math.Sqrt(float64(c.q.size())) // of gradients
	m := minimiser{rows: c.rows, d: c.q.size(), strength: c.q.strength, enough: reach * exactness / 2}
	w, err := m.minimise()
	if err != nil {
		return nil, 0, err
	}
	per = moved / (reach / c.q.strength)
	for _, v := range w {
		whole = append(whole, int64(math.RoundToEven(v*per)))
	}
	return whole, per, nil
}

func (c *separating) result(src *sampler.Source, out *Result) error {
	whole, per, err := c.weights()
	clear(c.rows)
	if err != nil {
		return err
	}
	w := make([]float64, len(whole))
	for i, v := range whole {
		n, err := c.parts[0].Draw(src)
		if err != nil {
			return err
		}
		w[i] = float64(v+n) / per
	}
	out.Model = c.q.model(w, 0, 1, c.q.strength)
	out.Noise = []Noise{c.parts[0].said(per)}
	return nil
}
