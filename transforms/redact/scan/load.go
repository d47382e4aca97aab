// SPDX-License-Identifier: Apache-2.0

//go:build !wasm

package scan

import "encoding/binary"

// load is the eight bytes at i, which the caller knows are there.
func load(text []byte, i int) uint64 { return binary.LittleEndian.Uint64(text[i:]) }

// pair is the two bytes at k, which is a constant.
func pair(t *[block]byte, k int) uint16 { return binary.LittleEndian.Uint16(t[k:]) }
