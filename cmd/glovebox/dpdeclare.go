// SPDX-License-Identifier: Apache-2.0

package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
	"github.com/glovebox-dev/glovebox/transforms/dp/aggregate"
)

// subject is the data of a job in a differentially private mode, and what its terms allow all together.
type subject struct {
	draft         *draft
	mode          string
	unit          string
	adjacency     string
	units         int64 // persons in the data
	records       int64 // of the smallest dataset
	epsilon       int64 // that terms allow one job, millionths
	delta         int64
	contributions int64
	shards        int64 // the least
	room          int64 // bytes that may leave
	classes       []string
}

// subject reads the terms of all datasets: the strictest of them count.
func (p *privateFlags) subject(d *draft, mode string) (*subject, error) {
	x := &subject{draft: d, mode: mode, epsilon: job.MaxAmount, delta: dp.Pico - 1, contributions: job.MaxContributions, room: d.job.Limits.OutputBytes, records: job.MaxAmount}
	for i, s := range d.datasets {
		t := &s.m.Terms
		may := t.PrivacyFor(mode)
		if may == nil {
			return nil, Errorf(KindDenied, "it allows: %s", strings.Join(t.Modes, ", ")).because("the terms of %s do not allow mode %s", s.m.Name, mode)
		}
		if !slices.Contains(may.Runtimes, d.job.Runtime) {
			return nil, Errorf(KindDenied, "use --runtime %s", strings.Join(may.Runtimes, " or ")).because("the terms of %s do not allow runtime %s in mode %s", s.m.Name, d.job.Runtime, mode)
		}
		if i == 0 {
			x.unit, x.adjacency, x.classes = t.Privacy.Unit, t.Privacy.Adjacency, slices.Clone(t.Outputs)
		}
		if x.unit != t.Privacy.Unit || x.adjacency != t.Privacy.Adjacency {
			return nil, Errorf(KindUsage, "submit one job for each").because("the terms of %s hide one %s (%s), those of %s one %s (%s)", d.datasets[0].m.Name, x.unit,
				x.adjacency, s.m.Name, t.Privacy.Unit, t.Privacy.Adjacency)
		}
		n := s.m.PrivacyUnits()
		if s.m.Records > 0 && n < 2 { // whatever else the job is over: its broker sees to each
			return nil, Errorf(KindUsage, "choose more data").because("the data of %s is of one %s, who cannot be hidden among others", s.m.Name, x.unit)
		}
		x.units += n
		x.records = min(x.records, s.m.Records)
		x.epsilon, x.delta, x.contributions = min(x.epsilon, may.Epsilon), min(x.delta, may.Delta), min(x.contributions, may.Contributions)
		x.shards, x.room = max(x.shards, may.Shards), min(x.room, t.MaxOutputBytes)
		x.classes = slices.DeleteFunc(x.classes, func(c string) bool { return !slices.Contains(t.Outputs, c) })
	}
	if x.records < 1 {
		return nil, Errorf(KindUsage, "choose other data").because("a dataset without records has nothing to learn from")
	}
	return x, p.common(x)
}

// accountants by the names that people give them. Brokers' accounts add up by the first.
var accountants = map[string]string{"": dp.RDP, "rdp": dp.RDP, "pld": dp.PLD, dp.RDP: dp.RDP, dp.PLD: dp.PLD}

// common fills in what all modes declare.
func (p *privateFlags) common(x *subject) error {
	d := &job.Privacy{Unit: x.unit, Adjacency: x.adjacency, Contributions: x.contributions, Accountant: accountants[p.accountant], Delta: x.delta}
	x.draft.job.Privacy = d
	if p.contributions != 0 {
		if d.Contributions = p.contributions; d.Contributions < 1 || d.Contributions > x.contributions {
			return Errorf(KindUsage, "use 1 to %d", x.contributions).because("--contributions %d: the terms let %d records of one %s count", p.contributions, x.contributions, x.unit)
		}
	}
	if d.Accountant == "" {
		return Errorf(KindUsage, "use rdp or pld").because("--accountant %q", p.accountant)
	}
	most := (dp.Pico - 1) / x.records
	if p.delta == "" {
		d.Delta = min(x.delta, most)
		return nil
	}
	var err error
	if d.Delta, err = positive("delta", p.delta, dp.Pico); err != nil {
		return err
	}
	switch {
	case d.Delta > most:
		return Errorf(KindUsage, "use less than one in %d; a tenth of that is usual: %.1g", x.records, 0.1/float64(x.records)).
			because("--delta %s: a mechanism may give away one of the %d records with that probability", p.delta, x.records)
	case d.Delta > x.delta:
		return Errorf(KindDenied, "use --delta %s", usage.Pico(x.delta)).because("--delta %s: the terms allow %s", p.delta, usage.Pico(x.delta))
	}
	return nil
}

