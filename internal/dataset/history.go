// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"
	"crypto/sha256"
	"fmt"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// ErrHistory means that two manifests of a dataset cannot both be true: one takes back, changes or forks what the other signed.
var ErrHistory error = &refusal{"dataset: history is rewritten", ErrIntegrity}

// VerifyHistory checks that next continues old: it is the next version, and names old, or a later one; what every version
// keeps is the same; and it has all that old has and only adds to it. That its tree extends old's is proven by hashes of next's
// tree, which blobs has: an RFC 6962 consistency proof, made and checked here. No key is needed, and a few tiles are read.
//
// A manifest continues itself. Errors: [ErrHistory]; [ErrProof] for hashes that are not of next's tree; those of blobs.
func VerifyHistory(ctx context.Context, old, next *envelope.Verified[Manifest], blobs BlobReader) error {
	if err := old.Predicate.Validate(); err != nil {
		return fmt.Errorf("earlier version: %w", err)
	}
	if err := next.Predicate.Validate(); err != nil {
		return err
	}
	if err := Succeeds(old, next); err != nil || old.ID == next.ID {
		return err
	}
	return consistent(ctx, &old.Predicate.Tree, &next.Predicate.Tree, blobs)
}

func rewritten(f string, a ...any) error {
	return fmt.Errorf("%w: %s", ErrHistory, fmt.Sprintf(f, a...))
}

// Succeeds is [VerifyHistory] for whoever has no hashes: all that the manifests say, but not that next's tree begins with old's.
func Succeeds(old, next *envelope.Verified[Manifest]) error {
	a, b := &old.Predicate, &next.Predicate
	switch {
	case old.ID.IsZero() || next.ID.IsZero():
		return fmt.Errorf("%w: a manifest without its digest", ErrConfig)
	case a.Dataset != b.Dataset:
		return rewritten("another dataset")
	case !a.Owner.Equal(b.Owner):
		return rewritten("version %d is by another owner", b.Version)
	case a.Kind != b.Kind || a.Name != b.Name || a.Format != b.Format:
		return rewritten("version %d is %s %s (%s), version %d %s %s (%s)", b.Version, b.Kind, b.Name, b.Format, a.Version, a.Kind, a.Name, a.Format)
	case next.ID == old.ID:
		return nil
	case b.Version == a.Version:
		return rewritten("a fork: two manifests with version %d", a.Version)
	case b.Version < a.Version:
		return rewritten("version %d is not later than %d", b.Version, a.Version)
	case b.Version == a.Version+1 && *b.Previous != old.ID: // never nil in a later version
		return rewritten("a fork: version %d continues another version %d", b.Version, a.Version)
	}
	return b.keeps(a)
}

// keeps checks that m has all that an earlier version has, unchanged and in its place. Only what contributors agree to is stated anew.
func (m *Manifest) keeps(old *Manifest) error {
	if len(m.Segments) < len(old.Segments) || !slices.Equal(old.Segments, m.Segments[:len(old.Segments)]) {
		return rewritten("version %d does not keep the segments of version %d", m.Version, old.Version)
	}
	for _, s := range m.Segments[len(old.Segments):] {
		if s.Version <= old.Version {
			return rewritten("version %d adds a segment to version %d", m.Version, s.Version)
		}
	}
	if len(m.Indexes) < len(old.Indexes) || !slices.Equal(old.Indexes, m.Indexes[:len(old.Indexes)]) {
		return rewritten("version %d does not keep the indexes of version %d", m.Version, old.Version)
	}
	sameUnit := func(a, b ErasureUnit) bool { return a.ID == b.ID && a.First == b.First && a.Count == b.Count }
	if len(m.Units) < len(old.Units) || !slices.EqualFunc(old.Units, m.Units[:len(old.Units)], sameUnit) {
		return rewritten("version %d does not keep the erasure units of version %d", m.Version, old.Version)
	}
	for _, u := range m.Units[len(old.Units):] {
		if u.First < int64(len(old.Segments)) {
			return rewritten("version %d gives segments of version %d to another unit", m.Version, old.Version)
		}
	}
	if err := TombstonesGrow(old, m); err != nil {
		return rewritten("%v", err)
	}
	more := len(m.Tombstones) > len(old.Tombstones)
	if !more && (m.Records < old.Records || m.RawBytes < old.RawBytes) || m.Tree.Size < old.Tree.Size {
		return rewritten("version %d has less than version %d", m.Version, old.Version)
	}
	return nil
}

// consistent proves that next's tree begins with old's leaves.
func consistent(ctx context.Context, old, next *Tree, blobs BlobReader) error {
	r := &levelTiles{ctx: ctx, tree: next, blobs: blobs}
	proof, err := tlog.ProveTree(next.Size, old.Size, tlog.TileHashReader(tlog.Tree{N: next.Size, Hash: tlog.Hash(next.Root)}, r))
	switch {
	case r.err != nil:
		return r.err
	case err != nil:
		return fmt.Errorf("%w: hashes of the later version", ErrProof)
	}
	if err := tlog.CheckTree(proof, next.Size, tlog.Hash(next.Root), old.Size, tlog.Hash(old.Root)); err != nil {
		return rewritten("the later tree of %d leaves does not begin with the %d of the earlier one", next.Size, old.Size)
	}
	return nil
}

// levelTiles reads tiles from the blobs of a tree's levels, for the prover of x/mod. What it reads is unproven.
type levelTiles struct {
	ctx   context.Context // of the one proof it lives for
	tree  *Tree
	blobs BlobReader
	err   error // why reading failed
}

// Height implements tlog.TileReader.
func (l *levelTiles) Height() int { return tileHeight }

// ReadTiles implements tlog.TileReader.
func (l *levelTiles) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, 0, len(tiles))
	for _, t := range tiles {
		b, err := l.tree.readTile(l.ctx, l.blobs, t)
		if err != nil {
			l.err = err
			return nil, err
		}
		out = append(out, b)
	}
	return out, nil
}

// SaveTiles implements tlog.TileReader. Nothing is kept.
func (l *levelTiles) SaveTiles([]tlog.Tile, [][]byte) {}

// errNoTile is of tiles that a tree does not have.
var errNoTile = fmt.Errorf("%w: no such tile", ErrNoBlob)

// readTile reads a tile of the tree, unproven.
func (t *Tree) readTile(ctx context.Context, blobs BlobReader, at tlog.Tile) ([]byte, error) {
	if at.H != tileHeight || at.L < 0 || at.L >= len(t.Levels) || at.N < 0 || at.W < 1 || at.W > 1<<tileHeight ||
		at.N > t.Size>>tileHeight || at.N<<tileHeight+int64(at.W) > t.Size>>(tileHeight*at.L) {
		return nil, errNoTile
	}
	b := make([]byte, at.W*sha256.Size)
	if err := readFull(ctx, blobs, t.Levels[at.L], b, at.N<<tileHeight*sha256.Size); err != nil {
		return nil, fmt.Errorf("hashes of level %d: %w", at.L, err)
	}
	return b, nil
}
