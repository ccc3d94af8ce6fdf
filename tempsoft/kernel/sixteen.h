/* Rows of a few groups, 16 together: what there is one of for a row, c and the inverse of the sum, is found for 16
 * rows in lanes, as the chains to find them are longer than the rows. For REAL, by inclusion.
 *
 * The same bits as a row by itself. Sixteen of which one is not for the fast formula are taken one by one.
 */

#define FEWEST_TOGETHER 32 /* rows of a batch of which 16 are worked on together */

/* The largest numbers of the vectors of a group, in lanes; they are used up. */
TS_INLINE VR R(max_of_group)(VR max[TS_GROUP / LANES]) {
    for (int width = TS_GROUP / LANES / 2; width >= 1; width /= 2)
        for (int v = 0; v < width; v++)
            max[v] = V(max)(max[v], max[v + width]);
    return max[0];
}

/* The largest of some groups of a row, in lanes. */
TS_INLINE VR R(max_of_groups)(const char *x, intptr_t n_groups, ts_type type) {
    VR max[TS_GROUP / LANES];
    for (int v = 0; v < TS_GROUP / LANES; v++)
        max[v] = R(load_typed)(x, v * LANES, type);
    for (intptr_t i = TS_GROUP; i < n_groups * TS_GROUP; i += TS_GROUP)
        for (int v = 0; v < TS_GROUP / LANES; v++)
            max[v] = V(max)(R(load_typed)(x, i + v * LANES, type), max[v]);
    return R(max_of_group)(max);
}

/* The largest numbers of a row's first group, in lanes. */
TS_INLINE VR R(first_max)(const char *x, intptr_t n, ts_type type) {
    if (n >= TS_GROUP)
        return R(max_of_groups)(x, 1, type);
    VR max[TS_GROUP / LANES];
    REAL buffer[TS_GROUP] = {0}; /* for compilers that cannot tell what is not read */
    const ts_vector numbers = {(char *)x, ts_size_of(type), type};
    const REAL *first = R(load)(&numbers, 0, n, buffer);
    for (int v = 0; v < TS_GROUP / LANES; v++)
        max[v] = V(load_up_to)(first + v * LANES, n - v * LANES, V(set1)((REAL)-INFINITY));
    return R(max_of_group)(max);
}

/* The largest of each of LANES vectors, a lane each. */
TS_INLINE VR R(largest_of_each)(VR max[LANES]) {
    V(transpose)(max);
    for (int j = 1; j < LANES; j++)
        max[0] = V(max)(max[0], max[j]);
    return max[0];
}

/* The largest number of the first groups of LANES rows, `step` bytes apart, a lane each. */
TS_INLINE VR R(first_max_of_rows)(const char *x, intptr_t step, intptr_t n, ts_type type) {
    VR max[LANES];
    for (int j = 0; j < LANES; j++, x += step)
        max[j] = R(first_max)(x, n, type);
    return R(largest_of_each)(max);
}

typedef struct {
    intptr_t first, n_padded; /* the first row; numbers from row to row of */
    REAL *e;
    REAL round_less_c[16], lowest[16]; /* what their exponentials are made with, */
    REAL hi[16], lo[16];               /* and their factors, */
    int is_low;                        /* for quotients that may be subnormal */
} R(sixteen);

/* c of sixteen rows; 0 if they are declined. */
TS_INLINE int R(begin_sixteen)(R(sixteen) * t, const ts_rows *rows, ts_type type, const tempering *k) {
    const char *x = rows->logits.data + t->first * rows->logits_step;
    const R(temperatures) of = R(temperatures_of_one)(k);
    for (int i = 0; i < 16; i += LANES) {
        const intptr_t step = rows->logits_step;
        double exponent[LANES];
        R(scale) scale;
        const VR max = R(first_max_of_rows)(x + i * step, step, rows->n_categories, type);
        if (v_mask_any(R(exponents_of)(max, &of, exponent)))
            return 0;
        R(set_exponents)(&scale, &of, exponent);
        V(store)(t->round_less_c + i, scale.round_less_c);
        V(store)(t->lowest + i, scale.lowest);
    }
    return 1;
}

/* Whether the exponentials of all sixteen have a meaning: a look at the numbers. */
static int R(are_in_reach)(const R(sixteen) * t, const ts_rows *rows, ts_type type, const tempering *k) {
    REAL buffer[TS_SIXTEEN];
    R(scale) scale = R(scale_of)(k, 0, 0);
    for (int i = 0; i < 16; i++) {
        const ts_vector numbers = {rows->logits.data + (t->first + i) * rows->logits_step, ts_size_of(type), type};
        const REAL *x = R(load)(&numbers, 0, rows->n_categories, buffer);
        scale.round_less_c = V(set1)(t->round_less_c[i]);
        if (R(exceeds)(R(block_max)(x, rows->n_categories), &scale))
            return 0;
    }
    return 1;
}

