/* Rows at a limit: NaN, infinities, a temperature of 0 or inf. For REAL, by inclusion.
 *
 * In the order of the contract: NaN; only -inf; +inf; temperature 0; temperature inf. The last three are equal shares
 * of what one cut keeps: the entries of +inf, the first of the largest, the entries above -inf. Their blocks hold
 * counts.
 */

/* How many of x are above the cut's threshold, and how many equal to it. */
static void R(count)(const REAL *x, intptr_t n, double threshold, intptr_t *above, intptr_t *equal) {
    const VR limit = V(set1)((REAL)threshold);
    intptr_t n_above = 0, n_equal = 0, i = 0;
    for (; i + LANES <= n; i += LANES) {
        const VR v = V(load)(x + i);
        const v_mask is_above = V(not_le)(v, limit); /* there is no NaN here */
        n_above += V(count)(is_above);
        n_equal += V(count)(v_mask_and_not(V(ge)(v, limit), is_above));
    }
    for (; i < n; i++) {
        n_above += x[i] > (REAL)threshold;
        n_equal += x[i] == (REAL)threshold;
    }
    *above = n_above;
    *equal = n_equal;
}

/* to[i] = inside where x[i] is above the threshold or among the first `ties` equal to it, outside elsewhere. */
static void R(fill_kept)(const REAL *x, intptr_t n, ts_cut cut, REAL inside, REAL outside, REAL *to) {
    const REAL threshold = (REAL)cut.threshold;
    for (intptr_t i = 0; i < n; i++) {
        int kept = x[i] > threshold || (x[i] == threshold && cut.ties-- > 0);
        to[i] = kept ? inside : outside;
    }
}

/* Apply the plan's cut: the number kept in each block, and in all. */
static void R(count_kept)(ts_plan *plan, const R(source) * row, REAL *buffer) {
    intptr_t ties = plan->cut.ties;
    plan->n_kept = 0;
    for (intptr_t b = 0; b < plan->n_blocks; b++) {
        intptr_t above, equal, length = block_length(plan, b);
        R(count)(R(read)(row, b, length, buffer), length, plan->cut.threshold, &above, &equal);
        equal = equal < ties ? equal : ties;
        ties -= equal;
        plan->n_kept += above + equal;
        plan->blocks.sum_hi[b] = (double)(above + equal);
        plan->blocks.exponent[b] = 0;
    }
}

/* The plan of a row at a limit. */
static void R(plan_limit)(ts_plan *plan, const R(source) * row, REAL *buffer) {
    plan->kind = TS_NAN;
    plan->max = -INFINITY;
    plan->exponent = 0;
    for (intptr_t b = 0; b < plan->n_blocks; b++) {
        intptr_t length = block_length(plan, b);
        double max = R(block_max)(R(read)(row, b, length, buffer), length);
        if (isnan(max))
            return;
        plan->max = max > plan->max ? max : plan->max;
    }
    if (!(plan->k->temperature >= 0))
        return;
    plan->kind = plan->max > -INFINITY ? TS_UNIFORM : TS_NOWHERE;
    if (plan->max == INFINITY) {
        count_one(&n_infinite);
        plan->cut = (ts_cut){INFINITY, plan->n_categories};
    } else if (plan->k->temperature == 0)
        plan->cut = (ts_cut){plan->max, 1};
    else
        plan->cut = (ts_cut){-INFINITY, 0};
    if (plan->kind == TS_UNIFORM)
        R(count_kept)(plan, row, buffer);
}

static void R(fill)(const ts_vector *out, intptr_t start, intptr_t end, REAL value, REAL *buffer) {
    for (; start < end; start += TS_BLOCK) {
        intptr_t length = end - start < TS_BLOCK ? end - start : TS_BLOCK;
        REAL *to = R(place)(out, start, buffer);
        for (intptr_t i = 0; i < length; i++)
            to[i] = value;
        R(store)(out, start, length, to);
    }
}

/* The cut within block b of a uniform row. */
static ts_cut R(cut_in_block)(const ts_plan *plan, intptr_t b, const REAL *x) {
    intptr_t above, equal;
    R(count)(x, block_length(plan, b), plan->cut.threshold, &above, &equal);
    return (ts_cut){plan->cut.threshold, (intptr_t)plan->blocks.sum_hi[b] - above};
}

/* `inside` where the cut of a uniform row keeps the entry, `outside` elsewhere. */
static void R(fill_uniform)(const ts_plan *plan, const R(source) * row, const ts_vector *out, REAL inside, REAL outside,
                            const R(scratch) * s) {
    for (intptr_t b = 0; b < plan->n_blocks; b++) {
        intptr_t start = b * TS_BLOCK, length = block_length(plan, b);
        const REAL *x = R(read)(row, b, length, s->block);
        REAL *to = R(place)(out, start, s->weights);
        R(fill_kept)(x, length, R(cut_in_block)(plan, b, x), inside, outside, to);
        R(store)(out, start, length, to);
    }
}
