// SPDX-License-Identifier: Apache-2.0

package nn

import (
	"math"

	"github.com/glovebox-dev/glovebox/sdk/go/glovebox/train"
)

// uniform draws numbers with this variance.
func uniform(w []float32, variance float64, c *train.Chance) {
	width := math.Sqrt(12 * variance)
	for i := range w {
		w[i] = float32(width * (c.Uniform() - 0.5))
	}
}

// dense is out = W·in + b; W stands output by output, and then b.
type dense struct {
	in, out int
	gain    float64 // of initial weights: their variance is this over in
	zero    bool    // they are zeros
}

func (l *dense) sizes() (in, out, params int) { return l.in, l.out, (l.in + 1) * l.out }

func (l *dense) fill(w []float32, c *train.Chance) {
	if !l.zero {
		uniform(w[:l.in*l.out], l.gain/float64(l.in), c)
	}
}

func (l *dense) forward(w, in, out []float32) {
	for k := range out {
		s := w[l.in*l.out+k]
		for i, v := range w[k*l.in : (k+1)*l.in] {
			s += v * in[i]
		}
		out[k] = s
	}
}

func (l *dense) backward(w, in, _, dOut, g, dIn []float32) {
	for k, d := range dOut {
		g[l.in*l.out+k] += d
		if d == 0 {
			continue
		}
		row := g[k*l.in : (k+1)*l.in]
		for i := range row {
			row[i] += d * in[i]
		}
		for i := range dIn {
			dIn[i] += d * w[k*l.in+i]
		}
	}
}

// activation is tanh, or max(0, x).
type activation struct {
	n         int
	rectified bool
}

func (l *activation) sizes() (in, out, params int)      { return l.n, l.n, 0 }
func (l *activation) fill(_ []float32, _ *train.Chance) {}

func (l *activation) forward(_, in, out []float32) {
	for i, x := range in {
		if l.rectified {
			out[i] = max(0, x)
			continue
		}
		x = min(max(x, -9), 9)
		e := float32(math.Exp(float64(2 * x)))
		out[i] = (e - 1) / (e + 1)
	}
}

func (l *activation) backward(_, _, out, dOut, _, dIn []float32) {
	for i, y := range out {
		switch {
		case !l.rectified:
			dIn[i] = dOut[i] * (1 - y*y)
		case y > 0:
			dIn[i] = dOut[i]
		}
	}
}

// conv is kernels of size by size, every two pixels. Maps stand pixel by pixel, channels beside each other; weights kernel by kernel,
// and then biases.
type conv struct {
	side, channels, kernels, size, pad int
	n                                  int // side of the map it makes
}

func (l *conv) sizes() (in, out, params int) {
	return l.side * l.side * l.channels, l.n * l.n * l.kernels, (l.size*l.size*l.channels + 1) * l.kernels
}

func (l *conv) fill(w []float32, c *train.Chance) {
	n := l.size * l.size * l.channels
	uniform(w[:n*l.kernels], 1/float64(n), c)
}

// row is what kernels see of one row, by their row ky at a place: where in the map, where in a kernel, and how many numbers.
func (l *conv) row(at, ky int) (in, kernel, n int) {
	y, x := 2*(at/l.n)+ky-l.pad, 2*(at%l.n)-l.pad
	if y < 0 || y >= l.side {
		return 0, 0, 0
	}
	first, last := max(0, x), min(l.side, x+l.size)
	return (y*l.side + first) * l.channels, (ky*l.size + first - x) * l.channels, (last - first) * l.channels
}

func (l *conv) forward(w, in, out []float32) {
	per := l.size * l.size * l.channels
	for at := range l.n * l.n {
		o := out[at*l.kernels : (at+1)*l.kernels]
		copy(o, w[per*l.kernels:])
		for ky := range l.size {
			from, k, n := l.row(at, ky)
			seen := in[from : from+n]
			for c := range o {
				s := float32(0)
				for i, v := range w[c*per+k : c*per+k+n] {
					s += v * seen[i]
				}
				o[c] += s
			}
		}
	}
}

func (l *conv) backward(w, in, _, dOut, g, dIn []float32) {
	per := l.size * l.size * l.channels
	for at := range l.n * l.n {
		for c, d := range dOut[at*l.kernels : (at+1)*l.kernels] {
			if d == 0 {
				continue
			}
			g[per*l.kernels+c] += d
			for ky := range l.size {
				from, k, n := l.row(at, ky)
				weights, sum := w[c*per+k:c*per+k+n], g[c*per+k:c*per+k+n]
				for i, v := range in[from : from+n] {
					sum[i] += d * v
				}
				for i := range dIn[min(from, len(dIn)):min(from+n, len(dIn))] {
					dIn[from+i] += d * weights[i]
				}
			}
		}
	}
}

// pool is the greatest of 2 by 2, at every pixel.
type pool struct {
	n, channels int
	from        []int32
}

func (l *pool) sizes() (in, out, params int) {
	l.from = make([]int32, (l.n-1)*(l.n-1)*l.channels)
	return l.n * l.n * l.channels, len(l.from), 0
}

func (l *pool) fill(_ []float32, _ *train.Chance) {}

func (l *pool) forward(_, in, out []float32) {
	for i := range out {
		pixel, c := i/l.channels, i%l.channels
		here := (pixel/(l.n-1)*l.n+pixel%(l.n-1))*l.channels + c
		best := here
		for _, step := range [3]int{1, l.n, l.n + 1} {
			if at := here + step*l.channels; in[at] > in[best] {
				best = at
			}
		}
		out[i], l.from[i] = in[best], int32(best)
	}
}

func (l *pool) backward(_, _, _, dOut, _, dIn []float32) {
	for i, at := range l.from {
		dIn[at] += dOut[i]
	}
}
