/* Rows of one block, one after another: what is made of the logarithms of their sums. For REAL, by inclusion.
 *
 * The same bits as a row by itself; but logarithms of many sums are taken together, as each is a long chain, and those
 * of adjacent rows as in adjacent_logs.h. What is not for the fast formula goes to the function for any row, as in
 * rows.h.
 */

#define LOGS_TOGETHER 16

/* The sums of rows first ... end, also those of depths unless that is NULL, and which rows are of the fast formula. */
TS_INLINE void R(plans_of_rows)(const ts_rows *rows, intptr_t first, intptr_t end, ts_type type, R(plans) * plans,
                                tempering *k, double *depths, int *is_fast, R(scratch) * s) {
    R(beginning) next;
    next.looks = 0;
    R(begin_at)(&next, temperature_of(rows, first), s);
    R(begin)(&next, rows, first, type, s);
    k[0] = s->k;
    R(set_plans_k)(plans, k);
    plans->k_step = rows->temperature_step != 0;
    for (intptr_t i = 0; first + i < end; i++) {
        const R(scale) scale = R(scale_of_beginning)(&next);
        R(seen) seen = R(nothing_seen)();
        dd sum = {1, 0};
        is_fast[i] = next.is_fast;
        plans->exponent[i] = next.c;
        if (first + i + 1 < end) {
            R(begin)(&next, rows, first + i + 1, type, s);
            if (plans->k_step)
                k[i + 1] = s->k;
        }
        if (is_fast[i]) {
            const char *x = rows->logits.data + rows->logits_step * (first + i);
            sum = R(exp_beside)(R(exp_fast_max), x, rows->n_categories, type, &scale, &seen, s->weights, NULL, 0, 0);
            is_fast[i] = R(is_usual)(&seen) || R(is_largest_in_reach)(&seen, &scale);
            if (!is_fast[i] && !depths) /* some depths count or not by the c of a row by itself */
                next.looks = ROWS_TO_LOOK_AT;
        }
        plans->max[i] = V(largest)(seen.x);
        if (depths) {
            const R(depths) of = R(depths_of)(plans->max[i], k + i * plans->k_step);
            const char *x = rows->logits.data + rows->logits_step * (first + i);
            depths[i] = is_fast[i] ? R(sum_of_depths)(s->weights, x, rows->n_categories, type, &of) : 0;
        }
        plans->sum_hi[i] = sum.hi;
        plans->sum_lo[i] = sum.lo;
    }
    for (intptr_t i = end - first; i % LANES != 0; i++) { /* so that there are numbers in every lane */
        k[i * plans->k_step] = k[0];
        plans->max[i] = plans->max[0];
        plans->exponent[i] = plans->exponent[0];
        plans->sum_hi[i] = plans->sum_hi[0];
        plans->sum_lo[i] = plans->sum_lo[0];
        if (depths)
            depths[i] = 0;
    }
}

/* Those from `first` on that are adjacent; how many were taken. */
static intptr_t R(logarithms_of_adjacent)(ts_function which, const ts_rows *rows, intptr_t first, R(scratch) * s) {
    return (which == TS_LOG_SOFTMAX ? R(log_softmax_adjacent)
            : which == TS_LOGSUMEXP ? R(logsumexp_adjacent)
            : which == TS_ENTROPY   ? R(entropy_adjacent)
            : which == TS_LOG_PROB  ? R(log_prob_adjacent)
                                    : R(best_adjacent))(rows, first, s);
}

/* Row i by itself. */
static void R(logarithm_row)(ts_function which, const ts_rows *rows, intptr_t i, R(scratch) * s) {
    R(source) row = R(whole)(&rows->logits);
    ts_vector out = rows->out, index = rows->index, log_prob = rows->log_prob;
    const ts_knobs knobs = no_filters(temperature_of(rows, i));
    row.numbers.data = rows->logits.data + rows->logits_step * i;
    if (which == TS_LOG_PROB || which == TS_BEST) {
        index.data = rows->index.data + rows->index_step * i;
        log_prob.data = rows->log_prob.data + rows->log_prob_step * i;
        (which == TS_LOG_PROB ? R(log_prob_row) : R(best_row))(&row, rows->n_categories, &knobs, &index, &log_prob,
                                                               rows->n_draws, s);
        return;
    }
    out.data = rows->out.data + rows->out_step * i;
    (which == TS_LOG_SOFTMAX ? R(log_softmax_row)
     : which == TS_LOGSUMEXP ? R(logsumexp_row)
                             : R(entropy_row))(&row, rows->n_categories, &knobs, &out, s);
}

