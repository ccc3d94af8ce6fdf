/* A long row of which top_p is likely to leave much: cut while its exponentials are made. For REAL, by inclusion.
 *
 * A few groups say whether it is such a row, about how much it comes to in all, and between which two entries the cut
 * should be. So each block is divided at these while it is in cache, and what lies between them is collected; once the
 * row's sum is known, the place is found among those alone. The sums of what is left are those of the blocks above the
 * upper pivot and what was collected from each: floats that differ by no more than some 2^18 are added up exactly, in
 * whatever order. Where a glance at groups misleads, the row is cut as any other.
 */

#if TS_REAL == 64                   /* used by both */
#define SPREAD_LEAST (4 * TS_BLOCK) /* categories, at least */
#define GLANCE_LEAST 4              /* groups that are looked at, of each GLANCE_SHARE, */
#define GLANCE_MOST 128
#define GLANCE_SHARE 16
#endif

/* What some groups say of a row. */
typedef struct {
    R(sample) some;  /* of their entries */
    double exponent; /* of the largest of them */
    double mass;     /* about what the row comes to, relative to it */
    double error;    /* and its standard error, as a part of it */
} R(glance);

/* Whether half of the mass of the first group is one entry of it, or two: none else is looked at then. */
static int R(begins_peaked)(const R(source) * row, const tempering *k, const R(scratch) * s) {
    const REAL *x = R(read)(row, 0, TS_GROUP, s->block);
    VR sum[4] = {V(set1)(0), V(set1)(0), V(set1)(0), V(set1)(0)};
    const double max = (double)V(largest)(R(group_max)(x, TS_GROUP, sum));
    const ts_plan plan = {.formula = TS_FAST, .k = k, .exponent = R(exponent_of)(max, k)};
    if (!(fabs(plan.exponent) < LARGEST_EXPONENT))
        return 1;
    const double mass = R(exp_all)(&plan, plan.exponent, x, TS_GROUP, s->weights, NULL).hi;
    double squares = 0;
    for (intptr_t i = 0; i < TS_GROUP; i++)
        squares += (double)s->weights[i] * (double)s->weights[i];
    return mass * mass <= 2 * squares; /* as of two equal ones, or fewer */
}

/* Put down some of the groups of a row, at about equal steps. */
static void R(take_groups)(const ts_vector *numbers, intptr_t n_groups, intptr_t wanted, REAL *x, REAL *buffer) {
    const intptr_t step = n_groups / wanted;
    for (intptr_t i = 0; i < wanted; i++) { /* all at once, as each is far from the one before */
        const intptr_t at = sampled_place(i, step, n_groups) * TS_GROUP;
        for (intptr_t j = 0; j < TS_GROUP; j += LINE)
            fetch_ahead((uintptr_t)(numbers->data + (at + j) * numbers->stride));
    }
    for (intptr_t i = 0; i < wanted; i++) {
        const REAL *group = R(load)(numbers, sampled_place(i, step, n_groups) * TS_GROUP, TS_GROUP, buffer);
        memcpy(x + i * TS_GROUP, group, TS_GROUP * sizeof *x);
    }
}

/* Look at some groups, which are put down at `x`. 0 if they are out of reach. */
static int R(glance_at)(R(glance) * glance, const R(source) * row, intptr_t n, const tempering *k, REAL *x,
                        const R(scratch) * s) {
    const intptr_t n_groups = n / TS_GROUP, share = n_groups / GLANCE_SHARE;
    const intptr_t wanted = share < GLANCE_LEAST ? GLANCE_LEAST : share > GLANCE_MOST ? GLANCE_MOST : share;
    const intptr_t most = SAMPLE_MOST / wanted, each = most < 16 ? most : 16;
    R(take_groups)(&row->numbers, n_groups, wanted, x, s->block);
    R(sample) *const some = &glance->some;
    some->n = 0;
    for (intptr_t i = 0; i < wanted * each; i++) {
        const REAL v = x[sampled_place(i, TS_GROUP / each, wanted * TS_GROUP)];
        if (v >= -REAL_MAX && v <= REAL_MAX)
            some->x[some->n++] = v;
    }
    const double exponent = R(exponent_of)(R(block_max)(x, wanted * TS_GROUP), k);
    if (some->n < SAMPLE_LEAST || !(fabs(exponent) < LARGEST_EXPONENT / 2)) /* which a NaN is not */
        return 0;
    R(sort_descending)(some->x, some->n);
    const ts_plan plan = {.formula = TS_FAST, .k = k, .exponent = exponent};
    double total = 0, squares = 0;
    for (intptr_t i = 0; i < wanted * TS_GROUP; i += TS_BLOCK) {
        const intptr_t length = ts_block_length(wanted * TS_GROUP, i / TS_BLOCK);
        R(exp_all)(&plan, exponent, x + i, length, s->weights, NULL);
        for (intptr_t j = 0; j < length; j += TS_GROUP) {
            R(sum) sum = R(sum_zero)();
            R(sum_group)(&sum, s->weights + j);
            const double mass = R(sum_total)(&sum).hi;
            total += mass;
            squares += mass * mass;
        }
    }
    const double mean = total / (double)wanted, variance = squares / (double)wanted - mean * mean;
    some->each = (double)n / (double)(wanted * each);
    glance->exponent = exponent;
    glance->mass = mean * (double)n / TS_GROUP;
    glance->error = variance > 0 ? sqrt(variance / (double)wanted) / mean : 0;
    return 1;
}

