/* log sum exp of plans: of one, and of as many as a vector has lanes. For REAL, by inclusion.
 *
 * max / T + log(sum / largest exponential), for float64 by arithmetic in pairs of doubles. What to make of it is left
 * to logarithms.h.
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

/* What that is of, a lane for each of LANES rows. */
typedef struct {
    VR largest; /* exponential */
    vd max[WIDTHS], temperature[WIDTHS];
    vd_pair sum[WIDTHS], inverse[WIDTHS]; /* of the temperature */
} R(log_terms);

/* The same for the fast formula, of one or two vectors of rows. Of floats a double does, and one division of floats: of
 * 1 / largest the error is known, and with it the quotient is that of doubles. */
TS_INLINE void R(fast_log_sums_of)(const R(log_terms) * of, int n, log_sums *log) {
#if TS_REAL == 32
    vd logs[LOGS_MOST * WIDTHS];
    for (int v = 0; v < n; v++) {
        const vf one = vf_set1(1), inverse = vf_div(one, of[v].largest), error = vf_fms(inverse, of[v].largest, one);
        for (int part = 0; part < WIDTHS; part++) {
            const vd e = vf_part_to_vd(error, part), q = vd_mul(of[v].sum[part].hi, vf_part_to_vd(inverse, part));
            logs[v * WIDTHS + part] = vd_fma(e, vd_fms(e, q, q), q); /* q (1 - e + e^2) */
        }
    }
    vd_logs_of(logs, n);
    for (int i = 0; i < n * WIDTHS; i++) {
        const R(log_terms) *const terms = of + i / WIDTHS;
        const vd max = terms->max[i % WIDTHS];
        const vd_pair inverse = terms->inverse[i % WIDTHS];
        const vd whole = vd_fma(max, inverse.hi, vd_fma(max, inverse.lo, logs[i]));
        log[i] = (log_sums){{whole, vd_set1(0)}, {logs[i], vd_set1(0)}};
    }
#else
    for (int i = 0; i < n; i++)
        log[i] = log_sums_of(of[i].largest, of[i].sum[0], of[i].max[0], of[i].temperature[0]);
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
    R(log_terms) of = {.largest = e};
    for (int part = 0; part < WIDTHS; part++) {
        of.max[part] = max;
        of.temperature[part] = temperature;
        of.sum[part] = sum;
        of.inverse[part] = inverse;
    }
    log_sums log[WIDTHS];
    R(fast_log_sums_of)(&of, 1, log);
    return log[0];
}

#define TILE (TS_TILE_BYTES / (int)sizeof(REAL)) /* rows that are worked on together, */
#define ADJACENT_MOST (TS_TILES * TILE)          /* at most, if they are adjacent */

/* What the temperatures of LANES rows come to, a lane each. */
typedef struct {
    VR a_hi, a_lo; /* log2(e) / T */
    vd log2_e[WIDTHS], temperature[WIDTHS];
    vd_pair inverse[WIDTHS];
} R(temperatures);

/* What logarithms need of the plans of so many rows, all of the fast formula. */
typedef struct {
    const tempering *k;
    intptr_t k_step;                 /* from row to row: 0 or 1 */
    const R(temperatures) * of_rows; /* of LANES rows each; NULL if they are those of k */
    REAL max[ADJACENT_MOST];
    double exponent[ADJACENT_MOST], sum_hi[ADJACENT_MOST], sum_lo[ADJACENT_MOST];
} R(plans);

/* Have them be of one temperature. */
static inline void R(set_plans_k)(R(plans) * p, const tempering *k) {
    p->k = k;
    p->k_step = 0;
    p->of_rows = NULL;
}

/* Of one for all, it stays in registers: vectors made of numbers just stored would wait for all that is before them. */
static inline R(temperatures) R(temperatures_of_one)(const tempering *k) {
    R(temperatures) t;
    const R(split) a = R(split_of)(k->log2_e);
    t.a_hi = V(set1)(a.hi);
    t.a_lo = V(set1)(a.lo);
    for (int part = 0; part < WIDTHS; part++) {
        t.log2_e[part] = vd_set1(k->log2_e.hi);
        t.temperature[part] = vd_set1(k->temperature);
        t.inverse[part] = (vd_pair){vd_set1(k->inverse.hi), vd_set1(k->inverse.lo)};
    }
    return t;
}

