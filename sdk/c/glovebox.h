/* SPDX-License-Identifier: Apache-2.0
 *
 * glovebox.h: what a job written in C needs inside a Glovebox sandbox: its parameters, the data one record at a time, its
 * outputs and metrics, its only source of chance, and fast linear algebra. C99, nothing but this header and the C library.
 *
 * Inside (clang --target=wasm32-wasi) it talks to the sandbox. Built natively it is a stand-in with the same results, so
 * that code can be tested: GLOVEBOX_DATA names a directory that stands for /data (a folder for each dataset, with
 * records.csv, records.jsonl or records.tar in it), GLOVEBOX_OUT one that stands for /out, and GLOVEBOX_SEED, 64 hex
 * digits, seeds gb_seed.
 *
 * Whatever fails ends the program: one line on standard error, exit code 1. A job that fails so has no result.
 *
 * Include it in one file. Compile natively with -ffp-contract=off: a fused multiply-add would change bits. The pragmas
 * below say so where compilers listen.
 *
 *   int main(void) {
 *     int64_t epochs = gb_param_int("EPOCHS", 8, 1, 1000);
 *     gb_dataset d = gb_find(NULL);               // the only dataset
 *     gb_records *r = gb_records_open(&d);
 *     while (gb_next(r)) use(r->fields, r->field_count);
 *     ...
 *   }
 */
#ifndef GLOVEBOX_H
#define GLOVEBOX_H

#include <dirent.h>
#include <fcntl.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#if defined(__clang__)
#pragma STDC FP_CONTRACT OFF
#elif defined(__GNUC__)
#pragma GCC optimize("fp-contract=off")
#endif

#if defined(__wasm__)
#define GB_IMPORT(module, name) __attribute__((import_module(module), import_name(name)))
GB_IMPORT("glovebox", "open") int32_t gb_host_open(const char *name, int32_t size);
GB_IMPORT("glovebox", "size") int64_t gb_host_size(int32_t file);
GB_IMPORT("glovebox", "read") int32_t gb_host_read(int32_t file, int64_t off, void *p, int32_t size);
GB_IMPORT("glovebox", "sgemm") void gb_host_sgemm(int32_t ta, int32_t tb, int32_t m, int32_t n, int32_t k, float alpha, const float *a,
  int32_t lda, const float *b, int32_t ldb, float beta, float *c, int32_t ldc);
GB_IMPORT("glovebox", "sgemv") void gb_host_sgemv(int32_t t, int32_t m, int32_t n, float alpha, const float *a, int32_t lda, const float *x,
  int32_t incx, float beta, float *y, int32_t incy);
GB_IMPORT("glovebox", "saxpy") void gb_host_saxpy(int32_t n, float alpha, const float *x, int32_t incx, float *y, int32_t incy);
GB_IMPORT("glovebox", "sexp") void gb_host_sexp(int32_t n, const float *x, float *y);
GB_IMPORT("wasi_snapshot_preview1", "random_get") int32_t gb_host_random(void *p, int32_t size);
#endif

/* gb_fail prints "job: " and the formatted text, and ends the program with exit code 1. */
__attribute__((noreturn, format(printf, 1, 2))) static inline void gb_fail(const char *format, ...) {
  va_list args;
  va_start(args, format);
  fputs("job: ", stderr);
  vfprintf(stderr, format, args);
  fputc('\n', stderr);
  va_end(args);
  exit(1);
}

/* gb_alloc returns n zeroed elements of the given size. */
static inline void *gb_alloc(size_t n, size_t size) {
  void *p = calloc(n ? n : 1, size ? size : 1);
  if (!p) gb_fail("out of memory for %zu elements of %zu bytes", n, size);
  return p;
}

/* ---- Parameters: what the buyer gave with --param NAME=VALUE. */

/* gb_param is a parameter's text, or fallback when it was not given. */
static inline const char *gb_param(const char *name, const char *fallback) {
  const char *v = getenv(name);
  return v ? v : fallback;
}

/* gb_param_need is a parameter's text; one that is missing or empty ends the program. */
static inline const char *gb_param_need(const char *name) {
  const char *v = getenv(name);
  if (!v || !*v) gb_fail("parameter %s is missing: give --param %s=VALUE", name, name);
  return v;
}

/* gb_param_int is a whole number from least to most, or fallback when the parameter was not given. */
static inline int64_t gb_param_int(const char *name, int64_t fallback, int64_t least, int64_t most) {
  const char *v = getenv(name);
  if (!v) return fallback;
  char *end;
  long long n = strtoll(v, &end, 10); /* what does not fit is cut to the ends of the type */
  if (!*v || *end || *v == ' ' || n < least || n > most)
    gb_fail("parameter %s is \"%s\": want a whole number from %lld to %lld", name, v, (long long)least, (long long)most);
  return n;
}

