/* One block of a row: its largest entry, its exponentials and their sum; and the scratch memory of a call. For REAL, by
 * inclusion. */

#if TS_REAL == 64 /* used by both */
static inline intptr_t block_length(const ts_plan *plan, intptr_t b) {
    intptr_t rest = plan->n_categories - b * TS_BLOCK;
    return rest < TS_BLOCK ? rest : TS_BLOCK;
}
#endif

/* Scratch memory of a call, carved from one piece; ts_scratch_doubles says how much. */
typedef struct {
    REAL *block;    /* a block as REALs */
    REAL *weights;  /* exponentials of a block */
    double *cumulative; /* sums within a block, for draws */
    ts_blocks blocks;
    double *block_cumulative; /* for draws: sums of blocks, and */
    intptr_t *first_draw;     /* the draws that fall into a block, as lists: */
    intptr_t *next_draw;
    double *fraction;
    double *tile; /* for columns.h */
} R(scratch);

static inline R(scratch) R(scratch_of)(double *memory, intptr_t n_categories, intptr_t n_draws) {
    intptr_t n_blocks = (n_categories + TS_BLOCK - 1) / TS_BLOCK;
    R(scratch) s;
    s.block = (REAL *)memory;
    s.weights = (REAL *)(memory + TS_BLOCK);
    s.cumulative = memory + 2 * TS_BLOCK;
    memory += 3 * TS_BLOCK;
    double **arrays[6] = {&s.blocks.max,      &s.blocks.sum_hi,   &s.blocks.sum_lo,
                          &s.blocks.share_hi, &s.blocks.share_lo, &s.block_cumulative};
    for (int i = 0; i < 6; i++, memory += n_blocks)
        *arrays[i] = memory;
    s.first_draw = (intptr_t *)memory;
    s.next_draw = s.first_draw + n_blocks;
    s.fraction = (double *)(s.next_draw + n_draws);
    s.tile = s.fraction + n_draws;
    return s;
}

/* The largest of x, or -inf; NaN if there is one. +0 for -0. */
static inline double R(block_max)(const REAL *x, intptr_t n) {
    const VR lowest = V(set1)((REAL)-INFINITY);
    VR max[4] = {lowest, lowest, lowest, lowest};
    v_mask nan = V(is_nan)(lowest);
    intptr_t i = 0;
    for (; i + 4 * LANES <= n; i += 4 * LANES)
        for (int k = 0; k < 4; k++) {
            VR v = V(load)(x + i + k * LANES);
            max[k] = V(max)(v, max[k]);
            nan = v_mask_or(nan, V(is_nan)(v));
        }
    for (; i < n; i += LANES) {
        VR v = V(load_first)(x + i, n - i, lowest);
        max[0] = V(max)(v, max[0]);
        nan = v_mask_or(nan, V(is_nan)(v));
    }
    if (v_mask_any(nan))
        return NAN;
    REAL lanes[LANES];
    V(store)(lanes, V(max)(V(max)(max[0], max[1]), V(max)(max[2], max[3])));
    REAL m = lanes[0];
    for (int k = 1; k < LANES; k++)
        m = lanes[k] > m ? lanes[k] : m;
    return (double)m + 0.0;
}

/* The exponentials of one block: added to `sum`, and kept where `keep` is not NULL. */
TS_INLINE void R(exp_block_by)(VR (*exp_of)(VR, const R(shift) *), const REAL *x, intptr_t n, const R(shift) * s,
                                   REAL *keep, R(sum) * sum) {
    const VR lowest = V(set1)((REAL)-INFINITY), zero = V(set1)(0);
    intptr_t i = 0;
    for (; i + TS_GROUP <= n; i += TS_GROUP)
        for (int piece = 0; piece < PIECES; piece++) {
            const intptr_t at = i + LANES * piece;
            VR e[4];
            for (int chunk = 0; chunk < 4; chunk++)
                e[chunk] = exp_of(V(load)(x + at + 16 * chunk), s);
            for (int chunk = 0; keep && chunk < 4; chunk++)
                V(store)(keep + at + 16 * chunk, e[chunk]);
            R(sum_add)(sum, piece, V(add)(V(add)(e[0], e[1]), V(add)(e[2], e[3])));
        }
    for (int piece = 0; i < n && piece < PIECES; piece++) {
        VR e[4] = {zero, zero, zero, zero};
        for (int chunk = 0; chunk < 4; chunk++) {
            intptr_t at = i + 16 * chunk + LANES * piece;
            if (at >= n)
                break;
            e[chunk] = exp_of(V(load_first)(x + at, n - at, lowest), s);
            if (keep)
                V(store_first)(keep + at, n - at, e[chunk]);
        }
        R(sum_add)(sum, piece, V(add)(V(add)(e[0], e[1]), V(add)(e[2], e[3])));
    }
}

static dd R(exp_block)(const REAL *x, intptr_t n, const tempering *k, double max, REAL *keep) {
    R(shift) s = R(shift_of)(k, max);
    R(sum) sum = R(sum_zero)();
    if (!R(is_fast)(k, max))
        R(exp_block_by)(R(exp_careful), x, n, &s, keep, &sum);
    else if (keep)
        R(exp_block_by)(R(exp_fast), x, n, &s, keep, &sum);
    else
        R(exp_block_by)(R(exp_fast), x, n, &s, NULL, &sum);
    return R(sum_total)(&sum);
}
