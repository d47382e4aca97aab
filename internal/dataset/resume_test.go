// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// resumable is a pack that can be made again and again: with one journal's head, each time in a store of its own.
type resumable struct {
	*fixture
	config func() PackConfig // without store and journal
	head   []byte
	base   string // store that each begins with; may be empty
}

var errAway = errors.New("store is away")

// resumables are packs of every kind, each small and of several segments.
func resumables(t *testing.T) map[string]*resumable {
	t.Helper()
	out := map[string]*resumable{}
	add := func(name string, f *fixture, config func() PackConfig) *resumable {
		r := &resumable{fixture: f, config: config}
		path := filepath.Join(t.TempDir(), "journal")
		id := ID{1, 2, 3}
		if c := config(); c.Previous != nil {
			id = c.Previous.Predicate.Dataset
		}
		j, err := BeginJournal(path, id, time.Unix(1_790_000_000, 0))
		if err != nil {
			t.Fatal(err)
		}
		if err := j.Close(); err != nil {
			t.Fatal(err)
		}
		if r.head, err = os.ReadFile(path); err != nil {
			t.Fatal(err)
		}
		out[name] = r
		return r
	}
	small := func(c PackConfig) PackConfig {
		c.SegmentBytes, c.BatchBytes = 24<<10, 4<<10
		c.Manifest.Terms.NotAfter = 4_000_000_000
		return c
	}
	f := newFixture(t)
	add("csv", f, func() PackConfig { return small(f.config(FormatCSV, bigCSV(150_000))) })

	g := newFixture(t)
	files := fstest.MapFS{}
	r := rand.New(rand.NewPCG(5, 6))
	for i := range 12 {
		b := make([]byte, r.IntN(20_000))
		for k := range b {
			b[k] = byte(r.Uint64())
		}
		files[fmt.Sprintf("p%d/%d.bin", i%3, i)] = &fstest.MapFile{Data: b}
	}
	add("files", g, func() PackConfig {
		c := small(g.config(FormatFiles, ""))
		c.Source, c.Files = nil, files
		return c
	})

	h, p := newFixture(t), newPeople()
	src, _ := survey(rand.New(rand.NewPCG(7, 8)), 5, 300)
	add("contributors", h, func() PackConfig {
		c := small(h.byContributor(p, FormatCSV, src, "who"))
		c.testOnlyGroupMemory = 20_000
		return c
	})

	k := newFixture(t)
	first := k.pack(small(k.config(FormatCSV, bigCSV(70_000))))
	v, err := Verify(first.Signed)
	if err != nil {
		t.Fatal(err)
	}
	add("previous", k, func() PackConfig {
		c := small(k.config(FormatCSV, bigCSV(150_000)))
		c.Previous = v
		return c
	}).base = k.dir
	return out
}

// attempt is one store and one journal, with which a pack begins or goes on.
type attempt struct {
	*resumable
	t     *testing.T
	store *DirStore
	dir   string
	path  string
}

func (r *resumable) begin(t *testing.T) *attempt {
	t.Helper()
	a := &attempt{resumable: r, t: t, dir: t.TempDir()}
	a.path = filepath.Join(t.TempDir(), "journal")
	if r.base != "" {
		if err := os.CopyFS(a.dir, os.DirFS(r.base)); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(a.path, r.head, 0o600); err != nil {
		t.Fatal(err)
	}
	var err error
	if a.store, err = NewDirStore(a.dir); err != nil {
		t.Fatal(err)
	}
	return a
}

// pack packs, or goes on.
func (a *attempt) pack(change func(*PackConfig)) (*Packed, error) {
	a.t.Helper()
	j, err := OpenJournal(a.path)
	if err != nil {
		return nil, err
	}
	defer j.Close()
	c := a.config()
	c.Store, c.Journal = a.store, j
	if change != nil {
		change(&c)
	}
	return Pack(a.t.Context(), c)
}

// result is all that a pack leaves, without the signature.
func (a *attempt) result(p *Packed) (string, map[string]string) {
	a.t.Helper()
	text, err := envelope.Canonical(p.Manifest)
	if err != nil {
		a.t.Fatal(err)
	}
	blobs := map[string]string{}
	err = filepath.WalkDir(a.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		blobs[strings.TrimPrefix(path, a.dir)] = envelope.Sum(b).Hex()
		return err
	})
	if err != nil {
		a.t.Fatal(err)
	}
	if err := VerifyBlobs(a.t.Context(), p.Manifest, a.store); err != nil {
		a.t.Error(err)
	}
	return string(text), blobs
}

