// SPDX-License-Identifier: Apache-2.0

package faultfs

import (
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"

	"github.com/hanwen/go-fuse/v2/fuse"
	"golang.org/x/sys/unix"
)

// ErrUnsupported says that this machine lets this user mount no FUSE file system.
var ErrUnsupported = errors.New("faultfs: no FUSE here")

const (
	variable  = "GLOVEBOX_FAULTFS"
	maxReason = 512
	mounted   = "mounted"
)

// Process is a program with a disk of its own.
type Process struct {
	cmd  *exec.Cmd
	serv *fuse.Server
	down sync.WaitGroup
}

// Start starts cmd with the disk at dir, in a mount namespace of its own, so that nothing is left of the mount when the
// program has ended; for others than root in a user namespace too. The program must call [Mount] before it looks at
// dir. Errors: [ErrUnsupported].
func Start(cmd *exec.Cmd, d *Disk, dir string) (*Process, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "mount"), os.NewFile(uintptr(pair[1]), "mount")
	defer ours.Close()
	isolate(cmd)
	cmd.ExtraFiles = append(cmd.ExtraFiles, theirs)
	cmd.Env = append(cmd.Environ(), fmt.Sprintf("%s=%d:%s", variable, 2+len(cmd.ExtraFiles), dir))
	err = cmd.Start()
	theirs.Close() //nolint:errcheck // the program has it
	if errors.Is(err, syscall.EPERM) || errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EINVAL) {
		return nil, fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	if err != nil {
		return nil, err
	}
	p := &Process{cmd: cmd}
	if err := p.serve(d, ours); err != nil {
		cmd.Process.Kill() //nolint:errcheck // it may have gone
		cmd.Wait()         //nolint:errcheck // it was killed
		return nil, err
	}
	return p, nil
}

func isolate(cmd *exec.Cmd) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	a := cmd.SysProcAttr
	a.Cloneflags |= syscall.CLONE_NEWNS
	if os.Geteuid() == 0 {
		return
	}
	a.Cloneflags |= syscall.CLONE_NEWUSER
	a.UidMappings = []syscall.SysProcIDMap{{HostID: os.Geteuid(), Size: 1}}
	a.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getegid(), Size: 1}}
	a.Credential = &syscall.Credential{NoSetGroups: true}
}

// serve takes the mounted device from the program and answers it until the program ends.
func (p *Process) serve(d *Disk, from *os.File) error {
	fd, err := receive(from)
	if err != nil {
		return err
	}
	p.serv, err = fuse.NewServer(&served{fuse.NewDefaultRawFileSystem(), d}, fmt.Sprintf("/dev/fd/%d", fd), &fuse.MountOptions{
		DisableXAttrs: true, ExplicitDataCacheControl: true, DisableReadDirPlus: true, MaxWrite: 1 << 20,
		Logger: log.New(io.Discard, "", 0), // a program that dies leaves answers nobody waits for
	})
	if err != nil {
		return err
	}
	p.down.Go(p.serv.Serve)
	return nil
}

// receive gets the file descriptor, or the reason why there is none.
func receive(from *os.File) (fd int, err error) {
	text, rights := make([]byte, maxReason), make([]byte, unix.CmsgSpace(4))
	n, m, _, _, err := unix.Recvmsg(int(from.Fd()), text, rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return 0, err
	}
	if reason := string(text[:n]); reason != mounted {
		return 0, fmt.Errorf("%w: %s", ErrUnsupported, reason)
	}
	messages, err := unix.ParseSocketControlMessage(rights[:m])
	if err != nil || len(messages) != 1 {
		return 0, fmt.Errorf("faultfs: no device came: %w", err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 1 {
		return 0, fmt.Errorf("faultfs: no device came: %w", err)
	}
	return fds[0], nil
}

// Kill ends the program with SIGKILL and waits for it and for its file system.
func (p *Process) Kill() error {
	err := p.cmd.Process.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	return errors.Join(err, p.Wait())
}

// Wait waits for the program and its file system to end. How the program ended is in cmd.ProcessState.
func (p *Process) Wait() error {
	err := p.cmd.Wait()
	if _, ok := errors.AsType[*exec.ExitError](err); ok {
		err = nil
	}
	p.down.Wait()
	return err
}

// Mount is for the program that [Start] started, before anything else: it mounts the disk. In another program it does
// nothing.
func Mount() error {
	number, dir, ok := strings.Cut(os.Getenv(variable), ":")
	if !ok {
		return nil
	}
	fd, err := strconv.Atoi(number)
	if err != nil {
		return err
	}
	defer unix.Close(fd) //nolint:errcheck // nothing more to send
	device, err := mount(dir)
	if err != nil {
		reason := []byte(err.Error())
		return errors.Join(err, unix.Sendmsg(fd, reason[:min(len(reason), maxReason)], nil, nil, 0))
	}
	defer unix.Close(device) //nolint:errcheck // the parent has it
	return unix.Sendmsg(fd, []byte(mounted), unix.UnixRights(device), nil, 0)
}

// mount opens the device for this process alone: a copy that a child of it inherited would keep a dead disk alive.
func mount(dir string) (device int, err error) {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return 0, fmt.Errorf("private mounts: %w", err)
	}
	if device, err = unix.Open("/dev/fuse", unix.O_RDWR|unix.O_CLOEXEC, 0); err != nil {
		return 0, fmt.Errorf("/dev/fuse: %w", err)
	}
	options := fmt.Sprintf("fd=%d,rootmode=40000,user_id=%d,group_id=%d", device, os.Geteuid(), os.Getegid())
	if err := unix.Mount("faultfs", dir, "fuse.faultfs", unix.MS_NOSUID|unix.MS_NODEV, options); err != nil {
		return 0, errors.Join(fmt.Errorf("mount: %w", err), unix.Close(device))
	}
	return device, nil
}
