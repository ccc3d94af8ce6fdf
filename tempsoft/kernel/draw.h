/* Draws by inverse CDF in index order: u picks a block, a group of it, a run of that, an entry. For REAL, by inclusion.
 *
 * At each level the fraction is taken of the level's own total, so sums of different roundings never meet and a rare
 * last entry keeps its rate; what is left of u inside the chosen part is the fraction of the next level. A weight that
 * would be 0 as a probability of the working precision is 0 here and never drawn.
 */

#if TS_REAL == 64 /* used by both */
typedef struct {
    intptr_t index;
    double left; /* of the target, beyond the entries before it */
} choice;

#define DRAWN_TOGETHER 64

/* Cumulative sums are kept in whole vectors, with +inf behind the last; and, where more than the place is asked for,
 * with 0 ahead of the first: a branch on whether something is before it would be guessed wrong in many draws. */
#define PADDED(n) (((n) + VD_LANES - 1) / VD_LANES * VD_LANES)
#define LEAD 1

#define ALMOST_1 0x1.fffffffffffffp-1

/* The target, or the largest number below the total. */
static inline double below(double target, double total) {
    const double most = total * ALMOST_1;
    return target < most ? target : most;
}

/* How many of some cumulative sums are at most the target; whole vectors are looked at. */
TS_INLINE intptr_t count_up_to(const double *cumulative, intptr_t n, double target) {
    const vd limit = vd_set1(target);
    intptr_t count = 0;
    for (intptr_t i = 0; i < n; i += VD_LANES)
        count += vd_count(vd_ge(limit, vd_load(cumulative + i)));
    return count;
}

/* The same of many by halves. */
static inline intptr_t search_up_to(const double *cumulative, intptr_t n, double target) {
    intptr_t low = 0;
    for (intptr_t left = n; left > 1; left -= left / 2)
        low += cumulative[low + left / 2 - 1] <= target ? left / 2 : 0;
    return low + (cumulative[low] <= target);
}

/* The first entry whose cumulative sum exceeds the target; the last of positive weight where rounding left none. It is
 * one of the n whatever they are: somebody may change the row meanwhile. `most` is n or more, and a constant where few
 * are counted without a branch. */
TS_INLINE intptr_t place_of(const double *cumulative, intptr_t n, intptr_t most, double target) {
    target = below(target, cumulative[n - 1]);
    const intptr_t low =
        most > 64 || VD_LANES == 1 ? search_up_to(cumulative, n, target) : count_up_to(cumulative, most, target);
    return low < n ? low : n - 1;
}

/* The same, and what is left of the target; a 0 is ahead of the sums. */
TS_INLINE choice choose(const double *cumulative, intptr_t n, intptr_t most, double target) {
    const intptr_t low = place_of(cumulative, n, most, target);
    return (choice){low, below(target, cumulative[n - 1]) - cumulative[low - 1]};
}

/* Every VD_LANES-th of some cumulative sums: with these few are looked at. */
typedef struct {
    double sums[64];
    intptr_t n; /* 0: the sums are too few or too many for that */
} signposts;

static signposts put_signposts(const double *cumulative, intptr_t n) {
    signposts s;
    s.n = VD_LANES > 1 && n > 2 * VD_LANES && n <= 64 * VD_LANES ? PADDED(n) / VD_LANES : 0;
    for (intptr_t i = 0; i < s.n; i++)
        s.sums[i] = cumulative[i * VD_LANES + VD_LANES - 1];
    for (intptr_t i = s.n; i < PADDED(s.n); i++)
        s.sums[i] = INFINITY;
    return s;
}

/* A block by the fraction of all weight, and the fraction of its own that is left: these are of other sums than those
 * within a block. A 0 is ahead of the sums. */
