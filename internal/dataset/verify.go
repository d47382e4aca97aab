// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"slices"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Verify is the only way to get a trusted Manifest: signed by the owner it names, complete and consistent. Whether that
// owner is the right one is for the caller to say; [VerifyBy] asks.
func Verify(signed []byte) (*envelope.Verified[Manifest], error) {
	return verify(signed, func(m *Manifest) (envelope.PublicKey, error) { return m.Owner, nil })
}

// VerifyBy is [Verify] for a caller who knows the owner's key. A manifest of anybody else is refused with [ErrOwner].
func VerifyBy(signed []byte, owner envelope.PublicKey) (*envelope.Verified[Manifest], error) {
	return verify(signed, func(m *Manifest) (envelope.PublicKey, error) {
		if !m.Owner.Equal(owner) {
			return envelope.PublicKey{}, fmt.Errorf("%w: %s", ErrOwner, m.Owner)
		}
		return owner, nil
	})
}

func verify(signed []byte, owner func(*Manifest) (envelope.PublicKey, error)) (*envelope.Verified[Manifest], error) {
	v, err := envelope.VerifyNamed(signed, envelope.ManifestType, owner)
	if err != nil {
		return nil, err
	}
	if err := v.Predicate.Validate(); err != nil {
		return nil, err
	}
	if !slices.Equal(v.Subject, v.Predicate.subjects()) {
		return nil, ErrSubject
	}
	return v, nil
}

func (m *Manifest) subjects() []envelope.Subject {
	return []envelope.Subject{envelope.NewSubject(m.Name, m.Tree.Root)}
}

// NotOlderThan returns [ErrOldVersion] when m is an earlier version of the dataset than known, or another manifest with
// known's version.
func NotOlderThan(m, known *envelope.Verified[Manifest]) error {
	switch {
	case m.Predicate.Dataset != known.Predicate.Dataset:
		return fmt.Errorf("%w: another dataset", ErrManifest)
	case m.Predicate.Version < known.Predicate.Version:
		return fmt.Errorf("%w: version %d, known is %d", ErrOldVersion, m.Predicate.Version, known.Predicate.Version)
	case m.Predicate.Version == known.Predicate.Version && m.ID != known.ID:
		return fmt.Errorf("%w: another manifest with version %d", ErrOldVersion, m.Predicate.Version)
	}
	return nil
}

// VerifyBlobs checks, without any key, that the store has exactly what m describes: every leaf of every segment, every
// blob's digest and length, those of indexes too, and all hashes of the tree up to its root. Of an erased segment the store
// may have nothing; the hashes of its leaves are those of level 0 then.
func VerifyBlobs(ctx context.Context, m *Manifest, s Store) error {
	if err := m.Validate(); err != nil {
		return err
	}
	v := &blobVerifier{ctx: ctx, m: m, store: s}
	v.tree.sink = v.expect
	for i := range m.Tree.Levels {
		v.levels = append(v.levels, &levelReader{d: m.Tree.Levels[i], size: m.Tree.Size >> (tileHeight * i) * sha256.Size, sum: sha256.New()})
		if err := v.checkSize(m.Tree.Levels[i], v.levels[i].size); err != nil {
			return fmt.Errorf("hashes of level %d: %w", i, err)
		}
	}
	for i := range m.Indexes {
		if err := v.index(&m.Indexes[i]); err != nil {
			return fmt.Errorf("index of version %d: %w", m.Indexes[i].Version, err)
		}
	}
	for i := range m.Segments {
		if err := v.segmentOrGone(&m.Segments[i], m.Erased(i) != nil); err != nil {
			return fmt.Errorf("segment %d: %w", i, err)
		}
	}
	if v.tree.root() != m.Tree.Root {
		return ErrProof
	}
	for i, l := range v.levels {
		if l.off != l.size || envelope.Digest(l.sum.Sum(nil)) != l.d {
			return fmt.Errorf("hashes of level %d: %w", i, ErrBlob)
		}
	}
	return nil
}

// blobVerifier recomputes a tree while it reads segments. Its memory is one leaf and a tile a level.
type blobVerifier struct {
	ctx    context.Context // of the one VerifyBlobs it lives for
	m      *Manifest
	store  Store
	tree   treeBuilder
	levels []*levelReader
	leaf   []byte
}

