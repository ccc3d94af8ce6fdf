/* All draws from one row: with replacement, or one after another from what is left. For REAL, by inclusion. */

/* The weight of each block beside the others. */
static void R(weigh_blocks)(const ts_plan *plan, double *weights) {
    for (intptr_t b = 0; b < plan->n_blocks; b++)
        weights[b] = R(counts)(plan, b) ? down_by(plan->blocks.sum_hi[b], R(depth)(plan, b)) : 0;
}

static void R(accumulate)(const double *weights, intptr_t n, double *cumulative) {
    double sum = cumulative[-1] = 0.0;
    for (intptr_t b = 0; b < n; b++)
        cumulative[b] = sum += weights[b];
    for (intptr_t b = n; b < PADDED(n); b++)
        cumulative[b] = INFINITY;
}

/* Draws from what is left: what was drawn is taken out of its block, whose weight is added up again rather than
 * subtracted from, so small probabilities keep their rate when a large one is gone. 0 if nothing drawable is left. */
static int R(draw_successively)(const ts_plan *plan, const R(source) * row, const ts_vector *u, const ts_vector *index,
                                intptr_t n_draws, REAL *e, const R(scratch) * s) {
    double *weights = plan->blocks.sum_lo; /* which the row's sum has been made of already */
    R(weigh_blocks)(plan, weights);
    memset(s->taken, 0, (size_t)plan->n_blocks * TS_BLOCK / 8);
    for (intptr_t i = 0; i < n_draws;) {
        const double number = number_at(u, i);
        R(accumulate)(weights, plan->n_blocks, s->block_cumulative);
        if (!is_drawable(s->block_cumulative[plan->n_blocks - 1]))
            return 0;
        const intptr_t b = choose_block(s->block_cumulative, plan->n_blocks, NULL, number);
        R(block) block;
        R(ready_block)(&block, plan, row, b, e, s->taken, s);
        R(set_scale)(&block, plan, b, s);
        sorted_draw draw = {left_in_block(s->block_cumulative, plan->n_blocks, b, number)};
        R(draw_in_block)(&block, &draw, 1);
        const intptr_t at = (intptr_t)draw.place;
        if (at < 0) { /* nothing drawable in it after all */
            weights[b] = 0;
            continue;
        }
        s->taken[(b * TS_BLOCK + at) / 64] |= (uint64_t)1 << at % 64;
        R(put_draw)(index, i++, b * TS_BLOCK + at);
        block.weights[at] = 0;
        R(sum_weights)(&block, block.weights, NULL);
        weights[b] = down_by(block.total, R(counts)(plan, b) ? R(depth)(plan, b) : 0);
    }
    return 1;
}

static void R(draw_row)(const R(source) * row, intptr_t n, const ts_knobs *knobs, const ts_vector *u,
                        const ts_vector *index, const ts_vector *log_prob, intptr_t n_draws, R(scratch) * s) {
    REAL *keep = n <= TS_BLOCK ? s->weights : NULL;
    ts_plan plan;
    if (knobs->options & TS_WEIGHTS)
        R(plan_weights)(&plan, row, n, keep, s);
    else if (s->is_ready)
        plan = s->ready;
    else
        R(plan_row)(&plan, row, n, knobs->temperature, log_prob->data ? R(MAXIMA) : R(JUST_SUMS), keep, s);
    int is_valid = plan.kind == TS_ORDINARY || plan.kind == TS_UNIFORM;
    if (is_valid && knobs->options & TS_WITHOUT_REPLACEMENT) {
        is_valid = R(draw_successively)(&plan, row, u, index, n_draws, keep, s);
    } else if (is_valid && plan.n_blocks == 1) {
        R(draw_from_only)(&plan, row, u, index, n_draws, keep, s);
    } else if (is_valid) {
        R(weigh_blocks)(&plan, s->block_cumulative);
        R(accumulate)(s->block_cumulative, plan.n_blocks, s->block_cumulative);
        for (intptr_t first = 0; first < n_draws; first += TS_DRAWS)
            R(draw_from_several)(&plan, row, u, index, first, n_draws - first < TS_DRAWS ? n_draws - first : TS_DRAWS,
                                 s);
    }
    if (is_valid && log_prob->data)
        R(put_log_probs)(&plan, row, index, log_prob, n_draws, s->block);
    for (intptr_t i = 0; !is_valid && i < n_draws; i++) {
        R(put_draw)(index, i, -1);
        if (log_prob->data)
            *(REAL *)(log_prob->data + i * log_prob->stride) = (REAL)NAN;
    }
}
