/* SPDX-License-Identifier: Apache-2.0
 *
 * SHA-256 of 12 MiB: rotations and additions of 32 bits. */
#include "bench.h"

static uint32_t k[64];

static uint32_t rotate(uint32_t v, int n) { return v >> n | v << (32 - n); }

/* The constants are the first 32 bits of the fractional parts of the cube roots of the first 64 primes. */
static void constants(void) {
  int n = 0;
  for (uint64_t c = 2; n < 64; c++) {
    int prime = 1;
    for (uint64_t d = 2; d * d <= c; d++)
      if (c % d == 0) prime = 0;
    if (!prime) continue;
    /* The largest r with r^3 <= c * 2^96; r is below 2^35 since c is below 512. */
    uint64_t r = 0;
    for (int bit = 34; bit >= 0; bit--) {
      uint64_t t = r | (uint64_t)1 << bit;
      unsigned __int128 square = (unsigned __int128)t * t, limit = (unsigned __int128)c << 96;
      if (square <= limit / t) r = t;
    }
    k[n++] = (uint32_t)r;
  }
}

static void block(uint32_t h[8], const uint8_t *p) {
  uint32_t w[64], s[8];
  for (int i = 0; i < 16; i++) w[i] = (uint32_t)p[4 * i] << 24 | (uint32_t)p[4 * i + 1] << 16 | (uint32_t)p[4 * i + 2] << 8 | p[4 * i + 3];
  for (int i = 16; i < 64; i++) {
    uint32_t a = w[i - 15], b = w[i - 2];
    w[i] = w[i - 16] + w[i - 7] + (rotate(a, 7) ^ rotate(a, 18) ^ a >> 3) + (rotate(b, 17) ^ rotate(b, 19) ^ b >> 10);
  }
  memcpy(s, h, sizeof s);
  for (int i = 0; i < 64; i++) {
    uint32_t t = s[7] + (rotate(s[4], 6) ^ rotate(s[4], 11) ^ rotate(s[4], 25)) + ((s[4] & s[5]) ^ (~s[4] & s[6])) + k[i] + w[i];
    uint32_t u = (rotate(s[0], 2) ^ rotate(s[0], 13) ^ rotate(s[0], 22)) + ((s[0] & s[1]) ^ (s[0] & s[2]) ^ (s[1] & s[2]));
    memmove(s + 1, s, 7 * sizeof *s);
    s[4] += t;
    s[0] = t + u;
  }
  for (int i = 0; i < 8; i++) h[i] += s[i];
}

int main(void) {
  enum { size = 12 << 20 };
  uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
  uint8_t *data = malloc(size), last[64] = {0x80};
  constants();
  for (int i = 0; i < size; i++) data[i] = (uint8_t)(bench_next() >> 24);
  for (int i = 0; i < size; i += 64) block(h, data + i);
  for (int i = 0; i < 8; i++) last[63 - i] = (uint8_t)((uint64_t)size * 8 >> 8 * i);
  block(h, last);
  return bench_done((uint64_t)h[0] << 32 | h[1]);
}