/* log_softmax, logsumexp, entropy, log_prob or the best. */
TS_INLINE void R(logarithm_rows_of)(ts_function which, const ts_rows *rows, ts_type type, int past_cache,
                                    R(scratch) * s) {
    const int have_offsets = which == TS_LOG_SOFTMAX || which == TS_LOG_PROB || which == TS_BEST;
    R(plans) plans;
    R(seam) line, *const seam = past_cache ? &line : NULL;
    tempering k[LOGS_TOGETHER];
    line.n = 0;
    intptr_t next = R(first_together)(rows); /* that may be of adjacent ones */
    for (intptr_t first = 0, end; first < rows->n_rows; first = end) {
        if (first == next && rows->n_rows - first >= 16) {
            end = first + R(logarithms_of_adjacent)(which, rows, first, s);
            next = end > first ? end : first + LOGS_TOGETHER;
            if (end > first)
                continue;
        }
        end = rows->n_rows - first < LOGS_TOGETHER ? rows->n_rows : first + LOGS_TOGETHER;
        end = first < next && next < end ? next : end;
        int is_fast[LOGS_TOGETHER];
        double depths[LOGS_TOGETHER];
        REAL result[LOGS_TOGETHER], low[LOGS_TOGETHER]; /* or the offset in two numbers */
        R(plans_of_rows)(rows, first, end, type, &plans, k, which == TS_ENTROPY ? depths : NULL, is_fast, s);
        if (have_offsets)
            R(log_offsets_of_rows)(&plans, end - first, result, low);
        else if (which == TS_ENTROPY)
            R(entropies_of_rows)(&plans, depths, end - first, result);
        else
            R(logsumexp_of_rows)(&plans, end - first, result);
        for (intptr_t i = 0; first + i < end; i++) {
            const char *const x = rows->logits.data + rows->logits_step * (first + i);
            char *const to = rows->out.data + rows->out_step * (first + i);
            const tempering *const of_row = k + i * plans.k_step;
            is_fast[i] &= !have_offsets || R(is_log_moderate)(of_row->temperature);
            if (!is_fast[i]) {
                R(logarithm_row)(which, rows, first + i, s);
            } else if (!have_offsets) {
                *(REAL *)to = result[i];
            } else if (which != TS_LOG_PROB) {
                const R(split) inverse = R(split_of)(of_row->inverse);
                const R(log_scale) scale = R(fast_log_scale)(inverse, V(set1)(result[i]), V(set1)(low[i]));
                if (which == TS_BEST)
                    R(put_best)(rows, first + i, NULL, &scale, s);
                else
                    R(log_softmax_of)(x, rows->n_categories, type, &scale, to, seam);
            }
        }
        if (which == TS_LOG_PROB)
            R(put_log_probs_of_rows)(rows, first, end - first, NULL, &plans, result, low, is_fast);
    }
    R(write_seam)(&line);
}

/* Each by itself: of many loops in one function a compiler keeps too little in registers. */
#define LOGARITHM_ROWS(name, which, type, past_cache)                                                                  \
    TS_APART void R(name)(const ts_rows *rows, R(scratch) * s) {                                                       \
        R(logarithm_rows_of)(which, rows, type, past_cache, s);                                                        \
    }

LOGARITHM_ROWS(log_softmax_rows_past_cache, TS_LOG_SOFTMAX, PLAIN, 1)
LOGARITHM_ROWS(log_softmax_rows_in_cache, TS_LOG_SOFTMAX, PLAIN, 0)
LOGARITHM_ROWS(logsumexp_rows_plain, TS_LOGSUMEXP, PLAIN, 0)
#if TS_REAL == 32
LOGARITHM_ROWS(log_softmax_rows_f16, TS_LOG_SOFTMAX, TS_F16, 0)
LOGARITHM_ROWS(log_softmax_rows_bf16, TS_LOG_SOFTMAX, TS_BF16, 0)
#endif

/* One loop for what is left of each type, as compilers take long for each. */
TS_APART void R(number_rows_plain)(ts_function which, const ts_rows *rows, R(scratch) * s) {
    R(logarithm_rows_of)(which, rows, PLAIN, 0, s);
}

#if TS_REAL == 32
TS_APART void R(number_rows_f16)(ts_function which, const ts_rows *rows, R(scratch) * s) {
    R(logarithm_rows_of)(which, rows, TS_F16, 0, s);
}

TS_APART void R(number_rows_bf16)(ts_function which, const ts_rows *rows, R(scratch) * s) {
    R(logarithm_rows_of)(which, rows, TS_BF16, 0, s);
}
#endif

static void R(log_softmax_rows)(const ts_rows *rows, R(scratch) * s) {
#if TS_REAL == 32
    if (rows->logits.type == TS_F16)
        R(log_softmax_rows_f16)(rows, s);
    else if (rows->logits.type == TS_BF16)
        R(log_softmax_rows_bf16)(rows, s);
    else
#endif
        (R(go_by_lines)(rows) ? R(log_softmax_rows_past_cache) : R(log_softmax_rows_in_cache))(rows, s);
}

static void R(number_rows)(ts_function which, const ts_rows *rows, R(scratch) * s) {
#if TS_REAL == 32
    if (rows->logits.type == TS_F16)
        R(number_rows_f16)(which, rows, s);
    else if (rows->logits.type == TS_BF16)
        R(number_rows_bf16)(which, rows, s);
    else
#endif
        if (which == TS_LOGSUMEXP)
        R(logsumexp_rows_plain)(rows, s);
    else
        R(number_rows_plain)(which, rows, s);
}

static void R(logsumexp_rows)(const ts_rows *rows, R(scratch) * s) { R(number_rows)(TS_LOGSUMEXP, rows, s); }
static void R(entropy_rows)(const ts_rows *rows, R(scratch) * s) { R(number_rows)(TS_ENTROPY, rows, s); }
static void R(log_prob_rows)(const ts_rows *rows, R(scratch) * s) { R(number_rows)(TS_LOG_PROB, rows, s); }
static void R(best_rows)(const ts_rows *rows, R(scratch) * s) { R(number_rows)(TS_BEST, rows, s); }
