/* Exponentials over their sum, while the exponentials of what comes next are made: the one waits for memory and the
 * other for arithmetic. For REAL, by inclusion.
 */

/* 2^-depth / sum of a block as hi + lo. Where a quotient or part of it may be subnormal, hi and lo are 2^n times that:
 * `least` is 2^n times the smallest normal number, and quotients come down by V(down). */
typedef struct {
    VR hi, lo, least;
    int is_low;
} R(factor);

/* Beside a number, as part of it: no product with it is rounded otherwise for that. Sums of next to nothing beside 1
 * have such inverses, and their quotients would be subnormal for nothing. */
#define NEGLIGIBLE 0x1p-200

/* 1 / sum. For float32 the quotient is of floats, which takes half the time or less, and what it misses comes from one
 * FMA; together they are good to 2^-46. */
static inline dd R(inverse_of)(dd sum) {
#if TS_REAL == 32
    const double hi = (double)(1.0f / (float)sum.hi);
    return (dd){hi, fma(-hi, sum.hi, 1.0) * hi};
#else
    const dd inverse = dd_inverse(sum);
    return (dd){inverse.hi, fabs(inverse.lo) < NEGLIGIBLE * inverse.hi ? 0 : inverse.lo};
#endif
}

/* Whether nothing is subnormal in quotients of usual exponentials by a factor of these parts. */
static inline int R(is_plain_factor)(REAL hi, REAL lo) {
    return fabs((double)lo) >= (double)LEAST_LO || (lo == 0 && hi >= LEAST_LO);
}

/* From hi, lo and `least`. */
static inline R(factor) R(factor_from)(const REAL f[3]) {
    return (R(factor)){V(set1)(f[0]), V(set1)(f[1]), V(set1)(f[2]), f[2] != SMALLEST_NORMAL};
}

static inline R(factor) R(plain_factor)(VR hi, VR lo) { return (R(factor)){hi, lo, V(set1)(SMALLEST_NORMAL), 0}; }

/* Of a row of one block where quotients may be subnormal: hi and lo are 2^LEAST_DOWN times 1 / sum. */
static inline R(factor) R(low_factor)(VR hi, VR lo) {
    return (R(factor)){hi, lo, V(set1)((REAL)(SMALLEST_NORMAL * two_to(LEAST_DOWN))), 1};
}

/* Of a row of one block, from its sum. */
static inline R(factor) R(factor_of_one_block)(dd sum, int is_low) {
    const dd inverse = R(inverse_of)(sum);
    const R(split) f = R(split_of)(inverse);
    if (!is_low && R(is_plain_factor)(f.hi, f.lo))
        return R(plain_factor)(V(set1)(f.hi), V(set1)(f.lo));
    const double up = two_to(LEAST_DOWN);
    const R(split) more = R(split_of)((dd){inverse.hi * up, inverse.lo * up});
    return R(low_factor)(V(set1)(more.hi), V(set1)(more.lo));
}

TS_INLINE VR R(probability)(VR e, const R(factor) * f, int is_low) {
    TS_LOADED(e);
    const VR p = V(fma)(e, f->hi, V(mul)(e, f->lo));
    return is_low ? V(down)(p, f->least) : p;
}

/* Exponentials that wait to be divided, of a block: a head, a body of whole lines of the cache, and a tail. */
typedef struct {
    const REAL *e;
    char *to;
    R(factor) factor;
    intptr_t head, body, n; /* numbers; no head if they do not go past the cache */
} R(undivided);

static inline R(undivided) R(undivided_of)(const REAL *e, char *to, R(factor) factor, intptr_t n, int past_cache) {
    const intptr_t before = past_cache ? R(before_line)((REAL *)to) : 0, head = before < n ? before : n;
    return (R(undivided)){e, to, factor, head, (n - head) / LINE * LINE, n};
}

TS_INLINE void R(divide_at)(const R(undivided) * d, intptr_t at, ts_type type, int past_cache, int is_low) {
    R(put_typed)(d->to, at, type, past_cache, R(probability)(V(load)(d->e + at), &d->factor, is_low));
}

