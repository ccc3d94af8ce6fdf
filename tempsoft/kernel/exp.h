/* The exponential of every function, 2^BIAS exp(x / T) / 2^c, c an even integer near max / T in bits. For REAL, by
 * inclusion.
 *
 * Fast:    a = log2(e) / T in two numbers; n = x a rounded, to an eighth (float32) or an integer (float64); 2^(x a - c)
 *          = 2^(n - c) 2^r with r = x a - n, |r| <= 1/16 or 1/2, and 2^-9 more. As c is an integer, x - max and x / T
 *          are never rounded: r has an error of its last bits alone, whatever the offset of the logits. As c is even, n
 *          is rounded alike for every c, and exponentials of different c differ by an exact power of two, if above
 *          `lowest`: c need only be near the largest, up to HEADROOM bits below it. For |c| below LARGEST_EXPONENT and
 *          moderate T.
 * Careful: the same of (x - max) / T, in pairs of doubles, for any finite x and max and any T > 0; c is 0 then. About
 *          four times the work, and rare.
 * Result:  the error of table and polynomial is 2^-28 (float32) or 2^-57 (float64), the whole below 1 ulp; all results
 *          of float32 have the factor of EXP2_EIGHTHS, which leaves ratios as they are. What would be below
 *          2^UNDERFLOW, as of -inf, is some number below it: too small to change a sum of exponentials, and 0 once
 *          divided by it. tests/test_accuracy.py and tests/adversarial hold what follows from this to 3 ulp.
 */

/* Doubles from REALs, and back. */
static inline vd R(wide)(const REAL *p) {
#if TS_REAL == 32
    return vd_load_floats(p);
#else
    return vd_load(p);
#endif
}

static inline VR R(narrow)(const vd *parts) {
#if TS_REAL == 32
    return vf_from_vd(parts);
#else
    return parts[0];
#endif
}

/* Lanes part * VD_LANES ... of x as doubles. */
static inline vd R(part)(VR x, int part) {
#if TS_REAL == 32
    return vf_part_to_vd(x, part);
#else
    (void)part;
    return x;
#endif
}

/* A number as the sum of two REALs, as far as they reach. */
typedef struct {
    REAL hi, lo;
} R(split);

static inline R(split) R(split_of)(dd x) {
    const REAL hi = (REAL)x.hi;
    return (R(split)){hi, (REAL)((x.hi - hi) + x.lo)};
}

/* What the exponentials of a block have in common. */
typedef struct {
    VR a_hi, a_lo, round_less_c, lowest; /* fast; of weights, the factor is a_hi a_lo */
    double max;                          /* careful: of the row */
    const tempering *k;
} R(scale);

#if TS_REAL == 32
#define SCALED_UP(bits) (bits) + ((uint32_t)SCALE_UP << 23),
static const uint32_t SCALED_EIGHTHS[16] = {EXP2_EIGHTHS(SCALED_UP) EXP2_EIGHTHS(SCALED_UP)};

/* 2^BIAS 2^(n + r) of n + ROUND in eighths, but for the factor of EXP2_EIGHTHS: a power of an eighth, and its product
 * with 2^r - 1, which is small, so that nothing but the last addition errs by much. */
TS_INLINE void R(exp2)(const vf *n_plus_round, const vf *r, int n, vf *e) {
    vf power[TOGETHER], p[TOGETHER];
    for (int i = 0; i < n; i++)
        power[i] = vf_times_two_to_eighths(SCALED_EIGHTHS, n_plus_round[i]);
    for (int i = 0; i < n; i++)
        p[i] = vf_set1(EXP2_F32[4]);
    for (int at = 3; at > 0; at--)
        for (int i = 0; i < n; i++)
            p[i] = vf_fma(p[i], r[i], vf_set1(EXP2_F32[at]));
    for (int i = 0; i < n; i++)
        e[i] = vf_fma(p[i], vf_mul(power[i], r[i]), power[i]);
}
#else
/* 2^BIAS 2^(n + r) of n + ROUND in integers; scaling the coefficients is exact. */
TS_INLINE void R(exp2)(const vd *n_plus_round, const vd *r, int n, vd *e) {
    for (int i = 0; i < n; i++)
        e[i] = vd_set1(EXP2_F64[11] * SCALE_UP);
    for (int power = 10; power >= 0; power--)
        for (int i = 0; i < n; i++)
            e[i] = vd_fma(e[i], r[i], vd_set1(EXP2_F64[power] * SCALE_UP));
    for (int i = 0; i < n; i++)
        e[i] = vd_times_two_to(e[i], n_plus_round[i]);
}
#endif

/* What is remembered of the numbers on the way: the bits of all n - c + ROUND, and the largest logit. */
typedef struct {
    VR bits, x;
} R(seen);

static inline R(seen) R(nothing_seen)(void) { return (R(seen)){V(set1)(ROUND_LEAST), V(set1)((REAL)-INFINITY)}; }

/* Whether every n was between that of ROUND and HEADROOM, as all others show in a bit that none of these has. A number
 * above makes exponentials meaningless, as does a NaN; one below has a quotient that may be subnormal. */
static inline int R(is_usual)(const R(seen) * seen) { return !v_mask_any(V(not_le)(seen->bits, V(set1)(ROUND_MOST))); }

/* Whether there was a NaN: of all others, no bits of the exponent are set but those of ROUND. */
static inline int R(has_seen_nan)(const R(seen) * seen) { return v_mask_any(V(not_le)(seen->bits, V(set1)(REAL_MAX))); }

