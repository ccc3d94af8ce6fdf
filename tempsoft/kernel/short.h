/* Short rows, a tile of them in lanes: transposed in registers, then every operation is on as many rows as a vector
 * has lanes. For REAL, by inclusion.
 *
 * The same formula, order of additions and bits as a row by itself: accumulator j of a lane takes what accumulator j
 * of a row takes. A tile with NaN, infinities at the head of a row, a temperature for the careful formula or a row that
 * needs more than the first c is declined before anything is written, and its rows are taken one by one.
 */

typedef struct {
    REAL *e;    /* [category][row], first the logits or weights */
    intptr_t n; /* categories */
    R(plans) plans;
    int is_usual;                          /* whether no quotient may be subnormal */
    R(temperatures) of_rows[TILE / LANES]; /* if there are several temperatures */
} R(short_tile);

/* The largest logit and c of each row; 0 if the tile is to be declined. */
static int R(short_max)(R(short_tile) * t) {
    const intptr_t n_first = t->n < TS_GROUP ? t->n : TS_GROUP;
    v_mask is_bad = V(not_le)(V(set1)(0), V(set1)(0));
    for (int v = 0; v < TILE; v += LANES) {
        const R(temperatures) of = R(temperatures_of)(&t->plans, v);
        VR max = V(set1)((REAL)-INFINITY), sum = V(set1)(0), first;
        for (intptr_t i = 0; i < n_first; i++) {
            const VR x = V(load)(t->e + i * TILE + v);
            max = V(max)(x, max);
            sum = V(add)(sum, x);
        }
        first = max;
        for (intptr_t i = n_first; i < t->n; i++) {
            const VR x = V(load)(t->e + i * TILE + v);
            max = V(max)(x, max);
            sum = V(add)(sum, x);
        }
        V(store)(t->plans.max + v, max);
        is_bad = v_mask_or(is_bad, V(is_nan)(sum)); /* see block_max */
        /* what is above the first group by this much may exceed its c */
        vd reach[WIDTHS];
        for (int i = 0; i < WIDTHS; i++)
            reach[i] = vd_mul(vd_set1((HEADROOM - 2) * LOG_2_HI), of.temperature[i]);
        is_bad = v_mask_or(is_bad, V(not_le)(max, V(add)(first, R(narrow)(reach))));
        is_bad = v_mask_or(is_bad, R(exponents_of)(first, &of, t->plans.exponent + v));
    }
    return !v_mask_any(is_bad);
}

/* Logits to exponentials; whether no quotient of them may be subnormal. */
static int R(short_exp)(R(short_tile) * t) {
    R(scale) scale = R(scale_of)(t->plans.k, 0, 0);
    R(seen) seen = R(nothing_seen)();
    for (int v = 0; v < TILE; v += LANES) {
        const R(temperatures) of = R(temperatures_of)(&t->plans, v);
        scale.a_hi = of.a_hi;
        scale.a_lo = of.a_lo;
        R(set_exponents)(&scale, &of, t->plans.exponent + v);
        R(exp_lanes)(t->e + v, TILE, t->n, &scale, &seen, t->e + v, TILE);
    }
    return R(is_usual)(&seen);
}

/* Have the rows of a tile be of one temperature. */
static void R(set_temperature)(R(short_tile) * t, double temperature, R(scratch) * s) {
    R(set_plans_k)(&t->plans, R(tempering_for)(s, temperature));
}

/* Have them be of these temperatures. 0 if one is for the careful formula. */
static int R(set_temperatures)(R(short_tile) * t, const double *temperature, R(scratch) * s) {
    const vd one = vd_set1(temperature[0]), least = vd_set1(SMALLEST_TEMPERATURE), most = vd_set1(LARGEST_TEMPERATURE);
    v_mask are_others = vd_not_le(one, one), is_bad = are_others;
    for (int c = 0; c < TILE; c += VD_LANES) {
        const vd each = vd_load(temperature + c);
        are_others = v_mask_or(are_others, v_mask_or(vd_not_le(each, one), vd_not_le(one, each)));
        is_bad = v_mask_or(is_bad, v_mask_or(vd_not_le(least, each), vd_not_le(each, most)));
    }
    if (v_mask_any(is_bad))
        return 0;
    R(set_temperature)(t, temperature[0], s);
    if (!v_mask_any(are_others))
        return 1;
    for (int c = 0; c < TILE; c += LANES)
        t->of_rows[c / LANES] = R(temperatures_from)(temperature + c);
    t->plans.of_rows = t->of_rows;
    return 1;
}

