// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// readingChannels are what reading shows.
func readingChannels() []channel {
	return []channel{
		{
			name: "which leaves are read", to: "everybody", tries: "reads those of eight segments that are a one in the record",
			stops: "the granted leaves; the usage attestation lists those delivered, and the root over them", bound: "leaves",
			most: func(f *figures) float64 { return f.leaves }, sends: 8,
			arrive: func(l *lab) float64 {
				return l.number("leaves", 8, func(s *seen) (n int) {
					for i := range 8 {
						n <<= 1
						if slices.Contains(s.asked, 2+i) {
							n |= 1
						}
					}
					return n
				})
			},
		},
		{
			name: "figures of reading", to: "everybody", tries: "reads everything, then 1 to 8 segments again, a short one among them or not, as 4 bits of the record say",
			stops: "reads, bytes, records and epochs of each dataset, each batch once in each epoch; the last heartbeat of each package, one every 2 s and two a read; billable is records",
			bound: "log2(leaves × epochs + 1) + log2(65,656 × leaves × epochs + 1) + log2(records × epochs + 1) + log2(epochs + 1) + log2(beats + 2 × leaves × epochs + 3) for each dataset, log2(beats + 1) for the code; beats = (wall limit + 5 s) / 2 s + 1",
			most:  readingFigures, sends: 4, arrive: reread,
		},
		{
			name: "order of reading", to: "host", tries: "reads four segments in an order that says 4 bits of the record",
			stops: "deliveries: each batch once in each epoch, and one that is refused; progress, reads, bytes, records and heartbeats say no more than order and time",
			bound: "(batches × epochs + 1) × log2(batches) + 1", most: func(f *figures) float64 { return f.asked()*log2(f.batches) + 1 }, sends: 4,
			arrive: func(l *lab) float64 {
				return l.number("path", 4, func(s *seen) (n int) {
					left, scale := []int{2, 3, 4, 5}, 1
					for _, at := range s.asked {
						if i := slices.Index(left, at); i >= 0 {
							n, scale, left = n+i*scale, scale*len(left), slices.Delete(left, i, i+1)
						}
					}
					return n
				})
			},
		},
		stopped("number and size of reads", "host", "reads everything in pieces of 100 to 9,535 bytes as the record says",
			"the enclave asks the host for leaves, whatever the code asks for", "ranges", ""),
	}
}

// leafBytes is the largest leaf: four chunks of 16 KiB with their tags, and the header of a segment.
const leafBytes = 4*(16<<10+16) + 56

// readingFigures bounds what the figures of one dataset and of the code can say. The code is read before it runs: only its
// heartbeats are the guest's doing, by the time it takes. A read may take two heartbeats, also one that is refused.
func readingFigures(f *figures) float64 {
	beats := (float64(f.WallSeconds)+5)/defaultTiming.heartbeat.Seconds() + 1
	reads := f.leaves * f.epochs
	return log2(reads+1) + log2(leafBytes*reads+1) + log2(f.records*f.epochs+1) + log2(f.epochs+1) + log2(beats+2*reads+3) + log2(beats+1)
}

// reread decodes 3 bits from reads and a fourth from records: the last segment has fewer than the others. Which leaves were read
// says nothing.
func reread(l *lab) float64 {
	l.t.Helper()
	for key, s := range l.runs {
		for _, p := range s.statement.Packages {
			if p.Billable != p.Records {
				l.t.Errorf("%s: %d billable of %d records", key, p.Billable, p.Records)
			}
		}
	}
	segments := l.worlds[0].data.Manifest.Segments
	return l.number("reread", 4, func(s *seen) int {
		p := s.statement.Packages[1]
		k, records := int(p.Reads)-leakLeaves-1, p.Records-leakRecords-1
		if !slices.Equal(p.Leaves, []grant.Range{{Count: leakLeaves}}) || p.Epochs != leakEpochs || k < 0 || k > 7 {
			l.t.Fatalf("read %+v", p)
		}
		for _, again := range segments[1 : 1+k] {
			records -= again.Records
		}
		switch records {
		case segments[1+k].Records:
			return 2 * k
		case segments[leakLeaves-1].Records:
			return 2*k + 1
		}
		return -1
	})
}

// What of the usage attestation is no row's business.
const (
	given  = "given before the code runs, the same in each run"
	others = "said by others than the code, different in each run"
)