// whole is what comes of a pack that nothing interrupts.
func (r *resumable) whole(t *testing.T) (string, map[string]string) {
	t.Helper()
	a := r.begin(t)
	p, err := a.pack(nil)
	if err != nil {
		t.Fatal(err)
	}
	return a.result(p)
}

// equals goes on until the end and compares.
func (a *attempt) equals(text string, blobs map[string]string) {
	a.t.Helper()
	p, err := a.pack(nil)
	if err != nil {
		a.t.Fatal(err)
	}
	got, have := a.result(p)
	if d := cmp.Diff(text, got); d != "" {
		a.t.Error(d)
	}
	if d := cmp.Diff(blobs, have); d != "" {
		a.t.Error(d)
	}
}

// failingCalls fails every call from the n-th on; a Put after some bytes.
type failingCalls struct {
	*DirStore
	left *atomic.Int64
	hit  *atomic.Bool
}

func (s failingCalls) fails() bool {
	if s.left.Add(-1) >= 0 {
		return false
	}
	s.hit.Store(true)
	return true
}

func (s failingCalls) Put(ctx context.Context, r io.Reader) (envelope.Digest, int64, error) {
	if s.fails() {
		r = io.MultiReader(io.LimitReader(r, 3000), failing{errAway})
	}
	return s.DirStore.Put(ctx, r)
}

func (s failingCalls) ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	if s.fails() {
		return 0, errAway
	}
	return s.DirStore.ReadAt(ctx, d, p, off)
}

func (s failingCalls) Size(ctx context.Context, d envelope.Digest) (int64, error) {
	if s.fails() {
		return 0, errAway
	}
	return s.DirStore.Size(ctx, d)
}

// TestResumeEqualsUninterrupted: whatever call of the store fails, and fails again when the pack goes on, in the end the
// manifest and every blob are those of a pack that nothing interrupted, and nothing else is in the store.
func TestResumeEqualsUninterrupted(t *testing.T) {
	for name, r := range resumables(t) {
		t.Run(name, func(t *testing.T) {
			text, blobs := r.whole(t)
			if len(blobs) < 6 {
				t.Fatalf("%d blobs are too few to interrupt", len(blobs))
			}
			failed := 0
			for n := int64(0); ; n++ {
				a := r.begin(t)
				var hit atomic.Bool
				for again := range int64(3) {
					var left atomic.Int64
					left.Store(n + again*again)
					_, err := a.pack(func(c *PackConfig) { c.Store = failingCalls{a.store, &left, &hit} })
					if err == nil {
						break
					}
					if failed++; !errors.Is(err, errAway) {
						t.Fatalf("call %d: %v", n, err)
					}
				}
				a.equals(text, blobs)
				if !hit.Load() {
					break
				}
				n += n / 8 // later calls are like those before them
			}
			if failed < 10 {
				t.Errorf("only %d packs failed", failed)
			}
		})
	}
}

// withoutBlob fails the Put of one blob, whichever Put the scheduler lets go first, and remembers the others.
type withoutBlob struct {
	*DirStore
	lost envelope.Digest
	mu   sync.Mutex
	put  map[envelope.Digest]bool
}

func (s *withoutBlob) Put(ctx context.Context, r io.Reader) (envelope.Digest, int64, error) {
	b, err := io.ReadAll(r)
	if err != nil {
		return envelope.Digest{}, 0, err
	}
	d := envelope.Sum(b)
	if d == s.lost {
		return envelope.Digest{}, 0, errAway
	}
	s.mu.Lock()
	s.put[d] = true
	s.mu.Unlock()
	return s.DirStore.Put(ctx, bytes.NewReader(b))
}

