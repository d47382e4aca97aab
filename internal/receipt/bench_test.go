// SPDX-License-Identifier: Apache-2.0

package receipt_test

import (
	"testing"

	"github.com/glovebox-dev/glovebox/internal/receipt"
)

func BenchmarkVerify(b *testing.B) {
	w := newWorld(b)
	for name, compact := range map[string]string{"ES256": w.Sign(w.claims(b)), "RS256": w.SignRSA(w.claims(b))} {
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := receipt.Verify(compact, w.want, now); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
