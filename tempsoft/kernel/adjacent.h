/* Short rows that are adjacent, as in a contiguous array, many together: exponentials and what is divided are taken as
 * they lie, in whole vectors; for the sums of the shortest there is a row in each lane. For REAL, by inclusion.
 *
 * The same bits as a row by itself, as exponentials of different c differ by an exact power of two, but for those that
 * stand for 0: one c for all rows does if the largest logit of each is up to REACH bits above it, few enough for its
 * factor to be a normal number. The largest of all says which c to try, and the sums say whether it did for the row
 * whose largest is the least. Where it did not, or there is NaN or infinity, nothing was written, and the rows are
 * taken as in short.h or sixteen.h.
 */

#define FEWEST_FAR 8 /* categories of rows that are fetched to L2: of fewer the sums take longer than reading */

typedef struct {
    const char *x;
    REAL *e; /* in scratch memory */
    intptr_t n, n_rows;
} R(adjacent);

/* What is fetched while `at` bytes from their beginning are worked on: of the next such rows, or a little behind. */
static inline uintptr_t R(next_rows)(const R(adjacent) * f, intptr_t size, intptr_t at) {
    const intptr_t bytes = f->n * f->n_rows * size;
    return (uintptr_t)f->x + (uintptr_t)((bytes > TS_TILES_BYTES ? bytes : TS_TILES_BYTES) + at);
}

/* The smallest is at least so many bits below the largest, or quotients may be subnormal: those of float32 in rows of
 * up to 128, and their part by lo, which is a normal number. */
#define LOW_BELOW (TS_REAL == 32 ? 80 : 800)

/* A c for all of them, from the largest, and whether quotients may be subnormal; NaN if it cannot be, or if
 * exponentials are to be above 2^(UNDERFLOW / 2) and not all are. */
TS_INLINE double R(adjacent_exponent)(const R(adjacent) * f, const tempering *k, ts_type type, int are_all,
                                      int *is_low) {
    const intptr_t length = f->n * f->n_rows;
    VR max[2] = {R(load_typed)(f->x, 0, type), R(load_typed)(f->x, length - LANES, type)}, min[2] = {max[0], max[1]};
    for (intptr_t i = LANES; i + 2 * LANES <= length; i += 2 * LANES)
        for (int j = 0; j < 2; j++) {
            const VR x = R(load_typed)(f->x, i + j * LANES, type);
            max[j] = V(max)(x, max[j]);
            min[j] = V(min)(x, min[j]);
        }
    const double highest = R(exponent_of)((double)V(largest)(V(max)(max[0], max[1])), k);
    const double c = highest - REACH;
    if (!(fabs(highest) < LARGEST_EXPONENT - REACH + UNDERFLOW)) /* so that this holds for c of every row */
        return NAN;
    const double below = are_all ? c + UNDERFLOW / 2 : highest - LOW_BELOW;
    const VR least = V(set1)((REAL)(below * LOG_2_HI * k->temperature));
    *is_low = v_mask_any(V(not_le)(least, V(min)(min[0], min[1])));
    return are_all && *is_low ? NAN : c;
}

/* Their exponentials of that c, which is returned, while the place for results, unless that is NULL, is fetched to be
 * written; NaN if there is none. As c is from the largest of all, none exceeds. */
TS_INLINE double R(adjacent_exp)(const R(adjacent) * f, const tempering *k, ts_type type, int are_all, const char *to,
                                 int past_cache, int *is_low) {
    const intptr_t length = f->n * f->n_rows, size = R(size_of)(type);
    const int is_far = past_cache && f->n >= FEWEST_FAR;
    const double c = R(adjacent_exponent)(f, k, type, are_all, is_low);
    if (isnan(c))
        return NAN;
    const R(scale) scale = R(scale_of)(k, c, 0);
    R(seen) seen = R(nothing_seen)();
    intptr_t i = 0;
    for (; i + TOGETHER * LANES <= length; i += TOGETHER * LANES) {
        VR v[TOGETHER];
        for (intptr_t line = 0; line < TOGETHER * LANES * size; line += TS_LINE) {
            if (is_far) /* more is under way there than to L1 */
                fetch_far(R(next_rows)(f, size, i * size + line));
            else
                fetch_ahead(R(next_rows)(f, size, i * size + line));
            if (to)
                fetch_to_write((uintptr_t)to + (uintptr_t)(i * size + line));
        }
        for (int k = 0; k < TOGETHER; k++)
            v[k] = R(load_typed)(f->x, i + k * LANES, type);
        R(exp_fast)(v, TOGETHER, &scale, &seen, NULL);
        for (int k = 0; k < TOGETHER; k++)
            V(store)(f->e + i + k * LANES, v[k]);
    }
    for (; i < length; i += LANES) {
        VR v = R(load_typed)(f->x, i, type);
        R(exp_fast)(&v, 1, &scale, &seen, NULL);
        V(store)(f->e + i, v);
    }
    return R(has_seen_nan)(&seen) ? NAN : c;
}

