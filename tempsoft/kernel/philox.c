/* See philox.h. */
#include "philox.h"

/* The four words at `counter`, whose upper 192 bits are 0. */
static inline void philox(uint64_t counter, uint64_t key_0, uint64_t key_1, uint64_t words[4]) {
    philox_state x = {{counter}, key_1};
    for (int round = 0; round < 10; round++) {
        philox_round(&x, key_0);
        key_0 += KEY_STEP_0;
    }
    for (int k = 0; k < 4; k++)
        words[k] = x.words[k];
}

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
