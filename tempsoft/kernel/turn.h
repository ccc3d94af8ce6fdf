/* A tile of short rows, from memory to [category][row] and back. For REAL, by inclusion.
 *
 * LANES categories of LANES rows are transposed in registers. Fewer go by pieces of 16 bytes: a vector takes one from
 * each of several rows, and half the steps of shuffling do. The last piece of a row reaches into the next one, which is
 * read in vain, or written before that row is. Columns need not be turned, as they lie so already.
 */

#define BY_PIECES (LANES / 2) /* categories, at most, that go by pieces */
#define TILES_AHEAD 4         /* of columns, from those worked on to those fetched */

/* Whether rows of any length go by pieces: of 8 floats, as 8 vectors of 8 rows and what becomes of them are more than
 * AVX2 has registers for. */
#define ALL_BY_PIECES (TS_REAL == 32 && LANES == 2 * PIECE)

/* LANES rows at p, n categories of them, into `tile`, while the same of rows `ahead` bytes from them are fetched,
 * unless that is 0; and back. */
TS_INLINE void R(turn_vectors_in)(const REAL *p, intptr_t step, intptr_t n, intptr_t ahead, REAL *tile) {
    VR v[LANES];
    for (int k = 0; k < LANES; k++, p += step) {
        v[k] = n >= LANES ? V(load)(p) : V(load_up_to)(p, n, V(set1)(0));
        if (ahead)
            fetch_ahead((uintptr_t)p + (uintptr_t)ahead);
    }
    V(transpose)(v);
    for (int k = 0; k < LANES && k < n; k++)
        V(store)(tile + k * TILE, v[k]);
}

TS_INLINE void R(turn_vectors_out)(const REAL *tile, intptr_t n, REAL *p, intptr_t step) {
    VR v[LANES];
    for (int k = 0; k < LANES; k++)
        v[k] = V(load)(k < n ? tile + k * TILE : tile); /* behind the last any number does */
    V(transpose)(v);
    for (int k = 0; k < LANES; k++, p += step)
        if (n >= LANES)
            V(store)(p, v[k]);
        else
            V(store_up_to)(p, n, v[k]);
}

/* A piece of LANES rows, of which the first n categories are wanted. */
TS_INLINE void R(turn_piece_in)(const REAL *p, intptr_t step, intptr_t n, REAL *tile) {
    VR v[PIECE];
    R(turn_piece)(p, step, PIECE, v);
    for (int j = 0; j < PIECE && j < n; j++)
        V(store)(tile + j * TILE, v[j]);
}

TS_INLINE void R(turn_piece_out)(const REAL *tile, intptr_t n, REAL *p, intptr_t step) {
    VR v[PIECE];
    for (int j = 0; j < PIECE; j++)
        v[j] = V(load)(tile + (j < n ? j : 0) * TILE);
    V(transpose_pieces)(v);
    for (int k = 0; k < LANES; k++)
        V(store_piece)(p + k * step, v[k % PIECE], k / PIECE);
}

/* Rows by pieces; whole ones are read, and written, so up to PIECE - 1 numbers behind the last row. */
TS_INLINE void R(turn_pieces_in)(const REAL *p, intptr_t step, intptr_t n, REAL *tile) {
    for (intptr_t i = 0; i < n; i += PIECE)
        R(turn_piece_in)(p + i, step, n - i, tile + i * TILE);
}

TS_INLINE void R(turn_pieces_out)(const REAL *tile, intptr_t n, REAL *p, intptr_t step) {
    for (intptr_t i = (n - 1) / PIECE * PIECE; i >= 0; i -= PIECE) /* the last first */
        R(turn_piece_out)(tile + i * TILE, n - i, p + i, step);
}

