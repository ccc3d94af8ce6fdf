/* Philox4x64-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011),
 * exactly as numpy.random.Philox has it: the counter starts at 1, and a double is the upper 53 bits of a word. One by
 * one and for any CPU: philox_lanes.h has the same in lanes. */
#ifndef TEMPSOFT_PHILOX_H
#define TEMPSOFT_PHILOX_H

#include <stdint.h>

#define MULTIPLIER_0 0xD2E7470EE14C6C93u
#define MULTIPLIER_1 0xCA5A826395121157u
#define KEY_STEP_0 0x9E3779B97F4A7C15u /* the golden ratio */
#define KEY_STEP_1 0xBB67AE8584CAA73Bu /* sqrt(3) - 1 */

#if defined(_MSC_VER)
#include <intrin.h>
static inline uint64_t multiply(uint64_t a, uint64_t b, uint64_t *high) { return _umul128(a, b, high); }
#else
__extension__ typedef unsigned __int128 uint128;
static inline uint64_t multiply(uint64_t a, uint64_t b, uint64_t *high) {
    uint128 product = (uint128)a * b;
    *high = (uint64_t)(product >> 64);
    return (uint64_t)product;
}
#endif

/* A counter on its way to its words, and the upper part of its key. */
typedef struct {
    uint64_t words[4], key_1;
} philox_state;

/* One of ten rounds; the lower part of the key is moved on by the caller. */
static inline void philox_round(philox_state *x, uint64_t key_0) {
    uint64_t high_a, high_c, low_a = multiply(MULTIPLIER_0, x->words[0], &high_a);
    uint64_t low_c = multiply(MULTIPLIER_1, x->words[2], &high_c);
    x->words[0] = high_c ^ x->words[1] ^ key_0;
    x->words[2] = high_a ^ x->words[3] ^ x->key_1;
    x->words[1] = low_c;
    x->words[3] = low_a;
    x->key_1 += KEY_STEP_1;
}

/* Signed, as most CPUs convert no others at once. */
static inline double uniform_of(uint64_t word) { return (double)(int64_t)(word >> 11) * 0x1p-53; }

/* out[i * n_columns + j] = number first_row + i of the stream of key (seed, first_column + j), in [0, 1). The last row
 * is below 2^64. */
void ts_uniforms(uint64_t seed, uint64_t first_row, intptr_t n_rows, uint64_t first_column, intptr_t n_columns,
                 double *out);

#endif
