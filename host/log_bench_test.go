// SPDX-License-Identifier: Apache-2.0

package host

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/storage/posix"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/tlog"
)

const (
	benchOrigin  = "log.test"
	benchRecords = 2048 // appended in one turn
	benchWriters = 64
	fillBatch    = 8192
)

// BenchmarkLog appends signed grants to a host's log, from the database's outbox to a published checkpoint, 64 at a time, and proves
// entries: in an empty log, and in one of a million entries, each with a body as a grant has it.
func BenchmarkLog(b *testing.B) {
	for _, c := range []struct {
		name    string
		entries int
	}{{"empty", 0}, {"1M", 1_000_000}} {
		b.Run(c.name, func(b *testing.B) {
			w := &logWorld{b: b, dir: hostDir(b), broker: signer(b, envelope.RoleBroker), fixed: map[string]float64{}}
			if c.entries > 0 {
				w.fill(c.entries)
			}
			debug.FreeOSMemory()
			_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0o600) // else the peak is that of before
			base := w.peak()
			w.open(int64(c.entries))
			var took time.Duration
			for b.Loop() {
				records := w.records(benchRecords)
				start := time.Now()
				w.append(records)
				took += time.Since(start)
			}
			b.ReportMetric(float64(benchRecords*b.N)/took.Seconds(), "appends/s")
			w.prove()
			b.ReportMetric(float64(w.peak()-base)/1e6, "peak-MB")
			b.ReportMetric(float64(w.disk())/1e6, "disk-MB")
			b.ReportMetric(0, "ns/op")
			for unit, n := range w.fixed {
				b.ReportMetric(n, unit)
			}
		})
	}
}

// logWorld is a host of which only the log is used.
type logWorld struct {
	b      *testing.B
	dir    string
	broker *envelope.Signer
	h      *Host
	made   int64              // grants
	fixed  map[string]float64 // metrics of what comes before the loop, which forgets them
}

func (w *logWorld) must(err error) {
	w.b.Helper()
	if err != nil {
		w.b.Fatal(err)
	}
}

// records are grants, each of its own job.
func (w *logWorld) records(n int) (out []*record) {
	for range n {
		w.made++
		signed, _, err := grant.Sign(testGrant(envelope.Sum(fmt.Appendf(nil, "job %d", w.made)), envelope.Sum([]byte("data"))), w.broker)
		w.must(err)
		r, err := parseRecord(signed, w.broker.Public())
		w.must(err)
		out = append(out, r)
	}
	return out
}

// fill makes a log of n entries with the key that the host finds, in larger batches than a host's.
func (w *logWorld) fill(n int) {
	ctx, cancel := context.WithCancel(w.b.Context())
	defer cancel()
	key, log, _, err := openLogKey(w.dir, benchOrigin, time.Now())
	w.must(err)
	w.must(os.MkdirAll(filepath.Join(w.dir, logDir), 0o700))
	drv, err := posix.New(ctx, posix.Config{Path: filepath.Join(w.dir, logDir)})
	w.must(err)
	a, stop, reader, err := tessera.NewAppender(ctx, drv, tessera.NewAppendOptions().WithCheckpointSigner(key).
		WithBatching(fillBatch, batchAge).WithPushback(4*fillBatch).WithCheckpointInterval(time.Second))
	w.must(err)
	body, err := tlog.Body(w.records(1)[0].signed, w.broker.Public())
	w.must(err)
	start := time.Now()
	for first := 0; first < n; first += fillBatch {
		var added []tessera.IndexFuture
		for i := first; i < min(first+fillBatch, n); i++ {
			added = append(added, a.Add(ctx, tessera.NewEntry(another(body, i))))
		}
		for _, f := range added {
			_, err := f()
			w.must(err)
		}
	}
	w.fixed["filled/s"] = float64(n) / time.Since(start).Seconds()
	w.fixed["body-bytes"] = float64(len(body))
	eventually(w.b, "published", func() bool {
		text, err := reader.ReadCheckpoint(ctx)
		if err != nil {
			return false
		}
		cp, err := log.ParseCheckpoint(string(text))
		return err == nil && cp.Size >= int64(n)
	})
	w.must(stop(ctx))
}

