/* Columns that are turned into rows in scratch memory, or widened there, some at a time: which ones, how many, and how
 * they lie there. Plain C, as the scratch memory is found by it; what is done is left to turning.h.
 *
 * Columns of plain numbers have ways of their own, but not with filters or temperatures of each, nor to be drawn from,
 * nor from columns to rows. A number of each line of the cache would be read for each of those, and the line again for
 * the next. Halves that have such a way as floats are made floats.
 */
#ifndef TEMPSOFT_TURNED_H
#define TEMPSOFT_TURNED_H

#include "plan.h"

enum {
    TS_TURNED_ROWS = 16,         /* at least, as lines of the cache are read whole, */
    TS_TURNED_WIDE = 64,         /* or rather so many, */
    TS_TURNED_NUMBERS = 1 << 20, /* of so many numbers at most, as that is memory, */
    TS_TURNED_BYTES = 1 << 18,   /* and more where they are no more than this, to stay in cache */
    TS_TURNED_APART = 32,        /* numbers behind rows that are not short: not all begin in the same sets of a cache */
    TS_FEW_IN_COLUMNS = 12,      /* categories of columns of which a tile is worked on as one of short rows is, */
    TS_FEW_OF_HALVES = 20,       /* and of columns of halves */
    TS_WIDENED_LEAST = 64,       /* columns that are widened together, at least */
    TS_WIDENED_MOST = 2048,      /* and at most; of no more categories than that */
    TS_WIDENED_BYTES = 1 << 20,  /* as floats: they stay in cache, and more at once are fewer visits of memory */
    TS_NEAR_BYTES = 1024         /* from category to category, at most, of columns that are all near one another */
};

/* What of a call is turned, or whether it is widened. */
typedef struct {
    int logits, out, widened;
} ts_turning;

static inline intptr_t ts_distance(intptr_t step) { return step < 0 ? -step : step; }

/* Whether rows lie side by side. */
static inline int ts_are_columns(const ts_vector *row, intptr_t step) {
    return step == ts_size_of(row->type) && row->stride != step;
}

/* Whether they are columns of so few categories that a tile of them is worked on as one of short rows is. Not halves
 * for draws with log-probabilities, as `log_prob` of columns has no such way. */
static inline int ts_are_few_in_columns(ts_function which, const ts_rows *rows) {
    const int is_map = which == TS_SOFTMAX || which == TS_LOG_SOFTMAX;
    const intptr_t most = ts_is_half(rows->logits.type) ? TS_FEW_OF_HALVES : TS_FEW_IN_COLUMNS;
    const int has_a_way = is_map || which == TS_LOGSUMEXP || which == TS_ENTROPY || which == TS_DRAW ||
                          (which == TS_LOG_PROB && rows->temperature_step == 0);
    return has_a_way && !rows->top_k && rows->n_rows >= TS_TURNED_ROWS && rows->n_categories > 1 &&
           rows->n_categories <= most && ts_are_columns(&rows->logits, rows->logits_step) &&
           (!rows->log_prob.data || !ts_is_half(rows->logits.type)) &&
           (!is_map || ts_are_columns(&rows->out, rows->out_step));
}

static inline ts_turning ts_turning_of(ts_function which, const ts_rows *rows) {
    const ts_turning none = {0, 0, 0};
    if (rows->n_rows < TS_TURNED_ROWS || rows->n_categories < 2 ||
        rows->n_categories > TS_TURNED_NUMBERS / TS_TURNED_ROWS - 2 * TS_TURNED_APART)
        return none;
    const int is_map = which == TS_SOFTMAX || which == TS_LOG_SOFTMAX;
    const int from_columns = ts_are_columns(&rows->logits, rows->logits_step);
    const int to_columns = is_map && ts_are_columns(&rows->out, rows->out_step);
    const int to_numbers = which == TS_LOG_PROB || ((which == TS_LOGSUMEXP || which == TS_ENTROPY) &&
                                                    rows->out_step == ts_size_of(rows->out.type));
    const int are_half = ts_is_half(rows->logits.type);
    const int are_near = rows->n_rows >= TS_TILE_BYTES / 4 && ts_distance(rows->logits.stride) <= TS_NEAR_BYTES;
    const int have_a_way =
        are_half ? rows->n_categories <= TS_WIDENED_MOST : rows->n_categories <= TS_STRIP_MOST || are_near;
    if (ts_are_few_in_columns(which, rows))
        return none;
    if (from_columns && have_a_way && !rows->top_k && !rows->temperature_step && (to_columns || to_numbers))
        return (ts_turning){0, 0, are_half};
    return (ts_turning){from_columns, to_columns, 0};
}

