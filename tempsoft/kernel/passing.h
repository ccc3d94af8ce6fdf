/* Strips of columns that are read once. For REAL, by inclusion.
 *
 * c of a column comes from its first group, and exponentials are made of logits as they come. Those of softmax wait in
 * the scratch memory for their sums, to be divided while the next strip is read; log_softmax has its logits there. A
 * strip that needs more than the first c is declined before anything is written, and is brought together by strips.h.
 */

#define WIDEST (WIDE_STRIP * STRIP) /* columns */
#define FEWEST_WIDE 192             /* categories of so wide a strip */
#define LINES_AHEAD_TO_WRITE 2      /* categories, from those worked on to those fetched to be written */

_Static_assert(WIDE_STRIP <= TS_WIDE_STRIP, "there is scratch memory for no more");

/* What becomes of the logits of a strip. */
typedef enum { R(SUMS), R(EXPONENTIALS_KEPT), R(LOGITS_KEPT) } R(strip_way);

typedef struct {
    const ts_rows *rows;
    intptr_t first, width; /* columns */
    intptr_t step;         /* and how many there is room for, from category to category of */
    R(scratch) * s;
    char *numbers; /* exponentials or logits */
    R(tile) tiles[WIDEST / TILE];
    VR round_less_c[WIDEST / LANES], lowest[WIDEST / LANES];
    intptr_t n_divided; /* categories */
    int is_low;         /* whether quotients may be subnormal */
} R(strip);

/* A strip on its way to the results: of a block, as other blocks have other factors. */
typedef struct {
    const REAL *e;
    char *to;
    intptr_t step; /* bytes from category to category */
    intptr_t width;
    VR hi[WIDEST / LANES], lo[WIDEST / LANES], least[WIDEST / LANES];
    int is_low, is_whole; /* whether a quotient may be subnormal; whether it is whole lines that go past the cache */
} R(strip_division);

TS_INLINE R(strip_division) R(strip_division_of)(const R(strip) * t, intptr_t step, intptr_t b) {
    R(strip_division) d;
    const intptr_t first = b * TS_BLOCK;
    d.e = (const REAL *)t->numbers + first * step;
    d.to = t->rows->out.data + t->first * t->rows->out_step + first * t->rows->out.stride;
    d.step = t->rows->out.stride;
    d.width = t->width;
    d.is_low = 0;
    for (int v = 0; v * LANES < step; v++) {
        const R(tile) *tile = &t->tiles[v / TILE_VECTORS];
        const intptr_t at = b * TILE + v % TILE_VECTORS * LANES;
        d.hi[v] = V(load)(tile->factor_hi + at);
        d.lo[v] = V(load)(tile->factor_lo + at);
        d.least[v] = V(load)(tile->factor_least + at);
        d.is_low |= tile->is_low;
    }
    d.is_whole = R(columns_past_cache)(t->rows, t->first) && t->width == step;
    return d;
}

/* Category i of a block of them, divided. */
TS_INLINE void R(divide_category)(const R(strip_division) * d, intptr_t step, intptr_t i) {
    const REAL *e = d->e + i * step;
    REAL *const to = (REAL *)(d->to + i * d->step);
    for (intptr_t at = 0; at < step && !d->is_whole; at += LINE)
        fetch_to_write((uintptr_t)(to + at) + (uintptr_t)(LINES_AHEAD_TO_WRITE * d->step));
    for (int v = 0; v * LANES < step; v++) {
        const R(factor) f = {d->hi[v], d->lo[v], d->least[v], d->is_low};
        const VR p = R(probability)(V(load)(e + v * LANES), &f, f.is_low);
        if (d->is_whole)
            V(stream)(to + v * LANES, p);
        else if (v * LANES < d->width)
            V(store_up_to)(to + v * LANES, d->width - v * LANES, p);
    }
}

/* What is left of it. */
static void R(divide_strip)(R(strip) * t) {
    while (t->n_divided < t->rows->n_categories) {
        const intptr_t b = t->n_divided / TS_BLOCK, end = R(block_end)(&t->tiles[0], b);
        const R(strip_division) d = R(strip_division_of)(t, t->step, b);
        for (; t->n_divided < end; t->n_divided++)
            R(divide_category)(&d, t->step, t->n_divided - b * TS_BLOCK);
    }
}

/* The first group into the scratch memory, where that of the strip before is divided. */
TS_INLINE void R(first_group)(const R(strip) * t, intptr_t step, intptr_t n, const R(strip_division) * before) {
    for (intptr_t i = 0; i < n; i++) {
        if (before)
            R(divide_category)(before, step, i);
        R(move_in)(t->rows, t->first, t->width, i, step, t->numbers);
    }
}

