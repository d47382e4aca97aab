// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// wantEmpty fails if anything is left in the store's directory.
func (f *fixture) wantEmpty() {
	f.t.Helper()
	err := filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			f.t.Errorf("left behind: %s", path)
		}
		return err
	})
	if err != nil {
		f.t.Fatal(err)
	}
}

func TestFailedPackLeavesNothing(t *testing.T) {
	broken := errors.New("disk gone")
	good := bigCSV(600_000)
	for name, c := range map[string]struct {
		src  io.Reader
		want error
	}{
		"ragged at the end": {strings.NewReader(good + "1,2,3\n"), ErrRagged},
		"source fails":      {io.MultiReader(strings.NewReader(good), failing{broken}), broken},
		"header only":       {strings.NewReader("a,b\n"), ErrEmpty},
		"nothing":           {strings.NewReader(""), ErrEmpty},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			cfg := f.config(FormatCSV, "")
			cfg.Source = c.src
			if p, err := Pack(t.Context(), cfg); !errors.Is(err, c.want) || p != nil {
				t.Errorf("%v, want %v", err, c.want)
			}
			f.wantEmpty()
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }

func TestEmptyJSONL(t *testing.T) {
	f := newFixture(t)
	if _, err := Pack(t.Context(), f.config(FormatJSONL, "")); !errors.Is(err, ErrEmpty) {
		t.Errorf("%v, want ErrEmpty", err)
	}
	f.wantEmpty()
}

func TestCancelledPack(t *testing.T) {
	f := newFixture(t)
	ctx, cancel := context.WithCancel(t.Context())
	cfg := f.config(FormatCSV, "")
	cfg.Source = io.MultiReader(strings.NewReader("a\n"), &repeating{line: []byte("123456\n")})
	cfg.Progress = func(p Progress) {
		if p.Segments == 3 {
			cancel()
		}
	}
	if _, err := Pack(ctx, cfg); !errors.Is(err, context.Canceled) {
		t.Errorf("%v, want context.Canceled", err)
	}
	f.wantEmpty()
}

// repeating is a text without end.
type repeating struct{ line []byte }

func (r *repeating) Read(p []byte) (int, error) {
	n := 0
	for n+len(r.line) <= len(p) {
		n += copy(p[n:], r.line)
	}
	return n, nil
}

// failingStore fails the n-th Put after some bytes, as a full disk does.
type failingStore struct {
	*DirStore
	left *atomic.Int64 // Puts run beside each other
	err  error
}

func (s failingStore) Put(ctx context.Context, r io.Reader) (envelope.Digest, int64, error) {
	if s.left.Add(-1) < 0 {
		r = io.MultiReader(io.LimitReader(r, 10_000), failing{s.err})
	}
	return s.DirStore.Put(ctx, r)
}

func TestStoreFails(t *testing.T) {
	for n := range 6 { // level 0 is the first blob to be begun, then the segments
		t.Run(fmt.Sprintf("put %d", n), func(t *testing.T) {
			f := newFixture(t)
			cfg := f.config(FormatCSV, bigCSV(1<<20))
			var left atomic.Int64
			left.Store(int64(n))
			cfg.Store = failingStore{f.store, &left, syscall.ENOSPC}
			if _, err := Pack(t.Context(), cfg); !errors.Is(err, ErrFull) {
				t.Errorf("%v, want ErrFull", err)
			}
			f.wantEmpty()
		})
	}
}

// lazyStore claims success without reading.
type lazyStore struct{ *DirStore }

func (s lazyStore) Put(ctx context.Context, _ io.Reader) (envelope.Digest, int64, error) {
	return s.DirStore.Put(ctx, strings.NewReader(""))
}

func TestStoreIgnoresBlob(t *testing.T) {
	f := newFixture(t)
	cfg := f.config(FormatCSV, bigCSV(100_000))
	cfg.Store = lazyStore{f.store}
	if _, err := Pack(t.Context(), cfg); !errors.Is(err, ErrConfig) {
		t.Errorf("%v, want ErrConfig", err)
	}
}

// TestFullDisk packs into a file system of 4 MiB.
func TestFullDisk(t *testing.T) {
	f := newFixture(t)
	if err := syscall.Mount("tmpfs", f.dir, "tmpfs", 0, "size=4m"); err != nil {
		t.Skipf("cannot mount a small file system (TestStoreFails covers the rest): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(f.dir, 0); err != nil {
			t.Error(err)
		}
	})
	cfg := f.config(FormatCSV, bigCSV(8<<20))
	if _, err := Pack(t.Context(), cfg); !errors.Is(err, ErrFull) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%v, want ErrFull", err)
	}
	f.wantEmpty()
	cfg.Source = strings.NewReader(bigCSV(1 << 20))
	p := f.pack(cfg)
	if err := VerifyBlobs(t.Context(), p.Manifest, f.store); err != nil {
		t.Errorf("after the failure: %v", err)
	}
}

