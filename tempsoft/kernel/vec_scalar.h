/* Vector primitives, one lane: plain C at the compiler's baseline.
 *
 * Slow and right: the definition of what each primitive means, which the other vec_*.h repeat with more lanes. `fma` is
 * the C library's, exact by definition; nothing else of libm is used. Leaves every choice of algorithm to its users.
 */
#ifndef TEMPSOFT_VEC_H
#define TEMPSOFT_VEC_H

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "half.h"

#define VF_LANES 1
#define VD_LANES 1

typedef float vf;
typedef double vd;
typedef int v_mask;

#define HALF_ROOT_BITS 0x3fe6a09e667f3bcdLL /* of sqrt(1/2) */
#define TOGETHER 1                          /* vectors whose exponentials are best computed together: 1, 2 or 4 */
#define BY_ROWS 33 /* categories of adjacent rows of floats from which on each is added by itself, not 16 in lanes */
#define FEWEST_OF_ONE 33 /* the same from which on a vector that is of one row has its factor set, not looked up */
#define WIDE_STRIP 1     /* so many times as wide as others are strips of columns of many categories */
#define VF_PIECE 1       /* lanes of a piece: 16 bytes, or less where there is no more */
#define VD_PIECE 1

static inline vf vf_set1(float x) { return x; }
static inline vf vf_load(const float *p) { return *p; }
static inline void vf_store(float *p, vf x) { *p = x; }
/* The first n lanes from memory, all or none, and `fill` in the others; nothing past them is touched. */
static inline vf vf_load_up_to(const float *p, intptr_t n, vf fill) { return n > 0 ? *p : fill; }
static inline void vf_store_up_to(float *p, intptr_t n, vf x) {
    (void)n;
    *p = x;
}
/* The first n lanes, all or none; those of x, and 0 in the others. */
static inline v_mask vf_below(intptr_t n) { return n > 0; }
static inline vf vf_up_to(vf x, intptr_t n) { return n > 0 ? x : 0; }
/* To a whole vector's multiple in memory, past the cache where that can be; v_fence() makes it seen by others. */
static inline void vf_stream(float *p, vf x) { *p = x; }
static inline void vd_stream(double *p, double x) { *p = x; }
static inline void v_fence(void) {}
/* Leave the registers as code for SSE wants them: after upper halves in use, each of its instructions waits. A compiler
 * does so at the end of a function, but not of one with vectors among its arguments or of a caller of it. */
static inline void v_done(void) {}
/* Lane j of vector i becomes lane i of vector j, of as many vectors as there are lanes. */
static inline void vf_transpose(vf *v) { (void)v; }
static inline void vd_transpose(vd *v) { (void)v; }
/* Of lane i that lane of x of which `at` has the number, in its bits. */
static inline vf vf_permute(vf x, vf at) { return (void)at, x; }
static inline vd vd_permute(vd x, vd at) { return (void)at, x; }
/* Two vectors, of the even and the odd numbers of a row, become that row; one vector, if a vector has one lane. */
static inline void vd_interleave(vd v[1]) { (void)v; }
/* A vector of pieces that are `step` numbers apart, and one of its pieces to memory. */
static inline vf vf_load_pieces(const float *p, intptr_t step) { return (void)step, *p; }
static inline vd vd_load_pieces(const double *p, intptr_t step) { return (void)step, *p; }
static inline void vf_store_piece(float *p, vf x, int piece) { (void)piece, *p = x; }
static inline void vd_store_piece(double *p, vd x, int piece) { (void)piece, *p = x; }
/* A number not below 0 that is 2^n times another, from those times `least`, 2^n times the smallest normal number:
 * rounded to where subnormal numbers are, and by no operation on one, which takes some CPUs a hundred times as long.
 * The sum is at least twice `least`, or in the range of it where floats are as far apart as subnormals are. */
