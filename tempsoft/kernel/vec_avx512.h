/* Vector primitives for AVX-512 F: 16 floats, 8 doubles. vec_scalar.h says what each one means. */
#ifndef TEMPSOFT_VEC_H
#define TEMPSOFT_VEC_H

#ifdef TEMPSOFT_EMULATE_AVX512 /* to test this source on a CPU without AVX-512: `make test-avx512` */
#include "emulated_avx512.h"
#else
#include <immintrin.h>
#endif
#include <stdint.h>

#define VF_LANES 16
#define VD_LANES 8
#define TOGETHER 4
#define BY_ROWS 13
#define FEWEST_OF_ONE 129
#define WIDE_STRIP 2
#define VF_PIECE 4
#define VD_PIECE 2
#define HALF_ROOT_BITS 0x3fe6a09e667f3bcdLL

typedef __m512 vf;
typedef __m512d vd;
typedef __mmask16 v_mask;

static inline __mmask16 vf_first(intptr_t n) { /* lanes below n */
    return n >= 16 ? (__mmask16)0xffff : (__mmask16)((1u << (n > 0 ? n : 0)) - 1);
}
static inline __mmask8 vd_first(intptr_t n) {
    return n >= 8 ? (__mmask8)0xff : (__mmask8)((1u << (n > 0 ? n : 0)) - 1);
}

static inline vf vf_set1(float x) { return _mm512_set1_ps(x); }
static inline vf vf_load(const float *p) { return _mm512_loadu_ps(p); }
static inline void vf_store(float *p, vf x) { _mm512_storeu_ps(p, x); }
static inline vf vf_load_up_to(const float *p, intptr_t n, vf fill) {
    return _mm512_mask_loadu_ps(fill, vf_first(n), p);
}
static inline void vf_store_up_to(float *p, intptr_t n, vf x) { _mm512_mask_storeu_ps(p, vf_first(n), x); }
static inline v_mask vf_below(intptr_t n) { return vf_first(n); }
static inline vf vf_up_to(vf x, intptr_t n) { return _mm512_maskz_mov_ps(vf_first(n), x); }
static inline vf vf_add(vf a, vf b) { return _mm512_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm512_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm512_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm512_div_ps(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return _mm512_fmadd_ps(a, b, c); }
static inline vf vf_fms(vf a, vf b, vf c) { return _mm512_fmsub_ps(a, b, c); }
static inline vf vf_max(vf a, vf b) { return _mm512_max_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm512_min_ps(a, b); }
static inline vd vd_min(vd a, vd b) { return _mm512_min_pd(a, b); }
static inline float vf_largest(vf x) { return _mm512_reduce_max_ps(x); }
static inline __m512i bits_of_any(__m512i a, __m512i b, __m512i c) { return _mm512_ternarylogic_epi64(a, b, c, 0xfe); }
static inline vf vf_bits_of_any(vf a, vf b, vf c) {
    return _mm512_castsi512_ps(bits_of_any(_mm512_castps_si512(a), _mm512_castps_si512(b), _mm512_castps_si512(c)));
}
static inline v_mask vf_ge(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_GE_OQ); }
static inline v_mask vf_not_le(vf a, vf b) { return _mm512_cmp_ps_mask(a, b, _CMP_NLE_UQ); }
static inline vf vf_select_ge(vf a, vf b, vf yes, vf no) {
    return _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GE_OQ), no, yes);
}
static inline vf vf_keep_ge(vf a, vf b, vf x) { return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(a, b, _CMP_GE_OQ), x); }
static inline v_mask vf_is_nan(vf x) { return _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q); }
static inline vf vf_times_two_to_eighths(const uint32_t table[16], vf k) {
    const __m512i bits = _mm512_castps_si512(k);
    const __m512 entry = _mm512_permutexvar_ps(bits, _mm512_loadu_ps((const float *)table));
    return _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(entry), _mm512_slli_epi32(bits, 20)));
}
static inline vf vf_minus_eighths(vf x) {
    const __m512i below = _mm512_sub_epi32(_mm512_set1_epi32(0x3f8fffff), _mm512_castps_si512(x));
    return _mm512_castsi512_ps(_mm512_srai_epi32(below, 20));
}
static inline vf vf_entry_of_eight(const float table[16], vf k) {
    return _mm512_permutexvar_ps(_mm512_castps_si512(k), _mm512_loadu_ps(table));
}
static inline vf vf_from_integer(vf k) { return _mm512_cvtepi32_ps(_mm512_castps_si512(k)); }