/* gb_param_float is a number from least to most, or fallback when the parameter was not given. */
static inline double gb_param_float(const char *name, double fallback, double least, double most) {
  const char *v = getenv(name);
  if (!v) return fallback;
  char *end;
  double n = strtod(v, &end);
  if (!*v || *end || *v == ' ' || !(n >= least && n <= most)) gb_fail("parameter %s is \"%s\": want a number from %.9g to %.9g", name, v, least, most);
  return n;
}

/* gb_param_bool is 1 for true or 1, 0 for false or 0, or fallback when the parameter was not given. */
static inline int gb_param_bool(const char *name, int fallback) {
  const char *v = getenv(name);
  if (!v) return fallback;
  if (!strcmp(v, "true") || !strcmp(v, "1")) return 1;
  if (strcmp(v, "false") && strcmp(v, "0")) gb_fail("parameter %s is \"%s\": want true or false", name, v);
  return 0;
}

/* ---- Datasets. */

typedef enum { GB_CSV, GB_JSONL, GB_FILES } gb_format;

/* gb_dataset is one dataset of the job. */
typedef struct {
  char name[256]; /* its folder under /data */
  gb_format format;
  char path[288]; /* below /data */
} gb_dataset;

static inline const char *gb_root(const char *variable, const char *inside) {
#if defined(__wasm__)
  (void)variable;
  return inside;
#else
  const char *d = getenv(variable);
  if (!d || !*d) gb_fail("outside the sandbox: set %s to the directory that stands for %s", variable, inside);
  return d;
#endif
}

static inline int gb_by_name(const void *a, const void *b) { return strcmp(((const gb_dataset *)a)->name, ((const gb_dataset *)b)->name); }

/* gb_datasets lists the job's datasets by name and returns their number, at most most. */
static inline size_t gb_datasets(gb_dataset *list, size_t most) {
  static const char *const files[] = {"records.csv", "records.jsonl", "records.tar"};
  const char *root = gb_root("GLOVEBOX_DATA", "/data");
  DIR *dir = opendir(root);
  if (!dir) gb_fail("%s: cannot be listed", root);
  size_t n = 0;
  for (struct dirent *e; n < most && (e = readdir(dir));) {
    if (e->d_name[0] == '.' || strlen(e->d_name) >= sizeof list->name) continue;
    for (int f = 0; f < 3; f++) {
      gb_dataset d = {.format = (gb_format)f};
      char full[4096];
      struct stat st;
      strcpy(d.name, e->d_name);
      snprintf(d.path, sizeof d.path, "%s/%s", d.name, files[f]);
      if ((size_t)snprintf(full, sizeof full, "%s/%s", root, d.path) >= sizeof full || stat(full, &st) || !S_ISREG(st.st_mode)) continue;
      list[n++] = d;
      break;
    }
  }
  closedir(dir);
  qsort(list, n, sizeof *list, gb_by_name);
  return n;
}

/* gb_find is the dataset of that name; NULL or "" means the job's only one. */
static inline gb_dataset gb_find(const char *name) {
  gb_dataset list[16], d;
  size_t n = gb_datasets(list, 16);
  int any = !name || !*name;
  if (any && n == 1) return list[0];
  char there[512] = "none";
  for (size_t i = 0, at = 0; i < n; i++) {
    if (!any && !strcmp(list[i].name, name)) {
      d = list[i];
      return d;
    }
    if (at < sizeof there) at += (size_t)snprintf(there + at, sizeof there - at, "%s%s", i ? ", " : "", list[i].name);
  }
  if (any) gb_fail("dataset not named, and not the only one; there is %s", there);
  gb_fail("dataset \"%s\" is not there; there is %s", name, there);
}

/* gb_file is a dataset's bytes. Each batch of about 256 KiB is decrypted, proven and counted when it is first read, and
 * again when code comes back to it later: a pass is cheapest from one end to the other. */
typedef struct {
  int32_t handle;
  int64_t size;
} gb_file;

/* gb_open opens a dataset's records as they are written. */
static inline gb_file gb_open(const gb_dataset *d) {
  gb_file f;
#if defined(__wasm__)
  f.handle = gb_host_open(d->path, (int32_t)strlen(d->path));
  f.size = f.handle < 0 ? -1 : gb_host_size(f.handle);
#else
  char full[4096];
  snprintf(full, sizeof full, "%s/%s", gb_root("GLOVEBOX_DATA", "/data"), d->path);
  f.handle = open(full, O_RDONLY);
  f.size = f.handle < 0 ? -1 : (int64_t)lseek(f.handle, 0, SEEK_END);
#endif
  if (f.size < 0) gb_fail("dataset \"%s\": cannot be opened", d->name);
  return f;
}

