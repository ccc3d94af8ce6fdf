/* Rows in lanes: every operation is on as many rows as a vector has lanes. For REAL, by inclusion.
 *
 * The same formula, order of additions and bits as a row by itself: accumulator j of a lane takes what accumulator j
 * of a row takes.
 */

/* c of LANES rows whose first groups have these maxima, at these temperatures; where it is not one for the fast
 * formula. */
static inline v_mask R(exponents_of)(VR max, const R(temperatures) * t, double *exponent) {
    REAL numbers[LANES];
    v_mask is_bad = V(not_le)(V(set1)(0), V(set1)(0));
    V(store)(numbers, max);
    for (int i = 0; i < LANES; i += VD_LANES) {
        const vd to_even = vd_set1(0x1.8p53), c = vd_mul(R(wide)(numbers + i), t->log2_e[i / VD_LANES]);
        is_bad = v_mask_or(is_bad, vd_not_le(c, vd_set1(0x1p-1 * LARGEST_EXPONENT)));
        is_bad = v_mask_or(is_bad, vd_not_le(vd_set1(-0x1p-1 * LARGEST_EXPONENT), c));
        vd_store(exponent + i, vd_sub(vd_add(c, to_even), to_even));
    }
    return is_bad;
}

/* Make c of a scale that of LANES rows, a lane each. */
TS_INLINE void R(set_exponents)(R(scale) * scale, const R(temperatures) * t, const double *exponent) {
    const vd round = vd_set1(ROUND), below = vd_set1(LOWEST);
    vd parts[2][WIDTHS];
    for (int i = 0; i < WIDTHS; i++) {
        const vd c = vd_load(exponent + i * VD_LANES), to_logits = vd_mul(vd_set1(LOG_2_HI), t->temperature[i]);
        parts[0][i] = vd_sub(round, c);
        parts[1][i] = vd_mul(vd_add(c, below), to_logits);
    }
    scale->round_less_c = R(narrow)(parts[0]);
    scale->lowest = R(narrow)(parts[1]);
}

/* 2^up / sum of n rows, as hi + lo: inverse_of for many. Whether no lo is nearer to 0 than that. */
static int R(inverses)(const double *sum_hi, const double *sum_lo, int n, int up, REAL least_lo, REAL *hi, REAL *lo) {
    const vd more = vd_set1(two_to(up));
    v_mask is_near = V(not_le)(V(set1)(0), V(set1)(0));
    for (int c = 0; c < n; c += LANES) {
#if TS_REAL == 32
        vd parts[WIDTHS];
        (void)sum_lo;
        for (int i = 0; i < WIDTHS; i++)
            parts[i] = vd_load(sum_hi + c + i * VD_LANES);
        const vf inverse = vf_div(vf_set1(1), vf_from_vd(parts));
        for (int i = 0; i < WIDTHS; i++) {
            const vd wide = vf_part_to_vd(inverse, i), error = vd_fms(wide, parts[i], vd_set1(1));
            parts[i] = vd_mul(vd_mul(vd_sub(vd_set1(0), error), wide), more);
        }
        const VR low = R(narrow)(parts);
        V(store)(hi + c, vf_mul(inverse, vf_set1((float)two_to(up))));
#else
        const vd sum = vd_load(sum_hi + c), inverse = vd_div(vd_set1(1), sum), error = vd_fms(inverse, sum, vd_set1(1));
        const vd rest = vd_mul(inverse, vd_load(sum_lo + c));
        const vd all = vd_mul(vd_sub(vd_sub(vd_set1(0), error), rest), inverse),
                 size = vd_max(all, vd_sub(vd_set1(0), all));
        const vd low = vd_mul(vd_keep_ge(size, vd_mul(inverse, vd_set1(NEGLIGIBLE)), all), more);
        V(store)(hi + c, vd_mul(inverse, more));
#endif
        V(store)(lo + c, low);
        is_near = v_mask_or(is_near, V(not_le)(V(set1)(least_lo), V(max)(low, V(sub)(V(set1)(0), low))));
    }
    return !v_mask_any(is_near);
}

/* The same, and whether quotients by them may be subnormal, as they may if `is_low`: then 2^LEAST_DOWN times that. */
TS_INLINE int R(inverses_and_range)(const double *sum_hi, const double *sum_lo, int n, int is_low, REAL *hi, REAL *lo) {
    if (!is_low && R(inverses)(sum_hi, sum_lo, n, 0, LEAST_LO, hi, lo))
        return 0;
    R(inverses)(sum_hi, sum_lo, n, LEAST_DOWN, 0, hi, lo);
    return 1;
}