/* The first or last few, or all, and not past the cache. */
TS_INLINE void R(divide_some)(const R(undivided) * d, intptr_t start, intptr_t end, ts_type type) {
    REAL buffer[TS_GROUP + LANES];
    for (intptr_t at = start; at < end; at += TS_GROUP) {
        const intptr_t n = end - at < TS_GROUP ? end - at : TS_GROUP;
        const ts_vector to = {d->to, ts_size_of(type), type};
        REAL *const place = R(place)(&to, at, buffer);
        for (intptr_t i = 0; i < n; i += LANES)
            V(store_up_to)(place + i, n - i, R(probability)(V(load)(d->e + at + i), &d->factor, d->factor.is_low));
        R(store)(&to, at, n, place);
    }
}

/* n numbers of them, less than a line, to `place`. */
TS_INLINE void R(divide_few)(const R(undivided) * d, intptr_t at, intptr_t n, REAL *place) {
    for (intptr_t i = 0; i < n; i += LANES)
        V(store_up_to)(place + i, n - i, R(probability)(V(load)(d->e + at + i), &d->factor, d->factor.is_low));
}

/* The head, and the tail: past the cache if there is a seam. */
TS_INLINE void R(divide_head)(const R(undivided) * d, R(seam) * seam) {
    if (d->head)
        R(divide_few)(d, 0, d->head, R(head_place)(seam, (REAL *)d->to, d->head));
}

TS_INLINE void R(divide_tail)(const R(undivided) * d, ts_type type, R(seam) * seam) {
    const intptr_t at = d->head + d->body, n = d->n - at;
    if (seam)
        R(divide_few)(d, at, n, R(tail_place)(seam, (REAL *)d->to + at, n));
    else
        R(divide_some)(d, at, d->n, type);
}

TS_INLINE void R(divide_all)(const R(undivided) * d, ts_type type, R(seam) * seam) {
    if (!seam) {
        R(divide_some)(d, 0, d->n, type);
        return;
    }
    R(divide_head)(d, seam);
    for (intptr_t at = d->head; at < d->head + d->body; at += LANES)
        R(divide_at)(d, at, type, 1, d->factor.is_low);
    R(divide_tail)(d, type, seam);
}

/* None that waits beside others to go past the cache may be low: so much more to do there would cost all rows. */
TS_INLINE void R(divide_group)(const R(undivided) * d, intptr_t at, ts_type type, int past_cache) {
    const int is_low = !past_cache && d->factor.is_low;
    for (int k = 0; !is_low && k < TS_GROUP; k += LANES)
        R(divide_at)(d, d->head + at + k, type, past_cache, 0);
    for (int k = 0; is_low && k < TS_GROUP; k += LANES)
        R(divide_at)(d, d->head + at + k, type, past_cache, 1);
}

/* Groups of the row before are divided so many numbers behind those read where memory is not waited for, as its factor
 * ends a long chain. */
#define LATE TS_GROUP

/* Loads wait for stores a little before them in a page of 4096 bytes, whichever page: where logits at x are read less
 * than this behind what is written past the cache, groups are divided from another one on. */
#define NEAR_BEHIND (4 * TS_GROUP)

static inline intptr_t R(first_divided)(const char *x, const R(undivided) * d) {
    const intptr_t near = NEAR_BEHIND * (intptr_t)sizeof(REAL);
    const uintptr_t behind = ((uintptr_t)d->to + (uintptr_t)d->head * sizeof(REAL) - (uintptr_t)x) % 4096;
    return behind > 0 && behind < (uintptr_t)near && d->body >= NEAR_BEHIND + TS_GROUP ? NEAR_BEHIND : 0;
}

/* Where of the body a number is divided that is the at-th to be: whole groups go round, from `turn` on. */
static inline intptr_t R(place_in_turn)(intptr_t at, intptr_t turn, intptr_t whole) {
    return at >= whole ? at : at + turn < whole ? at + turn : at + turn - whole;
}

/* The exponentials of a row and what adds up to their sum, while the body of `before` is divided unless that is NULL.
 * `in_place`: they take the place of those, or of some before them. */
