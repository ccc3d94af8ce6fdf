/* The centre: what every function knows about one row, and the contract between the kernels and whoever calls them.
 *
 * A row of logits, a temperature and (later) filters reduce to one plan: the largest logit, the sums of its blocks and
 * one cut. softmax, log_softmax, logsumexp and the draws all read the same plan. Plain C: no Python, no allocation, no
 * instruction set; a kernel is given its memory and leaves the floating-point status as it found it.
 */
#ifndef TEMPSOFT_PLAN_H
#define TEMPSOFT_PLAN_H

#include <stddef.h>
#include <stdint.h>

#define TS_BLOCK 1024     /* categories a block: small enough for L1, and part of the result: the order of additions */
#define TS_GROUP 64       /* categories a group of a block */
#define TS_LINE 64        /* bytes in a line of the cache */
#define TS_TILE_BYTES 128 /* rows side by side: two cache lines of each category */
#define TS_DRAWS 4096     /* draws from one row that are worked on together */

typedef enum { TS_F16, TS_BF16, TS_F32, TS_F64 } ts_type;

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

/* Keep the logits above `threshold`, and of those equal to it the first `ties`. */
typedef struct {
    double threshold;
    intptr_t ties;
} ts_cut;

/* What is known of each block, a number a block in each array. */
typedef struct {
    double *exponent;        /* c: its exponentials are exp(x / temperature) / 2^c; an integer */
    double *sum_hi, *sum_lo; /* their sum, times 2^bias; of a uniform row, the number kept */
} ts_blocks;

typedef struct {
    ts_kind kind;
    int careful; /* which exponential an ordinary row takes; if so, exponentials are relative to max and c is 0 */
    intptr_t n_categories, n_blocks;
    const struct tempering *k; /* the temperature; of the scratch memory, gone with the next row */
    double max;
    double exponent;       /* the largest c of the blocks */
    double sum_hi, sum_lo; /* of the row, times 2^(bias - exponent) */
    ts_cut cut;            /* of a uniform row */
    intptr_t n_kept;       /* by the cut */
    ts_blocks blocks;
} ts_plan;

/* Rows to work on: row i is at data + i * row_step of each operand. `log_prob.data` is NULL where none are wanted. */
typedef struct {
    intptr_t n_rows, n_categories, n_draws;
    ts_vector logits, out, u, index, log_prob; /* their strides run over categories or draws */
    const char *temperature;                   /* float64 */
    intptr_t logits_step, temperature_step, out_step, u_step, index_step, log_prob_step; /* bytes from row to row */
} ts_rows;

typedef enum {
    TS_SOFTMAX,     /* logits -> out, probabilities */
    TS_LOG_SOFTMAX, /* logits -> out */
    TS_LOGSUMEXP,   /* logits -> out, one number a row */
    TS_DRAW,        /* logits, u -> index (int64), log_prob; -1 and NaN where a row has no distribution */
    TS_N_FUNCTIONS
} ts_function;

/* What one instruction set offers. */
typedef struct {
    const char *name;
    void (*functions[TS_N_FUNCTIONS][2])(const ts_rows *rows, double *scratch); /* by float32 and float64 arithmetic */
    uint64_t *n_calls;                                                          /* of any of them */
} ts_kernels;

/* Doubles of scratch memory that a call needs, by the length of a row and how many draws each takes; 0 is no draws. */
size_t ts_scratch_doubles(intptr_t n_categories, intptr_t n_draws);

/* Instruction set i, the most preferred first, or NULL past the last; whether this CPU runs it; the one in use. */
const ts_kernels *ts_kernels_at(int i);
int ts_is_supported(const ts_kernels *kernels);
extern const ts_kernels *ts_active;

#endif
