/* The entry points: what each function does with a batch of rows. For REAL, by inclusion. */

#if TS_REAL == 64                 /* used by both */
enum { BYTES_IN_TURN = 1 << 14 }; /* of rows that are drawn from, and looked at once more: they stay in L1 */
#endif

/* NaN for the log-probabilities of rows that have fewer categories than draws without replacement. */
static void R(mark_undrawn)(const ts_rows *rows) {
    for (intptr_t i = 0; i < rows->n_rows; i++) {
        const int is_drawn = *(const int64_t *)(rows->index.data + i * rows->index_step) >= 0;
        for (intptr_t m = 0; !is_drawn && m < rows->n_draws; m++)
            *(REAL *)(rows->log_prob.data + i * rows->log_prob_step + m * rows->log_prob.stride) = (REAL)NAN;
    }
}

/* Draws from some rows at a time, and then their log-probabilities, as both are made of many rows together. */
static void R(draw_and_look_up)(const ts_rows *rows, double *scratch) {
    const intptr_t bytes = rows->n_categories * ts_size_of(rows->logits.type);
    const intptr_t most = (BYTES_IN_TURN / bytes / TILE + 1) * TILE;
    for (intptr_t first = 0; first < rows->n_rows; first += most) {
        const ts_rows some = ts_some(rows, first, most);
        ts_rows draws = some;
        draws.log_prob.data = NULL;
        R(for_each_indexed)(TS_DRAW, &draws, scratch);
        if (rows->draw_options & TS_WEIGHTS)
            R(log_probs_of_weights)(&some, scratch);
        else
            R(for_each_indexed)(TS_LOG_PROB, &some, scratch);
        if (rows->draw_options & TS_WITHOUT_REPLACEMENT)
            R(mark_undrawn)(&some);
    }
}

static void R(work_unfiltered)(ts_function which, const ts_rows *rows, double *scratch) {
    if (which == TS_SOFTMAX)
        R(for_each_row)(
            which, rows, scratch,
            (R(ways)){R(softmax_row), R(softmax_tile), R(softmax_short_rows), R(softmax_rows), R(softmax_strips)});
    else if (which == TS_LOG_SOFTMAX)
        R(for_each_row)(which, rows, scratch,
                        (R(ways)){R(log_softmax_row), R(log_softmax_tile), R(log_softmax_short_rows),
                                  R(log_softmax_rows), R(log_softmax_strip)});
    else if (which == TS_LOGSUMEXP)
        R(for_each_row)(which, rows, scratch,
                        (R(ways)){R(logsumexp_row), R(logsumexp_tile), R(logsumexp_short_rows), R(logsumexp_rows),
                                  R(logsumexp_strip)});
    else if (which == TS_ENTROPY)
        R(for_each_row)(which, rows, scratch,
                        (R(ways)){R(entropy_row), R(entropy_tile), R(entropy_few), R(entropy_rows), R(entropy_strip)});
    else if (which == TS_DRAW && rows->log_prob.data && R(are_short)(rows))
        R(draw_and_look_up)(rows, scratch);
    else
        R(for_each_indexed)(which, rows, scratch);
}

#include "masking.h"

static void R(work)(ts_function which, const ts_rows *rows, double *scratch) {
    if (ts_are_masked(rows))
        R(work_on_masked)(which, rows, scratch);
    else
        R(work_unfiltered)(which, rows, scratch);
}

#include "turning.h"

static void R(enter)(ts_function which, const ts_rows *rows, double *scratch) {
    const ts_turning what = ts_turning_of(which, rows);
    if (what.logits || what.out)
        R(work_on_turned)(which, rows, what, scratch);
#if TS_REAL == 32
    else if (what.widened)
        work_on_widened(which, rows, scratch);
#endif
    else
        R(work)(which, rows, scratch);
}

static void R(softmax)(const ts_rows *rows, double *scratch) { R(enter)(TS_SOFTMAX, rows, scratch); }
static void R(log_softmax)(const ts_rows *rows, double *scratch) { R(enter)(TS_LOG_SOFTMAX, rows, scratch); }
static void R(logsumexp)(const ts_rows *rows, double *scratch) { R(enter)(TS_LOGSUMEXP, rows, scratch); }
static void R(entropy)(const ts_rows *rows, double *scratch) { R(enter)(TS_ENTROPY, rows, scratch); }
static void R(support)(const ts_rows *rows, double *scratch) { R(enter)(TS_SUPPORT, rows, scratch); }
static void R(log_prob)(const ts_rows *rows, double *scratch) { R(enter)(TS_LOG_PROB, rows, scratch); }
static void R(best)(const ts_rows *rows, double *scratch) { R(enter)(TS_BEST, rows, scratch); }
static void R(draw)(const ts_rows *rows, double *scratch) { R(enter)(TS_DRAW, rows, scratch); }
