/* SPDX-License-Identifier: Apache-2.0
 *
 * Trains 784-128-10 for STEPS steps with ReLU and softmax on batches of 32 synthetic images by plain gradient descent. By default the
 * products are loops that the compiler may vectorise; with -DLANES they are written with vectors of four; with -DBLAS they
 * are those of the sandbox. All add in the same order, so all print the same. */
#include "bench.h"

#ifdef BLAS
#include "glovebox.h"
#else
#include <math.h>
#endif

enum { in = 784, hidden = 128, out = 10, batch = 32, images = 1024, steps = STEPS };

#ifdef BLAS

#define product gb_sgemm
static void powers(int n, const float *x, float *y) { gb_sexp(n, x, y); }

#else

/* The exponential of docs/spec/blas.md, for arguments that are at most zero. */
static void powers(int n, const float *x, float *y) {
  static const double c[] = {0x1.71de3a556c734p-19, 0x1.a01a01a01a01ap-16, 0x1.a01a01a01a01ap-13, 0x1.6c16c16c16c17p-10,
    0x1.1111111111111p-7, 0x1.5555555555555p-5, 0x1.5555555555555p-3, 0x1p-1, 1, 1};
  for (int i = 0; i < n; i++) {
    double v = x[i] < -100 ? -100 : x[i], q = v * 0x1.71547652b82fep+0, k = rint(q), p = c[0], scale;
    double r = (v - k * 0x1.62e42feep-1) - k * 0x1.a39ef35793c76p-33;
    for (int t = 1; t < 10; t++) p = c[t] + r * p;
    uint64_t bits = (uint64_t)((int64_t)k + 1023) << 52;
    memcpy(&scale, &bits, 8);
    y[i] = (float)(p * scale);
  }
}

#ifdef LANES
typedef float lanes __attribute__((vector_size(16), aligned(4)));

/* row adds depth products to up to 16 sums beside each other; b's rows are step apart. */
static void row(int depth, const float *a, int stride, const float *b, int step, float *sums) {
  lanes s[4] = {{0}};
  for (int p = 0; p < depth; p++, a += stride, b += step)
    for (int u = 0; u < 4; u++) s[u] += *a * *(const lanes *)(b + 4 * u);
  memcpy(sums, s, sizeof s);
}

static void product(int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc) {
  static float panel[1024 * 16];
  float sums[16];
  for (int j = 0; j < n; j += 16) {
    int width = n - j < 16 ? n - j : 16;
    for (int p = 0; p < k; p++)
      for (int q = 0; q < width; q++) panel[16 * p + q] = tb ? b[(j + q) * ldb + p] : b[p * ldb + j + q];
    for (int i = 0; i < m; i++) {
      row(k, ta ? a + i : a + i * lda, ta ? lda : 1, panel, 16, sums);
      for (int q = 0; q < width; q++) {
        float *at = c + i * ldc + j + q, v = alpha * sums[q];
        *at = beta != 0 ? v + beta * *at : v;
      }
    }
  }
}
#else
static void product(int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc) {
  float sums[128];
  for (int i = 0; i < m; i++) {
    for (int j = 0; j < n; j++) sums[j] = 0;
    for (int p = 0; p < k; p++) {
      float v = ta ? a[p * lda + i] : a[i * lda + p];
      if (tb)
        for (int j = 0; j < n; j++) sums[j] += v * b[j * ldb + p];
      else
        for (int j = 0; j < n; j++) sums[j] += v * b[p * ldb + j];
    }
    for (int j = 0; j < n; j++) c[i * ldc + j] = beta != 0 ? alpha * sums[j] + beta * c[i * ldc + j] : alpha * sums[j];
  }
}
#endif
#endif

static float x[images * in], w1[in * hidden], w2[hidden * out], h[batch * hidden], z[batch * out], dh[batch * hidden];
static int label[images];

/* gradient turns the scores of a batch into their gradient. */
static void gradient(const int *labels) {
  for (int i = 0; i < batch; i++) {
    float *s = z + i * out, top = s[0], total = 0;
    for (int j = 1; j < out; j++) top = s[j] > top ? s[j] : top;
    for (int j = 0; j < out; j++) s[j] -= top;
    powers(out, s, s);
    for (int j = 0; j < out; j++) total += s[j];
    for (int j = 0; j < out; j++) s[j] = (s[j] / total - (j == labels[i])) / batch;
  }
}

int main(void) {
  const float rate = 0.05f;
  for (int i = 0; i < images; i++) {
    label[i] = i % out;
    for (int j = 0; j < in; j++) x[i * in + j] = bench_unit() + (j % out == label[i]);
  }
  for (int i = 0; i < in * hidden; i++) w1[i] = bench_unit() * 0.05f;
  for (int i = 0; i < hidden * out; i++) w2[i] = bench_unit() * 0.1f;
  for (int step = 0; step < steps; step++) {
    int first = step * batch % images;
    const float *images_at = x + first * in;
    product(0, 0, batch, hidden, in, 1, images_at, in, w1, hidden, 0, h, hidden);
    for (int i = 0; i < batch * hidden; i++) h[i] = h[i] > 0 ? h[i] : 0;
    product(0, 0, batch, out, hidden, 1, h, hidden, w2, out, 0, z, out);
    gradient(label + first);
    product(0, 1, batch, hidden, out, 1, z, out, w2, out, 0, dh, hidden);
    for (int i = 0; i < batch * hidden; i++) dh[i] = h[i] > 0 ? dh[i] : 0;
    product(1, 0, hidden, out, batch, -rate, h, hidden, z, out, 1, w2, out);
    product(1, 0, in, hidden, batch, -rate, images_at, in, dh, hidden, 1, w1, hidden);
  }
  return bench_done(bench_hash(w1, sizeof w1) ^ bench_hash(w2, sizeof w2));
}