/* Whether p of the mass of those looked at takes a sixteenth of them or more. Their exponentials are in s->weights. */
static int R(looks_spread)(const R(sample) * some, double p, const R(scratch) * s) {
    double mass = 0, largest = 0;
    for (intptr_t i = 0; i < some->n; i++) {
        mass += (double)s->weights[i];
        largest += i < some->n / 16 ? (double)s->weights[i] : 0;
    }
    return largest < p * mass;
}

/* What is known of a row as it is divided: of each block, what is above the upper pivot, and where in the window begins
 * what is between them. */
typedef struct {
    REAL lower, upper;
    double *above;
    intptr_t *first;
    REAL *window;
    intptr_t room;
    R(parts) parts;
} R(division);

/* The plan of a row, each block divided at the pivots as it is made. 0 if its exponentials are out of reach. */
static int R(plan_divided)(ts_plan *plan, const R(source) * row, double c, int wants_max, R(division) * d, REAL *keep,
                           const R(scratch) * s) {
    R(partition) partition = R(partition_by)(d->lower, d->upper, REAL_MAX, d->window, d->room);
    for (intptr_t b = 0; b < plan->n_blocks; b++) {
        const intptr_t length = block_length(plan, b);
        const REAL *x = R(load)(&row->numbers, b * TS_BLOCK, length, s->block);
        REAL *const e = keep ? keep + b * TS_BLOCK : s->weights;
        const R(rest) all = {(REAL)-INFINITY, ALL_GROUPS};
        ts_range range;
        double max = REAL_MAX; /* not looked for, as every block is likely to keep something */
        const dd sum = R(exp_block)(plan, c, x, length, all, e, wants_max ? &max : NULL, &range);
        if (range == TS_EXCEEDED)
            return 0;
        s->block_max[b] = (REAL)max;
        if (wants_max && max > plan->max)
            plan->max = max;
        plan->is_low |= range == TS_LOW;
        R(nothing_in)(plan, b);
        R(put_sum)(plan, b, c, sum);
        d->first[b] = partition.parts.n_collected;
        partition.above = R(sum_zero)();
        R(partition_block)(&partition, x, length, ALL_GROUPS, e);
        d->above[b] = R(sum_total)(&partition.above).hi;
        partition.parts.above += d->above[b];
    }
    d->first[plan->n_blocks] = partition.parts.n_collected;
    plan->exponent = c;
    R(sum_blocks)(plan);
    d->parts = partition.parts;
    d->parts.above = down_by(partition.parts.above, (int)(plan->exponent - c));
    return 1;
}