/* Their exponentials and factors; 0 if they are declined. */
TS_INLINE int R(make_sixteen)(R(sixteen) * t, const ts_rows *rows, ts_type type, const tempering *k) {
    R(scale) scale = R(scale_of)(k, 0, 0);
    R(seen) seen = R(nothing_seen)();
    R(sum) sums[16];
    for (int i = 0; i < 16; i++) {
        const char *x = rows->logits.data + (t->first + i) * rows->logits_step;
        REAL *const e = t->e + i * t->n_padded;
        scale.round_less_c = V(set1)(t->round_less_c[i]);
        scale.lowest = V(set1)(t->lowest[i]);
        sums[i] = R(sums_beside)(R(exp_fast), x, rows->n_categories, type, &scale, &seen, e, NULL, 0, 0);
    }
    double sum_hi[16], sum_lo[16];
    R(put_sums_of_rows)(sums, sum_hi, sum_lo);
    t->is_low = R(inverses_and_range)(sum_hi, sum_lo, 16, !R(is_usual)(&seen), t->hi, t->lo);
    return R(is_usual)(&seen) || R(are_in_reach)(t, rows, type, k);
}

/* softmax of 16 rows from `first` on; 0 if they are declined. */
TS_INLINE int R(softmax_sixteen_as)(const ts_rows *rows, intptr_t first, ts_type type, R(scratch) * s) {
    const tempering k = *R(tempering_for)(s, temperature_of(rows, first));
    const intptr_t n = rows->n_categories;
    R(sixteen) t;
    t.first = first;
    t.n_padded = (n + TS_GROUP - 1) / TS_GROUP * TS_GROUP;
    t.e = s->turned;
    if (!R(begin_sixteen)(&t, rows, type, &k) || !R(make_sixteen)(&t, rows, type, &k))
        return 0;
    for (int i = 0; i < 16; i++) {
        const VR hi = V(set1)(t.hi[i]), lo = V(set1)(t.lo[i]);
        const R(factor) factor = t.is_low ? R(low_factor)(hi, lo) : R(plain_factor)(hi, lo);
        char *const to = rows->out.data + (first + i) * rows->out_step;
        const R(undivided) row = R(undivided_of)(t.e + i * t.n_padded, to, factor, n, 0);
        R(divide_some)(&row, 0, n, type);
    }
    return 1;
}

static int R(softmax_sixteen)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
#if TS_REAL == 32
    if (rows->out.type == TS_F16)
        return R(softmax_sixteen_as)(rows, first, TS_F16, s);
    if (rows->out.type == TS_BF16)
        return R(softmax_sixteen_as)(rows, first, TS_BF16, s);
#endif
    return R(softmax_sixteen_as)(rows, first, PLAIN, s);
}

/* The first row from which on 16 at a time may be taken together; n_rows if there is none. */
static inline intptr_t R(first_together)(const ts_rows *rows) {
    if (rows->n_categories > TS_SIXTEEN || rows->n_rows < FEWEST_TOGETHER)
        return rows->n_rows;
    return rows->past_cache && rows->out.stride && R(is_plain)(&rows->out) ? R(first_on_line)(rows) : 0;
}

/* softmax of rows by sixteens, of adjacent ones as they lie; how many were taken. */
static intptr_t R(softmax_sixteens)(const ts_rows *rows, R(scratch) * s) {
    intptr_t i = 0, next = R(first_together)(rows);
    if (next == rows->n_rows || rows->temperature_step || !R(is_moderate)(R(tempering_for)(s, temperature_of(rows, 0))))
        return 0;
    R(source) row = R(whole)(&rows->logits);
    ts_vector out = rows->out;
    const ts_knobs knobs = no_filters(temperature_of(rows, 0));
    while (i + 16 <= rows->n_rows) {
        if (i == next) {
            intptr_t n_taken = R(softmax_adjacent)(rows, i, s);
            if (n_taken == 0 && R(softmax_sixteen)(rows, i, s))
                n_taken = 16;
            next += n_taken ? n_taken : 16;
            i += n_taken;
            if (n_taken)
                continue;
        }
        row.numbers.data = rows->logits.data + i * rows->logits_step;
        out.data = rows->out.data + i * rows->out_step;
        R(softmax_row)(&row, rows->n_categories, &knobs, &out, s);
        i++;
    }
    return i;
}
