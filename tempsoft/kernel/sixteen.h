/* Rows of a few groups, 16 together: what there is one of for a row, c and the inverse of the sum, is found for 16
 * rows in lanes, as the chains to find them are longer than the rows. For REAL, by inclusion.
 *
 * The same bits as a row by itself. Sixteen of which one is not for the fast formula are taken one by one.
 */

/* The largest numbers of a row's first group, in lanes. */
TS_INLINE VR R(first_max)(const char *x, intptr_t n, ts_type type) {
    VR max[TS_GROUP / LANES];
    if (n >= TS_GROUP) {
        for (int v = 0; v < TS_GROUP / LANES; v++)
            max[v] = R(load_typed)(x, v * LANES, type);
    } else {
        REAL buffer[TS_GROUP];
        const ts_vector numbers = {(char *)x, R(size_of)(type), type};
        const REAL *first = R(load)(&numbers, 0, n, buffer);
        for (int v = 0; v < TS_GROUP / LANES; v++)
            max[v] = V(load_up_to)(first + v * LANES, n - v * LANES, V(set1)((REAL)-INFINITY));
    }
    for (int width = TS_GROUP / LANES / 2; width >= 1; width /= 2)
        for (int v = 0; v < width; v++)
            max[v] = V(max)(max[v], max[v + width]);
    return max[0];
}

/* Sixteen rows whose exponentials wait to be divided. */
typedef struct {
    intptr_t first, n_padded; /* the first row; numbers from row to row of */
    REAL *e;
    REAL round_less_c[16], lowest[16]; /* what their exponentials are made with, */
    REAL hi[16], lo[16];               /* and their factors */
} R(sixteen);

/* Row i of them. */
static inline R(undivided) R(row_of_sixteen)(const R(sixteen) * t, int i, const ts_rows *rows, int past_cache) {
    const R(factor) factor = {V(set1)(t->hi[i]), V(set1)(t->lo[i]), 0};
    char *const to = rows->out.data + (t->first + i) * rows->out_step;
    return R(undivided_of)(t->e + i * t->n_padded, to, factor, rows->n_categories, past_cache);
}

/* c of sixteen rows; 0 if they are declined. */
TS_INLINE int R(begin_sixteen)(R(sixteen) * t, const ts_rows *rows, ts_type type, const tempering *k) {
    const char *x = rows->logits.data + t->first * rows->logits_step;
    for (int i = 0; i < 16; i += LANES) {
        VR max[LANES];
        double exponent[LANES];
        R(scale) scale;
        for (int j = 0; j < LANES; j++)
            max[j] = R(first_max)(x + (i + j) * rows->logits_step, rows->n_categories, type);
        V(transpose)(max);
        for (int j = 1; j < LANES; j++)
            max[0] = V(max)(max[0], max[j]);
        if (v_mask_any(R(exponents_of)(max[0], k, exponent)))
            return 0;
        R(set_exponents)(&scale, k, exponent);
        V(store)(t->round_less_c + i, scale.round_less_c);
        V(store)(t->lowest + i, scale.lowest);
    }
    return 1;
}

/* Their exponentials and factors, while those before are divided unless there are none; 0 if they are declined. */
TS_INLINE int R(make_sixteen)(R(sixteen) * t, const ts_rows *rows, ts_type type, const tempering *k,
                              const R(sixteen) * before, int past_cache, R(seam) * seam) {
    R(scale) scale = R(scale_of)(k, 0, 0);
    R(seen) seen = R(nothing_seen)();
    R(sum) sums[16];
    for (int i = 0; i < 16; i++) {
        const char *x = rows->logits.data + (t->first + i) * rows->logits_step;
        REAL *const e = t->e + i * t->n_padded;
        scale.round_less_c = V(set1)(t->round_less_c[i]);
        scale.lowest = V(set1)(t->lowest[i]);
        if (before) {
            const R(undivided) row = R(row_of_sixteen)(before, i, rows, past_cache);
            if (past_cache)
                R(divide_head)(&row, seam);
            sums[i] = R(sums_beside)(R(exp_fast), x, rows->n_categories, type, &scale, &seen, e, &row, past_cache, 0);
            R(divide_tail)(&row, type, seam);
        } else {
            sums[i] = R(sums_beside)(R(exp_fast), x, rows->n_categories, type, &scale, &seen, e, NULL, 0, 0);
        }
    }
    const R(sum) total = R(sum_of_sixteen)(sums);
    double sum_hi[16], sum_lo[16];
    R(put_sums)(&total, sum_hi, sum_lo);
    R(inverses)(sum_hi, sum_lo, 16, t->hi, t->lo);
    return !R(exceeded)(&seen);
}

/* Divide them. */
TS_INLINE void R(divide_sixteen)(const R(sixteen) * t, const ts_rows *rows, ts_type type, R(seam) * seam) {
    for (int i = 0; i < 16; i++) {
        const R(undivided) row = R(row_of_sixteen)(t, i, rows, seam != NULL);
        R(divide_all)(&row, type, seam);
    }
}

/* softmax of rows by sixteens, past the cache if they follow each other; how many were taken. */
TS_INLINE intptr_t R(softmax_sixteens)(const ts_rows *rows, ts_type type, int past_cache, R(scratch) * s) {
    const intptr_t n = rows->n_categories, n_padded = (n + TS_GROUP - 1) / TS_GROUP * TS_GROUP;
    if (n > TS_SIXTEEN || rows->temperature_step || rows->n_rows < 32)
        return 0;
    const tempering k = *R(tempering_for)(s, temperature_of(rows, 0));
    if (!R(is_moderate)(&k))
        return 0;
    R(source) row = R(whole)(&rows->logits);
    ts_vector out = rows->out;
    const ts_knobs knobs = no_filters(k.temperature);
    R(seam) line, *const seam = past_cache ? &line : NULL;
    R(sixteen) tiles[2];
    int at = 0, is_waiting = 0;
    intptr_t first = 0;
    line.n = 0;
    for (int i = 0; i < 2; i++) {
        tiles[i].n_padded = n_padded;
        tiles[i].e = s->turned + i * (16 * n_padded + SKEW);
    }
    for (; first + 16 <= rows->n_rows; first += 16) {
        R(sixteen) *const this = &tiles[at], *const before = &tiles[!at];
        this->first = first;
        int are_fast = R(begin_sixteen)(this, rows, type, &k);
        if (are_fast && is_waiting) {
            are_fast = R(make_sixteen)(this, rows, type, &k, before, past_cache, seam);
            is_waiting = 0;
        } else if (are_fast) {
            are_fast = R(make_sixteen)(this, rows, type, &k, NULL, past_cache, seam);
        }
        if (are_fast) {
            is_waiting = 1;
            at = !at;
            continue;
        }
        if (is_waiting)
            R(divide_sixteen)(before, rows, type, seam);
        is_waiting = 0;
        for (intptr_t i = first; i < first + 16; i++) {
            row.numbers.data = rows->logits.data + i * rows->logits_step;
            out.data = rows->out.data + i * rows->out_step;
            R(softmax_row)(&row, n, &knobs, &out, s);
        }
    }
    if (is_waiting)
        R(divide_sixteen)(&tiles[!at], rows, type, seam);
    R(write_seam)(&line);
    return first;
}
