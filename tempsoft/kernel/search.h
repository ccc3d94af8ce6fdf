/* Where to cut a row, without sorting it: the entry at which a measure, counted from the largest entry down, reaches a
 * target. For REAL, by inclusion.
 *
 * The measure is a count (top-k) or the sum of exponentials (top-p). Entries between two pivots are collected into a
 * window, those above are only measured; then the window is the row, until so few are left that they are sorted. The
 * pivots come from a small sample, whose errors cost time, never the result. Each pass over the row is a few
 * operations an entry, and some five passes over ever shorter windows are enough but for rows made against the sample;
 * there pivots halve the numbers that a REAL can be, so the passes are never more than its bits.
 */

#define ALL_TIES INTPTR_MAX
#define FEW 256           /* entries that are sorted */
#define SAMPLE_MOST 256   /* entries in a sample */
#define SAMPLE_LEAST 64   /* and the fewest, of a long enough row */
#define ROUNDS_SAMPLED 12 /* passes after which samples are not trusted any more */

typedef struct {
    const ts_plan *plan;   /* whose exponentials are added up; NULL counts */
    const R(source) * row; /* candidates are its entries low <= x <= high */
    intptr_t n;            /* entries of `row`, candidates or not */
    REAL low, high;
    double above, inside,
        target; /* above < target <= above + inside, the measures above `high` and of the candidates */
} R(search);

/* The largest entry that is cut into: kept are those above `threshold` and `ties` of those equal to it. */
typedef struct {
    REAL threshold;
    intptr_t ties;
} R(place_of_cut);

/* The sum of the exponentials of some numbers. */
static double R(mass_of)(const ts_plan *plan, const REAL *x, intptr_t n, const R(scratch) * s) {
    double mass = 0;
    for (intptr_t i = 0; i < n; i += TS_BLOCK)
        mass += R(exp_all)(plan, plan->exponent, x + i, n - i < TS_BLOCK ? n - i : TS_BLOCK, s->weights, NULL).hi;
    return mass;
}

/* The mass between the pivots: of what was collected, or of as many equal entries. */
static double R(mass_inside)(const ts_plan *plan, const R(partition) * d, REAL lower, REAL upper,
                             const R(scratch) * s) {
    if (lower == upper)
        return (double)d->parts.n_inside * R(mass_of)(plan, &lower, 1, s);
    return R(mass_of)(plan, d->window, d->parts.n_inside, s);
}

/* Divide a row at the pivots, by exponentials where something is above them or by counting. */
static void R(partition_row)(R(partition) * d, const R(search) * q, REAL lower, int is_above, const R(scratch) * s) {
    REAL *const e = q->plan && is_above ? s->weights : NULL;
    for (intptr_t b = 0; b * TS_BLOCK < q->n; b++) {
        const intptr_t n = ts_block_length(q->n, b);
        if (q->row->block_max && q->row->block_max[b] < lower)
            continue;
        const REAL *x = R(read_from)(q->row, b, n, lower, s->block);
        const uint32_t groups = R(groups_from)(q->row, b, x, n, lower);
        if (e && groups)
            R(exp_block)(q->plan, q->plan->exponent, x, n, (R(rest)){(REAL)-INFINITY, many_or(groups)}, e, NULL, NULL);
        R(partition_block)(d, x, n, groups, e);
    }
    if (e)
        d->parts.above = R(sum_total)(&d->above).hi;
}

/* Measure the candidates above `upper`, and those from `lower` to `upper`, which are collected in `window`. */
static R(parts)
    R(partition_candidates)(const R(search) * q, REAL lower, REAL upper, REAL *window, const R(scratch) * s) {
    R(partition) d = R(partition_by)(lower, upper, q->high, window, s->room);
    const int is_above = upper < q->high; /* else nothing is */
    R(partition_row)(&d, q, lower, is_above, s);
    if (!q->plan)
        d.parts.inside = (double)d.parts.n_inside;
    else if (lower == upper || d.parts.n_collected == d.parts.n_inside)
        d.parts.inside = R(mass_inside)(q->plan, &d, lower, upper, s);
    else /* there was no room for all: what is above the lower pivot, less what is above the upper */
        d.parts.inside = R(partition_candidates)(q, lower, R(next_down)(lower), s->sink, s).above - d.parts.above;
    return d.parts;
}

