/* Rows that lie side by side (axis=0): a tile of columns in lanes, without transposing. For REAL, by inclusion.
 *
 * The same formula, order of additions and bits as row.h: accumulator j of a column takes what accumulator j of a row
 * takes. A tile with NaN, infinities, a block of only -inf, or a temperature or offset that needs the careful formula is
 * declined before anything is written, and the caller takes its rows one by one.
 */

#define TILE (128 / (int)sizeof(REAL)) /* columns: two cache lines */
#define TILE_VECTORS (TILE / LANES)

typedef struct {
    const char *x;     /* first entry of the first column */
    intptr_t x_stride; /* bytes from category to category; columns are contiguous */
    char *out;
    intptr_t out_stride;
    intptr_t n, n_blocks;
    double temperatures[TILE];
    double *max, *sum_hi, *sum_lo; /* [block][column] */
    REAL *factor_hi, *factor_lo, *factor_down;
    ts_plan plans[TILE]; /* all but their blocks */
} R(tile);

static inline size_t R(tile_doubles)(intptr_t n_blocks) { return (size_t)n_blocks * TILE * 6; }

static inline VR R(at)(const R(tile) * t, intptr_t i, int v) {
    return V(load)((const REAL *)(t->x + i * t->x_stride) + v * LANES);
}
static inline REAL *R(out_at)(const R(tile) * t, intptr_t i, int v) {
    return (REAL *)(t->out + i * t->out_stride) + v * LANES;
}

/* Maxima of every block and column; 0 if the tile is to be declined. */
static int R(tile_max)(R(tile) * t, const tempering k[TILE]) {
    for (intptr_t b = 0; b < t->n_blocks; b++) {
        intptr_t end = (b + 1) * TS_BLOCK < t->n ? (b + 1) * TS_BLOCK : t->n;
        VR max[TILE_VECTORS];
        v_mask nan = V(is_nan)(V(set1)(0));
        for (int v = 0; v < TILE_VECTORS; v++)
            max[v] = V(set1)((REAL)-INFINITY);
        for (intptr_t i = b * TS_BLOCK; i < end; i++)
            for (int v = 0; v < TILE_VECTORS; v++) {
                VR x = R(at)(t, i, v);
                max[v] = V(max)(x, max[v]);
                nan = v_mask_or(nan, V(is_nan)(x));
            }
        if (v_mask_any(nan))
            return 0;
        REAL lanes[TILE];
        for (int v = 0; v < TILE_VECTORS; v++)
            V(store)(lanes + v * LANES, max[v]);
        for (int c = 0; c < TILE; c++) {
            double m = (double)lanes[c] + 0.0;
            if (!R(is_fast)(&k[c], m)) /* nor is it for infinities */
                return 0;
            t->max[b * TILE + c] = m;
        }
    }
    return 1;
}

/* Sums of block b, a column each; the exponentials are left in `out` if `keep`. */
static void R(tile_exp)(R(tile) * t, const tempering k[TILE], intptr_t b, int keep) {
    REAL numbers[4][TILE];
    for (int c = 0; c < TILE; c++) {
        REAL split[4];
        R(split)(&k[c], t->max[b * TILE + c], split);
        for (int i = 0; i < 4; i++)
            numbers[i][c] = split[i];
    }
    const intptr_t start = b * TS_BLOCK, end = start + TS_BLOCK < t->n ? start + TS_BLOCK : t->n;
    R(sum) sums[TILE / 16][16]; /* [16 columns][accumulator j]: lanes are columns here */
    for (int c = 0; c < TILE / 16; c++)
        for (int j = 0; j < 16; j++)
            sums[c][j] = R(sum_zero)();
    for (intptr_t i = start; i < end; i += TS_GROUP)
        for (int j = 0; j < 16 && i + j < end; j++)
            for (int v = 0; v < TILE_VECTORS; v++) {
                R(shift) s = {.a_hi = V(load)(numbers[0] + v * LANES), .a_lo = V(load)(numbers[1] + v * LANES),
                              .minus_c_hi = V(load)(numbers[2] + v * LANES),
                              .minus_c_lo = V(load)(numbers[3] + v * LANES)};
                VR e[4];
                for (int chunk = 0; chunk < 4; chunk++) {
                    intptr_t at = i + j + 16 * chunk;
                    e[chunk] = V(set1)(0);
                    if (at < end) {
                        e[chunk] = R(exp_fast)(R(at)(t, at, v), &s);
                        if (keep)
                            V(store)(R(out_at)(t, at, v), e[chunk]);
                    }
                }
                R(sum_add)(&sums[v / PIECES][j], v % PIECES, V(add)(V(add)(e[0], e[1]), V(add)(e[2], e[3])));
            }
    for (int c = 0; c < TILE / 16; c++) {
        R(sum) total = R(sum_across)(sums[c]);
        for (int part = 0; part < PARTS; part++) {
            intptr_t at = b * TILE + c * 16 + part * VD_LANES;
            vd_store(t->sum_hi + at, total.hi[part]);
#if TS_REAL == 64
            vd_store(t->sum_lo + at, total.lo[part]);
#else
            vd_store(t->sum_lo + at, vd_set1(0));
#endif
        }
    }
}