/* Whether c did for all rows of these sums: the largest exponential is at least the mean. The largest n may be
 * an eighth below 0, as all of float32 have a factor of 1.09. */
static int R(are_reached)(const double *sum_hi, intptr_t n_rows, intptr_t n) {
    v_mask is_bad = vd_not_le(vd_set1(0), vd_set1(0));
    for (intptr_t c = 0; c < n_rows; c += VD_LANES)
        is_bad = v_mask_or(is_bad, vd_not_le(vd_set1((double)n * SCALE), vd_load(sum_hi + c)));
    return !v_mask_any(is_bad);
}

/* Exponentials of a c that did for all rows, which is returned, and their sums; NaN if there is none. */
TS_INLINE double R(adjacent_exp_sums)(const R(adjacent) * f, const tempering *k, ts_type type, const char *to,
                                      int past_cache, double *sum_hi, double *sum_lo, int *is_low) {
    const double c = R(adjacent_exp)(f, k, type, 0, to, past_cache, is_low);
    if (isnan(c))
        return NAN;
    R(adjacent_sums)(f->e, f->n, f->n_rows, sum_hi, sum_lo);
    return R(are_reached)(sum_hi, f->n_rows, f->n) ? c : NAN;
}

/* The first row whose results begin with a line of the cache, so that all tiles from it on do; 0 if there is none. */
static intptr_t R(first_on_line)(const ts_rows *rows) {
    for (intptr_t i = 0; i < LINE; i++)
        if (((uintptr_t)rows->out.data + (uintptr_t)(rows->out_step * i)) % TS_LINE == 0)
            return i;
    return 0;
}

/* Whether rows are adjacent, and it is time to try. */
static int R(are_adjacent)(const ts_rows *rows, R(scratch) * s) {
    if (rows->logits_step != rows->n_categories * R(size_of)(rows->logits.type) || rows->temperature_step != 0 ||
        !R(is_moderate)(R(tempering_for)(s, temperature_of(rows, 0))))
        return 0;
    return R(is_time_to_try)(s);
}

/* Rows from `first` on, a multiple of `unit`: as many as stay in L1. */
static inline R(adjacent) R(adjacent_at)(const ts_rows *rows, intptr_t first, intptr_t unit, REAL *e) {
    const intptr_t n = rows->n_categories, fit = TS_TILES_BYTES / (n * (intptr_t)sizeof(REAL));
    const intptr_t most = fit < unit ? unit : fit < ADJACENT_MOST ? fit : ADJACENT_MOST, left = rows->n_rows - first;
    const char *const x = rows->logits.data + first * rows->logits_step;
    return (R(adjacent)){x, e, n, (left < most ? left : most) / unit * unit};
}

/* Which of LANES rows of n numbers each number is of, for R(permute). */
static void R(set_row_of)(intptr_t n, R(scratch) * s) {
    BITS *row_of = (BITS *)s->row_of;
    if (s->rows_of == n)
        return;
    for (BITS row = 0; row < LANES; row++)
        for (intptr_t i = 0; i < n; i++)
            *row_of++ = row;
    s->rows_of = n;
}

/* Exponentials over the sums of their rows, to `to`; past the cache if that begins with a line of it. `comes_near`:
 * what was fetched to L2 meanwhile comes to L1. */
