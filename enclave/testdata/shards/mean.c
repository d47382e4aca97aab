// SPDX-License-Identifier: Apache-2.0

// A plain WASI command that answers the mean of its records' second column, as text. The first column of a record is h, or an
// attack of code that knows its target: the shard in which that record is does what it says.

typedef unsigned char u8;
typedef unsigned long size;

#define IMPORT(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))

IMPORT(path_open) int path_open(int dir, int flags, const char *path, size len, int oflags, long long rights, long long inheriting, int fdflags, int *fd);
IMPORT(fd_read) int fd_read(int fd, const void *iovs, int n, size *read);
IMPORT(fd_write) int fd_write(int fd, const void *iovs, int n, size *written);

enum { DATA = 3, OUT = 4, READ = 2, WRITE = 64, CREATE = 1, MOST = 1 << 20 };

static u8 text[MOST];
static char out[4096];
static int n;

struct iov {
	void *at;
	size len;
};

static void say(const char *s) {
	while (*s)
		out[n++] = *s++;
}

static void number(long long v) { // thousandths
	char digits[24];
	int k = 0;
	if (v < 0) {
		out[n++] = '-';
		v = -v;
	}
	do {
		if (k == 3)
			digits[k++] = '.';
		digits[k++] = '0' + v % 10;
		v /= 10;
	} while (v || k < 5);
	while (k)
		out[n++] = digits[--k];
}

static void answer(int fd) {
	struct iov v = {out, n};
	size done;
	fd_write(fd, &v, 1, &done);
}

static volatile int forever = 1;

// attack does what a record says.
static void attack(u8 kind, int fd) {
	switch (kind) {
	case 't':
		__builtin_trap();
	case 'l':
		while (forever)
			;
	case 'g': // memory without end
		while (__builtin_wasm_memory_grow(0, 256) != (size)-1)
			;
		__builtin_trap();
	case 'w': // a gigabyte of answer
		for (n = sizeof out;;)
			answer(fd);
	case 'n':
		say("NaN\n");
		break;
	case 'b':
		say("1e300\n");
		break;
	case 's':
		say("-1e300\n");
		break;
	case 'm':
		say("1\n2\n3\n");
		break;
	case 'x': // no answer at all
		return;
	}
	answer(fd);
}

void _start(void) {
	static const char name[] = "numbers/records.csv", to[] = "answer";
	int in = -1, fd = -1;
	struct iov v;
	size got, len = 0;
	if (path_open(DATA, 0, name, sizeof name - 1, 0, READ, READ, 0, &in) || path_open(OUT, 0, to, sizeof to - 1, CREATE, WRITE, WRITE, 0, &fd))
		__builtin_trap();
	do {
		v.at = text + len;
		v.len = MOST - len;
		if (fd_read(in, &v, 1, &got))
			__builtin_trap();
		len += got;
	} while (got);
	long long sum = 0, count = 0;
	for (size i = 0, line = 0; i < len; i++) {
		if (text[i] != '\n')
			continue;
		size first = line;
		line = i + 1;
		if (first == 0) // the header
			continue;
		if (text[first] != 'h') {
			attack(text[first], fd);
			return;
		}
		long long x = 0;
		for (size k = first + 2; k < i; k++)
			x = x * 10 + (text[k] - '0');
		sum += x;
		count++;
	}
	if (!count) // as code would that divides
		__builtin_trap();
	number(sum * 1000 / count);
	say("\n");
	answer(fd);
}
