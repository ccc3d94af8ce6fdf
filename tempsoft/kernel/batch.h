/* The entry points: a batch of rows through the row or the column kernels. For REAL, by inclusion. */

/* How a function takes one row, and a tile of columns. */
typedef void (*R(row_function))(const ts_vector *row, intptr_t n, double temperature, const ts_vector *out,
                                R(scratch) * s);
typedef int (*R(tile_function))(R(tile) * tile, R(scratch) * s);

#if TS_REAL == 64 /* used by both */
static inline ts_vector step_to(const ts_vector *v, intptr_t step, intptr_t i) {
    return (ts_vector){v->data + step * i, v->stride, v->type};
}

static inline double temperature_of(const ts_rows *rows, intptr_t i) {
    return *(const double *)(rows->temperature + rows->temperature_step * i);
}
#endif

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
#if TS_REAL == 64
typedef enum { ONE_BY_ONE, AS_COLUMNS, TRANSPOSED } shape_of_work;
#endif

static shape_of_work R(shape_of)(const ts_rows *rows) {
    const ts_type plain = sizeof(REAL) == 4 ? TS_F32 : TS_F64;
    const intptr_t size = sizeof(REAL);
    if (rows->logits.type != plain || rows->out.type != plain || rows->n_rows < TILE || rows->n_categories < 1)
        return ONE_BY_ONE;
    if (rows->logits_step == size && rows->out_step == size && rows->n_categories > 1)
        return AS_COLUMNS;
    if (rows->logits.stride == size && rows->n_categories <= TS_GROUP &&
        (rows->out.stride == size || (rows->out.stride == 0 && rows->out_step == size)))
        return TRANSPOSED;
    return ONE_BY_ONE;
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

static void R(for_each_row)(const ts_rows *rows, double *memory, R(row_function) of_row, R(tile_function) of_tile) {
    R(scratch) s = R(scratch_of)(memory, rows->n_categories, 0);
    const shape_of_work shape = R(shape_of)(rows);
    intptr_t next_tile = shape == ONE_BY_ONE ? rows->n_rows : 0;
    for (intptr_t i = 0; i < rows->n_rows; i++) {
        if (i == next_tile && rows->n_rows - i >= TILE) {
            next_tile += TILE;
            if (R(try_tile)(rows, i, shape, of_tile, &s)) {
                i += TILE - 1;
                continue;
            }
        }
        ts_vector row = step_to(&rows->logits, rows->logits_step, i), out = step_to(&rows->out, rows->out_step, i);
        of_row(&row, rows->n_categories, temperature_of(rows, i), &out, &s);
    }
}

static void R(softmax)(const ts_rows *rows, double *scratch) {
    unsigned status = begin_call();
    R(for_each_row)(rows, scratch, R(softmax_row), R(softmax_tile));
    end_call(status);
}

static void R(log_softmax)(const ts_rows *rows, double *scratch) {
    unsigned status = begin_call();
    R(for_each_row)(rows, scratch, R(log_softmax_row), R(log_softmax_tile));
    end_call(status);
}

static void R(logsumexp)(const ts_rows *rows, double *scratch) {
    unsigned status = begin_call();
    R(for_each_row)(rows, scratch, R(logsumexp_row), R(logsumexp_tile));
    end_call(status);
}

static void R(draw)(const ts_rows *rows, double *scratch) {
    unsigned status = begin_call();
    const intptr_t n_together = rows->n_draws < TS_DRAWS ? rows->n_draws : TS_DRAWS;
    R(scratch) s = R(scratch_of)(scratch, rows->n_categories, n_together);
    for (intptr_t i = 0; i < rows->n_rows; i++) {
        ts_vector row = step_to(&rows->logits, rows->logits_step, i), u = step_to(&rows->u, rows->u_step, i);
        ts_vector index = step_to(&rows->index, rows->index_step, i);
        ts_vector log_prob = rows->log_prob;
        if (log_prob.data)
            log_prob = step_to(&log_prob, rows->log_prob_step, i);
        R(draw_row)(&row, rows->n_categories, temperature_of(rows, i), &u, &index, &log_prob, rows->n_draws, &s);
    }
    end_call(status);
}
