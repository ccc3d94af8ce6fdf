/* Rows of one block, one after another: softmax of what a batch is mostly made of. For REAL, by inclusion.
 *
 * The same formula, order of additions and bits as a row by itself, in another order of work: a row is divided by its
 * sum while the exponentials of the next are made, because the one waits for memory and the other for arithmetic. A row
 * that is not for the fast formula, or whose c is not that of its first group, goes to the function for any row.
 */

#define FEWEST_PAST_CACHE 1024 /* bytes from row to row: of shorter ones too many lines are not whole */

/* Whether the rows are contiguous, at most a block and without filters. */
static int R(are_one_block)(const ts_rows *rows) {
    const intptr_t size = ts_size_of(rows->logits.type);
    const int is_like = rows->out.stride == 0 || (rows->out.stride == size && rows->out.type == rows->logits.type);
    return !rows->top_k && rows->n_categories > 1 && rows->n_categories <= TS_BLOCK && rows->n_rows > 1 &&
           rows->logits.stride == size && is_like;
}

/* What the exponentials of a row are made with, if the fast formula may hold for it: found while the row before is
 * worked on, as it is a chain of its own. A NaN is left to be seen among the exponentials. */
typedef struct {
    const tempering *k;
    R(split) a;
    int is_moderate; /* these are of the temperature; of the row: */
    int is_fast;
    double c;
    REAL round_less_c, lowest;
    int looks; /* at so many rows more as a whole, as the first group of one did not do */
} R(beginning);

#define ROWS_TO_LOOK_AT 100 /* after one of which the first group did not do */

TS_INLINE void R(begin_at)(R(beginning) * b, double temperature, R(scratch) * s) {
    b->k = R(tempering_for)(s, temperature);
    b->a = R(split_of)(b->k->log2_e);
    b->is_moderate = R(is_moderate)(b->k);
}

/* `b` is that of the row before. */
TS_INLINE void R(begin)(R(beginning) * b, const ts_rows *rows, intptr_t i, ts_type type, R(scratch) * s) {
    const char *x = rows->logits.data + rows->logits_step * i;
    const int looks = b->looks > 0;
    b->looks -= looks;
    if (rows->temperature_step)
        R(begin_at)(b, temperature_of(rows, i), s);
    const VR max = looks && rows->n_categories >= TS_GROUP ? R(max_of_groups)(x, rows->n_categories / TS_GROUP, type)
                                                           : R(first_max)(x, rows->n_categories, type);
    b->c = R(exponent_of)((double)V(largest)(max), b->k);
    b->is_fast = b->is_moderate && fabs(b->c) < LARGEST_EXPONENT;
    b->round_less_c = (REAL)(ROUND - b->c);
    b->lowest = R(lowest_of)(b->k, b->c);
}

static inline R(scale) R(scale_of_beginning)(const R(beginning) * b) {
    return (R(scale)){V(set1)(b->a.hi), V(set1)(b->a.lo), V(set1)(b->round_less_c), V(set1)(b->lowest), 0, b->k};
}

/* Whether the exponentials of a row have a meaning, of which not all are usual: a look at the numbers. */
TS_APART int R(is_row_in_reach)(const char *x, intptr_t n, ts_type type, R(scale) scale, R(seen) seen, REAL *buffer) {
    const ts_vector numbers = {(char *)x, ts_size_of(type), type};
    return R(range_of)(&seen, R(load)(&numbers, 0, n, buffer), n, &scale) != TS_EXCEEDED;
}

