/* SPDX-License-Identifier: Apache-2.0
 *
 * Trains a network with one hidden layer on any CSV of numbers, one column of which is a class from 0 on.
 *
 *   clang --target=wasm32-wasi -O2 -I../../sdk/c -o train.wasm train.c -lm
 *
 * It is the buyer's code and nobody trusts it. Parameters: DATASET (the job's only one unless named), TARGET (the column
 * with the class, the first unless named), SCALE (what numbers are divided by, 1), HIDDEN, EPOCHS, BATCH, RATE. It writes
 * model.safetensors and metrics.json. The same data, parameters and seed give the same bytes. With BLAS=false the products
 * of matrices are computed in the guest, to compare.
 */
#include "glovebox.h"

enum { MOST_CLASSES = 1000 };

/* records are the whole dataset: inputs as numbers, row by row, and a class for each. */
typedef struct {
  int count, inputs, classes;
  float *x;
  int32_t *class;
} records;

static records load(const char *name, const char *target, float scale) {
  records d = {0};
  size_t room = 0;
  gb_dataset set = gb_find(name);
  if (set.format != GB_CSV) gb_fail("dataset %s is not CSV", set.name);
  gb_records *r = gb_records_open(&set);
  int column = *target ? gb_column(r, target) : 0;
  if (column < 0) gb_fail("parameter TARGET: there is no column \"%s\"", target);
  d.inputs = (int)r->column_count - 1;
  if (d.inputs < 1) gb_fail("there is nothing to learn from in one column");
  for (; gb_next(r); d.count++) {
    if ((size_t)d.count == room) {
      room = room ? 2 * room : 1024;
      d.x = realloc(d.x, room * (size_t)d.inputs * sizeof *d.x);
      d.class = realloc(d.class, room * sizeof *d.class);
      if (!d.x || !d.class) gb_fail("out of memory after %d records", d.count);
    }
    float *x = d.x + (size_t)d.count * (size_t)d.inputs;
    for (int i = 0; i <= d.inputs; i++) {
      double v = gb_number(r->fields[i]);
      if (i != column) {
        *x++ = (float)v / scale;
        continue;
      }
      if (v < 0 || v >= MOST_CLASSES || v != (int)v) gb_fail("record %d has no class from 0 to %d in column %s", d.count, MOST_CLASSES - 1, r->header[i]);
      d.class[d.count] = (int32_t)v;
      if ((int)v >= d.classes) d.classes = (int)v + 1;
    }
  }
  if (!d.count) gb_fail("there are no records");
  gb_records_close(r);
  return d;
}

static int use_blas;

/* product is gb_sgemm, or the same in the guest. */
static void product(int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb, float beta, float *c, int ldc) {
  if (use_blas) {
    gb_sgemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
    return;
  }
  float sums[MOST_CLASSES];
  for (int i = 0; i < m; i++) {
    for (int j = 0; j < n; j++) sums[j] = 0;
    for (int p = 0; p < k; p++) {
      float v = ta ? a[p * lda + i] : a[i * lda + p];
      for (int j = 0; j < n; j++) {
        float w = v * (tb ? b[j * ldb + p] : b[p * ldb + j]);
        sums[j] = sums[j] + w;
      }
    }
    for (int j = 0; j < n; j++) {
      float v = alpha * sums[j], w = beta * c[i * ldc + j];
      c[i * ldc + j] = beta == 0 ? v : v + w;
    }
  }
}

/* model is a network; batch is what one step of it needs. */
typedef struct {
  int inputs, hidden, classes;
  float *w1, *b1, *w2, *b2;
} model;

typedef struct {
  int count;
  float *x, *h, *dh, *p;
  int32_t *class;
} batch;

static model new_model(gb_rand *r, int inputs, int hidden, int classes) {
  model m = {inputs, hidden, classes, NULL, NULL, NULL, NULL};
  size_t n1 = (size_t)inputs * (size_t)hidden, n2 = (size_t)hidden * (size_t)classes;
  m.w1 = gb_alloc(n1, sizeof(float));
  m.b1 = gb_alloc((size_t)hidden, sizeof(float));
  m.w2 = gb_alloc(n2, sizeof(float));
  m.b2 = gb_alloc((size_t)classes, sizeof(float));
  double s1 = sqrt(2.0 / inputs), s2 = sqrt(2.0 / hidden);
  for (size_t i = 0; i < n1; i++) m.w1[i] = (float)(s1 * gb_rand_normal(r));
  for (size_t i = 0; i < n2; i++) m.w2[i] = (float)(s2 * gb_rand_normal(r));
  return m;
}

static batch new_batch(const model *m, int most) {
  size_t n = (size_t)most;
  batch b = {0};
  b.x = gb_alloc(n * (size_t)m->inputs, sizeof(float));
  b.h = gb_alloc(n * (size_t)m->hidden, sizeof(float));
  b.dh = gb_alloc(n * (size_t)m->hidden, sizeof(float));
  b.p = gb_alloc(n * (size_t)m->classes, sizeof(float));
  b.class = gb_alloc(n, sizeof *b.class);
  return b;
}

