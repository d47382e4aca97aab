/* SPDX-License-Identifier: Apache-2.0
 *
 * What the kernels share. Each is a program without input that does a fixed amount of work and prints one line, which must
 * be the same wherever it runs. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint32_t bench_state = 12345;

/* bench_next is a number from a linear congruential generator; its high bits are the better ones. */
static inline uint32_t bench_next(void) { return bench_state = bench_state * 1664525u + 1013904223u; }

/* bench_unit is a number from -1 to below 1. */
static inline float bench_unit(void) { return (float)(int32_t)bench_next() * 0x1p-31f; }

/* bench_hash is FNV-1a. */
static inline uint64_t bench_hash(const void *p, size_t n) {
  uint64_t h = 14695981039346656037u;
  for (const unsigned char *b = p; n--; b++) h = (h ^ *b) * 1099511628211u;
  return h;
}

static inline int bench_done(uint64_t result) {
  printf("%016llx\n", (unsigned long long)result);
  return 0;
}
