// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"syscall"
	"testing"
)

func BenchmarkDecide(b *testing.B) {
	e, err := Load(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	r := good()
	b.ReportAllocs()
	start := cpu()
	for b.Loop() {
		if d, err := e.Decide(b.Context(), r); err != nil || !d.Allow {
			b.Fatal(d, err)
		}
	}
	b.ReportMetric((cpu()-start)/float64(b.N), "cpu-us/op")
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
}

func cpu() float64 {
	var r syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &r)
	return float64(r.Utime.Nano()+r.Stime.Nano()) / 1e3
}
