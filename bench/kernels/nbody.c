/* SPDX-License-Identifier: Apache-2.0
 *
 * 96 bodies that attract each other, 1280 steps of leapfrog: float64 with divisions and square roots. */
#include <math.h>

#include "bench.h"

enum { bodies = 96, steps = 1280 };

static double place[bodies][3], speed[bodies][3], mass[bodies];

static void kick(double dt) {
  for (int i = 0; i < bodies; i++) {
    for (int j = i + 1; j < bodies; j++) {
      double d[3], square = 0.01;
      for (int x = 0; x < 3; x++) {
        d[x] = place[j][x] - place[i][x];
        square += d[x] * d[x];
      }
      double f = dt / (square * sqrt(square));
      for (int x = 0; x < 3; x++) {
        speed[i][x] += d[x] * f * mass[j];
        speed[j][x] -= d[x] * f * mass[i];
      }
    }
  }
}

int main(void) {
  for (int i = 0; i < bodies; i++) {
    mass[i] = 1.5 + bench_unit();
    for (int x = 0; x < 3; x++) {
      place[i][x] = bench_unit() * 10;
      speed[i][x] = bench_unit();
    }
  }
  for (int s = 0; s < steps; s++) {
    kick(0.001);
    for (int i = 0; i < bodies; i++)
      for (int x = 0; x < 3; x++) place[i][x] += speed[i][x] * 0.002;
    kick(0.001);
  }
  return bench_done(bench_hash(place, sizeof place));
}