static inline choice choose_block(const double *cumulative, intptr_t n, const signposts *posts, double fraction) {
    const double total = cumulative[n - 1];
    if (!(total > 0 && total < INFINITY))
        return (choice){-1, 0.0};
    const double target = below(fraction * total, total);
    intptr_t low;
    if (posts->n) {
        const intptr_t start = count_up_to(posts->sums, posts->n, target) * VD_LANES;
        low = start + count_up_to(cumulative + start, VD_LANES, target);
    } else {
        low = n <= 2 * VD_LANES ? count_up_to(cumulative, n, target) : search_up_to(cumulative, n, target);
    }
    low = low < n ? low : n - 1;
    const double before = cumulative[low - 1], left = (target - before) / (cumulative[low] - before);
    return (choice){low, left < ALMOST_1 ? left : ALMOST_1};
}
#endif

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

/* The entries of a block that fractions of its weight fall on, or -1 where nothing in it can be drawn. Level by level
 * for all, as each level has to wait for the one before. */
static void R(draw_in_block)(R(block) * block, const sorted_draw *draws, int n, intptr_t *at) {
    choice chosen[DRAWN_TOGETHER];
    if (!(block->total > 0 && block->total < INFINITY)) { /* infinite only where somebody changed the row meanwhile */
        for (int i = 0; i < n; i++)
            at[i] = -1;
        return;
    }
    if (block->is_short) {
        for (int i = 0; i < n; i++)
            at[i] = place_of(block->cumulative, block->length, TS_SHORT, draws[i].fraction * block->total);
        return;
    }
    for (int i = 0; i < n; i++) {
        const double target = draws[i].fraction * block->total;
        chosen[i] = choose(block->groups + LEAD, block->n_groups, TS_BLOCK / TS_GROUP, target);
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
        at[i] = start + place_of(block->cumulative + start, TS_RUN, TS_RUN, chosen[i].left);
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
        const sorted_draw least = {0, 0.0};
        intptr_t index;
        R(draw_in_block)(block, &least, 1, &index);
        if (index >= 0)
            return b * TS_BLOCK + index;
    }
    return -1;
}

static void R(put_draw)(const ts_vector *index, intptr_t i, intptr_t value) {
    *(int64_t *)(index->data + i * index->stride) = value;
}

/* Choose a block for each of n draws, and sort them by it: the draws of block b are then s->sorted[i] for i from
 * s->first_draw[b] up to s->first_draw[b + 1]. */
static void R(sort_draws)(const ts_plan *plan, const ts_vector *u, intptr_t first, intptr_t n, const R(scratch) * s) {
    const intptr_t n_blocks = plan->n_blocks;
    intptr_t *start =
        s->first_draw + 1; /* of each block; then where its next draw goes, which ends at that of the next */
    for (intptr_t b = -1; b <= n_blocks; b++)
        start[b] = 0;
    const signposts posts = put_signposts(s->block_cumulative, n_blocks > 1 ? n_blocks : 0);
    for (intptr_t i = 0; i < n; i++) {
        const double number = *(const double *)(u->data + (first + i) * u->stride);
        choice chosen = {0, number};
        if (n_blocks > 1)
            chosen = choose_block(s->block_cumulative, n_blocks, &posts, number);
        s->block_of[i] = chosen.index;
        s->fraction[i] = chosen.left;
        if (chosen.index >= 0 &&
            chosen.index + 1 < n_blocks) /* below 0 only where somebody changed the row meanwhile */
            start[chosen.index + 1]++;
    }
    for (intptr_t b = 1; b < n_blocks; b++)
        start[b] += start[b - 1];
    for (intptr_t i = 0; i < n; i++)
        if (s->block_of[i] >= 0)
            s->sorted[start[s->block_of[i]]++] = (sorted_draw){i, s->fraction[i]};
}

#if TS_REAL == 64 /* used by both */
#define PLACED_AT_ONCE (4 * VD_LANES)

