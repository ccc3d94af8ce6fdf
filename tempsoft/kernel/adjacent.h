/* Short rows that are adjacent, as in a contiguous array, many together: exponentials and what is divided are taken as
 * they lie, in whole vectors; for the sums of the shortest there is a row in each lane. So are columns of few
 * categories, side by side: each category of many is a piece of memory (few_columns.h). For REAL, by inclusion.
 *
 * The same bits as a row by itself, as exponentials of different c differ by an exact power of two, but for those that
 * stand for 0. One c for all rows does if the largest logit of each is up to REACH bits below the largest of all: c is
 * so much below that where quotients may be subnormal, so that factors are normal numbers, and ABOVE bits elsewhere, as
 * then it will mostly do for the next rows, too. So a c that did is tried again, and the numbers on the way and the
 * sums say whether it does; a look for the largest and the smallest logits takes a tenth of the time. Where no c does,
 * or there is NaN or infinity, nothing was written, and the rows are taken as in short.h, sixteen.h or rows.h.
 */

#define FEWEST_FAR 8 /* categories of rows that are fetched to L2: of fewer the sums take longer than reading */

typedef struct {
    const char *x;
    REAL *e; /* in scratch memory */
    intptr_t n, n_rows;
    int are_columns;
    intptr_t stride; /* of columns: bytes from category to category, which may be 0 */
} R(adjacent);

/* The pieces of memory that they are, one for each category of columns, and the numbers in each; where one begins. */
static inline intptr_t R(n_pieces)(const R(adjacent) * f) { return f->are_columns ? f->n : 1; }
static inline intptr_t R(piece_length)(const R(adjacent) * f) { return f->are_columns ? f->n_rows : f->n * f->n_rows; }
static inline const char *R(piece_at)(const R(adjacent) * f, intptr_t piece) { return f->x + piece * f->stride; }

/* What is fetched while `at` bytes from their beginning are worked on: of the rows so many tiles ahead, or a little
 * behind. */
static inline uintptr_t R(rows_ahead)(const R(adjacent) * f, intptr_t size, int n_tiles, intptr_t at) {
    const intptr_t bytes = f->n * f->n_rows * size;
    if (f->are_columns)
        return (uintptr_t)f->x + (uintptr_t)(n_tiles * f->n_rows * size + at);
    return (uintptr_t)f->x + (uintptr_t)(n_tiles * (bytes > TS_TILES_BYTES ? bytes : TS_TILES_BYTES) + at);
}

/* The smallest is at least so many bits below the largest, or quotients may be subnormal: those of float32 in rows of
 * up to 128, and their part by lo, which is a normal number. */
#define LOW_BELOW (TS_REAL == 32 ? 80 : 768)

/* Bits from c to the largest, where no quotient is subnormal: numbers LOW_BELOW are seen to be usual then. */
#define ABOVE 6

/* A sum of n exponentials is less than n 2^(this + 1), over SCALE: of larger ones lo would often be below LEAST_LO, so
 * that its product with the smallest usual number is not normal. */
#define MOST_ABOVE 9

/* The largest and the smallest so far, with `length` numbers more, a vector at least. */
TS_INLINE void R(look_at)(const char *x, intptr_t length, ts_type type, VR max[2], VR min[2]) {
    for (intptr_t i = 0; i + 2 * LANES <= length; i += 2 * LANES)
        for (int j = 0; j < 2; j++) {
            const VR v = R(load_typed)(x, i + j * LANES, type);
            max[j] = V(max)(v, max[j]);
            min[j] = V(min)(v, min[j]);
        }
    const VR last = R(load_typed)(x, length - LANES, type);
    max[0] = V(max)(last, max[0]);
    min[0] = V(min)(last, min[0]);
}

/* A c for all of them, from the largest, and whether quotients may be subnormal; NaN if it cannot be, or if
 * exponentials are to be above 2^(UNDERFLOW / 2) and not all are. */
TS_INLINE double R(adjacent_exponent)(const R(adjacent) * f, const tempering *k, ts_type type, int are_all,
                                      int *is_low) {
    VR max[2], min[2];
    max[0] = max[1] = min[0] = min[1] = R(load_typed)(f->x, 0, type);
    for (intptr_t piece = 0; piece < R(n_pieces)(f); piece++)
        R(look_at)(R(piece_at)(f, piece), R(piece_length)(f), type, max, min);
    const double highest = R(exponent_of)((double)V(largest)(V(max)(max[0], max[1])), k);
    if (!(fabs(highest) < LARGEST_EXPONENT - REACH + UNDERFLOW)) /* so that this holds for c of every row */
        return NAN;
    const double below = are_all ? highest - REACH + UNDERFLOW / 2 : highest - LOW_BELOW;
    const VR least = V(set1)((REAL)(below * LOG_2_HI * k->temperature));
    *is_low = v_mask_any(V(not_le)(least, V(min)(min[0], min[1])));
    return are_all && *is_low ? NAN : highest - (are_all || *is_low ? REACH : ABOVE);
}

