/* What is made of the logarithms of short rows that are adjacent: exponentials and their sums as in adjacent.h, the
 * largest logits with a row in each lane, and the logarithms of as many rows together. For REAL, by inclusion.
 *
 * The same bits as a row by itself: a logarithm is that of a sum over the largest exponential, and both are off by the
 * same power of two, as are the weights of depths and their sum.
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

/* The same of longer rows, each down to a vector first: the last numbers with some before them once more. */
TS_INLINE void R(maxima_by_rows)(const REAL *x, intptr_t n, intptr_t n_rows, REAL *max) {
    for (intptr_t c = 0; c < n_rows; c += LANES) {
        VR of_row[LANES];
        for (int j = 0; j < LANES; j++, x += n) {
            VR even = V(load)(x), odd = V(load)(x + n - LANES);
            intptr_t i = LANES;
            for (; i + 2 * LANES < n; i += 2 * LANES) {
                even = V(max)(V(load)(x + i), even);
                odd = V(max)(V(load)(x + i + LANES), odd);
            }
            for (; i + LANES < n; i += LANES)
                even = V(max)(V(load)(x + i), even);
            of_row[j] = V(max)(odd, even);
        }
        V(store)(max + c, R(largest_of_each)(of_row));
    }
}
_Static_assert(MOST_BY_PIECES >= LANES, "they have a vector each");

/* The plans of a tile from row `first` on, and where its logits are as REALs: in a copy behind the exponentials if they
 * are of another type, or there is nothing to read behind the last row. NULL if they are declined. `before` and
 * `is_low` are as in adjacent_exp_sums. */
TS_INLINE const REAL *R(adjacent_plans)(const R(adjacent) * f, const ts_rows *rows, intptr_t first, ts_type type,
                                        const char *to, int past_cache, R(ready) * before, int comes_near,
                                        R(plans) * plans, int *is_low, R(scratch) * s) {
    const intptr_t length = f->n * f->n_rows, n_behind = (rows->n_rows - first - f->n_rows) * f->n;
    const int by_pieces = f->n <= MOST_BY_PIECES;
    R(set_plans_k)(plans, R(tempering_for)(s, temperature_of(rows, first)));
    const double c = R(adjacent_exp_sums)(f, plans->k, type, to, past_cache, before, 1, comes_near, plans->sum_hi,
                                          plans->sum_lo, is_low, s);
    if (isnan(c))
        return NULL;
    const REAL *x = (const REAL *)f->x;
    if (type != PLAIN || (by_pieces && n_behind < PIECE - 1)) {
        REAL *const copy = f->e + TS_TILES_BYTES / sizeof(REAL);
        for (intptr_t i = 0; i < length; i += LANES)
            V(store)(copy + i, R(load_typed)(f->x, i, type));
        x = copy;
    }
    if (by_pieces)
        R(maxima_by_pieces)(x, f->n, f->n_rows, plans->max);
    else
        R(maxima_by_rows)(x, f->n, f->n_rows, plans->max);
    for (intptr_t i = 0; i < f->n_rows; i += VD_LANES)
        vd_store(plans->exponent + i, vd_set1(c));
    return x;
}

/* The results are REALs, whatever the logits are. */
TS_INLINE intptr_t R(logsumexp_adjacent_tile_of)(const ts_rows *rows, intptr_t first, ts_type type, R(scratch) * s) {
    R(plans) plans;
    int is_low;
    const R(adjacent) f = R(adjacent_at)(rows, first, 16, s->turned);
    if (!remember(R(adjacent_plans)(&f, rows, first, type, NULL, 0, NULL, 0, &plans, &is_low, s) != NULL, &s->tries))
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

/* Not of rows of which some exponentials count or not by the c of a row by itself. */
TS_INLINE intptr_t R(entropy_adjacent_tile_of)(const ts_rows *rows, intptr_t first, ts_type type, R(scratch) * s) {
    R(plans) plans;
    int is_low;
    double depths[ADJACENT_MOST], unused[ADJACENT_MOST];
    const R(adjacent) f = R(adjacent_at)(rows, first, 16, s->turned);
    const REAL *const x = R(adjacent_plans)(&f, rows, first, type, NULL, 0, NULL, 0, &plans, &is_low, s);
    if (!remember(x && !is_low, &s->tries))
        return 0;
    R(set_row_of)(f.n, s);
    R(depths) of = R(depths_of)(0, plans.k);
    for (intptr_t row = 0; row < f.n_rows; row += LANES) {
        const VR max = V(load)(plans.max + row);
        for (intptr_t i = row * f.n, at = 0; at < f.n * LANES; i += LANES, at += LANES) {
            of.max = V(permute)(max, V(load)(s->row_of + at));
            V(store)(f.e + i, R(weighted_depth)(V(load)(f.e + i), V(load)(x + i), &of));
        }
    }
    R(adjacent_sums)(f.e, f.n, f.n_rows, depths, unused);
    R(entropies_of_rows)(&plans, depths, f.n_rows, (REAL *)rows->out.data + first);
    return f.n_rows;
}

OF_EACH_TYPE(entropy_adjacent_tile)

static intptr_t R(entropy_adjacent)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    if (rows->out_step != sizeof(REAL) || !R(are_adjacent)(rows, s))
        return 0;
    return R(entropy_adjacent_tile)(rows, first, s);
}

