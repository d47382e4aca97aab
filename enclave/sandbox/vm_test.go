// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// vmMarker asks for the tests in virtual machines: `make vm-test`.
const vmMarker = "GLOVEBOX_VM_TEST"

// What runs in a machine needs no other program than these tests. One machine runs all of it, and takes minutes; in the
// others, what may depend on what they lack.
const (
	vmShort = "SelfTest$|IsolationStamp|WorkerConfinement|KilledWorker|KilledSpawner|SideBySide|UnusedWorkerDies|ContainerRoot|" +
		"OutOfMemory|OutOfPids|GuestAllocates"
	vmTests = vmShort + "|SelfTest|StoppedWorker|EnclaveGone|Pool|RuntimeUnderFilter|ForeignABI|OrdinaryUser|UserNamespaces|" +
		"OutOfProcesses|ApplyLimits"
)

// TestVM runs this package's tests as the only program of virtual machines whose kernels offer less, or other, than this
// machine's: every version of control groups, no Landlock, no namespaces.
func TestVM(t *testing.T) {
	if os.Getenv(vmMarker) == "" {
		t.Skip("make vm-test runs this")
	}
	kernel := vmKernel(t)
	image := filepath.Join(t.TempDir(), "initramfs")
	if err := os.WriteFile(image, initramfs(t), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, m := range map[string]struct {
		cmdline string
		want    []string // environment of the tests
		tests   string
	}{
		"cgroup v2":             {"glovebox.cgroup=v2", []string{"WANT_STAMP=cgroup-v2"}, vmTests},
		"cgroup v2, as service": {"glovebox.cgroup=v2-service", []string{"WANT_STAMP=cgroup-v2"}, vmShort},
		"cgroup v2, delegated":  {"glovebox.cgroup=v2-delegated", []string{"WANT_STAMP=cgroup-v2"}, vmShort},
		"cgroup v2, shared":     {"glovebox.cgroup=v2-shared", []string{"WANT_STAMP=rlimit"}, "IsolationStamp|SelfTest$"},
		"cgroup v1":             {"glovebox.cgroup=v1", []string{"WANT_STAMP=cgroup-v1"}, vmShort},
		"cgroup hybrid":         {"glovebox.cgroup=hybrid", []string{"WANT_STAMP=cgroup-v1"}, vmShort},
		"no cgroup":             {"glovebox.cgroup=none", []string{"WANT_STAMP=rlimit"}, vmShort},
		"no controllers":        {"glovebox.cgroup=v2 cgroup_disable=memory,pids", []string{"WANT_STAMP=rlimit"}, "IsolationStamp|SelfTest$|GuestAllocates"},
		"no Landlock":           {"glovebox.cgroup=v2 lsm=lockdown,yama", []string{"WANT_LANDLOCK=no-landlock", "WANT_STAMP=cgroup-v2"}, vmShort},
		"no user namespaces":    {"glovebox.cgroup=v2 glovebox.userns=0", []string{"WANT_NO_USERNS=1"}, "NoUserNamespaces"},
	} {
		t.Run(name, func(t *testing.T) {
			m.want = append(m.want, slowMarker+"=1")
			cmdline := strings.Join([]string{
				"console=ttyS0 panic=-1 quiet loglevel=3", m.cmdline,
				"glovebox.env=" + strings.Join(m.want, ","), "glovebox.tests=" + m.tests,
			}, " ")
			out := boot(t, kernel, image, cmdline)
			for line := range strings.Lines(out) {
				if strings.HasPrefix(line, "--- ") || strings.HasPrefix(line, vmResult) {
					t.Log(strings.TrimSpace(line))
				}
			}
			if !strings.Contains(out, vmResult+"ok") || !strings.Contains(out, "--- PASS") {
				t.Errorf("tests failed in the machine:\n%s", out)
			}
		})
	}
}

// vmKernel finds what a machine is made of, or skips.
func vmKernel(t *testing.T) string {
	t.Helper()
	if _, err := exec.LookPath("qemu-system-x86_64"); err != nil {
		t.Skip("no qemu-system-x86_64 (apt-get install qemu-system-x86)")
	}
	found, err := filepath.Glob("/boot/vmlinuz-*")
	if err != nil || len(found) == 0 {
		t.Skip("no kernel in /boot (apt-get install linux-image-cloud-amd64)")
	}
	return found[len(found)-1]
}

// boot runs one machine until its init is done and returns what it wrote. The processor is emulated: that is slow, but a
// machine that is virtual itself often offers a KVM that starts nothing.
func boot(t *testing.T, kernel, image, cmdline string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "qemu-system-x86_64", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "2G", "-smp", "2", "-nodefaults",
		"-no-reboot", "-display", "none", "-serial", "stdio", "-net", "none", "-kernel", kernel, "-initrd", image, "-append", cmdline)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Run(); err != nil {
		t.Errorf("qemu: %v", err)
	}
	return strings.ReplaceAll(out.String(), "\r", "")
}

// initramfs is an archive with this package's tests, linked statically, as the first program.
func initramfs(t *testing.T) []byte {
	t.Helper()
	bin := filepath.Join(t.TempDir(), "init")
	build := exec.Command("go", "test", "-c", "-trimpath", "-ldflags=-s -w", "-o", bin, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-buildvcs=false")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	b, err := os.ReadFile(bin)
	if err != nil {
		t.Fatal(err)
	}
	var archive bytes.Buffer
	for _, dir := range []string{"dev", "proc", "sys", "mnt"} {
		cpioEntry(&archive, dir, 0o40755, nil)
	}
	cpioEntry(&archive, "init", 0o100755, b)
	cpioEntry(&archive, "TRAILER!!!", 0, nil)
	return archive.Bytes()
}

// cpioEntry writes one entry in the kernel's format: Documentation/driver-api/early-userspace/buffer-format.rst.
func cpioEntry(w io.Writer, name string, mode int, data []byte) {
	links := 1
	fmt.Fprintf(w, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x", 0, mode, 0, 0, links, 0, len(data), 0, 0, 0, 0, len(name)+1, 0)
	_, _ = io.WriteString(w, name+"\x00")
	pad := func(n int) { _, _ = w.Write(make([]byte, (4-n%4)%4)) }
	pad(110 + len(name) + 1)
	_, _ = w.Write(data)
	pad(len(data))
}

// TestNoUserNamespaces: where the machine has switched them off, there is no worker and the error says what to ask for.
func TestNoUserNamespaces(t *testing.T) {
	if os.Getenv("WANT_NO_USERNS") == "" {
		t.Skip("this machine has user namespaces")
	}
	wantNoWorker(t)
}

// TestCpio: the archive is one that the kernel's documentation describes: aligned entries, sizes as written.
func TestCpio(t *testing.T) {
	var b bytes.Buffer
	cpioEntry(&b, "init", 0o100755, []byte("abcde"))
	want := slices.Concat([]byte("070701"+"00000000"+"000081ed"+strings.Repeat("00000000", 2)+"00000001"+"00000000"+"00000005"+
		strings.Repeat("00000000", 4)+"00000005"+"00000000"+"init"), make([]byte, 2), []byte("abcde"), make([]byte, 3))
	if got := b.Bytes(); !bytes.HasPrefix(got, want[:110+4]) || len(got)%4 != 0 {
		t.Errorf("%q", got)
	}
}
