/* Short rows that are adjacent, as in a contiguous array, several tiles together: exponentials and what is divided are
 * taken as they lie, in whole vectors; only for the sums is there a row in each lane. For REAL, by inclusion.
 *
 * The same bits as a row by itself, as exponentials of different c differ by an exact power of two, but for those that
 * stand for 0: one c for all rows does if the largest logit of each is up to HEADROOM bits above it, few enough for lo
 * of its factor to be a normal number. The largest of all says which c to try, and the sums say whether it did for the
 * row whose largest is the least. Where it did not, or there is NaN or infinity, nothing was written, and the rows are
 * taken as in short.h.
 */

#if TS_REAL == 64 /* used by both */
_Static_assert(TS_TILE_BYTES *TS_GROUP + TS_TILES_BYTES + TS_GROUP * 64 + 3 * TS_LINE <= 2 * 16 * TS_SIXTEEN * 8,
               "see ts_together_doubles");
#endif

#define LONGEST_PAUSE 127 /* tiles, at most, until rows are tried again after a c did not do for all */

/* Adjacent rows, and in scratch memory: their exponentials, and which row each number of LANES rows is of. */
typedef struct {
    const REAL *x;
    REAL *e;
    BITS *row_of;
    intptr_t n, n_rows;
} R(adjacent);

/* From row `first` on; n_rows is 0 if there are none such. */
static inline R(adjacent) R(adjacent_at)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    const intptr_t n = rows->n_categories, bytes = n * (intptr_t)sizeof(REAL);
    const intptr_t most = TS_TILES_BYTES / (TILE * bytes), left = (rows->n_rows - first) / TILE;
    const intptr_t n_tiles = most < TS_TILES ? most : TS_TILES;
    const int are_adjacent = rows->logits_step == bytes && rows->temperature_step == 0 && n <= TS_GROUP;
    char *const memory = (char *)(s->turned + TS_GROUP * TILE), *const line = memory + -(uintptr_t)memory % TS_LINE;
    return (R(adjacent)){(const REAL *)(rows->logits.data + first * rows->logits_step), (REAL *)line,
                         (BITS *)(line + TS_TILES_BYTES + TS_LINE), n,
                         are_adjacent ? TILE * (left < n_tiles ? left : n_tiles) : 0};
}

/* Exponentials of a c for all; 0 if it cannot be, or if not all are above 2^(UNDERFLOW / 2) and they are to be. */
TS_INLINE int R(adjacent_exp)(const R(adjacent) * f, const tempering *k, int are_all) {
    const intptr_t length = f->n * f->n_rows;
    VR max[2] = {V(load)(f->x), V(load)(f->x + LANES)}, min[2] = {max[0], max[1]};
    for (intptr_t i = 2 * LANES; i < length; i += 2 * LANES)
        for (int j = 0; j < 2; j++) {
            const VR x = V(load)(f->x + i + j * LANES);
            max[j] = V(max)(x, max[j]);
            if (are_all)
                min[j] = V(min)(x, min[j]);
        }
    const double highest = R(exponent_of)((double)V(largest)(V(max)(max[0], max[1])), k);
    const double c = highest - (HEADROOM - 1);
    if (!(fabs(highest) < LARGEST_EXPONENT - HEADROOM + UNDERFLOW)) /* so that this holds for c of every row */
        return 0;
    const VR below = V(set1)((REAL)((c + UNDERFLOW / 2) * LOG_2_HI * k->temperature));
    if (are_all && v_mask_any(V(not_le)(below, V(min)(min[0], min[1]))))
        return 0;
    const R(scale) scale = R(scale_of)(k, c, 0);
    R(seen) seen = R(nothing_seen)();
    R(exp_span)(R(exp_fast), f->x, length, &scale, NULL, &seen, f->e);
    return !R(exceeded)(&seen);
}

/* A piece of each of LANES rows at e, n numbers apart, with a row in each lane; 0 for what is not below `left`. */
TS_INLINE void R(turn_piece)(const REAL *e, intptr_t n, intptr_t left, VR v[PIECE]) {
    for (int j = 0; j < PIECE; j++)
        v[j] = V(load_pieces)(e + j * n, PIECE * n);
    V(transpose_pieces)(v);
    for (int j = 1; j < PIECE; j++)
        v[j] = j < left ? v[j] : V(set1)(0);
}

/* The sum of a group, of which `n_chunks` are not 0: an accumulator of sum_vectors that had nothing yet. */
TS_INLINE void R(add_chunks)(const vd chunks[4], int n_chunks, vd *hi, vd *lo) {
#if TS_REAL == 32
    const vd first = n_chunks > 1 ? vd_add(chunks[0], chunks[1]) : chunks[0];
    const vd second = n_chunks > 3 ? vd_add(chunks[2], chunks[3]) : chunks[2];
    (void)lo;
    *hi = n_chunks > 2 ? vd_add(first, second) : first;
#else
    *hi = chunks[0];
    *lo = vd_set1(0);
    for (int chunk = 1; chunk < n_chunks; chunk++)
        sum_compensated(hi, lo, chunks[chunk]);
#endif
}

