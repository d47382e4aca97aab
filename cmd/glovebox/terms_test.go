// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"
)

func TestParseMoney(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "5": 5_000_000, "12.50": 12_500_000, "0.000001": 1, ".5": 500_000, "9007199254.740991": 1<<53 - 1} {
		if got, err := parseMoney(s); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "-1", "1e3", "0.0000001", "1/3", "0x10", "1_000", "9007199254.740992", "99999999999999999999", "1.2.3", "."} {
		if got, err := parseMoney(s); err == nil {
			t.Errorf("%q is taken for %d", s, got)
		}
	}
}

func TestParseSize(t *testing.T) {
	for s, want := range map[string]int64{"0": 0, "17": 17, "1B": 1, "4K": 4096, "512KiB": 512 << 10, "16MiB": 16 << 20, "2G": 2 << 30} {
		if got, err := parseSize(s); err != nil || got != want {
			t.Errorf("%q: %d, %v; want %d", s, got, err, want)
		}
	}
	for _, s := range []string{"", "MiB", "-1", "1.5MiB", "1 MiB", "1TiB", "9999999999G", "1iB", "1KM"} {
		if got, err := parseSize(s); err == nil {
			t.Errorf("%q is taken for %d", s, got)
		}
	}
}

func TestNameOf(t *testing.T) {
	for path, want := range map[string]string{"/x/Scans 2024.csv": "scans-2024", "a.b.csv": "a.b", "dir/": "dir", "main.wasm": "main", "s.tar.gz": "s", "s.1.tar": "s.1", "s.tgz": "s", "s.csv.gz": "s.csv"} {
		if got := nameOf(path); got != want {
			t.Errorf("%q: %q, want %q", path, got, want)
		}
	}
}

// FuzzParseMoney: whatever is taken is in range, and never a different amount than its digits say.
func FuzzParseMoney(f *testing.F) {
	for _, s := range []string{"0", "12.50", ".5", "1e3", "9007199254.740991", "1/3"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := parseMoney(s)
		if err != nil {
			return
		}
		text := money(n, "EUR")
		again, err := parseMoney(text[:len(text)-len(" EUR")])
		if err != nil || again != n {
			t.Errorf("%q is %d, printed as %q, read back as %d: %v", s, n, text, again, err)
		}
	})
}
