// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// tileHeight makes tiles of 256 hashes, as tlog-tiles has them.
const tileHeight = 8

// leafHash is RFC 6962's SHA-256(0x00 ‖ leaf).
func leafHash(leaf []byte) envelope.Digest { return envelope.Digest(tlog.RecordHash(leaf)) }

// treeLevels is how many levels of tiles a tree of size leaves has.
func treeLevels(size int64) int {
	n := 0
	for ; size > 0; size >>= tileHeight {
		n++
	}
	return n
}

// treeBuilder hashes leaves into an RFC 6962 tree and hands every hash that a tile holds to sink, in order within each
// level. It keeps one hash a height.
type treeBuilder struct {
	size  int64
	stack []tlog.Hash // complete subtrees, highest first; one for each set bit of size
	sink  func(level int, h tlog.Hash) error
}

func (t *treeBuilder) add(leaf envelope.Digest) error {
	h := tlog.Hash(leaf)
	if err := t.sink(0, h); err != nil {
		return err
	}
	height := 0
	for n := t.size; n&1 == 1; n >>= 1 {
		h = tlog.NodeHash(t.stack[len(t.stack)-1], h)
		t.stack = t.stack[:len(t.stack)-1]
		height++
		if height%tileHeight == 0 {
			if err := t.sink(height/tileHeight, h); err != nil {
				return err
			}
		}
	}
	t.stack = append(t.stack, h)
	t.size++
	return nil
}

// root is the tree's root; zero when it is empty.
func (t *treeBuilder) root() envelope.Digest {
	if len(t.stack) == 0 {
		return envelope.Digest{}
	}
	h := t.stack[len(t.stack)-1]
	for i := len(t.stack) - 2; i >= 0; i-- {
		h = tlog.NodeHash(t.stack[i], h)
	}
	return envelope.Digest(h)
}

// levelWriter feeds one level of the tree into a blob, a tile at a time.
type levelWriter struct {
	put *putting
	buf []byte
}

func (l *levelWriter) add(h tlog.Hash) error {
	l.buf = append(l.buf, h[:]...)
	if len(l.buf) < sha256.Size<<tileHeight {
		return nil
	}
	_, err := l.put.Write(l.buf)
	l.buf = l.buf[:0]
	return err
}

func (l *levelWriter) close() (envelope.Digest, error) {
	if len(l.buf) > 0 {
		if _, err := l.put.Write(l.buf); err != nil {
			return envelope.Digest{}, err
		}
	}
	l.put.End()
	d, _, err := l.put.Wait()
	return d, err
}

// treeProver yields leaf hashes that are proven to lie in the tree. It holds the hashes of one tile.
type treeProver struct {
	tree  Tree
	blobs BlobReader
	first int64 // leaf of known[0]
	known []tlog.Hash
}

// leaf returns the proven hash of leaf i.
func (p *treeProver) leaf(ctx context.Context, i int64) (envelope.Digest, error) {
	if i < 0 || i >= p.tree.Size {
		return envelope.Digest{}, fmt.Errorf("%w: leaf %d of %d", ErrProof, i, p.tree.Size)
	}
	if i < p.first || i >= p.first+int64(len(p.known)) {
		if err := p.load(ctx, i>>tileHeight<<tileHeight); err != nil {
			return envelope.Digest{}, err
		}
	}
	return envelope.Digest(p.known[i-p.first]), nil
}

// load proves all leaf hashes of the tile that begins at leaf first.
func (p *treeProver) load(ctx context.Context, first int64) error {
	n := min(1<<tileHeight, p.tree.Size-first)
	indexes := make([]int64, n)
	for j := range indexes {
		indexes[j] = tlog.StoredHashIndex(0, first+int64(j))
	}
	src := &tileSource{ctx: ctx, levels: p.tree.Levels, blobs: p.blobs}
	r := tlog.TileHashReader(tlog.Tree{N: p.tree.Size, Hash: tlog.Hash(p.tree.Root)}, src)
	known, err := r.ReadHashes(indexes)
	switch {
	case src.err != nil:
		return src.err
	case err != nil:
		return fmt.Errorf("%w: %v", ErrProof, err)
	}
	p.first, p.known = first, known
	return nil
}

// tileSource reads tiles out of the level blobs. What it returns is unproven.
type tileSource struct {
	ctx    context.Context // of the one call that the source lives for
	levels []envelope.Digest
	blobs  BlobReader
	err    error
}

func (s *tileSource) Height() int { return tileHeight }

func (s *tileSource) SaveTiles([]tlog.Tile, [][]byte) {}

func (s *tileSource) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	out := make([][]byte, len(tiles))
	for i, t := range tiles {
		if t.L < 0 || t.L >= len(s.levels) {
			s.err = fmt.Errorf("%w: no level %d", ErrProof, t.L)
			return nil, s.err
		}
		out[i] = make([]byte, t.W*sha256.Size)
		off := t.N << tileHeight * sha256.Size
		if err := readFull(s.ctx, s.blobs, s.levels[t.L], out[i], off); err != nil {
			s.err = fmt.Errorf("hashes of level %d: %w", t.L, err)
			return nil, s.err
		}
	}
	return out, nil
}

// readFull fills p from the blob, or says that the blob is too short.
func readFull(ctx context.Context, r BlobReader, d envelope.Digest, p []byte, off int64) error {
	n := 0
	for n < len(p) {
		m, err := r.ReadAt(ctx, d, p[n:], off+int64(n))
		if m < 0 || m > len(p)-n {
			return fmt.Errorf("%w: reader claims %d bytes", ErrBlob, m)
		}
		n += m
		switch {
		case n == len(p):
			return nil
		case errors.Is(err, io.EOF) || err == nil && m == 0:
			return fmt.Errorf("%w: blob %s ends at %d, want %d", ErrTruncated, d.Hex()[:12], off+int64(n), off+int64(len(p)))
		case err != nil:
			return err
		}
	}
	return nil
}
