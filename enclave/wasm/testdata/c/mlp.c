// SPDX-License-Identifier: Apache-2.0

// A guest of train/1: 784 inputs, 128 hidden units, 10 classes. A record is 784 bytes and a label. The first layer's weights are by
// input, so that an input of zero, as most of a digit's are, costs nothing: the gradient buffer holds zeros.

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <wasm_simd128.h>

enum { N = 784, H = 128, K = 10, COUNT = N * H + H + H * K + K };

static float *params, *gradient;
static uint8_t *record;

#define EXPORT(name) __attribute__((export_name(#name)))

EXPORT(train_open) int32_t train_open(int32_t len) { return (int32_t)(uintptr_t)malloc(len + 1); }

EXPORT(train_init) int32_t train_init(int32_t len, int32_t record_bytes) {
	(void)len;
	params = aligned_alloc(64, (COUNT * sizeof(float) + 63) / 64 * 64);
	gradient = aligned_alloc(64, (COUNT * sizeof(float) + 63) / 64 * 64);
	record = calloc(record_bytes, 1);
	if (!params || !gradient || !record)
		return 1;
	uint32_t seed = 1;
	for (int i = 0; i < COUNT; i++) {
		seed = seed * 1664525 + 1013904223;
		params[i] = ((int32_t)seed >> 8) * (0.1f / (1 << 23));
	}
	return 0;
}

EXPORT(train_params) int64_t train_params(void) { return (int64_t)(uintptr_t)params << 32 | COUNT; }
EXPORT(train_gradient_buffer) int32_t train_gradient_buffer(void) { return (int32_t)(uintptr_t)gradient; }
EXPORT(train_record_buffer) int32_t train_record_buffer(void) { return (int32_t)(uintptr_t)record; }

static float h[H] __attribute__((aligned(16))), back[H] __attribute__((aligned(16))), p[K];

static int forward(int32_t len) {
	const float *w1 = params, *b1 = w1 + N * H, *w2 = b1 + H, *b2 = w2 + H * K;
	if (len != N + 1 || record[N] >= K)
		return 1;
	v128_t sum[H / 4];
	for (int j = 0; j < H / 4; j++)
		sum[j] = wasm_v128_load(b1 + 4 * j);
	for (int half = 0; half < 4; half++) {
		v128_t a[8];
		for (int j = 0; j < 8; j++)
			a[j] = sum[half * 8 + j];
		for (int i = 0; i < N; i++) {
			if (!record[i])
				continue;
			v128_t x = wasm_f32x4_splat(record[i] * (1.0f / 255));
			const float *w = w1 + i * H + half * 32;
			for (int j = 0; j < 8; j++)
				a[j] = wasm_f32x4_add(a[j], wasm_f32x4_mul(x, wasm_v128_load(w + 4 * j)));
		}
		for (int j = 0; j < 8; j++)
			wasm_v128_store(h + half * 32 + 4 * j, wasm_f32x4_pmax(a[j], wasm_f32x4_splat(0)));
	}
	float top = -1e30f, total = 0;
	for (int k = 0; k < K; k++) {
		v128_t s = wasm_f32x4_splat(0);
		for (int j = 0; j < H; j += 4)
			s = wasm_f32x4_add(s, wasm_f32x4_mul(wasm_v128_load(h + j), wasm_v128_load(w2 + k * H + j)));
		p[k] = b2[k] + wasm_f32x4_extract_lane(s, 0) + wasm_f32x4_extract_lane(s, 1) + wasm_f32x4_extract_lane(s, 2) + wasm_f32x4_extract_lane(s, 3);
		top = p[k] > top ? p[k] : top;
	}
	for (int k = 0; k < K; k++)
		total += p[k] = expf(p[k] - top);
	for (int k = 0; k < K; k++)
		p[k] /= total;
	return 0;
}

EXPORT(train_gradient) int32_t train_gradient(int32_t len) {
	const float *w2 = params + N * H + H;
	float *g1 = gradient, *gb1 = g1 + N * H, *g2 = gb1 + H, *gb2 = g2 + H * K;
	if (forward(len))
		return 1;
	for (int j = 0; j < H; j++)
		back[j] = 0;
	for (int k = 0; k < K; k++) {
		float d = p[k] - (record[N] == k);
		v128_t v = wasm_f32x4_splat(d);
		gb2[k] = d;
		for (int j = 0; j < H; j += 4) {
			wasm_v128_store(g2 + k * H + j, wasm_f32x4_mul(v, wasm_v128_load(h + j)));
			wasm_v128_store(back + j, wasm_f32x4_add(wasm_v128_load(back + j), wasm_f32x4_mul(v, wasm_v128_load(w2 + k * H + j))));
		}
	}
	for (int j = 0; j < H; j++)
		gb1[j] = back[j] = h[j] > 0 ? back[j] : 0;
	for (int i = 0; i < N; i++) {
		if (!record[i])
			continue;
		v128_t x = wasm_f32x4_splat(record[i] * (1.0f / 255));
		for (int j = 0; j < H; j += 4)
			wasm_v128_store(g1 + i * H + j, wasm_f32x4_mul(x, wasm_v128_load(back + j)));
	}
	return 0;
}
