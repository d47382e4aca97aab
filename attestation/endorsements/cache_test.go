// SPDX-License-Identifier: Apache-2.0

package endorsements_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/attestation"
	"github.com/glovebox-dev/glovebox/attestation/endorsements"
	"github.com/glovebox-dev/glovebox/attestation/endorsements/endorsementstest"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// clock is a time that a test moves.
type clock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *clock) get() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *clock) move(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// cachedFill fills a fresh envelope and says how many requests the vendor got.
func cachedFill(t *testing.T, v *endorsementstest.Vendor, c endorsements.Config, evidence []byte) (asked int, r *endorsements.Result, err error) {
	t.Helper()
	before := len(v.Asked())
	r, err = fetcher(t, c).Fill(t.Context(), imported(attestation.PlatformTDX, evidence))
	return len(v.Asked()) - before, r, err
}

func noWait(context.Context, time.Duration) error { return nil }

func TestCache(t *testing.T) {
	v := endorsementstest.New(t)
	evidence := v.Intel(t)
	dir := filepath.Join(t.TempDir(), "a", "b")
	k := &clock{now: v.PKI.Now}
	c := config(v)
	c.Cache = openCache(t, dir)
	c.Timing(5*time.Second, time.Millisecond, k.get, noWait)
	offline := c
	offline.Offline = true

	if n, _, err := cachedFill(t, v, offline, evidence); n != 0 || !errors.Is(err, endorsements.ErrOffline) {
		t.Errorf("offline and empty: asked %d times, %v", n, err)
	}
	if n, _, err := cachedFill(t, v, c, evidence); n != 4 || err != nil {
		t.Errorf("empty: asked %d times, %v", n, err)
	}
	n, r, err := cachedFill(t, v, offline, evidence)
	if n != 0 || err != nil || len(r.Fetched) != 4 || !r.Fetched[0].Cached {
		t.Errorf("offline: asked %d times, %+v, %v", n, r, err)
	}
	k.move(31 * 24 * time.Hour) // everything but the root's list, which holds for 90 days
	if n, _, err := cachedFill(t, v, offline, evidence); n != 0 || !errors.Is(err, endorsements.ErrOffline) {
		t.Errorf("offline and expired: asked %d times, %v", n, err)
	}
	v.PKI.Now = v.PKI.Now.AddDate(0, 0, 31)
	evidence = v.Intel(t) // new keys: what was kept is of others, and is replaced
	if n, _, err := cachedFill(t, v, c, evidence); n != 3 || err != nil {
		t.Errorf("expired: asked %d times, %v", n, err)
	}
	modes(t, dir, 4)
	kept, bad, err := c.Cache.Entries()
	if err != nil || len(kept) != 4 || len(bad) != 0 || kept[0].Name != "pck-crl" {
		t.Errorf("%d entries, %v, %v", len(kept), bad, err)
	}
}

func modes(t *testing.T, dir string, want int) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil || len(files) != want {
		t.Errorf("%d files, want %d (%v)", len(files), want, err)
	}
	for _, f := range files {
		if st, err := f.Info(); err != nil || st.Mode() != 0o600 || len(f.Name()) != 64+len(".json") {
			t.Errorf("%s: %v, %v", f.Name(), st.Mode(), err)
		}
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", st.Mode(), err)
	}
}

// TestCorruptEntry: whatever a damaged disk or a neighbour makes of an entry, it is fetched again and that is said.
func TestCorruptEntry(t *testing.T) {
	v := endorsementstest.New(t)
	evidence := v.Intel(t)
	for name, spoil := range map[string]func(b []byte) []byte{
		"empty":     func([]byte) []byte { return nil },
		"half":      func(b []byte) []byte { return b[:len(b)/2] },
		"not JSON":  func([]byte) []byte { return []byte("x") },
		"huge":      func([]byte) []byte { return make([]byte, 5<<20) },
		"body":      edit(func(e *endorsements.Entry) { e.Body[40] ^= 1 }),
		"version":   edit(func(e *endorsements.Entry) { e.Version = 2 }),
		"key":       edit(func(e *endorsements.Entry) { e.Key += "x" }),
		"no expiry": edit(func(e *endorsements.Entry) { e.Expires = 0 }),
		"wrong content, right digest": edit(func(e *endorsements.Entry) {
			e.Body = []byte("{}")
			e.Digest = envelope.Sum(e.Body)
		}),
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			c := config(v)
			c.Cache = openCache(t, dir)
			if _, _, err := cachedFill(t, v, c, evidence); err != nil {
				t.Fatal(err)
			}
			path := entryOf(t, dir, "tcb-info")
			b, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, spoil(b), 0o600); err != nil {
				t.Fatal(err)
			}
			offline := c
			offline.Offline = true
			if n, r, err := cachedFill(t, v, offline, evidence); n != 0 || !errors.Is(err, endorsements.ErrOffline) || len(r.Notes) != 1 {
				t.Errorf("offline: asked %d times, %+v, %v", n, r, err)
			}
			n, r, err := cachedFill(t, v, c, evidence)
			if err != nil || n != 1 || len(r.Notes) != 1 || !strings.Contains(r.Notes[0], "fetched again") {
				t.Errorf("asked %d times, %+v, %v", n, r, err)
			}
			if n, r, err := cachedFill(t, v, c, evidence); err != nil || n != 0 || len(r.Notes) != 0 {
				t.Errorf("afterwards: asked %d times, %+v, %v", n, r, err)
			}
		})
	}
}

