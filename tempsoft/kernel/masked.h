/* Short rows with filters, which are cut many at a time and copied to scratch memory with -inf for what was removed,
 * to be worked on as rows without filters: which ones, how many, and how they lie there. Plain C, as the scratch memory
 * is found by it; what is done is left to cut_short.h and masking.h.
 */
#ifndef TEMPSOFT_MASKED_H
#define TEMPSOFT_MASKED_H

#include "plan.h"

enum {
    TS_MASKED_ROWS = TS_TILE_BYTES / 4, /* at least, as so many are cut together, */
    TS_MASKED_BYTES = 1 << 14           /* and more where they are no more than this, to stay in L1 */
};

static inline int ts_are_masked(const ts_rows *rows) {
    return rows->top_k && rows->n_rows >= TS_MASKED_ROWS && rows->n_categories > 1 && rows->n_categories <= TS_SHORT &&
           rows->logits.stride == ts_size_of(rows->logits.type) && rows->options_step == 0;
}

/* Rows that are masked before they are worked on: whole tiles, but for the last. */
static inline intptr_t ts_n_masked(const ts_rows *rows) {
    const intptr_t most = TS_MASKED_BYTES / (rows->n_categories * ts_size_of(rows->logits.type));
    const intptr_t tiles = most / TS_MASKED_ROWS > 1 ? most / TS_MASKED_ROWS : 1;
    return rows->n_rows < tiles * TS_MASKED_ROWS ? rows->n_rows : tiles * TS_MASKED_ROWS;
}

/* Doubles for those rows, and for a tile in each of three forms; whole vectors and pieces reach behind them. */
static inline intptr_t ts_masked_doubles(const ts_rows *rows) {
    const intptr_t bytes = ts_n_masked(rows) * rows->n_categories * ts_size_of(rows->logits.type) + TS_LINE;
    return ts_lines(bytes / (intptr_t)sizeof(double) + 1);
}

static inline intptr_t ts_cut_doubles(const ts_rows *rows) {
    return ts_lines(rows->n_categories * TS_TILE_BYTES / (intptr_t)sizeof(double)) + TS_LINE_DOUBLES;
}

/* The first n rows as they are masked, but for where their data is. */
static inline ts_rows ts_masked(const ts_rows *rows, intptr_t n) {
    ts_rows masked = *rows;
    masked.n_rows = n;
    masked.top_k = NULL;
    masked.draw_options = (int)(*(const int64_t *)rows->options & ~TS_TEMPERATURE_LAST);
    masked.logits_step = rows->n_categories * rows->logits.stride;
    return masked;
}

#endif
