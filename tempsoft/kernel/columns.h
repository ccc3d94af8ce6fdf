/* Rows that lie side by side: a tile of columns in lanes. For REAL, by inclusion.
 *
 * axis=0 comes as it lies, without transposing. The same formula, order of additions and bits as a row by itself:
 * accumulator j of a column takes what accumulator j of a row takes. A tile with NaN, +inf, -inf at the head of a
 * column, several temperatures or one that needs the careful formula is declined before anything is written, and its
 * rows are taken one by one.
 */

#define TILE_VECTORS (TILE / LANES)

typedef struct {
    const ts_rows *rows; /* of which these columns are `width` from number `first` on */
    intptr_t first, width;
    const char *x; /* first entry of the first column; columns are contiguous */
    char *out;
    intptr_t x_stride, out_stride; /* bytes from category to category */
    intptr_t n, n_blocks;
    tempering k;
    double *max, *exponent, *sum_hi, *sum_lo;   /* [block][column] */
    double *depths;                             /* [block][column], of entropy: in the place of the next */
    REAL *factor_hi, *factor_lo, *factor_least; /* [block][column], of probabilities */
    int is_low;                                 /* whether they are for quotients that may be subnormal */
} R(tile);

static inline const REAL *R(logits_at)(const R(tile) * t, intptr_t i) { return (const REAL *)(t->x + i * t->x_stride); }
static inline VR R(at)(const R(tile) * t, intptr_t i, int v) { return V(load)(R(logits_at)(t, i) + v * LANES); }
static inline REAL *R(out_at)(const R(tile) * t, intptr_t i, int v) {
    return (REAL *)(t->out + i * t->out_stride) + v * LANES;
}
static inline intptr_t R(block_end)(const R(tile) * t, intptr_t b) {
    return (b + 1) * TS_BLOCK < t->n ? (b + 1) * TS_BLOCK : t->n;
}

/* The largest of entries start ... end of each column; 0 if there is a NaN. */
static int R(columns_max)(const R(tile) * t, intptr_t start, intptr_t end, REAL *max) {
    VR largest[TILE_VECTORS], sum[TILE_VECTORS];
    v_mask nan = V(is_nan)(V(set1)(0));
    for (int v = 0; v < TILE_VECTORS; v++) {
        largest[v] = V(set1)((REAL)-INFINITY);
        sum[v] = V(set1)(0);
    }
    for (intptr_t i = start; i < end; i++)
        for (int v = 0; v < TILE_VECTORS; v++) {
            VR x = R(at)(t, i, v);
            largest[v] = V(max)(x, largest[v]);
            sum[v] = V(add)(sum[v], x);
        }
    for (int v = 0; v < TILE_VECTORS; v++) {
        nan = v_mask_or(nan, V(is_nan)(sum[v])); /* see block_max */
        V(store)(max + v * LANES, largest[v]);
    }
    return !v_mask_any(nan);
}

/* Maxima and c of every block and column, by the rule of plan_fast; 0 if the tile is to be declined. */
static int R(tile_max)(R(tile) * t) {
    REAL max[TILE];
    double c[TILE];
    if (!R(columns_max)(t, 0, t->n < TS_GROUP ? t->n : TS_GROUP, max))
        return 0;
    int n_fast = 0;
    for (int i = 0; i < TILE; i++) {
        c[i] = R(exponent_of)((double)max[i], &t->k);
        n_fast += fabs(c[i]) < LARGEST_EXPONENT; /* infinities are not */
    }
    for (intptr_t b = 0; b < t->n_blocks && n_fast == TILE; b++) {
        if (t->n > TS_GROUP && !R(columns_max)(t, b * TS_BLOCK, R(block_end)(t, b), max))
            return 0;
        for (int i = 0; i < TILE; i++) {
            const R(scale) scale = R(scale_of)(&t->k, c[i], 0);
            if (t->n > TS_GROUP && R(exceeds)((double)max[i], &scale)) {
                c[i] = R(exponent_of)((double)max[i], &t->k);
                n_fast -= !(fabs(c[i]) < LARGEST_EXPONENT);
            }
            t->max[b * TILE + i] = (double)max[i];
            t->exponent[b * TILE + i] = c[i];
        }
    }
    return n_fast == TILE;
}

