/* SPDX-License-Identifier: Apache-2.0
 *
 * The small convolutional network of the literature on DP-SGD, with bounded activations (Papernot et al. 2021): 16 kernels of 8 by 8
 * every 2 pixels, tanh, the greatest of 2 by 2; 32 of 4 by 4 every 2, tanh, the greatest of 2 by 2; 32 units, tanh; classes. Images
 * are 28 by 28. train.json: "classes" (10), "scale" (255), "seed" (of initial weights).
 *
 * Maps stand pixel by pixel, all channels of a pixel beside each other, so that products run over channels.
 */
#include "glovebox.h"

#include "digits.h"

enum { SIDE = 28, C1 = 16, K1 = 8, PAD1 = 3, N1 = 14, P1 = 13, C2 = 32, K2 = 4, N2 = 5, P2 = 4, UNITS = 32 };
enum { W1 = K1 * K1 * C1, W2 = C2 * K2 * K2 * C1, FLAT = P2 * P2 * C2, W3 = FLAT * UNITS };

enum { SEEN = K2 * K2 * C1, ROW = K2 * C1, PLACES = N2 * N2 };

/* A map of a layer: its activations, the loss's derivative by them, and of pooled ones which of four each was. */
static float a1[N1 * N1 * C1], d1[N1 * N1 * C1], p1[P1 * P1 * C1], dp1[P1 * P1 * C1];
static float a2[PLACES * C2], d2[PLACES * C2], p2[FLAT], dp2[FLAT], a3[UNITS], d3[UNITS];
static int from1[P1 * P1 * C1], from2[FLAT];
static float seen1[N1 * N1 * K1 * K1], seen2[PLACES * SEEN]; /* what each place of a convolution sees; of the second, then the derivative by it */

int model_open(void) {
  if (digits_open() || inputs != SIDE * SIDE) return 1;
  params = train_parameters(W1 + C1 + W2 + C2 + W3 + UNITS + UNITS * classes + classes);
  if (!params) return 1;
  float *w = params;
  digits_fill(w, W1, 1.0 / (K1 * K1)), w += W1 + C1;
  digits_fill(w, W2, 1.0 / (K2 * K2 * C1)), w += W2 + C2;
  digits_fill(w, W3, 1.0 / FLAT), w += W3 + UNITS;
  digits_fill(w, UNITS * classes, 1.0 / UNITS);
  return 0;
}

long model_prepare(const char *line, size_t size, char *out, size_t room) { return digits_prepare(line, size, out, room); }

/* pool keeps the greatest of 2 by 2 at every pixel, and which it was. Channels are a multiple of 4. */
static void pool(const float *in, int n, int channels, float *out, int *from) {
  for (int y = 0; y + 1 < n; y++)
    for (int x = 0; x + 1 < n; x++)
      for (int c = 0; c < channels; c += 4, out += 4, from += 4) {
        const float *here = in + (y * n + x) * channels + c;
        v4 best = v4_get(here);
        v4i which = {0, 0, 0, 0};
        for (int q = 1; q < 4; q++) {
          v4 v = v4_get(here + (q / 2 * n + q % 2) * channels);
          v4i more = v > best;
          best = v4_choose(more, v, best);
          which = (more & (v4i){q, q, q, q}) | (~more & which);
        }
        *v4_at(out) = best;
        *(v4i *)(void *)from = which;
      }
}

/* unpool sends derivatives back to where values came from, through tanh. */
static void unpool(const float *d, const int *from, int n, int channels, const float *a, float *back) {
  memset(back, 0, (size_t)(n * n * channels) * sizeof *back);
  for (int y = 0; y + 1 < n; y++)
    for (int x = 0; x + 1 < n; x++)
      for (int c = 0; c < channels; c += 4, d += 4, from += 4)
        for (int q = 0; q < 4; q++) {
          v4i mask = *(const v4i *)(const void *)from == (v4i){q, q, q, q};
          *v4_at(back + ((y + q / 2) * n + x + q % 2) * channels + c) += (v4)(mask & (v4i)v4_get(d));
        }
  for (int i = 0; i < n * n * channels; i += 4) *v4_at(back + i) *= v4_all(1) - v4_get(a + i) * v4_get(a + i);
}

/* look lays out beside each other the pixels that each place of the first convolution sees. */
static void look(const float *x) {
  static float padded[SIDE + K1 - 2][SIDE + K1];
  for (int y = 0; y < SIDE; y++) memcpy(&padded[y + PAD1][PAD1], x + y * SIDE, SIDE * sizeof *x);
  float *to = seen1;
  for (int y = 0; y < N1; y++)
    for (int c = 0; c < N1; c++)
      for (int ky = 0; ky < K1; ky++, to += K1) memcpy(to, &padded[2 * y + ky][2 * c], K1 * sizeof *to);
}