/* The sums of 16 rows of n exponentials, which is one of the last four numbers up to n_most, or of the last 16 beyond
 * 16: the accumulators have a row in each lane. */
TS_INLINE R(sum) R(adjacent_sum)(const REAL *e, intptr_t n, int n_most) {
    const int surely = n_most <= 16 ? n_most - 3 : n_most - 15, n_chunks = (n_most + 15) / 16;
    R(sum) sums[16];
    for (int i = 0; i < 16 && i < n_most; i += PIECE)
        for (int c = 0; c < 16; c += LANES) {
            VR v[4][PIECE];
            for (int at = i; at < n_most; at += 16)
                if (at < surely || at < n)
                    R(turn_piece)(e + c * n + at, n, n - at, v[at / 16]);
                else
                    for (int j = 0; j < PIECE; j++)
                        v[at / 16][j] = V(set1)(0);
            for (int j = 0; j < PIECE; j++)
                for (int part = 0; part < WIDTHS; part++) {
                    const int to = c / VD_LANES + part;
                    vd chunks[4];
                    for (int chunk = 0; chunk < 4; chunk++)
                        chunks[chunk] = chunk < n_chunks ? R(part)(v[chunk][j], part) : vd_set1(0);
#if TS_REAL == 32
                    R(add_chunks)(chunks, n_chunks, &sums[i + j].hi[to], NULL);
#else
                    R(add_chunks)(chunks, n_chunks, &sums[i + j].hi[to], &sums[i + j].lo[to]);
#endif
                }
        }
    return R(sum_across_first)(sums, n_most < 16 ? n_most : 16);
}

/* The sums of a tile. */
static void R(adjacent_sums)(const REAL *e, intptr_t n, double *sum_hi, double *sum_lo) {
    for (int c = 0; c < TILE; c += 16, e += 16 * n) {
        const R(sum) total = n <= 4    ? R(adjacent_sum)(e, n, 4)
                             : n <= 8  ? R(adjacent_sum)(e, n, 8)
                             : n <= 12 ? R(adjacent_sum)(e, n, 12)
                             : n <= 16 ? R(adjacent_sum)(e, n, 16)
                             : n <= 32 ? R(adjacent_sum)(e, n, 32)
                             : n <= 48 ? R(adjacent_sum)(e, n, 48)
                                       : R(adjacent_sum)(e, n, 64);
        R(put_sums)(&total, sum_hi + c, sum_lo + c);
    }
}

/* Whether c did for all rows of these sums: the largest exponential is at least the mean. */
static int R(are_reached)(const double *sum_hi, intptr_t n_rows, intptr_t n) {
    v_mask is_bad = vd_not_le(vd_set1(0), vd_set1(0));
    for (intptr_t c = 0; c < n_rows; c += VD_LANES)
        is_bad = v_mask_or(is_bad, vd_not_le(vd_set1((double)n * SCALE), vd_load(sum_hi + c)));
    return !v_mask_any(is_bad);
}

/* Exponentials over the sums of their rows, to `to`; past the cache if that begins with a line of it. */
TS_INLINE void R(adjacent_divide)(const R(adjacent) * f, const REAL *hi, const REAL *lo, REAL *to, int past_cache) {
    for (intptr_t v = 0; v < f->n_rows; v += LANES) {
        const VR row_hi = V(load)(hi + v), row_lo = V(load)(lo + v);
        for (intptr_t i = v * f->n, at = 0; at < f->n * LANES; i += LANES, at += LANES) {
            const VR row_of = V(load)((const REAL *)f->row_of + at);
            const R(factor) factor = {V(permute)(row_hi, row_of), V(permute)(row_lo, row_of), 0};
            const VR p = R(probability)(V(load)(f->e + i), &factor, 0);
            if (past_cache)
                V(stream)(to + i, p);
            else
                V(store)(to + i, p);
        }
    }
}

/* The first row whose results begin with a line of the cache, so that all tiles from it on do; 0 if there is none. */
static intptr_t R(first_on_line)(const ts_rows *rows) {
    for (intptr_t i = 0; i < LINE; i++)
        if (((uintptr_t)rows->out.data + (uintptr_t)(rows->out_step * i)) % TS_LINE == 0)
            return i;
    return 0;
}

/* The exponentials of adjacent rows from `first` on, if there are such and it is time to try. Then `does` says whether
 * one c did, as far as is known. */
static R(adjacent) R(try_adjacent)(const ts_rows *rows, intptr_t first, int are_all, int *does, R(scratch) * s) {
    R(adjacent) f = R(adjacent_at)(rows, first, s);
    const tempering *k = R(tempering_for)(s, temperature_of(rows, first));
    const int is_time = s->rest == 0;
    s->rest -= !is_time;
    if (!is_time || !R(is_moderate)(k))
        f.n_rows = 0;
    *does = f.n_rows > 0 && R(adjacent_exp)(&f, k, are_all);
    return f;
}

