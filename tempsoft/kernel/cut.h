/* From filters to one cut. For REAL, by inclusion.
 *
 * top_k, top_p and min_p each keep a prefix of one order: the larger logit first, then the lower index. So a chain of
 * them is one cut, the shortest of the prefixes. The maxima of blocks cost nothing beside reading the row: the k-th
 * largest of them bounds the k-th largest entry from below, and so does the one at which the sum of their exponentials
 * reaches p, where it does. Then only the blocks whose largest entry reaches that bound are read again.
 */

#if TS_REAL == 64 /* used by both */
/* The sum that top_p is to reach of one in all: a rounding error short of p is there. */
static inline double target_of_mass(double p, double sum) {
    const double target = p * (1 - 0x1p-40) * sum;
    return target > 0 ? target : 0x1p-1000;
}

#define SPREAD_LEAST (4 * TS_BLOCK) /* categories of a row that may be found to be spread, at least */

/* What is added to the largest logit over the temperature for the smallest that min_p keeps; 0 for 1 and more. */
static double log_of_min_p(double min_p) {
    const int is_tiny = min_p < 0x1p-1000;
    if (!(min_p < 1))
        return 0;
    return dd_log((dd){is_tiny ? min_p * 0x1p60 : min_p, 0.0}).hi - (is_tiny ? 60 * LOG_2_HI : 0);
}

/* The number kept by top_p of m equally likely entries. */
static inline intptr_t share_of(double p, intptr_t m) {
    const double r = ceil(p * (double)m);
    return r < 1 ? 1 : r < (double)m ? (intptr_t)r : m;
}
#endif

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

/* Cut the row where the sum of its exponentials, which the plan knows in all, reaches p of that: by a sample, and by
 * exponentials that were kept, where these are not NULL. With a sample, maxima of blocks may not be known. `n_left`
 * entries were left by a cut before. */
static void R(cut_mass)(R(source) * row, intptr_t n_left, const ts_plan *plan, double p, const R(sample) * sample,
                        const REAL *kept, const R(scratch) * s) {
    const intptr_t n = plan->n_categories;
    R(source) known = *row;
    known.block_max = s->block_max;
    R(search) q = {.plan = plan, .row = &known, .kept = kept, .n = n, .low = -REAL_MAX, .high = REAL_MAX};
    q.inside = plan->sum_hi;
    q.target = target_of_mass(p, plan->sum_hi);
    REAL maxima[SAMPLE_MOST];
    maxima[0] = (REAL)INFINITY;
    const intptr_t n_blocks = sample || row->is_cut ? 0 : R(sorted_maxima)(n, maxima, s);
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
    R(cut_at)(row, n, R(find)(q, sample, s), s);
}

/* Exponentials of some entries of a row, in s->weights, and their sum; 0 if they are out of reach. */
TS_APART double R(weigh_some)(const REAL *x, intptr_t n, const tempering *k, const R(scratch) * s) {
    const ts_plan plan = {.formula = TS_FAST, .k = k, .exponent = R(exponent_of)(R(block_max)(x, n), k)};
    return fabs(plan.exponent) < LARGEST_EXPONENT ? R(exp_all)(&plan, plan.exponent, x, n, s->weights, NULL).hi : 0;
}

/* Whether p of the mass of a long row takes a sixteenth of its entries or more, by a sample; none is taken where one of
 * its first entries holds most of their mass. */
static int R(looks_spread)(const R(source) * row, intptr_t n, double p, const tempering *k, R(sample) * sample,
                           const R(scratch) * s) {
    if (n < SPREAD_LEAST || !R(is_moderate)(k))
        return 0;
    double mass = R(weigh_some)(R(read)(row, 0, TS_GROUP, s->block), TS_GROUP, k, s), squares = 0, largest = 0;
    for (intptr_t i = 0; i < TS_GROUP && mass > 0; i++)
        squares += (double)s->weights[i] * (double)s->weights[i];
    if (mass * mass <= 2 * squares) /* as of two equal ones, or fewer */
        return 0;
    R(take_sample)(sample, &(R(search)){.row = row, .n = n, .low = -REAL_MAX, .high = REAL_MAX}, s);
    if (sample->n < SAMPLE_LEAST)
        return 0;
    mass = R(weigh_some)(sample->x, sample->n, k, s);
    for (intptr_t i = 0; i < sample->n / 16; i++)
        largest += (double)s->weights[i];
    return largest < p * mass;
}

