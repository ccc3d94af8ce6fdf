/* Adjacent short rows: results of tiles whose sums are known, past the cache while the exponentials of the next tile
 * are made; and softmax. For REAL, by inclusion.
 */

/* Such a tile: its results come of what lies at `from`, exponentials or, for log_softmax, logits, and of hi and lo of
 * each row. */
typedef struct {
    R(adjacent) f;
    const REAL *from;
    char *to;
    int is_low;       /* whether quotients may be subnormal */
    R(split) inverse; /* of the temperature, for logarithms */
    REAL hi[ADJACENT_MOST], lo[ADJACENT_MOST];
} R(ready);

/* The results of vector i of a tile, which are of rows of these hi and lo. */
TS_INLINE VR R(result_at)(const R(ready) * t, int are_logs, int is_low, intptr_t i, VR hi, VR lo) {
    const VR x = V(load)(t->from + i);
    if (are_logs) {
        const R(log_scale) scale = R(fast_log_scale)(t->inverse, hi, lo);
        return R(log_probability)(x, &scale);
    }
    const R(factor) factor = is_low ? R(low_factor)(hi, lo) : R(plain_factor)(hi, lo);
    return R(probability)(x, &factor, is_low);
}

/* How results are put, and what is done meanwhile. */
typedef struct {
    const R(ready) * t;
    int are_logs, is_low, past_cache, is_far, comes_near;
    ts_type type;
    const R(adjacent) * next; /* rows whose exponentials are made meanwhile, */
    R(scale) scale;           /* with this; */
    R(seen) seen;             /* what is seen of them */
} R(putting);

typedef void (*R(vector_function))(R(putting) * p, intptr_t i, VR hi, VR lo);

/* Each vector of a tile, with hi and lo of its rows: where a vector is of one row, that row's; elsewhere `row_of` says
 * which of LANES rows each number is of. */
TS_INLINE void R(for_each_vector)(R(putting) * p, const REAL *row_of, R(vector_function) of_vector) {
    const R(ready) *const t = p->t;
    const intptr_t n = t->f.n;
    for (intptr_t row = 0; row < t->f.n_rows; row += LANES) {
        const VR hi = V(load)(t->hi + row), lo = V(load)(t->lo + row);
        intptr_t at = 0, i = row * n;
        for (int k = 0; n >= FEWEST_OF_ONE && k < LANES; k++) {
            const VR one_hi = V(set1)(t->hi[row + k]), one_lo = V(set1)(t->lo[row + k]);
            for (; at + LANES <= (k + 1) * n; at += LANES)
                of_vector(p, i + at, one_hi, one_lo);
            if (at < (k + 1) * n) {
                const VR rows = V(load)(row_of + at);
                of_vector(p, i + at, V(permute)(hi, rows), V(permute)(lo, rows));
                at += LANES;
            }
        }
        for (; at < n * LANES; at += LANES) {
            const VR rows = V(load)(row_of + at);
            of_vector(p, i + at, V(permute)(hi, rows), V(permute)(lo, rows));
        }
    }
}

TS_INLINE void R(put_vector)(R(putting) * p, intptr_t i, VR hi, VR lo) {
    if (p->past_cache && p->comes_near && i % LINE == 0)
        fetch_ahead(R(rows_ahead)(&p->t->f, sizeof(REAL), 1, i * (intptr_t)sizeof(REAL)));
    R(put_typed)(p->t->to, i, p->type, p->past_cache, R(result_at)(p->t, p->are_logs, p->is_low, i, hi, lo));
}

/* All of a tile; past the cache if their place begins with a line of it. `comes_near`: what was fetched to L2 meanwhile
 * comes to L1. */
TS_INLINE void R(put_results)(const R(ready) * t, int are_logs, ts_type type, int past_cache, int comes_near,
                              const REAL *row_of) {
    R(putting) p = {.t = t, .are_logs = are_logs, .past_cache = past_cache, .comes_near = comes_near, .type = type};
    if (t->is_low && !are_logs) {
        p.is_low = 1;
        R(for_each_vector)(&p, row_of, R(put_vector));
    } else {
        p.is_low = 0;
        R(for_each_vector)(&p, row_of, R(put_vector));
    }
}

