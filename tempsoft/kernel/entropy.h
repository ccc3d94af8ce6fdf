/* The entropy of a row, and of as many as a vector has lanes; what filters left of a row. For REAL, by inclusion.
 *
 * log(sum / largest exponential) + sum e (max - x) / T / sum: no term is negative, so nothing cancels.
 */

/* A logit so little below the largest, in units of T, is taken for one like it: with both the entropy is at least
 * log 2, and no product is subnormal, so that it is no matter which c the exponentials are of. */
#define LEAST_DEPTH 0x1p-60

/* What the depths of a row are made with. */
typedef struct {
    VR max, inverse;
} R(depths);

static inline R(depths) R(depths_of)(REAL max, const tempering *k) {
    return (R(depths)){V(set1)(max), V(set1)((REAL)k->inverse.hi)};
}

/* e (max - x) / T, 0 for what is too small to count. */
TS_INLINE VR R(weighted_depth)(VR e, VR x, const R(depths) * d) {
    const VR depth = V(mul)(V(sub)(d->max, x), d->inverse), product = V(fma)(e, depth, V(set1)(0));
    const VR counted = V(keep_ge)(e, V(set1)((REAL)NOTHING), product);
    return V(keep_ge)(depth, V(set1)((REAL)LEAST_DEPTH), counted);
}

/* The sum of these over a block, whose exponentials are whole groups. */
TS_INLINE double R(sum_of_depths)(const REAL *e, const char *x, intptr_t n, ts_type type, const R(depths) * d) {
    R(sum) sum = R(sum_zero)();
    VR product[TS_GROUP / LANES];
    intptr_t i = 0;
    for (; i + TS_GROUP <= n; i += TS_GROUP) {
        for (int k = 0; k < TS_GROUP / LANES; k++)
            product[k] = R(weighted_depth)(V(load)(e + i + k * LANES), R(load_typed)(x, i + k * LANES, type), d);
        R(sum_vectors)(&sum, product);
    }
    if (i < n) {
        REAL buffer[TS_GROUP];
        const ts_vector numbers = {(char *)x, ts_size_of(type), type};
        const REAL *const last = R(load)(&numbers, i, n - i, buffer);
        for (int k = 0; k < TS_GROUP / LANES; k++) {
            const intptr_t at = k * LANES;
            product[k] = R(weighted_depth)(V(load)(e + i + at), V(load_up_to)(last + at, n - i - at, d->max), d);
        }
        R(sum_vectors)(&sum, product);
    }
    return R(sum_total)(&sum).hi;
}

/* The same of the careful formula. */
static double R(careful_sum_of_depths)(const ts_plan *plan, const REAL *e, const REAL *x, intptr_t n) {
    const tempering *k = plan->k;
    double sum = 0;
    for (intptr_t i = 0; i < n; i++)
        if (e[i] > 0)
            sum += (double)e[i] * ((plan->max * k->down - (double)x[i] * k->down) * k->up * k->careful_inverse.hi);
    return sum;
}

/* Of one or two vectors of rows from `first` on, whose depths come to these sums. */
TS_INLINE void R(entropies_of_vectors)(const R(plans) * p, const double *depths, intptr_t first, int n, REAL *to) {
    log_sums log[2 * WIDTHS];
    R(log_sums_of_rows)(p, first, n, log);
    for (int v = 0; v < n; v++) {
        vd entropy[WIDTHS];
        for (int part = 0; part < WIDTHS; part++) {
            const intptr_t at = first + v * LANES + part * VD_LANES;
            const vd mean = vd_div(vd_load(depths + at), vd_load(p->sum_hi + at));
            entropy[part] = vd_add(log[v * WIDTHS + part].above_max.hi, mean);
        }
        V(store)(to + v * LANES, R(narrow)(entropy));
    }
}

/* The same of the first n_rows, in whole vectors. */
static void R(entropies_of_rows)(const R(plans) * p, const double *depths, intptr_t n_rows, REAL *to) {
    const intptr_t n = (n_rows + LANES - 1) / LANES, whole = n / 2 * 2;
    for (intptr_t v = 0; v < whole; v += 2)
        R(entropies_of_vectors)(p, depths, v * LANES, 2, to + v * LANES);
    if (whole < n)
        R(entropies_of_vectors)(p, depths, whole * LANES, 1, to + whole * LANES);
}

