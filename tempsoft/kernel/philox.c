/* See philox.h. */
#include "philox.h"

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

/* The four words at `counter`, whose upper 192 bits are 0. */
static inline void philox(uint64_t counter, uint64_t key_0, uint64_t key_1, uint64_t words[4]) {
    uint64_t a = counter, b = 0, c = 0, d = 0;
    for (int round = 0; round < 10; round++) {
        uint64_t high_a, high_c, low_a = multiply(MULTIPLIER_0, a, &high_a);
        uint64_t low_c = multiply(MULTIPLIER_1, c, &high_c);
        a = high_c ^ b ^ key_0;
        c = high_a ^ d ^ key_1;
        b = low_c;
        d = low_a;
        key_0 += KEY_STEP_0;
        key_1 += KEY_STEP_1;
    }
    words[0] = a, words[1] = b, words[2] = c, words[3] = d;
}

/* Signed, as most CPUs convert no others at once. */
static inline double uniform_of(uint64_t word) { return (double)(int64_t)(word >> 11) * 0x1p-53; }

/* One word of each of some columns: the draws of a single row. `word` is a constant where this is called, so that the
 * compiler leaves out what becomes of the other words, and what all columns have in common. */
static inline void one_word(uint64_t counter, uint64_t seed, uint64_t first_column, intptr_t n, int word, double *out) {
    for (intptr_t j = 0; j < n; j++) {
        uint64_t words[4];
        philox(counter, seed, first_column + (uint64_t)j, words);
        out[j] = uniform_of(words[word]);
    }
}

static void uniforms_of_row(uint64_t seed, uint64_t row, uint64_t first_column, intptr_t n, double *out) {
    const uint64_t counter = row / 4 + 1;
    switch (row % 4) {
    case 0:
        one_word(counter, seed, first_column, n, 0, out);
        break;
    case 1:
        one_word(counter, seed, first_column, n, 1, out);
        break;
    case 2:
        one_word(counter, seed, first_column, n, 2, out);
        break;
    default:
        one_word(counter, seed, first_column, n, 3, out);
    }
}

/* One draw from each of many rows, from the first word of a counter on. */
static void uniforms_of_column(uint64_t seed, uint64_t counter, uint64_t column, intptr_t n_counters, double *out) {
    for (intptr_t i = 0; i < n_counters; i++) {
        uint64_t words[4];
        philox(counter + (uint64_t)i, seed, column, words);
        for (int k = 0; k < 4; k++)
            out[4 * i + k] = uniform_of(words[k]);
    }
}

void ts_uniforms(uint64_t seed, uint64_t first_row, intptr_t n_rows, uint64_t first_column, intptr_t n_columns,
                 double *out) {
    if (n_columns == 0) /* however many rows */
        return;
    if (n_rows == 1) {
        uniforms_of_row(seed, first_row, first_column, n_columns, out);
        return;
    }
    for (intptr_t i = 0; i < n_rows;) {
        if (n_columns == 1 && (first_row + (uint64_t)i) % 4 == 0 && n_rows - i >= 4) {
            const intptr_t n_counters = (n_rows - i) / 4;
            uniforms_of_column(seed, (first_row + (uint64_t)i) / 4 + 1, first_column, n_counters, out + i);
            i += 4 * n_counters;
            continue;
        }
        /* rows that share a counter, for every column: out is written in order */
        uint64_t row = first_row + (uint64_t)i, word = row % 4;
        intptr_t n_words = 4 - (intptr_t)word < n_rows - i ? 4 - (intptr_t)word : n_rows - i;
        for (intptr_t j = 0; j < n_columns; j++) {
            uint64_t words[4];
            philox(row / 4 + 1, seed, first_column + (uint64_t)j, words);
            for (intptr_t k = 0; k < n_words; k++)
                out[(i + k) * n_columns + j] = uniform_of(words[word + (uint64_t)k]);
        }
        i += n_words;
    }
}
