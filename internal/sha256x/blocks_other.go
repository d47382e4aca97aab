// SPDX-License-Identifier: Apache-2.0

//go:build !amd64

package sha256x

// accelerated says that there is nothing faster than the standard library here.
const accelerated = false

// compressTwo is never called.
func compressTwo(_, _ *[8]uint32, _, _ []byte, _ int) { panic("sha256x: no lanes") }
