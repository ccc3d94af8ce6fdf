/* From blocks to the row: each block's share of the weight, their sum and its inverse. For REAL, by inclusion. */

#if TS_REAL == 64 /* used by both */
/* share[b] = 2^64 exp((max[b] - max) / T), hi + lo. */
static void block_shares(const ts_blocks *blocks, intptr_t n, double max, const tempering *k) {
    const vd log_2 = vd_set1(LOG_2_HI), limit = vd_set1(UNDERFLOW), zero = vd_set1(0);
    for (intptr_t b = 0; b < n; b += VD_LANES) {
        exp_argument t = careful_argument(vd_load_first(blocks->max + b, n - b, vd_set1(max)), vd_set1(max), k);
        vd n_plus_round = vd_add(t.n, vd_set1(ROUND));
        vd q = vd_set1(COEFFICIENTS[DEGREE] * SCALE);
        for (int i = DEGREE - 1; i >= 1; i--)
            q = vd_fma(q, t.r, vd_set1(COEFFICIENTS[i] * SCALE));
        vd p = vd_fma(q, t.r, vd_set1(SCALE));
        vd p_lo = vd_fma(q, t.r, vd_sub(vd_set1(SCALE), p)); /* what rounding p lost */
        p_lo = vd_fma(t.r_lo, vd_mul(p, log_2), p_lo);
        vd_store_first(blocks->share_hi + b, n - b,
                       vd_select_ge(t.n, limit, vd_times_two_to(p, n_plus_round), zero));
        /* p_lo may be 0, whose exponent must not be touched: scale by multiplying */
        vd scale = vd_times_two_to(vd_set1(SCALE), n_plus_round);
        vd_store_first(blocks->share_lo + b, n - b,
                       vd_select_ge(t.n, limit, vd_mul(vd_mul(p_lo, scale), vd_set1(1 / SCALE)), zero));
    }
}
#endif

static void R(combine)(ts_plan *plan, const tempering *k) {
    ts_blocks *blocks = &plan->blocks;
    dd sum;
    if (plan->n_blocks == 1) {
        blocks->share_hi[0] = 0x1p64;
        blocks->share_lo[0] = 0.0;
        sum = (dd){blocks->sum_hi[0] * 0x1p64, blocks->sum_lo[0] * 0x1p64};
    } else {
        block_shares(blocks, plan->n_blocks, plan->max, k);
        sum = (dd){0.0, 0.0};
        for (intptr_t b = 0; b < plan->n_blocks; b++) {
            if (!(blocks->share_hi[b] >= VANISHED)) {
                blocks->share_hi[b] = blocks->share_lo[b] = 0.0;
                continue;
            }
            dd share = {blocks->share_hi[b], blocks->share_lo[b]};
            sum = dd_add(sum, dd_product((dd){blocks->sum_hi[b], blocks->sum_lo[b]}, share));
        }
    }
    plan->sum_hi = sum.hi;
    plan->sum_lo = sum.lo;
    plan->inverse_hi = 1.0 / sum.hi;
    plan->inverse_lo = (fma(-plan->inverse_hi, sum.hi, 1.0) - plan->inverse_hi * sum.lo) * plan->inverse_hi;
}
