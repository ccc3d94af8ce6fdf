/* The one order of additions that every path follows, because the order is part of the result. For REAL, by inclusion.
 *
 * A group of 64 exponentials is four chunks of 16. For j = 0..15, float32: (e_j + e_{j+16}) + (e_{j+32} + e_{j+48})
 * goes to accumulator j, all in double; float64: the four go to accumulator j one by one, with the error of each
 * addition beside it. At the end of a block the accumulators are folded 16 -> 8 -> 4 -> 2 -> 1, float32 first each
 * even one with the next: so they lie where every second float is the easiest to widen. What is missing is +0. Adding
 * the first pairs in REAL would be a tenth faster and was found to cost a third of an ulp too much.
 */

#define PARTS (16 / VD_LANES)     /* vectors of 16 doubles */
#define PIECES (16 / LANES)       /* vectors of 16 REALs */
#define WIDTHS (LANES / VD_LANES) /* vectors of doubles from one of REALs */

#define SETTLED (4 * TS_GROUP) /* numbers, until what was stored is in the cache and not on its way there */

typedef struct {
    vd hi[PARTS];
#if TS_REAL == 64
    vd lo[PARTS];
#endif
} R(sum);

/* (hi, lo) + s, with the error of the addition to lo. Lane by lane, so that columns can use it too. */
#if TS_REAL == 64
static inline void sum_compensated(vd *hi, vd *lo, vd s) {
    vd total = vd_add(*hi, s), other = vd_sub(total, *hi);
    *lo = vd_add(*lo, vd_add(vd_sub(*hi, vd_sub(total, other)), vd_sub(s, other)));
    *hi = total;
}
#endif

static inline R(sum) R(sum_zero)(void) {
    R(sum) sum;
    for (int i = 0; i < PARTS; i++) {
        sum.hi[i] = vd_set1(0);
#if TS_REAL == 64
        sum.lo[i] = vd_set1(0);
#endif
    }
    return sum;
}

static inline vd R(sum_low)(const R(sum) * sum, int part) {
#if TS_REAL == 32
    (void)sum, (void)part;
    return vd_set1(0);
#else
    return sum->lo[part];
#endif
}

/* Add a group. */
static inline void R(sum_vectors)(R(sum) * sum, const VR e[TS_GROUP / LANES]) {
    for (int piece = 0; piece < PIECES; piece++) {
        const VR chunks[4] = {e[piece], e[piece + PIECES], e[piece + 2 * PIECES], e[piece + 3 * PIECES]};
#if TS_REAL == 32
        for (int part = 0; part < WIDTHS; part++) {
            vd first = vd_add(vf_summands(chunks[0], part), vf_summands(chunks[1], part));
            vd second = vd_add(vf_summands(chunks[2], part), vf_summands(chunks[3], part));
            vd *hi = &sum->hi[piece * WIDTHS + part];
            *hi = vd_add(*hi, vd_add(first, second));
        }
#else
        for (int chunk = 0; chunk < 4; chunk++)
            sum_compensated(&sum->hi[piece], &sum->lo[piece], chunks[chunk]);
#endif
    }
}

/* Add a part of a group that is in memory. */
TS_INLINE void R(add_part)(R(sum) * sum, int part, const REAL *e) {
    const REAL *p = e + part / WIDTHS * LANES;
    vd *const hi = &sum->hi[part];
#if TS_REAL == 32
    vd chunks[4];
    for (int chunk = 0; chunk < 4; chunk++)
        chunks[chunk] = vf_summands_at(p + 16 * chunk, part % WIDTHS);
    *hi = vd_add(*hi, vd_add(vd_add(chunks[0], chunks[1]), vd_add(chunks[2], chunks[3])));
#else
    for (int chunk = 0; chunk < 4; chunk++)
        sum_compensated(hi, &sum->lo[part], vd_load(p + 16 * chunk));
#endif
}

/* All of it. */
TS_INLINE void R(sum_group)(R(sum) * sum, const REAL *e) {
    for (int part = 0; part < PARTS; part++)
        R(add_part)(sum, part, e);
}

/* A group that has been in memory for SETTLED numbers. It is added while exponentials are made, TOGETHER vectors at a
 * time, a share of the accumulators each time. */
typedef struct {
    R(sum) * sum;
    const REAL *e;
    intptr_t at; /* where it begins */
    int share;
} R(settled);

TS_INLINE void R(add_settled)(const R(settled) * group) {
    const int n_shares = TS_GROUP / (TOGETHER * LANES);
    for (int part = group->share * PARTS / n_shares; part < (group->share + 1) * PARTS / n_shares; part++)
        R(add_part)(group->sum, part, group->e + group->at);
}

#if TS_REAL == 64
/* 2 n -> n -> ... -> 1, n vectors into the n before them. */
static inline vd fold_vectors(vd *sums, int n) {
    for (; n >= 1; n /= 2)
        for (int i = 0; i < n; i++)
            sums[i] = vd_add(sums[i], sums[i + n]);
    return sums[0];
}
#endif

/* The sum of 16 accumulators without their errors, but for the additions of lanes; they are used up. */
static inline vd R(fold_parts)(vd *sums) {
#if TS_REAL == 32
    for (int i = 0; i < PARTS / 2; i++)
        sums[i] = vd_add_neighbours(sums[2 * i], sums[2 * i + 1]);
    return fold_vectors(sums, PARTS / 4);
#else
    return fold_vectors(sums, PARTS / 2);
#endif
}

