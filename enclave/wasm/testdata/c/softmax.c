// SPDX-License-Identifier: Apache-2.0

// A guest of train/1: softmax regression, 784 to 10. A record is 784 bytes and a label.

#include <math.h>
#include <stdint.h>
#include <stdlib.h>

enum { N = 784, K = 10 };

static float *params, *gradient;
static uint8_t *record;

#define EXPORT(name) __attribute__((export_name(#name)))

EXPORT(train_open) int32_t train_open(int32_t len) { return (int32_t)(uintptr_t)malloc(len + 1); }

EXPORT(train_init) int32_t train_init(int32_t len, int32_t record_bytes) {
	(void)len;
	params = calloc((N + 1) * K, sizeof(float));
	gradient = calloc((N + 1) * K, sizeof(float));
	record = calloc(record_bytes, 1);
	return params && gradient && record ? 0 : 1;
}

EXPORT(train_params) int64_t train_params(void) { return (int64_t)(uintptr_t)params << 32 | (N + 1) * K; }
EXPORT(train_gradient_buffer) int32_t train_gradient_buffer(void) { return (int32_t)(uintptr_t)gradient; }
EXPORT(train_record_buffer) int32_t train_record_buffer(void) { return (int32_t)(uintptr_t)record; }

static float x[N], p[K];

static int forward(int32_t len) {
	if (len != N + 1 || record[N] >= K)
		return 1;
	for (int i = 0; i < N; i++)
		x[i] = record[i] * (1.0f / 255);
	float top = -1e30f, sum = 0;
	for (int k = 0; k < K; k++) {
		float s = params[N * K + k];
		for (int i = 0; i < N; i++)
			s += params[k * N + i] * x[i];
		p[k] = s;
		top = s > top ? s : top;
	}
	for (int k = 0; k < K; k++)
		sum += p[k] = expf(p[k] - top);
	for (int k = 0; k < K; k++)
		p[k] /= sum;
	return 0;
}

EXPORT(train_gradient) int32_t train_gradient(int32_t len) {
	if (forward(len))
		return 1;
	for (int k = 0; k < K; k++) {
		float d = p[k] - (record[N] == k);
		for (int i = 0; i < N; i++)
			gradient[k * N + i] = d * x[i];
		gradient[N * K + k] = d;
	}
	return 0;
}

EXPORT(train_predict) float train_predict(int32_t len) {
	int best = 0;
	if (forward(len))
		return 0;
	for (int k = 1; k < K; k++)
		best = p[k] > p[best] ? k : best;
	return best == record[N];
}
