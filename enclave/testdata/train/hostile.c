// SPDX-License-Identifier: Apache-2.0

// A guest of train/1 that does what its records say: attacks on whoever sums gradients. A record is "kind,x". The gradient of an
// honest one (h) is x, 1/4, an eighth of the third parameter, and a trace of whatever the guest remembers of earlier records.

typedef unsigned char u8;
typedef unsigned long size;

#define EXPORT(name) __attribute__((export_name(#name)))

enum { N = 4, MOST = 4096 };

static float params[N], gradient[N];
static u8 record[MOST], config[MOST];
static int seen;
static u8 before[MOST];
static u8 *grown;

EXPORT(train_open) int open_(int len) { return len <= MOST ? (int)config : 0; }

EXPORT(train_init) int init(int len, int record_bytes) {
	params[0] = len > 2 ? config[1] - '0' : 0; // a configuration is seen
	return record_bytes <= MOST ? 0 : 1;
}

EXPORT(train_params) long long parameters(void) { return (long long)(size)params << 32 | N; }
EXPORT(train_gradient_buffer) int gradient_buffer(void) { return (int)gradient; }
EXPORT(train_record_buffer) int record_buffer(void) { return (int)record; }

static float number(int at, int len) {
	float v = 0, scale = 1, sign = 1;
	int point = 0;
	for (; at < len && record[at] != ','; at++) {
		if (record[at] == '-')
			sign = -1;
		else if (record[at] == '.')
			point = 1;
		else if (record[at] >= '0' && record[at] <= '9') {
			v = v * 10 + (record[at] - '0');
			if (point)
				scale *= 10;
		}
	}
	return sign * v / scale;
}

static void fill(float v) {
	for (int i = 0; i < N; i++)
		gradient[i] = v;
}

// remembers is what is left of earlier records anywhere, as a number.
static float remembers(void) {
	float v = seen;
	for (int i = 0; i < MOST; i++)
		v += before[i];
	if (grown)
		v += grown[12345];
	for (int i = 0; i < N; i++)
		v += gradient[i] != 0;
	return v;
}

static void keep(int len) {
	seen++;
	for (int i = 0; i < len; i++)
		before[i] = record[i] + 1;
	int page = __builtin_wasm_memory_grow(0, 1);
	if (page > 0) {
		grown = (u8 *)((size)page << 16);
		grown[12345] = 1;
	}
}

EXPORT(train_gradient) int compute(int len) {
	float leak = remembers(), x = number(2, len);
	keep(len);
	switch (len > 0 ? record[0] : 'r') {
	case 'h':
		gradient[0] = x;
		gradient[1] = 0.25f;
		gradient[2] = params[2] * 0.125f;
		gradient[3] = leak;
		return 0;
	case 't':
		fill(1);
		__builtin_trap();
	case 'l':
		fill(1);
		for (volatile int i = 0;; i++)
			;
	case 'n':
		fill(__builtin_nanf(""));
		return 0;
	case 'i':
		fill(1);
		gradient[2] = __builtin_inff();
		return 0;
	case 'b':
		fill(-1e38f);
		return 0;
	case 'e': // the record itself, as large as can be
		for (int i = 0; i < N; i++)
			gradient[i] = record[2 + i] * 1e6f;
		return 0;
	case 'p': // poison for the next record
		for (int i = 0; i < N; i++)
			params[i] = 1e30f;
		for (int i = 0; i < MOST; i++)
			record[i] = 'e';
		fill(0);
		return 0;
	case 'g': // all memory there is, every page of it
		for (size at; (at = __builtin_wasm_memory_grow(0, 16)) != (size)-1;)
			for (size i = 0; i < 16 << 16; i += 4096)
				((volatile u8 *)(at << 16))[i] = 1;
		fill(0);
		return 0;
	}
	return 1;
}

EXPORT(train_predict) float predict(int len) {
	float x = number(2, len), leak = remembers();
	keep(len);
	if (len == 0) // is there a score at all?
		return 0;
	switch (record[0]) {
	case 'h':
		return x + leak;
	case 't':
		__builtin_trap();
	case 'l':
		for (volatile int i = 0;; i++)
			;
	case 'n':
		return __builtin_nanf("");
	case 'b':
		return 1e30f;
	}
	return -1;
}

#ifdef PREPARE
static u8 prepared[MOST];

// Of a raw record (q) an honest one is made; one that finds anything of an earlier one is none.
EXPORT(train_prepare) long long prepare(int len) {
	int leak = remembers() != 0;
	keep(len);
	switch (len > 0 ? record[0] : 'r') {
	case 'q':
		for (int i = 0; i < len; i++)
			prepared[i] = record[i];
		prepared[0] = leak ? 'r' : 'h';
		return (long long)(size)prepared << 32 | len;
	case 'l':
		for (volatile int i = 0;; i++)
			;
	case 'w': // longer than a record may be
		return (long long)(size)prepared << 32 | MOST;
	case 'o': // nowhere
		return (long long)(0xfffffff0ull << 32) | len;
	}
	__builtin_trap();
}
#endif