/* Sort at most SAMPLE_MOST numbers by counting how many are larger than each, many at a time. */
static void R(sort_descending)(REAL *x, intptr_t n) {
    enum { AT_ONCE = 4 }; /* vectors: a count waits for the one before */
    REAL sorted[SAMPLE_MOST], ranks[SAMPLE_MOST + AT_ONCE * LANES];
    for (intptr_t i = 0; i < n; i += AT_ONCE * LANES) {
        VR v[AT_ONCE], rank[AT_ONCE];
        for (int k = 0; k < AT_ONCE; k++) {
            const intptr_t at = i + k * LANES;
            v[k] = at < n ? V(load_up_to)(x + at, n - at, V(set1)(0)) : V(set1)(0);
            rank[k] = V(set1)(0);
        }
        for (intptr_t j = 0; j < n; j++)
            for (int k = 0; k < AT_ONCE; k++)
                rank[k] = V(add_where)(rank[k], V(not_le)(V(set1)(x[j]), v[k]), V(set1)(1));
        for (int k = 0; k < AT_ONCE; k++)
            V(store)(ranks + i + k * LANES, rank[k]);
    }
    for (intptr_t i = 0; i < n; i++)
        sorted[i] = (REAL)NAN;
    for (intptr_t i = 0; i < n; i++)
        sorted[(intptr_t)ranks[i]] = x[i];
    for (intptr_t i = 0; i < n; i++) /* equal numbers have one rank, and leave as many places behind it */
        x[i] = sorted[i] == sorted[i] ? sorted[i] : x[i - 1];
}

/* The exponentials of some numbers, or ones, in s->weights. */
static void R(weigh)(const R(search) * q, const REAL *x, intptr_t n, const R(scratch) * s) {
    if (q->plan)
        R(exp_all)(q->plan, q->plan->exponent, x, n, s->weights, NULL);
    for (intptr_t i = 0; !q->plan && i < n; i++)
        s->weights[i] = 1;
}

/* The place in a few candidates that are all there are. */
static R(place_of_cut) R(sort_few)(const R(search) * q, REAL *x, intptr_t n, const R(scratch) * s) {
    R(sort_descending)(x, n);
    R(weigh)(q, x, n, s);
    double measure = q->above;
    intptr_t i = 0, first = 0; /* of those equal to entry i */
    for (; i < n; i++) {
        if (x[i] != x[first])
            first = i;
        measure += (double)s->weights[i];
        if (measure >= q->target)
            break;
    }
    if (i == n) /* by rounding errors */
        i = n - 1;
    const int are_more = i + 1 < n && x[i + 1] == x[first];
    return (R(place_of_cut)){x[first], are_more ? i - first + 1 : ALL_TIES};
}

/* Some candidates, the largest first, and how many entries each stands for. */
typedef struct {
    REAL x[SAMPLE_MOST];
    intptr_t n;
    double each;
} R(sample);

#if TS_REAL == 64 /* used by both */
#define SURE 2.5  /* standard errors within which a sample is believed */

/* Entries by which place `at` of a sample of n is uncertain. */
static inline intptr_t margin_of(intptr_t at, intptr_t n) {
    const double share = ((double)at + 0.5) / (double)n;
    return 1 + (intptr_t)(SURE * sqrt((double)n * share * (1 - share)));
}

