// SPDX-License-Identifier: Apache-2.0

package swtpm_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation/tpm"
	"github.com/glovebox-dev/glovebox/attestation/tpm/eventlog"
	"github.com/glovebox-dev/glovebox/attestation/tpm/swtpm"
	"github.com/glovebox-dev/glovebox/attestation/tpm/swtpm/swtpmtest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func TestAvailableSaysHow(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	err := swtpm.Available()
	if !errors.Is(err, swtpm.ErrMissing) || !strings.Contains(err.Error(), "apt-get install swtpm") {
		t.Errorf("got %v", err)
	}
	if _, err := swtpm.Start(t.Context(), t.TempDir()); !errors.Is(err, swtpm.ErrMissing) {
		t.Errorf("got %v", err)
	}
}

// TestTouchesNoDevice: a software TPM never opens the machine's own.
func TestTouchesNoDevice(t *testing.T) {
	i := swtpmtest.Start(t)
	fds, err := filepath.Glob(filepath.Join("/proc", strconv.Itoa(i.PID()), "fd", "*"))
	if err != nil || len(fds) == 0 {
		t.Fatalf("no descriptors seen: %v", err)
	}
	for _, fd := range fds {
		if to, err := os.Readlink(fd); err == nil && strings.HasPrefix(to, "/dev/tpm") {
			t.Errorf("holds %s", to)
		}
	}
	cmdline, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(i.PID()), "cmdline"))
	if err != nil || strings.Contains(string(cmdline), "/dev/tpm") {
		t.Errorf("started as %q, %v", cmdline, err)
	}
}

func TestFilesArePrivate(t *testing.T) {
	i := swtpmtest.Start(t)
	dir := filepath.Dir(i.EKCertFile)
	err := filepath.WalkDir(dir, func(p string, e os.DirEntry, err error) error {
		if err != nil || p == dir {
			return err
		}
		st, err := e.Info()
		if err == nil && st.Mode().Perm()&0o077 != 0 && st.Size() > 0 {
			t.Errorf("%s has mode %v", p, st.Mode().Perm())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestEndsWithContextAndStop(t *testing.T) {
	swtpmtest.Require(t)
	ctx, cancel := context.WithCancel(t.Context())
	i, err := swtpm.Start(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := i.Stop(); err != nil {
		t.Error(err)
	}
	if err := i.Stop(); err != nil {
		t.Errorf("a second time: %v", err)
	}
	for range 100 {
		if err := syscall.Kill(i.PID(), 0); errors.Is(err, syscall.ESRCH) {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	if err := syscall.Kill(i.PID(), 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process is still there: %v", err)
	}
	if _, err := os.Stat(i.Socket); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket is still there: %v", err)
	}
}

// TestLongDirectory: a socket's path has at most 108 bytes, a directory's may have more.
func TestLongDirectory(t *testing.T) {
	swtpmtest.Require(t)
	dir := filepath.Join(t.TempDir(), strings.Repeat("long", 30))
	i, err := swtpm.Start(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(i.Socket) >= 100 {
		t.Errorf("socket at %s", i.Socket)
	}
	if st, err := os.Stat(filepath.Dir(i.Socket)); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("socket's directory: %v, %v", st.Mode(), err)
	}
	if err := i.Stop(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Dir(i.Socket)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("socket's directory is left: %v", err)
	}
}

func TestMeasureFile(t *testing.T) {
	i := swtpmtest.Start(t)
	for _, p := range []string{"/nowhere", t.TempDir()} {
		if _, err := i.MeasureFile(t.Context(), p); !errors.Is(err, swtpm.ErrMeasure) {
			t.Errorf("%s: %v", p, err)
		}
	}
	file := filepath.Join(t.TempDir(), "binary")
	if err := os.WriteFile(file, []byte("binary"), 0o600); err != nil {
		t.Fatal(err)
	}
	d, err := i.MeasureFile(t.Context(), file)
	if err != nil || d != envelope.Sum([]byte("binary")) {
		t.Fatalf("measured %s, %v", d, err)
	}
	b, err := os.ReadFile(i.EventLogFile)
	if err != nil {
		t.Fatal(err)
	}
	l, err := eventlog.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := l.Find(14, eventlog.IPL, eventlog.EnclaveEvent); len(got) != 1 || got[0] != d {
		t.Errorf("logged %x", got)
	}
	m, err := tpm.ReadMeasurements(t.Context(), i.Device())
	if err != nil || m["pcr14"] == strings.Repeat("0", 64) || m["pcr0"] != strings.Repeat("0", 64) {
		t.Errorf("registers %v, %v", m, err)
	}
}

// TestWrongCAKeyMode: a CA key that others can read is refused, not replaced in silence.
func TestWrongCAKeyMode(t *testing.T) {
	swtpmtest.Require(t)
	dir := t.TempDir()
	i, err := swtpm.Start(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Stop(); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(dir, "ca.key"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := swtpm.Start(t.Context(), dir); !errors.Is(err, envelope.ErrKeyMode) {
		t.Errorf("got %v", err)
	}
}

// TestSecondInstanceOnOneDirectory does not take the first one's socket away and live.
func TestSecondInstanceOnOneDirectory(t *testing.T) {
	swtpmtest.Require(t)
	dir := t.TempDir()
	first, err := swtpm.Start(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	defer first.Stop() //nolint:errcheck // ends with the test's context anyway
	if second, err := swtpm.Start(t.Context(), dir); !errors.Is(err, swtpm.ErrStart) {
		if err == nil {
			second.Stop() //nolint:errcheck // see above
		}
		t.Errorf("got %v", err)
	}
	if _, err := tpm.ReadMeasurements(t.Context(), first.Device()); err != nil {
		t.Errorf("the first instance: %v", err)
	}
}
