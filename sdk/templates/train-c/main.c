/* SPDX-License-Identifier: Apache-2.0
 *
 * Softmax regression on a CSV of numbers, to be trained with differential privacy. Start here, and make it yours. The first
 * column is the class, from 0 on. train.json has "inputs" (the other columns), "classes" and "scale" (what they are divided by).
 */
#define MODEL_PREPARE
#define MODEL_PREDICT
#include "glovebox_train.h"

static size_t inputs, classes;
static float scale, *params; /* a row of weights for each class, then its biases */
static double *p;            /* how likely each class is */

int model_open(void) {
  inputs = (size_t)train_int("inputs", 4, 1, 100000);
  classes = (size_t)train_int("classes", 3, 2, 1000);
  scale = (float)train_float("scale", 1);
  p = train_alloc(classes, sizeof *p);
  params = train_parameters((inputs + 1) * classes);
  return !(scale > 0);
}

/* A line becomes its class and inputs as numbers, once, before training. */
long model_prepare(const char *line, size_t size, char *out, size_t room) {
  float *x = (float *)out;
  size_t bytes = (inputs + 1) * sizeof *x;
  if (bytes > room || !train_floats(line, size, x, inputs + 1)) return -1;
  if (!(x[0] >= 0 && x[0] < (float)classes)) return -1;
  for (size_t i = 1; i <= inputs; i++) x[i] /= scale;
  return (long)bytes;
}

static void forward(const float *x) {
  double most = -INFINITY, sum = 0;
  for (size_t k = 0; k < classes; k++) {
    const float *w = params + k * inputs;
    double s = params[inputs * classes + k];
    for (size_t i = 0; i < inputs; i++) s += (double)w[i] * x[i];
    if ((p[k] = s) > most) most = s;
  }
  for (size_t k = 0; k < classes; k++) sum += p[k] = exp(p[k] - most);
  for (size_t k = 0; k < classes; k++) p[k] /= sum;
}

int model_gradient(const char *record, size_t size, float *gradient) {
  const float *x = (const float *)record + 1;
  if (size != (inputs + 1) * sizeof *x) return 1;
  forward(x);
  for (size_t k = 0; k < classes; k++) {
    float d = (float)(p[k] - (k == (size_t)x[-1]));
    for (size_t i = 0; i < inputs; i++) gradient[k * inputs + i] = d * x[i];
    gradient[inputs * classes + k] = d;
  }
  return 0;
}

float model_predict(const char *record, size_t size) {
  const float *x = (const float *)record + 1;
  size_t best = 0;
  if (size != (inputs + 1) * sizeof *x) return 0;
  forward(x);
  for (size_t k = 1; k < classes; k++)
    if (p[k] > p[best]) best = k;
  return best == (size_t)x[-1];
}