// TestResumeKeepsWork: what the store had before it failed is not sealed again.
func TestResumeKeepsWork(t *testing.T) {
	r := resumables(t)["csv"]
	p, err := r.begin(t).pack(nil)
	if err != nil {
		t.Fatal(err)
	}
	segments := p.Manifest.Segments // the same in every pack with this journal
	a := r.begin(t)
	if _, err := a.pack(func(c *PackConfig) {
		c.Store = &withoutBlob{DirStore: a.store, lost: segments[2].Blob, put: map[envelope.Digest]bool{}}
	}); !errors.Is(err, errAway) {
		t.Fatal(err)
	}
	kept, lost := -1, -1
	again := &withoutBlob{DirStore: a.store, put: map[envelope.Digest]bool{}}
	_, err = a.pack(func(c *PackConfig) {
		c.Store = again
		c.Resumed = func(k, l int) { kept, lost = k, l }
	})
	if err != nil || kept != 2 || lost != 0 {
		t.Errorf("%d kept, %d lost, %v", kept, lost, err)
	}
	for i, g := range segments {
		if again.put[g.Blob] != (i >= 2) {
			t.Errorf("segment %d was sealed again: %t", i, again.put[g.Blob])
		}
	}
}

// TestResumeRepairsStore: blobs that vanished or were damaged meanwhile are sealed again, and those after them.
func TestResumeRepairsStore(t *testing.T) {
	damages := map[string]func(path string) error{
		"gone":    os.Remove,
		"short":   func(path string) error { return os.Truncate(path, 100) },
		"empty":   func(path string) error { return os.Truncate(path, 0) },
		"changed": func(path string) error { return change(path, func(b []byte) []byte { b[len(b)/2] ^= 1; return b }) },
		"longer":  func(path string) error { return change(path, func(b []byte) []byte { return append(b, 0) }) },
	}
	for name, r := range resumables(t) {
		text, blobs := r.whole(t)
		for what, damage := range damages {
			t.Run(name+" "+what, func(t *testing.T) {
				a := r.begin(t)
				a.interrupt(3)
				j, err := OpenJournal(a.path)
				if err != nil {
					t.Fatal(err)
				}
				list := j.Blobs()
				if err := errors.Join(j.Close(), damage(a.store.path(list[1]))); err != nil {
					t.Fatal(err)
				}
				kept, lost := -1, -1
				p, err := a.pack(func(c *PackConfig) { c.Resumed = func(k, l int) { kept, lost = k, l } })
				if err != nil || kept != 1 || lost != len(list)-1 {
					t.Fatalf("%d kept, %d lost of %d, %v", kept, lost, len(list), err)
				}
				got, have := a.result(p)
				if got != text || cmp.Diff(blobs, have) != "" {
					t.Error("another result")
				}
			})
		}
	}
}

func change(path string, f func([]byte) []byte) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return os.WriteFile(path, f(b), 0o600)
}

// interrupt packs until so many segments are listed, and a little further.
func (a *attempt) interrupt(segments int) {
	a.t.Helper()
	stop := errors.New("interrupted")
	ctx, cancel := context.WithCancelCause(a.t.Context())
	j, err := OpenJournal(a.path)
	if err != nil {
		a.t.Fatal(err)
	}
	defer j.Close()
	c := a.config()
	c.Store, c.Journal = a.store, j
	c.Progress = func(Progress) {
		if j.Kept() >= segments {
			cancel(stop)
		}
	}
	if _, err := Pack(ctx, c); !errors.Is(err, context.Canceled) {
		a.t.Fatal(err)
	}
	if j.Kept() < segments {
		a.t.Fatalf("%d segments are listed", j.Kept())
	}
}

// TestResumeRefusesOtherSource: a source that differs in what is sealed already, if only in one byte, ends the pack.
func TestResumeRefusesOtherSource(t *testing.T) {
	r := resumables(t)["csv"]
	src := bigCSV(150_000)
	a := r.begin(t)
	a.interrupt(3)
	before, err := os.ReadFile(a.path)
	if err != nil {
		t.Fatal(err)
	}
	for name, other := range map[string]string{
		"first header byte":  "I" + src[1:],
		"digit in segment 0": src[:20_000] + flip(src[20_000]) + src[20_001:],
		"digit in segment 2": src[:70_000] + flip(src[70_000]) + src[70_001:],
		"ends earlier":       src[:strings.LastIndex(src[:50_000], "\n")+1],
		"another header":     "id,values" + src[len("id,value"):],
		"rows swapped":       swapRows(src),
	} {
		_, err := a.pack(func(c *PackConfig) { c.Source = strings.NewReader(other) })
		if !errors.Is(err, ErrResume) {
			t.Errorf("%s: %v", name, err)
		}
		if after, err := os.ReadFile(a.path); err != nil || !bytes.Equal(before, after) {
			t.Fatalf("%s: the journal changed, %v", name, err)
		}
	}
	text, blobs := r.whole(t)
	a.equals(text, blobs)
}