/* Rows first ... first + TILE into a tile in s->turned; 0 if they are declined. */
static int R(short_rows)(R(short_tile) * t, const ts_rows *rows, intptr_t first, R(scratch) * s) {
    double temperature[TILE];
    const int width = R(width_of_tile)(rows, first);
    for (int c = 0; c < TILE && rows->temperature_step; c++)
        temperature[c] = temperature_of(rows, first + (c < width ? c : 0));
    if (!rows->temperature_step)
        R(set_temperature)(t, temperature_of(rows, first), s);
    else if (!R(set_temperatures)(t, temperature, s))
        return 0;
    if (!R(is_moderate)(t->plans.k))
        return 0;
    t->e = s->turned;
    t->n = rows->n_categories;
    R(turn_in)(rows, first, t->e);
    return 1;
}

/* The exponentials of those rows and their sums; 0 if they are declined, as those of several temperatures are if they
 * have more than `most` categories. */
static int R(short_plans)(R(short_tile) * t, const ts_rows *rows, intptr_t first, intptr_t most, R(scratch) * s) {
    if (!R(short_rows)(t, rows, first, s) || (t->plans.of_rows && t->n > most) || !R(short_max)(t))
        return 0;
    t->is_usual = R(short_exp)(t);
    R(sums_of_columns)(t->e, TILE, t->n, TILE, t->plans.sum_hi, t->plans.sum_lo);
    return 1;
}

static intptr_t R(logsumexp_short_rows)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    const intptr_t n_together = R(are_few_columns)(rows, first, s) ? R(logsumexp_few_columns)(rows, first, s)
                                                                   : R(logsumexp_adjacent)(rows, first, s);
    if (n_together > 0)
        return n_together;
    R(short_tile) t;
    if (!R(short_plans)(&t, rows, first, TS_SHORT, s))
        return 0;
    REAL result[TILE];
    R(logsumexp_of_rows)(&t.plans, TILE, result);
    R(put_numbers)(rows, first, R(width_of_tile)(rows, first), result);
    return R(width_of_tile)(rows, first);
}

/* Of columns of few categories alone. */
static intptr_t R(entropy_few)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    const intptr_t n_together = R(are_few_columns)(rows, first, s) ? R(entropy_few_columns)(rows, first, s) : 0;
    if (n_together > 0)
        return n_together;
    R(short_tile) t;
    REAL *const x = s->turned + TS_GROUP * TILE, result[TILE];
    double depths[TILE], unused[TILE];
    if (!R(short_plans)(&t, rows, first, TS_SHORT, s))
        return 0;
    R(turn_in)(rows, first, x); /* again */
    for (int v = 0; v < TILE; v += LANES) {
        const R(temperatures) of_rows = R(temperatures_of)(&t.plans, v);
        vd inverse[WIDTHS];
        for (int part = 0; part < WIDTHS; part++)
            inverse[part] = of_rows.inverse[part].hi;
        const R(depths) of = {V(load)(t.plans.max + v), R(narrow)(inverse)};
        for (intptr_t i = v; i < t.n * TILE; i += TILE)
            V(store)(t.e + i, R(weighted_depth)(V(load)(t.e + i), V(load)(x + i), &of));
    }
    R(sums_of_columns)(t.e, TILE, t.n, TILE, depths, unused);
    R(entropies_of_rows)(&t.plans, depths, TILE, result);
    R(put_numbers)(rows, first, R(width_of_tile)(rows, first), result);
    return R(width_of_tile)(rows, first);
}

/* Whether they are columns of few categories, and logarithms of these by the fast formula. */
static int R(are_few_for_logs)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    return R(is_log_moderate)(temperature_of(rows, 0)) && R(are_few_columns)(rows, first, s);
}

/* Of such columns alone. */
static intptr_t R(log_prob_few)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    const intptr_t n_together = R(are_few_for_logs)(rows, first, s) ? R(log_prob_few_columns)(rows, first, s) : 0;
    if (n_together > 0)
        return n_together;
    R(short_tile) t;
    R(log_scales) scales;
    if (!R(short_plans)(&t, rows, first, TS_SHORT, s) || !R(log_scales_of)(&t.plans, TILE, &scales))
        return 0;
    R(put_log_probs_of_rows)(rows, first, R(width_of_tile)(rows, first), NULL, &t.plans, scales.minus_offset_hi,
                             scales.minus_offset_lo, NULL);
    return R(width_of_tile)(rows, first);
}

static intptr_t R(log_softmax_short_rows)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    const intptr_t n_together = R(are_few_for_logs)(rows, first, s) ? R(log_softmax_few_columns)(rows, first, s)
                                                                    : R(log_softmax_adjacent)(rows, first, s);
    if (n_together > 0)
        return n_together;
    R(short_tile) t;
    R(log_scales) scales;
    if (!R(short_plans)(&t, rows, first, TS_SHORT, s) || !R(log_scales_of)(&t.plans, TILE, &scales))
        return 0;
    R(turn_in)(rows, first, t.e); /* again */
    for (int v = 0; v < TILE; v += LANES) {
        const R(log_scale) scale = R(log_scale_at)(&scales, v);
        for (intptr_t i = 0; i < t.n; i++)
            V(store)(t.e + i * TILE + v, R(log_probability)(V(load)(t.e + i * TILE + v), &scale));
    }
    R(turn_out)(t.e, rows, first, s->turned + TS_GROUP * TILE);
    return R(width_of_tile)(rows, first);
}

