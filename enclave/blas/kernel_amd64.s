// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// Products are rounded before they are added: no instruction here fuses the two. Only AVX and AVX2 are used.

// B's 16 columns are in Y8 and Y9. Adds their products with the element at addr to two registers of sums.
#define ROW(addr, lo, hi) \
	VBROADCASTSS addr, Y10  \
	VMULPS Y8, Y10, Y11     \
	VMULPS Y9, Y10, Y12     \
	VADDPS Y11, lo, lo      \
	VADDPS Y12, hi, hi

// func tile4(depth int, a *float32, row, col int, b *float32, step int, acc *float32)
TEXT ·tile4(SB), NOSPLIT, $0-56
	MOVQ depth+0(FP), CX
	MOVQ a+8(FP), SI
	MOVQ row+16(FP), R8
	MOVQ col+24(FP), R9
	MOVQ b+32(FP), DI
	MOVQ step+40(FP), R10
	MOVQ acc+48(FP), DX
	LEAQ (R8)(R8*2), R11
	VMOVUPS (DX), Y0
	VMOVUPS 32(DX), Y1
	VMOVUPS 64(DX), Y2
	VMOVUPS 96(DX), Y3
	VMOVUPS 128(DX), Y4
	VMOVUPS 160(DX), Y5
	VMOVUPS 192(DX), Y6
	VMOVUPS 224(DX), Y7
	PCALIGN $32

tile4loop:
	VMOVUPS (DI), Y8
	VMOVUPS 32(DI), Y9
	ROW((SI), Y0, Y1)
	ROW((SI)(R8*1), Y2, Y3)
	ROW((SI)(R8*2), Y4, Y5)
	ROW((SI)(R11*1), Y6, Y7)
	ADDQ R9, SI
	ADDQ R10, DI
	DECQ CX
	JNZ  tile4loop

	VMOVUPS Y0, (DX)
	VMOVUPS Y1, 32(DX)
	VMOVUPS Y2, 64(DX)
	VMOVUPS Y3, 96(DX)
	VMOVUPS Y4, 128(DX)
	VMOVUPS Y5, 160(DX)
	VMOVUPS Y6, 192(DX)
	VMOVUPS Y7, 224(DX)
	VZEROUPPER
	RET

// func tile1(depth int, a *float32, col int, b *float32, step int, acc *float32)
TEXT ·tile1(SB), NOSPLIT, $0-48
	MOVQ depth+0(FP), CX
	MOVQ a+8(FP), SI
	MOVQ col+16(FP), R9
	MOVQ b+24(FP), DI
	MOVQ step+32(FP), R10
	MOVQ acc+40(FP), DX
	VMOVUPS (DX), Y0
	VMOVUPS 32(DX), Y1
	PCALIGN $32

tile1loop:
	VMOVUPS (DI), Y8
	VMOVUPS 32(DI), Y9
	ROW((SI), Y0, Y1)
	ADDQ R9, SI
	ADDQ R10, DI
	DECQ CX
	JNZ  tile1loop

	VMOVUPS Y0, (DX)
	VMOVUPS Y1, 32(DX)
	VZEROUPPER
	RET

// The one NaN that is stored.
DATA nan<>+0(SB)/4, $0x7fc00000
GLOBL nan<>(SB), RODATA|NOPTR, $4

// Replaces every NaN of v by Y15's.
#define ROUND(v) \
	VCMPPS $3, v, v, Y14      \
	VBLENDVPS Y14, Y15, v, v

// func storeScaled(rows int, alpha float32, acc, c *float32, ldc int)
TEXT ·storeScaled(SB), NOSPLIT, $0-40
	MOVQ rows+0(FP), CX
	VBROADCASTSS alpha+8(FP), Y12
	MOVQ acc+16(FP), SI
	MOVQ c+24(FP), DI
	MOVQ ldc+32(FP), R8
	VBROADCASTSS nan<>(SB), Y15

scaledloop:
	VMULPS (SI), Y12, Y0
	VMULPS 32(SI), Y12, Y1
	ROUND(Y0)
	ROUND(Y1)
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ $64, SI
	ADDQ R8, DI
	DECQ CX
	JNZ  scaledloop
	VZEROUPPER
	RET

// func storeAdded(rows int, alpha float32, acc *float32, beta float32, c *float32, ldc int)
TEXT ·storeAdded(SB), NOSPLIT, $0-48
	MOVQ rows+0(FP), CX
	VBROADCASTSS alpha+8(FP), Y12
	MOVQ acc+16(FP), SI
	VBROADCASTSS beta+24(FP), Y13
	MOVQ c+32(FP), DI
	MOVQ ldc+40(FP), R8
	VBROADCASTSS nan<>(SB), Y15

