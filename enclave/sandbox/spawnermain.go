// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// spawnerSocket is the spawner's only way to the enclave.
const spawnerSocket = 3

// namespaces are those every worker has of its own; their names lead the isolation stamp.
const (
	namespaces     = unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWNS | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS
	namespaceStamp = "user,pid,net,mnt,ipc,uts"
)

// spawnerMain starts workers until the enclave's end of the socket closes. It stays on the process's first thread: a
// worker gets its parent-death signal when the thread that started it ends.
func spawnerMain() int {
	runtime.LockOSThread()
	sweepCgroups()
	sp := &spawnerProcess{running: map[uint64]*exec.Cmd{}}
	defer sp.end()
	for {
		b, fds, err := receiveMessage(spawnerSocket)
		closeAll(fds)
		if err != nil {
			return 0
		}
		var q startRequest
		if err := envelope.DecodeStrict(b, maxControl, &q); err != nil {
			return 1
		}
		if err := sp.serve(q); err != nil {
			return 1
		}
	}
}

type spawnerProcess struct {
	mu      sync.Mutex
	running map[uint64]*exec.Cmd
	reapers sync.WaitGroup
}

func (sp *spawnerProcess) send(m controlMessage, fds ...int) error {
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	return sendMessage(spawnerSocket, b, fds...)
}

// serve starts one worker and answers with the enclave's ends of its pipes.
func (sp *spawnerProcess) serve(q startRequest) error {
	j, err := startJail(q)
	if err != nil {
		return sp.send(controlMessage{Started: &startReply{ID: q.ID, Error: err.Error()}})
	}
	sp.mu.Lock()
	sp.running[q.ID] = j.cmd
	sp.mu.Unlock()
	err = sp.send(controlMessage{Started: &startReply{ID: q.ID, Isolation: j.isolation}}, j.ends...)
	closeAll(j.ends)
	sp.reapers.Go(func() { sp.reap(q.ID, j) })
	return err
}

// reap waits for a worker to end and reports what the kernel measured.
func (sp *spawnerProcess) reap(id uint64, j *jail) {
	_ = j.cmd.Wait()
	sp.mu.Lock()
	delete(sp.running, id)
	sp.mu.Unlock()
	st := j.cmd.ProcessState
	r := exitReport{ID: id, Status: st.String(), OOM: j.group.killed(), CPUNanos: int64(st.UserTime() + st.SystemTime())}
	if ru, ok := st.SysUsage().(*syscall.Rusage); ok {
		r.PeakKiB = ru.Maxrss
	}
	j.group.remove()
	_ = sp.send(controlMessage{Exited: &r}) // an enclave that is gone needs no report
}

// end kills every worker and waits until nothing of them is left.
func (sp *spawnerProcess) end() {
	sp.mu.Lock()
	for _, c := range sp.running {
		_ = c.Process.Kill()
	}
	sp.mu.Unlock()
	sp.reapers.Wait()
}

// jail is a started and confined worker.
type jail struct {
	cmd       *exec.Cmd
	group     *cgroup
	ends      []int // the enclave's: down, up, out, window, pidfd
	isolation string
}

// startJail starts a worker's first process in new namespaces, puts it under its limits, and returns once it says that
// the worker is confined.
func startJail(q startRequest) (_ *jail, err error) {
	var mine, theirs []int
	defer func() {
		closeAll(theirs)
		if err != nil {
			closeAll(mine)
		}
	}()
	for _, reads := range []bool{true, false, false, false, true} { // down, up, out, status, setup: does the worker read?
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			return nil, fmt.Errorf("pipe: %w", err)
		}
		if !reads {
			p[0], p[1] = p[1], p[0]
		}
		theirs, mine = append(theirs, p[0]), append(mine, p[1])
	}
	write, read, err := newWindow()
	if err != nil {
		return nil, err
	}
	theirs, mine = slices.Insert(theirs, fdWindow-fdDown, read), slices.Insert(mine, fdWindow-fdDown, write)
	j := &jail{group: newCgroup(q), ends: mine[:4]}
	defer func() {
		if err != nil {
			j.group.remove()
		}
	}()
	pidfd := -1
	if j.cmd, err = startInit(theirs, &pidfd); err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = j.cmd.Process.Kill()
			_ = j.cmd.Wait()
		}
	}()
	closeAll(theirs)
	theirs = nil
	if err := j.group.add(j.cmd.Process.Pid); err != nil {
		return nil, err
	}
	if err := setUp(mine[5], mine[4], q); err != nil {
		return nil, err
	}
	closeAll(mine[4:])
	mine = mine[:4]
	j.isolation = namespaceStamp + ";seccomp-sockets;" + j.group.stamp()
	j.ends = append(j.ends, pidfd)
	return j, nil
}

