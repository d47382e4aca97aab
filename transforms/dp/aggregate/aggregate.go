// SPDX-License-Identifier: Apache-2.0

// Package aggregate makes one differentially private answer of the answers that code gave on disjoint shards (GUPT: Mohan and
// others 2012; PATE: Papernot and others 2018).
//
// Trust domain: the enclave process at run time, buyers when they plan a job; pure. Its one job: of all answers together no
// more is shown than noise of the declared mechanisms lets, if any one of them is replaced by anything else. Answers are
// hostile: whatever is wrong with one makes it the default, and is never an error. docs/privacy.md has the proofs.
package aggregate

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"

	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/decimal"
	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/noise"
	"github.com/glovebox-dev/glovebox/transforms/dp/sampler"
)

// Errors of this package.
var (
	// ErrAggregate is an aggregate that is none, or mechanisms that are not its own.
	ErrAggregate = errors.New("aggregate: invalid")
	// ErrAnswers is another number of answers than there are shards: the caller's fault.
	ErrAnswers = errors.New("aggregate: not one answer a shard")
)

// Bounds.
const (
	// maxNumber is how many bytes a number of an answer may have, with its line end.
	maxNumber = 64
	// maxMedian bounds shards² · numbers of medians: what it takes to find how smooth they are.
	maxMedian = 1 << 28
)

// AnswerBytes bounds the file that code writes in a shard; a longer one is no answer.
func AnswerBytes(a *job.Aggregate) int64 {
	if a.Kind == job.AggregateVote {
		return maxNumber
	}
	return a.Numbers * maxNumber
}

// Budget is what an aggregate may spend: one of both, the other is 0.
type Budget struct {
	Epsilon int64 // millionths: discrete Laplace noise; of medians, which have no other
	Noise   int64 // noise multiplier, millionths: Gaussian noise
}

// Mechanisms is what an aggregate does within a budget. It is the same for both adjacencies: a unit is in one shard, and who
// comes, goes or becomes another changes the answer of that shard alone, to anything.
func Mechanisms(a *job.Aggregate, adjacency string, b Budget) ([]dp.Mechanism, error) {
	if adjacency != dp.AddOrRemove && adjacency != dp.ReplaceOne {
		return nil, fmt.Errorf("%w: adjacency %q", ErrAggregate, adjacency)
	}
	if err := check(a); err != nil {
		return nil, err
	}
	if b.Epsilon < 0 || b.Noise < 0 || (b.Epsilon > 0) == (b.Noise > 0) {
		return nil, fmt.Errorf("%w: want either an epsilon or a noise multiplier", ErrAggregate)
	}
	if a.Kind == job.AggregateMedian {
		m := dp.Mechanism{Kind: dp.Pure, Epsilon: b.Epsilon / a.Numbers, Sampling: dp.NoSampling, Rate: dp.One, Count: a.Numbers}
		if m.Epsilon < minMedianEpsilon {
			return nil, fmt.Errorf("%w: medians want an epsilon of at least %d millionths for each number", ErrAggregate, minMedianEpsilon)
		}
		return []dp.Mechanism{m}, nil
	}
	add, spend := noise.Laplace, b.Epsilon
	if b.Noise > 0 {
		add, spend = noise.Gaussian, b.Noise
	}
	n, err := add(spend, 1, sensitivity(a))
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrAggregate, err)
	}
	return []dp.Mechanism{n.Mechanism}, nil
}

func check(a *job.Aggregate) error {
	bad := func(f string, v ...any) error { return fmt.Errorf("%w: %s", ErrAggregate, fmt.Sprintf(f, v...)) }
	switch {
	case a == nil:
		return bad("none")
	case a.Shards < 2 || a.Shards > job.MaxShards:
		return bad("%d shards, want 2 to %d", a.Shards, job.MaxShards)
	case a.Numbers < 1 || a.Numbers > job.MaxNumbers:
		return bad("%d numbers, want 1 to %d", a.Numbers, job.MaxNumbers)
	case a.Kind == job.AggregateVote && a.Numbers < 2:
		return bad("a vote among %d", a.Numbers)
	case a.Kind == job.AggregateVote:
		return nil
	case a.Kind != job.AggregateMean && a.Kind != job.AggregateMedian:
		return bad("kind %q, want %s, %s or %s", a.Kind, job.AggregateMean, job.AggregateMedian, job.AggregateVote)
	case a.Lower >= a.Upper || a.Lower < -job.MaxBoundary || a.Upper > job.MaxBoundary:
		return bad("answers from %d to %d millionths", a.Lower, a.Upper)
	case a.Kind == job.AggregateMedian && a.Shards*a.Shards*a.Numbers > maxMedian:
		return bad("medians of %d numbers in %d shards: want fewer, for shards² · numbers to be at most %d", a.Numbers, a.Shards, int64(maxMedian))
	}
	return nil
}

