// SPDX-License-Identifier: Apache-2.0

package faultfs

import (
	"bytes"
	"errors"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t *testing.T, d *Disk, name, text string) uint64 {
	t.Helper()
	i, err := d.Create(Root, name, 0o600, false)
	must(t, err)
	_, err = d.Write(i.ID, 0, []byte(text))
	must(t, err)
	return i.ID
}

// contents maps the names in the root to what is in the files.
func contents(t *testing.T, d *Disk) map[string]string {
	t.Helper()
	names, infos, err := d.List(Root)
	must(t, err)
	out := map[string]string{}
	for i, name := range names {
		if infos[i].Dir {
			continue
		}
		b := make([]byte, infos[i].Size)
		_, err := d.Read(infos[i].ID, 0, b)
		must(t, err)
		out[name] = string(b)
	}
	return out
}

func wantContents(t *testing.T, d *Disk, want map[string]string) {
	t.Helper()
	if got := contents(t, d); !maps.Equal(got, want) {
		t.Errorf("after the power loss: %q, want %q", got, want)
	}
}

func TestWhatIsDurable(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(t *testing.T, d *Disk)
		want map[string]string
	}{
		"nothing synced":   {func(t *testing.T, d *Disk) { create(t, d, "a", "1") }, nil},
		"file synced only": {func(t *testing.T, d *Disk) { must(t, d.Sync(create(t, d, "a", "1"))) }, nil},
		"directory synced only": {func(t *testing.T, d *Disk) {
			create(t, d, "a", "1")
			must(t, d.Sync(Root))
		}, map[string]string{"a": ""}},
		"both synced": {func(t *testing.T, d *Disk) {
			must(t, d.Sync(create(t, d, "a", "1")))
			must(t, d.Sync(Root))
		}, map[string]string{"a": "1"}},
		"written after the sync": {func(t *testing.T, d *Disk) {
			id := create(t, d, "a", "1234")
			must(t, d.Sync(id))
			must(t, d.Sync(Root))
			_, err := d.Write(id, 2, []byte("xxxx"))
			must(t, err)
			must(t, d.Truncate(id, 1))
		}, map[string]string{"a": "1234"}},
		"cut and synced": {func(t *testing.T, d *Disk) {
			id := create(t, d, "a", "1234")
			must(t, d.Truncate(id, 2))
			must(t, d.Truncate(id, 3))
			must(t, d.Sync(id))
			must(t, d.Sync(Root))
		}, map[string]string{"a": "12\x00"}},
		"renamed, not synced": {func(t *testing.T, d *Disk) {
			must(t, d.Sync(create(t, d, "a", "old")))
			must(t, d.Sync(Root))
			must(t, d.Sync(create(t, d, "tmp", "new")))
			must(t, d.Rename(Root, "tmp", "a"))
		}, map[string]string{"a": "old"}},
		"renamed and synced": {func(t *testing.T, d *Disk) {
			create(t, d, "a", "old")
			must(t, d.Sync(create(t, d, "tmp", "new")))
			must(t, d.Rename(Root, "tmp", "a"))
			must(t, d.Sync(Root))
		}, map[string]string{"a": "new"}},
		"removed, not synced": {func(t *testing.T, d *Disk) {
			must(t, d.Sync(create(t, d, "a", "1")))
			must(t, d.Sync(Root))
			must(t, d.Remove(Root, "a", false))
		}, map[string]string{"a": "1"}},
		"removed and synced": {func(t *testing.T, d *Disk) {
			must(t, d.Sync(create(t, d, "a", "1")))
			must(t, d.Remove(Root, "a", false))
			must(t, d.Sync(Root))
		}, nil},
		"shared memory": {func(t *testing.T, d *Disk) {
			must(t, d.Sync(create(t, d, "a-shm", "1")))
			must(t, d.Sync(Root))
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := NewDisk()
			c.do(t, d)
			again := d.Restart()
			wantContents(t, again, c.want)
			wantContents(t, again.Restart(), c.want)
			wantContents(t, d.Restart(), c.want)
			if _, _, err := d.List(Root); !errors.Is(err, syscall.EIO) {
				t.Errorf("a dead disk answers: %v", err)
			}
		})
	}
}

// TestPowerFailsAtEverySyncPoint: the sync that the power failed at had no effect, the one before had.
func TestPowerFailsAtEverySyncPoint(t *testing.T) {
	for n := int64(1); n <= 4; n++ {
		d := NewDisk()
		d.Inject(Faults{PowerLoss: n})
		id := create(t, d, "a", "0")
		var err error
		done := int64(0)
		for _, target := range []uint64{Root, id, id} {
			if err = d.Sync(target); err != nil {
				break
			}
			done++
			d.Write(id, 0, []byte{byte('0' + done)}) //nolint:errcheck // a dead disk refuses
		}
		want := []map[string]string{nil, {"a": ""}, {"a": "1"}, {"a": "2"}}[done]
		if done != min(n-1, 3) || (err == nil) != (n == 4) {
			t.Errorf("power loss at %d: %d syncs, %v", n, done, err)
		}
		select {
		case <-d.Lost():
		default:
			if n != 4 {
				t.Error("nobody was told of the power loss")
			}
		}
		wantContents(t, d.Restart(), want)
	}
}

// TestGrace: while the fatal sync is under way all else goes on.
func TestGrace(t *testing.T) {
	d := NewDisk()
	id := create(t, d, "a", "1")
	d.Inject(Faults{PowerLoss: 1, Grace: 50 * time.Millisecond})
	done := make(chan error, 1)
	go func() { done <- d.Sync(id) }()
	for d.Counts().Syncs == 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := d.Write(id, 0, []byte("2")); err != nil {
		t.Errorf("meanwhile: %v", err)
	}
	if err := <-done; !errors.Is(err, syscall.EIO) {
		t.Errorf("the fatal sync: %v", err)
	}
	if _, err := d.Stat(id); !errors.Is(err, syscall.EIO) {
		t.Errorf("after it: %v", err)
	}
}