/* The place of entry i of a sample: at equal steps, each moved on by a part of it without a pattern. */
static inline intptr_t sampled_place(intptr_t i, intptr_t step, intptr_t n) {
    const uint32_t mixed = (uint32_t)i * 2654435761u; /* the golden ratio, times 2^32 */
    const intptr_t at = i * step + (intptr_t)((uint64_t)mixed * (uint64_t)step >> 32);
    return at < n ? at : n - 1;
}
#endif

/* The candidates among the entries of the row at these places. */
static void R(take_sample)(R(sample) * sample, const R(search) * q, const R(scratch) * s) {
    intptr_t wanted = q->n / 128;
    wanted = wanted > SAMPLE_MOST ? SAMPLE_MOST : wanted < SAMPLE_LEAST ? SAMPLE_LEAST : wanted;
    const intptr_t step = q->n > wanted ? q->n / wanted : 1;
    const ts_vector *const numbers = &q->row->numbers;
    const REAL *x = NULL;
    sample->n = 0;
    sample->each = (double)step;
    for (intptr_t i = 0; i < wanted && i * step < q->n; i++) /* all at once, as each is far from the one before */
        fetch_ahead((uintptr_t)(numbers->data + sampled_place(i, step, q->n) * numbers->stride));
    for (intptr_t i = 0, b = -1; i < wanted && i * step < q->n; i++) {
        const intptr_t at = sampled_place(i, step, q->n);
        if (at / TS_BLOCK != b) {
            b = at / TS_BLOCK;
            x = R(read)(q->row, b, ts_block_length(q->n, b), s->block);
        }
        const REAL v = x[at % TS_BLOCK];
        if (v >= q->low && v <= q->high)
            sample->x[sample->n++] = v;
    }
    R(sort_descending)(sample->x, sample->n);
}

static intptr_t R(count_equal)(const R(sample) * sample, REAL x) {
    intptr_t n = 0;
    for (intptr_t i = 0; i < sample->n; i++)
        n += sample->x[i] == x;
    return n;
}

/* The entry of a sample below which those of these weights stand for as much as `below`. */
static intptr_t R(place_above)(const R(sample) * sample, const REAL *weights, double below) {
    double so_far = 0;
    intptr_t at = sample->n - 1;
    while (at > 0 && (so_far += (double)weights[at] * sample->each) < below)
        at--;
    return at;
}

/* Pivots on both sides of where the target should be, by a sample; one alone at that place if `is_one` or where the
 * sample has it so often that it is the likely answer. What is below the place is better known from a sample than what
 * is above: there are more of them, and no few hold all. */
static void R(pivots_by_sample)(const R(search) * q, const R(sample) * sample, int is_one, REAL *lower, REAL *upper,
                                const R(scratch) * s) {
    const intptr_t n = sample->n;
    R(weigh)(q, sample->x, n, s);
    const intptr_t at = R(place_above)(sample, s->weights, q->inside - (q->target - q->above));
    const intptr_t margin = margin_of(at, n);
    *lower = *upper = sample->x[at];
    if (is_one || R(count_equal)(sample, *lower) > margin)
        return;
    if (at - margin < 0 || 4 * at < n) /* of few, all are collected */
        *upper = q->high;
    else
        *upper = sample->x[at - margin];
    *lower = at + margin < n ? sample->x[at + margin] : q->low;
    if (*lower < sample->x[at] && R(count_equal)(sample, *lower) > 2 * margin) /* as masked entries are */
        *lower = R(next_up)(*lower);
}

/* The number in the middle of those that a REAL can be between two. */
static REAL R(middle)(REAL low, REAL high) {
    BITS a, b;
    memcpy(&a, &low, sizeof a);
    memcpy(&b, &high, sizeof b);
    const BITS sign = (BITS)1 << (8 * sizeof(BITS) - 1);
    a = a & sign ? ~a : a | sign; /* ordered as the numbers are */
    b = b & sign ? ~b : b | sign;
    BITS half = a + (b - a) / 2;
    half = half & sign ? half & ~sign : ~half;
    memcpy(&low, &half, sizeof low);
    return low;
}

