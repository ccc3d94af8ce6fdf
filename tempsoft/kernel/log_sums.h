/* log sum exp of plans: of one, and of as many as a vector has lanes. For REAL, by inclusion.
 *
 * max / T + log(sum / largest exponential), by float64 arithmetic in pairs of doubles. What to make of it is left to
 * logarithms.h.
 */

#if TS_REAL == 64 /* used by both */
typedef struct {
    vd_pair whole, above_max; /* log sum exp(x / T), and the same less max / T */
} log_sums;

/* From the largest exponential as it was computed, so that its error and that of the sum cancel: a row of one category
 * has 0, and a peaked row no less than it should. whole.lo is meaningless where whole.hi is infinite. */
static inline log_sums log_sums_of(vd largest, vd_pair sum, vd max, vd temperature) {
    const vd q = vd_div(sum.hi, largest), rest = vd_add(vd_remainder(sum.hi, q, largest), sum.lo);
    const vd m = vd_div(max, temperature);
    const vd_pair scaled_max = {m, vd_div(vd_remainder(max, m, temperature), temperature)};
    log_sums log;
    log.above_max = vd_log((vd_pair){q, vd_div(rest, largest)});
    log.whole = vd_pair_add(scaled_max, log.above_max);
    return log;
}
#endif

/* The same for the fast formula: of floats a double does, with two divisions instead of six. */
static inline log_sums R(fast_log_sums_of)(vd largest, vd_pair sum, vd max, vd temperature, vd_pair inverse) {
#if TS_REAL == 32
    const vd m = vd_mul(max, inverse.hi);
    const vd_pair scaled_max = {m, vd_fma(max, inverse.lo, vd_fms(max, inverse.hi, m))};
    log_sums log;
    (void)temperature;
    log.above_max = (vd_pair){vd_log_of(vd_div(sum.hi, largest)), vd_set1(0)};
    log.whole = vd_pair_add(scaled_max, log.above_max);
    return log;
#else
    (void)inverse;
    return log_sums_of(largest, sum, max, temperature);
#endif
}

/* Of an ordinary row, in every lane. */
static log_sums R(log_sums_of_row)(const ts_plan *plan) {
    const tempering *k = plan->k;
    const vd_pair sum = {vd_set1(plan->sum_hi), vd_set1(plan->sum_lo)};
    const vd max = vd_set1(plan->max), temperature = vd_set1(k->temperature);
    const R(scale) scale = R(scale_of)(k, plan->exponent, plan->max);
    VR e = V(set1)((REAL)plan->max);
    R(seen) unused = R(nothing_seen)();
    if (plan->formula == TS_CAREFUL) {
        R(exp_careful)(&e, 1, &scale, &unused, NULL);
        return log_sums_of(vd_set1((double)V(largest)(e)), sum, max, temperature);
    }
    R(exp_fast)(&e, 1, &scale, &unused, NULL);
    const vd_pair inverse = {vd_set1(k->inverse.hi), vd_set1(k->inverse.lo)};
    return R(fast_log_sums_of)(vd_set1((double)V(largest)(e)), sum, max, temperature, inverse);
}

#define TILE (TS_TILE_BYTES / (int)sizeof(REAL)) /* rows that are worked on together, at most */

/* What logarithms need of the plans of so many rows, all of the fast formula. */
typedef struct {
    const tempering *k;
    intptr_t k_step; /* from row to row: 0 or 1 */
    REAL max[TILE];
    double exponent[TILE], sum_hi[TILE], sum_lo[TILE];
} R(plans);

/* What the temperatures of LANES rows come to, a lane each. */
typedef struct {
    VR a_hi, a_lo; /* log2(e) / T */
    vd temperature[WIDTHS];
    vd_pair inverse[WIDTHS];
} R(temperatures);

/* Of one for all, it stays in registers: vectors made of numbers just stored would wait for all that is before them. */
static inline R(temperatures) R(temperatures_of)(const R(plans) * p, intptr_t first) {
    R(temperatures) t;
    if (!p->k_step) {
        const R(split) a = R(split_of)(p->k->log2_e);
        t.a_hi = V(set1)(a.hi);
        t.a_lo = V(set1)(a.lo);
        for (int part = 0; part < WIDTHS; part++) {
            t.temperature[part] = vd_set1(p->k->temperature);
            t.inverse[part] = (vd_pair){vd_set1(p->k->inverse.hi), vd_set1(p->k->inverse.lo)};
        }
        return t;
    }
    REAL a_hi[LANES], a_lo[LANES];
    double temperature[LANES], inverse_hi[LANES], inverse_lo[LANES];
    for (int i = 0; i < LANES; i++) {
        const tempering *k = p->k + first + i;
        const R(split) a = R(split_of)(k->log2_e);
        a_hi[i] = a.hi;
        a_lo[i] = a.lo;
        temperature[i] = k->temperature;
        inverse_hi[i] = k->inverse.hi;
        inverse_lo[i] = k->inverse.lo;
    }
    t.a_hi = V(load)(a_hi);
    t.a_lo = V(load)(a_lo);
    for (int part = 0; part < WIDTHS; part++) {
        const int at = part * VD_LANES;
        t.temperature[part] = vd_load(temperature + at);
        t.inverse[part] = (vd_pair){vd_load(inverse_hi + at), vd_load(inverse_lo + at)};
    }
    return t;
}

/* Of LANES rows from `first` on, a lane each. */
TS_INLINE void R(log_sums_of_rows)(const R(plans) * p, intptr_t first, log_sums log[WIDTHS]) {
    const R(temperatures) t = R(temperatures_of)(p, first);
    vd round_less_c[WIDTHS];
    for (int part = 0; part < WIDTHS; part++)
        round_less_c[part] = vd_sub(vd_set1(ROUND), vd_load(p->exponent + first + part * VD_LANES));
    /* a largest logit is not below the lowest that counts */
    const R(scale) scale = {t.a_hi, t.a_lo, R(narrow)(round_less_c), V(set1)((REAL)-INFINITY), 0, NULL};
    const VR max = V(load)(p->max + first);
    R(seen) unused = R(nothing_seen)();
    VR e = max;
    R(exp_fast)(&e, 1, &scale, &unused, NULL);
    for (int part = 0; part < WIDTHS; part++) {
        const intptr_t at = first + part * VD_LANES;
        vd_pair sum = {vd_load(p->sum_hi + at), vd_load(p->sum_lo + at)};
#if TS_REAL == 64 /* see set_sum */
        const vd size = vd_max(sum.lo, vd_sub(vd_set1(0), sum.lo));
        sum.lo = vd_keep_ge(size, vd_mul(sum.hi, vd_set1(0x1p-200)), sum.lo);
#endif
        log[part] =
            R(fast_log_sums_of)(R(part)(e, part), sum, R(part)(max, part), t.temperature[part], t.inverse[part]);
    }
}
