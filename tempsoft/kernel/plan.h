/* The centre: what every function knows about one row, and the contract between the kernels and whoever calls them.
 *
 * A row of logits and a temperature reduce to one plan: the sums of its blocks and, for the functions that want it,
 * the largest logit. softmax, log_softmax, logsumexp and the draws all read the same plan. Filters are no part of it:
 * they cut the row first (source.h); the `cut` of a plan is that of equal shares. Plain C: no Python, no allocation,
 * no instruction set; a kernel is given its memory and leaves the floating-point status as it found it.
 */
#ifndef TEMPSOFT_PLAN_H
#define TEMPSOFT_PLAN_H

#include <stddef.h>
#include <stdint.h>

#define TS_BLOCK 1024     /* categories a block: small enough for L1, and part of the result: the order of additions */
#define TS_GROUP 64       /* categories a group of a block */
#define TS_SHORT 128      /* categories of a row that is short: tiles of them stay in L1 */
#define TS_TILE_BYTES 128 /* rows side by side in a tile: two cache lines of each category */
#define TS_TILES 4        /* tiles that are worked on together, at most, */
#define TS_TILES_BYTES 8192 /* if they have no more bytes: they stay in L1 */
#define TS_SIXTEEN 128      /* categories of rows of which 16 are worked on together, at most: they stay in L1 */
#define TS_LONGEST 262144   /* categories of a row whose exponentials stay in cache, at most */
#define TS_WAITING 524288   /* bytes of a row whose exponentials stay in cache beside those of the next, at most */
#define TS_LINE 64          /* bytes in a line of the cache, */
#define TS_LINE_DOUBLES 8   /* and doubles */
#define TS_SKEW 256         /* doubles between buffers of which one is read and one written: half of 4096 bytes */
#define TS_STRIP_BYTES 256  /* columns side by side in a strip, */
#define TS_WIDE_STRIP 2     /* or so many times as many */
#define TS_STRIP_MOST 8192  /* categories of columns that are taken by strips, at most: 2 MB or twice as many */
#define TS_RUN 16           /* categories a run of a group, whose sums wait for one another */
#define TS_DRAWS 32768      /* draws from one row that are worked on together */

typedef enum { TS_F16, TS_BF16, TS_F32, TS_F64 } ts_type;

static inline intptr_t ts_size_of(ts_type type) { return type == TS_F64 ? 8 : type == TS_F32 ? 4 : 2; }

/* Equally spaced numbers in memory; the stride is in bytes. Always aligned and of native byte order. */
typedef struct {
    char *data;
    intptr_t stride;
    ts_type type;
} ts_vector;

struct tempering;

typedef enum {
    TS_ORDINARY, /* weights exp((x - max) / temperature), described by the blocks */
    TS_UNIFORM,  /* equal shares of what the cut keeps: +inf in the row, or a temperature of 0 or inf */
    TS_NOWHERE,  /* only -inf: no distribution */
    TS_NAN       /* NaN in the row, or a temperature that is NaN or negative */
} ts_kind;

typedef enum {
    TS_FAST,
    TS_CAREFUL, /* exponentials are relative to max, and c is 0 */
    TS_WEIGHED  /* weights, over 2^c */
} ts_formula;

/* Where the exponentials of some logits lie. */
typedef enum {
    TS_USUAL,
    TS_LOW,     /* one is so small that its quotient may be subnormal: that is slow, if done by floats of that size */
    TS_EXCEEDED /* one is too large to have a meaning */
} ts_range;

/* Keep the logits above `threshold`, and of those equal to it the first `ties`. */
typedef struct {
    double threshold;
    intptr_t ties;
} ts_cut;

/* What reshapes the distribution of a row. */
typedef struct {
    double temperature;
    int64_t top_k;       /* 0 or below: off */
    double top_p, min_p; /* 1 and 0: off */
    int64_t options;     /* of ts_option */
} ts_knobs;

