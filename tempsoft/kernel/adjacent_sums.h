/* The sums of adjacent rows of exponentials, 16 rows at a time: of short ones with a row in each lane, of others row by
 * row. The additions and bits of a row by itself. For REAL, by inclusion.
 */

#define FEWEST_BY_ROWS (TS_REAL == 32 ? BY_ROWS : TS_GROUP + 1) /* categories */

/* A piece of each of LANES rows at e, n numbers apart, with a row in each lane; 0 for what is not below `left`. */
TS_INLINE void R(turn_piece)(const REAL *e, intptr_t n, intptr_t left, VR v[PIECE]) {
    for (int j = 0; j < PIECE; j++)
        v[j] = V(load_pieces)(e + j * n, PIECE * n);
    V(transpose_pieces)(v);
    for (int j = 1; j < PIECE; j++)
        v[j] = j < left ? v[j] : V(set1)(0);
}

/* The sum of a group, of which `n_chunks` are not 0: an accumulator of sum_vectors that had nothing yet. */
TS_INLINE void R(add_chunks)(const vd chunks[4], int n_chunks, vd *hi, vd *lo) {
#if TS_REAL == 32
    const vd first = n_chunks > 1 ? vd_add(chunks[0], chunks[1]) : chunks[0];
    (void)lo;
    *hi = n_chunks > 3 ? vd_add(first, vd_add(chunks[2], chunks[3])) : n_chunks > 2 ? vd_add(first, chunks[2]) : first;
#else
    *hi = chunks[0];
    *lo = vd_set1(0);
    for (int chunk = 1; chunk < n_chunks; chunk++)
        sum_compensated(hi, lo, chunks[chunk]);
#endif
}

#if TS_REAL == 32
/* The accumulators of 16 rows of three exponentials, with every second row in a lane: as they are widened. */
TS_INLINE R(sum) R(sum_threes)(const REAL *e) {
    R(sum) total;
    for (int c = 0; c < 16; c += LANES) {
        VR v[3];
        vf_turn_threes(e + 3 * c, v);
        for (int k = 0; k < WIDTHS; k++) {
            vd hi[16] = {vf_widened(v[0], k), vf_widened(v[1], k), vf_widened(v[2], k)};
            R(fold_across)(hi, NULL, 3);
            total.hi[c / VD_LANES + k] = hi[0];
        }
    }
    return total;
}
#endif

/* The same of rows of n exponentials, which is one of the last four numbers up to n_most, 16 at most; of doubles, with
 * every row in a lane. So many rows after another that no accumulator has to leave its register. */
TS_INLINE R(sum) R(sum_few_of_rows)(const REAL *e, intptr_t n, int n_most) {
    R(sum) total;
    for (int c = 0; c < 16; c += LANES) {
        vd hi[WIDTHS][16], lo[WIDTHS][16];
        for (int i = 0; i < n_most; i += PIECE) {
            VR v[PIECE];
            if (i < n_most - 3 || i < n)
                R(turn_piece)(e + c * n + i, n, n - i, v);
            else
                for (int j = 0; j < PIECE; j++)
                    v[j] = V(set1)(0);
            for (int j = 0; j < PIECE; j++)
                for (int k = 0; k < WIDTHS; k++) {
#if TS_REAL == 32
                    hi[k][i + j] = vf_widened(v[j], k);
#else
                    hi[k][i + j] = v[j];
#endif
                    lo[k][i + j] = vd_set1(0);
                }
        }
        for (int k = 0; k < WIDTHS; k++) {
            R(fold_across)(hi[k], lo[k], n_most);
            total.hi[c / VD_LANES + k] = hi[k][0];
#if TS_REAL == 64
            total.lo[c / VD_LANES + k] = lo[k][0];
#endif
        }
    }
    return total;
}

/* The same of n of the last 16 numbers up to n_most, which is above 16. */
TS_INLINE R(sum) R(sum_lanes_of_rows)(const REAL *e, intptr_t n, int n_most) {
    const int surely = n_most - 15, n_chunks = n_most / 16;
    R(sum) sums[16];
    for (int i = 0; i < 16; i += PIECE)
        for (int c = 0; c < 16; c += LANES) {
            VR v[4][PIECE];
            for (int at = i; at < n_most; at += 16)
                if (at < surely || at < n)
                    R(turn_piece)(e + c * n + at, n, n - at, v[at / 16]);
                else
                    for (int j = 0; j < PIECE; j++)
                        v[at / 16][j] = V(set1)(0);
            for (int j = 0; j < PIECE; j++)
                for (int k = 0; k < WIDTHS; k++) {
                    const int to = c / VD_LANES + k;
                    vd chunks[4];
                    for (int chunk = 0; chunk < n_chunks; chunk++)
#if TS_REAL == 32
                        chunks[chunk] = vf_widened(v[chunk][j], k);
                    R(add_chunks)(chunks, n_chunks, &sums[i + j].hi[to], NULL);
#else
                        chunks[chunk] = v[chunk][j];
                    R(add_chunks)(chunks, n_chunks, &sums[i + j].hi[to], &sums[i + j].lo[to]);
#endif
                }
        }
    return R(sum_across)(sums);
}

