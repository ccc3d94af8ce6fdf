/* The entry points: a batch of rows through the row or the column kernels. For REAL, by inclusion. */

/* How a function takes one row, and a tile of columns. */
typedef void (*R(row_function))(const R(source) * row, intptr_t n, const ts_knobs *knobs, const ts_vector *out,
                                R(scratch) * s);
typedef int (*R(tile_function))(R(tile) * tile, R(scratch) * s);
typedef void (*R(rows_function))(const ts_rows *rows, R(scratch) * s);

/* n x TILE numbers, [category][row], from TILE contiguous rows, and back. */
static void R(transpose_in)(const char *rows, intptr_t step, intptr_t n, REAL *tile) {
    for (int c = 0; c < TILE; c++)
        for (intptr_t i = 0; i < n; i++)
            tile[i * TILE + c] = ((const REAL *)(rows + c * step))[i];
}

static void R(transpose_out)(const REAL *tile, intptr_t n, char *rows, intptr_t step) {
    for (int c = 0; c < TILE; c++)
        for (intptr_t i = 0; i < n; i++)
            ((REAL *)(rows + c * step))[i] = tile[i * TILE + c];
}

/* How the rows of a batch are best taken. */
#if TS_REAL == 64 /* used by both */
typedef enum { ONE_BY_ONE, IN_A_ROW, AS_COLUMNS, TRANSPOSED } shape_of_work;
#endif

static shape_of_work R(shape_of)(const ts_rows *rows) {
    const intptr_t size = sizeof(REAL);
    const shape_of_work otherwise = R(are_short)(rows) ? IN_A_ROW : ONE_BY_ONE;
    if (rows->top_k || rows->logits.type != PLAIN || rows->out.type != PLAIN || rows->n_rows < TILE ||
        rows->n_categories < 1)
        return otherwise;
    if (rows->logits_step == size && rows->out_step == size && rows->n_categories > 1)
        return AS_COLUMNS;
    if (rows->logits.stride == size && rows->n_categories <= TS_GROUP &&
        (rows->out.stride == size || (rows->out.stride == 0 && rows->out_step == size)))
        return TRANSPOSED;
    return otherwise;
}

/* Rows first ... first + TILE in lanes; 0 if they were declined. */
static int R(try_tile)(const ts_rows *rows, intptr_t first, shape_of_work shape, R(tile_function) of_tile,
                       R(scratch) * s) {
    R(tile) t = {.n = rows->n_categories, .n_blocks = (rows->n_categories + TS_BLOCK - 1) / TS_BLOCK};
    const double temperature = temperature_of(rows, first);
    for (int c = 1; c < TILE && rows->temperature_step != 0; c++)
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
    t.x = rows->logits.data + first * rows->logits_step;
    t.x_stride = rows->logits.stride;
    t.out = rows->out.data + first * rows->out_step;
    t.out_stride = rows->out.stride;
    if (shape == AS_COLUMNS)
        return of_tile(&t, s);
    REAL *turned = s->turned;
    R(transpose_in)(t.x, rows->logits_step, t.n, turned);
    t.x = (const char *)turned;
    t.x_stride = TILE * sizeof(REAL);
    if (rows->out.stride == 0) /* one number a row lies as a tile has it */
        return of_tile(&t, s);
    t.out = (char *)turned;
    t.out_stride = t.x_stride;
    if (!of_tile(&t, s))
        return 0;
    R(transpose_out)(turned, t.n, rows->out.data + first * rows->out_step, rows->out_step);
    return 1;
}

/* Make `row` and its knobs those of row i. What is the same for all rows stays: a copy of it would have to wait for its
 * parts to be written. */
TS_INLINE void R(go_to_row)(const ts_rows *rows, intptr_t i, R(source) * row, ts_knobs *knobs, R(scratch) * s) {
    row->numbers.data = rows->logits.data + rows->logits_step * i;
    row->is_cut = 0;
    if (rows->top_k) {
        *knobs = knobs_of(rows, i);
        R(cut_row)(row, rows->n_categories, knobs, s);
    } else {
        knobs->temperature = temperature_of(rows, i);
    }
}

static void R(for_each_row)(ts_function which, const ts_rows *rows, double *memory, R(row_function) of_row,
                            R(tile_function) of_tile, R(rows_function) of_rows) {
    const unsigned status = begin_call();
    R(scratch) s = R(scratch_of)(memory, which, rows);
    const shape_of_work shape = of_tile ? R(shape_of)(rows) : ONE_BY_ONE;
    if (of_rows && shape == IN_A_ROW) {
        of_rows(rows, &s);
        end_call(status);
        return;
    }
    intptr_t next_tile = shape == AS_COLUMNS || shape == TRANSPOSED ? 0 : rows->n_rows;
    R(source) row = R(whole)(&rows->logits);
    ts_knobs knobs = {0, 0, 1, 0, 0};
    ts_vector out = rows->out;
    for (intptr_t i = 0; i < rows->n_rows; i++) {
        if (i == next_tile && rows->n_rows - i >= TILE) {
            next_tile += TILE;
            if (R(try_tile)(rows, i, shape, of_tile, &s)) {
                i += TILE - 1;
                continue;
            }
        }
        R(go_to_row)(rows, i, &row, &knobs, &s);
        out.data = rows->out.data + rows->out_step * i;
        of_row(&row, rows->n_categories, &knobs, &out, &s);
    }
    end_call(status);
}

static void R(softmax)(const ts_rows *rows, double *scratch) {
    R(for_each_row)(TS_SOFTMAX, rows, scratch, R(softmax_row), R(softmax_tile), R(softmax_rows));
}

static void R(log_softmax)(const ts_rows *rows, double *scratch) {
    R(for_each_row)(TS_LOG_SOFTMAX, rows, scratch, R(log_softmax_row), R(log_softmax_tile), NULL);
}

static void R(logsumexp)(const ts_rows *rows, double *scratch) {
    R(for_each_row)(TS_LOGSUMEXP, rows, scratch, R(logsumexp_row), R(logsumexp_tile), R(logsumexp_rows));
}

static void R(entropy)(const ts_rows *rows, double *scratch) {
    R(for_each_row)(TS_ENTROPY, rows, scratch, R(entropy_row), NULL, NULL);
}

/* Those with an index: support, log_prob, best and draws. */
static void R(for_each_indexed)(ts_function which, const ts_rows *rows, double *memory) {
    const unsigned status = begin_call();
    R(scratch) s = R(scratch_of)(memory, which, rows);
    const intptr_t n = rows->n_categories, m = rows->n_draws;
    R(source) row = R(whole)(&rows->logits);
    ts_knobs knobs = {0, 0, 1, 0, 0};
    ts_vector u = rows->u, index = rows->index, log_prob = rows->log_prob, out = rows->out;
    for (intptr_t i = 0; i < rows->n_rows; i++) {
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
