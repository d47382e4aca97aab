// SPDX-License-Identifier: Apache-2.0

package receipt_test

import (
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/envelope"
	"github.com/glovebox-dev/glovebox/internal/jws"
	"github.com/glovebox-dev/glovebox/internal/receipt"
)

// FuzzVerify: what verifies was signed in the corpus, and an independent implementation agrees; what is refused says why.
func FuzzVerify(f *testing.F) {
	vectors := loadVectors(f)
	signed := map[string]bool{}
	var w vector
	for _, v := range vectors {
		f.Add(v.body)
		if v.expect == "ok" {
			w = v
			signed[v.body[:strings.LastIndexByte(v.body, '.')]] = true
		}
	}
	if len(signed) < 3 {
		f.Fatal("no valid vectors")
	}
	f.Fuzz(func(t *testing.T, compact string) {
		r, err := receipt.Verify(compact, w.want, w.now)
		if err != nil {
			if r != nil || len(receipt.Refusals(err)) == 0 {
				t.Fatalf("refused without a reason: %v", err)
			}
			return
		}
		if !signed[compact[:strings.LastIndexByte(compact, '.')]] || !independent(compact, w.want.Keys) {
			t.Fatalf("nobody signed %s", compact)
		}
	})
}

// FuzzPeek: claims that can be read at all are claims that are written so again.
func FuzzPeek(f *testing.F) {
	vectors := loadVectors(f)
	for _, v := range vectors {
		f.Add(v.body)
	}
	if len(vectors) == 0 {
		f.Fatal("no vectors")
	}
	f.Fuzz(func(t *testing.T, compact string) {
		r, err := receipt.Peek(compact)
		if err != nil {
			return
		}
		if r.Valid() {
			t.Fatal("valid without a signature")
		}
		b, err := envelope.Canonical(r.Claims)
		if err != nil {
			t.Fatal(err)
		}
		var again receipt.Claims
		if err := jws.Exact(b, receipt.MaxReceipt, &again); err != nil || again.SaleID() != r.Sale {
			t.Fatalf("%s: %v", b, err)
		}
	})
}
