/* The entry points: what each function does with a batch of rows. For REAL, by inclusion. */

#if TS_REAL == 64 /* used by both */
enum {
    MOST_IN_TURN = 256,     /* categories of a row times draws from it, which are made one after another */
    BYTES_IN_TURN = 1 << 14 /* of rows that are drawn from in turn: they stay in L1 */
};

static int are_drawn_in_turn(const ts_rows *rows) {
    return rows->n_draws > 1 && rows->n_draws * rows->n_categories <= MOST_IN_TURN;
}
#endif

/* Some rows at a time: a draw from each, as that is made of many rows together, and then another, unless they are too
 * many; then log-probabilities of all, which are made so, too. */
static void R(draw_in_turn)(const ts_rows *rows, double *scratch) {
    const intptr_t bytes = rows->n_categories * ts_size_of(rows->logits.type);
    const intptr_t most = (BYTES_IN_TURN / bytes / TILE + 1) * TILE;
    for (intptr_t first = 0; first < rows->n_rows; first += most) {
        const ts_rows some = ts_some(rows, first, most);
        ts_rows draws = some;
        draws.log_prob.data = NULL;
        draws.n_draws = are_drawn_in_turn(rows) ? 1 : rows->n_draws;
        for (intptr_t m = 0; m < rows->n_draws; m += draws.n_draws) {
            R(for_each_indexed)(TS_DRAW, &draws, scratch);
            draws.u.data += draws.u.stride;
            draws.index.data += draws.index.stride;
        }
        if (rows->log_prob.data)
            R(for_each_indexed)(TS_LOG_PROB, &some, scratch);
    }
}

static void R(draws)(const ts_rows *rows, double *scratch) {
    if (R(are_short)(rows) && (rows->log_prob.data ? !rows->are_weights : are_drawn_in_turn(rows)))
        R(draw_in_turn)(rows, scratch);
    else
        R(for_each_indexed)(TS_DRAW, rows, scratch);
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
    else if (which == TS_DRAW)
        R(draws)(rows, scratch);
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
