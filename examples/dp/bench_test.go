// SPDX-License-Identifier: Apache-2.0

package dp_test

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"
)

// BenchmarkGradient computes gradients of made-up images in the engine, putting the guest back after each: nothing crosses to another
// process, and nothing is clipped. An operation is a hundred; the least time of one says more than the mean on a busy machine.
func BenchmarkGradient(b *testing.B) {
	for _, name := range []string{"linear", "mlp", "cnn", "scatter"} {
		b.Run(name, func(b *testing.B) {
			x, r, ctx := guest(b, name, `{}`), rand.New(rand.NewPCG(1, 2)), context.Background()
			var records [][]byte
			for range 100 {
				p, err := x.Prepare(ctx, []byte(image(r, 784)), 1<<14)
				if err != nil {
					b.Fatal(err)
				}
				records = append(records, append([]byte(nil), p...))
				if err := x.Restore(); err != nil {
					b.Fatal(err)
				}
			}
			least := time.Hour
			for b.Loop() {
				began := time.Now()
				for _, r := range records {
					if _, err := x.Gradient(ctx, r); err != nil {
						b.Fatal(err)
					}
					if err := x.Restore(); err != nil {
						b.Fatal(err)
					}
				}
				least = min(least, time.Since(began))
			}
			b.ReportMetric(float64(least)/1e3/float64(len(records)), "least-µs/gradient")
		})
	}
}
