// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"crypto/sha512"
	"errors"
	"fmt"
	"hash"
	"sort"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// Index is where the index of the segments that a version added is. Its plaintext is the headers of all their batches, in
// order: so records are mapped to leaves, and nobody without the key learns how long records are.
type Index struct {
	Version int64           `json:"version"`
	Blob    envelope.Digest `json:"blob"`  // SHA-256 of the ciphertext
	Bytes   int64           `json:"bytes"` // of ciphertext
}

// indexLabel separates the key of indexes from the data key, and opens their encryption context.
const indexLabel = "glovebox.dev/index/v1"

// indexKey is what a package's indexes are sealed under. The caller wipes it.
func indexKey(k Key) (Key, error) {
	if err := k.usable(); err != nil {
		return Key{}, err
	}
	sub, err := hkdf.Expand(sha512.New, k.secret[:], indexLabel, KeySize)
	if err != nil {
		return Key{}, fmt.Errorf("derive index key: %w", err)
	}
	defer clear(sub)
	return KeyFromBytes(sub)
}

// indexContext is the length-prefixed (label, dataset id, version).
func indexContext(id ID, version int64) []byte { return appendContext(nil, indexLabel, id, version) }

// indexBytes is how long the index of so many batches is, sealed.
func indexBytes(batches int64) int64 { return sealedSize(padme(batchHeader * batches)) }

// indexBuilder gathers the index of a pack's own segments.
type indexBuilder struct {
	headers []byte
	change  func(headers []byte) // of tests
}

// add takes a batch's header.
func (b *indexBuilder) add(batch []byte) error {
	if len(b.headers) >= MaxBatches*batchHeader {
		return fmt.Errorf("%w: more than %d batches; pack with larger batches, or as several datasets", ErrTooLarge, MaxBatches)
	}
	b.headers = append(b.headers, batch[:batchHeader]...)
	return nil
}

// seal puts the index of a version into the store. salt gives the salt of a key, a context and a plaintext.
func (b *indexBuilder) seal(ctx context.Context, st Store, k Key, salt func(k Key, context, plain []byte) ([]byte, error), id ID, version int64) (Index, error) {
	sub, err := indexKey(k)
	if err != nil {
		return Index{}, err
	}
	defer sub.Wipe()
	if b.change != nil {
		b.change(b.headers)
	}
	in := indexContext(id, version)
	drawn, err := salt(sub, in, b.headers)
	if err != nil {
		return Index{}, err
	}
	w, with := &segmentWriter{}, &sealer{onLeaf: func(envelope.Digest) error { return nil }}
	if err := w.start(ctx, st, with, sub, drawn, in); err != nil {
		return Index{}, err
	}
	if _, err = w.Write(b.headers); err == nil {
		err = w.End()
	}
	if err != nil {
		w.Abort(err)
		return Index{}, err
	}
	s, err := w.Wait()
	return Index{version, s.Blob, s.Bytes}, err
}

func (b *indexBuilder) wipe() { clear(b.headers[:cap(b.headers)]) }

// readIndex opens a version's index, and gives for each of the version's segments, by its place in the manifest, the headers
// of its batches: valid during the call only. They agree with the manifest, and lie in the segment. But nothing is to be relied on before it
// returns: the blob's digest is known at its end.
func readIndex(ctx context.Context, m *Manifest, x *Index, blobs BlobReader, k Key, each func(segment int, headers []byte)) error {
	sub, err := indexKey(k)
	if err != nil {
		return err
	}
	defer sub.Wipe()
	r := &indexReader{ctx: ctx, blobs: blobs, x: x, context: indexContext(m.Dataset, x.Version), key: sub, sum: sha256.New()}
	defer r.wipe()
	var headers []byte
	defer func() { clear(headers[:cap(headers)]) }()
	first := sort.Search(len(m.Segments), func(i int) bool { return m.Segments[i].Version >= x.Version })
	for i := first; i < len(m.Segments) && m.Segments[i].Version == x.Version; i++ {
		g := &m.Segments[i]
		if headers, err = r.take(headers[:0], g.Batches*batchHeader); err == nil {
			err = g.checkIndex(headers)
		}
		if err != nil {
			return fmt.Errorf("index of version %d, segment %d: %w", x.Version, g.Index, err)
		}
		each(i, headers)
	}
	if err := r.end(); err != nil {
		return fmt.Errorf("index of version %d: %w", x.Version, err)
	}
	return nil
}