/* Rows of any length: the last vector or piece is turned with some numbers before it once more. */
TS_INLINE void R(turn_rows_in)(const REAL *p, intptr_t step, intptr_t n, intptr_t ahead, REAL *tile) {
    intptr_t i = 0;
    if (ALL_BY_PIECES && n >= PIECE) {
        for (int k = 0; ahead && k < LANES; k++)
            for (intptr_t at = 0; at < n; at += LINE)
                fetch_ahead((uintptr_t)(p + k * step + at) + (uintptr_t)ahead);
        for (; i + PIECE <= n; i += PIECE)
            R(turn_piece_in)(p + i, step, PIECE, tile + i * TILE);
        if (i < n)
            R(turn_piece_in)(p + n - PIECE, step, PIECE, tile + (n - PIECE) * TILE);
        return;
    }
    for (; i + LANES <= n; i += LANES)
        R(turn_vectors_in)(p + i, step, LANES, ahead, tile + i * TILE);
    if (i == 0)
        R(turn_vectors_in)(p, step, n, ahead, tile);
    else if (i < n)
        R(turn_vectors_in)(p + n - LANES, step, LANES, ahead, tile + (n - LANES) * TILE);
}

TS_INLINE void R(turn_rows_out)(const REAL *tile, intptr_t n, REAL *p, intptr_t step) {
    intptr_t i = 0;
    if (ALL_BY_PIECES && n >= PIECE) {
        for (; i + PIECE <= n; i += PIECE)
            R(turn_piece_out)(tile + i * TILE, PIECE, p + i, step);
        if (i < n)
            R(turn_piece_out)(tile + (n - PIECE) * TILE, PIECE, p + n - PIECE, step);
        return;
    }
    for (; i + LANES <= n; i += LANES)
        R(turn_vectors_out)(tile + i * TILE, LANES, p + i, step);
    if (i == 0)
        R(turn_vectors_out)(tile, n, p, step);
    else if (i < n)
        R(turn_vectors_out)(tile + (n - LANES) * TILE, LANES, p + n - LANES, step);
}

#if TS_REAL == 32
/* LANES rows of contiguous halves into `tile`. */
static void turn_halves_in(const char *first, intptr_t bytes, intptr_t n, ts_type type, float *tile) {
    float rows[LANES * TS_SHORT];
    for (int k = 0; k < LANES; k++) {
        const char *const row = first + k * bytes;
        for (intptr_t line = 0; line < n * (intptr_t)sizeof(uint16_t); line += TS_LINE)
            fetch_ahead((uintptr_t)row + (uintptr_t)(TILE * bytes + line));
        halves_to_f32((const uint16_t *)row, type, n, rows + k * n);
    }
    R(turn_rows_in)(rows, n, n, 0, tile);
}
#endif

/* Columns of a tile, the last of which may not be whole: what is missing is 0. */
static inline int R(width_of_tile)(const ts_rows *rows, intptr_t first) {
    return rows->n_rows - first < TILE ? (int)(rows->n_rows - first) : TILE;
}

TS_INLINE intptr_t R(lanes_up_to)(intptr_t n) { return n < 0 ? 0 : n < LANES ? n : LANES; }

TS_INLINE void R(columns_in_of)(const ts_rows *columns, intptr_t first, intptr_t width, REAL *tile) {
    const intptr_t step = columns->logits_step;
    ts_vector from = {columns->logits.data + first * step, step, columns->logits.type};
    for (intptr_t i = 0; i < columns->n_categories; i++, from.data += columns->logits.stride)
        for (intptr_t v = 0; v < TILE; v += LANES) {
            const ts_vector some = {from.data + v * step, step, from.type};
            if (v % LINE == 0)
                fetch_ahead((uintptr_t)some.data + (uintptr_t)(TILES_AHEAD * TILE * step));
            V(store)(tile + i * TILE + v, R(load_some)(&some, R(lanes_up_to)(width - v)));
        }
}