func (v *blobVerifier) checkSize(d envelope.Digest, want int64) error {
	n, err := v.store.Size(v.ctx, d)
	switch {
	case err != nil:
		return err
	case n < want:
		return fmt.Errorf("%w: blob %s has %d bytes, want %d", ErrTruncated, d.Hex()[:12], n, want)
	case n > want:
		return fmt.Errorf("%w: blob %s has %d bytes, want %d", ErrBlob, d.Hex()[:12], n, want)
	}
	return nil
}

// segmentOrGone takes the hashes of an erased segment that is not there from the level that has them.
func (v *blobVerifier) segmentOrGone(s *Segment, erased bool) error {
	if !erased {
		return v.segment(s)
	}
	if _, err := v.store.Size(v.ctx, s.Blob); !errors.Is(err, ErrNoBlob) {
		return v.segment(s)
	}
	for i := range s.Leaves {
		h, err := v.levels[0].peek(v.ctx, v.store)
		if err == nil {
			err = v.tree.add(envelope.Digest(h))
		}
		if err != nil {
			return fmt.Errorf("leaf %d: %w", i, err)
		}
	}
	return nil
}

func (v *blobVerifier) segment(s *Segment) error {
	if err := v.checkSize(s.Blob, s.Bytes); err != nil {
		return err
	}
	if v.leaf == nil {
		v.leaf = make([]byte, maxLeaf)
	}
	sum := sha256.New()
	for i := range s.Leaves {
		off, n := leafSpan(s.Bytes, i)
		if err := readFull(v.ctx, v.store, s.Blob, v.leaf[:n], off); err != nil {
			return err
		}
		sum.Write(v.leaf[:n])
		if err := v.tree.add(leafHash(v.leaf[:n])); err != nil {
			return fmt.Errorf("leaf %d: %w", i, err)
		}
	}
	if envelope.Digest(sum.Sum(nil)) != s.Blob {
		return ErrBlob
	}
	return nil
}

// index checks that an index is the blob that the owner signed. What it says only holders of the key can check.
func (v *blobVerifier) index(x *Index) error {
	if err := v.checkSize(x.Blob, x.Bytes); err != nil {
		return err
	}
	sum, buf := sha256.New(), make([]byte, min(maxLeaf, x.Bytes))
	for off := int64(0); off < x.Bytes; off += int64(len(buf)) {
		buf = buf[:min(int64(len(buf)), x.Bytes-off)]
		if err := readFull(v.ctx, v.store, x.Blob, buf, off); err != nil {
			return err
		}
		sum.Write(buf)
	}
	if envelope.Digest(sum.Sum(nil)) != x.Blob {
		return ErrBlob
	}
	return nil
}

// expect compares a recomputed hash with the one the store has.
func (v *blobVerifier) expect(level int, h tlog.Hash) error {
	if level >= len(v.levels) {
		return ErrProof
	}
	got, err := v.levels[level].next(v.ctx, v.store)
	if err != nil {
		return err
	}
	if got == h {
		return nil
	}
	if level == 0 {
		return ErrLeaf
	}
	return ErrProof
}

// levelReader reads a level blob hash by hash.
type levelReader struct {
	d         envelope.Digest
	size, off int64
	buf       []byte
	sum       hash.Hash
}

func (l *levelReader) next(ctx context.Context, r BlobReader) (tlog.Hash, error) {
	h, err := l.peek(ctx, r)
	if err == nil {
		l.buf = l.buf[len(h):]
	}
	return h, err
}

// peek is what next will give.
func (l *levelReader) peek(ctx context.Context, r BlobReader) (h tlog.Hash, err error) {
	if len(l.buf) == 0 {
		l.buf = make([]byte, min(sha256.Size<<tileHeight, l.size-l.off))
		if len(l.buf) == 0 {
			return h, ErrProof
		}
		if err := readFull(ctx, r, l.d, l.buf, l.off); err != nil {
			return h, err
		}
		l.sum.Write(l.buf)
		l.off += int64(len(l.buf))
	}
	copy(h[:], l.buf)
	return h, nil
}
