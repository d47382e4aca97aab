// SPDX-License-Identifier: Apache-2.0

package sandbox

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/glovebox-dev/glovebox/enclave/train"
	"github.com/glovebox-dev/glovebox/enclave/train/clip"
	"github.com/glovebox-dev/glovebox/enclave/wasm"
)

// trainGuest compiles a guest of train/1 in C, with vectors.
func trainGuest(t testing.TB, source string) []byte {
	t.Helper()
	return cModule(t, source, "-mexec-model=reactor", "-O3", "-ffast-math", "-msimd128")
}

// trainSpec is a small session of module.
func trainSpec(module []byte) TrainSpec {
	return TrainSpec{
		Module: module, MemoryBytes: 64 << 20, Fuel: 1 << 40, RecordFuel: 1 << 30, Wall: time.Minute * slowly(),
		RecordBytes: 785, PreparedBytes: 785, MaxParams: 1 << 20,
	}
}

func newTrain(t testing.TB, s *Spawner, spec TrainSpec) *TrainSession {
	t.Helper()
	x, err := s.Train(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

// digits are units of one record, as sparse as written digits are.
func digits(n int) []train.Unit {
	r := rand.New(rand.NewPCG(1, 2))
	all := make([]train.Unit, n)
	for i := range all {
		b := make([]byte, 785)
		for j := range 784 {
			if r.IntN(5) == 0 {
				b[j] = byte(1 + r.IntN(255))
			}
		}
		b[784] = byte(r.IntN(10))
		all[i] = train.Unit{b}
	}
	return all
}

func newSum(t testing.TB, n int, norm float64) *clip.Sum {
	t.Helper()
	s, err := clip.New(n, norm)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// processCPU is the CPU time of another process so far, in hundredths of a second.
func processCPU(b *testing.B, pid int) time.Duration {
	b.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		b.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+2:]))
	var ticks time.Duration
	for _, f := range fields[11:13] { // utime, stime
		n, err := strconv.Atoi(f)
		if err != nil {
			b.Fatal(err)
		}
		ticks += time.Duration(n)
	}
	return ticks * 10 * time.Millisecond
}

// BenchmarkTrain measures bounded gradients of records a second of CPU time: of the guest in this process, which is never put back,
// and in a worker, whose time and the enclave's count together, in both classes.
func BenchmarkTrain(b *testing.B) {
	s := newSpawner(b)
	for _, name := range []string{"softmax", "mlp"} {
		module := trainGuest(b, "../wasm/testdata/c/"+name+".c")
		units := digits(4000)
		b.Run(name+"/no isolation", func(b *testing.B) { trainHere(b, module, units, false) })
		b.Run(name+"/put back", func(b *testing.B) { trainHere(b, module, units, true) })
		b.Run(name+"/worker sums", func(b *testing.B) { trainThere(b, s, module, units, 1) })
		b.Run(name+"/enclave sums", func(b *testing.B) { trainThere(b, s, module, units, 0) })
	}
}

// trainHere runs the guest in this process.
func trainHere(b *testing.B, module []byte, units []train.Unit, putBack bool) {
	m, err := wasm.Compile(b.Context(), module)
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	file, err := wasm.NewSnapshotFile()
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	i, err := m.Instantiate(b.Context(), wasm.Config{MemoryBytes: 64 << 20, Fuel: 1 << 50, SnapshotFile: file})
	if err != nil {
		b.Fatal(err)
	}
	x, err := i.OpenTrain(b.Context(), wasm.Training{RecordBytes: 785, MaxParams: 1 << 20, RecordFuel: 1 << 59})
	if err != nil {
		b.Fatal(err)
	}
	defer x.Close()
	into, n := newSum(b, len(x.Initial()), 1), 0
	began, _ := cpuUsed()
	for b.Loop() {
		for _, u := range units {
			g, err := x.Gradient(b.Context(), u[0])
			if err != nil {
				b.Fatal(err)
			}
			into.Add(g)
			into.End()
			if putBack {
				if err := x.Restore(); err != nil {
					b.Fatal(err)
				}
			}
			n++
		}
	}
	used, _ := cpuUsed()
	b.ReportMetric(float64(n)/(used-began).Seconds(), "records/cpu-s")
}

// trainThere runs it in a worker.
func trainThere(b *testing.B, s *Spawner, module []byte, units []train.Unit, norm float64) {
	spec := trainSpec(module)
	spec.Clip = norm
	x := newTrain(b, s, spec)
	defer x.Close()
	into, n := newSum(b, len(x.Initial()), 1), 0
	if err := errors.Join(x.SetParams(b.Context(), x.Initial()), x.Sum(b.Context(), units[:100], into)); err != nil {
		b.Fatal(err)
	}
	_, worker := workerPids(b, s)
	began, _ := cpuUsed()
	there := processCPU(b, worker)
	for b.Loop() {
		if err := x.Sum(b.Context(), units, into); err != nil {
			b.Fatal(err)
		}
		n += len(units)
	}
	used, _ := cpuUsed()
	here := (used - began).Seconds()
	away := (processCPU(b, worker) - there).Seconds()
	b.ReportMetric(float64(n)/(here+away), "records/cpu-s")
	b.ReportMetric(1e6*here/float64(n), "us-enclave")
	b.ReportMetric(1e6*away/float64(n), "us-worker")
}