func edit(f func(e *endorsements.Entry)) func([]byte) []byte {
	return func(b []byte) []byte {
		var e endorsements.Entry
		if err := json.Unmarshal(b, &e); err != nil {
			panic(err)
		}
		f(&e)
		b, err := json.Marshal(e)
		if err != nil {
			panic(err)
		}
		return b
	}
}

func entryOf(t *testing.T, dir, name string) string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), fmt.Sprintf(`"name":%q`, name)) {
			return f
		}
	}
	t.Fatalf("no entry %s", name)
	return ""
}

func TestCacheControl(t *testing.T) {
	now := time.Unix(1_000_000, 0)
	signed := now.Add(30 * 24 * time.Hour)
	for control, want := range map[string]time.Time{
		"": signed, "max-age=3600": now.Add(time.Hour), "public, Max-Age=60, must-revalidate": now.Add(time.Minute), "no-store": now, "no-cache": now,
		"max-age=999999999": signed, "max-age=-5": signed, "max-age=x": signed, "max-age=99999999999999999999": signed, `max-age="10"`: now.Add(10 * time.Second),
	} {
		if got := endorsements.KeepUntil(signed, control, now); !got.Equal(want) {
			t.Errorf("%q: %s, want %s", control, got, want)
		}
	}
}

// TestTwoProcesses: several fetchers fill one cache at once, and readers never see half an entry.
func TestTwoProcesses(t *testing.T) {
	v := endorsementstest.New(t)
	evidence := v.Intel(t)
	dir := t.TempDir()
	first := config(v)
	first.Cache = openCache(t, dir)
	if _, _, err := cachedFill(t, v, first, evidence); err != nil {
		t.Fatal(err)
	}
	victim := entryOf(t, dir, "root-crl")
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			c := config(v)
			c.Cache = openCache(t, dir)
			for range 5 {
				f, err := endorsements.New(c)
				if err != nil {
					t.Error(err)
					return
				}
				r, err := f.Fill(t.Context(), imported(attestation.PlatformTDX, evidence))
				if err != nil || len(r.Notes) != 0 {
					t.Errorf("%+v, %v", r, err)
				}
				if err := os.Remove(victim); err != nil && !errors.Is(err, os.ErrNotExist) {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if _, bad, err := openCache(t, dir).Entries(); err != nil || len(bad) != 0 {
		t.Errorf("%v, %v", bad, err)
	}
}

const killedEnv = "GLOVEBOX_TEST_CACHE_DIR"

// TestKilled: a process that writes entries all the time is killed, again and again. No reader finds a damaged one, and
// what it left otherwise is swept away.
func TestKilled(t *testing.T) {
	if dir := os.Getenv(killedEnv); dir != "" {
		c := openCache(t, dir)
		for i := 0; ; i++ {
			if err := c.Put(fmt.Sprintf("https://example.com/%d", i%4), make([]byte, 200_000)); err != nil {
				t.Fatal(err)
			}
		}
	}
	dir := t.TempDir()
	for i := range 12 {
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilled$")
		cmd.Env = append(os.Environ(), killedEnv+"="+dir)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		for !writtenSince(t, dir, began) && time.Since(began) < 30*time.Second {
			time.Sleep(time.Millisecond)
		}
		time.Sleep(time.Duration(i*700) * time.Microsecond) // at some point of a write
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		cmd.Wait() //nolint:errcheck // it was killed
		if _, bad, err := openCache(t, dir).Entries(); err != nil || len(bad) != 0 {
			t.Fatalf("after kill %d: %v, %v", i, bad, err)
		}
	}
	kept, _, err := openCache(t, dir).Entries()
	if err != nil || len(kept) == 0 {
		t.Fatalf("nothing was written, so nothing was shown (%v)", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, ".tmp-*"))
	if err != nil {
		t.Fatal(err)
	}
	old := time.Now().Add(-2 * time.Hour)
	for _, f := range left {
		if err := os.Chtimes(f, old, old); err != nil {
			t.Fatal(err)
		}
	}
	openCache(t, dir).Sweep(time.Now())
	if again, err := filepath.Glob(filepath.Join(dir, ".tmp-*")); err != nil || len(again) != 0 {
		t.Errorf("%q are left, %v", again, err)
	}
	t.Logf("12 kills, %d temporary files swept, %d whole entries", len(left), len(kept))
}

func writtenSince(t *testing.T, dir string, began time.Time) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if st, err := os.Stat(f); err == nil && st.ModTime().After(began) {
			return true
		}
	}
	return false
}

func TestCacheElsewhere(t *testing.T) {
	if _, err := endorsements.OpenCache(""); !errors.Is(err, endorsements.ErrConfig) {
		t.Errorf("no directory: %v", err)
	}
	file := filepath.Join(t.TempDir(), "f")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := endorsements.OpenCache(file); !errors.Is(err, endorsements.ErrConfig) {
		t.Errorf("a file: %v", err)
	}
}

// TestCacheNotWritable: fetching works where nothing can be kept, and says so.
func TestCacheNotWritable(t *testing.T) {
	v := endorsementstest.New(t)
	evidence := v.Intel(t)
	c := config(v)
	dir := filepath.Join(t.TempDir(), "cache")
	c.Cache = openCache(t, dir)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(dir, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, r, err := cachedFill(t, v, c, evidence)
	if err != nil || !strings.Contains(strings.Join(r.Notes, "\n"), "was not kept") {
		t.Errorf("%+v, %v", r, err)
	}
}
