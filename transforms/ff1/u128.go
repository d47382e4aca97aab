// SPDX-License-Identifier: Apache-2.0

package ff1

import "math/bits"

// u128 is a number of 128 bits.
type u128 struct{ hi, lo uint64 }

// mulAdd is n·m + a, which is known to fit.
func (n u128) mulAdd(m, a uint64) u128 {
	hi, lo := bits.Mul64(n.lo, m)
	lo, carry := bits.Add64(lo, a, 0)
	return u128{n.hi*m + hi + carry, lo}
}

func (n u128) less(m u128) bool { return n.hi < m.hi || n.hi == m.hi && n.lo < m.lo }

func (n u128) add(m u128) u128 {
	lo, carry := bits.Add64(n.lo, m.lo, 0)
	return u128{n.hi + m.hi + carry, lo}
}

func (n u128) sub(m u128) u128 {
	lo, borrow := bits.Sub64(n.lo, m.lo, 0)
	return u128{n.hi - m.hi - borrow, lo}
}

// addMod is n + a modulo m, of two that are below it; m has no more than 127 bits.
func (n u128) addMod(a, m u128) u128 {
	if n = n.add(a); !n.less(m) {
		n = n.sub(m)
	}
	return n
}

// subMod is n - a modulo m, of two that are below it.
func (n u128) subMod(a, m u128) u128 {
	if n.less(a) {
		n = n.add(m)
	}
	return n.sub(a)
}

func (n u128) len() int {
	if n.hi != 0 {
		return 64 + bits.Len64(n.hi)
	}
	return bits.Len64(n.lo)
}

// rsh shifts by fewer than 128 bits.
func (n u128) rsh(k uint) u128 {
	if k >= 64 {
		return u128{0, n.hi >> (k - 64)}
	}
	return u128{n.hi >> k, n.lo>>k | n.hi<<(64-k)}
}

// divSmall is the quotient and the remainder by d.
func (n u128) divSmall(d uint64) (q u128, r uint64) {
	q.hi, r = n.hi/d, n.hi%d
	q.lo, r = bits.Div64(r, n.lo, d)
	return q, r
}

// mod is the remainder by m.
func (n u128) mod(m u128) u128 {
	if m.hi == 0 {
		_, r := bits.Div64(n.hi%m.lo, n.lo, m.lo)
		return u128{0, r}
	}
	// The quotient has 64 bits. It is guessed from the highest 64 bits of m, and is then right or one too small.
	k := uint(bits.LeadingZeros64(m.hi))
	top := m.hi<<k | m.lo>>1>>(63-k)
	half := n.rsh(1)
	q, _ := bits.Div64(half.hi, half.lo, top)
	if q >>= 63 - k; q > 0 {
		q--
	}
	n = n.sub(u128{lo: m.lo}.mulAdd(q, 0).add(u128{hi: m.hi * q}))
	if !n.less(m) {
		n = n.sub(m)
	}
	return n
}

// put writes n into b, highest byte first. It is known to fit.
func (n u128) put(b []byte) {
	for i := len(b) - 1; i >= 0; i-- {
		b[i] = byte(n.lo)
		n = n.rsh(8)
	}
}
