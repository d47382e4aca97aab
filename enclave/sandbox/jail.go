// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Descriptors of the jail's first process beside the three pipes that it hands to the worker, and of the worker during
// start-up.
const (
	fdWindow = 6 // the window, open for reading; a worker maps it and closes this
	fdStatus = 7 // out: one frame, jailReady or an error
	fdSetup  = 8 // in: the limits
	fdReady  = 7 // worker: out, "every library is loaded"
	fdGo     = 8 // worker: in, "the old root is gone"
)

const jailReady = "confined"

// jailMain is the init of a worker's PID namespace. It alone has capabilities, in its own user namespace only; it never
// sees a byte of module or data. It starts the worker without any, takes the file system away from under both, and waits.
//
// The order matters: the worker's binary may need a loader and libraries, so it starts on the old root; pivot_root then
// moves the root of every process in the namespace.
func jailMain() int {
	runtime.LockOSThread() // capabilities, securebits and no_new_privs belong to a thread; the worker is forked from this one
	status := os.NewFile(fdStatus, "status")
	worker, err := buildJail(os.NewFile(fdSetup, "setup"))
	if err != nil {
		_ = writeFrame(status, []byte(err.Error()))
		return 1
	}
	if err := writeFrame(status, []byte(jailReady)); err != nil {
		return 1
	}
	status.Close()
	closeAll([]int{fdDown, fdUp, fdOut, fdWindow}) // so that the enclave sees the worker's end of a pipe close
	_ = worker.Wait()
	return worker.ProcessState.ExitCode() & 0x7f
}

func buildJail(setup *os.File) (*exec.Cmd, error) {
	line := make([]byte, maxControl)
	n, err := setup.Read(line)
	if err != nil {
		return nil, fmt.Errorf("jail: limits: %w", err)
	}
	setup.Close()
	var q startRequest
	if err := envelope.DecodeStrict(line[:n], maxControl, &q); err != nil {
		return nil, fmt.Errorf("jail: limits: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("jail: make mounts private: %w", err)
	}
	forbidNamespaces()
	if err := limitResources(q); err != nil {
		return nil, err
	}
	if err := giveUpPrivileges(); err != nil {
		return nil, err
	}
	return startWorker()
}

// startWorker forks the worker, without capabilities, and pivots once it has loaded.
func startWorker() (*exec.Cmd, error) {
	var ready, run [2]*os.File
	for _, p := range []*[2]*os.File{&ready, &run} {
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
			return nil, fmt.Errorf("jail: pipe: %w", err)
		}
		p[0], p[1] = os.NewFile(uintptr(fds[0]), "r"), os.NewFile(uintptr(fds[1]), "w")
		defer p[0].Close()
		defer p[1].Close()
	}
	cmd := &exec.Cmd{Path: selfExe, Args: []string{argWorker}, Env: []string{}, Dir: "/", ExtraFiles: []*os.File{
		os.NewFile(fdDown, "down"), os.NewFile(fdUp, "up"), os.NewFile(fdOut, "out"),
		os.NewFile(fdWindow, "window"), ready[1], run[0],
	}}
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("jail: start worker: %w", err)
	}
	ready[1].Close()
	var b [1]byte
	if _, err := ready[0].Read(b[:]); err != nil {
		return nil, fmt.Errorf("jail: worker did not load: %w", err)
	}
	if err := emptyRoot(); err != nil {
		return nil, err
	}
	if _, err := run[1].Write(b[:]); err != nil {
		return nil, fmt.Errorf("jail: release worker: %w", err)
	}
	if _, err := ready[0].Read(b[:]); err != nil || b[0] != 1 {
		return nil, fmt.Errorf("jail: worker could not confine itself (step %d)", b[0])
	}
	return cmd, nil
}

// emptyRoot makes an empty read-only file system the root of every process in this mount namespace.
func emptyRoot() error {
	const at = "/proc" // any directory that exists everywhere; what is mounted there is of no use to us
	const flags = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC
	if err := unix.Mount("glovebox", at, "tmpfs", flags, "size=4k,nr_inodes=2,mode=0555"); err != nil {
		return fmt.Errorf("jail: mount empty root: %w", err)
	}
	if err := unix.Chdir(at); err != nil {
		return fmt.Errorf("jail: enter empty root: %w", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil { // the old root now lies over the new one
		return fmt.Errorf("jail: pivot root mount: %w", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("jail: unmount old root: %w", err)
	}
	if err := unix.Chdir("/"); err != nil {
		return fmt.Errorf("jail: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RDONLY|flags, ""); err != nil {
		return fmt.Errorf("jail: mount root read-only: %w", err)
	}
	return nil
}

// forbidNamespaces lets nobody in this user namespace make another, where the machine's /proc may be written. The filter
// of system calls does the same for the worker, and that is what the self-test demands.
func forbidNamespaces() { _ = setting("/proc/sys/user", "max_user_namespaces", "0") }

// limitResources sets hard limits that the worker inherits. Address space is generous, because the Go runtime reserves
// much it never touches; data, which counts writable memory, is the limit that bites where there is no control group.
func limitResources(q startRequest) error {
	limits := append(jobLimits(q.MemoryBytes, q.OutputBytes, q.CPUSeconds), []limit{
		{"file size", unix.RLIMIT_FSIZE, 0},
		{"core", unix.RLIMIT_CORE, 0},
		{"open files", unix.RLIMIT_NOFILE, maxOpenFiles},
		{"processes", unix.RLIMIT_NPROC, maxTasks},
		{"message queues", unix.RLIMIT_MSGQUEUE, 0},
	}...)
	for _, l := range limits {
		if err := unix.Setrlimit(l.which, &unix.Rlimit{Cur: l.value, Max: l.value}); err != nil {
			return fmt.Errorf("jail: limit %s: %w", l.name, err)
		}
	}
	return nil
}

// giveUpPrivileges makes sure that what this thread starts has no capability and can never get one: being root in the
// namespace means nothing (securebits), the bounding set is empty, and no program raises privileges.
func giveUpPrivileges() error {
	const noRoot = 0xef // NOROOT, NO_SETUID_FIXUP, NO_CAP_AMBIENT_RAISE, and all of them and KEEP_CAPS locked
	for c := uintptr(0); ; c++ {
		set, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, c, 0, 0, 0)
		if err != nil {
			break // past the last capability
		}
		if set == 0 {
			continue
		}
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			return fmt.Errorf("jail: drop capability %d: %w", c, err)
		}
	}
	if err := unix.Prctl(unix.PR_SET_SECUREBITS, noRoot, 0, 0, 0); err != nil {
		return fmt.Errorf("jail: securebits: %w", err)
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return fmt.Errorf("jail: clear ambient capabilities: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("jail: no new privileges: %w", err)
	}
	return nil
}
