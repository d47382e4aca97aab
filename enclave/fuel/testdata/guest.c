// SPDX-License-Identifier: Apache-2.0

// A guest that does a little of everything: floats, sorting, formatting, memory, calls through pointers.
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static float a[64][64], b[64][64], c[64][64];

static int compare(const void *x, const void *y) {
  int i = *(const int *)x, j = *(const int *)y;
  return (i > j) - (i < j);
}

int main(int argc, char **argv) {
  int rounds = argc > 1 ? atoi(argv[1]) : 1;
  unsigned state = 1;
  double sum = 0;
  for (int r = 0; r < rounds; r++) {
    for (int i = 0; i < 64; i++)
      for (int j = 0; j < 64; j++) {
        state = state * 1664525 + 1013904223;
        a[i][j] = (float)(state >> 16) / 65536;
        b[j][i] = a[i][j] - 0.5f;
        c[i][j] = 0;
      }
    for (int i = 0; i < 64; i++)
      for (int k = 0; k < 64; k++)
        for (int j = 0; j < 64; j++) c[i][j] += a[i][k] * b[k][j];
    int *v = malloc(5000 * sizeof *v);
    for (int i = 0; i < 5000; i++) v[i] = (state = state * 1664525 + 1013904223) >> 8;
    qsort(v, 5000, sizeof *v, compare);
    sum += c[r % 64][7] + exp(sin(v[r])) + v[r] % 7;
    memmove(a, (char *)a + 3, sizeof a - 3);
    free(v);
  }
  printf("%.9g %s\n", sum, argv[0]);
  return 0;
}