// TestProgramDies: what it wrote can be read, and is lost with the power all the same.
func TestProgramDies(t *testing.T) {
	d := NewDisk()
	must(t, d.Sync(create(t, d, "a", "1")))
	must(t, d.Sync(Root))
	create(t, d, "b", "2")
	d.PowerLoss()
	d.Continue()
	wantContents(t, d, map[string]string{"a": "1", "b": "2"})
	select {
	case <-d.Lost():
		t.Error("the power is said to be lost")
	default:
	}
	wantContents(t, d.Restart(), map[string]string{"a": "1"})
}

// TestFailedSyncForgets: after a sync has failed another one succeeds without writing what the first did not.
func TestFailedSyncForgets(t *testing.T) {
	d := NewDisk()
	id := create(t, d, "a", "1")
	must(t, d.Sync(Root))
	must(t, d.Sync(id))
	d.Inject(Faults{SyncError: 1})
	_, err := d.Write(id, 0, []byte("22"))
	must(t, err)
	if err := d.Sync(id); !errors.Is(err, syscall.EIO) {
		t.Fatal(err)
	}
	must(t, d.Sync(id))
	if got := contents(t, d)["a"]; got != "22" {
		t.Errorf("programs read %q", got)
	}
	if c := d.Counts(); c.Syncs != 2 || c.SyncErrors != 1 {
		t.Errorf("%+v", c)
	}
	wantContents(t, d.Restart(), map[string]string{"a": "1"})
}

func TestFullDisk(t *testing.T) {
	d := NewDisk()
	id := create(t, d, "a", "")
	d.Inject(Faults{FullFrom: 2, FullFor: 2})
	for i, full := range []bool{false, true, true, false} {
		if _, err := d.Write(id, int64(i), []byte("x")); errors.Is(err, syscall.ENOSPC) != full {
			t.Errorf("write %d: %v", i+1, err)
		}
	}
	if c := d.Counts(); c.Writes != 4 || c.Full != 2 {
		t.Errorf("%+v", c)
	}
}

// TestTornWrites: by chance some sectors of a write survive and some do not, each seed the same ones, and what was synced
// always does.
func TestTornWrites(t *testing.T) {
	const size = 8 * sector
	none, all, some := 0, 0, 0
	for seed := range uint64(200) {
		restart := func() []byte {
			d := NewDisk()
			d.Tear(seed)
			id := create(t, d, "a", strings.Repeat("s", size))
			must(t, d.Sync(id))
			must(t, d.Sync(Root))
			_, err := d.Write(id, 100, bytes.Repeat([]byte("w"), size-100))
			must(t, err)
			return []byte(contents(t, d.Restart())["a"])
		}
		b := restart()
		if !bytes.Equal(b, restart()) {
			t.Fatalf("seed %d gives two disks", seed)
		}
		if len(b) != size || !bytes.Equal(b[:100], bytes.Repeat([]byte("s"), 100)) {
			t.Fatalf("seed %d changed what was synced", seed)
		}
		kept := 0
		for at := 0; at < size; at += sector {
			rest := b[max(at, 100) : at+sector]
			if n := bytes.Count(rest, []byte("w")); n == len(rest) {
				kept++
			} else if n != 0 {
				t.Fatalf("seed %d tears a sector", seed)
			}
		}
		switch kept {
		case 0:
			none++
		case size / sector:
			all++
		default:
			some++
		}
	}
	if none == 0 || all == 0 || some == 0 {
		t.Errorf("none survived %d times, all %d, some %d", none, all, some)
	}
}

// TestTornDirectory: a rename that was not synced happened or did not; what it renamed is never lost with both names.
func TestTornDirectory(t *testing.T) {
	seen := map[string]int{}
	for seed := range uint64(200) {
		d := NewDisk()
		d.Tear(seed)
		must(t, d.Sync(create(t, d, "a", "old")))
		must(t, d.Sync(Root))
		must(t, d.Sync(create(t, d, "tmp", "new")))
		must(t, d.Rename(Root, "tmp", "a"))
		must(t, d.Sync(create(t, d, "b", "other")))
		got := contents(t, d.Restart())
		seen[strings.Join(slices.Sorted(maps.Keys(got)), "+")+"="+got["a"]]++
	}
	want := []string{"a+b=new", "a+b=old", "a+tmp=old", "a+b+tmp=old", "a=new", "a=old"}
	for k := range seen {
		if !slices.Contains(want, k) {
			t.Errorf("%s", k)
		}
	}
	if len(seen) != len(want) {
		t.Errorf("seen %v", seen)
	}
}

func TestExportAndImport(t *testing.T) {
	from, to := t.TempDir(), t.TempDir()
	must(t, os.MkdirAll(filepath.Join(from, "x", "y"), 0o700))
	must(t, os.WriteFile(filepath.Join(from, "x", "y", "z"), []byte("text"), 0o600))
	d := NewDisk()
	must(t, d.Import(from))
	must(t, d.Restart().Export(to))
	b, err := os.ReadFile(filepath.Join(to, "x", "y", "z"))
	must(t, err)
	if string(b) != "text" {
		t.Errorf("%q", b)
	}
	info, err := os.Stat(filepath.Join(to, "x", "y", "z"))
	must(t, err)
	if info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v", info.Mode())
	}
}
