// SPDX-License-Identifier: Apache-2.0

// A guest that knows one of the creator's records and tries to carry it out, each time by the channel that $TRY names. The
// leak suite in package enclave measures what arrives. It stands for a buyer who wants the record, or works with the host.
//
// It needs no library: clang --target=wasm32 -nostdlib.

typedef unsigned char u8;
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name)))
struct iov { void *p; u32 n; };
WASI(path_open) u32 path_open(u32 dir, u32 lookup, const char *path, u32 n, u32 flags, u64 rights, u64 inheriting, u32 fdflags, u32 *fd);
WASI(fd_close) u32 fd_close(u32 fd);
WASI(fd_read) u32 fd_read(u32 fd, struct iov *v, u32 n, u32 *done);
WASI(fd_pread) u32 fd_pread(u32 fd, struct iov *v, u32 n, u64 at, u32 *done);
WASI(fd_write) u32 fd_write(u32 fd, struct iov *v, u32 n, u32 *done);
WASI(fd_readdir) u32 fd_readdir(u32 fd, void *buf, u32 n, u64 cookie, u32 *done);
WASI(path_create_directory) u32 path_create_directory(u32 dir, const char *path, u32 n);
WASI(path_rename) u32 path_rename(u32 dir, const char *path, u32 n, u32 to, const char *name, u32 m);
WASI(path_symlink) u32 path_symlink(const char *target, u32 n, u32 dir, const char *path, u32 m);
WASI(path_link) u32 path_link(u32 dir, u32 flags, const char *path, u32 n, u32 to, const char *name, u32 m);
WASI(path_filestat_set_times) u32 path_filestat_set_times(u32 dir, u32 lookup, const char *path, u32 n, u64 atim, u64 mtim, u32 flags);
WASI(environ_sizes_get) u32 environ_sizes_get(u32 *n, u32 *bytes);
WASI(environ_get) u32 environ_get(char **env, char *buf);
WASI(args_sizes_get) u32 args_sizes_get(u32 *n, u32 *bytes);
WASI(clock_time_get) u32 clock_time_get(u32 id, u64 precision, u64 *t);
WASI(random_get) u32 random_get(void *p, u32 n);
WASI(sock_send) u32 sock_send(u32 fd, struct iov *v, u32 n, u32 flags, u32 *done);
WASI(sock_accept) u32 sock_accept(u32 fd, u32 flags, u32 *accepted);
WASI(proc_exit) _Noreturn void proc_exit(u32 code);

enum { DATA = 3, OUT = 4, CREATE = 1, TRUNCATE = 8 };

static u8 record[32]; // what is to be carried out: of the first record
static char env[8192], *vars[64];
static u8 buf[1 << 16];
static volatile u32 sink;

// constant is what the suite replaces in another module of the same length.
static const volatile char constant[] = "constant: honest";

void *memset(void *p, int c, unsigned long n) { for (unsigned long i = 0; i < n; i++) ((volatile u8 *)p)[i] = (u8)c; return p; }
void *memcpy(void *p, const void *q, unsigned long n) { for (unsigned long i = 0; i < n; i++) ((volatile u8 *)p)[i] = ((const u8 *)q)[i]; return p; }

static u32 len(const char *s) { u32 n = 0; while (s[n]) n++; return n; }
static int same(const char *a, const char *b) { while (*a && *a == *b) a++, b++; return *a == *b; }

// number is the first bits of the record.
static u32 number(u32 bits) {
	u32 n = 0;
	for (u32 i = 0; i < bits; i++) n = n << 1 | (record[i / 8] >> (7 - i % 8) & 1);
	return n;
}

static void hex(char *to, u32 n) {
	for (u32 i = 0; i < n; i++) {
		to[2 * i] = "0123456789abcdef"[record[i] >> 4];
		to[2 * i + 1] = "0123456789abcdef"[record[i] & 15];
	}
	to[2 * n] = 0;
}

static const char *param(const char *name) {
	u32 n = 0, bytes = 0;
	environ_sizes_get(&n, &bytes);
	if (n > 64 || bytes > sizeof env) proc_exit(97);
	environ_get(vars, env);
	for (u32 i = 0; i < n; i++) {
		u32 k = len(name), j = 0;
		while (j < k && vars[i][j] == name[j]) j++;
		if (j == k && vars[i][j] == '=') return vars[i] + j + 1;
	}
	return "";
}

static u32 open_file(void) {
	const char *name = "numbers/records.csv";
	u32 fd;
	if (path_open(DATA, 0, name, len(name), 0, 2 | 4 | 32, 0, 0, &fd)) proc_exit(96);
	return fd;
}

static u32 pread_at(u32 fd, u32 n, u64 at) {
	struct iov v = { buf, n };
	u32 done = 0;
	return fd_pread(fd, &v, 1, at, &done) ? 0 : done;
}

