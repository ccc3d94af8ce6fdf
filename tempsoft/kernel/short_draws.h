/* Draws from short rows, a tile of them in lanes. For REAL, by inclusion.
 *
 * What ready_block, draw_in_block and draw_successively come to in a row of one level, and put_log_probs of weights.
 */

/* Whether weights are such that no sum of a row and no share in it leaves the range: 0, or not far from 1. Where there
 * are zeros, they are looked at twice. */
static int R(short_weights_are_moderate)(const R(short_tile) * t) {
    const VR zero = V(set1)(0), infinity = V(set1)((REAL)INFINITY), least = V(set1)((REAL)MODERATE_WEIGHT);
    VR sum[2] = {zero, zero}, smallest[2] = {infinity, infinity}, above_0 = infinity;
    for (intptr_t i = 0; i < t->n * TILE; i += 2 * LANES)
        for (int k = 0; k < 2; k++) {
            const VR x = V(load)(t->e + i + k * LANES);
            sum[k] = V(add)(sum[k], x); /* NaN if one is */
            smallest[k] = V(min)(x, smallest[k]);
        }
    const VR all = V(add)(sum[0], sum[1]), least_of_all = V(min)(smallest[0], smallest[1]);
    if (v_mask_any(v_mask_or(V(not_le)(all, V(set1)((REAL)(1 / MODERATE_WEIGHT))), V(not_le)(zero, least_of_all))))
        return 0;
    if (!v_mask_any(V(not_le)(least, least_of_all)))
        return 1;
    for (intptr_t i = 0; i < t->n * TILE; i += 2 * LANES)
        for (int k = 0; k < 2; k++) {
            const VR x = V(load)(t->e + i + k * LANES);
            above_0 = V(min)(V(select_ge)(zero, x, infinity, x), above_0);
        }
    return !v_mask_any(V(not_le)(least, above_0));
}

#define DRAWN_AT_ONCE (TILE / VD_LANES < 4 ? TILE / VD_LANES : 4) /* vectors: an addition waits for the one before */
#define FEW_KEPT 32 /* categories whose cumulative sums stay in L1 beside exponentials; of more they are made again */

/* The sums of a tile, a lane for each row, and of few categories all cumulative ones. 0 if one has no weight. */
TS_INLINE int R(add_in_lanes)(const REAL *e, intptr_t n, int are_kept, double *cumulative, double *total) {
    v_mask is_bad = vd_not_le(vd_set1(0), vd_set1(0));
    for (int c = 0; c < TILE; c += DRAWN_AT_ONCE * VD_LANES) {
        vd sum[DRAWN_AT_ONCE];
        for (int k = 0; k < DRAWN_AT_ONCE; k++)
            sum[k] = vd_set1(0);
        for (intptr_t i = 0; i < n; i++)
            for (int k = 0; k < DRAWN_AT_ONCE; k++) {
                const intptr_t at = i * TILE + c + k * VD_LANES;
                sum[k] = vd_add(sum[k], R(wide)(e + at));
                if (are_kept)
                    vd_store(cumulative + at, sum[k]);
            }
        for (int k = 0; k < DRAWN_AT_ONCE; k++) {
            is_bad = v_mask_or(is_bad, vd_ge(vd_set1(0), sum[k]));
            is_bad = v_mask_or(is_bad, vd_not_le(sum[k], vd_set1(0x1.fffffffffffffp1023)));
            vd_store(total + c + k * VD_LANES, sum[k]);
        }
    }
    return !v_mask_any(is_bad);
}

