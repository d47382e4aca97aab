// SPDX-License-Identifier: Apache-2.0

package clip

import "golang.org/x/sys/cpu"

// haveSIMD reports whether processor and kernel support AVX2 (the package cpu asks both).
func haveSIMD() bool { return cpu.X86.HasAVX2 }

// The kernels in kernel_amd64.s check nothing: the functions below touch the last element that each will read or write first,
// so that an error of ours panics in Go instead of reaching other memory. Lengths are multiples of lanes.

func loadBlocks(to, from []float32, sums *[lanes]float64) {
	if n := len(to); n > 0 {
		_ = from[n-1]
		load16(n/lanes, &to[0], &from[0], &sums[0])
	}
}

func squareBlocks(of []float32, sums *[lanes]float64) {
	if n := len(of); n > 0 {
		square16(n/lanes, &of[0], &sums[0])
	}
}

func addBlocks(to, from []float32) {
	if n := len(to); n > 0 {
		_ = from[n-1]
		add16(n/lanes, &to[0], &from[0])
	}
}

func quantiseBlocks(sum []int32, unit []float32, factor float64) {
	if n := len(unit); n > 0 {
		_ = sum[n-1]
		quantise16(n/lanes, &sum[0], &unit[0], factor)
	}
}

// load16 copies blocks of 16 elements, reading each once, and adds their squares to 16 sums.
//
//go:noescape
func load16(blocks int, to, from *float32, sums *float64)

// square16 adds the squares of blocks of 16 elements to 16 sums.
//
//go:noescape
func square16(blocks int, of *float32, sums *float64)

// add16 adds blocks of 16 elements, reading each once.
//
//go:noescape
func add16(blocks int, to, from *float32)

// quantise16 adds blocks of 16 elements times a factor, rounded towards zero.
//
//go:noescape
func quantise16(blocks int, sum *int32, unit *float32, factor float64)
