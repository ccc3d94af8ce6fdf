/* Whole lines of the cache: what goes past the cache does so in these. For REAL, by inclusion. */

/* Numbers from p on before the first line of the cache that is theirs alone. */
static inline intptr_t R(before_line)(const REAL *p) { return (intptr_t)(-(uintptr_t)p % TS_LINE / sizeof(REAL)); }

/* Whether the results of columns from `first` on go past the cache: as whole lines. */
static inline int R(columns_past_cache)(const ts_rows *columns, intptr_t first) {
    const char *to = columns->out.data + first * columns->out_step;
    return columns->past_cache && columns->out.type == PLAIN && (uintptr_t)to % TS_LINE == 0 &&
           columns->out.stride % TS_LINE == 0;
}

#define LINE (TS_LINE / (intptr_t)sizeof(REAL)) /* numbers in a line of the cache */

static void R(copy_past_cache)(const REAL *from, intptr_t n, REAL *to) {
    intptr_t i = R(before_line)(to) < n ? R(before_line)(to) : n;
    memcpy(to, from, (size_t)i * sizeof(REAL));
    for (; i + LANES <= n; i += LANES)
        V(stream)(to + i, V(load)(from + i));
    memcpy(to + i, from + i, (size_t)(n - i) * sizeof(REAL));
}

/* A line of the cache in which one row ends and the next begins. It goes past the cache when it is whole and its
 * numbers have settled: a part of a line would be waited for, and so would a load across what was just stored. */
typedef struct {
    REAL numbers[2 * LINE]; /* whole vectors are put there */
    REAL *to;
    intptr_t n; /* numbers from its beginning on */
} R(seam);

static inline void R(write_seam)(R(seam) * seam) {
    if (seam->n == LINE)
        for (intptr_t i = 0; i < LINE; i += LANES)
            V(stream)(seam->to + i, V(load)(seam->numbers + i));
    else
        for (intptr_t i = 0; i < seam->n; i++)
            seam->to[i] = seam->numbers[i];
    seam->n = 0;
}

/* Where to put the n numbers before the first line of what goes to `to`: behind those of the row before, if they are in
 * that line. Whole vectors fit. */
static inline REAL *R(head_place)(R(seam) * seam, REAL *to, intptr_t n) {
    const intptr_t start = seam->n;
    if (start + n == LINE && seam->to + start == to) {
        seam->n = LINE;
        return seam->numbers + start;
    }
    R(write_seam)(seam);
    return to;
}

/* Where to put the n numbers after its last line, which would go to `to`. */
static inline REAL *R(tail_place)(R(seam) * seam, REAL *to, intptr_t n) {
    R(write_seam)(seam);
    seam->to = to;
    seam->n = n;
    return seam->numbers;
}
