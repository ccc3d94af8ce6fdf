/* Rows of one block, one after another: softmax and logsumexp of what a batch is mostly made of. For REAL, by inclusion.
 *
 * The same formula, order of additions and bits as a row by itself, in another order of work: a row is divided by its sum
 * while the exponentials of the next are made, because the one waits for memory and the other for arithmetic; and the
 * logarithms of many sums are taken together, as each is a long chain. A row that is not for the fast formula, or whose c
 * is not that of its first group, goes to the function for any row.
 */

#define AHEAD 2048 /* numbers, from those worked on to those fetched */
#define LOGS_TOGETHER 16
#define FEWEST_PAST_CACHE 1024 /* bytes from row to row: of shorter ones too many lines are not whole */

/* Whether the rows are contiguous, at most a block and without filters. */
static int R(are_short)(const ts_rows *rows) {
    const intptr_t size = R(size_of)(rows->logits.type);
    const int is_like = rows->out.stride == 0 || (rows->out.stride == size && rows->out.type == rows->logits.type);
    return !rows->top_k && rows->n_categories > 1 && rows->n_categories <= TS_BLOCK && rows->n_rows > 1 &&
           rows->logits.stride == size && is_like;
}

/* Exponentials that wait to be divided. */
typedef struct {
    const REAL *e;
    char *to;
    R(factor) factor;
    intptr_t head; /* numbers before the first line of the cache that is all theirs, if it is written past the cache */
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

/* The exponentials of a row and their sum, while `before` is divided unless that is NULL. */
TS_INLINE dd R(exp_beside)(R(exp_function) exp_of, const char *x, intptr_t n, ts_type type, const R(scale) * scale,
                           R(seen) * seen, REAL *e, const R(undivided) * before, int past_cache) {
    const intptr_t size = R(size_of)(type), head = past_cache && before ? before->head : 0;
    R(sum) sum = R(sum_zero)();
    intptr_t i = 0;
    if (head)
        R(divide_some)(before, 0, head, type);
    for (; i + TS_GROUP + head <= n; i += TS_GROUP) {
        for (intptr_t line = 0; line < TS_GROUP * size; line += TS_LINE) {
            fetch_ahead((uintptr_t)x + (uintptr_t)((i + AHEAD) * size + line));
            if (before && !past_cache)
                fetch_to_write((uintptr_t)before->to + (uintptr_t)((i + AHEAD) * size + line));
        }
        VR v[TS_GROUP / LANES];
        for (int k = 0; k < TS_GROUP / LANES; k += TOGETHER) {
            for (int j = k; j < k + TOGETHER; j++)
                v[j] = R(load_typed)(x, i + j * LANES, type);
            exp_of(v + k, TOGETHER, scale, seen);
            for (int j = k; j < k + TOGETHER; j++)
                V(store)(e + i + j * LANES, v[j]);
        }
        if (i > 0)
            R(sum_group)(&sum, e + i - TS_GROUP);
        for (int k = 0; before && k < TS_GROUP / LANES; k++)
            R(divide_at)(before, i + head + k * LANES, type, past_cache);
    }
    intptr_t summed = i > 0 ? i - TS_GROUP : 0;
    if (before)
        R(divide_some)(before, i + head, n, type);
    if (i < n) {
        REAL buffer[2 * TS_GROUP];
        const ts_vector numbers = {(char *)x, size, type};
        R(exp_span)(exp_of, R(load)(&numbers, i, n - i, buffer), n - i, scale, NULL, seen, e + i);
    }
    for (; summed < n; summed += TS_GROUP)
        R(sum_group)(&sum, e + summed);
    return R(sum_total)(&sum);
}

/* c of a row, and whether it may be for the fast formula. */
TS_INLINE int R(begins_fast)(const char *x, intptr_t n, ts_type type, const tempering *k, double *c) {
    REAL buffer[TS_GROUP];
    const ts_vector numbers = {(char *)x, R(size_of)(type), type};
    const intptr_t n_first = n < TS_GROUP ? n : TS_GROUP;
    if (!R(is_moderate)(k))
        return 0;
    *c = R(first_exponent)(R(load)(&numbers, 0, n_first, buffer), n_first, k);
    return fabs(*c) < LARGEST_EXPONENT;
}

TS_INLINE void R(softmax_rows_of)(const ts_rows *rows, ts_type type, int past_cache, R(scratch) * s) {
    const intptr_t n = rows->n_categories;
    R(source) row = R(whole)(&rows->logits);
    ts_vector out = rows->out;
    ts_knobs knobs = {0, 0, 1, 0, 0};
    R(undivided) waiting = {NULL, NULL, {V(set1)(0), V(set1)(0), 0}, 0};
    int is_waiting = 0;
    for (intptr_t i = 0; i < rows->n_rows; i++) {
        const char *x = rows->logits.data + rows->logits_step * i;
        REAL *const e = i & 1 ? s->block : s->weights;
        const tempering *k = R(tempering_for)(s, temperature_of(rows, i));
        R(seen) seen = R(nothing_seen)();
        double c;
        dd sum;
        int is_fast = R(begins_fast)(x, n, type, k, &c);
        if (is_fast) {
            const R(scale) scale = R(scale_of)(k, c, 0);
            if (is_waiting)
                sum = R(exp_beside)(R(exp_fast), x, n, type, &scale, &seen, e, &waiting, past_cache);
            else
                sum = R(exp_beside)(R(exp_fast), x, n, type, &scale, &seen, e, NULL, past_cache);
            is_waiting = 0;
            is_fast = !R(exceeded)(&seen);
        }
        out.data = rows->out.data + rows->out_step * i;
        if (is_fast) {
            const dd inverse = dd_inverse(sum);
            const REAL hi = (REAL)inverse.hi, lo = (REAL)((inverse.hi - hi) + inverse.lo);
            const intptr_t head = R(before_line)((REAL *)out.data);
            waiting = (R(undivided)){e, out.data, {V(set1)(hi), V(set1)(lo), 0}, head < n ? head : n};
            is_waiting = 1;
            continue;
        }
        if (is_waiting)
            R(divide_some)(&waiting, 0, n, type);
        is_waiting = 0;
        row.numbers.data = (char *)x;
        knobs.temperature = temperature_of(rows, i);
        R(softmax_row)(&row, n, &knobs, &out, s);
    }
    if (is_waiting)
        R(divide_some)(&waiting, 0, n, type);
}

static void R(softmax_rows)(const ts_rows *rows, R(scratch) * s) {
    const int is_long = rows->out_step >= FEWEST_PAST_CACHE;
    if (rows->past_cache && is_long && R(is_plain)(&rows->out))
        R(softmax_rows_of)(rows, PLAIN, 1, s);
    else if (R(is_plain)(&rows->out))
        R(softmax_rows_of)(rows, PLAIN, 0, s);
#if TS_REAL == 32
    else if (rows->out.type == TS_F16)
        R(softmax_rows_of)(rows, TS_F16, 0, s);
    else
        R(softmax_rows_of)(rows, TS_BF16, 0, s);
#endif
}

TS_INLINE void R(logsumexp_rows_of)(const ts_rows *rows, ts_type type, R(scratch) * s) {
    const intptr_t n = rows->n_categories;
    R(source) row = R(whole)(&rows->logits);
    ts_vector out = rows->out;
    ts_knobs knobs = {0, 0, 1, 0, 0};
    for (intptr_t first = 0; first < rows->n_rows; first += LOGS_TOGETHER) {
        const intptr_t end = rows->n_rows - first < LOGS_TOGETHER ? rows->n_rows - first : LOGS_TOGETHER;
        double max[LOGS_TOGETHER], exponent[LOGS_TOGETHER];
        tempering temperings[LOGS_TOGETHER];
        dd sum[LOGS_TOGETHER];
        int is_fast[LOGS_TOGETHER];
        for (intptr_t i = 0; i < end; i++) {
            const char *x = rows->logits.data + rows->logits_step * (first + i);
            const tempering *k = R(tempering_for)(s, temperature_of(rows, first + i));
            R(seen) seen = R(nothing_seen)();
            if (rows->temperature_step || i == 0)
                temperings[i] = *k;
            is_fast[i] = R(begins_fast)(x, n, type, k, &exponent[i]);
            if (!is_fast[i])
                continue;
            const R(scale) scale = R(scale_of)(k, exponent[i], 0);
            sum[i] = R(exp_beside)(R(exp_fast_max), x, n, type, &scale, &seen, s->weights, NULL, 0);
            is_fast[i] = !R(exceeded)(&seen);
            max[i] = (double)V(largest)(seen.x);
        }
        for (intptr_t i = 0; i < end; i++) {
            out.data = rows->out.data + rows->out_step * (first + i);
            if (is_fast[i]) {
                ts_plan plan = {.kind = TS_ORDINARY, .formula = TS_FAST, .max = max[i], .exponent = exponent[i]};
                plan.k = &temperings[rows->temperature_step ? i : 0];
                R(set_sum)(&plan, sum[i]);
                *(REAL *)out.data = R(logsumexp_of)(&plan, NULL, NULL);
                continue;
            }
            row.numbers.data = rows->logits.data + rows->logits_step * (first + i);
            knobs.temperature = temperature_of(rows, first + i);
            R(logsumexp_row)(&row, n, &knobs, &out, s);
        }
    }
}

static void R(logsumexp_rows)(const ts_rows *rows, R(scratch) * s) {
    if (R(is_plain)(&rows->logits))
        R(logsumexp_rows_of)(rows, PLAIN, s);
#if TS_REAL == 32
    else if (rows->logits.type == TS_F16)
        R(logsumexp_rows_of)(rows, TS_F16, s);
    else
        R(logsumexp_rows_of)(rows, TS_BF16, s);
#endif
}