/* gb_read_at reads up to n bytes at off straight into p and returns their number, which is 0 only at the end. */
static inline size_t gb_read_at(const gb_file *f, void *p, size_t n, int64_t off) {
  if (off < 0 || off >= f->size || !n) return 0;
  if ((int64_t)n > f->size - off) n = (size_t)(f->size - off);
  if (n > 1u << 30) n = 1u << 30;
#if defined(__wasm__)
  int32_t got = gb_host_read(f->handle, off, p, (int32_t)n);
#else
  ssize_t got = lseek(f->handle, (off_t)off, SEEK_SET) < 0 ? -1 : read(f->handle, p, n);
#endif
  if (got <= 0) gb_fail("the data is cut short at byte %lld", (long long)off);
  return (size_t)got;
}

/* gb_close closes a file; at the end of a job it is not needed. */
static inline void gb_close(gb_file *f) {
#if !defined(__wasm__)
  close(f->handle);
#endif
  f->handle = -1;
  f->size = 0;
}

/* ---- Records, one after the other, in memory bounded by one record (and by nothing but a buffer for whole files). */

#define GB_MAX_RECORD (16 << 20) /* of one CSV or JSON Lines record in bytes; what a creator packs is below it */

typedef struct {
  /* The record at hand. Text is valid until the next call of gb_next, and ends with a zero byte. */
  int64_t index;      /* from 0 */
  char **fields;      /* CSV: its fields without their quotes */
  size_t field_count; /* CSV */
  char *line;         /* JSON Lines: the line without its end */
  size_t line_size;
  char name[4097];    /* files: path of the file at hand */
  int64_t size;       /* files: its length */

  char **header;      /* CSV: names of the columns */
  size_t column_count;

  /* The rest is this header's own. */
  gb_file file;
  gb_format format;
  int64_t at, left;   /* next byte to read into the buffer; bytes of the file at hand not yet read */
  size_t pad;
  char *buf;
  size_t cap, lo, hi, field_cap;
} gb_records;

static inline int gb_more(gb_records *r) {
  if (r->at >= r->file.size) return 0;
  if (r->lo && (r->lo == r->hi || r->hi == r->cap)) {
    memmove(r->buf, r->buf + r->lo, r->hi - r->lo);
    r->hi -= r->lo;
    r->lo = 0;
  }
  if (r->hi == r->cap) {
    char *b = (char *)realloc(r->buf, 2 * r->cap + 1); /* one more byte, for the zero after a record */
    if (!b) gb_fail("out of memory for a record of %zu bytes", r->cap);
    r->buf = b;
    r->cap *= 2;
  }
  size_t n = gb_read_at(&r->file, r->buf + r->hi, r->cap - r->hi, r->at);
  r->hi += n;
  r->at += (int64_t)n;
  return 1;
}

/* gb_line takes the next line with its end; line ends inside double quotes do not count if quoted. */
static inline char *gb_line(gb_records *r, int quoted, size_t *size) {
  size_t i = 0;
  int open = 0;
  for (;;) {
    for (char *b = r->buf + r->lo; i < r->hi - r->lo; i++) {
      if (quoted && b[i] == '"') open = !open;
      if (b[i] == '\n' && !open) {
        *size = i + 1;
        r->lo += i + 1;
        return b;
      }
    }
    if (i > GB_MAX_RECORD) gb_fail("record %lld has no end within 16 MiB", (long long)r->index);
    if (gb_more(r)) continue;
    if (open) gb_fail("record %lld has a quoted field that never ends", (long long)r->index);
    *size = i;
    r->lo += i;
    return r->buf + r->lo - i;
  }
}

/* gb_trim ends a line with a zero byte in place of its end. The byte after it is the line's own or beyond the buffer. */
static inline size_t gb_trim(char *line, size_t n) {
  if (n && line[n - 1] == '\n') n--;
  if (n && line[n - 1] == '\r') n--;
  line[n] = 0;
  return n;
}

static inline void gb_add_field(gb_records *r, char *field) {
  if (r->field_count == r->field_cap) {
    r->field_cap = r->field_cap ? 2 * r->field_cap : 64;
    r->fields = (char **)realloc(r->fields, r->field_cap * sizeof *r->fields);
    if (!r->fields) gb_fail("out of memory for %zu fields", r->field_cap);
  }
  r->fields[r->field_count++] = field;
}

/* gb_split cuts a CSV record into fields, in place. */
static inline void gb_split(gb_records *r, char *p) {
  r->field_count = 0;
  for (;;) {
    gb_add_field(r, p);
    if (*p != '"') {
      p += strcspn(p, ",");
    } else {
      char *to = p++;
      for (; *p; p++) {
        if (*p == '"' && *++p != '"') break;
        *to++ = *p;
      }
      if (*p && *p != ',') gb_fail("record %lld has a quote in the wrong place", (long long)r->index);
      char ends = *p;
      *to = 0;
      if (!ends) return;
      p++;
      continue;
    }
    if (!*p) return;
    *p++ = 0;
  }
}

