// SPDX-License-Identifier: Apache-2.0

package config_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker/config"
	"github.com/glovebox-dev/glovebox/broker/keyholder"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// unitsOf are so many units with the keys that k wraps for them.
func unitsOf(t *testing.T, k keyholder.Keyholder, id dataset.ID, n int) (ids []envelope.Digest, wrapped map[envelope.Digest][]byte) {
	t.Helper()
	wrapped = map[envelope.Digest][]byte{}
	for i := range n {
		unit := envelope.Sum([]byte(fmt.Sprint("contributor ", i)))
		w, err := k.Wrap(t.Context(), keyholder.UnitContext(id, unit), bytes.Repeat([]byte{byte(i + 1)}, 32))
		if err != nil {
			t.Fatal(err)
		}
		ids, wrapped[unit] = append(ids, unit), w
	}
	return ids, wrapped
}

func unitOwner(t *testing.T) (*config.Config, keyholder.Keyholder, dataset.ID) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "owner")
	c, err := config.Init(dir, config.Options{Role: config.Creator, Listen: "127.0.0.1:0", Address: "http://x.test"})
	if err != nil {
		t.Fatal(err)
	}
	k, err := c.OpenFileKeyholder(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c, k, dataset.ID{1, 2, 3}
}

func opens(t *testing.T, c *config.Config, k keyholder.Keyholder, id dataset.ID, unit envelope.Digest) ([]byte, error) {
	t.Helper()
	w, err := c.UnitKey(id, unit)
	if err != nil {
		return nil, err
	}
	return k.Unwrap(t.Context(), keyholder.UnitContext(id, unit), w)
}

func TestUnitKeys(t *testing.T) {
	c, k, id := unitOwner(t)
	ids, wrapped := unitsOf(t, k, id, 5)
	dir := c.Layout().Dir
	for range 2 { // adding the same again changes nothing
		if err := config.AddUnits(dir, id, wrapped); err != nil {
			t.Fatal(err)
		}
	}
	for i, unit := range ids {
		if key, err := opens(t, c, k, id, unit); err != nil || key[0] != byte(i+1) {
			t.Errorf("unit %d: %v", i, err)
		}
	}
	files, err := os.ReadDir(c.Layout().Units(id))
	if err != nil || len(files) != 5 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		if st, err := f.Info(); err != nil || st.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", f.Name(), st.Mode(), err)
		}
	}
	_, others := unitsOf(t, k, id, 1)
	if err := config.AddUnits(dir, id, others); !errors.Is(err, config.ErrExists) {
		t.Errorf("another key for a contributor: %v", err)
	}
	if _, err := c.UnitKey(dataset.ID{9}, ids[0]); !errors.Is(err, config.ErrUnknown) {
		t.Errorf("another dataset's: %v", err)
	}
	if err := config.AddUnits(dir, id, map[envelope.Digest][]byte{envelope.Sum([]byte("x")): nil}); err == nil {
		t.Error("an empty wrapped key was stored")
	}
}

// TestShredOneUnit: after one contributor's key is shredded, no copy of her file opens, everybody else's still do under the
// same names, and nothing brings hers back.
func TestShredOneUnit(t *testing.T) {
	c, k, id := unitOwner(t)
	ids, wrapped := unitsOf(t, k, id, 4)
	if err := config.AddUnits(c.Layout().Dir, id, wrapped); err != nil {
		t.Fatal(err)
	}
	for range 2 { // shredding again is no error
		if err := c.ShredUnit(t.Context(), k, id, ids[1]); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := c.UnitKey(id, ids[1]); !errors.Is(err, config.ErrShredded) {
		t.Errorf("shredded: %v", err)
	}
	if _, err := k.Unwrap(t.Context(), keyholder.UnitContext(id, ids[1]), wrapped[ids[1]]); !errors.Is(err, keyholder.ErrUnwrap) {
		t.Errorf("a backup of the shredded key opens: %v", err)
	}
	for _, i := range []int{0, 2, 3} {
		if key, err := opens(t, c, k, id, ids[i]); err != nil || key[0] != byte(i+1) {
			t.Errorf("unit %d: %v", i, err)
		}
	}
	here, err := c.UnitKeys(id)
	if err != nil || len(here) != 3 || here[ids[1]] {
		t.Errorf("%v, %v", here, err)
	}
	path := filepath.Join(c.Layout().Units(id), ids[1].Hex()+".wrap")
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is there: %v", err)
	}
	if err := config.AddUnits(c.Layout().Dir, id, map[envelope.Digest][]byte{ids[1]: wrapped[ids[1]]}); !errors.Is(err, config.ErrShredded) {
		t.Errorf("a key for an erased contributor: %v", err)
	}
	if err := os.WriteFile(path, wrapped[ids[1]], 0o600); err != nil { // from a backup
		t.Fatal(err)
	}
	if _, err := c.UnitKey(id, ids[1]); !errors.Is(err, config.ErrShredded) {
		t.Errorf("put back: %v", err)
	}
	if err := c.ShredUnit(t.Context(), k, id, envelope.Sum([]byte("nobody"))); !errors.Is(err, config.ErrUnknown) {
		t.Errorf("nobody's key: %v", err)
	}
}