// check holds the declaration against the terms once it is whole, and against what was asked for.
func (x *subject) check(asked string) error {
	p := x.draft.job.Privacy
	if err := p.Composition().Validate(); err != nil {
		return Errorf(KindUsage, "give more noise than 0, and at least one step").from(err)
	}
	b, err := dp.Epsilon(p.Composition(), float64(p.Delta)/dp.Pico, p.Accountant)
	if err != nil {
		return Errorf(KindUsage, "use more noise, or the other accountant").from(err)
	}
	got, err := dp.Micros(b.Epsilon)
	if err != nil {
		return Errorf(KindUsage, "use more noise").from(err)
	}
	if p.Epsilon == 0 {
		p.Epsilon = max(got, 1)
	}
	if got > p.Epsilon {
		return Errorf(KindUsage, "declare what they come to").because("the mechanisms come to epsilon %s, the declaration says %s", usage.Micro(got), usage.Micro(p.Epsilon))
	}
	if asked != "" {
		want, err := positive("epsilon", asked, dp.Micro)
		if err != nil {
			return err
		}
		if got > want {
			return Errorf(KindUsage, "ask for less, with more noise, or give a greater --epsilon").because("this job comes to epsilon %s at delta %s, and --epsilon is %s",
				usage.Micro(got), usage.Pico(p.Delta), asked)
		}
	}
	if p.Epsilon > x.epsilon {
		return Errorf(KindDenied, "ask for epsilon %s at most: more noise, fewer steps or queries, or a smaller lot%s", usage.Micro(x.epsilon), tighter(p)).
			because("this job comes to epsilon %s at delta %s, and the terms allow one job %s", usage.Micro(p.Epsilon), usage.Pico(p.Delta), usage.Micro(x.epsilon))
	}
	for _, s := range x.draft.datasets {
		o := &grant.Obligations{Privacy: p.Epsilon, Leaves: grant.RangesOf(s.m.AllLeaves().Leaves)}
		for _, no := range usage.CheckPrivacy(x.draft.job, o, s.m) {
			return Errorf(KindDenied, "declare what the terms allow; glovebox buyer plan without --privacy chooses it").because("%s: %s", s.m.Name, no.Message)
		}
	}
	return nil
}

// tighter says what the other accountant comes to where it comes to less.
func tighter(p *job.Privacy) string {
	if p.Accountant == dp.PLD {
		return ""
	}
	b, err := dp.Epsilon(p.Composition(), float64(p.Delta)/dp.Pico, dp.PLD)
	if err != nil {
		return ""
	}
	n, err := dp.Micros(b.Epsilon)
	if err != nil || n >= p.Epsilon {
		return ""
	}
	return fmt.Sprintf("; by --accountant pld this job comes to %s", usage.Micro(n))
}

// want is the ε to calibrate noise to.
func (p *privateFlags) want(x *subject) (int64, error) {
	if p.epsilon == "" {
		return 0, Errorf(KindUsage, "for example --epsilon %s, which is what the terms allow one job at delta %s", usage.Micro(x.epsilon), usage.Pico(x.draft.job.Privacy.Delta)).
			because("mode %s needs --epsilon (or --noise)", x.mode)
	}
	e, err := positive("epsilon", p.epsilon, dp.Micro)
	if err == nil && e > x.epsilon {
		return 0, Errorf(KindDenied, "use --epsilon %s or less", usage.Micro(x.epsilon)).because("--epsilon %s: the terms allow one job %s", p.epsilon, usage.Micro(x.epsilon))
	}
	return e, err
}

// fits reports whether a declaration comes to no more than an ε. What has no bound does not.
func fits(d *job.Privacy, want int64) (bool, error) {
	b, err := dp.Epsilon(d.Composition(), float64(d.Delta)/dp.Pico, d.Accountant)
	if errors.Is(err, dp.ErrAccountant) {
		return false, nil
	} else if err != nil {
		return false, Errorf(KindUsage, "give more noise than 0, and at least one step").from(err)
	}
	got, err := dp.Micros(b.Epsilon)
	return err == nil && got <= want, nil
}

