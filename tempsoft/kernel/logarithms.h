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

static R(log_scale) R(log_scale_of)(const ts_plan *plan) {
    const log_sums log = R(log_sums_of_row)(plan);
    const dd whole = dd_of_lane_0(log.whole);
    const R(split) inverse = R(split_of)(plan->k->inverse), minus_offset = R(split_of)((dd){-whole.hi, -whole.lo});
    return (R(log_scale)){R(is_log_fast)(plan->k->temperature, whole.hi),
                          V(set1)(inverse.hi),
                          V(set1)(inverse.lo),
                          V(set1)(minus_offset.hi),
                          V(set1)(minus_offset.lo),
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
        V(store)(minus_lo + at, R(narrow)(parts[1]));
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

/* The same of rows of one temperature, a lane each. */
typedef struct {
    R(split) inverse;
    REAL minus_offset_hi[ADJACENT_MOST], minus_offset_lo[ADJACENT_MOST];
} R(log_scales);

/* Of n_rows rows; 0 if the fast formula does not hold. */
static int R(log_scales_of)(const R(plans) * p, intptr_t n_rows, R(log_scales) * scales) {
    if (!R(is_log_moderate)(p->k->temperature))
        return 0;
    scales->inverse = R(split_of)(p->k->inverse);
    R(log_offsets_of_rows)(p, n_rows, scales->minus_offset_hi, scales->minus_offset_lo);
    return 1;
}

TS_INLINE R(log_scale) R(log_scale_at)(const R(log_scales) * s, intptr_t at) {
    return R(fast_log_scale)(s->inverse, V(load)(s->minus_offset_hi + at), V(load)(s->minus_offset_lo + at));
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

/* log_softmax of entries start ... end, less than a group. */
TS_INLINE void R(log_softmax_some)(const char *x, intptr_t start, intptr_t end, ts_type type,
                                   const R(log_scale) * scale, char *out) {
    const ts_vector from = {(char *)x, R(size_of)(type), type}, to = {out, R(size_of)(type), type};
    for (intptr_t i = start; i < end; i += LANES) {
        const intptr_t n = end - i < LANES ? end - i : LANES;
        REAL buffer[LANES];
        const VR v = V(load_up_to)(R(load)(&from, i, n, buffer), n, V(set1)(0));
        REAL *const place = R(place)(&to, i, buffer);
        V(store_up_to)(place, n, R(log_probability)(v, scale));
        R(store)(&to, i, n, place);
    }
}

/* log_softmax of a row, from its logits again; past the cache if there is a seam. */
TS_INLINE void R(log_softmax_of)(const char *x, intptr_t n, ts_type type, const R(log_scale) * scale, char *out,
                                 R(seam) * seam) {
    const int past_cache = seam != NULL;
    const intptr_t head = past_cache ? R(before_line)((REAL *)out) : 0, size = R(size_of)(type);
    intptr_t i = head < n ? head : n;
    if (past_cache && i > 0)
        R(log_softmax_some)(x, 0, i, type, scale, (char *)R(head_place)(seam, (REAL *)out, i));
    for (; i + TS_GROUP <= n; i += TS_GROUP) {
        for (intptr_t line = 0; line < TS_GROUP * size && !past_cache; line += TS_LINE)
            fetch_to_write((uintptr_t)out + (uintptr_t)((i + AHEAD) * size + line));
        for (int k = 0; k < TS_GROUP; k += LANES) {
            const VR y = R(log_probability)(R(load_typed)(x, i + k, type), scale);
            if (past_cache)
                V(stream)((REAL *)out + i + k, y);
            else
                R(store_typed)(out, i + k, type, y);
        }
    }
    for (; past_cache && i + LINE <= n; i += LINE)
        for (int k = 0; k < LINE; k += LANES)
            V(stream)((REAL *)out + i + k, R(log_probability)(R(load_typed)(x, i + k, type), scale));
    if (past_cache)
        R(log_softmax_some)(x + i * size, 0, n - i, type, scale, (char *)R(tail_place)(seam, (REAL *)out + i, n - i));
    else
        R(log_softmax_some)(x, i, n, type, scale, out);
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
    if (scale.fast && !row->is_cut && R(is_plain)(&row->numbers) && R(is_plain)(out)) {
        R(seam) line = {.n = 0};
        if (s->past_cache || n <= TS_LONGEST) {
            R(log_softmax_of)(row->numbers.data, n, PLAIN, &scale, out->data, s->past_cache ? &line : NULL);
            R(write_seam)(&line);
            return;
        }
        for (intptr_t b = plan.n_blocks - 1; b >= 0; b--) { /* the last is the nearest in cache */
            const intptr_t at = b * TS_BLOCK * (intptr_t)sizeof(REAL);
            R(log_softmax_of)(row->numbers.data + at, block_length(&plan, b), PLAIN, &scale, out->data + at, NULL);
        }
        return;
    }
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