/* `place_of` for so many fractions of the weight, a lane each; `step` numbers from sum to sum. */
static inline void places_of(const double *cumulative, intptr_t step, intptr_t n, const double *fractions,
                             int64_t *places) {
    const vd total = vd_set1(cumulative[(n - 1) * step]), most = vd_mul(total, vd_set1(ALMOST_1));
    vd target[PLACED_AT_ONCE / VD_LANES];
    vc count[PLACED_AT_ONCE / VD_LANES];
    for (int k = 0; k < PLACED_AT_ONCE / VD_LANES; k++) {
        target[k] = vd_min(vd_mul(vd_load(fractions + k * VD_LANES), total), most);
        count[k] = vc_zero();
    }
    for (intptr_t i = 0; i + 1 < n; i++) { /* the last is above every target */
        const vd sum = vd_set1(cumulative[i * step]);
        for (int k = 0; k < PLACED_AT_ONCE / VD_LANES; k++)
            count[k] = vc_up_where(count[k], vd_ge(target[k], sum));
    }
    for (int k = 0; k < PLACED_AT_ONCE / VD_LANES; k++)
        vc_store(places + k * VD_LANES, count[k]);
}

/* Draws from a row of one level that has weight, each number of `u` to its place in `index`. */
static void draw_by_sums(const double *cumulative, intptr_t step, intptr_t n, ts_vector u, ts_vector index,
                         intptr_t n_draws) {
    double fractions[PLACED_AT_ONCE] = {0};
    int64_t places[PLACED_AT_ONCE];
    for (intptr_t i = 0; i < n_draws; i += PLACED_AT_ONCE) {
        const intptr_t together = n_draws - i < PLACED_AT_ONCE ? n_draws - i : PLACED_AT_ONCE;
        const int is_whole = together == PLACED_AT_ONCE;
        const int is_read = is_whole && u.stride == sizeof *fractions;
        const int is_put = is_whole && index.stride == sizeof *places;
        for (intptr_t k = 0; !is_read && k < together; k++)
            fractions[k] = *(const double *)(u.data + k * u.stride);
        places_of(cumulative, step, n, is_read ? (const double *)u.data : fractions,
                  is_put ? (int64_t *)index.data : places);
        for (intptr_t k = 0; !is_put && k < together; k++)
            *(int64_t *)(index.data + k * index.stride) = places[k];
        u.data += PLACED_AT_ONCE * u.stride;
        index.data += PLACED_AT_ONCE * index.stride;
    }
}
#endif

/* Draws `first` ... `first` + n, block by block. `e`: the exponentials of an only block, or NULL. */
static void R(draw_some)(const ts_plan *plan, const R(source) * row, const ts_vector *u, const ts_vector *index,
                         intptr_t first, intptr_t n, REAL *e, const R(scratch) * s) {
    R(block) block;
    if (plan->n_categories <= TS_SHORT) {
        const ts_vector numbers = {u->data + first * u->stride, u->stride, u->type};
        const ts_vector places = {index->data + first * index->stride, index->stride, index->type};
        R(ready_block)(&block, plan, row, 0, e, NULL, s);
        if (block.total > 0 && block.total < INFINITY)
            draw_by_sums(block.cumulative, 1, block.length, numbers, places, n);
        for (intptr_t i = 0; !(block.total > 0 && block.total < INFINITY) && i < n; i++)
            R(put_draw)(&places, i, -1);
        return;
    }
    R(sort_draws)(plan, u, first, n, s);
    for (intptr_t i = 0; i < n; i++)
        if (s->block_of[i] < 0)
            R(put_draw)(index, first + i, -1);
    for (intptr_t b = 0; b < plan->n_blocks; b++) {
        const intptr_t end = s->first_draw[b + 1];
        if (s->first_draw[b] == end)
            continue;
        R(ready_block)(&block, plan, row, b, e, NULL, s);
        int is_empty = !(block.total > 0);
        intptr_t instead = is_empty ? R(draw_after)(&block, plan, row, b, s) : -1;
        for (intptr_t i = s->first_draw[b]; i < end; i += DRAWN_TOGETHER) {
            const int together = end - i < DRAWN_TOGETHER ? (int)(end - i) : DRAWN_TOGETHER;
            intptr_t at[DRAWN_TOGETHER];
            if (!is_empty)
                R(draw_in_block)(&block, s->sorted + i, together, at);
            for (int k = 0; k < together; k++)
                R(put_draw)(index, first + s->sorted[i + k].draw, is_empty ? instead : b * TS_BLOCK + at[k]);
        }
    }
}