// calibrate finds the least noise or the greatest budget, to within a ten-thousandth, with which a declaration comes to an ε
// of want at most. set makes the mechanisms of a number of millionths; up says that more of it is less ε.
func calibrate(d *job.Privacy, want int64, up bool, set func(n int64) error) error {
	const most = 1 << 42
	good := func(n int64) (bool, error) {
		if err := set(n); err != nil {
			return false, err
		}
		return fits(d, want)
	}
	start := int64(dp.Micro)
	if !up {
		start = want
	}
	ok, err := good(start)
	if err != nil {
		return err
	}
	// From the start, go on by factors of two as long as nothing changes: then the turn lies between the last two.
	was, here := start, start
	for grow := ok != up; ; {
		if was = here; grow {
			here *= 2
		} else {
			here /= 2
		}
		if here < 1 || here > most {
			break
		}
		now, err := good(here)
		if err != nil {
			return err
		}
		if now != ok {
			break
		}
	}
	yes, no := was, here
	if !ok {
		yes, no = here, was
	}
	if yes < 1 || yes > most {
		return Errorf(KindUsage, "use a greater --epsilon or --delta, or fewer steps").because("nothing comes to epsilon %s at delta %s", usage.Micro(want), usage.Pico(d.Delta))
	}
	for max(yes-no, no-yes) > max(1, yes/10_000) {
		middle := (yes + no) / 2
		if ok, err = good(middle); err != nil {
			return err
		}
		if ok {
			yes = middle
		} else {
			no = middle
		}
	}
	return set(yes)
}

// training declares how a model is trained.
func (p *privateFlags) training(x *subject) error {
	t, err := p.numbersOf(x)
	if err != nil {
		return err
	}
	d := x.draft.job.Privacy
	d.Training = t
	steps, err := p.stepsOf(x, t.Lot)
	if err != nil {
		return err
	}
	d.Mechanisms = []dp.Mechanism{*steps}
	p.takeTime(x, t)
	if p.score != "" {
		n, err := positive("score-noise", p.scoreNoise, dp.Micro)
		if err != nil {
			return err
		}
		d.Mechanisms = append(d.Mechanisms, dp.Mechanism{Kind: dp.Gaussian, Noise: n, Sampling: dp.NoSampling, Rate: dp.One, Count: 1})
	}
	if p.noise != "" {
		d.Mechanisms[0].Noise, err = positive("noise", p.noise, dp.Micro)
		return err
	}
	want, err := p.want(x)
	if err != nil {
		return err
	}
	d.Mechanisms[0].Noise = 0 // which is unknown
	if d.Mechanisms[0].Noise, err = dp.Noise(d.Composition(), float64(want)/dp.Micro, float64(d.Delta)/dp.Pico, d.Accountant); err != nil {
		return Errorf(KindUsage, "use a greater --epsilon or --delta, or fewer steps").from(err)
	}
	return nil
}

// numbersOf reads the hyperparameters.
func (p *privateFlags) numbersOf(x *subject) (*job.Training, error) {
	t := &job.Training{
		Lot: p.lot, Optimiser: p.optimiser, Decay: p.decay, Params: p.params,
		Output: "model.safetensors", Score: p.score,
	}
	for _, o := range x.draft.job.Outputs {
		if o.Class == "model" {
			t.Output = o.Name
		}
	}
	for flag, n := range map[string]int64{"lot": t.Lot, "params": t.Params} {
		if n < 0 || n == 0 && p.given[flag] {
			return nil, Errorf(KindUsage, "leave it out, or give a whole number from 1").because("--%s %d", flag, n)
		}
	}
	momentum, beta2 := p.momentum, p.beta2
	if momentum == "" && p.optimiser != job.OptimiserSGD {
		momentum = "0.9"
	}
	if beta2 == "" && p.optimiser == job.OptimiserAdam {
		beta2 = "0.999"
	}
	for _, n := range []struct {
		flag, text string
		to         *int64
	}{
		{"clip", p.clip, &t.Clip},
		{"learning-rate", p.rate, &t.LearningRate},
		{"momentum", momentum, &t.Momentum},
		{"beta2", beta2, &t.Beta2},
		{"weight-decay", p.weights, &t.WeightDecay},
		{"average", p.average, &t.Average},
	} {
		if n.text == "" {
			continue
		}
		var err error
		read := numberOf
		if n.flag == "clip" || n.flag == "learning-rate" {
			read = positive
		}
		if *n.to, err = read(n.flag, n.text, dp.Micro); err != nil {
			return nil, err
		}
	}
	var err error
	if t.RecordBytes, err = parseSize(p.recordBytes); err != nil {
		return nil, err
	}
	if t.Params == 0 {
		t.Params = max(1, min(job.MaxModelParams, (x.room-scoreRoom-job.ModelBytes(0))/4))
	}
	if t.Lot == 0 {
		t.Lot = max(1, min(4096, x.units/20))
	}
	if t.Lot > x.units {
		return nil, Errorf(KindUsage, "use a --lot of at most %d; a tenth of the data is plenty", x.units).because("the data is of %d %ss, fewer than the lot of %d", x.units, x.unit, t.Lot)
	}
	return t, nil
}

