// SPDX-License-Identifier: Apache-2.0

package tiles_test

import (
	"context"
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/host/client/tiles"
	"github.com/glovebox-dev/glovebox/host/client/tiles/tilestest"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

var ctx = context.Background()

func newLog(t *testing.T, n int) *tilestest.Log {
	t.Helper()
	l, err := tilestest.New(n)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func grow(t *testing.T, l *tilestest.Log, bodies ...string) {
	t.Helper()
	for _, b := range bodies {
		if err := l.Add(b); err != nil {
			t.Fatal(err)
		}
	}
}

// publish writes the log and opens the directory.
func publish(t *testing.T, l *tilestest.Log, dir string) (*tiles.Source, string, tlog.Checkpoint) {
	t.Helper()
	if err := l.Write(dir, ""); err != nil {
		t.Fatal(err)
	}
	s, err := tiles.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	text, err := s.Checkpoint(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cp, err := l.ParseCheckpoint(text)
	if err != nil {
		t.Fatal(err)
	}
	return s, text, cp
}

func TestPrefixesAreProven(t *testing.T) {
	l := newLog(t, 700)
	_, _, then := publish(t, l, t.TempDir())
	for i := range 400 {
		grow(t, l, "more"+strings.Repeat("x", i))
	}
	s, _, now := publish(t, l, t.TempDir())
	for _, n := range []int64{1, 255, 256, 257, 699, 700, 1023, 1024, 1100} {
		root, proof, err := s.Prefix(ctx, now, n)
		if err != nil {
			t.Fatalf("%d: %v", n, err)
		}
		older := tlog.Checkpoint{Origin: now.Origin, Size: n, Root: root}
		if err := tlog.VerifyConsistency(older, now, proof); err != nil {
			t.Errorf("%d: %v", n, err)
		}
		if n == 700 && root != then.Root {
			t.Error("700 entries have another root")
		}
	}
	for _, n := range []int64{0, -1, 1101} {
		if _, _, err := s.Prefix(ctx, now, n); !errors.Is(err, tiles.ErrTile) {
			t.Errorf("%d: %v", n, err)
		}
	}
}

func TestMirror(t *testing.T) {
	l, dir, out := newLog(t, 300), t.TempDir(), filepath.Join(t.TempDir(), "mirror")
	publish(t, l, dir)
	srv := httptest.NewServer(http.StripPrefix("/log", http.FileServer(http.Dir(dir))))
	defer srv.Close()
	s, err := tiles.Open(srv.URL + "/log")
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []int64{300, 0, 250, 462} {
		for range want * int64(min(i, 1)) { // the first round has its entries
			grow(t, l, "later")
		}
		_, text, cp := publish(t, l, dir)
		added, err := s.Mirror(ctx, l.Log.Log, text, out)
		if err != nil || added != want {
			t.Fatalf("round %d: %d added, %v", i, added, err)
		}
		m, err := tiles.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		got, err := m.Checkpoint(ctx)
		if err != nil || got != text {
			t.Fatalf("%q, %v", got, err)
		}
		if err := m.Check(ctx, cp, nil); err != nil {
			t.Fatal(err)
		}
	}
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestMirrorKeepsItsHistory: the log is rolled back, and goes on another way. The mirror refuses both.
func TestMirrorKeepsItsHistory(t *testing.T) {
	l, out := newLog(t, 270), t.TempDir()
	fork := l.Fork()
	older := l.Fork()
	grow(t, l, "for the buyer", "and on")
	grow(t, fork, "for the auditor", "and on", "and on")
	s, text, _ := publish(t, l, t.TempDir())
	if _, err := s.Mirror(ctx, l.Log.Log, text, out); err != nil {
		t.Fatal(err)
	}
	before := read(t, out, "checkpoint")
	for name, other := range map[string]*tilestest.Log{"rolled back": older, "another way": fork} {
		s, text, _ := publish(t, other, t.TempDir())
		if _, err := s.Mirror(ctx, l.Log.Log, text, out); !errors.Is(err, tiles.ErrHistory) {
			t.Errorf("%s: %v", name, err)
		}
		if read(t, out, "checkpoint") != before {
			t.Errorf("%s: the mirror changed", name)
		}
	}
}

// TestHostileFiles: whatever is served in place of a file, nothing of it is written or believed.
func TestHostileFiles(t *testing.T) {
	for name, c := range map[string]struct {
		path string
		bend func(b []byte) []byte
	}{
		"a leaf hash":          {"tile/0/000", flip},
		"an upper hash":        {"tile/1/000.p/2", flip},
		"an entry":             {"tile/entries/001", flip},
		"the last entries":     {"tile/entries/002.p/88", flip},
		"a tile cut":           {"tile/0/001", func(b []byte) []byte { return b[:len(b)-32] }},
		"an empty tile":        {"tile/0/002.p/88", func([]byte) []byte { return nil }},
		"entries cut":          {"tile/entries/000", func(b []byte) []byte { return b[:len(b)-1] }},
		"a file without end":   {"tile/0/000", func([]byte) []byte { return make([]byte, 1<<20) }},
		"entries without end":  {"tile/entries/000", func([]byte) []byte { return make([]byte, 20<<20) }},
		"a length without end": {"tile/entries/000", func(b []byte) []byte { return append([]byte{0xff, 0xff}, b[2:]...) }},
	} {
		t.Run(name, func(t *testing.T) {
			l, dir, out := newLog(t, 600), t.TempDir(), t.TempDir()
			s, text, cp := publish(t, l, dir)
			p := filepath.Join(dir, filepath.FromSlash(c.path))
			good, err := os.ReadFile(p)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(p, c.bend(append([]byte{}, good...)), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := s.Check(ctx, cp, nil); !errors.Is(err, tiles.ErrTile) {
				t.Errorf("check: %v", err)
			}
			if _, err := s.Mirror(ctx, l.Log.Log, text, out); err == nil {
				t.Error("mirrored")
			}
			if _, err := os.Stat(filepath.Join(out, "checkpoint")); !errors.Is(err, fs.ErrNotExist) {
				t.Error("there is a checkpoint")
			}
			if b, err := os.ReadFile(filepath.Join(out, filepath.FromSlash(c.path))); err == nil && string(b) != string(good) {
				t.Error("the bad file was written")
			}
			// Put right, the mirror goes on where it was.
			if err := os.WriteFile(p, good, 0o600); err != nil {
				t.Fatal(err)
			}
			if n, err := s.Mirror(ctx, l.Log.Log, text, out); err != nil || n != 600 {
				t.Errorf("resumed: %d, %v", n, err)
			}
		})
	}
}

func flip(b []byte) []byte {
	b[len(b)/2] ^= 1
	return b
}

// TestFilesAreBounded: a file that is larger than it may be is refused, whatever it begins with, and is not cut.
func TestFilesAreBounded(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "file"), make([]byte, 101), 0o600); err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(http.FileServer(http.Dir(dir)))
	defer srv.Close()
	for _, where := range []string{dir, srv.URL} {
		s, err := tiles.Open(where)
		if err != nil {
			t.Fatal(err)
		}
		if b, err := s.File(ctx, "file", 101); err != nil || len(b) != 101 {
			t.Errorf("%s: %d bytes, %v", where, len(b), err)
		}
		if b, err := s.File(ctx, "file", 100); !errors.Is(err, tiles.ErrTile) || b != nil {
			t.Errorf("%s: %d bytes of one too large, %v", where, len(b), err)
		}
	}
}

func TestSources(t *testing.T) {
	for _, bad := range []string{"", "http://", "http://x/?y", "https://x/#y", "%zz"} {
		if _, err := tiles.Open(bad); !errors.Is(err, tiles.ErrSource) {
			t.Errorf("%q: %v", bad, err)
		}
	}
	s, err := tiles.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Checkpoint(ctx); !errors.Is(err, tiles.ErrGone) {
		t.Error(err)
	}
}

// TestServerThatSendsElsewhere: whoever serves the files cannot have this machine ask another.
func TestServerThatSendsElsewhere(t *testing.T) {
	inside := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.Errorf("this machine's own service was asked for %s", r.URL)
	}))
	defer inside.Close()
	outside := httptest.NewServer(http.RedirectHandler(inside.URL+"/admin", http.StatusTemporaryRedirect))
	defer outside.Close()
	s, err := tiles.Open(outside.URL)
	if err != nil {
		t.Fatal(err)
	}
	if text, err := s.Checkpoint(ctx); !errors.Is(err, tiles.ErrGone) {
		t.Errorf("%q, %v", text, err)
	}
}