/* gb_plain_line takes and splits a record without quotes that is held whole, in one pass. It leaves any other as it was. */
static inline int gb_plain_line(gb_records *r) {
  char *line = r->buf + r->lo, *end = r->buf + r->hi, *field = line;
  r->field_count = 0;
  for (char *p = line; p < end; p++) {
    unsigned char c = (unsigned char)*p;
    if (c > ',') continue; /* letters and digits */
    if (c == ',') {
      *p = 0;
      gb_add_field(r, field);
      field = p + 1;
    } else if (c == '\n') {
      r->lo += (size_t)(p + 1 - line);
      if (p > field && p[-1] == '\r') p--;
      *p = 0;
      gb_add_field(r, field);
      r->line = line;
      r->line_size = (size_t)(p - line);
      return 1;
    } else if (c == '"') {
      break;
    }
  }
  for (size_t i = 1; i < r->field_count; i++) r->fields[i][-1] = ',';
  if (r->field_count) field[-1] = ',';
  return 0;
}

/* gb_records_open goes through a dataset's records. A second pass is a second call; it uses up an epoch. */
static inline gb_records *gb_records_open(const gb_dataset *d) {
  gb_records *r = (gb_records *)gb_alloc(1, sizeof *r);
  r->file = gb_open(d);
  r->format = d->format;
  r->index = -1;
  r->cap = 256 << 10;
  r->buf = (char *)gb_alloc(r->cap + 1, 1);
  if (r->format != GB_CSV) return r;
  size_t n;
  char *line = gb_line(r, 1, &n);
  n = gb_trim(line, n);
  if (n >= 3 && !memcmp(line, "\xef\xbb\xbf", 3)) line += 3;
  if (!*line) gb_fail("the header of dataset \"%s\" is missing", d->name);
  gb_split(r, line);
  r->column_count = r->field_count;
  r->header = (char **)gb_alloc(r->column_count, sizeof *r->header);
  for (size_t i = 0; i < r->column_count; i++) r->header[i] = strcpy((char *)gb_alloc(strlen(r->fields[i]) + 1, 1), r->fields[i]);
  return r;
}

/* gb_column is the place of a CSV column by its name, -1 if there is none. */
static inline int gb_column(const gb_records *r, const char *name) {
  for (size_t i = 0; i < r->column_count; i++)
    if (!strcmp(r->header[i], name)) return (int)i;
  return -1;
}

/* gb_take copies exactly n bytes of the stream and returns how many there were. */
static inline size_t gb_take(gb_records *r, char *p, size_t n) {
  size_t done = 0;
  while (done < n) {
    size_t k = r->hi - r->lo;
    if (!k) {
      if (!gb_more(r)) break;
      continue;
    }
    if (k > n - done) k = n - done;
    memcpy(p + done, r->buf + r->lo, k);
    r->lo += k;
    done += k;
  }
  return done;
}

/* gb_skip passes over n bytes without reading them. */
static inline void gb_skip(gb_records *r, int64_t n) {
  int64_t k = (int64_t)(r->hi - r->lo);
  if (k > n) k = n;
  r->lo += (size_t)k;
  r->at += n - k;
  if (r->at > r->file.size) gb_fail("record %lld is cut short", (long long)r->index);
}

static inline int64_t gb_tar_number(const unsigned char *b, int n) {
  int64_t v = 0;
  int digits = 0;
  if (b[0] & 0x80) {
    for (int i = 0; i < n; i++) {
      if (v >= (int64_t)1 << 54) return -1;
      v = v << 8 | (i ? b[i] : b[i] & 0x7f);
    }
    return v;
  }
  for (int i = 0; i < n; i++) {
    if (b[i] == ' ' || b[i] == 0) {
      if (digits) break;
      continue;
    }
    if (b[i] < '0' || b[i] > '7') return -1;
    v = v << 3 | (b[i] - '0');
    digits++;
  }
  return digits ? v : -1;
}

/* gb_tar_size is the size in n bytes of an extended header, GB_TAR_NO_SIZE if that is none, GB_TAR_NO_TEXT if there are none. */
#define GB_TAR_NO_TEXT -1
#define GB_TAR_NO_SIZE -2
static inline int64_t gb_tar_size(const char *s, size_t n) {
  int64_t v = 0;
  if (!n) return GB_TAR_NO_TEXT;
  int minus = *s == '-', sign = minus || *s == '+';
  if (n == (size_t)sign) return GB_TAR_NO_SIZE;
  for (size_t i = (size_t)sign; i < n; i++) {
    if (s[i] < '0' || s[i] > '9' || v > (INT64_MAX - (s[i] - '0')) / 10) return GB_TAR_NO_SIZE;
    v = 10 * v + (s[i] - '0');
  }
  return minus && v ? GB_TAR_NO_SIZE : v;
}

