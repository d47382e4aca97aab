// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"fmt"
	"testing"
)

// recorders are real guests, which are called for one record at a time.
var recorders = map[string]func(testing.TB) []byte{
	"c":  func(t testing.TB) []byte { return cGuest(t, "record") },
	"go": func(t testing.TB) []byte { return goGuest(t, "record", "-buildmode=c-shared") },
}

// recorder is such a guest, initialised, with a snapshot after a few records.
func recorder(t testing.TB, m *Module) *Instance {
	t.Helper()
	c := snapshots(t)
	c.MemoryBytes, c.Fuel = 256<<20, 1e12
	i := instantiate(t, m, c)
	if _, err := i.Call(t.Context(), "_initialize"); err != nil {
		t.Fatal(err)
	}
	for n := range uint64(3) {
		if _, err := i.Call(t.Context(), "record", n, 64); err != nil {
			t.Fatal(err)
		}
	}
	if err := i.Snapshot(); err != nil {
		t.Fatal(err)
	}
	return i
}

// TestRecords: to a guest that is put back, every record is the first, whatever the others were, also those that made it grow.
func TestRecords(t *testing.T) {
	for name, build := range recorders {
		t.Run(name, func(t *testing.T) {
			m := compile(t, build(t))
			i, fresh := recorder(t, m), totalOf(t, recorder(t, m))
			wantSame(t, totalOf(t, i), fresh)
			alone := func(n, kib uint64) string {
				v, err := i.Call(t.Context(), "record", n, kib)
				s := fmt.Sprint(v, err, i.Used())
				if err := i.Restore(); err != nil {
					t.Fatal(err)
				}
				wantSame(t, totalOf(t, i), fresh)
				return s
			}
			first, grown := alone(7, 64), i.memory.size
			for n := range uint64(5) {
				alone(n, 1+n*3000) // up to 12 MB, more than is there
			}
			if again := alone(7, 64); again != first || i.memory.size != grown {
				t.Errorf("the first time %s, later %s", first, again)
			}
		})
	}
}

// BenchmarkRecord measures one record of a real guest and the restore after it, beside making the guest anew for each record.
func BenchmarkRecord(b *testing.B) {
	for name, build := range recorders {
		b.Run(name, func(b *testing.B) {
			m := compile(b, build(b))
			for _, kib := range []uint64{64, 8 << 10, 32 << 10} {
				b.Run(fmt.Sprintf("restore/kib=%d", kib), func(b *testing.B) {
					i := recorder(b, m)
					grew := false
					record(b, i, func() error {
						_, err := i.Call(b.Context(), "record", 7, kib)
						grew = grew || i.memory.size != i.memory.before
						return err
					})
					b.ReportMetric(float64(i.memory.before>>20), "MiB")
					if grew {
						b.ReportMetric(1, "grew")
					}
				})
			}
			b.Run("anew", func(b *testing.B) {
				c := enough()
				c.MemoryBytes, c.Fuel = 256<<20, 1e12
				for b.Loop() {
					i, err := m.Instantiate(b.Context(), c)
					if err != nil {
						b.Fatal(err)
					}
					if _, err := i.Call(b.Context(), "_initialize"); err != nil {
						b.Fatal(err)
					}
					if _, err := i.Call(b.Context(), "record", 7, 64); err != nil {
						b.Fatal(err)
					}
					if err := i.Close(); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}
