// SPDX-License-Identifier: Apache-2.0

//go:build !wasm

package context

import "encoding/binary"

// load is the eight bytes at i, which the caller knows are there.
func load(text []byte, i int) uint64 { return binary.LittleEndian.Uint64(text[i:]) }
