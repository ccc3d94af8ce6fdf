/* logsumexp and log_softmax from a plan. For REAL, by inclusion.
 *
 * logsumexp is that of log_sums.h. log_softmax = x / T - that: fast, two FMAs with 1 / T and the offset held in two
 * numbers each, so that the difference is rounded once; careful, (x - max) / T in pairs, for large offsets and extreme
 * temperatures. -inf stays -inf, and nothing is above 0.
 */

/* logsumexp of one or two vectors of rows from `first` on. */
TS_INLINE void R(logsumexp_of_vectors)(const R(plans) * p, intptr_t first, int n, REAL *to) {
    log_sums log[2 * WIDTHS];
    R(log_sums_of_rows)(p, first, n, log);
    for (int v = 0; v < n; v++) {
        vd hi[WIDTHS];
        for (int part = 0; part < WIDTHS; part++)
            hi[part] = log[v * WIDTHS + part].whole.hi;
        V(store)(to + v * LANES, R(narrow)(hi));
    }
}

/* The same of the first n_rows, in whole vectors. */
static void R(logsumexp_of_rows)(const R(plans) * p, intptr_t n_rows, REAL *to) {
    const intptr_t n = (n_rows + LANES - 1) / LANES, whole = n / 2 * 2;
    for (intptr_t v = 0; v < whole; v += 2)
        R(logsumexp_of_vectors)(p, v * LANES, 2, to + v * LANES);
    if (whole < n)
        R(logsumexp_of_vectors)(p, whole * LANES, 1, to + whole * LANES);
}