/* gb_tar_text reads an extended header: lines "LENGTH KEY=VALUE". */
static inline void gb_tar_text(gb_records *r, char *path, int64_t *size) {
  size_t n = (size_t)r->left;
  if (r->left > 64 << 10) gb_fail("record %lld has a malformed extended tar header", (long long)r->index);
  char *text = (char *)gb_alloc(n + 1, 1);
  size_t got = gb_take(r, text, n), step;
  for (size_t at = 0; at < got; at += step) {
    char *key, *value;
    step = (size_t)strtoul(text + at, &key, 10);
    if (!step || step > got - at || *key != ' ' || text[at + step - 1] != '\n' || !(value = strchr(key, '=')) || value > text + at + step)
      gb_fail("record %lld has a malformed extended tar header", (long long)r->index);
    text[at + step - 1] = 0;
    if (!strncmp(key, " path=", 6) && strlen(value + 1) <= 4096) strcpy(path, value + 1);
    if (!strncmp(key, " size=", 6)) *size = gb_tar_size(value + 1, (size_t)(text + at + step - 1 - (value + 1)));
  }
  r->left = 0;
  free(text);
}

/* gb_next_file goes to the next regular file. The stream may end without blocks of zeros. */
static inline int gb_next_file(gb_records *r) {
  char path[4097] = "";
  int64_t long_size = GB_TAR_NO_TEXT;
  for (;;) {
    unsigned char b[512];
    gb_skip(r, r->left + (int64_t)r->pad);
    r->left = r->size = 0;
    r->pad = 0;
    size_t n = gb_take(r, (char *)b, 512);
    int64_t sum = 8 * ' ', any = 0;
    for (size_t i = 0; i < n; i++) {
      any |= b[i];
      if (i < 148 || i >= 156) sum += b[i];
    }
    if (!n || (n == 512 && !any)) return 0;
    if (n < 512 || sum != gb_tar_number(b + 148, 8)) gb_fail("record %lld has no tar header where one should be", (long long)r->index);
    int64_t size = long_size != GB_TAR_NO_TEXT ? long_size : gb_tar_number(b + 124, 12);
    if (size < 0) gb_fail("record %lld has no size in its tar header", (long long)r->index);
    r->left = size;
    r->pad = (size_t)(-size & 511);
    if (b[156] == '0' || b[156] == 0) {
      r->size = size;
      if (*path) {
        strcpy(r->name, path);
      } else if (!memcmp(b + 257, "ustar", 6) && b[345]) {
        snprintf(r->name, sizeof r->name, "%.155s/%.100s", (char *)b + 345, (char *)b);
      } else {
        snprintf(r->name, sizeof r->name, "%.100s", (char *)b);
      }
      return 1;
    }
    *path = 0;
    long_size = GB_TAR_NO_TEXT;
    if (b[156] == 'x') gb_tar_text(r, path, &long_size);
  }
}

/* gb_next goes to the next record, the first when it is called first, and returns 0 when there is none. */
static inline int gb_next(gb_records *r) {
  r->index++;
  if (r->format == GB_FILES) return gb_next_file(r);
  if (r->format == GB_CSV && gb_plain_line(r)) goto split;
  r->line = gb_line(r, r->format == GB_CSV, &r->line_size);
  if (!r->line_size) return 0;
  r->line_size = gb_trim(r->line, r->line_size);
  if (r->format == GB_JSONL) return 1;
  gb_split(r, r->line);
split:
  if (r->field_count != r->column_count)
    gb_fail("record %lld has %zu fields, the header %zu", (long long)r->index, r->field_count, r->column_count);
  return 1;
}

/* gb_read reads contents of the file at hand and returns how many bytes there were, 0 at its end. */
static inline size_t gb_read(gb_records *r, void *p, size_t n) {
  if ((int64_t)n > r->left) n = (size_t)r->left;
  size_t got = gb_take(r, (char *)p, n);
  if (got < n) gb_fail("record %lld is cut short", (long long)r->index);
  r->left -= (int64_t)got;
  return got;
}

/* gb_records_close frees everything. */
static inline void gb_records_close(gb_records *r) {
  for (size_t i = 0; i < r->column_count; i++) free(r->header[i]);
  gb_close(&r->file);
  free(r->header);
  free(r->fields);
  free(r->buf);
  free(r);
}

/* gb_number reads a decimal number, such as a CSV field, correctly rounded. */
static inline double gb_number(const char *s) {
  static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
  const char *p = s + (*s == '-' || *s == '+');
  int64_t n = 0;
  int digits = 0, point = -1;
  for (; digits < 15; p++) {
    if (*p >= '0' && *p <= '9') {
      n = 10 * n + (*p - '0');
      digits++;
    } else if (*p == '.' && point < 0) {
      point = digits;
    } else {
      break;
    }
  }
  if (!*p && digits) { /* at most 15 digits: one division is exact */
    double v = point < 0 ? (double)n : (double)n / powers[digits - point];
    return *s == '-' ? -v : v;
  }
  char *end;
  double v = strtod(s, &end);
  if (end == s || *end || *s == ' ') gb_fail("a field is not a number");
  return v;
}

