/* The few best entries of rows of one block, without a sort or a search. For REAL, by inclusion.
 *
 * The largest number of each group is known; the largest of these is taken out, and found again without it.
 */

#define MOST_BEST 64 /* entries: of many more, a search for the last of them and a sort take less time */

_Static_assert(MOST_BEST % LANES == 0, "their log-probabilities are made in whole vectors");

typedef struct {
    REAL *x;                       /* whole groups; what was taken is -inf */
    intptr_t n_groups, width;      /* numbers in each: whole vectors of a row that is shorter than a group */
    REAL max[TS_BLOCK / TS_GROUP]; /* of each group */
} R(groups);

static inline REAL R(max_in_group)(const REAL *x, intptr_t width) {
    VR max = V(load)(x);
    for (intptr_t i = LANES; i < width; i += LANES)
        max = V(max)(V(load)(x + i), max);
    return V(largest)(max);
}

/* n numbers at `from`, copied to x, where there is room for whole groups. */
static R(groups) R(groups_of)(const REAL *from, intptr_t n, REAL *x) {
    R(groups) g;
    g.x = x;
    g.n_groups = (n + TS_GROUP - 1) / TS_GROUP;
    g.width = n < TS_GROUP ? (n + LANES - 1) / LANES * LANES : TS_GROUP;
    for (intptr_t i = 0; i < g.n_groups * g.width; i += LANES)
        V(store)(x + i, V(load_up_to)(from + i, n - i, V(set1)((REAL)-INFINITY)));
    for (intptr_t i = 0; i < g.n_groups; i++)
        g.max[i] = R(max_in_group)(x + i * TS_GROUP, g.width);
    return g;
}

/* Take the largest number out, the first of equal ones; its place, or -1 if nothing above -inf is left. */
static inline intptr_t R(take_largest)(R(groups) * g, REAL *largest) {
    intptr_t group = 0, at = 0;
    for (intptr_t i = 1; i < g->n_groups; i++)
        group = g->max[i] > g->max[group] ? i : group;
    *largest = g->max[group];
    REAL *const x = g->x + group * TS_GROUP;
    for (int lane = LANES; lane == LANES && at < g->width; at += lane)
        lane = V(first_without)(V(not_le)(V(set1)(*largest), V(load)(x + at)));
    if (*largest == (REAL)-INFINITY || at >= g->width) { /* or a NaN, which another thread has written since */
        *largest = (REAL)-INFINITY;
        return -1;
    }
    x[at] = (REAL)-INFINITY;
    g->max[group] = R(max_in_group)(x, g->width);
    return group * TS_GROUP + at;
}

/* The best entries of row i, of the fast formula, and their log-probabilities; `x` has its logits as REALs, or is
 * NULL. */
static void R(put_best)(const ts_rows *rows, intptr_t i, const REAL *x, const R(log_scale) * scale, R(scratch) * s) {
    const ts_vector row = {rows->logits.data + rows->logits_step * i, rows->logits.stride, rows->logits.type};
    const intptr_t n = rows->n_categories, k = rows->n_draws;
    ts_vector index = rows->index;
    REAL values[MOST_BEST];
    R(groups) groups = R(groups_of)(x ? x : R(load)(&row, 0, n, s->block), n, s->block);
    index.data += rows->index_step * i;
    for (intptr_t m = 0; m < k; m++)
        R(put_draw)(&index, m, R(take_largest)(&groups, &values[m]));
    for (intptr_t m = 0; m < k; m += LANES)
        V(store)(values + m, R(log_probability)(V(load_up_to)(values + m, k - m, V(set1)(0)), scale));
    for (intptr_t m = 0; m < k; m++)
        *(REAL *)(rows->log_prob.data + rows->log_prob_step * i + rows->log_prob.stride * m) = values[m];
}
