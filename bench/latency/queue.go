// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/glovebox-dev/glovebox/host"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// clients is how many submit and cancel at a time.
const clients = 16

// queued measures a host without enclaves with n jobs in its queue, and prints a table.
func (w *world) queued(ctx context.Context, n int) error {
	code, err := w.packCode(ctx, []byte(small))
	if err != nil {
		return err
	}
	jobs, ids := make([][]byte, n), make([]envelope.Digest, n)
	for i := range jobs {
		if jobs[i], ids[i], err = w.order(code.ID); err != nil {
			return err
		}
	}
	fmt.Printf("| %d queued jobs, %d clients | all | p50 ms | p99 ms |\n|---|---|---|---|\n", n, clients)
	first, last := n/10, n-n/10
	before, err := forget()
	if err != nil {
		return err
	}
	if err := errors.Join(
		each("submit the first tenth", 0, first, func(i int) error { _, err := w.client.Submit(ctx, jobs[i]); return err }),
		each("submit the others", first, last, func(i int) error { _, err := w.client.Submit(ctx, jobs[i]); return err }),
		each("submit the last tenth", last, n, func(i int) error { _, err := w.client.Submit(ctx, jobs[i]); return err }),
	); err != nil {
		return err
	}
	err = errors.Join(
		one("list all", func() error {
			all, err := w.client.List(ctx, "")
			if err == nil && len(all) != n {
				err = fmt.Errorf("%d jobs listed, want %d", len(all), n)
			}
			return err
		}),
		one("status", func() error { _, err := w.client.Status(ctx); return err }),
		each("look at one", 0, n/10, func(i int) error { _, err := w.client.Job(ctx, ids[i]); return err }),
		w.cancelSome(ctx, ids[:n/10]),
	)
	if err != nil {
		return err
	}
	most, err := peak()
	if err != nil {
		return err
	}
	fmt.Printf("| peak memory | %.1f MB | – | – |\n", float64(most-before)/1e6)
	w.stopHost()
	var h *host.Host
	err = one("start a host on them", func() (err error) {
		h, err = host.New(ctx, host.Config{Dir: filepath.Join(w.dir, "host"), Origin: "bench.example"})
		return err
	})
	if h != nil {
		err = errors.Join(err, h.Close())
	}
	return err
}

// forget frees what is not used, and begins to measure [peak] anew.
func forget() (int64, error) {
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil {
		return 0, err
	}
	return peak()
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peak is the most memory in bytes that this process has held, the host's, the brokers' and the benchmark's own.
func peak() (int64, error) {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	m := highWater.FindSubmatch(status)
	if m == nil {
		return 0, errors.New("peak memory cannot be measured here")
	}
	kb, err := strconv.ParseInt(string(m[1]), 10, 64)
	return kb << 10, err
}

// cancelSome withdraws jobs that wait.
func (w *world) cancelSome(ctx context.Context, ids []envelope.Digest) error {
	signer, err := envelope.LoadKeyFile(w.buyer.cfg.Layout().BuyerKey(), envelope.RoleBuyer)
	if err != nil {
		return err
	}
	return each("cancel one", 0, len(ids), func(i int) error {
		signed, _, err := job.SignCancel(&job.Cancel{Job: ids[i], Reason: "bench"}, signer)
		if err == nil {
			_, err = w.client.Cancel(ctx, signed)
		}
		return err
	})
}

// one prints what one thing took.
func one(name string, do func() error) error {
	start := time.Now()
	err := do()
	fmt.Printf("| %s | %.0f ms | – | – |\n", name, ms(time.Since(start)))
	return err
}

// each does things from here to there, so many at a time, and prints what they took.
func each(name string, from, to int, do func(i int) error) error {
	var next atomic.Int64
	next.Store(int64(from))
	took, errs := make([]time.Duration, to-from), make([]error, to-from)
	start := time.Now()
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= to {
					return
				}
				began := time.Now()
				errs[i-from] = do(i)
				took[i-from] = time.Since(began)
			}
		})
	}
	wg.Wait()
	all := time.Since(start)
	slices.Sort(took)
	fmt.Printf("| %s | %d in %.1f s, %.0f/s | %.1f | %.1f |\n", name, to-from, all.Seconds(), float64(to-from)/all.Seconds(),
		ms(took[len(took)/2]), ms(took[len(took)*99/100]))
	return errors.Join(errs...)
}
