/* SPDX-License-Identifier: Apache-2.0
 *
 * Softmax regression on scattering features of 28 by 28 images, which depend on no data (Tramèr and Boneh 2021; Bruna and Mallat
 * 2013): the image, its moduli in Morlet wavelets of two scales and eight orientations, and the moduli of those of the first scale
 * in the second, averaged to 7 by 7: 81 channels. Then each group of channels is normalised within the record (Wu and He 2018). A
 * prepared record is its class and 3969 bytes, 16 to one.
 *
 * train.json: "scale" (255), "groups" (27; divides 81).
 */
#define MODEL_PREPARE
#define MODEL_PREDICT
#include "glovebox_train.h"
#include "vec.h"

enum { SIDE = 28, GRID = 32, HALF = 16, PAD = 2, ANGLES = 8, OUT = 7, CELL = OUT * OUT, CHANNELS = 1 + 2 * ANGLES + ANGLES * ANGLES, CLASSES = 10 };
enum { FEATURES = CHANNELS * CELL, STEPS = 16 };

static const double pi = 3.14159265358979323846;

/* lanes are complex numbers, one of each of four orientations. */
typedef struct {
  v4 re, im;
} lanes;

static float *params, scale;
static size_t groups;
static float waves[2][ANGLES][GRID * GRID];                    /* Morlet wavelets' spectra, which are real */
static float full[OUT][GRID], half[OUT][HALF];                 /* averages along one side */
static float turn[2][GRID];                                    /* cosines and sines */
static lanes image[GRID * GRID], inner[2][GRID * GRID], work[GRID * GRID], line_room[GRID];
static float pixels[SIDE * SIDE + 1], map[GRID * GRID], features[FEATURES];

/* fft_line transforms n numbers, stride apart; inverse without the division. */
static void fft_line(lanes *at, size_t stride, size_t n, int inverse) {
  lanes *x = line_room;
  for (size_t i = 0, r = 0; i < n; i++) { /* in bit-reversed order */
    x[r] = at[i * stride];
    for (size_t bit = n >> 1; (r ^= bit) < bit && bit > 0; bit >>= 1) continue;
  }
  for (size_t size = 2; size <= n; size *= 2) {
    for (size_t k = 0; k < size / 2; k++) {
      float c = turn[0][k * (GRID / size)], s = turn[1][k * (GRID / size)] * (inverse ? 1 : -1);
      for (size_t i = k; i < n; i += size) {
        lanes *a = x + i, *b = a + size / 2;
        v4 re = b->re * v4_all(c) - b->im * v4_all(s), im = b->re * v4_all(s) + b->im * v4_all(c);
        b->re = a->re - re, b->im = a->im - im;
        a->re += re, a->im += im;
      }
    }
  }
  for (size_t i = 0; i < n; i++) at[i * stride] = x[i];
}

static void fft(lanes *x, size_t n, int inverse) {
  for (size_t i = 0; i < n; i++) fft_line(x + i * n, 1, n, inverse);
  for (size_t i = 0; i < n; i++) fft_line(x + i, n, n, inverse);
}

/* gabor fills a periodic Gabor function of angle's orientation and slant, or a Gaussian envelope where there is no frequency. */
static void gabor(lanes *out, double sigma, double angle, double frequency) {
  const double slant = 4.0 / ANGLES, c = cos(angle), s = sin(angle), narrow = 2 * sigma * sigma;
  for (int y = 0; y < GRID; y++)
    for (int x = 0; x < GRID; x++) {
      double re = 0, im = 0;
      for (int wrap = 0; wrap < 25; wrap++) {
        double u = x + (wrap % 5 - 2) * GRID, v = y + (wrap / 5 - 2) * GRID;
        double along = c * u + s * v, across = c * v - s * u;
        double e = exp(-(along * along + slant * slant * across * across) / narrow) * slant / (pi * narrow);
        re += e * cos(frequency * along), im += e * sin(frequency * along);
      }
      out[y * GRID + x] = (lanes){v4_all((float)re), v4_all((float)im)};
    }
}

