// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// rule admits one system call whose arguments pass every check. A call may have more than one rule. What no rule admits
// answers EPERM.
type rule struct {
	nr     uint32
	checks []check
}

// check looks at the low 32 bits of one argument: under mask they must be one of values. The kernel takes all arguments
// checked here as 32 bits or gives the upper ones no meaning.
type check struct {
	arg    uint32
	mask   uint32
	values []uint32
}

const allBits = 1<<32 - 1

// threadFlags are those with which the Go runtime makes a thread. Exactly they pass, so no process and no namespace.
const threadFlags = threadFlagsHere | unix.CLONE_VM | unix.CLONE_FS | unix.CLONE_FILES | unix.CLONE_SIGHAND | unix.CLONE_SYSVSEM | unix.CLONE_THREAD

// newNamespaces are the flags of clone that make a namespace. Whoever makes a user namespace has every capability in it.
const newNamespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWTIME

// Operations of futex, without the flags for private and for the realtime clock. The others, on priority inheritance and
// on moving waiters, are where the kernel's faults were.
const (
	futexWait       = 0
	futexWake       = 1
	futexWaitBitset = 9
	futexWakeBitset = 10
	futexFlags      = 128 | 256
)

// lastClock is CLOCK_TAI; a clock beyond it belongs to a process or a descriptor.
const lastClock = 11

// allowed are the calls that a confined worker makes: those of the Go runtime once it runs (memory, threads, signals of
// its own, sleep, the network poller, which is set up before), the engine's native code, the pipes, and the file of the
// guest's memory, which is the worker's alone. Nothing in it takes a path or makes a descriptor. Most frequent first. pid
// is the worker's own.
//
// Three things no filter sees: that prlimit64 only lowers (its values are in memory; the kernel refuses the rest, as the
// worker has no capability), that ftruncate only shortens (the file is sealed against the rest), and which descriptors
// exist (confine closed all but those it lists).
func allowed(pid uint32) []rule {
	one := func(arg, value uint32) check { return check{arg, allBits, []uint32{value}} }
	clocks := make([]uint32, lastClock+1)
	for i := range clocks {
		clocks[i] = uint32(i)
	}
	futex := check{1, allBits &^ futexFlags, []uint32{futexWait, futexWake, futexWaitBitset, futexWakeBitset}}
	writable := []uint32{unix.PROT_NONE, unix.PROT_READ, unix.PROT_READ | unix.PROT_WRITE}
	anonymous := check{3, unix.MAP_TYPE | unix.MAP_ANONYMOUS, []uint32{unix.MAP_PRIVATE | unix.MAP_ANONYMOUS}}
	mapped := check{3, allBits, []uint32{unix.MAP_SHARED, unix.MAP_PRIVATE | unix.MAP_FIXED | unix.MAP_NORESERVE}}
	return []rule{
		{unix.SYS_FUTEX, []check{futex}},
		{unix.SYS_READ, nil},
		{unix.SYS_WRITE, nil},
		{unix.SYS_MADVISE, []check{{2, allBits, advice}}},
		{unix.SYS_NANOSLEEP, nil},
		{unix.SYS_EPOLL_PWAIT, nil},
		{unix.SYS_RT_SIGRETURN, nil},
		{unix.SYS_TGKILL, []check{one(0, pid)}}, // the runtime interrupts its own threads
		{unix.SYS_GETPID, nil},
		{unix.SYS_GETTID, nil},
		{unix.SYS_SCHED_YIELD, nil},
		{unix.SYS_CLOCK_GETTIME, []check{{0, allBits, clocks}}},
		{unix.SYS_MMAP, []check{{2, allBits, writable}, anonymous}},
		{unix.SYS_MMAP, []check{one(2, unix.PROT_READ|unix.PROT_WRITE), mapped, one(4, fdMemory)}},
		{unix.SYS_LSEEK, []check{one(0, fdMemory), {2, allBits, []uint32{unix.SEEK_DATA, unix.SEEK_HOLE}}}},
		{unix.SYS_FSTAT, []check{one(0, fdMemory)}},
		{unix.SYS_FTRUNCATE, []check{one(0, fdMemory)}},
		{unix.SYS_MUNMAP, nil},
		{unix.SYS_MPROTECT, []check{{2, allBits, append(writable, unix.PROT_READ|unix.PROT_EXEC)}}}, // never both W and X
		{unix.SYS_CLONE, []check{{0, allBits, threads}}},
		{unix.SYS_RT_SIGACTION, nil},
		{unix.SYS_RT_SIGPROCMASK, nil},
		{unix.SYS_SIGALTSTACK, nil},
		{unix.SYS_RESTART_SYSCALL, nil}, // the kernel's own, after a stop
		{unix.SYS_SCHED_GETAFFINITY, []check{one(0, 0)}},
		{unix.SYS_GETRANDOM, nil},
		{unix.SYS_EPOLL_CTL, nil},
		{unix.SYS_CLOSE, nil},
		{unix.SYS_FCNTL, []check{{1, allBits, []uint32{unix.F_GETFD, unix.F_GETFL}}}},
		{unix.SYS_PRLIMIT64, []check{one(0, 0)}},
		{unix.SYS_PRCTL, []check{{0, allBits, []uint32{
			unix.PR_SET_VMA, unix.PR_GET_SECCOMP, unix.PR_GET_NO_NEW_PRIVS, unix.PR_GET_DUMPABLE,
		}}}},
		{unix.SYS_EXIT, nil},
		{unix.SYS_EXIT_GROUP, nil},
	}
}

