/* Short rows that are adjacent, as in a contiguous array, many together: exponentials and what is divided are taken as
 * they lie, in whole vectors; for the sums of the shortest there is a row in each lane. For REAL, by inclusion.
 *
 * The same bits as a row by itself, as exponentials of different c differ by an exact power of two, but for those that
 * stand for 0. One c for all rows does if the largest logit of each is up to REACH bits below the largest of all: c is
 * so much below that where quotients may be subnormal, so that factors are normal numbers, and ABOVE bits elsewhere, as
 * then it will mostly do for the next rows, too. So a c that did is tried again, and the numbers on the way and the
 * sums say whether it does; a look for the largest and the smallest logits takes a tenth of the time. Where no c does,
 * or there is NaN or infinity, nothing was written, and the rows are taken as in short.h or sixteen.h.
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
#define LOW_BELOW (TS_REAL == 32 ? 80 : 768)

/* Bits from c to the largest, where no quotient is subnormal: numbers LOW_BELOW are seen to be usual then. */
#define ABOVE 6

/* A sum of n exponentials is less than n 2^(this + 1), over SCALE: of larger ones lo would often be below LEAST_LO, so
 * that its product with the smallest usual number is not normal. */
#define MOST_ABOVE 9

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
    if (!(fabs(highest) < LARGEST_EXPONENT - REACH + UNDERFLOW)) /* so that this holds for c of every row */
        return NAN;
    const double below = are_all ? highest - REACH + UNDERFLOW / 2 : highest - LOW_BELOW;
    const VR least = V(set1)((REAL)(below * LOG_2_HI * k->temperature));
    *is_low = v_mask_any(V(not_le)(least, V(min)(min[0], min[1])));
    return are_all && *is_low ? NAN : highest - (are_all || *is_low ? REACH : ABOVE);
}

/* Their exponentials of that c, while the place for results, unless that is NULL, is fetched to be written. */
TS_INLINE void R(adjacent_exp)(const R(adjacent) * f, const tempering *k, ts_type type, double c, const char *to,
                               int past_cache, R(seen) * seen) {
    const intptr_t length = f->n * f->n_rows, size = R(size_of)(type);
    const int is_far = past_cache && f->n >= FEWEST_FAR;
    const R(scale) scale = R(scale_of)(k, c, 0);
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
        R(exp_fast)(v, TOGETHER, &scale, seen, NULL);
        for (int k = 0; k < TOGETHER; k++)
            V(store)(f->e + i + k * LANES, v[k]);
    }
    for (; i < length; i += LANES) {
        VR v = R(load_typed)(f->x, i, type);
        R(exp_fast)(&v, 1, &scale, seen, NULL);
        V(store)(f->e + i, v);
    }
}

/* Rows of exponentials, and what they are divided by. */
typedef struct {
    R(adjacent) f;
    char *to;
    int is_low;
    REAL hi[ADJACENT_MOST], lo[ADJACENT_MOST];
} R(dividends);

/* The factor of the numbers at `at` of LANES rows. */
TS_INLINE R(factor) R(factor_at)(VR row_hi, VR row_lo, const REAL *row_of, intptr_t at, int is_low) {
    const VR rows = V(load)(row_of + at), hi = V(permute)(row_hi, rows), lo = V(permute)(row_lo, rows);
    return is_low ? R(low_factor)(hi, lo) : R(plain_factor)(hi, lo);
}

/* The exponentials of rows, while as many before them are divided, past the cache: so what is written has the time of
 * both to go. Both may be in one place: each is read before it is written. `is_far`: what is fetched goes to L2, and
 * `comes_near`: from there to L1, while rows before are worked on. */
TS_INLINE void R(exp_and_divide)(const R(adjacent) * f, const tempering *k, double c, const R(dividends) * before,
                                 int is_far, int comes_near, const REAL *row_of, R(seen) * seen) {
    const R(scale) scale = R(scale_of)(k, c, 0);
    const REAL *const x = (const REAL *)f->x, *const e = before->f.e;
    REAL *const to = (REAL *)before->to;
    for (intptr_t row = 0; row < f->n_rows; row += LANES) {
        const VR row_hi = V(load)(before->hi + row), row_lo = V(load)(before->lo + row);
        for (intptr_t i = row * f->n, at = 0; at < f->n * LANES; i += LANES, at += LANES) {
            if (i % LINE == 0) {
                const uintptr_t next = (uintptr_t)(x + i + f->n * f->n_rows);
                if (is_far)
                    fetch_far(comes_near ? next + (next - (uintptr_t)(x + i)) : next);
                if (comes_near || !is_far)
                    fetch_ahead(next);
            }
            VR v = V(load)(x + i);
            R(exp_fast)(&v, 1, &scale, seen, NULL);
            const R(factor) factor = R(factor_at)(row_hi, row_lo, row_of, at, 0);
            const VR p = R(probability)(V(load)(e + i), &factor, 0);
            V(store)(f->e + i, v);
            V(stream)(to + i, p);
        }
    }
}