/* c of every column, from its first group, which is in the scratch memory; 0 if the strip is to be declined. */
TS_INLINE int R(strip_exponents)(R(strip) * t, intptr_t step, R(scale) * scale) {
    const R(temperatures) of = R(temperatures_of_one)(&t->tiles[0].k);
    const intptr_t n_first = t->rows->n_categories < TS_GROUP ? t->rows->n_categories : TS_GROUP;
    for (intptr_t v = 0; v * LANES < step; v++) {
        const REAL *x = (const REAL *)t->numbers + v * LANES;
        double *const exponent = t->tiles[v / TILE_VECTORS].exponent + v % TILE_VECTORS * LANES;
        VR max = V(load)(x);
        for (intptr_t i = 1; i < n_first; i++)
            max = V(max)(V(load)(x + i * step), max);
        if (v_mask_any(R(exponents_of)(max, &of, exponent)))
            return 0;
        R(set_exponents)(scale, &of, exponent);
        t->round_less_c[v] = scale->round_less_c;
        t->lowest[v] = scale->lowest;
    }
    return 1;
}

/* A category of a strip to exponentials, and the largest logits of its columns unless `max` is NULL. */
TS_INLINE void R(exp_category)(const R(strip) * t, intptr_t step, const REAL *x, const R(scale) * scale, R(seen) * seen,
                               VR *max, REAL *e) {
    for (intptr_t v = 0; v * LANES < step; v += TOGETHER) {
        VR numbers[TOGETHER];
        for (int k = 0; k < TOGETHER; k++)
            numbers[k] = V(load)(x + (v + k) * LANES);
        for (int k = 0; k < TOGETHER && max; k++)
            max[v + k] = V(max)(numbers[k], max[v + k]);
        R(exp_fast_each)(numbers, TOGETHER, scale, t->round_less_c + v, t->lowest + v, 1, seen, NULL);
        for (int k = 0; k < TOGETHER; k++)
            V(store)(e + (v + k) * LANES, numbers[k]);
    }
}

/* Whether the exponentials of columns of these largest logits have a meaning. */
TS_INLINE int R(are_largest_in_reach)(const R(strip) * t, intptr_t step, const VR *max, const R(scale) * scale) {
    v_mask exceeds = V(not_le)(V(set1)(0), V(set1)(0));
    for (int v = 0; v * LANES < step; v++)
        exceeds = v_mask_or(exceeds, V(not_le)(V(fma)(max[v], scale->a_hi, t->round_less_c[v]), V(set1)(ROUND_MOST)));
    return !v_mask_any(exceeds);
}

/* The sums of block b of every column, and its largest logit but of EXPONENTIALS_KEPT; 0 if the strip is declined. */
TS_INLINE int R(strip_block)(R(strip) * t, intptr_t step, intptr_t b, R(strip_way) way, const R(scale) * scale,
                             const R(strip_division) * before) {
    const ts_rows *rows = t->rows;
    const intptr_t start = b * TS_BLOCK, end = R(block_end)(&t->tiles[0], b);
    R(seen) seen = R(nothing_seen)();
    R(sum) sums[WIDEST / 16][16];
    VR max[WIDEST / LANES];
    for (int c = 0; c * 16 < step; c++)
        for (int j = 0; j < 16; j++)
            sums[c][j] = R(sum_zero)();
    for (int v = 0; v * LANES < step; v++)
        max[v] = V(set1)((REAL)-INFINITY);
    for (intptr_t i = start; i < end; i += TS_GROUP) {
        const intptr_t n = end - i < TS_GROUP ? end - i : TS_GROUP;
        REAL *const strip = (REAL *)t->numbers + i * step;
        REAL *const e = way == R(EXPONENTIALS_KEPT) ? strip : t->s->turned;
        const int is_here = i == 0, comes = !is_here && (way == R(LOGITS_KEPT) || t->width < step);
        const char *from = rows->logits.data + t->first * rows->logits_step + i * rows->logits.stride;
        for (intptr_t k = 0; k < n; k++, from += rows->logits.stride) {
            if (before && !is_here)
                R(divide_category)(before, step, i - start + k);
            if (comes)
                R(move_in)(rows, t->first, t->width, i + k, step, t->numbers);
            else if (!is_here)
                R(fetch_category)(rows, t->first, t->width, i + k, step);
            R(exp_category)(t, step, is_here || comes ? strip + k * step : (const REAL *)from, scale, &seen,
                            way == R(EXPONENTIALS_KEPT) ? NULL : max, e + k * step);
        }
        for (int c = 0; c * 16 < step; c++)
            if (n == TS_GROUP)
                R(sum_lanes)(sums[c], e + c * 16, step, TS_GROUP);
            else
                R(sum_lanes)(sums[c], e + c * 16, step, n);
    }
    for (int c = 0; c * 16 < step; c++) {
        const R(tile) *tile = &t->tiles[c * 16 / TILE];
        const intptr_t at = b * TILE + c * 16 % TILE;
        const R(sum) total = R(sum_across)(sums[c]);
        R(put_sums)(&total, tile->sum_hi + at, tile->sum_lo + at);
        for (int k = 0; k < 16; k++) {
            tile->exponent[at + k] = tile->exponent[at + k - b * TILE];
            tile->max[at + k] = (double)((const REAL *)max)[c * 16 + k];
        }
    }
    if (R(is_usual)(&seen))
        return 1;
    t->is_low = 1; /* if nothing exceeds: if the largest do not */
    for (intptr_t i = start; i < end && way == R(EXPONENTIALS_KEPT); i++) {
        if (t->width < step) /* there is no more to be read */
            return 0;
        const char *x = rows->logits.data + t->first * rows->logits_step + i * rows->logits.stride;
        for (int v = 0; v * LANES < step; v++)
            max[v] = V(max)(V(load)((const REAL *)x + v * LANES), max[v]);
    }
    return !R(has_seen_nan)(&seen) && R(are_largest_in_reach)(t, step, max, scale);
}