// takeTime says how long a record and a step may take. Where nobody says otherwise, slots of steps are long enough that they
// double twice at most, unless all of them would not be done in half of the run's time.
func (p *privateFlags) takeTime(x *subject, t *job.Training) {
	const overruns, perParam, perByte, least, most = 2, 500, 100, 1_000_000, 100_000_000
	l, d := &x.draft.job.Limits, x.draft.job.Privacy
	if t.RecordFuel = p.recordFuel; t.RecordFuel == 0 {
		t.RecordFuel = min(max(perParam*t.Params+perByte*t.RecordBytes, least), most)
	}
	t.RecordFuel = min(t.RecordFuel, l.Fuel)
	if t.Pace = p.pace; t.Pace != 0 || t.Lot < 1 {
		return
	}
	m, pass := &d.Mechanisms[0], (x.units+t.Lot-1)/t.Lot
	steps := float64(m.Count)
	if m.Sampling == dp.NoSampling {
		steps *= float64(pass)
	}
	if p.score != "" {
		steps += float64(pass) // which takes as long as a pass
	}
	half := float64(l.WallSeconds) * 1000 / 2 / steps
	t.Pace = max(1, int64(min(half, float64(t.PaceFor(d.Contributions, overruns)))))
}

// scoreRoom is what the output with the score may have.
const scoreRoom = 1024

// keptInMemory are bytes of records that an enclave keeps in memory, where nobody sees which of them are sampled.
const keptInMemory = 4 << 30

// usualBatches need the least noise of those that there are for the adjacency and the size of the data.
func (x *subject) usualBatches() string {
	var bytes int64
	for _, s := range x.draft.datasets {
		bytes += 2*s.m.RawBytes + (s.m.Records+1)<<10 // what the steps before it may make of them
	}
	switch {
	case x.adjacency != dp.ReplaceOne:
		return "poisson"
	case bytes > keptInMemory:
		return "consecutive"
	}
	return "fixed-size"
}

// stepsOf is the mechanism of the steps, without its noise.
func (p *privateFlags) stepsOf(x *subject, lot int64) (*dp.Mechanism, error) {
	batches := p.batches
	if batches == "" {
		batches = x.usualBatches()
	}
	pass := (x.units + lot - 1) / lot
	if p.steps < 0 || p.steps == 0 && p.given["steps"] || p.steps > dp.MaxCount {
		return nil, Errorf(KindUsage, "leave it out, or give a whole number from 1").because("--steps %d", p.steps)
	}
	if p.passes < 1 || p.passes > dp.MaxCount {
		return nil, Errorf(KindUsage, "leave it out for 20").because("--passes %d", p.passes)
	}
	steps, passes := p.steps, p.passes
	if steps == 0 {
		steps = passes * pass
	} else if passes = (steps + pass - 1) / pass; (batches == "consecutive" || batches == "tree") && steps%pass != 0 {
		return nil, Errorf(KindUsage, "say how many with --passes").because("--steps %d: batches %s go over the data a whole number of times, of %d steps each", steps, batches, pass)
	}
	m := &dp.Mechanism{Kind: dp.Gaussian, Noise: 1, Sampling: dp.NoSampling, Rate: dp.One, Count: passes}
	switch batches {
	case "poisson":
		m.Sampling, m.Rate, m.Count = dp.Poisson, dp.Rate{Num: lot, Den: x.units}, steps
	case "fixed-size":
		m.Sampling, m.Rate, m.Count = dp.FixedSize, dp.Rate{Num: lot, Den: x.units}, steps
	case "consecutive":
	case "tree":
		m.Kind, m.Size = dp.Tree, pass
	default:
		return nil, Errorf(KindUsage, "use poisson, fixed-size, consecutive or tree").because("--batches %q", batches)
	}
	if m.Sampling != dp.Poisson && x.adjacency != dp.ReplaceOne {
		return nil, Errorf(KindUsage, "use --batches poisson").because("the terms say adjacency %s, and batches %s have a fixed number of %ss, which one more would show", x.adjacency, batches, x.unit)
	}
	return m, nil
}

