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

#if TS_REAL == 64 /* used by both */
/* Entry m that is named at `index`. It was checked, but another thread may have changed it since. */
static inline intptr_t named(const char *index, intptr_t stride, intptr_t m, intptr_t n_categories) {
    const int64_t at = *(const volatile int64_t *)(index + stride * m);
    return at >= 0 && at < n_categories ? (intptr_t)at : 0;
}
#endif

/* Of the entries that `index` names. */
static void R(log_prob_row)(const R(source) * row, intptr_t n, const ts_knobs *knobs, const ts_vector *index,
                            const ts_vector *log_prob, intptr_t n_chosen, R(scratch) * s) {
    ts_plan plan;
    R(plan_row)(&plan, row, n, knobs->temperature, R(MAXIMA), NULL, s);
    const R(log_probs) p = R(log_probs_of)(&plan);
    for (intptr_t i = 0; i < n_chosen; i++) {
        const intptr_t at = named(index->data, index->stride, i, n);
        R(put_log_prob)(&plan, row, &p, at, (REAL *)(log_prob->data + i * log_prob->stride), s->block);
    }
}

/* The logit of entry m that `index` names in row i; `x` has the row's logits as REALs, or is NULL. */
TS_INLINE REAL R(chosen_logit)(const ts_rows *rows, intptr_t i, intptr_t m, const REAL *x) {
    const char *const index = rows->index.data + rows->index_step * i;
    const intptr_t at = named(index, rows->index.stride, m, rows->n_categories);
    const ts_vector row = {rows->logits.data + rows->logits_step * i, rows->logits.stride, rows->logits.type};
    REAL buffer[LANES];
    if (x)
        return x[at];
    return row.type == PLAIN ? *(const REAL *)(row.data + at * row.stride) : *R(load)(&row, at, 1, buffer);
}

/* The log-probabilities of LANES entries: entry m of n rows from row i on, or n entries from m on of row i. */
TS_INLINE void R(put_log_probs_of)(const ts_rows *rows, intptr_t i, intptr_t row_step, intptr_t m, intptr_t m_step,
                                   intptr_t n, const REAL *x, const R(log_scale) * scale, const int *is_fast) {
    REAL chosen[LANES] = {0};
    for (intptr_t j = 0; j < n; j++)
        chosen[j] =
            R(chosen_logit)(rows, i + j * row_step, m + j * m_step, x ? x + j * row_step * rows->n_categories : NULL);
    V(store)(chosen, R(log_probability)(V(load)(chosen), scale));
    for (intptr_t j = 0; j < n; j++)
        if (!is_fast || is_fast[j * row_step])
            *(REAL *)(rows->log_prob.data + rows->log_prob_step * (i + j * row_step) +
                      rows->log_prob.stride * (m + j * m_step)) = chosen[j];
}

/* log_prob of rows from `first` on that have these plans, of the fast formula, and offsets; of those that `is_fast`
 * names, unless it is NULL. `x` has their logits as REALs, one row behind the other, or is NULL. */
TS_INLINE void R(put_log_probs_of_rows)(const ts_rows *rows, intptr_t first, intptr_t n_rows, const REAL *x,
                                        const R(plans) * plans, const REAL *minus_hi, const REAL *minus_lo,
                                        const int *is_fast) {
    const intptr_t m_most = rows->n_draws;
    if (m_most == 1 && !plans->k_step) {
        const R(split) inverse = R(split_of)(plans->k->inverse);
        for (intptr_t v = 0; v < n_rows; v += LANES) {
            const R(log_scale) scale = R(fast_log_scale)(inverse, V(load)(minus_hi + v), V(load)(minus_lo + v));
            R(put_log_probs_of)(rows, first + v, 1, 0, 0, n_rows - v < LANES ? n_rows - v : LANES,
                                x ? x + v * rows->n_categories : NULL, &scale, is_fast ? is_fast + v : NULL);
        }
        return;
    }
    for (intptr_t i = 0; i < n_rows; i++) {
        const R(split) inverse = R(split_of)(plans->k[i * plans->k_step].inverse);
        const R(log_scale) scale = R(fast_log_scale)(inverse, V(set1)(minus_hi[i]), V(set1)(minus_lo[i]));
        for (intptr_t m = 0; m < m_most; m += LANES)
            R(put_log_probs_of)(rows, first + i, 0, m, 1, m_most - m < LANES ? m_most - m : LANES,
                                x ? x + i * rows->n_categories : NULL, &scale, is_fast ? is_fast + i : NULL);
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