/* Where the row is to be cut, from what is between the pivots; 0 if it is not to be cut there. */
static int R(find_between)(R(place_of_cut) * place, const ts_plan *plan, const R(source) * row, double p,
                           const R(division) * d, const R(scratch) * s) {
    const ts_vector window = {(char *)d->window, sizeof(REAL), PLAIN};
    const R(source) collected = R(whole)(&window);
    R(search) q = R(search_of_mass)(plan, row, p);
    q.row = &collected;
    q.n = d->parts.n_inside;
    q.low = d->lower;
    q.high = d->upper;
    q.above = d->parts.above;
    if (q.n == 0 || d->parts.n_collected < q.n || q.above >= q.target)
        return 0;
    const int is_long = q.n > FEW; /* fewer are sorted */
    R(sample) sample;
    if (is_long) {
        R(take_sample)(&sample, &q, s);
        q.inside = R(mass_of)(plan, sample.x, sample.n, s) * sample.each; /* about: it is for pivots alone */
    }
    *place = R(find)(q, is_long ? &sample : NULL, s);
    return place->threshold > d->lower || place->ties != ALL_TIES; /* else there may be too little inside */
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

#if TS_REAL == 32
/* The same from what was divided, without the exponentials of the row. 0 if their sums might depend on their order: all
 * that may be left are multiples of the last bit of the smallest, and a double has 2^53 of these. */
static int R(plan_of_divided)(ts_plan *plan, const R(source) * row, double c, const R(division) * d,
                              const R(scratch) * s) {
    const double most = 0x1p28 * R(exp_all)(plan, c, &d->lower, 1, s->weights, NULL).hi;
    for (intptr_t b = 0; b < plan->n_blocks; b++) {
        if (!(plan->blocks.sum_hi[b] > 0))
            continue;
        if (plan->blocks.sum_hi[b] > most)
            return 0;
        const REAL *x = d->window + d->first[b];
        const intptr_t n = d->first[b + 1] - d->first[b];
        R(rest) rest = {R(least_left)(row, b), ALL_GROUPS};
        if (R(cuts_ties)(row, b)) {
            R(apply_cut)(row, b, x, n, s->block);
            x = s->block;
            rest.least = (REAL)-INFINITY;
        }
        double sum = d->above[b];
        if (n > 0)
            sum += R(exp_block)(plan, c, x, n, rest, s->weights, NULL, NULL).hi;
        plan->blocks.sum_hi[b] = sum; /* sum_lo is 0 already, as of all floats */
        if (sum < NOTHING)
            R(nothing_in)(plan, b);
    }
    R(sum_blocks)(plan);
    return 1;
}
#endif

/* Cut a row by its mass while its plan is made, and make that after the cut, if a function takes it. 0 if the row is
 * not spread, or is not what the glance said. */
static int R(cut_spread)(R(source) * row, intptr_t n, double temperature, const ts_knobs *knobs, ts_plan *plan,
                         R(scratch) * s) {
    const tempering *const k = R(tempering_for)(s, temperature);
    const double p = knobs->top_p;
    R(glance) glance;
    if (n < SPREAD_LEAST || !R(is_moderate)(k) || R(begins_peaked)(row, k, s) ||
        !R(glance_at)(&glance, row, n, k, s->kept, s))
        return 0;
    R(begin_plan)(plan, n, k, s);
    plan->exponent = glance.exponent;
    R(search) q = {.plan = plan};
    R(weigh)(&q, glance.some.x, glance.some.n, s);
    if (!R(looks_spread)(&glance.some, p, s))
        return 0;
    const double below = glance.mass - target_of_mass(p, glance.mass), doubt = SURE * glance.error * below;
    const intptr_t first = R(place_above)(&glance.some, s->weights, below + doubt),
                   last = R(place_above)(&glance.some, s->weights, below - doubt);
    const intptr_t before = first - margin_of(first, glance.some.n), behind = last + margin_of(last, glance.some.n);
    /* exponentials are kept for softmax; of doubles, whose sums depend on their order, for draws as well */
    REAL *const keep = s->takes_kept || TS_REAL == 64 ? s->kept : NULL;
    R(division)
    d = {.lower = behind < glance.some.n ? glance.some.x[behind] : -REAL_MAX,
         .upper = before >= 0 ? glance.some.x[before] : REAL_MAX,
         .above = s->block_cumulative,
         .first = s->first_draw,
         .window = keep ? s->window + s->room + TS_SLACK : s->kept,
         .room = keep ? s->room : n - TS_SLACK};
    R(place_of_cut) place;
    if (!R(plan_divided)(plan, row, glance.exponent, knobs->min_p > 0, &d, keep, s) ||
        !R(find_between)(&place, plan, row, p, &d, s))
        return 0;
    R(cut_at)(row, n, place, s);
    if (!s->takes_ready || knobs->min_p > 0 || temperature != knobs->temperature)
        return 1;
    s->ready = *plan;
    s->is_ready = 1;
    if (keep)
        R(plan_after_cut)(&s->ready, row, keep, s->takes_kept, s);
#if TS_REAL == 32
    else
        s->is_ready = R(plan_of_divided)(&s->ready, row, glance.exponent, &d, s);
#endif
    return 1;
}
