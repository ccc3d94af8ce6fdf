/* A row of several blocks whose exponentials wait in scratch memory for their sum, and are divided while those of the
 * next row take their place. For REAL, by inclusion. Leaves to row.h when a block is made.
 */

TS_INLINE void R(scale_block_by)(const REAL *e, intptr_t n, const R(factor) * f, int is_low, REAL *out) {
    intptr_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (int k = 0; k < 4; k++)
            V(store)(out + i + k * LANES, R(probability)(V(load)(e + i + k * LANES), f, is_low));
    for (; i < n; i += LANES) {
        VR last = V(load_up_to)(e + i, n - i, V(set1)(0));
        V(store_up_to)(out + i, n - i, R(probability)(last, f, is_low));
    }
}

static void R(scale_block)(const REAL *e, intptr_t n, R(factor) f, REAL *out) {
    if (f.is_low)
        R(scale_block_by)(e, n, &f, 1, out);
    else
        R(scale_block_by)(e, n, &f, 0, out);
}

/* The same past the cache, but for the numbers that are not whole lines. */
static void R(scale_past_cache)(const REAL *e, intptr_t n, const R(factor) * f, REAL *out) {
    const intptr_t head = R(before_line)(out) < n ? R(before_line)(out) : n;
    const intptr_t tail = head + (n - head) / LINE * LINE;
    R(scale_block)(e, head, *f, out);
    for (intptr_t i = head; i < tail; i += LANES)
        V(stream)(out + i, R(probability)(V(load)(e + i), f, f->is_low));
    R(scale_block)(e + tail, n - tail, *f, out + tail);
}

/* Divide categories `start` to `end` of the row that waits. */
static void R(divide_waiting_some)(intptr_t start, intptr_t end, REAL *to, int past_cache, const R(scratch) * s) {
    const ts_vector out = {(char *)to, sizeof(REAL), PLAIN};
    for (intptr_t at = start; at < end;) {
        const intptr_t b = at / TS_BLOCK, stop = (b + 1) * TS_BLOCK < end ? (b + 1) * TS_BLOCK : end;
        const REAL *f = s->waiting->factors + 3 * b;
        const R(factor) factor = R(factor_from)(f);
        if (f[0] == 0) /* its exponentials may never have been made */
            R(fill)(&out, at - start, stop - start, 0, s->block);
        else if (past_cache)
            R(scale_past_cache)(s->row + at, stop - at, &factor, to + (at - start));
        else
            R(scale_block)(s->row + at, stop - at, factor, to + (at - start));
        at = stop;
    }
}

/* Divide the row that waits from where it was left to `end`, or to the end of it: that in the line it shares with the
 * next row. */
static void R(divide_waiting_to)(intptr_t end, const R(scratch) * s) {
    R(waiting) *const row = s->waiting;
    const intptr_t stop = end < row->tail ? end : row->tail;
    REAL *const to = (REAL *)row->to;
    if (row->next < stop) {
        R(divide_waiting_some)(row->next, stop, to + row->next, s->past_cache, s);
        row->next = stop;
    }
    if (end < row->tail || row->next == row->n)
        return;
    REAL *const tail = to + row->tail;
    REAL *const place = s->past_cache ? R(tail_place)(&row->seam, tail, row->n - row->tail) : tail;
    R(divide_waiting_some)(row->tail, row->n, place, 0, s);
    row->next = row->n;
}

/* All that is left of it. */
static void R(divide_waiting)(const R(scratch) * s) {
    if (s->waiting)
        R(divide_waiting_to)(s->waiting->n, s);
}

/* The same, and the line that no row follows in. */
static void R(end_waiting)(const R(scratch) * s) {
    R(divide_waiting)(s);
    if (s->waiting)
        R(write_seam)(&s->waiting->seam);
}

/* Have a row of n exponentials in s->row wait, whose factors are known: its head is divided. */
static void R(begin_waiting)(REAL *to, intptr_t n, const R(scratch) * s) {
    R(waiting) *const row = s->waiting;
    const intptr_t head = s->past_cache ? R(before_line)(to) : 0;
    row->to = (char *)to;
    row->n = n;
    row->head = row->next = head;
    row->tail = head + (n - head) / LINE * LINE;
    if (head)
        R(divide_waiting_some)(0, head, R(head_place)(&row->seam, to, head), 0, s);
}

/* Make room for the exponentials of categories before `end`. */
static inline void R(make_room)(intptr_t end, const R(scratch) * s) {
    if (s->waiting && s->waiting->next < s->waiting->n)
        R(divide_waiting_to)(end + s->waiting->head, s);
}

/* Exponentials that wait, to be divided beside categories `start` to `end`, which take their place or that of some
 * before them: whole groups. What would be overwritten and is not among them is divided first. 0 if there are none, or
 * if one product does not do for all. */
static int R(next_waiting)(intptr_t start, intptr_t end, const R(scratch) * s, R(undivided) * next) {
    R(waiting) *const row = s->waiting;
    if (row && row->next < start) /* blocks of -inf were passed over */
        R(make_room)(start, s);
    if (!row || row->next >= row->tail)
        return 0;
    const intptr_t most = end - start < row->tail - row->next ? end - start : row->tail - row->next;
    const intptr_t first = row->next, n = most / TS_GROUP * TS_GROUP;
    const REAL *factor = row->factors + 3 * (first / TS_BLOCK), *last = row->factors + 3 * ((first + n - 1) / TS_BLOCK);
    if (n == 0 || factor[0] == 0 || factor[2] != SMALLEST_NORMAL ||
        (last != factor && memcmp(factor, last, 3 * sizeof(REAL)) != 0))
        return 0;
    *next = (R(undivided)){s->row + first, row->to + first * (intptr_t)sizeof(REAL), R(factor_from)(factor), 0, n, n};
    row->next = first + n;
    if (row->next < end)
        R(make_room)(end, s);
    return 1;
}