static void R(columns_in)(const ts_rows *columns, intptr_t first, REAL *tile) {
    const int width = R(width_of_tile)(columns, first);
    if (width == TILE)
        R(columns_in_of)(columns, first, TILE, tile);
    else
        R(columns_in_of)(columns, first, width, tile);
}

TS_INLINE void R(columns_out_of)(const REAL *tile, const ts_rows *columns, intptr_t first, intptr_t width,
                                 int past_cache) {
    const intptr_t step = columns->out_step;
    ts_vector to = {columns->out.data + first * step, step, columns->out.type};
    for (intptr_t i = 0; i < columns->n_categories; i++, to.data += columns->out.stride)
        for (intptr_t v = 0; v < width; v += LANES) {
            const VR x = V(load)(tile + i * TILE + v);
            const ts_vector some = {to.data + v * step, step, to.type};
            if (past_cache)
                V(stream)((REAL *)some.data, x);
            else
                R(store_some)(&some, R(lanes_up_to)(width - v), x);
        }
}

static void R(columns_out)(const REAL *tile, const ts_rows *columns, intptr_t first) {
    const int width = R(width_of_tile)(columns, first);
    if (width < TILE)
        R(columns_out_of)(tile, columns, first, width, 0);
    else if (R(columns_past_cache)(columns, first))
        R(columns_out_of)(tile, columns, first, TILE, 1);
    else
        R(columns_out_of)(tile, columns, first, TILE, 0);
}

/* The tile of rows from `first` on. */
static void R(turn_in)(const ts_rows *rows, intptr_t first, REAL *tile) {
    const intptr_t n = rows->n_categories;
    if (ts_are_columns(&rows->logits, rows->logits_step)) {
        R(columns_in)(rows, first, tile);
        return;
    }
    for (int c = 0; c < TILE; c += LANES) {
        const char *const data = rows->logits.data + (first + c) * rows->logits_step;
#if TS_REAL == 32
        if (rows->logits.type != PLAIN) {
            turn_halves_in(data, rows->logits_step, n, rows->logits.type, tile + c);
            continue;
        }
#endif
        const intptr_t step = rows->logits_step / (intptr_t)sizeof(REAL);
        const REAL *p = (const REAL *)data;
        /* behind the last row there may be nothing, and rows may overlap */
        if (n <= BY_PIECES && step >= n && first + c + LANES < rows->n_rows) {
            for (int k = 0; k < LANES; k++)
                fetch_ahead((uintptr_t)(p + (TILE + k) * step));
            R(turn_pieces_in)(p, step, n, tile + c);
            continue;
        }
        R(turn_rows_in)(p, step, n, TILE * rows->logits_step, tile + c);
    }
}

/* Write TILE rows from `tile`; what is not to go to its place at once goes by way of a buffer that holds them and a
 * piece more. */
static void R(turn_out)(const REAL *tile, const ts_rows *rows, intptr_t first, REAL *buffer) {
    const intptr_t n = rows->n_categories, size = sizeof(REAL);
    if (ts_are_columns(&rows->out, rows->out_step)) {
        R(columns_out)(tile, rows, first);
        return;
    }
    REAL *const to = (REAL *)(rows->out.data + first * rows->out_step);
    const int is_contiguous = rows->out_step == n * size, by_pieces = n <= BY_PIECES && is_contiguous;
    const int past_cache = is_contiguous && rows->past_cache && n >= LANES; /* of fewer it does not pay */
    REAL *const place = by_pieces || past_cache ? buffer : to;
    const intptr_t step = is_contiguous ? n : rows->out_step / size;
    for (int c = 0; c < TILE; c += LANES)
        if (by_pieces)
            R(turn_pieces_out)(tile + c, n, place + c * step, step);
        else
            R(turn_rows_out)(tile + c, n, place + c * step, step);
    if (past_cache)
        R(copy_past_cache)(buffer, TILE * n, to);
    else if (by_pieces)
        memcpy(to, buffer, (size_t)(TILE * n * size));
}