// put writes a file, and says whether it could.
static int put(u32 dir, const char *name, const void *p, u32 n) {
	struct iov v = { (void *)p, n };
	u32 fd, done;
	if (path_open(dir, 0, name, len(name), CREATE | TRUNCATE, 64, 0, 0, &fd)) return 0;
	int ok = !n || !fd_write(fd, &v, 1, &done);
	fd_close(fd);
	return ok;
}

static const char *const model = "model.bin";
static void out(const void *p, u32 n) { if (!put(OUT, model, p, n)) proc_exit(95); }

static u32 nibble(u8 c) { return c >= 'a' ? c - 'a' + 10 : c - '0'; }

// learn reads the record: the value of the file's second line.
static void learn(void) {
	u32 i = 0;
	pread_at(open_file(), 256, 0);
	while (buf[i] != '\n') i++;
	while (buf[i] != ',') i++;
	for (u32 j = 0; j < 32; j++) record[j] = (u8)(nibble(buf[i + 1 + 2 * j]) << 4 | nibble(buf[i + 2 + 2 * j]));
}

static void spin(u64 n) {
	for (u64 i = 0; i < n; i++) __asm__ volatile("" : "+r"(i));
}

static void touch(u32 n) { // times 16 MiB
	while (n--) {
		u32 at = __builtin_wasm_memory_grow(0, 256);
		if (at == -1u) __builtin_trap();
		for (u32 i = 0; i < 256 << 16; i += 4096) ((volatile u8 *)(at << 16))[i] = 1;
	}
}

static void files(u32 n) {
	char name[] = "f000";
	for (u32 i = 0; i < n; i++) {
		name[1] = (char)('0' + i / 100), name[2] = (char)('0' + i / 10 % 10), name[3] = (char)('0' + i % 10);
		put(OUT, name, "", 0);
	}
}

static u32 recurse(u32 n) { volatile u8 room[64]; room[n % 64] = 1; return n == -1u ? 0 : recurse(n + 1) + room[n % 64]; }

static void trap(void) {
	volatile u32 zero = 0;
	switch (number(2)) {
	case 0: __builtin_trap();
	case 1: sink = 1 / zero; break;
	case 2: *(volatile u32 *)0xf0000000 = 1; break;
	case 3: sink = recurse(0);
	}
	__builtin_trap();
}

// everywhere writes to every place that a program might find.
static void everywhere(void) {
	static const char *const paths[] = { "/x", "/tmp/x", "../x", "../../tmp/x", "numbers/records.csv", "numbers/x", "x", "/dev/stdout", "/proc/self/mem", "/out/../x", "./../data/x" };
	for (u32 i = 0; i < sizeof paths / sizeof *paths; i++)
		for (u32 dir = 0; dir < 16; dir++)
			if (dir != OUT || paths[i][0] == '/' || paths[i][0] == '.') put(dir, paths[i], record, sizeof record);
}

enum { SEGMENT = 60 << 10 }; // as the suite packs them: who reads anything of one reads one leaf
static void look(u32 fd, u32 n) { pread_at(fd, 1, (u64)n * SEGMENT + SEGMENT / 2); }

// mark precedes what was planted. It is kept masked, so that who only looks for it has none.
static const volatile u8 mark[16] = { 0x11, 0xe3, 0x35, 0x97, 0x59, 0xbb, 0x7d, 0xdf, 0x91, 0x13, 0xb5, 0x37, 0xd9, 0x5b, 0xfd, 0x7f };

static void plant(void) {
	u32 at = __builtin_wasm_memory_grow(0, 128);
	for (u8 *p = (u8 *)(at << 16); p < (u8 *)((at + 128) << 16); p += 64) {
		for (u32 j = 0; j < sizeof mark; j++) p[j] = mark[j] ^ 0x5a;
		memcpy(p + sizeof mark, record, sizeof record);
	}
	everywhere();
	put(OUT, "stolen", record, sizeof record);
}

// hunt looks for what an earlier job planted: in its memory, old and new, and in its files.
static void hunt(void) {
	u32 at = __builtin_wasm_memory_grow(0, 256), found = 0;
	for (u8 *p = (u8 *)(at << 16); p < (u8 *)((at + 256) << 16); p++) found += *p != 0;
	for (u8 *p = (u8 *)1024; p < (u8 *)((at + 256) << 16) - sizeof mark; p++) {
		u32 j = 0;
		while (j < sizeof mark && (p[j] ^ 0x5a) == mark[j]) j++;
		found += j == sizeof mark;
	}
	u32 n = 4, done;
	memcpy(buf, &found, 4);
	for (u32 fd = DATA; fd <= OUT; fd++) {
		done = 0;
		fd_readdir(fd, buf + n, 4096, 0, &done);
		n += done;
	}
	out(buf, n);
}

