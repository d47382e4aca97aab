// SPDX-License-Identifier: Apache-2.0

//go:build !amd64

package clip

func haveSIMD() bool { return false }

func loadBlocks(to, from []float32, sums *[lanes]float64) { loadGo(to, from, sums) }

func squareBlocks(of []float32, sums *[lanes]float64) { squareGo(of, sums) }

func addBlocks(to, from []float32) { add(false, to, from) }

func quantiseBlocks(sum []int32, unit []float32, factor float64) { quantise(false, sum, unit, factor) }
