// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"errors"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// indexKeyForFuzz is the key of a made-up package.
func indexKeyForFuzz(t testing.TB) Key {
	k, err := KeyFromBytes(bytes.Repeat([]byte{7}, KeySize))
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// readMadeIndex seals plain as the index of a version with these segments, and reads it. It returns the headers that were given.
func readMadeIndex(t testing.TB, plain []byte, segments []Segment) ([][]byte, error) {
	key := indexKeyForFuzz(t)
	sub, err := indexKey(key)
	if err != nil {
		t.Fatal(err)
	}
	m := &Manifest{Dataset: ID{3}, Segments: segments}
	blob := sealAll(t, sub, make([]byte, saltSize), indexContext(m.Dataset, 1), plain)
	x := Index{Version: 1, Blob: envelope.Sum(blob), Bytes: int64(len(blob))}
	var got [][]byte
	err = readIndex(t.Context(), m, &x, memBlobs{x.Blob: blob}, key, func(segment int, headers []byte) {
		if segment != len(got) {
			t.Errorf("segment %d after %d", segment, len(got))
		}
		got = append(got, bytes.Clone(headers))
	})
	return got, err
}

// madeSegments are two segments as a manifest may have them.
func madeSegments(batches, otherBatches uint16, records, otherRecords, length, otherLength uint32) []Segment {
	return []Segment{
		{Version: 1, Batches: int64(batches), Records: int64(records), Bytes: int64(length)},
		{Version: 1, Index: 1, Batches: int64(otherBatches), Records: int64(otherRecords), Bytes: int64(otherLength)},
	}
}

// FuzzIndex: whatever an owner sealed as an index, it is refused, or it is the batches that the manifest counts, in order and
// with nothing after them but zeros.
func FuzzIndex(f *testing.F) {
	fx := newFixture(f)
	fx.key = indexKeyForFuzz(f)
	cfg := fx.config(FormatCSV, bigCSV(400_000))
	cfg.Manifest.Dataset = ID{3}
	m := fx.pack(cfg).Manifest
	sub, err := indexKey(fx.key)
	if err != nil {
		f.Fatal(err)
	}
	sealed := make([]byte, m.Indexes[0].Bytes)
	if err := readFull(f.Context(), fx.store, m.Indexes[0].Blob, sealed, 0); err != nil {
		f.Fatal(err)
	}
	plain, err := openAll(sub, indexContext(ID{3}, 1), sealed)
	if err != nil || len(m.Segments) != 2 {
		f.Fatalf("%d segments, %v", len(m.Segments), err)
	}
	a, b := m.Segments[0], m.Segments[1]
	seeds, accepted := 0, 0
	add := func(plain []byte, batches, otherBatches int64) {
		f.Add(plain, uint16(batches), uint16(otherBatches), uint32(a.Records), uint32(b.Records), uint32(a.Bytes), uint32(b.Bytes))
		seeds++
		if _, err := readMadeIndex(f, plain, madeSegments(uint16(batches), uint16(otherBatches), uint32(a.Records), uint32(b.Records), uint32(a.Bytes), uint32(b.Bytes))); err == nil {
			accepted++
		}
	}
	whole := plain[:batchHeader*(a.Batches+b.Batches)]
	add(plain, a.Batches, b.Batches)
	add(whole, a.Batches, b.Batches)
	add(whole[:len(whole)-1], a.Batches, b.Batches)
	add(append(bytes.Clone(whole), 1), a.Batches, b.Batches)
	add(plain, a.Batches+1, b.Batches-1)
	add(nil, 0, 0)
	if seeds == 0 || accepted != 2 {
		f.Fatalf("of %d seeds %d are indexes, want 2", seeds, accepted)
	}
	f.Fuzz(func(t *testing.T, plain []byte, batches, otherBatches uint16, records, otherRecords, length, otherLength uint32) {
		segments := madeSegments(batches, otherBatches, records, otherRecords, length, otherLength)
		got, err := readMadeIndex(t, plain, segments)
		if err != nil {
			if !errors.Is(err, ErrIntegrity) {
				t.Fatalf("refused with %v", err)
			}
			return
		}
		rest := plain
		for i, g := range segments {
			n := int(g.Batches) * batchHeader
			if i >= len(got) || n > len(rest) || !bytes.Equal(got[i], rest[:n]) {
				t.Fatalf("segment %d was given other batches than were sealed", i)
			}
			var sum int64
			for h := got[i]; len(h) > 0; h = h[batchHeader:] {
				b, err := parseBatchHeader(h)
				if err != nil {
					t.Fatal(err)
				}
				sum += int64(b.records)
			}
			if sum != g.Records {
				t.Fatalf("segment %d has %d records, %d in its index", i, g.Records, sum)
			}
			rest = rest[n:]
		}
		if len(got) != len(segments) || !zero(rest) {
			t.Fatal("something follows the last batch")
		}
	})
}
