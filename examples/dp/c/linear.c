/* SPDX-License-Identifier: Apache-2.0
 *
 * Softmax regression. train.json: "inputs" (784), "classes" (10), "scale" (255, what inputs are divided by).
 */
#include "digits.h"

int model_open(void) {
  if (digits_open()) return 1;
  params = train_parameters((inputs + 1) * classes);
  return 0;
}

long model_prepare(const char *line, size_t size, char *out, size_t room) { return digits_prepare(line, size, out, room); }

int model_gradient(const char *record, size_t size, float *gradient) {
  const float *x = (const float *)(const void *)record + 1;
  if (size != (inputs + 1) * sizeof *x) return 1;
  dense(params, x, inputs, logits, classes);
  digits_loss((size_t)x[-1]);
  dense_back(params, x, inputs, delta, classes, gradient, NULL);
  return 0;
}

float model_predict(const char *record, size_t size) {
  const float *x = (const float *)(const void *)record + 1;
  if (size != (inputs + 1) * sizeof *x) return 0;
  dense(params, x, inputs, logits, classes);
  return digits_best() == (size_t)x[-1];
}
