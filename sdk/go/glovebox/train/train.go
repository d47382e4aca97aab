// SPDX-License-Identifier: Apache-2.0

package train

import "unsafe"

// Model is a model whose parameters an enclave trains.
type Model interface {
	// Params is the parameters with their initial values, the same memory each time: the enclave writes to it.
	Params() []float32
	// Gradient fills the gradient of the loss of this record, at the parameters as they are now. It is zeros at first. False:
	// this record has no gradient.
	Gradient(record []byte, gradient []float32) bool
}

// Preparer is a model that works on records once before training: what Prepare gives is the record from then on. It depends on
// this record alone, and goes into room or is part of the record. False: there is nothing to learn from this record.
type Preparer interface {
	Model
	Prepare(record, room []byte) (prepared []byte, ok bool)
}

// Predictor is a model that can be scored.
type Predictor interface {
	Model
	// Predict is from 0 to 1, for example 1 if the guess is right.
	Predict(record []byte) float32
}

// Floats lends prepared memory as numbers, which begins at a multiple of 16 bytes. What is left over is not part of it.
func Floats(b []byte) []float32 {
	return unsafe.Slice((*float32)(unsafe.Pointer(unsafe.SliceData(b))), len(b)/4)
}

// aligned is n bytes that begin at a multiple of 16, as memory of the guest's.
func aligned(n int) []byte {
	b := make([]byte, n+16)
	skip := 16 - int(uintptr(unsafe.Pointer(unsafe.SliceData(b)))&15)
	return b[skip : skip+n : skip+n]
}

// ParseFloats reads a line of plain decimal numbers with commas between them, like -12.5; false if it is not len(out) of them.
func ParseFloats(line []byte, out []float32) bool {
	for i := range out {
		n := 0
		for n < len(line) && line[n] != ',' {
			n++
		}
		v, ok := number(line[:n])
		if !ok || (n == len(line)) != (i == len(out)-1) {
			return false
		}
		out[i] = float32(v)
		if n < len(line) {
			n++
		}
		line = line[n:]
	}
	return len(line) == 0
}

// number reads -12.5, without an exponent.
func number(s []byte) (v float64, ok bool) {
	minus := len(s) > 0 && s[0] == '-'
	if minus {
		s = s[1:]
	}
	unit, digits, point := 1.0, 0, false
	for _, c := range s {
		switch {
		case c == '.' && !point:
			point = true
			continue
		case c < '0' || c > '9':
			return 0, false
		}
		v, digits = 10*v+float64(c-'0'), digits+1
		if point {
			unit *= 10
		}
	}
	if minus {
		v = -v
	}
	return v / unit, digits > 0
}

// Chance is random numbers for initial values, the same in each language (splitmix64). The zero Chance is a good one.
type Chance uint64

// Uniform is from 0 to below 1.
func (c *Chance) Uniform() float64 {
	*c += 0x9e3779b97f4a7c15
	z := uint64(*c)
	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb
	return float64((z^(z>>31))>>11) / (1 << 53)
}
