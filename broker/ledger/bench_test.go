// SPDX-License-Identifier: Apache-2.0

package ledger

import (
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/internal/envelope"
)

// BenchmarkUpdate spends a nonce durably, from one caller and from many at once.
func BenchmarkUpdate(b *testing.B) {
	for _, callers := range []int{1, 16, 256} {
		b.Run(strconv.Itoa(callers), func(b *testing.B) {
			l, err := Open(b.Context(), at(b.TempDir()))
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			concurrently(b, callers, func() error {
				n := Nonce{Nonce: envelope.NewNonce(), Manifest: manifestA, Job: jobID, Issued: 1, Expires: 1 << 40}
				return l.Update(b.Context(), func(t *Tx) error { return t.AddNonce(&n) })
			})
		})
	}
}

// BenchmarkRelease is what one release asks of the ledger, signing included.
func BenchmarkRelease(b *testing.B) {
	for _, callers := range []int{1, 16, 256} {
		b.Run(strconv.Itoa(callers), func(b *testing.B) {
			l, err := Open(b.Context(), at(b.TempDir()))
			if err != nil {
				b.Fatal(err)
			}
			defer l.Close()
			s, buyer := signer(b), signer(b).Public()
			concurrently(b, callers, func() error {
				return releaseOne(b.Context(), l, s, manifestA, buyer)
			})
		})
	}
}

// BenchmarkView reads beside a writer that never rests.
func BenchmarkView(b *testing.B) {
	l, err := Open(b.Context(), at(b.TempDir()))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	var stop atomic.Bool
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; !stop.Load(); i++ {
			n := Nonce{Nonce: envelope.NewNonce(), Manifest: manifestA, Job: jobID, Issued: 1, Expires: 1 << 40}
			if err := l.Update(b.Context(), func(t *Tx) error { return t.AddNonce(&n) }); err != nil {
				b.Error(err)
				return
			}
		}
	}()
	concurrently(b, 4, func() error {
		return l.View(b.Context(), func(t *Tx) error {
			_, err := t.Uses(manifestA, jobID)
			return err
		})
	})
	stop.Store(true)
	<-done
}

// concurrently shares b.N calls among callers and reports how long one takes.
func concurrently(b *testing.B, callers int, f func() error) {
	took := make([]time.Duration, b.N)
	var next atomic.Int64
	var wg sync.WaitGroup
	b.ResetTimer()
	for range callers {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(b.N); i = next.Add(1) - 1 {
				start := time.Now()
				if err := f(); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(start)
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms")
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "op/s")
}

// BenchmarkChallenge gives out nonces while ten thousand that nobody used are outstanding.
func BenchmarkChallenge(b *testing.B) {
	l, err := Open(b.Context(), at(b.TempDir()))
	if err != nil {
		b.Fatal(err)
	}
	defer l.Close()
	add := func(t *Tx) error {
		return t.AddNonce(&Nonce{Nonce: envelope.NewNonce(), Manifest: manifestA, Job: newDigest(), Issued: 1, Expires: 1 << 40})
	}
	err = l.Update(b.Context(), func(t *Tx) error {
		for range 10_000 {
			if err := add(t); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	concurrently(b, 64, func() error {
		return l.Update(b.Context(), func(t *Tx) error {
			if _, err := t.PruneNonces(manifestA, 1000); err != nil {
				return err
			}
			if _, err := t.JobNonces(manifestA, jobID); err != nil {
				return err
			}
			return add(t)
		})
	})
}

// BenchmarkOpen verifies a ledger of a thousand releases.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	l, err := Open(b.Context(), at(dir))
	if err != nil {
		b.Fatal(err)
	}
	s, buyer := signer(b), signer(b).Public()
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			for range 20 {
				if err := releaseOne(b.Context(), l, s, manifestA, buyer); err != nil {
					b.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		l, err := Open(b.Context(), at(dir))
		if err != nil {
			b.Fatal(err)
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