static inline vf vf_down(vf x, vf least) {
    const vf sum = x + (x > least ? x : least);
    uint32_t bits, down;
    memcpy(&bits, &sum, sizeof bits);
    memcpy(&down, &least, sizeof down);
    bits -= down;
    memcpy(&x, &bits, sizeof x);
    return x;
}
static inline vd vd_down(vd x, vd least) {
    const vd sum = x + (x > least ? x : least);
    uint64_t bits, down;
    memcpy(&bits, &sum, sizeof bits);
    memcpy(&down, &least, sizeof down);
    bits -= down;
    memcpy(&x, &bits, sizeof x);
    return x;
}
/* In each piece, lane j of vector i becomes lane i of vector j, of as many vectors as a piece has lanes. */
static inline void vf_transpose_pieces(vf *v) { (void)v; }
static inline void vd_transpose_pieces(vd *v) { (void)v; }
/* As many rows of three numbers as there are lanes, to three vectors with a row in each lane. */
static inline void vf_turn_threes(const float *p, vf v[3]) { v[0] = p[0], v[1] = p[1], v[2] = p[2]; }
static inline vd vd_div(vd a, vd b) { return a / b; }
static inline vd vd_load_floats(const float *p) { return *p; }
static inline vf vf_add(vf a, vf b) { return a + b; }
static inline vf vf_sub(vf a, vf b) { return a - b; }
static inline vf vf_mul(vf a, vf b) { return a * b; }
static inline vf vf_div(vf a, vf b) { return a / b; }
static inline vf vf_fma(vf a, vf b, vf c) { return fmaf(a, b, c); }
static inline vf vf_fms(vf a, vf b, vf c) { return fmaf(a, b, -c); }
static inline vf vf_max(vf a, vf b) { return a > b ? a : b; } /* b where either is NaN */
static inline vf vf_min(vf a, vf b) { return a < b ? a : b; }
static inline vd vd_min(vd a, vd b) { return a < b ? a : b; }
static inline float vf_largest(vf x) { return x; }
/* The bits that any of them has. */
static inline vf vf_bits_of_any(vf a, vf b, vf c) {
    uint32_t bits[3];
    memcpy(bits, &a, sizeof a);
    memcpy(bits + 1, &b, sizeof b);
    memcpy(bits + 2, &c, sizeof c);
    bits[0] |= bits[1] | bits[2];
    memcpy(&a, bits, sizeof a);
    return a;
}
static inline v_mask vf_ge(vf a, vf b) { return a >= b; }
static inline v_mask vf_not_le(vf a, vf b) { return !(a <= b); } /* also where either is NaN */
static inline vf vf_select_ge(vf a, vf b, vf yes, vf no) { return a >= b ? yes : no; }
static inline vf vf_keep_ge(vf a, vf b, vf x) { return a >= b ? x : 0; }
static inline v_mask vf_is_nan(vf x) { return x != x; }
/* Entry j of eight, and the same eight again, times 2^n of k = n + j / 8 + 1.5 * 2^20: of the bits of k the last three
 * are j, and n is added to the exponent by as many as fit when they are moved up. */
static inline vf vf_times_two_to_eighths(const uint32_t table[16], vf k) {
    uint32_t bits;
    memcpy(&bits, &k, sizeof k);
    bits = table[bits & 7] + (bits << 20);
    memcpy(&k, &bits, sizeof k);
    return k;
}
/* -(8 n + i), an integer, of a positive x from 2^n (1 + i / 8) on and below the next of these. */
static inline vf vf_minus_eighths(vf x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof x);
    const int32_t k = (int32_t)(0x3f8fffffu - bits) >> 20;
    memcpy(&x, &k, sizeof x);
    return x;
}
/* The entry of the last three bits of an integer, of eight and the same eight again. */
static inline vf vf_entry_of_eight(const float table[16], vf k) {
    uint32_t bits;
    memcpy(&bits, &k, sizeof k);
    return table[bits & 7];
}
static inline vf vf_from_integer(vf k) {
    int32_t number;
    memcpy(&number, &k, sizeof k);
    return (float)number;
}

static inline vd vd_set1(double x) { return x; }
static inline vd vd_load(const double *p) { return *p; }
static inline void vd_store(double *p, vd x) { *p = x; }
static inline vd vd_load_up_to(const double *p, intptr_t n, vd fill) { return n > 0 ? *p : fill; }
static inline void vd_store_up_to(double *p, intptr_t n, vd x) {
    (void)n;
    *p = x;
}
static inline vd vd_up_to(vd x, intptr_t n) { return n > 0 ? x : 0; }
static inline vd vd_add(vd a, vd b) { return a + b; }
static inline vd vd_sub(vd a, vd b) { return a - b; }
static inline vd vd_mul(vd a, vd b) { return a * b; }
static inline vd vd_fma(vd a, vd b, vd c) { return fma(a, b, c); }
static inline vd vd_fms(vd a, vd b, vd c) { return fma(a, b, -c); }
static inline vd vd_max(vd a, vd b) { return a > b ? a : b; }
static inline double vd_largest(vd x) { return x; }
static inline vd vd_bits_of_any(vd a, vd b, vd c) {
    uint64_t bits[3];
    memcpy(bits, &a, sizeof a);
    memcpy(bits + 1, &b, sizeof b);
    memcpy(bits + 2, &c, sizeof c);
    bits[0] |= bits[1] | bits[2];
    memcpy(&a, bits, sizeof a);
    return a;
}
static inline v_mask vd_ge(vd a, vd b) { return a >= b; }
static inline v_mask vd_not_le(vd a, vd b) { return !(a <= b); }
static inline vd vd_select_ge(vd a, vd b, vd yes, vd no) { return a >= b ? yes : no; }
static inline vd vd_keep_ge(vd a, vd b, vd x) { return a >= b ? x : 0; }
static inline v_mask vd_is_nan(vd x) { return x != x; }
/* p * 2^k for normal p and result, k = integer + 1.5 * 2^52: the integer is added to the exponent. */
static inline vd vd_times_two_to(vd p, vd k) {
    uint64_t p_bits, k_bits;
    memcpy(&p_bits, &p, sizeof p);
    memcpy(&k_bits, &k, sizeof k);
    p_bits += k_bits << 52;
    memcpy(&p, &p_bits, sizeof p);
    return p;
}
static inline double vd_lane_0(vd x) { return x; }
/* k of x = 2^k z, z from sqrt(1/2) to sqrt(2); x positive and normal. */
static inline vd vd_power(vd x) {
    uint64_t bits;
    memcpy(&bits, &x, sizeof x);
    return (double)((bits + (1023ull << 52) - HALF_ROOT_BITS) >> 52) - 1023;
}