/* Their exponentials of that c, while the place for results, unless that is NULL, is fetched to be written. If there is
 * none, or results go past the cache, more time goes by reading, and what is read goes to L2 first. */
TS_INLINE void R(adjacent_exp)(const R(adjacent) * f, const tempering *k, ts_type type, double c, const char *to,
                               int past_cache, R(seen) * seen) {
    const intptr_t length = R(piece_length)(f), size = ts_size_of(type);
    const int is_far = past_cache && f->n >= FEWEST_FAR, is_twice = !past_cache && !to;
    const R(scale) scale = R(scale_of)(k, c, 0);
    for (intptr_t piece = 0; piece < R(n_pieces)(f); piece++) {
        const char *const x = R(piece_at)(f, piece);
        REAL *const e = f->e + piece * length;
        intptr_t i = 0;
        for (; i + TOGETHER * LANES <= length; i += TOGETHER * LANES) {
            VR v[TOGETHER];
            for (intptr_t line = 0; line < TOGETHER * LANES * size; line += TS_LINE) {
                const intptr_t at = piece * f->stride + i * size + line;
                if (is_twice || is_far) /* more is under way there than to L1 */
                    fetch_far(R(rows_ahead)(f, size, is_twice ? 2 : 1, at));
                if (!is_far)
                    fetch_ahead(R(rows_ahead)(f, size, 1, at));
                if (to)
                    fetch_to_write((uintptr_t)to + (uintptr_t)(i * size + line));
            }
            for (int j = 0; j < TOGETHER; j++)
                v[j] = R(load_typed)(x, i + j * LANES, type);
            R(exp_fast)(v, TOGETHER, &scale, seen, NULL);
            for (int j = 0; j < TOGETHER; j++)
                V(store)(e + i + j * LANES, v[j]);
        }
        for (; i < length; i += LANES) {
            VR v = R(load_typed)(x, i, type);
            R(exp_fast)(&v, 1, &scale, seen, NULL);
            V(store)(e + i, v);
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

/* Whether the results of row i begin with a line of the cache. */
static inline int R(is_on_line)(const ts_rows *rows, intptr_t i) {
    return ((uintptr_t)rows->out.data + (uintptr_t)(rows->out_step * i)) % TS_LINE == 0;
}

/* The first row of which they do, so that all tiles from it on do; 0 if there is none. */
static intptr_t R(first_on_line)(const ts_rows *rows) {
    for (intptr_t i = 0; i < LINE; i++)
        if (R(is_on_line)(rows, i))
            return i;
    return 0;
}

/* Whether rows are adjacent, and it is time to try. */
static int R(are_adjacent)(const ts_rows *rows, R(scratch) * s) {
    if (rows->logits_step != rows->n_categories * ts_size_of(rows->logits.type) || rows->temperature_step != 0 ||
        !R(is_moderate)(R(tempering_for)(s, temperature_of(rows, 0))))
        return 0;
    return is_time_to_try(&s->tries);
}

/* R(name) of rows from `first` on, made of the inline R(name##_of), for each type of logits by itself: of many loops in
 * one function a compiler keeps too little in registers. */
#define OF_TYPE(name, suffix, type)                                                                                    \
    TS_APART intptr_t R(name##_##suffix)(const ts_rows *rows, intptr_t first, R(scratch) * s) {                        \
        return R(name##_of)(rows, first, type, s);                                                                     \
    }
#undef OF_EACH_TYPE
#if TS_REAL == 32
#define OF_EACH_TYPE(name)                                                                                             \
    OF_TYPE(name, plain, PLAIN)                                                                                        \
    OF_TYPE(name, f16, TS_F16)                                                                                         \
    OF_TYPE(name, bf16, TS_BF16)                                                                                       \
    static intptr_t R(name)(const ts_rows *rows, intptr_t first, R(scratch) * s) {                                     \
        const ts_type type = rows->logits.type;                                                                        \
        return (type == TS_F16 ? R(name##_f16) : type == TS_BF16 ? R(name##_bf16) : R(name##_plain))(rows, first, s);  \
    }
#else
#define OF_EACH_TYPE(name)                                                                                             \
    OF_TYPE(name, plain, PLAIN)                                                                                        \
    static intptr_t R(name)(const ts_rows *rows, intptr_t first, R(scratch) * s) {                                     \
        return R(name##_plain)(rows, first, s);                                                                        \
    }
#endif

/* Rows from `first` on, a multiple of `unit`: as many as stay in L1. */
static inline R(adjacent) R(adjacent_at)(const ts_rows *rows, intptr_t first, intptr_t unit, REAL *e) {
    const intptr_t n = rows->n_categories, fit = TS_TILES_BYTES / (n * (intptr_t)sizeof(REAL));
    const intptr_t most = fit < unit ? unit : fit < ADJACENT_MOST ? fit : ADJACENT_MOST, left = rows->n_rows - first;
    const char *const x = rows->logits.data + first * rows->logits_step;
    return (R(adjacent)){x, e, n, (left < most ? left : most) / unit * unit, 0, 0};
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