/* Add the weighted depths of n categories at x, below these largest ones; their exponentials are in s->turned and used
 * up. */
TS_INLINE void R(add_depths)(const R(tile) * t, const REAL *max, const REAL *x, intptr_t x_step, intptr_t n,
                             R(sum) sums[TILE / 16][16], R(scratch) * s) {
    R(depths) of = R(depths_of)(0, &t->k);
    for (int v = 0; v < TILE; v += LANES) {
        of.max = V(load)(max + v);
        for (intptr_t i = 0; i < n; i++) {
            REAL *const e = s->turned + i * TILE + v;
            V(store)(e, R(weighted_depth)(V(load)(e), V(load)(x + i * x_step + v), &of));
        }
    }
    for (int c = 0; c < TILE / 16; c++)
        R(sum_lanes)(sums[c], s->turned + c * 16, TILE, n);
}

/* Sums of block b, a column each; the exponentials are left in `out` if `keep`. Else those of depths, too, below the
 * largest logits of the columns, unless that is NULL. */
static void R(tile_exp)(R(tile) * t, intptr_t b, int keep, const REAL *largest, R(scratch) * s) {
    REAL round_less_c[TILE], lowest[TILE];
    for (int c = 0; c < TILE; c++) {
        const double exponent = t->exponent[b * TILE + c];
        round_less_c[c] = (REAL)(ROUND - exponent);
        lowest[c] = R(lowest_of)(&t->k, exponent);
    }
    R(scale) scale = R(scale_of)(&t->k, 0, 0);
    R(seen) seen = R(nothing_seen)(); /* not looked at: nothing exceeds, as tile_max saw */
    const intptr_t x_step = t->x_stride / (intptr_t)sizeof(REAL), end = R(block_end)(t, b);
    const intptr_t e_step = keep ? t->out_stride / (intptr_t)sizeof(REAL) : TILE;
    R(sum) sums[TILE / 16][16], of_depths[TILE / 16][16]; /* [16 columns][accumulator]: lanes are columns here */
    for (int c = 0; c < TILE / 16; c++)
        for (int j = 0; j < 16; j++)
            sums[c][j] = R(sum_zero)();
    for (int c = 0; c < TILE / 16 && largest; c++)
        for (int j = 0; j < 16; j++)
            of_depths[c][j] = R(sum_zero)();
    for (intptr_t i = b * TS_BLOCK; i < end; i += TS_GROUP) {
        const intptr_t n = end - i < TS_GROUP ? end - i : TS_GROUP;
        REAL *const e = keep ? R(out_at)(t, i, 0) : s->turned;
        for (int v = 0; v < TILE; v += LANES) {
            scale.round_less_c = V(load)(round_less_c + v);
            scale.lowest = V(load)(lowest + v);
            R(exp_lanes)(R(logits_at)(t, i) + v, x_step, n, &scale, &seen, e + v, e_step);
        }
        for (int c = 0; c < TILE / 16; c++)
            if (n == TS_GROUP)
                R(sum_lanes)(sums[c], e + c * 16, e_step, TS_GROUP);
            else
                R(sum_lanes)(sums[c], e + c * 16, e_step, n);
        if (largest)
            R(add_depths)(t, largest, R(logits_at)(t, i), x_step, n, of_depths, s);
    }
    for (int c = 0; c < TILE / 16; c++) {
        if (largest) {
            const R(sum) total = R(sum_across)(of_depths[c]);
            R(put_sums)(&total, t->depths + b * TILE + c * 16, NULL);
        }
        const R(sum) total = R(sum_across)(sums[c]);
        R(put_sums)(&total, t->sum_hi + b * TILE + c * 16, t->sum_lo + b * TILE + c * 16);
    }
}

