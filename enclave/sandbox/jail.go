// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/enclave/wasm"
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
	fdMemory = 9 // worker: a file without a name, for the memory of a guest that is put back

	fdJailResults = 9  // the first process's end of the next
	fdResults     = 10 // worker: the results of one that trains; every worker maps it and closes this, and one that does not train unmaps it
)

const (
	jailReady = "confined " // then the version of Landlock
	jailHost  = "glovebox"  // the machine's name, to a worker
)

// jailMain is the init of a worker's PID namespace. It alone has capabilities, in its own user namespace only; it never
// sees a byte of module or data. It starts the worker without any, takes the file system away from under both, and waits.
//
// The order matters: the worker's binary may need a loader and libraries, so it starts on the old root; pivot_root then
// moves the root of every process in the namespace. The thread that starts the worker has given everything up by then,
// so it is another than the one that mounts.
//
// The enclave's SIGTERM means that it shall end the worker: if it were killed itself, the kernel would end the worker with it
// and let nobody know what that had used.
func jailMain() int {
	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM) // before there is a worker
	runtime.LockOSThread()            // the thread that mounts keeps its privileges to itself
	status := os.NewFile(fdStatus, "status")
	worker, version, err := buildJail(os.NewFile(fdSetup, "setup"))
	if err != nil {
		_ = writeFrame(status, []byte(err.Error()))
		return 1
	}
	if err := writeFrame(status, []byte(jailReady+landlockName(version))); err != nil {
		return 1
	}
	status.Close()
	closeAll([]int{fdDown, fdUp, fdOut, fdWindow, fdJailResults}) // so that the enclave sees the worker's end of a pipe close
	go func() {
		<-stop
		_ = worker.Process.Kill()
	}()
	_ = worker.Wait()
	return exitCode(worker.ProcessState)
}

// exitCode is a worker's, or 128 and the number of the signal that ended it.
func exitCode(p *os.ProcessState) int {
	if s, ok := p.Sys().(syscall.WaitStatus); ok && s.Signaled() {
		return 128 + int(s.Signal())
	}
	return p.ExitCode()
}

// jailSetup is what the spawner tells the jail's first process.
type jailSetup struct {
	Outside []string `json:"outside"` // the spawner's namespaces, in the order of namespaceStamp
}

func buildJail(setup *os.File) (worker *exec.Cmd, landlock int, err error) {
	line := make([]byte, maxControl)
	n, err := setup.Read(line)
	if err != nil {
		return nil, 0, fmt.Errorf("jail: setup: %w", err)
	}
	setup.Close()
	var q jailSetup
	if err := envelope.DecodeStrict(line[:n], maxControl, &q); err != nil {
		return nil, 0, fmt.Errorf("jail: setup: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, 0, fmt.Errorf("jail: make mounts private: %w", err)
	}
	forbidNamespaces()
	if err := unix.Sethostname([]byte(jailHost)); err != nil {
		return nil, 0, fmt.Errorf("jail: host name: %w", err)
	}
	if err := unix.Setdomainname(nil); err != nil {
		return nil, 0, fmt.Errorf("jail: domain name: %w", err)
	}
	memory, err := wasm.NewSnapshotFile() // before no file may grow
	if err != nil {
		return nil, 0, fmt.Errorf("jail: %w", err)
	}
	defer memory.Close()
	if err := limitResources(); err != nil {
		return nil, 0, err
	}
	return startWorker(q, memory)
}

// startWorker forks the worker, without capabilities and in a Landlock domain, and pivots once it has loaded.
func startWorker(q jailSetup, memory *os.File) (worker *exec.Cmd, landlock int, err error) {
	var ready, run [2]*os.File
	for _, p := range []*[2]*os.File{&ready, &run} {
		var fds [2]int
		if err := unix.Pipe2(fds[:], unix.O_CLOEXEC); err != nil {
			return nil, 0, fmt.Errorf("jail: pipe: %w", err)
		}
		p[0], p[1] = os.NewFile(uintptr(fds[0]), "r"), os.NewFile(uintptr(fds[1]), "w")
		defer p[0].Close()
		defer p[1].Close()
	}
	cmd := &exec.Cmd{
		Path: selfExe, Args: append([]string{argWorker}, testOnlyArgs...), Env: []string{}, Dir: "/",
		Stdin: os.Stdin, Stdout: os.Stdout, Stderr: os.Stderr, // /dev/null all; opening it anew is not in the domain
		ExtraFiles: []*os.File{
			os.NewFile(fdDown, "down"), os.NewFile(fdUp, "up"), os.NewFile(fdOut, "out"),
			os.NewFile(fdWindow, "window"), ready[1], run[0], memory,
			os.NewFile(fdJailResults, "results"),
		},
		SysProcAttr: &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL},
	}
	if landlock, err = startRestricted(cmd); err != nil {
		return nil, 0, err
	}
	ready[1].Close()
	var b [1]byte
	if _, err := ready[0].Read(b[:]); err != nil {
		return nil, 0, fmt.Errorf("jail: worker did not load: %w", err)
	}
	if err := emptyRoot(); err != nil {
		return nil, 0, err
	}
	line, err := json.Marshal(q)
	if err != nil {
		return nil, 0, err
	}
	if _, err := run[1].Write(line); err != nil {
		return nil, 0, fmt.Errorf("jail: release worker: %w", err)
	}
	if _, err := ready[0].Read(b[:]); err != nil || b[0] != stepDone {
		return nil, 0, fmt.Errorf("jail: worker could not confine itself: %s", stepName(b[0]))
	}
	return cmd, landlock, nil
}

// startRestricted starts cmd from a thread that has no privilege and is in a Landlock domain. The thread stays for as
// long as this process: its end would be the parent's death to the worker. It is not the process's first, which stands
// for all of it when somebody asks whether process 1 is in the domain.
func startRestricted(cmd *exec.Cmd) (landlock int, err error) {
	done := make(chan error)
	var start func()
	start = func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() {
			go start()
			select {}
		}
		err := giveUpPrivileges()
		if err == nil && !skipped(partLandlock) {
			landlock, err = restrictThread()
		}
		if err == nil {
			if err = cmd.Start(); err != nil {
				err = fmt.Errorf("jail: start worker: %w", err)
			}
		}
		done <- err
		select {}
	}
	go start()
	err = <-done
	return landlock, err
}

// emptyRoot makes an empty read-only file system the root of every process in this mount namespace.
func emptyRoot() error {
	if skipped(partRoot) {
		return nil
	}
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

// giveUpPrivileges makes sure that what this thread starts has no capability and can never get one: being root in the
// namespace means nothing (securebits), the bounding set is empty, and no program raises privileges.
func giveUpPrivileges() error {
	if skipped(partPrivileges) {
		return nil
	}
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
