/* Probabilities from a plan: each exponential over the sum. For REAL, by inclusion. */

/* hi, lo and `least` of a factor; 0 and 0 where nothing is left of the block. */
static inline void R(split_factor)(const ts_plan *plan, intptr_t b, int is_low, REAL out[3]) {
    out[0] = out[1] = 0;
    out[2] = SMALLEST_NORMAL;
    if (!R(counts)(plan, b))
        return;
    const dd inverse = R(inverse_of)((dd){plan->sum_hi, plan->sum_lo});
    const int depth = R(depth)(plan, b);
    for (;; is_low = 1) {
        int down = 0, power;
        if (is_low) {
            frexp(plan->sum_hi, &power);
            down = DOWN + depth + power - BIAS;
            down = down < LEAST_DOWN ? LEAST_DOWN : down < MOST_DOWN ? down : MOST_DOWN;
            out[2] = (REAL)(SMALLEST_NORMAL * two_to(down / 2) * two_to(down - down / 2));
        }
        const double hi = down_by(inverse.hi, depth - down);
        out[0] = (REAL)hi;
        out[1] = (REAL)((hi - out[0]) + down_by(inverse.lo, depth - down));
        if (is_low || R(is_plain_factor)(out[0], out[1]))
            return;
    }
}

/* Whether block b has the factor of that other block, if there is such a one. */
static inline int R(is_like)(const ts_plan *plan, intptr_t b, intptr_t other) {
    return other >= 0 && plan->blocks.exponent[b] == plan->blocks.exponent[other];
}

static inline R(factor) R(factor_of)(const ts_plan *plan, intptr_t b, int is_low) {
    REAL f[3];
    R(split_factor)(plan, b, is_low, f);
    return R(factor_from)(f);
}

/* The exponentials of a block that were not kept, made again with the same bits. */
static REAL *R(exp_again)(const ts_plan *plan, const R(source) * row, intptr_t b, const R(scratch) * s) {
    const intptr_t length = block_length(plan, b);
    R(rest) rest;
    const REAL *x = R(read_uncut)(row, b, length, s->block, &rest);
    R(clear_groups)(rest, length, s->weights);
    R(exp_block)(plan, plan->blocks.exponent[b], x, length, rest, s->weights, NULL, NULL);
    return s->weights;
}

/* A row of one block for which the first c does, or that of its largest: what the plan of such a row comes to, in a
 * third of the steps between the sum and the first division that waits for it. 0 if the row is another. */
static inline int R(softmax_one_block)(const R(source) * row, intptr_t n, double temperature, const ts_vector *out,
                                       R(scratch) * s) {
    ts_plan plan; /* what exp_block reads of it */
    plan.k = R(tempering_for)(s, temperature);
    plan.max = 0;
    plan.formula = TS_FAST;
    if (n < 1 || n > TS_BLOCK || !R(is_moderate)(plan.k))
        return 0;
    const REAL *x = R(read)(row, 0, n, s->block);
    double c = R(first_exponent)(x, n, plan.k);
    ts_range range = TS_EXCEEDED;
    dd sum = {0, 0};
    for (int is_again = 0; range == TS_EXCEEDED; is_again++) {
        if (is_again == 2 || !(fabs(c) < LARGEST_EXPONENT))
            return 0;
        sum = R(exp_all)(&plan, c, x, n, s->weights, &range);
        if (range == TS_EXCEEDED)
            c = R(exponent_of)(R(block_max)(x, n), plan.k);
    }
    const R(factor) factor = R(factor_of_one_block)(sum, range == TS_LOW);
    REAL *to = R(place)(out, 0, s->weights);
    R(scale_block)(s->weights, n, factor, to);
    R(store)(out, 0, n, to);
    return 1;
}

/* What makes the results of an ordinary row. */
typedef struct {
    const ts_plan *plan;
    const R(source) * row;
    const ts_vector *out;
    REAL *keep; /* the exponentials, or NULL */
    int past_cache;
} R(quotients);

/* Those of n blocks from `first` on. */
static void R(divide_blocks)(void *quotients, intptr_t first, intptr_t n, const R(scratch) * s) {
    const R(quotients) *const of = (const R(quotients) *)quotients;
    const ts_plan *const plan = of->plan;
    R(factor) factor;
    intptr_t before = -1;
    for (intptr_t i = 0; i < n; i++) {
        const int is_long = plan->n_categories > TS_LONGEST;
        const intptr_t b = is_long ? first + n - 1 - i : first + i; /* the last is the nearest in cache */
        const intptr_t start = b * TS_BLOCK, length = block_length(plan, b);
        const int is_same = R(is_like)(plan, b, before);
        before = b;
        if (!is_same)
            factor = R(factor_of)(plan, b, plan->is_low);
        if (!R(counts)(plan, b)) {
            R(fill)(of->out, start, start + length, 0, s->weights);
            continue;
        }
        const REAL *e = of->keep ? of->keep + start : R(exp_again)(plan, of->row, b, s);
        REAL *to = R(place)(of->out, start, s->weights);
        if (of->past_cache)
            R(scale_past_cache)(e, length, &factor, to);
        else
            R(scale_block)(e, length, factor, to);
        R(store)(of->out, start, length, to);
    }
}

static void R(softmax_row)(const R(source) * row, intptr_t n, const ts_knobs *knobs, const ts_vector *out,
                           R(scratch) * s) {
    if (R(softmax_one_block)(row, n, knobs->temperature, out, s))
        return;
    REAL *keep = NULL; /* for the exponentials; not the row itself, which is needed to the end */
    const int may_wait = s->row && R(is_plain)(out), past_cache = may_wait && s->past_cache;
    if (n <= TS_BLOCK)
        keep = s->weights;
    else if (s->row)
        keep = s->row;
    else if (R(is_plain)(out) && out->data != row->numbers.data)
        keep = (REAL *)out->data;
    ts_plan plan;
    if (s->is_ready) {
        plan = s->ready;
        keep = s->kept;
    } else {
        R(plan_row)(&plan, row, n, knobs->temperature, R(JUST_SUMS), keep, s);
    }
    R(divide_waiting)(s);
    if (plan.kind == TS_NAN || plan.kind == TS_NOWHERE) {
        R(fill)(out, 0, n, (REAL)NAN, s->block);
        return;
    }
    if (plan.kind == TS_UNIFORM) {
        R(fill_uniform)(&plan, row, out, (REAL)(1.0 / (double)plan.n_kept), 0, s);
        return;
    }
    if (may_wait && s->waiting) {
        for (intptr_t b = 0; b < plan.n_blocks; b++) {
            REAL *const f = s->waiting->factors + 3 * b;
            if (R(is_like)(&plan, b, b - 1))
                memcpy(f, f - 3, 3 * sizeof *f);
            else
                R(split_factor)(&plan, b, plan.is_low, f);
        }
        R(begin_waiting)((REAL *)out->data, n, s);
        return;
    }
    R(quotients) of = {&plan, row, out, keep, past_cache};
    R(for_blocks)(R(divide_blocks), &of, plan.n_blocks, s);
}