/* n vectors of logits become their exponentials: step by step for all, as each step has to wait for the one before. Of
 * each its own c, or of all one if `step` is 0. A group that has settled is added half way, unless it is NULL: that
 * keeps other parts of a CPU busy, and was found faster in the middle than before or behind. */
TS_INLINE void R(exp_fast_each)(VR *x, int n, const R(scale) * s, const VR *round_less_c, const VR *lowest, int step,
                                R(seen) * seen, const R(settled) * settled) {
    VR n_plus_round[TOGETHER], r[TOGETHER];
    for (int i = 0; i < n; i++)
        x[i] = V(max)(lowest[i * step], x[i]); /* a NaN stays one */
    for (int i = 0; i < n; i++)
        n_plus_round[i] = V(fma)(x[i], s->a_hi, round_less_c[i * step]);
    for (int i = 0; i < n; i += 2)
        seen->bits = V(bits_of_any)(seen->bits, n_plus_round[i], n_plus_round[i + 1 < n ? i + 1 : i]);
    for (int i = 0; i < n; i++)
        r[i] = V(fms)(x[i], s->a_hi, V(sub)(n_plus_round[i], round_less_c[i * step]));
    for (int i = 0; i < n; i++)
        r[i] = V(fma)(x[i], s->a_lo, r[i]);
    if (settled)
        R(add_settled)(settled);
    R(exp2)(n_plus_round, r, n, x);
}

TS_INLINE void R(exp_fast)(VR *x, int n, const R(scale) * s, R(seen) * seen, const R(settled) * settled) {
    R(exp_fast_each)(x, n, s, &s->round_less_c, &s->lowest, 0, seen, settled);
}

/* The same, and the largest logit: this costs less here than another look at the block. */
TS_INLINE void R(exp_fast_max)(VR *x, int n, const R(scale) * s, R(seen) * seen, const R(settled) * settled) {
    for (int i = 0; i < n; i++)
        seen->x = V(max)(x[i], seen->x);
    R(exp_fast)(x, n, s, seen, settled);
}

/* Weights, over 2^c; it takes two powers of two for any weight to be in range. */
TS_INLINE void R(exp_weighed)(VR *x, int n, const R(scale) * s, R(seen) * seen, const R(settled) * settled) {
    (void)seen;
    if (settled)
        R(add_settled)(settled);
    for (int i = 0; i < n; i++)
        x[i] = V(fma)(V(mul)(x[i], s->a_hi), s->a_lo, V(set1)(0)); /* 0 for -0, which cannot be widened */
}

#if TS_REAL == 64
/* (x - max) down up, exactly but for what `down` takes from numbers that do not count beside T. */
static inline vd_pair scaled_difference(vd x, double max, const tempering *k) {
    vd a = vd_mul(x, vd_set1(k->down)), b = vd_set1(max * -k->down);
    vd d = vd_add(a, b), other = vd_sub(d, a);
    vd d_lo = vd_add(vd_sub(a, vd_sub(d, other)), vd_sub(b, other));
    return (vd_pair){vd_mul(d, vd_set1(k->up)), vd_mul(d_lo, vd_set1(k->up))};
}

/* d times f; where that is -inf, the lower part is NaN. */
static inline vd_pair vd_pair_times(vd_pair d, dd f) {
    vd hi = vd_set1(f.hi), lo = vd_set1(f.lo), product = vd_mul(d.hi, hi);
    return (vd_pair){product, vd_fma(d.lo, hi, vd_fma(d.hi, lo, vd_fms(d.hi, hi, product)))};
}

/* (x - max) log2(e) / T = n + r; adding `round` rounds to such n. */
static inline void careful_argument(vd x, double max, const tempering *k, double round, vd *n, vd *r) {
    vd_pair t = vd_pair_times(scaled_difference(x, max, k), k->careful_log2_e);
    vd above = vd_max(t.hi, vd_set1(-4000.0)); /* also above -inf; r is NaN then and not looked at */
    *n = vd_sub(vd_add(above, vd_set1(round)), vd_set1(round));
    *r = vd_add(vd_sub(above, *n), t.lo);
}
#endif

TS_INLINE void R(exp_careful)(VR *x, int n_vectors, const R(scale) * s, R(seen) * seen, const R(settled) * settled) {
    (void)seen; /* the row's largest is known, and its n is 0 */
    if (settled)
        R(add_settled)(settled);
    VR n[TOGETHER], r[TOGETHER];
    for (int i = 0; i < n_vectors; i++) {
#if TS_REAL == 32
        vd n_parts[VF_LANES / VD_LANES], r_parts[VF_LANES / VD_LANES];
        for (int part = 0; part < VF_LANES / VD_LANES; part++)
            careful_argument(vf_part_to_vd(x[i], part), s->max, s->k, 0x1.8p49, &n_parts[part], &r_parts[part]);
        n[i] = vf_from_vd(n_parts);
        r[i] = vf_from_vd(r_parts);
#else
        careful_argument(x[i], s->max, s->k, 0x1.8p52, &n[i], &r[i]);
#endif
    }
    VR n_plus_round[TOGETHER];
    for (int i = 0; i < n_vectors; i++)
        n_plus_round[i] = V(add)(n[i], V(set1)(ROUND));
    R(exp2)(n_plus_round, r, n_vectors, x);
    for (int i = 0; i < n_vectors; i++)
        x[i] = V(keep_ge)(n[i], V(set1)(UNDERFLOW), x[i]);
}