// releases declares what a file of queries does.
func (p *privateFlags) releases(x *subject) error {
	q, _, err := readQueries(p.queries)
	if err != nil {
		return err
	}
	d := x.draft.job.Privacy
	if d.Mechanisms, err = q.Mechanisms(d.Unit, d.Adjacency, d.Contributions); err != nil {
		return Errorf(KindUsage, "docs/privacy.md says what queries need").from(fmt.Errorf("%s: %w", p.queries, err))
	}
	if p.accountant == "" && p.file == "" {
		d.Accountant = dp.PLD // by which one query of epsilon 1 comes to 1
		if _, err := dp.Epsilon(d.Composition(), float64(d.Delta)/dp.Pico, d.Accountant); err != nil {
			d.Accountant = dp.RDP // which takes as many as a file can have
		}
	}
	return nil
}

// aggregates declares how shards' answers become one.
func (p *privateFlags) aggregates(x *subject) error {
	a, err := p.aggregateOf(x)
	if err != nil {
		return err
	}
	d := x.draft.job.Privacy
	d.Aggregate = a
	set := func(b aggregate.Budget) (err error) {
		if d.Mechanisms, err = aggregate.Mechanisms(a, d.Adjacency, b); err != nil {
			return Errorf(KindUsage, "glovebox buyer submit --help says what each kind needs").from(err)
		}
		return nil
	}
	if p.noise != "" {
		n, err := positive("noise", p.noise, dp.Micro)
		if err != nil {
			return err
		}
		return set(aggregate.Budget{Noise: n})
	}
	want, err := p.want(x)
	if err != nil {
		return err
	}
	const many = 4 // numbers from which noise on all of them at once is less than on each
	if a.Kind == job.AggregateMean && a.Numbers > many {
		return calibrate(d, want, true, func(noise int64) error { return set(aggregate.Budget{Noise: noise}) })
	}
	return calibrate(d, want, false, func(epsilon int64) error { return set(aggregate.Budget{Epsilon: epsilon}) })
}

func (p *privateFlags) aggregateOf(x *subject) (*job.Aggregate, error) {
	a := &job.Aggregate{Shards: p.shards, Kind: p.aggregate, Numbers: p.numbers, Answer: p.answer, Output: "aggregate.json"}
	if len(x.draft.job.Outputs) == 1 && p.outputs {
		a.Output = x.draft.job.Outputs[0].Name
	}
	if a.Shards == 0 {
		a.Shards = max(x.shards, min(100, x.units))
	}
	if a.Shards < max(2, x.shards) || a.Shards > x.units {
		return nil, Errorf(KindUsage, "use --shards %d to %d", max(2, x.shards), x.units).because("--shards %d: the terms ask for at least %d, and the data is of %d %ss", a.Shards, x.shards, x.units, x.unit)
	}
	if a.Kind == job.AggregateVote {
		return a, nil
	}
	if p.lower == "" || p.upper == "" {
		return nil, Errorf(KindUsage, "for example --lower 0 --upper 1: bounds that you know without the data; answers beyond them are moved there").because("a %s needs --lower and --upper", a.Kind)
	}
	var err error
	if a.Lower, err = numberOf("lower", p.lower, dp.Micro); err != nil {
		return nil, err
	}
	a.Upper, err = numberOf("upper", p.upper, dp.Micro)
	return a, err
}

// outputs are those that the enclave writes.
func (x *subject) outputs() ([]job.Output, error) {
	p, most := x.draft.job.Privacy, x.room
	if t := p.Training; t != nil {
		out := []job.Output{{Name: t.Output, Class: "model", MaxBytes: max(1, most-scoreRoom)}}
		if t.Score != "" {
			out = append(out, job.Output{Name: t.Score, Class: "metrics", MaxBytes: scoreRoom})
		}
		return out, nil
	}
	o := job.Output{Name: "results.json", Class: "metrics", MaxBytes: most}
	if p.Aggregate != nil {
		o.Name = p.Aggregate.Output
	}
	if !slices.Contains(x.classes, o.Class) && slices.Contains(x.classes, "table") {
		o.Class = "table"
	}
	return []job.Output{o}, nil
}
