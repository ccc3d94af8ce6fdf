/* The scratch memory of a call, and how it is carved from one piece. For REAL, by inclusion.
 *
 * Everything begins with a line of the cache: of exponentials that do not, each vector lies in two, and rows that wait
 * for their sums took a third longer. ts_scratch_doubles adds up what is taken here.
 */

/* A row whose exponentials are made and wait to be divided, while those of the next take their place. */
typedef struct {
    char *to;
    intptr_t n, next;    /* categories, 0 if no row waits; the first that was not divided */
    intptr_t head, tail; /* categories before the first line of the cache; the first after the last line */
    R(seam) seam;
    REAL *factors; /* of each block: hi, lo and `least` */
} R(waiting);

_Static_assert(sizeof(R(waiting)) <= TS_WAITING_DOUBLES * sizeof(double), "see ts_row_doubles");

#if TS_REAL == 64 /* used by both */
/* Of what does for some rows and not for others: tries to leave out, and how many those were. */
typedef struct {
    int rest, pause;
} ts_tries;

#define LONGEST_PAUSE 127 /* tiles or strips, at most, until it is tried again */

static inline int is_time_to_try(ts_tries *tries) {
    const int is_time = tries->rest == 0;
    tries->rest -= !is_time;
    return is_time;
}

/* `does`: whether what was tried did. Where it does not, it is tried more and more seldom. */
static inline int remember(int does, ts_tries *tries) {
    tries->pause = does ? 0 : tries->pause < LONGEST_PAUSE ? 2 * tries->pause + 1 : LONGEST_PAUSE;
    tries->rest = tries->pause;
    return does;
}
#endif

/* Scratch memory of a call, carved from one piece; ts_scratch_doubles says how much. */
typedef struct {
    REAL *block;        /* a block as REALs */
    REAL *weights;      /* exponentials of a block */
    double *cumulative; /* sums within a block, for draws */
    ts_blocks blocks;
    REAL *block_max;          /* the largest logit of each block, or more, */
    REAL *group_max;          /* and, for filters, of each group of 64 */
    double *block_cumulative; /* for draws, and spread.h before them: sums of blocks, and */
    intptr_t *first_draw;     /* the first of those that fall into a block, in */
    sorted_draw *sorted;
    uint16_t *rank;            /* of a draw, and */
    uint32_t *block_of;        /* its block */
    tempering k;               /* of the last row; most have the same */
    REAL *turned;              /* rows that are worked on together, or their exponentials: see ts_together_doubles */
    ts_tries tries;            /* of a c for rows together, */
    ts_tries guesses;          /* and of one that did for those before: */
    double guess;              /* it, or NaN */
    REAL *row_of;              /* of each number of LANES rows, as bits, */
    intptr_t rows_of;          /* of so many categories, 0 if none yet */
    double *tile;              /* for columns.h */
    REAL *sink;                /* for filters: a vector, for a search that collects nothing; */
    REAL *window;              /* two windows, */
    intptr_t room;             /* of so many numbers */
    REAL *kept;                /* of a spread row, its exponentials or what is between its pivots, */
    ts_plan ready;             /* the plan of that row after the cut, */
    int is_ready;              /* if it was made, */
    int takes_ready;           /* as it is for a function that takes it, */
    int takes_kept;            /* and perhaps exponentials, then 0 where the cut removed something */
    REAL *row;                 /* a row of exponentials, or NULL */
    R(waiting) * waiting;      /* what is known of those that wait there, or NULL if none do */
    int past_cache;            /* whether results are written past the cache */
    double *strip;             /* a strip of columns, or NULL */
    const ts_sharing *sharing; /* of each row, or NULL */
    double *lists;             /* for chosen.h: entries in the order of their logits */
    uint64_t *taken;           /* for draws without replacement: a bit an entry */
} R(scratch);

#if TS_REAL == 64
/* Where scratch memory begins with a line of the cache. */
static inline double *first_line(double *memory) {
    return memory + (TS_LINE - (uintptr_t)memory % TS_LINE) / sizeof *memory;
}

