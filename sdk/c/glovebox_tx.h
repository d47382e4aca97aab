/* SPDX-License-Identifier: Apache-2.0
 *
 * glovebox_tx.h: what a transform written in C needs: its configuration, the records one at a time, and a place for what
 * becomes of them. C99, nothing but this header and the C library. docs/spec/transform-abi.md of Glovebox defines the rest.
 *
 * Inside (clang --target=wasm32-wasi -mexec-model=reactor) it talks to the sandbox. Built natively it has a main that reads
 * records from stdin, one a line, with the configuration as its argument, and writes what becomes of them to stdout and
 * findings to stderr: so that code can be tested. There tokens are made up and noise is zero.
 *
 * Include it in one file, and write two functions:
 *
 *   int tx_open(const char *config, size_t size)        once; anything but 0 refuses the configuration
 *   void tx_record(char *record, size_t size)           for each record, which may be written to
 *
 * tx_record calls tx_put with what becomes of the record: once, or never to leave it out, or any number of times where the
 * step's shape is any. With TX_END defined, void tx_end(void) is called after the last record and may call tx_put as well,
 * where the shape is any.
 */
#ifndef GLOVEBOX_TX_H
#define GLOVEBOX_TX_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int tx_open(const char *config, size_t size);
void tx_record(char *record, size_t size);
#ifdef TX_END
void tx_end(void);
#endif

#if defined(__wasm__)
#define TX_IMPORT(name) __attribute__((import_module("glovebox_tx"), import_name(name)))
#define TX_EXPORT(name) __attribute__((export_name(name)))
TX_IMPORT("emit_finding") void tx_host_finding(uint32_t record, const char *type, uint32_t type_size, uint32_t start, uint32_t end, uint32_t score);
TX_IMPORT("token") int32_t tx_host_token(uint32_t kind, const char *text, uint32_t size, char *out, uint32_t room);
TX_IMPORT("noise_laplace") int64_t tx_host_laplace(uint32_t record, int64_t sensitivity, int64_t epsilon);
#else
#define TX_EXPORT(name)
static void tx_host_finding(uint32_t record, const char *type, uint32_t type_size, uint32_t start, uint32_t end, uint32_t score) {
  fprintf(stderr, "%u %.*s %u %u %u\n", record, (int)type_size, type, start, end, score);
}
static int32_t tx_host_token(uint32_t kind, const char *text, uint32_t size, char *out, uint32_t room) {
  uint32_t h = 2166136261u ^ kind, n = kind ? size : 32;
  for (uint32_t i = 0; i < size; i++) h = (h ^ (unsigned char)text[i]) * 16777619u;
  if (n > room) return -1;
  for (uint32_t i = 0; i < n; i++, h = h * 1664525u + 1013904223u) out[i] = "0123456789abcdef"[(h >> 24) % (kind ? 10 : 16)];
  return (int32_t)n;
}
static int64_t tx_host_laplace(uint32_t record, int64_t sensitivity, int64_t epsilon) {
  return (void)record, (void)sensitivity, (void)epsilon, 0;
}
#endif

/* tx_fail ends the module, and with it the run: no record passes after it. */
__attribute__((noreturn)) static inline void tx_fail(void) {
#if defined(__wasm__)
  __builtin_trap();
#else
  abort();
#endif
}

typedef struct {
  char *at;
  size_t size, room;
} tx_buffer;

static tx_buffer tx_in, tx_out, tx_config;
static uint32_t tx_index; /* of the record at hand, in its batch */
static uint32_t tx_puts;  /* of the record at hand */
static enum { TX_MAP, TX_FILTER, TX_ANY } tx_shape;

static inline void tx_reserve(tx_buffer *b, size_t more) {
  if (b->room - b->size >= more) return;
  size_t room = 2 * b->room > b->size + more ? 2 * b->room : b->size + more;
  char *at = realloc(b->at, room);
  if (!at) tx_fail();
  b->at = at;
  b->room = room;
}

static inline void tx_frame(uint32_t size, const char *p, size_t n) {
  tx_reserve(&tx_out, 4 + n);
  for (int i = 0; i < 4; i++) tx_out.at[tx_out.size++] = (char)(size >> (8 * i));
  if (n) memcpy(tx_out.at + tx_out.size, p, n);
  tx_out.size += n;
}

/* tx_put says what becomes of the record at hand. */
static inline void tx_put(const char *record, size_t size) {
  if (tx_puts++ && tx_shape != TX_ANY) tx_fail();
  tx_frame((uint32_t)size, record, size);
}

/* tx_found tells a finding in the record at hand: its type, in A to Z, 0 to 9 and _, where it is, and a score to 1000. */
static inline void tx_found(const char *type, size_t start, size_t end, int score) {
  tx_host_finding(tx_index, type, (uint32_t)strlen(type), (uint32_t)start, (uint32_t)end, (uint32_t)score);
}

/* tx_token makes a token of a text and gives its length; -1 if there is none, or no room. Kind 0 is 32 hex digits of a keyed
 * hash, kind 1 as many decimal digits as the text has. Only where the creator's keys are lent. */
static inline int tx_token(int kind, const char *text, size_t size, char *out, size_t room) {
  return (int)tx_host_token((uint32_t)kind, text, (uint32_t)size, out, (uint32_t)room);
}

/* tx_laplace draws noise for the record at hand, from the discrete Laplace distribution. It spends so many millionths of the
 * epsilon that the step has for each record. */
static inline int64_t tx_laplace(int64_t sensitivity, int64_t epsilon) { return tx_host_laplace(tx_index, sensitivity, epsilon); }

