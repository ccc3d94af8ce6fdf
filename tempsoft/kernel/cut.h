/* From filters to one cut. For REAL, by inclusion.
 *
 * top_k, top_p and min_p each keep a prefix of one order: the larger logit first, then the lower index. So a chain of
 * them is one cut, the shortest of the prefixes. Lanes of each block give 64 maxima that cost nothing beside reading it
 * (`peaks`): the k-th largest of them bounds the k-th largest entry from below, and so does the peak at which the sum of
 * their exponentials reaches p, where it does. Then only the blocks whose largest entry reaches that bound are read again.
 */

#if TS_REAL == 64 /* used by both */
static inline intptr_t n_peaks_of(intptr_t n) { return (n + TS_BLOCK - 1) / TS_BLOCK * TS_GROUP; }

/* The number kept by top_p of m equally likely entries. */
static inline intptr_t share_of(double p, intptr_t m) {
    const double r = ceil(p * (double)m);
    return r < 1 ? 1 : r < (double)m ? (intptr_t)r : m;
}
#endif

/* The largest of each lane of 64 of block b, and of the block; NaN if there is one. */
static double R(survey_block)(const REAL *x, intptr_t n, intptr_t b, const R(scratch) * s) {
    const VR none = V(set1)((REAL)-INFINITY);
    VR peaks[TS_GROUP / LANES], sum[4];
    for (int k = 0; k < TS_GROUP / LANES; k++)
        peaks[k] = none;
    for (int k = 0; k < 4; k++)
        sum[k] = V(set1)(0);
    intptr_t i = 0;
    for (; i + TS_GROUP <= n; i += TS_GROUP)
        for (int k = 0; k < TS_GROUP / LANES; k++) {
            const VR v = V(load)(x + i + k * LANES);
            peaks[k] = V(max)(v, peaks[k]);
            sum[k % 4] = V(add)(sum[k % 4], v);
        }
    for (int k = 0; i < n; i += LANES, k++) {
        const VR v = V(load_up_to)(x + i, n - i, none);
        peaks[k] = V(max)(v, peaks[k]);
        sum[k % 4] = V(add)(sum[k % 4], v);
    }
    VR largest = none;
    for (int k = 0; k < TS_GROUP / LANES; k++) {
        V(store)(s->peaks + b * TS_GROUP + k * LANES, peaks[k]);
        largest = V(max)(peaks[k], largest);
    }
    s->block_max[b] = V(largest)(largest);
    const VR all = V(add)(V(add)(sum[0], sum[1]), V(add)(sum[2], sum[3]));
    return v_mask_any(V(is_nan)(all)) && R(has_nan)(x, n) ? NAN : (double)s->block_max[b]; /* see block_max */
}

/* The largest entry of a row, and its peaks; NaN if there is one. */
static double R(survey)(const R(source) * row, intptr_t n, const R(scratch) * s) {
    double largest = -INFINITY;
    for (intptr_t b = 0; b * TS_BLOCK < n; b++) {
        const intptr_t rest = n - b * TS_BLOCK, length = rest < TS_BLOCK ? rest : TS_BLOCK;
        const double max = R(survey_block)(R(read)(row, b, length, s->block), length, b, s);
        if (isnan(max))
            return max;
        largest = max > largest ? max : largest;
    }
    return largest;
}

