/* Filters of short rows, a tile of them in lanes: from knobs to the numbers that are left. For REAL, by inclusion.
 *
 * The same cuts as of a row by itself. Each row is sorted, by exchanges that are the same whatever its numbers are, so
 * that lanes do them together; then the k-th entry is at place k, and the sum of exponentials is counted off from the
 * first. A tile with NaN or infinities, or a limit of the temperature, is declined.
 */

/* Numbers of a tile, [category][row], and what is cut off its rows. */
typedef struct {
    REAL *x, *sorted, *e; /* as they are; the largest first; exponentials */
    intptr_t n;           /* categories */
    R(short_tile) tile;
    REAL place[TILE];                      /* of the last entry that is left, in the order of sorted ones */
    REAL threshold[TILE], ties[TILE];      /* left are the numbers above it, and so many of those equal to it */
    double temperature[TILE], top_p[TILE]; /* that the filters look at */
    double min_p[TILE];
    int has_k, has_p, has_min_p;
} R(short_cut);

/* The knobs of rows first ... first + TILE; 0 if they are declined. */
static int R(begin_short_cut)(R(short_cut) * t, const ts_rows *rows, intptr_t first) {
    const intptr_t n = rows->n_categories;
    t->n = n;
    t->has_k = t->has_p = t->has_min_p = 0;
    for (int c = 0; c < TILE; c++) {
        const ts_knobs knobs = knobs_of(rows, first + c);
        const double temperature = knobs.options & TS_TEMPERATURE_LAST ? 1.0 : knobs.temperature;
        const int has_k = knobs.top_k > 0 && knobs.top_k < n;
        if (!(temperature > 0 && temperature < INFINITY))
            return 0;
        t->temperature[c] = temperature;
        t->place[c] = (REAL)((has_k ? knobs.top_k : n) - 1);
        t->top_p[c] = knobs.top_p;
        t->min_p[c] = knobs.min_p;
        t->has_k |= has_k;
        t->has_p |= knobs.top_p < 1;
        t->has_min_p |= knobs.min_p > 0;
    }
    return 1;
}

/* Sort each row of a tile, the largest first, by merge exchange: Knuth, "The Art of Computer Programming", volume 3,
 * section 5.2.2, algorithm M. */
static void R(sort_tile)(REAL *x, intptr_t n) {
    intptr_t top = 1;
    while (2 * top < n)
        top *= 2;
    for (intptr_t p = top; p > 0; p /= 2) {
        intptr_t q = top, r = 0, distance = p;
        for (;;) {
            for (intptr_t i = 0; i + distance < n; i++) {
                if ((i & p) != r)
                    continue;
                REAL *const a = x + i * TILE, *const b = a + distance * TILE;
                for (int v = 0; v < TILE; v += LANES) {
                    const VR one = V(load)(a + v), other = V(load)(b + v);
                    V(store)(a + v, V(max)(one, other));
                    V(store)(b + v, V(min)(one, other));
                }
            }
            if (q == p)
                break;
            distance = q - p;
            q /= 2;
            r = p;
        }
    }
}

/* Cut each row behind its place; not at all if that is among entries of -inf. */
static void R(cut_at_places)(R(short_cut) * t) {
    for (int c = 0; c < TILE; c++) {
        const REAL last = t->sorted[(intptr_t)t->place[c] * TILE + c];
        t->threshold[c] = last >= -REAL_MAX ? last : -REAL_MAX;
    }
    for (int v = 0; v < TILE; v += LANES) {
        const VR threshold = V(load)(t->threshold + v);
        VR above = V(set1)(0);
        for (intptr_t i = 0; i < t->n; i++)
            above = V(add_where)(above, V(not_le)(V(load)(t->sorted + i * TILE + v), threshold), V(set1)(1));
        V(store)(t->ties + v, V(sub)(V(add)(V(load)(t->place + v), V(set1)(1)), above));
    }
}

/* The rows with -inf for what is cut off them. */
static void R(mask_tile)(const R(short_cut) * t, REAL *to) {
    const VR none = V(set1)((REAL)-INFINITY), one = V(set1)(1);
    REAL next[TILE];
    for (int c = 0; c < TILE; c++)
        next[c] = R(next_up)(t->threshold[c]);
    for (int v = 0; v < TILE; v += LANES) {
        const VR threshold = V(load)(t->threshold + v), above = V(load)(next + v);
        VR ties = V(load)(t->ties + v); /* that may still be left */
        for (intptr_t i = 0; i < t->n; i++) {
            const VR x = V(load)(t->x + i * TILE + v), least = V(select_ge)(ties, one, threshold, above);
            const v_mask is_tie = v_mask_and(V(ge)(x, threshold), V(ge)(threshold, x));
            V(store)(to + i * TILE + v, V(select_ge)(x, least, x, none));
            ties = V(add_where)(ties, is_tie, V(set1)(-1));
        }
    }
}

