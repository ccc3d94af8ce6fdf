/* Columns by strips of whole lines, category by category: far apart in memory, the categories of a column may all have
 * the same few places in cache, so that what was fetched must be used before the next are. For REAL, by inclusion.
 *
 * Here a strip is brought together, for the functions of a tile; passing.h is for those that need no more than one
 * look.
 */

#define LINES_AHEAD 80                                  /* from those of the category worked on to those fetched */
#define STRIP (TS_STRIP_BYTES / (intptr_t)sizeof(REAL)) /* columns */

typedef int (*R(tile_function))(R(tile) * tile, R(scratch) * s);

/* Tile number `at` of the scratch memory: columns at x, of which `width` from `first` on are rows, with the results at
 * out; 0 if they are declined. */
static int R(set_tile)(R(tile) * t, const ts_rows *rows, intptr_t first, intptr_t width, ts_vector x, ts_vector out,
                       int at, R(scratch) * s) {
    const double temperature = temperature_of(rows, first);
    for (intptr_t c = 1; c < width && rows->temperature_step != 0; c++)
        if (temperature_of(rows, first + c) != temperature)
            return 0;
    t->rows = rows;
    t->first = first;
    t->width = width;
    t->k = *R(tempering_for)(s, temperature);
    t->n = rows->n_categories;
    t->n_blocks = (t->n + TS_BLOCK - 1) / TS_BLOCK;
    const size_t n_numbers = (size_t)t->n_blocks * TILE;
    t->max = s->tile + at * ts_tile_doubles(rows);
    t->exponent = t->max + n_numbers;
    t->sum_hi = t->exponent + n_numbers;
    t->sum_lo = t->sum_hi + n_numbers;
    t->depths = t->sum_lo + n_numbers;
    t->factor_hi = (REAL *)t->depths;
    t->factor_lo = t->factor_hi + n_numbers;
    t->factor_least = t->factor_lo + n_numbers;
    t->x = x.data;
    t->x_stride = x.stride;
    t->out = out.data;
    t->out_stride = out.stride;
    return R(is_moderate)(&t->k);
}

/* Columns in a strip of `step` columns from column i on: the strips after the first start with a line of the cache. */
static intptr_t R(strip_width)(const ts_rows *rows, intptr_t i, intptr_t step) {
    const intptr_t head = R(before_line)((const REAL *)(rows->out.stride ? rows->out.data + i * rows->out_step
                                                                         : rows->logits.data + i * rows->logits_step));
    const intptr_t whole = head ? head : step;
    return rows->n_rows - i < whole ? rows->n_rows - i : whole;
}

/* `bytes` from one place to another, past the cache if that is wanted. */
TS_INLINE void R(move)(const char *from, char *to, intptr_t bytes, int past_cache) {
    const intptr_t size = LANES * sizeof(REAL), whole = bytes - bytes % size;
    for (intptr_t at = 0; at < whole; at += size)
        if (past_cache)
            V(stream)((REAL *)(to + at), V(load)((const REAL *)(from + at)));
        else
            V(store)((REAL *)(to + at), V(load)((const REAL *)(from + at)));
    if (whole < bytes)
        memcpy(to + whole, from + whole, (size_t)(bytes - whole));
}

/* Have a category of a strip come near, some behind category i of `width` columns from `first` on; there is room for
 * `step` of them. The first ones of the next strip follow the last. */
TS_INLINE void R(fetch_category)(const ts_rows *rows, intptr_t first, intptr_t width, intptr_t i, intptr_t step) {
    const intptr_t n = rows->n_categories, ahead = LINES_AHEAD * LINE / step;
    if (i + ahead < n)
        i += ahead;
    else
        first += width, i += n > ahead ? ahead - n : 0;
    const uintptr_t from =
        (uintptr_t)rows->logits.data + (uintptr_t)(first * rows->logits_step + i * rows->logits.stride);
    for (intptr_t at = 0; at < step; at += LINE)
        fetch_far(from + (uintptr_t)at * sizeof(REAL));
}

/* Category i of `width` columns from `first` on into the strip, the next categories being fetched meanwhile; zeros
 * follow, so that there are numbers in columns that are missing. */
TS_INLINE void R(move_in)(const ts_rows *rows, intptr_t first, intptr_t width, intptr_t i, intptr_t step, char *strip) {
    const char *from = rows->logits.data + first * rows->logits_step + i * rows->logits.stride;
    const intptr_t bytes = width * (intptr_t)sizeof(REAL), whole = step * (intptr_t)sizeof(REAL);
    R(fetch_category)(rows, first, width, i, step);
    R(move)(from, strip + i * whole, bytes, 0);
    if (bytes < whole)
        memset(strip + i * whole + bytes, 0, (size_t)(whole - bytes));
}

/* A strip of columns from column i on; how many were taken. The others were declined. */
static intptr_t R(take_strip)(const ts_rows *rows, intptr_t i, R(tile_function) of_tile, R(scratch) * s) {
    const intptr_t width = R(strip_width)(rows, i, STRIP);
    const int past_cache = R(columns_past_cache)(rows, i);
    char *const strip = (char *)s->strip;
    REAL sums[TILE];
    R(tile) tile;
    intptr_t n_taken = 0;
    for (intptr_t k = 0; k < rows->n_categories; k++)
        R(move_in)(rows, i, width, k, STRIP, strip);
    while (n_taken < width) {
        const ts_vector x = {strip + n_taken * (intptr_t)sizeof(REAL), TS_STRIP_BYTES, PLAIN};
        const ts_vector one_each = {(char *)sums, 0, PLAIN};
        const intptr_t end = width - n_taken < TILE ? width : n_taken + TILE;
        if (!R(set_tile)(&tile, rows, i + n_taken, end - n_taken, x, rows->out.stride ? x : one_each, 0, s) ||
            !of_tile(&tile, s))
            break;
        for (intptr_t c = n_taken; rows->out.data && !rows->out.stride && c < end; c++)
            *(REAL *)(rows->out.data + (i + c) * rows->out_step) = sums[c - n_taken];
        n_taken = end;
    }
    for (intptr_t k = 0; rows->out.stride && k < rows->n_categories; k++)
        R(move)(strip + k * TS_STRIP_BYTES, rows->out.data + i * rows->out_step + k * rows->out.stride,
                n_taken * (intptr_t)sizeof(REAL), past_cache);
    return n_taken;
}

static intptr_t R(entropy_strip)(const ts_rows *rows, intptr_t i, R(scratch) * s) {
    return R(take_strip)(rows, i, R(entropy_tile), s);
}
