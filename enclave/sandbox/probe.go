// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"os"
	"slices"
	"unsafe"

	"github.com/tetratelabs/wazero/experimental/sys"
	"golang.org/x/sys/unix"
)

// probes are the ways out that a worker tries in self-test mode. Each returns the error that held it back, or nil if
// nothing did.
var probes = []struct {
	name string
	try  func(d *pipeData) error
}{
	{"socket AF_INET", socketOf(unix.AF_INET)},
	{"socket AF_INET6", socketOf(unix.AF_INET6)},
	{"socket AF_UNIX", socketOf(unix.AF_UNIX)},
	{"socket AF_NETLINK", socketOf(unix.AF_NETLINK)},
	{"socket AF_PACKET", socketOf(unix.AF_PACKET)},
	{"socket AF_VSOCK", socketOf(unix.AF_VSOCK)},
	{"socketpair", func(*pipeData) error { _, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0); return err }},
	{"io_uring", func(*pipeData) error { return call(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&[128]byte{}))) }},
	{"read /etc/passwd", readable("/etc/passwd")},
	{"read /proc/self/maps", readable("/proc/self/maps")},
	{"read /sys/kernel", readable("/sys/kernel")},
	{"list /", func(*pipeData) error { return listRoot() }},
	{"write /", func(*pipeData) error { return os.WriteFile("/x", []byte("x"), 0o600) }},
	{"see other processes", func(*pipeData) error { return otherProcesses() }},
	{"read memory of process 1", func(*pipeData) error { return readMemory(1) }},
	{"trace process 1", func(*pipeData) error { return unix.PtraceAttach(1) }},
	{"run a program", func(*pipeData) error { return unix.Exec(selfExe, []string{"x"}, nil) }},
	{"unshare user namespace", func(*pipeData) error { return unix.Unshare(unix.CLONE_NEWUSER) }},
	{"clone user namespace", func(*pipeData) error { return filtered(unix.EPERM, cloneProcess(newNamespaces&^unix.CLONE_NEWTIME)) }},
	{"clone process", func(*pipeData) error { return filtered(unix.EPERM, cloneProcess(0)) }},
	{"clone3", func(*pipeData) error { return filtered(unix.ENOSYS, call(unix.SYS_CLONE3, 0, 0)) }},
	{"mount", func(*pipeData) error { return unix.Mount("x", "/", "tmpfs", 0, "") }},
	{"hold a capability", func(*pipeData) error { return noCapabilities() }},
	{"hold a descriptor beside the pipes", func(*pipeData) error { return onlyPipes() }},
	{"see an environment", func(*pipeData) error { return emptyEnvironment() }},
	{"raise a limit", func(*pipeData) error {
		return unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: maxOpenFiles + 1, Max: maxOpenFiles + 1})
	}},
	{"write the data through its file system", writeData},
	{"write the data through its pipe", func(*pipeData) error { _, err := unix.Write(fdDown, []byte{0}); return err }},
}

// probe makes every attempt.
func probe(_ header, d *pipeData) report {
	var r report
	for _, p := range probes {
		err := p.try(d)
		a := Attempt{Try: p.name, Result: "succeeded", Refused: err != nil}
		var errno unix.Errno
		var refusal probeRefusal
		switch {
		case errors.As(err, &errno):
			a.Result = unix.ErrnoName(errno)
		case errors.As(err, &refusal):
			a.Result = string(refusal)
		case err != nil:
			a.Result = "refused"
		}
		r = append(r, a)
	}
	return r
}

// probeRefusal is a refusal found by looking rather than by the kernel's answer.
type probeRefusal string

func (p probeRefusal) Error() string { return string(p) }

const nothingThere = probeRefusal("nothing there")

// socketOf tries to make a socket and, should that work, names it a way out: not every family is in a namespace.
func socketOf(family int) func(*pipeData) error {
	return func(*pipeData) error {
		fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
}

func readable(path string) func(*pipeData) error {
	return func(*pipeData) error {
		fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC, 0)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}
}

func call(nr, a, b uintptr) error {
	if _, _, errno := unix.Syscall(nr, a, b, 0); errno != 0 {
		return errno
	}
	return nil
}

// cloneProcess makes a process, with the given flags, that ends at once.
func cloneProcess(flags uintptr) error {
	pid, _, errno := unix.RawSyscall6(unix.SYS_CLONE, flags|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if errno != 0 {
		return errno
	}
	if pid == 0 { // the child: one thread on a copy of a stack, so no more Go
		for {
			unix.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
		}
	}
	var status unix.WaitStatus
	_, err := unix.Wait4(int(pid), &status, 0, nil)
	for errors.Is(err, unix.EINTR) {
		_, err = unix.Wait4(int(pid), &status, 0, nil)
	}
	return nil
}

// filtered takes only the filter's own answer for a refusal: another one is a limit or an argument that stood in the way
// by chance.
func filtered(want unix.Errno, err error) error {
	if errors.Is(err, want) {
		return err
	}
	return nil
}

func listRoot() error {
	names, err := os.ReadDir("/")
	if err == nil && len(names) == 0 {
		return nothingThere
	}
	return err
}

// otherProcesses looks for any process beside the init of the PID namespace, 1, and this one. Threads have numbers too.
func otherProcesses() error {
	for pid := 2; pid < 4096; pid++ {
		ours := unix.Tgkill(os.Getpid(), pid, 0) != unix.ESRCH || unix.Tgkill(1, pid, 0) != unix.ESRCH
		if !ours && unix.Kill(pid, 0) != unix.ESRCH {
			return nil
		}
	}
	return nothingThere
}

func readMemory(pid int) error {
	b := make([]byte, 8)
	local := []unix.Iovec{{Base: &b[0], Len: 8}}
	_, err := unix.ProcessVMReadv(pid, local, []unix.RemoteIovec{{Base: 0x400000, Len: 8}}, 0)
	return err
}

func noCapabilities() error {
	c, err := capabilities()
	if err == nil && c == 0 {
		return nothingThere
	}
	if err != nil {
		return nil // cannot tell: not refused
	}
	return nil
}

func onlyPipes() error {
	for fd := range maxOpenFiles {
		_, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0)
		if (err == nil) != slices.Contains([]int{fdDown, fdUp, fdOut}, fd) {
			return nil
		}
	}
	return nothingThere
}

func emptyEnvironment() error {
	if len(os.Environ()) == 0 {
		return nothingThere
	}
	return nil
}

// writeData opens an input for writing the way a module would.
func writeData(d *pipeData) error {
	f, errno := newDataFS(d).mount().OpenFile(d.files[0].Name, sys.O_RDWR, 0)
	if errno != 0 {
		return probeRefusal(errno.Error())
	}
	if _, errno := f.Write([]byte{0}); errno != 0 {
		return probeRefusal(errno.Error())
	}
	return nil
}
