// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/job"
	"github.com/glovebox-dev/glovebox/transforms/dp"
)

// hidden says whom a bound hides, and how well.
func hidden(unit, adjacency, accountant string, epsilon, delta int64) string {
	return fmt.Sprintf("one %s is hidden to epsilon %s at delta %s (%s, by %s)", unit, usage.Micro(epsilon), usage.Pico(delta), adjacency, accountant)
}

// privacyLine says in one line what the enclave will do to the data, and what that reveals.
func privacyLine(j *job.Job) string {
	p := j.Privacy
	var what []string
	for i := range p.Mechanisms {
		what = append(what, usage.Words(&p.Mechanisms[i]))
	}
	if n := len(what); n > 3 {
		what = append(what[:2], fmt.Sprintf("and %d more", n-2))
	}
	text := fmt.Sprintf("privacy: %s: %s; in %s", hidden(p.Unit, p.Adjacency, p.Accountant, p.Epsilon, p.Delta), strings.Join(what, "; "), j.Runtime)
	if p.Aggregate != nil {
		text += "; " + takes(p.Aggregate, &j.Limits)
	}
	if t := p.Training; t != nil {
		text += "; " + slots(t, p.Contributions, j.TimeBits())
	}
	return text + "; " + timeTells(j.TimeBits())
}

// manyBits is how much times may tell before a buyer is told how to make it less.
const manyBits = 64

// timeTells says what epsilon does not bound.
func timeTells(bits int64) string {
	return fmt.Sprintf("time may tell at most %d bits beyond epsilon", bits)
}

// slots says how long steps take.
func slots(t *job.Training, contributions, bits int64) string {
	text := fmt.Sprintf("steps take %d ms each, which may double %d times, and records %d units of fuel", t.Pace, t.Overruns(contributions)+1, t.RecordFuel)
	if bits > manyBits {
		text += "; with less --record-fuel, a longer --pace or fewer --steps, time tells less"
	}
	return text
}

// takes says how long shards take: always as long.
func takes(a *job.Aggregate, l *job.Limits) string {
	return fmt.Sprintf("it takes %s, whatever the data: %d shards, one after the other, in %s each",
		time.Duration(l.WallSeconds)*time.Second, a.Shards, a.Slot(l.WallSeconds).Round(time.Millisecond))
}

// printPrivacy says what a job would reveal of one person, by what means, and what becomes of the accounts.
func (v *planView) printPrivacy(w io.Writer) {
	p := v.Privacy
	if p == nil {
		for _, d := range v.Datasets {
			printAccount(w, &d)
		}
		return
	}
	fmt.Fprintf(w, "\nprivacy  %s\n", hidden(p.Unit, p.Adjacency, p.Accountant, p.Epsilon, p.Delta))
	if p.Unit == dataset.UnitContributor {
		fmt.Fprintf(w, "         the first %d records of each contributor count\n", p.Contributions)
	}
	for i := range p.Mechanisms {
		fmt.Fprintf(w, "         %s\n", usage.Words(&p.Mechanisms[i]))
	}
	if t := p.Training; t != nil {
		fmt.Fprintf(w, "         gradients are bounded to norm %s and summed, over a lot of %d; %s, learning rate %s\n", usage.Micro(t.Clip), t.Lot, t.Optimiser, usage.Micro(t.LearningRate))
		fmt.Fprintf(w, "         %s\n", slots(t, p.Contributions, v.TimeBits))
	}
	if p.Training != nil && p.Adjacency == dp.ReplaceOne {
		fmt.Fprintf(w, "         %s\n", batchWords(&p.Mechanisms[0]))
	}
	if a := p.Aggregate; a != nil {
		fmt.Fprintf(w, "         the %s of %d shards' answers\n", a.Kind, a.Shards)
		fmt.Fprintf(w, "         %s\n", takes(a, &v.Limits))
	}
	fmt.Fprintf(w, "         %s\n", timeTells(v.TimeBits))
	fmt.Fprintf(w, "         rests on runtime %s: %s\n", v.Runtime, usage.RestsOn(v.Runtime))
	if p.Accountant != dp.RDP {
		fmt.Fprintf(w, "         accounts add up jobs by %s, whatever a job is bounded by: there it may count for more\n", dp.RDP)
	}
	for _, d := range v.Datasets {
		printAccount(w, &d)
	}
}

// batchWords say what batches there are under replace-one, and what speaks for others.
func batchWords(m *dp.Mechanism) string {
	switch {
	case m.Kind == dp.Tree:
		return "batches follow one another, and their sums share the noise of a tree; nothing is sampled"
	case m.Sampling == dp.FixedSize:
		return "each lot is a new sample, which takes less noise than going through the data; it needs all data in the enclave's memory"
	}
	return "batches follow one another through the data; --batches fixed-size takes less noise if it fits into the enclave's memory"
}

// spentRows say what a run did to each dataset's records, with ε computed here again.
func spentRows(s *usage.Statement) (rows [][]string) {
	for i := range s.Spent {
		sp := &s.Spent[i]
		again := "and it does not follow from the mechanisms"
		if n, err := sp.Recompute(); err == nil {
			again = fmt.Sprintf("recomputed %s with %s", usage.Micro(n), dp.Version())
		}
		rows = append(rows, []string{"privacy", fmt.Sprintf("%s: %s; %s", sp.Manifest, hidden(sp.Unit, sp.Adjacency, sp.Accountant, sp.Epsilon, sp.Delta), again)})
		if sp.Unit == dataset.UnitContributor {
			rows = append(rows, []string{"", fmt.Sprintf("the first %d records of each contributor counted", sp.Contributions)})
		}
		for k := range sp.Mechanisms {
			rows = append(rows, []string{"", usage.Words(&sp.Mechanisms[k])})
		}
		rows = append(rows, []string{"", fmt.Sprintf("rests on runtime %s: %s", sp.Isolation, usage.RestsOn(sp.Isolation))})
	}
	return rows
}

// ran says for people what a run used, or revealed.
func ran(s *usage.Statement) string {
	if len(s.Spent) == 0 {
		return fmt.Sprintf("%d units of fuel", s.Execution.Fuel)
	}
	var out []string
	for i := range s.Spent {
		sp := &s.Spent[i]
		out = append(out, hidden(sp.Unit, sp.Adjacency, sp.Accountant, sp.Epsilon, sp.Delta))
	}
	return strings.Join(out, "; ")
}

// printAccount says what a job does to a dataset's privacy account.
func printAccount(w io.Writer, d *datasetPlan) {
	a := d.PlanReply.Privacy
	if a == nil {
		return
	}
	fmt.Fprintf(w, "\n%s: privacy account of %q, at delta %s\n", d.Name, plain(a.Population), usage.Pico(a.Delta))
	table(w, []string{"", "NOW", "AFTER", "BUDGET"},
		[]string{"everybody", bounded(a.Before), bounded(a.After), usage.Micro(a.Cap)},
		[]string{"you", bounded(a.BuyerBefore), bounded(a.BuyerAfter), usage.Micro(a.BuyerCap)})
}

// bounded is an ε of an account.
func bounded(n *int64) string {
	if n == nil {
		return "no bound"
	}
	return usage.Micro(*n)
}
