/* Draws by inverse CDF in index order: u picks a block, a group of it, a run of that, an entry. For REAL, by inclusion.
 *
 * At each level the fraction is taken of the level's own total, so sums of different roundings never meet and a rare
 * last entry keeps its rate; what is left of u inside the chosen part is the fraction of the next level. A weight that
 * would be 0 as a probability of the working precision is 0 here and never drawn.
 */

/* One block, ready for draws. */
typedef struct {
    REAL *weights;                                     /* of its entries, 0 where never drawn, padded to whole groups */
    double groups[LEAD + PADDED(TS_BLOCK / TS_GROUP)]; /* sums of groups */
    /* where `summed` says so: sums of runs of a group, and of the weights of each run */
    double runs[TS_BLOCK / TS_GROUP][LEAD + PADDED(TS_GROUP / TS_RUN)], *cumulative;
    intptr_t length, n_groups;
    uint32_t summed; /* one bit a group */
    int is_short;    /* a row of one level: `cumulative` has the sums from the first weight on */
    double total;
    double scale; /* total over the weight that the row has the block be of, which is another sum; finite */
} R(block);

/* A weight, or 0 where it would be 0 as a probability: up to half of the smallest that there is. The factor is one for
 * quotients that may be subnormal. */
TS_INLINE VR R(if_drawable)(VR e, const R(factor) * f) {
    const VR more = V(mul)(f->least, V(set1)(MORE_THAN_HALF));
    return V(keep_ge)(R(probability)(e, f, 0), more, e);
}

/* The weights of a short row, one after another: so they can be added up for many rows at once. */
static void R(sum_short)(R(block) * block, REAL *weights, const R(factor) * f) {
    double sum = 0.0;
    for (intptr_t i = 0; f && i < block->length; i += LANES)
        V(store)(weights + i, R(if_drawable)(V(load)(weights + i), f));
    for (intptr_t i = 0; i < block->length; i++)
        block->cumulative[i] = sum += (double)weights[i];
    block->total = sum;
}

/* Weights that would be 0 as probabilities become 0, if any can; then sums of 64 weights each, in double. */
TS_INLINE void R(sum_groups_by)(R(block) * block, REAL *weights, const R(factor) * f) {
    double sum = 0.0, *const groups = block->groups + LEAD;
    groups[-1] = 0.0;
    for (intptr_t g = 0; g < block->n_groups; g++) {
        vd sums[PARTS];
        for (int part = 0; part < PARTS; part++)
            sums[part] = vd_set1(0);
        for (int at = 0; at < TS_GROUP; at += LANES) {
            REAL *place = weights + g * TS_GROUP + at;
            VR e = V(load)(place);
            if (f) {
                e = R(if_drawable)(e, f);
                V(store)(place, e);
            }
#if TS_REAL == 32
            for (int part = 0; part < WIDTHS; part++) {
                vd *of_lane = &sums[(at / LANES * WIDTHS + part) % PARTS];
                *of_lane = vd_add(*of_lane, vf_summands(e, part));
            }
#else
            sums[at / LANES % PARTS] = vd_add(sums[at / LANES % PARTS], e);
#endif
        }
        groups[g] = sum += R(fold)(sums);
    }
    block->total = sum;
    for (intptr_t g = block->n_groups; g < PADDED(TS_BLOCK / TS_GROUP); g++)
        groups[g] = INFINITY;
}

static void R(sum_weights)(R(block) * block, REAL *weights, const R(factor) * f) {
    if (block->is_short)
        R(sum_short)(block, weights, f);
    else if (!f)
        R(sum_groups_by)(block, weights, NULL);
    else
        R(sum_groups_by)(block, weights, f);
}

/* Block b without those that are taken, if there are any; `e` holds its exponentials or is NULL, and is then made
 * again. */
static void R(ready_block)(R(block) * block, const ts_plan *plan, const R(source) * row, intptr_t b, REAL *e,
                           const uint64_t *taken, const R(scratch) * s) {
    const intptr_t length = block_length(plan, b);
    const int is_ordinary = plan->kind == TS_ORDINARY;
    if (!is_ordinary) {
        const REAL *x = R(read)(row, b, length, s->block);
        e = s->weights;
        R(fill_kept)(x, length, R(cut_in_block)(plan, b, x), 1, 0, e);
    } else if (!e) {
        e = R(exp_again)(plan, row, b, s);
    }
    block->weights = e;
    block->cumulative = s->cumulative;
    block->length = length;
    block->n_groups = (length + TS_GROUP - 1) / TS_GROUP;
    block->summed = 0;
    block->is_short = plan->n_categories <= TS_SHORT;
    for (intptr_t i = length; i < block->n_groups * TS_GROUP; i++)
        e[i] = 0;
    for (intptr_t g = 0; taken && g < block->n_groups; g++)
        for (uint64_t left = taken[b * (TS_BLOCK / TS_GROUP) + g]; left; left &= left - 1)
            e[g * TS_GROUP + lowest_bit(left)] = 0;
    R(factor) factor;
    if (is_ordinary)
        factor = R(factor_of)(plan, b, 1);
    R(sum_weights)(block, e, is_ordinary ? &factor : NULL);
}

