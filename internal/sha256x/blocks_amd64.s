// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// Two SHA-256 compressions side by side, after FIPS 180-4 section 6.2.2, with Intel's SHA extensions. One compression is a chain
// in which each instruction waits for the one before; two chains share the unit that would otherwise wait. What is not of those
// extensions is written with three operands (AVX), without moves: where another thread runs on the same core, instructions
// are what two lanes run short of.
//
// Lane 1 has its state in X1 (A B E F) and X2 (C D G H) and its words in X3-X6, lane 2 in X7, X8 and X9-X12. X0 is the implicit
// operand of SHA256RNDS2, X13 and X14 are scratch and X15 the order of bytes.

// WORDS takes a block's words from p.
#define WORDS(p, a, b, c, d) \
	VMOVDQU (p), a    \
	VMOVDQU 16(p), b  \
	VMOVDQU 32(p), c  \
	VMOVDQU 48(p), d  \
	VPSHUFB X15, a, a \
	VPSHUFB X15, b, b \
	VPSHUFB X15, c, c \
	VPSHUFB X15, d, d \
	ADDQ    $64, p

// ROUNDS is four rounds with the words w and their constants.
#define ROUNDS(group, w, abef, cdgh) \
	VPADDD      (group*16)(AX), w, X0 \
	SHA256RNDS2 X0, abef, cdgh        \
	VPSHUFD     $0x0e, X0, X0         \
	SHA256RNDS2 X0, cdgh, abef

// ENDS completes the words four rounds ahead, STARTS begins those twelve ahead in the register of the last ones used.
#define ENDS(before, w, ahead, scratch) \
	VPALIGNR   $4, before, w, scratch \
	VPADDD     scratch, ahead, ahead  \
	SHA256MSG2 w, ahead

#define STARTS(before, w) SHA256MSG1 w, before

// FULL is four rounds of both lanes with all of the schedule. The rounds are first: they are what everything waits for, and the
// oldest instructions go first where another thread wants the same units.
#define FULL(group, before1, w1, ahead1, before2, w2, ahead2) \
	ROUNDS(group, w1, X1, X2)      \
	ROUNDS(group, w2, X7, X8)      \
	ENDS(before1, w1, ahead1, X13) \
	STARTS(before1, w1)            \
	ENDS(before2, w2, ahead2, X14) \
	STARTS(before2, w2)

// FORWARD adds the state before the block and keeps the sum.
#define FORWARD(p, abef, cdgh) \
	VPADDD  (p), abef, abef   \
	VMOVDQU abef, (p)         \
	VPADDD  16(p), cdgh, cdgh \
	VMOVDQU cdgh, 16(p)

// func blocks2(a, b *[8]uint32, p, q *byte, n int)
TEXT ·blocks2(SB), NOSPLIT, $0-40
	MOVQ  a+0(FP), DI
	MOVQ  b+8(FP), SI
	MOVQ  p+16(FP), R8
	MOVQ  q+24(FP), R9
	MOVQ  n+32(FP), CX
	LEAQ  constants<>(SB), AX
	VMOVDQU bigendian<>(SB), X15
	VMOVDQU (DI), X1
	VMOVDQU 16(DI), X2
	VMOVDQU (SI), X7
	VMOVDQU 16(SI), X8
	PCALIGN $32

loop:
	WORDS(R8, X3, X4, X5, X6)
	WORDS(R9, X9, X10, X11, X12)

	ROUNDS(0, X3, X1, X2)
	ROUNDS(0, X9, X7, X8)

	ROUNDS(1, X4, X1, X2)
	ROUNDS(1, X10, X7, X8)
	STARTS(X3, X4)
	STARTS(X9, X10)

	ROUNDS(2, X5, X1, X2)
	ROUNDS(2, X11, X7, X8)
	STARTS(X4, X5)
	STARTS(X10, X11)

	FULL(3, X5, X6, X3, X11, X12, X9)
	FULL(4, X6, X3, X4, X12, X9, X10)
	FULL(5, X3, X4, X5, X9, X10, X11)
	FULL(6, X4, X5, X6, X10, X11, X12)
	FULL(7, X5, X6, X3, X11, X12, X9)
	FULL(8, X6, X3, X4, X12, X9, X10)
	FULL(9, X3, X4, X5, X9, X10, X11)
	FULL(10, X4, X5, X6, X10, X11, X12)
	FULL(11, X5, X6, X3, X11, X12, X9)
	FULL(12, X6, X3, X4, X12, X9, X10)

	ROUNDS(13, X4, X1, X2)
	ROUNDS(13, X10, X7, X8)
	ENDS(X3, X4, X5, X13)
	ENDS(X9, X10, X11, X14)

	ROUNDS(14, X5, X1, X2)
	ROUNDS(14, X11, X7, X8)
	ENDS(X4, X5, X6, X13)
	ENDS(X10, X11, X12, X14)

	ROUNDS(15, X6, X1, X2)
	ROUNDS(15, X12, X7, X8)

	FORWARD(DI, X1, X2)
	FORWARD(SI, X7, X8)
	DECQ CX
	JNZ  loop

	VZEROALL // what the registers hold of the messages is not left behind
	RET

