/* Entries on both sides of two pivots, and between them: the inner loop of a search. For REAL, by inclusion. */

typedef struct {
    double above, inside; /* measures of the candidates above the upper pivot, and between the pivots */
    intptr_t n_inside;    /* how many those are */
    intptr_t n_collected; /* and how many of them there was room for */
} R(parts);

/* A pass on its way: candidates are not above `highest`. */
typedef struct {
    R(parts) parts; /* but for `inside` */
    VR lower, upper, highest;
    int has_highest; /* a candidate may be above it */
    R(sum) above;
    REAL *window;
    intptr_t room; /* and TS_SLACK behind it */
} R(partition);

static R(partition) R(partition_by)(REAL lower, REAL upper, REAL highest, REAL *window, intptr_t room) {
    return (R(partition)){.lower = V(set1)(lower),
                          .upper = V(set1)(upper),
                          .highest = V(set1)(highest),
                          .has_highest = highest < REAL_MAX,
                          .above = R(sum_zero)(),
                          .window = window,
                          .room = room};
}

/* The groups of a block of which a bit says that they are not all below: candidates inside are collected, those above
 * counted, or their exponentials e added up. Local variables, as what is in memory takes turns with the stores. */
TS_INLINE void R(partition_groups)(R(partition) * d, const REAL *x, intptr_t n, uint32_t groups, const REAL *e,
                                   int has_highest) {
    const VR lower = d->lower, upper = d->upper, highest = d->highest, none = V(set1)((REAL)-INFINITY);
    REAL *const window = d->window;
    intptr_t n_inside = 0, n_above = 0, n_collected = d->parts.n_collected;
    R(sum) sum = d->above;
    for (intptr_t i = 0; i < n; i += TS_GROUP) {
        if (!(groups >> i / TS_GROUP & 1))
            continue;
        const intptr_t room = n_collected <= d->room ? -1 : 0; /* bits; a branch for each vector is slower */
        VR above[TS_GROUP / LANES];
        TS_UNROLL
        for (int k = 0; k < TS_GROUP / LANES; k++) {
            const intptr_t at = i + k * LANES;
            const VR v = i + TS_GROUP <= n ? V(load)(x + at) : V(load_up_to)(x + at, n - at, none);
            const v_mask is_over = V(not_le)(v, upper);
            const v_mask is_above = has_highest ? v_mask_and(is_over, V(ge)(highest, v)) : is_over;
            const v_mask is_inside = v_mask_and_not(V(ge)(v, lower), is_over);
            const int count = V(count)(is_inside);
            n_inside += count;
            V(collect)(window + n_collected, v, is_inside);
            n_collected += count & room;
            if (e)
                above[k] = V(where)(is_above, V(load)(e + at));
            else
                n_above += V(count)(is_above);
        }
        if (e)
            R(sum_vectors)(&sum, above);
    }
    d->parts.n_inside += n_inside;
    d->parts.n_collected = n_collected;
    d->parts.above += (double)n_above;
    d->above = sum;
}

static void R(partition_block)(R(partition) * d, const REAL *x, intptr_t n, uint32_t groups, const REAL *e) {
    if (!e)
        R(partition_groups)(d, x, n, groups, NULL, 1);
    else if (d->has_highest)
        R(partition_groups)(d, x, n, groups, e, 1);
    else
        R(partition_groups)(d, x, n, groups, e, 0);
}
