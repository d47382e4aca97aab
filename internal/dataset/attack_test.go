// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// hostileHost answers reads with what change makes of the honest answer. It also stands in for a store.
type hostileHost struct {
	*DirStore
	change func(d envelope.Digest, p []byte, off int64, n int) int
}

func (h hostileHost) ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	n, err := h.DirStore.ReadAt(ctx, d, p, off)
	if m := h.change(d, p, off, n); m != n {
		return m, err
	}
	return n, err
}

// whole reads a blob.
func whole(t testing.TB, s *DirStore, d envelope.Digest) []byte {
	t.Helper()
	n, err := s.Size(context.Background(), d)
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, n)
	if err := readFull(context.Background(), s, d, b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

// refused checks that neither the stream nor the verification without a key takes what the host answers, and that every
// byte streamed before is the owner's.
func refused(t *testing.T, f *fixture, p *Packed, src string, h hostileHost, want error) {
	t.Helper()
	h.DirStore = f.store
	got, _, err := readAll(t, p.Manifest, h, f.key)
	if !errors.Is(err, want) || !errors.Is(err, ErrIntegrity) || !errors.Is(err, envelope.ErrIntegrity) {
		t.Errorf("stream: %v, want %v", err, want)
	}
	if !strings.HasPrefix(src, string(got)) {
		t.Error("stream delivered bytes that the owner never packed")
	}
	if err := VerifyBlobs(context.Background(), p.Manifest, h); !errors.Is(err, ErrIntegrity) {
		t.Errorf("verify: %v, want a refusal", err)
	}
}

func attacked(t *testing.T) (*fixture, *Packed, string) {
	t.Helper()
	src := bigCSV(1 << 20)
	f := newFixture(t)
	return f, f.pack(f.config(FormatCSV, src)), src
}

func TestHostFlipsChunk(t *testing.T) {
	f, p, src := attacked(t)
	last := len(p.Manifest.Segments) - 1
	for seg, g := range map[int]Segment{0: p.Manifest.Segments[0], last: p.Manifest.Segments[last]} {
		for _, at := range []int64{0, saltSize, headerSize, headerSize + 100, min(headerSize+sealedChunk, g.Bytes-2), g.Bytes / 2, g.Bytes - 1} {
			t.Run(fmt.Sprintf("segment %d byte %d", seg, at), func(t *testing.T) {
				refused(t, f, p, src, hostileHost{change: func(d envelope.Digest, b []byte, off int64, n int) int {
					if d == g.Blob && at >= off && at < off+int64(n) {
						b[at-off] ^= 1
					}
					return n
				}}, ErrLeaf)
			})
		}
	}
}

func TestHostTruncatesBlob(t *testing.T) {
	f, p, src := attacked(t)
	g := p.Manifest.Segments[1]
	for _, size := range []int64{0, 1, headerSize, headerSize + sealedChunk, headerSize + leafSize, g.Bytes - 1} {
		refused(t, f, p, src, hostileHost{change: func(d envelope.Digest, _ []byte, off int64, n int) int {
			if d == g.Blob {
				return int(max(0, min(int64(n), size-off)))
			}
			return n
		}}, ErrTruncated)
	}
}

// serve answers reads of one blob from other bytes.
func serve(blob envelope.Digest, content []byte) hostileHost {
	return hostileHost{change: func(d envelope.Digest, p []byte, off int64, n int) int {
		if d == blob {
			return copy(p, content[min(off, int64(len(content))):])
		}
		return n
	}}
}

func TestHostSwapsChunk(t *testing.T) {
	f, p, src := attacked(t)
	b := whole(t, f.store, p.Manifest.Segments[0].Blob)
	one, two := b[headerSize:headerSize+sealedChunk], b[headerSize+sealedChunk:headerSize+2*sealedChunk]
	swapped := append(append(append(append([]byte{}, b[:headerSize]...), two...), one...), b[headerSize+2*sealedChunk:]...)
	refused(t, f, p, src, serve(p.Manifest.Segments[0].Blob, swapped), ErrLeaf)
}

func TestHostSwapsLeaf(t *testing.T) {
	f, p, src := attacked(t)
	b := bytes.Clone(whole(t, f.store, p.Manifest.Segments[0].Blob))
	one, two := headerSize+leafSize, headerSize+2*leafSize
	tmp := bytes.Clone(b[one:two])
	copy(b[one:], b[two:two+leafSize])
	copy(b[two:], tmp)
	refused(t, f, p, src, serve(p.Manifest.Segments[0].Blob, b), ErrLeaf)
}

func TestHostRepeatsChunk(t *testing.T) {
	f, p, src := attacked(t)
	b := bytes.Clone(whole(t, f.store, p.Manifest.Segments[0].Blob))
	copy(b[headerSize+sealedChunk:], b[headerSize:headerSize+sealedChunk])
	refused(t, f, p, src, serve(p.Manifest.Segments[0].Blob, b), ErrLeaf)
}

func TestHostReordersSegments(t *testing.T) {
	f, p, src := attacked(t)
	refused(t, f, p, src, serve(p.Manifest.Segments[0].Blob, whole(t, f.store, p.Manifest.Segments[1].Blob)), ErrLeaf)
}

func TestHostServesAnotherTree(t *testing.T) {
	f, p, src := attacked(t)
	other := f.pack(f.config(FormatCSV, src)) // the same records, sealed again
	refused(t, f, p, src, serve(p.Manifest.Tree.Levels[0], whole(t, f.store, other.Manifest.Tree.Levels[0])), ErrProof)
	refused(t, f, p, src, serve(p.Manifest.Tree.Levels[0], nil), ErrTruncated)
}

func TestHostLosesBlob(t *testing.T) {
	f, p, _ := attacked(t)
	if err := f.store.Remove(t.Context(), p.Manifest.Segments[1].Blob); err != nil {
		t.Fatal(err)
	}
	if _, _, err := readAll(t, p.Manifest, f.store, f.key); !errors.Is(err, ErrNoBlob) {
		t.Errorf("stream: %v, want ErrNoBlob", err)
	}
	if err := VerifyBlobs(t.Context(), p.Manifest, f.store); !errors.Is(err, ErrNoBlob) {
		t.Errorf("verify: %v, want ErrNoBlob", err)
	}
}

// TestHostAppendsToBlob: verification without a key notices what no read would.
func TestHostAppendsToBlob(t *testing.T) {
	f, p, _ := attacked(t)
	for _, d := range []envelope.Digest{p.Manifest.Segments[0].Blob, p.Manifest.Tree.Levels[0]} {
		s := longerStore{f.store, d}
		if err := VerifyBlobs(t.Context(), p.Manifest, s); !errors.Is(err, ErrBlob) {
			t.Errorf("%v, want ErrBlob", err)
		}
	}
}

type longerStore struct {
	*DirStore
	d envelope.Digest
}

func (s longerStore) Size(ctx context.Context, d envelope.Digest) (int64, error) {
	n, err := s.DirStore.Size(ctx, d)
	if d == s.d {
		n++
	}
	return n, err
}

// TestOwnerSignsAnotherRoot: all blobs agree with each other, and not with the root.
func TestOwnerSignsAnotherRoot(t *testing.T) {
	f, p, _ := attacked(t)
	m := *p.Manifest
	m.Tree.Root = envelope.Sum([]byte("another"))
	m.Metadata.Distribution = m.distribution()
	if err := VerifyBlobs(t.Context(), &m, f.store); !errors.Is(err, ErrProof) {
		t.Errorf("%v, want ErrProof", err)
	}
}

// aliasStore answers for one digest with the blob of another.
type aliasStore struct {
	*DirStore
	alias, real envelope.Digest
}

func (s aliasStore) name(d envelope.Digest) envelope.Digest {
	if d == s.alias {
		return s.real
	}
	return d
}

func (s aliasStore) ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	return s.DirStore.ReadAt(ctx, s.name(d), p, off)
}

