// SPDX-License-Identifier: Apache-2.0

#include "textflag.h"

// Products are rounded before they are added: no instruction here fuses the two. Only AVX and AVX2 are used.

// The squares of the four float32 of x, as float64, are added to sum.
#define SQUARES(x, sum) \
	VCVTPS2PD x, Y10      \
	VMULPD Y10, Y10, Y10  \
	VADDPD Y10, sum, sum

// func load16(blocks int, to, from *float32, sums *float64)
TEXT ·load16(SB), NOSPLIT, $0-32
	MOVQ blocks+0(FP), CX
	MOVQ to+8(FP), DI
	MOVQ from+16(FP), SI
	MOVQ sums+24(FP), DX
	VMOVUPD (DX), Y0
	VMOVUPD 32(DX), Y1
	VMOVUPD 64(DX), Y2
	VMOVUPD 96(DX), Y3
	PCALIGN $32

loadloop:
	VMOVUPS (SI), X4
	VMOVUPS 16(SI), X5
	VMOVUPS 32(SI), X6
	VMOVUPS 48(SI), X7
	VMOVUPS X4, (DI)
	VMOVUPS X5, 16(DI)
	VMOVUPS X6, 32(DI)
	VMOVUPS X7, 48(DI)
	SQUARES(X4, Y0)
	SQUARES(X5, Y1)
	SQUARES(X6, Y2)
	SQUARES(X7, Y3)
	ADDQ $64, SI
	ADDQ $64, DI
	DECQ CX
	JNZ  loadloop

	VMOVUPD Y0, (DX)
	VMOVUPD Y1, 32(DX)
	VMOVUPD Y2, 64(DX)
	VMOVUPD Y3, 96(DX)
	VZEROUPPER
	RET

// func square16(blocks int, of *float32, sums *float64)
TEXT ·square16(SB), NOSPLIT, $0-24
	MOVQ blocks+0(FP), CX
	MOVQ of+8(FP), SI
	MOVQ sums+16(FP), DX
	VMOVUPD (DX), Y0
	VMOVUPD 32(DX), Y1
	VMOVUPD 64(DX), Y2
	VMOVUPD 96(DX), Y3
	PCALIGN $32

squareloop:
	SQUARES((SI), Y0)
	SQUARES(16(SI), Y1)
	SQUARES(32(SI), Y2)
	SQUARES(48(SI), Y3)
	ADDQ $64, SI
	DECQ CX
	JNZ  squareloop

	VMOVUPD Y0, (DX)
	VMOVUPD Y1, 32(DX)
	VMOVUPD Y2, 64(DX)
	VMOVUPD Y3, 96(DX)
	VZEROUPPER
	RET

// func add16(blocks int, to, from *float32)
TEXT ·add16(SB), NOSPLIT, $0-24
	MOVQ blocks+0(FP), CX
	MOVQ to+8(FP), DI
	MOVQ from+16(FP), SI

addloop:
	VMOVUPS (DI), Y0
	VMOVUPS 32(DI), Y1
	VADDPS (SI), Y0, Y0
	VADDPS 32(SI), Y1, Y1
	VMOVUPS Y0, (DI)
	VMOVUPS Y1, 32(DI)
	ADDQ $64, SI
	ADDQ $64, DI
	DECQ CX
	JNZ  addloop
	VZEROUPPER
	RET

// Four elements at an offset times the factor, as integers.
#define TIMES(offset, y, x) \
	VCVTPS2PD offset(SI), y \
	VMULPD Y15, y, y        \
	VCVTTPD2DQY y, x

// func quantise16(blocks int, sum *int32, unit *float32, factor float64)
TEXT ·quantise16(SB), NOSPLIT, $0-32
	MOVQ blocks+0(FP), CX
	MOVQ sum+8(FP), DI
	MOVQ unit+16(FP), SI
	VBROADCASTSD factor+24(FP), Y15
	PCALIGN $32

quantiseloop:
	TIMES(0, Y0, X0)
	TIMES(16, Y1, X1)
	TIMES(32, Y2, X2)
	TIMES(48, Y3, X3)
	VPADDD (DI), X0, X0
	VPADDD 16(DI), X1, X1
	VPADDD 32(DI), X2, X2
	VPADDD 48(DI), X3, X3
	VMOVDQU X0, (DI)
	VMOVDQU X1, 16(DI)
	VMOVDQU X2, 32(DI)
	VMOVDQU X3, 48(DI)
	ADDQ $64, SI
	ADDQ $64, DI
	DECQ CX
	JNZ  quantiseloop
	VZEROUPPER
	RET
