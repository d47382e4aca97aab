// SPDX-License-Identifier: Apache-2.0

package media_test

import (
	"bytes"
	"image/jpeg"
	"os"
	"path/filepath"
	"testing"
)

// forms are pictures of noise in the codings that Go does not write: progressive, with restarts, grey, CMYK.
func forms(t testing.TB) map[string][]byte {
	t.Helper()
	names, err := filepath.Glob("testdata/*.jpg")
	if err != nil || len(names) < 6 {
		t.Fatalf("%d pictures: %v", len(names), err)
	}
	out := map[string][]byte{}
	for _, n := range names {
		b, err := os.ReadFile(n)
		if err != nil {
			t.Fatal(err)
		}
		out[n] = b
	}
	return out
}

func TestJPEGForms(t *testing.T) {
	for name, in := range forms(t) {
		out, kept, report := run(t, `{}`, "a", in)
		if !kept {
			t.Errorf("%s: %v", name, report.Quarantined)
			continue
		}
		if _, err := jpeg.Decode(bytes.NewReader(in)); err == nil { // Go does not read progressive pictures with restarts
			samePixels(t, in, out.Raw)
		} else if !bytes.HasSuffix(out.Raw, in[len(in)/2:]) {
			t.Errorf("%s: pixels were changed", name)
		}
		if again, _, _ := run(t, `{}`, "a", out.Raw); !bytes.Equal(again.Raw, out.Raw) {
			t.Errorf("%s: a clean picture was changed", name)
		}
	}
}

// TestJPEGHidesDataBehindAPicture: what somebody wrote into the entropy-coded data behind the last block does not stay.
func TestJPEGHidesDataBehindAPicture(t *testing.T) {
	for name, in := range forms(t) {
		clean, _, _ := run(t, `{}`, "a", in)
		end := len(clean.Raw) - 2
		hidden := append(append(bytes.Clone(clean.Raw[:end]), "\x00CANARY\xff\x00 in the data"...), 0xff, 0xd9)
		out, kept, report := run(t, `{}`, "a", hidden)
		if !kept || !bytes.Equal(out.Raw, clean.Raw) || names(report.Findings) == "" {
			t.Errorf("%s: kept %v, %d bytes, want %d: %v %v", name, kept, len(out.Raw), len(clean.Raw), report.Findings, report.Quarantined)
		}
		cut := append(bytes.Clone(clean.Raw[:end-8]), 0xff, 0xd9)
		if _, kept, _ := run(t, `{}`, "a", cut); kept {
			t.Errorf("%s: a picture without its end passed", name)
		}
	}
}
