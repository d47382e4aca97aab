// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// children lists the processes that pid started.
func children(t testing.TB, pid int) (out []int) {
	t.Helper()
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", pid))
	for _, f := range tasks {
		b, _ := os.ReadFile(f)
		for _, w := range strings.Fields(string(b)) {
			n, err := strconv.Atoi(w)
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, n)
		}
	}
	return out
}

// workerPids finds the two processes of the only worker that has a job: its init and the worker proper.
func workerPids(t testing.TB, s *Spawner) (init, worker int) {
	t.Helper()
	busy := workers(t, s, true)
	if len(busy) != 1 {
		t.Fatalf("busy workers %v, want one", busy)
	}
	return busy[0][0], busy[0][1]
}

// workers lists the processes, init and worker, of the workers that have a job, or of those that have none yet. A worker
// with a job has lowered its own limits.
func workers(t testing.TB, s *Spawner, busy bool) (out [][2]int) {
	t.Helper()
	idle := fmt.Sprintf("Max cpu time              %d ", startLimits()[0].value)
	for _, init := range children(t, s.cmd.Process.Pid) {
		for _, worker := range children(t, init) {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", worker))
			if err == nil && strings.Contains(string(b), idle) != busy {
				out = append(out, [2]int{init, worker})
			}
		}
	}
	return out
}

