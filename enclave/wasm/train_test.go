// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"math/rand/v2"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// trainGuest compiles testdata/c/name.c with vectors.
func trainGuest(t testing.TB, name string) []byte {
	t.Helper()
	return cGuest(t, name, "-O3", "-ffast-math", "-msimd128")
}

// openTrain is a guest of train/1 at its snapshot.
func openTrain(t testing.TB, m *Module, c Config, o Training) *Trainee {
	t.Helper()
	if err := m.Trainer(); err != nil {
		t.Fatal(err)
	}
	x, err := instantiate(t, m, c).OpenTrain(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = x.Close() })
	return x
}

// training is enough for the guests of these tests.
func training() Training {
	return Training{RecordBytes: 785, MaxParams: 1 << 20, RecordFuel: 1e9}
}

// digits are records as sparse as written digits are.
func digits(n int, dense bool) [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	all := make([][]byte, n)
	for i := range all {
		all[i] = make([]byte, 785)
		for j := range 784 {
			if dense || r.IntN(5) == 0 {
				all[i][j] = byte(1 + r.IntN(255))
			}
		}
		all[i][784] = byte(r.IntN(10))
	}
	return all
}

// cpuTime is what this process has used, which the machine's other work changes less than the clock.
func cpuTime(b *testing.B) time.Duration {
	b.Helper()
	var u unix.Rusage
	if err := unix.Getrusage(unix.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkTrain measures a gradient without a restore, and with.
func BenchmarkTrain(b *testing.B) {
	for _, name := range []string{"softmax", "mlp"} {
		m := compile(b, trainGuest(b, name))
		for _, dense := range []bool{false, true} {
			records, kind := digits(256, dense), "sparse"
			if dense {
				kind = "dense"
			}
			x := openTrain(b, m, snapshots(b), training())
			for _, restore := range []bool{false, true} {
				how := "plain"
				if restore {
					how = "restored"
				}
				b.Run(name+"/"+kind+"/"+how, func(b *testing.B) {
					n, began := 0, cpuTime(b)
					for b.Loop() {
						if _, err := x.Gradient(b.Context(), records[n%len(records)]); err != nil {
							b.Fatal(err)
						}
						if restore {
							if err := x.Restore(); err != nil {
								b.Fatal(err)
							}
						} else {
							x.setFuel(1e9)
						}
						n++
					}
					b.ReportMetric(float64(n)/(cpuTime(b)-began).Seconds(), "records/cpu-s")
					b.ReportMetric(float64(x.memory.before)/1024, "KiB")
				})
			}
		}
	}
}
