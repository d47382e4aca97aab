// SPDX-License-Identifier: Apache-2.0

package policies

import (
	"slices"
	"testing"
	"time"
)

// BenchmarkDecide is one decision, everything included. The mean is that of the machine as it is; min-µs and p50-µs are of
// single decisions, and min is what is left of other processes.
//
// Measured on two cores of an AMD EPYC at 2.4 GHz under a load of 20, min-µs: open access 279, with a receipt 344, denied with
// all reasons 393, with a receipt and rules of the creator's own 377. On the same machine in the same hour the engine before
// this one, with half the conditions and JSON on the way, took 367. That is above the 150 µs that are asked for; where it
// goes: about 3 µs a comparison and 5 µs a rule, over some 60 and 40.
func BenchmarkDecide(b *testing.B) {
	plain, err := Load(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	own, err := LoadWith(b.Context(), Options{Creator: rules(noFrance + "\n\nnarrow := {\"epochs\": 4} if input.job.commercial\n\ndefault narrow := {}")})
	if err != nil {
		b.Fatal(err)
	}
	denied := good()
	denied.Job.Purpose = "advertising"
	for _, c := range []struct {
		name  string
		e     *Engine
		r     Request
		allow bool
	}{
		{"open", plain, allowed()["open"], true},
		{"receipt", plain, good(), true},
		{"denied", plain, denied, false},
		{"receipt-own-rules", own, good(), true},
	} {
		b.Run(c.name, func(b *testing.B) {
			var took []time.Duration
			b.ReportAllocs()
			for b.Loop() {
				start := time.Now()
				if d, err := c.e.Decide(b.Context(), c.r); err != nil || d.Allow != c.allow {
					b.Fatal(d, err)
				}
				took = append(took, time.Since(start))
			}
			slices.Sort(took)
			b.ReportMetric(float64(took[0].Nanoseconds())/1e3, "min-µs")
			b.ReportMetric(float64(took[len(took)/2].Nanoseconds())/1e3, "p50-µs")
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "decisions/s")
		})
	}
}
