/* Places in cumulative sums that numbers fall on: what draws of both number types are made with.
 *
 * A number is a fraction of all weight, or what is left of one inside some part of it. Its place is the first whose
 * cumulative sum exceeds it.
 */
#ifndef TEMPSOFT_PLACE_H
#define TEMPSOFT_PLACE_H

/* What is left of a number inside a block: see left_in_block. Then the category that is drawn. */
typedef union {
    double left;
    int64_t place;
} sorted_draw;

typedef struct {
    intptr_t index;
    double left; /* of the target, beyond the entries before it */
} choice;

#define DRAWN_TOGETHER 64
#define DRAWN_IN_L1 512

/* Cumulative sums are kept in whole vectors, with +inf behind the last; and, where more than the place is asked for,
 * with 0 ahead of the first: a branch on whether something is before it would be guessed wrong in many draws. */
#define PADDED(n) (((n) + VD_LANES - 1) / VD_LANES * VD_LANES)
#define LEAD 1

#define ALMOST_1 0x1.fffffffffffffp-1

/* The target, or the largest number below the total. */
static inline double below(double target, double total) {
    const double most = total * ALMOST_1;
    return target < most ? target : most;
}

/* How many of some cumulative sums are at most the target; whole vectors are looked at. */
TS_INLINE intptr_t count_up_to(const double *cumulative, intptr_t n, double target) {
    const vd limit = vd_set1(target);
    intptr_t count = 0;
    for (intptr_t i = 0; i < n; i += VD_LANES)
        count += vd_count(vd_ge(limit, vd_load(cumulative + i)));
    return count;
}

/* The same of many by halves. */
static inline intptr_t search_up_to(const double *cumulative, intptr_t n, double target) {
    intptr_t low = 0;
    for (intptr_t left = n; left > 1; left -= left / 2)
        low += cumulative[low + left / 2 - 1] <= target ? left / 2 : 0;
    return low + (cumulative[low] <= target);
}

/* The first entry whose cumulative sum exceeds the target; the last of positive weight where rounding left none. It is
 * one of the n whatever they are: somebody may change the row meanwhile. `most` is n or more, and a constant where few
 * are counted without a branch. */
TS_INLINE intptr_t place_of(const double *cumulative, intptr_t n, intptr_t most, double target) {
    target = below(target, cumulative[n - 1]);
    const intptr_t low =
        most > 64 || VD_LANES == 1 ? search_up_to(cumulative, n, target) : count_up_to(cumulative, most, target);
    return low < n ? low : n - 1;
}

/* The same, and what is left of the target; a 0 is ahead of the sums. */
TS_INLINE choice choose(const double *cumulative, intptr_t n, intptr_t most, double target) {
    const intptr_t low = place_of(cumulative, n, most, target);
    return (choice){low, below(target, cumulative[n - 1]) - cumulative[low - 1]};
}

#define PLACED_AT_ONCE (4 * VD_LANES)

/* `place_of` for so many parts of the weight, a lane each: numbers times `scale`; `step` numbers from sum to sum. */
static inline void places_of(const double *cumulative, intptr_t step, intptr_t n, const double *numbers, double scale,
                             int64_t *places) {
    const vd most = vd_set1(cumulative[(n - 1) * step] * ALMOST_1);
    vd target[PLACED_AT_ONCE / VD_LANES];
    vc count[PLACED_AT_ONCE / VD_LANES];
    for (int k = 0; k < PLACED_AT_ONCE / VD_LANES; k++) {
        target[k] = vd_min(vd_mul(vd_load(numbers + k * VD_LANES), vd_set1(scale)), most);
        count[k] = vc_zero();
    }
    for (intptr_t i = 0; i + 1 < n; i++) { /* the last is above every target */
        const vd sum = vd_set1(cumulative[i * step]);
        for (int k = 0; k < PLACED_AT_ONCE / VD_LANES; k++)
            count[k] = vc_up_where(count[k], vd_ge(target[k], sum));
    }
    for (int k = 0; k < PLACED_AT_ONCE / VD_LANES; k++)
        vc_store(places + k * VD_LANES, count[k]);
}

enum {
    GUIDES = 1024,       /* equal parts of all weight, */
    MOST_GUIDED = 512,   /* and blocks, at most, where the first one of each part is known */
    FEWEST_GUIDED = 1024 /* draws that are worth it */
};