/* ---- Outputs. */

/* gb_create opens an output by the name it was declared under with --output NAME:CLASS. A file that was not declared is
 * dropped, and the number of those is told to everybody. Writing more than declared ends the job with "output-limit". */
static inline FILE *gb_create(const char *name) {
  char full[4096];
  if (!*name || !strcmp(name, ".") || !strcmp(name, "..") || strchr(name, '/')) gb_fail("output \"%s\" is not the name of a file in /out", name);
  snprintf(full, sizeof full, "%s/%s", gb_root("GLOVEBOX_OUT", "/out"), name);
  FILE *f = fopen(full, "wb");
  if (!f) gb_fail("output \"%s\" cannot be made", name);
  return f;
}

/* gb_finish closes an output, and ends the program if any of it could not be written. */
static inline void gb_finish(FILE *f) {
  int bad = ferror(f);
  if (fclose(f) || bad) gb_fail("an output cannot be written");
}

/* Metrics are the numbers a job reports, and nothing else: one flat JSON object, names ascending, at most 256. */
typedef struct {
  int count;
  struct {
    char name[65];
    double value;
  } list[256];
} gb_metrics;

/* gb_metric sets one number. Names have 1 to 64 letters, digits, dots, dashes and underscores. */
static inline void gb_metric(gb_metrics *m, const char *name, double value) {
  size_t n = strlen(name), ok = strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_");
  if (!n || n > 64 || ok != n) gb_fail("metric \"%s\" has another name than letters, digits, dots, dashes and underscores", name);
  if (!(value - value == 0)) gb_fail("metric %s is not a finite number", name);
  int i = 0;
  while (i < m->count && strcmp(m->list[i].name, name) < 0) i++;
  if (i == m->count || strcmp(m->list[i].name, name)) {
    if (m->count == 256) gb_fail("metric number 257 is too many");
    memmove(&m->list[i + 1], &m->list[i], (size_t)(m->count - i) * sizeof m->list[0]);
    strcpy(m->list[i].name, name);
    m->count++;
  }
  m->list[i].value = value;
}

/* gb_metrics_write writes /out/metrics.json; declare it with --output metrics.json:metrics. */
static inline void gb_metrics_write(const gb_metrics *m) {
  FILE *f = gb_create("metrics.json");
  for (int i = 0; i < m->count; i++) {
    double v = m->list[i].value;
    fprintf(f, "%c\"%s\":", i ? ',' : '{', m->list[i].name);
    if (v >= -0x1p53 && v <= 0x1p53 && v == (double)(int64_t)v)
      fprintf(f, "%lld", (long long)v);
    else
      fprintf(f, "%.9g", v);
  }
  fputs(m->count ? "}\n" : "{}\n", f);
  gb_finish(f);
}

/* gb_tensor is a named array of 32-bit floats, row by row. */
typedef struct {
  const char *name;
  int rank; /* 0 for one number, at most 4 */
  int64_t shape[4];
  const float *data;
} gb_tensor;

static inline int64_t gb_count(const gb_tensor *t) {
  int64_t n = 1;
  for (int i = 0; i < t->rank; i++) n *= t->shape[i];
  return n;
}

static inline size_t gb_text(char *to, size_t at, const char *s) {
  if (to) to[at] = '"';
  at++;
  for (; *s; s++) {
    char c[7] = {*s, 0};
    if (*s == '"' || *s == '\\') snprintf(c, sizeof c, "\\%c", *s);
    if ((unsigned char)*s < 0x20) snprintf(c, sizeof c, "\\u%04x", (unsigned)*s);
    if (to) memcpy(to + at, c, strlen(c));
    at += strlen(c);
  }
  if (to) to[at] = '"';
  return at + 1;
}

/* gb_write_safetensors writes a model in the safetensors format: a JSON header with each tensor's type, shape and place,
 * then the numbers, little-endian, in the order given. format, which may be NULL, is kept as metadata. */
