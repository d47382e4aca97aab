// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/enclave/wasm"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/door"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// worldRunning is a world whose code is module, and a runner that runs it in a worker process.
func worldRunning(t *testing.T, module []byte, records int, change func(*job.Job)) (*world, Runner) {
	t.Helper()
	s, err := sandbox.StartSpawner(sandbox.Config{})
	check(t, err)
	t.Cleanup(s.Close)
	return newWorldFrom(t, made{records: numbers(records), module: module, job: change}), s
}

// rewritten is the digest of what the engine makes of a module.
func rewritten(t *testing.T, module []byte) envelope.Digest {
	t.Helper()
	m, err := wasm.Compile(t.Context(), module)
	check(t, err)
	defer m.Close()
	return m.Admitted().Rewritten
}

// wantAttested demands a statement of a run that ended so, and a broker that charges so much for the data.
func wantAttested(t *testing.T, w *world, r *door.Result, a *door.Abandon, reason string, amount int64) *usage.Statement {
	t.Helper()
	if r == nil {
		t.Fatalf("abandoned: %+v", a)
	}
	s, _ := w.statement(r)
	if s.Reason != reason || (reason == "") != (s.Outcome == usage.OutcomeCompleted) || (reason == "") != (len(r.Header) > 0) {
		t.Errorf("outcome %q, reason %q, header of %d bytes", s.Outcome, s.Reason, len(r.Header))
	}
	c, err := grant.VerifyCommit(r.Commits[1], w.data.Manifest.Broker.Key)
	check(t, err)
	if c.Predicate.Amount != amount {
		t.Errorf("charged %d, want %d", c.Predicate.Amount, amount)
	}
	return s
}

// TestCountedRunIsAttested: a module that reads everything, in a real worker: both digests and the fuel are in the
// statement, the brokers agree to it, and another run of the same module uses the same.
func TestCountedRunIsAttested(t *testing.T) {
	const records = 20_000
	for name, module := range map[string][]byte{
		"host call":       hostReader("numbers/records.csv", 100_000),
		"files":           fdReader("numbers/records.csv", 100_000),
		"in small pieces": fdReader("numbers/records.csv", 4<<10),
		"in one piece":    hostReader("numbers/records.csv", 5<<20),
	} {
		t.Run(name, func(t *testing.T) {
			var used []int64
			for range 2 {
				w, runner := worldRunning(t, module, records, nil)
				r, a := w.run(runner)
				s := wantAttested(t, w, r, a, usage.ReasonNone, 100+2*records)
				x := s.Execution
				want := &usage.Execution{Module: envelope.Sum(module), Rewritten: rewritten(t, module), Costs: usage.CostTable, Fuel: x.Fuel}
				if diff := cmp.Diff(want, x); diff != "" || x.Fuel < int64(len(w.records)) {
					t.Errorf("%d units of fuel for %d bytes; %s", x.Fuel, len(w.records), diff)
				}
				if p := s.Packages[1]; p.Records != records || p.Billable != records || p.Reads != w.data.Manifest.Tree.Size || p.Epochs != 1 {
					t.Errorf("delivered %+v", p)
				}
				used = append(used, x.Fuel)
			}
			if used[0] != used[1] {
				t.Errorf("%d units of fuel, then %d", used[0], used[1])
			}
		})
	}
}

// TestFuelRunsOut: the run fails for that reason with all of its fuel, what it had been given is attested, and it is not
// charged for: other failures are not either.
func TestFuelRunsOut(t *testing.T) {
	const limit = 700_000 // some of the bytes
	module := hostReader("numbers/records.csv", 100_000)
	w, runner := worldRunning(t, module, 20_000, func(j *job.Job) { j.Limits.Fuel = limit })
	r, a := w.run(runner)
	s := wantAttested(t, w, r, a, usage.ReasonFuel, 0)
	want := &usage.Execution{Module: envelope.Sum(module), Rewritten: rewritten(t, module), Costs: usage.CostTable, Fuel: limit}
	if diff := cmp.Diff(want, s.Execution); diff != "" {
		t.Error(diff)
	}
	if p := s.Packages[1]; p.Records == 0 || p.Records >= 20_000 {
		t.Errorf("delivered %+v", p)
	}
}

// TestModuleRefusedIsAttested: what is not admitted executed nothing and read nothing.
func TestModuleRefusedIsAttested(t *testing.T) {
	w, runner := worldRunning(t, command([]hostFunc{{"glovebox", "reed", nil}}, nil, nil), 100, nil)
	r, a := w.run(runner)
	s := wantAttested(t, w, r, a, usage.ReasonModule, 0)
	if s.Execution != nil || s.Packages[1].Reads != 0 {
		t.Errorf("executed %+v, delivered %+v", s.Execution, s.Packages[1])
	}
}

// hangingBlobs is a host that holds back the data of one blob.
type hangingBlobs struct {
	dataset.BlobReader
	blob envelope.Digest
}

func (h hangingBlobs) ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	if d == h.blob {
		<-ctx.Done()
		return 0, ctx.Err()
	}
	return h.BlobReader.ReadAt(ctx, d, p, off)
}

// TestHostHoldsDataBack: a run whose data does not come ends at its wall limit, and for that reason. What ran is known, what
// it used died with the worker.
func TestHostHoldsDataBack(t *testing.T) {
	module := hostReader("numbers/records.csv", 100_000)
	w, runner := worldRunning(t, module, 1000, func(j *job.Job) { j.Limits.WallSeconds = 1 })
	w.blobs = hangingBlobs{w.store, w.data.Manifest.Segments[0].Blob}
	r, a := w.run(runner)
	s := wantAttested(t, w, r, a, usage.ReasonWall, 0)
	want := &usage.Execution{Module: envelope.Sum(module), Rewritten: rewritten(t, module), Costs: usage.CostTable}
	if diff := cmp.Diff(want, s.Execution); diff != "" {
		t.Error(diff)
	}
}

// TestWorkerDiesWhileReading: it is the worker's fault, not the dataset's, though the read ends with an error too.
func TestWorkerDiesWhileReading(t *testing.T) {
	w := newWorldOf(t, 1000, nil)
	w.blobs = hangingBlobs{w.store, w.data.Manifest.Segments[0].Blob}
	r, a := w.run(dyingRunner{})
	wantAttested(t, w, r, a, usage.ReasonWorker, 0)
}

// dyingRunner is a worker that dies while it waits for data.
type dyingRunner struct{ noModules }

func (dyingRunner) Run(ctx context.Context, _ sandbox.Spec, d sandbox.Data) (*sandbox.Outcome, error) {
	serving, stop := context.WithCancel(ctx)
	stop()
	if _, _, err := d.Range(serving, 0, 0, 1); err == nil {
		return nil, nil
	}
	return &sandbox.Outcome{Isolation: isolation, Reason: sandbox.ReasonWorker}, nil
}