/* How many entries are at least `least`. */
static intptr_t R(count_from)(const R(source) * row, intptr_t n, REAL least, const R(scratch) * s) {
    intptr_t count = 0;
    const VR limit = V(set1)(least), none = V(set1)((REAL)-INFINITY);
    for (intptr_t b = 0; b * TS_BLOCK < n; b++) {
        const intptr_t rest = n - b * TS_BLOCK, length = rest < TS_BLOCK ? rest : TS_BLOCK;
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
    for (intptr_t b = 0; b * TS_BLOCK < n && ties < n; b++) {
        const intptr_t rest = n - b * TS_BLOCK, length = rest < TS_BLOCK ? rest : TS_BLOCK;
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

static R(source) R(all_peaks)(const R(scratch) * s) {
    const ts_vector peaks = {(char *)s->peaks, sizeof(REAL), sizeof(REAL) == 4 ? TS_F32 : TS_F64};
    return R(whole)(&peaks);
}

/* Whether there are more than k entries above -inf. */
static int R(has_more)(const R(source) * row, intptr_t n, intptr_t k, const R(scratch) * s) {
    const R(source) peaks = R(all_peaks)(s);
    return R(count_from)(&peaks, n_peaks_of(n), -REAL_MAX, s) > k || R(count_from)(row, n, -REAL_MAX, s) > k;
}

/* Cut the row after its k first entries; it has more. */
static void R(cut_rank)(R(source) * row, intptr_t n, intptr_t k, const R(scratch) * s) {
    const intptr_t n_peaks = n_peaks_of(n);
    const R(source) peaks = R(all_peaks)(s);
    R(search) q = {.row = row, .n = n, .low = -REAL_MAX, .high = REAL_MAX, .inside = (double)n, .target = (double)k};
    int is_narrow = n <= FEW;
    if (!row->is_cut && k <= n_peaks / 8 && n > 2 * TS_BLOCK) {
        R(search) of_peaks = q;
        of_peaks.row = &peaks;
        of_peaks.n = n_peaks;
        of_peaks.inside = (double)n_peaks;
        if (R(count_from)(&peaks, n_peaks, -REAL_MAX, s) >= k) {
            q.low = R(find)(of_peaks, 0, s).threshold;
            is_narrow = 1;
        }
    }
    const R(source) known = {.numbers = row->numbers,
                             .is_cut = row->is_cut,
                             .threshold = row->threshold,
                             .tie_block = row->tie_block,
                             .n_ties = row->n_ties,
                             .block_max = s->block_max};
    q.row = &known;
    R(cut_at)(row, n, R(find)(q, is_narrow, s), s);
}

/* Cut the row where the sum of its exponentials, which the plan knows in all, reaches p of that. */
static void R(cut_mass)(R(source) * row, const ts_plan *plan, double p, const R(scratch) * s) {
    const intptr_t n = plan->n_categories, n_peaks = n_peaks_of(n);
    const R(source) peaks = R(all_peaks)(s);
    const R(source) known = {.numbers = row->numbers,
                             .is_cut = row->is_cut,
                             .threshold = row->threshold,
                             .tie_block = row->tie_block,
                             .n_ties = row->n_ties,
                             .block_max = s->block_max};
    R(search) q = {.plan = plan, .row = &known, .n = n, .low = -REAL_MAX, .high = REAL_MAX, .inside = plan->sum_hi};
    q.target = p * (1 - 0x1p-40) * plan->sum_hi; /* a rounding error short of p is there */
    q.target = q.target > 0 ? q.target : 0x1p-1000;
    int is_narrow = n <= FEW;
    if (!row->is_cut && n > 2 * TS_BLOCK) {
        R(search) of_peaks = q;
        of_peaks.row = &peaks;
        of_peaks.n = n_peaks;
        const R(parts) whole = R(divide)(&of_peaks, q.low, q.high, s->window, s);
        of_peaks.inside = whole.inside;
        if (whole.inside >= q.target) {
            q.low = R(find)(of_peaks, 0, s).threshold;
            is_narrow = 1;
        }
    }
    R(cut_at)(row, n, R(find)(q, is_narrow, s), s);
}

/* Cut off what is below M + T log(min_p). */
static void R(cut_below)(R(source) * row, intptr_t n, double max, double temperature, double min_p,
                         const R(scratch) * s) {
    double threshold = max;
    if (min_p < 1 && temperature > 0) {
        const int is_tiny = min_p < 0x1p-1000;
        const double log = dd_log((dd){is_tiny ? min_p * 0x1p60 : min_p, 0.0}).hi - (is_tiny ? 60 * LOG_2_HI : 0);
        threshold = max + temperature * log;
    }
    if (!(threshold >= -(double)REAL_MAX))
        return;
    REAL least = (REAL)threshold;
    if ((double)least < threshold)
        least = R(next_up)(least);
    if (row->is_cut && row->threshold >= least)
        return;
    R(cut_at)(row, n, (R(place_of_cut)){least, n}, s);
}

/* Cut the row by the knobs. The plan is used on the way, and is the one of the uncut row where `support` is wanted. */
static void R(cut_row)(R(source) * row, intptr_t n, const ts_knobs *knobs, R(scratch) * s) {
    if (knobs->top_k <= 0 && knobs->top_p >= 1 && knobs->min_p <= 0)
        return;
    const double temperature = knobs->options & TS_TEMPERATURE_LAST ? 1.0 : knobs->temperature;
    const double max = R(survey)(row, n, s);
    if (!(max > -INFINITY))
        return;
    if (max == INFINITY || temperature == 0 || temperature == INFINITY) {
        const REAL least = max == INFINITY ? (REAL)INFINITY : -REAL_MAX;
        const intptr_t m = R(count_from)(row, n, least, s);
        intptr_t kept = knobs->top_k > 0 && knobs->top_k < m ? (intptr_t)knobs->top_k : m;
        if (knobs->top_p < 1)
            kept = temperature == 0 && max < INFINITY ? 1 : share_of(knobs->top_p, kept);
        if (kept < m && max == INFINITY)
            R(cut_at)(row, n, (R(place_of_cut)){(REAL)INFINITY, kept}, s);
        else if (kept < m)
            R(cut_rank)(row, n, kept, s);
        if (knobs->min_p > 0 && max < INFINITY && (temperature == 0 || knobs->min_p >= 1))
            R(cut_below)(row, n, max, 0.0, 1.0, s);
        return;
    }
    if (knobs->top_k > 0 && knobs->top_k < n && R(has_more)(row, n, knobs->top_k, s))
        R(cut_rank)(row, n, (intptr_t)knobs->top_k, s);
    if (knobs->top_p < 1) {
        ts_plan plan;
        R(plan_row)(&plan, row, n, temperature, 0, NULL, s);
        if (plan.kind == TS_ORDINARY)
            R(cut_mass)(row, &plan, knobs->top_p, s);
    }
    if (knobs->min_p > 0)
        R(cut_below)(row, n, max, temperature, knobs->min_p, s);
}
