/* SPDX-License-Identifier: Apache-2.0
 *
 * digits.h: what the models of this folder share: a record is a CSV line whose first column is the class, from 0 on; prepared it is
 * floats, the class and then inputs; the loss is the cross entropy of the softmax over classes.
 */
#ifndef DIGITS_H
#define DIGITS_H

#define MODEL_PREPARE
#define MODEL_PREDICT
#include "glovebox_train.h"
#include "vec.h"

static size_t inputs, classes;
static float scale, *params, *logits, *delta;

/* digits_open reads what every model has in train.json. */
static inline int digits_open(void) {
  inputs = (size_t)train_int("inputs", 784, 1, 100000);
  classes = (size_t)train_int("classes", 10, 2, 1000);
  scale = (float)train_float("scale", 255);
  logits = train_alloc(classes, sizeof *logits);
  delta = train_alloc(classes, sizeof *delta);
  train_seed((uint64_t)train_int("seed", 1, 0, INT32_MAX));
  return !(scale > 0);
}

/* digits_fill draws initial weights, uniform with this variance. */
static inline void digits_fill(float *w, size_t n, double variance) {
  double width = sqrt(12 * variance);
  for (size_t i = 0; i < n; i++) w[i] = (float)(width * (train_uniform() - 0.5));
}

/* digits_prepare makes a line class and inputs. */
static inline long digits_prepare(const char *line, size_t size, char *out, size_t room) {
  float *x = (float *)(void *)out;
  size_t bytes = (inputs + 1) * sizeof *x;
  if (bytes > room || !train_floats(line, size, x, inputs + 1) || !(x[0] >= 0 && x[0] < (float)classes)) return -1;
  for (size_t i = 1; i <= inputs; i++) x[i] /= scale;
  return (long)bytes;
}

/* digits_loss makes logits the loss's derivative by them, in delta, and gives the loss. */
static inline double digits_loss(size_t class) {
  float most = logits[0];
  double sum = 0;
  for (size_t k = 1; k < classes; k++)
    if (logits[k] > most) most = logits[k];
  for (size_t k = 0; k < classes; k++) sum += delta[k] = expf(logits[k] - most);
  for (size_t k = 0; k < classes; k++) delta[k] = (float)(delta[k] / sum);
  delta[class] -= 1;
  return log(sum) + most - logits[class];
}

static inline size_t digits_best(void) {
  size_t best = 0;
  for (size_t k = 1; k < classes; k++)
    if (logits[k] > logits[best]) best = k;
  return best;
}

/* dense is out = w in + b, w row by row and then b. */
static inline void dense(const float *w, const float *in, size_t n, float *out, size_t m) {
  size_t k = 0;
  for (; k + 1 < m; k += 2) vec_dot2(w + k * n, in, n, out + k);
  if (k < m) out[k] = vec_dot(w + k * n, in, n);
  for (k = 0; k < m; k++) out[k] += w[n * m + k];
}

/* dense_back fills the gradient of w and b by that of out, and that of in, if back. */
static inline void dense_back(const float *w, const float *in, size_t n, const float *out_gradient, size_t m, float *g, float *back) {
  for (size_t k = 0; k < m; k++) {
    vec_set(g + k * n, in, out_gradient[k], n);
    g[n * m + k] = out_gradient[k];
    if (back) vec_add(back, w + k * n, out_gradient[k], n);
  }
}

#endif
