// SPDX-License-Identifier: Apache-2.0

package scan_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/glovebox-dev/glovebox/transforms/redact/scan"
)

// TestPlaceInBlock: where a text begins among the bytes that the scanner looks at together moves no finding.
func TestPlaceInBlock(t *testing.T) {
	s := scan.New(scan.Options{})
	const most = 130 // more than two blocks
	for _, text := range append(slices.Clone(seeds), "geo:-48.2,16.3 x", "see you today or MONDAY, DEUTDEFF", "fe80::1 a:b://c") {
		want := s.Scan(nil, []byte(strings.Repeat(" ", most)+text))
		for pad := 90; pad < most; pad++ {
			got := s.Scan(nil, []byte(strings.Repeat(" ", pad)+text))
			for i := range got {
				got[i].Start += most - pad
				got[i].End += most - pad
			}
			if !slices.Equal(got, want) {
				t.Fatalf("%q after %d spaces: %v, after %d: %v", text, pad, got, most, want)
			}
		}
	}
	if got := found("geo:-48.2,16.3", 900); len(got) != 1 {
		t.Error("a position south of the equator is found:", got)
	}
}
