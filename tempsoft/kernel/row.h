/* A row's plan: one pass over its blocks, each read once. For REAL, by inclusion.
 *
 * Promises that the plan depends on the row's own numbers and its temperature alone. Rows with NaN, infinities, or a
 * temperature of 0 or inf are left to limits.h; what to make of a plan is left to softmax.h, logarithms.h and draw.h.
 */

/* How far the c of a block b that counts lies below the exponent of the row, in bits. */
static inline int R(depth)(const ts_plan *plan, intptr_t b) { return (int)(plan->exponent - plan->blocks.exponent[b]); }

/* Whether anything of block b is left beside the rest of the row. */
static inline int R(counts)(const ts_plan *plan, intptr_t b) {
    return plan->exponent - plan->blocks.exponent[b] <= HEADROOM - UNDERFLOW;
}

static dd R(sum_of_blocks)(const ts_plan *plan) {
    dd sum = {0.0, 0.0};
    for (intptr_t b = 0; b < plan->n_blocks; b++) {
        if (!R(counts)(plan, b))
            continue;
        const int depth = R(depth)(plan, b);
        sum = dd_add(sum, (dd){down_by(plan->blocks.sum_hi[b], depth), down_by(plan->blocks.sum_lo[b], depth)});
    }
    return sum;
}

static inline void R(set_sum)(ts_plan *plan, dd sum) {
    plan->sum_hi = sum.hi;
    plan->sum_lo = fabs(sum.lo) < 0x1p-200 * sum.hi ? 0 : sum.lo; /* of nothing but what stands for -inf */
}

/* The row's sum, from those of its blocks: they differ by exact powers of two. That of several blocks is brought near
 * 2^BIAS, so that what is divided by it stays in range; this keeps the exponent even. */
static void R(sum_blocks)(ts_plan *plan) {
    dd sum = {plan->blocks.sum_hi[0], plan->blocks.sum_lo[0]};
    if (plan->n_blocks > 1) {
        sum = R(sum_of_blocks)(plan);
        while (plan->formula != TS_CAREFUL && sum.hi >= 0x1p4 * SCALE) {
            sum = (dd){sum.hi * 0x1p-4, sum.lo * 0x1p-4};
            plan->exponent += 4;
        }
    }
    R(set_sum)(plan, sum);
}

/* The blocks by the fast exponential. c comes from the first group of the row and is raised by a block that exceeds
 * it, so that most rows are read once and c depends on the row's numbers alone. 0 if the fast formula does not hold
 * for this row: its largest logits are out of reach, or blocks out of reach may count beside them. */
TS_INLINE int R(plan_fast)(ts_plan *plan, const R(source) * row, R(wants) wants, REAL *keep, const R(scratch) * s) {
    const intptr_t n_first = plan->n_categories < TS_GROUP ? plan->n_categories : TS_GROUP;
    double c = R(first_exponent)(R(read)(row, 0, n_first, s->block), n_first, plan->k);
    double out_of_reach = -INFINITY;
    int in_reach = fabs(c) < LARGEST_EXPONENT; /* not of NaN */
    R(trials) trials = R(first_trials)(row, s);
    for (intptr_t b = 0; b < plan->n_blocks; b++) {
        if (in_reach && R(is_time_to_share)(&trials, b))
            b += R(plan_shared)(&trials, plan, row, b, c, wants, keep, s);
        if (b == plan->n_blocks)
            break;
        const intptr_t start = b * TS_BLOCK, length = block_length(plan, b);
        dd sum = {0.0, 0.0};
        R(nothing_in)(plan, b);
        if (R(is_gone)(row, b))
            continue;
        R(rest) rest;
        const REAL *x = R(read_uncut)(row, b, length, s->block, &rest);
        ts_range range = TS_EXCEEDED;
        double max;
        if (in_reach)
            sum = R(exp_block_kept)(plan, c, x, length, rest, keep, start, s, wants == R(MAXIMA) ? &max : NULL, &range);
        const int exceeds = range == TS_EXCEEDED;
        if (exceeds)
            max = R(block_max)(x, length);
        if (exceeds || wants == R(MAXIMA)) {
            s->block_max[b] = (REAL)max;
            if (!(max < INFINITY)) {
                R(plan_limit)(plan, row, s->block);
                return 1;
            }
            plan->max = max > plan->max ? max : plan->max;
            const double exponent = R(exponent_of)(max, plan->k);
            if (exceeds && fabs(exponent) < LARGEST_EXPONENT) {
                in_reach = 1;
                c = exponent;
                sum = R(exp_block_kept)(plan, c, x, length, rest, keep, start, s, NULL, &range);
            } else if (exceeds && in_reach) {
                return 0;
            } else if (exceeds && exponent > out_of_reach) {
                out_of_reach = exponent;
            }
        }
        plan->is_low |= range == TS_LOW;
        R(put_sum)(plan, b, c, sum);
    }
    plan->exponent = in_reach ? c : -INFINITY;
    if (!in_reach && plan->max == -INFINITY)
        plan->kind = TS_NOWHERE;
    return plan->kind == TS_NOWHERE || out_of_reach - 2 * UNDERFLOW < plan->exponent;
}

