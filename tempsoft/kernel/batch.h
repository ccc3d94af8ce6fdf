/* The entry points: a batch of rows through the row or the column kernels. For REAL, by inclusion. */

#define LINES_AHEAD 16 /* categories, from those worked on to those fetched */

/* How a function takes one row, and a tile of columns. */
typedef void (*R(row_function))(const R(source) * row, intptr_t n, const ts_knobs *knobs, const ts_vector *out,
                                R(scratch) * s);
typedef int (*R(tile_function))(R(tile) * tile, R(scratch) * s);
typedef void (*R(rows_function))(const ts_rows *rows, R(scratch) * s);
typedef int (*R(short_function))(const ts_rows *rows, intptr_t first, R(scratch) * s);

/* How the rows of a batch are best taken. */
#if TS_REAL == 64 /* used by both */
typedef enum { ONE_BY_ONE, IN_A_ROW, AS_COLUMNS, SHORT } shape_of_work;
#endif

static shape_of_work R(shape_of)(const ts_rows *rows) {
    const intptr_t size = sizeof(REAL);
    const int are_many = !rows->top_k && rows->logits.type == PLAIN && rows->n_rows >= TILE && rows->n_categories > 1;
    const int are_contiguous = rows->logits.stride == size;
    if (!rows->out.data) /* draws */
        return are_many && are_contiguous && rows->n_categories <= TS_SHORT && rows->n_draws == 1 &&
                       !rows->log_prob.data
                   ? SHORT
                   : ONE_BY_ONE;
    if (are_many && rows->out.type == PLAIN && rows->logits_step == size && rows->out_step == size)
        return AS_COLUMNS;
    /* longer ones are faster one by one */
    if (are_many && rows->out.type == PLAIN && are_contiguous && rows->n_categories <= TS_GROUP &&
        (rows->out.stride == size || rows->out.stride == 0))
        return SHORT;
    return R(are_short)(rows) ? IN_A_ROW : ONE_BY_ONE;
}

/* A tile of columns at x, of which `width` from `first` on are rows, with the results at out; 0 if it was declined. */
static int R(try_columns)(const ts_rows *rows, intptr_t first, intptr_t width, ts_vector x, ts_vector out,
                          R(tile_function) of_tile, R(scratch) * s) {
    R(tile) t = {.n = rows->n_categories, .n_blocks = (rows->n_categories + TS_BLOCK - 1) / TS_BLOCK};
    const double temperature = temperature_of(rows, first);
    for (intptr_t c = 1; c < width && rows->temperature_step != 0; c++)
        if (temperature_of(rows, first + c) != temperature)
            return 0;
    t.k = *R(tempering_for)(s, temperature);
    if (!R(is_moderate)(&t.k))
        return 0;
    const size_t n_numbers = (size_t)t.n_blocks * TILE;
    t.max = s->tile;
    t.exponent = t.max + n_numbers;
    t.sum_hi = t.exponent + n_numbers;
    t.sum_lo = t.sum_hi + n_numbers;
    t.factor_hi = (REAL *)(t.sum_lo + n_numbers);
    t.factor_lo = t.factor_hi + n_numbers;
    t.factor_down = t.factor_lo + n_numbers;
    t.x = x.data;
    t.x_stride = x.stride;
    t.out = out.data;
    t.out_stride = out.stride;
    return of_tile(&t, s);
}

/* The first `bytes` of n lines from one place to another, the next lines being fetched meanwhile; past the cache if that
 * is wanted and they are whole lines of it. */
static void R(move_lines)(const char *from, intptr_t from_step, char *to, intptr_t to_step, intptr_t n, intptr_t bytes,
                          int past_cache) {
    const intptr_t size = LANES * sizeof(REAL), whole = bytes - bytes % size;
    past_cache = past_cache && (uintptr_t)to % TS_LINE == 0 && to_step % TS_LINE == 0;
    for (intptr_t i = 0; i < n; i++, from += from_step, to += to_step) {
        for (intptr_t at = 0; at < bytes; at += TS_LINE)
            fetch_far((uintptr_t)from + (uintptr_t)(LINES_AHEAD * from_step + at));
        for (intptr_t at = 0; at < whole; at += size)
            if (past_cache)
                V(stream)((REAL *)(to + at), V(load)((const REAL *)(from + at)));
            else
                V(store)((REAL *)(to + at), V(load)((const REAL *)(from + at)));
        if (whole < bytes)
            memcpy(to + whole, from + whole, (size_t)(bytes - whole));
    }
}

