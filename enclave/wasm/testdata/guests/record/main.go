// SPDX-License-Identifier: Apache-2.0

// Command record is a guest that is called for one record at a time and remembers them all, unless it is put back.
package main

import (
	"fmt"
	"math/rand/v2"
	"time"
)

var (
	seen  = map[int32]string{}
	table = make([]float64, 1<<17) // a model of a megabyte
	keep  [][]byte
)

//go:wasmexport record
func record(n, kib int32) int64 {
	seen[n] = fmt.Sprint("record ", n, time.Now().UnixNano(), rand.Int())
	keep = append(keep, make([]byte, int(kib)<<10))
	sum := 0.0
	for i := range table[:64] {
		table[i*2048] += float64(n)
		sum += table[i*2048]
	}
	return int64(sum) + int64(len(seen))<<32
}

func main() {}