/* The same with them. */
static inline double R(fold)(vd *sums) {
#if TS_REAL == 32
    return vd_add_up(R(fold_parts)(sums)) * SUMMANDS_TOOK;
#else
    double lanes[VD_LANES];
    vd_store(lanes, R(fold_parts)(sums));
    for (int width = VD_LANES / 2; width >= 1; width /= 2)
        for (int i = 0; i < width; i++)
            lanes[i] += lanes[i + width];
    return lanes[0];
#endif
}

/* The fold of accumulators whose lanes are columns: the additions of R(sum_total), lane by lane, of the first n of 16
 * if the others are 0; into the first. Floats have no lo. */
TS_INLINE void R(fold_across)(vd hi[16], vd lo[16], int n) {
#if TS_REAL == 32
    (void)lo;
    for (int j = 0; 2 * j < n; j++)
        hi[j] = 2 * j + 1 < n ? vd_add(hi[2 * j], hi[2 * j + 1]) : hi[2 * j];
    n = (n + 1) / 2;
#endif
    for (int width = TS_REAL == 32 ? 4 : 8; width >= 1; n = n < width ? n : width, width /= 2)
        for (int j = 0; j < width && j + width < n; j++) {
#if TS_REAL == 32
            hi[j] = vd_add(hi[j], hi[j + width]);
#else
            lo[j] = vd_add(lo[j], lo[j + width]);
            sum_compensated(&hi[j], &lo[j], hi[j + width]);
#endif
        }
#if TS_REAL == 64
    const vd rest = lo[0];
    lo[0] = vd_set1(0);
    sum_compensated(&hi[0], &lo[0], rest);
#endif
}

/* That of 16 columns. */
static inline R(sum) R(sum_across)(R(sum) sums[16]) {
    R(sum) total;
    for (int part = 0; part < PARTS; part++) {
        vd hi[16], lo[16];
        for (int j = 0; j < 16; j++) {
            hi[j] = sums[j].hi[part];
            lo[j] = R(sum_low)(&sums[j], part);
        }
        R(fold_across)(hi, lo, 16);
        total.hi[part] = hi[0];
#if TS_REAL == 64
        total.lo[part] = lo[0];
#endif
    }
    return total;
}

/* Sixteen sums that are in the lanes of one accumulator, to memory; without lo if that is NULL. */
TS_INLINE void R(put_sums)(const R(sum) * total, double *sum_hi, double *sum_lo) {
    for (int part = 0; part < PARTS; part++) {
        vd_store(sum_hi + part * VD_LANES, total->hi[part]);
        if (sum_lo)
            vd_store(sum_lo + part * VD_LANES, R(sum_low)(total, part));
    }
}

#if TS_REAL == 32
/* The sums of VD_LANES rows, of which the lanes are left to be added, to memory. */
TS_INLINE void R(put_folded)(const vd sums[VD_LANES], double *sum_hi) {
    vd_store(sum_hi, vd_mul(vd_add_up_each(sums), vd_set1(SUMMANDS_TOOK)));
}
#endif

/* The sums of 16 rows from their accumulators, which are used up, to memory; of floats without lo, which is 0. */
TS_INLINE void R(put_sums_of_rows)(R(sum) rows[16], double *sum_hi, double *sum_lo) {
#if TS_REAL == 32
    for (int at = 0; at < 16; at += VD_LANES) {
        vd sums[VD_LANES];
        for (int i = 0; i < VD_LANES; i++)
            sums[i] = R(fold_parts)(rows[at + i].hi);
        R(put_folded)(sums, sum_hi + at);
    }
    (void)sum_lo;
#else
    R(sum) sums[16]; /* with a row in each lane */
    for (int part = 0; part < PARTS; part++)
        for (int to = 0; to < PARTS; to++) {
            vd hi[VD_LANES], lo[VD_LANES];
            for (int i = 0; i < VD_LANES; i++) {
                hi[i] = rows[to * VD_LANES + i].hi[part];
                lo[i] = rows[to * VD_LANES + i].lo[part];
            }
            vd_transpose(hi);
            vd_transpose(lo);
            for (int i = 0; i < VD_LANES; i++) {
                sums[part * VD_LANES + i].hi[to] = hi[i];
                sums[part * VD_LANES + i].lo[to] = lo[i];
            }
        }
    const R(sum) total = R(sum_across)(sums);
    R(put_sums)(&total, sum_hi, sum_lo);
#endif
}

static inline dd R(sum_total)(R(sum) * sum) {
#if TS_REAL == 32
    return (dd){R(fold)(sum->hi), 0.0};
#else
    for (int width = PARTS / 2; width >= 1; width /= 2)
        for (int i = 0; i < width; i++) {
            sum->lo[i] = vd_add(sum->lo[i], sum->lo[i + width]);
            sum_compensated(&sum->hi[i], &sum->lo[i], sum->hi[i + width]);
        }
    double hi[VD_LANES], lo[VD_LANES];
    vd_store(hi, sum->hi[0]);
    vd_store(lo, sum->lo[0]);
    for (int width = VD_LANES / 2; width >= 1; width /= 2)
        for (int i = 0; i < width; i++) {
            dd pair = dd_two_sum(hi[i], hi[i + width]);
            hi[i] = pair.hi;
            lo[i] = (lo[i] + lo[i + width]) + pair.lo;
        }
    return dd_two_sum(hi[0], lo[0]);
#endif
}
