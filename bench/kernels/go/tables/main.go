// SPDX-License-Identifier: Apache-2.0

// Command tables counts 400,000 words in a map, sorts what it found, and sorts 400,000 numbers: memory accesses and calls
// through functions.
package main

import (
	"cmp"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
)

func main() {
	state := uint32(12345)
	next := func() uint32 {
		state = state*1664525 + 1013904223
		return state >> 8
	}
	counts := map[string]int{}
	var word strings.Builder
	for range 400_000 {
		word.Reset()
		for v := next() % 50_000; v > 0; v /= 26 {
			word.WriteByte(byte('a' + v%26))
		}
		counts[word.String()]++
	}
	type entry struct {
		word string
		n    int
	}
	var entries []entry
	for w, n := range counts {
		entries = append(entries, entry{w, n})
	}
	slices.SortFunc(entries, func(x, y entry) int { return cmp.Or(cmp.Compare(y.n, x.n), strings.Compare(x.word, y.word)) })
	h := fnv.New64a()
	for _, e := range entries {
		fmt.Fprintln(h, e.word, e.n)
	}
	values := make([]uint32, 400_000)
	for i := range values {
		values[i] = next()
	}
	slices.Sort(values)
	for i := 0; i < len(values); i += 1000 {
		fmt.Fprintln(h, values[i])
	}
	fmt.Printf("%016x\n", h.Sum64())
}
