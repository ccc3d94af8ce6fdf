/* One block of a row: its largest entry, its exponentials and their sum. For REAL, by inclusion. Leaves to row.h what
 * becomes of blocks. */

#if TS_REAL == 64 /* used by both */
static inline intptr_t block_length(const ts_plan *plan, intptr_t b) { return ts_block_length(plan->n_categories, b); }
#endif

#if TS_REAL == 64
#define AHEAD 2048          /* numbers, from those worked on to those fetched, */
#define AHEAD_TO_WRITE 1024 /* to those fetched to be written */
#define AHEAD_TO_DIVIDE 256 /* to those that wait in L2, */
#define AHEAD_FROM_FAR 256  /* and to those that were fetched there */

/* Have memory that will be read soon, most often the next block, brought near while the CPU is busy with this one. Any
 * address is allowed. Always inline: for a compiler, a function that does no more does nothing, and calls may go. */
TS_INLINE void fetch_ahead(uintptr_t address) {
#if defined(__GNUC__)
    __builtin_prefetch((const void *)address);
#else
    (void)address;
#endif
}

/* The same of memory that will not be read so soon: to a farther cache, which waits for more at a time. */
TS_INLINE void fetch_far(uintptr_t address) {
#if defined(__GNUC__)
    __builtin_prefetch((const void *)address, 0, 2);
#else
    (void)address;
#endif
}

/* The same in two steps: what is `ahead` bytes on to the farther cache, what was brought there to L1, of numbers of
 * that size. The lines of L1 that a CPU waits for at a time are few (Intel: 16), those of L2 three times as many. */
TS_INLINE void fetch_twice(uintptr_t address, uintptr_t ahead, intptr_t size) {
    fetch_far(address + ahead);
    fetch_ahead(address + (uintptr_t)(AHEAD_FROM_FAR * size));
}

/* The same of memory that will be written. */
TS_INLINE void fetch_to_write(uintptr_t address) {
#if defined(__GNUC__)
    __builtin_prefetch((const void *)address, 1);
#else
    (void)address;
#endif
}
#endif

static int R(has_nan)(const REAL *x, intptr_t n) {
    int found = 0;
    for (intptr_t i = 0; i < n; i++)
        found |= x[i] != x[i];
    return found;
}

/* Whether there is a NaN in x, of which these are sums. The maximum of two does not show a NaN, but their sum does; it
 * is also NaN where -inf meets a sum that overflowed, so then one looks. */
static inline int R(shows_nan)(const VR sum[4], const REAL *x, intptr_t n) {
    return v_mask_any(V(is_nan)(V(add)(V(add)(sum[0], sum[1]), V(add)(sum[2], sum[3])))) && R(has_nan)(x, n);
}

/* The largest of x, or -inf; NaN if there is one. */
static inline double R(block_max)(const REAL *x, intptr_t n) {
    const VR lowest = V(set1)((REAL)-INFINITY);
    VR max[4] = {lowest, lowest, lowest, lowest}, sum[4];
    for (int k = 0; k < 4; k++)
        sum[k] = V(set1)(0);
    intptr_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (int k = 0; k < 4; k++) {
            VR v = V(load)(x + i + k * LANES);
            if (k * LANES % LINE == 0)
                fetch_twice((uintptr_t)(x + i + k * LANES), AHEAD * sizeof(REAL), sizeof(REAL));
            max[k] = V(max)(v, max[k]);
            sum[k] = V(add)(sum[k], v);
        }
    for (; i < n; i += LANES) {
        VR v = V(load_up_to)(x + i, n - i, lowest);
        max[0] = V(max)(v, max[0]);
        sum[0] = V(add)(sum[0], v);
    }
    if (R(shows_nan)(sum, x, n))
        return NAN;
    return (double)V(largest)(V(max)(V(max)(max[0], max[1]), V(max)(max[2], max[3])));
}

/* The largest of each lane of a group that is there whole, or in part; `sum` has all numbers added. */
TS_INLINE VR R(group_max)(const REAL *x, intptr_t n, VR sum[4]) {
    const VR lowest = V(set1)((REAL)-INFINITY);
    VR v[TS_GROUP / LANES];
    for (int k = 0; k < TS_GROUP / LANES; k++) {
        if (k * LANES % LINE == 0)
            fetch_twice((uintptr_t)(x + k * LANES), AHEAD * sizeof(REAL), sizeof(REAL));
        v[k] = n >= TS_GROUP ? V(load)(x + k * LANES) : V(load_up_to)(x + k * LANES, n - k * LANES, lowest);
        sum[k % 4] = V(add)(sum[k % 4], v[k]);
    }
    for (int width = TS_GROUP / LANES / 2; width > 0; width /= 2)
        for (int k = 0; k < width; k++)
            v[k] = V(max)(v[k], v[k + width]);
    return v[0];
}

