// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"context"
	"errors"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// sealedLeaf is the length of a leaf: four chunks of 16 KiB with their tags. A segment's first has a header of 56 bytes too.
const sealedLeaf = 4 * (16<<10 + 16)

// countingHost counts the bytes of segments that are read, and reaches no broker.
type countingHost struct {
	storeHost
	segments map[envelope.Digest]bool
	bytes    int64
}

var errNoBroker = errors.New("no broker")

func (*countingHost) Relay(context.Context, string, []byte) ([]byte, error) { return nil, errNoBroker }

func (h *countingHost) ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	n, err := h.storeHost.ReadAt(ctx, d, p, off)
	if h.segments[d] {
		h.bytes += int64(n)
	}
	return n, err
}

// TestFetchingAheadOfTheAllowance: however many leaves a batch needs at a time, none is fetched beyond the allowance, what the
// meter reports is what was fetched, and of a batch that was not paid for whole nothing is delivered or billed.
func TestFetchingAheadOfTheAllowance(t *testing.T) {
	p, store, key := packedLines(t, 4<<20)
	segments := map[envelope.Digest]bool{}
	for _, g := range p.Manifest.Segments {
		segments[g.Blob] = true
	}
	for allowed := range p.Manifest.Tree.Size {
		h := &countingHost{storeHost: storeHost{BlobReader: store}, segments: segments}
		r := granted(p, store, key)
		r.e.c.Host = h
		k := r.packages[1]
		k.beat.allowed, k.beat.pending = allowed, []byte("signed before")
		v, files, err := r.openView(t.Context())
		check(t, err)
		var delivered int64
		for err == nil && delivered < files[0].Size {
			var b []byte
			if b, _, err = v.Range(t.Context(), 0, delivered, 1); err == nil {
				delivered += int64(len(b))
			}
		}
		if !errors.Is(err, ErrLeased) || !errors.Is(err, errNoBroker) {
			t.Errorf("%d leaves allowed: %v, want a missing broker", allowed, err)
		}
		if got := h.bytes / sealedLeaf; got != allowed || k.meter.reads != allowed {
			t.Errorf("%d leaves allowed: %d fetched, %d reported", allowed, got, k.meter.reads)
		}
		if records := countLines(t, p, store, key, delivered); k.meter.records != records {
			t.Errorf("%d leaves allowed: %d records billed, %d delivered", allowed, k.meter.records, records)
		}
		v.close()
	}
}

// countLines says how many records the batches of the stream's first n bytes have.
func countLines(t *testing.T, p *dataset.Packed, store dataset.BlobReader, key dataset.Key, n int64) (records int64) {
	t.Helper()
	s, err := dataset.OpenStream(t.Context(), p.Manifest, store, key, p.Manifest.AllLeaves())
	check(t, err)
	defer s.Close()
	for off := int64(0); off < n; {
		b, err := s.Batch(t.Context(), off)
		check(t, err)
		off, records = off+int64(len(b.Raw)), records+int64(b.Records)
	}
	return records
}