// sensitivity is how far one answer moves the sum of all: each of its numbers from one bound to the other, or one vote from one
// choice to another.
func sensitivity(a *job.Aggregate) noise.Sensitivity {
	if a.Kind == job.AggregateVote {
		return noise.Sensitivity{L1: big.NewInt(2), L2: big.NewInt(1), Root: big.NewInt(2)}
	}
	width := a.Upper - a.Lower
	return noise.Sensitivity{L1: noise.Product(width, a.Numbers), L2: big.NewInt(width), Root: big.NewInt(a.Numbers)}
}

// Plan is an aggregate and its mechanisms, which were found to fit.
type Plan struct {
	a       job.Aggregate
	add     noise.Noise
	epsilon int64 // of one median
}

// New refuses mechanisms that are not what the aggregate does: with them nothing would be known of what it spends.
func New(a *job.Aggregate, ms []dp.Mechanism) (*Plan, error) {
	if err := check(a); err != nil {
		return nil, err
	}
	if len(ms) != 1 {
		return nil, fmt.Errorf("%w: %d mechanisms, want 1", ErrAggregate, len(ms))
	}
	p := &Plan{a: *a}
	if a.Kind != job.AggregateMedian {
		var err error
		if p.add, err = noise.Of(ms[0], sensitivity(a)); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrAggregate, err)
		}
		return p, nil
	}
	want := dp.Mechanism{Kind: dp.Pure, Epsilon: ms[0].Epsilon, Sampling: dp.NoSampling, Rate: dp.One, Count: a.Numbers}
	if ms[0] != want || want.Epsilon < minMedianEpsilon || want.Epsilon > maxMedianEpsilon {
		return nil, fmt.Errorf("%w: medians are of kind %s, %d times, with an epsilon of %d to %d millionths each", ErrAggregate, dp.Pure, a.Numbers, minMedianEpsilon, int64(maxMedianEpsilon))
	}
	p.epsilon = want.Epsilon
	return p, nil
}

// Result is what leaves, as JSON. Nothing in it is exact.
type Result struct {
	Kind    string    `json:"kind"`
	Shards  int64     `json:"shards"`
	Values  []float64 `json:"values,omitempty"` // of means and medians
	Votes   []float64 `json:"votes,omitempty"`  // for each choice
	Winner  *int      `json:"winner,omitempty"`
	Noise   string    `json:"noise"`            // its kind
	Scale   float64   `json:"scale,omitempty"`  // standard deviation of Gaussian noise, scale of Laplace's. That of medians is private
	Margin  float64   `json:"margin,omitempty"` // the noise of one value stays within it with the confidence
	Certain float64   `json:"confidence,omitempty"`
}

// DrawAhead draws the noise that [Plan.Aggregate] adds, but for that of medians, whose size is the answers': how long the aggregate
// takes does not tell of it then. Call it once, before there are answers to wait for.
func (p *Plan) DrawAhead(src *sampler.Source) error {
	if p.a.Kind == job.AggregateMedian {
		return nil
	}
	return p.add.Ahead(src, int(p.a.Numbers))
}

// Wipe forgets noise that was drawn ahead and not used, as of a run that failed.
func (p *Plan) Wipe() { p.add.Wipe() }