/* morlet fills the spectrum of a wavelet: a Gabor function less as much of its envelope as makes it blind to the mean. */
static void morlet(float *spectrum, int scale_index, int angle_index) {
  double sigma = 0.8 * (1 << scale_index), angle = pi * (ANGLES / 2 - 1 - angle_index) / ANGLES;
  gabor(image, sigma, angle, 0.75 * pi / (1 << scale_index));
  gabor(work, sigma, angle, 0);
  fft(image, GRID, 0);
  fft(work, GRID, 0);
  float share = image[0].re[0] / work[0].re[0];
  for (int i = 0; i < GRID * GRID; i++) spectrum[i] = image[i].re[0] - share * work[i].re[0];
}

/* average fills weights of the pixels of a side, step apart, for each of seven places: Gaussian, of sum 1. */
static void average(float *out, int n, int step) {
  for (int k = 0; k < OUT; k++) {
    double sum = 0, centre = PAD + 4 * k + 1.5, w[GRID];
    for (int i = 0; i < n; i++) sum += w[i] = exp(-(i * step - centre) * (i * step - centre) / (2 * 1.6 * 1.6));
    for (int i = 0; i < n; i++) out[k * n + i] = w[i] / sum > 1e-4 ? (float)(w[i] / sum) : 0;
  }
}

int model_open(void) {
  scale = (float)train_float("scale", 255);
  groups = (size_t)train_int("groups", 27, 1, CHANNELS);
  if (!(scale > 0) || CHANNELS % groups) return 1;
  for (int i = 0; i < GRID; i++) turn[0][i] = (float)cos(2 * pi * i / GRID), turn[1][i] = (float)sin(2 * pi * i / GRID);
  for (int j = 0; j < 2; j++)
    for (int a = 0; a < ANGLES; a++) morlet(waves[j][a], j, a);
  average(full[0], GRID, 1);
  average(half[0], HALF, 2);
  params = train_parameters((FEATURES + 1) * CLASSES);
  return 0;
}

/* pool averages a map of n by n to seven by seven. */
static void pool(const float *x, int n, const float *weights, float *out) {
  static float rows[OUT * GRID];
  for (int k = 0; k < OUT; k++)
    for (int i = 0; i < n; i++) rows[k * n + i] = 0;
  for (int k = 0; k < OUT; k++)
    for (int y = 0; y < n; y++)
      if (weights[k * n + y] != 0) vec_add(rows + k * n, x + y * n, weights[k * n + y], (size_t)n);
  for (int k = 0; k < OUT; k++)
    for (int l = 0; l < OUT; l++) out[k * OUT + l] = vec_dot(rows + k * n, weights + l * n, (size_t)n);
}

static v4 magnitude(lanes z) {
  v4 s = z.re * z.re + z.im * z.im;
  return (v4){sqrtf(s[0]), sqrtf(s[1]), sqrtf(s[2]), sqrtf(s[3])};
}

/* pool_lanes pools four maps of moduli into channels step apart. */
static void pool_lanes(const lanes *x, int n, const float *weights, float *out, int step) {
  for (int l = 0; l < 4; l++) {
    for (int i = 0; i < n * n; i++) map[i] = x[i].re[l];
    pool(map, n, weights, out + l * step * CELL);
  }
}

/* halve makes work the map of half the side that every other point of a product with spectra would be: frequencies fold. */
static void halve(const lanes *x, float *const spectra[4]) {
  for (int y = 0; y < HALF; y++)
    for (int c = 0; c < HALF; c++) {
      lanes s = {v4_all(0), v4_all(0)};
      for (int fold = 0; fold < 4; fold++) {
        int i = (y + fold / 2 * HALF) * GRID + c + fold % 2 * HALF;
        v4 w = {spectra[0][i], spectra[1][i], spectra[2][i], spectra[3][i]};
        s.re += x[i].re * w, s.im += x[i].im * w;
      }
      work[y * HALF + c] = s;
    }
}

/* moduli inverts work's spectrum, n by n, and makes its real parts moduli. */
static void moduli(lanes *x, int n) {
  fft(x, (size_t)n, 1);
  for (int i = 0; i < n * n; i++) x[i] = (lanes){magnitude(x[i]) * v4_all(1.0f / (GRID * GRID)), v4_all(0)};
}

