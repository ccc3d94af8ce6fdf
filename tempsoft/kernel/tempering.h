/* A temperature as the kernels use it: log2(e) / T and 1 / T to twice the precision of a double.
 *
 * The range of doubles is no limit: where T is so large or small that differences of logits over it could overflow or
 * lose bits on the way, both are scaled by a power of two first, logits before the subtraction (`down`) where T is
 * large and after it (`up`) where T is tiny. Leaves 0, inf and NaN to the plan.
 */
#ifndef TEMPSOFT_TEMPERING_H
#define TEMPSOFT_TEMPERING_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "coefficients.h"

typedef struct {
    double hi, lo; /* the value is hi + lo */
} dd;

/* 2^power, a normal number. */
static inline double two_to(int power) {
    const uint64_t bits = (uint64_t)(1023 + power) << 52;
    double x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* x / 2^bits for -2000 < bits < 2000, in two steps because one need not fit. */
static inline double down_by(double x, int bits) {
    if (bits == 0)
        return x;
    return x * two_to(-(bits / 2)) * two_to(bits / 2 - bits);
}

typedef struct tempering {
    double temperature;
    dd log2_e, inverse; /* log2(e) / T, 1 / T; for moderate T */
    double down, up;    /* powers of two; a difference of logits is (x down - m down) up, and goes with */
    dd careful_log2_e, careful_inverse; /* the same over T down up, for any T */
} tempering;

/* (hi + lo) / t, to about 2^-104. */
static inline dd dd_quotient(double hi, double lo, double t) {
    double q = hi / t;
    return (dd){q, (fma(-q, t, hi) + lo) / t};
}

/* a + b exactly, whichever is larger. */
static inline dd dd_two_sum(double a, double b) {
    double sum = a + b, other = sum - a;
    return (dd){sum, (a - (sum - other)) + (b - other)};
}

static inline dd dd_add(dd a, dd b) {
    dd sum = dd_two_sum(a.hi, b.hi);
    return dd_two_sum(sum.hi, sum.lo + (a.lo + b.lo));
}

static inline dd dd_inverse(dd x) {
    double hi = 1.0 / x.hi;
    return (dd){hi, (fma(-hi, x.hi, 1.0) - hi * x.lo) * hi};
}

static inline tempering tempering_of(double t) {
    tempering k = {.temperature = t, .down = 1.0, .up = 1.0};
    if (t > 0x1p600)
        k.down = 0x1p-600;
    else if (t >= 1)
        k.down = 0x1p-2; /* enough for a difference that does not fit while its quotient does */
    else if (t < 0x1p-600)
        k.up = 0x1p600;
    const double scale = k.down * k.up;
    k.careful_log2_e = dd_quotient(LOG2_E_HI, LOG2_E_LO, t * scale);
    k.careful_inverse = dd_quotient(1.0, 0.0, t * scale);
    k.log2_e = (dd){k.careful_log2_e.hi * scale, k.careful_log2_e.lo * scale};
    k.inverse = (dd){k.careful_inverse.hi * scale, k.careful_inverse.lo * scale};
    return k;
}

#endif