addedloop:
	VMULPS (SI), Y12, Y0
	VMULPS 32(SI), Y12, Y1
	VMULPS (DI), Y13, Y2
	VMULPS 32(DI), Y13, Y3
	VADDPS Y2, Y0, Y0
	VADDPS Y3, Y1, Y1
	ROUND(Y0)
	ROUND(Y1)
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ $64, SI
	ADDQ R8, DI
	DECQ CX
	JNZ  addedloop
	VZEROUPPER
	RET

// func transpose(blocks int, b *float32, col int, to *float32)
// Eight columns of eight elements become eight rows, 64 bytes apart.
TEXT ·transpose(SB), NOSPLIT, $0-32
	MOVQ blocks+0(FP), CX
	MOVQ b+8(FP), SI
	MOVQ col+16(FP), R8
	MOVQ to+24(FP), DI
	LEAQ (R8)(R8*2), R9

transposeloop:
	LEAQ (SI)(R8*4), R10
	VMOVUPS (SI), Y0
	VMOVUPS (SI)(R8*1), Y1
	VMOVUPS (SI)(R8*2), Y2
	VMOVUPS (SI)(R9*1), Y3
	VMOVUPS (R10), Y4
	VMOVUPS (R10)(R8*1), Y5
	VMOVUPS (R10)(R8*2), Y6
	VMOVUPS (R10)(R9*1), Y7

	// Pairs of columns, then fours, then eights.
	VUNPCKLPS Y1, Y0, Y8
	VUNPCKHPS Y1, Y0, Y9
	VUNPCKLPS Y3, Y2, Y10
	VUNPCKHPS Y3, Y2, Y11
	VUNPCKLPS Y5, Y4, Y12
	VUNPCKHPS Y5, Y4, Y13
	VUNPCKLPS Y7, Y6, Y14
	VUNPCKHPS Y7, Y6, Y15
	VSHUFPS $0x44, Y10, Y8, Y0
	VSHUFPS $0xee, Y10, Y8, Y1
	VSHUFPS $0x44, Y11, Y9, Y2
	VSHUFPS $0xee, Y11, Y9, Y3
	VSHUFPS $0x44, Y14, Y12, Y4
	VSHUFPS $0xee, Y14, Y12, Y5
	VSHUFPS $0x44, Y15, Y13, Y6
	VSHUFPS $0xee, Y15, Y13, Y7
	VPERM2F128 $0x20, Y4, Y0, Y8
	VPERM2F128 $0x20, Y5, Y1, Y9
	VPERM2F128 $0x20, Y6, Y2, Y10
	VPERM2F128 $0x20, Y7, Y3, Y11
	VPERM2F128 $0x31, Y4, Y0, Y12
	VPERM2F128 $0x31, Y5, Y1, Y13
	VPERM2F128 $0x31, Y6, Y2, Y14
	VPERM2F128 $0x31, Y7, Y3, Y15
	VMOVUPS Y8, (DI)
	VMOVUPS Y9, 64(DI)
	VMOVUPS Y10, 128(DI)
	VMOVUPS Y11, 192(DI)
	VMOVUPS Y12, 256(DI)
	VMOVUPS Y13, 320(DI)
	VMOVUPS Y14, 384(DI)
	VMOVUPS Y15, 448(DI)
	ADDQ $32, SI
	ADDQ $512, DI
	DECQ CX
	JNZ  transposeloop
	VZEROUPPER
	RET

// func axpy8(blocks int, alpha float32, x, y *float32)
TEXT ·axpy8(SB), NOSPLIT, $0-32
	MOVQ blocks+0(FP), CX
	VBROADCASTSS alpha+8(FP), Y12
	MOVQ x+16(FP), SI
	MOVQ y+24(FP), DI
	VBROADCASTSS nan<>(SB), Y15

axpyloop:
	VMULPS (SI), Y12, Y0
	VADDPS (DI), Y0, Y0
	ROUND(Y0)
	VMOVUPS Y0, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	DECQ CX
	JNZ  axpyloop
	VZEROUPPER
	RET