static inline void vf_stream(float *p, vf x) { _mm512_stream_ps(p, x); }
static inline void vd_stream(double *p, __m512d x) { _mm512_stream_pd(p, x); }
static inline void v_fence(void) { _mm_sfence(); }
static inline void v_done(void) { _mm256_zeroupper(); }
static inline vd vd_load_floats(const float *p) { return _mm512_cvtps_pd(_mm256_loadu_ps(p)); }

/* Interleave pairs of vectors, then pairs of pairs, then quarters. */
static inline void vf_transpose(vf *v) {
    vd a[16];
    vf b[16];
    for (int i = 0; i < 16; i += 2) {
        a[i] = _mm512_castps_pd(_mm512_unpacklo_ps(v[i], v[i + 1]));
        a[i + 1] = _mm512_castps_pd(_mm512_unpackhi_ps(v[i], v[i + 1]));
    }
    for (int i = 0; i < 16; i += 4)
        for (int k = 0; k < 2; k++) {
            b[i + 2 * k] = _mm512_castpd_ps(_mm512_unpacklo_pd(a[i + k], a[i + k + 2]));
            b[i + 2 * k + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a[i + k], a[i + k + 2]));
        }
    for (int i = 0; i < 4; i++) {
        vf even_low = _mm512_shuffle_f32x4(b[i], b[i + 4], 0x88), odd_low = _mm512_shuffle_f32x4(b[i], b[i + 4], 0xdd);
        vf even_high = _mm512_shuffle_f32x4(b[i + 8], b[i + 12], 0x88);
        vf odd_high = _mm512_shuffle_f32x4(b[i + 8], b[i + 12], 0xdd);
        v[i] = _mm512_shuffle_f32x4(even_low, even_high, 0x88);
        v[i + 4] = _mm512_shuffle_f32x4(odd_low, odd_high, 0x88);
        v[i + 8] = _mm512_shuffle_f32x4(even_low, even_high, 0xdd);
        v[i + 12] = _mm512_shuffle_f32x4(odd_low, odd_high, 0xdd);
    }
}
static inline void vd_transpose(vd *v) {
    vd a[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm512_unpacklo_pd(v[i], v[i + 1]);
        a[i + 1] = _mm512_unpackhi_pd(v[i], v[i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        vd even_low = _mm512_shuffle_f64x2(a[i], a[i + 2], 0x88), odd_low = _mm512_shuffle_f64x2(a[i], a[i + 2], 0xdd);
        vd even_high = _mm512_shuffle_f64x2(a[i + 4], a[i + 6], 0x88);
        vd odd_high = _mm512_shuffle_f64x2(a[i + 4], a[i + 6], 0xdd);
        v[i] = _mm512_shuffle_f64x2(even_low, even_high, 0x88);
        v[i + 2] = _mm512_shuffle_f64x2(odd_low, odd_high, 0x88);
        v[i + 4] = _mm512_shuffle_f64x2(even_low, even_high, 0xdd);
        v[i + 6] = _mm512_shuffle_f64x2(odd_low, odd_high, 0xdd);
    }
}

static inline vf vf_permute(vf x, vf at) { return _mm512_permutexvar_ps(_mm512_castps_si512(at), x); }
static inline vd vd_permute(vd x, vd at) { return _mm512_permutexvar_pd(_mm512_castpd_si512(at), x); }

static inline vf vf_load_pieces(const float *p, intptr_t step) {
    const __m512 first = _mm512_castps128_ps512(_mm_loadu_ps(p));
    const __m512 half = _mm512_insertf32x4(first, _mm_loadu_ps(p + step), 1);
    return _mm512_insertf32x4(_mm512_insertf32x4(half, _mm_loadu_ps(p + 2 * step), 2), _mm_loadu_ps(p + 3 * step), 3);
}
static inline void vf_store_piece(float *p, vf x, int piece) {
    _mm_storeu_ps(p, piece == 0   ? _mm512_castps512_ps128(x)
                     : piece == 1 ? _mm512_extractf32x4_ps(x, 1)
                     : piece == 2 ? _mm512_extractf32x4_ps(x, 2)
                                  : _mm512_extractf32x4_ps(x, 3));
}
static inline void vf_transpose_pieces(vf *v) {
    vd a[4];
    for (int i = 0; i < 4; i += 2) {
        a[i] = _mm512_castps_pd(_mm512_unpacklo_ps(v[i], v[i + 1]));
        a[i + 1] = _mm512_castps_pd(_mm512_unpackhi_ps(v[i], v[i + 1]));
    }
    for (int k = 0; k < 2; k++) {
        v[2 * k] = _mm512_castpd_ps(_mm512_unpacklo_pd(a[k], a[k + 2]));
        v[2 * k + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a[k], a[k + 2]));
    }
}
static inline void vf_turn_threes(const float *p, vf v[3]) {
    const __m512i thrice = _mm512_setr_epi32(0, 3, 6, 9, 12, 15, 18, 21, 24, 27, 30, 33, 36, 39, 42, 45);
    const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    for (int j = 0; j < 3; j++) { /* of two vectors, as far as it lies in them, and of the third */
        const __m512i at = _mm512_add_epi32(thrice, _mm512_set1_epi32(j));
        const __mmask16 is_third = _mm512_cmpgt_epi32_mask(at, _mm512_set1_epi32(31));
        const __m512i last = _mm512_mask_sub_epi32(lane, is_third, at, _mm512_set1_epi32(16));
        const vf first = _mm512_permutex2var_ps(vf_load(p), at, vf_load(p + 16));
        v[j] = _mm512_permutex2var_ps(first, last, vf_load(p + 32));
    }
}
static inline vd vd_load_pieces(const double *p, intptr_t step) {
    return _mm512_castps_pd(vf_load_pieces((const float *)p, 2 * step));
}
static inline void vd_store_piece(double *p, vd x, int piece) {
    vf_store_piece((float *)p, _mm512_castpd_ps(x), piece);
}
static inline void vd_transpose_pieces(vd *v) {
    const vd low = _mm512_unpacklo_pd(v[0], v[1]);
    v[1] = _mm512_unpackhi_pd(v[0], v[1]);
    v[0] = low;
}

static inline vd vd_set1(double x) { return _mm512_set1_pd(x); }
static inline vd vd_load(const double *p) { return _mm512_loadu_pd(p); }
static inline void vd_store(double *p, vd x) { _mm512_storeu_pd(p, x); }
static inline vd vd_load_up_to(const double *p, intptr_t n, vd fill) {
    return _mm512_mask_loadu_pd(fill, vd_first(n), p);
}
static inline void vd_store_up_to(double *p, intptr_t n, vd x) { _mm512_mask_storeu_pd(p, vd_first(n), x); }
static inline vd vd_up_to(vd x, intptr_t n) { return _mm512_maskz_mov_pd(vd_first(n), x); }
static inline vd vd_add(vd a, vd b) { return _mm512_add_pd(a, b); }
static inline vd vd_sub(vd a, vd b) { return _mm512_sub_pd(a, b); }
static inline vd vd_mul(vd a, vd b) { return _mm512_mul_pd(a, b); }
static inline vd vd_div(vd a, vd b) { return _mm512_div_pd(a, b); }
static inline vd vd_fma(vd a, vd b, vd c) { return _mm512_fmadd_pd(a, b, c); }
static inline vd vd_fms(vd a, vd b, vd c) { return _mm512_fmsub_pd(a, b, c); }
static inline vd vd_max(vd a, vd b) { return _mm512_max_pd(a, b); }
static inline double vd_largest(vd x) { return _mm512_reduce_max_pd(x); }
static inline vd vd_bits_of_any(vd a, vd b, vd c) {
    return _mm512_castsi512_pd(bits_of_any(_mm512_castpd_si512(a), _mm512_castpd_si512(b), _mm512_castpd_si512(c)));
}
static inline v_mask vd_ge(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_GE_OQ); }
static inline v_mask vd_not_le(vd a, vd b) { return _mm512_cmp_pd_mask(a, b, _CMP_NLE_UQ); }
static inline vd vd_select_ge(vd a, vd b, vd yes, vd no) {
    return _mm512_mask_blend_pd(_mm512_cmp_pd_mask(a, b, _CMP_GE_OQ), no, yes);
}
static inline vd vd_keep_ge(vd a, vd b, vd x) { return _mm512_maskz_mov_pd(_mm512_cmp_pd_mask(a, b, _CMP_GE_OQ), x); }
static inline v_mask vd_is_nan(vd x) { return _mm512_cmp_pd_mask(x, x, _CMP_UNORD_Q); }
static inline vd vd_times_two_to(vd p, vd k) {
    __m512i shifted = _mm512_slli_epi64(_mm512_castpd_si512(k), 52);
    return _mm512_castsi512_pd(_mm512_add_epi64(_mm512_castpd_si512(p), shifted));
}

