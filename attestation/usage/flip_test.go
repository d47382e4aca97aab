// SPDX-License-Identifier: Apache-2.0

package usage_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/glovebox-dev/glovebox/attestation/usage"
	"github.com/glovebox-dev/glovebox/attestation/usage/usagetest"
)

// TestEveryFlippedByteIsNamed flips every byte of a bundle whole, which stops the parser, and one bit of many bytes,
// which mostly gets past it to the signatures and proofs. Each is refused, and a finding names the part the byte is in.
// A short test takes fewer.
func TestEveryFlippedByteIsNamed(t *testing.T) {
	r := usagetest.New(t, usagetest.Scenario{Witnesses: 2})
	if v := r.Verify(); !v.OK() {
		t.Fatalf("the bundle does not verify before it is damaged: %v", v.Findings)
	}
	parts := partsOf(t, r.Bundle)
	whole, usageBit, otherBit := 1, 3, 13 // strides; the last two meet every bit in turn
	if testing.Short() {
		whole, usageBit, otherBit = 31, 61, 127
	}
	flip := func(i int, mask byte) {
		b := bytes.Clone(r.Bundle)
		b[i] ^= mask
		v, err := usage.Audit(context.Background(), b, r.Trust, r.Formats)
		switch {
		case err != nil:
			t.Errorf("byte %d: %v", i, err)
		case v.OK():
			t.Errorf("byte %d of %s: flipped by %#x and still verified", i, parts[i], mask)
		case !named(v, parts[i]):
			t.Errorf("byte %d of %s: flipped by %#x, no finding names it: %v", i, parts[i], mask, v.Findings)
		}
	}
	var group sync.WaitGroup
	workers := runtime.GOMAXPROCS(0)
	for w := range workers {
		group.Go(func() {
			for i := w; i < len(r.Bundle); i += workers {
				stride := otherBit
				if parts[i] == usage.PartUsage || parts[i] == usage.PartProof {
					stride = usageBit
				}
				if i%whole == 0 {
					flip(i, 0xff)
				}
				if i%stride == 0 {
					flip(i, 1<<(i%8))
				}
			}
		})
	}
	group.Wait()
}

// named reports whether a finding is about part, or about the bundle as a whole where the byte is between parts.
func named(v *usage.Verdict, part string) bool {
	for _, f := range v.Findings {
		if f.Part == part || part == usage.PartBundle {
			return true
		}
	}
	return false
}

// partsOf says for each byte of a bundle which part it belongs to.
func partsOf(t *testing.T, bundle []byte) []string {
	t.Helper()
	var m map[string]json.RawMessage
	if err := json.Unmarshal(bundle, &m); err != nil {
		t.Fatal(err)
	}
	out := make([]string, len(bundle))
	for i := range out {
		out[i] = usage.PartBundle
	}
	mark := func(raw []byte, part string) {
		at := bytes.Index(bundle, raw)
		if at < 0 || len(raw) < 100 {
			t.Fatalf("%s is not in the bundle", part)
		}
		for i := range raw {
			out[at+i] = part
		}
	}
	for name, part := range map[string]string{"usage": usage.PartProof, "evidence": usage.PartEvidence, "job": usage.PartJob, "ticket": usage.PartTicket} {
		mark(m[name], part)
	}
	var s struct {
		DSSE json.RawMessage `json:"dsseEnvelope"`
	}
	if err := json.Unmarshal(m["usage"], &s); err != nil {
		t.Fatal(err)
	}
	mark(s.DSSE, usage.PartUsage)
	const name = `"dsseEnvelope":` // between the two
	for i := range name {
		out[bytes.Index(bundle, []byte(name))+i] = usage.PartBundle
	}
	for _, name := range []string{"manifests", "grants", "commits", "proofs"} {
		var list []json.RawMessage
		if err := json.Unmarshal(m[name], &list); err != nil {
			t.Fatal(err)
		}
		for i, raw := range list {
			mark(raw, fmt.Sprintf("%s[%d]", strings.TrimSuffix(name, "s"), i))
		}
	}
	return out
}
