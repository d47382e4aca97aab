// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// cell is an anchor somewhere else, with faults.
type cell struct {
	mu      sync.Mutex
	held    []byte
	stores  int
	fail    error // Store does nothing
	lost    error // Store stores, and its answer is lost
	unloads error
}

func (c *cell) Load(context.Context) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.held, c.unloads
}

func (c *cell) Store(_ context.Context, previous, next []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return c.fail
	}
	if !bytes.Equal(c.held, previous) {
		return ErrMoved
	}
	c.held = bytes.Clone(next)
	c.stores++
	return c.lost
}

func (c *cell) set(f func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f()
}

func openAnchored(t *testing.T, dir string, a Anchor) (*Ledger, error) {
	t.Helper()
	cfg := at(dir)
	cfg.Anchor = a
	l, err := Open(t.Context(), cfg)
	if err == nil {
		t.Cleanup(func() { l.Close() })
	}
	return l, err
}

// TestRestoredAfterRelease copies the ledger, releases, restores the copy and releases again: refused, where the head
// file was left and, with an anchor that the attacker does not reach, where it was restored with it.
func TestRestoredAfterRelease(t *testing.T) {
	for name, far := range map[string]*cell{"head file": nil, "anchor elsewhere": {}} {
		t.Run(name, func(t *testing.T) {
			dir, s, buyer := t.TempDir(), signer(t), signer(t).Public()
			reopen := func() (*Ledger, error) {
				if far == nil {
					return openAnchored(t, dir, nil)
				}
				return openAnchored(t, dir, far)
			}
			l, err := reopen()
			must(t, err)
			must(t, releaseOne(t.Context(), l, s, manifestA, buyer))
			must(t, l.Close())
			copied := t.TempDir()
			copyFile(t, at(dir).Path, at(copied).Path)
			if far == nil {
				copyFile(t, at(dir).Head, at(copied).Head)
			}
			l, err = reopen()
			must(t, err)
			must(t, releaseOne(t.Context(), l, s, manifestA, buyer))
			must(t, l.Close())
			copyFile(t, at(copied).Path, at(dir).Path)
			if _, err := reopen(); !errors.Is(err, ErrRolledBack) {
				t.Fatalf("the restored ledger: %v", err)
			}
			if far != nil {
				return
			}
			// What a head file beside the database cannot notice, and the reason for anchors elsewhere.
			copyFile(t, at(copied).Head, at(dir).Head)
			if _, err := reopen(); err != nil {
				t.Errorf("database and head file restored together: %v", err)
			}
		})
	}
}

func TestAnchorAway(t *testing.T) {
	a, s := &cell{}, signer(t)
	l, err := openAnchored(t, t.TempDir(), a)
	must(t, err)
	must(t, deny(l, s, manifestA, "1"))
	a.set(func() { a.fail = errors.New("sealed") })
	if err := deny(l, s, manifestA, "2"); !errors.Is(err, ErrAnchor) {
		t.Errorf("not anchored: %v", err)
	}
	nothing := func(*Tx) error { return nil }
	if err := l.View(t.Context(), nothing); !errors.Is(err, ErrAnchor) {
		t.Errorf("a view of what is not anchored: %v", err)
	}
	if err := l.Update(t.Context(), nothing); !errors.Is(err, ErrAnchor) {
		t.Errorf("an update after what is not anchored: %v", err)
	}
	a.set(func() { a.fail = nil })
	must(t, deny(l, s, manifestA, "3"))
	must(t, l.View(t.Context(), nothing))
	if n := len(records(t, l)); n != 3 {
		t.Errorf("%d records", n)
	}
}

// TestAnchorAnswerLost: the anchor moved, but nobody said so.
func TestAnchorAnswerLost(t *testing.T) {
	a, s := &cell{}, signer(t)
	l, err := openAnchored(t, t.TempDir(), a)
	must(t, err)
	a.set(func() { a.lost = errors.New("connection reset") })
	must(t, deny(l, s, manifestA, "1"))
	must(t, deny(l, s, manifestA, "2"))
}

// TestAnchorMovedByAnother: two brokers on two copies of one ledger; the second to speak is refused, and stays so.
func TestAnchorMovedByAnother(t *testing.T) {
	a, s, dir := &cell{}, signer(t), t.TempDir()
	l, err := openAnchored(t, dir, a)
	must(t, err)
	must(t, deny(l, s, manifestA, "1"))
	must(t, l.Close())
	twin := t.TempDir()
	copyFile(t, at(dir).Path, at(twin).Path)
	first, err := openAnchored(t, dir, a)
	must(t, err)
	second, err := openAnchored(t, twin, a)
	must(t, err)
	must(t, deny(first, s, manifestA, "2"))
	for range 2 {
		if err := deny(second, s, manifestA, "other 2"); !errors.Is(err, ErrAnchor) {
			t.Errorf("the twin: %v", err)
		}
	}
	must(t, deny(first, s, manifestA, "3"))
	must(t, second.Close())
	if _, err := openAnchored(t, twin, a); !errors.Is(err, ErrRolledBack) && !errors.Is(err, ErrForked) {
		t.Errorf("the twin again: %v", err)
	}
}

