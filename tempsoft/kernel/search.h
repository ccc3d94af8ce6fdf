/* Where to cut a row, without sorting it: the entry at which a measure, counted from the largest entry down, reaches a
 * target. For REAL, by inclusion.
 *
 * The measure is a count (top-k) or the sum of exponentials (top-p). Entries between two pivots are collected into a
 * window, those above are only measured; then the window is the row, until so few are left that they are sorted. The
 * pivots come from a small sample, whose errors cost time, never the result. Each pass over the row is a few
 * operations an entry, and some five passes over ever shorter windows are enough but for rows made against the sample;
 * there pivots halve the numbers that a REAL can be, so the passes are never more than its bits.
 */

#define FEW 128           /* entries that are sorted */
#define SAMPLE_MOST 512   /* entries in a sample */
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

typedef struct {
    double above, inside; /* measures of candidates above the upper pivot, and between the pivots */
    intptr_t n_inside;    /* how many those are */
    intptr_t n_collected; /* and how many of them there was room for */
} R(parts);

static double R(sum_buffer)(const REAL *e, intptr_t n) {
    R(sum) sum = R(sum_zero)();
    for (intptr_t i = 0; i < n; i += TS_GROUP)
        R(sum_group)(&sum, e + i);
    return R(sum_total)(&sum).hi;
}

/* Measure the candidates above `upper`, and those from `lower` to `upper`, which are collected in `window`. */
static R(parts) R(divide)(const R(search) * q, REAL lower, REAL upper, REAL *window, const R(scratch) * s) {
    R(parts) parts = {0, 0, 0, 0};
    const VR low = V(set1)(lower), high = V(set1)(upper), highest = V(set1)(q->high), zero = V(set1)(0);
    REAL *e = s->weights, *above = s->chosen, *inside = s->chosen + TS_BLOCK;
    for (intptr_t b = 0; b * TS_BLOCK < q->n; b++) {
        const intptr_t rest = q->n - b * TS_BLOCK, n = rest < TS_BLOCK ? rest : TS_BLOCK;
        if (q->row->block_max && q->row->block_max[b] < lower)
            continue;
        const REAL *x = R(read)(q->row, b, n, s->block);
        int exceeds;
        if (q->plan)
            R(exp_block)(q->plan, q->plan->exponent, x, n, e, &exceeds);
        intptr_t i = 0, n_above = 0;
        for (; i < n; i += LANES) {
            const VR v = V(load_up_to)(x + i, n - i, V(set1)((REAL)-INFINITY));
            const v_mask is_below = V(not_le)(low, v), is_above = V(not_le)(v, high);
            const v_mask is_inside = V(neither)(is_below, is_above), is_out = V(not_le)(v, highest);
            const int count = V(count)(is_inside);
            parts.n_inside += count;
            if (count && parts.n_collected + count <= s->room) {
                V(collect)(window + parts.n_collected, v, is_inside);
                parts.n_collected += count;
            }
            if (q->plan) {
                const VR weight = V(load)(e + i);
                V(store)(above + i, V(where)(v_mask_and_not(is_above, is_out), weight));
                V(store)(inside + i, V(where)(is_inside, weight));
            } else {
                n_above += V(count)(v_mask_and_not(is_above, is_out));
            }
        }
        parts.above += (double)n_above;
        if (!q->plan)
            continue;
        for (; i % TS_GROUP != 0; i += LANES) {
            V(store)(above + i, zero);
            V(store)(inside + i, zero);
        }
        parts.above += R(sum_buffer)(above, n);
        parts.inside += R(sum_buffer)(inside, n);
    }
    if (!q->plan)
        parts.inside = (double)parts.n_inside;
    return parts;
}

static void R(sort_descending)(REAL *x, intptr_t n) {
    static const intptr_t gaps[] = {301, 132, 57, 23, 10, 4, 1}; /* Ciura's, for Shell's sort */
    for (size_t g = 0; g < sizeof gaps / sizeof gaps[0]; g++)
        for (intptr_t i = gaps[g]; i < n; i++) {
            const REAL v = x[i];
            intptr_t j = i;
            for (; j >= gaps[g] && x[j - gaps[g]] < v; j -= gaps[g])
                x[j] = x[j - gaps[g]];
            x[j] = v;
        }
}

/* The exponentials of some numbers, or ones, in s->weights. */
static void R(weigh)(const R(search) * q, const REAL *x, intptr_t n, const R(scratch) * s) {
    int exceeds;
    if (q->plan)
        R(exp_block)(q->plan, q->plan->exponent, x, n, s->weights, &exceeds);
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
    return (R(place_of_cut)){x[first], i - first + 1};
}