/* place is where in the pooled first layer a place of the second begins to see. */
static size_t place(size_t at) { return (2 * (at / N2) * P1 + 2 * (at % N2)) * C1; }

static void look_again(void) {
  for (size_t at = 0; at < PLACES; at++)
    for (size_t ky = 0; ky < K2; ky++) memcpy(seen2 + at * SEEN + ky * ROW, p1 + place(at) + ky * P1 * C1, ROW * sizeof *seen2);
}

/* activate adds biases, one a channel, to n places of a map and takes the hyperbolic tangent. */
static void activate(float *map, size_t n, const float *bias, size_t channels) {
  for (size_t at = 0; at < n; at++)
    for (size_t c = 0; c < channels; c += 4, map += 4) *v4_at(map) = v4_tanh(v4_get(map) + v4_get(bias + c));
}

/* bias_gradient sums a map's derivatives by channel. */
static void bias_gradient(const float *d, size_t n, size_t channels, float *g) {
  for (size_t at = 0; at < n; at++, d += channels)
    for (size_t c = 0; c < channels; c += 4) *v4_at(g + c) += v4_get(d + c);
}

/* second_back adds to the derivative by the pooled first layer that by what each place sees of it. */
static void second_back(const float *w) {
  gb_sgemm(0, 0, PLACES, SEEN, C2, 1, d2, C2, w, SEEN, 0, seen2, SEEN);
  for (size_t at = 0; at < PLACES; at++)
    for (size_t ky = 0; ky < K2; ky++) {
      float *to = dp1 + place(at) + ky * P1 * C1;
      const float *from = seen2 + at * SEEN + ky * ROW;
      for (size_t i = 0; i < ROW; i += 4) *v4_at(to + i) += v4_get(from + i);
    }
}

static void forward(const float *x) {
  float *w = params;
  look(x);
  gb_sgemm(0, 0, N1 * N1, C1, K1 * K1, 1, seen1, K1 * K1, w, C1, 0, a1, C1);
  activate(a1, N1 * N1, w + W1, C1);
  pool(a1, N1, C1, p1, from1);
  look_again();
  gb_sgemm(0, 1, PLACES, C2, SEEN, 1, seen2, SEEN, w += W1 + C1, SEEN, 0, a2, C2);
  activate(a2, PLACES, w + W2, C2);
  pool(a2, N2, C2, p2, from2);
  dense(w += W2 + C2, p2, FLAT, a3, UNITS);
  vec_tanh(a3, UNITS);
  dense(w + W3 + UNITS, a3, UNITS, logits, classes);
}

int model_gradient(const char *record, size_t size, float *gradient) {
  const float *x = (const float *)(const void *)record + 1;
  if (size != (inputs + 1) * sizeof *x) return 1;
  forward(x);
  digits_loss((size_t)x[-1]);
  float *w2 = params + W1 + C1, *w3 = w2 + W2 + C2, *w4 = w3 + W3 + UNITS;
  memset(d3, 0, sizeof d3), memset(dp2, 0, sizeof dp2), memset(dp1, 0, sizeof dp1);
  dense_back(w4, a3, UNITS, delta, classes, gradient + (w4 - params), d3);
  for (int i = 0; i < UNITS; i++) d3[i] *= 1 - a3[i] * a3[i];
  dense_back(w3, p2, FLAT, d3, UNITS, gradient + (w3 - params), dp2);
  unpool(dp2, from2, N2, C2, a2, d2);
  gb_sgemm(1, 0, C2, SEEN, PLACES, 1, d2, C2, seen2, SEEN, 0, gradient + (w2 - params), SEEN);
  bias_gradient(d2, PLACES, C2, gradient + (w2 - params) + W2);
  second_back(w2);
  unpool(dp1, from1, P1 + 1, C1, a1, d1);
  gb_sgemm(1, 0, K1 * K1, C1, N1 * N1, 1, seen1, K1 * K1, d1, C1, 0, gradient, C1);
  bias_gradient(d1, N1 * N1, C1, gradient + W1);
  return 0;
}

float model_predict(const char *record, size_t size) {
  const float *x = (const float *)(const void *)record + 1;
  if (size != (inputs + 1) * sizeof *x) return 0;
  forward(x);
  return digits_best() == (size_t)x[-1];
}
