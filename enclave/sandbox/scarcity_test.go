// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// groupOf is the control group of a worker for a controller of version 1, or its group of version 2; "" if it has none.
func groupOf(t *testing.T, pid int, controller string) string {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/cgroup", pid))
	if err != nil {
		t.Error(err)
		return ""
	}
	for line := range strings.Lines(string(b)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if strings.Contains(f[2], cgroupPrefix) && (f[1] == controller || f[1] == "") {
			return filepath.Join(cgroupRoot, f[1], f[2])
		}
	}
	return ""
}

// TestOutOfMemoryInItsGroup: the kernel kills a worker that needs more than its control group has, all of it, and the run
// says why. The group's limit is lowered under the running worker, which then asks for its next page.
func TestOutOfMemoryInItsGroup(t *testing.T) {
	s := newSpawner(t)
	var init, worker int
	grouped := false
	o, err := during(t, s, 20*time.Second, func() {
		init, worker = workerPids(t, s)
		at := groupOf(t, worker, "memory")
		if grouped = at != ""; !grouped {
			_ = unix.Kill(init, unix.SIGKILL) // nothing to see here
			return
		}
		if setting(at, "memory.max", "65536") != nil { // version 2 kills at once
			for limit := 64 << 20; limit > 64<<10 && setting(at, "memory.limit_in_bytes", fmt.Sprint(limit)) == nil; limit -= 64 << 10 {
				continue // version 1 refuses less than is in use
			}
		}
	})
	if !grouped {
		t.Skip("no control group here")
	}
	if err != nil {
		t.Fatal(err)
	}
	if o.Reason != ReasonMemory && o.Reason != ReasonWall { // of version 1, a worker that needs no page goes on
		t.Errorf("reason %q (%s)", o.Reason, o.Detail)
	}
	wantDead(t, init, worker)
}

// TestOutOfMemoryWithoutGroup: where only the process's own limit stands, the runtime cannot go on, and the run says so: a
// guest cannot make its worker look broken.
func TestOutOfMemoryWithoutGroup(t *testing.T) {
	if raceEnabled || os.Getuid() != 0 {
		t.Skip("limits of another process are root's to lower, and the race detector has none")
	}
	s := newSpawner(t)
	sp := spec(slowModule(2000, 200, 50)) // so much that admitting it takes memory
	sp.Wall *= slowly()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for range 20_000 {
			if busy := workers(t, s, true); len(busy) == 1 {
				_ = unix.Prlimit(busy[0][1], unix.RLIMIT_DATA, &unix.Rlimit{Cur: 8 << 20, Max: 8 << 20}, nil)
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	o := mustRun(t, s, sp)
	<-done
	if o.Reason != ReasonMemory && o.Reason != ReasonModule {
		t.Errorf("reason %q (%s)", o.Reason, o.Detail)
	}
}

// TestOutOfPids: a worker that may start no further thread goes on with those it has or dies; the run ends either way.
func TestOutOfPids(t *testing.T) {
	s := newSpawner(t)
	var init, worker int
	grouped := false
	o, err := during(t, s, 2*time.Second, func() {
		init, worker = workerPids(t, s)
		at := groupOf(t, worker, "pids")
		if grouped = at != ""; grouped {
			if err := setting(at, "pids.max", "1"); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	wantDead(t, init, worker)
	if !grouped {
		t.Skip("no control group here")
	}
	// A worker that needs no further thread goes on to its wall limit; one that does dies of it.
	if !slices.Contains([]string{ReasonWall, ReasonMemory, ReasonWorker}, o.Reason) || len(o.Outputs) != 0 {
		t.Errorf("ended %q with %d outputs", o.Reason, len(o.Outputs))
	}
}

// TestOutOfProcesses: a user who may have no more processes gets no worker, and is told so, soon.
func TestOutOfProcesses(t *testing.T) {
	const marker, user = "OUT_OF_PROCESSES", 61111
	if os.Getenv(marker) == "" {
		if os.Getuid() != 0 {
			t.Skip("another user is root's to be")
		}
		out, err := again(t, t.Name(), func(c *exec.Cmd) {
			c.Env = append(os.Environ(), marker+"=1", "TMPDIR=/tmp")
			c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: user, Gid: user}}
		})
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	s, err := StartSpawner(Config{Pool: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if _, err := s.SelfTest(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := unix.Prlimit(s.cmd.Process.Pid, unix.RLIMIT_NPROC, &unix.Rlimit{Cur: 1, Max: 1}, nil); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := s.SelfTest(t.Context()); !errors.Is(err, ErrIsolation) && !errors.Is(err, ErrSpawner) {
		t.Errorf("self-test: %v", err)
	}
	if d := time.Since(began); d > startTimeout+5*time.Second {
		t.Errorf("took %s", d)
	}
}
