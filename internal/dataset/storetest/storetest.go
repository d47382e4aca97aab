// SPDX-License-Identifier: Apache-2.0

// Package storetest is the contract of dataset.Store as a test suite. Every implementation runs it.
//
// Trust domain: none, tests only. Its one job: two stores that pass it can stand in for each other.
package storetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// errBroken is what a source fails with.
var errBroken = errors.New("storetest: source broke")

// Run tests the stores that newStore makes. Each call must return an empty store.
func Run(t *testing.T, newStore func(t *testing.T) dataset.Store) {
	for _, c := range []struct {
		name string
		test func(*testing.T, dataset.Store)
	}{
		{"PutGet", testPutGet},
		{"Ranges", testRanges},
		{"Empty", testEmpty},
		{"Unknown", testUnknown},
		{"PutTwice", testPutTwice},
		{"FailedPut", testFailedPut},
		{"CancelledPut", testCancelledPut},
		{"Concurrent", testConcurrent},
	} {
		t.Run(c.name, func(t *testing.T) { c.test(t, newStore(t)) })
	}
}

func blob(n int, seed byte) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7) + seed
	}
	return b
}

func put(t *testing.T, s dataset.Store, b []byte) envelope.Digest {
	t.Helper()
	d, n, err := s.Put(t.Context(), bytes.NewReader(b))
	if err != nil || n != int64(len(b)) || d != envelope.Sum(b) {
		t.Fatalf("Put of %d bytes = %v, %d, %v", len(b), d, n, err)
	}
	return d
}

func check(t *testing.T, s dataset.Store, d envelope.Digest, want []byte) {
	t.Helper()
	if n, err := s.Size(t.Context(), d); err != nil || n != int64(len(want)) {
		t.Fatalf("Size = %d, %v; want %d", n, err, len(want))
	}
	got := make([]byte, len(want))
	n, err := s.ReadAt(t.Context(), d, got, 0)
	if n != len(want) || err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(got, want) {
		t.Fatalf("ReadAt = %d, %v", n, err)
	}
}

func testPutGet(t *testing.T, s dataset.Store) {
	for _, n := range []int{1, 31, 4096, 65_656, 300_000} {
		b := blob(n, byte(n))
		check(t, s, put(t, s, b), b)
	}
}

func testRanges(t *testing.T, s dataset.Store) {
	b := blob(100_000, 3)
	d := put(t, s, b)
	for _, c := range []struct{ off, n, want int }{{0, 10, 10}, {99_990, 10, 10}, {50_000, 50_000, 50_000}, {99_990, 20, 10}, {100_000, 1, 0}, {200_000, 1, 0}} {
		p := make([]byte, c.n)
		n, err := s.ReadAt(t.Context(), d, p, int64(c.off))
		if n != c.want || n < c.n && !errors.Is(err, io.EOF) {
			t.Errorf("ReadAt(%d, %d) = %d, %v; want %d and io.EOF when short", c.off, c.n, n, err, c.want)
		}
		if n > 0 && !bytes.Equal(p[:n], b[c.off:c.off+n]) {
			t.Errorf("ReadAt(%d, %d) has other bytes", c.off, c.n)
		}
	}
}

func testEmpty(t *testing.T, s dataset.Store) {
	d := put(t, s, nil)
	if n, err := s.Size(t.Context(), d); err != nil || n != 0 {
		t.Fatalf("Size = %d, %v", n, err)
	}
}

func testUnknown(t *testing.T, s dataset.Store) {
	d := envelope.Sum([]byte("never put"))
	if _, err := s.Size(t.Context(), d); !errors.Is(err, dataset.ErrNoBlob) {
		t.Errorf("Size = %v, want ErrNoBlob", err)
	}
	if n, err := s.ReadAt(t.Context(), d, make([]byte, 1), 0); n != 0 || !errors.Is(err, dataset.ErrNoBlob) {
		t.Errorf("ReadAt = %d, %v, want ErrNoBlob", n, err)
	}
}

func testPutTwice(t *testing.T, s dataset.Store) {
	b := blob(5000, 1)
	put(t, s, b)
	check(t, s, put(t, s, b), b)
}

func testFailedPut(t *testing.T, s dataset.Store) {
	b := blob(200_000, 9)
	r := io.MultiReader(bytes.NewReader(b), brokenReader{})
	if _, _, err := s.Put(t.Context(), r); !errors.Is(err, errBroken) {
		t.Fatalf("Put = %v, want the source's error", err)
	}
	if _, err := s.Size(t.Context(), envelope.Sum(b)); !errors.Is(err, dataset.ErrNoBlob) {
		t.Fatalf("a failed Put left its blob: %v", err)
	}
}

func testCancelledPut(t *testing.T, s dataset.Store) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := blob(5000, 4)
	if _, _, err := s.Put(ctx, bytes.NewReader(b)); !errors.Is(err, context.Canceled) {
		t.Fatalf("Put = %v, want context.Canceled", err)
	}
	if _, err := s.Size(t.Context(), envelope.Sum(b)); !errors.Is(err, dataset.ErrNoBlob) {
		t.Fatalf("a cancelled Put left its blob: %v", err)
	}
}

func testConcurrent(t *testing.T, s dataset.Store) {
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			b := blob(50_000, byte(i/2)) // each blob twice
			d, _, err := s.Put(t.Context(), bytes.NewReader(b))
			got := make([]byte, len(b))
			if err == nil {
				_, err = s.ReadAt(t.Context(), d, got, 0)
			}
			if err != nil && !errors.Is(err, io.EOF) || !bytes.Equal(got, b) {
				t.Errorf("concurrent Put and ReadAt: %v", err)
			}
		})
	}
	wg.Wait()
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errBroken }
