/* logsumexp and log_softmax from a plan. For REAL, by inclusion.
 *
 * logsumexp = max / T + log(sum / largest exponential) in pairs of doubles. log_softmax = x / T - that: fast, two FMAs
 * with 1 / T and the offset held in two numbers each, so that the difference is rounded once; careful, (x - max) / T in
 * pairs, for large offsets and extreme temperatures. -inf stays -inf, and nothing is above 0.
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

/* Of an ordinary row, in every lane. */
static log_sums R(log_sums_of_row)(const ts_plan *plan) {
    VR e = V(set1)((REAL)plan->max);
    R(seen) unused = R(nothing_seen)();
    const R(scale) scale = R(scale_of)(plan->k, plan->exponent, plan->max);
    if (plan->formula == TS_CAREFUL)
        R(exp_careful)(&e, 1, &scale, &unused);
    else
        R(exp_fast)(&e, 1, &scale, &unused);
    return log_sums_of(vd_set1((double)V(largest)(e)), (vd_pair){vd_set1(plan->sum_hi), vd_set1(plan->sum_lo)},
                       vd_set1(plan->max), vd_set1(plan->k->temperature));
}

#define TILE (TS_TILE_BYTES / (int)sizeof(REAL)) /* rows that are worked on together, at most */

/* What logarithms need of the plans of so many rows, all of the fast formula. */
typedef struct {
    const tempering *k;
    intptr_t k_step; /* from row to row: 0 or 1 */
    REAL max[TILE];
    double exponent[TILE], sum_hi[TILE], sum_lo[TILE];
} R(plans);

/* Of LANES rows from `first` on, a lane each. */
static void R(log_sums_of_rows)(const R(plans) * p, intptr_t first, log_sums log[LANES / VD_LANES]) {
    REAL a_hi[LANES], a_lo[LANES], round_less_c[LANES], lowest[LANES];
    double temperature[LANES];
    for (int i = 0; i < LANES; i++) {
        const tempering *k = p->k + (first + i) * p->k_step;
        const R(split) a = R(split_of)(k->log2_e);
        a_hi[i] = a.hi;
        a_lo[i] = a.lo;
        round_less_c[i] = (REAL)(ROUND - p->exponent[first + i]);
        lowest[i] = R(lowest_of)(k, p->exponent[first + i]);
        temperature[i] = k->temperature;
    }
    const R(scale) scale = {V(load)(a_hi), V(load)(a_lo), V(load)(round_less_c), V(load)(lowest), 0, NULL};
    const VR max = V(load)(p->max + first);
    R(seen) unused = R(nothing_seen)();
    VR e = max;
    R(exp_fast)(&e, 1, &scale, &unused);
    for (int part = 0; part < LANES / VD_LANES; part++) {
        const intptr_t at = first + part * VD_LANES;
        vd_pair sum = {vd_load(p->sum_hi + at), vd_load(p->sum_lo + at)};
#if TS_REAL == 64 /* see set_sum */
        const vd size = vd_max(sum.lo, vd_sub(vd_set1(0), sum.lo));
        sum.lo = vd_keep_ge(size, vd_mul(sum.hi, vd_set1(0x1p-200)), sum.lo);
#endif
        log[part] = log_sums_of(R(part)(e, part), sum, R(part)(max, part), vd_load(temperature + part * VD_LANES));
    }
}

/* logsumexp of those rows. */
static void R(logsumexp_of_rows)(const R(plans) * p, intptr_t first, REAL to[LANES]) {
    log_sums log[LANES / VD_LANES];
    vd hi[LANES / VD_LANES];
    R(log_sums_of_rows)(p, first, log);
    for (int part = 0; part < LANES / VD_LANES; part++)
        hi[part] = log[part].whole.hi;
    V(store)(to, R(narrow)(hi));
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

/* Whether the fast formula holds. */
static inline int R(is_log_fast)(double temperature, double offset) {
    return temperature >= COLDEST_LOG && temperature <= LARGEST_TEMPERATURE && fabs(offset) < LARGEST_OFFSET;
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

/* The offsets of those rows, and of which the fast formula does not hold. */
static void R(log_offsets_of_rows)(const R(plans) * p, intptr_t first, REAL *minus_hi, REAL *minus_lo, int *is_fast) {
    log_sums log[LANES / VD_LANES];
    double hi[LANES], lo[LANES];
    R(log_sums_of_rows)(p, first, log);
    for (int part = 0; part < LANES / VD_LANES; part++) {
        vd_store(hi + part * VD_LANES, log[part].whole.hi);
        vd_store(lo + part * VD_LANES, log[part].whole.lo);
    }
    for (int i = 0; i < LANES; i++) {
        const R(split) minus = R(split_of)((dd){-hi[i], -lo[i]});
        is_fast[i] &= R(is_log_fast)(p->k[(first + i) * p->k_step].temperature, hi[i]);
        minus_hi[i] = minus.hi;
        minus_lo[i] = minus.lo;
    }
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

/* The same of a tile of rows of one temperature, a lane each. */
typedef struct {
    R(split) inverse;
    REAL minus_offset_hi[TILE], minus_offset_lo[TILE];
} R(log_scales);

/* 0 if the fast formula does not hold for one of them. */
static int R(log_scales_of)(const R(plans) * p, R(log_scales) * scales) {
    int are_fast = 1;
    scales->inverse = R(split_of)(p->k->inverse);
    for (int first = 0; first < TILE; first += LANES) {
        int is_fast[LANES];
        for (int i = 0; i < LANES; i++)
            is_fast[i] = 1;
        R(log_offsets_of_rows)(p, first, scales->minus_offset_hi + first, scales->minus_offset_lo + first, is_fast);
        for (int i = 0; i < LANES; i++)
            are_fast &= is_fast[i];
    }
    return are_fast;
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

/* log_softmax of a row, from its logits again. */
TS_INLINE void R(log_softmax_of)(const char *x, intptr_t n, ts_type type, const R(log_scale) * scale, char *out,
                                 int past_cache) {
    const intptr_t head = past_cache ? R(before_line)((REAL *)out) : 0, size = R(size_of)(type);
    intptr_t i = head < n ? head : n;
    R(log_softmax_some)(x, 0, i, type, scale, out);
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
        R(log_softmax_of)(row->numbers.data, n, PLAIN, &scale, out->data, s->past_cache);
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
