// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"slices"

	"github.com/tetratelabs/wazero/experimental/sys"
	"golang.org/x/sys/unix"
)

// escape is a way out that a worker tries in self-test mode, under its filter. try returns the error that held it back,
// or nil if nothing did.
type escape struct {
	name string
	try  func(d *pipeData) error
}

// lastFamily is the last address family that any kernel has.
const lastFamily = unix.AF_MAX

// escapes are all of them, in the order they are tried.
var escapes = func() []escape {
	var all []escape
	for family := range lastFamily + 1 {
		all = append(all, escape{familyName(family), func(*pipeData) error { return only(unix.EPERM, socketOf(family)) }})
	}
	for _, c := range refusedCalls {
		all = append(all, escape{c.name, func(*pipeData) error { return refused(c) }})
	}
	for _, file := range []string{
		"/", "/etc/passwd", "/proc/self/mem", "/proc/1/mem", "/proc/sys/kernel/core_pattern", "/sys/kernel", "/dev/mem", "/dev/kvm",
		"../../../../etc/passwd",
	} {
		all = append(all, escape{"open " + file, func(*pipeData) error { return only(unix.EPERM, readable(file, 0)) }})
	}
	return append(all, []escape{
		{"clone3", func(*pipeData) error { return only(unix.ENOSYS, call(unix.SYS_CLONE3)) }},
		{"clone a vfork", func(*pipeData) error { return only(unix.EPERM, cloneProcess(unix.CLONE_VFORK)) }},
		{"clone process", func(*pipeData) error { return only(unix.EPERM, cloneProcess(0)) }},
		{"clone process in new namespaces", func(*pipeData) error { return only(unix.EPERM, cloneProcess(newNamespaces&^unix.CLONE_NEWTIME)) }},
		{"write and execute memory", func(*pipeData) error { return only(unix.EPERM, writableCode()) }},
		{"share memory", func(*pipeData) error { return only(unix.EPERM, sharedMemory()) }},
		{"map a pipe", func(*pipeData) error { return only(unix.EPERM, mapFile(fdDown, unix.PROT_READ|unix.PROT_WRITE)) }},
		{"execute the guest's memory", func(*pipeData) error {
			return only(unix.EPERM, mapFile(fdMemory, unix.PROT_READ|unix.PROT_EXEC))
		}},
		{"lengthen the guest's memory", func(*pipeData) error { return only(unix.EFBIG, unix.Ftruncate(fdMemory, maxMemory+pageBytes)) }},
		{"signal process 1 as a thread", func(*pipeData) error { return only(unix.EPERM, call(unix.SYS_TGKILL, 1, 1)) }},
		{"read the clock of process 1", func(*pipeData) error { return only(unix.EPERM, call(unix.SYS_CLOCK_GETTIME, clockOfProcess1)) }},
		{"limit process 1", func(*pipeData) error { return only(unix.EPERM, call(unix.SYS_PRLIMIT64, 1, unix.RLIMIT_CPU)) }},
		{"raise the limit of open files again", func(*pipeData) error { return raise(limit{"", unix.RLIMIT_NOFILE, maxOpenFiles}) }},
		{"become dumpable", func(*pipeData) error { return only(unix.EPERM, unix.Prctl(unix.PR_SET_DUMPABLE, 1, 0, 0, 0)) }},
		{"duplicate a descriptor", func(*pipeData) error { _, err := unix.FcntlInt(fdUp, unix.F_DUPFD, 0); return only(unix.EPERM, err) }},
		{"grow a pipe", func(*pipeData) error {
			_, err := unix.FcntlInt(fdUp, unix.F_SETPIPE_SZ, 1<<20)
			return only(unix.EPERM, err)
		}},
		{"call as i386", func(*pipeData) error { return only(unix.ENOSYS, callI386()) }},
		{"call as x32", func(*pipeData) error { return only(unix.ENOSYS, call(foreignNumbers|unix.SYS_GETPID)) }},
		{"any system call not listed", func(*pipeData) error { return everyOtherCall() }},
		{"run without a filter", func(*pipeData) error { return filterInForce() }},
		{"be dumped, still", func(*pipeData) error { return notDumpable() }},
		{"hold a descriptor beside the pipes and the guest's memory", func(*pipeData) error { return onlyOpen(confined.kept) }},
		{"see an environment, still", func(*pipeData) error { return emptyEnvironment() }},
		{"write the window", func(*pipeData) error {
			return only(unix.EACCES, unix.Mprotect(confined.window, unix.PROT_READ|unix.PROT_WRITE))
		}},
		{"write the data through its file system", writeData},
		{"write the data through its pipe", func(*pipeData) error { _, err := unix.Write(fdDown, []byte{0}); return only(unix.EBADF, err) }},
		{"read what it asked for", func(*pipeData) error { _, err := unix.Read(fdUp, make([]byte, 1)); return only(unix.EBADF, err) }},
		{"read the artefact", func(*pipeData) error { _, err := unix.Read(fdOut, make([]byte, 1)); return only(unix.EBADF, err) }},
	}...)
}()

