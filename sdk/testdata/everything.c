/* SPDX-License-Identifier: Apache-2.0
 *
 * Uses each function of the C SDK and writes the same report as everything/main.go. */
#include "glovebox.h"

static uint32_t crc(uint32_t c, const void *data, size_t n) {
  const unsigned char *p = data;
  c = ~c;
  while (n--) {
    c ^= *p++;
    for (int k = 0; k < 8; k++) c = c >> 1 ^ (0xedb88320u & -(c & 1));
  }
  return ~c;
}

static void datasets(FILE *out) {
  gb_dataset list[16];
  size_t n = gb_datasets(list, 16);
  for (size_t i = 0; i < n; i++) {
    gb_file f = gb_open(&list[i]);
    unsigned char last;
    gb_read_at(&f, &last, 1, f.size - 1);
    fprintf(out, "dataset %s %lld %d\n", list[i].name, (long long)f.size, last);
    gb_close(&f);
    gb_records *r = gb_records_open(&list[i]);
    for (size_t k = 0; k < r->column_count; k++) fprintf(out, "column %s %d\n", r->header[k], gb_column(r, r->header[k]));
    double numbers = 0;
    uint32_t sum = 0;
    static char buf[10000];
    while (gb_next(r)) {
      switch (list[i].format) {
      case GB_CSV:
        for (size_t k = 0; k < r->field_count; k++) {
          sum = crc(sum, r->fields[k], strlen(r->fields[k]) + 1);
          if (!strcmp(r->header[k], "n")) numbers += gb_number(r->fields[k]);
        }
        break;
      case GB_JSONL:
        sum = crc(sum, r->line, r->line_size + 1);
        break;
      case GB_FILES:
        fprintf(out, "file %s %lld\n", r->name, (long long)r->size);
        if (r->index % 3 != 2)
          for (size_t got; (got = gb_read(r, buf, sizeof buf));) sum = crc(sum, buf, got);
      }
    }
    uint64_t bits;
    memcpy(&bits, &numbers, 8);
    fprintf(out, "records %lld %u %llx\n", (long long)r->index, sum, (unsigned long long)bits);
    gb_records_close(r);
  }
}

static uint32_t state = 1;

static float from_bits(uint32_t b) {
  float v;
  memcpy(&v, &b, 4);
  return v;
}

static float next(void) {
  state = state * 1664525 + 1013904223;
  uint32_t x = state >> 8 & 1023;
  if (x < 2) return INFINITY;
  if (x < 4) return from_bits(0x7f812345);
  if (x < 8) return from_bits(x);
  if (x < 9) return -0.0f;
  return (float)((int32_t)state >> 8) * 0x1p-20f;
}

static float *slice(int n) {
  float *s = gb_alloc((size_t)n, sizeof *s);
  for (int i = 0; i < n; i++) s[i] = next();
  return s;
}

static void show(FILE *out, const char *what, const float *v, int n) {
  uint32_t sum = 2166136261u, b;
  for (int i = 0; i < n; i++) {
    memcpy(&b, &v[i], 4);
    sum = (sum ^ b) * 16777619;
  }
  fprintf(out, "%s %x\n", what, sum);
}

static void algebra(FILE *out) {
  static const int sizes[7][3] = {{1, 1, 1}, {3, 5, 7}, {17, 33, 9}, {2, 300, 65}, {40, 1, 40}, {4, 4, 0}, {0, 3, 3}};
  for (int i = 0; i < 7; i++) {
    int m = sizes[i][0], n = sizes[i][1], k = sizes[i][2];
    for (int flags = 0; flags < 4; flags++) {
      int ta = flags & 1, tb = flags >> 1;
      int na = m * k + 8 * (m + k), nc = m * n + 8 * m, ny = 3 * (m + k);
      float *a = slice(na), *b = slice(k * n + 8 * (k + n)), *c = slice(nc);
      float alpha = next(), beta = i % 2 == 0 ? next() : 0;
      gb_sgemm(ta, tb, m, n, k, alpha, a, ta ? m + 1 : k + 2, b, tb ? k + 1 : n + 3, beta, c, n + 1);
      show(out, "sgemm", c, nc);
      float *x = slice(2 * (m + k)), *y = slice(ny);
      gb_sgemv(ta, m, k, alpha, a, k + 1, x, 2, beta, y, 3);
      show(out, "sgemv", y, ny);
      gb_saxpy(m, alpha, x, 1, y, 2);
      show(out, "saxpy", y, ny);
      gb_sexp(ny, y, y);
      show(out, "sexp", y, ny);
      free(a), free(b), free(c), free(x), free(y);
    }
  }
  static float wide[4096];
  for (int i = 0; i < 4096; i++) wide[i] = (float)(i - 2048) * 0.0546875f;
  gb_sexp(4096, wide, wide);
  show(out, "sexp", wide, 4096);
}

int main(void) {
  const char *text = gb_param("TEXT", "none");
  int number = (int)gb_param_int("NUMBER", 3, 1, 9), rate = (int)(gb_param_float("RATE", 0.5, 0, 1) * 1000), flag = gb_param_bool("FLAG", 1);
  if (getenv("NEEDED")) gb_param_need("NEEDED");
  if (getenv("FIND")) gb_find(getenv("FIND"));
  FILE *out = gb_create("report.txt");
  fprintf(out, "params %s %d %d %s\n", text, number, rate, flag ? "true" : "false");
  datasets(out);
  algebra(out);
  if (gb_param_bool("CHANCE", 0)) {
    gb_rand r = gb_seed();
    int32_t order[5] = {0, 1, 2, 3, 4};
    gb_shuffle(&r, order, 5);
    fprintf(out, "chance %llx %.17g %.17g %llu %d%d%d%d%d\n", (unsigned long long)gb_rand_u64(&r), gb_rand_float(&r), gb_rand_normal(&r),
      (unsigned long long)gb_rand_below(&r, 10), order[0], order[1], order[2], order[3], order[4]);
  }
  gb_finish(out);
  static const float one[] = {1}, six[] = {1, 2, 3, 4, 5, 6};
  const gb_tensor tensors[] = {{"one", 0, {0}, one}, {"t\"wo", 2, {2, 3}, six}, {"none", 2, {0, 7}, NULL}};
  FILE *f = gb_create("model.safetensors");
  gb_write_safetensors(f, "every\"thing\\1\n", tensors, 3);
  gb_finish(f);
  static gb_metrics m;
  gb_metric(&m, "z", 0.1);
  gb_metric(&m, "accuracy", 1);
  gb_metric(&m, "big", 0x1p53);
  gb_metric(&m, "huge", 1e300);
  gb_metric(&m, "tiny", -1.5e-9);
  gb_metric(&m, "third", 1.0 / 3);
  gb_metric(&m, "zero", 0);
  gb_metric(&m, "records", 123456789);
  gb_metrics_write(&m);
  return 0;
}