/* Whether weights are such that no sum of a row and no share in it leaves the range: 0, or not far from 1. */
static int R(short_weights_are_moderate)(const R(short_tile) * t) {
    const VR zero = V(set1)(0), least = V(set1)((REAL)MODERATE_WEIGHT), most = V(set1)((REAL)(1 / MODERATE_WEIGHT));
    VR at_least[2] = {V(set1)((REAL)INFINITY), V(set1)((REAL)INFINITY)}, largest[2] = {zero, zero};
    for (intptr_t i = 0; i < t->n * TILE; i += 2 * LANES)
        for (int k = 0; k < 2; k++) {
            const VR x = V(add)(V(load)(t->e + i + k * LANES), zero); /* 0 for -0 */
            largest[k] = V(max_bits)(largest[k], x);                  /* negative numbers and NaN are above all */
            at_least[k] = V(min)(V(select_ge)(zero, x, at_least[k], x), at_least[k]);
        }
    v_mask is_bad = V(not_le)(least, V(min)(at_least[0], at_least[1]));
    for (int k = 0; k < 2; k++)
        is_bad = v_mask_or(is_bad, v_mask_or(V(not_le)(largest[k], most), V(not_le)(zero, largest[k])));
    return !v_mask_any(is_bad);
}

#define DRAWN_AT_ONCE (TILE / VD_LANES < 4 ? TILE / VD_LANES : 4) /* vectors: an addition waits for the one before */
#define FEW_KEPT 32 /* categories whose cumulative sums stay in L1 beside exponentials; of more they are made again */

/* `place_of` for as many rows as that. 0 if one has no weight. */
TS_INLINE int R(choose_in_lanes)(const REAL *e, intptr_t n, int are_kept, const double *u, double *place) {
    vd sum[DRAWN_AT_ONCE], count[DRAWN_AT_ONCE], target[DRAWN_AT_ONCE], kept[FEW_KEPT][DRAWN_AT_ONCE];
    v_mask is_bad = vd_not_le(vd_set1(0), vd_set1(0));
    for (int k = 0; k < DRAWN_AT_ONCE; k++)
        sum[k] = count[k] = vd_set1(0);
    for (intptr_t i = 0; i < n; i++)
        for (int k = 0; k < DRAWN_AT_ONCE; k++) {
            sum[k] = vd_add(sum[k], R(wide)(e + i * TILE + k * VD_LANES));
            if (are_kept)
                kept[i][k] = sum[k];
        }
    for (int k = 0; k < DRAWN_AT_ONCE; k++) {
        is_bad = v_mask_or(is_bad, vd_ge(vd_set1(0), sum[k]));
        is_bad = v_mask_or(is_bad, vd_not_le(sum[k], vd_set1(0x1.fffffffffffffp1023)));
        target[k] = vd_min(vd_mul(vd_load(u + k * VD_LANES), sum[k]), vd_mul(sum[k], vd_set1(ALMOST_1)));
        sum[k] = vd_set1(0);
    }
    if (v_mask_any(is_bad))
        return 0;
    for (intptr_t i = 0; i + 1 < n; i++) /* the last is above every target */
        for (int k = 0; k < DRAWN_AT_ONCE; k++) {
            sum[k] = are_kept ? kept[i][k] : vd_add(sum[k], R(wide)(e + i * TILE + k * VD_LANES));
            count[k] = vd_add_where(count[k], vd_ge(target[k], sum[k]), vd_set1(1));
        }
    for (int k = 0; k < DRAWN_AT_ONCE; k++)
        vd_store(place + k * VD_LANES, count[k]);
    return 1;
}

/* The same for a tile, to its place. */
static int R(choose_in_tile)(const REAL *e, const ts_rows *rows, intptr_t first) {
    double apart[TILE], place[TILE];
    const double *u = (const double *)(rows->u.data + first * rows->u_step);
    const int width = R(width_of_tile)(rows, first);
    if (rows->u_step != sizeof *u || width < TILE) { /* vectors of numbers just stored wait for all before them */
        for (int c = 0; c < TILE; c++)
            apart[c] = c < width ? *(const double *)((const char *)u + c * rows->u_step) : 0;
        u = apart;
    }
    for (int c = 0; c < TILE; c += DRAWN_AT_ONCE * VD_LANES) {
        const intptr_t n = rows->n_categories;
        if (!(n <= FEW_KEPT ? R(choose_in_lanes)(e + c, n, 1, u + c, place + c)
                            : R(choose_in_lanes)(e + c, n, 0, u + c, place + c)))
            return 0;
    }
    for (int c = 0; c < width; c++)
        *(int64_t *)(rows->index.data + (first + c) * rows->index_step) = (int64_t)place[c];
    return 1;
}