/* Have each place be no later than where the sum of exponentials, of sorted numbers, reaches its target. */
static void R(places_of_mass)(R(short_cut) * t, const double *target) {
    double count[TILE];
    for (int c = 0; c < TILE; c += DRAWN_AT_ONCE * VD_LANES) {
        vd sum[DRAWN_AT_ONCE], before[DRAWN_AT_ONCE], least[DRAWN_AT_ONCE];
        for (int k = 0; k < DRAWN_AT_ONCE; k++) {
            sum[k] = before[k] = vd_set1(0);
            least[k] = vd_load(target + c + k * VD_LANES);
        }
        for (intptr_t i = 0; i < t->n; i++)
            for (int k = 0; k < DRAWN_AT_ONCE; k++) {
                sum[k] = vd_add(sum[k], R(wide)(t->e + i * TILE + c + k * VD_LANES));
                before[k] = vd_add_where(before[k], vd_not_le(least[k], sum[k]), vd_set1(1));
            }
        for (int k = 0; k < DRAWN_AT_ONCE; k++)
            vd_store(count + c + k * VD_LANES, before[k]);
    }
    for (int c = 0; c < TILE; c++)
        t->place[c] = (REAL)count[c] < t->place[c] ? (REAL)count[c] : t->place[c];
}

/* top_p of what top_k left. */
static void R(cut_tile_by_mass)(R(short_cut) * t) {
    const size_t bytes = (size_t)t->n * TILE * sizeof(REAL);
    double target[TILE];
    t->tile.e = t->e;
    if (t->has_k)
        R(mask_tile)(t, t->e);
    else
        memcpy(t->e, t->x, bytes);
    R(short_exp)(&t->tile);
    R(sums_of_columns)(t->e, TILE, t->n, TILE, t->tile.plans.sum_hi, t->tile.plans.sum_lo);
    for (int c = 0; c < TILE; c++)
        target[c] = t->top_p[c] < 1 ? target_of_mass(t->top_p[c], t->tile.plans.sum_hi[c]) : INFINITY;
    memcpy(t->e, t->sorted, bytes);
    R(short_exp)(&t->tile);
    R(places_of_mass)(t, target);
}

/* min_p, of the largest number of each row. */
static void R(cut_tile_below)(R(short_cut) * t) {
    double log = 0, min_p = 1;
    for (int c = 0; c < TILE; c++) {
        if (!(t->min_p[c] > 0))
            continue;
        if (t->min_p[c] != min_p) {
            min_p = t->min_p[c];
            log = log_of_min_p(min_p);
        }
        const REAL least = R(least_by_min_p)((double)t->tile.plans.max[c], t->temperature[c], log);
        if (least > t->threshold[c]) {
            t->threshold[c] = least;
            t->ties[c] = (REAL)t->n;
        }
    }
}

/* The cuts of rows first ... first + TILE; 0 if they are declined. */
static int R(cut_tile)(R(short_cut) * t, const ts_rows *rows, intptr_t first, R(scratch) * s) {
    if (!R(begin_short_cut)(t, rows, first) || !R(set_temperatures)(&t->tile, t->temperature, s))
        return 0;
    R(turn_in)(rows, first, t->x);
    t->tile.e = t->x;
    t->tile.n = t->n;
    if (!R(short_max)(&t->tile))
        return 0;
    for (int c = 0; c < TILE; c++) {
        t->threshold[c] = -REAL_MAX;
        t->ties[c] = (REAL)t->n;
    }
    if (t->has_k || t->has_p) {
        memcpy(t->sorted, t->x, (size_t)t->n * TILE * sizeof(REAL));
        R(sort_tile)(t->sorted, t->n);
        if (t->has_k)
            R(cut_at_places)(t);
        if (t->has_p) {
            R(cut_tile_by_mass)(t);
            R(cut_at_places)(t);
        }
    }
    if (t->has_min_p)
        R(cut_tile_below)(t);
    return 1;
}
