// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// verdict runs a filter on one call, as the kernel does.
func verdict(t *testing.T, p []unix.SockFilter, arch, nr uint32, args ...uint32) uint32 {
	t.Helper()
	data := map[uint32]uint32{dataNumber: nr, dataArch: arch}
	for i := range uint32(6) {
		data[dataArgs+8*i] = 0
	}
	for i, v := range args {
		data[dataArgs+8*uint32(i)] = v
	}
	var a uint32
	for pc := 0; pc < len(p); pc++ {
		in, taken := p[pc], false
		switch in.Code {
		case unix.BPF_LD | unix.BPF_W | unix.BPF_ABS:
			v, ok := data[in.K]
			if !ok {
				t.Fatalf("load at %d", in.K)
			}
			a = v
			continue
		case unix.BPF_ALU | unix.BPF_AND | unix.BPF_K:
			a &= in.K
			continue
		case unix.BPF_RET | unix.BPF_K:
			return in.K
		case unix.BPF_JMP | unix.BPF_JA:
			pc += int(in.K)
			continue
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			taken = a == in.K
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			taken = a >= in.K
		default:
			t.Fatalf("instruction %#x", in.Code)
		}
		if pc += int(in.Jf); taken {
			pc += int(in.Jt) - int(in.Jf)
		}
	}
	t.Fatal("no answer")
	return 0
}

const testPid = 7

// expected is every call that a worker may make, with arguments that pass. It is written out here again, so that nothing
// comes into the filter unnoticed.
var expected = map[uint32][]uint32{
	unix.SYS_READ: nil, unix.SYS_WRITE: nil, unix.SYS_CLOSE: nil,
	unix.SYS_MUNMAP: nil, unix.SYS_NANOSLEEP: nil, unix.SYS_SCHED_YIELD: nil, unix.SYS_RESTART_SYSCALL: nil,
	unix.SYS_EPOLL_PWAIT: nil, unix.SYS_EPOLL_CTL: nil, unix.SYS_GETRANDOM: nil,
	unix.SYS_RT_SIGACTION: nil, unix.SYS_RT_SIGPROCMASK: nil, unix.SYS_RT_SIGRETURN: nil, unix.SYS_SIGALTSTACK: nil,
	unix.SYS_GETPID: nil, unix.SYS_GETTID: nil, unix.SYS_EXIT: nil, unix.SYS_EXIT_GROUP: nil,
	unix.SYS_FUTEX:             {0, 128},
	unix.SYS_MADVISE:           {0, 0, unix.MADV_DONTNEED},
	unix.SYS_TGKILL:            {testPid, 8, uint32(unix.SIGURG)},
	unix.SYS_CLOCK_GETTIME:     {unix.CLOCK_PROCESS_CPUTIME_ID},
	unix.SYS_MMAP:              {0, 4096, unix.PROT_READ | unix.PROT_WRITE, unix.MAP_PRIVATE | unix.MAP_ANONYMOUS, allBits},
	unix.SYS_LSEEK:             {9, 0, unix.SEEK_DATA},
	unix.SYS_FSTAT:             {9},
	unix.SYS_FTRUNCATE:         {9},
	unix.SYS_MPROTECT:          {0, 4096, unix.PROT_READ | unix.PROT_EXEC},
	unix.SYS_CLONE:             {threadFlags},
	unix.SYS_SCHED_GETAFFINITY: {0},
	unix.SYS_FCNTL:             {3, unix.F_GETFL},
	unix.SYS_PRLIMIT64:         {0, unix.RLIMIT_CPU},
	unix.SYS_PRCTL:             {unix.PR_SET_VMA},
}

