/* SPDX-License-Identifier: Apache-2.0
 *
 * Makes 6 MiB of arithmetic and evaluates it by recursive descent: branches that cannot be foretold, and calls. */
#include "bench.h"

static char *text;
static size_t length;

static void put(const char *s) {
  while (*s) text[length++] = *s++;
}

static void make(int depth) {
  uint32_t r = bench_next() >> 24;
  if (depth == 0 || r < 60) {
    char number[16];
    snprintf(number, sizeof number, r & 1 ? "%u" : "0x%x", bench_next() >> (8 + r % 24));
    put(number);
    return;
  }
  static const char *const signs[] = {" + ", "-", " * ", "^", " & ", "|", "\t%\n", " << "};
  if (r < 120) put("(");
  make(depth - 1);
  put(signs[r & 7]);
  make(depth - 1);
  if (r < 120) put(")");
}

static const char *at;

static void blank(void) {
  while (*at == ' ' || *at == '\t' || *at == '\n') at++;
}

static uint32_t sum(int level);

static uint32_t term(void) {
  blank();
  if (*at == '(') {
    at++;
    uint32_t v = sum(0);
    blank();
    if (*at++ != ')') abort();
    return v;
  }
  uint32_t v = 0;
  if (at[0] == '0' && at[1] == 'x') {
    for (at += 2;; at++) {
      if (*at >= '0' && *at <= '9') v = v * 16 + (uint32_t)(*at - '0');
      else if (*at >= 'a' && *at <= 'f') v = v * 16 + (uint32_t)(*at - 'a') + 10;
      else return v;
    }
  }
  if (*at < '0' || *at > '9') abort();
  while (*at >= '0' && *at <= '9') v = v * 10 + (uint32_t)(*at++ - '0');
  return v;
}

static int level_of(char c) {
  switch (c) {
  case '|': return 1;
  case '^': return 2;
  case '&': return 3;
  case '<': return 4;
  case '+': case '-': return 5;
  case '*': case '%': return 6;
  }
  return 0;
}

static uint32_t sum(int level) {
  uint32_t v = term();
  for (;;) {
    blank();
    int l = level_of(*at);
    if (l <= level) return v;
    char sign = *at++;
    if (sign == '<') at++;
    uint32_t w = sum(l);
    switch (sign) {
    case '|': v |= w; break;
    case '^': v ^= w; break;
    case '&': v &= w; break;
    case '<': v <<= w & 31; break;
    case '+': v += w; break;
    case '-': v -= w; break;
    case '*': v *= w; break;
    case '%': v %= w | 1; break;
    }
  }
}

int main(void) {
  enum { size = 6 << 20, slack = 1 << 20 };
  uint64_t h = 0;
  text = malloc(size + slack);
  while (length < size) {
    make(10);
    text[length++] = ';';
  }
  text[length] = 0;
  for (int pass = 0; pass < 3; pass++)
    for (at = text; *at; at++) h = h * 31 + sum(0);
  return bench_done(h);
}
