// SPDX-License-Identifier: Apache-2.0

package sha256x

import (
	"crypto/sha256"
	"math/rand/v2"
	"testing"
)

// noise is n pseudo-random bytes.
func noise(n int) []byte {
	r, b := rand.NewPCG(1, 2), make([]byte, 0, n+8)
	for len(b) < n {
		v := r.Uint64()
		b = append(b, byte(v), byte(v>>8), byte(v>>16), byte(v>>24), byte(v>>32), byte(v>>40), byte(v>>48), byte(v>>56))
	}
	return b[:n]
}

// eachWay runs f with the kernel, where there is one, and with the standard library.
func eachWay(t *testing.T, f func(t *testing.T, fresh func() *Hash)) {
	if accelerated {
		t.Run("kernel", func(t *testing.T) { f(t, New) })
	} else {
		t.Log("this processor has no SHA extensions: 1 way skipped")
	}
	t.Run("standard", func(t *testing.T) {
		f(t, func() *Hash { return &Hash{std: sha256.New()} })
	})
}

func TestAllLengths(t *testing.T) {
	data := noise(1024)
	eachWay(t, func(t *testing.T, fresh func() *Hash) {
		a, b := fresh(), fresh()
		for n := range data {
			for _, m := range []int{n, 0, 64, len(data) - 1 - n} {
				a.Reset()
				b.Reset()
				WriteTwo(a, data[:n], b, data[:m])
				if a.Sum() != sha256.Sum256(data[:n]) || b.Sum() != sha256.Sum256(data[:m]) {
					t.Fatalf("lengths %d and %d", n, m)
				}
			}
		}
	})
}

func TestAllAlignments(t *testing.T) {
	data := noise(4096)
	eachWay(t, func(t *testing.T, fresh func() *Hash) {
		for i := range 64 {
			for j := range 64 {
				a, b := fresh(), fresh()
				a.Write(data[:j]) // so that blocks begin anywhere in what follows
				WriteTwo(a, data[j:2048+i], b, data[i:1024+j])
				if a.Sum() != sha256.Sum256(data[:2048+i]) || b.Sum() != sha256.Sum256(data[i:1024+j]) {
					t.Fatalf("offsets %d and %d", i, j)
				}
			}
		}
	})
}

// TestSumGoesOn: a sum in between changes nothing.
func TestSumGoesOn(t *testing.T) {
	data := noise(300)
	eachWay(t, func(t *testing.T, fresh func() *Hash) {
		h := fresh()
		for i := range data {
			if h.Sum() != sha256.Sum256(data[:i]) {
				t.Fatalf("after %d bytes", i)
			}
			h.Write(data[i : i+1])
		}
	})
}

// TestMixed: a hash of either way beside one of the other.
func TestMixed(t *testing.T) {
	data := noise(1000)
	a, b := New(), &Hash{std: sha256.New()}
	WriteTwo(a, data, b, data[:500])
	WriteTwo(b, data[500:], a, nil)
	if a.Sum() != sha256.Sum256(data) || b.Sum() != a.Sum() {
		t.Error("one of two hashes differs")
	}
}

// TestLengthBeyond32Bits: the length of a message is 64 bits in its last block.
func TestLengthBeyond32Bits(t *testing.T) {
	if testing.Short() || !accelerated {
		t.Skip("hashes 513 MiB with the kernel; 1 skipped")
	}
	data := noise(1 << 20)
	h, want := New(), sha256.New()
	for range 513 {
		h.Write(data)
		want.Write(data)
	}
	if sum := h.Sum(); string(sum[:]) != string(want.Sum(nil)) {
		t.Error("hash of a message of more than 2^32 bits")
	}
}

func TestNoAllocations(t *testing.T) {
	data := noise(1 << 16)
	a, b := New(), New()
	if n := testing.AllocsPerRun(10, func() {
		a.Reset()
		WriteTwo(a, data, b, data)
		a.Sum()
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzAgainstStandard writes pieces cut anywhere into two hashes.
func FuzzAgainstStandard(f *testing.F) {
	for _, n := range []int{0, 1, 55, 56, 63, 64, 65, 119, 120, 128, 1000} {
		f.Add(noise(n), noise(1000-n), uint16(n), uint16(7*n))
	}
	f.Fuzz(func(t *testing.T, p, q []byte, i, j uint16) {
		cp, cq := min(int(i), len(p)), min(int(j), len(q))
		a, b := New(), New()
		WriteTwo(a, p[:cp], b, q[:cq])
		WriteTwo(b, q[cq:], a, p[cp:])
		if a.Sum() != sha256.Sum256(p) || b.Sum() != sha256.Sum256(q) {
			t.Errorf("%d bytes cut at %d beside %d cut at %d", len(p), cp, len(q), cq)
		}
	})
}

// BenchmarkTwo hashes two leaves, side by side and one after the other.
func BenchmarkTwo(b *testing.B) {
	const leaf = 64 << 10
	p, q := noise(leaf), noise(leaf)
	b.Run("side by side", func(b *testing.B) {
		x, y := New(), New()
		b.SetBytes(2 * leaf)
		for b.Loop() {
			WriteTwo(x, p, y, q)
		}
	})
	b.Run("standard", func(b *testing.B) {
		x, y := sha256.New(), sha256.New()
		b.SetBytes(2 * leaf)
		for b.Loop() {
			x.Write(p)
			y.Write(q)
		}
	})
}