// TestFilterProgram gives every number to the filter. It compares for equality only below foreignNumbers, so numbers far
// from those it names cannot differ; a random sample of them is tried all the same.
func TestFilterProgram(t *testing.T) {
	p := filterProgram(testPid)
	try := func(nr uint32) {
		args, ok := expected[nr]
		want := answerRefuse
		switch {
		case nr >= foreignNumbers, nr == unix.SYS_CLONE3:
			want = answerMissing
		case ok:
			want = answerAllow
		case cgoEnabled && (nr == unix.SYS_SET_ROBUST_LIST || nr == unix.SYS_RSEQ):
			want = answerAllow
		}
		if got := verdict(t, p, auditArch, nr, args...); got != want {
			t.Errorf("call %d: %#x, want %#x", nr, got, want)
		}
		for _, arch := range []uint32{unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_ARM, 0} {
			if got := verdict(t, p, arch, nr, args...); got != answerMissing {
				t.Fatalf("call %d of architecture %#x: %#x", nr, arch, got)
			}
		}
	}
	for nr := range uint32(1 << 12) {
		try(nr)
	}
	for nr := range expected {
		try(nr | foreignNumbers) // x32
	}
	for bit := uint32(1); bit != 0; bit <<= 1 {
		try(bit)
		try(bit - 1)
	}
	for range 1 << 16 {
		try(rand.Uint32() | 1<<12)
	}
	if len(p) > unix.BPF_MAXINSNS {
		t.Errorf("%d instructions", len(p))
	}
}

