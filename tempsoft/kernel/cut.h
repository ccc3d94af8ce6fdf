/* From filters to one cut. For REAL, by inclusion.
 *
 * top_k, top_p and min_p each keep a prefix of one order: the larger logit first, then the lower index. So a chain of
 * them is one cut, the shortest of the prefixes.
 */

#if TS_REAL == 64 /* used by both */
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

/* The plan at the temperature that top_p looks at, and the cut. */
static void R(cut_by_mass)(R(source) * row, intptr_t n, double temperature, const ts_knobs *knobs, ts_plan *plan,
                           R(scratch) * s) {
    if (R(cut_spread)(row, n, temperature, knobs, plan, s))
        return;
    R(plan_row)(plan, row, n, temperature, R(MAXIMA), NULL, s);
    if (plan->kind == TS_ORDINARY)
        R(cut_mass)(row, n, plan, knobs->top_p, s);
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
        R(cut_mass)(row, has_k ? (intptr_t)knobs->top_k : n, &plan, knobs->top_p, s);
    }
    if (knobs->min_p > 0)
        R(cut_below)(row, n, max, temperature, knobs->min_p, s);
}
