// SPDX-License-Identifier: Apache-2.0

package choose_test

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/internal/dataset"
	"github.com/glovebox-dev/glovebox/transforms/choose"
)

// TestGolden holds which of made-up records stay to what was recorded for each step's version: the same on every machine.
func TestGolden(t *testing.T) {
	var b strings.Builder
	words := strings.Fields("der die das the and of le la les et en casa y el por report mail server meeting Haus jardin")
	for i, x := 0, uint32(7); i < 400; i++ {
		fmt.Fprintf(&b, `{"id":%d,"age":%d,"consent":["research"],"text":"`, i, i%90)
		for range 12 + i%3 {
			x = x*1664525 + 1013904223
			b.WriteString(words[int(x>>24)%(4+i%16)] + " ")
		}
		b.WriteString("\"}\n")
	}
	for _, c := range []struct{ name, version, config, golden string }{
		{"filter", choose.FilterVersion, `{"consent":{"field":"consent[]","scopes":["research"]},"language":{"fields":["text"],"in":["de","fr"]},"where":[{"field":"age","range":{"min":18}}]}`, "aafdf42b41c2eb69"},
		{"sample", choose.SampleVersion, `{"by":"id","fraction":"1/7"}`, "04b9bb891a58ed65"},
		{"deduplicate", choose.DeduplicateVersion, `{"fields":["text"],"near":{"shingle":2,"threshold":0.5}}`, "69660ee152a6265f"},
	} {
		out, p, err := run(t, dataset.FormatJSONL, c.name, c.config, b.String())
		if err != nil {
			t.Fatal(err)
		}
		sum := sha256.Sum256([]byte(strings.Join(out, "\n")))
		if got := hex.EncodeToString(sum[:8]); got != c.golden || len(out) == 0 || len(out) == 400 {
			t.Errorf("%s, version %s: %s of %d records (%v), recorded is %s: give it another version", c.name, c.version, got, len(out), p.Figures(), c.golden)
		}
	}
}