/* Whether c did for all rows of these sums. None is below `least`, as the largest exponential is at least the mean; the
 * largest n may be an eighth below that, as all of float32 have a factor of 1.09. Nor is one above `most`, which is for
 * factors to be normal numbers. */
static int R(are_reached)(const double *sum_hi, intptr_t n_rows, intptr_t n, int is_low) {
    const vd least = vd_set1((double)n * SCALE * two_to(is_low ? 0 : ABOVE - REACH));
    const vd most = vd_set1(is_low ? INFINITY : (double)n * SCALE * two_to(MOST_ABOVE + 1));
    v_mask is_bad = vd_not_le(vd_set1(0), vd_set1(0));
    for (intptr_t c = 0; c < n_rows; c += VD_LANES) {
        const vd sum = vd_load(sum_hi + c);
        is_bad = v_mask_or(is_bad, v_mask_or(vd_not_le(least, sum), vd_not_le(sum, most)));
    }
    return !v_mask_any(is_bad);
}

/* Exponentials over the sums of their rows; past the cache if their place begins with a line of it. `comes_near`: what
 * was fetched to L2 meanwhile comes to L1. */
TS_INLINE void R(adjacent_divide_by)(const R(dividends) * d, ts_type type, int is_low, int past_cache, int comes_near,
                                     const REAL *row_of) {
    const R(adjacent) *f = &d->f;
    for (intptr_t row = 0; row < f->n_rows; row += LANES) {
        const VR row_hi = V(load)(d->hi + row), row_lo = V(load)(d->lo + row);
        for (intptr_t i = row * f->n, at = 0; at < f->n * LANES; i += LANES, at += LANES) {
            if (past_cache && comes_near && i % LINE == 0)
                fetch_ahead(R(next_rows)(f, sizeof(REAL), i * (intptr_t)sizeof(REAL)));
            const R(factor) factor = R(factor_at)(row_hi, row_lo, row_of, at, is_low);
            const VR p = R(probability)(V(load)(f->e + i), &factor, is_low);
            if (past_cache)
                V(stream)((REAL *)d->to + i, p);
            else
                R(store_typed)(d->to, i, type, p);
        }
    }
}

TS_INLINE void R(adjacent_divide)(const R(dividends) * d, ts_type type, int past_cache, int comes_near,
                                  const REAL *row_of) {
    if (d->is_low)
        R(adjacent_divide_by)(d, type, 1, past_cache, comes_near, row_of);
    else
        R(adjacent_divide_by)(d, type, 0, past_cache, comes_near, row_of);
}

/* Exponentials of a c that did for all rows, which is returned, and their sums; NaN if there is none. `before`, unless
 * it is NULL: as many rows, divided meanwhile at the first try, of which there are none left then; if no c was tried,
 * they are still there. A guess that does not do costs exponentials and sums that are made again. */
