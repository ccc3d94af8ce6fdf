/* Exponentials over their sum, while the exponentials of what comes next are made: the one waits for memory and the
 * other for arithmetic. For REAL, by inclusion.
 */

/* 2^-depth / sum of a block as hi + lo; where hi or lo would be lost in subnormals, exponentials are taken down by a
 * step first, and the factor is larger by as much. */
typedef struct {
    VR hi, lo;
    int two_steps;
} R(factor);

/* 1 / sum. For float32 the quotient is of floats, which takes half the time or less, and what it misses comes from one
 * FMA; together they are good to 2^-46. */
static inline dd R(inverse_of)(dd sum) {
#if TS_REAL == 32
    const double hi = (double)(1.0f / (float)sum.hi);
    return (dd){hi, fma(-hi, sum.hi, 1.0) * hi};
#else
    return dd_inverse(sum);
#endif
}

/* Of a row of one block, from its sum. */
static inline R(factor) R(factor_of_one_block)(dd sum) {
    const R(split) f = R(split_of)(R(inverse_of)(sum));
    return (R(factor)){V(set1)(f.hi), V(set1)(f.lo), 0};
}

TS_INLINE VR R(probability)(VR e, const R(factor) * f, int two_steps) {
    if (two_steps)
        e = V(mul)(e, V(set1)(STEP_DOWN));
    return V(fma)(e, f->hi, V(mul)(e, f->lo));
}

/* Numbers from p on before the first line of the cache that is theirs alone. */
static inline intptr_t R(before_line)(const REAL *p) { return (intptr_t)(-(uintptr_t)p % TS_LINE / sizeof(REAL)); }

#define LINE (TS_LINE / (intptr_t)sizeof(REAL)) /* numbers in a line of the cache */

/* A line of the cache in which one row ends and the next begins: it is written past the cache when it is whole and its
 * numbers have settled, as a load across what was just stored would wait for all stores before it. */
typedef struct {
    REAL numbers[2 * LINE]; /* whole vectors are put there */
    REAL *to;
    intptr_t n; /* numbers from its beginning on */
} R(seam);

/* Write what there is of it. */
static inline void R(close_seam)(R(seam) * seam) {
    for (intptr_t i = 0; i < seam->n; i++)
        seam->to[i] = seam->numbers[i];
    seam->n = 0;
}

/* Exponentials that wait to be divided, of a block. Those of whole rows that follow each other past the cache have a
 * seam. */
typedef struct {
    const REAL *e;
    char *to;
    R(factor) factor;
    intptr_t head; /* numbers before the first line of the cache that is all theirs, if it is written past the cache */
    R(seam) * seam;
} R(undivided);

TS_INLINE void R(divide_at)(const R(undivided) * d, intptr_t at, ts_type type, int past_cache) {
    const VR p = R(probability)(V(load)(d->e + at), &d->factor, 0);
    if (past_cache)
        V(stream)((REAL *)d->to + at, p);
    else
        R(store_typed)(d->to, at, type, p);
}

/* The first or last few, or all. */
TS_INLINE void R(divide_some)(const R(undivided) * d, intptr_t start, intptr_t end, ts_type type) {
    REAL buffer[TS_GROUP + LANES];
    for (intptr_t at = start; at < end; at += TS_GROUP) {
        const intptr_t n = end - at < TS_GROUP ? end - at : TS_GROUP;
        const ts_vector to = {d->to, R(size_of)(type), type};
        REAL *const place = R(place)(&to, at, buffer);
        for (intptr_t i = 0; i < n; i += LANES)
            V(store_up_to)(place + i, n - i, R(probability)(V(load)(d->e + at + i), &d->factor, 0));
        R(store)(&to, at, n, place);
    }
}

/* n numbers of them, less than a line, to the seam from its number `place` on. */
TS_INLINE void R(divide_into_seam)(const R(undivided) * d, intptr_t at, intptr_t n, intptr_t place) {
    for (intptr_t i = 0; i < n; i += LANES)
        V(store)(d->seam->numbers + place + i, R(probability)(V(load)(d->e + at + i), &d->factor, 0));
}