/* scatter fills the features of pixels. Channels: the image; scale 0; scale 1; scale 0 and then 1, by the first orientation. */
static void scatter(void) {
  for (int i = 0; i < GRID * GRID; i++) map[i] = 0;
  for (int y = 0; y < SIDE; y++) memcpy(map + (y + PAD) * GRID + PAD, pixels + 1 + y * SIDE, SIDE * sizeof *map);
  pool(map, GRID, full[0], features);
  for (int i = 0; i < GRID * GRID; i++) image[i] = (lanes){v4_all(map[i]), v4_all(0)};
  fft(image, GRID, 0);
  for (int part = 0; part < 2; part++) {
    lanes *u = inner[part];
    float *first[4], *second[4];
    for (int l = 0; l < 4; l++) first[l] = waves[0][4 * part + l], second[l] = waves[1][4 * part + l];
    for (int i = 0; i < GRID * GRID; i++) {
      v4 w = {first[0][i], first[1][i], first[2][i], first[3][i]};
      u[i] = (lanes){image[i].re * w, image[i].im * w};
    }
    moduli(u, GRID);
    pool_lanes(u, GRID, full[0], features + (1 + 4 * part) * CELL, 1);
    halve(image, second);
    moduli(work, HALF);
    pool_lanes(work, HALF, half[0], features + (1 + ANGLES + 4 * part) * CELL, 1);
    fft(u, GRID, 0);
    for (int a = 0; a < ANGLES; a++) {
      float *same[4] = {waves[1][a], waves[1][a], waves[1][a], waves[1][a]};
      halve(u, same);
      moduli(work, HALF);
      pool_lanes(work, HALF, half[0], features + (1 + 2 * ANGLES + 4 * part * ANGLES + a) * CELL, ANGLES);
    }
  }
}

/* normalise makes each group's features of mean 0 and variance 1. */
static void normalise(void) {
  size_t n = FEATURES / groups;
  for (size_t g = 0; g < groups; g++) {
    float *f = features + g * n;
    double sum = 0, square = 0;
    for (size_t i = 0; i < n; i++) sum += f[i];
    for (size_t i = 0; i < n; i++) square += (f[i] - sum / (double)n) * (f[i] - sum / (double)n);
    double factor = 1 / sqrt(square / (double)n + 1e-5);
    for (size_t i = 0; i < n; i++) f[i] = (float)((f[i] - sum / (double)n) * factor);
  }
}

long model_prepare(const char *line, size_t size, char *out, size_t room) {
  if (room < FEATURES + 1 || !train_floats(line, size, pixels, SIDE * SIDE + 1) || !(pixels[0] >= 0 && pixels[0] < CLASSES)) return -1;
  for (int i = 1; i <= SIDE * SIDE; i++) pixels[i] /= scale;
  scatter();
  normalise();
  for (int i = 0; i < FEATURES; i++) {
    float v = roundf(features[i] * STEPS);
    out[i] = (char)(int)(v > 127 ? 127 : v < -127 ? -127 : v);
  }
  out[FEATURES] = (char)pixels[0];
  return FEATURES + 1;
}

/* forward makes features of a record's bytes, and gives its class. */
static size_t forward(const char *record, float *logits) {
  for (int i = 0; i < FEATURES; i++) features[i] = (float)(signed char)record[i] / STEPS;
  for (size_t k = 0; k < CLASSES; k++) logits[k] = vec_dot(params + k * FEATURES, features, FEATURES) + params[FEATURES * CLASSES + k];
  return (size_t)record[FEATURES] % CLASSES;
}

int model_gradient(const char *record, size_t size, float *gradient) {
  float logits[CLASSES], most = -INFINITY, sum = 0;
  if (size != FEATURES + 1) return 1;
  size_t class = forward(record, logits);
  for (size_t k = 0; k < CLASSES; k++) most = logits[k] > most ? logits[k] : most;
  for (size_t k = 0; k < CLASSES; k++) sum += logits[k] = expf(logits[k] - most);
  for (size_t k = 0; k < CLASSES; k++) {
    float d = logits[k] / sum - (k == class);
    vec_set(gradient + k * FEATURES, features, d, FEATURES);
    gradient[FEATURES * CLASSES + k] = d;
  }
  return 0;
}

float model_predict(const char *record, size_t size) {
  float logits[CLASSES];
  size_t best = 0;
  if (size != FEATURES + 1) return 0;
  size_t class = forward(record, logits);
  for (size_t k = 1; k < CLASSES; k++)
    if (logits[k] > logits[best]) best = k;
  return best == class;
}
