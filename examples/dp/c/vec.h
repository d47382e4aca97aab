/* SPDX-License-Identifier: Apache-2.0
 *
 * vec.h: four floats at once, in the vector extensions of clang and gcc: SIMD in WebAssembly (-msimd128) and natively. They may
 * begin anywhere a float may.
 */
#ifndef VEC_H
#define VEC_H

#include <stddef.h>
#if defined(__wasm__)
#include <wasm_simd128.h>
#endif

typedef float v4 __attribute__((vector_size(16), aligned(4), may_alias));

typedef int v4i __attribute__((vector_size(16), aligned(4), may_alias));

static inline v4 v4_all(float x) { return (v4){x, x, x, x}; }
static inline float v4_sum(v4 v) { return (v[0] + v[1]) + (v[2] + v[3]); }
static inline v4 *v4_at(float *p) { return (v4 *)(void *)p; }
static inline v4 v4_get(const float *p) { return *(const v4 *)(const void *)p; }

/* v4_choose is a where mask is set, else b. */
static inline v4 v4_choose(v4i mask, v4 a, v4 b) { return (v4)((mask & (v4i)a) | (~mask & (v4i)b)); }

/* v4_least and v4_most are the lesser and the greater of a and b, of which b is a number. */
#if defined(__wasm__)
static inline v4 v4_least(v4 a, v4 b) { return (v4)wasm_f32x4_pmin((v128_t)a, (v128_t)b); }
static inline v4 v4_most(v4 a, v4 b) { return (v4)wasm_f32x4_pmax((v128_t)a, (v128_t)b); }
#else
static inline v4 v4_least(v4 a, v4 b) { return v4_choose(b < a, b, a); }
static inline v4 v4_most(v4 a, v4 b) { return v4_choose(a < b, b, a); }
#endif

/* v4_exp is e to the power of x, from -40 to 40, to 10⁻⁶ of it: 2^n times a polynomial of what is left. */
static inline v4 v4_exp(v4 x) {
  const v4 magic = v4_all(12582912.0f); /* 1.5 · 2^23: what is added to it is rounded, and its lowest bits are n */
  v4 t = x * v4_all(1.44269504f) + magic, r = x - (t - magic) * v4_all(0.69314718f), p = v4_all(1.0f / 720);
  p = p * r + v4_all(1.0f / 120);
  p = p * r + v4_all(1.0f / 24);
  p = p * r + v4_all(1.0f / 6);
  p = p * r + v4_all(0.5f);
  p = p * r + v4_all(1);
  p = p * r + v4_all(1);
  return (v4)((v4i)p + ((v4i)t << 23));
}

/* v4_tanh is the hyperbolic tangent. */
static inline v4 v4_tanh(v4 x) {
  x = v4_least(v4_most(x, v4_all(-9)), v4_all(9));
  return v4_all(1) - v4_all(2) / (v4_exp(x + x) + v4_all(1));
}

/* vec_tanh makes n elements, a multiple of 4, their hyperbolic tangents. */
static inline void vec_tanh(float *x, size_t n) {
  for (size_t i = 0; i < n; i += 4) *v4_at(x + i) = v4_tanh(v4_get(x + i));
}

/* Loops below go over 16 elements a round, at the highest address first: what a guest pays for every round, fuel and a check of
 * bounds, is paid for all of them. VEC_HERE keeps the compiler from adding up addresses itself, which would be a check each. Whatever
 * the round, an element's part in a sum is the same. */
#define VEC_HERE(p) __asm__("" : "+r"(p))

/* vec_dot is the scalar product of n elements. */
static inline float vec_dot(const float *a, const float *b, size_t n) {
  v4 s0 = v4_all(0), s1 = s0;
  for (; n >= 16; a += 16, b += 16, n -= 16) {
    VEC_HERE(a);
    VEC_HERE(b);
    v4 p3 = v4_get(a + 12) * v4_get(b + 12), p2 = v4_get(a + 8) * v4_get(b + 8);
    v4 p1 = v4_get(a + 4) * v4_get(b + 4), p0 = v4_get(a) * v4_get(b);
    s0 += p0, s1 += p1, s0 += p2, s1 += p3;
  }
  for (; n >= 8; a += 8, b += 8, n -= 8) s0 += v4_get(a) * v4_get(b), s1 += v4_get(a + 4) * v4_get(b + 4);
  float s = v4_sum(s0 + s1);
  for (; n > 0; n--) s += *a++ * *b++;
  return s;
}

/* vec_dot2 is vec_dot of two vectors, one behind the other, with b. */
static inline void vec_dot2(const float *a, const float *b, size_t n, float *out) {
  const float *c = a + n, *end = a + n / 16 * 16;
  v4 s0 = v4_all(0), s1 = s0, t0 = s0, t1 = s0;
  for (; a < end; a += 16, b += 16, c += 16) {
    VEC_HERE(a);
    VEC_HERE(b);
    VEC_HERE(c);
    v4 b3 = v4_get(b + 12), b2 = v4_get(b + 8), b1 = v4_get(b + 4), b0 = v4_get(b);
    v4 p3 = v4_get(a + 12) * b3, p2 = v4_get(a + 8) * b2, p1 = v4_get(a + 4) * b1, p0 = v4_get(a) * b0;
    v4 q3 = v4_get(c + 12) * b3, q2 = v4_get(c + 8) * b2, q1 = v4_get(c + 4) * b1, q0 = v4_get(c) * b0;
    s0 += p0, s1 += p1, s0 += p2, s1 += p3;
    t0 += q0, t1 += q1, t0 += q2, t1 += q3;
  }
  n %= 16;
  if (n >= 8) {
    s0 += v4_get(a) * v4_get(b), s1 += v4_get(a + 4) * v4_get(b + 4);
    t0 += v4_get(c) * v4_get(b), t1 += v4_get(c + 4) * v4_get(b + 4);
    a += 8, b += 8, c += 8, n -= 8;
  }
  float s = v4_sum(s0 + s1), t = v4_sum(t0 + t1);
  for (; n > 0; n--, a++, b++, c++) s += *a * *b, t += *c * *b;
  out[0] = s, out[1] = t;
}

/* vec_add adds f times x to y. */
static inline void vec_add(float *y, const float *x, float f, size_t n) {
  const v4 v = v4_all(f);
  for (; n >= 16; x += 16, y += 16, n -= 16) {
    VEC_HERE(x);
    VEC_HERE(y);
    for (int i = 12; i >= 0; i -= 4) *v4_at(y + i) += v * v4_get(x + i);
  }
  for (; n >= 4; x += 4, y += 4, n -= 4) *v4_at(y) += v * v4_get(x);
  for (; n > 0; n--) *y++ += f * *x++;
}

/* vec_set makes y f times x. */
static inline void vec_set(float *y, const float *x, float f, size_t n) {
  const v4 v = v4_all(f);
  for (; n >= 16; x += 16, y += 16, n -= 16) {
    VEC_HERE(x);
    VEC_HERE(y);
    for (int i = 12; i >= 0; i -= 4) *v4_at(y + i) = v * v4_get(x + i);
  }
  for (; n >= 4; x += 4, y += 4, n -= 4) *v4_at(y) = v * v4_get(x);
  for (; n > 0; n--) *y++ = f * *x++;
}

#endif
