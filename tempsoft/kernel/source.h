/* A row as everything past this file reads it: what a cut removed is -inf. For REAL, by inclusion.
 *
 * So a filter needs no second version of softmax, logarithms or draws: they see a row with fewer entries, and one that
 * removes nothing changes no bit. A block of which nothing is left need not be read.
 */

typedef struct {
    ts_vector numbers;
    int is_cut;
    /* kept are the entries above the threshold and, of those equal to it, all in the blocks before `tie_block` and the
     * first `n_ties` of that block */
    REAL threshold;
    intptr_t tie_block, n_ties;
    const REAL *block_max; /* of a cut row: the largest of each block, before the cut */
} R(source);

static inline R(source) R(whole)(const ts_vector *numbers) { return (R(source)){.numbers = *numbers, .is_cut = 0}; }

/* The number after x, which is finite. */
static inline REAL R(next_up)(REAL x) {
    BITS bits;
    if (x == 0)
        return REAL_SMALLEST;
    memcpy(&bits, &x, sizeof x);
    bits = x > 0 ? bits + 1 : bits - 1;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline REAL R(next_down)(REAL x) { return -R(next_up)(-x); }

/* Whether the cut left nothing of block b. */
static inline int R(is_gone)(const R(source) * row, intptr_t b) {
    if (!row->is_cut)
        return 0;
    return row->block_max[b] < row->threshold ||
           (row->block_max[b] == row->threshold && (b > row->tie_block || (b == row->tie_block && row->n_ties == 0)));
}

/* The first n entries of block b, in `to`, those removed by the cut as -inf; whole vectors are written. */
static void R(apply_cut)(const R(source) * row, intptr_t b, const REAL *x, intptr_t n, REAL *to) {
    const VR none = V(set1)((REAL)-INFINITY);
    const VR least = V(set1)(b < row->tie_block ? row->threshold : R(next_up)(row->threshold));
    intptr_t n_ties = b == row->tie_block ? row->n_ties : 0;
    if (row->threshold == (REAL)INFINITY || n_ties > 0) {
        for (intptr_t i = 0; i < n; i++) {
            const REAL v = x[i];
            const int ties = v == row->threshold && (b < row->tie_block || n_ties > 0);
            n_ties -= ties;
            to[i] = v > row->threshold || ties ? v : (REAL)-INFINITY;
        }
        return;
    }
    for (intptr_t i = 0; i < n; i += LANES) {
        VR v = V(load_up_to)(x + i, n - i, none);
        V(store)(to + i, V(select_ge)(v, least, v, none));
    }
}

/* The first n entries of block b: where they lie, or in `buffer`, which has room for a block. */
static inline const REAL *R(read)(const R(source) * row, intptr_t b, intptr_t n, REAL *buffer) {
    const REAL *x = R(load)(&row->numbers, b * TS_BLOCK, n, buffer);
    if (!row->is_cut)
        return x;
    R(apply_cut)(row, b, x, n, buffer);
    return buffer;
}

/* Whether entry `at` is left. */
static int R(is_left)(const R(source) * row, intptr_t at, REAL *buffer) {
    if (!row->is_cut)
        return 1;
    const intptr_t b = at / TS_BLOCK, n = at % TS_BLOCK + 1;
    return R(read)(row, b, n, buffer)[n - 1] > (REAL)-INFINITY;
}