static inline R(temperatures) R(temperatures_of)(const R(plans) * p, intptr_t first) {
    R(temperatures) t;
    if (p->of_rows)
        return p->of_rows[first / LANES];
    if (!p->k_step)
        return R(temperatures_of_one)(p->k);
    REAL a_hi[LANES], a_lo[LANES];
    double log2_e[LANES], temperature[LANES], inverse_hi[LANES], inverse_lo[LANES];
    for (int i = 0; i < LANES; i++) {
        const tempering *k = p->k + first + i;
        const R(split) a = R(split_of)(k->log2_e);
        a_hi[i] = a.hi;
        a_lo[i] = a.lo;
        log2_e[i] = k->log2_e.hi;
        temperature[i] = k->temperature;
        inverse_hi[i] = k->inverse.hi;
        inverse_lo[i] = k->inverse.lo;
    }
    t.a_hi = V(load)(a_hi);
    t.a_lo = V(load)(a_lo);
    for (int part = 0; part < WIDTHS; part++) {
        const int at = part * VD_LANES;
        t.log2_e[part] = vd_load(log2_e + at);
        t.temperature[part] = vd_load(temperature + at);
        t.inverse[part] = (vd_pair){vd_load(inverse_hi + at), vd_load(inverse_lo + at)};
    }
    return t;
}

/* What tempering_of finds of LANES moderate temperatures, whose powers of two make no difference. */
static inline R(temperatures) R(temperatures_from)(const double *temperature) {
    R(temperatures) of;
    vd hi[WIDTHS], lo[WIDTHS];
    for (int part = 0; part < WIDTHS; part++) {
        const vd t = vd_load(temperature + part * VD_LANES), one = vd_set1(1), log2_e = vd_set1(LOG2_E_HI);
        const vd inverse = vd_div(one, t);
        hi[part] = vd_div(log2_e, t);
        lo[part] = vd_div(vd_add(vd_remainder(log2_e, hi[part], t), vd_set1(LOG2_E_LO)), t);
        of.temperature[part] = t;
        of.log2_e[part] = hi[part];
        of.inverse[part] = (vd_pair){inverse, vd_div(vd_remainder(one, inverse, t), t)};
    }
    of.a_hi = R(narrow)(hi);
    for (int part = 0; part < WIDTHS; part++) /* split_of for each lane */
        lo[part] = vd_add(vd_sub(hi[part], R(part)(of.a_hi, part)), lo[part]);
    of.a_lo = R(narrow)(lo);
    return of;
}

/* The sums of as many rows as there are doubles in a vector: see set_sum. */
TS_INLINE vd_pair R(sums_at)(const double *sum_hi, const double *sum_lo, intptr_t at) {
    vd_pair sum = {vd_load(sum_hi + at), vd_set1(0)};
#if TS_REAL == 32
    (void)sum_lo;
#else
    sum.lo = vd_load(sum_lo + at);
    const vd size = vd_max(sum.lo, vd_sub(vd_set1(0), sum.lo));
    sum.lo = vd_keep_ge(size, vd_mul(sum.hi, vd_set1(0x1p-200)), sum.lo);
#endif
    return sum;
}

/* Of one or two vectors of rows from `first` on, a lane each. */
TS_INLINE void R(log_sums_of_rows)(const R(plans) * p, intptr_t first, int n, log_sums *log) {
    R(log_terms) of[2];
    for (int v = 0; v < n; v++) {
        const intptr_t row = first + v * LANES;
        const R(temperatures) t = R(temperatures_of)(p, row);
        vd round_less_c[WIDTHS];
        for (int part = 0; part < WIDTHS; part++)
            round_less_c[part] = vd_sub(vd_set1(ROUND), vd_load(p->exponent + row + part * VD_LANES));
        /* a largest logit is not below the lowest that counts */
        const R(scale) scale = {t.a_hi, t.a_lo, R(narrow)(round_less_c), V(set1)((REAL)-INFINITY), 0, NULL};
        const VR max = V(load)(p->max + row);
        R(seen) unused = R(nothing_seen)();
        VR e = max;
        R(exp_fast)(&e, 1, &scale, &unused, NULL);
        of[v].largest = e;
        for (int part = 0; part < WIDTHS; part++) {
            const intptr_t at = row + part * VD_LANES;
            of[v].max[part] = R(part)(max, part);
            of[v].temperature[part] = t.temperature[part];
            of[v].sum[part] = R(sums_at)(p->sum_hi, p->sum_lo, at);
            of[v].inverse[part] = t.inverse[part];
        }
    }
    R(fast_log_sums_of)(of, n, log);
}
