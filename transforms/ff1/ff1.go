// SPDX-License-Identifier: Apache-2.0

// Package ff1 is format-preserving encryption: FF1 of NIST SP 800-38G, with the least domain of its revision 1, one million.
//
// Trust domain: whoever holds the key: the creator, the enclave process; pure. Its one job: a string of numerals becomes another
// of the same length and radix, and back, under a key and a tweak; a string of so few numerals that a key would not hide it is
// refused.
//
// FF1 is deterministic: equal strings under equal tweaks become equal ones, and whoever may ask for encryptions can build a table.
package ff1

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"math/big"
)

// Errors of this package. None has text in it.
var (
	// ErrKey is a key of another length than AES has, or a radix out of range.
	ErrKey = errors.New("ff1: invalid key or radix")
	// ErrDomain is a string of fewer numerals than a domain of a million needs, or of too many.
	ErrDomain = errors.New("ff1: too few or too many numerals")
	// ErrNumeral is a numeral that is not below the radix, or a character that is none.
	ErrNumeral = errors.New("ff1: not a numeral")
	// ErrTweak is a tweak that is too long.
	ErrTweak = errors.New("ff1: tweak too long")
)

// Bounds.
const (
	MinDomain   = 1_000_000
	MaxRadix    = 1 << 16
	MaxNumerals = 1 << 12
	MaxTweak    = 1 << 16

	rounds    = 10
	shortBits = 96 // of a half: with the sum of a round in 128 bits
)

// Cipher encrypts strings of one radix under one key. It is safe for use by many goroutines.
type Cipher struct {
	block cipher.Block
	radix uint64
	least int // numerals
}

// New makes a cipher with an AES key of 16, 24 or 32 bytes and a radix of 2 to 65536.
func New(key []byte, radix int) (*Cipher, error) {
	if radix < 2 || radix > MaxRadix {
		return nil, fmt.Errorf("%w: radix %d", ErrKey, radix)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("%w: %d bytes", ErrKey, len(key))
	}
	c := &Cipher{block: block, radix: uint64(radix), least: 2}
	for n := uint64(radix) * uint64(radix); n < MinDomain; n *= uint64(radix) {
		c.least++
	}
	return c, nil
}

// Least is how many numerals a string must have.
func (c *Cipher) Least() int { return c.least }

// Encrypt encrypts numerals in place.
func (c *Cipher) Encrypt(x []uint16, tweak []byte) error { return c.crypt(x, tweak, false) }

// Decrypt is its inverse.
func (c *Cipher) Decrypt(x []uint16, tweak []byte) error { return c.crypt(x, tweak, true) }

func (c *Cipher) crypt(x []uint16, tweak []byte, back bool) error {
	if len(x) < c.least || len(x) > MaxNumerals {
		return fmt.Errorf("%w: %d, from %d to %d", ErrDomain, len(x), c.least, MaxNumerals)
	}
	if len(tweak) > MaxTweak {
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTweak, len(tweak), MaxTweak)
	}
	for _, d := range x {
		if uint64(d) >= c.radix {
			return fmt.Errorf("%w: radix %d", ErrNumeral, c.radix)
		}
	}
	u := len(x) / 2
	if low, high, ok := c.powers(len(x)); ok {
		c.short(x[:u], x[u:], low, high, tweak, back)
		return nil
	}
	c.long(x[:u], x[u:], tweak, back)
	return nil
}

// powers gives the radix to the powers of the two halves of n numerals, and whether they are short.
func (c *Cipher) powers(n int) (low, high u128, ok bool) {
	low = u128{lo: 1}
	for range n / 2 {
		if low.len() > shortBits {
			return low, high, false
		}
		low = low.mulAdd(c.radix, 0)
	}
	high = low
	if n%2 == 1 {
		high = low.mulAdd(c.radix, 0)
	}
	return low, high, high.len() <= shortBits
}

// prf is the CBC-MAC of the bytes that all rounds begin with; what follows is the last part of Q.
type prf struct {
	block cipher.Block
	state [aes.BlockSize]byte
	r     [aes.BlockSize]byte // of the round at hand
	tail  []byte              // of Q: the end of the tweak, zeros, the round's number and the other half, in whole blocks
	b     int                 // bytes of the half
	room  [2 * aes.BlockSize]byte
}

// newPRF begins with P and the blocks of the tweak. b is how many bytes the longer half takes.
func (c *Cipher) newPRF(n, b int, tweak []byte) *prf {
	p := &prf{block: c.block, b: b}
	p.state = [aes.BlockSize]byte{1, 2, 1, byte(c.radix >> 16), byte(c.radix >> 8), byte(c.radix), rounds, byte(n / 2)}
	binary.BigEndian.PutUint32(p.state[8:], uint32(n))
	binary.BigEndian.PutUint32(p.state[12:], uint32(len(tweak)))
	c.block.Encrypt(p.state[:], p.state[:])
	for len(tweak) >= aes.BlockSize {
		p.absorb(&p.state, tweak[:aes.BlockSize])
		tweak = tweak[aes.BlockSize:]
	}
	size := (len(tweak) + 1 + b + aes.BlockSize - 1) / aes.BlockSize * aes.BlockSize
	if p.tail = p.room[:min(size, len(p.room))]; len(p.tail) < size {
		p.tail = make([]byte, size)
	}
	copy(p.tail, tweak)
	return p
}