static REAL R(logsumexp_of)(ts_plan *plan, const R(source) * row, REAL *buffer) {
    if (plan->kind == TS_NAN)
        return (REAL)NAN;
    if (plan->kind == TS_NOWHERE || plan->max == INFINITY)
        return (REAL)plan->max;
    if (plan->kind == TS_ORDINARY) {
        const double scaled = plan->max / plan->k->temperature;
        return (REAL)(isinf(scaled) ? scaled : vd_lane_0(R(log_sums_of_row)(plan).whole.hi));
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

/* Whether the fast formula holds at a temperature for rows whose exponentials are of the fast formula, */
static inline int R(is_log_moderate)(double temperature) {
    return temperature >= COLDEST_LOG && temperature <= LARGEST_TEMPERATURE;
}
_Static_assert(LARGEST_EXPONENT < LARGEST_OFFSET / 2, "their offsets are never too large");

/* and for any row. */
static inline int R(is_log_fast)(double temperature, double offset) {
    return R(is_log_moderate)(temperature) && fabs(offset) < LARGEST_OFFSET;
}

/* The low part of an offset that is subtracted, a little less than it is, as both are from the same max and 1 / T and
 * their errors are below that: what has all the mass of its row then comes to 0 or above, and is made 0. */
TS_INLINE VR R(reaching_0)(VR minus_hi, VR minus_lo) {
    const VR size = V(max)(minus_hi, V(sub)(V(set1)(0), minus_hi));
    return V(fma)(size, V(set1)((REAL)OFFSET_ERROR), minus_lo);
}

static R(log_scale) R(log_scale_of)(const ts_plan *plan) {
    const log_sums log = R(log_sums_of_row)(plan);
    const dd whole = dd_of_lane_0(log.whole);
    const R(split) inverse = R(split_of)(plan->k->inverse), minus_offset = R(split_of)((dd){-whole.hi, -whole.lo});
    const VR minus_hi = V(set1)(minus_offset.hi), minus_lo = V(set1)(minus_offset.lo);
    return (R(log_scale)){R(is_log_fast)(plan->k->temperature, whole.hi),
                          V(set1)(inverse.hi),
                          V(set1)(inverse.lo),
                          minus_hi,
                          R(reaching_0)(minus_hi, minus_lo),
                          plan->max,
                          dd_of_lane_0(log.above_max),
                          *plan->k};
}

/* The offsets of one or two vectors of rows from `first` on. */
TS_INLINE void R(log_offsets_of_vectors)(const R(plans) * p, intptr_t first, int n, REAL *minus_hi, REAL *minus_lo) {
    log_sums log[2 * WIDTHS];
    R(log_sums_of_rows)(p, first, n, log);
    for (int v = 0; v < n; v++) {
        const log_sums *of = log + v * WIDTHS;
        const intptr_t at = first + v * LANES;
        vd parts[2][WIDTHS]; /* split_of for each lane */
        for (int part = 0; part < WIDTHS; part++)
            parts[0][part] = vd_mul(of[part].whole.hi, vd_set1(-1));
        const VR hi = R(narrow)(parts[0]);
        for (int part = 0; part < WIDTHS; part++)
            parts[1][part] = vd_sub(vd_sub(parts[0][part], R(part)(hi, part)), of[part].whole.lo);
        V(store)(minus_hi + at, hi);
        V(store)(minus_lo + at, R(reaching_0)(hi, R(narrow)(parts[1])));
    }
}

/* The same of the first n_rows, in whole vectors. */
static void R(log_offsets_of_rows)(const R(plans) * p, intptr_t n_rows, REAL *minus_hi, REAL *minus_lo) {
    const intptr_t n = (n_rows + LANES - 1) / LANES, whole = n / 2 * 2;
    for (intptr_t v = 0; v < whole; v += 2)
        R(log_offsets_of_vectors)(p, v * LANES, 2, minus_hi, minus_lo);
    if (whole < n)
        R(log_offsets_of_vectors)(p, whole * LANES, 1, minus_hi, minus_lo);
}

TS_INLINE R(log_scale) R(fast_log_scale)(R(split) inverse, VR minus_offset_hi, VR minus_offset_lo) {
    R(log_scale) scale;
    scale.fast = 1;
    scale.inverse_hi = V(set1)(inverse.hi);
    scale.inverse_lo = V(set1)(inverse.lo);
    scale.minus_offset_hi = minus_offset_hi;
    scale.minus_offset_lo = minus_offset_lo;
    return scale;
}

/* The same of some rows, a lane each. */
typedef struct {
    R(split) inverse;                /* of the one temperature, */
    const R(temperatures) * of_rows; /* unless this is not NULL */
    REAL minus_offset_hi[ADJACENT_MOST], minus_offset_lo[ADJACENT_MOST];
} R(log_scales);

/* Of n_rows rows in lanes; 0 if the fast formula does not hold. */
static int R(log_scales_of)(const R(plans) * p, intptr_t n_rows, R(log_scales) * scales) {
    v_mask is_bad = vd_not_le(vd_set1(0), vd_set1(0));
    for (intptr_t i = 0; p->of_rows && i < n_rows; i += LANES)
        for (int part = 0; part < WIDTHS; part++) {
            const vd temperature = p->of_rows[i / LANES].temperature[part];
            is_bad = v_mask_or(is_bad, vd_not_le(vd_set1(COLDEST_LOG), temperature));
            is_bad = v_mask_or(is_bad, vd_not_le(temperature, vd_set1(LARGEST_TEMPERATURE)));
        }
    if (v_mask_any(is_bad) || !R(is_log_moderate)(p->k->temperature))
        return 0;
    scales->inverse = R(split_of)(p->k->inverse);
    scales->of_rows = p->of_rows;
    R(log_offsets_of_rows)(p, n_rows, scales->minus_offset_hi, scales->minus_offset_lo);
    return 1;
}

TS_INLINE R(log_scale) R(log_scale_at)(const R(log_scales) * s, intptr_t at) {
    R(log_scale)
    scale = R(fast_log_scale)(s->inverse, V(load)(s->minus_offset_hi + at), V(load)(s->minus_offset_lo + at));
    if (s->of_rows) { /* split_of for each lane */
        const R(temperatures) *const of = s->of_rows + at / LANES;
        vd parts[2][WIDTHS];
        for (int part = 0; part < WIDTHS; part++)
            parts[0][part] = of->inverse[part].hi;
        scale.inverse_hi = R(narrow)(parts[0]);
        for (int part = 0; part < WIDTHS; part++)
            parts[1][part] = vd_add(vd_sub(parts[0][part], R(part)(scale.inverse_hi, part)), of->inverse[part].lo);
        scale.inverse_lo = R(narrow)(parts[1]);
    }
    return scale;
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
        y = V(min)(y, V(set1)(0)); /* a rounding error above 0 */
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

static void R(logsumexp_row)(const R(source) * row, intptr_t n, const ts_knobs *knobs, const ts_vector *out,
                             R(scratch) * s) {
    ts_plan plan;
    R(plan_row)(&plan, row, n, knobs->temperature, R(MAXIMA), NULL, s);
    *(REAL *)out->data = R(logsumexp_of)(&plan, row, s->block);
}
