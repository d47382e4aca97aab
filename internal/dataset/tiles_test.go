// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// staticFiles are the files of a tree.
type staticFiles map[string][]byte

func (s staticFiles) fetch(_ context.Context, path string, limit int64) ([]byte, error) {
	b, ok := s[path]
	if !ok || int64(len(b)) > limit {
		return nil, fs.ErrNotExist
	}
	return b, nil
}

func writeTiles(t *testing.T, tree *Tree, blobs BlobReader) staticFiles {
	t.Helper()
	out := staticFiles{}
	n, err := tree.WriteTiles(t.Context(), blobs, func(path string, b []byte) error { out[path] = b; return nil })
	if err != nil || n != int64(len(out)) {
		t.Fatalf("%d tiles, %d files: %v", n, len(out), err)
	}
	return out
}

// foreign reads the layout as C2SP's specification writes it, for the prover of x/mod.
type foreign struct{ files staticFiles }

func (f foreign) Height() int { return 8 }

func (f foreign) ReadTiles(tiles []tlog.Tile) (out [][]byte, err error) {
	for _, t := range tiles {
		b, ok := f.files[strings.Replace(t.Path(), "tile/8/", "tile/", 1)]
		if !ok {
			return nil, fs.ErrNotExist
		}
		out = append(out, b)
	}
	return out, nil
}

func (f foreign) SaveTiles([]tlog.Tile, [][]byte) {}

// TestTilesForeignReader: golang.org/x/mod proves every leaf by the files, and a flipped byte in any of them is refused, by it and by us.
func TestTilesForeignReader(t *testing.T) {
	for _, n := range []int64{1, 2, 255, 256, 257, 65_537, 70_001} {
		tree, blobs := buildTree(n)
		files := writeTiles(t, &tree, blobs)
		x := tlog.TileHashReader(tlog.Tree{N: n, Hash: tlog.Hash(tree.Root)}, foreign{files})
		for _, i := range []int64{0, n / 3, n / 2, n - 1} {
			h, err := x.ReadHashes([]int64{tlog.StoredHashIndex(0, i)})
			if err != nil || h[0] != tlog.RecordHash(numberedLeaf(i)) {
				t.Fatalf("size %d, leaf %d: %v", n, i, err)
			}
			p := treeProver{tree: tree, blobs: StaticTiles(&tree, files.fetch)}
			if got, err := p.leaf(t.Context(), i); err != nil || got != leafHash(numberedLeaf(i)) {
				t.Fatalf("size %d, leaf %d: %v", n, i, err)
			}
		}
		for path, b := range files {
			if got, err := tree.Tile(t.Context(), blobs, path); err != nil || !bytes.Equal(got, b) {
				t.Fatalf("%s as a host serves it: %v", path, err)
			}
		}
	}
	tree, blobs := buildTree(70_001)
	for _, path := range []string{
		"", "tile", "tile/", "tile/0/", "tile/0/x000/000", "tile/0/274", "tile/3/000.p/1", "tile/-1/000", "tile/data/000", "tile/0/000.p/0",
		"tile/0/000.p/256", "tile/2/000.p/2", "tile/0/../0/000", "/tile/0/000", "tile/8/0/000", "tile/0/x999/x999/x999/x999/x999/x999/999", "tile/entries/000",
	} {
		if _, err := tree.Tile(t.Context(), blobs, path); !errors.Is(err, ErrNoBlob) {
			t.Errorf("%q: %v, want ErrNoBlob", path, err)
		}
	}
}

// TestTilesOfDamagedHashes: nothing unproven is published.
func TestTilesOfDamagedHashes(t *testing.T) {
	tree, blobs := buildTree(600)
	for _, d := range tree.Levels {
		bad := maps.Clone(blobs)
		bad[d] = bytes.Clone(blobs[d])
		bad[d][0] ^= 1
		if _, err := tree.WriteTiles(t.Context(), bad, func(string, []byte) error { return nil }); !errors.Is(err, ErrProof) {
			t.Errorf("%v, want ErrProof", err)
		}
	}
}

// ciphertext is the leaves' bytes, one after the other.
func ciphertext(t *testing.T, f *fixture, m *Manifest, first, count int64) []byte {
	t.Helper()
	ranges, err := m.Locate(first, count)
	if err != nil {
		t.Fatal(err)
	}
	var out []byte
	for _, r := range ranges {
		out = append(out, whole(t, f.store, r.Blob)[r.Offset:r.Offset+r.Bytes]...)
	}
	return out
}

// TestVerifyLeaves: any range of leaves is proven by static files and the ciphertext alone; a byte changed in a file that the
// proof needs, or in the ciphertext, is refused.
func TestVerifyLeaves(t *testing.T) {
	f, p, _ := attacked(t)
	m := p.Manifest
	files := writeTiles(t, &m.Tree, f.store)
	hashes := StaticTiles(&m.Tree, files.fetch)
	n := m.Tree.Size
	if n < 6 || len(m.Segments) < 3 {
		t.Fatalf("%d leaves in %d segments are too few", n, len(m.Segments))
	}
	for _, r := range [][2]int64{{0, n}, {0, 1}, {n - 1, 1}, {1, n - 2}, {m.Segments[0].Leaves - 1, 2}} {
		b := ciphertext(t, f, m, r[0], r[1])
		check := func(h BlobReader, b []byte) error {
			return VerifyLeaves(t.Context(), m, h, r[0], r[1], bytes.NewReader(b))
		}
		if err := check(hashes, b); err != nil {
			t.Fatalf("leaves %v: %v", r, err)
		}
		for _, at := range []int{0, len(b) / 2, len(b) - 1} {
			flipped := bytes.Clone(b)
			flipped[at] ^= 1
			if err := check(hashes, flipped); !errors.Is(err, ErrLeaf) {
				t.Errorf("leaves %v, byte %d: %v, want ErrLeaf", r, at, err)
			}
		}
		if err := check(hashes, b[:len(b)-1]); !errors.Is(err, ErrTruncated) {
			t.Errorf("cut: %v", err)
		}
		if err := check(hashes, append(slices.Clip(b), 0)); !errors.Is(err, ErrBlob) {
			t.Errorf("longer: %v", err)
		}
		for path := range files {
			bad := maps.Clone(files)
			bad[path] = bytes.Clone(files[path])
			bad[path][len(bad[path])-1] ^= 1
			if err := check(StaticTiles(&m.Tree, bad.fetch), b); !errors.Is(err, ErrIntegrity) {
				t.Errorf("%s flipped: %v", path, err)
			}
			bad[path] = files[path][:len(files[path])-1]
			if err := check(StaticTiles(&m.Tree, bad.fetch), b); !errors.Is(err, ErrIntegrity) {
				t.Errorf("%s cut: %v", path, err)
			}
		}
	}
	for _, r := range [][2]int64{{-1, 1}, {0, 0}, {0, n + 1}, {n, 1}, {1, 1<<63 - 1}} {
		if _, err := m.Locate(r[0], r[1]); !errors.Is(err, ErrRange) {
			t.Errorf("leaves %v: %v, want ErrRange", r, err)
		}
	}
	if _, err := hashes.ReadAt(t.Context(), envelope.Sum(nil), make([]byte, 32), 0); !errors.Is(err, ErrNoBlob) {
		t.Errorf("a blob that is no level: %v", err)
	}
}