/* The plans of the tile's columns, and the factors of each block; 0 if the tile is to be declined. */
static int R(plan_tile)(R(tile) * t, int keep, const R(scratch) * s) {
    tempering k[TILE];
    for (int c = 0; c < TILE; c++) {
        if (!(t->temperatures[c] > 0 && t->temperatures[c] < INFINITY))
            return 0;
        k[c] = c && t->temperatures[c] == t->temperatures[c - 1] ? k[c - 1] : tempering_of(t->temperatures[c]);
    }
    if (!R(tile_max)(t, k))
        return 0;
    for (intptr_t b = 0; b < t->n_blocks; b++)
        R(tile_exp)(t, k, b, keep);
    for (int c = 0; c < TILE; c++) {
        ts_plan *plan = &t->plans[c];
        *plan = (ts_plan){.kind = TS_ORDINARY, .n_categories = t->n, .n_blocks = t->n_blocks, .max = -INFINITY,
                          .temperature = t->temperatures[c], .blocks = s->blocks};
        for (intptr_t b = 0; b < t->n_blocks; b++) {
            double max = plan->blocks.max[b] = t->max[b * TILE + c];
            plan->blocks.sum_hi[b] = t->sum_hi[b * TILE + c];
            plan->blocks.sum_lo[b] = t->sum_lo[b * TILE + c];
            plan->max = max > plan->max ? max : plan->max;
        }
        R(combine)(plan, &k[c]);
        for (intptr_t b = 0; keep && b < t->n_blocks; b++) {
            REAL factor[3];
            R(split_factor)(plan, b, factor);
            t->factor_hi[b * TILE + c] = factor[0];
            t->factor_lo[b * TILE + c] = factor[1];
            t->factor_down[b * TILE + c] = factor[2];
        }
    }
    return 1;
}

static int R(softmax_tile)(R(tile) * t, const R(scratch) * s) {
    if (!R(plan_tile)(t, 1, s))
        return 0;
    for (intptr_t b = 0; b < t->n_blocks; b++) {
        intptr_t end = (b + 1) * TS_BLOCK < t->n ? (b + 1) * TS_BLOCK : t->n;
        for (intptr_t i = b * TS_BLOCK; i < end; i++)
            for (int v = 0; v < TILE_VECTORS; v++) {
                intptr_t at = b * TILE + v * LANES;
                VR e = V(mul)(V(load)(R(out_at)(t, i, v)), V(load)(t->factor_down + at));
                V(store)(R(out_at)(t, i, v),
                         V(fma)(e, V(load)(t->factor_hi + at), V(mul)(e, V(load)(t->factor_lo + at))));
            }
    }
    return 1;
}

static int R(logsumexp_tile)(R(tile) * t, const R(scratch) * s) {
    if (!R(plan_tile)(t, 0, s))
        return 0;
    for (int c = 0; c < TILE; c++)
        ((REAL *)t->out)[c] = R(logsumexp_of)(&t->plans[c], NULL, NULL);
    return 1;
}

static int R(log_softmax_tile)(R(tile) * t, const R(scratch) * s) {
    if (!R(plan_tile)(t, 0, s))
        return 0;
    REAL numbers[4][TILE];
    for (int c = 0; c < TILE; c++) {
        REAL split[4];
        if (!R(split_log_scale)(&t->plans[c], split))
            return 0;
        for (int i = 0; i < 4; i++)
            numbers[i][c] = split[i];
    }
    for (intptr_t i = 0; i < t->n; i++)
        for (int v = 0; v < TILE_VECTORS; v++) {
            R(log_scale) scale = {.fast = 1, .inverse_hi = V(load)(numbers[0] + v * LANES),
                                  .inverse_lo = V(load)(numbers[1] + v * LANES),
                                  .minus_offset_hi = V(load)(numbers[2] + v * LANES),
                                  .minus_offset_lo = V(load)(numbers[3] + v * LANES)};
            V(store)(R(out_at)(t, i, v), R(log_probability)(R(at)(t, i, v), &scale));
        }
    return 1;
}