/* `place_of` for as many rows as that, by the fractions u. */
TS_INLINE void R(count_in_lanes)(const REAL *e, intptr_t n, int are_kept, const double *cumulative, const double *total,
                                 const double *u, int64_t *place) {
    vd sum[DRAWN_AT_ONCE], target[DRAWN_AT_ONCE];
    vc count[DRAWN_AT_ONCE];
    for (int k = 0; k < DRAWN_AT_ONCE; k++) {
        const vd all = vd_load(total + k * VD_LANES);
        target[k] = vd_min(vd_mul(vd_load(u + k * VD_LANES), all), vd_mul(all, vd_set1(ALMOST_1)));
        sum[k] = vd_set1(0);
        count[k] = vc_zero();
    }
    for (intptr_t i = 0; i + 1 < n; i++) /* the last is above every target */
        for (int k = 0; k < DRAWN_AT_ONCE; k++) {
            const intptr_t at = i * TILE + k * VD_LANES;
            sum[k] = are_kept ? vd_load(cumulative + at) : vd_add(sum[k], R(wide)(e + at));
            count[k] = vc_up_where(count[k], vd_ge(target[k], sum[k]));
        }
    for (int k = 0; k < DRAWN_AT_ONCE; k++)
        vc_store(place + k * VD_LANES, count[k]);
}

/* The same where sums are made again: they take all registers there are. */
TS_APART void R(add_and_count)(const REAL *e, intptr_t n, const double *total, const double *u, int64_t *place) {
    R(count_in_lanes)(e, n, 0, NULL, total, u, place);
}

/* Number m of each row of a tile, or 0 where there is none. */
static inline const double *R(numbers_of_tile)(const ts_rows *rows, intptr_t first, intptr_t m, double *apart) {
    const char *const u = rows->u.data + first * rows->u_step + m * rows->u.stride;
    const int width = R(width_of_tile)(rows, first);
    if (rows->u_step == sizeof *apart && width == TILE) /* vectors of numbers just stored wait for all before them */
        return (const double *)u;
    for (int c = 0; c < TILE; c++)
        apart[c] = c < width ? *(const double *)(u + c * rows->u_step) : 0;
    return apart;
}

/* Draws from the rows of a tile, to their place; without replacement, each takes what it drew from the weights. If
 * `are_kept`, `cumulative` gets the sums; it may be `e` where weights are doubles and none is taken. */
TS_INLINE int R(choose_in_tile_of)(REAL *e, const ts_rows *rows, intptr_t first, int are_kept, double *cumulative) {
    double total[TILE], apart[TILE];
    int64_t place[TILE];
    const intptr_t n = rows->n_categories;
    const int width = R(width_of_tile)(rows, first), takes = rows->draw_options & TS_WITHOUT_REPLACEMENT;
    const int are_adjacent = width == TILE && rows->index_step == sizeof *place;
    int are_left = R(add_in_lanes)(e, n, are_kept, cumulative, total);
    for (intptr_t m = 0; are_left && m < rows->n_draws; m++) {
        const double *const u = R(numbers_of_tile)(rows, first, m, apart);
        char *const index = rows->index.data + first * rows->index_step + m * rows->index.stride;
        int64_t *const to = are_adjacent ? (int64_t *)index : place;
        for (int c = 0; c < TILE; c += DRAWN_AT_ONCE * VD_LANES)
            if (are_kept)
                R(count_in_lanes)(e + c, n, 1, cumulative + c, total + c, u + c, to + c);
            else
                R(add_and_count)(e + c, n, total + c, u + c, to + c);
        for (int c = 0; !are_adjacent && c < width; c++)
            *(int64_t *)(index + c * rows->index_step) = place[c];
        if (!takes || m + 1 == rows->n_draws)
            continue;
        for (int c = 0; c < width; c++)
            e[(intptr_t)to[c] * TILE + c] = 0;
        are_left = R(add_in_lanes)(e, n, are_kept, cumulative, total);
    }
    return are_left;
}

#define FEWEST_OF_A_ROW 12 /* draws that are a lane each for one row after another */

/* So many draws from each row of a tile, with replacement. */
TS_APART int R(choose_row_by_row)(const REAL *e, const ts_rows *rows, intptr_t first) {
    double cumulative[TS_SHORT * TILE], total[TILE];
    const intptr_t n = rows->n_categories;
    if (!R(add_in_lanes)(e, n, 1, cumulative, total))
        return 0;
    for (int c = 0; c < R(width_of_tile)(rows, first); c++) {
        const ts_vector u = {rows->u.data + (first + c) * rows->u_step, rows->u.stride, TS_F64};
        const ts_vector index = {rows->index.data + (first + c) * rows->index_step, rows->index.stride,
                                 rows->index.type};
        draw_by_sums(cumulative + c, TILE, n, u, index, rows->n_draws);
    }
    return 1;
}

