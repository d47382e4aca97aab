// SPDX-License-Identifier: Apache-2.0

package choose

import (
	"bytes"
	"os"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestLanguages measures the detector on sentences that were written for this test. Of each language at least four in five must be
// told, and of all at most one in fifty may be told wrongly: "" is the right answer where it is not clear.
func TestLanguages(t *testing.T) {
	b, err := os.ReadFile("testdata/sentences.txt")
	if err != nil {
		t.Fatal(err)
	}
	told, total, wrong := map[string]int{}, map[string]int{}, 0
	for line := range strings.Lines(string(b)) {
		code, sentence, ok := strings.Cut(strings.TrimSpace(line), "\t")
		if !ok {
			continue
		}
		total[code]++
		switch got := Detect([]byte(sentence)); got {
		case code:
			told[code]++
		case "":
			t.Logf("%s not told: %s", code, sentence)
		default:
			t.Logf("%s told as %s: %s", code, got, sentence)
			wrong++
		}
	}
	all, right := 0, 0
	for _, code := range Languages() {
		if total[code] < 5 {
			t.Errorf("%s: %d sentences, want 5 or more", code, total[code])
		}
		if 5*told[code] < 4*total[code] {
			t.Errorf("%s: %d of %d told", code, told[code], total[code])
		}
		all, right = all+total[code], right+told[code]
	}
	t.Logf("%d of %d told, %d wrongly", right, all, wrong)
	if 50*wrong > all {
		t.Errorf("%d of %d told wrongly", wrong, all)
	}
}

func TestLanguageUnknown(t *testing.T) {
	for _, s := range []string{"", "12345 67890", "lorem ipsum dolor sit amet consectetur", "xkcd qwrt zzzz", "ab", "SELECT id FROM t", "\xff\xfe\xfd"} {
		if got := Detect([]byte(s)); got != "" {
			t.Errorf("%q is %s", s, got)
		}
	}
}

func FuzzDetect(f *testing.F) {
	for _, s := range []string{"", "the text", "ÀÉ Ÿ İ", "привет как дела", "\xff", "日本語のテキスト"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		code := Detect(b)
		if code != "" && !bytes.Contains([]byte(strings.Join(Languages(), " ")), []byte(code)) {
			t.Fatal(code)
		}
		if utf8.Valid(b) && code != Detect([]byte(strings.ToUpper(string(b)))) && bytes.IndexFunc(b, func(u rune) bool { return u > 0x24f || u == 'ı' || u == 'ß' || u == 'ŉ' || u == 'ſ' || u == 'ǰ' }) < 0 && len(b) < 1000 {
			t.Fatalf("%q: capitals change %s to %s", b, code, Detect([]byte(strings.ToUpper(string(b)))))
		}
	})
}
