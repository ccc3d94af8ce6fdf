/* Short rows with filters as rows without: cut, masked, worked on. For REAL, by inclusion. */

/* The numbers of a tile that was cut, to where its rows are to lie. */
static void R(put_masked)(R(short_cut) * t, const ts_rows *masked, intptr_t first) {
    const intptr_t n = t->n, size = ts_size_of(masked->logits.type);
    char *const to = masked->logits.data + first * n * size;
    ts_rows rows = *masked;
    rows.out = (ts_vector){masked->logits.type == PLAIN ? to : (char *)t->sorted, sizeof(REAL), PLAIN};
    rows.out_step = n * (intptr_t)sizeof(REAL);
    rows.past_cache = TS_NOT_PAST;
    R(mask_tile)(t, t->e);
    R(turn_out)(t->e, &rows, 0, t->x);
    if (masked->logits.type != PLAIN)
        R(store)(&(ts_vector){to, size, masked->logits.type}, 0, n * TILE, t->sorted);
}

/* n rows from `first` on, one by one. */
static void R(put_each_masked)(const ts_rows *rows, const ts_rows *masked, intptr_t first, intptr_t n, R(scratch) * s) {
    R(source) row = R(whole)(&rows->logits);
    ts_knobs knobs;
    for (intptr_t i = first; i < first + n; i++) {
        const ts_vector to = {masked->logits.data + i * masked->logits_step, masked->logits.stride,
                              masked->logits.type};
        R(go_to_row)(rows, i, &row, &knobs, s);
        const REAL *const x = R(read)(&row, 0, rows->n_categories, s->block);
        REAL *const place = R(place)(&to, 0, s->block);
        if (place != x)
            memcpy(place, x, (size_t)rows->n_categories * sizeof(REAL));
        R(store)(&to, 0, rows->n_categories, place);
    }
}

/* Some rows at a time. */
static void R(work_on_masked)(ts_function which, const ts_rows *rows, double *scratch) {
    const unsigned status = begin_call();
    const intptr_t most = ts_n_masked(rows), n_doubles = ts_cut_doubles(rows);
    double *left = first_line(scratch);
    char *const place = (char *)take_lines(&left, ts_masked_doubles(rows));
    R(short_cut) t;
    t.x = (REAL *)take_lines(&left, n_doubles);
    t.sorted = (REAL *)take_lines(&left, n_doubles);
    t.e = (REAL *)take_lines(&left, n_doubles);
    for (intptr_t first = 0; first < rows->n_rows; first += most) {
        const ts_rows some = ts_some(rows, first, most);
        ts_rows masked = ts_masked(&some, some.n_rows);
        masked.logits.data = place;
        R(scratch) s = R(scratch_of)(left, which, &some);
        for (intptr_t i = 0; i < some.n_rows; i += TILE) {
            const intptr_t n = some.n_rows - i < TILE ? some.n_rows - i : TILE;
            if (n == TILE && R(cut_tile)(&t, &some, i, &s))
                R(put_masked)(&t, &masked, i);
            else
                R(put_each_masked)(&some, &masked, i, n, &s);
        }
        R(work_unfiltered)(which, &masked, left);
    }
    end_call(status);
}