/* As block_max, and the largest of each group of the block; -inf of those that it has not. */
static double R(group_maxima)(const REAL *x, intptr_t n, REAL *maxima) {
    VR sum[4], largest = V(set1)((REAL)-INFINITY);
    for (int k = 0; k < 4; k++)
        sum[k] = V(set1)(0);
    intptr_t g = 0;
    for (; (g + 1) * TS_GROUP <= n; g++) {
        const VR max = R(group_max)(x + g * TS_GROUP, TS_GROUP, sum);
        largest = V(max)(largest, max);
        maxima[g] = V(largest)(max);
    }
    if (g * TS_GROUP < n) {
        const VR max = R(group_max)(x + g * TS_GROUP, n - g * TS_GROUP, sum);
        largest = V(max)(largest, max);
        maxima[g++] = V(largest)(max);
    }
    for (; g < TS_BLOCK / TS_GROUP; g++)
        maxima[g] = (REAL)-INFINITY;
    return R(shows_nan)(sum, x, n) ? NAN : (double)V(largest)(largest);
}

/* c for exponentials of which this is about the largest; meaningless, and not below LARGEST_EXPONENT, where the fast
 * formula does not hold. */
static inline double R(exponent_of)(double max, const tempering *k) {
    const double to_even = 0x1.8p53, c = max * k->log2_e.hi;
    return fabs(c) < LARGEST_EXPONENT ? (c + to_even) - to_even : c;
}

/* c as a row begins: that of its first group. NaN if there is one in it. */
static inline double R(first_exponent)(const REAL *x, intptr_t n, const tempering *k) {
    return R(exponent_of)(R(block_max)(x, n < TS_GROUP ? n : TS_GROUP), k);
}

static inline int R(is_moderate)(const tempering *k) {
    return k->temperature >= SMALLEST_TEMPERATURE && k->temperature <= LARGEST_TEMPERATURE;
}

static inline const tempering *R(tempering_for)(R(scratch) * s, double temperature) {
    if (s->k.temperature != temperature)
        s->k = tempering_of(temperature);
    return &s->k;
}

/* A logit below which nothing counts beside 2^exponent. */
static inline REAL R(lowest_of)(const tempering *k, double exponent) {
    return (REAL)((exponent + LOWEST) * LOG_2_HI * k->temperature);
}

static inline R(scale) R(scale_of)(const tempering *k, double exponent, double max) {
    const R(split) a = R(split_of)(k->log2_e);
    return (R(scale)){
        V(set1)(a.hi), V(set1)(a.lo), V(set1)((REAL)(ROUND - exponent)), V(set1)(R(lowest_of)(k, exponent)), max, k};
}

/* Whether numbers of this largest are too far above c for their exponentials to have a meaning; NaN is. */
static inline int R(exceeds)(double max, const R(scale) * s) {
    const VR n_plus_round = V(fma)(V(set1)((REAL)max), s->a_hi, s->round_less_c);
    return v_mask_any(V(not_le)(n_plus_round, V(set1)(ROUND_MOST)));
}

/* What a glance at exponentials of n numbers x says of them: if it does not say that they are usual, one looks. */
static inline ts_range R(range_of)(const R(seen) * seen, const REAL *x, intptr_t n, const R(scale) * s) {
    if (R(is_usual)(seen))
        return TS_USUAL;
    return R(exceeds)(R(block_max)(x, n), s) ? TS_EXCEEDED : TS_LOW;
}

/* The same where the largest of the numbers was seen, but for a NaN. */
static inline int R(is_largest_in_reach)(const R(seen) * seen, const R(scale) * s) {
    return !R(has_seen_nan)(seen) && !R(exceeds)((double)V(largest)(seen->x), s);
}

typedef void (*R(exp_function))(VR *x, int n_vectors, const R(scale) * s, R(seen) * seen, const R(settled) * settled);

