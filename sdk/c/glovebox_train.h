/* SPDX-License-Identifier: Apache-2.0
 *
 * glovebox_train.h: what a model written in C needs to be trained with differential privacy: its configuration, its parameters,
 * and one record at a time. C99, nothing but this header and the C library. docs/spec/train-abi.md of Glovebox defines the rest.
 *
 * Inside (clang --target=wasm32-wasi -mexec-model=reactor -msimd128) it talks to the enclave, which clips, sums, adds noise and
 * steps. Built natively it has a main that trains on records from stdin, one a line, without privacy, so that code can be tried:
 *
 *   ./main train.json passes rate <sample.csv
 *
 * Include it in one file, and write two functions:
 *
 *   int model_open(void)
 *       once: reads the configuration with train_int, train_float, allocates what it needs, and calls
 *       train_parameters(count), which gives the parameters, to be filled with initial values. Anything but 0 refuses. So does a
 *       member of the configuration that it did not ask for: training on what stands in for a misspelt one would spend privacy that
 *       cannot be had back.
 *   int model_gradient(const char *record, size_t size, float *gradient)
 *       fills the gradient of the loss of this record, at the parameters as they are now. It is zeros at first. Anything but
 *       0: this record has no gradient.
 *
 * With MODEL_PREPARE defined before it is included, a third, called once for each record before training. What it gives is the
 * record from then on; it depends on this record alone:
 *
 *   long model_prepare(const char *record, size_t size, char *out, size_t room)     bytes written to out, or -1
 *
 * With MODEL_PREDICT, a fourth, for the score, from 0 to 1, for example 1 if the guess is right:
 *
 *   float model_predict(const char *record, size_t size)
 *
 * Whatever a call with a record leaves in memory is gone before the next: only parameters change. So allocate in model_open.
 * Records and what is made of them begin at multiples of 16 bytes.
 */
#ifndef GLOVEBOX_TRAIN_H
#define GLOVEBOX_TRAIN_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int model_open(void);
int model_gradient(const char *record, size_t size, float *gradient);
#ifdef MODEL_PREPARE
long model_prepare(const char *record, size_t size, char *out, size_t room);
#endif
#ifdef MODEL_PREDICT
float model_predict(const char *record, size_t size);
#endif

#if defined(__wasm__)
#define TRAIN_EXPORT(name) __attribute__((export_name(name)))
#else
#define TRAIN_EXPORT(name)
#endif

static struct {
  char *config, *asked; /* asked: 1 where the name of a member begins that was asked for */
  char *record, *prepared;
  size_t room; /* of a record, and of what is prepared */
  float *params, *gradient;
  uint32_t count;
  uint64_t chance;
} train_state;

/* train_alloc gives zeroed memory at a multiple of 16, or ends the program. */
static inline void *train_alloc(size_t count, size_t each) {
  if (each && count > (SIZE_MAX - 16) / each) abort();
  char *p = calloc(1, count * each + 16);
  if (!p) abort();
  return p + (16 - ((uintptr_t)p & 15));
}

/* train_parameters allocates the parameters, zeros, and their gradient. Call it once. */
static inline float *train_parameters(size_t count) {
  if (!count || count > INT32_MAX) return NULL;
  train_state.count = (uint32_t)count;
  train_state.params = train_alloc(count, sizeof(float));
  train_state.gradient = train_alloc(count, sizeof(float));
  return train_state.params;
}

