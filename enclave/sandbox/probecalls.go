// SPDX-License-Identifier: Apache-2.0

package sandbox

import "golang.org/x/sys/unix"

// refusedCall is a system call that the filter, and nothing else by chance, must answer with EPERM.
type refusedCall struct {
	name string
	nr   uintptr
	args []uintptr
}

const (
	init1 = 1            // process 1, the jail's own
	here  = ^uintptr(99) // AT_FDCWD
)

// refusedCalls are the calls by which code has left sandboxes before, or could learn what it should not.
var refusedCalls = append([]refusedCall{
	// Sockets that it was not given.
	{"socketpair", unix.SYS_SOCKETPAIR, []uintptr{unix.AF_UNIX, unix.SOCK_STREAM}},
	{"bind", unix.SYS_BIND, []uintptr{fdUp}},
	{"connect", unix.SYS_CONNECT, []uintptr{fdUp}},
	{"listen", unix.SYS_LISTEN, []uintptr{fdUp}},
	{"accept", unix.SYS_ACCEPT4, []uintptr{fdUp}},
	{"sendmsg", unix.SYS_SENDMSG, []uintptr{fdUp}},
	{"recvmsg", unix.SYS_RECVMSG, []uintptr{fdDown}},

	// Programs, processes and namespaces.
	{"execve", unix.SYS_EXECVE, nil},
	{"execveat", unix.SYS_EXECVEAT, []uintptr{fdDown}},
	{"unshare user namespace", unix.SYS_UNSHARE, []uintptr{unix.CLONE_NEWUSER}},
	{"unshare PID namespace", unix.SYS_UNSHARE, []uintptr{unix.CLONE_NEWPID}},
	{"unshare network namespace", unix.SYS_UNSHARE, []uintptr{unix.CLONE_NEWNET}},
	{"unshare mount namespace", unix.SYS_UNSHARE, []uintptr{unix.CLONE_NEWNS}},
	{"unshare IPC namespace", unix.SYS_UNSHARE, []uintptr{unix.CLONE_NEWIPC}},
	{"unshare UTS namespace", unix.SYS_UNSHARE, []uintptr{unix.CLONE_NEWUTS}},
	{"unshare cgroup namespace", unix.SYS_UNSHARE, []uintptr{unix.CLONE_NEWCGROUP}},
	{"unshare time namespace", unix.SYS_UNSHARE, []uintptr{unix.CLONE_NEWTIME}},
	{"clone user namespace", unix.SYS_CLONE, []uintptr{threadFlags | unix.CLONE_NEWUSER}},
	{"clone PID namespace", unix.SYS_CLONE, []uintptr{threadFlags | unix.CLONE_NEWPID}},
	{"clone network namespace", unix.SYS_CLONE, []uintptr{threadFlags | unix.CLONE_NEWNET}},
	{"clone mount namespace", unix.SYS_CLONE, []uintptr{threadFlags | unix.CLONE_NEWNS}},
	{"clone IPC namespace", unix.SYS_CLONE, []uintptr{threadFlags | unix.CLONE_NEWIPC}},
	{"clone UTS namespace", unix.SYS_CLONE, []uintptr{threadFlags | unix.CLONE_NEWUTS}},
	{"clone cgroup namespace", unix.SYS_CLONE, []uintptr{threadFlags | unix.CLONE_NEWCGROUP}},
	{"setns", unix.SYS_SETNS, []uintptr{fdDown}},
	{"setsid", unix.SYS_SETSID, nil},

	// Other processes.
	{"signal process 1", unix.SYS_KILL, []uintptr{init1}},
	{"signal every process", unix.SYS_KILL, []uintptr{^uintptr(0)}},
	{"queue a signal to process 1", unix.SYS_RT_SIGQUEUEINFO, []uintptr{init1}},
	{"queue a signal to a thread of process 1", unix.SYS_RT_TGSIGQUEUEINFO, []uintptr{init1, init1}},
	{"tkill process 1", unix.SYS_TKILL, []uintptr{init1}},
	{"attach to process 1", unix.SYS_PTRACE, []uintptr{unix.PTRACE_ATTACH, init1}},
	{"seize process 1", unix.SYS_PTRACE, []uintptr{unix.PTRACE_SEIZE, init1}},
	{"be traced", unix.SYS_PTRACE, []uintptr{unix.PTRACE_TRACEME}},
	{"read memory of process 1", unix.SYS_PROCESS_VM_READV, []uintptr{init1}},
	{"write memory of process 1", unix.SYS_PROCESS_VM_WRITEV, []uintptr{init1}},
	{"pidfd of process 1", unix.SYS_PIDFD_OPEN, []uintptr{init1}},
	{"take a descriptor of process 1", unix.SYS_PIDFD_GETFD, []uintptr{fdDown}},
	{"signal through a pidfd", unix.SYS_PIDFD_SEND_SIGNAL, []uintptr{fdDown}},
	{"compare with process 1", unix.SYS_KCMP, []uintptr{init1, init1}},
	{"advise process 1", unix.SYS_PROCESS_MADVISE, []uintptr{fdDown}},
	{"schedule process 1", unix.SYS_SCHED_SETAFFINITY, []uintptr{init1}},
	{"priority of process 1", unix.SYS_SETPRIORITY, []uintptr{0, init1}},

	// Files, by every way to name one.
	{"openat", unix.SYS_OPENAT, []uintptr{here}},
	{"openat2", unix.SYS_OPENAT2, []uintptr{here}},
	{"open by handle", unix.SYS_OPEN_BY_HANDLE_AT, []uintptr{here}},
	{"name to handle", unix.SYS_NAME_TO_HANDLE_AT, []uintptr{here}},
	{"list a directory", unix.SYS_GETDENTS64, []uintptr{fdDown}},
	{"stat", unix.SYS_STATX, []uintptr{here}},
	{"readlink", unix.SYS_READLINKAT, []uintptr{here}},
	{"chdir", unix.SYS_CHDIR, nil},
	{"chroot", unix.SYS_CHROOT, nil},
	{"mkdir", unix.SYS_MKDIRAT, []uintptr{here}},
	{"mknod", unix.SYS_MKNODAT, []uintptr{here}},
	{"symlink", unix.SYS_SYMLINKAT, nil},
	{"link", unix.SYS_LINKAT, nil},
	{"rename", unix.SYS_RENAMEAT2, nil},
	{"unlink", unix.SYS_UNLINKAT, []uintptr{here}},
	{"truncate", unix.SYS_FTRUNCATE, []uintptr{fdDown}},
	{"chmod", unix.SYS_FCHMOD, []uintptr{fdDown}},
	{"chown", unix.SYS_FCHOWN, []uintptr{fdDown}},
	{"set an attribute", unix.SYS_FSETXATTR, []uintptr{fdDown}},
	{"watch files", unix.SYS_INOTIFY_INIT1, nil},
	{"watch the file system", unix.SYS_FANOTIFY_INIT, nil},

	// Mounts, old and new.
	{"mount", unix.SYS_MOUNT, nil},
	{"umount", unix.SYS_UMOUNT2, nil},
	{"pivot_root", unix.SYS_PIVOT_ROOT, nil},
	{"fsopen", unix.SYS_FSOPEN, nil},
	{"fsconfig", unix.SYS_FSCONFIG, []uintptr{fdDown}},
	{"fsmount", unix.SYS_FSMOUNT, []uintptr{fdDown}},
	{"fspick", unix.SYS_FSPICK, []uintptr{here}},
	{"open_tree", unix.SYS_OPEN_TREE, []uintptr{here}},
	{"move_mount", unix.SYS_MOVE_MOUNT, []uintptr{here}},
	{"mount_setattr", unix.SYS_MOUNT_SETATTR, []uintptr{here}},
	{"list mounts", unix.SYS_LISTMOUNT, nil},

	// New descriptors and ways to pass one on.
	{"memfd", unix.SYS_MEMFD_CREATE, nil},
	{"memfd_secret", unix.SYS_MEMFD_SECRET, nil},
	{"dup", unix.SYS_DUP, []uintptr{fdUp}},
	{"pipe", unix.SYS_PIPE2, nil},
	{"eventfd", unix.SYS_EVENTFD2, nil},
	{"epoll", unix.SYS_EPOLL_CREATE1, nil},
	{"signalfd", unix.SYS_SIGNALFD4, []uintptr{^uintptr(0)}},
	{"timerfd", unix.SYS_TIMERFD_CREATE, nil},
	{"ioctl", unix.SYS_IOCTL, []uintptr{fdDown}},
	{"splice", unix.SYS_SPLICE, []uintptr{fdDown, 0, fdUp}},
	{"tee", unix.SYS_TEE, []uintptr{fdDown, fdUp}},
	{"vmsplice", unix.SYS_VMSPLICE, []uintptr{fdUp}},

	// Parts of the kernel that no worker needs.
	{"io_uring_setup", unix.SYS_IO_URING_SETUP, []uintptr{1}},
	{"io_uring_enter", unix.SYS_IO_URING_ENTER, []uintptr{fdDown}},
	{"io_uring_register", unix.SYS_IO_URING_REGISTER, []uintptr{fdDown}},
	{"userfaultfd", unix.SYS_USERFAULTFD, []uintptr{1}},
	{"bpf", unix.SYS_BPF, nil},
	{"perf_event_open", unix.SYS_PERF_EVENT_OPEN, nil},
	{"keyctl", unix.SYS_KEYCTL, nil},
	{"add_key", unix.SYS_ADD_KEY, nil},
	{"request_key", unix.SYS_REQUEST_KEY, nil},
	{"load a module", unix.SYS_INIT_MODULE, nil},
	{"load a module from a file", unix.SYS_FINIT_MODULE, []uintptr{fdDown}},
	{"remove a module", unix.SYS_DELETE_MODULE, nil},
	{"kexec", unix.SYS_KEXEC_LOAD, nil},
	{"reboot", unix.SYS_REBOOT, nil},
	{"kernel log", unix.SYS_SYSLOG, nil},
	{"swap", unix.SYS_SWAPON, nil},
	{"accounting", unix.SYS_ACCT, nil},
	{"quota", unix.SYS_QUOTACTL, nil},
	{"shared memory of System V", unix.SYS_SHMGET, nil},
	{"messages of System V", unix.SYS_MSGGET, nil},
	{"semaphores of System V", unix.SYS_SEMGET, nil},
	{"POSIX messages", unix.SYS_MQ_OPEN, nil},
	{"map memory again", unix.SYS_MREMAP, nil},
	{"lock memory", unix.SYS_MLOCKALL, []uintptr{1}},
	{"move pages", unix.SYS_MOVE_PAGES, nil},
	{"protection keys", unix.SYS_PKEY_ALLOC, nil},
	{"futex of priority inheritance", unix.SYS_FUTEX, []uintptr{0, 6}},
	{"poison memory", unix.SYS_MADVISE, []uintptr{0, 0, unix.MADV_HWPOISON}},

	// What it is, and what the machine is.
	{"setuid", unix.SYS_SETUID, []uintptr{1}},
	{"setgid", unix.SYS_SETGID, []uintptr{1}},
	{"setgroups", unix.SYS_SETGROUPS, nil},
	{"capset", unix.SYS_CAPSET, nil},
	{"personality", unix.SYS_PERSONALITY, []uintptr{^uintptr(0)}},
	{"another filter", unix.SYS_SECCOMP, []uintptr{unix.SECCOMP_SET_MODE_FILTER}},
	{"another Landlock domain", unix.SYS_LANDLOCK_RESTRICT_SELF, nil},
	{"keep capabilities", unix.SYS_PRCTL, []uintptr{unix.PR_SET_KEEPCAPS, 1}},
	{"let itself be traced", unix.SYS_PRCTL, []uintptr{unix.PR_SET_PTRACER, ^uintptr(0)}},
	{"change its memory map", unix.SYS_PRCTL, []uintptr{unix.PR_SET_MM}},
	{"set the clock", unix.SYS_CLOCK_SETTIME, nil},
	{"adjust the clock", unix.SYS_ADJTIMEX, nil},
	{"name the machine", unix.SYS_SETHOSTNAME, nil},
	{"see the machine's name and kernel", unix.SYS_UNAME, nil},
	{"see the machine's memory", unix.SYS_SYSINFO, nil},
	{"see its users", unix.SYS_GETUID, nil},
}, refusedHere...)
