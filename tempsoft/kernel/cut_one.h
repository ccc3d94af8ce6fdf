/* One filter's cut of a row: behind its k first entries, or where they have p of its mass. For REAL, by inclusion.
 *
 * The maxima of blocks cost nothing beside reading the row, and those of groups little: the k-th largest of them bounds
 * the k-th largest entry from below, and so does the one at which the sum of their exponentials reaches p, where it
 * does. Then only what reaches that bound is read again.
 */

#if TS_REAL == 64 /* used by both */
/* The sum that top_p is to reach of one in all: a rounding error short of p is there. */
static inline double target_of_mass(double p, double sum) {
    const double target = p * (1 - 0x1p-40) * sum;
    return target > 0 ? target : 0x1p-1000;
}
#endif

/* The search for where the sum of exponentials reaches p of what the plan has in all. */
static R(search) R(search_of_mass)(const ts_plan *plan, const R(source) * row, double p) {
    return (R(search)){.plan = plan,
                       .row = row,
                       .n = plan->n_categories,
                       .low = -REAL_MAX,
                       .high = REAL_MAX,
                       .inside = plan->sum_hi,
                       .target = target_of_mass(p, plan->sum_hi)};
}

/* The largest entry of a row, and of each block and group; NaN if there is one. */
static double R(survey)(const R(source) * row, intptr_t n, const R(scratch) * s) {
    double largest = -INFINITY;
    for (intptr_t b = 0; b * TS_BLOCK < n; b++) {
        const intptr_t length = ts_block_length(n, b);
        const double max =
            R(group_maxima)(R(read)(row, b, length, s->block), length, s->group_max + b * (TS_BLOCK / TS_GROUP));
        if (isnan(max))
            return max;
        s->block_max[b] = (REAL)max;
        largest = max > largest ? max : largest;
    }
    return largest;
}

/* How many entries are at least `least`. */
static intptr_t R(count_from)(const R(source) * row, intptr_t n, REAL least, const R(scratch) * s) {
    intptr_t count = 0;
    const VR limit = V(set1)(least), none = V(set1)((REAL)-INFINITY);
    for (intptr_t b = 0; b * TS_BLOCK < n; b++) {
        const intptr_t length = ts_block_length(n, b);
        if (R(is_gone)(row, b))
            continue;
        const REAL *x = R(read)(row, b, length, s->block);
        for (intptr_t i = 0; i < length; i += LANES)
            count += LANES - V(count)(V(not_le)(limit, V(load_up_to)(x + i, length - i, none)));
    }
    return count;
}

/* Cut the row at a place. Ties are counted off, unless there are no more of them than are kept. */
static void R(cut_at)(R(source) * row, intptr_t n, R(place_of_cut) place, const R(scratch) * s) {
    const R(source) before = *row;
    row->block_max = s->block_max;
    row->threshold = place.threshold;
    if (!before.is_cut || before.threshold != place.threshold) { /* else there may be fewer ties already */
        row->tie_block = (n + TS_BLOCK - 1) / TS_BLOCK;
        row->n_ties = 0;
    }
    row->is_cut = 1;
    intptr_t ties = place.ties;
    for (intptr_t b = 0; b * TS_BLOCK < n && ties != ALL_TIES; b++) {
        const intptr_t length = ts_block_length(n, b);
        if (s->block_max[b] < place.threshold)
            continue;
        intptr_t above, equal;
        R(count)(R(read)(&before, b, length, s->block), length, (double)place.threshold, &above, &equal);
        if (equal > ties) {
            row->tie_block = b;
            row->n_ties = ties;
            return;
        }
        ties -= equal;
    }
}

/* The maxima of blocks, sorted; how many, or 0 if they are too many for that. */
static intptr_t R(sorted_maxima)(intptr_t n, REAL *sorted, const R(scratch) * s) {
    const intptr_t n_blocks = (n + TS_BLOCK - 1) / TS_BLOCK;
    if (n_blocks < 2 || n_blocks > SAMPLE_MOST)
        return 0;
    memcpy(sorted, s->block_max, (size_t)n_blocks * sizeof(REAL));
    R(sort_descending)(sorted, n_blocks);
    return n_blocks;
}

/* The search for the k-th largest entry of a row. */
static R(search) R(search_of_rank)(const R(source) * row, intptr_t n, intptr_t k) {
    return (R(search)){
        .row = row, .n = n, .low = -REAL_MAX, .high = (REAL)INFINITY, .inside = (double)n, .target = (double)k};
}

/* The k-th largest of the maxima of groups; -REAL_MAX if fewer have any entry. */
static REAL R(rank_of_groups)(const REAL *group_max, intptr_t n, intptr_t k, const R(scratch) * s) {
    const ts_vector maxima = {(char *)group_max, sizeof(REAL), PLAIN};
    const R(source) row = R(whole)(&maxima);
    return R(find)(R(search_of_rank)(&row, n, k), NULL, s).threshold;
}

/* Cut the row after its k first entries above -inf. */
static void R(cut_rank)(R(source) * row, intptr_t n, intptr_t k, const R(scratch) * s) {
    R(source) known = *row;
    known.block_max = s->block_max;
    R(search) q = R(search_of_rank)(&known, n, k);
    REAL maxima[SAMPLE_MOST];
    maxima[0] = (REAL)INFINITY;
    const intptr_t n_blocks = R(sorted_maxima)(n, maxima, s);
    if (2 * k <= n_blocks && maxima[k - 1] > -REAL_MAX) /* of more, too much is above the least of them */
        q.low = maxima[k - 1];
    else if (row->group_max && 2 * k <= n / TS_GROUP)
        q.low = R(rank_of_groups)(row->group_max, (n + TS_GROUP - 1) / TS_GROUP, k, s);
    if (q.low == maxima[0]) /* so many equal ones that there may be no room for them */
        q.high = q.low;
    R(cut_at)(row, n, R(find)(q, NULL, s), s);
}

/* Cut the row where the sum of its exponentials, which the plan knows in all, reaches p of that. The maxima of its
 * blocks are known; a cut before left `n_left` entries. */
static void R(cut_mass)(R(source) * row, intptr_t n_left, const ts_plan *plan, double p, const R(scratch) * s) {
    const intptr_t n = plan->n_categories;
    R(source) known = *row;
    known.block_max = s->block_max;
    R(search) q = R(search_of_mass)(plan, &known, p);
    REAL maxima[SAMPLE_MOST];
    maxima[0] = (REAL)INFINITY;
    const intptr_t n_blocks = row->is_cut ? 0 : R(sorted_maxima)(n, maxima, s);
    if (n_blocks > 0)
        R(weigh)(&q, maxima, n_blocks, s);
    double sum = 0;
    for (intptr_t b = 0; b < n_blocks && q.low == -REAL_MAX; b++)
        if ((sum += (double)s->weights[b]) >= q.target)
            q.low = maxima[b];
    if (q.low == maxima[0])
        q.high = q.low;
    if (n_left <= n / 16)
        q.low = row->threshold;
    R(cut_at)(row, n, R(find)(q, NULL, s), s);
}
