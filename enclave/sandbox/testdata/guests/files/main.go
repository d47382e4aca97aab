// SPDX-License-Identifier: Apache-2.0

// Command files tries what a guest may do with files and what it may not, and prints the first surprise.
package main

import (
	"bytes"
	crand "crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

func main() {
	steps := []struct {
		name string
		run  func() error
	}{
		{"data", data}, {"out", out}, {"outside", outside}, {"world", world}, {"result", result},
	}
	for _, s := range steps {
		if err := s.run(); err != nil {
			fmt.Println(s.name+":", err)
			os.Exit(1)
		}
	}
	fmt.Println("all as it should be")
}

// data reads /data whole, by seek and by range, and lists it.
func data() error {
	want := []byte("0123456789")
	b, err := os.ReadFile("/data/set/records.csv")
	if err != nil || !bytes.Equal(b, want) {
		return fmt.Errorf("read %q, %v", b, err)
	}
	f, err := os.Open("/data/set/records.csv")
	if err != nil {
		return err
	}
	defer f.Close()
	p := make([]byte, 4)
	if n, err := f.ReadAt(p, 5); n != 4 || err != nil || string(p) != "5678" {
		return fmt.Errorf("read at 5: %q, %v", p[:n], err)
	}
	if n, err := f.ReadAt(p, 8); n != 2 || err != io.EOF {
		return fmt.Errorf("read at 8: %d, %v", n, err)
	}
	if at, err := f.Seek(-3, io.SeekEnd); at != 7 || err != nil {
		return fmt.Errorf("seek: %d, %v", at, err)
	}
	if rest, err := io.ReadAll(f); string(rest) != "789" || err != nil {
		return fmt.Errorf("rest %q, %v", rest, err)
	}
	info, err := os.Stat("/data/set/records.csv")
	if err != nil || info.Size() != 10 || info.IsDir() {
		return fmt.Errorf("stat %v, %v", info, err)
	}
	names, err := os.ReadDir("/data/set")
	if err != nil || len(names) != 2 || names[0].Name() != "empty" || names[1].Name() != "records.csv" {
		return fmt.Errorf("list %v, %v", names, err)
	}
	if b, err := os.ReadFile("/data/set/empty"); err != nil || len(b) != 0 {
		return fmt.Errorf("empty file: %q, %v", b, err)
	}
	return nil
}

// out does to a file of /out whatever can be done to one.
func out() error {
	f, err := os.OpenFile("/out/scratch", os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.WriteString("hello, world"); err != nil {
		return err
	}
	if _, err := f.WriteAt([]byte("W"), 7); err != nil {
		return err
	}
	if _, err := f.Seek(7, io.SeekStart); err != nil {
		return err
	}
	if b, err := io.ReadAll(f); string(b) != "World" || err != nil {
		return fmt.Errorf("read back %q, %v", b, err)
	}
	if err := errors.Join(f.Truncate(5), f.Sync(), f.Close()); err != nil {
		return err
	}
	if _, err := os.OpenFile("/out/scratch", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600); !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("created twice: %v", err)
	}
	f, err = os.OpenFile("/out/scratch", os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteString("!")
	if err := errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename("/out/scratch", "/out/other"); err != nil {
		return err
	}
	if b, err := os.ReadFile("/out/other"); string(b) != "hello!" || err != nil {
		return fmt.Errorf("after rename %q, %v", b, err)
	}
	if _, err := os.Stat("/out/scratch"); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("old name: %v", err)
	}
	names, err := os.ReadDir("/out")
	if err != nil || len(names) != 1 || names[0].Name() != "other" {
		return fmt.Errorf("list %v, %v", names, err)
	}
	if err := os.Remove("/out/other"); err != nil {
		return err
	}
	return os.WriteFile("/out/undeclared", []byte("x"), 0o600)
}

// outside must fail to write anywhere else.
func outside() error {
	for _, p := range []string{
		"/data/set/records.csv", "/data/new", "/data/set/new", "/new", "/tmp/new", "/etc/passwd", "/out/../new", "/out/../data/new",
		"../new", "/out/dir/new",
	} {
		if err := os.WriteFile(p, []byte("x"), 0o600); err == nil {
			return fmt.Errorf("wrote %s", p)
		}
	}
	for _, p := range []string{"/data/set/records.csv", "/data/new"} {
		if err := os.WriteFile(p, []byte("x"), 0o600); !errors.Is(err, syscall.EROFS) {
			return fmt.Errorf("write %s: %v, want a read-only file system", p, err)
		}
	}
	for _, p := range []string{"/etc/passwd", "/proc/self/maps", "/", "/out/../../etc/passwd"} {
		if _, err := os.ReadFile(p); err == nil {
			return fmt.Errorf("read %s", p)
		}
	}
	if os.Remove("/data/set/records.csv") == nil || os.Rename("/data/set/records.csv", "/out/r") == nil {
		return errors.New("changed the data")
	}
	if os.Mkdir("/out/dir", 0o700) == nil || os.Symlink("/data", "/out/link") == nil {
		return errors.New("made something that is no file")
	}
	return nil
}

// world must be nothing but parameters and a clock that knows nothing.
func world() error {
	if len(os.Args) != 1 || len(os.Environ()) != 1 || os.Getenv("COLOUR") != "blue" {
		return fmt.Errorf("arguments %q, environment %q", os.Args, os.Environ())
	}
	began := time.Now()
	if began.Year() != 2000 {
		return fmt.Errorf("it is %v", began)
	}
	time.Sleep(time.Hour)
	if d := time.Since(began); d < time.Hour || d > time.Hour+time.Second {
		return fmt.Errorf("an hour took %v", d)
	}
	if _, err := net.Dial("tcp", "127.0.0.1:80"); err == nil {
		return errors.New("connected")
	}
	if b, err := io.ReadAll(os.Stdin); len(b) != 0 || err != nil {
		return fmt.Errorf("stdin %q, %v", b, err)
	}
	return nil
}

// result writes random bytes, which must be the same for the same seed.
func result() error {
	b := make([]byte, 64)
	if _, err := crand.Read(b); err != nil {
		return err
	}
	return os.WriteFile("/out/result", b, 0o600)
}
