/* Columns as rows, or as floats: turned in, worked on, turned back. For REAL, by inclusion. */

/* At most LANES numbers of as many rows, turned: number k of row i goes to number i of row k. Rows begin `step` bytes
 * apart. In scratch memory, which is the one or the other, whole vectors are read and written. */
TS_INLINE void R(turn_block)(const char *from, intptr_t from_step, intptr_t n_i, intptr_t n_k, ts_type type, char *to,
                             intptr_t to_step, int to_scratch) {
    VR x[LANES];
    for (int i = 0; i < LANES; i++) {
        const ts_vector row = {(char *)from + (i < n_i ? i : 0) * from_step, ts_size_of(type), type};
        x[i] = R(load_some)(&row, to_scratch ? n_k : LANES);
    }
    V(transpose)(x);
    for (int k = 0; k < n_k; k++) {
        const ts_vector row = {to + k * to_step, ts_size_of(type), type};
        R(store_some)(&row, to_scratch ? LANES : n_i, x[k]);
    }
}

/* Logits of columns to rows, from the last categories on: where whole vectors reach into the next row, it is written
 * after that. */
static void R(columns_to_rows)(const ts_rows *columns, const ts_rows *rows) {
    const ts_type type = rows->logits.type;
    const intptr_t n = rows->n_categories, size = ts_size_of(type), stride = columns->logits.stride;
    for (intptr_t k = (n - 1) / LANES * LANES; k >= 0; k -= LANES)
        for (intptr_t c = 0; c < rows->n_rows; c += LANES) {
            const char *const from = columns->logits.data + k * stride + c * size;
            for (int i = 0; i < LANES; i++)
                fetch_ahead((uintptr_t)from + (uintptr_t)((i - LANES) * stride));
            R(turn_block)(from, stride, R(lanes_up_to)(n - k), R(lanes_up_to)(rows->n_rows - c), type,
                          rows->logits.data + c * rows->logits_step + k * size, rows->logits_step, 1);
        }
}

static void R(rows_to_columns)(const ts_rows *rows, const ts_rows *columns) {
    const ts_type type = rows->out.type;
    const intptr_t n = rows->n_categories, size = ts_size_of(type), stride = columns->out.stride;
    for (intptr_t k = 0; k < n; k += LANES)
        for (intptr_t c = 0; c < rows->n_rows; c += LANES) {
            char *const to = columns->out.data + k * stride + c * size;
            for (int i = 0; i < LANES; i++)
                fetch_to_write((uintptr_t)to + (uintptr_t)((i + LANES) * stride));
            R(turn_block)(rows->out.data + c * rows->out_step + k * size, rows->out_step,
                          R(lanes_up_to)(rows->n_rows - c), R(lanes_up_to)(n - k), type, to, stride, 0);
        }
}

/* Some columns at a time. */
static void R(work_on_turned)(ts_function which, const ts_rows *rows, ts_turning what, double *scratch) {
    const unsigned status = begin_call();
    const intptr_t most = ts_n_turned(rows);
    double *left = first_line(scratch);
    char *const logits = (char *)left;
    left += what.logits ? ts_turned_doubles(rows, rows->logits.type) : 0;
    char *const out = (char *)left;
    left += what.out ? ts_turned_doubles(rows, rows->out.type) : 0;
    for (intptr_t first = 0; first < rows->n_rows; first += most) {
        const ts_rows some = ts_some(rows, first, most);
        ts_rows turned = ts_turned(&some, what, some.n_rows);
        turned.logits.data = what.logits ? logits : some.logits.data;
        turned.out.data = what.out ? out : some.out.data;
        if (what.logits)
            R(columns_to_rows)(&some, &turned);
        R(work)(which, &turned, left);
        if (what.out)
            R(rows_to_columns)(&turned, &some);
    }
    end_call(status);
}

#if TS_REAL == 32
enum { WIDENED_AHEAD = 8 }; /* categories that are fetched */

/* Columns of halves, some at a time. */
static void work_on_widened(ts_function which, const ts_rows *rows, double *scratch) {
    const unsigned status = begin_call();
    const intptr_t most = ts_n_widened(rows), size = ts_size_of(rows->logits.type);
    double *left = first_line(scratch);
    float *const floats = (float *)take_lines(&left, ts_widened_doubles(rows));
    for (intptr_t first = 0; first < rows->n_rows; first += most) {
        const ts_rows some = ts_some(rows, first, most);
        const intptr_t n = some.n_rows;
        const ts_rows widened = ts_widened(&some, n, (char *)floats);
        for (intptr_t i = 0; i < rows->n_categories; i++) {
            const char *const from = some.logits.data + i * some.logits.stride;
            for (intptr_t line = 0; line < n * size; line += TS_LINE)
                fetch_ahead((uintptr_t)from + (uintptr_t)(WIDENED_AHEAD * some.logits.stride + line));
            halves_to_f32((const uint16_t *)from, some.logits.type, n, floats + i * most);
        }
        work_f32(which, &widened, left);
        for (intptr_t i = 0; i < rows->n_categories && widened.out.data == (char *)floats; i++)
            halves_from_f32(floats + i * most, some.out.type, n, (uint16_t *)(some.out.data + i * some.out.stride));
    }
    end_call(status);
}
#endif