// TestFilterArguments: of calls with checked arguments, only what the runtime and the engine use passes.
func TestFilterArguments(t *testing.T) {
	const (
		rw, rwx   = unix.PROT_READ | unix.PROT_WRITE, unix.PROT_READ | unix.PROT_WRITE | unix.PROT_EXEC
		anonymous = unix.MAP_PRIVATE | unix.MAP_ANONYMOUS
	)
	type args []uint32
	calls := map[uint32]struct{ allow, refuse []args }{
		unix.SYS_FUTEX: {
			[]args{{0, 0}, {0, 1}, {0, 128}, {0, 129}, {0, 128 | 9}, {0, 128 | 256 | 9}},
			[]args{{0, 6}, {0, 128 | 6}, {0, 3}, {0, 4}, {0, 5}, {0, 11}, {0, 12}, {0, 512}, {0, allBits}},
		},
		unix.SYS_MMAP: {
			[]args{
				{0, 1, rw, anonymous},
				{0, 1, 0, anonymous | unix.MAP_NORESERVE},
				{0, 1, rw, anonymous | unix.MAP_FIXED},
				{0, 1, unix.PROT_READ, anonymous | unix.MAP_STACK},
				{0, 1, rw, unix.MAP_SHARED, 9},
				{0, 1, rw, unix.MAP_PRIVATE | unix.MAP_FIXED | unix.MAP_NORESERVE, 9},
			},
			[]args{
				{0, 1, rw, unix.MAP_SHARED | unix.MAP_ANONYMOUS},
				{0, 1, rw, unix.MAP_SHARED_VALIDATE | unix.MAP_ANONYMOUS},
				{0, 1, rw, unix.MAP_PRIVATE},
				{0, 1, unix.PROT_READ, unix.MAP_SHARED},
				{0, 1, rw, unix.MAP_SHARED},
				{0, 1, rw, unix.MAP_SHARED, fdDown},
				{0, 1, rw, unix.MAP_SHARED, fdWindow},
				{0, 1, rw, unix.MAP_SHARED, allBits},
				{0, 1, rw, unix.MAP_SHARED | unix.MAP_ANONYMOUS, 9},
				{0, 1, rw, unix.MAP_SHARED | unix.MAP_HUGETLB, 9},
				{0, 1, rw, unix.MAP_SHARED | unix.MAP_LOCKED, 9},
				{0, 1, rw, unix.MAP_SHARED_VALIDATE, 9},
				{0, 1, rwx, unix.MAP_SHARED, 9},
				{0, 1, unix.PROT_READ | unix.PROT_EXEC, unix.MAP_SHARED, 9},
				{0, 1, unix.PROT_READ | unix.PROT_EXEC, unix.MAP_PRIVATE | unix.MAP_FIXED | unix.MAP_NORESERVE, 9},
				{0, 1, rw, unix.MAP_PRIVATE | unix.MAP_FIXED | unix.MAP_NORESERVE, fdOut},
				{0, 1, rwx, anonymous},
				{0, 1, unix.PROT_EXEC, anonymous},
				{0, 1, unix.PROT_READ | unix.PROT_EXEC, anonymous},
				{0, 1, rw | unix.PROT_GROWSDOWN, anonymous},
			},
		},
		unix.SYS_LSEEK: {
			[]args{{9, 0, unix.SEEK_DATA}, {9, 1 << 20, unix.SEEK_HOLE}},
			[]args{{9, 0, unix.SEEK_SET}, {9, 0, unix.SEEK_CUR}, {9, 0, unix.SEEK_END}, {fdDown, 0, unix.SEEK_DATA}, {allBits, 0, unix.SEEK_DATA}},
		},
		unix.SYS_FSTAT:     {[]args{{9}}, []args{{0}, {fdDown}, {fdOut}, {allBits}}},
		unix.SYS_FTRUNCATE: {[]args{{9, 1}}, []args{{0}, {fdDown}, {fdWindow}, {allBits}}},
		unix.SYS_MPROTECT: {
			[]args{{0, 1, 0}, {0, 1, unix.PROT_READ}, {0, 1, rw}, {0, 1, unix.PROT_READ | unix.PROT_EXEC}},
			[]args{{0, 1, rwx}, {0, 1, unix.PROT_WRITE | unix.PROT_EXEC}, {0, 1, unix.PROT_EXEC}, {0, 1, rw | unix.PROT_GROWSUP}},
		},
		unix.SYS_CLONE: {
			[]args{{threadFlags}},
			[]args{{0}, {uint32(unix.SIGCHLD)}, {unix.CLONE_VM | unix.CLONE_VFORK | uint32(unix.SIGCHLD)}, {threadFlags &^ unix.CLONE_THREAD}},
		},
		unix.SYS_TGKILL:            {[]args{{testPid, 1, 9}}, []args{{1, 1, 0}, {0, 1, 9}, {allBits, 1, 9}, {testPid + 1, 1, 0}}},
		unix.SYS_CLOCK_GETTIME:     {[]args{{0}, {1}, {2}, {7}}, []args{{12}, {allBits}, {uint32(clockOfProcess1 & allBits)}, {1 << 31}}},
		unix.SYS_FCNTL:             {[]args{{1, unix.F_GETFD}}, []args{{1, unix.F_DUPFD}, {1, unix.F_SETFL}, {1, unix.F_SETOWN}, {1, unix.F_SETPIPE_SZ}, {1, unix.F_SETFD}}},
		unix.SYS_PRLIMIT64:         {[]args{{0, 1}}, []args{{1, 1}, {testPid, 1}, {allBits}}},
		unix.SYS_SCHED_GETAFFINITY: {[]args{{0}}, []args{{1}, {testPid}}},
		unix.SYS_PRCTL: {
			[]args{{unix.PR_GET_SECCOMP}, {unix.PR_GET_DUMPABLE}, {unix.PR_GET_NO_NEW_PRIVS}},
			[]args{{unix.PR_SET_DUMPABLE, 1}, {unix.PR_SET_SECCOMP}, {unix.PR_SET_MM}, {unix.PR_SET_PTRACER}, {unix.PR_SET_PDEATHSIG}, {unix.PR_CAP_AMBIENT}, {unix.PR_SET_NAME}},
		},
		unix.SYS_MADVISE: {[]args{{0, 0, unix.MADV_FREE}}, []args{{0, 0, unix.MADV_HWPOISON}, {0, 0, unix.MADV_REMOVE}, {0, 0, unix.MADV_MERGEABLE}, {0, 0, unix.MADV_DOFORK}}},
	}
	refuse := calls[unix.SYS_CLONE].refuse
	for flag := uint32(1); flag != 0; flag <<= 1 {
		if flag&newNamespaces != 0 {
			refuse = append(refuse, args{threadFlags | flag})
		}
	}
	if len(refuse) != 4+8 {
		t.Errorf("%d flags make namespaces, want 8", len(refuse)-4)
	}
	p := filterProgram(testPid)
	for nr, c := range calls {
		for _, a := range c.allow {
			if got := verdict(t, p, auditArch, nr, a...); got != answerAllow {
				t.Errorf("call %d with %#x: %#x", nr, a, got)
			}
		}
		for _, a := range c.refuse {
			if got := verdict(t, p, auditArch, nr, a...); got != answerRefuse {
				t.Errorf("call %d with %#x: %#x, want a refusal", nr, a, got)
			}
		}
	}
	for _, a := range refuse {
		if got := verdict(t, p, auditArch, unix.SYS_CLONE, a...); got != answerRefuse {
			t.Errorf("clone with %#x: %#x", a, got)
		}
	}
}