/* The plan of column c, in the scratch memory of one row. */
static ts_plan R(plan_column)(const R(tile) * t, int c, R(scratch) * s) {
    ts_plan plan = {.kind = TS_ORDINARY,
                    .n_categories = t->n,
                    .n_blocks = t->n_blocks,
                    .k = &t->k,
                    .max = -INFINITY,
                    .exponent = -INFINITY,
                    .blocks = s->blocks};
    for (intptr_t b = 0; b < t->n_blocks; b++) {
        const double max = t->max[b * TILE + c];
        plan.blocks.sum_hi[b] = t->sum_hi[b * TILE + c];
        plan.blocks.sum_lo[b] = t->sum_lo[b * TILE + c];
        plan.exponent = plan.blocks.exponent[b] = t->exponent[b * TILE + c];
        if (plan.blocks.sum_hi[b] < NOTHING) /* see plan_fast */
            R(nothing_in)(&plan, b);
        plan.max = max > plan.max ? max : plan.max;
    }
    R(sum_blocks)(&plan);
    return plan;
}

/* What plan_column and split_factor come to, for all columns of one block at once. */
static void R(factors_of_one_block)(R(tile) * t, int is_low) {
    t->is_low = !R(inverses)(t->sum_hi, t->sum_lo, TILE, 0, LEAST_LO, t->factor_hi, t->factor_lo) || is_low;
    if (t->is_low)
        R(inverses)(t->sum_hi, t->sum_lo, TILE, LEAST_DOWN, 0, t->factor_hi, t->factor_lo);
    const VR zero = V(set1)(0);
    for (int v = 0; v < TILE; v += LANES)
        V(store)(t->factor_least + v, t->is_low ? R(low_factor)(zero, zero).least : V(set1)(SMALLEST_NORMAL));
}

/* The factor of each block and column; `is_low` if quotients may be subnormal even where no sum says so. */
static void R(tile_factors)(R(tile) * t, int is_low, R(scratch) * s) {
    if (t->n_blocks == 1) {
        R(factors_of_one_block)(t, is_low);
        return;
    }
    t->is_low = 0;
    for (int c = 0; c < TILE; c++) {
        ts_plan plan = R(plan_column)(t, c, s);
        for (intptr_t b = 0; b < t->n_blocks; b++) {
            REAL factor[3];
            R(split_factor)(&plan, b, is_low, factor);
            t->factor_hi[b * TILE + c] = factor[0];
            t->factor_lo[b * TILE + c] = factor[1];
            t->factor_least[b * TILE + c] = factor[2];
            t->is_low |= factor[2] != SMALLEST_NORMAL;
        }
    }
}

/* Exponentials in place of the results, and what divides them; 0 if the tile is to be declined. */
static int R(tile_exps)(R(tile) * t, R(scratch) * s) {
    if (!R(tile_max)(t))
        return 0;
    for (intptr_t b = 0; b < t->n_blocks; b++)
        R(tile_exp)(t, b, 1, NULL, s);
    R(tile_factors)(t, 1, s);
    return 1;
}

/* Vector v of category i, of the block that begins at number b of the factors. */
TS_INLINE VR R(tile_probability)(const R(tile) * t, intptr_t b, intptr_t i, int v) {
    const intptr_t at = b + v * LANES;
    const R(factor) f = {V(load)(t->factor_hi + at), V(load)(t->factor_lo + at), V(load)(t->factor_least + at), 1};
    return R(probability)(V(load)(R(out_at)(t, i, v)), &f, 1);
}

static int R(softmax_tile)(R(tile) * t, R(scratch) * s) {
    if (!R(tile_exps)(t, s))
        return 0;
    for (intptr_t i = 0; i < t->n; i++)
        for (int v = 0; v < TILE_VECTORS; v++)
            V(store)(R(out_at)(t, i, v), R(tile_probability)(t, i / TS_BLOCK * TILE, i, v));
    return 1;
}