/* n doubles of what is left, or what makes whole lines of the cache. */
static inline double *take_lines(double **left, intptr_t n) {
    double *const taken = *left;
    *left += ts_lines(n);
    return taken;
}
#endif

static inline R(scratch) R(scratch_of)(double *memory, ts_function which, const ts_rows *rows) {
    const intptr_t n_blocks = (rows->n_categories + TS_BLOCK - 1) / TS_BLOCK;
    const intptr_t n_together = rows->n_draws < TS_DRAWS ? rows->n_draws : TS_DRAWS;
    const intptr_t n_draws = which == TS_DRAW ? n_together : 0;
    double *left = first_line(memory);
    R(scratch) s;
    s.k.temperature = NAN; /* none yet; equal to nothing */
    s.block = (REAL *)take_lines(&left, TS_BLOCK + TS_SKEW);
    s.weights = (REAL *)take_lines(&left, TS_BLOCK);
    s.cumulative = take_lines(&left, TS_BLOCK);
    s.blocks.exponent = take_lines(&left, n_blocks);
    s.blocks.sum_hi = take_lines(&left, n_blocks);
    s.blocks.sum_lo = take_lines(&left, n_blocks);
    s.block_max = (REAL *)take_lines(&left, n_blocks);
    s.block_cumulative = take_lines(&left, n_blocks + 2 * TS_LINE_DOUBLES) +
                         TS_LINE_DOUBLES; /* a 0 is ahead, and vectors are read whole */
    s.first_draw = (intptr_t *)take_lines(&left, n_blocks + 2);
    s.sorted = (sorted_draw *)take_lines(&left, n_draws);
    s.rank = (uint16_t *)take_lines(&left, n_draws / 4 + 1);
    s.block_of = (uint32_t *)take_lines(&left, n_draws / 2 + 1);
    s.group_max = (REAL *)take_lines(&left, ts_has_search(which, rows) ? n_blocks * (TS_BLOCK / TS_GROUP) : 0);
    s.lists = left; /* of rows one by one; those that are taken together may have others here */
    s.taken = (uint64_t *)left;
    s.turned = (REAL *)left;
    s.tries = s.guesses = (ts_tries){0, 0};
    s.guess = NAN;
    s.rows_of = 0;
    s.tile = left + ts_together_doubles(rows);
    s.row_of = (REAL *)(s.tile - TS_SIXTEEN * TS_LINE_DOUBLES);
    s.sink = (REAL *)(s.lists + (which == TS_BEST   ? ts_lines(4 * rows->n_draws)
                                 : which == TS_DRAW ? n_blocks * TS_BLOCK / 64
                                                    : 0));
    s.window = s.sink + TS_GROUP;
    s.room = ts_room(rows->n_categories);
    s.kept = s.window + 2 * (s.room + TS_SLACK);
    s.is_ready = 0;
    s.takes_kept = which == TS_SOFTMAX;
    s.takes_ready = which == TS_SOFTMAX || (which == TS_DRAW && !rows->log_prob.data);
    left = s.tile + ts_n_tiles(which, rows) * ts_tile_doubles(rows);
    s.row = NULL;
    if (ts_has_row(which, rows)) { /* half of 4096 bytes from the results: see NEAR_BEHIND; a fourth faster */
        const uintptr_t away = ((uintptr_t)rows->out.data + TS_SKEW * sizeof(double) - (uintptr_t)left) % 4096;
        s.row = (REAL *)(left + away / TS_LINE * TS_LINE / sizeof(double));
        left += ts_lines(ts_row_doubles(rows));
    }
    s.past_cache = rows->past_cache;
    s.sharing = rows->sharing;
    s.strip = ts_has_strip(which, rows) ? left : NULL;
    s.waiting = s.row && ts_are_waiting(rows) ? (R(waiting) *)(s.row + n_blocks * TS_BLOCK) : NULL;
    if (s.waiting)
        *s.waiting = (R(waiting)){.n = 0, .seam = {.n = 0}, .factors = (REAL *)(s.waiting + 1)};
    return s;
}
