// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

// verdict runs a filter on one call, as the kernel does.
func verdict(t *testing.T, p []unix.SockFilter, arch, nr, flags uint32) uint32 {
	t.Helper()
	data := map[uint32]uint32{dataNumber: nr, dataArch: arch, dataFlags: flags}
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
		case unix.BPF_RET | unix.BPF_K:
			return in.K
		case unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K:
			taken = a == in.K
		case unix.BPF_JMP | unix.BPF_JGE | unix.BPF_K:
			taken = a >= in.K
		case unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K:
			taken = a&in.K != 0
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

func TestFilterProgram(t *testing.T) {
	p := filterProgram()
	const thread = unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_SYSVSEM | unix.CLONE_THREAD
	calls := []struct {
		name            string
		arch, nr, flags uint32
		want            uint32
	}{
		{"read", auditArch, unix.SYS_READ, 0, answerAllow},
		{"thread of the Go runtime", auditArch, unix.SYS_CLONE, thread, answerAllow},
		{"process", auditArch, unix.SYS_CLONE, uint32(unix.SIGCHLD), answerRefuse},
		{"process that shares memory", auditArch, unix.SYS_CLONE, unix.CLONE_VM | unix.CLONE_VFORK | uint32(unix.SIGCHLD), answerRefuse},
		{"clone3", auditArch, unix.SYS_CLONE3, 0, answerMissing},
		{"i386", unix.AUDIT_ARCH_I386, 20, 0, answerMissing},
		{"32-bit Arm", unix.AUDIT_ARCH_ARM, 20, 0, answerMissing},
		{"x32", auditArch, foreignNumbers | unix.SYS_READ, 0, answerMissing},
		{"negative number", auditArch, 1<<32 - 1, 0, answerMissing},
	}
	for flag := uint32(1); flag != 0; flag <<= 1 {
		if flag&newNamespaces != 0 {
			calls = append(calls, struct {
				name            string
				arch, nr, flags uint32
				want            uint32
			}{"thread with a namespace", auditArch, unix.SYS_CLONE, thread | flag, answerRefuse})
		}
	}
	if n := len(calls) - 9; n != 8 {
		t.Errorf("%d flags make namespaces, want 8", n)
	}
	for _, c := range calls {
		if got := verdict(t, p, c.arch, c.nr, c.flags); got != c.want {
			t.Errorf("%s (flags %#x): %#x, want %#x", c.name, c.flags, got, c.want)
		}
	}
	for _, nr := range append(append([]uint32{}, denied...), deniedHere...) {
		if got := verdict(t, p, auditArch, nr, thread); got != answerRefuse {
			t.Errorf("call %d: %#x", nr, got)
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
	for _, p := range probes {
		if p.name == name {
			return p.try(nil)
		}
	}
	t.Fatalf("no probe %q", name)
	return nil
}

// TestSelfTestNeedsTheFilter: a machine on which something else than the filter stands in the worker's way, here the
// namespace's own limit, does not pass the self-test.
func TestSelfTestNeedsTheFilter(t *testing.T) {
	inChild(t, func() {
		names := []string{"clone user namespace", "clone process", "clone3"}
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

// TestThreadsStart: what the filter leaves of clone is enough for the Go runtime.
func TestThreadsStart(t *testing.T) {
	inChild(t, func() {
		if err := filterCalls(); err != nil {
			t.Fatal(err)
		}
		const threads = 20
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
	})
}
