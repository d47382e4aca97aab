/* SPDX-License-Identifier: Apache-2.0
 *
 * Nearest neighbours by dot product, four float32 at a time through the compiler's portable vectors: SIMD with
 * -msimd128 and natively. */
#include "bench.h"

typedef float lanes __attribute__((vector_size(16)));

enum { vectors = 2048, dimension = 256, queries = 1280 };

static float dot(const float *a, const float *b) {
  lanes s[4] = {{0}};
  for (int i = 0; i < dimension; i += 16)
    for (int u = 0; u < 4; u++) {
      lanes x, y;
      memcpy(&x, a + i + 4 * u, sizeof x);
      memcpy(&y, b + i + 4 * u, sizeof y);
      s[u] += x * y;
    }
  lanes t = (s[0] + s[1]) + (s[2] + s[3]);
  return (t[0] + t[1]) + (t[2] + t[3]);
}

int main(void) {
  float *data = malloc(sizeof(float) * vectors * dimension), query[dimension];
  uint64_t h = 0;
  for (int i = 0; i < vectors * dimension; i++) data[i] = bench_unit();
  for (int q = 0; q < queries; q++) {
    float best = -1e9f;
    int which = 0;
    for (int i = 0; i < dimension; i++) query[i] = bench_unit();
    for (int v = 0; v < vectors; v++) {
      float d = dot(query, data + v * dimension);
      if (d > best) {
        best = d;
        which = v;
      }
    }
    h = h * 31 + (uint64_t)which;
  }
  return bench_done(h);
}