static int R(choose_in_tile)(REAL *e, const ts_rows *rows, intptr_t first) {
    double kept[FEW_KEPT * TILE];
    if (rows->n_draws >= FEWEST_OF_A_ROW && !(rows->draw_options & TS_WITHOUT_REPLACEMENT))
        return R(choose_row_by_row)(e, rows, first);
    if (rows->n_categories <= FEW_KEPT)
        return R(choose_in_tile_of)(e, rows, first, 1, kept);
#if TS_REAL == 64
    if (!(rows->draw_options & TS_WITHOUT_REPLACEMENT))
        return R(choose_in_tile_of)(e, rows, first, 1, e);
#endif
    return R(choose_in_tile_of)(e, rows, first, 0, kept);
}

/* How many rows were drawn from. As every exponential is normal and no quotient can be 0, neither is needed. */
TS_INLINE intptr_t R(draw_adjacent_tiles_of)(const ts_rows *rows, intptr_t first, ts_type type, R(scratch) * s) {
    int is_low;
    const tempering *k = R(tempering_for)(s, temperature_of(rows, first));
    const R(adjacent) f = R(adjacent_at)(rows, first, TILE, s->turned + TS_GROUP * TILE);
    const double c = R(adjacent_exponent)(&f, k, type, 1, &is_low);
    R(seen) seen = R(nothing_seen)();
    if (!isnan(c))
        R(adjacent_exp)(&f, k, type, c, NULL, 0, &seen);
    if (!remember(!isnan(c) && !R(has_seen_nan)(&seen), &s->tries))
        return 0;
    for (intptr_t i = 0; i < f.n_rows; i += TILE) {
        for (int c = 0; c < TILE; c += LANES)
            R(turn_pieces_in)(f.e + (i + c) * f.n, f.n, f.n, s->turned + c);
        if (!R(choose_in_tile)(s->turned, rows, first + i))
            return i;
    }
    return f.n_rows;
}

OF_EACH_TYPE(draw_adjacent_tiles)

static intptr_t R(draw_adjacent)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    if (rows->draw_options & TS_WEIGHTS || rows->n_categories > TS_GROUP || !R(are_adjacent)(rows, s))
        return 0;
    return R(draw_adjacent_tiles)(rows, first, s);
}

/* Exponentials of which some quotient may be subnormal: 0 for those that would be 0 as probabilities. */
static void R(drop_undrawable)(R(short_tile) * t) {
    REAL hi[TILE], lo[TILE];
    R(sums_of_columns)(t->e, TILE, t->n, TILE, t->plans.sum_hi, t->plans.sum_lo);
    R(inverses)(t->plans.sum_hi, t->plans.sum_lo, TILE, LEAST_DOWN, 0, hi, lo);
    for (int v = 0; v < TILE; v += LANES) {
        const R(factor) f = R(low_factor)(V(load)(hi + v), V(load)(lo + v));
        for (intptr_t i = 0; i < t->n; i++) {
            REAL *e = t->e + i * TILE + v;
            V(store)(e, R(if_drawable)(V(load)(e), &f));
        }
    }
}

/* Draws from each row. */
static intptr_t R(draw_short_rows)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    const intptr_t n_adjacent = R(draw_adjacent)(rows, first, s);
    if (n_adjacent > 0)
        return n_adjacent;
    R(short_tile) t;
    if (rows->draw_options & TS_WEIGHTS) {
        if (!R(short_rows)(&t, rows, first, s) || !R(short_weights_are_moderate)(&t))
            return 0;
        for (int c = R(width_of_tile)(rows, first); c < TILE; c++)
            t.e[c] = 1; /* so that what is missing has a weight */
    } else {
        if (!R(short_rows)(&t, rows, first, s) || !R(short_max)(&t))
            return 0;
        if (!R(short_exp)(&t))
            R(drop_undrawable)(&t);
    }
    return R(choose_in_tile)(t.e, rows, first) ? R(width_of_tile)(rows, first) : 0;
}