// TestShredInterrupted: a crash after the mark leaves the contributor erased, and shredding again finishes.
func TestShredInterrupted(t *testing.T) {
	c, k, id := unitOwner(t)
	ids, wrapped := unitsOf(t, k, id, 2)
	if err := config.AddUnits(c.Layout().Dir, id, wrapped); err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(c.Layout().Units(id), ids[0].Hex())
	left := filepath.Join(c.Layout().Units(id), ".tmp-left")
	if err := os.WriteFile(left, wrapped[ids[0]], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(base+".erased", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.UnitKey(id, ids[0]); !errors.Is(err, config.ErrShredded) {
		t.Errorf("half shredded: %v", err)
	}
	if err := c.ShredUnit(t.Context(), k, id, ids[0]); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(base + ".wrap"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is there: %v", err)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a wrapped key is left: %v", err)
	}
	if _, err := opens(t, c, k, id, ids[1]); err != nil {
		t.Error(err)
	}
}

const killedDir = "GLOVEBOX_TEST_UNITS_DIR"

// TestKilledWhileAddingUnits: whenever the process is killed, each key that has its name is whole, and adding again ends
// with all of them.
func TestKilledWhileAddingUnits(t *testing.T) {
	const n = 100
	id := dataset.ID{7}
	wrapped := map[envelope.Digest][]byte{}
	for i := range n {
		wrapped[envelope.Sum([]byte(fmt.Sprint(i)))] = bytes.Repeat([]byte{byte(i)}, 700)
	}
	if dir := os.Getenv(killedDir); dir != "" {
		fmt.Println("adding")
		if err := config.AddUnits(dir, id, wrapped); err != nil {
			t.Fatal(err)
		}
		return
	}
	partial := 0
	for run := range 8 {
		c, _, _ := unitOwner(t)
		cmd := exec.Command(os.Args[0], "-test.run=^TestKilledWhileAddingUnits$")
		cmd.Env = append(os.Environ(), killedDir+"="+c.Layout().Dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		_, _ = out.Read(make([]byte, 16)) //nolint:errcheck // it has begun
		time.Sleep(time.Duration(5*run*run) * time.Millisecond)
		cmd.Process.Kill() //nolint:errcheck // it may be done
		cmd.Wait()         //nolint:errcheck // killed
		here, err := c.UnitKeys(id)
		if err != nil {
			t.Fatal(err)
		}
		if len(here) < n {
			partial++
		}
		for unit := range here {
			if got, err := c.UnitKey(id, unit); err != nil || !bytes.Equal(got, wrapped[unit]) {
				t.Fatalf("a torn key: %d bytes, %v", len(got), err)
			}
		}
		if err := config.AddUnits(c.Layout().Dir, id, wrapped); err != nil {
			t.Fatal(err)
		}
		if here, err := c.UnitKeys(id); err != nil || len(here) != n {
			t.Fatalf("%d of %d keys, %v", len(here), n, err)
		}
	}
	t.Logf("%d of 8 runs were killed before the end", partial)
}

// TestWrappedKeysHaveUnits: whoever moves all wrapped keys to another version moves contributors' too.
func TestWrappedKeysHaveUnits(t *testing.T) {
	c, k, id := unitOwner(t)
	_, wrapped := unitsOf(t, k, id, 3)
	if err := config.AddUnits(c.Layout().Dir, id, wrapped); err != nil {
		t.Fatal(err)
	}
	keys, err := c.WrappedKeys()
	if err != nil || len(keys) != 3 {
		t.Fatalf("%d keys, %v", len(keys), err)
	}
	for _, w := range keys {
		if w.Unit == nil || w.Unit.Dataset != id || !bytes.Equal(w.Context, keyholder.UnitContext(id, w.Unit.ID)) || !strings.Contains(fmt.Sprint(w.Unit.ID), "sha256:") {
			t.Errorf("%+v", w.Unit)
		}
	}
}

func unitFile(c *config.Config, id dataset.ID, unit envelope.Digest, suffix string) string {
	return filepath.Join(c.Layout().Units(id), unit.Hex()+suffix)
}
