// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

func discardHashes(int, tlog.Hash) error { return nil }

// memBlobs holds blobs in memory.
type memBlobs map[envelope.Digest][]byte

func (m memBlobs) ReadAt(_ context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	b, ok := m[d]
	if !ok {
		return 0, ErrNoBlob
	}
	return bytes.NewReader(b).ReadAt(p, off)
}

func numberedLeaf(i int64) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i)) }

// buildTree makes a tree of numbered leaves and its level blobs.
func buildTree(n int64) (Tree, memBlobs) {
	levels := [][]byte{}
	b := treeBuilder{sink: func(l int, h tlog.Hash) error {
		if l == len(levels) {
			levels = append(levels, nil)
		}
		levels[l] = append(levels[l], h[:]...)
		return nil
	}}
	for i := range n {
		if err := b.add(leafHash(numberedLeaf(i))); err != nil {
			panic(err)
		}
	}
	t, blobs := Tree{Size: n, Root: b.root()}, memBlobs{}
	for _, l := range levels {
		d := envelope.Sum(l)
		t.Levels, blobs[d] = append(t.Levels, d), l
	}
	return t, blobs
}

// referenceRoot is RFC 6962's definition, written as it stands there.
func referenceRoot(first, n int64) [32]byte {
	if n == 1 {
		return sha256.Sum256(append([]byte{0}, numberedLeaf(first)...))
	}
	k := int64(1)
	for k*2 < n {
		k *= 2
	}
	l, r := referenceRoot(first, k), referenceRoot(first+k, n-k)
	return sha256.Sum256(append(append([]byte{1}, l[:]...), r[:]...))
}

func TestTree(t *testing.T) {
	for _, n := range []int64{1, 2, 3, 5, 255, 256, 257, 511, 512, 1000, 65_535, 65_536, 65_537, 70_001} {
		tree, blobs := buildTree(n)
		if tree.Root != envelope.Digest(referenceRoot(0, n)) {
			t.Fatalf("size %d: root differs from RFC 6962's", n)
		}
		if len(tree.Levels) != treeLevels(n) {
			t.Fatalf("size %d: %d levels, want %d", n, len(tree.Levels), treeLevels(n))
		}
		p := treeProver{tree: tree, blobs: blobs}
		for _, i := range []int64{0, n - 1, n / 2, n / 3, 0} {
			h, err := p.leaf(t.Context(), i)
			if err != nil || h != leafHash(numberedLeaf(i)) {
				t.Fatalf("size %d, leaf %d: %v", n, i, err)
			}
		}
		for _, i := range []int64{-1, n} {
			if _, err := p.leaf(t.Context(), i); !errors.Is(err, ErrProof) {
				t.Errorf("size %d, leaf %d: %v, want ErrProof", n, i, err)
			}
		}
	}
}

// TestProofForAnotherTree: hashes of another tree, of a smaller one or with any bit changed prove nothing.
func TestProofForAnotherTree(t *testing.T) {
	const n = 70_001
	tree, blobs := buildTree(n)
	other, more := buildTree(n - 1)
	for d, b := range more {
		blobs[d] = b
	}
	attempt := func(name string, tr Tree, b memBlobs, leaf int64) {
		t.Helper()
		p := treeProver{tree: tr, blobs: b}
		if _, err := p.leaf(t.Context(), leaf); !errors.Is(err, ErrIntegrity) {
			t.Errorf("%s: %v, want a refusal", name, err)
		}
	}
	attempt("levels of another tree", Tree{n, tree.Root, other.Levels}, blobs, n-1)
	attempt("root of another tree", Tree{n, other.Root, tree.Levels}, blobs, 0)
	attempt("too few levels", Tree{n, tree.Root, tree.Levels[:1]}, blobs, 0)
	for level, d := range tree.Levels {
		for _, at := range []int{0, len(blobs[d]) / 2, len(blobs[d]) - 1} {
			flipped := memBlobs{}
			for k, v := range blobs {
				flipped[k] = v
			}
			flipped[d] = bytes.Clone(blobs[d])
			flipped[d][at] ^= 1
			leaf := int64(at/32) << (tileHeight * level)
			attempt("flipped hash", tree, flipped, min(leaf, n-1))
		}
	}
}

func TestReadFull(t *testing.T) {
	d := envelope.Sum([]byte("x"))
	broken := errors.New("broken")
	for name, c := range map[string]struct {
		n    int
		err  error
		want error
	}{
		"short":      {3, io.EOF, ErrTruncated},
		"stalls":     {0, nil, ErrTruncated},
		"fails":      {0, broken, broken},
		"overclaims": {99, nil, ErrBlob},
		"negative":   {-1, nil, ErrBlob},
	} {
		if err := readFull(t.Context(), fixedReader{c.n, c.err}, d, make([]byte, 8), 0); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
	if err := readFull(t.Context(), fixedReader{8, io.EOF}, d, make([]byte, 8), 0); err != nil {
		t.Errorf("whole with io.EOF: %v", err)
	}
}

type fixedReader struct {
	n   int
	err error
}

func (f fixedReader) ReadAt(context.Context, envelope.Digest, []byte, int64) (int, error) {
	return f.n, f.err
}
