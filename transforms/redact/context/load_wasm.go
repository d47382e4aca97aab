// SPDX-License-Identifier: Apache-2.0

package context

import "unsafe"

// load is the eight bytes at i, which the caller knows are there. WebAssembly loads them in one instruction wherever they are, and
// Go's compiler does not find that out by itself: it loads byte by byte.
func load(text []byte, i int) uint64 {
	return *(*uint64)(unsafe.Add(unsafe.Pointer(unsafe.SliceData(text)), i))
}
