// SPDX-License-Identifier: Apache-2.0

package usage

import (
	"fmt"
	"regexp"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// NotStarted is the isolation of a run whose worker never started.
const NotStarted = "not-started"

// isolations are all that an enclave of this release can say about what confined the worker.
var isolations = regexp.MustCompile(`^(not-started|user,pid,net,mnt,ipc,uts;seccomp;(landlock-[1-9]|no-landlock);(cgroup-v1|cgroup-v2|rlimit))$`)

// Problem is one reason why figures cannot be those of a run, whoever signed them.
type Problem struct{ Rule, Message string }

type problems []Problem

func (p *problems) must(ok bool, rule, f string, args ...any) {
	if !ok {
		*p = append(*p, Problem{rule, fmt.Sprintf(f, args...)})
	}
}

// CheckMeasured holds what the kernel is said to have measured, and what the code is said to have executed, against what a
// job's sandbox lets happen. Brokers and auditors use it.
func CheckMeasured(s *Statement, j *job.Job) []Problem {
	var p problems
	p.must(isolations.MatchString(s.Isolation), "usage.isolation", "isolation %q is not one of this release's", s.Isolation)
	query := j.Runtime == job.RuntimeQuery
	p.must((s.Isolation == NotStarted) == query || !query && s.Outcome != OutcomeCompleted, "usage.isolation", "completed without a worker, or with one in a class that has none")
	m := &s.Measured
	p.must(s.Isolation != NotStarted || max(m.CPUMillis, m.PeakMemory, m.WallMillis) == 0, "usage.isolation", "figures of a worker that never started")
	cpu := product(workerCores, j.Limits.WallSeconds*1000) + maxWait.Milliseconds()
	p.must(m.CPUMillis <= cpu, "usage.cpu", "%d ms of CPU time, the job's limits end it at %d", m.CPUMillis, cpu)
	memory := j.Limits.MemoryBytes + 2*j.Limits.OutputBytes + workerOverhead
	p.must(m.PeakMemory <= memory, "usage.memory", "%d bytes of memory, the job's limits end it at %d", m.PeakMemory, memory)
	p.checkExecution(s, j)
	if job.Private(j.Mode) {
		p.checkSilent(s, j)
	}
	return p
}

// CheckMetered holds the figures of one package against its manifest and its obligations: they must be such as reading
// can produce. Enclave, brokers and auditors use it.
func CheckMetered(u *Package, m *dataset.Manifest, o *grant.Obligations, outcome string) []Problem {
	var p problems
	epochs := int64(o.Epochs)
	if m.Kind == dataset.KindCode {
		epochs = 1
	}
	for _, r := range u.Leaves {
		p.must(o.Leaves.Covers(r), "use.leaves", "leaves %d to %d were delivered, and not all of them granted", r.First, r.First+r.Count-1)
	}
	p.living(u.Leaves, m.ErasedLeaves())
	t := touch(m, u.Leaves)
	if dataset.Private(o.Mode) && m.Kind == dataset.KindDataset {
		p.private(u, t, touch(m, o.Leaves), outcome)
	}
	p.must(u.Reads <= product(o.Leaves.Count(), epochs), "use.reads", "%d reads of %d leaves in %d epochs", u.Reads, o.Leaves.Count(), epochs)
	p.must(u.Epochs <= epochs, "use.epochs", "%d epochs, %d granted", u.Epochs, epochs)
	p.must(u.Records <= product(t.records, u.Epochs), "use.records", "%d records out of %d in %d epochs", u.Records, t.records, u.Epochs)
	p.must(u.Billable == u.Records, "use.billable", "%d records billable of %d", u.Billable, u.Records)
	if len(o.Transforms) > 0 {
		p.transformed(u, t, touch(m, o.Leaves), outcome)
		return p
	}
	p.must(u.Epochs == 0 || u.Epochs-1 <= u.Reads-t.leaves, "use.epochs", "%d epochs in %d reads of %d leaves", u.Epochs, u.Reads, t.leaves)
	again := u.Reads - t.leaves // reads beyond the first of each leaf
	least, most := addCapped(t.bytes, product(t.least, again)), addCapped(t.bytes, product(t.most, again))
	p.must(u.Bytes >= least && u.Bytes <= most, "use.bytes", "%d bytes in %d reads, which have %d to %d", u.Bytes, u.Reads, least, most)
	if outcome == OutcomeCompleted {
		p.completed(u, m, t, touch(m, o.Leaves))
	}
	return p
}

// living: nothing that was erased is delivered. Both lists ascend and are disjoint; one finding says it.
func (p *problems) living(leaves []grant.Range, erased []dataset.Span) {
	for _, r := range leaves {
		for len(erased) > 0 && erased[0].First+erased[0].Count <= r.First {
			erased = erased[1:]
		}
		if len(erased) > 0 && erased[0].First < r.First+r.Count {
			p.must(false, "use.erased", "of leaves %d to %d, delivered, leaf %d is erased", r.First, r.First+r.Count-1, max(r.First, erased[0].First))
			return
		}
	}
}

// private: what the enclave adds noise to is read once and whole, and what it counts of it is what is granted, whatever steps left.
func (p *problems) private(u *Package, t, granted touched, outcome string) {
	p.must(u.Reads == t.leaves && u.Bytes == t.bytes, "use.reads", "%d reads of %d bytes, and each of %d leaves of %d bytes is read once", u.Reads, u.Bytes, t.leaves, t.bytes)
	if outcome == OutcomeCompleted {
		p.must(t.leaves == granted.leaves && u.Epochs == 1 && u.Records == granted.records, "use.records", "%d of %d records in %d epochs, the mode reads all once",
			u.Records, granted.records, u.Epochs)
	}
}

// transformed: what steps stand before is read once, whole and before the code starts, whatever the code reads of what they
// leave.
func (p *problems) transformed(u *Package, t, granted touched, outcome string) {
	p.must(u.Reads == t.leaves && u.Bytes == t.bytes, "use.reads", "%d reads of %d bytes, and %d leaves of %d bytes were read for the steps, each once",
		u.Reads, u.Bytes, t.leaves, t.bytes)
	whole := t.leaves == granted.leaves
	p.must(whole || outcome != OutcomeCompleted && u.Epochs == 0, "use.reads", "the code saw records before all %d leaves were read, %d were", granted.leaves, t.leaves)
}

// completed checks what only a run without a fault shows, where t was read of what is granted: whatever was read of a segment was read up to a batch that was
// delivered. Of a segment with several batches code may skip some, so that fewer records than it has can be right.
func (p *problems) completed(u *Package, m *dataset.Manifest, t, granted touched) {
	if m.Kind == dataset.KindCode {
		p.must(t.leaves == m.Tree.Size && u.Reads == m.Tree.Size && u.Epochs == 1 && u.Records == m.Records, "use.code",
			"the code was not read whole and once: %d of %d leaves in %d reads, %d of %d records", t.leaves, m.Tree.Size, u.Reads, u.Records, m.Records)
		return
	}
	p.must((u.Reads > 0) == (u.Epochs > 0), "use.records", "%d reads in %d epochs", u.Reads, u.Epochs)
	p.must(u.Records >= t.certain, "use.records", "%d records, the segments read have at least %d", u.Records, t.certain)
	whole := t.leaves == granted.leaves && t.certain == granted.records && u.Reads == product(granted.leaves, u.Epochs)
	p.must(!whole || u.Records == product(granted.records, u.Epochs), "use.records", "%d records, all %d granted were read %d times", u.Records, granted.records, u.Epochs)
}

// touched is what a manifest says about a set of leaves.
type touched struct {
	leaves, bytes int64 // how many, and their ciphertext
	least, most   int64 // the smallest and the largest of them
	records       int64 // of the segments that hold any of them: no more can have been delivered at a time
	certain       int64 // of those segments with a single batch: no fewer can have been delivered in a completed run
}

// touch takes one pass: leaves ascend and are disjoint.
func touch(m *dataset.Manifest, leaves []grant.Range) (t touched) {
	var first int64
	for i := range m.Segments {
		s := &m.Segments[i]
		hit := false
		for len(leaves) > 0 && leaves[0].First < first+s.Leaves {
			r := leaves[0]
			if from, to := max(r.First, first)-first, min(r.First+r.Count, first+s.Leaves)-first; from < to {
				hit = true
				t.add(s, from, to)
			}
			if r.First+r.Count > first+s.Leaves { // goes on in the next segment
				break
			}
			leaves = leaves[1:]
		}
		if hit {
			t.records = addCapped(t.records, s.Records)
		}
		if hit && s.Batches == 1 {
			t.certain = addCapped(t.certain, s.Records)
		}
		first += s.Leaves
	}
	return t
}

// add counts leaves from to to of a segment.
func (t *touched) add(s *dataset.Segment, from, to int64) {
	at := func(leaf int64) int64 {
		if leaf == 0 {
			return 0
		}
		return min(segmentHeader+leaf*fullLeaf, s.Bytes)
	}
	t.leaves, t.bytes = t.leaves+to-from, addCapped(t.bytes, at(to)-at(from))
	for _, l := range []int64{from, min(from+1, to-1), to - 1} { // the first, the next and the last differ
		n := at(l+1) - at(l)
		if t.most == 0 {
			t.least = n
		}
		t.least, t.most = min(t.least, n), max(t.most, n)
	}
}
