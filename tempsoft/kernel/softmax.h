/* Probabilities from a plan: each exponential times its block's share of the sum. For REAL, by inclusion. */

/* share / sum of a block, as hi + lo; where it is so small that hi would lose bits, exponentials are taken down a step
 * first and the factor is larger by as much. */
typedef struct {
    VR hi, lo;
    int two_steps;
} R(factor);

/* out = hi, lo and the step down, which is 1 where none is needed. */
static inline void R(split_factor)(const ts_plan *plan, intptr_t b, REAL out[3]) {
    dd share = {plan->blocks.share_hi[b], plan->blocks.share_lo[b]}, inverse = {plan->inverse_hi, plan->inverse_lo};
    out[2] = 1;
    if (share.hi * inverse.hi < SMALLEST_FACTOR) {
        share.hi *= 1 / (double)STEP_DOWN;
        share.lo *= 1 / (double)STEP_DOWN;
        out[2] = STEP_DOWN;
    }
    dd f = dd_product(share, inverse);
    out[0] = (REAL)f.hi;
    out[1] = (REAL)((f.hi - out[0]) + f.lo);
}

static inline R(factor) R(factor_of)(const ts_plan *plan, intptr_t b) {
    REAL f[3];
    R(split_factor)(plan, b, f);
    return (R(factor)){V(set1)(f[0]), V(set1)(f[1]), f[2] != 1};
}

static inline VR R(probability)(VR e, const R(factor) * f) {
    if (f->two_steps)
        e = V(mul)(e, V(set1)(STEP_DOWN));
    return V(fma)(e, f->hi, V(mul)(e, f->lo));
}

static void R(scale_block)(const REAL *e, intptr_t n, R(factor) f, REAL *out) {
    intptr_t i = 0;
    for (; i + LANES <= n; i += LANES)
        V(store)(out + i, R(probability)(V(load)(e + i), &f));
    if (i < n)
        V(store_first)(out + i, n - i, R(probability)(V(load_first)(e + i, n - i, V(set1)(0)), &f));
}

/* The exponentials of a block that were not kept, made again with the same bits. */
static REAL *R(exp_again)(const ts_plan *plan, const ts_vector *row, intptr_t b, const R(scratch) * s) {
    intptr_t start = b * TS_BLOCK, length = block_length(plan, b);
    tempering k = tempering_of(plan->temperature);
    R(exp_block)(R(load)(row, start, length, s->block), length, &k, plan->blocks.max[b], s->weights);
    return s->weights;
}

static void R(softmax_row)(const ts_vector *row, intptr_t n, double temperature, const ts_vector *out,
                           const R(scratch) * s) {
    REAL *keep = R(is_plain)(out) ? (REAL *)out->data : n <= TS_BLOCK ? s->weights : NULL;
    ts_plan plan;
    R(plan_row)(&plan, row, n, temperature, keep, s);
    if (plan.kind == TS_NAN || plan.kind == TS_NOWHERE) {
        R(fill)(out, 0, n, (REAL)NAN, s->block);
        return;
    }
    if (plan.kind == TS_UNIFORM) {
        R(fill_uniform)(&plan, row, out, (REAL)(1.0 / (double)plan.n_kept), 0, s);
        return;
    }
    for (intptr_t b = 0; b < plan.n_blocks; b++) {
        intptr_t start = b * TS_BLOCK, length = block_length(&plan, b);
        if (plan.blocks.share_hi[b] == 0) {
            R(fill)(out, start, start + length, 0, s->weights);
            continue;
        }
        const REAL *e = keep ? keep + start : R(exp_again)(&plan, row, b, s);
        REAL *to = R(place)(out, start, s->weights);
        R(scale_block)(e, length, R(factor_of)(&plan, b), to);
        R(store)(out, start, length, to);
    }
}
