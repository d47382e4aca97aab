// SPDX-License-Identifier: Apache-2.0

// Command guest is the scanner as a WebAssembly module, for tests and benchmarks.
package main

import (
	"unsafe"

	"github.com/glovebox-dev/glovebox/transforms/redact/scan"
	"github.com/glovebox-dev/glovebox/transforms/redact/span"
)

var (
	text    []byte
	found   []span.Finding
	scanner = scan.New(scan.Options{})
)

//go:wasmexport room
func room(n int32) int32 {
	text = make([]byte, n)
	return int32(uintptr(unsafe.Pointer(unsafe.SliceData(text))))
}

// scanText says how much was found.
//
//go:wasmexport scan
func scanText() int64 {
	found = scanner.Scan(found[:0], text)
	return int64(len(found))
}

// digest is of all that was found last.
//
//go:wasmexport digest
func digest() int64 {
	h := uint64(len(found))
	mix := func(v uint64) { h = (h ^ v) * 1099511628211 }
	for i := range found {
		f := &found[i]
		mix(uint64(f.Start))
		mix(uint64(f.End))
		mix(uint64(f.Score))
		mix(uint64(f.Why))
		for _, b := range []byte(f.Type) {
			mix(uint64(b))
		}
		for _, b := range []byte(f.Rule) {
			mix(uint64(b))
		}
	}
	return int64(h)
}

func main() {}