/* tx_value is the length of the value at the beginning of canonical JSON. */
static inline size_t tx_value(const char *p, size_t n) {
  int depth = 0, text = 0;
  size_t i = 0;
  for (; i < n; i++) {
    char c = p[i];
    if (text) {
      if (c == '\\') i++;
      else if (c == '"') text = 0;
    } else if (c == '"') {
      text = 1;
    } else if (c == '{' || c == '[') {
      depth++;
    } else if (!depth && (c == ',' || c == ':' || c == '}' || c == ']')) {
      break;
    } else if (c == '}' || c == ']') {
      depth--;
    }
  }
  return i < n ? i : n;
}

/* tx_member finds a member of an object in canonical JSON: its value as it is written; NULL if there is none. */
static inline const char *tx_member(const char *json, size_t n, const char *name, size_t *size) {
  size_t length = strlen(name);
  for (size_t i = 1; i + 1 < n;) {
    size_t key = tx_value(json + i, n - i), at = i + key + 1;
    if (at >= n) break;
    size_t value = tx_value(json + at, n - at);
    if (key == length + 2 && !memcmp(json + i + 1, name, length)) {
      *size = value;
      return json + at;
    }
    i = at + value + 1;
  }
  *size = 0;
  return NULL;
}

/* tx_text is a text of the step's configuration, ended by a zero byte, to be freed; fallback if it is not there. */
static inline char *tx_text(const char *name, const char *fallback) {
  size_t n, size;
  const char *config = tx_member(tx_config.at, tx_config.size, "config", &n);
  const char *p = config ? tx_member(config, n, name, &size) : NULL;
  if (!p || size < 2 || *p != '"') {
    char *copy = malloc(strlen(fallback) + 1);
    if (!copy) tx_fail();
    return strcpy(copy, fallback);
  }
  char *out = malloc(size), *to = out;
  if (!out) tx_fail();
  for (size_t i = 1; i + 1 < size; i++) {
    if (p[i] != '\\') {
      *to++ = p[i];
      continue;
    }
    static const char from[] = "bfnrt", is[] = "\b\f\n\r\t";
    const char *known = strchr(from, p[++i]);
    if (p[i] == 'u') { /* canonical JSON writes only control characters so */
      char hex[3] = {p[i + 3], p[i + 4], 0};
      *to++ = (char)strtol(hex, NULL, 16);
      i += 4;
    } else {
      *to++ = known ? is[known - from] : p[i];
    }
  }
  *to = 0;
  return out;
}

TX_EXPORT("tx_abi") int32_t tx_abi(void) { return 1; }

TX_EXPORT("tx_alloc") char *tx_alloc(int32_t size) {
  tx_in.size = 0;
  tx_reserve(&tx_in, (size_t)(uint32_t)size + 1);
  return tx_in.at;
}

TX_EXPORT("tx_init") int32_t tx_init(const char *config, int32_t size) {
  size_t n;
  tx_reserve(&tx_config, (size_t)size);
  memcpy(tx_config.at, config, (size_t)size);
  tx_config.size = (size_t)size;
  const char *shape = tx_member(tx_config.at, tx_config.size, "shape", &n);
  tx_shape = shape && n == 5 ? TX_ANY : shape && n == 8 ? TX_FILTER : TX_MAP; /* with their quotes */
  return tx_open(tx_config.at, tx_config.size);
}

static inline void tx_one(char *record, size_t size) {
  tx_puts = 0;
  tx_record(record, size);
  if (!tx_puts && tx_shape == TX_MAP) tx_fail();
  if (!tx_puts && tx_shape == TX_FILTER) tx_frame(UINT32_MAX, NULL, 0);
}

static inline int64_t tx_answer(void) { return (int64_t)((uint64_t)(uintptr_t)tx_out.at << 32 | (uint32_t)tx_out.size); }

TX_EXPORT("tx_transform") int64_t tx_transform(char *p, int32_t size) {
  char *end = p + (uint32_t)size;
  tx_out.size = 0;
  for (tx_index = 0; p < end; tx_index++) {
    uint32_t n = 0;
    for (int i = 0; i < 4; i++) n |= (uint32_t)(unsigned char)p[i] << (8 * i);
    p += 4;
    tx_one(p, n);
    p += n;
  }
  return tx_answer();
}

TX_EXPORT("tx_flush") int64_t tx_flush(void) {
  tx_out.size = 0;
#ifdef TX_END
  tx_end();
#endif
  return tx_answer();
}

#if !defined(__wasm__)
static inline void tx_print(void) {
  for (size_t i = 0; i + 4 <= tx_out.size;) {
    uint32_t n = 0;
    for (int k = 0; k < 4; k++) n |= (uint32_t)(unsigned char)tx_out.at[i + (size_t)k] << (8 * k);
    i += 4;
    if (n == UINT32_MAX) continue;
    fwrite(tx_out.at + i, 1, n, stdout);
    putchar('\n');
    i += n;
  }
  tx_out.size = 0;
}

int main(int argc, char **argv) {
  const char *config = argc > 1 ? argv[1] : "{\"columns\":[],\"config\":{},\"format\":\"jsonl\",\"shape\":\"filter\"}";
  size_t size = 0;
  int c;
  if (tx_init(config, (int32_t)strlen(config))) return fputs("transform: the configuration is refused\n", stderr), 1;
  do {
    c = getchar();
    if (c == '\n' || (c == EOF && size)) {
      tx_one(tx_in.at, size);
      tx_print();
      size = 0;
      tx_index++;
    } else if (c != EOF) {
      tx_in.size = size;
      tx_reserve(&tx_in, 1);
      tx_in.at[size++] = (char)c;
    }
  } while (c != EOF);
  tx_flush();
  tx_print();
  return 0;
}
#endif
#endif