TS_INLINE R(sum) R(sums_beside)(R(exp_function) exp_of, const char *x, intptr_t n, ts_type type, const R(scale) * scale,
                                R(seen) * seen, REAL *e, const R(undivided) * before, int past_cache, int in_place) {
    const intptr_t size = ts_size_of(type);
    const intptr_t head = before ? before->head : 0, body = before ? before->body : 0;
    const intptr_t whole = body / TS_GROUP * TS_GROUP;
    const intptr_t late = in_place || past_cache ? 0 : LATE;
    const intptr_t turn = before && past_cache && !in_place ? R(first_divided)(x, before) : 0;
    uintptr_t ahead = (uintptr_t)(AHEAD * size);
    R(sum) sum = R(sum_zero)();
    intptr_t i = 0;
    if (before && past_cache) /* fetched is what lies just behind what is written, in whichever page: a third faster */
        ahead += ((uintptr_t)before->to + (uintptr_t)((head + turn) * size) - (uintptr_t)x + TS_LINE) % 4096;
    for (; i + TS_GROUP <= n; i += TS_GROUP) {
        for (intptr_t line = 0; line < TS_GROUP * size; line += TS_LINE) {
            if ((in_place && past_cache) || past_cache == TS_PAST_READ_TWICE)
                fetch_twice((uintptr_t)x + (uintptr_t)(i * size + line), ahead, size);
            else
                fetch_ahead((uintptr_t)x + (uintptr_t)(i * size + line) + ahead);
            if (before && in_place) /* a row that waits is not in L1 */
                fetch_ahead((uintptr_t)before->e + (uintptr_t)((i + AHEAD_TO_DIVIDE) * size + line));
            if (before && !past_cache)
                fetch_to_write((uintptr_t)before->to + (uintptr_t)((i + AHEAD_TO_WRITE) * size + line));
        }
        if (in_place && i < whole)
            R(divide_group)(before, i, type, past_cache);
        VR v[TS_GROUP / LANES];
        TS_UNROLL
        for (int k = 0; k < TS_GROUP / LANES; k += TOGETHER) {
            const R(settled) settled = {&sum, e, i - SETTLED, k / TOGETHER};
            for (int j = k; j < k + TOGETHER; j++) {
                v[j] = R(load_typed)(x, i + j * LANES, type);
                TS_LOADED(v[j]); /* it may be looked at twice */
            }
            if (i >= SETTLED)
                exp_of(v + k, TOGETHER, scale, seen, &settled);
            else
                exp_of(v + k, TOGETHER, scale, seen, NULL);
            for (int j = k; j < k + TOGETHER; j++)
                V(store)(e + i + j * LANES, v[j]);
        }
        if (!in_place && i >= late && i - late < whole) /* faster here, where it may be */
            R(divide_group)(before, R(place_in_turn)(i - late, turn, whole), type, past_cache);
    }
    const intptr_t divided = i > late ? i - late : 0;
    for (intptr_t at = divided < whole ? divided : whole; at < body; at += LANES)
        R(divide_at)(before, head + R(place_in_turn)(at, turn, whole), type, past_cache,
                     !past_cache && before->factor.is_low);
    intptr_t summed = i > SETTLED ? i - SETTLED : 0;
    if (i < n) {
        REAL buffer[2 * TS_GROUP];
        const ts_vector numbers = {(char *)x, size, type};
        R(exp_span)(exp_of, R(load)(&numbers, i, n - i, buffer), n - i, scale, NULL, seen, e + i);
    }
    for (; summed < n; summed += TS_GROUP)
        R(sum_group)(&sum, e + summed);
    return sum;
}

TS_INLINE dd R(exp_beside)(R(exp_function) exp_of, const char *x, intptr_t n, ts_type type, const R(scale) * scale,
                           R(seen) * seen, REAL *e, const R(undivided) * before, int past_cache, int in_place) {
    R(sum) sum = R(sums_beside)(exp_of, x, n, type, scale, seen, e, before, past_cache, in_place);
    return R(sum_total)(&sum);
}