// startInit forks the process that builds the jail.
func startInit(fds []int, pidfd *int) (*exec.Cmd, error) {
	uid, gid, groups := outsideIDs()
	cmd := &exec.Cmd{Path: selfExe, Args: []string{argJail}, Env: []string{}, Dir: "/"}
	for _, fd := range fds {
		dup, err := unix.FcntlInt(uintptr(fd), unix.F_DUPFD_CLOEXEC, 0)
		if err != nil {
			return nil, fmt.Errorf("duplicate descriptor: %w", err)
		}
		f := os.NewFile(uintptr(dup), "worker")
		defer f.Close()
		cmd.ExtraFiles = append(cmd.ExtraFiles, f)
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  namespaces,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: uid, Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: gid, Size: 1}},
		Credential:  &syscall.Credential{NoSetGroups: !groups}, // groups: drop them all
		Pdeathsig:   syscall.SIGKILL, Setsid: true, PidFD: pidfd,
		GidMappingsEnableSetgroups: groups,
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("new namespaces: %w%s", err, namespaceHint())
	}
	return cmd, nil
}

// outsideIDs are the user and group that a worker's root is outside its namespace: nobody where this process is root and
// knows nobody, else this process's own, which is all that an ordinary user (or root of a container with one user) may
// map. groups tells whether supplementary groups can be dropped.
func outsideIDs() (uid, gid int, groups bool) {
	const nobody = 65534
	if os.Getuid() == 0 && knowsID("/proc/self/uid_map", nobody) && knowsID("/proc/self/gid_map", nobody) {
		return nobody, nobody, true
	}
	return os.Getuid(), os.Getgid(), false
}

// knowsID reports whether id exists in the user namespace that a uid_map or gid_map file describes.
func knowsID(path string, id uint64) bool {
	b, err := os.ReadFile(path)
	if err != nil {
		return false
	}
	for line := range strings.Lines(string(b)) {
		var first, outside, count uint64
		if n, err := fmt.Sscan(line, &first, &outside, &count); n == 3 && err == nil && id >= first && id-first < count {
			return true
		}
	}
	return false
}

// namespaceHint names the switches of this machine that forbid what the jail needs.
func namespaceHint() string {
	var off []string
	for _, k := range []struct{ path, bad, want string }{
		{"/proc/sys/kernel/unprivileged_userns_clone", "0", "kernel.unprivileged_userns_clone=1"},
		{"/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "kernel.apparmor_restrict_unprivileged_userns=0"},
		{"/proc/sys/user/max_user_namespaces", "0", "user.max_user_namespaces=1024"},
	} {
		if b, err := os.ReadFile(k.path); err == nil && strings.TrimSpace(string(b)) == k.bad {
			off = append(off, "sysctl -w "+k.want)
		}
	}
	if len(off) == 0 {
		return "; the worker needs user, PID, network, mount, IPC and UTS namespaces: ask the operator to allow user namespaces" +
			" (user.max_user_namespaces, kernel.unprivileged_userns_clone, a container's seccomp profile)"
	}
	return "; ask the operator to run: " + strings.Join(off, "; ")
}

// setUp sends the limits to the jail's first process and waits for its word that the worker is confined.
func setUp(setup, status int, q startRequest) error {
	b, err := json.Marshal(q)
	if err != nil {
		return err
	}
	if _, err := unix.Write(setup, append(b, '\n')); err != nil {
		return fmt.Errorf("jail: %w%s", err, namespaceHint())
	}
	if err := unix.SetNonblock(status, true); err != nil {
		return err
	}
	dup, err := unix.FcntlInt(uintptr(status), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return err
	}
	f := os.NewFile(uintptr(dup), "status")
	defer f.Close()
	_ = f.SetReadDeadline(time.Now().Add(startTimeout))
	word, err := readFrame(f, maxDetail)
	switch {
	case err != nil:
		return fmt.Errorf("jail did not report: %w", err)
	case string(word) == jailReady:
		return nil
	case strings.Contains(string(word), "mount"):
		return errors.New(string(word) + namespaceHint())
	}
	return errors.New(string(word))
}
