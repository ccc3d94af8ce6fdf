/* The natural logarithm of a sum of exponentials, hi + lo to about 2^-62.
 *
 * s = 2^k z, z in [0.70, 1.42); log z = 2 w + w^3 q(w^2) with w = (z - 1) / (z + 1), |w| <= 0.1716. The quotient is
 * kept to twice the precision, the rest is below 2^-8 and needs a double only. Argument: finite, normal, positive.
 */
#ifndef TEMPSOFT_LOG_H
#define TEMPSOFT_LOG_H

#include <stdint.h>
#include <string.h>

#include "tempering.h"

static inline dd dd_log(dd s) {
    uint64_t bits;
    memcpy(&bits, &s.hi, sizeof bits);
    uint64_t from_half_root = bits - 0x3fe6a09e667f3bcdull; /* sqrt(1/2) */
    int k = (int)((int64_t)from_half_root >> 52);
    bits -= (uint64_t)(int64_t)k << 52;
    double z;
    memcpy(&z, &bits, sizeof z);
    uint64_t unit_bits = (uint64_t)(1023 - k) << 52;
    double unit; /* 2^-k */
    memcpy(&unit, &unit_bits, sizeof unit);

    double z_lo = s.lo * unit, above = z - 1.0;
    dd below = dd_two_sum(z, 1.0);
    below.lo += z_lo;
    double w = above / below.hi;
    double w_lo = (fma(-w, below.hi, above) - w * below.lo + z_lo) / below.hi;
    const double square = w * w, *c = LOG_Q;
    double q = fma(c[8], square, c[7]);
    q = fma(fma(fma(q, square, c[6]), square, c[5]), square, c[4]); /* no loop: a compiler leaves it one */
    q = fma(fma(fma(fma(q, square, c[3]), square, c[2]), square, c[1]), square, c[0]);
    double n = (double)k;
    dd twos = dd_two_sum(n * LOG_2_HI, 2.0 * w);
    double twos_lo = fma(n, LOG_2_HI, -(n * LOG_2_HI)) + n * LOG_2_LO;
    return dd_two_sum(twos.hi, twos.lo + (twos_lo + (2.0 * w_lo + square * w * q)));
}

#endif
