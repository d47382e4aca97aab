// SPDX-License-Identifier: Apache-2.0

package wasm

import (
	"fmt"
	"testing"
)

// touchPages is how a guest touches memory: "touch" writes to so many pages of 4 KiB, spread over the whole memory.
func touchPages(mib int) module {
	return module{
		memory: []uint64{uint64(mib) << 20 / pageBytes, uint64(mib)<<20/pageBytes + 16},
		funcs: []function{
			{export: "touch", params: []byte{i32, i32}, locals: []byte{i32}, code: forever(
				localGet(0), op(0x45, 0x04, 0x40, 0x0f, 0x0b), // if no page is left, return
				localGet(0), con32(1), op(0x6b), localSet(0),
				localGet(2), localGet(0), op(0x36, 2, 0),
				localGet(2), localGet(1), op(0x6a), localSet(2),
			)},
			{export: "grow", code: code(con32(1), memoryGrow, drop)},
		},
	}
}

// BenchmarkRestore measures a record: so many pages touched by the guest, and the restore after it. ns/restore is the
// restore alone.
func BenchmarkRestore(b *testing.B) {
	for _, mib := range []int{16, 256, 1024} {
		m := compile(b, touchPages(mib).bytes())
		for _, pages := range []uint64{1, 16, 256, 4096} {
			step := uint64(mib) << 20 / pages
			c := snapshots(b)
			c.MemoryBytes, c.Fuel = 2<<30, 1e12
			i := instantiate(b, m, c)
			if _, err := i.Call(b.Context(), "touch", 256, uint64(mib)<<20/256); err != nil { // the image is not empty
				b.Fatal(err)
			}
			if err := i.Snapshot(); err != nil {
				b.Fatal(err)
			}
			b.Run(fmt.Sprintf("memory=%dMiB/pages=%d", mib, pages), func(b *testing.B) {
				record(b, i, func() error { _, err := i.Call(b.Context(), "touch", pages, step); return err })
			})
			if pages == 16 {
				b.Run(fmt.Sprintf("memory=%dMiB/pages=%d/grown", mib, pages), func(b *testing.B) {
					record(b, i, func() error {
						_, err := i.Call(b.Context(), "touch", pages, step)
						if err == nil {
							_, err = i.Call(b.Context(), "grow")
						}
						return err
					})
				})
			}
			if err := i.Close(); err != nil {
				b.Fatal(err)
			}
		}
		b.Run(fmt.Sprintf("memory=%dMiB/pages=16/anew", mib), func(b *testing.B) { anew(b, m, uint64(mib)<<20) })
	}
}

// anew makes the guest for each record instead, and brings it to where the snapshot was.
func anew(b *testing.B, m *Module, size uint64) {
	c := enough()
	c.MemoryBytes, c.Fuel = 2<<30, 1e12
	for b.Loop() {
		i, err := m.Instantiate(b.Context(), c)
		if err != nil {
			b.Fatal(err)
		}
		for _, pages := range []uint64{256, 16} {
			if _, err := i.Call(b.Context(), "touch", pages, size/pages); err != nil {
				b.Fatal(err)
			}
		}
		if err := i.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSnapshot measures a snapshot of a memory of which so many pages were written.
func BenchmarkSnapshot(b *testing.B) {
	for _, mib := range []int{16, 1024} {
		m := compile(b, touchPages(mib).bytes())
		for _, pages := range []uint64{1, 4096} {
			b.Run(fmt.Sprintf("memory=%dMiB/pages=%d", mib, pages), func(b *testing.B) {
				var took int64
				for b.Loop() {
					f, err := NewSnapshotFile()
					if err != nil {
						b.Fatal(err)
					}
					i, err := m.Instantiate(b.Context(), Config{MemoryBytes: 2 << 30, Fuel: 1e12, SnapshotFile: f})
					if err != nil {
						b.Fatal(err)
					}
					if _, err := i.Call(b.Context(), "touch", pages, uint64(mib)<<20/pages); err != nil {
						b.Fatal(err)
					}
					began := nanos()
					if err := i.Snapshot(); err != nil {
						b.Fatal(err)
					}
					took += nanos() - began
					_ = i.Close()
					_ = f.Close()
				}
				b.ReportMetric(float64(took)/float64(b.N), "ns/snapshot")
			})
		}
	}
}

// record runs a record and restores, over and over, and reports the restore apart.
func record(b *testing.B, i *Instance, run func() error) {
	var restores int64
	for b.Loop() {
		if err := run(); err != nil {
			b.Fatal(err)
		}
		began := nanos()
		if err := i.Restore(); err != nil {
			b.Fatal(err)
		}
		restores += nanos() - began
	}
	b.ReportMetric(float64(restores)/float64(b.N), "ns/restore")
}