/* A tile from row `first` on, its plans and the offsets of its log-probabilities; where its logits are, or NULL. */
TS_INLINE const REAL *R(adjacent_offsets)(R(adjacent) * f, const ts_rows *rows, intptr_t first, ts_type type,
                                          R(plans) * plans, REAL *minus_hi, REAL *minus_lo, R(scratch) * s) {
    int is_low;
    *f = R(adjacent_at)(rows, first, 16, s->turned);
    const REAL *const x = R(adjacent_plans)(f, rows, first, type, NULL, 0, NULL, 0, plans, &is_low, s);
    if (remember(x != NULL, &s->tries))
        R(log_offsets_of_rows)(plans, f->n_rows, minus_hi, minus_lo);
    return x;
}

TS_INLINE intptr_t R(log_prob_adjacent_tile_of)(const ts_rows *rows, intptr_t first, ts_type type, R(scratch) * s) {
    R(adjacent) f;
    R(plans) plans;
    REAL minus_hi[ADJACENT_MOST], minus_lo[ADJACENT_MOST];
    const REAL *const x = R(adjacent_offsets)(&f, rows, first, type, &plans, minus_hi, minus_lo, s);
    if (!x)
        return 0;
    R(put_log_probs_of_rows)(rows, first, f.n_rows, x, &plans, minus_hi, minus_lo, NULL);
    return f.n_rows;
}

OF_EACH_TYPE(log_prob_adjacent_tile)

TS_INLINE intptr_t R(best_adjacent_tile_of)(const ts_rows *rows, intptr_t first, ts_type type, R(scratch) * s) {
    R(adjacent) f;
    R(plans) plans;
    REAL minus_hi[ADJACENT_MOST], minus_lo[ADJACENT_MOST];
    const REAL *const x = R(adjacent_offsets)(&f, rows, first, type, &plans, minus_hi, minus_lo, s);
    if (!x)
        return 0;
    const R(split) inverse = R(split_of)(plans.k->inverse);
    for (intptr_t i = 0; i < f.n_rows; i++) {
        const R(log_scale) scale = R(fast_log_scale)(inverse, V(set1)(minus_hi[i]), V(set1)(minus_lo[i]));
        R(put_best)(rows, first + i, x + i * f.n, &scale, s);
    }
    return f.n_rows;
}

OF_EACH_TYPE(best_adjacent_tile)

static intptr_t R(best_adjacent)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    if (!R(is_log_moderate)(temperature_of(rows, 0)) || !R(are_adjacent)(rows, s))
        return 0;
    return R(best_adjacent_tile)(rows, first, s);
}

static intptr_t R(log_prob_adjacent)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    if (!R(is_log_moderate)(temperature_of(rows, 0)) || !R(are_adjacent)(rows, s))
        return 0;
    return R(log_prob_adjacent_tile)(rows, first, s);
}

TS_INLINE int R(minuends)(const ts_rows *rows, intptr_t first, ts_type type, int past_cache, R(ready) * before,
                          int comes_near, R(ready) * t, R(scratch) * s) {
    R(plans) plans;
    R(place_tile)(t, rows, first, s);
    t->from = R(adjacent_plans)(&t->f, rows, first, type, past_cache ? NULL : t->to, past_cache, before, comes_near,
                                &plans, &t->is_low, s);
    if (!t->from)
        return 0;
    t->is_low = 0; /* nothing of a logarithm is subnormal */
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
