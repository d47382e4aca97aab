// SPDX-License-Identifier: Apache-2.0

package broker_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/broker"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
)

// newBenchWorld is a world whose data may be used as often as a benchmark likes, on real time.
func newBenchWorld(b *testing.B) *world {
	b.Helper()
	w := newWorld(b, withTerms(func(t *dataset.Terms) {
		t.MaxUses = math.MaxInt32
		t.NotAfter = time.Now().Add(24 * time.Hour).Unix()
	}))
	w.clock.mu.Lock()
	w.clock.t = time.Now()
	w.clock.mu.Unlock()
	for _, o := range []*owner{w.creator, w.buyer} {
		o.reference(2, measured)
		must(b, o.Close())
	}
	br, err := broker.New(b.Context(), broker.Config{Settings: w.creator.cfg, Formats: w.creator.formats, Policy: policy()})
	must(b, err)
	w.creator.Broker = br
	return w
}

// ready is an enclave of a job of its own that has everything but the data's key.
func (w *world) ready(code envelope.Nonce) *enclave {
	w.newJob(nil)
	e := w.unattested()
	n, err := w.challenge(w.data)
	must(w.t, err)
	e.own(w.code, code)
	e.own(w.data, n)
	e.attest(func(*quote) {})
	e.ticket = forgeTicket(w.t, w, e, 1)
	return e
}

// prepare makes releases that only have to be asked for.
func (w *world) prepare(n int) (out []*grant.ReleaseRequest, enclaves []*enclave) {
	w.clock.mu.Lock()
	w.clock.t = time.Now()
	w.clock.mu.Unlock()
	code := envelope.NewNonce()
	for range n {
		e := w.ready(code)
		out, enclaves = append(out, e.request(w.data)), append(enclaves, e)
	}
	return out, enclaves
}

// BenchmarkRelease is one release after the other, of jobs of their own on one package, by the file keyholder: from a
// request in memory to a sealed key on disk and in memory.
func BenchmarkRelease(b *testing.B) {
	w := newBenchWorld(b)
	requests, _ := w.prepare(b.N)
	time.Sleep(settle)
	measure(b, func() (took []time.Duration) {
		for _, r := range requests {
			start := time.Now()
			if _, err := w.creator.Release(b.Context(), r); err != nil {
				b.Fatal(err)
			}
			took = append(took, time.Since(start))
		}
		return took
	})
}

// settle is longer than the broker distrusts what was written.
const settle = 2500 * time.Millisecond

func quantiles(b *testing.B, took []time.Duration) {
	slices.Sort(took)
	at := func(q float64) float64 { return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000 }
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "per-s")
	b.ReportMetric(0, "ns/op")
}

// cpu is the processor time of this process so far. On a machine that others use too it says more than a clock.
func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// measure runs what is measured, and reports it.
func measure(b *testing.B, run func() []time.Duration) {
	before := cpu()
	b.ResetTimer()
	took := run()
	b.StopTimer()
	b.ReportMetric(float64((cpu()-before).Microseconds())/1000/float64(b.N), "cpu-ms/op")
	quantiles(b, took)
}

// BenchmarkReleaseParallel is many releases at a time.
func BenchmarkReleaseParallel(b *testing.B) {
	for _, clients := range []int{16, 64} {
		b.Run(fmt.Sprint(clients), func(b *testing.B) {
			w := newBenchWorld(b)
			requests, _ := w.prepare(b.N)
			time.Sleep(settle)
			measure(b, func() []time.Duration {
				return parallel(b, clients, b.N, func(i int) error {
					_, err := w.creator.Release(context.Background(), requests[i])
					return err
				})
			})
		})
	}
}

// parallel does n things, so many at a time.
func parallel(b *testing.B, clients, n int, do func(i int) error) []time.Duration {
	var next atomic.Int64
	var wg sync.WaitGroup
	took := make([]time.Duration, n)
	for range clients {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				start := time.Now()
				if err := do(i); err != nil {
					b.Error(err)
					return
				}
				took[i] = time.Since(start)
			}
		})
	}
	wg.Wait()
	return took
}

// BenchmarkHeartbeat1000 is heartbeats of 1,000 live leases, 64 at a time, through the message door.
func BenchmarkHeartbeat1000(b *testing.B) {
	const leases = 1000
	w := newBenchWorld(b)
	requests, enclaves := w.prepare(leases)
	parallel(b, 16, leases, func(i int) error {
		r, err := w.creator.Release(context.Background(), requests[i])
		if err == nil {
			enclaves[i].accept(w.data, r)
		}
		return err
	})
	beats := make([][]byte, b.N)
	for i := range beats {
		beats[i] = encode(b, &grant.Message{Heartbeat: enclaves[i%leases].signHeartbeat(w.data, int64(i/leases)+1, 0)})
	}
	time.Sleep(settle)
	// The beats of one lease follow each other: a thousand leases at a time never overtake.
	measure(b, func() (took []time.Duration) {
		for from := 0; from < b.N; from += leases {
			took = append(took, parallel(b, 64, min(leases, b.N-from), func(i int) error {
				reply, err := grant.ParseReply(w.creator.Exchange(context.Background(), beats[from+i]))
				if err == nil && reply.Error != nil {
					err = reply.Error
				}
				return err
			})...)
		}
		return took
	})
}