func (s aliasStore) Size(ctx context.Context, d envelope.Digest) (int64, error) {
	return s.DirStore.Size(ctx, s.name(d))
}

// TestBlobUnderAnotherDigest: leaves that are in the tree do not make a blob the one that the manifest names.
func TestBlobUnderAnotherDigest(t *testing.T) {
	f, p, _ := attacked(t)
	other := envelope.Sum([]byte("another"))
	m := *p.Manifest
	m.Segments = slices.Clone(m.Segments)
	m.Segments[1].Blob = other
	if err := VerifyBlobs(t.Context(), &m, aliasStore{f.store, other, p.Manifest.Segments[1].Blob}); !errors.Is(err, ErrBlob) {
		t.Errorf("segment: %v, want ErrBlob", err)
	}
	m = *p.Manifest
	m.Tree.Levels = []envelope.Digest{other}
	m.Metadata.Distribution = m.distribution()
	if err := VerifyBlobs(t.Context(), &m, aliasStore{f.store, other, p.Manifest.Tree.Levels[0]}); !errors.Is(err, ErrBlob) {
		t.Errorf("level: %v, want ErrBlob", err)
	}
}

// TestSegmentsSwapped: blobs cannot trade places, whoever arranges it.
func TestSegmentsSwapped(t *testing.T) {
	f, p, _ := attacked(t)
	m := *p.Manifest
	m.Segments = append([]Segment{}, m.Segments...)
	m.Segments[0].Blob = p.Manifest.Segments[1].Blob
	m.Segments[1].Blob = p.Manifest.Segments[0].Blob
	if err := VerifyBlobs(t.Context(), &m, f.store); err == nil {
		t.Error("swapped blobs verify")
	}
}

