// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const touched = 256 << 20

// spinner is a guest that writes to 256 MiB of memory and then never ends.
func spinner() Spec {
	fill := slices.Concat(i32const(0), i32const(1), i32const(touched), []byte{0xfc, 11, 0})
	sp := spec(wasmModule{memory: []uint64{touched / pageBytes}, code: append(fill, opForEver...)}.bytes())
	sp.MemoryBytes, sp.Fuel, sp.Wall = touched, maxFuel, 2*time.Second*slowly()
	return sp
}

// TestKilledRunsAreMeasured: what a run used that was killed is what the whole of its worker used, whatever killed it and
// whoever stopped its processes.
func TestKilledRunsAreMeasured(t *testing.T) {
	late := func(f func(init, worker int)) func(*testing.T, *Spawner) func() {
		return func(t *testing.T, s *Spawner) func() {
			timer := time.AfterFunc(1600*time.Millisecond*slowly(), func() {
				if busy := workers(t, s, true); len(busy) == 1 {
					f(busy[0][0], busy[0][1])
				}
			})
			return func() { timer.Stop() }
		}
	}
	nothing := func(*testing.T, *Spawner) func() { return func() {} }
	for name, c := range map[string]struct {
		begin  func(*testing.T, *Spawner) func()
		cancel bool
		group  bool // only a control group knows
		reason string
	}{
		"wall limit":     {begin: nothing, reason: ReasonWall},
		"cancelled":      {begin: nothing, cancel: true},
		"worker stopped": {begin: late(func(_, w int) { _ = unix.Kill(w, unix.SIGSTOP) }), reason: ReasonWall},
		"init stopped":   {begin: late(func(i, _ int) { _ = unix.Kill(i, unix.SIGSTOP) }), reason: ReasonWall},
		"worker killed":  {begin: late(func(_, w int) { _ = unix.Kill(w, unix.SIGKILL) }), reason: ReasonWorker},
		"init killed":    {begin: late(func(i, _ int) { _ = unix.Kill(i, unix.SIGKILL) }), reason: ReasonWorker, group: true},
	} {
		t.Run(name, func(t *testing.T) {
			s, sp := newSpawner(t), spinner()
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			if c.cancel {
				defer time.AfterFunc(1600*time.Millisecond*slowly(), cancel).Stop()
			}
			defer c.begin(t, s)()
			o, err := s.Run(ctx, sp, nil)
			if o == nil || c.cancel != errors.Is(err, context.Canceled) || !c.cancel && err != nil {
				t.Fatal(o, err)
			}
			wantReason(t, o, c.reason)
			if c.group && strings.HasSuffix(o.Isolation, ";rlimit") {
				t.Skip("no control group here")
			}
			if o.Peak < touched || o.Peak > touched+workerOverhead {
				t.Errorf("peak of %d MiB for a guest that wrote to %d", o.Peak>>20, touched>>20)
			}
			// A busy machine gives it little. A group of version 1 counts no CPU time.
			if v1 := strings.HasSuffix(o.Isolation, "-v1"); !(c.group && v1) && (o.CPU < sp.Wall/8 || o.CPU > workerCores*sp.Wall) {
				t.Errorf("CPU time of %s for a guest that ran for %s", o.CPU, o.Wall)
			}
		})
	}
}

// TestReasonOfADeath: what a worker that left nothing died of.
func TestReasonOfADeath(t *testing.T) {
	for want, exits := range map[string][]exitReport{
		ReasonMemory: {{Code: codeFatal}, {Code: 128 + 9, OOM: true}, {Code: -1, OOM: true}},
		ReasonWall:   {{Code: 128 + 9, CPUNanos: int64(time.Minute)}},
		ReasonWorker: {{Code: codeConfine}, {Code: codeServed}, {Code: codeHeader}, {Code: codePanic}, {Code: 128 + 9}, {Code: -1}, {}},
	} {
		for _, exit := range exits {
			r := &run{spec: &Spec{Wall: 30 * time.Second}}
			if got, _ := r.reason(exit); got != want {
				t.Errorf("%+v: reason %q, want %q", exit, got, want)
			}
		}
	}
}

// TestRunsLeaveNothing: neither this process nor the spawner keeps anything of a run.
func TestRunsLeaveNothing(t *testing.T) {
	runs := 40
	if n, err := strconv.Atoi(os.Getenv("SANDBOX_RUNS")); err == nil {
		runs = n
	}
	s := pooled(t, 1)
	completes, cancelled := spec(writer("result", 8, 1)), spec(wasmModule{memory: []uint64{1}, code: opForEver}.bytes())
	var before [6]int
	for n := range runs {
		mustRun(t, s, completes)
		if n%8 == 0 {
			ctx, stop := context.WithTimeout(t.Context(), 60*time.Millisecond)
			if _, err := s.Run(ctx, cancelled, nil); !errors.Is(err, context.DeadlineExceeded) {
				t.Fatal(err)
			}
			stop()
		}
		if n == 10 {
			before = held(t, s)
		}
	}
	for i, after := range held(t, s) {
		what := []string{"descriptors", "the spawner's descriptors", "workers", "control groups", "MiB", "the spawner's MiB"}[i]
		if slack := []int{0, 0, 0, 0, 48, 16}[i]; after > before[i]+slack {
			t.Errorf("%s: %d after 10 runs, %d after %d", what, before[i], after, runs)
		}
	}
}

// held is what this process and the spawner hold while one unused worker waits.
func held(t *testing.T, s *Spawner) [6]int {
	t.Helper()
	time.Sleep(200 * time.Millisecond) // killed workers are swept, and a new one has come
	waitIdle(t, s, 1)
	pid := s.cmd.Process.Pid
	count := func(pattern string) int {
		all, err := filepath.Glob(pattern)
		if err != nil {
			t.Fatal(err)
		}
		return len(all)
	}
	resident := func(pid int) int {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
		f := strings.Fields(string(b))
		if err != nil || len(f) < 2 {
			t.Fatal(err)
		}
		pages, err := strconv.Atoi(f[1])
		if err != nil {
			t.Fatal(err)
		}
		return pages * os.Getpagesize() >> 20
	}
	own := ownCgroups()
	return [6]int{
		count("/proc/self/fd/*"), count(fmt.Sprintf("/proc/%d/fd/*", pid)), len(children(t, pid)),
		count(filepath.Join(cgroupRoot, "memory"+own["memory"], fmt.Sprintf("%s%d-*", cgroupPrefix, pid))),
		resident(os.Getpid()), resident(pid),
	}
}