/* The blocks by the careful exponential, relative to the largest logit of the row, which takes a second reading. */
static void R(plan_careful)(ts_plan *plan, const R(source) * row, REAL *keep, const R(scratch) * s) {
    plan->formula = TS_CAREFUL;
    plan->is_low = 1; /* it may be */
    plan->max = -INFINITY;
    plan->exponent = 0;
    for (intptr_t b = 0; b < plan->n_blocks; b++) {
        const intptr_t length = block_length(plan, b);
        const REAL *x = R(read)(row, b, length, s->block);
        const double max = R(block_max)(x, length);
        s->block_max[b] = (REAL)max;
        if (!(max < INFINITY)) {
            R(plan_limit)(plan, row, s->block);
            return;
        }
        plan->max = max > plan->max ? max : plan->max;
    }
    if (plan->max == -INFINITY) {
        plan->kind = TS_NOWHERE;
        return;
    }
    for (intptr_t b = 0; b < plan->n_blocks; b++) {
        const intptr_t start = b * TS_BLOCK, length = block_length(plan, b);
        R(nothing_in)(plan, b);
        if (R(is_gone)(row, b))
            continue;
        R(rest) rest;
        const REAL *x = R(read_uncut)(row, b, length, s->block, &rest);
        dd sum = R(exp_block_kept)(plan, 0, x, length, rest, keep, start, s, NULL, NULL);
        plan->blocks.exponent[b] = 0;
        plan->blocks.sum_hi[b] = sum.hi;
        plan->blocks.sum_lo[b] = sum.lo;
    }
}

/* An ordinary plan made again by the careful exponential, to be compared with one that is of it. */
static void R(plan_again_carefully)(ts_plan *plan, const R(source) * row, const R(scratch) * s) {
    R(plan_careful)(plan, row, NULL, s);
    R(sum_blocks)(plan);
}

static void R(begin_plan)(ts_plan *plan, intptr_t n, const tempering *k, const R(scratch) * s) {
    plan->kind = TS_ORDINARY; /* one by one, as clearing it whole takes as long as 100 categories */
    plan->formula = TS_FAST;
    plan->is_low = 0;
    plan->n_categories = n;
    plan->n_blocks = (n + TS_BLOCK - 1) / TS_BLOCK;
    plan->k = k;
    plan->max = -INFINITY;
    plan->blocks = s->blocks;
}

/* The plan of a row. Its exponentials are left in `keep` unless that is NULL, and are meaningless unless the plan is
 * ordinary. */
static void R(plan_row)(ts_plan *plan, const R(source) * row, intptr_t n, double temperature, R(wants) wants,
                        REAL *keep, R(scratch) * s) {
    const tempering *k = R(tempering_for)(s, temperature);
    R(begin_plan)(plan, n, k, s);
    if (!(temperature > 0 && temperature < INFINITY)) {
        R(plan_limit)(plan, row, s->block);
        return;
    }
    if (!R(is_moderate)(k) || !R(plan_fast)(plan, row, wants, keep, s))
        R(plan_careful)(plan, row, keep, s);
    if (plan->kind == TS_ORDINARY)
        R(sum_blocks)(plan);
}

/* The largest of some weights; NaN if one is negative or NaN. */
static double R(weights_max)(const REAL *x, intptr_t n) {
    const VR zero = V(set1)(0);
    VR max = zero;
    v_mask is_bad = V(not_le)(zero, zero);
    for (intptr_t i = 0; i < n; i += LANES) {
        const VR v = V(load_up_to)(x + i, n - i, zero);
        max = V(max)(v, max);
        is_bad = v_mask_or(is_bad, V(not_le)(zero, v));
    }
    return v_mask_any(is_bad) ? NAN : (double)V(largest)(max);
}

/* The plan of a row of weights: they take the place of exponentials. NaN if one is negative, infinite or NaN. */
static void R(plan_weights)(ts_plan *plan, const R(source) * row, intptr_t n, REAL *keep, R(scratch) * s) {
    R(begin_plan)(plan, n, R(tempering_for)(s, 1.0), s);
    plan->formula = TS_WEIGHED;
    for (intptr_t b = 0; b < plan->n_blocks; b++) {
        const intptr_t length = block_length(plan, b);
        const REAL *x = R(read)(row, b, length, s->block);
        const double max = R(weights_max)(x, length);
        if (!(max < INFINITY))
            plan->kind = TS_NAN;
        plan->max = max > plan->max ? max : plan->max;
    }
    if (plan->kind == TS_ORDINARY && !(plan->max > 0))
        plan->kind = TS_NOWHERE;
    if (plan->kind != TS_ORDINARY)
        return;
    const R(rest) all = {(REAL)-INFINITY, ALL_GROUPS};
    int exponent;
    frexp(plan->max, &exponent);
    plan->exponent = (double)exponent;
    for (intptr_t b = 0; b < plan->n_blocks; b++) {
        const intptr_t length = block_length(plan, b);
        const REAL *x = R(read)(row, b, length, s->block);
        const dd sum = R(exp_block_kept)(plan, plan->exponent, x, length, all, keep, b * TS_BLOCK, s, NULL, NULL);
        plan->blocks.exponent[b] = plan->exponent;
        plan->blocks.sum_hi[b] = sum.hi;
        plan->blocks.sum_lo[b] = sum.lo;
    }
    R(sum_blocks)(plan);
}
