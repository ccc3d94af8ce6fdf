/* 2^BIAS exp((x - m) / T), the exponential of every function, m the largest logit of x's block. For REAL, by inclusion.
 *
 * Fast:    t = x a - c with a = log2(e) / T, c = m a; n = t rounded; 2^t = 2^n 2^r, |r| <= 1/2 + 2^-9. a and c are held in
 *          two numbers each, c_hi on a grid on which c_hi + n is exact, so that r has an error of its last bit alone:
 *          neither x - m nor x / T is ever rounded. For |c| < LARGEST_SHIFT and moderate T.
 * Careful: the same r from doubles in pairs, for any finite x, m and T > 0. About four times the work; rare.
 * Result:  the polynomial's error is 2^-28 (float32) or 2^-57 (float64), the whole below 1 ulp; 0 below 2^UNDERFLOW,
 *          which -inf is. tests/test_accuracy.py holds what follows from it to 3 ulp.
 */

typedef struct {
    VR a_hi, a_lo, minus_c_hi, minus_c_lo; /* the fast formula */
    vd max;                                /* the careful one */
    tempering k;
} R(shift);

static inline int R(is_fast)(const tempering *k, double max) {
    return k->temperature >= SMALLEST_TEMPERATURE && k->temperature <= LARGEST_TEMPERATURE &&
           fabs(max * k->log2_e.hi) < LARGEST_SHIFT;
}

/* a and c of one row in the numbers of the fast formula: out = a_hi, a_lo, -c_hi, -c_lo. */
static inline void R(split)(const tempering *k, double max, REAL out[4]) {
#if TS_REAL == 32
    out[0] = (float)k->log2_e.hi;
    out[1] = (float)(k->log2_e.hi - out[0]);
    double c = max * ((double)out[0] + out[1]), c_hi = (c + GRID) - GRID, c_lo = c - c_hi;
#else
    out[0] = k->log2_e.hi;
    out[1] = k->log2_e.lo;
    double c = max * out[0], c_hi = (c + GRID) - GRID;
    double c_lo = (c - c_hi) + fma(max, out[1], fma(max, out[0], -c));
#endif
    out[2] = (REAL)-c_hi;
    out[3] = (REAL)-c_lo;
}

static inline R(shift) R(shift_of)(const tempering *k, double max) {
    REAL s[4];
    R(split)(k, max, s);
    return (R(shift)){V(set1)(s[0]), V(set1)(s[1]), V(set1)(s[2]), V(set1)(s[3]), vd_set1(max), *k};
}

/* 2^BIAS 2^n 2^r, and 0 where t < UNDERFLOW; t is n before it was rounded, or n. */
static inline VR R(exp2)(VR n_plus_round, VR r, VR t) {
    VR q = V(set1)(COEFFICIENTS[DEGREE] * SCALE);
    for (int i = DEGREE - 1; i >= 0; i--)
        q = V(fma)(q, r, V(set1)(COEFFICIENTS[i] * SCALE)); /* an exact scaling */
    return V(select_ge)(t, V(set1)(UNDERFLOW), V(times_two_to)(q, n_plus_round), V(set1)(0));
}

static inline VR R(exp_fast)(VR x, const R(shift) * s) {
    VR t = V(fma)(x, s->a_hi, s->minus_c_hi);
    VR n_plus_round = V(add)(t, V(set1)(ROUND));
    VR n = V(sub)(n_plus_round, V(set1)(ROUND)); /* not to be trusted where t is very negative */
    VR r_hi = V(fma)(x, s->a_hi, V(sub)(s->minus_c_hi, n));
    VR r_lo = V(fma)(x, s->a_lo, s->minus_c_lo);
    return R(exp2)(n_plus_round, V(add)(r_hi, r_lo), t);
}

#if TS_REAL == 64
typedef struct {
    vd hi, lo;
} vd_pair;

/* (x - max) down up, exactly but for what `down` takes from numbers that do not count beside T. */
static inline vd_pair scaled_difference(vd x, vd max, const tempering *k) {
    vd a = vd_mul(x, vd_set1(k->down)), b = vd_mul(max, vd_set1(-k->down));
    vd d = vd_add(a, b), other = vd_sub(d, a);
    vd d_lo = vd_add(vd_sub(a, vd_sub(d, other)), vd_sub(b, other));
    return (vd_pair){vd_mul(d, vd_set1(k->up)), vd_mul(d_lo, vd_set1(k->up))};
}

/* d times f; where that is -inf, the lower part is NaN. */
static inline vd_pair vd_pair_times(vd_pair d, dd f) {
    vd hi = vd_set1(f.hi), lo = vd_set1(f.lo), product = vd_mul(d.hi, hi);
    vd rest = vd_fma(d.hi, hi, vd_sub(vd_set1(0), product));
    return (vd_pair){product, vd_fma(d.lo, hi, vd_fma(d.hi, lo, rest))};
}

/* (x - max) log2(e) / T = n + r: n an integer, r in two doubles. */
typedef struct {
    vd n, r, r_lo;
} exp_argument;

static inline exp_argument careful_argument(vd x, vd max, const tempering *k) {
    vd_pair product = vd_pair_times(scaled_difference(x, max, k), k->log2_e);
    vd t = vd_max(product.hi, vd_set1(-4000.0)); /* also from -inf; then r is NaN and not looked at */
    vd n = vd_sub(vd_add(t, vd_set1(ROUND)), vd_set1(ROUND));
    vd whole = vd_sub(t, n);
    vd r = vd_add(whole, product.lo);
    return (exp_argument){n, r, vd_add(vd_sub(whole, r), product.lo)};
}
#endif

static inline VR R(exp_careful)(VR x, const R(shift) * s) {
#if TS_REAL == 32
    vd n_parts[VF_LANES / VD_LANES], r_parts[VF_LANES / VD_LANES];
    for (int part = 0; part < VF_LANES / VD_LANES; part++) {
        exp_argument t = careful_argument(vf_part_to_vd(x, part), s->max, &s->k);
        n_parts[part] = t.n;
        r_parts[part] = t.r;
    }
    vf n = vf_from_vd(n_parts), r = vf_from_vd(r_parts);
#else
    exp_argument t = careful_argument(x, s->max, &s->k);
    vd n = t.n, r = t.r;
#endif
    return R(exp2)(V(add)(n, V(set1)(ROUND)), r, n);
}
