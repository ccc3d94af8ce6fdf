/* The natural logarithm of sums of exponentials, hi + lo to about 2^-62, a sum in each lane.
 *
 * s = 2^k z, z in [0.70, 1.42); log z = 2 w + w^3 q(w^2) with w = (z - 1) / (z + 1), |w| <= 0.1716. The quotient is
 * kept to twice the precision, the rest is below 2^-8 and needs a double only. Argument: finite, normal, positive.
 */
#ifndef TEMPSOFT_LOG_H
#define TEMPSOFT_LOG_H

#include "tempering.h"

typedef struct {
    vd hi, lo;
} vd_pair;

/* dd_two_sum and dd_add, lane by lane. */
static inline vd_pair vd_two_sum(vd a, vd b) {
    const vd sum = vd_add(a, b), other = vd_sub(sum, a);
    return (vd_pair){sum, vd_add(vd_sub(a, vd_sub(sum, other)), vd_sub(b, other))};
}

static inline vd_pair vd_pair_add(vd_pair a, vd_pair b) {
    const vd_pair sum = vd_two_sum(a.hi, b.hi);
    return vd_two_sum(sum.hi, vd_add(sum.lo, vd_add(a.lo, b.lo)));
}

/* a - q b, exact where q is a / b rounded. */
static inline vd vd_remainder(vd a, vd q, vd b) { return vd_sub(vd_set1(0), vd_fms(q, b, a)); }

static inline vd_pair vd_log(vd_pair s) {
    const vd one = vd_set1(1), two = vd_set1(2), log_2 = vd_set1(LOG_2_HI);
    const vd n = vd_power(s.hi), unit = vd_times_two_to(one, vd_sub(vd_set1(0x1.8p52), n)); /* 2^-n */
    const vd z = vd_mul(s.hi, unit), z_lo = vd_mul(s.lo, unit), above = vd_sub(z, one);
    vd_pair below = vd_two_sum(z, one);
    below.lo = vd_add(below.lo, z_lo);
    const vd w = vd_div(above, below.hi);
    const vd rest = vd_add(vd_sub(vd_remainder(above, w, below.hi), vd_mul(w, below.lo)), z_lo);
    const vd w_lo = vd_div(rest, below.hi), square = vd_mul(w, w);
    vd q = vd_set1(LOG_Q[8]);
    for (int power = 7; power >= 0; power--)
        q = vd_fma(q, square, vd_set1(LOG_Q[power]));
    const vd n_log_2 = vd_mul(n, log_2), n_log_2_lo = vd_add(vd_fms(n, log_2, n_log_2), vd_mul(n, vd_set1(LOG_2_LO)));
    const vd_pair twos = vd_two_sum(n_log_2, vd_mul(two, w));
    const vd small = vd_add(vd_mul(two, w_lo), vd_mul(vd_mul(square, w), q));
    return vd_two_sum(twos.hi, vd_add(twos.lo, vd_add(n_log_2_lo, small)));
}

#define LOGS_MOST 2 /* vectors of floats, in as many as hold them of doubles */
#define LOG_PARTS (VF_LANES / VD_LANES)

#define ENTRY(value) value,
static const uint32_t INVERSES[16] = {LOG_INVERSES(ENTRY) LOG_INVERSES(ENTRY)};
static const float LOGS_OF_EIGHTHS[16] = {LOG_EIGHTHS(ENTRY) LOG_EIGHTHS(ENTRY)};

/* The same of doubles in the range of floats, to 2^-32 of the result and 2^-35 of 1: where that is one of floats. s is
 * about 2^(-k / 8), k an integer, and r = s c - 1 with c about 1 / s by table, in [-1/512, 1/8] and exact; log s =
 * log(1 + r) - log c. For s from 1 to 9/8 c is 1, so what is left of a sum beside its largest term is not lost. Of some
 * vectors step by step, as each step has to wait for the one before. */
static inline void vd_logs_of(vd *s, int n_vectors) {
    vd r[LOGS_MOST * LOG_PARTS], minus_log_c[LOGS_MOST * LOG_PARTS], p[LOGS_MOST * LOG_PARTS];
    const int n = n_vectors * LOG_PARTS;
    for (int v = 0; v < n_vectors; v++) {
        const vf k = vf_minus_eighths(vf_from_vd(s + v * LOG_PARTS)), c = vf_times_two_to_eighths(INVERSES, k);
        const vf left = vf_entry_of_eight(LOGS_OF_EIGHTHS, k), eighths = vf_from_integer(k);
        for (int part = 0; part < LOG_PARTS; part++) {
            const int i = v * LOG_PARTS + part;
            r[i] = vd_fms(s[i], vf_part_to_vd(c, part), vd_set1(1));
            minus_log_c[i] = vd_fma(vf_part_to_vd(eighths, part), vd_set1(-LOG_2_HI / 8), vf_part_to_vd(left, part));
        }
    }
    for (int i = 0; i < n; i++)
        p[i] = vd_set1(LOG_F32[5]);
    for (int power = 4; power >= 0; power--)
        for (int i = 0; i < n; i++)
            p[i] = vd_fma(p[i], r[i], vd_set1(LOG_F32[power]));
    for (int i = 0; i < n; i++)
        s[i] = vd_fma(p[i], r[i], minus_log_c[i]);
}

/* One logarithm. */
static inline dd dd_of_lane_0(vd_pair x) { return (dd){vd_lane_0(x.hi), vd_lane_0(x.lo)}; }

static inline dd dd_log(dd s) { return dd_of_lane_0(vd_log((vd_pair){vd_set1(s.hi), vd_set1(s.lo)})); }

#endif