/* What is left of a number is in units of a block's weight as the row has it, and of 1 where there is one block. */
static void R(set_scale)(R(block) * block, const ts_plan *plan, intptr_t b, const R(scratch) * s) {
    const double *const cumulative = s->block_cumulative;
    block->scale = plan->n_blocks > 1 ? fmin(block->total / (cumulative[b] - cumulative[b - 1]), 0x1.fffffffffffffp1023)
                                      : block->total;
}

/* The sums of the runs of group g, and within them. */
static void R(sum_runs)(R(block) * block, intptr_t g) {
    const REAL *weights = block->weights + g * TS_GROUP;
    double *cumulative = block->cumulative + g * TS_GROUP, *const runs = block->runs[g] + LEAD;
    const intptr_t rest = block->length - g * TS_GROUP;
    double sum = 0.0;
    runs[-1] = 0.0;
    if (rest >= TS_GROUP) { /* four sums at a time, none of which waits for another */
        double sums[TS_GROUP / TS_RUN] = {0};
        for (intptr_t i = 0; i < TS_RUN; i++)
            for (int r = 0; r < TS_GROUP / TS_RUN; r++)
                cumulative[r * TS_RUN + i] = sums[r] += (double)weights[r * TS_RUN + i];
        for (int r = 0; r < TS_GROUP / TS_RUN; r++)
            runs[r] = sum += sums[r];
    } else { /* the same, with nothing behind the last */
        for (int r = 0; r < TS_GROUP / TS_RUN; r++) {
            double of_run = 0.0;
            for (intptr_t i = 0; i < TS_RUN && r * TS_RUN < rest; i++)
                cumulative[r * TS_RUN + i] = r *TS_RUN + i < rest ? of_run += (double)weights[r * TS_RUN + i] : of_run;
            runs[r] = sum += of_run;
        }
    }
    for (int r = TS_GROUP / TS_RUN; r < PADDED(TS_GROUP / TS_RUN); r++)
        runs[r] = INFINITY;
    block->summed |= (uint32_t)1 << g;
}

/* The entries of a block that parts of its weight fall on, or -1 where nothing in it can be drawn. Level by level
 * for all, as each level has to wait for the one before. */
static void R(draw_in_block)(R(block) * block, sorted_draw *draws, int n) {
    choice chosen[DRAWN_TOGETHER];
    if (!is_drawable(block->total)) {
        for (int i = 0; i < n; i++)
            draws[i].place = -1;
        return;
    }
    if (block->is_short) {
        for (int i = 0; i < n; i++)
            draws[i].place = place_of(block->cumulative, block->length, TS_SHORT, draws[i].left * block->scale);
        return;
    }
    const double *const groups = block->groups + LEAD;
    int64_t group[DRAWN_TOGETHER];
    int n_placed = 0;
    for (; n_placed + PLACED_AT_ONCE <= n; n_placed += PLACED_AT_ONCE)
        places_of(groups, 1, block->n_groups, &draws[n_placed].left, block->scale, group + n_placed);
    for (int i = n_placed; i < n; i++)
        group[i] = place_of(groups, block->n_groups, TS_BLOCK / TS_GROUP, draws[i].left * block->scale);
    for (int i = 0; i < n; i++) {
        const double target = below(draws[i].left * block->scale, groups[block->n_groups - 1]);
        chosen[i] = (choice){(intptr_t)group[i], target - groups[group[i] - 1]};
    }
    for (int i = 0; i < n; i++)
        if (!(block->summed >> chosen[i].index & 1))
            R(sum_runs)(block, chosen[i].index);
    for (int i = 0; i < n; i++) {
        const intptr_t g = chosen[i].index;
        const choice run = choose(block->runs[g] + LEAD, TS_GROUP / TS_RUN, TS_GROUP / TS_RUN, chosen[i].left);
        chosen[i] = (choice){g * (TS_GROUP / TS_RUN) + run.index, run.left};
    }
    for (int i = 0; i < n; i++) {
        const intptr_t start = chosen[i].index * TS_RUN;
        draws[i].place = start + place_of(block->cumulative + start, TS_RUN, TS_RUN, chosen[i].left);
    }
}

