/* log_softmax and logsumexp of short rows that are adjacent: exponentials and their sums as in adjacent.h, the largest
 * logits with a row in each lane, and the logarithms of as many rows together. For REAL, by inclusion.
 *
 * The same bits as a row by itself: a logarithm is that of a sum over the largest exponential, and both are off by the
 * same power of two.
 */

#define MOST_BY_PIECES 32 /* categories of rows whose largest are found as they are turned */

/* The largest logits of rows of n numbers; up to PIECE - 1 behind the last are read. */
TS_INLINE void R(maxima_by_pieces)(const REAL *x, intptr_t n, intptr_t n_rows, REAL *max) {
    for (intptr_t c = 0; c < n_rows; c += LANES) {
        VR largest = V(set1)((REAL)-INFINITY);
        for (intptr_t i = 0; i < n; i += PIECE) {
            VR v[PIECE];
            R(turn_piece)(x + c * n + i, n, PIECE, v);
            for (int j = 0; j < PIECE && i + j < n; j++)
                largest = V(max)(v[j], largest);
        }
        V(store)(max + c, largest);
    }
}

/* The same, each row down to a vector first. */
TS_INLINE void R(maxima_by_rows)(const REAL *x, intptr_t n, intptr_t n_rows, REAL *max) {
    const intptr_t step = n * (intptr_t)sizeof(REAL);
    for (intptr_t c = 0; c < n_rows; c += LANES)
        V(store)(max + c, R(first_max_of_rows)((const char *)x + c * step, step, n, PLAIN));
}

/* The plans of a tile from row `first` on; 0 if they are declined. */
TS_INLINE int R(adjacent_plans)(const R(adjacent) * f, const ts_rows *rows, intptr_t first, const char *to,
                                int past_cache, R(plans) * plans, R(scratch) * s) {
    const intptr_t n_behind = (rows->n_rows - first - f->n_rows) * f->n;
    plans->k = R(tempering_for)(s, temperature_of(rows, first));
    plans->k_step = 0;
    int is_low;
    const double c =
        R(adjacent_exp_sums)(f, plans->k, PLAIN, to, past_cache, NULL, 0, plans->sum_hi, plans->sum_lo, &is_low, s);
    if (isnan(c))
        return 0;
    const REAL *x = (const REAL *)f->x;
    if (f->n > MOST_BY_PIECES) {
        R(maxima_by_rows)(x, f->n, f->n_rows, plans->max);
    } else {
        if (n_behind < PIECE - 1)
            x = memcpy(f->e, x, (size_t)(f->n * f->n_rows) * sizeof(REAL)); /* which are needed no more */
        R(maxima_by_pieces)(x, f->n, f->n_rows, plans->max);
    }
    for (intptr_t i = 0; i < f->n_rows; i += VD_LANES)
        vd_store(plans->exponent + i, vd_set1(c));
    return 1;
}

static intptr_t R(logsumexp_adjacent)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    R(plans) plans;
    if (rows->out_step != sizeof(REAL) || !R(are_adjacent)(rows, s))
        return 0;
    const R(adjacent) f = R(adjacent_at)(rows, first, 16, s->turned);
    if (!remember(R(adjacent_plans)(&f, rows, first, NULL, 0, &plans, s), &s->tries))
        return 0;
    R(logsumexp_of_rows)(&plans, f.n_rows, (REAL *)rows->out.data + first);
    return f.n_rows;
}

/* log_softmax of those rows, to `to`; past the cache if that begins with a line of it. */
TS_INLINE void R(adjacent_logs)(const R(adjacent) * f, const R(log_scales) * scales, REAL *to, int past_cache,
                                const REAL *row_of) {
    const REAL *x = (const REAL *)f->x;
    for (intptr_t row = 0; row < f->n_rows; row += LANES) {
        const VR hi = V(load)(scales->minus_offset_hi + row), lo = V(load)(scales->minus_offset_lo + row);
        for (intptr_t i = row * f->n, at = 0; at < f->n * LANES; i += LANES, at += LANES) {
            const VR rows = V(load)(row_of + at);
            const R(log_scale) scale = R(fast_log_scale)(scales->inverse, V(permute)(hi, rows), V(permute)(lo, rows));
            const VR y = R(log_probability)(V(load)(x + i), &scale);
            if (past_cache)
                V(stream)(to + i, y);
            else
                V(store)(to + i, y);
        }
    }
}

TS_INLINE intptr_t R(log_softmax_adjacent_to)(const ts_rows *rows, intptr_t first, int past_cache, R(scratch) * s) {
    R(plans) plans;
    R(log_scales) scales;
    REAL *const to = (REAL *)(rows->out.data + first * rows->out_step);
    const R(adjacent) f = R(adjacent_at)(rows, first, 16, s->turned);
    if (!remember(R(adjacent_plans)(&f, rows, first, past_cache ? NULL : (const char *)to, past_cache, &plans, s),
                  &s->tries) ||
        !R(log_scales_of)(&plans, f.n_rows, &scales))
        return 0;
    R(set_row_of)(f.n, s);
    if (!past_cache) {
        R(adjacent_logs)(&f, &scales, to, 0, s->row_of);
    } else if (R(before_line)(to) == 0) {
        R(adjacent_logs)(&f, &scales, to, 1, s->row_of);
    } else {
        R(adjacent_logs)(&f, &scales, f.e, 0, s->row_of);
        R(copy_past_cache)(f.e, f.n * f.n_rows, to);
    }
    return f.n_rows;
}

/* Each by itself: see softmax_adjacent_in_cache. */
TS_APART intptr_t R(log_softmax_adjacent_in_cache)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    return R(log_softmax_adjacent_to)(rows, first, 0, s);
}

TS_APART intptr_t R(log_softmax_adjacent_past_cache)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    return R(log_softmax_adjacent_to)(rows, first, 1, s);
}

static intptr_t R(log_softmax_adjacent)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    if (rows->out_step != rows->logits_step || !R(is_log_moderate)(temperature_of(rows, 0)) ||
        !R(are_adjacent)(rows, s))
        return 0;
    return (rows->past_cache ? R(log_softmax_adjacent_past_cache) : R(log_softmax_adjacent_in_cache))(rows, first, s);
}
