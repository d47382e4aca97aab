// SPDX-License-Identifier: Apache-2.0

package release

import (
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/glovebox-dev/glovebox/transforms"
	"github.com/glovebox-dev/glovebox/transforms/decimal"
	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/noise"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// quantilesQuery is values below which given shares of the records are, by the exponential mechanism (McSherry, Talwar 2007;
// Smith 2011) over a grid of equal steps from the lower to the upper bound.
type quantilesQuery struct {
	common
	bounded
	Quantiles []*decimal.Number `json:"quantiles"` // between 0 and 1
	Grid      int64             `json:"grid"`      // steps of the grid; 1000 without it

	at []int64 // quantiles in millionths
}

const (
	defaultGrid  = 1000
	maxGrid      = gridSteps
	maxQuantiles = 100
)

func (q *quantilesQuery) check() error {
	if err := q.pure(); err != nil {
		return err
	}
	if err := q.bounded.check(); err != nil {
		return err
	}
	if q.Grid == 0 {
		q.Grid = defaultGrid
	}
	if q.Grid < 1 || q.Grid > maxGrid {
		return fmt.Errorf("grid: %d steps, want 1 to %d", q.Grid, int64(maxGrid))
	}
	if len(q.Quantiles) == 0 || len(q.Quantiles) > maxQuantiles {
		return fmt.Errorf("quantiles: %d of them, want 1 to %d numbers between 0 and 1, e.g. [0.5]", len(q.Quantiles), maxQuantiles)
	}
	for i, n := range q.Quantiles {
		if n == nil {
			return fmt.Errorf("quantiles[%d]: want a number", i)
		}
		v, exact, ok := n.Scaled(6)
		if !ok || !exact || v <= 0 || v >= dp.Micro { // the least and the largest value are somebody's
			return fmt.Errorf("quantiles[%d]: %s, want more than 0 and less than 1, with at most 6 digits after the point", i, n.Literal)
		}
		q.at = append(q.at, v)
	}
	if q.epsilon < int64(len(q.at)) {
		return errors.New("epsilon: too little for so many quantiles")
	}
	return nil
}

func (q *quantilesQuery) fields() []string { return q.names(q.Field) }
func (q *quantilesQuery) values() []string { return make([]string, len(q.at)) }

// parts: every quantile has the same share of ε.
func (q *quantilesQuery) parts(*setting) ([]part, error) {
	m := dp.Mechanism{
		Kind: dp.Pure, Epsilon: q.epsilon / int64(len(q.at)), Sampling: dp.NoSampling, Rate: dp.One, Count: int64(len(q.at)),
	}
	return []part{{of: "rank", Noise: noise.Noise{Mechanism: m}}}, nil
}

func (q *quantilesQuery) start(s *setting, parts []part) counter {
	return &ranking{q: q, s: s, epsilon: parts[0].Mechanism.Epsilon, cells: make([]int64, q.Grid+1)}
}

type ranking struct {
	q       *quantilesQuery
	s       *setting
	epsilon int64   // millionths, of one quantile
	cells   []int64 // records at each step of the grid
}

func (c *ranking) add(_ int, r *transforms.Record) {
	if v, ok := c.q.steps(r); ok {
		// Both factors are below 2²¹.
		c.cells[((v-c.q.low)*c.q.Grid*2+c.q.width())/(2*c.q.width())]++
	}
}

func (q *quantilesQuery) width() int64 { return q.high - q.low }

// reach is how much a unit can change the cost of a step of the grid, in millionths of records. One record below it adds 1-q,
// one above takes q: what comes or goes changes it by the larger of them, what becomes another by their sum at most.
func (c *ranking) reach(q int64) int64 {
	if c.s.replace {
		return dp.Micro * c.s.contributions
	}
	return max(q, dp.Micro-q) * c.s.contributions
}

func (c *ranking) result(src *sampler.Source, out *Result) error {
	if src == nil {
		return fmt.Errorf("%w: no source of noise", ErrRun)
	}
	for _, q := range c.q.at {
		at, err := c.choose(q, src)
		if err != nil {
			return err
		}
		// Theorem 3.11 of Dwork and Roth: the cost is beyond the least one by more than this with at most the doubt.
		far := 2 * float64(c.reach(q)) / (float64(c.epsilon) / dp.Micro) * math.Log(float64(c.q.Grid+1)/doubt) / dp.Micro
		value := c.q.float(float64(c.q.low) + float64(at)*float64(c.q.width())/float64(c.q.Grid))
		out.Quantiles = append(out.Quantiles, Quantile{Quantile: float64(q) / dp.Micro, Value: value, Records: far})
	}
	out.Noise = []Noise{{Of: "rank", Kind: "exponential", Scale: 2 * float64(c.reach(dp.Micro)) / float64(c.epsilon)}}
	return nil
}

// costs is how far each step is from the quantile: |(1-q)·(records below) - q·(records above)|, in millionths of records.
func (c *ranking) costs(q int64) (cost []uint64, least uint64) {
	var below, above int64
	for _, n := range c.cells {
		above += n
	}
	cost, least = make([]uint64, len(c.cells)), math.MaxUint64
	for i, n := range c.cells {
		above -= n
		d := (dp.Micro-q)*below - q*above // records are below 2³¹
		cost[i] = uint64(max(d, -d))
		least = min(least, cost[i])
		below += n
	}
	return cost, least
}

// choose draws a step with a probability in proportion to exp(-ε·cost/(2·reach)), exactly: a uniform one is kept with that
// probability, by costs above the least. The step of the least is kept always, so that this ends.
func (c *ranking) choose(q int64, s *sampler.Source) (int64, error) {
	cost, least := c.costs(q)
	den := 2 * uint64(dp.Micro) * uint64(c.reach(q)) // at most 2·10⁶·10⁶·2²⁰
	for {
		i, err := s.Uniform(uint64(len(cost)))
		if err != nil {
			return 0, err
		}
		keep, err := keepExp(s, uint64(c.epsilon), cost[i]-least, den)
		if err != nil {
			return 0, err
		}
		if keep {
			return int64(i), nil
		}
	}
}

// keepExp is true with probability exp(-a·b/den): once for each whole part, of which one in e fails, and once for the rest.
// More than 2⁶⁴ whole parts are taken for as many.
func keepExp(s *sampler.Source, a, b, den uint64) (bool, error) {
	hi, lo := bits.Mul64(a, b)
	whole, rest := uint64(math.MaxUint64), uint64(0)
	if hi < den {
		whole, rest = bits.Div64(hi, lo, den)
	}
	for ; whole > 0; whole-- {
		if ok, err := s.BernoulliExp(sampler.Rat{Num: 1, Den: 1}); !ok {
			return false, err
		}
	}
	return s.BernoulliExp(sampler.Rat{Num: rest, Den: den})
}
