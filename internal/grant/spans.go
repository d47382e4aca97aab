// SPDX-License-Identifier: Apache-2.0

package grant

import "github.com/glovebox-dev/glovebox/internal/dataset"

// Spans are the ranges as a package's manifest takes them.
func (rs Ranges) Spans() []dataset.Span {
	out := make([]dataset.Span, len(rs))
	for i, r := range rs {
		out[i] = dataset.Span{First: r.First, Count: r.Count}
	}
	return out
}

// RangesOf are spans as a grant has them.
func RangesOf(spans []dataset.Span) Ranges {
	out := make(Ranges, len(spans))
	for i, s := range spans {
		out[i] = Range{First: s.First, Count: s.Count}
	}
	return out
}