#define MOST_OF_SEVERAL 48 /* categories of rows with several temperatures; more are faster one by one */

static intptr_t R(softmax_short_rows)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    const intptr_t n_together = R(are_few_columns)(rows, first, s) ? R(softmax_few_columns)(rows, first, s)
                                                                   : R(softmax_adjacent)(rows, first, s);
    if (n_together > 0)
        return n_together;
    R(short_tile) t;
    if (!R(short_plans)(&t, rows, first, MOST_OF_SEVERAL, s))
        return 0;
    REAL hi[TILE], lo[TILE];
    const int is_low = R(inverses_and_range)(t.plans.sum_hi, t.plans.sum_lo, TILE, !t.is_usual, hi, lo);
    for (int v = 0; v < TILE; v += LANES) {
        const VR high = V(load)(hi + v), low = V(load)(lo + v);
        const R(factor) f = is_low ? R(low_factor)(high, low) : R(plain_factor)(high, low);
        for (intptr_t i = 0; is_low && i < t.n; i++)
            V(store)(t.e + i * TILE + v, R(probability)(V(load)(t.e + i * TILE + v), &f, 1));
        for (intptr_t i = 0; !is_low && i < t.n; i++)
            V(store)(t.e + i * TILE + v, R(probability)(V(load)(t.e + i * TILE + v), &f, 0));
    }
    R(turn_out)(t.e, rows, first, s->turned + TS_GROUP * TILE);
    return R(width_of_tile)(rows, first);
}

/* How many rows were drawn from. As every exponential is normal and no quotient can be 0, neither is needed. */
TS_INLINE intptr_t R(draw_adjacent_tiles_of)(const ts_rows *rows, intptr_t first, ts_type type, R(scratch) * s) {
    int is_low;
    const tempering *k = R(tempering_for)(s, temperature_of(rows, first));
    const R(adjacent) f = R(adjacent_at)(rows, first, TILE, s->turned + TS_GROUP * TILE);
    const double c = R(adjacent_exponent)(&f, k, type, 1, &is_low);
    R(seen) seen = R(nothing_seen)();
    if (!isnan(c))
        R(adjacent_exp)(&f, k, type, c, NULL, 0, &seen);
    if (!remember(!isnan(c) && !R(has_seen_nan)(&seen), &s->tries))
        return 0;
    for (intptr_t i = 0; i < f.n_rows; i += TILE) {
        for (int c = 0; c < TILE; c += LANES)
            R(turn_pieces_in)(f.e + (i + c) * f.n, f.n, f.n, s->turned + c);
        if (!R(choose_in_tile)(s->turned, rows, first + i))
            return i;
    }
    return f.n_rows;
}

OF_EACH_TYPE(draw_adjacent_tiles)

static intptr_t R(draw_adjacent)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    if (rows->are_weights || rows->n_categories > TS_GROUP || !R(are_adjacent)(rows, s))
        return 0;
    return R(draw_adjacent_tiles)(rows, first, s);
}

/* A draw from each row: what ready_block and draw_in_block come to in a short row. */
static intptr_t R(draw_short_rows)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    const intptr_t n_adjacent = R(draw_adjacent)(rows, first, s);
    if (n_adjacent > 0)
        return n_adjacent;
    R(short_tile) t;
    if (rows->are_weights) {
        if (!R(short_rows)(&t, rows, first, s) || !R(short_weights_are_moderate)(&t))
            return 0;
        for (int c = R(width_of_tile)(rows, first); c < TILE; c++)
            t.e[c] = 1; /* so that what is missing has a weight */
    } else {
        REAL hi[TILE], lo[TILE];
        if (!R(short_plans)(&t, rows, first, TS_SHORT, s))
            return 0;
        R(inverses)(t.plans.sum_hi, t.plans.sum_lo, TILE, LEAST_DOWN, 0, hi, lo);
        for (int v = 0; v < TILE; v += LANES) {
            const R(factor) f = R(low_factor)(V(load)(hi + v), V(load)(lo + v));
            for (intptr_t i = 0; i < t.n; i++) {
                REAL *e = t.e + i * TILE + v;
                V(store)(e, R(if_drawable)(V(load)(e), &f));
            }
        }
    }
    return R(choose_in_tile)(t.e, rows, first) ? R(width_of_tile)(rows, first) : 0;
}
