/* log_softmax of a row from its plan, by its logits again. For REAL, by inclusion. */

/* log_softmax of entries start ... end, less than a group. */
TS_INLINE void R(log_softmax_some)(const char *x, intptr_t start, intptr_t end, ts_type type,
                                   const R(log_scale) * scale, char *out) {
    const ts_vector from = {(char *)x, ts_size_of(type), type}, to = {out, ts_size_of(type), type};
    for (intptr_t i = start; i < end; i += LANES) {
        const intptr_t n = end - i < LANES ? end - i : LANES;
        REAL buffer[LANES];
        const VR v = V(load_up_to)(R(load)(&from, i, n, buffer), n, V(set1)(0));
        REAL *const place = R(place)(&to, i, buffer);
        V(store_up_to)(place, n, R(log_probability)(v, scale));
        R(store)(&to, i, n, place);
    }
}

/* log_softmax of a row, from its logits again; past the cache if there is a seam. */
TS_INLINE void R(log_softmax_of)(const char *x, intptr_t n, ts_type type, const R(log_scale) * scale, char *out,
                                 R(seam) * seam) {
    const int past_cache = seam != NULL;
    const intptr_t head = past_cache ? R(before_line)((REAL *)out) : 0, size = ts_size_of(type);
    intptr_t i = head < n ? head : n;
    if (past_cache && i > 0)
        R(log_softmax_some)(x, 0, i, type, scale, (char *)R(head_place)(seam, (REAL *)out, i));
    for (; i + TS_GROUP <= n; i += TS_GROUP) {
        for (intptr_t line = 0; line < TS_GROUP * size && !past_cache; line += TS_LINE)
            fetch_to_write((uintptr_t)out + (uintptr_t)((i + AHEAD) * size + line));
        for (int k = 0; k < TS_GROUP; k += LANES) {
            const VR y = R(log_probability)(R(load_typed)(x, i + k, type), scale);
            if (past_cache)
                V(stream)((REAL *)out + i + k, y);
            else
                R(store_typed)(out, i + k, type, y);
        }
    }
    for (; past_cache && i + LINE <= n; i += LINE)
        for (int k = 0; k < LINE; k += LANES)
            V(stream)((REAL *)out + i + k, R(log_probability)(R(load_typed)(x, i + k, type), scale));
    if (past_cache)
        R(log_softmax_some)(x + i * size, 0, n - i, type, scale, (char *)R(tail_place)(seam, (REAL *)out + i, n - i));
    else
        R(log_softmax_some)(x, i, n, type, scale, out);
}

/* What makes the results of an ordinary row. */
typedef struct {
    const ts_plan *plan;
    const R(source) * row;
    const ts_vector *out;
    const R(log_scale) * scale;
} R(log_results);

/* The same of contiguous numbers of one type by the fast formula. */
TS_INLINE void R(fast_log_blocks)(const R(log_results) * of, intptr_t first, intptr_t n, ts_type type, int past_cache) {
    const intptr_t size = ts_size_of(type), n_categories = of->plan->n_categories;
    const intptr_t start = first * TS_BLOCK, whole = start + n * TS_BLOCK;
    const intptr_t end = whole < n_categories ? whole : n_categories;
    const intptr_t piece = past_cache || n_categories <= TS_LONGEST ? end - start : TS_BLOCK;
    const char *const x = of->row->numbers.data;
    R(log_scale) scale; /* a copy, which results cannot be taken to change */
    scale.fast = 1;
    scale.inverse_hi = of->scale->inverse_hi;
    scale.inverse_lo = of->scale->inverse_lo;
    scale.minus_offset_hi = of->scale->minus_offset_hi;
    scale.minus_offset_lo = of->scale->minus_offset_lo;
    R(seam) line = {.n = 0};
    for (intptr_t at = start + (end - start - 1) / piece * piece; at >= start; at -= piece) /* the nearest in cache */
        R(log_softmax_of)(x + at * size, end - at < piece ? end - at : piece, type, &scale, of->out->data + at * size,
                          past_cache ? &line : NULL);
    R(write_seam)(&line);
}

/* Those of n blocks from `first` on. */
TS_INLINE void R(log_blocks)(void *results, intptr_t first, intptr_t n, const R(scratch) * s) {
    const R(log_results) *const of = (const R(log_results) *)results;
    const ts_vector *const numbers = &of->row->numbers, *const out = of->out;
    const ts_type type = numbers->type;
    const intptr_t size = ts_size_of(type);
    if (of->scale->fast && !of->row->is_cut && out->type == type && numbers->stride == size && out->stride == size) {
        if (type == TS_F16)
            R(fast_log_blocks)(of, first, n, TS_F16, 0);
        else if (type == TS_BF16)
            R(fast_log_blocks)(of, first, n, TS_BF16, 0);
        else if (s->past_cache)
            R(fast_log_blocks)(of, first, n, PLAIN, 1);
        else
            R(fast_log_blocks)(of, first, n, PLAIN, 0);
        return;
    }
    for (intptr_t b = first; b < first + n; b++) {
        intptr_t start = b * TS_BLOCK, length = block_length(of->plan, b), i = 0;
        const REAL *x = R(read)(of->row, b, length, s->block);
        REAL *to = R(place)(out, start, s->weights);
        for (; i + LANES <= length; i += LANES)
            V(store)(to + i, R(log_probability)(V(load)(x + i), of->scale));
        if (i < length) {
            VR last = V(load_up_to)(x + i, length - i, V(set1)(0));
            V(store_up_to)(to + i, length - i, R(log_probability)(last, of->scale));
        }
        R(store)(out, start, length, to);
    }
}

static void R(log_softmax_row)(const R(source) * row, intptr_t n, const ts_knobs *knobs, const ts_vector *out,
                               R(scratch) * s) {
    ts_plan plan;
    R(plan_row)(&plan, row, n, knobs->temperature, R(MAXIMA), NULL, s);
    if (plan.kind == TS_NAN || plan.kind == TS_NOWHERE) {
        R(fill)(out, 0, n, (REAL)NAN, s->block);
        return;
    }
    if (plan.kind == TS_UNIFORM) {
        double log_share = -dd_log((dd){(double)plan.n_kept, 0.0}).hi;
        R(fill_uniform)(&plan, row, out, (REAL)log_share + 0, (REAL)-INFINITY, s);
        return;
    }
    const R(log_scale) scale = R(log_scale_of)(&plan);
    R(log_results) of = {&plan, row, out, &scale};
    R(for_blocks)(R(log_blocks), &of, plan.n_blocks, s);
}
