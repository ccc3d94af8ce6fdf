/* logsumexp and log_softmax from a plan. For REAL, by inclusion.
 *
 * logsumexp = max / T + log(sum / largest exponential) in pairs of doubles. log_softmax = x / T - that: fast, two FMAs
 * with 1 / T and the offset held in two numbers each, so that the difference is rounded once; careful, (x - max) / T in
 * pairs, for large offsets and extreme temperatures. -inf stays -inf, and nothing is above 0.
 */

/* log sum exp(x / T), of an ordinary row, and the same less max / T. The second number of the first is meaningless
 * where the first is infinite. The sum is taken relative to the largest exponential as it was computed, so that their
 * common error cancels: a row of one category has 0, and a peaked row no less than it should. */
static void R(log_sums)(const ts_plan *plan, dd *whole, dd *above_max) {
    VR e = V(set1)((REAL)plan->max);
    R(seen) unused = R(nothing_seen)();
    const R(scale) scale = R(scale_of)(plan->k, plan->exponent, plan->max);
    if (plan->formula == TS_CAREFUL)
        R(exp_careful)(&e, 1, &scale, &unused);
    else
        R(exp_fast)(&e, 1, &scale, &unused);
    const double largest = (double)V(largest)(e), q = plan->sum_hi / largest;
    *above_max = dd_log((dd){q, (fma(-q, largest, plan->sum_hi) + plan->sum_lo) / largest});
    *whole = dd_add(dd_quotient(plan->max, 0.0, plan->k->temperature), *above_max);
}

static REAL R(logsumexp_of)(ts_plan *plan, const R(source) * row, REAL *buffer) {
    if (plan->kind == TS_NAN)
        return (REAL)NAN;
    if (plan->kind == TS_NOWHERE || plan->max == INFINITY)
        return (REAL)plan->max;
    if (plan->kind == TS_ORDINARY) {
        const double scaled = plan->max / plan->k->temperature;
        dd whole, above_max;
        R(log_sums)(plan, &whole, &above_max);
        return (REAL)(isinf(scaled) ? scaled : whole.hi);
    }
    if (plan->k->temperature == 0) {
        if (plan->max != 0)
            return (REAL)(plan->max > 0 ? INFINITY : -INFINITY);
        plan->cut.ties = plan->n_categories; /* all the maxima count, not the first alone */
        R(count_kept)(plan, row, buffer);
    }
    return (REAL)dd_log((dd){(double)plan->n_kept, 0.0}).hi;
}

typedef struct {
    int fast;
    VR inverse_hi, inverse_lo, minus_offset_hi, minus_offset_lo;
    double max;
    dd above_max; /* log sum exp(x / T) - max / T */
    tempering k;
} R(log_scale);

/* out = 1 / T and -log sum exp(x / T), two numbers each; 0 if the fast formula does not hold. */
static int R(split_log_scale)(const ts_plan *plan, REAL out[4], dd *above_max) {
    const dd inverse = plan->k->inverse;
    dd offset;
    R(log_sums)(plan, &offset, above_max);
    out[0] = (REAL)inverse.hi;
    out[1] = (REAL)((inverse.hi - out[0]) + inverse.lo);
    out[2] = (REAL)-offset.hi;
    out[3] = (REAL) - ((offset.hi + out[2]) + offset.lo);
    return plan->k->temperature >= COLDEST_LOG && plan->k->temperature <= LARGEST_TEMPERATURE &&
           fabs(offset.hi) < LARGEST_OFFSET;
}

static R(log_scale) R(log_scale_of)(const ts_plan *plan) {
    REAL split[4];
    dd above_max;
    const int fast = R(split_log_scale)(plan, split, &above_max);
    return (R(log_scale)){fast,      V(set1)(split[0]), V(set1)(split[1]), V(set1)(split[2]), V(set1)(split[3]),
                          plan->max, above_max,         *plan->k};
}

/* (x - max) / T - (log sum exp(x / T) - max / T). */
static inline vd R(log_careful)(vd x, const R(log_scale) * s) {
    vd_pair z = vd_pair_times(scaled_difference(x, s->max, &s->k), s->k.careful_inverse);
    vd y = vd_add(vd_sub(z.hi, vd_set1(s->above_max.hi)), vd_sub(z.lo, vd_set1(s->above_max.lo)));
    y = vd_select_ge(y, vd_set1(0), vd_set1(0), y);
    return vd_select_ge(z.hi, vd_set1(-0x1.fffffffffffffp1023), y, vd_set1(-INFINITY));
}

static inline VR R(log_probability)(VR x, const R(log_scale) * s) {
    if (s->fast) {
        VR y = V(add)(V(fma)(x, s->inverse_hi, s->minus_offset_hi), V(fma)(x, s->inverse_lo, s->minus_offset_lo));
        y = V(select_ge)(y, V(set1)(0), V(set1)(0), y); /* a rounding error above 0 */
        return V(select_ge)(x, V(set1)(-REAL_MAX), y, V(set1)((REAL)-INFINITY));
    }
#if TS_REAL == 32
    vd parts[VF_LANES / VD_LANES];
    for (int part = 0; part < VF_LANES / VD_LANES; part++)
        parts[part] = R(log_careful)(vf_part_to_vd(x, part), s);
    return vf_from_vd(parts);
#else
    return R(log_careful)(x, s);
#endif
}

static void R(log_softmax_row)(const R(source) * row, intptr_t n, const ts_knobs *knobs, const ts_vector *out,
                               R(scratch) * s) {
    ts_plan plan;
    R(plan_row)(&plan, row, n, knobs->temperature, R(MAXIMA), NULL, s);
    if (plan.kind == TS_NAN || plan.kind == TS_NOWHERE) {
        R(fill)(out, 0, n, (REAL)NAN, s->block);
        return;
    }
    if (plan.kind == TS_UNIFORM) {
        double log_share = -dd_log((dd){(double)plan.n_kept, 0.0}).hi;
        R(fill_uniform)(&plan, row, out, (REAL)log_share + 0, (REAL)-INFINITY, s);
        return;
    }
    R(log_scale) scale = R(log_scale_of)(&plan);
    for (intptr_t b = 0; b < plan.n_blocks; b++) {
        intptr_t start = b * TS_BLOCK, length = block_length(&plan, b), i = 0;
        const REAL *x = R(read)(row, b, length, s->block);
        REAL *to = R(place)(out, start, s->weights);
        for (; i + LANES <= length; i += LANES)
            V(store)(to + i, R(log_probability)(V(load)(x + i), &scale));
        if (i < length) {
            VR last = V(load_up_to)(x + i, length - i, V(set1)(0));
            V(store_up_to)(to + i, length - i, R(log_probability)(last, &scale));
        }
        R(store)(out, start, length, to);
    }
}

static void R(logsumexp_row)(const R(source) * row, intptr_t n, const ts_knobs *knobs, const ts_vector *out,
                             R(scratch) * s) {
    ts_plan plan;
    R(plan_row)(&plan, row, n, knobs->temperature, R(MAXIMA), NULL, s);
    *(REAL *)out->data = R(logsumexp_of)(&plan, row, s->block);
}
