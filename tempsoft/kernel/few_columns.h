/* Columns of few categories, many together: as adjacent.h takes rows, with one c for all, but where they lie each lane
 * is a column already, so nothing is turned and no row of a number is looked up. For REAL, by inclusion.
 */

/* Columns from `first` on, a multiple of 16: as many as stay in L1. */
static inline R(adjacent) R(few_columns_at)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    R(adjacent) f = R(adjacent_at)(rows, first, 16, s->turned);
    f.are_columns = 1;
    f.stride = rows->logits.stride;
    return f;
}

/* Whether they are such columns, and it is time to try. */
static int R(are_few_columns)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    if (!ts_are_columns(&rows->logits, rows->logits_step) || rows->n_rows - first < 16 || rows->temperature_step != 0 ||
        !R(is_moderate)(R(tempering_for)(s, temperature_of(rows, 0))))
        return 0;
    return is_time_to_try(&s->tries);
}

/* Where the results of a category begin. */
static inline char *R(category_of_columns)(const ts_rows *rows, intptr_t first, intptr_t category) {
    return rows->out.data + first * rows->out_step + category * rows->out.stride;
}

/* The exponentials of columns, by hi and lo of each, to results of a type that need not be that of the logits. */
TS_INLINE void R(divide_columns)(const R(adjacent) * f, const ts_rows *rows, intptr_t first, const REAL *hi,
                                 const REAL *lo, ts_type type, int is_low, int past_cache) {
    for (intptr_t category = 0; category < f->n; category++) {
        char *const to = R(category_of_columns)(rows, first, category);
        const REAL *const e = f->e + category * f->n_rows;
        for (intptr_t i = 0; i < f->n_rows; i += LANES) {
            const VR high = V(load)(hi + i), low = V(load)(lo + i);
            const R(factor) factor = is_low ? R(low_factor)(high, low) : R(plain_factor)(high, low);
            R(put_typed)(to, i, type, past_cache, R(probability)(V(load)(e + i), &factor, is_low));
        }
    }
}

/* How many columns were taken, as in what follows. */
TS_INLINE intptr_t R(softmax_few_columns_of)(const ts_rows *rows, intptr_t first, ts_type type, R(scratch) * s) {
    REAL hi[ADJACENT_MOST], lo[ADJACENT_MOST];
    double sum_hi[ADJACENT_MOST], sum_lo[ADJACENT_MOST];
    int is_low;
    const R(adjacent) f = R(few_columns_at)(rows, first, s);
    const tempering *k = R(tempering_for)(s, temperature_of(rows, first));
    const double c = R(adjacent_exp_sums)(&f, k, type, NULL, 1, NULL, 0, 0, sum_hi, sum_lo, &is_low, s);
    if (!remember(!isnan(c), &s->tries))
        return 0;
    if (R(inverses_and_range)(sum_hi, sum_lo, (int)f.n_rows, is_low, hi, lo))
        R(divide_columns)(&f, rows, first, hi, lo, rows->out.type, 1, 0);
    else if (R(columns_past_cache)(rows, first))
        R(divide_columns)(&f, rows, first, hi, lo, PLAIN, 0, 1);
    else if (rows->out.type == type)
        R(divide_columns)(&f, rows, first, hi, lo, type, 0, 0);
    else
        R(divide_columns)(&f, rows, first, hi, lo, PLAIN, 0, 0);
    return f.n_rows;
}

OF_EACH_TYPE(softmax_few_columns)

/* A number of each of n rows, wherever these are to be. */
static inline void R(put_numbers)(const ts_rows *rows, intptr_t first, intptr_t n, const REAL *numbers) {
    for (intptr_t i = 0; i < n; i++)
        *(REAL *)(rows->out.data + (first + i) * rows->out_step) = numbers[i];
}

/* Their plans; 0 if they are declined. */
TS_INLINE int R(plans_of_columns)(const R(adjacent) * f, const ts_rows *rows, intptr_t first, ts_type type,
                                  R(plans) * plans, int *is_low, R(scratch) * s) {
    R(set_plans_k)(plans, R(tempering_for)(s, temperature_of(rows, first)));
    const double c =
        R(adjacent_exp_sums)(f, plans->k, type, NULL, 1, NULL, 0, 0, plans->sum_hi, plans->sum_lo, is_low, s);
    if (!remember(!isnan(c), &s->tries))
        return 0;
    for (intptr_t i = 0; i < f->n_rows; i += LANES) {
        VR max = R(load_typed)(f->x, i, type);
        for (intptr_t category = 1; category < f->n; category++)
            max = V(max)(R(load_typed)(R(piece_at)(f, category), i, type), max);
        V(store)(plans->max + i, max);
    }
    for (intptr_t i = 0; i < f->n_rows; i += VD_LANES)
        vd_store(plans->exponent + i, vd_set1(c));
    return 1;
}

