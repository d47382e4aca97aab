// SPDX-License-Identifier: Apache-2.0

package tiles

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

// Check reads every tile and every entry of cp's tree from the source and verifies them. visit, if any, is called with each
// file that is proven, by its path.
func (s *Source) Check(ctx context.Context, cp tlog.Checkpoint, visit func(path string, b []byte) error) error {
	return walk(ctx, cp, []*Source{s}, visit)
}

// walk takes each file from the first source that has it.
func walk(ctx context.Context, cp tlog.Checkpoint, from []*Source, visit func(path string, b []byte) error) error {
	var failed error
	r := &reader{ctx: ctx, sources: from, keep: func(t xtlog.Tile, b []byte) {
		if visit != nil && failed == nil {
			failed = visit(tilePath(t, true), b)
		}
	}}
	hashes := proven(cp, r)
	for t := range all(cp.Size) {
		if err := ctx.Err(); err != nil {
			return err
		}
		// The first hash of a tile cannot be proven without all of it.
		if _, err := hashes.ReadHashes([]int64{xtlog.StoredHashIndex(height*t.L, t.N*width)}); err != nil {
			return classify(err)
		}
		if t.L == 0 {
			if err := bundle(ctx, hashes, t, from, visit); err != nil {
				return err
			}
		}
		if failed != nil {
			return failed
		}
	}
	return nil
}

// all are the tiles of a tree, level by level, each level's full ones before the partial one. They are not listed first: a
// signed size may be any, and the first tile that is missing ends the walk.
func all(size int64) iter.Seq[xtlog.Tile] {
	return func(yield func(xtlog.Tile) bool) {
		for level := 0; size > 0; level++ {
			above := size >> height
			for n := range above {
				if !yield(xtlog.Tile{H: height, L: level, N: n, W: width}) {
					return
				}
			}
			if w := int(size % width); w > 0 && !yield(xtlog.Tile{H: height, L: level, N: above, W: w}) {
				return
			}
			size = above
		}
	}
}

// bundle verifies the entries under one tile of leaves.
func bundle(ctx context.Context, hashes xtlog.HashReader, t xtlog.Tile, from []*Source, visit func(string, []byte) error) error {
	var index []int64
	for i := range int64(t.W) {
		index = append(index, xtlog.StoredHashIndex(0, t.N*width+i))
	}
	leaves, err := hashes.ReadHashes(index)
	if err != nil {
		return classify(err)
	}
	path := bundlePath(t.N, t.W, true)
	for _, s := range from {
		var b []byte
		if b, err = s.part(ctx, path, bundlePath(t.N, t.W, false), maxBundle); err != nil {
			continue
		}
		var n int
		if n, err = entries(b, leaves); err != nil {
			err = fmt.Errorf("%w: %s of %s: %w", ErrTile, path, s.name, err)
			continue
		}
		if visit == nil {
			return nil
		}
		return visit(path, b[:n])
	}
	return err
}

// entries checks that b begins with the entries of these leaves, each behind its length in two bytes, and returns how many
// bytes those are.
func entries(b []byte, leaves []xtlog.Hash) (int, error) {
	rest := b
	for i, leaf := range leaves {
		if len(rest) < 2 || len(rest)-2 < int(binary.BigEndian.Uint16(rest)) {
			return 0, fmt.Errorf("entry %d is cut off", i)
		}
		n := 2 + int(binary.BigEndian.Uint16(rest))
		if tlog.LeafHash(rest[2:n]) != envelope.Digest(leaf) {
			return 0, fmt.Errorf("entry %d is another", i)
		}
		rest = rest[n:]
	}
	return len(b) - len(rest), nil
}

// ErrHistory means that the source's checkpoint is not of the log that the mirror holds, grown.
var ErrHistory = errors.New("tiles: another history than the mirror's")

// Mirror brings dir up to the source's checkpoint text, verified by the caller as cp. Files are proven before they are
// written, each whole; the checkpoint comes last, so that a mirror that is served meanwhile is always complete, and one that
// was interrupted goes on where it was. Errors: [ErrHistory], those of [Source.Check] and of the file system.
func (s *Source) Mirror(ctx context.Context, l *tlog.Log, text, dir string) (added int64, err error) {
	cp, err := l.ParseCheckpoint(text)
	if err != nil {
		return 0, err
	}
	own, err := Open(dir)
	if err != nil {
		return 0, err
	}
	had, err := own.held(ctx, l)
	if err != nil {
		return 0, err
	}
	if err := s.continues(ctx, had, cp); err != nil {
		return 0, err
	}
	err = walk(ctx, cp, []*Source{own, s}, func(path string, b []byte) error { return put(filepath.Join(dir, filepath.FromSlash(path)), b) })
	if err != nil {
		return 0, err
	}
	return cp.Size - had.Size, put(filepath.Join(dir, "checkpoint"), []byte(text))
}

// held is the checkpoint that a mirror has; the zero value if it is new.
func (s *Source) held(ctx context.Context, l *tlog.Log) (tlog.Checkpoint, error) {
	text, err := s.Checkpoint(ctx)
	if errors.Is(err, fs.ErrNotExist) {
		return tlog.Checkpoint{}, nil
	}
	if err != nil {
		return tlog.Checkpoint{}, err
	}
	return l.ParseCheckpoint(text)
}

func (s *Source) continues(ctx context.Context, had, cp tlog.Checkpoint) error {
	if had.Size == 0 {
		return nil
	}
	if had.Size > cp.Size {
		return fmt.Errorf("%w: it holds %d entries, and %s shows %d", ErrHistory, had.Size, s.name, cp.Size)
	}
	root, _, err := s.Prefix(ctx, cp, had.Size)
	if err == nil && root != had.Root {
		err = fmt.Errorf("%w: of the first %d entries", ErrHistory, had.Size)
	}
	return err
}

// put writes a whole file, readable by whoever serves it, if it is not there with these bytes.
func put(path string, b []byte) error {
	if old, err := os.ReadFile(path); err == nil && string(old) == string(b) {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".tmp-*")
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	if err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close()); err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err != nil {
		os.Remove(f.Name()) //nolint:errcheck // already failing
	}
	return err
}
