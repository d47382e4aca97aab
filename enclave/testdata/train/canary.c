// SPDX-License-Identifier: Apache-2.0

// A guest of train/1 whose records are canaries: of "u,17" the gradient is fifty clipping norms along element 17, of "d,17" the same
// the other way.

typedef unsigned char u8;
typedef unsigned long size;

#define EXPORT(name) __attribute__((export_name(#name)))

enum { N = 2000, MOST = 4096 };

static float params[N], gradient[N];
static u8 record[MOST], config[MOST];

EXPORT(train_open) int open_(int len) { return len <= MOST ? (int)config : 0; }
EXPORT(train_init) int init(int len, int record_bytes) { return record_bytes <= MOST ? 0 : 1; }
EXPORT(train_params) long long parameters(void) { return (long long)(size)params << 32 | N; }
EXPORT(train_gradient_buffer) int gradient_buffer(void) { return (int)gradient; }
EXPORT(train_record_buffer) int record_buffer(void) { return (int)record; }

EXPORT(train_gradient) int compute(int len) {
	int at = 0;
	for (int i = 2; i < len && record[i] >= '0' && record[i] <= '9'; i++)
		at = at * 10 + (record[i] - '0');
	if (len < 3 || at >= N)
		return 1;
	gradient[at] = record[0] == 'u' ? 50 : -50;
	return 0;
}
