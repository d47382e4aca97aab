// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"fmt"
	"slices"
	"strconv"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// roundings is how far two computations of one ε may lie apart, in millionths: floats differ by machine.
const roundings = 2

// Recompute is ε of what a dataset's records went through, in millionths rounded up, from the spend alone.
func (s *Spend) Recompute() (int64, error) {
	return recompute(&dp.Composition{Adjacency: s.Adjacency, Mechanisms: s.Mechanisms}, s.Delta, s.Accountant)
}

func recompute(c *dp.Composition, delta int64, accountant string) (int64, error) {
	b, err := dp.Epsilon(c, float64(delta)/dp.Pico, accountant)
	if err != nil {
		return 0, err
	}
	return dp.Micros(b.Epsilon)
}

// CheckPrivacy holds what a job declares that the enclave will do to the records of one dataset against the terms and against
// what is granted: the same unit and adjacency, no more ε and δ, within the account that is debited, and an ε that the
// mechanisms do not exceed. Jobs in other modes declare nothing. [CheckJob] makes this check too.
func CheckPrivacy(j *job.Job, o *grant.Obligations, m *dataset.Manifest) []Problem {
	var p problems
	d, t := j.Privacy, m.Terms.PrivacyFor(j.Mode)
	if !dataset.Private(j.Mode) || m.Kind == dataset.KindCode {
		return nil
	}
	if d == nil || t == nil {
		p.must(false, "terms.privacy", "mode %q, and not both of terms and job say what may be spent", j.Mode)
		return p
	}
	const rule = "terms.privacy"
	p.must(d.Unit == m.Terms.Privacy.Unit && d.Adjacency == m.Terms.Privacy.Adjacency, rule, "the job hides one %s (%s), the terms ask for one %s (%s)",
		d.Unit, d.Adjacency, m.Terms.Privacy.Unit, m.Terms.Privacy.Adjacency)
	p.must(d.Contributions <= t.Contributions, rule, "%d records of one contributor would count, the terms allow %d", d.Contributions, t.Contributions)
	p.must(d.Epsilon <= t.Epsilon, rule, "epsilon %s, the terms allow one job %s", Micro(d.Epsilon), Micro(t.Epsilon))
	p.must(d.Delta <= t.Delta, rule, "delta %s, the terms allow %s", Pico(d.Delta), Pico(t.Delta))
	p.must(o.Privacy == d.Epsilon, rule, "epsilon %s is debited, the job declares %s", Micro(o.Privacy), Micro(d.Epsilon))
	p.must(slices.Contains(t.Runtimes, j.Runtime), "terms.runtime", "runtime %q is not one that the terms allow in mode %q", j.Runtime, j.Mode)
	if d.Aggregate != nil {
		p.must(d.Aggregate.Shards >= t.Shards, rule, "%d shards, the terms ask for at least %d", d.Aggregate.Shards, t.Shards)
	}
	if sel, err := m.Select(o.Leaves.Spans()); err == nil { // which is a finding of its own
		p.must(d.Delta <= (dp.Pico-1)/max(sel.Records, 1), rule, "delta %s, and one of the %d records granted may be given away with that probability: want less than 1/%d",
			Pico(d.Delta), sel.Records, sel.Records)
		n, delta := sel.PrivacyUnits(m), m.Terms.Privacy.Delta
		p.must(n >= 2, rule, "the data granted is of %d %s, and each is to be hidden among others", n, d.Unit)
		p.must(delta <= (dp.Pico-1)/max(n, 1), rule, "the account holds at delta %s, and the data granted is of %d %ss: want less than 1/%d", Pico(delta), n, d.Unit, n)
	}
	got, err := recompute(d.Composition(), d.Delta, d.Accountant)
	p.must(err == nil, rule, "no bound for what the job declares: %v", err)
	p.must(err != nil || got <= d.Epsilon+roundings, rule, "the mechanisms come to epsilon %s, the job declares %s", Micro(got), Micro(d.Epsilon))
	return p
}

