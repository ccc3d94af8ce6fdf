/* A row as everything past this file reads it: what a cut removed is -inf. For REAL, by inclusion.
 *
 * So a filter needs no second version of softmax, logarithms or draws: they see a row with fewer entries, and one that
 * removes nothing changes no bit. A block of which nothing is left need not be read.
 */

#define ALL_GROUPS 0xffffffffu

typedef struct {
    ts_vector numbers;
    int is_cut;
    /* kept are the entries above the threshold and, of those equal to it, all in the blocks before `tie_block` and the
     * first `n_ties` of that block */
    REAL threshold;
    intptr_t tie_block, n_ties;
    const REAL *block_max; /* of a cut row: the largest of each block before the cut, or more */
    const REAL *group_max; /* and of each group of 64, or NULL if they are not known */
} R(source);

static inline R(source) R(whole)(const ts_vector *numbers) {
    return (R(source)){.numbers = *numbers, .is_cut = 0, .group_max = NULL};
}

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

#if TS_REAL == 64 /* used by both */
static inline int lowest_bit(uint64_t bits) {
#if defined(__GNUC__)
    return __builtin_ctzll(bits);
#else
    int i = 0;
    while (!(bits >> i & 1))
        i++;
    return i;
#endif
}

static inline int count_bits(uint32_t bits) {
#if defined(__GNUC__)
    return __builtin_popcount(bits);
#else
    int n = 0;
    for (; bits; bits &= bits - 1)
        n++;
    return n;
#endif
}

/* All groups, if there are many: that is faster than to pass over some. */
static inline uint32_t many_or(uint32_t groups) {
    return count_bits(groups) < TS_BLOCK / TS_GROUP / 2 ? groups : ALL_GROUPS;
}
#endif

/* A bit for each group of 64 of block b, x, in which an entry is at least `limit`. */
static uint32_t R(groups_from)(const R(source) * row, intptr_t b, const REAL *x, intptr_t n, REAL limit) {
    uint32_t groups = 0;
    if (row->group_max) {
        for (int g = 0; g < TS_BLOCK / TS_GROUP; g++)
            groups |= (uint32_t)(row->group_max[b * (TS_BLOCK / TS_GROUP) + g] >= limit) << g;
        return groups;
    }
    const VR least = V(set1)(limit), none = V(set1)((REAL)-INFINITY);
    intptr_t i = 0;
    for (; i + TS_GROUP <= n; i += TS_GROUP) {
        VR largest = V(load)(x + i);
        for (int at = LANES; at < TS_GROUP; at += LANES)
            largest = V(max)(V(load)(x + i + at), largest);
        groups |= (uint32_t)v_mask_any(V(ge)(largest, least)) << i / TS_GROUP;
    }
    for (const intptr_t start = i; i < n; i += LANES)
        groups |= (uint32_t)v_mask_any(V(ge)(V(load_up_to)(x + i, n - i, none), least)) << start / TS_GROUP;
    return groups;
}

/* Whether the cut goes through equal entries of block b, so that it cannot be told from an entry alone. */
static inline int R(cuts_ties)(const R(source) * row, intptr_t b) {
    return row->threshold == (REAL)INFINITY || (b == row->tie_block && row->n_ties > 0);
}

/* The smallest entry of block b that is left, where the cut does not go through equal ones. */
static inline REAL R(least_left)(const R(source) * row, intptr_t b) {
    return b < row->tie_block ? row->threshold : R(next_up)(row->threshold);
}

/* The first n entries of block b, in `to`, those removed by the cut as -inf; whole vectors are written. */
static void R(apply_cut)(const R(source) * row, intptr_t b, const REAL *x, intptr_t n, REAL *to) {
    if (R(cuts_ties)(row, b)) {
        intptr_t n_ties = b < row->tie_block ? n : b == row->tie_block ? row->n_ties : 0;
        for (intptr_t i = 0; i < n; i++) {
            const REAL v = x[i];
            const int is_tie = v == row->threshold && n_ties > 0;
            n_ties -= is_tie;
            to[i] = v > row->threshold || is_tie ? v : (REAL)-INFINITY;
        }
        return;
    }
    const VR least = V(set1)(R(least_left)(row, b)), none = V(set1)((REAL)-INFINITY);
    for (intptr_t i = 0; i < n; i += LANES) {
        const VR v = V(load_up_to)(x + i, n - i, none);
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

/* The same, where those below `limit` may be there before the cut: most often nothing is copied. */
static inline const REAL *R(read_from)(const R(source) * row, intptr_t b, intptr_t n, REAL limit, REAL *buffer) {
    if (row->is_cut && (R(cuts_ties)(row, b) || R(least_left)(row, b) > limit))
        return R(read)(row, b, n, buffer);
    return R(load)(&row->numbers, b * TS_BLOCK, n, buffer);
}

/* What is left of a block: entries below `least` are gone, and so are groups of 64 without a bit. */
typedef struct {
    REAL least;
    uint32_t groups;
} R(rest);

/* All entries of block b, and what is left of them. Nothing is copied unless the cut goes through equal entries. Where
 * much is left all groups are said to be: that is faster. */
static inline const REAL *R(read_uncut)(const R(source) * row, intptr_t b, intptr_t n, REAL *buffer, R(rest) * rest) {
    const REAL *x = R(load)(&row->numbers, b * TS_BLOCK, n, buffer);
    *rest = (R(rest)){(REAL)-INFINITY, ALL_GROUPS};
    if (!row->is_cut)
        return x;
    if (R(cuts_ties)(row, b)) {
        R(apply_cut)(row, b, x, n, buffer);
        return buffer;
    }
    rest->least = R(least_left)(row, b);
    rest->groups = many_or(R(groups_from)(row, b, x, n, rest->least));
    return x;
}

/* Whether entry `at` is left. */
static int R(is_left)(const R(source) * row, intptr_t at, REAL *buffer) {
    if (!row->is_cut)
        return 1;
    const intptr_t b = at / TS_BLOCK, n = at % TS_BLOCK + 1;
    return R(read)(row, b, n, buffer)[n - 1] > (REAL)-INFINITY;
}