TS_INLINE void R(adjacent_divide_by)(const R(adjacent) * f, const REAL *hi, const REAL *lo, int is_low, char *to,
                                     ts_type type, int past_cache, int comes_near, const REAL *row_of) {
    for (intptr_t row = 0; row < f->n_rows; row += LANES) {
        const VR row_hi = V(load)(hi + row), row_lo = V(load)(lo + row);
        for (intptr_t i = row * f->n, at = 0; at < f->n * LANES; i += LANES, at += LANES) {
            const VR rows = V(load)(row_of + at);
            if (past_cache && comes_near && i % LINE == 0)
                fetch_ahead(R(next_rows)(f, sizeof(REAL), i * (intptr_t)sizeof(REAL)));
            const VR hi_of = V(permute)(row_hi, rows), lo_of = V(permute)(row_lo, rows);
            const R(factor) factor = is_low ? R(low_factor)(hi_of, lo_of) : R(plain_factor)(hi_of, lo_of);
            const VR p = R(probability)(V(load)(f->e + i), &factor, is_low);
            if (past_cache)
                V(stream)((REAL *)to + i, p);
            else
                R(store_typed)(to, i, type, p);
        }
    }
}

TS_INLINE void R(adjacent_divide)(const R(adjacent) * f, const REAL *hi, const REAL *lo, int is_low, char *to,
                                  ts_type type, int past_cache, int comes_near, const REAL *row_of) {
    if (is_low)
        R(adjacent_divide_by)(f, hi, lo, 1, to, type, past_cache, comes_near, row_of);
    else
        R(adjacent_divide_by)(f, hi, lo, 0, to, type, past_cache, comes_near, row_of);
}

/* softmax of a tile from row `first` on; how many rows were taken. */
TS_INLINE intptr_t R(softmax_adjacent_as)(const ts_rows *rows, intptr_t first, ts_type type, int past_cache,
                                          R(scratch) * s) {
    const tempering *k = R(tempering_for)(s, temperature_of(rows, first));
    char *const to = rows->out.data + first * rows->out_step;
    double sum_hi[ADJACENT_MOST], sum_lo[ADJACENT_MOST];
    REAL hi[ADJACENT_MOST], lo[ADJACENT_MOST];
    int is_low;
    const R(adjacent) f = R(adjacent_at)(rows, first, 16, s->turned);
    const double c = R(adjacent_exp_sums)(&f, k, type, past_cache ? NULL : to, past_cache, sum_hi, sum_lo, &is_low);
    if (!R(remember)(!isnan(c), s))
        return 0;
    R(set_row_of)(f.n, s);
    is_low |= !R(inverses)(sum_hi, sum_lo, (int)f.n_rows, 0, SMALLEST_NORMAL, hi, lo);
    if (is_low)
        R(inverses)(sum_hi, sum_lo, (int)f.n_rows, LEAST_DOWN, 0, hi, lo);
    if (!past_cache) {
        R(adjacent_divide)(&f, hi, lo, is_low, to, type, 0, 0, s->row_of);
    } else if (R(before_line)((REAL *)to) == 0) {
        const int comes_near = rows->past_cache == TS_PAST_READ_TWICE && f.n >= FEWEST_FAR;
        R(adjacent_divide)(&f, hi, lo, is_low, to, PLAIN, 1, comes_near, s->row_of);
    } else {
        R(adjacent_divide)(&f, hi, lo, is_low, (char *)f.e, PLAIN, 0, 0, s->row_of);
        R(copy_past_cache)(f.e, f.n * f.n_rows, (REAL *)to);
    }
    return f.n_rows;
}

/* Each by itself: of many loops in one function a compiler keeps too little in registers. */
TS_APART intptr_t R(softmax_adjacent_in_cache)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    return R(softmax_adjacent_as)(rows, first, PLAIN, 0, s);
}

TS_APART intptr_t R(softmax_adjacent_past_cache)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    return R(softmax_adjacent_as)(rows, first, PLAIN, 1, s);
}

#if TS_REAL == 32
TS_APART intptr_t R(softmax_adjacent_f16)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    return R(softmax_adjacent_as)(rows, first, TS_F16, 0, s);
}

TS_APART intptr_t R(softmax_adjacent_bf16)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    return R(softmax_adjacent_as)(rows, first, TS_BF16, 0, s);
}
#endif

static intptr_t R(softmax_adjacent)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    if (rows->out_step != rows->logits_step || !R(are_adjacent)(rows, s))
        return 0;
#if TS_REAL == 32
    if (rows->out.type == TS_F16)
        return R(softmax_adjacent_f16)(rows, first, s);
    if (rows->out.type == TS_BF16)
        return R(softmax_adjacent_bf16)(rows, first, s);
#endif
    return (rows->past_cache ? R(softmax_adjacent_past_cache) : R(softmax_adjacent_in_cache))(rows, first, s);
}
