/* What a host CPU runs where the array cannot: the float operators around quantised matmuls, one element after another.
 *
 * Two ways each for the transcendental functions: `library` calls libm, `polynomial` evaluates polynomials over four
 * elements at a time, as inference runtimes without a vector unit do. Usage: kernels NAME ELEMENTS.
 */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define KERNEL __attribute__((noinline)) static void
#define MOST 8192

typedef float lanes __attribute__((vector_size(16)));
typedef int32_t words __attribute__((vector_size(16)));

float x[MOST] __attribute__((aligned(16))), z[MOST] __attribute__((aligned(16)));
float y[MOST] __attribute__((aligned(16)));
int32_t sums[MOST];
int8_t bytes[MOST];

KERNEL dequantise(long n) {
  for (long i = 0; i < n; i++) y[i] = (float)sums[i] * 1e-3f;
}

/* ONNX QuantizeLinear: round half to even, saturate. */
KERNEL quantise(long n) {
  for (long i = 0; i < n; i++) {
    float q = nearbyintf(x[i] * 20.f);
    bytes[i] = (int8_t)(q > 127.f ? 127.f : (q < -128.f ? -128.f : q));
  }
}

KERNEL add(long n) {
  for (long i = 0; i < n; i++) y[i] = x[i] + z[i];
}

KERNEL layer_norm(long n) {
  float mean = 0, variance = 0;
  for (long i = 0; i < n; i++) mean += x[i];
  mean /= n;
  for (long i = 0; i < n; i++) variance += (x[i] - mean) * (x[i] - mean);
  float factor = 1.f / sqrtf(variance / n + 1e-12f);
  for (long i = 0; i < n; i++) y[i] = (x[i] - mean) * factor * z[i] + z[i];
}

static float largest(long n) {
  float most = x[0];
  for (long i = 1; i < n; i++)
    if (x[i] > most) most = x[i];
  return most;
}

KERNEL softmax_library(long n) {
  float most = largest(n), sum = 0;
  for (long i = 0; i < n; i++) sum += y[i] = expf(x[i] - most);
  float factor = 1.f / sum;
  for (long i = 0; i < n; i++) y[i] *= factor;
}

KERNEL gelu_library(long n) {
  for (long i = 0; i < n; i++) y[i] = .5f * x[i] * (1.f + erff(x[i] * .70710678f));
}

/* 2^round(x / ln 2) times a polynomial of degree 6 in what is left (Cody and Waite). */
static inline lanes exponential(lanes v) {
  words n;
  for (int i = 0; i < 4; i++) n[i] = (int32_t)lrintf(v[i] * 1.44269504f);
  lanes whole = __builtin_convertvector(n, lanes);
  lanes r = v - whole * .693359375f + whole * 2.12194440e-4f;
  lanes p = r * 1.3888889e-3f + 8.3333333e-3f;
  p = p * r + 4.1666667e-2f;
  p = p * r + .16666667f;
  p = p * r + .5f;
  p = p * r + 1.f;
  p = p * r + 1.f;
  return p * (lanes)((n + 127) << 23);
}

KERNEL softmax_polynomial(long n) {
  lanes most = {0}, sum = {0};
  most += largest(n);
  for (long i = 0; i < n; i += 4) {
    lanes e = exponential(*(lanes *)(x + i) - most);
    *(lanes *)(y + i) = e;
    sum += e;
  }
  float factor = 1.f / (sum[0] + sum[1] + sum[2] + sum[3]);
  for (long i = 0; i < n; i++) y[i] *= factor;
}

/* erf by Abramowitz and Stegun, 7.1.26: 1 - (a polynomial of degree 5 in 1 / (1 + p |v|)) exp(-v v). */
static inline lanes error_function(lanes v) {
  lanes size = (lanes)((words)v & 0x7fffffff), t = 1.f / (size * .3275911f + 1.f);
  lanes p = t * 1.061405429f - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - .284496736f;
  p = p * t + .254829592f;
  lanes result = 1.f - p * t * exponential(-size * size);
  return (lanes)((words)result | ((words)v & (int32_t)0x80000000));
}

KERNEL gelu_polynomial(long n) {
  for (long i = 0; i < n; i += 4) {
    lanes v = *(lanes *)(x + i);
    *(lanes *)(y + i) = v * .5f * (error_function(v * .70710678f) + 1.f);
  }
}

static const struct {
  const char *name;
  void (*run)(long);
} KERNELS[] = {
    {"dequantise", dequantise},
    {"quantise", quantise},
    {"add", add},
    {"layer_norm", layer_norm},
    {"softmax_library", softmax_library},
    {"gelu_library", gelu_library},
    {"softmax_polynomial", softmax_polynomial},
    {"gelu_polynomial", gelu_polynomial},
};

int main(int count, char **values) {
  if (count != 3) return 2;
  long n = atol(values[2]);
  uint32_t state = 1;
  for (long i = 0; i < n && i < MOST; i++) {
    state = state * 1664525u + 1013904223u;
    x[i] = (float)(int32_t)state / 536870912.f;
    z[i] = x[i] * .5f;
    sums[i] = (int32_t)state >> 12;
  }
  for (unsigned k = 0; k < sizeof KERNELS / sizeof *KERNELS; k++)
    if (!strcmp(values[1], KERNELS[k].name)) {
      KERNELS[k].run(n);
      return 0;
    }
  return 2;
}
