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

/* How many are left of each row of a tile that was cut, and their mass: of the rows before the cut, too. */
static void R(put_support)(R(short_cut) * t, const ts_rows *rows, intptr_t first) {
    const VR none = V(set1)((REAL)-INFINITY);
    const R(plans) *const plans = &t->tile.plans;
    REAL count[TILE];
    double all[TILE];
    R(mask_tile)(t, t->sorted);
    for (int v = 0; v < TILE; v += LANES) {
        VR left = V(set1)(0);
        for (intptr_t i = 0; i < t->n; i++)
            left = V(add_where)(left, V(not_le)(V(load)(t->sorted + i * TILE + v), none), V(set1)(1));
        V(store)(count + v, left);
    }
    for (int is_cut = 0; is_cut < 2; is_cut++) {
        t->tile.e = is_cut ? t->sorted : t->x;
        R(short_exp)(&t->tile);
        R(sums_of_columns)(t->tile.e, TILE, t->n, TILE, t->tile.plans.sum_hi, t->tile.plans.sum_lo);
        if (!is_cut)
            memcpy(all, plans->sum_hi, sizeof all);
    }
    for (int c = 0; c < TILE; c++) {
        const double share = plans->sum_hi[c] / all[c];
        *(int64_t *)(rows->index.data + (first + c) * rows->index_step) = (int64_t)count[c];
        *(REAL *)(rows->out.data + (first + c) * rows->out_step) = (REAL)(share > 1 ? 1 : share);
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
            const int is_cut = n == TILE && R(cut_tile)(&t, &some, i, &s);
            if (is_cut && which == TS_SUPPORT)
                R(put_support)(&t, &some, i);
            else if (is_cut)
                R(put_masked)(&t, &masked, i);
            else if (which == TS_SUPPORT) {
                const ts_rows each = ts_some(&some, i, n);
                R(for_each_indexed)(which, &each, left);
            } else
                R(put_each_masked)(&some, &masked, i, n, &s);
        }
        if (which != TS_SUPPORT)
            R(work_unfiltered)(which, &masked, left);
    }
    end_call(status);
}