/* Columns that are widened together: as many as stay in cache. */
static inline intptr_t ts_n_widened(const ts_rows *rows) {
    const intptr_t of_cache = TS_WIDENED_BYTES / (rows->n_categories * ts_size_of(TS_F32));
    const intptr_t most = of_cache < TS_WIDENED_MOST ? of_cache / TS_WIDENED_LEAST * TS_WIDENED_LEAST : TS_WIDENED_MOST;
    return most > TS_WIDENED_LEAST ? most : TS_WIDENED_LEAST;
}

static inline intptr_t ts_widened_doubles(const ts_rows *rows) {
    return ts_lines(rows->n_categories * ts_n_widened(rows) * ts_size_of(TS_F32) / (intptr_t)sizeof(double));
}

/* The first n columns as they are widened, in the memory at `data`. */
static inline ts_rows ts_widened(const ts_rows *rows, intptr_t n, char *data) {
    ts_rows widened = *rows;
    widened.n_rows = n;
    widened.logits = (ts_vector){data, ts_n_widened(rows) * ts_size_of(TS_F32), TS_F32};
    widened.logits_step = ts_size_of(TS_F32);
    if (rows->out.data && ts_is_half(rows->out.type)) {
        widened.out = widened.logits;
        widened.out_step = widened.logits_step;
        widened.past_cache = TS_NOT_PAST;
    }
    return widened;
}

/* Numbers from one turned row to the next. */
static inline intptr_t ts_turned_step(const ts_rows *rows) {
    const intptr_t n = rows->n_categories;
    return n <= TS_SHORT ? n : (n + 31) / 32 * 32 + TS_TURNED_APART;
}

/* Rows that are turned together. */
static inline intptr_t ts_n_turned(const ts_rows *rows) {
    const intptr_t step = ts_turned_step(rows), of_cache = TS_TURNED_BYTES / (step * ts_size_of(rows->logits.type));
    const intptr_t wide = of_cache > TS_TURNED_WIDE ? of_cache : TS_TURNED_WIDE, of_memory = TS_TURNED_NUMBERS / step;
    const intptr_t most = (wide < of_memory ? wide : of_memory) / TS_TURNED_ROWS * TS_TURNED_ROWS;
    return rows->n_rows < most ? rows->n_rows : most;
}

/* Doubles for those of a type, and for what is read behind the last. */
static inline intptr_t ts_turned_doubles(const ts_rows *rows, ts_type type) {
    const intptr_t numbers = ts_n_turned(rows) * ts_turned_step(rows) + TS_TURNED_ROWS;
    return ts_lines((numbers * ts_size_of(type) + TS_LINE) / (intptr_t)sizeof(double));
}

/* The first n rows as they are turned, but for where their data is. */
static inline ts_rows ts_turned(const ts_rows *rows, ts_turning what, intptr_t n) {
    ts_rows turned = *rows;
    turned.n_rows = n;
    if (what.logits) {
        turned.logits.stride = ts_size_of(rows->logits.type);
        turned.logits_step = ts_turned_step(rows) * turned.logits.stride;
    }
    if (what.out) {
        turned.out.stride = ts_size_of(rows->out.type);
        turned.out_step = ts_turned_step(rows) * turned.out.stride;
        turned.past_cache = TS_NOT_PAST;
    }
    return turned;
}

#endif
