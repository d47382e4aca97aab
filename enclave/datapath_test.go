// SPDX-License-Identifier: Apache-2.0

package enclave

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/glovebox-dev/glovebox/enclave/sandbox"
	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/grant"
	"github.com/glovebox-dev/glovebox/internal/job"
)

// pathBytes is how much the benchmark reads in one run.
const pathBytes = 256 << 20

// packedLines packs about n bytes of lines of random digits.
func packedLines(t testing.TB, n int) (*dataset.Packed, *dataset.DirStore, dataset.Key) {
	t.Helper()
	store, err := dataset.NewDirStore(t.TempDir())
	check(t, err)
	owner, err := envelope.GenerateSigner(envelope.RoleOwner)
	check(t, err)
	broker, err := envelope.GenerateSigner(envelope.RoleBroker)
	check(t, err)
	var csv bytes.Buffer
	csv.WriteString("id,value\n")
	for r := rand.New(rand.NewPCG(1, 2)); csv.Len() < n; {
		fmt.Fprintf(&csv, "%d,%016x%016x%016x%016x\n", csv.Len(), r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64())
	}
	key := dataset.NewKey()
	p, err := dataset.Pack(t.Context(), dataset.PackConfig{
		Store: store, Source: &csv, Signer: owner, Key: key,
		Manifest: dataset.Manifest{
			Kind: dataset.KindDataset, Name: "numbers", Format: dataset.FormatCSV, Test: true,
			Broker: dataset.Broker{Address: "http://creator.test", Key: broker.Public()},
			Terms: dataset.Terms{
				Modes: []string{grant.ModeRaw}, Purposes: []string{"research"}, Outputs: []string{"model"},
				MaxOutputBytes: 1 << 20, MaxEpochs: 1, MaxUses: 1, Logs: grant.LogsSealed, Allowance: 1 << 20, LeaseSeconds: 600,
				BrokerAway: "wait", Price: dataset.Price{Currency: "EUR"}, NotAfter: time.Now().Add(time.Hour).Unix(), MinAssurance: "simulated",
			}.ForAnyone(),
		},
	})
	check(t, err)
	return p, store, key
}

// storeHost is a host that has blobs and nothing else.
type storeHost struct {
	Host
	dataset.BlobReader
}

func (h storeHost) ReadAt(ctx context.Context, d envelope.Digest, p []byte, off int64) (int, error) {
	return h.BlobReader.ReadAt(ctx, d, p, off)
}

// granted is an attempt that may read all of p once.
func granted(p *dataset.Packed, blobs dataset.BlobReader, key dataset.Key) *attempt {
	k := &pack{id: p.ID, m: p.Manifest, keys: dataset.Keys{Package: key}, grant: &envelope.Verified[grant.Grant]{}}
	k.grant.Predicate.Obligations = grant.Obligations{Epochs: 1, Leaves: grant.Ranges{{Count: p.Manifest.Tree.Size}}}
	k.beat.allowed, k.beat.heard = p.Manifest.Tree.Size, time.Now()
	j := &envelope.Verified[job.Job]{}
	j.Predicate.Epochs = 1
	return &attempt{e: &Enclave{c: Config{Host: storeHost{BlobReader: blobs}}, t: timing{word: time.Hour}}, job: j, packages: []*pack{{}, k}}
}

// timedData notes when the first byte is asked for.
type timedData struct {
	sandbox.Data
	first time.Time
}

func (d *timedData) Range(ctx context.Context, file int, off int64, want int) ([]byte, int, error) {
	if d.first.IsZero() {
		d.first = time.Now()
	}
	return d.Data.Range(ctx, file, off, want)
}