func flip(c byte) string {
	if c == '7' {
		return "8"
	}
	if c == '\n' || c == ',' {
		return string(c)
	}
	return "7"
}

func swapRows(s string) string {
	l := strings.SplitAfter(s, "\n")
	l[1], l[2] = l[2], l[1]
	return strings.Join(l, "")
}

// TestResumeRefusesOtherTerms: whatever else the pack depends on must be the same too, and the error says what is not.
func TestResumeRefusesOtherTerms(t *testing.T) {
	r := resumables(t)["csv"]
	a := r.begin(t)
	a.interrupt(2)
	for want, change := range map[string]func(*PackConfig){
		"terms":             func(c *PackConfig) { c.Manifest.Terms.MaxUses++ },
		"card":              func(c *PackConfig) { c.Manifest.Metadata.Description = "another" },
		"name":              func(c *PackConfig) { c.Manifest.Name = "another" },
		"key":               func(c *PackConfig) { c.Key = NewKey() },
		"sizes":             func(c *PackConfig) { c.BatchBytes-- },
		"published columns": func(c *PackConfig) { c.PublishColumns = true },
		"owner":             func(c *PackConfig) { c.Manifest.Credential = &envelope.Digest{9} },
		"contributors":      func(c *PackConfig) { c.Contributors = &Contributors{By: "id", Unit: newPeople().unit} },
	} {
		if _, err := a.pack(change); !errors.Is(err, ErrResume) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v", want, err)
		}
	}
	if _, err := a.pack(func(c *PackConfig) { c.Manifest.Dataset = ID{9} }); !errors.Is(err, ErrConfig) {
		t.Errorf("another dataset: %v", err)
	}
	text, blobs := r.whole(t)
	a.equals(text, blobs)
}

// TestSaltReuseAcrossResume: a segment that was sealed when the pack stopped, but is not listed, and is another text when the
// pack goes on, gets another salt. Two texts under one key and salt would give both away.
func TestSaltReuseAcrossResume(t *testing.T) {
	r := resumables(t)["csv"]
	src := bigCSV(150_000)
	a := r.begin(t)
	seen := &saltStore{DirStore: a.store, salts: map[string]map[string]bool{}}
	texts := 0
	for n := range 3 {
		a.interrupt(n + 2)
		j, err := OpenJournal(a.path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(j.rewind(n+1), j.Close()); err != nil {
			t.Fatal(err)
		}
		at := (n+2)*24<<10 - 9000 // in what is no longer listed
		for c := range 3 {
			changed := src[:at] + fmt.Sprint(c) + src[at+1:]
			_, err = a.pack(func(c *PackConfig) {
				c.Store, c.Source = seen, io.MultiReader(strings.NewReader(changed[:at+30_000]), failing{errAway})
			})
			if !errors.Is(err, errAway) {
				t.Fatal(err)
			}
			if err := os.WriteFile(a.path, r.head, 0o600); err != nil {
				t.Fatal(err)
			}
			texts++
		}
	}
	for salt, texts := range seen.salts {
		if len(texts) > 1 {
			t.Errorf("salt %x begins %d messages", salt, len(texts))
		}
	}
	if len(seen.salts) < texts {
		t.Errorf("%d messages of %d texts", len(seen.salts), texts)
	}
}

// saltStore remembers every blob that was begun with a salt.
type saltStore struct {
	*DirStore
	mu    sync.Mutex
	salts map[string]map[string]bool
}

func (s *saltStore) Put(ctx context.Context, r io.Reader) (envelope.Digest, int64, error) {
	var whole bytes.Buffer
	d, n, err := s.DirStore.Put(ctx, io.TeeReader(r, &whole))
	if b := whole.Bytes(); len(b) > headerSize && len(b)%32 != 0 {
		s.mu.Lock()
		defer s.mu.Unlock()
		salt := string(b[:saltSize])
		if s.salts[salt] == nil {
			s.salts[salt] = map[string]bool{}
		}
		s.salts[salt][envelope.Sum(b).Hex()] = true
	}
	return d, n, err
}