// another is an entry's body with another digest in it.
func another(body []byte, i int) []byte {
	const field = `"digest":"`
	h := sha256.Sum256(binary.BigEndian.AppendUint64(nil, uint64(i)))
	out := bytes.Clone(body)
	base64.StdEncoding.Encode(out[bytes.Index(out, []byte(field))+len(field):], h[:])
	return out
}

// open starts a host that knows of the entries there are.
func (w *logWorld) open(entries int64) {
	start := time.Now()
	var err error
	w.h, err = New(w.b.Context(), Config{Dir: w.dir, Origin: benchOrigin, Checkpoint: 100 * time.Millisecond})
	w.must(err)
	w.b.Cleanup(func() { w.must(w.h.Close()) })
	if entries > 0 {
		last := w.records(1)
		w.insert(last)
		w.must(w.h.db.update(w.b.Context(), func(tx *sql.Tx) error {
			_, err := tx.Exec(`UPDATE records SET idx = ?`, entries-1)
			return err
		}))
	}
	_, err = w.h.seq.round(w.b.Context())
	w.must(err)
	w.fixed["open-ms"] = time.Since(start).Seconds() * 1000
}

// insert makes records durable, many at a time.
func (w *logWorld) insert(records []*record) {
	work := make(chan *record)
	var wg sync.WaitGroup
	for range benchWriters {
		wg.Go(func() {
			for r := range work {
				if err := w.h.db.update(w.b.Context(), func(tx *sql.Tx) error {
					_, err := r.insert(tx, 1)
					return err
				}); err != nil {
					w.b.Error(err)
				}
			}
		})
	}
	for _, r := range records {
		work <- r
	}
	close(work)
	wg.Wait()
}

// append makes records durable and waits until a checkpoint covers all.
func (w *logWorld) append(records []*record) {
	w.insert(records)
	for more := true; more; {
		var err error
		more, err = w.h.seq.round(w.b.Context())
		w.must(err)
	}
	if n, err := w.h.seq.unpublished(w.b.Context()); err != nil || n > 0 {
		w.b.Fatalf("%d are not published: %v", n, err)
	}
}

// prove proves entries at random places, each proof verified.
func (w *logWorld) prove() {
	text, size, err := w.h.seq.checkpoint(w.b.Context())
	w.must(err)
	var took []time.Duration
	for r := rand.New(rand.NewPCG(1, 2)); len(took) < 500; {
		start := time.Now()
		_, _, err := w.h.seq.inclusion(w.b.Context(), r.Int64N(size))
		w.must(err)
		took = append(took, time.Since(start))
	}
	slices.Sort(took)
	w.b.ReportMetric(took[len(took)/2].Seconds()*1000, "proof-p50-ms")
	w.b.ReportMetric(took[len(took)*99/100].Seconds()*1000, "proof-p99-ms")
	w.b.ReportMetric(float64(len(text)), "checkpoint-bytes")
	w.b.ReportMetric(float64(size), "entries")
}

// disk is what the log's files take, in bytes of files and not of blocks.
func (w *logWorld) disk() (n int64) {
	w.must(filepath.WalkDir(filepath.Join(w.dir, logDir), func(_ string, e fs.DirEntry, err error) error {
		if err != nil || !e.Type().IsRegular() {
			return err
		}
		i, err := e.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a temporary one
		}
		if err == nil {
			n += i.Size()
		}
		return err
	}))
	return n
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peak is the most memory that the process has held since it was last asked to forget.
func (w *logWorld) peak() int64 {
	status, err := os.ReadFile("/proc/self/status")
	w.must(err)
	m := highWater.FindSubmatch(status)
	if m == nil {
		w.b.Skip("peak memory cannot be measured here")
	}
	kb, err := strconv.ParseInt(string(m[1]), 10, 64)
	w.must(err)
	return kb << 10
}
