// SPDX-License-Identifier: Apache-2.0

package clip

// lanes is how many sums of squares there are: element i goes to sum i mod lanes, in each kernel, so that all round alike.
const lanes = 16

// load copies from to to, and gives the sum of the squares of the copy's elements.
func load(simd bool, to, from []float32) float64 {
	var sums [lanes]float64
	done := 0
	if simd {
		done = len(to) / lanes * lanes
		loadBlocks(to[:done], from[:done], &sums)
	}
	loadGo(to[done:], from[done:], &sums)
	return total(&sums)
}

// square gives what load does, without a copy.
func square(simd bool, of []float32) float64 {
	var sums [lanes]float64
	done := 0
	if simd {
		done = len(of) / lanes * lanes
		squareBlocks(of[:done], &sums)
	}
	squareGo(of[done:], &sums)
	return total(&sums)
}

// total adds up the sums, by halves.
func total(sums *[lanes]float64) float64 {
	for width := lanes / 2; width > 0; width /= 2 {
		for i := range width {
			sums[i] += sums[i+width]
		}
	}
	return sums[0]
}

// The conversions of products forbid the compiler to fuse them with the sums, which rounds differently.

func loadGo(to, from []float32, sums *[lanes]float64) {
	for i := range to {
		g := from[i]
		to[i] = g
		sums[i%lanes] += float64(float64(g) * float64(g))
	}
}

func squareGo(of []float32, sums *[lanes]float64) {
	for i, g := range of {
		sums[i%lanes] += float64(float64(g) * float64(g))
	}
}

// add adds what it reads from to to.
func add(simd bool, to, from []float32) {
	done := 0
	if simd {
		done = len(to) / lanes * lanes
		addBlocks(to[:done], from[:done])
	}
	for i := done; i < len(to); i++ {
		to[i] += from[i]
	}
}

// quantise adds the unit's elements times a factor to a sum, each rounded towards zero. All products are below 2³¹.
func quantise(simd bool, sum []int32, unit []float32, factor float64) {
	done := 0
	if simd {
		done = len(unit) / lanes * lanes
		quantiseBlocks(sum[:done], unit[:done], factor)
	}
	for i := done; i < len(unit); i++ {
		sum[i] += int32(float64(unit[i]) * factor)
	}
}