static void forward(const model *m, batch *b) {
  for (int i = 0; i < b->count; i++) {
    memcpy(b->h + i * m->hidden, m->b1, (size_t)m->hidden * sizeof(float));
    memcpy(b->p + i * m->classes, m->b2, (size_t)m->classes * sizeof(float));
  }
  product(0, 0, b->count, m->hidden, m->inputs, 1, b->x, m->inputs, m->w1, m->hidden, 1, b->h, m->hidden);
  for (int i = 0; i < b->count * m->hidden; i++)
    if (b->h[i] < 0) b->h[i] = 0;
  product(0, 0, b->count, m->classes, m->hidden, 1, b->h, m->hidden, m->w2, m->classes, 1, b->p, m->classes);
}

/* softmax_loss turns outputs into the gradient of the cross-entropy with respect to them. */
static void softmax_loss(const model *m, batch *b, double *loss, int *right) {
  for (int i = 0; i < b->count; i++) {
    float *p = b->p + i * m->classes;
    int best = 0;
    for (int k = 1; k < m->classes; k++)
      if (p[k] > p[best]) best = k;
    *right += best == b->class[i];
    float top = p[best];
    for (int k = 0; k < m->classes; k++) p[k] -= top;
  }
  gb_sexp(b->count * m->classes, b->p, b->p);
  for (int i = 0; i < b->count; i++) {
    float *p = b->p + i * m->classes, sum = 0;
    for (int k = 0; k < m->classes; k++) sum += p[k];
    for (int k = 0; k < m->classes; k++) p[k] /= sum;
    *loss -= log((double)p[b->class[i]] + 1e-12);
    p[b->class[i]] -= 1;
  }
}

static void step(model *m, batch *b, float rate, double *loss, int *right) {
  forward(m, b);
  softmax_loss(m, b, loss, right);
  float s = -rate / (float)b->count;
  product(0, 1, b->count, m->hidden, m->classes, 1, b->p, m->classes, m->w2, m->classes, 0, b->dh, m->hidden);
  for (int i = 0; i < b->count * m->hidden; i++)
    if (b->h[i] <= 0) b->dh[i] = 0;
  product(1, 0, m->hidden, m->classes, b->count, s, b->h, m->hidden, b->p, m->classes, 1, m->w2, m->classes);
  product(1, 0, m->inputs, m->hidden, b->count, s, b->x, m->inputs, b->dh, m->hidden, 1, m->w1, m->hidden);
  for (int i = 0; i < b->count; i++) {
    for (int k = 0; k < m->classes; k++) m->b2[k] += s * b->p[i * m->classes + k];
    for (int k = 0; k < m->hidden; k++) m->b1[k] += s * b->dh[i * m->hidden + k];
  }
}

int main(void) {
  const char *name = gb_param("DATASET", ""), *target = gb_param("TARGET", "");
  float scale = (float)gb_param_float("SCALE", 1, 1e-9, 1e9), first = (float)gb_param_float("RATE", 0.2, 0, 100);
  int hidden = (int)gb_param_int("HIDDEN", 64, 1, MOST_CLASSES), epochs = (int)gb_param_int("EPOCHS", 8, 1, 10000), most = (int)gb_param_int("BATCH", 16, 1, 4096);
  use_blas = gb_param_bool("BLAS", 1);
  records d = load(name, target, scale);
  gb_rand r = gb_seed();
  model m = new_model(&r, d.inputs, hidden, d.classes);
  batch b = new_batch(&m, most);
  int32_t *order = gb_alloc((size_t)d.count, sizeof *order);
  for (int i = 0; i < d.count; i++) order[i] = i;
  double loss = 0, accuracy = 0;
  for (int e = 0; e < epochs; e++) {
    gb_shuffle(&r, order, (size_t)d.count);
    float rate = first * (float)(epochs - e) / (float)epochs; /* falls to nearly nothing */
    int right = 0;
    loss = 0;
    for (int from = 0; from < d.count; from += b.count) {
      b.count = d.count - from < most ? d.count - from : most;
      for (int i = 0; i < b.count; i++) {
        memcpy(b.x + i * d.inputs, d.x + (size_t)order[from + i] * (size_t)d.inputs, (size_t)d.inputs * sizeof(float));
        b.class[i] = d.class[order[from + i]];
      }
      step(&m, &b, rate, &loss, &right);
    }
    loss /= d.count;
    accuracy = (double)right / d.count;
    printf("epoch %d accuracy %.4f\n", e + 1, accuracy);
  }

  const gb_tensor tensors[] = {{"hidden.bias", 1, {hidden}, m.b1}, {"hidden.weight", 2, {d.inputs, hidden}, m.w1},
    {"output.bias", 1, {d.classes}, m.b2}, {"output.weight", 2, {hidden, d.classes}, m.w2}};
  FILE *f = gb_create("model.safetensors");
  gb_write_safetensors(f, "glovebox-mnist-mlp/1", tensors, 4);
  gb_finish(f);
  static gb_metrics out;
  gb_metric(&out, "accuracy", accuracy);
  gb_metric(&out, "epochs", epochs);
  gb_metric(&out, "loss", loss);
  gb_metric(&out, "records", d.count);
  gb_metrics_write(&out);
  return 0;
}
