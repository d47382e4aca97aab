// SPDX-License-Identifier: Apache-2.0

// Package sha256x hashes two messages side by side.
//
// Trust domain: the owner's and the enclave's, wherever leaves are sealed or proven. Its one job: SHA-256 (FIPS 180-4) of two
// streams in the time of one, where the processor has Intel's SHA extensions, and by the standard library elsewhere. It is
// compared with the standard library for all lengths and alignments.
package sha256x

import (
	"crypto/sha256"
	"encoding/binary"
	"hash"
)

// Size is the length of a hash.
const Size = sha256.Size

// block is what is compressed at a time, and lengthAt where the message's length lies in the last one.
const (
	block    = sha256.BlockSize
	lengthAt = block - 8
)

// initial is the state before the first block in the order of the instructions, F E B A and H G D C.
var initial = [8]uint32{0x9b05688c, 0x510e527f, 0xbb67ae85, 0x6a09e667, 0x5be0cd19, 0x1f83d9ab, 0xa54ff53a, 0x3c6ef372}

// order says where the words of a hash are in the state.
var order = [8]int{3, 2, 7, 6, 1, 0, 5, 4}

// Hash is the SHA-256 of what was written to it. It is for one goroutine. Use [New], or Reset before anything else.
type Hash struct {
	std   hash.Hash // when there is nothing faster; the rest is then unused
	state [8]uint32
	rest  [block]byte // not yet compressed
	have  int         // bytes of rest
	total uint64
	sum   [Size]byte // a place for std
}

// New returns the hash of nothing so far.
func New() *Hash {
	h := &Hash{}
	h.Reset()
	return h
}

// Reset forgets what was written.
func (h *Hash) Reset() {
	if h.std == nil && !accelerated {
		h.std = sha256.New()
	}
	if h.std != nil {
		h.std.Reset()
		return
	}
	h.state, h.have, h.total = initial, 0, 0
	clear(h.rest[:])
}

// Write adds p to the message. It never fails.
func (h *Hash) Write(p []byte) (int, error) {
	n := len(p)
	if h.std != nil {
		return h.std.Write(p)
	}
	p = h.begin(p)
	if whole := len(p) / block; whole > 0 {
		h.compress(p, whole)
		p = p[whole*block:]
	}
	h.have += copy(h.rest[h.have:], p)
	return n, nil
}

// WriteTwo adds p to a's message and q to b's, which is another hash. It takes little longer than the longer one alone.
func WriteTwo(a *Hash, p []byte, b *Hash, q []byte) {
	if a.std == nil && b.std == nil {
		p, q = a.begin(p), b.begin(q)
		if whole := min(len(p), len(q)) / block; whole > 0 {
			compressTwo(&a.state, &b.state, p, q, whole)
			p, q = p[whole*block:], q[whole*block:]
		}
		a.total, b.total = a.total-uint64(len(p)), b.total-uint64(len(q)) // Write counts them
	}
	a.Write(p)
	b.Write(q)
}

// Sum returns the hash of what was written so far. More may be written.
func (h *Hash) Sum() [Size]byte {
	if h.std != nil {
		h.std.Sum(h.sum[:0])
		return h.sum
	}
	end := *h
	clear(end.rest[end.have:])
	end.rest[end.have] = 0x80
	if end.have >= lengthAt {
		end.compress(end.rest[:], 1)
		clear(end.rest[:])
	}
	binary.BigEndian.PutUint64(end.rest[lengthAt:], end.total<<3)
	end.compress(end.rest[:], 1)
	var sum [Size]byte
	for i, at := range order {
		binary.BigEndian.PutUint32(sum[4*i:], end.state[at])
	}
	return sum
}

// begin counts p and uses its first bytes to end a block begun before. It returns what is left of p: if anything is, no block
// is begun.
func (h *Hash) begin(p []byte) []byte {
	h.total += uint64(len(p))
	if h.have == 0 {
		return p
	}
	n := copy(h.rest[h.have:], p)
	if h.have += n; h.have == block {
		h.compress(h.rest[:], 1)
		h.have = 0
	}
	return p[n:]
}

// compress takes n blocks from p. The other lane's result is thrown away: it costs nothing.
func (h *Hash) compress(p []byte, n int) {
	idle := initial
	compressTwo(&h.state, &idle, p, p, n)
}