/* The sums of a strip from column i on; 0 if it is declined. Another's numbers may be in the same memory, and its tiles
 * if it is the same number: they are divided as they make room. */
TS_INLINE int R(sum_columns)(R(strip) * t, intptr_t step, const ts_rows *rows, intptr_t i, R(strip_way) way, int which,
                             R(strip) * before, R(scratch) * s) {
    t->rows = rows;
    t->first = i;
    t->width = R(strip_width)(rows, i, step);
    t->step = step;
    t->s = s;
    t->numbers = (char *)s->strip;
    t->is_low = 0;
    for (int at = 0; at * TILE < step; at++) {
        const intptr_t first = at * TILE < t->width ? i + at * TILE : i, rest = i + t->width - first;
        const ts_vector x = {t->numbers + at * TS_TILE_BYTES, step * (intptr_t)sizeof(REAL), PLAIN};
        if (!R(set_tile)(&t->tiles[at], rows, first, rest < TILE ? rest : TILE, x, x, which * (WIDEST / TILE) + at,
                         s) ||
            t->tiles[at].k.temperature != t->tiles[0].k.temperature)
            return 0;
    }
    const intptr_t n_first = rows->n_categories < TS_GROUP ? rows->n_categories : TS_GROUP;
    if (before) {
        const R(strip_division) d = R(strip_division_of)(before, step, 0);
        R(first_group)(t, step, n_first, &d);
        before->n_divided = n_first;
    } else {
        R(first_group)(t, step, n_first, NULL);
    }
    R(scale) scale = R(scale_of)(&t->tiles[0].k, 0, 0);
    if (!R(strip_exponents)(t, step, &scale))
        return 0;
    for (intptr_t b = 0; b < t->tiles[0].n_blocks; b++) {
        int is_done;
        if (before) {
            const R(strip_division) d = R(strip_division_of)(before, step, b);
            is_done = R(strip_block)(t, step, b, way, &scale, &d);
            before->n_divided = R(block_end)(&before->tiles[0], b);
        } else {
            is_done = R(strip_block)(t, step, b, way, &scale, NULL);
        }
        if (!is_done)
            return 0;
    }
    return 1;
}

/* The same, if it is time to try. */
TS_INLINE int R(try_columns)(R(strip) * t, intptr_t step, const ts_rows *rows, intptr_t i, R(strip_way) way, int which,
                             R(strip) * before, R(scratch) * s) {
    return is_time_to_try(&s->tries) && remember(R(sum_columns)(t, step, rows, i, way, which, before, s), &s->tries);
}

/* The exponentials of a strip as well, as wide as is best: fewer visits of memory are waited for, but of few categories
 * that is less than what their sums take, which leave L1. From memory an Intel CPU copies wide strips more slowly. */