/* Entries of the row at equal steps, of which candidates are kept: how many. */
static intptr_t R(take_sample)(const R(search) * q, REAL *sample, const R(scratch) * s) {
    intptr_t wanted = q->n / 64, n = 0;
    wanted = wanted > SAMPLE_MOST ? SAMPLE_MOST : wanted < SAMPLE_LEAST ? SAMPLE_LEAST : wanted;
    const intptr_t step = q->n > wanted ? q->n / wanted : 1;
    const REAL *x = NULL;
    for (intptr_t i = 0, at = step / 2, b = -1; i < wanted && at < q->n; i++, at += step) {
        if (at / TS_BLOCK != b) {
            b = at / TS_BLOCK;
            const intptr_t rest = q->n - b * TS_BLOCK;
            x = R(read)(q->row, b, rest < TS_BLOCK ? rest : TS_BLOCK, s->block);
        }
        const REAL v = x[at % TS_BLOCK];
        if (v >= q->low && v <= q->high)
            sample[n++] = v;
    }
    return n;
}

/* Pivots on both sides of where the target should be, by a sample; 0 if it says too little. */
static int R(pivots_by_sample)(const R(search) * q, REAL *sample, intptr_t n, REAL *lower, REAL *upper,
                               const R(scratch) * s) {
    if (n < SAMPLE_LEAST / 8)
        return 0;
    R(sort_descending)(sample, n);
    R(weigh)(q, sample, n, s);
    double total = 0, so_far = 0;
    for (intptr_t i = 0; i < n; i++)
        total += (double)s->weights[i];
    const double fraction = (q->target - q->above) / q->inside;
    intptr_t at = 0;
    while (at < n - 1 && (so_far += (double)s->weights[at]) < fraction * total)
        at++;
    const double share = ((double)at + 0.5) / (double)n;
    const intptr_t margin = 1 + (intptr_t)(2.5 * sqrt((double)n * share * (1 - share)));
    *upper = at - margin >= 0 ? sample[at - margin] : q->high;
    *lower = at + margin < n ? sample[at + margin] : q->low;
    return 1;
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

/* The place of the cut of a search; it has one. `is_narrow`: there should be few candidates. */
static R(place_of_cut) R(find)(R(search) q, int is_narrow, const R(scratch) * s) {
    REAL *window = s->window, *other = s->window + s->room + LANES, sample[SAMPLE_MOST];
    R(source) collected = R(whole)(&q.row->numbers);
    intptr_t n_prefix = 0; /* candidates in `window` that are not all there are */
    for (int round = 0;; round++) {
        REAL lower = q.low, upper = q.high;
        intptr_t n = R(take_sample)(&q, sample, s);
        if (n < SAMPLE_LEAST / 8 && n_prefix) {
            n = n_prefix < SAMPLE_MOST ? n_prefix : SAMPLE_MOST;
            for (intptr_t i = 0; i < n; i++)
                sample[i] = window[i * (n_prefix / n)];
        }
        if (round >= ROUNDS_SAMPLED)
            lower = upper = R(middle)(q.low, q.high);
        else if (round > 0 || !is_narrow)
            R(pivots_by_sample)(&q, sample, n, &lower, &upper, s);
        const R(parts) parts = R(divide)(&q, lower, upper, window, s);
        n_prefix = 0;
        if (lower == q.low &&
            q.above + parts.above + parts.inside < q.target) /* rounding errors: less than they are left */
            return (R(place_of_cut)){q.low, parts.n_inside};
        if (q.above + parts.above >= q.target) {
            q.low = R(next_up)(upper);
            q.inside = parts.above;
        } else if (q.above + parts.above + parts.inside >= q.target) {
            q.above += parts.above;
            q.inside = parts.inside;
            q.low = lower;
            q.high = upper;
            if (lower == upper) {
                const double each = parts.inside / (double)parts.n_inside, ties = ceil((q.target - q.above) / each);
                const intptr_t most = parts.n_inside;
                return (R(place_of_cut)){lower, ties < 1 ? 1 : ties < (double)most ? (intptr_t)ties : most};
            }
            if (parts.n_collected < parts.n_inside) {
                n_prefix = parts.n_collected;
                continue;
            }
            if (parts.n_inside <= FEW)
                return R(sort_few)(&q, window, parts.n_inside, s);
            collected.numbers = (ts_vector){(char *)window, sizeof(REAL), sizeof(REAL) == 4 ? TS_F32 : TS_F64};
            q.row = &collected;
            q.n = parts.n_inside;
            REAL *const free_one = other;
            other = window;
            window = free_one;
        } else {
            q.above += parts.above + parts.inside;
            q.inside -= parts.above + parts.inside;
            q.high = R(next_down)(lower);
        }
    }
}