/* Where block b was chosen but no entry of it is drawable: the next entry that is. There is one: so little weight is
 * only chosen for a fraction of almost 0, ahead of all the rest. */
static intptr_t R(draw_after)(R(block) * block, const ts_plan *plan, const R(source) * row, intptr_t b,
                              const R(scratch) * s) {
    for (b++; b < plan->n_blocks; b++) {
        if (!R(counts)(plan, b))
            continue;
        R(ready_block)(block, plan, row, b, NULL, NULL, s);
        sorted_draw least = {0.0};
        block->scale = block->total;
        R(draw_in_block)(block, &least, 1);
        if (least.place >= 0)
            return b * TS_BLOCK + (intptr_t)least.place;
    }
    return -1;
}

static void R(put_draw)(const ts_vector *index, intptr_t i, intptr_t value) {
    if (value < 0)
        count_one(&n_undrawn);
    *(int64_t *)(index->data + i * index->stride) = value;
}

/* n draws from a block, to places in it. */
static void R(draw_together)(R(block) * block, sorted_draw *draws, intptr_t n) {
    for (intptr_t i = 0; i < n; i += DRAWN_TOGETHER)
        R(draw_in_block)(block, draws + i, n - i < DRAWN_TOGETHER ? (int)(n - i) : DRAWN_TOGETHER);
}

/* n draws that fall into block b, to categories of the row. */
static void R(draw_from_block)(const ts_plan *plan, const R(source) * row, intptr_t b, sorted_draw *draws, intptr_t n,
                               const R(scratch) * s) {
    R(block) block;
    R(ready_block)(&block, plan, row, b, NULL, NULL, s);
    R(set_scale)(&block, plan, b, s);
    const int is_empty = !(block.total > 0);
    if (!is_empty)
        R(draw_together)(&block, draws, n);
    const intptr_t instead = is_empty ? R(draw_after)(&block, plan, row, b, s) : -1;
    for (intptr_t i = 0; i < n; i++)
        draws[i].place = is_empty ? instead : b * TS_BLOCK + draws[i].place;
}

/* Draws from a row of one block. `e`: its exponentials, or NULL. */
static void R(draw_from_only)(const ts_plan *plan, const R(source) * row, const ts_vector *u, const ts_vector *index,
                              intptr_t n, REAL *e, const R(scratch) * s) {
    R(block) block;
    R(ready_block)(&block, plan, row, 0, e, NULL, s);
    R(set_scale)(&block, plan, 0, s);
    if (block.is_short && is_drawable(block.total)) {
        draw_by_sums(block.cumulative, 1, block.length, *u, *index, n);
        return;
    }
    for (intptr_t first = 0; first < n; first += DRAWN_IN_L1) {
        const intptr_t together = n - first < DRAWN_IN_L1 ? n - first : DRAWN_IN_L1;
        for (intptr_t i = 0; i < together; i++)
            s->sorted[i].left = number_at(u, first + i);
        R(draw_together)(&block, s->sorted, together);
        for (intptr_t i = 0; i < together; i++)
            R(put_draw)(index, first + i, (intptr_t)s->sorted[i].place);
    }
}

/* Draws `first` ... `first` + n from a row of several: block by block, each once. */
static void R(draw_from_several)(const ts_plan *plan, const R(source) * row, const ts_vector *u, const ts_vector *index,
                                 intptr_t first, intptr_t n, const R(scratch) * s) {
    const intptr_t n_blocks = plan->n_blocks;
    if (!is_drawable(s->block_cumulative[n_blocks - 1])) {
        for (intptr_t i = first; i < first + n; i++)
            R(put_draw)(index, i, -1);
        return;
    }
    sort_draws(s->block_cumulative, n_blocks, u, first, n, s->first_draw, s->block_of, s->sorted, s->rank);
    for (intptr_t b = 0; b < n_blocks; b++) {
        const intptr_t start = s->first_draw[b], end = s->first_draw[b + 1];
        if (start < end)
            R(draw_from_block)(plan, row, b, s->sorted + start, end - start, s);
    }
    for (intptr_t i = 0; i < n; i++)
        R(put_draw)(index, first + i, (intptr_t)s->sorted[s->rank[i]].place);
}