/* The next TOGETHER vectors, while those of the next blocks are on their way. */
TS_INLINE void R(exp_together)(R(exp_function) exp_of, const REAL *x, const R(scale) * s, const VR *least,
                               R(seen) * seen, const R(settled) * settled, REAL *e) {
    VR v[TOGETHER];
    for (intptr_t line = 0; line < TOGETHER * LANES; line += LINE)
        fetch_twice((uintptr_t)(x + line), AHEAD * sizeof(REAL), sizeof(REAL));
    for (int k = 0; k < TOGETHER; k++)
        v[k] = V(load)(x + k * LANES);
    exp_of(v, TOGETHER, s, seen, settled);
    for (int k = 0; k < TOGETHER; k++)
        V(store)(e + k * LANES, least ? V(keep_ge)(V(load)(x + k * LANES), *least, v[k]) : v[k]);
}

/* The last few, of which the last vector may be one in part. */
TS_INLINE void R(exp_few)(R(exp_function) exp_of, const REAL *x, int n_vectors, intptr_t n, const R(scale) * s,
                          const VR *least, R(seen) * seen, REAL *e) {
    _Static_assert(TOGETHER <= 4, "those that exp_span knows");
    const intptr_t last = (n_vectors - 1) * LANES;
    VR v[TOGETHER], logits[TOGETHER];
    for (int k = 0; k + 1 < n_vectors; k++)
        logits[k] = V(load)(x + k * LANES);
    logits[n_vectors - 1] = V(load_up_to)(x + last, n - last, V(set1)(x[last])); /* nothing that is not seen anyway */
    for (int k = 0; k < n_vectors; k++)
        v[k] = logits[k];
    exp_of(v, n_vectors, s, seen, NULL);
    for (int k = 0; k < n_vectors && least; k++)
        v[k] = V(keep_ge)(logits[k], *least, v[k]);
    for (int k = 0; k + 1 < n_vectors; k++)
        V(store)(e + k * LANES, v[k]);
    V(store)(e + last, V(up_to)(v[n_vectors - 1], n - last));
}

/* The exponentials of x, 0 where it is below `least` unless that is NULL, and zeros to the end of a group. */
TS_INLINE void R(exp_span)(R(exp_function) exp_of, const REAL *x, intptr_t n, const R(scale) * s, const VR *least,
                           R(seen) * seen, REAL *e) {
    intptr_t i = 0;
    for (; i + TOGETHER * LANES <= n; i += TOGETHER * LANES)
        R(exp_together)(exp_of, x + i, s, least, seen, NULL, e + i);
    const intptr_t n_vectors = (n - i + LANES - 1) / LANES;
    if (n_vectors == 1)
        R(exp_few)(exp_of, x + i, 1, n - i, s, least, seen, e + i);
    else if (TOGETHER >= 2 && n_vectors == 2)
        R(exp_few)(exp_of, x + i, 2, n - i, s, least, seen, e + i);
    else if (TOGETHER >= 3 && n_vectors == 3)
        R(exp_few)(exp_of, x + i, 3, n - i, s, least, seen, e + i);
    else if (TOGETHER >= 4 && n_vectors == 4)
        R(exp_few)(exp_of, x + i, 4, n - i, s, least, seen, e + i);
    i += n_vectors * LANES;
    for (; i % TS_GROUP != 0; i += LANES)
        V(store)(e + i, V(set1)(0));
}

/* Sums are taken well behind the exponentials, when what was stored is there to be loaded: right behind them, more
 * waits than a CPU can look at; in two passes, memory has nothing to do in the second. */
TS_INLINE dd R(exp_block_by)(R(exp_function) exp_of, const REAL *x, intptr_t n, const R(scale) s, const VR *least,
                             R(seen) * seen, REAL *e) {
    R(sum) sum = R(sum_zero)();
    intptr_t i = 0;
    for (; i + TS_GROUP <= n; i += TS_GROUP) {
        TS_UNROLL
        for (intptr_t k = 0; k < TS_GROUP; k += TOGETHER * LANES) {
            const R(settled) settled = {&sum, e, i - SETTLED, (int)k / (TOGETHER * LANES)};
            if (i >= SETTLED)
                R(exp_together)(exp_of, x + i + k, &s, least, seen, &settled, e + i + k);
            else
                R(exp_together)(exp_of, x + i + k, &s, least, seen, NULL, e + i + k);
        }
    }
    R(exp_span)(exp_of, x + i, n - i, &s, least, seen, e + i);
    for (i = i > SETTLED ? i - SETTLED : 0; i < n; i += TS_GROUP)
        R(sum_group)(&sum, e + i);
    return R(sum_total)(&sum);
}