TS_INLINE void R(exp_beside_vector)(R(putting) * p, intptr_t i, VR hi, VR lo) {
    const intptr_t read = i * (intptr_t)sizeof(REAL);
    if (p->is_far && i % LINE == 0)
        fetch_far(R(rows_ahead)(p->next, sizeof(REAL), p->comes_near ? 2 : 1, read));
    if ((p->comes_near || !p->is_far) && i % LINE == 0)
        fetch_ahead(R(rows_ahead)(p->next, sizeof(REAL), 1, read));
    VR v = V(load)((const REAL *)p->next->x + i);
    R(exp_fast)(&v, 1, &p->scale, &p->seen, NULL);
    const VR y = R(result_at)(p->t, p->are_logs, 0, i, hi, lo);
    V(store)(p->next->e + i, v);
    V(stream)((REAL *)p->t->to + i, y);
}

/* The exponentials of rows, while the results of as many before them are put past the cache: so what is written has the
 * time of both to go. Exponentials may take the place of those before: each is read before it is written. `is_far`:
 * what is fetched goes to L2, and `comes_near`: from there to L1, while rows before are worked on. */
TS_INLINE void R(exp_beside_results)(const R(adjacent) * f, const tempering *k, double c, const R(ready) * before,
                                     int are_logs, int is_far, int comes_near, const REAL *row_of, R(seen) * seen) {
    R(putting)
    p = {.t = before,
         .are_logs = are_logs,
         .is_far = is_far,
         .comes_near = comes_near,
         .next = f,
         .scale = R(scale_of)(k, c, 0),
         .seen = *seen};
    R(for_each_vector)(&p, row_of, R(exp_beside_vector));
    *seen = p.seen;
}

/* Exponentials of a c that did for all rows, which is returned, and their sums; NaN if there is none. `before`, unless
 * it is NULL: as many rows, whose results are put meanwhile at the first try, after which it has none left; if no c was
 * tried, they are still there. A guess that does not do costs exponentials and sums that are made again. */
TS_INLINE double R(adjacent_exp_sums)(const R(adjacent) * f, const tempering *k, ts_type type, const char *to,
                                      int past_cache, R(ready) * before, int are_logs, int comes_near, double *sum_hi,
                                      double *sum_lo, int *is_low, R(scratch) * s) {
    for (int is_guess = !isnan(s->guess) && is_time_to_try(&s->guesses);; is_guess = 0) {
        R(seen) seen = R(nothing_seen)();
        *is_low = 0;
        const double c = is_guess ? s->guess : R(adjacent_exponent)(f, k, type, 0, is_low);
        if (isnan(c))
            return NAN;
        if (before && before->f.n_rows > 0) {
            R(exp_beside_results)(f, k, c, before, are_logs, f->n >= FEWEST_FAR, comes_near, s->row_of, &seen);
            before->f.n_rows = 0;
        } else {
            R(adjacent_exp)(f, k, type, c, to, past_cache, &seen);
        }
        if (f->are_columns)
            R(sums_of_columns)(f->e, f->n_rows, f->n, f->n_rows, sum_hi, sum_lo);
        else
            R(adjacent_sums)(f->e, f->n, f->n_rows, sum_hi, sum_lo);
        const int does = (is_guess ? R(is_usual)(&seen) : !R(has_seen_nan)(&seen)) &&
                         R(are_reached)(sum_hi, f->n_rows, f->n, *is_low);
        if (is_guess)
            remember(does, &s->guesses);
        if (does)
            s->guess = *is_low ? NAN : c;
        if (does || !is_guess)
            return does ? c : NAN;
    }
}

/* Makes a tile from row `first` on ready; 0 if no c did. */
typedef int (*R(make_ready))(const ts_rows *rows, intptr_t first, ts_type type, int past_cache, R(ready) * before,
                             int comes_near, R(ready) * t, R(scratch) * s);