// CheckSpend holds what a statement says was done to the records of package i, and what that reveals, against the job and the
// grant: the declared mechanisms in their order, none more often, all of them if the run completed, at least something if any record
// was read, and an ε that anybody can compute from the spend alone. Brokers and auditors use it; a broker debits what it found good.
func CheckSpend(s *Statement, i int, m *dataset.Manifest, j *job.Job, o *grant.Obligations) []Problem {
	var p problems
	const rule = "use.privacy"
	sp := s.SpentOn(i)
	if !dataset.Private(j.Mode) || m.Kind == dataset.KindCode || j.Privacy == nil {
		p.must(sp == nil, rule, "says what was spent, where nothing is")
		return p
	}
	if sp == nil {
		p.must(s.Outcome != OutcomeCompleted, rule, "completed, and does not say what was spent")
		p.must(s.Packages[i].Reads == 0, rule, "records were read, and it does not say what was spent: that a run failed then may be because of one")
		return p
	}
	d := j.Privacy
	p.must(sp.Unit == d.Unit && sp.Contributions == d.Contributions, rule, "hides one %s of %d records, the job declares one %s of %d",
		sp.Unit, sp.Contributions, d.Unit, d.Contributions)
	p.must(sp.Adjacency == d.Adjacency && sp.Accountant == d.Accountant && sp.Delta == d.Delta, rule, "%s at delta %s by %s, the job declares %s at %s by %s",
		sp.Adjacency, Pico(sp.Delta), sp.Accountant, d.Adjacency, Pico(d.Delta), d.Accountant)
	p.must(sp.Isolation == j.Runtime, rule, "rests on runtime %q, the job asks for %q", sp.Isolation, j.Runtime)
	p.checkRan(sp.Mechanisms, d.Mechanisms, s.Outcome == OutcomeCompleted)
	got, err := sp.Recompute()
	p.must(err == nil, rule, "no bound for what ran: %v", err)
	p.must(err != nil || max(got-sp.Epsilon, sp.Epsilon-got) <= roundings, rule, "says epsilon %s, what ran comes to %s", Micro(sp.Epsilon), Micro(got))
	p.must(sp.Epsilon <= o.Privacy+roundings, rule, "epsilon %s, and %s was debited", Micro(sp.Epsilon), Micro(o.Privacy))
	return p
}

// checkRan: what ran is what was declared, in order: all of it, or a part.
func (p *problems) checkRan(ran, declared []dp.Mechanism, all bool) {
	const rule = "use.privacy"
	if all {
		p.must(slices.Equal(ran, declared), rule, "completed, and other mechanisms ran than the job declares")
		return
	}
	for _, m := range ran {
		at := slices.IndexFunc(declared, func(d dp.Mechanism) bool {
			most := d.Count
			d.Count = m.Count
			return d == m && m.Count <= most
		})
		if at < 0 {
			p.must(false, rule, "a mechanism ran that the job does not declare, or more often, or out of order: %s", Words(&m))
			return
		}
		declared = declared[at+1:]
	}
}

// checkSilent: in a differentially private mode nothing about a run but its outputs may depend on records.
func (p *problems) checkSilent(s *Statement, j *job.Job) {
	m := &s.Measured
	p.must(max(m.CPUMillis, m.PeakMemory, s.Undeclared) == 0, "usage.silent", "CPU time, memory or undeclared files are stated, and mode %q lets no such figure out", j.Mode)
	p.must(s.Execution == nil || s.Execution.Fuel == 0, "usage.silent", "fuel is stated, and mode %q lets no such figure out", j.Mode)
	p.must(len(s.Spent) == 0 || slices.Contains([]string{ReasonNone, ReasonStopped, ReasonUnavailable}, s.Reason), "usage.silent",
		"failed for reason %q after records were used, which says something of them", s.Reason)
}

// Words say one mechanism for people.
func Words(m *dp.Mechanism) string {
	var what string
	switch m.Kind {
	case dp.Pure, dp.Approximate:
		what = fmt.Sprintf("%s, epsilon %s", m.Kind, Micro(m.Epsilon))
	case dp.RandomisedResponse:
		what = fmt.Sprintf("%s among %d values with probability %s", m.Kind, m.Size, Micro(m.Noise))
	default:
		what = fmt.Sprintf("%s noise of %s times the sensitivity", m.Kind, Micro(m.Noise))
	}
	if m.Sensitivity > 0 {
		what += fmt.Sprintf(", which is %d", m.Sensitivity)
	}
	if m.Kind == dp.Tree {
		what += fmt.Sprintf(" on each node of a tree over %d steps", m.Size)
	}
	if m.Delta > 0 {
		what += ", delta " + Pico(m.Delta)
	}
	switch m.Sampling {
	case dp.Poisson:
		what += fmt.Sprintf(", on Poisson samples of %d/%d", m.Rate.Num, m.Rate.Den)
	case dp.FixedSize:
		what += fmt.Sprintf(", on %d of %d units drawn without replacement", m.Rate.Num, m.Rate.Den)
	}
	if m.Count == 1 {
		return what + ", once"
	}
	return what + fmt.Sprintf(", %d times", m.Count)
}

// RestsOn says for people what an ε rests on besides noise, by runtime class.
func RestsOn(runtime string) string {
	switch runtime {
	case job.RuntimeTrain:
		return "the enclave bounds every gradient; the worker's sandbox keeps each record from the next"
	case job.RuntimeTrainSum:
		return "the worker bounds and sums gradients, and its sandbox keeps each record from the next"
	case job.RuntimeQuery:
		return "no code runs but the enclave's"
	case job.RuntimeWASM:
		return "each shard's code runs in a worker of its own"
	}
	return "a runtime class that this release does not know"
}

// Micro writes millionths as a number.
func Micro(n int64) string { return strconv.FormatFloat(float64(n)/dp.Micro, 'f', -1, 64) }

// Pico writes 10⁻¹² as a number.
func Pico(n int64) string { return strconv.FormatFloat(float64(n)/dp.Pico, 'g', -1, 64) }