/* Pivots for the next pass, by the round it is; all candidates, if too little is known of them. `window` holds the
 * first of them where the last pass found more than there was room for: then many are likely to be equal. */
static void R(choose_pivots)(const R(search) * q, int round, const REAL *window, intptr_t n_window, REAL *lower,
                             REAL *upper, const R(scratch) * s) {
    R(sample) sample;
    if (round >= ROUNDS_SAMPLED) {
        *lower = *upper = R(middle)(q->low, q->high);
    } else if (n_window > SAMPLE_LEAST) {
        for (sample.n = 0; sample.n < SAMPLE_LEAST; sample.n++)
            sample.x[sample.n] = window[sample.n * (n_window / SAMPLE_LEAST)];
        R(sort_descending)(sample.x, sample.n);
        R(weigh)(q, sample.x, sample.n, s);
        double mass = 0;
        for (intptr_t i = 0; i < sample.n; i++)
            mass += (double)s->weights[i];
        sample.each = q->inside / mass;
        R(pivots_by_sample)(q, &sample, 1, lower, upper, s);
    } else {
        R(take_sample)(&sample, q, s);
        if (sample.n >= SAMPLE_LEAST / 8)
            R(pivots_by_sample)(q, &sample, 0, lower, upper, s);
    }
}

/* The place among n candidates that are all equal. */
static R(place_of_cut) R(place_among_ties)(const R(search) * q, REAL x, intptr_t n) {
    const double each = q->inside / (double)n, ties = ceil((q->target - q->above) / each);
    const int are_all = ties >= (double)n;
    return (R(place_of_cut)){x, are_all ? ALL_TIES : ties < 1 ? 1 : (intptr_t)ties};
}

/* The place of the cut of a search; it has one. The first pass is made with all candidates where there should be few of
 * them: in a short row, or above a bound; by a sample of the row, if there is one. */
static R(place_of_cut) R(find)(R(search) q, const R(sample) * sample, const R(scratch) * s) {
    const int is_narrow = q.n <= FEW || q.low > -REAL_MAX;
    REAL *window = s->window, *other = s->window + s->room + TS_SLACK;
    R(source) collected = R(whole)(&q.row->numbers);
    intptr_t n_prefix = 0;
    for (int round = 0;; round++) {
        REAL lower = q.low, upper = q.high;
        if (round == 0 && sample)
            R(pivots_by_sample)(&q, sample, 0, &lower, &upper, s);
        else if (round > 0 || !is_narrow)
            R(choose_pivots)(&q, round, window, n_prefix, &lower, &upper, s);
        const R(parts) parts = R(partition_candidates)(&q, lower, upper, window, s);
        const double above = q.above + parts.above;
        n_prefix = 0;
        if (lower == q.low && above + parts.inside < q.target) /* by rounding errors there is less than was left */
            return (R(place_of_cut)){q.low, ALL_TIES};
        if (above >= q.target) {
            q.low = R(next_up)(upper);
            q.inside = parts.above;
        } else if (above + parts.inside < q.target) {
            q.above = above + parts.inside;
            q.inside -= parts.above + parts.inside;
            q.high = R(next_down)(lower);
        } else {
            q.above = above;
            q.inside = parts.inside;
            q.low = lower;
            q.high = upper;
            if (q.low == q.high)
                return R(place_among_ties)(&q, q.low, parts.n_inside);
            if (parts.n_collected < parts.n_inside) {
                n_prefix = parts.n_collected;
                continue;
            }
            if (parts.n_inside <= FEW)
                return R(sort_few)(&q, window, parts.n_inside, s);
            collected.numbers = (ts_vector){(char *)window, sizeof(REAL), PLAIN};
            q.row = &collected;
            q.n = parts.n_inside;
            REAL *const free_one = other;
            other = window;
            window = free_one;
        }
    }
}
