// SPDX-License-Identifier: Apache-2.0

package tsm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// fake behaves as the kernel documents: a new directory has attributes, each write counts, and outblob is made of what was
// written when it is read. Its files are real ones in a temporary directory.
type fake struct {
	dir      string
	provider string
	aux      []byte
	onRead   func(f *fake, dir, name string) error // before the answer
	onWrite  func(f *fake, dir, name string, b []byte) error
	mu       sync.Mutex
	made     int
	vmpls    []string
}

func newFake(t *testing.T, provider string) *fake {
	t.Helper()
	return &fake{dir: t.TempDir(), provider: provider}
}

func (f *fake) at(path string) string {
	return filepath.Join(f.dir, strings.TrimPrefix(path, root))
}

func (f *fake) stat(path string) error { return kernel{}.stat(f.at(path)) }

func (f *fake) mkdir(path string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.made++
	if err := (kernel{}).mkdir(f.at(path)); err != nil {
		return err
	}
	files := map[string]string{"provider": f.provider + "\n", "generation": "0\n", "inblob": "", "outblob": ""}
	if f.provider == ProviderSNP {
		files["privlevel"], files["privlevel_floor"], files["auxblob"] = "", "0\n", string(f.aux)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(f.at(path), name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

func (f *fake) rmdir(path string) error {
	if _, err := os.Stat(f.at(path)); err != nil {
		return err
	}
	return os.RemoveAll(f.at(path))
}

func (f *fake) bump(dir string) error {
	b, err := os.ReadFile(filepath.Join(dir, "generation"))
	if err != nil {
		return err
	}
	g, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "generation"), []byte(strconv.Itoa(g+1)+"\n"), 0o600)
}

func (f *fake) write(path string, b []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir, name := filepath.Split(f.at(path))
	if f.onWrite != nil {
		if err := f.onWrite(f, dir, name, b); err != nil {
			return err
		}
	}
	if err := (kernel{}).write(f.at(path), b); err != nil {
		return err
	}
	if name == "privlevel" {
		f.vmpls = append(f.vmpls, string(b))
	}
	return f.bump(dir)
}

func (f *fake) read(path string, limit int64) ([]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	dir, name := filepath.Split(f.at(path))
	if f.onRead != nil {
		if err := f.onRead(f, dir, name); err != nil {
			return nil, err
		}
	}
	if in, err := os.ReadFile(filepath.Join(dir, "inblob")); name == "outblob" && err == nil && len(in) > 0 {
		if old, _ := os.ReadFile(f.at(path)); len(old) == 0 {
			if err := os.WriteFile(f.at(path), append([]byte("report over "), in...), 0o600); err != nil {
				return nil, err
			}
		}
	}
	return kernel{}.read(f.at(path), limit)
}

func (f *fake) left(t *testing.T) int {
	t.Helper()
	es, err := os.ReadDir(f.dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(es)
}

func data(i byte) (d [64]byte) {
	for j := range d {
		d[j] = i
	}
	return d
}

func TestReport(t *testing.T) {
	for _, p := range []string{ProviderSNP, ProviderTDX} {
		f := newFake(t, p)
		f.aux = []byte("certificates")
		r, err := open(p, f)
		if err != nil {
			t.Fatal(err)
		}
		in := data(7)
		provider, out, aux, err := r.Report(t.Context(), in)
		if err != nil || provider != p || !bytes.Equal(out, append([]byte("report over "), in[:]...)) {
			t.Fatalf("%s: %q %q %v", p, provider, out, err)
		}
		if want := p == ProviderSNP; want != (string(aux) == "certificates") || want != (strings.Join(f.vmpls, " ") == "0") {
			t.Errorf("%s: auxblob %q, levels %q", p, aux, f.vmpls)
		}
		if n := f.left(t); n != 0 {
			t.Errorf("%s: %d requests left behind", p, n)
		}
	}
}

// TestNoAuxblob: a host that adds nothing.
func TestNoAuxblob(t *testing.T) {
	r, err := open(ProviderSNP, newFake(t, ProviderSNP))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, aux, err := r.Report(t.Context(), data(1)); err != nil || aux != nil {
		t.Errorf("%q %v", aux, err)
	}
}

func TestOpenRefuses(t *testing.T) {
	if _, err := open("arm_cca_guest", newFake(t, "arm_cca_guest")); !errors.Is(err, ErrProvider) {
		t.Errorf("unknown provider: %v", err)
	}
	f := newFake(t, ProviderSNP)
	f.dir = filepath.Join(f.dir, "absent")
	if _, err := open(ProviderSNP, f); !errors.Is(err, ErrUnavailable) || !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no configfs: %v", err)
	}
	if _, err := Open("x"); !errors.Is(err, ErrProvider) {
		t.Errorf("real: %v", err)
	}
}

// TestReportRefuses: what a hostile or failing kernel interface may do.
func TestReportRefuses(t *testing.T) {
	set := func(name, value string) func(*fake, string, string) error {
		return func(_ *fake, dir, read string) error {
			if read != name {
				return nil
			}
			return os.WriteFile(filepath.Join(dir, name), []byte(value), 0o600)
		}
	}
	for name, c := range map[string]struct {
		onRead  func(f *fake, dir, name string) error
		onWrite func(f *fake, dir, name string, b []byte) error
		want    error
	}{
		"another provider": {onRead: set("provider", "tdx_guest\n"), want: ErrProvider},
		"empty outblob": {onRead: func(_ *fake, dir, name string) error {
			if name == "outblob" {
				return os.WriteFile(filepath.Join(dir, "inblob"), nil, 0o600)
			}
			return nil
		}, want: ErrReport},
		"oversized outblob": {onRead: set("outblob", strings.Repeat("x", maxBlob+1)), want: ErrReport},
		"oversized auxblob": {onRead: set("auxblob", strings.Repeat("x", maxBlob+1)), want: ErrReport},
		"oversized text":    {onRead: set("generation", strings.Repeat("0", maxAttribute+1)), want: ErrReport},
		"no number":         {onRead: set("generation", "-1\n"), want: ErrReport},
		"two lines":         {onRead: set("generation", "0\n\n"), want: ErrReport},
		"somebody wrote between ours and the answer": {onRead: func(f *fake, dir, name string) error {
			if name == "outblob" {
				return f.bump(dir)
			}
			return nil
		}, want: ErrRace},
		"somebody wrote before the certificates": {onRead: func(f *fake, dir, name string) error {
			if name == "auxblob" {
				return f.bump(dir)
			}
			return nil
		}, want: ErrRace},
		"inblob silently not taken": {onWrite: func(_ *fake, dir, name string, _ []byte) error {
			if name == "inblob" { // generation does not move
				return os.WriteFile(filepath.Join(dir, "generation"), []byte("0\n"), 0o600)
			}
			return nil
		}, want: ErrRace},
		"level refused": {onWrite: func(_ *fake, _, name string, _ []byte) error {
			if name == "privlevel" {
				return syscall.EINVAL
			}
			return nil
		}, want: ErrReport},
		"firmware error": {onRead: func(_ *fake, _, name string) error {
			if name == "outblob" {
				return syscall.EIO
			}
			return nil
		}, want: ErrReport},
		"no outblob": {onRead: func(_ *fake, _, name string) error {
			if name == "outblob" {
				return fs.ErrNotExist
			}
			return nil
		}, want: ErrReport},
	} {
		f := newFake(t, ProviderSNP)
		f.onRead, f.onWrite = c.onRead, c.onWrite
		r, err := open(ProviderSNP, f)
		if err != nil {
			t.Fatal(err)
		}
		if p, out, aux, err := r.Report(t.Context(), data(1)); !errors.Is(err, c.want) || p != "" || out != nil || aux != nil {
			t.Errorf("%s: %q %q %q %v", name, p, out, aux, err)
		}
		if n := f.left(t); n != 0 {
			t.Errorf("%s: %d requests left behind", name, n)
		}
	}
}

// TestBusyIsAskedAgain: TDX answers one request at a time.
func TestBusyIsAskedAgain(t *testing.T) {
	f, n := newFake(t, ProviderTDX), 0
	f.onRead = func(_ *fake, _, name string) error {
		if name == "outblob" {
			if n++; n < 3 {
				return syscall.EBUSY
			}
		}
		return nil
	}
	r, err := open(ProviderTDX, f)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, _, err := r.Report(t.Context(), data(1)); err != nil || n != 3 || f.made != 3 || f.left(t) != 0 {
		t.Errorf("%v after %d reads of %d requests", err, n, f.made)
	}
}

// TestInterrupted: Report does not wait for a kernel that hangs, and the request goes away once it answers.
func TestInterrupted(t *testing.T) {
	f, release := newFake(t, ProviderSNP), make(chan struct{})
	f.onRead = func(_ *fake, _, name string) error {
		if name == "outblob" {
			<-release
		}
		return nil
	}
	r, err := open(ProviderSNP, f)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if _, _, _, err := r.Report(ctx, data(1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
	close(release)
	for range 500 {
		if f.left(t) == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("request left behind")
}

// TestConcurrentReports: each caller gets the report over its own data.
func TestConcurrentReports(t *testing.T) {
	f := newFake(t, ProviderSNP)
	r, err := open(ProviderSNP, f)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range byte(32) {
		wg.Go(func() {
			in := data(i)
			if _, out, _, err := r.Report(t.Context(), in); err != nil || !bytes.HasSuffix(out, in[:]) {
				t.Errorf("%d: %x %v", i, out, err)
			}
		})
	}
	wg.Wait()
}

// TestKernelFiles: the calls that configfs gets.
func TestKernelFiles(t *testing.T) {
	k, dir := kernel{}, filepath.Join(t.TempDir(), "entry")
	if err := k.mkdir(dir); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "inblob")
	if err := k.write(name, []byte("x")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("wrote an attribute that is not there: %v", err)
	}
	if err := os.WriteFile(name, []byte(strings.Repeat("x", 10)), 0o600); err != nil {
		t.Fatal(err)
	}
	for limit, ok := range map[int64]bool{9: false, 10: true} {
		if b, err := k.read(name, limit); (err == nil) != ok || (ok && len(b) != 10) {
			t.Errorf("limit %d: %d bytes, %v", limit, len(b), err)
		}
	}
	if err := k.stat(name); err == nil {
		t.Error("a file is no directory")
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(k.stat(dir), k.rmdir(dir)); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(k.stat(dir)); !strings.Contains(got, "no such") {
		t.Error(got)
	}
}