func TestDirStoreSweepsCrash(t *testing.T) {
	f := newFixture(t)
	left := filepath.Join(f.dir, "incoming-123")
	if err := os.WriteFile(left, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	live, err := os.Create(filepath.Join(f.dir, "incoming-456"))
	if err != nil {
		t.Fatal(err)
	}
	defer live.Close()
	if err := syscall.Flock(int(live.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	if _, err := NewDirStore(f.dir); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !errors.Is(err, fs.ErrNotExist) {
		t.Error("an abandoned blob is still there")
	}
	if _, err := os.Stat(live.Name()); err != nil {
		t.Error("a blob being written was swept")
	}
}

func TestDirStoreModes(t *testing.T) {
	f := newFixture(t)
	d, _, err := f.store.Put(t.Context(), strings.NewReader("x"))
	if err != nil {
		t.Fatal(err)
	}
	st, err := os.Stat(f.store.path(d))
	if err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", st.Mode(), err)
	}
	if _, err := NewDirStore(""); !errors.Is(err, ErrConfig) {
		t.Errorf("no directory: %v", err)
	}
}

func TestPackRefusesConfig(t *testing.T) {
	f := newFixture(t)
	for name, change := range map[string]func(*PackConfig){
		"no store":           func(c *PackConfig) { c.Store = nil },
		"no signer":          func(c *PackConfig) { c.Signer = nil },
		"broker's signer":    func(c *PackConfig) { c.Signer = f.broker },
		"another owner":      func(c *PackConfig) { c.Manifest.Owner = mustSigner(t, envelope.RoleOwner).Public() },
		"no key":             func(c *PackConfig) { c.Key = Key{} },
		"no source":          func(c *PackConfig) { c.Source = nil },
		"source of files":    func(c *PackConfig) { c.Manifest.Format = FormatFiles },
		"two sources":        func(c *PackConfig) { c.Files = os.DirFS(f.dir) },
		"no kind":            func(c *PackConfig) { c.Manifest.Kind = "" },
		"no name":            func(c *PackConfig) { c.Manifest.Name = "" },
		"path as name":       func(c *PackConfig) { c.Manifest.Name = "../x" },
		"no format":          func(c *PackConfig) { c.Manifest.Format = "" },
		"no broker":          func(c *PackConfig) { c.Manifest.Broker = Broker{} },
		"owner is broker":    func(c *PackConfig) { c.Manifest.Broker.Key = f.signer.Public() },
		"no terms":           func(c *PackConfig) { c.Manifest.Terms = Terms{} },
		"weak assurance":     func(c *PackConfig) { c.Manifest.Test = false },
		"large batch":        func(c *PackConfig) { c.BatchBytes = MaxBatchBytes + 1 },
		"batch over segment": func(c *PackConfig) { c.SegmentBytes, c.BatchBytes = 10, 20 },
		"negative batch":     func(c *PackConfig) { c.BatchBytes = -1 },
		"large segment":      func(c *PackConfig) { c.SegmentBytes = MaxSegmentBytes + 1 },
		"no random":          func(c *PackConfig) { c.Rand = bytes.NewReader(nil) },
		"little random":      func(c *PackConfig) { c.Rand = bytes.NewReader(make([]byte, 20)) },
	} {
		cfg := f.config(FormatCSV, "a\n1\n")
		change(&cfg)
		if p, err := Pack(t.Context(), cfg); err == nil || p != nil {
			t.Errorf("%s: packed", name)
		}
	}
	f.wantEmpty()
}

func TestUnenforcedMode(t *testing.T) {
	f := newFixture(t)
	for _, mode := range []string{"dp-trainings", "aggregate-only", "synthetic-only", "no-such-mode", ""} {
		cfg := f.config(FormatCSV, "a\n1\n")
		cfg.Manifest.Terms.Modes = []string{mode}
		if _, err := Pack(t.Context(), cfg); !errors.Is(err, ErrMode) || !strings.Contains(err.Error(), "not enforced by this release") {
			t.Errorf("%s: %v, want ErrMode", mode, err)
		}
	}
}

func TestTooManySegments(t *testing.T) {
	if testing.Short() {
		t.Skip("writes many small blobs")
	}
	f := newFixture(t)
	cfg := f.config(FormatCSV, "")
	cfg.Store = memStore{}
	cfg.SegmentBytes, cfg.BatchBytes = 1, 1
	cfg.Source = strings.NewReader("a\n" + strings.Repeat("1\n", MaxSegments))
	if _, err := Pack(t.Context(), cfg); !errors.Is(err, ErrTooLarge) {
		t.Errorf("%v, want ErrTooLarge", err)
	}
}

// memStore keeps nothing but digests.
type memStore struct{}

func (memStore) Put(_ context.Context, r io.Reader) (envelope.Digest, int64, error) {
	b, err := io.ReadAll(r)
	return envelope.Sum(b), int64(len(b)), err
}

func (memStore) ReadAt(context.Context, envelope.Digest, []byte, int64) (int, error) {
	return 0, ErrNoBlob
}

func (memStore) Size(context.Context, envelope.Digest) (int64, error) { return 0, ErrNoBlob }