func TestWrongDataKey(t *testing.T) {
	f, p, _ := attacked(t)
	if got, _, err := readAll(t, p.Manifest, f.store, NewKey()); !errors.Is(err, ErrKey) || len(got) != 0 {
		t.Errorf("%d bytes and %v, want ErrKey", len(got), err)
	}
}

// TestProofBeforeDecryption: a leaf that is not proven is never decrypted, nor reported as delivered.
func TestProofBeforeDecryption(t *testing.T) {
	f, p, _ := attacked(t)
	o := p.Manifest.AllLeaves()
	var before, after []int64
	o.BeforeLeaf = func(i int64) error { before = append(before, i); return nil }
	o.AfterLeaf = func(i int64, _ envelope.Digest, _ int) { after = append(after, i) }
	h := serve(p.Manifest.Segments[0].Blob, make([]byte, p.Manifest.Segments[0].Bytes))
	h.DirStore = f.store
	s, err := OpenStream(t.Context(), p.Manifest, h, f.key, o)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := s.Batch(t.Context(), 0); !errors.Is(err, ErrLeaf) || b.Raw != nil {
		t.Fatalf("%d bytes, %v, want ErrLeaf", len(b.Raw), err)
	}
	if len(before) != 1 || len(after) != 0 {
		t.Errorf("asked for %v, delivered %v", before, after)
	}
}

// TestNoPlaintextInStore looks for the records in every byte that packing and reading leave behind.
func TestNoPlaintextInStore(t *testing.T) {
	f := newFixture(t)
	const canary = "canary-5f1d0a77c3"
	p := f.pack(f.config(FormatCSV, "id,"+canary+"\n1,"+canary+"\n"))
	if _, _, err := readAll(t, p.Manifest, f.store, f.key); err != nil {
		t.Fatal(err)
	}
	files := 0
	err := filepath.WalkDir(f.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		files++
		b, err := os.ReadFile(path)
		if bytes.Contains(b, []byte(canary[:8])) || bytes.Contains(b, f.key.Bytes()[:8]) {
			t.Errorf("%s has plaintext or key", path)
		}
		return err
	})
	if err != nil || files != 3 || bytes.Contains(p.Signed, []byte(canary[:8])) {
		t.Errorf("%d files, %v", files, err)
	}
}
