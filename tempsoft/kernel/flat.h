/* Short rows that lie one behind the other, several tiles together: exponentials and what is divided are taken as they
 * lie, whole vectors of them; only for the sums is there a row in each lane. For REAL, by inclusion.
 *
 * The same bits as a row by itself, as exponentials of different c differ by an exact power of two: one c for all rows
 * does, if the largest logit of each is up to HEADROOM bits above it. The largest of all says which c to try, and the
 * sums whether it does for the row whose largest is the least. Where it does not, or there is NaN or infinity, nothing
 * was written, and rows are taken as short.h does.
 */

#define FLAT_RESTS 16 /* calls, until rows are tried again after a c did not do for all */

/* Rows one behind the other, and in scratch memory their exponentials and of each number of LANES rows which row it is
 * of. */
typedef struct {
    const REAL *x;
    REAL *to, *e;
    BITS *row_of;
    intptr_t n, n_rows;
} R(flat);

/* From row `first` on; n_rows is 0 if there are none such. */
static inline R(flat) R(flat_at)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    const intptr_t n = rows->n_categories, bytes = n * (intptr_t)sizeof(REAL);
    const intptr_t most = TS_FLAT_BYTES / (TILE * bytes), left = (rows->n_rows - first) / TILE;
    const intptr_t n_tiles = most < 1 ? 1 : most < TS_FLAT ? most : TS_FLAT;
    const int is_flat = rows->logits_step == bytes && rows->out_step == bytes && rows->temperature_step == 0;
    char *const memory = (char *)(s->turned + TS_GROUP * TILE), *const line = memory + -(uintptr_t)memory % TS_LINE;
    return (R(flat)){(const REAL *)(rows->logits.data + first * bytes),
                     (REAL *)(rows->out.data + first * bytes),
                     (REAL *)line,
                     (BITS *)(line + TS_FLAT_BYTES + TS_LINE),
                     n,
                     is_flat ? TILE * (left < n_tiles ? left : n_tiles) : 0};
}

/* Exponentials of a c for all; 0 if it cannot be. */
static int R(flat_exp)(const R(flat) * f, const tempering *k) {
    const intptr_t length = f->n * f->n_rows;
    VR max[2] = {V(load)(f->x), V(load)(f->x + LANES)};
    for (intptr_t i = 2 * LANES; i < length; i += 2 * LANES)
        for (int j = 0; j < 2; j++)
            max[j] = V(max)(V(load)(f->x + i + j * LANES), max[j]);
    const double highest = R(exponent_of)((double)V(largest)(V(max)(max[0], max[1])), k);
    if (!(fabs(highest) < LARGEST_EXPONENT - HEADROOM))
        return 0;
    const R(scale) scale = R(scale_of)(k, highest - (HEADROOM - 1), 0);
    R(seen) seen = R(nothing_seen)();
    R(exp_span)(R(exp_fast), f->x, length, &scale, NULL, &seen, f->e);
    return !R(exceeded)(&seen);
}

/* Those of 16 rows to accumulators, a row in each lane; n, at most 16, is one of the last four up to n_most. */
TS_INLINE void R(flat_across)(const REAL *e, intptr_t n, int n_most, R(sum) sums[16]) {
    for (int c = 0; c < 16; c += LANES)
        for (int i = 0; i < n_most; i += n_most <= BY_PIECES ? PIECE : LANES) {
            VR v[LANES];
            if (n_most <= BY_PIECES) {
                for (int j = 0; j < PIECE; j++)
                    v[j] = V(load_pieces)(e + (c + j) * n + i, PIECE * n);
                V(transpose_pieces)(v);
            } else {
                for (int j = 0; j < LANES; j++)
                    v[j] = V(load)(e + (c + j) * n + i);
                V(transpose)(v);
            }
            for (int j = 0; j < (n_most <= BY_PIECES ? PIECE : LANES) && i + j < n_most; j++)
                for (int part = 0; part < WIDTHS; part++)
                    sums[i + j].hi[c / VD_LANES + part] =
                        R(part)(i + j < n_most - 3 || i + j < n ? v[j] : V(set1)(0), part);
        }
}