func (p *prf) absorb(state *[aes.BlockSize]byte, block []byte) {
	for i, v := range block[:aes.BlockSize] {
		state[i] ^= v
	}
	p.block.Encrypt(state[:], state[:])
}

// round gives R of a round, whose number and half stand at the end of the tail.
func (p *prf) round(i int) *[aes.BlockSize]byte {
	p.tail[len(p.tail)-p.b-1] = byte(i)
	p.r = p.state
	for t := p.tail; len(t) > 0; t = t[aes.BlockSize:] {
		p.absorb(&p.r, t)
	}
	return &p.r
}

// half is where the number of the other half goes, highest byte first.
func (p *prf) half() []byte { return p.tail[len(p.tail)-p.b:] }

// short is for halves below 2⁹⁶: 56 decimal digits in all.
func (c *Cipher) short(left, right []uint16, low, high u128, tweak []byte, back bool) {
	a, b := c.number(left), c.number(right)
	size := (high.sub(u128{lo: 1}).len() + 7) / 8
	p := c.newPRF(len(left)+len(right), size, tweak)
	if back {
		a, b = b, a
	}
	for i := range rounds {
		at := i
		if back {
			at = rounds - 1 - i
		}
		m := low
		if at%2 == 1 {
			m = high
		}
		b.put(p.half())
		r := p.round(at)
		// The sum has d bytes of R: 4·⌈b/4⌉+4, at most 16.
		y := u128{binary.BigEndian.Uint64(r[:8]), binary.BigEndian.Uint64(r[8:])}.rsh(128 - 8*uint(4*((size+3)/4)+4)).mod(m)
		if back {
			a, b = b, a.subMod(y, m)
		} else {
			a, b = b, a.addMod(y, m)
		}
	}
	if back {
		a, b = b, a
	}
	c.numerals(left, a)
	c.numerals(right, b)
}

func (c *Cipher) number(x []uint16) (n u128) {
	for _, d := range x {
		n = n.mulAdd(c.radix, uint64(d))
	}
	return n
}

func (c *Cipher) numerals(x []uint16, n u128) {
	for i := len(x) - 1; i >= 0; i-- {
		var d uint64
		n, d = n.divSmall(c.radix)
		x[i] = uint16(d)
	}
}

// long is for halves of any length.
func (c *Cipher) long(left, right []uint16, tweak []byte, back bool) {
	radix := new(big.Int).SetUint64(c.radix)
	low := new(big.Int).Exp(radix, big.NewInt(int64(len(left))), nil)
	high := new(big.Int).Exp(radix, big.NewInt(int64(len(right))), nil)
	a, b := c.bigNumber(left), c.bigNumber(right)
	size := (new(big.Int).Sub(high, big.NewInt(1)).BitLen() + 7) / 8
	p := c.newPRF(len(left)+len(right), size, tweak)
	s := make([]byte, 4*((size+3)/4)+4)
	if back {
		a, b = b, a
	}
	y := new(big.Int)
	for i := range rounds {
		at := i
		if back {
			at = rounds - 1 - i
		}
		m := low
		if at%2 == 1 {
			m = high
		}
		b.FillBytes(p.half())
		c.stretch(s, p.round(at))
		y.SetBytes(s)
		if back {
			a.Sub(a, y)
		} else {
			a.Add(a, y)
		}
		a.Mod(a, m)
		a, b = b, a
	}
	if back {
		a, b = b, a
	}
	c.bigNumerals(left, a)
	c.bigNumerals(right, b)
}

// stretch makes S of R: R, and R with the numbers from one on added by XOR and encrypted.
func (c *Cipher) stretch(s []byte, r *[aes.BlockSize]byte) {
	copy(s, r[:])
	for j := 1; j*aes.BlockSize < len(s); j++ {
		t := *r
		binary.BigEndian.PutUint64(t[8:], binary.BigEndian.Uint64(r[8:])^uint64(j))
		c.block.Encrypt(t[:], t[:])
		copy(s[j*aes.BlockSize:], t[:])
	}
}

func (c *Cipher) bigNumber(x []uint16) *big.Int {
	n, radix := new(big.Int), new(big.Int).SetUint64(c.radix)
	for _, d := range x {
		n.Mul(n, radix).Add(n, big.NewInt(int64(d)))
	}
	return n
}

func (c *Cipher) bigNumerals(x []uint16, n *big.Int) {
	radix, d := new(big.Int).SetUint64(c.radix), new(big.Int)
	for i := len(x) - 1; i >= 0; i-- {
		n.DivMod(n, radix, d)
		x[i] = uint16(d.Uint64())
	}
}
