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
        V(store)(max + c, R(max_of_rows)((const char *)x + c * step, step, n, PLAIN, 1));
}

/* The plans of a tile from row `first` on; 0 if they are declined. `before`, as in adjacent_exp_sums. Logits of another
 * type are then in place of the exponentials, which are needed no more. */
TS_INLINE int R(adjacent_plans)(const R(adjacent) * f, const ts_rows *rows, intptr_t first, ts_type type,
                                const char *to, int past_cache, R(ready) * before, int comes_near, R(plans) * plans,
                                R(scratch) * s) {
    const intptr_t length = f->n * f->n_rows, n_behind = (rows->n_rows - first - f->n_rows) * f->n;
    plans->k = R(tempering_for)(s, temperature_of(rows, first));
    plans->k_step = 0;
    int is_low;
    const double c = R(adjacent_exp_sums)(f, plans->k, type, to, past_cache, before, 1, comes_near, plans->sum_hi,
                                          plans->sum_lo, &is_low, s);
    if (isnan(c))
        return 0;
    const REAL *x = (const REAL *)f->x;
    if (type != PLAIN) {
        for (intptr_t i = 0; i < length; i += LANES)
            V(store)(f->e + i, R(load_typed)(f->x, i, type));
        x = f->e;
    }
    if (f->n > MOST_BY_PIECES) {
        R(maxima_by_rows)(x, f->n, f->n_rows, plans->max);
    } else {
        if (x != f->e && n_behind < PIECE - 1)
            x = memcpy(f->e, x, (size_t)length * sizeof(REAL));
        R(maxima_by_pieces)(x, f->n, f->n_rows, plans->max);
    }
    for (intptr_t i = 0; i < f->n_rows; i += VD_LANES)
        vd_store(plans->exponent + i, vd_set1(c));
    return 1;
}

/* The results are REALs, whatever the logits are. */
TS_INLINE intptr_t R(logsumexp_adjacent_tile_of)(const ts_rows *rows, intptr_t first, ts_type type, R(scratch) * s) {
    R(plans) plans;
    const R(adjacent) f = R(adjacent_at)(rows, first, 16, s->turned);
    if (!remember(R(adjacent_plans)(&f, rows, first, type, NULL, 0, NULL, 0, &plans, s), &s->tries))
        return 0;
    R(logsumexp_of_rows)(&plans, f.n_rows, (REAL *)rows->out.data + first);
    return f.n_rows;
}

OF_EACH_TYPE(logsumexp_adjacent_tile)

static intptr_t R(logsumexp_adjacent)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    if (rows->out_step != sizeof(REAL) || !R(are_adjacent)(rows, s))
        return 0;
    return R(logsumexp_adjacent_tile)(rows, first, s);
}

TS_INLINE int R(minuends)(const ts_rows *rows, intptr_t first, ts_type type, int past_cache, R(ready) * before,
                          int comes_near, R(ready) * t, R(scratch) * s) {
    R(plans) plans;
    R(place_tile)(t, rows, first, s);
    t->from = type == PLAIN ? (const REAL *)t->f.x : t->f.e;
    t->is_low = 0;
    if (!R(adjacent_plans)(&t->f, rows, first, type, past_cache ? NULL : t->to, past_cache, before, comes_near, &plans,
                           s))
        return 0;
    t->inverse = R(split_of)(plans.k->inverse);
    R(log_offsets_of_rows)(&plans, t->f.n_rows, t->hi, t->lo);
    return 1;
}

TS_INLINE intptr_t R(log_softmax_adjacent_tile_of)(const ts_rows *rows, intptr_t first, ts_type type, R(scratch) * s) {
    return R(results_of_tile)(R(minuends), 1, rows, first, type, 0, s);
}

OF_EACH_TYPE(log_softmax_adjacent_tile)

TS_APART intptr_t R(log_softmax_adjacent_tile_past_cache)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    return R(results_of_tile)(R(minuends), 1, rows, first, PLAIN, 1, s);
}

TS_APART intptr_t R(log_softmax_adjacent_tiles_past_cache)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    return R(results_of_tiles)(R(minuends), 1, rows, first, s);
}

static intptr_t R(log_softmax_adjacent)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    if (rows->out_step != rows->logits_step || !R(is_log_moderate)(temperature_of(rows, 0)) ||
        !R(are_adjacent)(rows, s))
        return 0;
    if (!rows->past_cache || !R(is_plain)(&rows->out))
        return R(log_softmax_adjacent_tile)(rows, first, s);
    return (R(is_on_line)(rows, first) ? R(log_softmax_adjacent_tiles_past_cache)
                                       : R(log_softmax_adjacent_tile_past_cache))(rows, first, s);
}
