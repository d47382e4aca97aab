/* SPDX-License-Identifier: Apache-2.0
 *
 * The primes below 24 million, one byte a number: stores with a stride. */
#include "bench.h"

int main(void) {
  enum { n = 24000000 };
  uint8_t *composite = calloc(n, 1);
  uint64_t count = 0, sum = 0;
  for (uint32_t i = 2; i < n; i++) {
    if (composite[i]) continue;
    count++;
    sum += i;
    if ((uint64_t)i * i < n)
      for (uint32_t j = i * i; j < n; j += i) composite[j] = 1;
  }
  return bench_done(sum ^ count << 44);
}
