// SPDX-License-Identifier: Apache-2.0

package dataset

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
)

// incompressible CSV of about n bytes.
func bigCSV(n int) string {
	r := rand.New(rand.NewPCG(1, 2))
	var b strings.Builder
	b.WriteString("id,value\n")
	for i := 0; b.Len() < n; i++ {
		fmt.Fprintf(&b, "%d,%016x%016x%016x%016x\n", i, r.Uint64(), r.Uint64(), r.Uint64(), r.Uint64())
	}
	return b.String()
}

func TestPackAndStream(t *testing.T) {
	src := bigCSV(1 << 20)
	f := newFixture(t)
	p := f.pack(f.config(FormatCSV, src))
	if err := VerifyBlobs(context.Background(), p.Manifest, f.store); err != nil {
		t.Fatal(err)
	}
	got, records, err := readAll(t, p.Manifest, f.store, f.key)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, []byte(src)) {
		t.Fatalf("stream differs: %d bytes, want %d", len(got), len(src))
	}
	if want := int64(strings.Count(src, "\n") - 1); records != want || p.Manifest.Records != want {
		t.Fatalf("records: streamed %d, manifest %d, want %d", records, p.Manifest.Records, want)
	}
	if len(p.Manifest.Segments) < 4 || p.Manifest.Tree.Size < 8 {
		t.Fatalf("%d segments, %d leaves: too few to test boundaries", len(p.Manifest.Segments), p.Manifest.Tree.Size)
	}
	v, err := VerifyBy(p.Signed, f.signer.Public())
	if err != nil || v.ID != p.ID {
		t.Fatalf("VerifyBy: %v", err)
	}
}
