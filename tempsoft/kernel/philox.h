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

/* out[i * n_columns + j] = number first_row + i of the stream of key (seed, first_column + j), in [0, 1). The last row
 * is below 2^64. */
void ts_uniforms(uint64_t seed, uint64_t first_row, intptr_t n_rows, uint64_t first_column, intptr_t n_columns,
                 double *out);

#endif