TS_INLINE void R(sums_in_lanes)(const REAL *e, intptr_t n, int n_most, double *sum_hi, double *sum_lo) {
#if TS_REAL == 32
    R(sum)
    total = n_most == 3   ? R(sum_threes)(e)
            : n_most > 16 ? R(sum_lanes_of_rows)(e, n, n_most)
                          : R(sum_few_of_rows)(e, n, n_most);
    for (int part = 0; part < PARTS; part += WIDTHS) {
        for (int k = 0; k < WIDTHS; k++)
            total.hi[part + k] = vd_mul(total.hi[part + k], vd_set1(0x1p896)); /* what vf_widened took */
        vd_interleave(&total.hi[part]);
    }
#else
    const R(sum) total = n_most > 16 ? R(sum_lanes_of_rows)(e, n, n_most) : R(sum_few_of_rows)(e, n, n_most);
#endif
    R(put_sums)(&total, sum_hi, TS_REAL == 64 ? sum_lo : NULL);
}

/* The accumulators of a row of n exponentials: whole groups, and n_chunks chunks of 16 behind them, of which the last
 * has these lanes of floats. */
TS_INLINE R(sum) R(sum_row)(const REAL *e, intptr_t n, int n_chunks, const v_mask last[PIECES]) {
    R(sum) sum = R(sum_zero)();
    intptr_t i = 0;
    for (; i + TS_GROUP <= n; i += TS_GROUP)
        R(sum_group)(&sum, e + i);
#if TS_REAL == 32
    for (int part = 0; n_chunks > 0 && part < PARTS; part++) {
        vd chunks[4], hi;
        for (int chunk = 0; chunk < n_chunks; chunk++) {
            const intptr_t at = i + 16 * chunk + part / WIDTHS * LANES;
            if (chunk + 1 < n_chunks)
                chunks[chunk] = vf_summands_at(e + at, part % WIDTHS);
            else
                chunks[chunk] = vf_summands(vf_where(last[part / WIDTHS], vf_load(e + at)), part % WIDTHS);
        }
        R(add_chunks)(chunks, n_chunks, &hi, NULL);
        sum.hi[part] = n < TS_GROUP ? hi : vd_add(sum.hi[part], hi);
    }
#else
    VR rest[TS_GROUP / LANES];
    (void)last;
    for (int k = 0; k < TS_GROUP / LANES; k++)
        rest[k] = V(load_up_to)(e + i + k * LANES, n - i - k * LANES, V(set1)(0));
    if (n_chunks > 0)
        R(sum_vectors)(&sum, rest);
#endif
    return sum;
}

/* The sums of 16 such rows. */
TS_INLINE void R(sums_by_rows)(const REAL *e, intptr_t n, int n_chunks, double *sum_hi, double *sum_lo) {
#if TS_REAL == 32
    v_mask last[PIECES];
    const intptr_t n_last = n % TS_GROUP - 16 * (n_chunks - 1);
    for (int piece = 0; piece < PIECES; piece++)
        last[piece] = vf_below(n_last - piece * LANES);
    for (int at = 0; at < 16; at += VD_LANES) {
        vd sums[VD_LANES];
        for (int i = 0; i < VD_LANES; i++) {
            R(sum) row = R(sum_row)(e + (at + i) * n, n, n_chunks, last);
            sums[i] = R(fold_parts)(row.hi);
        }
        R(put_folded)(sums, sum_hi + at);
    }
    (void)sum_lo;
#else
    R(sum) rows[16];
    for (int i = 0; i < 16; i++)
        rows[i] = R(sum_row)(e + i * n, n, n_chunks, NULL);
    R(put_sums_of_rows)(rows, sum_hi, sum_lo);
#endif
}

/* The sums of n_rows rows; of floats without lo, which is 0. */
static void R(adjacent_sums)(const REAL *e, intptr_t n, intptr_t n_rows, double *sum_hi, double *sum_lo) {
    const intptr_t in_lanes = n < FEWEST_BY_ROWS ? n : TS_GROUP + 1, rest = n % TS_GROUP;
    for (intptr_t c = 0; c < n_rows; c += 16, e += 16 * n, sum_hi += 16, sum_lo += 16)
        if (n == 3 && TS_REAL == 32)
            R(sums_in_lanes)(e, n, 3, sum_hi, sum_lo);
        else if (n == 2) /* two classes and ten digits are what is the most common */
            R(sums_in_lanes)(e, 2, 2, sum_hi, sum_lo);
        else if (n == 10)
            R(sums_in_lanes)(e, 10, 10, sum_hi, sum_lo);
        else if (in_lanes <= 4)
            R(sums_in_lanes)(e, n, 4, sum_hi, sum_lo);
        else if (in_lanes <= 8)
            R(sums_in_lanes)(e, n, 8, sum_hi, sum_lo);
        else if (in_lanes <= 12)
            R(sums_in_lanes)(e, n, 12, sum_hi, sum_lo);
        else if (in_lanes <= 16)
            R(sums_in_lanes)(e, n, 16, sum_hi, sum_lo);
        else if (in_lanes <= 32)
            R(sums_in_lanes)(e, n, 32, sum_hi, sum_lo);
#if TS_REAL == 64
        else if (in_lanes <= 48)
            R(sums_in_lanes)(e, n, 48, sum_hi, sum_lo);
        else if (in_lanes <= 64)
            R(sums_in_lanes)(e, n, 64, sum_hi, sum_lo);
#endif
        else if (rest == 0)
            R(sums_by_rows)(e, n, 0, sum_hi, sum_lo);
        else if (rest <= 16)
            R(sums_by_rows)(e, n, 1, sum_hi, sum_lo);
        else if (rest <= 32)
            R(sums_by_rows)(e, n, 2, sum_hi, sum_lo);
        else if (rest <= 48)
            R(sums_by_rows)(e, n, 3, sum_hi, sum_lo);
        else
            R(sums_by_rows)(e, n, 4, sum_hi, sum_lo);
}