TS_INLINE int R(exps_of_columns)(R(strip) * t, const ts_rows *rows, intptr_t i, int which, R(strip) * before,
                                 R(scratch) * s) {
    return WIDE_STRIP == 1 || rows->n_categories < FEWEST_WIDE || rows->past_cache == TS_PAST_READ_TWICE
               ? R(try_columns)(t, STRIP, rows, i, R(EXPONENTIALS_KEPT), which, before, s)
               : R(try_columns)(t, WIDEST, rows, i, R(EXPONENTIALS_KEPT), which, before, s);
}

/* softmax of strips from column i on, each divided while the next is read; how many columns were taken. */
static intptr_t R(softmax_strips)(const ts_rows *rows, intptr_t i, R(scratch) * s) {
    const intptr_t first = i;
    R(strip) strips[2], *before = NULL;
    for (int at = 0; i < rows->n_rows; at = !at) {
        R(strip) *const t = &strips[at];
        const int is_done = R(exps_of_columns)(t, rows, i, at, before, s);
        if (before)
            R(divide_strip)(before);
        before = NULL;
        if (!is_done) {
            i += R(take_strip)(rows, i, R(softmax_tile), s);
            break;
        }
        for (int tile = 0; tile * TILE < t->step; tile++)
            R(tile_factors)(&t->tiles[tile], t->is_low, s);
        t->n_divided = 0;
        before = t;
        i += t->width;
    }
    if (before)
        R(divide_strip)(before);
    return i - first;
}

static intptr_t R(logsumexp_strip)(const ts_rows *rows, intptr_t i, R(scratch) * s) {
    R(strip) t;
    if (!R(try_columns)(&t, STRIP, rows, i, R(SUMS), 0, NULL, s))
        return R(take_strip)(rows, i, R(logsumexp_tile), s);
    for (int at = 0; at * TILE < t.width; at++) {
        R(plans) plans;
        REAL results[TILE];
        const intptr_t rest = t.width - at * TILE;
        R(plans_of_tile)(&t.tiles[at], &plans, s);
        R(logsumexp_of_rows)(&plans, TILE, results);
        memcpy(rows->out.data + (i + at * TILE) * rows->out_step, results,
               (size_t)(rest < TILE ? rest : TILE) * sizeof(REAL));
    }
    return t.width;
}

static intptr_t R(log_prob_strip)(const ts_rows *rows, intptr_t i, R(scratch) * s) {
    R(strip) t;
    int is_done = R(try_columns)(&t, STRIP, rows, i, R(SUMS), 0, NULL, s);
    for (int at = 0; is_done && at * TILE < t.width; at++) {
        R(plans) plans;
        R(plans_of_tile)(&t.tiles[at], &plans, s);
        is_done = R(put_log_probs_of_tile)(&t.tiles[at], &plans);
    }
    return is_done ? t.width : R(take_strip)(rows, i, R(log_prob_tile), s);
}

/* log_softmax of a strip, by its logits again. */
static intptr_t R(log_softmax_strip)(const ts_rows *rows, intptr_t i, R(scratch) * s) {
    R(strip) t;
    R(log_scales) scales[STRIP / TILE];
    int is_done = R(try_columns)(&t, STRIP, rows, i, R(LOGITS_KEPT), 0, NULL, s);
    for (int at = 0; at * TILE < STRIP && is_done; at++) {
        R(plans) plans;
        R(plans_of_tile)(&t.tiles[at], &plans, s);
        is_done = R(log_scales_of)(&plans, TILE, &scales[at]);
    }
    if (!is_done)
        return R(take_strip)(rows, i, R(log_softmax_tile), s);
    const int is_whole = R(columns_past_cache)(rows, i) && t.width == STRIP;
    for (intptr_t k = 0; k < rows->n_categories; k++) {
        const REAL *x = (const REAL *)s->strip + k * STRIP;
        REAL *const to = (REAL *)(rows->out.data + i * rows->out_step + k * rows->out.stride);
        for (int v = 0; v < STRIP / LANES; v++) {
            const R(log_scale) scale = R(log_scale_at)(&scales[v / TILE_VECTORS], v % TILE_VECTORS * LANES);
            const VR y = R(log_probability)(V(load)(x + v * LANES), &scale);
            if (is_whole)
                V(stream)(to + v * LANES, y);
            else if (t.width == STRIP)
                V(store)(to + v * LANES, y);
            else if (v * LANES < t.width)
                V(store_up_to)(to + v * LANES, t.width - v * LANES, y);
        }
    }
    return t.width;
}
