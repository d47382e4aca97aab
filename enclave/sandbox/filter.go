// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"slices"
	"unsafe"

	"golang.org/x/sys/unix"
)

// denied are the system calls a worker never needs: sockets of any family (AF_VSOCK leads out of a VM and is in no
// namespace), new programs and processes, other processes' memory, namespaces, mounts and kernel interfaces. An
// allow-list takes this list's place when the full jail comes. deniedHere adds those that only this architecture has.
var denied = []uint32{
	unix.SYS_SOCKET, unix.SYS_SOCKETPAIR, unix.SYS_CONNECT, unix.SYS_BIND, unix.SYS_LISTEN, unix.SYS_ACCEPT, unix.SYS_ACCEPT4,
	unix.SYS_SENDTO, unix.SYS_RECVFROM, unix.SYS_SENDMSG, unix.SYS_RECVMSG, unix.SYS_SENDMMSG, unix.SYS_RECVMMSG,
	unix.SYS_EXECVE, unix.SYS_EXECVEAT, unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV,
	unix.SYS_PIDFD_GETFD, unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER, unix.SYS_BPF,
	unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD, unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_MOUNT,
	unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_UNSHARE, unix.SYS_SETNS, unix.SYS_MOVE_MOUNT,
	unix.SYS_OPEN_TREE, unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK, unix.SYS_MOUNT_SETATTR,
	unix.SYS_KEXEC_LOAD, unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_OPEN_BY_HANDLE_AT,
	unix.SYS_NAME_TO_HANDLE_AT, unix.SYS_PERSONALITY, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_REBOOT, unix.SYS_ACCT,
	unix.SYS_QUOTACTL, unix.SYS_SYSLOG, unix.SYS_CLOCK_SETTIME, unix.SYS_SETTIMEOFDAY, unix.SYS_ADJTIMEX,
	unix.SYS_MEMFD_CREATE, unix.SYS_MEMFD_SECRET, unix.SYS_SHMGET, unix.SYS_SHMAT, unix.SYS_MSGGET, unix.SYS_SEMGET,
	unix.SYS_MQ_OPEN, unix.SYS_INOTIFY_INIT1, unix.SYS_FANOTIFY_INIT,
}

// newNamespaces are the flags of clone that make a namespace. Whoever makes a user namespace has every capability in it.
const newNamespaces = unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWIPC |
	unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWTIME

// Where struct seccomp_data has what the filter looks at. Both architectures are little-endian, and clone's flags, its
// first argument on both, are 32 bits.
const (
	dataNumber = 0
	dataArch   = 4
	dataFlags  = 16
)

const (
	answerAllow   = uint32(unix.SECCOMP_RET_ALLOW)
	answerRefuse  = uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.EPERM)
	answerMissing = uint32(unix.SECCOMP_RET_ERRNO) | uint32(unix.ENOSYS)
)

// filterProgram is the worker's seccomp filter. A call of a foreign ABI, where every number means something else, does
// not exist. clone makes threads and nothing else; clone3 has its flags in memory, where no filter sees them, and does
// not exist, so that thread libraries fall back to clone.
func filterProgram() []unix.SockFilter {
	load := func(at uint32) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: at}
	}
	jump := func(cond uint16, k uint32, yes, no uint8) unix.SockFilter {
		return unix.SockFilter{Code: unix.BPF_JMP | cond | unix.BPF_K, K: k, Jt: yes, Jf: no}
	}
	answer := func(v uint32) unix.SockFilter { return unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: v} }

	p := []unix.SockFilter{
		load(dataArch), jump(unix.BPF_JEQ, auditArch, 1, 0), answer(answerMissing),
		load(dataNumber), jump(unix.BPF_JGE, foreignNumbers, 0, 1), answer(answerMissing),
		jump(unix.BPF_JEQ, unix.SYS_CLONE3, 0, 1), answer(answerMissing),
	}
	for _, nr := range slices.Concat(denied, deniedHere) {
		p = append(p, jump(unix.BPF_JEQ, nr, 0, 1), answer(answerRefuse))
	}
	return append(p,
		jump(unix.BPF_JEQ, unix.SYS_CLONE, 1, 0), answer(answerAllow),
		load(dataFlags), jump(unix.BPF_JSET, newNamespaces, 1, 0),
		jump(unix.BPF_JSET, unix.CLONE_THREAD, 1, 0), answer(answerRefuse),
		answer(answerAllow),
	)
}

// filterCalls loads the filter on all threads, for good.
func filterCalls() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	p := filterProgram()
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	_, _, errno := unix.Syscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	if errno != 0 {
		return errno
	}
	return nil
}