// checkIndex compares the headers of a segment's batches with what the manifest says of it.
func (s *Segment) checkIndex(headers []byte) error {
	var records, raw, end int64
	for ; len(headers) > 0; headers = headers[batchHeader:] {
		h, err := parseBatchHeader(headers)
		if err != nil {
			return fmt.Errorf("%w: the index has a batch that cannot be", ErrDiscrepant)
		}
		records, raw, end = records+int64(h.records), raw+int64(h.raw), end+batchHeader+int64(h.packed)
	}
	switch {
	case padme(end) != plainSize(s.Bytes):
		return fmt.Errorf("%w: the index ends at %d, and the segment has %d bytes", ErrDiscrepant, end, plainSize(s.Bytes))
	case records != s.Records:
		return fmt.Errorf("%w: the index has %d records, want %d", ErrDiscrepant, records, s.Records)
	case raw > MaxSegmentBytes:
		return fmt.Errorf("%w: the index has %d raw bytes", ErrDiscrepant, raw)
	}
	return nil
}

// rawLength is how much of the plaintext stream batches have.
func rawLength(headers []byte) (raw int64) {
	for ; len(headers) > 0; headers = headers[batchHeader:] {
		h, err := parseBatchHeader(headers)
		if err != nil {
			return raw // not reached: the index was checked
		}
		raw += int64(h.raw)
	}
	return raw
}

// errIndexEnd is what reading beyond an index gives.
var errIndexEnd = fmt.Errorf("%w: the index has fewer batches than the manifest", ErrDiscrepant)

// indexReader opens a sealed index from its beginning to its end. Its memory is one leaf.
type indexReader struct {
	ctx     context.Context // of the one readIndex it lives for
	blobs   BlobReader
	x       *Index
	context []byte
	key     Key
	msg     message
	sum     hash.Hash
	leaf    int64 // to be read next
	sealed  []byte
	plain   []byte
	left    []byte // of plain
}

// take appends n bytes to dst. It makes room for what was read, not for what is asked for.
func (r *indexReader) take(dst []byte, n int64) ([]byte, error) {
	for n > 0 {
		if len(r.left) == 0 {
			if err := r.fetch(); err != nil {
				return dst, err
			}
		}
		k := min(n, int64(len(r.left)))
		dst, r.left, n = append(dst, r.left[:k]...), r.left[k:], n-k
	}
	return dst, nil
}

// fetch opens the next run of chunks, as long as a leaf.
func (r *indexReader) fetch() error {
	leaves, err := segmentLeaves(r.x.Bytes)
	if err != nil {
		return err
	}
	if r.leaf >= leaves {
		return errIndexEnd
	}
	if r.sealed == nil {
		r.sealed, r.plain = make([]byte, min(maxLeaf, r.x.Bytes)), make([]byte, 0, leafPlain)
	}
	off, n := leafSpan(r.x.Bytes, r.leaf)
	b := r.sealed[:n]
	if err := readFull(r.ctx, r.blobs, r.x.Blob, b, off); err != nil {
		return err
	}
	r.sum.Write(b)
	if r.leaf == 0 {
		var keys deriver
		if err := keys.open(&r.msg, r.key, b[:headerSize], r.context); err != nil {
			return err
		}
		b = b[headerSize:]
	}
	if r.plain, err = r.msg.openLeaf(r.plain[:0], r.leaf, b, r.leaf == leaves-1); err != nil {
		return err
	}
	r.left = r.plain
	r.leaf++
	return nil
}

// end checks that only padding follows, and the blob's digest.
func (r *indexReader) end() error {
	for {
		if !zero(r.left) {
			return fmt.Errorf("%w: data after the last batch", ErrDiscrepant)
		}
		err := r.fetch()
		if errors.Is(err, errIndexEnd) {
			break
		}
		if err != nil {
			return err
		}
	}
	if envelope.Digest(r.sum.Sum(nil)) != r.x.Blob {
		return ErrBlob
	}
	return nil
}

func (r *indexReader) wipe() { clear(r.plain[:cap(r.plain)]) }

// zero reports whether b is padding.
func zero(b []byte) bool { return len(bytes.TrimLeft(b, "\x00")) == 0 }