// Where struct seccomp_data has what the filter looks at. Both architectures are little-endian.
const (
	dataNumber = 0
	dataArch   = 4
	dataArgs   = 16 // eight bytes each
)

const (
	answerAllow   = uint32(unix.SECCOMP_RET_ALLOW)
	answerRefuse  = uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.EPERM)
	answerMissing = uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.ENOSYS)
)

func load(at uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
}

func jump(cond uint16, k uint32, yes, no int) unix.SockFilter {
	if yes > 255 || no > 255 {
		panic("sandbox: filter jumps too far")
	}
	return unix.SockFilter{Code: unix.BPF_JMP | cond | unix.BPF_K, K: k, Jt: uint8(yes), Jf: uint8(no)}
}

func answer(v uint32) unix.SockFilter {
	return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: v}
}

// filterProgram is the worker's seccomp filter. A call of a foreign ABI, where every number means something else, does
// not exist, nor does clone3, which has its flags in memory, so that thread libraries fall back to clone.
func filterProgram(pid uint32) []unix.SockFilter {
	p := []unix.SockFilter{
		load(dataArch), jump(unix.BPF_JEQ, auditArch, 1, 0), answer(answerMissing),
		load(dataNumber), jump(unix.BPF_JGE, foreignNumbers, 0, 1), answer(answerMissing),
		jump(unix.BPF_JEQ, unix.SYS_CLONE3, 0, 1), answer(answerMissing),
	}
	for _, r := range admitted(pid) {
		body := r.body()
		p = append(append(p, jump(unix.BPF_JEQ, r.nr, 0, len(body))), body...)
	}
	return append(p, answer(answerRefuse))
}

// admitted are the rules of this build.
func admitted(pid uint32) []rule { return slices.Concat(allowed(pid), allowedUnderC) }

// body is the program for a call of this number. It admits the call or goes on, to the rules that follow.
func (r rule) body() []unix.SockFilter {
	var p []unix.SockFilter
	var failed []int
	for _, c := range r.checks {
		p = append(p, load(dataArgs+8*c.arg), unix.SockFilter{Code: unix.BPF_ALU | unix.BPF_AND | unix.BPF_K, K: c.mask})
		for i, v := range c.values {
			p = append(p, jump(unix.BPF_JEQ, v, len(c.values)-i, 0))
		}
		failed = append(failed, len(p))
		p = append(p, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JA})
	}
	p = append(p, answer(answerAllow))
	if len(failed) == 0 {
		return p
	}
	for _, at := range failed {
		p[at].K = uint32(len(p) - at - 1)
	}
	return append(p, load(dataNumber)) // where the rules that follow expect it
}

// filterCalls loads the filter on all threads, for good.
func filterCalls() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	p := filterProgram(uint32(unix.Getpid()))
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	stuck, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return errno
	}
	if stuck != 0 { // a thread that could not follow
		return fmt.Errorf("thread %d has no filter", stuck)
	}
	return nil
}