static inline const char *train_blank(const char *p) {
  while (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r') p++;
  return p;
}

/* train_value is where the value of a member begins in the configuration, a flat JSON object, or NULL. */
static inline const char *train_value(const char *name) {
  size_t n = strlen(name);
  const char *p = train_state.config;
  while (p && *p) {
    if (*p++ != '"') continue;
    const char *key = p;
    while (*p && *p != '"') p += *p == '\\' && p[1] ? 2 : 1;
    if (!*p) break;
    size_t size = (size_t)(p++ - key);
    p = train_blank(p);
    if (*p != ':') continue; /* a text that is a value */
    p = train_blank(p + 1);
    if (size != n || memcmp(key, name, n)) continue;
    train_state.asked[key - train_state.config] = 1;
    return p;
  }
  return NULL;
}

/* train_number_end is where a number of JSON ends, or NULL if there is none. */
static inline const char *train_number_end(const char *p) {
  char *end;
  size_t size = strspn(p, "+-.0123456789eE");
  double v = strtod(p, &end);
  return size && end == p + size && isfinite(v) ? end : NULL;
}

/* train_asked tells whether the configuration is one flat object of numbers, all of which were asked for, each once. */
static inline int train_asked(void) {
  const char *p = train_blank(train_state.config);
  int more;
  if (*p++ != '{') return 0;
  p = train_blank(p);
  for (more = *p != '}'; more; more = *p == ',', p += more) {
    p = train_blank(p);
    if (*p++ != '"') return 0;
    const char *key = p;
    p += strcspn(p, "\"\\"); /* no name that is asked for has an escape */
    int known = train_state.asked[key - train_state.config];
    if (!known) fprintf(stderr, "train.json: \"%.*s\": the model knows no such member, or has it twice\n", (int)(p - key), key);
    if (!known || *p++ != '"') return 0;
    p = train_blank(p);
    if (*p++ != ':' || !(p = train_number_end(train_blank(p)))) return 0;
    p = train_blank(p);
  }
  return *p == '}' && !*train_blank(p + 1);
}

/* train_float is a number of the configuration, or what it is if not said. */
static inline double train_float(const char *name, double otherwise) {
  const char *p = train_value(name);
  return p ? strtod(p, NULL) : otherwise;
}

/* train_int is the same for whole numbers from least to most; another number ends the program. */
static inline long train_int(const char *name, long otherwise, long least, long most) {
  double v = train_float(name, (double)otherwise);
  if (!(v >= (double)least && v <= (double)most) || v != floor(v)) {
    fprintf(stderr, "train.json: \"%s\": want a whole number from %ld to %ld\n", name, least, most);
    abort();
  }
  return (long)v;
}

/* train_seed and train_uniform are random numbers from 0 to below 1 for initial values, the same in each language (splitmix64). */
static inline void train_seed(uint64_t seed) { train_state.chance = seed; }

static inline double train_uniform(void) {
  uint64_t z = train_state.chance += UINT64_C(0x9e3779b97f4a7c15);
  z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
  z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
  return (double)((z ^ (z >> 31)) >> 11) / 9007199254740992.0;
}

/* train_number reads a plain decimal number of a CSV line, like -12.5, and the comma after it. *p is NULL if there is none. */
static inline double train_number(const char **p, const char *end) {
  const char *s = *p, *digits;
  double v = 0, unit = 1;
  int minus = s < end && *s == '-';
  s += minus;
  for (digits = s; s < end && *s >= '0' && *s <= '9'; s++) v = 10 * v + (*s - '0');
  if (s < end && *s == '.')
    for (s++, digits++; s < end && *s >= '0' && *s <= '9'; s++) v = 10 * v + (*s - '0'), unit *= 10;
  *p = s == digits || (s < end && *s != ',') ? NULL : s < end ? s + 1 : s;
  return minus ? -v / unit : v / unit;
}

/* train_floats reads a line of count numbers; 0 if it is not that. */
static inline int train_floats(const char *line, size_t size, float *out, size_t count) {
  const char *p = line, *end = line + size;
  for (size_t i = 0; i < count; i++) {
    if (p == end && i) return 0;
    out[i] = (float)train_number(&p, end);
    if (!p) return 0;
  }
  return p == end;
}

/* What follows is what the enclave calls. */

TRAIN_EXPORT("train_open") char *train_open(uint32_t size) {
  train_state.asked = train_alloc((size_t)size + 1, 1);
  return train_state.config = train_alloc((size_t)size + 1, 1);
}

TRAIN_EXPORT("train_init") int32_t train_init(uint32_t size, uint32_t record_bytes) {
  if (!train_state.config) return 1;
  train_state.config[size] = 0;
  train_state.room = record_bytes;
  train_state.record = train_alloc(record_bytes, 1);
#ifdef MODEL_PREPARE
  train_state.prepared = train_alloc(record_bytes, 1);
#endif
  if (strlen(train_state.config) != size || model_open() || !train_state.params) return 1;
  return !train_asked();
}

TRAIN_EXPORT("train_params") int64_t train_params(void) { return (int64_t)((uint64_t)(uintptr_t)train_state.params << 32 | train_state.count); }
TRAIN_EXPORT("train_gradient_buffer") float *train_gradient_buffer(void) { return train_state.gradient; }
TRAIN_EXPORT("train_record_buffer") char *train_record_buffer(void) { return train_state.record; }
TRAIN_EXPORT("train_gradient") int32_t train_gradient(uint32_t size) { return model_gradient(train_state.record, size, train_state.gradient); }

#ifdef MODEL_PREPARE
TRAIN_EXPORT("train_prepare") int64_t train_prepare(uint32_t size) {
  long n = model_prepare(train_state.record, size, train_state.prepared, train_state.room);
  if (n < 0 || (size_t)n > train_state.room) abort(); /* this record fails, no other */
  return (int64_t)((uint64_t)(uintptr_t)train_state.prepared << 32 | (uint32_t)n);
}
#endif

#ifdef MODEL_PREDICT
TRAIN_EXPORT("train_predict") float train_predict(uint32_t size) { return model_predict(train_state.record, size); }
#endif

#if !defined(__wasm__)
/* A stand-in without privacy or noise: lots of 32 in order, gradients clipped to norm 1, plain steps. */
enum { TRAIN_LINE = 1 << 20, TRAIN_LOT = 32 };

typedef struct {
  char *at;
  size_t size;
} train_record;

static inline size_t train_read(train_record **out) {
  char *line = train_alloc(TRAIN_LINE, 1);
  size_t count = 0, room = 0;
  for (*out = NULL; fgets(line, TRAIN_LINE, stdin);) {
    if (count == room && !(*out = realloc(*out, (room = room ? 2 * room : 1024) * sizeof **out))) abort();
    train_record *r = *out + count++;
    r->size = strcspn(line, "\r\n");
#ifdef MODEL_PREPARE
    long n = model_prepare(line, r->size, train_state.prepared, train_state.room);
    if (n < 0) {
      count--; /* a header, for example */
      continue;
    }
    r->size = (size_t)n;
    memcpy(r->at = train_alloc(r->size, 1), train_state.prepared, r->size);
#else
    memcpy(r->at = train_alloc(r->size, 1), line, r->size);
#endif
  }
  return count;
}

static inline void train_step(const train_record *r, size_t lot, double *sum, double rate) {
  memset(sum, 0, train_state.count * sizeof *sum);
  for (size_t i = 0; i < lot; i++) {
    double square = 0;
    memset(train_state.gradient, 0, train_state.count * sizeof(float));
    if (model_gradient(r[i].at, r[i].size, train_state.gradient)) continue;
    for (uint32_t k = 0; k < train_state.count; k++) square += (double)train_state.gradient[k] * train_state.gradient[k];
    double factor = square > 1 ? 1 / sqrt(square) : 1;
    for (uint32_t k = 0; k < train_state.count; k++) sum[k] += factor * train_state.gradient[k];
  }
  for (uint32_t k = 0; k < train_state.count; k++) train_state.params[k] -= (float)(rate * sum[k] / (double)lot);
}

int main(int argc, char **argv) {
  char config[1 << 16] = "{}";
  int passes = argc > 2 ? atoi(argv[2]) : 5;
  double rate = argc > 3 ? atof(argv[3]) : 0.5;
  FILE *f = argc > 1 ? fopen(argv[1], "rb") : NULL;
  if (argc > 1 && !f) return perror(argv[1]), 1;
  if (f) config[fread(config, 1, sizeof config - 1, f)] = 0, fclose(f);
  memcpy(train_open((uint32_t)strlen(config)), config, strlen(config));
  if (train_init((uint32_t)strlen(config), TRAIN_LINE)) return fputs("train: the configuration is refused\n", stderr), 1;
  train_record *r;
  size_t count = train_read(&r);
  double *sum = train_alloc(train_state.count, sizeof *sum);
  for (; passes > 0; passes--)
    for (size_t i = 0; i < count; i += TRAIN_LOT) train_step(r + i, count - i < TRAIN_LOT ? count - i : TRAIN_LOT, sum, rate);
  printf("parameters %u, records %zu", train_state.count, count);
#ifdef MODEL_PREDICT
  double score = 0;
  for (size_t i = 0; i < count; i++) score += model_predict(r[i].at, r[i].size);
  printf(", score %.4f", count ? score / (double)count : 0);
#endif
  putchar('\n');
  return 0;
}
#endif
#endif
