/* Log-probabilities of chosen entries, and the best entries of a row. For REAL, by inclusion.
 *
 * The same numbers as those of log_softmax, without the rest of the row.
 */

/* What log-probabilities of a row are made with. */
typedef struct {
    R(log_scale) scale;
    dd log_sum;       /* of weights */
    double log_share; /* of a uniform row */
} R(log_probs);

static R(log_probs) R(log_probs_of)(const ts_plan *plan) {
    R(log_probs) p = {.log_share = 0};
    if (plan->kind == TS_UNIFORM)
        p.log_share = 0.0 - dd_log((dd){(double)plan->n_kept, 0.0}).hi;
    else if (plan->kind == TS_ORDINARY && plan->formula == TS_WEIGHED)
        p.log_sum = dd_log((dd){plan->sum_hi, plan->sum_lo});
    else if (plan->kind == TS_ORDINARY)
        p.scale = R(log_scale_of)(plan);
    return p;
}

/* Of entry `at`, which has a probability. */
static REAL R(log_prob_at)(const ts_plan *plan, const R(source) * row, const R(log_probs) * p, intptr_t at,
                           REAL *buffer) {
    if (plan->kind == TS_UNIFORM)
        return (REAL)p->log_share;
    const REAL x = *R(load)(&row->numbers, at, 1, buffer);
    if (plan->formula == TS_WEIGHED) {
        const double e = ldexp((double)x, BIAS - (int)plan->exponent);
        const dd log = dd_log((dd){e, 0.0});
        return (REAL)((log.hi - p->log_sum.hi) + (log.lo - p->log_sum.lo));
    }
    REAL lanes[LANES];
    V(store)(lanes, R(log_probability)(V(set1)(x), &p->scale));
    return lanes[0];
}

/* Of draws. */
static void R(put_log_probs)(const ts_plan *plan, const R(source) * row, const ts_vector *index,
                             const ts_vector *log_prob, intptr_t n_draws, REAL *buffer) {
    const R(log_probs) p = R(log_probs_of)(plan);
    for (intptr_t i = 0; i < n_draws; i++) {
        const intptr_t at = (intptr_t)*(const int64_t *)(index->data + i * index->stride);
        REAL *to = (REAL *)(log_prob->data + i * log_prob->stride);
        *to = at < 0 ? (REAL)NAN : R(log_prob_at)(plan, row, &p, at, buffer);
    }
}

/* Whether a row that is not ordinary gives entry `at` a share. */
static int R(has_share)(const ts_plan *plan, const R(source) * row, intptr_t at, REAL x, REAL *buffer) {
    if (x > (REAL)plan->cut.threshold || plan->cut.ties >= plan->n_categories)
        return x >= (REAL)plan->cut.threshold;
    intptr_t before = 0;
    for (intptr_t b = 0; x == (REAL)plan->cut.threshold && b * TS_BLOCK < at; b++) {
        intptr_t above, equal;
        const intptr_t n = ts_block_length(at, b);
        R(count)(R(read)(row, b, n, buffer), n, plan->cut.threshold, &above, &equal);
        before += equal;
    }
    return x == (REAL)plan->cut.threshold && before < plan->cut.ties;
}

static void R(put_log_prob)(const ts_plan *plan, const R(source) * row, const R(log_probs) * p, intptr_t at, REAL *to,
                            REAL *buffer) {
    const REAL x = *R(load)(&row->numbers, at, 1, buffer);
    if (plan->kind == TS_NAN || plan->kind == TS_NOWHERE)
        *to = (REAL)NAN;
    else if (!R(is_left)(row, at, buffer) || (plan->kind == TS_UNIFORM && !R(has_share)(plan, row, at, x, buffer)))
        *to = (REAL)-INFINITY;
    else
        *to = R(log_prob_at)(plan, row, p, at, buffer);
}

/* Of the entries that `index` names. */
static void R(log_prob_row)(const R(source) * row, intptr_t n, const ts_knobs *knobs, const ts_vector *index,
                            const ts_vector *log_prob, intptr_t n_chosen, R(scratch) * s) {
    ts_plan plan;
    R(plan_row)(&plan, row, n, knobs->temperature, R(MAXIMA), NULL, s);
    const R(log_probs) p = R(log_probs_of)(&plan);
    for (intptr_t i = 0; i < n_chosen; i++) {
        const intptr_t at = (intptr_t)*(const int64_t *)(index->data + i * index->stride);
        R(put_log_prob)(&plan, row, &p, at, (REAL *)(log_prob->data + i * log_prob->stride), s->block);
    }
}

/* The logit of entry m that `index` names in row i; `x` has the row's logits as REALs, or is NULL. */
TS_INLINE REAL R(chosen_logit)(const ts_rows *rows, intptr_t i, intptr_t m, const REAL *x) {
    const char *const index = rows->index.data + rows->index_step * i + rows->index.stride * m;
    const intptr_t at = (intptr_t)*(const int64_t *)index;
    const ts_vector row = {rows->logits.data + rows->logits_step * i, rows->logits.stride, rows->logits.type};
    REAL buffer[LANES];
    if (x)
        return x[at];
    return row.type == PLAIN ? *(const REAL *)(row.data + at * row.stride) : *R(load)(&row, at, 1, buffer);
}