static inline void gb_write_safetensors(FILE *f, const char *format, const gb_tensor *tensors, size_t count) {
  size_t most = 64 + (format ? 6 * strlen(format) : 0), n = 0;
  for (size_t i = 0; i < count; i++) most += 6 * strlen(tensors[i].name) + 256;
  char *h = (char *)gb_alloc(most, 1);
  int64_t at = 0;
  h[n++] = '{';
  if (format) {
    n += (size_t)sprintf(h + n, "\"__metadata__\":{\"format\":");
    n = gb_text(h, n, format);
    h[n++] = '}';
  }
  for (size_t i = 0; i < count; i++) {
    const gb_tensor *t = &tensors[i];
    int bad = !*t->name || !strcmp(t->name, "__metadata__") || t->rank < 0 || t->rank > 4;
    for (size_t k = 0; k < i; k++) bad |= !strcmp(t->name, tensors[k].name);
    for (int k = 0; !bad && k < t->rank; k++) bad |= t->shape[k] < 0 || t->shape[k] > 1 << 30;
    if (bad) gb_fail("tensor \"%s\" has no name, one that is taken, or an impossible shape", t->name);
    if (n > 1) h[n++] = ',';
    n = gb_text(h, n, t->name);
    n += (size_t)sprintf(h + n, ":{\"dtype\":\"F32\",\"shape\":[");
    for (int k = 0; k < t->rank; k++) n += (size_t)sprintf(h + n, k ? ",%lld" : "%lld", (long long)t->shape[k]);
    n += (size_t)sprintf(h + n, "],\"data_offsets\":[%lld,", (long long)at);
    at += 4 * gb_count(t);
    n += (size_t)sprintf(h + n, "%lld]}", (long long)at);
  }
  h[n++] = '}';
  while (n % 8) h[n++] = ' ';
  for (int i = 0; i < 8; i++) fputc((int)(((uint64_t)n >> 8 * i) & 255), f);
  fwrite(h, 1, n, f);
  free(h);
  for (size_t i = 0; i < count; i++) /* wasm, amd64 and arm64 are little-endian */
    fwrite(tensors[i].data, 4, (size_t)gb_count(&tensors[i]), f);
}

/* ---- Chance: xoshiro256** (Blackman and Vigna), seeded by the job. */

typedef struct {
  uint64_t s[4];
} gb_rand;

/* gb_seed draws a generator's state from the job's seed: the same code, data, parameters and seed draw the same numbers.
 * Outside the sandbox it is GLOVEBOX_SEED, or ones. */
static inline gb_rand gb_seed(void) {
  gb_rand r = {{1, 1, 1, 1}};
#if defined(__wasm__)
  if (gb_host_random(&r, sizeof r)) gb_fail("the sandbox gives no randomness");
#else
  const char *seed = getenv("GLOVEBOX_SEED");
  if (seed && *seed) {
    if (strlen(seed) != 64 || strspn(seed, "0123456789abcdefABCDEF") != 64) gb_fail("GLOVEBOX_SEED has not 64 hex digits");
    for (int i = 0; i < 4; i++) {
      char part[17] = "";
      memcpy(part, seed + 16 * i, 16);
      r.s[i] = (uint64_t)strtoull(part, NULL, 16);
    }
  }
#endif
  if (!(r.s[0] | r.s[1] | r.s[2] | r.s[3])) r.s[0] = 1;
  return r;
}

/* gb_rand_u64 draws 64 bits. */
static inline uint64_t gb_rand_u64(gb_rand *r) {
  uint64_t *s = r->s, x = s[1] * 5, t = s[1] << 17, out = (x << 7 | x >> 57) * 9;
  s[2] ^= s[0];
  s[3] ^= s[1];
  s[1] ^= s[2];
  s[0] ^= s[3];
  s[2] ^= t;
  s[3] = s[3] << 45 | s[3] >> 19;
  return out;
}

/* gb_rand_below draws a whole number from 0 up to n, n not included. */
static inline uint64_t gb_rand_below(gb_rand *r, uint64_t n) {
  uint64_t least = n ? -n % n : 0, x; /* 2^64 mod n: the numbers below it would favour small results */
  do x = gb_rand_u64(r);
  while (x < least);
  return n ? x % n : 0;
}

/* gb_rand_float draws a number from 0 up to 1, 1 not included. */
static inline double gb_rand_float(gb_rand *r) { return (double)(gb_rand_u64(r) >> 11) * 0x1p-53; }

/* gb_rand_normal draws a number of mean 0 and deviation 1, near enough to normal for initial weights: a sum of twelve,
 * never beyond 6. It has the same bits everywhere, which a logarithm of the C library has not. */
static inline double gb_rand_normal(gb_rand *r) {
  double sum = -6;
  for (int i = 0; i < 12; i++) sum += gb_rand_float(r);
  return sum;
}

/* gb_shuffle draws an order. */
static inline void gb_shuffle(gb_rand *r, int32_t *order, size_t n) {
  for (size_t i = n; i > 1; i--) {
    size_t k = (size_t)gb_rand_below(r, i);
    int32_t t = order[i - 1];
    order[i - 1] = order[k];
    order[k] = t;
  }
}

/* ---- blas: computed outside the guest on the machine's vector instructions, and charged in fuel by size. docs/spec/blas.md
 * defines each function down to the last bit; the loops below give the same. Matrices are stored row by row; a leading
 * dimension is the number of elements from one row to the next. Arguments that do not fit, or an output that overlaps an
 * input, trap inside the sandbox; natively they are not checked. */

