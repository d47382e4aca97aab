// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// ahead is what prepares a worker for a run of sp.
func ahead(sp *Spec) Ahead {
	return Ahead{Tenant: sp.Tenant, Module: sp.Module, MemoryBytes: sp.MemoryBytes, OutputBytes: sp.OutputBytes, Until: time.Now().Add(time.Hour)}
}

// awaitPrepared waits until so many workers have compiled their module.
func awaitPrepared(t *testing.T, s *Spawner, n int) {
	t.Helper()
	for range 6000 {
		if s.Prepared() == n {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("%d workers are prepared, want %d", s.Prepared(), n)
}

func (s *Spawner) taken() int {
	s.shelf.mu.Lock()
	defer s.shelf.mu.Unlock()
	return s.shelf.used
}

// run is one run that must come to an end.
func (s *Spawner) mustRun(t *testing.T, sp Spec, d Data) *Outcome {
	t.Helper()
	o, err := s.Run(t.Context(), sp, d)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestPreparedRunIsTheSame: in a worker that compiled the module before anybody knew of the run, everything that the code can see or do
// is as it is in another.
func TestPreparedRunIsTheSame(t *testing.T) {
	sp, d := filesSpec(t)
	sp.Tenant, sp.Seed[3] = "buyer", 7
	s := newSpawner(t)
	cold := s.mustRun(t, sp, d)
	wantReason(t, cold, ReasonNone)
	s.Prepare(ahead(&sp))
	awaitPrepared(t, s, 1)
	warm := s.mustRun(t, sp, d)
	if s.taken() != 1 {
		t.Fatal("the prepared worker was not used")
	}
	for _, o := range []*Outcome{cold, warm} {
		if o.CPU <= 0 || o.Wall <= 0 || o.Peak <= 0 {
			t.Errorf("figures missing: %+v", o)
		}
		o.CPU, o.Wall, o.Peak = 0, 0, 0
	}
	if diff := cmp.Diff(cold, warm); diff != "" {
		t.Errorf("the prepared worker's run differs:\n%s", diff)
	}
}

// TestPreparedWorkerServesOneRun: it dies as every worker does, and the next run finds none.
func TestPreparedWorkerServesOneRun(t *testing.T) {
	sp := spec(wasmModule{memory: []uint64{1}}.bytes())
	sp.Tenant = "buyer"
	s := newSpawner(t)
	s.Prepare(ahead(&sp))
	awaitPrepared(t, s, 1)
	pid := s.shelf.all[0].process.pidfd
	dup, err := unix.FcntlInt(uintptr(pid), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(dup)
	wantReason(t, s.mustRun(t, sp, nil), ReasonNone)
	if running(dup) {
		t.Error("the worker outlived its run")
	}
	wantReason(t, s.mustRun(t, sp, nil), ReasonNone)
	if n := s.taken(); n != 1 || s.Prepared() != 0 {
		t.Errorf("%d runs found a prepared worker, %d are left; want 1 and 0", n, s.Prepared())
	}
}

// TestStrangerGetsNoPreparedWorker: another tenant, and one without a name, cannot tell that the module ran before, nor can another
// module or a run with other limits get that worker.
func TestStrangerGetsNoPreparedWorker(t *testing.T) {
	own := spec(wasmModule{memory: []uint64{1}}.bytes())
	own.Tenant = "buyer"
	s := newSpawner(t)
	s.Prepare(ahead(&own))
	awaitPrepared(t, s, 1)
	for name, change := range map[string]func(*Spec){
		"tenant":    func(sp *Spec) { sp.Tenant = "stranger" },
		"no tenant": func(sp *Spec) { sp.Tenant = "" },
		"module":    func(sp *Spec) { sp.Module = wasmModule{memory: []uint64{2}}.bytes() },
		"memory":    func(sp *Spec) { sp.MemoryBytes += pageBytes },
		"output":    func(sp *Spec) { sp.OutputBytes++ },
	} {
		sp := own
		change(&sp)
		if o := s.mustRun(t, sp, nil); name != "module" {
			wantReason(t, o, ReasonNone)
		}
		if s.taken() != 0 || s.Prepared() != 1 {
			t.Fatalf("another %s: %d runs found a prepared worker, %d are left; want 0 and 1", name, s.taken(), s.Prepared())
		}
	}
}

// TestPreparedWorkersAreFew: beyond the most, the one that was asked for longest ago makes room; one that is asked for again stays.
func TestPreparedWorkersAreFew(t *testing.T) {
	s := newSpawner(t)
	sp := spec(wasmModule{memory: []uint64{1}}.bytes())
	for i := range maxPrepared {
		sp.Tenant = fmt.Sprint("buyer ", i)
		s.Prepare(ahead(&sp))
	}
	awaitPrepared(t, s, maxPrepared)
	sp.Tenant = "buyer 0"
	s.Prepare(ahead(&sp))
	sp.Tenant = "late"
	s.Prepare(ahead(&sp))
	awaitPrepared(t, s, maxPrepared)
	for tenant, there := range map[string]bool{"late": true, "buyer 0": true, "buyer 1": false} {
		p := s.shelf.take(t.Context(), shapeOf(&sp, tenant))
		if (p != nil) != there {
			t.Errorf("worker of %s: %t, want %t", tenant, p != nil, there)
		}
		if p != nil {
			p.close()
		}
	}
}

// TestAttackOneBuyerFillsShelf: with one module and many limits a buyer has one place, and the others keep theirs.
func TestAttackOneBuyerFillsShelf(t *testing.T) {
	s := newSpawner(t)
	sp := spec(wasmModule{memory: []uint64{1}}.bytes())
	sp.Tenant = "victim"
	s.Prepare(ahead(&sp))
	awaitPrepared(t, s, 1)
	sp.Tenant = "hog"
	for i := range maxPrepared {
		sp.OutputBytes += int64(i + 1)
		s.Prepare(ahead(&sp))
	}
	awaitPrepared(t, s, 2)
	if all := s.shelf.all; len(all) != 2 || all[0].tenant != "victim" || all[1].tenant != "hog" || all[1].output != sp.OutputBytes {
		t.Errorf("%d places are taken, not one of each buyer's", len(all))
	}
}

// TestPreparedWorkerExpires: nobody's module is held for longer than it may be.
func TestPreparedWorkerExpires(t *testing.T) {
	s := newSpawner(t)
	sp := spec(wasmModule{memory: []uint64{1}}.bytes())
	sp.Tenant = "buyer"
	a := ahead(&sp)
	s.Prepare(a)
	awaitPrepared(t, s, 1)
	w := s.shelf.all[0]
	s.shelf.expire(w)
	if s.Prepared() != 0 || w.process != nil {
		t.Error("the worker is still there")
	}
	a.Until = time.Now().Add(-time.Second)
	s.Prepare(a)
	a.Until, a.Tenant = time.Now().Add(time.Hour), ""
	s.Prepare(a)
	if len(s.shelf.all) != 0 {
		t.Error("a worker is prepared that nobody may have")
	}
}

// TestDeadPreparedWorker: a run does not depend on the worker that was prepared for it.
func TestDeadPreparedWorker(t *testing.T) {
	s := newSpawner(t)
	sp := spec(wasmModule{memory: []uint64{1}}.bytes())
	sp.Tenant = "buyer"
	s.Prepare(ahead(&sp))
	awaitPrepared(t, s, 1)
	if err := unix.PidfdSendSignal(s.shelf.all[0].process.pidfd, unix.SIGKILL, nil, 0); err != nil {
		t.Fatal(err)
	}
	for running(s.shelf.all[0].process.pidfd) {
		time.Sleep(time.Millisecond)
	}
	wantReason(t, s.mustRun(t, sp, nil), ReasonNone)
	if s.taken() != 0 {
		t.Error("the dead worker was given a job")
	}
}

// TestPrepareNoModule: what cannot be compiled leaves nothing behind, and its next run says why.
func TestPrepareNoModule(t *testing.T) {
	s := newSpawner(t)
	sp := spec([]byte("no module"))
	sp.Tenant = "buyer"
	s.Prepare(ahead(&sp))
	wantReason(t, s.mustRun(t, sp, nil), ReasonModule)
	if p := s.shelf.take(context.Background(), shapeOf(&sp, "buyer")); p != nil || s.Prepared() != 0 {
		t.Error("there is a worker for it")
	}
}