/* The numbers before the first line of the cache. */
TS_INLINE void R(divide_head)(const R(undivided) * d, ts_type type) {
    R(seam) *const seam = d->seam;
    if (!seam || seam->n + d->head != LINE) {
        R(divide_some)(d, 0, d->head, type);
        return;
    }
    R(divide_into_seam)(d, 0, d->head, seam->n);
    seam->n = LINE;
}

/* And those from `at` on to the end of n, past the cache. */
TS_INLINE void R(divide_tail)(const R(undivided) * d, intptr_t at, intptr_t n) {
    R(seam) *const seam = d->seam;
    for (; at + LINE <= n; at += LINE)
        for (intptr_t i = at; i < at + LINE; i += LANES)
            R(divide_at)(d, i, PLAIN, 1);
    if (!seam) {
        R(divide_some)(d, at, n, PLAIN);
        return;
    }
    for (intptr_t i = 0; seam->n == LINE && i < LINE; i += LANES)
        V(stream)(seam->to + i, V(load)(seam->numbers + i));
    seam->to = (REAL *)d->to + at;
    seam->n = n - at;
    R(divide_into_seam)(d, at, n - at, 0);
}

/* The exponentials of a row and what adds up to their sum, while `before` is divided unless that is NULL. */
TS_INLINE R(sum) R(sums_beside)(R(exp_function) exp_of, const char *x, intptr_t n, ts_type type, const R(scale) * scale,
                                R(seen) * seen, REAL *e, const R(undivided) * before, int past_cache) {
    const intptr_t size = R(size_of)(type), head = past_cache && before ? before->head : 0;
    const intptr_t behind = before ? TS_GROUP : SETTLED;
    R(sum) sum = R(sum_zero)();
    intptr_t i = 0;
    if (head)
        R(divide_head)(before, type);
    for (; i + TS_GROUP + head <= n; i += TS_GROUP) {
        for (intptr_t line = 0; line < TS_GROUP * size; line += TS_LINE) {
            fetch_ahead((uintptr_t)x + (uintptr_t)((i + AHEAD) * size + line));
            if (before && !past_cache)
                fetch_to_write((uintptr_t)before->to + (uintptr_t)((i + AHEAD_TO_WRITE) * size + line));
        }
        VR v[TS_GROUP / LANES];
        for (int k = 0; k < TS_GROUP / LANES; k += TOGETHER) {
            for (int j = k; j < k + TOGETHER; j++)
                v[j] = R(load_typed)(x, i + j * LANES, type);
            exp_of(v + k, TOGETHER, scale, seen);
            for (int j = k; j < k + TOGETHER; j++)
                V(store)(e + i + j * LANES, v[j]);
        }
        if (!before && i >= SETTLED)
            R(sum_settled)(&sum, e + i - SETTLED);
        else if (before && i > 0)
            R(sum_group)(&sum, e + i - TS_GROUP);
        for (int k = 0; before && k < TS_GROUP / LANES; k++)
            R(divide_at)(before, i + head + k * LANES, type, past_cache);
    }
    intptr_t summed = i > behind ? i - behind : 0;
    if (before && past_cache)
        R(divide_tail)(before, i + head, n);
    else if (before)
        R(divide_some)(before, i, n, type);
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
                           R(seen) * seen, REAL *e, const R(undivided) * before, int past_cache) {
    R(sum) sum = R(sums_beside)(exp_of, x, n, type, scale, seen, e, before, past_cache);
    return R(sum_total)(&sum);
}

/* A row of several blocks whose exponentials wait: the next block's worth of them, from a line of the cache on. 0 if
 * fewer are left, or if one product does not do for all. */
static int R(next_waiting)(const R(waiting) * row, R(undivided) * next) {
    const REAL *factor = row->factors + 3 * (row->next / TS_BLOCK);
    if (row->next + TS_BLOCK > row->n || factor[0] == 0 || factor[2] != 1)
        return 0;
    if (row->next % TS_BLOCK && memcmp(factor, factor + 3, 3 * sizeof(REAL)) != 0)
        return 0;
    char *const to = row->to + row->next * (intptr_t)sizeof(REAL);
    *next = (R(undivided)){row->e + row->next, to, {V(set1)(factor[0]), V(set1)(factor[1]), 0}, 0, NULL};
    return 1;
}