/* A strip of columns from column i on, which is brought into cache first: far apart in memory, the categories of a column
 * may all have the same few places there. How many columns were taken; the others were declined. */
static intptr_t R(take_strip)(const ts_rows *rows, intptr_t i, R(tile_function) of_tile, R(scratch) * s) {
    const intptr_t n = rows->n_categories, most = TS_STRIP_BYTES / (intptr_t)sizeof(REAL);
    const intptr_t head = R(before_line)((const REAL *)(rows->out.stride ? rows->out.data + i * rows->out_step
                                                                         : rows->logits.data + i * rows->logits_step));
    const intptr_t whole = head ? head : most; /* the strips after the first start with a line of the cache */
    const intptr_t width = rows->n_rows - i < whole ? rows->n_rows - i : whole;
    char *const strip = (char *)s->strip;
    REAL sums[TILE];
    intptr_t n_taken = 0;
    if (width < most) /* so that there are numbers in the columns that are missing */
        memset(strip, 0, (size_t)(n * TS_STRIP_BYTES));
    R(move_lines)(rows->logits.data + i * rows->logits_step, rows->logits.stride, strip, TS_STRIP_BYTES, n,
                  width * (intptr_t)sizeof(REAL), 0);
    while (n_taken < width) {
        const ts_vector x = {strip + n_taken * (intptr_t)sizeof(REAL), TS_STRIP_BYTES, PLAIN};
        const ts_vector one_each = {(char *)sums, 0, PLAIN};
        const intptr_t end = width - n_taken < TILE ? width : n_taken + TILE;
        if (!R(try_columns)(rows, i + n_taken, end - n_taken, x, rows->out.stride ? x : one_each, of_tile, s))
            break;
        for (intptr_t c = n_taken; !rows->out.stride && c < end; c++)
            *(REAL *)(rows->out.data + (i + c) * rows->out_step) = sums[c - n_taken];
        n_taken = end;
    }
    if (rows->out.stride)
        R(move_lines)(strip, TS_STRIP_BYTES, rows->out.data + i * rows->out_step, rows->out.stride, n,
                      n_taken * (intptr_t)sizeof(REAL), rows->past_cache);
    return n_taken;
}

/* Make `row` and its knobs those of row i. What is the same for all rows stays: a copy of it would have to wait for its
 * parts to be written. */
TS_INLINE void R(go_to_row)(const ts_rows *rows, intptr_t i, R(source) * row, ts_knobs *knobs, R(scratch) * s) {
    row->numbers.data = rows->logits.data + rows->logits_step * i;
    row->is_cut = 0;
    s->is_ready = 0;
    if (rows->top_k) {
        *knobs = knobs_of(rows, i);
        R(cut_row)(row, rows->n_categories, knobs, s);
    } else {
        knobs->temperature = temperature_of(rows, i);
    }
}

/* The ways a function takes rows; NULL for those it does not have. */
typedef struct {
    R(row_function) of_row;
    R(tile_function) of_columns; /* TILE of them */
    R(short_function) of_short;  /* TILE of them */
    R(rows_function) of_rows;    /* all */
} R(ways);

/* Take TILE rows or more from row i on together, where that can be done; how many were taken. */
static intptr_t R(take_tile)(const ts_rows *rows, intptr_t i, shape_of_work shape, const R(ways) * ways,
                             R(scratch) * s) {
    if (shape == AS_COLUMNS && ways->of_columns && s->strip)
        return R(take_strip)(rows, i, ways->of_columns, s);
    if (rows->n_rows - i < TILE)
        return 0;
    if (shape == AS_COLUMNS && ways->of_columns) {
        const ts_vector x = {rows->logits.data + i * rows->logits_step, rows->logits.stride, PLAIN};
        const ts_vector out = {rows->out.data + i * rows->out_step, rows->out.stride, PLAIN};
        return R(try_columns)(rows, i, TILE, x, out, ways->of_columns, s) ? TILE : 0;
    }
    return shape == SHORT && ways->of_short && ways->of_short(rows, i, s) ? TILE : 0;
}

