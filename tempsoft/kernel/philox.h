/* Philox4x64-10, the counter-based generator of Salmon et al., "Parallel random numbers: as easy as 1, 2, 3" (2011),
 * exactly as numpy.random.Philox has it: the counter starts at 1, and a double is the upper 53 bits of a word. */
#ifndef TEMPSOFT_PHILOX_H
#define TEMPSOFT_PHILOX_H

#include <stdint.h>

/* out[i * n_columns + j] = number first_row + i of the stream of key (seed, first_column + j), in [0, 1). */
void ts_uniforms(uint64_t seed, uint64_t first_row, intptr_t n_rows, uint64_t first_column, intptr_t n_columns,
                 double *out);

#endif
