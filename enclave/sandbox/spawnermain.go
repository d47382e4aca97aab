// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
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

// spawnerMain starts workers until the enclave's end of the socket closes.
func spawnerMain() int {
	if len(os.Args) < 2 {
		return 1
	}
	size, err := strconv.Atoi(os.Args[1])
	if err != nil {
		return 1
	}
	sweepCgroups()
	p := newPool(size)
	go p.keep()
	defer p.close()
	for {
		b, fds, err := receiveMessage(spawnerSocket)
		closeAll(fds)
		if err != nil {
			return 0
		}
		var q startRequest
		if err := envelope.DecodeStrict(b, maxControl, &q); err != nil || q.ID == 0 {
			return 1
		}
		p.serve(q)
	}
}

// jail is a started and confined worker.
type jail struct {
	cmd       *exec.Cmd
	group     *cgroup
	ends      []int // the enclave's: down, up, out, window, results, pidfd; gone once it has them
	isolation string
	started   time.Time
	job       uint64 // 0: none yet
}

// kill ends the worker: its first process is the init of the others.
func (j *jail) kill() { _ = j.cmd.Process.Kill() }

// alive looks whether the worker still runs.
func (j *jail) alive() bool { return running(j.ends[len(j.ends)-1]) }

func (j *jail) closeEnds() {
	closeAll(j.ends)
	j.ends = nil
}

// startJail starts a worker's first process in new namespaces, puts it into a control group, and returns once it says
// that the worker is confined.
func startJail(n uint64) (_ *jail, err error) {
	mine, theirs, err := workerPipes()
	if err != nil {
		return nil, err
	}
	defer func() {
		closeAll(theirs)
		if err != nil {
			closeAll(mine)
		}
	}()
	j := &jail{group: newCgroup(n), started: time.Now()}
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
			unix.Close(pidfd)
			j.kill()
			_ = j.cmd.Wait()
		}
	}()
	closeAll(theirs)
	theirs = nil
	if err := j.group.add(j.cmd.Process.Pid); err != nil {
		return nil, err
	}
	landlock, err := setUp(mine[5], mine[4])
	if err != nil {
		return nil, err
	}
	closeAll(mine[4:6])
	mine = append(mine[:4], mine[6])
	j.isolation = namespaceStamp + ";seccomp;" + landlock + ";" + j.group.stamp()
	j.ends = append(mine, pidfd)
	return j, nil
}

// workerPipes makes what a worker's processes and the rest of the world have between them: down, up, out, the window,
// status, setup and the results, in the order of their descriptors there.
func workerPipes() (mine, theirs []int, err error) {
	defer func() {
		if err != nil {
			closeAll(mine)
			closeAll(theirs)
		}
	}()
	for _, reads := range []bool{true, false, false, false, true} { // does the worker read?
		var p [2]int
		if err := unix.Pipe2(p[:], unix.O_CLOEXEC); err != nil {
			return mine, theirs, fmt.Errorf("pipe: %w", err)
		}
		if !reads {
			p[0], p[1] = p[1], p[0]
		}
		theirs, mine = append(theirs, p[0]), append(mine, p[1])
	}
	write, read, err := newWindow()
	if err != nil {
		return mine, theirs, err
	}
	const at = fdWindow - fdDown
	mine, theirs = slices.Insert(mine, at, write), slices.Insert(theirs, at, read)
	results, err := newResults()
	if err != nil {
		return mine, theirs, err
	}
	mine = append(mine, results)
	dup, err := unix.FcntlInt(uintptr(results), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return mine, theirs, fmt.Errorf("window: %w", err)
	}
	return mine, append(theirs, dup), nil
}

// startInit forks the process that builds the jail.
func startInit(fds []int, pidfd *int) (*exec.Cmd, error) {
	uid, gid, groups := outsideIDs()
	cmd := &exec.Cmd{Path: selfExe, Args: append([]string{argJail}, testOnlyArgs...), Env: []string{}, Dir: "/"}
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
		Cloneflags:  namespaces &^ testOnlyShared(),
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

// setUp tells the jail's first process what it needs and waits for its word that the worker is confined. landlock is
// that part of the isolation stamp.
func setUp(setup, status int) (landlock string, err error) {
	outside, err := ownNamespaces()
	if err != nil {
		return "", err
	}
	b, err := json.Marshal(jailSetup{Outside: outside})
	if err != nil {
		return "", err
	}
	if _, err := unix.Write(setup, b); err != nil {
		return "", fmt.Errorf("jail: %w%s", err, namespaceHint())
	}
	if err := unix.SetNonblock(status, true); err != nil {
		return "", err
	}
	dup, err := unix.FcntlInt(uintptr(status), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return "", err
	}
	f := os.NewFile(uintptr(dup), "status")
	defer f.Close()
	_ = f.SetReadDeadline(time.Now().Add(startTimeout))
	word, err := readFrame(f, maxDetail)
	if err != nil {
		return "", fmt.Errorf("jail did not report: %w", err)
	}
	landlock, ready := strings.CutPrefix(string(word), jailReady)
	switch {
	case ready:
		return landlock, nil
	case strings.Contains(string(word), "mount"):
		return "", errors.New(string(word) + namespaceHint())
	}
	return "", errors.New(string(word))
}