// wantDead waits a moment for a process to be gone.
func wantDead(t testing.TB, pids ...int) {
	t.Helper()
	for _, pid := range pids {
		for i := 0; ; i++ {
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
			if err != nil || bytes.Contains(b, []byte(") Z ")) {
				break
			}
			if i == 500 {
				t.Fatalf("process %d still runs", pid)
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
}

// during runs the endless reader and calls f at its third read.
func during(t *testing.T, s *Spawner, wall time.Duration, f func()) (*Outcome, error) {
	t.Helper()
	sp := readerSpec()
	sp.Wall = wall * slowly()
	reads := 0
	return s.Run(t.Context(), sp, hookData(func(_ context.Context, p []byte) (int, error) {
		if reads++; reads == 3 {
			f()
		}
		return len(p), nil
	}))
}

// TestStoppedWorker: a worker that is frozen from outside ends at the wall limit.
func TestStoppedWorker(t *testing.T) {
	for name, pick := range map[string]func(init, worker int) int{
		"worker": func(_, w int) int { return w },
		"init":   func(i, _ int) int { return i },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSpawner(t)
			var init, worker int
			o, err := during(t, s, 2*time.Second, func() {
				init, worker = workerPids(t, s)
				_ = unix.Kill(pick(init, worker), unix.SIGSTOP)
			})
			if err != nil {
				t.Fatal(err)
			}
			wantReason(t, o, ReasonWall)
			wantDead(t, init, worker)
		})
	}
}

// TestKilledWorker: whatever dies of a worker, all of it dies, and the run has a reason.
func TestKilledWorker(t *testing.T) {
	for name, pick := range map[string]func(init, worker int) int{
		"worker": func(_, w int) int { return w },
		"init":   func(i, _ int) int { return i },
	} {
		t.Run(name, func(t *testing.T) {
			s := newSpawner(t)
			var init, worker int
			o, err := during(t, s, 20*time.Second, func() {
				init, worker = workerPids(t, s)
				_ = unix.Kill(pick(init, worker), unix.SIGKILL)
			})
			if err != nil {
				t.Fatal(err)
			}
			wantReason(t, o, ReasonWorker)
			wantDead(t, init, worker)
		})
	}
}

// TestKilledSpawner: no worker survives its spawner, and the enclave learns that it must not serve on.
func TestKilledSpawner(t *testing.T) {
	s := newSpawner(t)
	var init, worker int
	o, err := during(t, s, 20*time.Second, func() {
		init, worker = workerPids(t, s)
		_ = s.cmd.Process.Kill()
		wantDead(t, init, worker) // before the enclave has done anything about it
	})
	if !errors.Is(err, ErrSpawner) || o == nil || len(o.Outputs) != 0 {
		t.Errorf("outcome %+v, err %v; want ErrSpawner", o, err)
	}
	wantDead(t, init, worker)
	s.Close()
	if _, err := newSpawner(t).SelfTest(t.Context()); err != nil { // the next one sweeps up
		t.Error(err)
	}
	wantNoCgroups(t, s)
	if _, err := s.Run(t.Context(), readerSpec(), memData{}); !errors.Is(err, ErrSpawner) {
		t.Errorf("next run: %v, want ErrSpawner", err)
	}
	if _, err := s.SelfTest(t.Context()); !errors.Is(err, ErrSpawner) {
		t.Errorf("self-test: %v, want ErrSpawner", err)
	}
}

// TestEnclaveGone: when the enclave's end of the socket closes, as it does when the enclave dies, everything ends.
func TestEnclaveGone(t *testing.T) {
	s := newSpawner(t)
	var init, worker int
	_, err := during(t, s, 20*time.Second, func() {
		init, worker = workerPids(t, s)
		go s.Close()
		wantDead(t, init, worker, s.cmd.Process.Pid)
	})
	if !errors.Is(err, ErrSpawner) {
		t.Errorf("err = %v, want ErrSpawner", err)
	}
	wantNoCgroups(t, s)
}

// wantNoCgroups: nothing is left of the control groups of a spawner that ended.
func wantNoCgroups(t testing.TB, s *Spawner) {
	t.Helper()
	own := ownCgroups()
	for _, parent := range []string{own[""], strings.TrimSuffix(own[""], enclaveGroup), "memory" + own["memory"], "pids" + own["pids"]} {
		at := filepath.Join(cgroupRoot, parent, cgroupPrefix+strconv.Itoa(s.cmd.Process.Pid)+"-*")
		if left, _ := filepath.Glob(at); len(left) != 0 {
			t.Errorf("control groups left: %v", left)
		}
	}
}

func TestWorkersSideBySide(t *testing.T) {
	s := newSpawner(t)
	errs := make(chan error)
	for range 4 {
		go func() {
			o, err := s.Run(t.Context(), spec(writer("result", 8, 1)), nil)
			if err == nil && (o.Reason != ReasonNone || len(o.Outputs) != 1) {
				err = fmt.Errorf("%+v", o)
			}
			errs <- err
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if left := workers(t, s, true); len(left) != 0 {
		t.Errorf("workers left: %v", left)
	}
}

// TestCanary: plaintext is in the worker while it runs and, once it is dead, in no file, no log and no other process
// than the enclave, which this test is.
func TestCanary(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	s := newSpawner(t)
	canary := fmt.Sprintf("canary-%d-%d", os.Getpid(), time.Now().UnixNano())
	needle := []byte(canary)
	sp := readerSpec()
	sp.Wall = 20 * time.Second
	stop := errors.New("stop")
	var init, worker, reads int
	_, err := s.Run(t.Context(), sp, hookData(func(_ context.Context, p []byte) (int, error) {
		copy(p, canary)
		if reads++; reads < 5 {
			return len(p), nil
		}
		init, worker = workerPids(t, s)
		if os.Getuid() == 0 {
			if !inMemory(t, worker, needle) {
				t.Error("the worker does not hold the canary: this test looks in the wrong place")
			}
			for _, pid := range []int{init, s.cmd.Process.Pid} {
				if inMemory(t, pid, needle) {
					t.Errorf("process %d holds plaintext", pid)
				}
			}
			wantNoFilesMapped(t, worker)
		}
		return 0, stop
	}))
	if !errors.Is(err, stop) {
		t.Fatal(err)
	}
	wantDead(t, init, worker)
	if os.Getuid() == 0 && inMemory(t, s.cmd.Process.Pid, needle) {
		t.Error("the spawner holds plaintext")
	}
	wantNowhere(t, tmp, needle)
	wantNowhere(t, ".", needle)
	wantNowhere(t, "/dev/shm", needle)
}

// inMemory searches the writable memory of a process.
func inMemory(t *testing.T, pid int, needle []byte) bool {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	mem, err := os.Open(fmt.Sprintf("/proc/%d/mem", pid))
	if err != nil {
		t.Fatal(err)
	}
	defer mem.Close()
	buf := make([]byte, 1<<20)
	for line := range strings.Lines(string(maps)) {
		var from, to int64
		var mode string
		if n, _ := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); n != 3 || !strings.HasPrefix(mode, "rw") || to-from > 1<<30 {
			continue
		}
		for at := from; at < to; at += int64(len(buf)) - int64(len(needle)) {
			n, err := mem.ReadAt(buf[:min(int64(len(buf)), to-at)], at)
			if bytes.Contains(buf[:n], needle) {
				return true
			}
			if err != nil || at+int64(n) >= to {
				break
			}
		}
	}
	return false
}

// wantNoFilesMapped: nothing a worker writes to is backed by a file, and it has no descriptor but pipes.
func wantNoFilesMapped(t *testing.T, pid int) {
	t.Helper()
	maps, err := os.ReadFile(fmt.Sprintf("/proc/%d/maps", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(maps)) {
		f := strings.Fields(line)
		if len(f) > 1 && f[1][1] == 'w' && f[1][3] == 's' {
			t.Errorf("shared writable mapping: %s", line)
		}
	}
	fds, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", pid))
	if err != nil || len(fds) != 5 {
		t.Errorf("%d descriptors (%v), want the three pipes and the poller's two", len(fds), err)
	}
	for _, fd := range fds {
		to, _ := os.Readlink(fmt.Sprintf("/proc/%d/fd/%s", pid, fd.Name()))
		if !strings.HasPrefix(to, "pipe:") && to != "anon_inode:[eventpoll]" && to != "anon_inode:[eventfd]" {
			t.Errorf("descriptor %s is %s", fd.Name(), to)
		}
	}
}

// wantNowhere searches the regular files below dir.
func wantNowhere(t *testing.T, dir string, needle []byte) {
	t.Helper()
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		b, err := os.ReadFile(p)
		if err == nil && bytes.Contains(b, needle) {
			t.Errorf("plaintext in %s", p)
		}
		return nil
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestSelfTest(t *testing.T) {
	s := newSpawner(t)
	a, err := s.SelfTest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.SelfTest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	da, err := a.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if db, err := b.Digest(); err != nil || da != db || da.IsZero() {
		t.Errorf("two self-tests, digests %s and %s (%v)", da, db, err)
	}
	tried := map[string]string{}
	for _, at := range a.Attempts {
		if _, twice := tried[at.Try]; twice {
			t.Errorf("%s is tried twice", at.Try)
		}
		tried[at.Try] = at.Result
	}
	for try, want := range map[string]string{
		"socket of family 40 AF_VSOCK": "EPERM", "unshare user namespace": "EPERM", "make a directory": "EROFS",
		"clone user namespace": "EPERM", "clone process": "EPERM", "clone3": "ENOSYS", "call as x32": "ENOSYS",
		"any system call not listed": "EPERM", "see the machine's name": "nothing there", "write the window": "EACCES",
	} {
		if tried[try] != want {
			t.Errorf("%s: %q, want %s", try, tried[try], want)
		}
	}
}

// TestSelfTestFailsClosed: an attempt that was not refused, or not made, is an error.
func TestSelfTestFailsClosed(t *testing.T) {
	full := SelfTest{Isolation: namespaceStamp + ";seccomp;landlock-6;rlimit"}
	for _, name := range attemptNames() {
		full.Attempts = append(full.Attempts, Attempt{Try: name, Result: "EPERM", Refused: true})
	}
	if err := full.judge(); err != nil {
		t.Fatal(err)
	}
	if err := (SelfTest{Isolation: full.Isolation}).judge(); !errors.Is(err, ErrSelfTest) {
		t.Errorf("empty self-test: %v", err)
	}
	for i := range full.Attempts {
		allowed := SelfTest{full.Isolation, slices.Clone(full.Attempts)}
		for _, result := range []string{"succeeded", notOffered} {
			allowed.Attempts[i].Refused, allowed.Attempts[i].Result = false, result
			if err := allowed.judge(); !errors.Is(err, ErrSelfTest) || !strings.Contains(err.Error(), full.Attempts[i].Try) {
				t.Errorf("%s %s: err = %v", full.Attempts[i].Try, result, err)
			}
		}
		missing := SelfTest{full.Isolation, slices.Delete(slices.Clone(full.Attempts), i, i+1)}
		if err := missing.judge(); !errors.Is(err, ErrSelfTest) {
			t.Errorf("%s not tried: err = %v", full.Attempts[i].Try, err)
		}
	}
}

// TestSelfTestWithoutLandlock: on a kernel that lacks a version of it, what only that would refuse is not tried, and the
// stamp says so. A stamp that claims more, or is not one, does not pass.
func TestSelfTestWithoutLandlock(t *testing.T) {
	for stamp, excused := range map[string]bool{"no-landlock": true, "landlock-3": true, "landlock-6": false, "landlock-99": false, "": false} {
		st := SelfTest{Isolation: namespaceStamp + ";seccomp;" + stamp + ";rlimit"}
		for i, name := range attemptNames() {
			a := Attempt{Try: name, Result: "EPERM", Refused: true}
			if i < len(layers) && layers[i].landlock > 3 || stamp == noLandlock && i < len(layers) && layers[i].landlock > 0 {
				a.Result, a.Refused = notOffered, false
			}
			st.Attempts = append(st.Attempts, a)
		}
		if err := st.judge(); (err == nil) != excused || err != nil && !errors.Is(err, ErrSelfTest) {
			t.Errorf("stamp %q: %v", stamp, err)
		}
	}
}

// TestEscapesSucceedOutside: the attempts are real. In this process, which is in no jail, some of them work.
func TestEscapesSucceedOutside(t *testing.T) {
	confined.kept = nil
	for _, name := range []string{
		"socket of family 2 AF_INET", "socket of family 1 AF_UNIX", "open /etc/passwd", "open /proc/self/mem", "see an environment, still",
		"hold a descriptor beside the pipes and the guest's memory", "clone process in new namespaces", "clone process", "clone3", "write and execute memory",
		"share memory", "run without a filter", "any system call not listed", "read the clock of process 1",
	} {
		if attempt(t, name) != nil {
			t.Errorf("%s: held back outside the jail, so it shows nothing inside", name)
		}
	}
	outside, err := ownNamespaces()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range layers {
		switch l.name {
		case "become another user", "become another group", "trace process 1", "hold a capability":
			continue // a matter of who runs this
		}
		if strings.HasPrefix(l.name, "raise the limit") || strings.HasPrefix(l.name, "leave") || l.name == "make a directory" {
			continue // this must not be done here
		}
		if err := l.try(&surroundings{outside: outside, inside: outside}); err != nil {
			t.Errorf("%s: held back outside the jail (%v), so it shows nothing inside", l.name, err)
		}
	}
}

// again runs one test of this binary in another process, changed by f.
func again(t *testing.T, test string, f func(*exec.Cmd)) (string, error) {
	t.Helper()
	cmd := exec.Command(selfExe, "-test.run=^("+test+")$", "-test.v", "-test.count=1")
	cmd.Dir = "/"
	f(cmd)
	b, err := cmd.CombinedOutput()
	return string(b), err
}

// TestOrdinaryUser: everything works without root; the stamp says what stood in for the control group.
func TestOrdinaryUser(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("this test run is an ordinary user's already")
	}
	out, err := again(t, "TestSelfTest|TestGuestTraps|TestGuestLoopsForEver|TestGuestAllocatesWithoutEnd|TestGuestWritesTooMuch|TestStoppedWorker|TestIsolationStamp", func(c *exec.Cmd) {
		c.Env = append(os.Environ(), "TMPDIR=/tmp", "WANT_STAMP=rlimit")
		c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 65534, Gid: 65534}}
	})
	if err != nil || strings.Count(out, "\n--- PASS") != 7 {
		t.Errorf("as user 65534: %v\n%s", err, out)
	}
}

func TestIsolationStamp(t *testing.T) {
	st, err := newSpawner(t).SelfTest(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := regexp.MatchString(`^user,pid,net,mnt,ipc,uts;seccomp;(landlock-[1-9]|no-landlock);(cgroup-v[12]|rlimit)$`, st.Isolation); err != nil || !ok {
		t.Errorf("isolation %q", st.Isolation)
	}
	limit := st.Isolation[strings.LastIndexByte(st.Isolation, ';')+1:]
	if want := os.Getenv("WANT_LANDLOCK"); want != "" && !strings.Contains(st.Isolation, ";"+want+";") {
		t.Errorf("isolation %q, want %s", st.Isolation, want)
	}
	if want := os.Getenv("WANT_STAMP"); want != "" && limit != want {
		t.Errorf("isolation %q, want %s", st.Isolation, want)
	}
}

// TestUserNamespacesForbidden: where the kernel gives no namespaces there is no worker, and the error says what to ask
// for. The outer process is a namespace in which the switch is off.
func TestUserNamespacesForbidden(t *testing.T) {
	const marker = "FORBID_NAMESPACES"
	if os.Getenv(marker) == "" {
		out, err := again(t, t.Name(), func(c *exec.Cmd) {
			c.Env = append(os.Environ(), marker+"=1")
			c.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  syscall.CLONE_NEWUSER,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
			}
		})
		if err != nil {
			t.Errorf("%v\n%s", err, out)
		}
		return
	}
	if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
		t.Fatal(err)
	}
	wantNoWorker(t)
}

