/* A row's plan: one pass over its blocks, each read once. For REAL, by inclusion.
 *
 * Promises that the plan depends on the row's own numbers and its temperature alone. Rows with NaN, infinities, or a
 * temperature of 0 or inf are left to limits.h; what to make of a plan is left to softmax.h, logarithms.h and draw.h.
 */

/* The plan of a row. Its exponentials are left in `keep`, which may be the row itself, unless that is NULL; they are
 * relative to the max of their block, and meaningless unless the plan is ordinary. */
static void R(plan_row)(ts_plan *plan, const ts_vector *row, intptr_t n, double temperature, REAL *keep,
                        const R(scratch) * s) {
    *plan = (ts_plan){.n_categories = n, .n_blocks = (n + TS_BLOCK - 1) / TS_BLOCK, .temperature = temperature};
    plan->blocks = s->blocks;
    plan->max = -INFINITY;
    if (!(temperature > 0 && temperature < INFINITY)) {
        R(plan_limit)(plan, row, 0, s->block);
        return;
    }
    tempering k = tempering_of(temperature);
    for (intptr_t b = 0; b < plan->n_blocks; b++) {
        intptr_t start = b * TS_BLOCK, length = block_length(plan, b);
        const REAL *x = R(load)(row, start, length, s->block);
        double max = R(block_max)(x, length);
        if (!(max < INFINITY)) {
            R(plan_limit)(plan, row, b, s->block);
            return;
        }
        dd sum = {0.0, 0.0};
        if (max > -INFINITY)
            sum = R(exp_block)(x, length, &k, max, keep ? keep + start : NULL);
        plan->blocks.max[b] = max;
        plan->blocks.sum_hi[b] = sum.hi;
        plan->blocks.sum_lo[b] = sum.lo;
        plan->max = max > plan->max ? max : plan->max;
    }
    plan->kind = plan->max > -INFINITY ? TS_ORDINARY : TS_NOWHERE;
    if (plan->kind == TS_ORDINARY)
        R(combine)(plan, &k);
}