/* The sums of 16 rows of exponentials. */
TS_INLINE R(sum) R(flat_sum)(const REAL *e, intptr_t n, int n_most) {
    R(sum) sums[16];
    for (int j = 0; j < n_most; j++)
        sums[j] = R(sum_zero)();
    R(flat_across)(e, n, n_most, sums);
    return R(sum_across_first)(sums, n_most);
}

/* The sums of a tile, and whether c did for all of its rows. */
static int R(flat_sums)(const REAL *e, intptr_t n, R(short_tile) * t) {
    if (n > 16) {
        for (int c = 0; c < TILE; c += LANES)
            R(turn_rows_in)(e + c * n, n, n, t->e + c);
        R(short_sums)(t);
    } else {
        for (int c = 0; c < TILE; c += 16) {
            const REAL *rows = e + c * n;
            const R(sum) total = n <= 4    ? R(flat_sum)(rows, n, 4)
                                 : n <= 8  ? R(flat_sum)(rows, n, 8)
                                 : n <= 12 ? R(flat_sum)(rows, n, 12)
                                           : R(flat_sum)(rows, n, 16);
            R(put_sums)(&total, &t->plans, c);
        }
    }
    v_mask is_bad = vd_not_le(vd_set1(0), vd_set1(0));
    for (int c = 0; c < TILE; c += VD_LANES) /* the largest is at least the mean */
        is_bad = v_mask_or(is_bad, vd_not_le(vd_set1((double)n * SCALE), vd_load(t->plans.sum_hi + c)));
    return !v_mask_any(is_bad);
}

/* Exponentials over the sums of their rows. */
static void R(flat_divide)(const R(flat) * f, const REAL *hi, const REAL *lo, REAL *to) {
    for (intptr_t v = 0; v < f->n_rows; v += LANES) {
        const R(factor) rows = {V(load)(hi + v), V(load)(lo + v), 0};
        for (intptr_t i = v * f->n, at = 0; at < f->n * LANES; i += LANES, at += LANES) {
            const VR row_of = V(load)((const REAL *)f->row_of + at);
            const R(factor) factor = {V(permute)(rows.hi, row_of), V(permute)(rows.lo, row_of), 0};
            V(store)(to + i, R(probability)(V(load)(f->e + i), &factor, 0));
        }
    }
}

/* How many rows were taken. */
static intptr_t R(softmax_flat)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    const R(flat) f = R(flat_at)(rows, first, s);
    const tempering *k = R(tempering_for)(s, temperature_of(rows, first));
    if (f.n_rows == 0 || !R(is_moderate)(k) || s->flat_rests-- > 0)
        return 0;
    s->flat_rests = 0;
    REAL hi[TS_FLAT * TILE], lo[TS_FLAT * TILE];
    R(short_tile) t = {.e = s->turned, .n = f.n};
    int does = R(flat_exp)(&f, k);
    for (intptr_t c = 0; does && c < f.n_rows; c += TILE) {
        does = R(flat_sums)(f.e + c * f.n, f.n, &t);
        R(inverses)(t.plans.sum_hi, t.plans.sum_lo, TILE, hi + c, lo + c);
    }
    if (!does) {
        s->flat_rests = FLAT_RESTS;
        return 0;
    }
    if (s->rows_of != f.n) {
        for (intptr_t i = 0; i < f.n * LANES; i++)
            f.row_of[i] = (BITS)(i / f.n);
        s->rows_of = f.n;
    }
    R(flat_divide)(&f, hi, lo, rows->past_cache ? f.e : f.to);
    if (rows->past_cache)
        R(copy_past_cache)(f.e, f.n * f.n_rows, f.to);
    return f.n_rows;
}

static intptr_t R(softmax_short_rows)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    const intptr_t n_flat = R(softmax_flat)(rows, first, s);
    if (n_flat > 0)
        return n_flat;
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