TS_INLINE intptr_t R(logsumexp_few_columns_of)(const ts_rows *rows, intptr_t first, ts_type type, R(scratch) * s) {
    R(plans) plans;
    REAL result[ADJACENT_MOST];
    int is_low;
    const R(adjacent) f = R(few_columns_at)(rows, first, s);
    if (!R(plans_of_columns)(&f, rows, first, type, &plans, &is_low, s))
        return 0;
    R(logsumexp_of_rows)(&plans, f.n_rows, result);
    R(put_numbers)(rows, first, f.n_rows, result);
    return f.n_rows;
}

OF_EACH_TYPE(logsumexp_few_columns)

/* Not of columns of which some exponentials count or not by the c of a column by itself. */
TS_INLINE intptr_t R(entropy_few_columns_of)(const ts_rows *rows, intptr_t first, ts_type type, R(scratch) * s) {
    R(plans) plans;
    REAL result[ADJACENT_MOST];
    double depths[ADJACENT_MOST], unused[ADJACENT_MOST];
    int is_low;
    const R(adjacent) f = R(few_columns_at)(rows, first, s);
    if (!R(plans_of_columns)(&f, rows, first, type, &plans, &is_low, s) || is_low)
        return 0;
    R(depths) of = R(depths_of)(0, plans.k);
    for (intptr_t category = 0; category < f.n; category++) {
        REAL *const e = f.e + category * f.n_rows;
        for (intptr_t i = 0; i < f.n_rows; i += LANES) {
            of.max = V(load)(plans.max + i);
            V(store)(e + i, R(weighted_depth)(V(load)(e + i), R(load_typed)(R(piece_at)(&f, category), i, type), &of));
        }
    }
    R(sums_of_columns)(f.e, f.n_rows, f.n, f.n_rows, depths, unused);
    R(entropies_of_rows)(&plans, depths, f.n_rows, result);
    R(put_numbers)(rows, first, f.n_rows, result);
    return f.n_rows;
}

OF_EACH_TYPE(entropy_few_columns)

/* Their plans and what is subtracted for their logarithms; 0 if they are declined. */
TS_INLINE int R(offsets_of_columns)(const R(adjacent) * f, const ts_rows *rows, intptr_t first, ts_type type,
                                    R(plans) * plans, REAL *minus_hi, REAL *minus_lo, R(scratch) * s) {
    int is_low;
    if (!R(plans_of_columns)(f, rows, first, type, plans, &is_low, s))
        return 0;
    R(log_offsets_of_rows)(plans, f->n_rows, minus_hi, minus_lo);
    return 1;
}

TS_INLINE intptr_t R(log_prob_few_columns_of)(const ts_rows *rows, intptr_t first, ts_type type, R(scratch) * s) {
    R(plans) plans;
    REAL minus_hi[ADJACENT_MOST], minus_lo[ADJACENT_MOST];
    const R(adjacent) f = R(few_columns_at)(rows, first, s);
    if (!R(offsets_of_columns)(&f, rows, first, type, &plans, minus_hi, minus_lo, s))
        return 0;
    R(put_log_probs_of_rows)(rows, first, f.n_rows, NULL, &plans, minus_hi, minus_lo, NULL);
    return f.n_rows;
}

OF_EACH_TYPE(log_prob_few_columns)

TS_INLINE void R(subtract_from_columns)(const R(adjacent) * f, const ts_rows *rows, intptr_t first, ts_type from_type,
                                        R(split) inverse, const REAL *minus_hi, const REAL *minus_lo, ts_type type,
                                        int past_cache) {
    for (intptr_t category = 0; category < f->n; category++) {
        char *const to = R(category_of_columns)(rows, first, category);
        for (intptr_t i = 0; i < f->n_rows; i += LANES) {
            const R(log_scale) scale = R(fast_log_scale)(inverse, V(load)(minus_hi + i), V(load)(minus_lo + i));
            const VR x = R(load_typed)(R(piece_at)(f, category), i, from_type);
            R(put_typed)(to, i, type, past_cache, R(log_probability)(x, &scale));
        }
    }
}

TS_INLINE intptr_t R(log_softmax_few_columns_of)(const ts_rows *rows, intptr_t first, ts_type type, R(scratch) * s) {
    R(plans) plans;
    REAL minus_hi[ADJACENT_MOST], minus_lo[ADJACENT_MOST];
    const R(adjacent) f = R(few_columns_at)(rows, first, s);
    if (!R(offsets_of_columns)(&f, rows, first, type, &plans, minus_hi, minus_lo, s))
        return 0;
    const R(split) inverse = R(split_of)(plans.k->inverse);
    if (R(columns_past_cache)(rows, first))
        R(subtract_from_columns)(&f, rows, first, type, inverse, minus_hi, minus_lo, PLAIN, 1);
    else if (rows->out.type == type)
        R(subtract_from_columns)(&f, rows, first, type, inverse, minus_hi, minus_lo, type, 0);
    else
        R(subtract_from_columns)(&f, rows, first, type, inverse, minus_hi, minus_lo, PLAIN, 0);
    return f.n_rows;
}

OF_EACH_TYPE(log_softmax_few_columns)
