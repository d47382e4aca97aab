// SPDX-License-Identifier: Apache-2.0

// Command records is a guest of record/1 that tries to remember the records it has seen.
package main

import (
	"fmt"
	"math/rand/v2"
	"os"
	"time"
	"unsafe"
)

var (
	seen   []string
	kept   [][]byte
	in     []byte
	answer []byte
)

//go:wasmexport record_alloc
func alloc(size int32) int32 {
	in = make([]byte, size+1) // so that there is a first byte to point at
	return int32(uintptr(unsafe.Pointer(&in[0])))
}

//go:wasmexport record
func record(_, size int32) int64 {
	what := string(in[:size])
	seen = append(seen, what)
	switch what {
	case "panic":
		panic(what)
	case "exit":
		os.Exit(3)
	case "grow":
		kept = append(kept, make([]byte, 16<<20))
	case "loop":
		for {
			seen[0] += "x"
			seen[0] = seen[0][1:]
		}
	case "file":
		err := os.WriteFile("/out", in, 0o600)
		seen = append(seen, fmt.Sprint(err))
	}
	answer = fmt.Append(nil, seen, len(kept), time.Now().UnixNano(), rand.Int(), os.Getenv("COLOUR"))
	return int64(uintptr(unsafe.Pointer(&answer[0])))<<32 | int64(len(answer))
}

func main() {}
