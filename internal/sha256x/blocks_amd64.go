// SPDX-License-Identifier: Apache-2.0

package sha256x

import "golang.org/x/sys/cpu"

// accelerated reports whether the processor has all that blocks2 uses.
var accelerated = cpu.X86.HasAVX && haveSHA()

// haveSHA asks for the SHA extensions: bit 29 of EBX of leaf 7 (Intel SDM volume 2A, CPUID). The package cpu does not say.
func haveSHA() bool {
	if last, _ := cpuid(0); last < 7 {
		return false
	}
	_, features := cpuid(7)
	return features>>29&1 == 1
}

// compressTwo takes n blocks, at least one, from p and from q. blocks2 checks nothing: the last byte of each is touched here, so
// that an error of ours panics in Go instead of reaching other memory.
func compressTwo(a, b *[8]uint32, p, q []byte, n int) {
	_, _ = p[n*block-1], q[n*block-1]
	blocks2(a, b, &p[0], &q[0], n)
}

// blocks2 compresses n blocks, at least one, of each lane.
//
//go:noescape
func blocks2(a, b *[8]uint32, p, q *byte, n int)

// cpuid returns EAX and EBX of a leaf, subleaf 0.
//
//go:noescape
func cpuid(leaf uint32) (maxLeaf, features uint32)