/* The plan of a row after a cut, from its plan and exponentials before, which it takes the place of. Its sums are those
 * that the exponentials of what is left would have; the other exponentials become 0 if `clears`. The last blocks first,
 * as they are still in the cache. */
static void R(plan_after_cut)(ts_plan *plan, const R(source) * row, REAL *kept, int clears, const R(scratch) * s) {
    const VR none = V(set1)((REAL)-INFINITY);
    for (intptr_t b = plan->n_blocks - 1; b >= 0; b--) {
        const intptr_t length = block_length(plan, b);
        REAL *const e = kept + b * TS_BLOCK;
        if (!(plan->blocks.sum_hi[b] > 0))
            continue;
        dd sum;
        if (R(cuts_ties)(row, b)) {
            const REAL *x = R(read)(row, b, length, s->block);
            sum = R(exp_all)(plan, plan->blocks.exponent[b], x, length, e, NULL);
        } else {
            const REAL *x = R(load)(&row->numbers, b * TS_BLOCK, length, s->block);
            const VR least = V(set1)(R(least_left)(row, b));
            R(sum) sums = R(sum_zero)();
            for (intptr_t i = 0; i < length; i += TS_GROUP) {
                VR left[TS_GROUP / LANES];
                for (int k = 0; k < TS_GROUP / LANES; k++) {
                    const intptr_t at = i + k * LANES;
                    if (at % LINE == 0) {
                        fetch_ahead((uintptr_t)x + (uintptr_t)(at - TS_BLOCK) * sizeof(REAL));
                        fetch_ahead((uintptr_t)e + (uintptr_t)(at - TS_BLOCK) * sizeof(REAL));
                    }
                    const VR v = i + TS_GROUP <= length ? V(load)(x + at) : V(load_up_to)(x + at, length - at, none);
                    left[k] = V(keep_ge)(v, least, V(load)(e + at));
                    if (clears)
                        V(store)(e + at, left[k]);
                }
                R(sum_vectors)(&sums, left);
            }
            sum = R(sum_total)(&sums);
        }
        plan->blocks.sum_hi[b] = sum.hi;
        plan->blocks.sum_lo[b] = sum.lo;
        if (sum.hi < NOTHING)
            R(nothing_in)(plan, b);
    }
    R(sum_blocks)(plan);
}

/* The plan at the temperature that top_p looks at, and the cut. The exponentials of a row of which much is likely to be
 * left are kept: for the search and, where that is the temperature of the row as well, for the plan after the cut. */
static void R(cut_by_mass)(R(source) * row, intptr_t n, double temperature, const ts_knobs *knobs, ts_plan *plan,
                           R(scratch) * s) {
    R(sample) sample;
    const tempering *const k = R(tempering_for)(s, temperature);
    /* with min_p as well, so that the search takes the same way: its sums may decide otherwise in the last bit */
    const int has_min_p = knobs->min_p > 0, is_spread = R(looks_spread)(row, n, knobs->top_p, k, &sample, s);
    const R(wants) wants = is_spread && !has_min_p ? R(JUST_SUMS) : R(MAXIMA);
    for (intptr_t b = 0; wants == R(JUST_SUMS) && b * TS_BLOCK < n; b++)
        s->block_max[b] = REAL_MAX; /* not looked for, as every block is likely to keep something */
    R(plan_row)(plan, row, n, temperature, wants, is_spread ? s->kept : NULL, s);
    if (plan->kind != TS_ORDINARY)
        return;
    /* what is left has the same formula then */
    const int has_kept = is_spread && plan->formula == TS_FAST && fabs(plan->exponent) < LARGEST_EXPONENT / 2;
    R(cut_mass)(row, n, plan, knobs->top_p, is_spread ? &sample : NULL, has_kept ? s->kept : NULL, s);
    s->is_ready = has_kept && s->takes_ready && !has_min_p && temperature == knobs->temperature;
    if (s->is_ready) {
        s->ready = *plan;
        R(plan_after_cut)(&s->ready, row, s->kept, s->takes_kept, s);
    }
}