/* x in the lanes of a, 0 in the others; x + y there, x in the others; how many lanes. */
static inline vf vf_where(v_mask a, vf x) { return a ? x : 0; }
static inline vd vd_where(v_mask a, vd x) { return a ? x : 0; }
static inline vf vf_add_where(vf x, v_mask a, vf y) { return a ? x + y : x; }
static inline vd vd_add_where(vd x, v_mask a, vd y) { return a ? x + y : x; }
static inline int vf_count(v_mask a) { return a; }
static inline int vd_count(v_mask a) { return a; }
/* A count for each double of a vector; one more in the lanes of a. */
typedef int64_t vc;
static inline vc vc_zero(void) { return 0; }
static inline vc vc_up_where(vc x, v_mask a) { return x + a; }
static inline void vc_store(int64_t *p, vc x) { *p = x; }
/* The first lane that is not in a, or the number of lanes. */
static inline int vf_first_without(v_mask a) { return a; }
static inline int vd_first_without(v_mask a) { return a; }
/* The lanes of x that are in a, one after another from p; what follows them, up to a vector, may be written too. */
static inline void vf_collect(float *p, vf x, v_mask a) {
    if (a)
        *p = x;
}
static inline void vd_collect(double *p, vd x, v_mask a) {
    if (a)
        *p = x;
}

static inline v_mask v_mask_and(v_mask a, v_mask b) { return a & b; }
static inline v_mask v_mask_and_not(v_mask a, v_mask b) { return a & !b; }
static inline v_mask v_mask_or(v_mask a, v_mask b) { return a | b; }
static inline int v_mask_any(v_mask a) { return a; }

/* Every second lane from the first (odd = 0) or the second on, positive, as double times 2^-896: a float's bits moved
 * up 29 places are a double's with another offset of the exponent, subnormals and 0 too. Of one lane, that lane. */
static inline vd vf_widened(vf x, int odd) {
    (void)odd;
    return (double)x * 0x1p-896;
}
/* Half of the lanes of positive floats as doubles over SUMMANDS_TOOK, those of part 0 or of part 1, for sums of
 * neighbours: which ones is as each instruction set likes it. Of one lane, that lane. From a vector, and from LANES
 * floats in memory. */
#define SUMMANDS_TOOK 0x1p896
static inline vd vf_summands(vf x, int part) { return vf_widened(x, part); }
static inline vd vf_summands_at(const float *p, int part) { return vf_widened(p[0], part); }
/* Sums of lanes 2 i and 2 i + 1 of floats of which these are both parts, in an order of its own; the sum of as many
 * such sums, each half of them to the other, until one is left; and those of VD_LANES vectors, a lane each. */
static inline vd vd_add_neighbours(vd a, vd b) { return a + b; }
static inline double vd_add_up(vd x) { return x; }
static inline vd vd_add_up_each(const vd *v) { return v[0]; }
/* Lanes part * VD_LANES ... of x as doubles, and back from all parts. */
static inline vd vf_part_to_vd(vf x, int part) {
    (void)part;
    return x;
}
static inline vf vf_from_vd(const vd *parts) { return (float)parts[0]; }

static inline vf vf_load_f16(const uint16_t *p) { return f32_from_f16(*p); }
static inline void vf_store_f16(uint16_t *p, vf x) { *p = f16_from_f32(x); }
static inline vf vf_load_bf16(const uint16_t *p) { return f32_from_bf16(*p); }
static inline void vf_store_bf16(uint16_t *p, vf x) { *p = bf16_from_f32(x); }

#endif