#if !defined(__wasm__)
static inline float gb_one_nan(float v) {
  uint32_t bits = 0x7fc00000u;
  if (v != v) memcpy(&v, &bits, 4);
  return v;
}

static inline void gb_store(float *at, float alpha, float sum, float beta) {
  float v = alpha * sum;
  if (beta != 0) {
    float w = beta * *at;
    v = v + w;
  }
  *at = gb_one_nan(v);
}
#endif

/* gb_sgemm sets C = alpha·op(A)·op(B) + beta·C, where op(A) has m rows of k columns, op(B) k rows of n and C m rows of n. op
 * transposes if its flag is set. With beta 0 what C held is not read. */
static inline void gb_sgemm(int ta, int tb, int m, int n, int k, float alpha, const float *a, int lda, const float *b, int ldb, float beta,
  float *c, int ldc) {
#if defined(__wasm__)
  gb_host_sgemm(ta, tb, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
#else
  float sums[256];
  for (int i = 0; i < m; i++) {
    for (int from = 0; from < n; from += 256) {
      int width = n - from < 256 ? n - from : 256;
      for (int j = 0; j < width; j++) sums[j] = 0;
      for (int p = 0; p < k; p++) {
        float v = ta ? a[(size_t)p * lda + i] : a[(size_t)i * lda + p];
        for (int j = 0; j < width; j++) {
          float product = v * (tb ? b[(size_t)(from + j) * ldb + p] : b[(size_t)p * ldb + from + j]);
          sums[j] = sums[j] + product;
        }
      }
      for (int j = 0; j < width; j++) gb_store(&c[(size_t)i * ldc + from + j], alpha, sums[j], beta);
    }
  }
#endif
}

/* gb_sgemv sets y = alpha·op(A)·x + beta·y, where A is stored as m rows of n columns. x has n elements, incx apart, and y m,
 * incy apart; with t it is the other way round. With beta 0 what y held is not read. */
static inline void gb_sgemv(int t, int m, int n, float alpha, const float *a, int lda, const float *x, int incx, float beta, float *y, int incy) {
#if defined(__wasm__)
  gb_host_sgemv(t, m, n, alpha, a, lda, x, incx, beta, y, incy);
#else
  int rows = t ? n : m, depth = t ? m : n;
  for (int i = 0; i < rows; i++) {
    float sum = 0;
    for (int p = 0; p < depth; p++) {
      float product = (t ? a[(size_t)p * lda + i] : a[(size_t)i * lda + p]) * x[(size_t)p * incx];
      sum = sum + product;
    }
    gb_store(&y[(size_t)i * incy], alpha, sum, beta);
  }
#endif
}

/* gb_saxpy sets y[i] = alpha·x[i] + y[i] for n elements, incx and incy apart. */
static inline void gb_saxpy(int n, float alpha, const float *x, int incx, float *y, int incy) {
#if defined(__wasm__)
  gb_host_saxpy(n, alpha, x, incx, y, incy);
#else
  for (int i = 0; i < n; i++) {
    float product = alpha * x[(size_t)i * incx];
    y[(size_t)i * incy] = gb_one_nan(product + y[(size_t)i * incy]);
  }
#endif
}

#if !defined(__wasm__)
/* gb_exp is e to the power of x: x = k·ln 2 + r, a polynomial of degree nine in r, scaled by 2^k, rounded once to float. */
static inline float gb_exp(float x) {
  static const double c[] = {0x1.71de3a556c734p-19, 0x1.a01a01a01a01ap-16, 0x1.a01a01a01a01ap-13, 0x1.6c16c16c16c17p-10, 0x1.1111111111111p-7,
    0x1.5555555555555p-5, 0x1.5555555555555p-3, 0x1p-1, 1, 1};
  if (x != x) return gb_one_nan(x);
  if (x >= 0x1.62e43p+6f) return INFINITY;
  if (x < -0x1.9fe37p+6f) return 0;
  double v = x, q = v * 0x1.71547652b82fep+0;
  volatile double shifted = q + 0x1.8p+52; /* added and taken away, it rounds to an integer */
  double k = shifted - 0x1.8p+52, high = k * 0x1.62e42feep-1, low = k * 0x1.a39ef35793c76p-33, r = (v - high) - low, p = c[0], scale;
  for (int i = 1; i < 10; i++) {
    double product = r * p;
    p = c[i] + product;
  }
  uint64_t bits = (uint64_t)((int64_t)k + 1023) << 52;
  memcpy(&scale, &bits, 8);
  return (float)(p * scale);
}
#endif

/* gb_sexp sets y[i] to e to the power of x[i] for n elements. Use it rather than exp, which has other bits elsewhere. */
static inline void gb_sexp(int n, const float *x, float *y) {
#if defined(__wasm__)
  gb_host_sexp(n, x, y);
#else
  for (int i = 0; i < n; i++) y[i] = gb_exp(x[i]);
#endif
}

#endif /* GLOVEBOX_H */
