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
	"github.com/glovebox-dev/glovebox/internal/sha256x"
)

// tileHeight makes tiles of 256 hashes, as tlog-tiles has them.
const tileHeight = 8

// leafPrefix is hashed before each leaf (RFC 6962 section 2.1).
var leafPrefix = []byte{0}

// leafHash is RFC 6962's SHA-256(0x00 ‖ leaf).
func leafHash(leaf []byte) envelope.Digest { return envelope.Digest(tlog.RecordHash(leaf)) }

// leafHashes are the hashes of two leaves, side by side.
func leafHashes(sums *[2]sha256x.Hash, a, b []byte) (x, y envelope.Digest) {
	for i := range sums {
		sums[i].Reset()
		sums[i].Write(leafPrefix)
	}
	sha256x.WriteTwo(&sums[0], a, &sums[1], b)
	return sums[0].Sum(), sums[1].Sum()
}

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
