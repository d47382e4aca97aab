// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const (
	vmResult   = "VM-RESULT "
	slowMarker = "SLOW_MACHINE"
)

// slowly is how many times longer things take on this machine.
func slowly() time.Duration {
	if os.Getenv(slowMarker) != "" {
		return 8
	}
	return 1
}

// vmInit is the first and only program of a virtual machine: it sets the machine up as its command line says, runs the
// tests that are named there, and switches the machine off.
func vmInit() {
	err := func() error {
		if err := vmRoot(); err != nil {
			return err
		}
		b, err := os.ReadFile("/proc/cmdline")
		if err != nil {
			return err
		}
		args := map[string]string{}
		for f := range strings.FieldsSeq(string(b)) {
			if k, v, ok := strings.Cut(f, "="); ok {
				args[k] = v
			}
		}
		if args["glovebox.userns"] == "0" {
			if err := os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0); err != nil {
				return err
			}
		}
		group, err := vmCgroup(args["glovebox.cgroup"])
		if err != nil {
			return err
		}
		return vmRun(args, group)
	}()
	if err != nil {
		fmt.Println(vmResult+"failed:", err)
	} else {
		fmt.Println(vmResult + "ok")
	}
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
}

// vmRoot leaves the initial root, which cannot be pivoted from, for a file system like any other machine's.
func vmRoot() error {
	type mount struct{ source, at, kind string }
	if err := unix.Mount("root", "/mnt", "tmpfs", 0, "mode=0755"); err != nil {
		return fmt.Errorf("root: %w", err)
	}
	b, err := os.ReadFile("/init")
	if err != nil {
		return err
	}
	if err := os.WriteFile("/mnt/init", b, 0o755); err != nil {
		return err
	}
	if err := errors.Join(os.Chdir("/mnt"), unix.Mount(".", "/", "", unix.MS_MOVE, ""), unix.Chroot("."), os.Chdir("/")); err != nil {
		return fmt.Errorf("switch root: %w", err)
	}
	for _, m := range []mount{
		{"proc", "/proc", "proc"}, {"sysfs", "/sys", "sysfs"}, {"dev", "/dev", "devtmpfs"}, {"tmp", "/tmp", "tmpfs"}, {"shm", "/dev/shm", "tmpfs"},
	} {
		if err := errors.Join(os.MkdirAll(m.at, 0o755), unix.Mount(m.source, m.at, m.kind, 0, "")); err != nil {
			return fmt.Errorf("mount %s: %w", m.at, err)
		}
	}
	if err := os.Chmod("/tmp", 0o1777); err != nil {
		return err
	}
	return errors.Join(os.Mkdir("/etc", 0o755), os.WriteFile("/etc/hostname", []byte("vm\n"), 0o644),
		os.WriteFile("/etc/passwd", []byte("root:x:0:0::/:\n"), 0o644))
}

// vmCgroup mounts the control groups of the kind and returns a group to run the tests in, "" for the root's.
func vmCgroup(kind string) (string, error) {
	v1 := func() error {
		if err := unix.Mount("cgroup", cgroupRoot, "tmpfs", 0, ""); err != nil {
			return err
		}
		for _, c := range []string{"memory", "pids"} {
			at := filepath.Join(cgroupRoot, c)
			if err := errors.Join(os.Mkdir(at, 0o755), unix.Mount("cgroup", at, "cgroup", 0, c)); err != nil {
				return fmt.Errorf("controller %s: %w", c, err)
			}
		}
		return nil
	}
	switch kind {
	case "v2":
		return "", unix.Mount("cgroup2", cgroupRoot, "cgroup2", 0, "")
	case "v2-service", "v2-delegated", "v2-shared":
		service := filepath.Join(cgroupRoot, "system.slice", "glovebox.service")
		err := errors.Join(
			unix.Mount("cgroup2", cgroupRoot, "cgroup2", 0, ""), os.MkdirAll(service, 0o755),
			setting(cgroupRoot, "cgroup.subtree_control", "+memory +pids"),
			setting(filepath.Dir(service), "cgroup.subtree_control", "+memory +pids"),
		)
		if err == nil && kind == "v2-delegated" {
			err = unix.Setxattr(service, "user.delegate", []byte("1"), 0)
		}
		return service, err
	case "v1":
		return "", v1()
	case "hybrid":
		at := filepath.Join(cgroupRoot, "unified")
		return "", errors.Join(v1(), os.Mkdir(at, 0o755), unix.Mount("cgroup2", at, "cgroup2", 0, ""))
	}
	return "", nil
}

// vmRun runs the tests, in the group if there is one.
func vmRun(args map[string]string, group string) error {
	cmd := exec.Command("/init", "-test.run="+args["glovebox.tests"], "-test.v", "-test.count=1", "-test.timeout=400s")
	cmd.Stdout, cmd.Stderr, cmd.Dir = os.Stdout, os.Stdout, "/tmp"
	cmd.Env = append(strings.Split(args["glovebox.env"], ","), "TMPDIR=/tmp", "PATH=/")
	if group == "" {
		return cmd.Run()
	}
	// A service is in its group from its first instruction: init starts it there.
	if err := setting(group, "cgroup.procs", strconv.Itoa(os.Getpid())); err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	if args["glovebox.cgroup"] == "v2-service" { // in the others it stays, a process that is not the enclave's
		if err := setting(cgroupRoot, "cgroup.procs", strconv.Itoa(os.Getpid())); err != nil {
			return err
		}
	}
	return cmd.Wait()
}

// wantNoWorker demands that no worker can be had here, and a hint for the operator.
func wantNoWorker(t *testing.T) {
	t.Helper()
	s := newSpawner(t)
	_, err := s.SelfTest(t.Context())
	if !errors.Is(err, ErrIsolation) || !strings.Contains(err.Error(), "user.max_user_namespaces") {
		t.Errorf("self-test: %v, want ErrIsolation with a hint", err)
	}
	if o, err := s.Run(t.Context(), spec(wasmModule{}.bytes()), nil); !errors.Is(err, ErrIsolation) || o != nil {
		t.Errorf("run: %+v, %v; want ErrIsolation", o, err)
	}
}
