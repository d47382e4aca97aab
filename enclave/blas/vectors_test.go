// SPDX-License-Identifier: Apache-2.0

package blas

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash"
	"math"
	"testing"
)

// The digests below stand in docs/spec/blas.md: whoever implements the functions compares theirs.
const (
	expVector  = "22123004e9d7037552d4acf10cdf9f9bd2cc23994d463a2bdc525f4a60f87d75"
	gemmVector = "713da704765ec3a8fe4fe44dc26e94d00fc9cdfd4b357ece18b06ff2cc7e64a1"
)

func add(h hash.Hash, s []float32) {
	for _, v := range s {
		var b [4]byte
		binary.LittleEndian.PutUint32(b[:], math.Float32bits(v))
		h.Write(b[:])
	}
}

// TestSexpVector takes the bit patterns 0, 4093, 2·4093 … below 2³².
func TestSexpVector(t *testing.T) {
	eachPath(t, func(t *testing.T, simd bool) {
		var x []float32
		for bits := uint64(0); bits < 1<<32; bits += 4093 {
			x = append(x, math.Float32frombits(uint32(bits)))
		}
		expAll(simd, x, x)
		h := sha256.New()
		add(h, x)
		if got := hex.EncodeToString(h.Sum(nil)); got != expVector {
			t.Errorf("digest of all results: %s", got)
		}
	})
}

// TestSgemmVector multiplies matrices of every bit pattern and of numbers near one.
func TestSgemmVector(t *testing.T) {
	eachPath(t, func(t *testing.T, simd bool) {
		h, state := sha256.New(), uint32(1)
		next := func() uint32 {
			state = state*1664525 + 1013904223
			return state
		}
		const m, n, k = 37, 41, 203
		for round := range 8 {
			p := multiplication{
				transA: round&1 != 0, transB: round&2 != 0, m: m, n: n, k: k, alpha: 1.25, beta: -0.75,
				a: make([]float32, m*k), b: make([]float32, k*n), c: make([]float32, m*n), lda: k, ldb: n, ldc: n,
			}
			if p.transA {
				p.lda = m
			}
			if p.transB {
				p.ldb = k
			}
			for _, s := range [][]float32{p.a, p.b, p.c} {
				for i := range s {
					v := next()
					if round&4 == 0 || v>>24 != 0 { // in the last four rounds one in 256 may be any bit pattern
						v = v&0x807fffff | 0x3f000000
					} else {
						v = next()
					}
					s[i] = math.Float32frombits(v)
				}
			}
			if err := p.run(simd, p.c); err != nil {
				t.Fatal(err)
			}
			add(h, p.c)
		}
		if got := hex.EncodeToString(h.Sum(nil)); got != gemmVector {
			t.Errorf("digest of all results: %s", got)
		}
	})
}
