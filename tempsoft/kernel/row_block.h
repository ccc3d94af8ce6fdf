/* One block of a row's plan. For REAL, by inclusion. Leaves to row.h and shared_row.h which c its
 * exponentials are relative to. */

/* The exponentials of the block at `start`, kept in place of it in `keep` unless that is NULL; their sum. */
static dd R(exp_block_kept)(const ts_plan *plan, double exponent, const REAL *x, intptr_t n, R(rest) rest, REAL *keep,
                            intptr_t start, const R(scratch) * s, double *max, ts_range *range) {
    R(undivided) before;
    const int in_row = keep && keep == s->row; /* then nothing is cut, and no maxima are wanted */
    if (in_row && plan->formula == TS_FAST && R(next_waiting)(start, start + n, s, &before)) {
        const R(scale) scale = R(scale_of)(plan->k, exponent, plan->max);
        R(seen) seen = R(nothing_seen)();
        const char *const from = (const char *)x;
        REAL *const e = keep + start;
        const dd sum = s->past_cache ? R(exp_beside)(R(exp_fast), from, n, PLAIN, &scale, &seen, e, &before, 1, 1)
                                     : R(exp_beside)(R(exp_fast), from, n, PLAIN, &scale, &seen, e, &before, 0, 1);
        *range = R(range_of)(&seen, x, n, &scale);
        return sum;
    }
    if (in_row)
        R(make_room)(start + n, s);
    const int is_room = in_row || (keep && n == TS_BLOCK); /* for a whole group */
    REAL *const e = is_room ? keep + start : s->weights;
    if (keep)
        R(clear_groups)(rest, n, e);
    const dd sum = R(exp_block)(plan, exponent, x, n, rest, e, max, range);
    if (is_room)
        return sum;
    if (keep && keep != s->weights)
        memcpy(keep + start, s->weights, (size_t)n * sizeof(REAL));
    return sum;
}

/* What else a plan is to find out: the largest logits, of the row and of each block. */
typedef enum { R(JUST_SUMS), R(MAXIMA) } R(wants);

static inline void R(nothing_in)(const ts_plan *plan, intptr_t b) {
    plan->blocks.exponent[b] = -INFINITY;
    plan->blocks.sum_hi[b] = plan->blocks.sum_lo[b] = 0.0;
}

/* The sum of block b, relative to c; that of next to nothing is 0, so that it is no matter whether such a block was
 * read. */
static inline void R(put_sum)(const ts_plan *plan, intptr_t b, double c, dd sum) {
    if (sum.hi < NOTHING)
        return;
    plan->blocks.exponent[b] = c;
    plan->blocks.sum_hi[b] = sum.hi;
    plan->blocks.sum_lo[b] = sum.lo;
}
