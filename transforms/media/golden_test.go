// SPDX-License-Identifier: Apache-2.0

package media_test

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"image"
	"image/color"
	"os"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/media"
)

var update = flag.Bool("update", false, "make the pictures anew; what becomes of them must then be recorded again")

// TestGolden holds what becomes of two pictures to what was recorded for the step's version: the same on every machine.
func TestGolden(t *testing.T) {
	if *update {
		small := image.NewPaletted(image.Rect(0, 0, 7, 5), color.Palette{color.Black, color.White, color.Transparent})
		p := before(pngOf(t, small), "IDAT", chunk("tEXt", "Author\x00CANARY"))
		p = before(p, "PLTE", chunk("iCCP", "a\x00\x00"+string(stored(profile(4, "RGB ", false)))))
		for name, b := range map[string][]byte{"dirty.jpg": dirtyJPEG(t, 6), "dirty.png": p} {
			if err := os.WriteFile("testdata/"+name, b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	for name, want := range map[string]string{
		"dirty.jpg": "62523db151141971",
		"dirty.png": "4eef6c8c7e1e90d3",
	} {
		b, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		out, kept, report := run(t, `{}`, name, b)
		if !kept {
			t.Fatalf("%s: %v", name, report.Quarantined)
		}
		sum := sha256.Sum256(append([]byte(out.Name), out.Raw...))
		if got := hex.EncodeToString(sum[:8]); got != want {
			t.Errorf("%s, version %s: %s, recorded is %s: give it another version", name, media.Version, got, want)
		}
	}
}