// Aggregate makes the result of the answers, nil for a shard without one.
func (p *Plan) Aggregate(answers [][]byte, src *sampler.Source) ([]byte, error) {
	if int64(len(answers)) != p.a.Shards {
		return nil, fmt.Errorf("%w: %d of %d", ErrAnswers, len(answers), p.a.Shards)
	}
	if src == nil {
		return nil, fmt.Errorf("%w: no source of noise", sampler.ErrEntropy)
	}
	r := Result{Kind: p.a.Kind, Shards: p.a.Shards}
	var err error
	switch p.a.Kind {
	case job.AggregateVote:
		err = p.vote(&r, answers, src)
	case job.AggregateMean:
		err = p.mean(&r, answers, src)
	default:
		err = p.medians(&r, answers, src)
	}
	if err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(r, "", "  ")
	return append(b, '\n'), err
}

// Default is what stands for a number that there is none of: the middle of the bounds. A shard that does not vote has no vote.
func Default(a *job.Aggregate) int64 { return a.Lower + (a.Upper-a.Lower)/2 }

// numbers reads an answer: as many numbers as there must be, one a line, in millionths and within the bounds. If anything is
// wrong, all of them are the default.
func (p *Plan) numbers(answer []byte, into []int64) {
	if !p.read(answer, into) {
		for i := range into {
			into[i] = Default(&p.a)
		}
	}
}

func (p *Plan) read(answer []byte, into []int64) bool {
	if int64(len(answer)) > AnswerBytes(&p.a) {
		return false
	}
	answer = bytes.TrimRight(answer, "\r\n")
	for i := range into {
		line, rest, more := bytes.Cut(answer, []byte{'\n'})
		if more != (i < len(into)-1) {
			return false
		}
		d, ok := decimal.Parse(bytes.TrimSuffix(line, []byte{'\r'}))
		if !ok {
			return false
		}
		v, _, ok := d.Scaled(6)
		switch {
		case !ok && d.Sign() > 0: // beyond what is counted in
			v = p.a.Upper
		case !ok:
			v = p.a.Lower
		}
		into[i], answer = min(max(v, p.a.Lower), p.a.Upper), rest
	}
	return true
}

// mean is of the sum of all answers. The sum is of integers: of 2¹⁶ shards' it does not fit 64 bits.
func (p *Plan) mean(r *Result, answers [][]byte, src *sampler.Source) error {
	sums, one := make([]big.Int, p.a.Numbers), make([]int64, p.a.Numbers)
	for _, a := range answers {
		p.numbers(a, one)
		for i, v := range one {
			sums[i].Add(&sums[i], big.NewInt(v))
		}
	}
	per := float64(p.a.Shards) * dp.Micro
	for i := range sums {
		n, err := p.add.Draw(src)
		if err != nil {
			return err
		}
		v, _ := new(big.Float).SetInt(sums[i].Add(&sums[i], big.NewInt(n))).Float64()
		r.Values = append(r.Values, min(max(v/per, float64(p.a.Lower)/dp.Micro), float64(p.a.Upper)/dp.Micro))
	}
	p.said(r, per)
	return nil
}

const confidence = 0.95

func (p *Plan) said(r *Result, per float64) {
	r.Noise, r.Scale, r.Margin, r.Certain = p.add.Mechanism.Kind, p.add.Float(per), p.add.Margin(1-confidence)/per, confidence
}

// vote counts the shards that answered each choice, with noise, and names the one that has most then.
func (p *Plan) vote(r *Result, answers [][]byte, src *sampler.Source) error {
	counts := make([]int64, p.a.Numbers)
	for _, a := range answers {
		if c, ok := p.choice(a); ok {
			counts[c]++
		}
	}
	for i := range counts {
		n, err := p.add.Draw(src)
		if err != nil {
			return err
		}
		counts[i] += n
		r.Votes = append(r.Votes, float64(counts[i]))
	}
	winner := slices.Index(counts, slices.Max(counts))
	r.Winner = &winner
	p.said(r, 1)
	return nil
}

// choice reads the number of a choice, from 0.
func (p *Plan) choice(answer []byte) (int64, bool) {
	if len(answer) > maxNumber {
		return 0, false
	}
	d, ok := decimal.Parse(bytes.TrimRight(answer, "\r\n"))
	if !ok {
		return 0, false
	}
	v, exact, ok := d.Scaled(0)
	return v, ok && exact && v >= 0 && v < p.a.Numbers
}