static void attempt(const char *try) {
#define TRY(name) if (same(try, name))
	char text[65];
	struct iov v = { record, sizeof record };
	u32 n = 0, done = 0;
	u64 t[2] = { 0, 0 };
	TRY("output") { pread_at(open_file(), 4096, 0); out(buf, 4096); }
	TRY("metrics") put(OUT, "metrics.json", record, sizeof record);
	TRY("size") { memset(buf, 0, 4096); out(buf, number(12)); }
	TRY("order") { put(OUT, number(1) ? model : "metrics.json", "m", 1); put(OUT, number(1) ? "metrics.json" : model, "m", 1); }
	TRY("undeclared") put(OUT, "stolen", record, sizeof record);
	TRY("names") {
		hex(text, 32);
		put(OUT, text, "", 0);
		hex(text, 8);
		path_create_directory(OUT, text, 16);
		out("model", 5);
		path_rename(OUT, model, 9, OUT, text + 8, 8);
		path_rename(OUT, text + 8, 8, OUT, model, 9);
	}
	TRY("metadata") {
		out("model", 5);
		hex(text, 32);
		path_filestat_set_times(OUT, 0, model, 9, (u64)number(31) * 1000000000, (u64)number(31) * 1000000000, 1 | 4);
		path_symlink(text, 64, OUT, "link", 4);
		path_link(OUT, 0, model, 9, OUT, text, 64);
	}
	TRY("count") files(number(9));
	TRY("count-failed") { files(number(9)); proc_exit(1); }
	TRY("failed") { out(record, sizeof record); proc_exit(1); }
	TRY("exit") proc_exit(1 + number(7));
	TRY("trap") trap();
	TRY("words") { fd_write(2, &v, 1, &done); __builtin_trap(); }
	TRY("ending") switch (number(2)) { case 1: proc_exit(1); case 2: spin(-1ull); case 3: touch(1000); }
	TRY("say") { hex(text, 32); v.p = text, v.n = 64; for (u32 i = 0; i < 2000; i++) fd_write(1 + i % 2, &v, 1, &done); }
	TRY("say-much") { v.p = buf, v.n = 512 * number(6); fd_write(1, &v, 1, &done); }
	TRY("fuel") spin((u64)number(16) * 1000);
	TRY("killed") { spin((u64)number(16) * 1000); spin(-1ull); }
	TRY("spin") spin((u64)number(1) * 1000000000);
	TRY("memory") touch(1 + number(3));
	TRY("leaves") { u32 fd = open_file(); for (u32 i = 0; i < 8; i++) if (number(8) >> (7 - i) & 1) look(fd, 2 + i); }
	TRY("reread") { // all, the last first; then 1 to 8 again, of which the record says how many, and whether the last is one
		u32 fd = open_file(), k = number(3), last = 11;
		pread_at(fd, 1, (u64)last * SEGMENT);
		for (u32 i = 1; i < last; i++) look(fd, i);
		for (u32 i = 1; i <= k; i++) look(fd, i);
		if (number(4) & 1) pread_at(fd, 1, (u64)last * SEGMENT);
		else look(fd, k + 1);
	}
	TRY("path") { // four segments in one of 24 orders, of which the record chooses one of 16
		u32 fd = open_file(), left[4] = { 2, 3, 4, 5 }, k = number(4);
		for (u32 many = 4; many > 0; many--) {
			u32 i = k % many;
			k /= many;
			look(fd, left[i]);
			for (; i + 1 < many; i++) left[i] = left[i + 1];
		}
	}
	TRY("ranges") { u32 fd = open_file(); u64 off = 0; while ((n = pread_at(fd, 100 + number(8) * 37, off))) off += n; }
	TRY("sockets") { for (u32 fd = 0; fd < 128; fd++) { n += !sock_send(fd, &v, 1, 0, &done); n += !sock_accept(fd, 0, &done); } out(&n, 4); }
	TRY("descriptors") { for (u32 fd = 0; fd < 128; fd++) if (fd != 1 && fd != 2) n += !fd_write(fd, &v, 1, &done); out(&n, 4); }
	TRY("write") everywhere();
	TRY("environment") { args_sizes_get(&n, &done); environ_sizes_get(&n, &done); out(env, done); }
	TRY("clock") { u32 fd = open_file(); u64 off = 0; clock_time_get(1, 1, t); while ((n = pread_at(fd, 4096, off))) off += n; clock_time_get(1, 1, t + 1); out(t, sizeof t); }
	TRY("random") { random_get(buf, 64); out(buf, 64); }
	TRY("constant") { for (; n < sizeof constant; n++) buf[n] = (u8)constant[n]; out(buf, n); }
	TRY("plant") plant();
	TRY("hunt") hunt();
}

void _start(void) {
	const char *try = param("TRY");
	u32 fd;
	if (!same(try, "constant") && !same(try, "hunt") && !same(try, "random") && !same(try, "environment")) learn(); // these know nothing
	const char *n = param("CALIBRATE"); // instead of the record: what a number looks like from outside
	if (*n) {
		memset(record, 0, sizeof record);
		for (u32 i = 0; i < 2; i++) record[i] = (u8)(nibble((u8)n[2 * i]) << 4 | nibble((u8)n[2 * i + 1]));
	}
	attempt(try);
	if (path_open(OUT, 0, model, 9, 0, 2, 0, 0, &fd)) out("model", 5);
}