/* A tile from row `first` on, and its results; how many rows were taken. */
TS_INLINE intptr_t R(results_of_tile)(R(make_ready) make_ready, int are_logs, const ts_rows *rows, intptr_t first,
                                      ts_type type, int past_cache, R(scratch) * s) {
    R(ready) t;
    if (!remember(make_ready(rows, first, type, past_cache, NULL, 0, &t, s), &s->tries))
        return 0;
    if (!past_cache) {
        R(put_results)(&t, are_logs, type, 0, 0, s->row_of);
    } else {
        REAL *const to = (REAL *)t.to;
        t.to = (char *)t.f.e;
        R(put_results)(&t, are_logs, PLAIN, 0, 0, s->row_of);
        R(copy_past_cache)(t.f.e, t.f.n * t.f.n_rows, to);
    }
    return t.f.n_rows;
}

/* All tiles from `first` on, whose results begin with a line of the cache, up to the first for which no c did. The
 * results of each are put past the cache while the exponentials of the next are made. */
TS_INLINE intptr_t R(results_of_tiles)(R(make_ready) make_ready, int are_logs, const ts_rows *rows, intptr_t first,
                                       R(scratch) * s) {
    const int comes_near = R(comes_near)(rows);
    R(ready) tiles[2];
    intptr_t i = first;
    tiles[0].f.n_rows = tiles[1].f.n_rows = 0;
    for (int does = 1, turn = 0; does && rows->n_rows - i >= 16; turn = !turn) {
        R(ready) *const t = &tiles[turn], *const before = &tiles[!turn];
        if (before->f.n_rows > 0 &&
            (before->is_low || before->f.n_rows != R(adjacent_at)(rows, i, 16, s->turned).n_rows)) {
            R(put_results)(before, are_logs, PLAIN, 1, comes_near, s->row_of);
            before->f.n_rows = 0;
        }
        does = remember(make_ready(rows, i, PLAIN, 1, before, comes_near, t, s), &s->tries);
        t->f.n_rows = does ? t->f.n_rows : 0;
        i += t->f.n_rows;
    }
    for (int turn = 0; turn < 2; turn++)
        if (tiles[turn].f.n_rows > 0)
            R(put_results)(&tiles[turn], are_logs, PLAIN, 1, 0, s->row_of);
    return i - first;
}

/* Which rows are the tile, and where their results are to be. */
static inline void R(place_tile)(R(ready) * t, const ts_rows *rows, intptr_t first, R(scratch) * s) {
    t->f = R(adjacent_at)(rows, first, 16, s->turned);
    t->to = rows->out.data + first * rows->out_step;
    R(set_row_of)(t->f.n, s);
}

TS_INLINE int R(dividends)(const ts_rows *rows, intptr_t first, ts_type type, int past_cache, R(ready) * before,
                           int comes_near, R(ready) * t, R(scratch) * s) {
    const tempering *k = R(tempering_for)(s, temperature_of(rows, first));
    double sum_hi[ADJACENT_MOST], sum_lo[ADJACENT_MOST];
    R(place_tile)(t, rows, first, s);
    t->from = t->f.e;
    const double c = R(adjacent_exp_sums)(&t->f, k, type, past_cache ? NULL : t->to, past_cache, before, 0, comes_near,
                                          sum_hi, sum_lo, &t->is_low, s);
    if (isnan(c))
        return 0;
    t->is_low = R(inverses_and_range)(sum_hi, sum_lo, (int)t->f.n_rows, t->is_low, t->hi, t->lo);
    return 1;
}

TS_INLINE intptr_t R(softmax_adjacent_tile_of)(const ts_rows *rows, intptr_t first, ts_type type, R(scratch) * s) {
    return R(results_of_tile)(R(dividends), 0, rows, first, type, 0, s);
}

OF_EACH_TYPE(softmax_adjacent_tile)

TS_APART intptr_t R(softmax_adjacent_tile_past_cache)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    return R(results_of_tile)(R(dividends), 0, rows, first, PLAIN, 1, s);
}

TS_APART intptr_t R(softmax_adjacent_tiles_past_cache)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    return R(results_of_tiles)(R(dividends), 0, rows, first, s);
}

static intptr_t R(softmax_adjacent)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    if (rows->out_step != rows->logits_step || !R(are_adjacent)(rows, s))
        return 0;
    if (!rows->past_cache || !R(is_plain)(&rows->out))
        return R(softmax_adjacent_tile)(rows, first, s);
    return (R(is_on_line)(rows, first) ? R(softmax_adjacent_tiles_past_cache)
                                       : R(softmax_adjacent_tile_past_cache))(rows, first, s);
}