// inChild runs f alone in a process of its own, as root of a user namespace: it does things that cannot be undone.
func inChild(t *testing.T, f func()) {
	t.Helper()
	const marker = "IN_CHILD"
	if os.Getenv(marker) == t.Name() {
		f()
		return
	}
	out, err := again(t, t.Name(), func(c *exec.Cmd) {
		c.Env = append(os.Environ(), marker+"="+t.Name())
		c.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	})
	switch {
	case err != nil:
		t.Errorf("%v\n%s", err, out)
	case strings.Contains(out, "--- SKIP"):
		t.Skip(out)
	}
}

func attempt(t *testing.T, name string) error {
	t.Helper()
	for _, e := range escapes {
		if e.name == name {
			return e.try(nil)
		}
	}
	t.Fatalf("no attempt %q", name)
	return nil
}

// TestSelfTestNeedsTheFilter: a machine on which something else than the filter stands in the worker's way, here the
// namespace's own limit, does not pass the self-test.
func TestSelfTestNeedsTheFilter(t *testing.T) {
	inChild(t, func() {
		names := []string{"clone process in new namespaces", "clone process", "clone3"}
		for _, name := range names {
			if err := attempt(t, name); err != nil {
				t.Errorf("%s without a filter: %v", name, err)
			}
		}
		forbidNamespaces()
		if err := cloneProcess(unix.CLONE_NEWUSER); !errors.Is(err, unix.ENOSPC) {
			t.Errorf("the namespace lets another be made: %v", err)
		}
		for _, name := range names {
			if err := attempt(t, name); err != nil {
				t.Errorf("%s with a limit but no filter: %v", name, err)
			}
		}
		if err := filterCalls(); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := attempt(t, name); err == nil {
				t.Errorf("%s was not refused", name)
			}
		}
	})
}

// TestRuntimeUnderFilter: the Go runtime goes on living with what the filter leaves: threads, timers, the poller, garbage
// collection with memory given back, preemption, growing stacks.
func TestRuntimeUnderFilter(t *testing.T) {
	inChild(t, func() {
		if _, err := startPoller(); err != nil {
			t.Fatal(err)
		}
		if err := filterCalls(); err != nil {
			t.Fatal(err)
		}
		wantThreads(t, 20)
		done := make(chan int)
		for i := range 200 {
			go func() {
				kept := make([][]byte, 64)
				for n := range 500 {
					kept[n%len(kept)] = make([]byte, 1<<(n%14))
					if n%100 == i%100 {
						time.Sleep(time.Duration(n) * time.Microsecond)
					}
				}
				done <- depth(1000)
			}()
		}
		deadline := time.After(time.Minute)
		for range 200 {
			select {
			case <-done:
			case <-deadline:
				t.Fatal("stuck")
			}
		}
		for range 3 {
			big := make([]byte, 64<<20)
			big[len(big)-1] = 1
			runtime.KeepAlive(big)
			runtime.GC()
		}
		spun := make(chan bool)
		go func() { // only a signal takes the processor away from this
			for n := 0; ; n++ {
				if n == 1<<28 {
					close(spun)
				}
			}
		}()
		<-spun
		runtime.GC()
	})
}

func depth(n int) int {
	var frame [128]byte
	if n == 0 {
		return int(frame[0])
	}
	return depth(n-1) + int(frame[n%128])
}

// wantThreads makes this many operating system threads at once.
func wantThreads(t *testing.T, threads int) {
	t.Helper()
	stop, ids := make(chan bool), make(chan int)
	for range threads {
		go func() {
			runtime.LockOSThread()
			ids <- unix.Gettid()
			<-stop
		}()
	}
	seen := map[int]bool{}
	for range threads {
		seen[<-ids] = true
	}
	close(stop)
	if len(seen) != threads {
		t.Errorf("%d threads", len(seen))
	}
}
