// SPDX-License-Identifier: Apache-2.0

package faultfs

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
	_ "modernc.org/sqlite" // the driver registers itself
)

const (
	scenarioVariable = "GLOVEBOX_FAULTFS_SCENARIO"
	dirVariable      = "GLOVEBOX_FAULTFS_DIR"
)

// TestMain turns the test binary into a program on a faulty disk.
func TestMain(m *testing.M) {
	name := os.Getenv(scenarioVariable)
	if name == "" {
		os.Exit(m.Run())
	}
	err := Mount()
	if err == nil {
		err = os.Chdir(os.Getenv(dirVariable))
	}
	if err == nil {
		err = scenarios()[name]()
	}
	if err != nil {
		fmt.Println(name+":", err)
		os.Exit(1)
	}
	os.Exit(0)
}

func writeFile(name, text string, sync bool) error {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if sync {
		err = errors.Join(err, f.Sync())
	}
	return errors.Join(err, f.Close())
}

func syncHere() error {
	f, err := os.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// scenarios are what programs do on the disk.
func scenarios() map[string]func() error {
	return map[string]func() error{
		"files":  files,
		"closed": closed,
		"sqlite": database,
		"errors": failing,
	}
}

func files() error {
	return errors.Join(
		writeFile("unsynced", "x", false), os.Mkdir("folder", 0o700), writeFile("folder/inner", "i", true),
		writeFile("kept", "k", true), writeFile("old", "old", true), syncHere(),
		writeFile("nameless", "n", true), writeFile("new", "new", true), os.Rename("new", "old"), os.Remove("kept"),
	)
}

// closed checks that no copy of the device is left in this process or would be in a child of it.
func closed() error {
	out, err := exec.Command("ls", "-l", "/proc/self/fd").Output()
	if err != nil || strings.Contains(string(out), "fuse") {
		return fmt.Errorf("a child has the device: %w\n%s", err, out)
	}
	list, err := os.ReadDir("/proc/self/fd")
	for _, e := range list {
		if to, _ := os.Readlink("/proc/self/fd/" + e.Name()); strings.Contains(to, "fuse") {
			return fmt.Errorf("descriptor %s is %s", e.Name(), to)
		}
	}
	return err
}

// database runs SQLite with a write-ahead log, whose index is a mapped file.
func database() error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "x.db")+"?_pragma=journal_mode(WAL)&_pragma=synchronous(FULL)")
	if err != nil {
		return err
	}
	for _, q := range []string{"CREATE TABLE t(v INTEGER)", "INSERT INTO t VALUES (1)", "INSERT INTO t VALUES (2)"} {
		if _, err := db.Exec(q); err != nil {
			return fmt.Errorf("%s: %w", q, err)
		}
	}
	if _, err := os.Stat("x.db-shm"); err != nil {
		return err
	}
	return syscall.Kill(os.Getpid(), syscall.SIGKILL) // nothing is closed, so nothing is written back
}

// failing meets every injected error.
func failing() error {
	f, err := os.Create("f")
	if err != nil {
		return err
	}
	if _, err = f.WriteString("1"); err != nil {
		return err
	}
	if _, err = f.WriteString("2"); !errors.Is(err, unix.ENOSPC) {
		return fmt.Errorf("second write: %w", err)
	}
	if _, err = f.WriteString("3"); err != nil {
		return err
	}
	if err = f.Sync(); !errors.Is(err, unix.EIO) {
		return fmt.Errorf("first sync: %w", err)
	}
	if err := f.Sync(); err != nil {
		return err
	}
	if err := syncHere(); err != nil {
		return err
	}
	if err = f.Sync(); !errors.Is(err, unix.EIO) {
		return fmt.Errorf("sync without power: %w", err)
	}
	if _, err := f.WriteString("4"); !errors.Is(err, unix.EIO) {
		return fmt.Errorf("write without power: %w", err)
	}
	return nil
}

// run runs one scenario on a disk.
func run(t *testing.T, d *Disk, name string) {
	t.Helper()
	dir, out := t.TempDir(), &strings.Builder{}
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), scenarioVariable+"="+name, dirVariable+"="+dir)
	cmd.Stdout, cmd.Stderr = out, out
	p, err := Start(cmd, d, dir)
	if errors.Is(err, ErrUnsupported) {
		t.Skip(err)
	}
	must(t, err)
	must(t, p.Wait())
	if out.Len() > 0 {
		t.Error(out)
	}
	if list, err := os.ReadDir(dir); err != nil || len(list) != 0 {
		t.Errorf("the mount is visible outside: %v %v", list, err)
	}
}

func TestMountedFiles(t *testing.T) {
	d := NewDisk()
	run(t, d, "files")
	if got := contents(t, d)["old"]; got != "new" {
		t.Errorf("before the power loss: %q", got)
	}
	out := t.TempDir()
	must(t, d.Restart().Export(out))
	for name, want := range map[string]string{"unsynced": "", "kept": "k", "old": "old"} {
		b, err := os.ReadFile(filepath.Join(out, name))
		if err != nil || string(b) != want {
			t.Errorf("%s: %q, %v; want %q", name, b, err, want)
		}
	}
	for _, name := range []string{"nameless", "new", "folder/inner"} {
		if _, err := os.Stat(filepath.Join(out, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s survived: %v", name, err)
		}
	}
	if n := d.Counts().Syncs; n != 6 {
		t.Errorf("%d sync points", n)
	}
}

func TestDeviceIsNotInherited(t *testing.T) { run(t, NewDisk(), "closed") }

func TestMountedErrors(t *testing.T) {
	d := NewDisk()
	d.Inject(Faults{FullFrom: 2, FullFor: 1, SyncError: 1, PowerLoss: 4})
	run(t, d, "errors")
	wantContents(t, d.Restart(), map[string]string{"f": ""})
}

func TestMountedSQLite(t *testing.T) {
	d := NewDisk()
	run(t, d, "sqlite")
	if d.Counts().Syncs < 3 {
		t.Errorf("%d sync points", d.Counts().Syncs)
	}
	dir := t.TempDir()
	must(t, d.Restart().Export(dir))
	if _, err := os.Stat(filepath.Join(dir, "x.db-shm")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("shared memory survived: %v", err)
	}
	db, err := sql.Open("sqlite", "file:"+filepath.Join(dir, "x.db"))
	must(t, err)
	defer db.Close()
	var sum int
	must(t, db.QueryRow("SELECT SUM(v) FROM t").Scan(&sum))
	if sum != 3 {
		t.Errorf("sum %d", sum)
	}
}
