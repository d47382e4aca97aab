/* SPDX-License-Identifier: Apache-2.0
 *
 * A network with one hidden layer of rectified units. train.json: "inputs" (784), "hidden" (128), "classes" (10), "scale" (255),
 * "seed" (of initial weights). Weights of the first layer stand input by input, so that an input that is 0 costs nothing: its
 * gradient is 0 as well.
 */
#include "digits.h"

static size_t hidden;
static float *first, *second, *h, *back; /* weights and then biases; units, and the loss's derivative by them */

int model_open(void) {
  if (digits_open()) return 1;
  hidden = (size_t)train_int("hidden", 128, 1, 10000);
  params = first = train_parameters((inputs + 1) * hidden + (hidden + 1) * classes);
  if (!params) return 1;
  second = first + (inputs + 1) * hidden;
  digits_fill(first, inputs * hidden, 2.0 / (double)inputs);
  digits_fill(second, hidden * classes, 1.0 / (double)hidden);
  h = train_alloc(hidden, sizeof *h);
  back = train_alloc(hidden, sizeof *back);
  return 0;
}

long model_prepare(const char *line, size_t size, char *out, size_t room) { return digits_prepare(line, size, out, room); }

static void forward(const float *x) {
  memcpy(h, first + inputs * hidden, hidden * sizeof *h);
  for (size_t i = 0; i < inputs; i++)
    if (x[i] != 0) vec_add(h, first + i * hidden, x[i], hidden);
  for (size_t j = 0; j < hidden; j++) h[j] = h[j] > 0 ? h[j] : 0;
  dense(second, h, hidden, logits, classes);
}

int model_gradient(const char *record, size_t size, float *gradient) {
  const float *x = (const float *)(const void *)record + 1;
  if (size != (inputs + 1) * sizeof *x) return 1;
  forward(x);
  digits_loss((size_t)x[-1]);
  dense_back(second, h, hidden, delta, classes, gradient + (inputs + 1) * hidden, back);
  for (size_t j = 0; j < hidden; j++) back[j] = h[j] > 0 ? back[j] : 0;
  for (size_t i = 0; i < inputs; i++)
    if (x[i] != 0) vec_set(gradient + i * hidden, back, x[i], hidden);
  memcpy(gradient + inputs * hidden, back, hidden * sizeof *back);
  return 0;
}

float model_predict(const char *record, size_t size) {
  const float *x = (const float *)(const void *)record + 1;
  if (size != (inputs + 1) * sizeof *x) return 0;
  forward(x);
  return digits_best() == (size_t)x[-1];
}
