// SPDX-License-Identifier: Apache-2.0

// Package network is the training of mlp.c in Go, for any product of matrices. All print what mlp.c prints.
package network

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
)

// Hidden is the width of the hidden layer, which no product exceeds.
const Hidden = 128

const (
	in, out       = 784, 10
	batch, images = 32, 1024
	rate          = 0.05
)

// Product is C = alpha·op(A)·op(B) + beta·C.
type Product func(ta, tb bool, m, n, k int, alpha float32, a []float32, lda int, b []float32, ldb int, beta float32, c []float32, ldc int)

// Train trains for a number of steps, of which mlp.c does 192, and prints a digest of the weights.
func Train(steps int, product Product, powers func(n int, x, y []float32)) {
	random := numbers(12345)
	x, label := make([]float32, images*in), make([]int, images)
	for i := range label {
		label[i] = i % out
		for j := range in {
			v := random.unit()
			if j%out == label[i] {
				v++
			}
			x[i*in+j] = v
		}
	}
	w1, w2 := make([]float32, in*Hidden), make([]float32, Hidden*out)
	for i := range w1 {
		w1[i] = random.unit() * 0.05
	}
	for i := range w2 {
		w2[i] = random.unit() * 0.1
	}
	h, z, dh := make([]float32, batch*Hidden), make([]float32, batch*out), make([]float32, batch*Hidden)
	for step := range steps {
		first := step * batch % images
		at := x[first*in:]
		product(false, false, batch, Hidden, in, 1, at, in, w1, Hidden, 0, h, Hidden)
		for i, v := range h {
			h[i] = max(v, 0)
		}
		product(false, false, batch, out, Hidden, 1, h, Hidden, w2, out, 0, z, out)
		gradient(z, label[first:][:batch], powers)
		product(false, true, batch, Hidden, out, 1, z, out, w2, out, 0, dh, Hidden)
		for i, v := range h {
			if v <= 0 {
				dh[i] = 0
			}
		}
		product(true, false, Hidden, out, batch, -rate, h, Hidden, z, out, 1, w2, out)
		product(true, false, in, Hidden, batch, -rate, at, in, dh, Hidden, 1, w1, Hidden)
	}
	fmt.Printf("%016x\n", digest(w1)^digest(w2))
}

// gradient turns the scores of a batch into their gradient.
func gradient(z []float32, labels []int, powers func(n int, x, y []float32)) {
	for i, label := range labels {
		s := z[i*out:][:out]
		top, total := s[0], float32(0)
		for _, v := range s {
			top = max(top, v)
		}
		for j := range s {
			s[j] -= top
		}
		powers(out, s, s)
		for _, v := range s {
			total += v
		}
		for j := range s {
			s[j] /= total
			if j == label {
				s[j]--
			}
			s[j] /= batch
		}
	}
}

// Powers is the exponential of docs/spec/blas.md, for arguments that are at most zero.
func Powers(n int, x, y []float32) {
	c := [...]float64{
		0x1.71de3a556c734p-19, 0x1.a01a01a01a01ap-16, 0x1.a01a01a01a01ap-13, 0x1.6c16c16c16c17p-10, 0x1.1111111111111p-7,
		0x1.5555555555555p-5, 0x1.5555555555555p-3, 0x1p-1, 1, 1,
	}
	for i := range n {
		v := float64(max(x[i], -100))
		k := math.RoundToEven(float64(v * 0x1.71547652b82fep+0))
		r := float64(float64(v-float64(k*0x1.62e42feep-1)) - float64(k*0x1.a39ef35793c76p-33))
		p := c[0]
		for _, next := range c[1:] {
			p = float64(next + float64(r*p))
		}
		y[i] = float32(float64(p * math.Float64frombits(uint64(int64(k)+1023)<<52)))
	}
}

// numbers is the generator of bench.h.
type numbers uint32

func (n *numbers) unit() float32 {
	*n = *n*1664525 + 1013904223
	return float32(int32(*n)) * 0x1p-31
}

func digest(s []float32) uint64 {
	h, b := fnv.New64a(), make([]byte, 4*len(s))
	for i, v := range s {
		binary.LittleEndian.PutUint32(b[4*i:], math.Float32bits(v))
	}
	h.Write(b)
	return h.Sum64()
}