// decryptAll reads the package as a stream and does nothing with it: the measure of the data path.
func decryptAll(t testing.TB, p *dataset.Packed, blobs dataset.BlobReader, key dataset.Key) (took, cpu time.Duration) {
	began, used := time.Now(), cpuTime(t)
	s, err := dataset.OpenStream(t.Context(), p.Manifest, blobs, key, p.Manifest.AllLeaves())
	check(t, err)
	defer s.Close()
	for off := int64(0); off < s.Size(); {
		b, err := s.Batch(t.Context(), off)
		check(t, err)
		off += int64(len(b.Raw))
	}
	return time.Since(began), cpuTime(t) - used
}

// cpuTime is what this process has used so far.
func cpuTime(t testing.TB) time.Duration {
	var now unix.Timespec
	check(t, unix.ClockGettime(unix.CLOCK_PROCESS_CPUTIME_ID, &now))
	return time.Duration(now.Nano())
}

// deliverAll runs guest, which reads the package whole. It returns how long that took from its first request on, and the CPU
// time of the enclave and of the worker, whose start and end are in it.
func deliverAll(t testing.TB, s *sandbox.Spawner, guest []byte, p *dataset.Packed, blobs dataset.BlobReader, key dataset.Key) (took, cpu time.Duration) {
	t.Helper()
	used := cpuTime(t)
	r := granted(p, blobs, key)
	v, files, err := r.openView(t.Context())
	check(t, err)
	defer v.close()
	d := &timedData{Data: v}
	o, err := s.Run(t.Context(), sandbox.Spec{
		Module: guest, Files: files, Outputs: []sandbox.Output{{Name: "out", MaxBytes: 1}}, MemoryBytes: 32 << 20,
		OutputBytes: 1, Fuel: 1 << 50, Wall: time.Minute,
	}, d)
	check(t, err)
	took, cpu = time.Since(d.first), cpuTime(t)-used+o.CPU
	if m := &r.packages[1].meter; o.Reason != "" || m.records != p.Manifest.Records || m.reads != p.Manifest.Tree.Size {
		t.Fatalf("%q %s: %d of %d records", o.Reason, o.Detail, m.records, p.Manifest.Records)
	}
	return took, cpu
}

// BenchmarkDataPath measures data into a guest's memory, through the meter and into another process, against plain
// decryption of the same blobs in the same run. MB/s is of plaintext; of-decryption is the ratio of the two rates, and cpu-of-decryption of the CPU time they cost,
// which says what the ratio would be on one core, and hears less of what else the machine does.
func BenchmarkDataPath(b *testing.B) {
	p, store, key := packedLines(b, pathBytes)
	spawner, err := sandbox.StartSpawner(sandbox.Config{})
	check(b, err)
	defer spawner.Close()
	const name = "numbers/records.csv"
	for _, c := range []struct {
		name  string
		guest []byte
	}{
		{"fd_read-4KiB", fdReader(name, 4<<10)},
		{"fd_read-64KiB", fdReader(name, 64<<10)},
		{"fd_read-1MiB", fdReader(name, 1<<20)},
		{"fd_read-4MiB", fdReader(name, 4<<20)},
		{"read-64KiB", hostReader(name, 64<<10)},
		{"read-1MiB", hostReader(name, 1<<20)},
		{"read-4MiB", hostReader(name, 4<<20)},
	} {
		b.Run(c.name, func(b *testing.B) {
			var paths, ratios, work []float64
			for b.Loop() {
				plain, plainCPU := decryptAll(b, p, store, key)
				path, pathCPU := deliverAll(b, spawner, c.guest, p, store, key)
				paths, ratios = append(paths, path.Seconds()), append(ratios, plain.Seconds()/path.Seconds())
				work = append(work, plainCPU.Seconds()/pathCPU.Seconds())
			}
			slices.Sort(paths)
			slices.Sort(ratios)
			slices.Sort(work)
			b.ReportMetric(float64(p.Manifest.RawBytes)/1e6/paths[len(paths)/2], "MB/s")
			b.ReportMetric(ratios[len(ratios)/2], "of-decryption")
			b.ReportMetric(work[len(work)/2], "cpu-of-decryption")
			b.ReportMetric(0, "ns/op")
		})
	}
}
