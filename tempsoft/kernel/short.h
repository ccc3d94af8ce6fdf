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