// The constants of exp.go, by their bits.
DATA exp<>+0(SB)/8, $0x3ff71547652b82fe // log2E
DATA exp<>+8(SB)/8, $0x4338000000000000 // shift
DATA exp<>+16(SB)/8, $0x3fe62e42fee00000 // ln2Hi
DATA exp<>+24(SB)/8, $0x3dea39ef35793c76 // ln2Lo
DATA exp<>+32(SB)/8, $0x3ec71de3a556c734 // exp9
DATA exp<>+40(SB)/8, $0x3efa01a01a01a01a // exp8
DATA exp<>+48(SB)/8, $0x3f2a01a01a01a01a // exp7
DATA exp<>+56(SB)/8, $0x3f56c16c16c16c17 // exp6
DATA exp<>+64(SB)/8, $0x3f81111111111111 // exp5
DATA exp<>+72(SB)/8, $0x3fa5555555555555 // exp4
DATA exp<>+80(SB)/8, $0x3fc5555555555555 // exp3
DATA exp<>+88(SB)/8, $0x3fe0000000000000 // exp2
DATA exp<>+96(SB)/8, $0x3ff0000000000000 // one
DATA exp<>+104(SB)/8, $1023 // the exponent of one
DATA exp<>+112(SB)/4, $0xc2cff1b8 // expMin
DATA exp<>+116(SB)/4, $0x42b17218 // expMax
DATA exp<>+120(SB)/4, $0x42b17217 // the float32 below expMax
DATA exp<>+124(SB)/4, $0x7f800000 // infinity
GLOBL exp<>(SB), RODATA|NOPTR, $128

// One step of the polynomials in Y6 and Y7, whose variables are Y4 and Y5.
#define STEP(offset) \
	VBROADCASTSD exp<>+offset(SB), Y15 \
	VMULPD Y4, Y6, Y6 \
	VMULPD Y5, Y7, Y7 \
	VADDPD Y15, Y6, Y6 \
	VADDPD Y15, Y7, Y7

// func expBlocks(blocks int, x, y *float32)
TEXT ·expBlocks(SB), NOSPLIT, $0-24
	MOVQ blocks+0(FP), CX
	MOVQ x+8(FP), SI
	MOVQ y+16(FP), DI
	VBROADCASTSS exp<>+112(SB), Y13
	VBROADCASTSS exp<>+120(SB), Y14

exploop:
	VMOVUPS (SI), Y0

	// What is outside of the range, or a NaN, is computed as if at its end, and replaced below.
	VMAXPS Y13, Y0, Y1
	VMINPS Y14, Y1, Y1
	VEXTRACTF128 $1, Y1, X3
	VCVTPS2PD X1, Y2
	VCVTPS2PD X3, Y3

	// Y8 and Y9: k as the last bits of k+shift. Y4 and Y5: what the power of two leaves.
	VBROADCASTSD exp<>+0(SB), Y15
	VMULPD Y15, Y2, Y8
	VMULPD Y15, Y3, Y9
	VBROADCASTSD exp<>+8(SB), Y15
	VADDPD Y15, Y8, Y8
	VADDPD Y15, Y9, Y9
	VSUBPD Y15, Y8, Y10
	VSUBPD Y15, Y9, Y11
	VBROADCASTSD exp<>+16(SB), Y15
	VMULPD Y15, Y10, Y4
	VMULPD Y15, Y11, Y5
	VSUBPD Y4, Y2, Y4
	VSUBPD Y5, Y3, Y5
	VBROADCASTSD exp<>+24(SB), Y15
	VMULPD Y15, Y10, Y10
	VMULPD Y15, Y11, Y11
	VSUBPD Y10, Y4, Y4
	VSUBPD Y11, Y5, Y5
	VBROADCASTSD exp<>+32(SB), Y6
	VMOVAPD Y6, Y7
	STEP(40)
	STEP(48)
	STEP(56)
	STEP(64)
	STEP(72)
	STEP(80)
	STEP(88)
	STEP(96)
	STEP(96)

	// The exponent is k+1023: all other bits are shifted out.
	VPBROADCASTQ exp<>+104(SB), Y15
	VPADDQ Y15, Y8, Y8
	VPADDQ Y15, Y9, Y9
	VPSLLQ $52, Y8, Y8
	VPSLLQ $52, Y9, Y9
	VMULPD Y8, Y6, Y6
	VMULPD Y9, Y7, Y7
	VCVTPD2PSY Y6, X6
	VCVTPD2PSY Y7, X7
	VINSERTF128 $1, X7, Y6, Y6

	VCMPPS $0x11, Y13, Y0, Y15 // below expMin
	VANDNPS Y6, Y15, Y6
	VBROADCASTSS exp<>+116(SB), Y15
	VCMPPS $0x1d, Y15, Y0, Y15 // from expMax on
	VBROADCASTSS exp<>+124(SB), Y12
	VBLENDVPS Y15, Y12, Y6, Y6
	VCMPPS $3, Y0, Y0, Y15 // a NaN
	VBROADCASTSS nan<>(SB), Y12
	VBLENDVPS Y15, Y12, Y6, Y6
	VMOVUPS Y6, (DI)
	ADDQ $32, SI
	ADDQ $32, DI
	DECQ CX
	JNZ  exploop
	VZEROUPPER
	RET