/* The plan of every column, from its blocks. */
static void R(plans_of_tile)(const R(tile) * t, R(plans) * plans, R(scratch) * s) {
    R(set_plans_k)(plans, &t->k);
    if (t->n_blocks == 1) { /* as above */
        for (int c = 0; c < TILE; c++)
            plans->max[c] = (REAL)t->max[c];
        memcpy(plans->exponent, t->exponent, TILE * sizeof *t->exponent);
        memcpy(plans->sum_hi, t->sum_hi, TILE * sizeof *t->sum_hi);
        memcpy(plans->sum_lo, t->sum_lo, TILE * sizeof *t->sum_lo);
        return;
    }
    for (int c = 0; c < TILE; c++) {
        const ts_plan plan = R(plan_column)(t, c, s);
        plans->max[c] = (REAL)plan.max;
        plans->exponent[c] = plan.exponent;
        plans->sum_hi[c] = plan.sum_hi;
        plans->sum_lo[c] = plan.sum_lo;
    }
}

/* The largest logit of each column, from those of its blocks. */
static void R(tile_largest)(const R(tile) * t, REAL *largest) {
    for (int c = 0; c < TILE; c++) {
        largest[c] = (REAL)t->max[c];
        for (intptr_t b = 1; b < t->n_blocks; b++)
            largest[c] = t->max[b * TILE + c] > largest[c] ? (REAL)t->max[b * TILE + c] : largest[c];
    }
}

/* The plans of a tile, and the sums of depths if these are wanted; 0 if it is to be declined. */
static int R(tile_plans)(R(tile) * t, R(plans) * plans, int want_depths, R(scratch) * s) {
    REAL largest[TILE];
    if (!R(tile_max)(t))
        return 0;
    if (want_depths)
        R(tile_largest)(t, largest);
    for (intptr_t b = 0; b < t->n_blocks; b++)
        R(tile_exp)(t, b, 0, want_depths ? largest : NULL, s);
    R(plans_of_tile)(t, plans, s);
    return 1;
}

static int R(logsumexp_tile)(R(tile) * t, R(scratch) * s) {
    R(plans) plans;
    if (!R(tile_plans)(t, &plans, 0, s))
        return 0;
    R(logsumexp_of_rows)(&plans, TILE, (REAL *)t->out);
    return 1;
}

static int R(log_softmax_tile)(R(tile) * t, R(scratch) * s) {
    R(plans) plans;
    R(log_scales) scales;
    if (!R(tile_plans)(t, &plans, 0, s) || !R(log_scales_of)(&plans, TILE, &scales))
        return 0;
    for (intptr_t i = 0; i < t->n; i++)
        for (int v = 0; v < TILE_VECTORS; v++) {
            const R(log_scale) scale = R(log_scale_at)(&scales, v * LANES);
            V(store)(R(out_at)(t, i, v), R(log_probability)(R(at)(t, i, v), &scale));
        }
    return 1;
}

/* The depths of all blocks of column c, as entropy_row adds them up. */
static double R(depths_of_column)(const R(tile) * t, int c, R(scratch) * s) {
    if (t->n_blocks == 1)
        return t->depths[c];
    const ts_plan plan = R(plan_column)(t, c, s);
    double sum = 0;
    for (intptr_t b = 0; b < t->n_blocks; b++)
        if (R(counts)(&plan, b))
            sum += down_by(t->depths[b * TILE + c], R(depth)(&plan, b));
    return sum;
}

static int R(entropy_tile)(R(tile) * t, R(scratch) * s) {
    R(plans) plans;
    double depths[TILE];
    if (!R(tile_plans)(t, &plans, 1, s))
        return 0;
    for (int c = 0; c < TILE; c++)
        depths[c] = R(depths_of_column)(t, c, s);
    R(entropies_of_rows)(&plans, depths, TILE, (REAL *)t->out);
    return 1;
}

/* log_prob of a tile with these plans; 0 if the fast formula does not hold. */
static int R(put_log_probs_of_tile)(const R(tile) * t, const R(plans) * plans) {
    R(log_scales) scales;
    if (!R(log_scales_of)(plans, TILE, &scales))
        return 0;
    R(put_log_probs_of_rows)(t->rows, t->first, t->width, NULL, plans, scales.minus_offset_hi, scales.minus_offset_lo,
                             NULL);
    return 1;
}

static int R(log_prob_tile)(R(tile) * t, R(scratch) * s) {
    R(plans) plans;
    return R(tile_plans)(t, &plans, 0, s) && R(put_log_probs_of_tile)(t, &plans);
}
