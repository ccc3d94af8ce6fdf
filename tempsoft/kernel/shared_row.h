/* A long row that threads share, block by block. For REAL, by inclusion.
 *
 * Promises the bits of one thread, which raises c where a block exceeds it: threads take what follows relative to the c
 * so far, and what lies behind the first block that exceeds it is made again.
 */

/* What a thread has of its own of scratch memory, and the rest of it as others have it. */
typedef struct {
    _Alignas(TS_LINE) REAL block[TS_BLOCK + TS_SKEW];
    _Alignas(TS_LINE) REAL weights[TS_BLOCK];
} R(own_blocks);

static R(scratch) R(own_scratch)(const R(scratch) * s, R(own_blocks) * own) {
    R(scratch) of_thread = *s;
    of_thread.block = own->block;
    of_thread.weights = own->weights;
    return of_thread;
}

/* What is done with n blocks of a row from `first` on. */
typedef void (*R(blocks_function))(void *of, intptr_t first, intptr_t n, const R(scratch) * s);

typedef struct {
    R(blocks_function) function;
    void *of;
    const R(scratch) * s;
} R(shared);

static void R(share_part)(void *work, intptr_t first, intptr_t n) {
    const R(shared) *const shared = (const R(shared) *)work;
    const unsigned status = begin_call();
    R(own_blocks) own;
    const R(scratch) s = R(own_scratch)(shared->s, &own);
    shared->function(shared->of, first, n, &s);
    if (s.past_cache)
        v_fence();
    end_call(status);
}

/* Have it done with all n blocks, by threads that share the row if there are any. */
TS_INLINE void R(for_blocks)(R(blocks_function) function, void *of, intptr_t n, const R(scratch) * s) {
    R(shared) shared = {function, of, s};
    if (s->sharing)
        s->sharing->share(s->sharing, R(share_part), &shared, n);
    else
        function(of, 0, n, s);
}

#if TS_REAL == 64 /* used by both */
/* A number that threads read and write as they come to it. */
static inline intptr_t get_shared(const intptr_t *number) {
#if defined(__GNUC__)
    return __atomic_load_n(number, __ATOMIC_RELAXED);
#else
    return *(const volatile intptr_t *)number;
#endif
}

static inline void set_shared(intptr_t *number, intptr_t value) {
#if defined(__GNUC__)
    __atomic_store_n(number, value, __ATOMIC_RELAXED);
#else
    *(volatile intptr_t *)number = value;
#endif
}
#endif

/* ---- the plan --------------------------------------------------------------------------------------------------- */

/* Blocks of which one exceeds c are tried so often, at most, and after so many that one thread took: c is raised in the
 * first few, if at all. */
enum { R(TRIALS) = 4, R(ALONE) = 16 };

typedef struct {
    int n_left;
    intptr_t next; /* block */
} R(trials);

static inline R(trials) R(first_trials)(const R(source) * row, const R(scratch) * s) {
    return (R(trials)){s->sharing && !row->is_cut ? R(TRIALS) : 0, R(ALONE)};
}

static inline int R(is_time_to_share)(const R(trials) * trials, intptr_t b) {
    return trials->n_left > 0 && b >= trials->next;
}

typedef struct {
    const ts_plan *plan;
    const R(source) * row;
    double c;
    R(wants) wants;
    REAL *keep;
    intptr_t first;    /* block */
    intptr_t *ranges;  /* of each block, a ts_range */
    intptr_t exceeded; /* a block that exceeds c, but perhaps not the first of them; or one past the last */
} R(shared_plan);

/* Block b, relative to c. */
static ts_range R(plan_block)(const R(shared_plan) * of, intptr_t b, const R(scratch) * s) {
    const R(rest) all = {(REAL)-INFINITY, ALL_GROUPS};
    const intptr_t length = block_length(of->plan, b);
    const REAL *x = R(read)(of->row, b, length, s->block);
    double max;
    ts_range range;
    const dd sum = R(exp_block_kept)(of->plan, of->c, x, length, all, of->keep, b * TS_BLOCK, s,
                                     of->wants == R(MAXIMA) ? &max : NULL, &range);
    if (range == TS_EXCEEDED)
        return range;
    if (of->wants == R(MAXIMA))
        s->block_max[b] = (REAL)max;
    R(nothing_in)(of->plan, b);
    R(put_sum)(of->plan, b, of->c, sum);
    return range;
}

static void R(plan_blocks)(void *shared_plan, intptr_t first, intptr_t n, const R(scratch) * s) {
    R(shared_plan) *const of = (R(shared_plan) *)shared_plan;
    for (intptr_t b = of->first + first, end = b + n; b < end && b < get_shared(&of->exceeded); b++) {
        of->ranges[b] = R(plan_block)(of, b, s);
        if (of->ranges[b] == TS_EXCEEDED)
            set_shared(&of->exceeded, b);
    }
}

/* Have threads take the blocks from `first` on; how many there are before one that exceeds c. */
static intptr_t R(plan_shared)(R(trials) * trials, ts_plan *plan, const R(source) * row, intptr_t first, double c,
                               R(wants) wants, REAL *keep, const R(scratch) * s) {
    intptr_t *const ranges = s->first_draw; /* which is not needed yet */
    R(shared_plan) of = {plan, row, c, wants, keep, first, ranges, plan->n_blocks};
    R(for_blocks)(R(plan_blocks), &of, plan->n_blocks - first, s);
    intptr_t b = first;
    for (; b < plan->n_blocks && ranges[b] != TS_EXCEEDED; b++) {
        plan->is_low |= ranges[b] == TS_LOW;
        if (wants == R(MAXIMA) && s->block_max[b] > plan->max)
            plan->max = s->block_max[b];
    }
    trials->n_left--;
    trials->next = b + R(ALONE);
    return b - first;
}
