// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// pooled is a spawner with this many unused workers, once they are there.
func pooled(t testing.TB, size int) *Spawner {
	t.Helper()
	s, err := StartSpawner(Config{Pool: size})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		s.Close()
		wantNoCgroups(t, s)
	})
	waitIdle(t, s, max(size, 0))
	return s
}

// waitIdle waits until the pool is full and returns it.
func waitIdle(t testing.TB, s *Spawner, size int) [][2]int {
	t.Helper()
	for range 3000 {
		if idle := workers(t, s, false); len(idle) == size && confinedAll(idle) {
			return idle
		}
		time.Sleep(2 * time.Millisecond)
	}
	t.Fatalf("unused workers: %v, want %d", workers(t, s, false), size)
	return nil
}

// confinedAll looks whether the workers have their filter, which comes last.
func confinedAll(all [][2]int) bool {
	return !slices.ContainsFunc(all, func(w [2]int) bool {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", w[1]))
		return err != nil || !bytes.Contains(b, []byte("Seccomp:\t2"))
	})
}

// TestPool: a job gets a worker that was there before it, no other job gets that one, and another takes its place.
func TestPool(t *testing.T) {
	s := pooled(t, 2)
	used := map[int]bool{}
	for range 3 {
		before := waitIdle(t, s, 2)
		_, err := during(t, s, 2*time.Second, func() {
			_, worker := workerPids(t, s)
			if !slices.ContainsFunc(before, func(w [2]int) bool { return w[1] == worker }) {
				t.Errorf("worker %d was not in the pool %v", worker, before)
			}
			if used[worker] {
				t.Errorf("worker %d has its second job", worker)
			}
			used[worker] = true
			wantLimits(t, worker)
			wantGroupLimit(t, worker)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}

// wantGroupLimit: a pooled worker's control group has the limit of the job it was given.
func wantGroupLimit(t *testing.T, worker int) {
	t.Helper()
	groups, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", worker))
	if err != nil {
		t.Fatal(err)
	}
	sp := readerSpec()
	want := strconv.FormatInt(workerMemory(sp.MemoryBytes, sp.OutputBytes), 10)
	for line := range strings.Lines(string(groups)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if !strings.Contains(f[2], cgroupPrefix) || f[1] == "pids" {
			continue
		}
		at, file := filepath.Join(cgroupRoot, f[1], f[2]), "memory.limit_in_bytes"
		if f[1] == "" {
			file = "memory.max"
		}
		if b, err := os.ReadFile(filepath.Join(at, file)); err != nil || strings.TrimSpace(string(b)) != want {
			t.Errorf("%s is %s (%v), want %s", file, b, err, want)
		}
		return
	}
	if os.Getenv("WANT_STAMP") == "" && os.Getuid() == 0 {
		t.Logf("no control group: %s", groups)
	}
}

// TestUnusedWorkerDies: a run right after gets a living one, and a worker that lived for a while is replaced at once.
func TestUnusedWorkerDies(t *testing.T) {
	for name, pick := range map[string]int{"init": 0, "worker": 1} {
		t.Run(name, func(t *testing.T) {
			s := pooled(t, 1)
			dead := waitIdle(t, s, 1)[0]
			_ = unix.Kill(dead[pick], unix.SIGKILL)
			wantReaped(t, dead[0])
			wantReason(t, mustRun(t, s, spec(writer("result", 8, 1))), ReasonNone)

			time.Sleep(1100 * time.Millisecond)
			dead = waitIdle(t, s, 1)[0]
			_ = unix.Kill(dead[pick], unix.SIGKILL)
			wantReaped(t, dead[0])
			if next := waitIdle(t, s, 1)[0]; next == dead {
				t.Errorf("worker %v is dead and in the pool", next)
			}
		})
	}
}

// wantReaped waits until the spawner has noticed a death.
func wantReaped(t testing.TB, pid int) {
	t.Helper()
	for range 1000 {
		if _, err := os.Stat(fmt.Sprintf("/proc/%d", pid)); err != nil {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("process %d is not reaped", pid)
}

// TestAliveUnderSignals: a signal at the wrong moment does not make the spawner forget a worker that lives.
func TestAliveUnderSignals(t *testing.T) {
	pidfd, err := unix.PidfdOpen(os.Getpid(), 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pidfd)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	j, done, me := &jail{ends: []int{pidfd}}, make(chan struct{}), unix.Gettid()
	defer close(done)
	go func() {
		for {
			select {
			case <-done:
				return
			default:
				_ = unix.Tgkill(os.Getpid(), me, unix.SIGURG)
			}
		}
	}()
	for range 50_000 {
		if !j.alive() {
			t.Fatal("said to be dead")
		}
	}
}

func mustRun(t *testing.T, s *Spawner, sp Spec) *Outcome {
	t.Helper()
	o, err := s.Run(t.Context(), sp, nil)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// TestUnusedWorkerStopped: a frozen worker of the pool answers nobody; the job ends at its wall limit and the next has
// another worker.
func TestUnusedWorkerStopped(t *testing.T) {
	s := pooled(t, 1)
	_ = unix.Kill(waitIdle(t, s, 1)[0][1], unix.SIGSTOP)
	sp := spec(writer("result", 8, 1))
	sp.Wall = time.Second
	wantReason(t, mustRun(t, s, sp), ReasonWall)
	wantReason(t, mustRun(t, s, spec(writer("result", 8, 1))), ReasonNone)
}

// TestPoolEnds: unused workers end with the spawner, however it ends.
func TestPoolEnds(t *testing.T) {
	for name, end := range map[string]func(s *Spawner){
		"closed":         func(s *Spawner) { s.Close() },
		"spawner killed": func(s *Spawner) { _ = s.cmd.Process.Kill() },
		"enclave gone":   func(s *Spawner) { _ = unix.Shutdown(s.sock, unix.SHUT_RDWR) },
	} {
		t.Run(name, func(t *testing.T) {
			s, err := StartSpawner(Config{Pool: 3})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			idle := waitIdle(t, s, 3)
			end(s)
			for _, w := range idle {
				wantDead(t, w[0], w[1])
			}
		})
	}
	if _, err := newSpawner(t).SelfTest(t.Context()); err != nil { // sweeps up after the killed one
		t.Error(err)
	}
}

// TestNoPool: without a pool there is a worker when one is asked for.
func TestNoPool(t *testing.T) {
	s := pooled(t, -1)
	wantReason(t, mustRun(t, s, spec(writer("result", 8, 1))), ReasonNone)
	time.Sleep(50 * time.Millisecond)
	if idle := workers(t, s, false); len(idle) != 0 {
		t.Errorf("unused workers %v", idle)
	}
}

// TestUnusedWorkersAreCheap: a pool costs no CPU time and little memory.
func TestUnusedWorkersAreCheap(t *testing.T) {
	s := pooled(t, 2)
	time.Sleep(200 * time.Millisecond) // what starting leaves behind
	pids := append(slices.Concat(idlePids(t, s)...), s.cmd.Process.Pid)
	before := cpuOf(t, pids)
	time.Sleep(2 * time.Second)
	if used := cpuOf(t, pids) - before; used > 50*time.Millisecond {
		t.Errorf("two unused workers and their spawner used %s of CPU time in two seconds", used)
	}
	for _, pid := range pids[:4] {
		private := privateBytes(t, pid)
		t.Logf("process %d: %d KiB of its own", pid, private>>10)
		if private > 64<<20 && !raceEnabled {
			t.Errorf("an unused worker's process holds %d bytes", private)
		}
	}
}

func idlePids(t testing.TB, s *Spawner) (all [][]int) {
	t.Helper()
	for _, w := range workers(t, s, false) {
		all = append(all, w[:])
	}
	return all
}

// cpuOf sums the CPU time of processes.
func cpuOf(t testing.TB, pids []int) (sum time.Duration) {
	t.Helper()
	for _, pid := range pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			t.Fatal(err)
		}
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:]))
		for _, v := range f[11:13] { // utime and stime, in hundredths of a second
			n, err := strconv.Atoi(v)
			if err != nil {
				t.Fatal(err)
			}
			sum += time.Duration(n) * 10 * time.Millisecond
		}
	}
	return sum
}

// privateBytes is the memory that only this process holds.
func privateBytes(t testing.TB, pid int) (sum int64) {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(b)) {
		var n int64
		if _, err := fmt.Sscanf(line, "RssAnon: %d kB", &n); err == nil {
			sum += n << 10
		}
	}
	return sum
}

// BenchmarkWorkerStart is the time from asking for a worker to having one that is confined and waits for its job.
func BenchmarkWorkerStart(b *testing.B) {
	for name, size := range map[string]int{"cold": -1, "warm": 1} {
		b.Run(name, func(b *testing.B) {
			s := pooled(b, size)
			q := startRequest{MemoryBytes: 64 << 20, OutputBytes: 1 << 20}
			for b.Loop() {
				b.StopTimer()
				waitIdle(b, s, max(size, 0))
				b.StartTimer()
				p, err := s.start(b.Context(), q)
				if err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				p.close()
				<-p.exit
				b.StartTimer()
			}
		})
	}
}