/* `does`: whether the c that was tried did. Where none does, they are tried more and more seldom. */
static int R(remember)(int does, R(scratch) * s) {
    s->pause = does ? 0 : s->pause < LONGEST_PAUSE ? 2 * s->pause + 1 : LONGEST_PAUSE;
    s->rest = s->pause;
    return does;
}

/* How many rows were taken. */
static intptr_t R(softmax_adjacent)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    if (rows->out_step != rows->logits_step)
        return 0;
    int does;
    const R(adjacent) f = R(try_adjacent)(rows, first, 0, &does, s);
    if (f.n_rows == 0)
        return 0;
    double sum_hi[TS_TILES * TILE], sum_lo[TS_TILES * TILE];
    for (intptr_t c = 0; does && c < f.n_rows; c += TILE)
        R(adjacent_sums)(f.e + c * f.n, f.n, sum_hi + c, sum_lo + c);
    if (!R(remember)(does && R(are_reached)(sum_hi, f.n_rows, f.n), s))
        return 0;
    if (s->rows_of != f.n) {
        for (intptr_t i = 0; i < f.n * LANES; i++)
            f.row_of[i] = (BITS)(i / f.n);
        s->rows_of = f.n;
    }
    REAL hi[TS_TILES * TILE], lo[TS_TILES * TILE];
    R(inverses)(sum_hi, sum_lo, (int)f.n_rows, hi, lo);
    REAL *const to = (REAL *)(rows->out.data + first * rows->out_step);
    if (!rows->past_cache) {
        R(adjacent_divide)(&f, hi, lo, to, 0);
    } else if (R(before_line)(to) == 0) {
        R(adjacent_divide)(&f, hi, lo, to, 1);
    } else {
        R(adjacent_divide)(&f, hi, lo, f.e, 0);
        R(copy_past_cache)(f.e, f.n * f.n_rows, to);
    }
    return f.n_rows;
}

static intptr_t R(softmax_short_rows)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    const intptr_t n_adjacent = R(softmax_adjacent)(rows, first, s);
    if (n_adjacent > 0)
        return n_adjacent;
    R(short_tile) t;
    if (!R(short_plans)(&t, rows, first, s))
        return 0;
    REAL hi[TILE], lo[TILE];
    R(inverses)(t.plans.sum_hi, t.plans.sum_lo, TILE, hi, lo);
    for (int v = 0; v < TILE; v += LANES) {
        const R(factor) f = {V(load)(hi + v), V(load)(lo + v), 0};
        for (intptr_t i = 0; i < t.n; i++)
            V(store)(t.e + i * TILE + v, R(probability)(V(load)(t.e + i * TILE + v), &f, 0));
    }
    R(turn_out)(t.e, rows, first, s->turned + TS_GROUP * TILE);
    return TILE;
}

/* How many rows were drawn from. As every exponential is normal and no quotient can be 0, neither is needed. */
static intptr_t R(draw_adjacent)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    if (rows->are_weights)
        return 0;
    int does;
    const R(adjacent) f = R(try_adjacent)(rows, first, 1, &does, s);
    if (f.n_rows == 0 || !R(remember)(does, s))
        return 0;
    for (intptr_t i = 0; i < f.n_rows; i += TILE) {
        for (int c = 0; c < TILE; c += LANES)
            R(turn_pieces_in)(f.e + (i + c) * f.n, f.n, f.n, s->turned + c);
        if (!R(choose_in_tile)(s->turned, rows, first + i))
            return i;
    }
    return f.n_rows;
}

/* A draw from each row: what ready_block and draw_in_block come to in a short row. */
static intptr_t R(draw_short_rows)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    const intptr_t n_adjacent = R(draw_adjacent)(rows, first, s);
    if (n_adjacent > 0)
        return n_adjacent;
    R(short_tile) t;
    if (rows->are_weights) {
        if (!R(short_rows)(&t, rows, first, s) || !R(short_weights_are_moderate)(&t))
            return 0;
    } else {
        REAL hi[TILE], lo[TILE];
        if (!R(short_plans)(&t, rows, first, s))
            return 0;
        R(inverses)(t.plans.sum_hi, t.plans.sum_lo, TILE, hi, lo);
        for (int v = 0; v < TILE; v += LANES) {
            const R(factor) f = {V(load)(hi + v), V(load)(lo + v), 0};
            for (intptr_t i = 0; i < t.n; i++) {
                REAL *e = t.e + i * TILE + v;
                V(store)(e, R(if_drawable)(V(load)(e), &f, 0));
            }
        }
    }
    return R(choose_in_tile)(t.e, rows, first) ? TILE : 0;
}