typedef enum {
    TS_TEMPERATURE_LAST = 1,    /* the filters look at temperature 1 */
    TS_WITHOUT_REPLACEMENT = 2, /* draws */
    TS_WEIGHTS = 4              /* draws: the numbers are weights, not logits */
} ts_option;

/* What is known of each block, a number a block in each array. */
typedef struct {
    double *exponent;        /* c: its exponentials are exp(x / temperature) / 2^c; an integer */
    double *sum_hi, *sum_lo; /* their sum, times 2^bias; of a uniform row, the number kept */
} ts_blocks;

typedef struct {
    ts_kind kind;
    ts_formula formula; /* of the exponentials of an ordinary row */
    int is_low;         /* whether a quotient may be subnormal: see ts_range */
    intptr_t n_categories, n_blocks;
    const struct tempering *k; /* the temperature; of the scratch memory, gone with the next row */
    double max;
    double exponent;       /* the largest c of the blocks */
    double sum_hi, sum_lo; /* of the row, times 2^(bias - exponent) */
    ts_cut cut;            /* of a uniform row */
    intptr_t n_kept;       /* by the cut */
    ts_blocks blocks;
} ts_plan;

/* Whether results are so many that they are better written past the cache, and how this CPU is best read then. */
typedef enum {
    TS_NOT_PAST,
    TS_PAST_READ_NEAR, /* once: to L1 or, where more can be under way, to L2 */
    TS_PAST_READ_TWICE /* to L2, and then to L1; columns by narrow strips */
} ts_past;

/* Threads that share a long row. A kernel has them call `part` for all of its blocks, n from `first` on at a time, each
 * block once; when `share` returns, that is done. */
typedef void (*ts_part)(void *work, intptr_t first, intptr_t n);
typedef struct ts_sharing {
    void (*share)(const struct ts_sharing *sharing, ts_part part, void *work, intptr_t n_blocks);
} ts_sharing;

/* Rows to work on: row i is at data + i * step of each operand. `log_prob.data` is NULL where none are wanted, `top_k`
 * where there are no filters and no options. */
typedef struct {
    intptr_t n_rows, n_categories, n_draws;
    ts_vector logits, out, u, index, log_prob;                         /* their strides run over categories or draws */
    const char *temperature, *top_k, *top_p, *min_p, *options;         /* float64, int64, float64, float64, int64 */
    intptr_t logits_step, out_step, u_step, index_step, log_prob_step; /* bytes from row to row */
    intptr_t temperature_step, top_k_step, top_p_step, min_p_step, options_step;
    int draw_options; /* of ts_option: how each row is drawn from, where there are no filters; else `options` say it */
    ts_past past_cache;
    const ts_sharing *sharing; /* of each row; NULL if a thread works on a row alone */
} ts_rows;

typedef enum {
    TS_SOFTMAX,     /* logits -> out, probabilities */
    TS_LOG_SOFTMAX, /* logits -> out */
    TS_LOGSUMEXP,   /* logits -> out, one number a row */
    TS_ENTROPY,     /* logits -> out, one number a row */
    TS_SUPPORT,     /* logits -> index (int64), the number kept; out, their mass */
    TS_LOG_PROB,    /* logits, index -> log_prob; n_draws a row */
    TS_BEST,        /* logits -> index, log_prob of the n_draws best; -1 and -inf where there are fewer */
    TS_DRAW,        /* logits, u -> index (int64), log_prob; -1 and NaN where a row has no distribution */
    TS_N_FUNCTIONS
} ts_function;

/* What one instruction set offers. */
typedef struct {
    const char *name;
    void (*functions[TS_N_FUNCTIONS][2])(const ts_rows *rows, double *scratch); /* by float32 and float64 arithmetic */
    /* ts_uniforms of philox.h, in lanes where there are any */
    void (*uniforms)(uint64_t seed, uint64_t first_row, intptr_t n_rows, uint64_t first_column, intptr_t n_columns,
                     double *out);
    uint64_t *n_calls;    /* of any of `functions`, and of parts of their work */
    uint64_t *n_infinite; /* rows with +inf, of which one may count more than once */
    uint64_t *n_undrawn;  /* draws that are -1, and places of the best where there are fewer */
} ts_kernels;