/* n vectors of logits to exponentials, one category after another, `step` numbers apart. */
TS_INLINE void R(exp_lanes)(const REAL *x, intptr_t x_step, intptr_t n, const R(scale) * scale, R(seen) * seen, REAL *e,
                            intptr_t e_step) {
    intptr_t i = 0;
    for (; i + TOGETHER <= n; i += TOGETHER) {
        VR v[TOGETHER];
        for (int k = 0; k < TOGETHER; k++)
            v[k] = V(load)(x + (i + k) * x_step);
        R(exp_fast)(v, TOGETHER, scale, seen, NULL);
        for (int k = 0; k < TOGETHER; k++)
            V(store)(e + (i + k) * e_step, v[k]);
    }
    for (; i < n; i++) {
        VR v = V(load)(x + i * x_step);
        R(exp_fast)(&v, 1, scale, seen, NULL);
        V(store)(e + i * e_step, v);
    }
}

/* Add what accumulator j takes of a group of n categories at most; what is missing is left out. */
TS_INLINE void R(sum_lane)(R(sum) * sum, intptr_t j, const REAL *e, intptr_t step, intptr_t n) {
    for (int part = 0; part < PARTS; part++) {
        const REAL *at = e + j * step + part * VD_LANES;
        vd *hi = &sum->hi[part];
#if TS_REAL == 32
        vd first = R(wide)(at), second;
        if (j + 16 < n)
            first = vd_add(first, R(wide)(at + 16 * step));
        if (j + 32 < n) {
            second = R(wide)(at + 32 * step);
            if (j + 48 < n)
                second = vd_add(second, R(wide)(at + 48 * step));
            first = vd_add(first, second);
        }
        *hi = vd_add(*hi, first);
#else
        for (int chunk = 0; chunk < 4 && j + 16 * chunk < n; chunk++)
            sum_compensated(hi, &sum->lo[part], vd_load(at + 16 * chunk * step));
#endif
    }
}

/* The same of 16 columns and all their accumulators. */
TS_INLINE void R(sum_lanes)(R(sum) sums[16], const REAL *e, intptr_t step, intptr_t n) {
    for (intptr_t j = 0; j < 16 && j < n; j++)
        R(sum_lane)(&sums[j], j, e, step, n);
}

/* The sums of 16 columns of n_most - 3 to n_most exponentials, which are one chunk: an accumulator each. */
TS_INLINE void R(sum_few)(const REAL *e, intptr_t step, intptr_t n, int n_most, double *sum_hi, double *sum_lo) {
    for (int at = 0; at < 16; at += VD_LANES) {
        vd hi[16], lo[16];
        for (int j = 0; j < n_most; j++) {
            hi[j] = j < n_most - 3 || j < n ? R(wide)(e + j * step + at) : vd_set1(0);
            lo[j] = vd_set1(0);
        }
        R(fold_across)(hi, lo, n_most);
        vd_store(sum_hi + at, hi[0]);
        vd_store(sum_lo + at, TS_REAL == 32 ? vd_set1(0) : lo[0]);
    }
}

/* The sums of columns of n exponentials, `step` numbers from category to category; a multiple of 16 columns. */
static void R(sums_of_columns)(const REAL *e, intptr_t step, intptr_t n, intptr_t n_columns, double *sum_hi,
                               double *sum_lo) {
    for (intptr_t c = 0; c < n_columns; c += 16) {
        if (n <= 4)
            R(sum_few)(e + c, step, n, 4, sum_hi + c, sum_lo + c);
        else if (n <= 8)
            R(sum_few)(e + c, step, n, 8, sum_hi + c, sum_lo + c);
        else if (n <= 12)
            R(sum_few)(e + c, step, n, 12, sum_hi + c, sum_lo + c);
        else if (n <= 16)
            R(sum_few)(e + c, step, n, 16, sum_hi + c, sum_lo + c);
        if (n <= 16)
            continue;
        R(sum) sums[16]; /* of 16 columns, an accumulator each */
        for (int j = 0; j < 16; j++)
            sums[j] = R(sum_zero)();
        for (intptr_t i = 0; i < n; i += TS_GROUP)
            R(sum_lanes)(sums, e + i * step + c, step, n - i < TS_GROUP ? n - i : TS_GROUP);
        const R(sum) total = R(sum_across)(sums);
        R(put_sums)(&total, sum_hi + c, sum_lo + c);
    }
}
