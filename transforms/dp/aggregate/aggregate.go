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
	"math/bits"
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

// maxNumber is how many bytes a number of an answer may have, with its line end.
const maxNumber = 64

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
	}
	if err := a.Fits(); err != nil {
		return fmt.Errorf("%w: %w", ErrAggregate, err)
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

// DrawAhead draws the noise that [Tally.Result] adds, but for that of medians, whose size is the answers': how long the aggregate
// takes does not tell of it then. Call it once, before there are answers to wait for.
func (p *Plan) DrawAhead(src *sampler.Source) error {
	if p.a.Kind == job.AggregateMedian {
		return nil
	}
	return p.add.Ahead(src, int(p.a.Numbers))
}

// Wipe forgets noise that was drawn ahead and not used, as of a run that failed.
func (p *Plan) Wipe() { p.add.Wipe() }

// Answer is what the code wrote in a shard: as many whole millionths as there are numbers, or one choice. nil is no answer.
type Answer []int64

// Read makes an answer of the file that the code wrote. How long that takes depends on what it wrote: call it in the shard's time.
func (p *Plan) Read(file []byte) Answer {
	if p.a.Kind == job.AggregateVote {
		if c, ok := p.choice(file); ok {
			return Answer{c}
		}
		return nil
	}
	a := make(Answer, p.a.Numbers)
	if !p.read(file, a) {
		return nil
	}
	return a
}

// Tally is what answers come to before there is noise: of medians all of them, of means sums, of votes counts. It is for one
// goroutine.
type Tally struct {
	p     *Plan
	added int64
	sums  []sum
	all   []int64 // of medians, one number's after the other's
}

// sum is an integer of 128 bits: of 2¹⁶ shards' numbers 64 do not do.
type sum struct {
	high int64
	low  uint64
}

func (s *sum) add(v int64) {
	low, carry := bits.Add64(s.low, uint64(v), 0)
	s.low, s.high = low, s.high+v>>63+int64(carry)
}

func (s *sum) big() *big.Int {
	b := new(big.Int).Lsh(big.NewInt(s.high), 64)
	return b.Or(b, new(big.Int).SetUint64(s.low))
}

// Tally is that of no answers. What it takes is known, and taken, before there is any.
func (p *Plan) Tally() *Tally {
	t := &Tally{p: p}
	if p.a.Kind == job.AggregateMedian {
		t.all = make([]int64, p.a.Numbers*p.a.Shards)
		return t
	}
	t.sums = make([]sum, p.a.Numbers)
	return t
}

// Add takes the next shard's answer. Who answered does not show in how long it takes: for who did not, numbers are there as well.
func (t *Tally) Add(a Answer) error {
	if t.added++; t.added > t.p.a.Shards {
		return fmt.Errorf("%w: more than %d", ErrAnswers, t.p.a.Shards)
	}
	if t.p.a.Kind == job.AggregateVote {
		if len(a) == 1 && a[0] >= 0 && a[0] < t.p.a.Numbers {
			t.sums[a[0]].add(1)
		}
		return nil
	}
	for i := range t.p.a.Numbers {
		v := Default(&t.p.a)
		if int64(len(a)) == t.p.a.Numbers {
			v = min(max(a[i], t.p.a.Lower), t.p.a.Upper)
		}
		if t.all != nil {
			t.all[i*t.p.a.Shards+t.added-1] = v
		} else {
			t.sums[i].add(v)
		}
	}
	return nil
}

// Wipe forgets what was added.
func (t *Tally) Wipe() {
	clear(t.sums)
	clear(t.all)
}

// Result is the aggregate of all answers, as JSON.
func (t *Tally) Result(src *sampler.Source) ([]byte, error) {
	if t.added != t.p.a.Shards {
		return nil, fmt.Errorf("%w: %d of %d", ErrAnswers, t.added, t.p.a.Shards)
	}
	if src == nil {
		return nil, fmt.Errorf("%w: no source of noise", sampler.ErrEntropy)
	}
	r := Result{Kind: t.p.a.Kind, Shards: t.p.a.Shards}
	var err error
	switch t.p.a.Kind {
	case job.AggregateVote:
		err = t.votes(&r, src)
	case job.AggregateMean:
		err = t.means(&r, src)
	default:
		err = t.medians(&r, src)
	}
	if err != nil {
		return nil, err
	}
	b, err := json.MarshalIndent(r, "", "  ")
	return append(b, '\n'), err
}

// Default is what stands for a number that there is none of: the middle of the bounds. A shard that does not vote has no vote.
func Default(a *job.Aggregate) int64 { return a.Lower + (a.Upper-a.Lower)/2 }

// read reads an answer: as many numbers as there must be, one a line, in millionths and within the bounds. If anything is wrong,
// there is none.
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

// means are those of all answers.
func (t *Tally) means(r *Result, src *sampler.Source) error {
	per := float64(t.p.a.Shards) * dp.Micro
	for i := range t.sums {
		n, err := t.p.add.Draw(src)
		if err != nil {
			return err
		}
		v, _ := new(big.Float).SetInt(new(big.Int).Add(t.sums[i].big(), big.NewInt(n))).Float64()
		r.Values = append(r.Values, min(max(v/per, float64(t.p.a.Lower)/dp.Micro), float64(t.p.a.Upper)/dp.Micro))
	}
	t.p.said(r, per)
	return nil
}

const confidence = 0.95

func (p *Plan) said(r *Result, per float64) {
	r.Noise, r.Scale, r.Margin, r.Certain = p.add.Mechanism.Kind, p.add.Float(per), p.add.Margin(1-confidence)/per, confidence
}

// votes are how many shards answered each choice, with noise; the winner is the one that has most then.
func (t *Tally) votes(r *Result, src *sampler.Source) error {
	counts := make([]int64, len(t.sums))
	for i := range counts {
		n, err := t.p.add.Draw(src)
		if err != nil {
			return err
		}
		counts[i] = int64(t.sums[i].low) + n
		r.Votes = append(r.Votes, float64(counts[i]))
	}
	winner := slices.Index(counts, slices.Max(counts))
	r.Winner = &winner
	t.p.said(r, 1)
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