TS_INLINE void R(softmax_rows_from)(intptr_t first, const ts_rows *rows, ts_type type, int past_cache, R(scratch) * s) {
    const intptr_t n = rows->n_categories;
    if (first == rows->n_rows)
        return;
    R(source) row = R(whole)(&rows->logits);
    ts_vector out = rows->out;
    ts_knobs knobs = no_filters(NAN);
    R(undivided) waiting = {NULL, NULL, {V(set1)(0), V(set1)(0), V(set1)(0), 0}, 0, 0, 0};
    R(seam) line, *const seam = past_cache ? &line : NULL;
    line.n = 0;
    R(beginning) next;
    next.looks = 0;
    R(begin_at)(&next, temperature_of(rows, first), s);
    R(begin)(&next, rows, first, type, s);
    int is_waiting = 0;
    for (intptr_t i = first; i < rows->n_rows; i++) {
        const char *x = rows->logits.data + rows->logits_step * i;
        const R(scale) scale = R(scale_of_beginning)(&next);
        REAL *const e = i & 1 ? s->block : s->weights;
        R(seen) seen = R(nothing_seen)();
        out.data = rows->out.data + rows->out_step * i;
        const int is_fast = next.is_fast;
        if (i + 1 < rows->n_rows)
            R(begin)(&next, rows, i + 1, type, s);
        if (is_fast) {
            dd sum;
            if (is_waiting) {
                if (past_cache)
                    R(divide_head)(&waiting, seam);
                sum = R(exp_beside)(R(exp_fast), x, n, type, &scale, &seen, e, &waiting, past_cache, 0);
                R(divide_tail)(&waiting, type, seam);
            } else {
                sum = R(exp_beside)(R(exp_fast), x, n, type, &scale, &seen, e, NULL, past_cache, 0);
            }
            const R(split) f = R(split_of)(R(inverse_of)(sum));
            const int is_usual = R(is_usual)(&seen), is_low = !is_usual || !R(is_plain_factor)(f.hi, f.lo);
            REAL *const buffer = e == s->block ? s->weights : s->block;
            is_waiting = is_usual || R(is_row_in_reach)(x, n, type, scale, seen, buffer);
            if (is_waiting) {
                const R(factor) factor =
                    is_low ? R(factor_of_one_block)(sum, 1) : R(plain_factor)(V(set1)(f.hi), V(set1)(f.lo));
                waiting = R(undivided_of)(e, out.data, factor, n, past_cache);
                is_waiting = !is_low || !past_cache;
                if (!is_waiting)
                    R(divide_all)(&waiting, type, seam);
                continue;
            }
            next.looks = ROWS_TO_LOOK_AT;
        } else if (is_waiting) {
            R(divide_all)(&waiting, type, seam);
            is_waiting = 0;
        }
        row.numbers.data = (char *)x;
        knobs.temperature = temperature_of(rows, i);
        R(softmax_row)(&row, n, &knobs, &out, s);
    }
    if (is_waiting)
        R(divide_all)(&waiting, type, seam);
    R(write_seam)(&line);
}

/* Each by itself: of many loops in one function a compiler keeps too little in registers. */
TS_APART void R(softmax_rows_past_cache)(intptr_t first, const ts_rows *rows, R(scratch) * s) {
    R(softmax_rows_from)(first, rows, PLAIN, TS_PAST_READ_NEAR, s);
}

TS_APART void R(softmax_rows_read_twice)(intptr_t first, const ts_rows *rows, R(scratch) * s) {
    R(softmax_rows_from)(first, rows, PLAIN, TS_PAST_READ_TWICE, s);
}

TS_APART void R(softmax_rows_in_cache)(intptr_t first, const ts_rows *rows, R(scratch) * s) {
    R(softmax_rows_from)(first, rows, PLAIN, 0, s);
}

#if TS_REAL == 32
TS_APART void R(softmax_rows_f16)(intptr_t first, const ts_rows *rows, R(scratch) * s) {
    R(softmax_rows_from)(first, rows, TS_F16, 0, s);
}

TS_APART void R(softmax_rows_bf16)(intptr_t first, const ts_rows *rows, R(scratch) * s) {
    R(softmax_rows_from)(first, rows, TS_BF16, 0, s);
}
#endif

/* Whether results are to go past the cache, and few of its lines are shared with others, or rows are contiguous. */
static inline int R(go_by_lines)(const ts_rows *rows) {
    return rows->past_cache &&
           (rows->out_step >= FEWEST_PAST_CACHE || rows->out_step == rows->n_categories * (intptr_t)sizeof(REAL));
}

static void R(softmax_rows)(const ts_rows *rows, R(scratch) * s) {
    const intptr_t first = R(softmax_sixteens)(rows, s);
    if (R(is_plain)(&rows->out) && R(go_by_lines)(rows))
        (rows->past_cache == TS_PAST_READ_TWICE ? R(softmax_rows_read_twice) : R(softmax_rows_past_cache))(first, rows,
                                                                                                           s);
    else if (R(is_plain)(&rows->out))
        R(softmax_rows_in_cache)(first, rows, s);
#if TS_REAL == 32
    else if (rows->out.type == TS_F16)
        R(softmax_rows_f16)(first, rows, s);
    else
        R(softmax_rows_bf16)(first, rows, s);
#endif
}