// refused makes a call of the list. Without a filter it makes none: some would do harm, and the self-test has failed.
func refused(c refusedCall) error {
	if filterInForce() == nil {
		return nil
	}
	return only(unix.EPERM, call(c.nr, c.args...))
}

// probe makes every attempt that is left and reports them all, those of before the filter first.
func probe(_ header, d *pipeData) report {
	r := confined.before
	for _, e := range escapes {
		r = append(r, attempted(e.name, e.try(d)))
	}
	return r
}

// attempted puts the outcome of an attempt into words.
func attempted(name string, err error) Attempt {
	a := Attempt{Try: name, Result: "succeeded", Refused: err != nil}
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
	return a
}

// probeRefusal is a refusal found by looking rather than by the kernel's answer.
type probeRefusal string

func (p probeRefusal) Error() string { return string(p) }

const nothingThere = probeRefusal("nothing there")

// only takes just this answer for a refusal: another is something that stood in the way by chance.
func only(want unix.Errno, err error) error {
	if errors.Is(err, want) {
		return err
	}
	return nil
}

func call(nr uintptr, args ...uintptr) error {
	var a [6]uintptr
	copy(a[:], args)
	if _, _, errno := unix.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5]); errno != 0 {
		return errno
	}
	return nil
}

func familyName(family int) string {
	name := map[int]string{
		unix.AF_UNIX: " AF_UNIX", unix.AF_INET: " AF_INET", unix.AF_INET6: " AF_INET6", unix.AF_NETLINK: " AF_NETLINK",
		unix.AF_PACKET: " AF_PACKET", unix.AF_ALG: " AF_ALG", unix.AF_VSOCK: " AF_VSOCK", unix.AF_XDP: " AF_XDP",
	}[family]
	return fmt.Sprintf("socket of family %d%s", family, name)
}

// socketOf tries to make a socket and, should that work, names it a way out: not every family is in a namespace.
func socketOf(family int) error {
	fd, err := unix.Socket(family, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err
}

func readable(path string, flags int) error {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_CLOEXEC|flags, 0)
	if err == nil {
		unix.Close(fd)
	}
	return err
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

// writableCode asks for memory that can be written and executed, at once and one after the other.
func writableCode() error {
	const all = unix.PROT_READ | unix.PROT_WRITE | unix.PROT_EXEC
	b, err := unix.Mmap(-1, 0, os.Getpagesize(), all, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err == nil {
		return errors.Join(unix.Munmap(b), nil)
	}
	if b, err = unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON); err != nil {
		return nil
	}
	defer func() { _ = unix.Munmap(b) }()
	return unix.Mprotect(b, all)
}

func sharedMemory() error {
	b, err := unix.Mmap(-1, 0, os.Getpagesize(), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANON)
	if err == nil {
		_ = unix.Munmap(b)
	}
	return err
}

func mapFile(fd, prot int) error {
	b, err := unix.Mmap(fd, 0, os.Getpagesize(), prot, unix.MAP_SHARED)
	if err == nil {
		_ = unix.Munmap(b)
	}
	return err
}

// clockOfProcess1 is the clock id of its CPU time: ~pid << 3 | CPUCLOCK_SCHED.
const clockOfProcess1 = ^uintptr(init1<<3|7) | 2

// callI386 enters the kernel as a 32-bit program would, whose numbers mean other calls.
func callI386() (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() != nil { // the machine has no such way in
			err = unix.ENOSYS
		}
	}()
	const getpid = 20
	if r := int32(int80(getpid)); r < 0 {
		return unix.Errno(-r)
	}
	return nil
}

// lastNumber is beyond every system call of any kernel so far.
const lastNumber = 1024

// everyOtherCall makes every call that the filter does not list, without arguments. It asks first whether there is a
// filter at all: some of them would never return.
func everyOtherCall() error {
	if filterInForce() == nil {
		return nil
	}
	listed := map[uintptr]bool{unix.SYS_CLONE3: true}
	for _, r := range admitted(uint32(os.Getpid())) {
		listed[uintptr(r.nr)] = true
	}
	for nr := range uintptr(lastNumber) {
		if listed[nr] || slices.Contains(trampolines, nr) {
			continue
		}
		if err := call(nr); !errors.Is(err, unix.EPERM) {
			return nil
		}
	}
	return unix.EPERM
}

func filterInForce() error {
	if v, err := unix.PrctlRetInt(unix.PR_GET_SECCOMP, 0, 0, 0, 0); err != nil || v != unix.SECCOMP_MODE_FILTER {
		return nil
	}
	return probeRefusal("filter in force")
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