/* The smallest number that min_p of this logarithm keeps; -inf if it keeps all. */
static inline REAL R(least_by_min_p)(double max, double temperature, double log) {
    const double threshold = max + temperature * log;
    if (!(threshold >= -(double)REAL_MAX))
        return (REAL)-INFINITY;
    const REAL least = (REAL)threshold;
    return (double)least < threshold ? R(next_up)(least) : least;
}

/* Cut off what is below M + T log(min_p). */
static void R(cut_below)(R(source) * row, intptr_t n, double max, double temperature, double min_p,
                         const R(scratch) * s) {
    const REAL least = R(least_by_min_p)(max, temperature, temperature > 0 ? log_of_min_p(min_p) : 0);
    if (least < -REAL_MAX || (row->is_cut && row->threshold >= least))
        return;
    R(cut_at)(row, n, (R(place_of_cut)){least, ALL_TIES}, s);
}

/* Cut a row whose distribution is equal shares: of +inf, at a temperature of 0 of one, at inf of all. */
static void R(cut_limit)(R(source) * row, intptr_t n, double max, double temperature, const ts_knobs *knobs,
                         const R(scratch) * s) {
    const intptr_t m = R(count_from)(row, n, max == INFINITY ? (REAL)INFINITY : -REAL_MAX, s);
    intptr_t kept = knobs->top_k > 0 && knobs->top_k < m ? (intptr_t)knobs->top_k : m;
    if (knobs->top_p < 1)
        kept = temperature == 0 && max < INFINITY ? 1 : share_of(knobs->top_p, kept);
    if (kept < m && max == INFINITY)
        R(cut_at)(row, n, (R(place_of_cut)){(REAL)INFINITY, kept}, s);
    else if (kept < m)
        R(cut_rank)(row, n, kept, s);
    if (knobs->min_p > 0 && max < INFINITY && (temperature == 0 || knobs->min_p >= 1))
        R(cut_below)(row, n, max, 0.0, 1.0, s);
}

/* Cut the row by the knobs. */
static void R(cut_row)(R(source) * row, intptr_t n, const ts_knobs *knobs, R(scratch) * s) {
    const double temperature = knobs->options & TS_TEMPERATURE_LAST ? 1.0 : knobs->temperature;
    const int has_k = knobs->top_k > 0 && knobs->top_k < n, has_p = knobs->top_p < 1;
    row->group_max = NULL; /* not those of another row */
    if (!has_k && !has_p && knobs->min_p <= 0)
        return;
    ts_plan plan = {.kind = TS_NAN};
    if (has_p && !has_k && temperature > 0 && temperature < INFINITY)
        R(cut_by_mass)(row, n, temperature, knobs, &plan, s);
    const int is_done = plan.kind == TS_ORDINARY;
    if (is_done && knobs->min_p <= 0)
        return;
    const double max = is_done ? plan.max : R(survey)(row, n, s);
    if (!(max > -INFINITY))
        return;
    if (!is_done)
        row->group_max = s->group_max;
    if (max == INFINITY || temperature == 0 || temperature == INFINITY) {
        R(cut_limit)(row, n, max, temperature, knobs, s);
        return;
    }
    if (has_k)
        R(cut_rank)(row, n, (intptr_t)knobs->top_k, s);
    if (has_p && !is_done) {
        R(plan_row)(&plan, row, n, temperature, R(JUST_SUMS), NULL, s);
        R(cut_mass)(row, has_k ? (intptr_t)knobs->top_k : n, &plan, knobs->top_p, NULL, NULL, s);
    }
    if (knobs->min_p > 0)
        R(cut_below)(row, n, max, temperature, knobs->min_p, s);
}