static void R(for_each_row)(ts_function which, const ts_rows *rows, double *memory, R(ways) ways) {
    const unsigned status = begin_call();
    R(scratch) s = R(scratch_of)(memory, which, rows);
    const shape_of_work shape = R(shape_of)(rows);
    R(source) row = R(whole)(&rows->logits);
    ts_knobs knobs = {0, 0, 1, 0, 0};
    ts_vector out = rows->out;
    intptr_t next_tile = 0;
    if (ways.of_rows && shape == IN_A_ROW)
        ways.of_rows(rows, &s);
    else
        for (intptr_t i = 0; i < rows->n_rows; i++) {
            if (i == next_tile) {
                const intptr_t n_taken = R(take_tile)(rows, i, shape, &ways, &s);
                next_tile += n_taken > 0 ? n_taken : TILE;
                if (n_taken > 0) {
                    i += n_taken - 1;
                    continue;
                }
            }
            R(go_to_row)(rows, i, &row, &knobs, &s);
            out.data = rows->out.data + rows->out_step * i;
            ways.of_row(&row, rows->n_categories, &knobs, &out, &s);
        }
    R(divide_waiting)(&s);
    if (rows->past_cache)
        v_fence();
    end_call(status);
}

static void R(softmax)(const ts_rows *rows, double *scratch) {
    R(for_each_row)(TS_SOFTMAX, rows, scratch,
                    (R(ways)){R(softmax_row), R(softmax_tile), R(softmax_short_rows), R(softmax_rows)});
}

static void R(log_softmax)(const ts_rows *rows, double *scratch) {
    R(for_each_row)(TS_LOG_SOFTMAX, rows, scratch,
                    (R(ways)){R(log_softmax_row), R(log_softmax_tile), R(log_softmax_short_rows), R(log_softmax_rows)});
}

static void R(logsumexp)(const ts_rows *rows, double *scratch) {
    R(for_each_row)(TS_LOGSUMEXP, rows, scratch,
                    (R(ways)){R(logsumexp_row), R(logsumexp_tile), R(logsumexp_short_rows), R(logsumexp_rows)});
}

static void R(entropy)(const ts_rows *rows, double *scratch) {
    R(for_each_row)(TS_ENTROPY, rows, scratch, (R(ways)){R(entropy_row), NULL, NULL, NULL});
}

/* Those with an index: support, log_prob, best and draws. */
static void R(for_each_indexed)(ts_function which, const ts_rows *rows, double *memory) {
    const unsigned status = begin_call();
    R(scratch) s = R(scratch_of)(memory, which, rows);
    const intptr_t n = rows->n_categories, m = rows->n_draws;
    R(source) row = R(whole)(&rows->logits);
    ts_knobs knobs = {0, 0, 1, 0, rows->are_weights ? TS_WEIGHTS : 0};
    const R(ways) ways = {.of_short = R(draw_short_rows)};
    const shape_of_work shape = which == TS_DRAW ? R(shape_of)(rows) : ONE_BY_ONE;
    intptr_t next_tile = 0;
    ts_vector u = rows->u, index = rows->index, log_prob = rows->log_prob, out = rows->out;
    for (intptr_t i = 0; i < rows->n_rows; i++) {
        if (i == next_tile) {
            next_tile += TILE;
            if (R(take_tile)(rows, i, shape, &ways, &s)) {
                i += TILE - 1;
                continue;
            }
        }
        R(go_to_row)(rows, i, &row, &knobs, &s);
        u.data = rows->u.data ? rows->u.data + rows->u_step * i : NULL;
        index.data = rows->index.data + rows->index_step * i;
        log_prob.data = rows->log_prob.data ? rows->log_prob.data + rows->log_prob_step * i : NULL;
        out.data = rows->out.data ? rows->out.data + rows->out_step * i : NULL;
        if (which == TS_SUPPORT)
            R(support_row)(&row, n, &knobs, &index, &out, &s);
        else if (which == TS_LOG_PROB)
            R(log_prob_row)(&row, n, &knobs, &index, &log_prob, m, &s);
        else if (which == TS_BEST)
            R(best_row)(&row, n, &knobs, &index, &log_prob, m, &s);
        else
            R(draw_row)(&row, n, &knobs, &u, &index, &log_prob, m, &s);
    }
    end_call(status);
}

static void R(support)(const ts_rows *rows, double *scratch) { R(for_each_indexed)(TS_SUPPORT, rows, scratch); }
static void R(log_prob)(const ts_rows *rows, double *scratch) { R(for_each_indexed)(TS_LOG_PROB, rows, scratch); }
static void R(best)(const ts_rows *rows, double *scratch) { R(for_each_indexed)(TS_BEST, rows, scratch); }
static void R(draw)(const ts_rows *rows, double *scratch) { R(for_each_indexed)(TS_DRAW, rows, scratch); }