func TestAnchorCannotBeLoaded(t *testing.T) {
	a := &cell{unloads: errors.New("sealed")}
	if _, err := openAnchored(t, t.TempDir(), a); !errors.Is(err, a.unloads) {
		t.Error(err)
	}
}

// TestTornHead spoils each half of the head file in turn.
func TestTornHead(t *testing.T) {
	s := signer(t)
	for name, spoil := range map[string]func(b []byte, newest int){
		"newest torn":    func(b []byte, newest int) { clear(b[newest*slotSize+100 : newest*slotSize+700]) },
		"oldest torn":    func(b []byte, newest int) { clear(b[(1-newest)*slotSize+100 : (1-newest)*slotSize+700]) },
		"newest a blank": func(b []byte, newest int) { clear(b[newest*slotSize : (newest+1)*slotSize]) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			l := open(t, dir)
			must(t, deny(l, s, manifestA, "1"))
			must(t, deny(l, s, manifestA, "2"))
			newest := 1 - l.anchor.(*fileAnchor).next
			must(t, l.Close())
			b, err := os.ReadFile(at(dir).Head)
			must(t, err)
			spoil(b, newest)
			must(t, os.WriteFile(at(dir).Head, b, 0o600))
			l = open(t, dir)
			must(t, deny(l, s, manifestA, "3"))
			must(t, l.Close())
			if n := len(records(t, open(t, dir))); n != 3 {
				t.Errorf("%d records", n)
			}
		})
	}
	t.Run("both", func(t *testing.T) {
		dir := t.TempDir()
		l := open(t, dir)
		must(t, deny(l, s, manifestA, "1"))
		must(t, deny(l, s, manifestA, "2"))
		must(t, l.Close())
		b, err := os.ReadFile(at(dir).Head)
		must(t, err)
		b[3], b[slotSize+3] = 'X', 'X'
		must(t, os.WriteFile(at(dir).Head, b, 0o600))
		refused(t, dir, ErrCorrupt)
	})
}

// TestEveryFlippedBitOfHead: no flip makes a head that was never stored.
func TestEveryFlippedBitOfHead(t *testing.T) {
	dir, s := t.TempDir(), signer(t)
	l := open(t, dir)
	must(t, deny(l, s, manifestA, "1"))
	must(t, l.Close())
	b, err := os.ReadFile(at(dir).Head)
	must(t, err)
	valid := map[string]bool{}
	for i := range 2 {
		if _, text := parseSlot(b[i*slotSize : (i+1)*slotSize]); text != nil {
			valid[string(text)] = true
		}
	}
	for i := range b[:slotSize] {
		for bit := range 8 {
			b[i] ^= 1 << bit
			if _, text := parseSlot(b[:slotSize]); text != nil {
				t.Fatalf("byte %d, bit %d: %q", i, bit, text)
			}
			b[i] ^= 1 << bit
		}
	}
	if len(valid) == 0 {
		t.Fatal("no head to begin with")
	}
}

func TestHeadCutShort(t *testing.T) {
	for _, size := range []int64{0, 1, slotSize, 2*slotSize - 1, 2*slotSize + 1} {
		dir, s := t.TempDir(), signer(t)
		l := open(t, dir)
		must(t, deny(l, s, manifestA, "1"))
		must(t, l.Close())
		must(t, os.Truncate(at(dir).Head, size))
		if l, err := Open(t.Context(), at(dir)); err == nil {
			l.Close()
			t.Errorf("opened with a head of %d bytes", size)
		} else if !errors.Is(err, ErrCorrupt) && !errors.Is(err, envelope.ErrTooLarge) {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

// TestHeadReplacedWhileRunning: the broker does not go on writing to a file that a restart would not read.
func TestHeadReplacedWhileRunning(t *testing.T) {
	dir, s := t.TempDir(), signer(t)
	l := open(t, dir)
	must(t, deny(l, s, manifestA, "1"))
	old, err := os.ReadFile(at(dir).Head)
	must(t, err)
	must(t, deny(l, s, manifestA, "2"))
	tmp := filepath.Join(dir, "other")
	must(t, os.WriteFile(tmp, old, 0o600))
	must(t, os.Rename(tmp, at(dir).Head))
	if err := deny(l, s, manifestA, "3"); !errors.Is(err, ErrAnchor) {
		t.Errorf("an old head was put in place: %v", err)
	}
	must(t, os.Remove(at(dir).Head))
	must(t, deny(l, s, manifestA, "4")) // deleted: the broker knows what was in it
	must(t, l.Close())
	if n := len(records(t, open(t, dir))); n != 4 {
		t.Errorf("%d records", n)
	}
}

func FuzzHead(f *testing.F) {
	text := []byte(`{"digest":null,"revision":0,"sequence":0,"version":1}`)
	seeds := [][]byte{makeSlot(text), makeSlot([]byte(`{"digest":null,"revision":9,"sequence":0,"version":1}`)), bytes.Repeat([]byte(" "), slotSize)}
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, slot []byte) {
		h, text := parseSlot(slot)
		if (h == nil) != (text == nil) {
			t.Fatal("half an answer")
		}
		if h != nil && !bytes.Equal(makeSlot(text), slot) {
			t.Error("another slot means the same")
		}
	})
}
