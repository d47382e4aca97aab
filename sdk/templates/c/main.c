/* SPDX-License-Identifier: Apache-2.0
 *
 * This job learns to predict a CSV column of 0 and 1 from the others (logistic regression), beside data that it cannot
 * carry away. Start here, and make it yours.
 *
 * Parameters: DATASET (default: the only one), TARGET (the column to predict, default: the last), EPOCHS, RATE.
 * Outputs: model.safetensors and metrics.json.
 */
#include "glovebox.h"

/* The whole dataset as numbers, row by row. */
typedef struct {
  int rows, columns;
  float *x, *y;
  float *mean, *scale; /* of each column, before it was standardised */
} table;

static table load(const gb_dataset *d, const char *target) {
  table t = {0};
  size_t room = 0;
  if (d->format != GB_CSV) gb_fail("dataset %s is not CSV", d->name);
  gb_records *r = gb_records_open(d);
  t.columns = (int)r->column_count - 1;
  int last = *target ? gb_column(r, target) : t.columns;
  if (last < 0) gb_fail("parameter TARGET: there is no column \"%s\"", target);
  if (t.columns < 1) gb_fail("there is nothing to learn from in one column");
  for (; gb_next(r); t.rows++) {
    if ((size_t)t.rows == room) {
      room = room ? 2 * room : 1024;
      t.x = realloc(t.x, room * (size_t)t.columns * sizeof *t.x);
      t.y = realloc(t.y, room * sizeof *t.y);
      if (!t.x || !t.y) gb_fail("out of memory after %d records", t.rows);
    }
    float *row = t.x + (size_t)t.rows * (size_t)t.columns;
    for (int i = 0; i <= t.columns; i++) {
      double v = gb_number(r->fields[i]);
      if (i != last)
        *row++ = (float)v;
      else if (v != 0 && v != 1)
        gb_fail("column %s is to be predicted, and holds more than 0 and 1", r->header[i]);
      else
        t.y[t.rows] = (float)v;
    }
  }
  if (!t.rows) gb_fail("there are no records");
  gb_records_close(r);
  return t;
}

/* standardise gives every column mean 0 and deviation 1, as the one who uses the model must do with what it remembers. */
static void standardise(table *t) {
  size_t step = (size_t)t->columns, end = (size_t)t->rows * step;
  t->mean = gb_alloc(step, sizeof(float));
  t->scale = gb_alloc(step, sizeof(float));
  for (size_t c = 0; c < step; c++) {
    double sum = 0, squares = 0;
    for (size_t i = c; i < end; i += step) sum += t->x[i];
    double mean = sum / t->rows;
    for (size_t i = c; i < end; i += step) {
      double d = t->x[i] - mean, square = d * d;
      squares += square;
    }
    double scale = sqrt(squares / t->rows);
    if (scale == 0) scale = 1;
    for (size_t i = c; i < end; i += step) t->x[i] = (float)((t->x[i] - mean) / scale);
    t->mean[c] = (float)mean;
    t->scale[c] = (float)scale;
  }
}

int main(void) {
  gb_dataset d = gb_find(gb_param("DATASET", ""));
  const char *target = gb_param("TARGET", "");
  int epochs = (int)gb_param_int("EPOCHS", 200, 1, 100000);
  float rate = (float)gb_param_float("RATE", 1, 0, 100), bias = 0;
  table t = load(&d, target);
  standardise(&t);

  int n = t.rows, columns = t.columns;
  float *weights = gb_alloc((size_t)columns, sizeof(float)), *gradient = gb_alloc((size_t)columns, sizeof(float));
  float *p = gb_alloc((size_t)n, sizeof(float));
  double loss = 0, accuracy = 0;
  for (int e = 0; e < epochs; e++) { /* gb_sgemv and gb_sexp run outside the guest, vectorised */
    gb_sgemv(0, n, columns, -1, t.x, columns, weights, 1, 0, p, 1); /* p = -x·w */
    for (int i = 0; i < n; i++) p[i] -= bias;
    gb_sexp(n, p, p);
    int right = 0;
    double slope = 0;
    loss = 0;
    for (int i = 0; i < n; i++) {
      p[i] = 1 / (1 + p[i]);
      right += (p[i] > 0.5f) == (t.y[i] == 1);
      float diff = p[i] - t.y[i];
      double square = (double)diff * (double)diff;
      loss += square;
      p[i] = diff;
      slope += diff;
    }
    loss /= n;
    accuracy = (double)right / n;
    gb_sgemv(1, n, columns, 1 / (float)n, t.x, columns, p, 1, 0, gradient, 1);
    gb_saxpy(columns, -rate, gradient, 1, weights, 1);
    float step = rate * (float)(slope / n);
    bias -= step;
    if (e % 50 == 49) printf("epoch %d accuracy %.3f\n", e + 1, accuracy);
  }

  gb_tensor tensors[] = {{"bias", 0, {0}, &bias}, {"mean", 1, {columns}, t.mean}, {"scale", 1, {columns}, t.scale}, {"weights", 1, {columns}, weights}};
  FILE *f = gb_create("model.safetensors");
  gb_write_safetensors(f, "logistic-regression/1", tensors, 4);
  gb_finish(f);
  static gb_metrics m;
  gb_metric(&m, "accuracy", accuracy);
  gb_metric(&m, "epochs", epochs);
  gb_metric(&m, "loss", loss); /* mean squared error */
  gb_metric(&m, "records", n);
  gb_metrics_write(&m);
  return 0;
}
