// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"strings"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// TreeHead is the name of the signed manifest beside the tiles of its tree.
const TreeHead = "manifest.dsse"

// tilePrefix is what paths of C2SP tlog-tiles begin with; those of x/mod have the height in them too.
const (
	tilePrefix = "tile/"
	xPrefix    = "tile/8/"
)

// tilePath is a tile's path in C2SP tlog-tiles: tile/<L>/<N>, with .p/<W> if it is partial.
func tilePath(t tlog.Tile) string { return tilePrefix + strings.TrimPrefix(t.Path(), xPrefix) }

// Tile reads the tile at a path of C2SP tlog-tiles from the blobs of the tree's levels, unproven. [ErrNoBlob]: the tree has none there.
func (t *Tree) Tile(ctx context.Context, blobs BlobReader, path string) ([]byte, error) {
	rest, ok := strings.CutPrefix(path, tilePrefix)
	at, err := tlog.ParseTilePath(xPrefix + rest)
	if !ok || err != nil {
		return nil, fmt.Errorf("%w: no tile at this path", ErrNoBlob)
	}
	return t.readTile(ctx, blobs, at)
}

// WriteTiles proves every tile of the tree and hands it to write with its path in C2SP tlog-tiles.
func (t *Tree) WriteTiles(ctx context.Context, blobs BlobReader, write func(path string, tile []byte) error) (n int64, err error) {
	p := treeProver{tree: *t, blobs: blobs}
	if err := p.begin(ctx); err != nil {
		return 0, err
	}
	for _, at := range tlog.NewTiles(tileHeight, 0, t.Size) {
		first := at.N << tileHeight
		if _, err := p.hash(ctx, at.L, first); err != nil {
			return n, err
		}
		held := &p.full[at.L]
		if !held.has(first) {
			held = &p.ends[at.L]
		}
		if err := write(tilePath(at), bytes.Clone(held.hashes)); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

// StaticTiles reads the hashes of a tree from files in the layout of C2SP tlog-tiles: fetch gets the one at a path, of at most limit
// bytes. What it reads is unproven, as from any [BlobReader].
func StaticTiles(t *Tree, fetch func(ctx context.Context, path string, limit int64) ([]byte, error)) BlobReader {
	return &staticTiles{t, fetch}
}

type staticTiles struct {
	tree  *Tree
	fetch func(ctx context.Context, path string, limit int64) ([]byte, error)
}

// ReadAt implements [BlobReader] for the levels of the tree. A read never leaves a tile: provers read tiles.
func (s *staticTiles) ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	for level := range s.tree.Levels {
		if s.tree.Levels[level] != d || off < 0 {
			continue
		}
		n := off / (sha256.Size << tileHeight)
		have := s.tree.Size>>(tileHeight*level) - n<<tileHeight
		if have < 1 {
			return 0, io.EOF
		}
		at := tlog.Tile{H: tileHeight, L: level, N: n, W: int(min(have, 1<<tileHeight))}
		want := int64(at.W) * sha256.Size
		b, err := s.fetch(ctx, tilePath(at), want)
		if err != nil {
			return 0, err
		}
		if int64(len(b)) != want {
			return 0, fmt.Errorf("%w: %s has %d bytes, want %d", ErrProof, tilePath(at), len(b), want)
		}
		m := copy(p, b[off%(sha256.Size<<tileHeight):])
		return m, nil
	}
	return 0, ErrNoBlob
}

// BlobRange is a part of a blob: the ciphertext of a run of leaves.
type BlobRange struct {
	Blob   envelope.Digest `json:"blob"`
	Offset int64           `json:"offset"`
	Bytes  int64           `json:"bytes"`
	First  int64           `json:"first"` // leaf of the whole package
	Count  int64           `json:"count"` // leaves
}

// Locate says where the ciphertext of leaves is, in order: one range for each segment that has any. [ErrRange]: there are no such leaves.
func (m *Manifest) Locate(first, count int64) ([]BlobRange, error) {
	if first < 0 || count < 1 || first > m.Tree.Size-count {
		return nil, fmt.Errorf("%w: the package has %d leaves", ErrRange, m.Tree.Size)
	}
	var out []BlobRange
	begin := int64(0) // of the segment
	for i := range m.Segments {
		s := &m.Segments[i]
		a, b := max(first, begin)-begin, min(first+count, begin+s.Leaves)-begin
		if a < b {
			off, _ := leafSpan(s.Bytes, a)
			last, n := leafSpan(s.Bytes, b-1)
			out = append(out, BlobRange{s.Blob, off, last + int64(n) - off, begin + a, b - a})
		}
		begin += s.Leaves
	}
	return out, nil
}

// VerifyLeaves checks ciphertext, the leaves' bytes one after the other and nothing else, against the signed root. hashes has the
// levels of the tree: blobs, or [StaticTiles]. No key is needed, and no other part of the package. Memory is one leaf.
//
// Errors: [ErrRange], [ErrProof] (the hashes), [ErrLeaf], [ErrTruncated], [ErrBlob] (more bytes than the leaves have).
func VerifyLeaves(ctx context.Context, m *Manifest, hashes BlobReader, first, count int64, ciphertext io.Reader) error {
	ranges, err := m.Locate(first, count)
	if err != nil {
		return err
	}
	p, buf := treeProver{tree: m.Tree, blobs: hashes}, make([]byte, maxLeaf)
	sizes := make(map[envelope.Digest]int64, len(m.Segments))
	for i := range m.Segments {
		sizes[m.Segments[i].Blob] = m.Segments[i].Bytes
	}
	for _, r := range ranges {
		for off, i := r.Offset, r.First; i < r.First+r.Count; i++ {
			end := off + leafSize
			if off == 0 {
				end += headerSize
			}
			b := buf[:min(end, sizes[r.Blob])-off]
			if _, err := io.ReadFull(ciphertext, b); err != nil {
				return fmt.Errorf("%w: ciphertext ends in leaf %d", ErrTruncated, i)
			}
			want, err := p.leaf(ctx, i)
			if err != nil {
				return fmt.Errorf("leaf %d: %w", i, err)
			}
			if leafHash(b) != want {
				return fmt.Errorf("%w: %d", ErrLeaf, i)
			}
			off += int64(len(b))
		}
	}
	if n, _ := io.ReadFull(ciphertext, buf[:1]); n > 0 {
		return fmt.Errorf("%w: more ciphertext than %d leaves", ErrBlob, count)
	}
	return nil
}