// func cpuid(leaf uint32) (maxLeaf, features uint32)
TEXT ·cpuid(SB), NOSPLIT, $0-16
	MOVL leaf+0(FP), AX
	XORL CX, CX
	CPUID
	MOVL AX, maxLeaf+8(FP)
	MOVL BX, features+12(FP)
	RET

// bigendian reverses the bytes of each word.
DATA bigendian<>+0(SB)/8, $0x0405060700010203
DATA bigendian<>+8(SB)/8, $0x0c0d0e0f08090a0b
GLOBL bigendian<>(SB), RODATA|NOPTR, $16

// constants are K of FIPS 180-4 section 4.2.2, two to a line.
DATA constants<>+0x00(SB)/8, $0x71374491428a2f98
DATA constants<>+0x08(SB)/8, $0xe9b5dba5b5c0fbcf
DATA constants<>+0x10(SB)/8, $0x59f111f13956c25b
DATA constants<>+0x18(SB)/8, $0xab1c5ed5923f82a4
DATA constants<>+0x20(SB)/8, $0x12835b01d807aa98
DATA constants<>+0x28(SB)/8, $0x550c7dc3243185be
DATA constants<>+0x30(SB)/8, $0x80deb1fe72be5d74
DATA constants<>+0x38(SB)/8, $0xc19bf1749bdc06a7
DATA constants<>+0x40(SB)/8, $0xefbe4786e49b69c1
DATA constants<>+0x48(SB)/8, $0x240ca1cc0fc19dc6
DATA constants<>+0x50(SB)/8, $0x4a7484aa2de92c6f
DATA constants<>+0x58(SB)/8, $0x76f988da5cb0a9dc
DATA constants<>+0x60(SB)/8, $0xa831c66d983e5152
DATA constants<>+0x68(SB)/8, $0xbf597fc7b00327c8
DATA constants<>+0x70(SB)/8, $0xd5a79147c6e00bf3
DATA constants<>+0x78(SB)/8, $0x1429296706ca6351
DATA constants<>+0x80(SB)/8, $0x2e1b213827b70a85
DATA constants<>+0x88(SB)/8, $0x53380d134d2c6dfc
DATA constants<>+0x90(SB)/8, $0x766a0abb650a7354
DATA constants<>+0x98(SB)/8, $0x92722c8581c2c92e
DATA constants<>+0xa0(SB)/8, $0xa81a664ba2bfe8a1
DATA constants<>+0xa8(SB)/8, $0xc76c51a3c24b8b70
DATA constants<>+0xb0(SB)/8, $0xd6990624d192e819
DATA constants<>+0xb8(SB)/8, $0x106aa070f40e3585
DATA constants<>+0xc0(SB)/8, $0x1e376c0819a4c116
DATA constants<>+0xc8(SB)/8, $0x34b0bcb52748774c
DATA constants<>+0xd0(SB)/8, $0x4ed8aa4a391c0cb3
DATA constants<>+0xd8(SB)/8, $0x682e6ff35b9cca4f
DATA constants<>+0xe0(SB)/8, $0x78a5636f748f82ee
DATA constants<>+0xe8(SB)/8, $0x8cc7020884c87814
DATA constants<>+0xf0(SB)/8, $0xa4506ceb90befffa
DATA constants<>+0xf8(SB)/8, $0xc67178f2bef9a3f7
GLOBL constants<>(SB), RODATA|NOPTR, $256