// TestContainerRoot: root of a container that maps one user cannot become nobody, and need not.
func TestContainerRoot(t *testing.T) {
	out, err := again(t, "TestSelfTest", func(c *exec.Cmd) {
		c.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	})
	if err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestReasonsAreThoseOfTheStatement(t *testing.T) {
	for ours, theirs := range map[string]string{
		ReasonNone: usage.ReasonNone, ReasonTrap: usage.ReasonTrap, ReasonWall: usage.ReasonWall, ReasonMemory: usage.ReasonMemory, ReasonFuel: usage.ReasonFuel,
		ReasonOutput: usage.ReasonOutput, ReasonModule: usage.ReasonModule, ReasonWorker: usage.ReasonWorker,
	} {
		if ours != theirs {
			t.Errorf("%q is %q in the statement", ours, theirs)
		}
	}
}

// TestLimitsAreThoseOfTheJob: what a job may ask for, a worker may be started with.
func TestLimitsAreThoseOfTheJob(t *testing.T) {
	for name, l := range map[string]struct{ ours, jobs int64 }{
		"output": {maxOutput, job.MaxOutput},
		"memory": {maxMemory, job.MaxMemory},
		"fuel":   {maxFuel, job.MaxAmount},
	} {
		if l.ours != l.jobs {
			t.Errorf("%s: at most %d here, %d in a job", name, l.ours, l.jobs)
		}
	}
	if maxOutputs < job.MaxOutputs || maxParams < job.MaxParams || maxParam < job.MaxParam || maxWall < job.MaxWall*time.Second {
		t.Error("a job may ask for more than a worker is given")
	}
}

// TestSpawnerKeepsNothing: descriptors that an enclave holds do not reach the spawner.
func TestSpawnerKeepsNothing(t *testing.T) {
	secret, err := os.Open("/etc/hostname")
	if err != nil {
		t.Skip(err)
	}
	defer secret.Close()
	s := newSpawner(t)
	if _, err := s.SelfTest(t.Context()); err != nil { // so that it is up
		t.Fatal(err)
	}
	fds, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds {
		if to, _ := os.Readlink(fd); strings.HasPrefix(to, "/etc") {
			t.Errorf("spawner holds %s", to)
		}
	}
	env, _ := os.ReadFile(fmt.Sprintf("/proc/%d/environ", s.cmd.Process.Pid))
	if len(env) != 0 {
		t.Errorf("spawner has an environment: %q", env)
	}
	runtime.KeepAlive(secret)
}