// statementRows name the row of the table that bounds or stops each field of the usage attestation. Beside the statement only a
// digest of the encrypted result is signed.
var statementRows = map[string]string{
	"Job": others, "Binding": others, "Evidence": others, "Assurance": given, "Runtime": given, "Isolation": given, "Attempt": given,
	"Packages.Manifest": others, "Packages.Grant": others, "Packages.Policy": others,
	"Packages.Leaves.First": "which leaves are read", "Packages.Leaves.Count": "which leaves are read", "Packages.ReadRoot": "which leaves are read",
	"Packages.Reads": "figures of reading", "Packages.Bytes": "figures of reading", "Packages.Records": "figures of reading",
	"Packages.Billable": "figures of reading", "Packages.Epochs": "figures of reading", "Packages.Heartbeat": "figures of reading",
	"Outcome": "reason of the end", "Reason": "reason of the end",
	"Outputs.Name": given, "Outputs.Class": given, "Outputs.Bytes": "sizes of outputs", "Undeclared": "number of undeclared files",
	"Commitment":       "commitment to the result",
	"Execution.Module": given, "Execution.Rewritten": given, "Execution.Costs": given, "Execution.Fuel": "fuel",
	"Transforms.Manifest": others, "Transforms.StepReport.Step": given, "Transforms.StepReport.ID": given, "Transforms.StepReport.Digest": given,
	"Transforms.StepReport.Config": given, "Transforms.StepReport.RecordsIn": given, "Transforms.StepReport.RecordsOut": given,
	"Transforms.StepReport.BytesIn": given, "Transforms.StepReport.BytesOut": given,
	"Transforms.StepReport.Findings.Name": given, "Transforms.StepReport.Findings.Count": given,
	"Transforms.StepReport.Quarantined.Name": given, "Transforms.StepReport.Quarantined.Count": given,
	"Transforms.Fuel": given, "Transforms.Sealed": given, "Privacy": given,
	"Spent.Manifest": others, "Spent.Unit": given, "Spent.Contributions": given, "Spent.Adjacency": given, "Spent.Accountant": given,
	"Spent.Mechanisms.Kind": given, "Spent.Mechanisms.Noise": given, "Spent.Mechanisms.Sensitivity": given, "Spent.Mechanisms.Size": given,
	"Spent.Mechanisms.Epsilon": given, "Spent.Mechanisms.Delta": given, "Spent.Mechanisms.Sampling": given, "Spent.Mechanisms.Rate.Num": given,
	"Spent.Mechanisms.Rate.Den": given, "Spent.Mechanisms.Count": given, "Spent.Delta": given, "Spent.Epsilon": given, "Spent.Isolation": given,
	"Receipts": given, "Payments": given,
	"Measured.CPUMillis": "CPU time", "Measured.PeakMemory": "peak memory", "Measured.WallMillis": "time, as attested", "Measured.Steps": given,
	"Time.Broker": others, "Time.Released": others, "Time.Started": others, "Time.Finished": "time, as attested",
}

// TestLeakTableCoversTheStatement: each field that is signed for everybody has a row, and what stopped rows cannot see has a bound.
func TestLeakTableCoversTheStatement(t *testing.T) {
	rows := map[string]channel{}
	for _, c := range channels() {
		rows[c.name] = c
	}
	s := &seen{statement: &usage.Statement{}, due: make([]due, 1)}
	fields := map[string]reflect.Value{}
	walk(t, "", reflect.ValueOf(s.statement).Elem(), fields)
	for path, v := range fields {
		name, ok := statementRows[path]
		row, bounded := rows[name]
		switch {
		case !ok:
			t.Errorf("no row of the table covers %s", path)
			continue
		case name != given && name != others && (!bounded || row.to != "everybody"):
			t.Errorf("%s is said to be covered by %q, which is no row for everybody", path, name)
		}
		before := s.rest(false)
		alter(t, path, v)
		masked := s.rest(false) == before
		if masked && row.most == nil && name != others && path != "Commitment" { // a commitment's row looks for itself
			t.Errorf("%s has no bound, and rows that are stopped do not see it", path)
		}
	}
	for path := range statementRows {
		if !fields[path].IsValid() {
			t.Errorf("the usage attestation has no %s", path)
		}
	}
}

// walk makes one of everything and finds the values in it.
func walk(t *testing.T, path string, v reflect.Value, found map[string]reflect.Value) {
	t.Helper()
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			at := v.Type().Field(i).Name
			if path != "" {
				at = path + "." + at
			}
			walk(t, at, v.Field(i), found)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		walk(t, path, v.Elem(), found)
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		walk(t, path, v.Index(0), found)
	default:
		found[path] = v
	}
}

func alter(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	switch {
	case v.CanInt():
		v.SetInt(v.Int() + 1)
	case v.Kind() == reflect.Bool:
		v.SetBool(!v.Bool())
	case v.Kind() == reflect.String:
		v.SetString(v.String() + "x")
	case v.Type() == reflect.TypeFor[envelope.Digest]():
		v.Set(reflect.ValueOf(envelope.Sum([]byte(fmt.Sprint(path)))))
	default:
		t.Fatalf("%s is a %s", path, v.Type())
	}
}
