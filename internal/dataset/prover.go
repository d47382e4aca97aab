// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"
	"crypto/sha256"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// treeProver yields leaf hashes that are proven to lie in the tree. It holds one proven tile a level: of level 0, 256 leaf
// hashes, and of each level above the hashes of 256 tiles of the level below.
//
// The hashes after the last full tile of each level are a partial tile. Together they cover the tree, and its root is computed
// from them: they are proven at once, or none is. A full tile is proven by its own hash, which the level above has.
type treeProver struct {
	tree  Tree
	blobs BlobReader
	ends  []tile // the partial ones, by level, proven; nil: not yet read
	full  []tile // the last full one used of each level, proven
	fresh []byte // read, not yet proven
}

// tile is a run of one level's hashes, as they are in its blob.
type tile struct {
	first  int64 // number of the first hash in the level; -1: none is held
	hashes []byte
}

func (t *tile) has(i int64) bool {
	return t.first >= 0 && i >= t.first && i < t.first+int64(len(t.hashes)/sha256.Size)
}

func (t *tile) hash(i int64) (h tlog.Hash) {
	copy(h[:], t.hashes[(i-t.first)*sha256.Size:])
	return h
}

// leaf returns the proven hash of leaf i.
func (p *treeProver) leaf(ctx context.Context, i int64) (envelope.Digest, error) {
	if i < 0 || i >= p.tree.Size {
		return envelope.Digest{}, fmt.Errorf("%w: leaf %d of %d", ErrProof, i, p.tree.Size)
	}
	if p.ends == nil {
		if err := p.begin(ctx); err != nil {
			return envelope.Digest{}, err
		}
	}
	h, err := p.hash(ctx, 0, i)
	return envelope.Digest(h), err
}

// begin reads the partial tiles and proves them by the root.
func (p *treeProver) begin(ctx context.Context) error {
	if len(p.tree.Levels) != treeLevels(p.tree.Size) {
		return fmt.Errorf("%w: %d levels for %d leaves", ErrProof, len(p.tree.Levels), p.tree.Size)
	}
	ends, full := make([]tile, len(p.tree.Levels)), make([]tile, len(p.tree.Levels))
	for level := range ends {
		n := p.tree.Size >> (tileHeight * level)
		first := n >> tileHeight << tileHeight
		ends[level] = tile{first, make([]byte, (n-first)*sha256.Size)}
		full[level] = tile{-1, make([]byte, sha256.Size<<tileHeight)}
		if err := p.read(ctx, level, first, ends[level].hashes); err != nil {
			return err
		}
	}
	if rootOf(ends) != tlog.Hash(p.tree.Root) {
		return ErrProof
	}
	p.ends, p.full, p.fresh = ends, full, make([]byte, sha256.Size<<tileHeight)
	return nil
}

// rootOf is the root of the tree with these partial tiles: the hashes of its complete subtrees, the smallest first, each joined
// to what is on its right (RFC 6962 section 2.1).
func rootOf(ends []tile) (root tlog.Hash) {
	empty := true
	for level := range ends {
		hashes := ends[level].hashes
		for width := sha256.Size; len(hashes) > 0; width *= 2 {
			if len(hashes)&width == 0 {
				continue
			}
			h := subtree(hashes[len(hashes)-width:])
			hashes = hashes[:len(hashes)-width]
			if empty {
				root, empty = h, false
			} else {
				root = tlog.NodeHash(h, root)
			}
		}
	}
	return root
}

// subtree is the hash over 1, 2, 4 … 256 hashes, a complete subtree.
func subtree(hashes []byte) tlog.Hash {
	var level [1 << tileHeight]tlog.Hash
	n := len(hashes) / sha256.Size
	for i := range n {
		copy(level[i][:], hashes[i*sha256.Size:])
	}
	for ; n > 1; n /= 2 {
		for i := range n / 2 {
			level[i] = tlog.NodeHash(level[2*i], level[2*i+1])
		}
	}
	return level[0]
}

// hash returns the proven hash i of a level.
func (p *treeProver) hash(ctx context.Context, level int, i int64) (tlog.Hash, error) {
	for _, t := range []*tile{&p.ends[level], &p.full[level]} {
		if t.has(i) {
			return t.hash(i), nil
		}
	}
	above := i >> tileHeight
	want, err := p.hash(ctx, level+1, above) // what is in no partial tile has a level above it
	if err != nil {
		return tlog.Hash{}, err
	}
	if err := p.read(ctx, level, above<<tileHeight, p.fresh); err != nil {
		return tlog.Hash{}, err
	}
	if subtree(p.fresh) != want {
		return tlog.Hash{}, ErrProof
	}
	t := &p.full[level]
	t.hashes, p.fresh = p.fresh, t.hashes
	t.first = above << tileHeight
	return t.hash(i), nil
}

// read fills b with the hashes from first on of a level. They are unproven.
func (p *treeProver) read(ctx context.Context, level int, first int64, b []byte) error {
	if len(b) == 0 {
		return nil
	}
	if err := readFull(ctx, p.blobs, p.tree.Levels[level], b, first*sha256.Size); err != nil {
		return fmt.Errorf("hashes of level %d: %w", level, err)
	}
	return nil
}