/* What makes log-probabilities of LANES rows from row v of these on, a lane each; n of them. */
TS_INLINE R(log_scale)
    R(log_scale_of_rows)(const R(plans) * plans, intptr_t v, intptr_t n, const REAL *minus_hi, const REAL *minus_lo) {
    R(log_scale)
    scale = R(fast_log_scale)(R(split_of)(plans->k->inverse), V(load)(minus_hi + v), V(load)(minus_lo + v));
    if (plans->k_step) {
        REAL hi[LANES] = {0}, lo[LANES] = {0};
        for (intptr_t j = 0; j < n; j++) {
            const R(split) inverse = R(split_of)(plans->k[v + j].inverse);
            hi[j] = inverse.hi;
            lo[j] = inverse.lo;
        }
        scale.inverse_hi = V(load)(hi);
        scale.inverse_lo = V(load)(lo);
    }
    return scale;
}

/* log_prob of rows from `first` on that have these plans, of the fast formula, and offsets; of those that `is_fast`
 * names, unless it is NULL. `x` has their logits as REALs, one row behind the other, or is NULL. */
TS_INLINE void R(put_log_probs_of_rows)(const ts_rows *rows, intptr_t first, intptr_t n_rows, const REAL *x,
                                        const R(plans) * plans, const REAL *minus_hi, const REAL *minus_lo,
                                        const int *is_fast) {
    for (intptr_t v = 0; v < n_rows; v += LANES) {
        const intptr_t n = n_rows - v < LANES ? n_rows - v : LANES;
        const R(log_scale) scale = R(log_scale_of_rows)(plans, v, n, minus_hi, minus_lo);
        for (intptr_t m = 0; m < rows->n_draws; m++) {
            REAL chosen[LANES] = {0};
            for (intptr_t j = 0; j < n; j++)
                chosen[j] = R(chosen_logit)(rows, first + v + j, m, x ? x + (v + j) * rows->n_categories : NULL);
            V(store)(chosen, R(log_probability)(V(load)(chosen), &scale));
            char *to = rows->log_prob.data + rows->log_prob_step * (first + v) + rows->log_prob.stride * m;
            for (intptr_t j = 0; j < n; j++, to += rows->log_prob_step)
                if (!is_fast || is_fast[v + j])
                    *(REAL *)to = chosen[j];
        }
    }
}

typedef struct {
    double x;
    intptr_t at;
} R(entry);

/* Sort by falling x, equal ones staying in their order; `spare` is as long. */
static void R(sort_entries)(R(entry) * entries, intptr_t n, R(entry) * spare) {
    for (intptr_t width = 1; width < n; width *= 2) {
        for (intptr_t start = 0; start < n; start += 2 * width) {
            const intptr_t middle = start + width < n ? start + width : n,
                           end = middle + width < n ? middle + width : n;
            for (intptr_t i = start, j = middle, to = start; to < end; to++)
                spare[to] = i < middle && (j >= end || entries[i].x >= entries[j].x) ? entries[i++] : entries[j++];
        }
        memcpy(entries, spare, (size_t)n * sizeof *entries);
    }
}

/* The k best entries and their log-probabilities; `cut` is the row cut after them, if it has more. */
static void R(best_row)(const R(source) * row, intptr_t n, const ts_knobs *knobs, const ts_vector *index,
                        const ts_vector *log_prob, intptr_t k, R(scratch) * s) {
    ts_plan plan;
    R(plan_row)(&plan, row, n, knobs->temperature, R(MAXIMA), NULL, s);
    const int is_valid = plan.kind == TS_ORDINARY || plan.kind == TS_UNIFORM;
    R(entry) *entries = (R(entry) *)s->lists;
    intptr_t count = 0;
    R(source) cut = *row;
    if (is_valid && k > 0 && k < n) {
        if (plan.kind == TS_UNIFORM) /* whose plan need not know the maxima of blocks */
            R(survey)(row, n, s);
        R(cut_rank)(&cut, n, k, s);
    }
    for (intptr_t b = 0; is_valid && b < plan.n_blocks && count < k; b++) {
        if (R(is_gone)(&cut, b))
            continue;
        const intptr_t length = block_length(&plan, b);
        R(rest) rest;
        const REAL *x = R(read_uncut)(&cut, b, length, s->block, &rest);
        const REAL least = rest.least > -REAL_MAX ? rest.least : -REAL_MAX;
        for (uint32_t left = rest.groups; left; left &= left - 1)
            for (intptr_t i = lowest_bit(left) * TS_GROUP, end = i + TS_GROUP; i < end && i < length && count < k; i++)
                if (x[i] >= least)
                    entries[count++] = (R(entry)){(double)x[i], b * TS_BLOCK + i};
    }
    R(sort_entries)(entries, count, entries + k);
    const R(log_probs) p = R(log_probs_of)(&plan);
    for (intptr_t i = 0; i < k; i++) {
        const intptr_t at = i < count ? entries[i].at : -1;
        REAL *to = (REAL *)(log_prob->data + i * log_prob->stride);
        R(put_draw)(index, i, at);
        if (at >= 0)
            R(put_log_prob)(&plan, row, &p, at, to, s->block);
        else
            *to = is_valid ? (REAL)-INFINITY : (REAL)NAN;
    }
}