/* The block at which the weight of each part begins. */
static void put_guides(const double *cumulative, intptr_t n, uint16_t *guides) {
    const double total = cumulative[n - 1];
    intptr_t low = 0;
    for (int part = 0; part < GUIDES; part++) {
        const double target = below(part * (1.0 / GUIDES) * total, total);
        while (low + 1 < n && cumulative[low] <= target)
            low++;
        guides[part] = (uint16_t)low;
    }
}

/* A block by the fraction of all weight, which there is some of. A 0 is ahead of the sums. `guides` may be NULL. */
TS_INLINE intptr_t choose_block(const double *cumulative, intptr_t n, const uint16_t *guides, double fraction) {
    const double target = below(fraction * cumulative[n - 1], cumulative[n - 1]);
    if (!guides)
        return place_of(cumulative, n, n, target);
    const double part = fraction * GUIDES; /* of a number that somebody may have changed meanwhile */
    intptr_t low = guides[part >= 0 && part < GUIDES ? (int)part : 0];
    while (low + 1 < n && cumulative[low] <= target)
        low++;
    return low;
}

/* What of such a fraction is left inside block b: of its weight as the row has it, and as it is where it is the only
 * one. */
TS_INLINE double left_in_block(const double *cumulative, intptr_t n, intptr_t b, double fraction) {
    return n == 1 ? fraction : below(fraction * cumulative[n - 1], cumulative[n - 1]) - cumulative[b - 1];
}

static inline double number_at(const ts_vector *u, intptr_t i) { return *(const double *)(u->data + i * u->stride); }

/* Whether something can be drawn by some sum; an infinite one is of a row that somebody changed meanwhile. */
static inline int is_drawable(double total) { return total > 0 && total < INFINITY; }

_Static_assert(TS_DRAWS <= 1 << 16, "the number of a draw has so many bits");

/* Choose a block for each of n draws, and sort what is left of them by it: draw i is then sorted[rank[i]], and those of
 * block b are at first_draw[b] up to first_draw[b + 1]. What is written goes to one running place for each block, never
 * to a place at random. */
static void sort_draws(const double *cumulative, intptr_t n_blocks, const ts_vector *u, intptr_t first, intptr_t n,
                       intptr_t *first_draw, uint32_t *block_of, sorted_draw *sorted, uint16_t *rank) {
    intptr_t *const start = first_draw + 1; /* of each block; then where its next draw goes: at last, the next start */
    uint16_t guides[GUIDES];
    const int are_guided = n_blocks <= MOST_GUIDED && n >= FEWEST_GUIDED;
    for (intptr_t b = -1; b <= n_blocks; b++)
        start[b] = 0;
    if (are_guided)
        put_guides(cumulative, n_blocks, guides);
    for (intptr_t i = 0; i < n; i++) {
        const double number = number_at(u, first + i);
        const intptr_t b = choose_block(cumulative, n_blocks, are_guided ? guides : NULL, number);
        block_of[i] = (uint32_t)b;
        start[b + 1]++;
    }
    for (intptr_t b = 1; b < n_blocks; b++)
        start[b] += start[b - 1];
    for (intptr_t i = 0; i < n; i++) {
        const intptr_t b = block_of[i], to = start[b]++;
        rank[i] = (uint16_t)to;
        sorted[to].left = left_in_block(cumulative, n_blocks, b, number_at(u, first + i));
    }
}

/* Draws from a row of one level that has weight, each number of `u` to its place in `index`. */
static void draw_by_sums(const double *cumulative, intptr_t step, intptr_t n, ts_vector u, ts_vector index,
                         intptr_t n_draws) {
    double fractions[PLACED_AT_ONCE] = {0};
    int64_t places[PLACED_AT_ONCE];
    for (intptr_t i = 0; i < n_draws; i += PLACED_AT_ONCE) {
        const intptr_t together = n_draws - i < PLACED_AT_ONCE ? n_draws - i : PLACED_AT_ONCE;
        const int is_whole = together == PLACED_AT_ONCE;
        const int is_read = is_whole && u.stride == sizeof *fractions;
        const int is_put = is_whole && index.stride == sizeof *places;
        for (intptr_t k = 0; !is_read && k < together; k++)
            fractions[k] = *(const double *)(u.data + k * u.stride);
        places_of(cumulative, step, n, is_read ? (const double *)u.data : fractions, cumulative[(n - 1) * step],
                  is_put ? (int64_t *)index.data : places);
        for (intptr_t k = 0; !is_put && k < together; k++)
            *(int64_t *)(index.data + k * index.stride) = places[k];
        u.data += PLACED_AT_ONCE * u.stride;
        index.data += PLACED_AT_ONCE * index.stride;
    }
}

#endif