static inline vf vf_down(vf x, vf least) {
    const __m512 sum = _mm512_add_ps(x, _mm512_max_ps(x, least));
    return _mm512_castsi512_ps(_mm512_sub_epi32(_mm512_castps_si512(sum), _mm512_castps_si512(least)));
}
static inline vd vd_down(vd x, vd least) {
    const __m512d sum = _mm512_add_pd(x, _mm512_max_pd(x, least));
    return _mm512_castsi512_pd(_mm512_sub_epi64(_mm512_castpd_si512(sum), _mm512_castpd_si512(least)));
}

static inline double vd_lane_0(vd x) { return _mm512_cvtsd_f64(x); }
static inline vd vd_power(vd x) {
    const __m512i from_half_root = _mm512_set1_epi64((1023LL << 52) - HALF_ROOT_BITS);
    const __m512i power = _mm512_srli_epi64(_mm512_add_epi64(_mm512_castpd_si512(x), from_half_root), 52);
    const __m512i as_double = _mm512_or_si512(power, _mm512_castpd_si512(vd_set1(0x1p52)));
    return vd_sub(_mm512_castsi512_pd(as_double), vd_set1(0x1p52 + 1023));
}

static inline void vd_interleave(vd v[2]) {
    const __m512i low = _mm512_setr_epi64(0, 8, 1, 9, 2, 10, 3, 11), four = _mm512_set1_epi64(4);
    const vd even = v[0], odd = v[1];
    v[0] = _mm512_permutex2var_pd(even, low, odd);
    v[1] = _mm512_permutex2var_pd(even, _mm512_add_epi64(low, four), odd);
}
static inline int vf_count(v_mask a) { return __builtin_popcount(a); }
static inline int vd_count(v_mask a) { return __builtin_popcount(a); }
typedef __m512i vc;
static inline vc vc_zero(void) { return _mm512_setzero_si512(); }
static inline vc vc_up_where(vc x, v_mask a) { return _mm512_mask_add_epi64(x, (__mmask8)a, x, _mm512_set1_epi64(1)); }
static inline void vc_store(int64_t *p, vc x) { _mm512_storeu_si512(p, x); }
static inline int vf_first_without(v_mask a) { return __builtin_ctz(~(unsigned)a); }
static inline int vd_first_without(v_mask a) { return __builtin_ctz(~(unsigned)a); }
static inline vf vf_where(v_mask a, vf x) { return _mm512_maskz_mov_ps(a, x); }
static inline vd vd_where(v_mask a, vd x) { return _mm512_maskz_mov_pd((__mmask8)a, x); }
static inline vf vf_add_where(vf x, v_mask a, vf y) { return _mm512_mask_add_ps(x, a, x, y); }
static inline vd vd_add_where(vd x, v_mask a, vd y) { return _mm512_mask_add_pd(x, (__mmask8)a, x, y); }
static inline void vf_collect(float *p, vf x, v_mask a) { vf_store(p, _mm512_maskz_compress_ps(a, x)); }
static inline void vd_collect(double *p, vd x, v_mask a) { vd_store(p, _mm512_maskz_compress_pd((__mmask8)a, x)); }