/* Doubles of scratch memory that a call needs. */
size_t ts_scratch_doubles(ts_function which, const ts_rows *rows);

/* Categories in block b of a row of n. */
static inline intptr_t ts_block_length(intptr_t n, intptr_t b) {
    const intptr_t rest = n - b * TS_BLOCK;
    return rest < TS_BLOCK ? rest : TS_BLOCK;
}

/* The temperature of row i, and all its knobs. */
static inline double temperature_of(const ts_rows *rows, intptr_t i) {
    return *(const double *)(rows->temperature + rows->temperature_step * i);
}

/* Have `rows` be those from number n on. */
static inline void ts_skip(ts_rows *rows, intptr_t n) {
    rows->n_rows -= n;
    ts_vector *const vectors[] = {&rows->logits, &rows->out, &rows->u, &rows->index, &rows->log_prob};
    const char **const numbers[] = {&rows->temperature, &rows->top_k, &rows->top_p, &rows->min_p, &rows->options};
    const intptr_t of_vectors[] = {rows->logits_step, rows->out_step, rows->u_step, rows->index_step,
                                   rows->log_prob_step};
    const intptr_t of_numbers[] = {rows->temperature_step, rows->top_k_step, rows->top_p_step, rows->min_p_step,
                                   rows->options_step};
    for (int i = 0; i < 5; i++) {
        if (vectors[i]->data)
            vectors[i]->data += n * of_vectors[i];
        if (*numbers[i])
            *numbers[i] += n * of_numbers[i];
    }
}

/* At most n of the rows, from number `first` on. */
static inline ts_rows ts_some(const ts_rows *rows, intptr_t first, intptr_t n) {
    ts_rows some = *rows;
    ts_skip(&some, first);
    some.n_rows = some.n_rows < n ? some.n_rows : n;
    return some;
}

static inline ts_knobs no_filters(double temperature) { return (ts_knobs){.temperature = temperature, .top_p = 1}; }

static inline ts_knobs knobs_of(const ts_rows *rows, intptr_t i) {
    return (ts_knobs){temperature_of(rows, i), *(const int64_t *)(rows->top_k + rows->top_k_step * i),
                      *(const double *)(rows->top_p + rows->top_p_step * i),
                      *(const double *)(rows->min_p + rows->min_p_step * i),
                      *(const int64_t *)(rows->options + rows->options_step * i)};
}

_Static_assert(TS_LINE_DOUBLES * sizeof(double) == TS_LINE, "the same in doubles");

/* So many doubles, and what is missing to whole lines of the cache. */
static inline intptr_t ts_lines(intptr_t n_doubles) {
    return (n_doubles + TS_LINE_DOUBLES - 1) / TS_LINE_DOUBLES * TS_LINE_DOUBLES;
}

/* Numbers in a window of a search, whole lines, and behind it: a group that begins in it, and a vector. */
#define TS_SLACK (TS_GROUP + 16)
static inline intptr_t ts_room(intptr_t n_categories) {
    return n_categories / 4 > 2 * TS_BLOCK ? n_categories / 4 / 16 * 16 : 2 * TS_BLOCK;
}

/* Doubles for what is known of a tile of columns: four doubles and three numbers a block and column. */
static inline intptr_t ts_tile_doubles(const ts_rows *rows) {
    const intptr_t n_blocks = (rows->n_categories + TS_BLOCK - 1) / TS_BLOCK;
    return n_blocks * (TS_TILE_BYTES / 4) * 11 / 2;
}

/* Doubles for rows that are worked on together: 16 rows of TS_SIXTEEN doubles, or what is as much; a line behind them,
 * as pieces and vectors are read whole; and of adjacent rows a line for each of TS_SIXTEEN categories. */
_Static_assert(TS_SHORT *TS_TILE_BYTES <= 128 * TS_SIXTEEN && TS_GROUP * TS_STRIP_BYTES <= 128 * TS_SIXTEEN &&
                   2 * TS_GROUP * TS_TILE_BYTES <= 128 * TS_SIXTEEN && 2 * TS_TILES_BYTES <= 128 * TS_SIXTEEN,
               "they take no more than 16 rows of doubles");