TS_INLINE dd R(exp_groups_by)(R(exp_function) exp_of, const REAL *x, intptr_t n, uint32_t groups, const R(scale) * s,
                              const VR *least, R(seen) * seen, REAL *e) {
    R(sum) sum = R(sum_zero)();
    for (; groups; groups &= groups - 1) {
        const intptr_t i = lowest_bit(groups) * TS_GROUP;
        R(exp_span)(exp_of, x + i, n - i < TS_GROUP ? n - i : TS_GROUP, s, least, seen, e + i);
        R(sum_group)(&sum, e + i);
    }
    return R(sum_total)(&sum);
}

/* The same of some groups; the others stay as they are. Apart, as beside it a compiler makes less of all groups. */
TS_APART dd R(exp_groups)(const ts_plan *plan, const REAL *x, intptr_t n, const R(rest) * rest, const R(scale) * s,
                          R(seen) * seen, int wants_max, REAL *e) {
    const VR least = V(set1)(rest->least);
    if (plan->formula == TS_CAREFUL)
        return R(exp_groups_by)(R(exp_careful), x, n, rest->groups, s, &least, seen, e);
    if (wants_max)
        return R(exp_groups_by)(R(exp_fast_max), x, n, rest->groups, s, &least, seen, e);
    return R(exp_groups_by)(R(exp_fast), x, n, rest->groups, s, &least, seen, e);
}

/* The exponentials e of a block of that exponent, and their sum; 0 of what is not left, but groups that are not left
 * stay as they are. `e` has room for whole groups, and zeros there are left in it. The fast formula finds the range,
 * unless that is NULL, and, if not exceeded, the largest logit, unless `max` is. */
static dd R(exp_block)(const ts_plan *plan, double exponent, const REAL *x, intptr_t n, R(rest) rest, REAL *e,
                       double *max, ts_range *range) {
    R(scale) s = R(scale_of)(plan->k, exponent, plan->max);
    R(seen) seen = R(nothing_seen)();
    const VR least = V(set1)(rest.least);
    const int is_cut = rest.least > (REAL)-INFINITY;
    dd sum;
    if (rest.groups != ALL_GROUPS) {
        sum = R(exp_groups)(plan, x, n, &rest, &s, &seen, max != NULL, e);
    } else if (plan->formula == TS_FAST && !is_cut && !max) {
        sum = R(exp_block_by)(R(exp_fast), x, n, s, NULL, &seen, e);
    } else if (plan->formula == TS_FAST && !is_cut) {
        sum = R(exp_block_by)(R(exp_fast_max), x, n, s, NULL, &seen, e);
    } else if (plan->formula == TS_FAST && !max) {
        sum = R(exp_block_by)(R(exp_fast), x, n, s, &least, &seen, e);
    } else if (plan->formula == TS_FAST) {
        sum = R(exp_block_by)(R(exp_fast_max), x, n, s, &least, &seen, e);
    } else if (plan->formula == TS_CAREFUL) {
        sum = R(exp_block_by)(R(exp_careful), x, n, s, &least, &seen, e);
    } else {
        const int power = BIAS - (int)exponent, half = power / 2;
        s.a_hi = V(set1)((REAL)two_to(half));
        s.a_lo = V(set1)((REAL)two_to(power - half));
        sum = R(exp_block_by)(R(exp_weighed), x, n, s, NULL, &seen, e);
    }
    if (range)
        *range = R(range_of)(&seen, x, n, &s);
    if (max)
        *max = (double)V(largest)(seen.x);
    return sum;
}

/* Zeros in place of the groups that exp_block leaves as they are. */
static inline void R(clear_groups)(R(rest) rest, intptr_t n, REAL *e) {
    if (rest.groups != ALL_GROUPS)
        memset(e, 0, (size_t)((n + TS_GROUP - 1) / TS_GROUP * TS_GROUP) * sizeof *e);
}

/* The same of all of some numbers. */
static inline dd R(exp_all)(const ts_plan *plan, double exponent, const REAL *x, intptr_t n, REAL *e, ts_range *range) {
    return R(exp_block)(plan, exponent, x, n, (R(rest)){(REAL)-INFINITY, ALL_GROUPS}, e, NULL, range);
}
