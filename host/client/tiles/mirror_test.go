// SPDX-License-Identifier: Apache-2.0

package tiles

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"github.com/glovebox-dev/glovebox/host/client/tiles/tilestest"
)

func TestAllTilesAreWalked(t *testing.T) {
	for _, size := range []int64{0, 1, 2, 255, 256, 257, 511, 512, 513, 65535, 65536, 65537, 256*65536 - 1, 256 * 65536, 256*65536 + 1} {
		if got, want := slices.Collect(all(size)), xtlog.NewTiles(height, 0, size); !slices.Equal(got, want) {
			t.Errorf("%d entries: %d tiles, want %d, or in another order", size, len(got), len(want))
		}
	}
	for size := range int64(2000) {
		if !slices.Equal(slices.Collect(all(size)), xtlog.NewTiles(height, 0, size)) {
			t.Errorf("%d entries", size)
		}
	}
	for range all(math.MaxInt64) {
		break
	}
}

// written is a log of n entries in a directory.
func written(t *testing.T, n int) (*tilestest.Log, *Source, string) {
	t.Helper()
	dir := t.TempDir()
	l, err := tilestest.New(n)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Write(dir, ""); err != nil {
		t.Fatal(err)
	}
	s, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	return l, s, dir
}

// TestHugeCheckpoint: a log's operator may sign any size; the reader's memory does not follow it.
func TestHugeCheckpoint(t *testing.T) {
	l, src, dir := written(t, 3)
	for _, size := range []int64{1 << 30, 1 << 50} {
		text, err := l.SignNote(fmt.Sprintf("%s\n%d\n%s\n", l.Origin(), size, base64.StdEncoding.EncodeToString(make([]byte, 32))))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "checkpoint"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		if _, err := src.Mirror(t.Context(), l.Log.Log, text, t.TempDir()); !errors.Is(err, ErrGone) {
			t.Errorf("%d entries: %v", size, err)
		}
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > 64<<20 {
			t.Fatalf("%d entries: %d MiB for a checkpoint", size, n>>20)
		}
	}
}

func TestWalkEndsWithItsContext(t *testing.T) {
	l, src, _ := written(t, 3)
	text, err := src.Checkpoint(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	cp, err := l.ParseCheckpoint(text)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	read := false
	err = src.Check(ctx, cp, func(string, []byte) error { read = true; return nil })
	if !errors.Is(err, context.Canceled) || read {
		t.Errorf("%v, read: %t", err, read)
	}
}