/* What the depths of a row are added up with, block by block. */
typedef struct {
    const ts_plan *plan;
    const R(source) * row;
    REAL *keep; /* the exponentials, or NULL */
    R(depths) depths;
    double *sums; /* of each block, relative to the row */
} R(sums_of_depths);

static void R(add_depths_of_blocks)(void *sums_of_depths, intptr_t first, intptr_t n, const R(scratch) * s) {
    const R(sums_of_depths) *const of = (const R(sums_of_depths) *)sums_of_depths;
    const ts_plan *const plan = of->plan;
    for (intptr_t b = first; b < first + n; b++) {
        of->sums[b] = 0;
        if (!R(counts)(plan, b))
            continue;
        const intptr_t length = block_length(plan, b);
        const REAL *e = of->keep ? of->keep : R(exp_again)(plan, of->row, b, s);
        const REAL *x = R(read)(of->row, b, length, s->block);
        const double sum = plan->formula == TS_CAREFUL
                               ? R(careful_sum_of_depths)(plan, e, x, length)
                               : R(sum_of_depths)(e, (const char *)x, length, PLAIN, &of->depths);
        of->sums[b] = down_by(sum, R(depth)(plan, b));
    }
}

static void R(entropy_row)(const R(source) * row, intptr_t n, const ts_knobs *knobs, const ts_vector *out,
                           R(scratch) * s) {
    REAL *const keep = n <= TS_BLOCK ? s->weights : NULL;
    ts_plan plan;
    R(plan_row)(&plan, row, n, knobs->temperature, R(MAXIMA), keep, s);
    double entropy = NAN;
    if (plan.kind == TS_UNIFORM) {
        entropy = dd_log((dd){(double)plan.n_kept, 0.0}).hi;
    } else if (plan.kind == TS_ORDINARY) {
        double *const sums = s->block_cumulative; /* of draws else */
        R(sums_of_depths) of = {&plan, row, keep, R(depths_of)((REAL)plan.max, plan.k), sums};
        R(for_blocks)(R(add_depths_of_blocks), &of, plan.n_blocks, s);
        double sum = 0;
        for (intptr_t b = 0; b < plan.n_blocks; b++)
            sum += sums[b];
        entropy = vd_lane_0(R(log_sums_of_row)(&plan).above_max.hi) + sum / plan.sum_hi;
    }
    *(REAL *)out->data = (REAL)entropy;
}

/* How many entries the filters keep, and their mass under the distribution that the filters look at. */
static void R(support_row)(const R(source) * cut, intptr_t n, const ts_knobs *knobs, const ts_vector *number,
                           const ts_vector *mass, R(scratch) * s) {
    const double temperature = knobs->options & TS_TEMPERATURE_LAST ? 1.0 : knobs->temperature;
    const R(source) row = R(whole)(&cut->numbers);
    ts_plan all, kept;
    R(plan_row)(&all, &row, n, temperature, R(JUST_SUMS), NULL, s);
    double share = NAN;
    intptr_t count = 0;
    if (all.kind == TS_ORDINARY || all.kind == TS_UNIFORM) {
        const int has_infinity = all.kind == TS_UNIFORM && all.max == INFINITY;
        count = R(count_from)(cut, n, has_infinity ? (REAL)INFINITY : -REAL_MAX, s);
        R(plan_row)(&kept, cut, n, temperature, R(JUST_SUMS), NULL, s);
        if (!cut->is_cut)
            share = 1;
        else if (all.kind == TS_UNIFORM)
            share = (double)kept.n_kept / (double)all.n_kept;
        else {
            if (all.formula != kept.formula) /* blocks out of reach that count beside one of the two alone */
                R(plan_again_carefully)(all.formula == TS_FAST ? &all : &kept, all.formula == TS_FAST ? &row : cut, s);
            share = down_by(kept.sum_hi, (int)(all.exponent - kept.exponent)) / all.sum_hi;
        }
    }
    *(int64_t *)number->data = count;
    *(REAL *)mass->data = (REAL)(share > 1 ? 1 : share);
}