static inline v_mask v_mask_and(v_mask a, v_mask b) { return (v_mask)(a & b); }
static inline v_mask v_mask_and_not(v_mask a, v_mask b) { return (v_mask)(a & ~b); }
static inline v_mask v_mask_or(v_mask a, v_mask b) { return (v_mask)(a | b); }
static inline int v_mask_any(v_mask a) { return a != 0; }

static inline vd vf_part_to_vd(vf x, int part) {
    __m512d whole = _mm512_castps_pd(x);
    __m256d half = part ? _mm512_extractf64x4_pd(whole, 1) : _mm512_castpd512_pd256(whole);
    return _mm512_cvtps_pd(_mm256_castpd_ps(half));
}
static inline vd vf_widened(vf x, int odd) { /* a product is a shift that drops what is odd */
    __m512i bits = _mm512_castps_si512(x);
    if (odd)
        bits = _mm512_and_si512(_mm512_srli_epi64(bits, 3), _mm512_set1_epi64(0x1fffffffe0000000));
    else
        bits = _mm512_mul_epu32(bits, _mm512_set1_epi64(1 << 29));
    return _mm512_castsi512_pd(bits);
}
#define SUMMANDS_TOOK 0x1p896
static inline vd vf_summands(vf x, int part) { return vf_widened(x, part); }
static inline vd vf_summands_at(const float *p, int part) { return vf_widened(vf_load(p), part); }
static inline vd vd_add_neighbours(vd a, vd b) { return vd_add(a, b); }
static inline double vd_add_up(vd x) {
    double lanes[8];
    vd_store(lanes, x);
    for (int width = 4; width >= 1; width /= 2)
        for (int i = 0; i < width; i++)
            lanes[i] += lanes[i + width];
    return lanes[0];
}
static inline vd vd_add_up_each(const vd *v) {
    vd half[4], quarter[2];
    for (int i = 0; i < 4; i++) { /* rows 0 and 2, 4 and 6, 1 and 3, 5 and 7 */
        const vd a = v[i % 2 * 4 + i / 2], b = v[i % 2 * 4 + i / 2 + 2];
        half[i] = vd_add(_mm512_shuffle_f64x2(a, b, 0x44), _mm512_shuffle_f64x2(a, b, 0xee));
    }
    for (int i = 0; i < 2; i++) {
        const vd a = half[2 * i], b = half[2 * i + 1];
        quarter[i] = vd_add(_mm512_shuffle_f64x2(a, b, 0x88), _mm512_shuffle_f64x2(a, b, 0xdd));
    }
    return vd_add(_mm512_unpacklo_pd(quarter[0], quarter[1]), _mm512_unpackhi_pd(quarter[0], quarter[1]));
}
static inline vf vf_from_vd(const vd *parts) {
    __m512d low = _mm512_castpd256_pd512(_mm256_castps_pd(_mm512_cvtpd_ps(parts[0])));
    return _mm512_castpd_ps(_mm512_insertf64x4(low, _mm256_castps_pd(_mm512_cvtpd_ps(parts[1])), 1));
}

static inline vf vf_load_f16(const uint16_t *p) { return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p)); }
static inline void vf_store_f16(uint16_t *p, vf x) {
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
static inline vf vf_load_bf16(const uint16_t *p) {
    __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(wide, 16));
}
static inline void vf_store_bf16(uint16_t *p, vf x) { /* no NaN but the default one, which stays NaN */
    __m512i bits = _mm512_castps_si512(x);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    bits = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtepi32_epi16(_mm512_srli_epi32(bits, 16)));
}

#endif