/* What a row of weights has its logarithms made of: the sum, over 2^c as its plan has it, and that factor. */
typedef struct {
    double scale[TILE], sum_hi[TILE], sum_lo[TILE];
    vd_pair log_sum[TILE / VD_LANES];
} R(weight_logs);

static void R(weight_logs_of)(const R(short_tile) * t, R(weight_logs) * logs) {
    for (int v = 0; v < TILE; v += LANES) {
        REAL largest[LANES];
        VR max = V(load)(t->e + v);
        for (intptr_t i = 1; i < t->n; i++)
            max = V(max)(V(load)(t->e + i * TILE + v), max);
        V(store)(largest, max);
        for (int c = 0; c < LANES; c++) {
            int exponent;
            frexp((double)largest[c], &exponent);
            logs->scale[v + c] = two_to(BIAS - exponent);
        }
    }
    R(sums_of_columns)(t->e, TILE, t->n, TILE, logs->sum_hi, logs->sum_lo);
    for (int c = 0; c < TILE; c += VD_LANES) {
        const vd_pair sum = R(sums_at)(logs->sum_hi, logs->sum_lo, c);
        const vd scale = vd_load(logs->scale + c);
        logs->log_sum[c / VD_LANES] = vd_log((vd_pair){vd_mul(sum.hi, scale), vd_mul(sum.lo, scale)});
    }
}

/* log_prob of draws from a tile of weights; 0 if they are declined, as of a row that has none. */
static int R(log_probs_of_tile)(const ts_rows *rows, intptr_t first, R(scratch) * s) {
    R(short_tile) t;
    R(weight_logs) logs;
    const int width = R(width_of_tile)(rows, first);
    for (int c = 0; c < width; c++) /* of such a row all draws are -1 */
        if (*(const int64_t *)(rows->index.data + (first + c) * rows->index_step) < 0)
            return 0;
    if (width < TILE || !R(short_rows)(&t, rows, first, s) || !R(short_weights_are_moderate)(&t))
        return 0;
    R(weight_logs_of)(&t, &logs);
    for (intptr_t m = 0; m < rows->n_draws; m++)
        for (int c = 0; c < TILE; c += VD_LANES) {
            double chosen[VD_LANES];
            for (int k = 0; k < VD_LANES; k++) {
                const char *const index = rows->index.data + (first + c + k) * rows->index_step;
                chosen[k] = (double)t.e[named(index, rows->index.stride, m, t.n) * TILE + c + k];
            }
            const vd e = vd_mul(vd_load(chosen), vd_load(logs.scale + c));
            const vd_pair log = vd_log((vd_pair){e, vd_set1(0)}), log_sum = logs.log_sum[c / VD_LANES];
            vd_store(chosen, vd_add(vd_sub(log.hi, log_sum.hi), vd_sub(log.lo, log_sum.lo)));
            for (int k = 0; k < VD_LANES; k++) {
                char *const to = rows->log_prob.data + (first + c + k) * rows->log_prob_step;
                *(REAL *)(to + m * rows->log_prob.stride) = (REAL)chosen[k];
            }
        }
    return 1;
}

/* log_prob of draws from rows of weights. */
static void R(log_probs_of_weights)(const ts_rows *rows, double *memory) {
    const unsigned status = begin_call();
    R(scratch) s = R(scratch_of)(memory, TS_LOG_PROB, rows);
    R(source) row = R(whole)(&rows->logits);
    ts_vector index = rows->index, log_prob = rows->log_prob;
    for (intptr_t i = 0; i < rows->n_rows; i++) {
        if (i % TILE == 0 && R(log_probs_of_tile)(rows, i, &s)) {
            i += TILE - 1;
            continue;
        }
        ts_plan plan;
        row.numbers.data = rows->logits.data + rows->logits_step * i;
        index.data = rows->index.data + rows->index_step * i;
        log_prob.data = rows->log_prob.data + rows->log_prob_step * i;
        R(plan_weights)(&plan, &row, rows->n_categories, NULL, &s);
        R(put_log_probs)(&plan, &row, &index, &log_prob, rows->n_draws, s.block);
    }
    end_call(status);
}