TS_INLINE double R(adjacent_exp_sums)(const R(adjacent) * f, const tempering *k, ts_type type, const char *to,
                                      int past_cache, R(dividends) * before, int comes_near, double *sum_hi,
                                      double *sum_lo, int *is_low, R(scratch) * s) {
    for (int is_guess = !isnan(s->guess) && is_time_to_try(&s->guesses);; is_guess = 0) {
        R(seen) seen = R(nothing_seen)();
        *is_low = 0;
        const double c = is_guess ? s->guess : R(adjacent_exponent)(f, k, type, 0, is_low);
        if (isnan(c))
            return NAN;
        if (before && before->f.n_rows > 0) {
            R(exp_and_divide)(f, k, c, before, f->n >= FEWEST_FAR, comes_near, s->row_of, &seen);
            before->f.n_rows = 0;
        } else {
            R(adjacent_exp)(f, k, type, c, to, past_cache, &seen);
        }
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
    return is_time_to_try(&s->tries);
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

/* Whether what was fetched to L2 comes to L1 while rows are divided. */
static inline int R(comes_near)(const ts_rows *rows) {
    return rows->past_cache == TS_PAST_READ_TWICE && rows->n_categories >= FEWEST_FAR;
}

/* A tile from row `first` on, ready to be divided; 0 if no c did. */
TS_INLINE int R(adjacent_dividends)(const ts_rows *rows, intptr_t first, ts_type type, int past_cache,
                                    R(dividends) * before, int comes_near, R(dividends) * d, R(scratch) * s) {
    const tempering *k = R(tempering_for)(s, temperature_of(rows, first));
    double sum_hi[ADJACENT_MOST], sum_lo[ADJACENT_MOST];
    d->f = R(adjacent_at)(rows, first, 16, s->turned);
    d->to = rows->out.data + first * rows->out_step;
    const double c = R(adjacent_exp_sums)(&d->f, k, type, past_cache ? NULL : d->to, past_cache, before, comes_near,
                                          sum_hi, sum_lo, &d->is_low, s);
    if (isnan(c))
        return 0;
    R(set_row_of)(d->f.n, s);
    d->is_low |= !R(inverses)(sum_hi, sum_lo, (int)d->f.n_rows, 0, LEAST_LO, d->hi, d->lo);
    if (d->is_low)
        R(inverses)(sum_hi, sum_lo, (int)d->f.n_rows, LEAST_DOWN, 0, d->hi, d->lo);
    return 1;
}

/* softmax of a tile from row `first` on; how many rows were taken. */
TS_INLINE intptr_t R(softmax_adjacent_as)(const ts_rows *rows, intptr_t first, ts_type type, int past_cache,
                                          R(scratch) * s) {
    R(dividends) d;
    if (!remember(R(adjacent_dividends)(rows, first, type, past_cache, NULL, 0, &d, s), &s->tries))
        return 0;
    if (!past_cache) {
        R(adjacent_divide)(&d, type, 0, 0, s->row_of);
    } else {
        REAL *const to = (REAL *)d.to;
        d.to = (char *)d.f.e;
        R(adjacent_divide)(&d, PLAIN, 0, 0, s->row_of);
        R(copy_past_cache)(d.f.e, d.f.n * d.f.n_rows, to);
    }
    return d.f.n_rows;
}

/* Each by itself: of many loops in one function a compiler keeps too little in registers. */
TS_APART intptr_t R(softmax_adjacent_in_cache)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    return R(softmax_adjacent_as)(rows, first, PLAIN, 0, s);
}

TS_APART intptr_t R(softmax_adjacent_past_cache)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    return R(softmax_adjacent_as)(rows, first, PLAIN, 1, s);
}

/* The same of all tiles from `first` on, whose results begin with a line of the cache, up to the first for which no c
 * did. Each is divided while the exponentials of the next are made, in their place. */
TS_APART intptr_t R(softmax_adjacent_tiles)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    const int comes_near = R(comes_near)(rows);
    R(dividends) tiles[2];
    intptr_t i = first;
    tiles[0].f.n_rows = tiles[1].f.n_rows = 0;
    for (int does = 1, turn = 0; does && rows->n_rows - i >= 16; turn = !turn) {
        R(dividends) *const d = &tiles[turn], *const before = &tiles[!turn];
        if (before->f.n_rows > 0 &&
            (before->is_low || before->f.n_rows != R(adjacent_at)(rows, i, 16, s->turned).n_rows)) {
            R(adjacent_divide)(before, PLAIN, 1, comes_near, s->row_of);
            before->f.n_rows = 0;
        }
        does = remember(R(adjacent_dividends)(rows, i, PLAIN, 1, before, comes_near, d, s), &s->tries);
        d->f.n_rows = does ? d->f.n_rows : 0;
        i += d->f.n_rows;
    }
    for (int turn = 0; turn < 2; turn++)
        if (tiles[turn].f.n_rows > 0)
            R(adjacent_divide)(&tiles[turn], PLAIN, 1, 0, s->row_of);
    return i - first;
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
    if (!rows->past_cache)
        return R(softmax_adjacent_in_cache)(rows, first, s);
    const int is_on_line = R(before_line)((REAL *)(rows->out.data + first * rows->out_step)) == 0;
    return (is_on_line ? R(softmax_adjacent_tiles) : R(softmax_adjacent_past_cache))(rows, first, s);
}