static inline intptr_t ts_together_doubles(const ts_rows *rows) {
    return rows->n_rows < 16 ? 0 : 16 * TS_SIXTEEN + (TS_SIXTEEN + 1) * TS_LINE_DOUBLES;
}

/* Whether rows are searched: for where a filter cuts them, or for the best. */
static inline int ts_has_search(ts_function which, const ts_rows *rows) { return rows->top_k || which == TS_BEST; }

static inline int ts_is_half(ts_type type) { return type == TS_F16 || type == TS_BF16; }

/* Whether rows have exponentials that wait to be divided while those of the next are made, both in cache. Results that
 * stay in cache take as much of it, and may as well be made in their place. */
static inline int ts_are_waiting(const ts_rows *rows) {
    if (ts_is_half(rows->out.type))
        return 0;
    const intptr_t n_blocks = (rows->n_categories + TS_BLOCK - 1) / TS_BLOCK;
    const intptr_t bytes = n_blocks * TS_BLOCK * (rows->logits.type == TS_F64 ? 8 : 4);
    return rows->past_cache ? bytes <= TS_WAITING : rows->n_rows > 1 && n_blocks >= 8 && bytes <= TS_WAITING / 2;
}

/* Whether a call has scratch memory for a row of exponentials: they wait there for their sum, in cache, or, of halves,
 * are kept there until they are divided. Not those of a row that would not stay there, nor of filtered rows, whose
 * search is in their place, nor of one that threads share. */
static inline int ts_has_row(ts_function which, const ts_rows *rows) {
    return which == TS_SOFTMAX && !rows->top_k && !rows->sharing && rows->n_categories > TS_BLOCK &&
           rows->n_categories <= TS_LONGEST && (rows->past_cache || ts_are_waiting(rows) || ts_is_half(rows->out.type));
}

#define TS_WAITING_DOUBLES 32

/* Doubles for such a row, what divides it and a few words about it; and to choose where in 4096 bytes it begins. */
static inline intptr_t ts_row_doubles(const ts_rows *rows) {
    const intptr_t n_blocks = (rows->n_categories + TS_BLOCK - 1) / TS_BLOCK;
    return n_blocks * TS_BLOCK / (rows->logits.type == TS_F64 ? 1 : 2) + 3 * n_blocks + TS_WAITING_DOUBLES +
           2 * TS_SKEW;
}

/* Whether rows are columns that lie side by side, of which a strip fits into cache. */
static inline int ts_has_strip(ts_function which, const ts_rows *rows) {
    const intptr_t size = rows->logits.type == TS_F64 ? 8 : 4;
    const int takes_columns = which <= TS_ENTROPY ? rows->out_step == size : which == TS_LOG_PROB;
    return takes_columns && !rows->top_k && rows->logits_step == size && rows->n_rows >= TS_TILE_BYTES / size &&
           rows->n_categories > 1 && rows->n_categories <= TS_STRIP_MOST;
}

/* Tiles that a call has scratch memory for: of a strip, and of softmax of that before it. */
static inline intptr_t ts_n_tiles(ts_function which, const ts_rows *rows) {
    return ts_has_strip(which, rows) ? TS_WIDE_STRIP * (which == TS_SOFTMAX ? 2 : 1) * (TS_STRIP_BYTES / TS_TILE_BYTES)
                                     : 1;
}

/* Instruction set i, the most preferred first, or NULL past the last; whether this CPU runs it; the one in use. */
const ts_kernels *ts_kernels_at(int i);
int ts_is_supported(const ts_kernels *kernels);
extern const ts_kernels *ts_active;

/* Bytes of the largest cache that this CPU says it has; 0 if it does not say. */
intptr_t ts_cache_bytes(void);

/* How this CPU is to read where results go past the cache. */
ts_past ts_way_past_cache(void);

#endif
