/* A batch of rows, each by itself or as many together as can be. For REAL, by inclusion. */

/* How a function takes one row; all of a batch; and some from `first` on together, saying how many. */
typedef void (*R(row_function))(const R(source) * row, intptr_t n, const ts_knobs *knobs, const ts_vector *out,
                                R(scratch) * s);
typedef void (*R(rows_function))(const ts_rows *rows, R(scratch) * s);
typedef intptr_t (*R(some_rows_function))(const ts_rows *rows, intptr_t first, R(scratch) * s);

/* How the rows of a batch are best taken. */
#if TS_REAL == 64 /* used by both */
typedef enum { ONE_BY_ONE, IN_A_ROW, AS_COLUMNS, SHORT } shape_of_work;
#endif

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
    R(tile_function) of_columns;    /* TILE of them */
    R(some_rows_function) of_short; /* TILE of them or more */
    R(rows_function) of_rows;       /* all */
    R(some_rows_function) of_strip; /* a strip of columns, if better than by of_columns */
} R(ways);

/* Whether there are enough rows to take some together, without filters. */
static inline int R(are_many)(const ts_rows *rows) {
    return !rows->top_k && rows->n_rows >= TILE && rows->n_categories > 1;
}

/* Whether draws from them can be made of many together. */
static inline int R(are_short)(const ts_rows *rows) {
    return ts_are_few_in_columns(TS_DRAW, rows) || (R(are_many)(rows) && rows->n_categories <= TS_SHORT &&
                                                    rows->logits.stride == ts_size_of(rows->logits.type));
}

static shape_of_work R(shape_of)(ts_function which, const ts_rows *rows, const R(ways) * ways) {
    const intptr_t size = sizeof(REAL);
    const int are_contiguous = rows->logits.stride == ts_size_of(rows->logits.type);
    const int are_many = R(are_many)(rows);
    const int are_plain = rows->logits.type == PLAIN && (!rows->out.data || rows->out.type == PLAIN);
    if (which == TS_DRAW)
        return R(are_short)(rows) && !rows->log_prob.data ? SHORT : ONE_BY_ONE;
    if (ts_are_few_in_columns(which, rows))
        return SHORT;
    if (are_many && are_plain && rows->logits_step == size && (!rows->out.data || rows->out_step == size))
        return AS_COLUMNS;
    /* longer ones are faster one by one */
    const int are_rows_too = which != TS_ENTROPY && which != TS_LOG_PROB; /* which have other ways */
    if (ways->of_short && are_rows_too && are_many && are_plain && are_contiguous && rows->n_categories <= TS_GROUP &&
        (rows->out.stride == size || rows->out.stride == 0))
        return SHORT;
    return ways->of_rows && R(are_one_block)(rows) ? IN_A_ROW : ONE_BY_ONE;
}

/* Take TILE rows or more from row i on together, where that can be done; how many were taken. */
static intptr_t R(take_tile)(const ts_rows *rows, intptr_t i, shape_of_work shape, const R(ways) * ways,
                             R(scratch) * s) {
    if (shape == AS_COLUMNS && ways->of_strip && s->strip)
        return ways->of_strip(rows, i, s);
    if (rows->n_rows - i < TILE && !(shape == SHORT && rows->logits.stride != ts_size_of(rows->logits.type)))
        return 0;
    if (shape == AS_COLUMNS && ways->of_columns) {
        const ts_vector x = {rows->logits.data + i * rows->logits_step, rows->logits.stride, PLAIN};
        const ts_vector out = {rows->out.data + i * rows->out_step, rows->out.stride, PLAIN};
        R(tile) tile;
        return R(set_tile)(&tile, rows, i, TILE, x, out, 0, s) && ways->of_columns(&tile, s) ? TILE : 0;
    }
    return shape == SHORT && ways->of_short ? ways->of_short(rows, i, s) : 0;
}

static void R(for_each_row)(ts_function which, const ts_rows *rows, double *memory, R(ways) ways) {
    const unsigned status = begin_call();
    R(scratch) s = R(scratch_of)(memory, which, rows);
    const shape_of_work shape = R(shape_of)(which, rows, &ways);
    R(source) row = R(whole)(&rows->logits);
    ts_knobs knobs = no_filters(NAN);
    ts_vector out = rows->out;
    intptr_t next_tile =
        shape == SHORT && rows->past_cache && rows->out.stride == (intptr_t)sizeof(REAL) ? R(first_on_line)(rows) : 0;
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
    R(end_waiting)(&s);
    if (rows->past_cache)
        v_fence();
    end_call(status);
}

/* Those with an index: support, log_prob, best and draws. */
static void R(for_each_indexed)(ts_function which, const ts_rows *rows, double *memory) {
    const unsigned status = begin_call();
    R(scratch) s = R(scratch_of)(memory, which, rows);
    const intptr_t n = rows->n_categories, m = rows->n_draws;
    R(source) row = R(whole)(&rows->logits);
    ts_knobs knobs = no_filters(NAN);
    R(ways) ways = {.of_short = NULL};
    if (which == TS_DRAW)
        ways.of_short = R(draw_short_rows);
    if (which == TS_LOG_PROB)
        ways = (R(ways)){NULL, R(log_prob_tile), R(log_prob_few), R(log_prob_rows), R(log_prob_strip)};
    if (which == TS_BEST && rows->n_draws <= MOST_BEST)
        ways.of_rows = R(best_rows);
    const shape_of_work shape = R(shape_of)(which, rows, &ways);
    knobs.options = rows->draw_options;
    intptr_t next_tile = 0;
    ts_vector u = rows->u, index = rows->index, log_prob = rows->log_prob, out = rows->out;
    intptr_t i = 0;
    if (shape == IN_A_ROW) {
        ways.of_rows(rows, &s);
        i = rows->n_rows;
    }
    for (; i < rows->n_rows; i++) {
        if (i == next_tile) {
            const intptr_t n_taken = R(take_tile)(rows, i, shape, &ways, &s);
            next_tile += n_taken > 0 ? n_taken : TILE;
            if (n_taken > 0) {
                i += n_taken - 1;
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
