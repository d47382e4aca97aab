// SPDX-License-Identifier: Apache-2.0

package main

import (
	"maps"
	"testing"
)

func TestSectionsAreReplacedInPlace(t *testing.T) {
	const a, b, c = "# Title\n\ntext\n", "\n## One\n\nfirst\n", "\n## Two\n\nsecond\n"
	for _, x := range []struct{ name, old, title, section, want string }{
		{"the first", a + b + c, "One", "## One\n\nnew\n", a + "\n## One\n\nnew\n" + c},
		{"the last", a + b + c, "Two", "## Two\n\nnew\n", a + b + "\n## Two\n\nnew\n"},
		{"a new one comes first", a + b + c, "New", "## New\n\nnew\n", a + "\n## New\n\nnew\n" + b + c},
		{"before another document", a + b + "\n# Other\n", "One", "## One\n\nnew\n", a + "\n## One\n\nnew\n" + "\n# Other\n"},
		{"the only one", a, "New", "## New\n\nnew\n", a + "\n## New\n\nnew\n"},
	} {
		t.Run(x.name, func(t *testing.T) {
			if got := replaceSection(x.old, x.title, x.section); got != x.want {
				t.Errorf("got %q, want %q", got, x.want)
			}
			if got := replaceSection(x.want, x.title, x.section); got != x.want {
				t.Errorf("again: got %q, want %q", got, x.want)
			}
		})
	}
}

func TestFiguresAreRead(t *testing.T) {
	f := latencyFigures("small module, 141 bytes; first job: 80.5 ms to the first byte\n\n| stage | p50 ms | p99 ms | least ms |\n|---|---|---|---|\n" +
		"| submit to first byte | 40.1 | 90.2 | 30.3 |\n")
	want := map[string]float64{"p50": 40.1, "p99": 90.2, "least": 30.3}
	if !maps.Equal(f["small: submit to first byte"], want) || f["small: first job"]["ms"] != 80.5 || f["small: module"]["bytes"] != 141 {
		t.Errorf("got %v", f)
	}
	f = latencyFigures("| 10000 queued jobs, 16 clients | all | p50 ms | p99 ms |\n|---|---|---|---|\n| submit the last tenth | 1000 in 7.8 s, 129/s | 54.0 | 99.1 |\n" +
		"| peak memory | 2.6 MB | – | – |\n| list all | 970 ms | – | – |\n")
	if f["peak memory"]["all"] != 2.6 || f["submit the last tenth"]["per-s"] != 129 || f["submit the last tenth"]["p50"] != 54 || f["list all"]["all"] != 970 {
		t.Errorf("got %v", f)
	}
	f = goFigures("goos: linux\nBenchmarkSeal/dir-16MiB   \t 5\t 0.78 of-plain\t 336 allocs/GiB\nPASS\n")
	if f["Seal/dir-16MiB"]["of-plain"] != 0.78 || len(f.under("Seal")) != 1 {
		t.Errorf("got %v", f)
	}
}

func TestTargets(t *testing.T) {
	for _, x := range []struct {
		target target
		n      float64
		met    string
	}{
		{atLeast(0.9, ""), 0.9, "yes"}, {atLeast(0.9, ""), 0.89, "**no**"}, {atMost(10, "ms"), 10, "yes"}, {atMost(10, "ms"), 10.1, "**no**"},
	} {
		if got := x.target.row("", "", x.n); got.met != x.met {
			t.Errorf("%v of %v is %q", x.target, x.n, got.met)
		}
	}
	if got := thousands(1234567); got != "1,234,567" {
		t.Errorf("got %s", got)
	}
}
