// SPDX-License-Identifier: Apache-2.0

// Package swtpm runs a software TPM, Debian's swtpm, with a directory of its own.
//
// Trust domain: host; used by the demo, by the operator without hardware, and by tests. Its one job: stand in for a
// machine's TPM and its measured boot, and be marked as what it is: the CA that certifies it is named
// "Glovebox software TPM test CA", which no verifier accepts for more than software-tpm. It never opens /dev/tpm*.
package swtpm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"
)

// Errors.
var (
	ErrMissing = errors.New("swtpm: not installed")
	ErrStart   = errors.New("swtpm: did not start")
	ErrMeasure = errors.New("swtpm: measurement failed")
)

const (
	binary        = "swtpm"
	maxSocketPath = 100 // sun_path has 108 bytes
	startTime     = 10 * time.Second
	maxLogTail    = 512
)

// Instance is a running software TPM. Its PCRs begin at zero with each start, and so does its event log; its keys and
// its CA stay in the directory.
type Instance struct {
	Socket       string // raw TPM commands; one client at a time
	EKCertFile   string // DER
	CAFile       string // PEM
	EventLogFile string // TCG crypto-agile

	cmd    *exec.Cmd
	cancel context.CancelFunc
	done   chan struct{}
	lock   *os.File // one instance a directory
	tmp    string   // private socket directory to remove; "" if the socket is in the instance's own

	mu  sync.Mutex
	log []byte
}

// Available tells why no software TPM can be started; the error says which package has it.
func Available() error {
	if _, err := exec.LookPath(binary); err != nil {
		return fmt.Errorf("%w: apt-get install swtpm", ErrMissing)
	}
	return nil
}

// Device is the instance's address for package tpm.
func (i *Instance) Device() string { return "unix:" + i.Socket }

// Start starts a software TPM whose state is in dir (made with mode 0700) and certifies its endorsement key. The process
// ends with ctx, with [Instance.Stop], and with its parent.
func Start(ctx context.Context, dir string) (*Instance, error) {
	if err := Available(); err != nil {
		return nil, err
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(dir, "state"), 0o700); err != nil {
		return nil, err
	}
	i := &Instance{
		EKCertFile: filepath.Join(dir, "ek.der"), CAFile: filepath.Join(dir, "ca.pem"),
		EventLogFile: filepath.Join(dir, "eventlog.bin"), done: make(chan struct{}),
	}
	if i.lock, err = lockDirectory(dir); err != nil {
		return nil, err
	}
	if err := i.placeSocket(dir); err != nil {
		return nil, errors.Join(err, i.lock.Close())
	}
	if err := i.launch(ctx, dir); err != nil {
		i.removeSocket()
		return nil, errors.Join(err, i.lock.Close())
	}
	err = i.prepare(ctx, dir)
	if err != nil {
		return nil, errors.Join(err, i.Stop())
	}
	return i, nil
}

// prepare waits for the socket, certifies the endorsement key and begins an empty event log.
func (i *Instance) prepare(ctx context.Context, dir string) error {
	if err := i.await(ctx, dir); err != nil {
		return err
	}
	if err := i.certify(ctx, dir); err != nil {
		return err
	}
	return i.beginLog()
}

// lockDirectory refuses a second instance, whose start would take the first one's socket away.
func lockDirectory(dir string) (*os.File, error) {
	f, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%w: %s is in use by another instance", ErrStart, dir), f.Close())
	}
	return f, nil
}

// placeSocket picks a path short enough for a socket address: in dir, else in a private temporary directory.
func (i *Instance) placeSocket(dir string) error {
	i.Socket = filepath.Join(dir, "tpm.sock")
	if len(i.Socket) >= maxSocketPath {
		tmp, err := os.MkdirTemp("", "gbtpm") // mode 0700
		if err != nil {
			return err
		}
		i.tmp, i.Socket = tmp, filepath.Join(tmp, "tpm.sock")
	}
	if len(i.Socket) >= maxSocketPath {
		i.removeSocket()
		return fmt.Errorf("%w: socket path %s has %d bytes, at most %d; set TMPDIR to a shorter one", ErrStart, i.Socket, len(i.Socket), maxSocketPath-1)
	}
	if err := os.Remove(i.Socket); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (i *Instance) removeSocket() {
	os.Remove(i.Socket) //nolint:errcheck // swtpm removes it itself when it ends in peace
	if i.tmp != "" {
		os.RemoveAll(i.tmp) //nolint:errcheck // a leftover empty directory harms nobody
	}
}

func arguments(dir, socket string) []string {
	return []string{
		"socket", "--tpm2",
		"--tpmstate", "dir=" + filepath.Join(dir, "state") + ",mode=0600",
		"--server", "type=unixio,path=" + socket + ",mode=0600",
		"--flags", "not-need-init,startup-clear",
		"--log", "file=" + filepath.Join(dir, "swtpm.log") + ",level=1,truncate",
	}
}

func (i *Instance) launch(ctx context.Context, dir string) error {
	ctx, i.cancel = context.WithCancel(ctx)
	i.cmd = exec.CommandContext(ctx, binary, arguments(dir, i.Socket)...)
	i.cmd.Dir = dir
	i.cmd.Env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	i.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	started := make(chan error)
	go i.run(started)
	if err := <-started; err != nil {
		i.cancel()
		return fmt.Errorf("%w: %w", ErrStart, err)
	}
	return nil
}

// run starts the process and waits for its end, all on one thread: the kernel sends the parent-death signal when the
// thread that started a process ends, and Go ends threads that others have locked.
func (i *Instance) run(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	err := i.cmd.Start()
	started <- err
	if err != nil {
		return
	}
	defer close(i.done)
	i.cmd.Wait() //nolint:errcheck // killed on purpose; an early end shows as a socket that never answers
	i.removeSocket()
	i.lock.Close() //nolint:errcheck // nothing was written
}

// await connects once the socket is there.
func (i *Instance) await(ctx context.Context, dir string) error {
	ctx, cancel := context.WithTimeout(ctx, startTime)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		c, err := net.Dial("unix", i.Socket)
		if err == nil {
			return c.Close()
		}
		select {
		case <-i.done:
			return fmt.Errorf("%w: it ended: %s", ErrStart, logTail(dir))
		case <-ctx.Done():
			return fmt.Errorf("%w: %w: %s", ErrStart, err, logTail(dir))
		case <-tick.C:
		}
	}
}

func logTail(dir string) string {
	b, err := os.ReadFile(filepath.Join(dir, "swtpm.log"))
	if err != nil || len(b) == 0 {
		return "it left no log"
	}
	return string(bytes.TrimSpace(b[max(0, len(b)-maxLogTail):]))
}

// Stop kills the process and waits for its end. It may be called more than once.
func (i *Instance) Stop() error {
	i.cancel()
	select {
	case <-i.done:
		return nil
	case <-time.After(startTime):
		return fmt.Errorf("%w: process %d does not end", ErrStart, i.cmd.Process.Pid)
	}
}

// PID is the process, for whoever wants to watch or kill it.
func (i *Instance) PID() int { return i.cmd.Process.Pid }
