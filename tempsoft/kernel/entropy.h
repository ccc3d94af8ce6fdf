/* The entropy of a row, and what filters left of it. For REAL, by inclusion. */

/* sum e (max - x) / T of a block, 0 for what is too small to count. */
static double R(sum_of_depths)(const ts_plan *plan, const REAL *e, const REAL *x, intptr_t n, REAL *product) {
    const tempering *k = plan->k;
    if (plan->formula == TS_CAREFUL) {
        double sum = 0;
        for (intptr_t i = 0; i < n; i++)
            if (e[i] > 0)
                sum += (double)e[i] * ((plan->max * k->down - (double)x[i] * k->down) * k->up * k->careful_inverse.hi);
        return sum;
    }
    const VR max = V(set1)((REAL)plan->max), inverse = V(set1)((REAL)k->inverse.hi), least = V(set1)((REAL)NOTHING);
    intptr_t i = 0;
    for (; i < n; i += LANES) {
        const VR weight = V(load)(e + i), depth = V(mul)(V(sub)(max, V(load_up_to)(x + i, n - i, max)), inverse);
        V(store)(product + i, V(keep_ge)(weight, least, V(fma)(weight, depth, V(set1)(0))));
    }
    for (; i % TS_GROUP != 0; i += LANES)
        V(store)(product + i, V(set1)(0));
    R(sum) sum = R(sum_zero)();
    for (i = 0; i < n; i += TS_GROUP)
        R(sum_group)(&sum, product + i);
    return R(sum_total)(&sum).hi;
}

/* log(sum / largest exponential) + sum e (max - x) / T / sum: no term is negative, so a small entropy keeps its
 * digits. */
static void R(entropy_row)(const R(source) * row, intptr_t n, const ts_knobs *knobs, const ts_vector *out,
                           R(scratch) * s) {
    ts_plan plan;
    R(plan_row)(&plan, row, n, knobs->temperature, R(MAXIMA), NULL, s);
    double entropy = NAN;
    if (plan.kind == TS_UNIFORM) {
        entropy = dd_log((dd){(double)plan.n_kept, 0.0}).hi;
    } else if (plan.kind == TS_ORDINARY) {
        const double above_max = vd_lane_0(R(log_sums_of_row)(&plan).above_max.hi);
        double sum = 0;
        for (intptr_t b = 0; b < plan.n_blocks; b++) {
            if (!R(counts)(&plan, b))
                continue;
            const intptr_t length = block_length(&plan, b);
            REAL *e = R(exp_again)(&plan, row, b, s);
            const REAL *x = R(read)(row, b, length, s->block);
            sum += down_by(R(sum_of_depths)(&plan, e, x, length, e), R(depth)(&plan, b));
        }
        entropy = above_max + sum / plan.sum_hi;
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
