/* Vector primitives for AVX2 with FMA and F16C: 8 floats, 4 doubles. vec_scalar.h says what each one means. */
#ifndef TEMPSOFT_VEC_H
#define TEMPSOFT_VEC_H

#include <immintrin.h>
#include <stdint.h>

#define VF_LANES 8
#define VD_LANES 4
#define TOGETHER 4
#define BY_ROWS 33
#define FEWEST_OF_ONE 24
#define WIDE_STRIP 1
#define VF_PIECE 4
#define VD_PIECE 2
#define HALF_ROOT_BITS 0x3fe6a09e667f3bcdLL

typedef __m256 vf;
typedef __m256d vd;
typedef __m256 v_mask; /* all bits of a lane set: true */

static inline __m256i vf_first(intptr_t n) { /* lanes below n */
    int count = n > 8 ? 8 : n < 0 ? 0 : (int)n;
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(count), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
static inline __m256i vd_first(intptr_t n) {
    int count = n > 4 ? 4 : n < 0 ? 0 : (int)n;
    return _mm256_cmpgt_epi64(_mm256_set1_epi64x(count), _mm256_setr_epi64x(0, 1, 2, 3));
}

static inline vf vf_set1(float x) { return _mm256_set1_ps(x); }
static inline vf vf_load(const float *p) { return _mm256_loadu_ps(p); }
static inline void vf_store(float *p, vf x) { _mm256_storeu_ps(p, x); }
static inline vf vf_load_up_to(const float *p, intptr_t n, vf fill) {
    __m256i first = vf_first(n);
    return _mm256_blendv_ps(fill, _mm256_maskload_ps(p, first), _mm256_castsi256_ps(first));
}
static inline void vf_store_up_to(float *p, intptr_t n, vf x) {
    if (n >= 8)
        vf_store(p, x);
    else
        _mm256_maskstore_ps(p, vf_first(n), x); /* slow on AMD */
}
static inline v_mask vf_below(intptr_t n) { return _mm256_castsi256_ps(vf_first(n)); }
static inline vf vf_up_to(vf x, intptr_t n) { return _mm256_and_ps(x, vf_below(n)); }
static inline vf vf_add(vf a, vf b) { return _mm256_add_ps(a, b); }
static inline vf vf_sub(vf a, vf b) { return _mm256_sub_ps(a, b); }
static inline vf vf_mul(vf a, vf b) { return _mm256_mul_ps(a, b); }
static inline vf vf_div(vf a, vf b) { return _mm256_div_ps(a, b); }
static inline vf vf_fma(vf a, vf b, vf c) { return _mm256_fmadd_ps(a, b, c); }
static inline vf vf_fms(vf a, vf b, vf c) { return _mm256_fmsub_ps(a, b, c); }
static inline vf vf_max(vf a, vf b) { return _mm256_max_ps(a, b); }
static inline vf vf_min(vf a, vf b) { return _mm256_min_ps(a, b); }
static inline vd vd_min(vd a, vd b) { return _mm256_min_pd(a, b); }
static inline float vf_largest(vf x) {
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}
static inline vf vf_bits_of_any(vf a, vf b, vf c) { return _mm256_or_ps(_mm256_or_ps(a, b), c); }
static inline v_mask vf_ge(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_GE_OQ); }
static inline v_mask vf_not_le(vf a, vf b) { return _mm256_cmp_ps(a, b, _CMP_NLE_UQ); }
static inline vf vf_select_ge(vf a, vf b, vf yes, vf no) {
    return _mm256_blendv_ps(no, yes, _mm256_cmp_ps(a, b, _CMP_GE_OQ));
}
static inline vf vf_keep_ge(vf a, vf b, vf x) { return _mm256_and_ps(x, _mm256_cmp_ps(a, b, _CMP_GE_OQ)); }
static inline v_mask vf_is_nan(vf x) { return _mm256_cmp_ps(x, x, _CMP_UNORD_Q); }
static inline vf vf_times_two_to_eighths(const uint32_t table[16], vf k) {
    const __m256i bits = _mm256_castps_si256(k), eight = _mm256_loadu_si256((const __m256i *)table);
    return _mm256_castsi256_ps(_mm256_add_epi32(_mm256_permutevar8x32_epi32(eight, bits), _mm256_slli_epi32(bits, 20)));
}
static inline vf vf_minus_eighths(vf x) {
    const __m256i below = _mm256_sub_epi32(_mm256_set1_epi32(0x3f8fffff), _mm256_castps_si256(x));
    return _mm256_castsi256_ps(_mm256_srai_epi32(below, 20));
}
static inline vf vf_entry_of_eight(const float table[16], vf k) {
    return _mm256_permutevar8x32_ps(_mm256_loadu_ps(table), _mm256_castps_si256(k));
}
static inline vf vf_from_integer(vf k) { return _mm256_cvtepi32_ps(_mm256_castps_si256(k)); }

static inline void vf_stream(float *p, vf x) { _mm256_stream_ps(p, x); }
static inline void vd_stream(double *p, __m256d x) { _mm256_stream_pd(p, x); }
static inline void v_fence(void) { _mm_sfence(); }
static inline void v_done(void) { _mm256_zeroupper(); }
static inline vd vd_load_floats(const float *p) { return _mm256_cvtps_pd(_mm_loadu_ps(p)); }

/* Interleave pairs of vectors, then pairs of pairs, then halves. */
static inline void vf_transpose(vf *v) {
    vd a[8], b[8];
    for (int i = 0; i < 8; i += 2) {
        a[i] = _mm256_castps_pd(_mm256_unpacklo_ps(v[i], v[i + 1]));
        a[i + 1] = _mm256_castps_pd(_mm256_unpackhi_ps(v[i], v[i + 1]));
    }
    for (int i = 0; i < 8; i += 4)
        for (int k = 0; k < 2; k++) {
            b[i + 2 * k] = _mm256_unpacklo_pd(a[i + k], a[i + k + 2]);
            b[i + 2 * k + 1] = _mm256_unpackhi_pd(a[i + k], a[i + k + 2]);
        }
    for (int i = 0; i < 4; i++) {
        v[i] = _mm256_castpd_ps(_mm256_permute2f128_pd(b[i], b[i + 4], 0x20));
        v[i + 4] = _mm256_castpd_ps(_mm256_permute2f128_pd(b[i], b[i + 4], 0x31));
    }
}
static inline void vd_transpose(vd *v) {
    vd a[4];
    for (int i = 0; i < 4; i += 2) {
        a[i] = _mm256_unpacklo_pd(v[i], v[i + 1]);
        a[i + 1] = _mm256_unpackhi_pd(v[i], v[i + 1]);
    }
    for (int i = 0; i < 2; i++) {
        v[i] = _mm256_permute2f128_pd(a[i], a[i + 2], 0x20);
        v[i + 2] = _mm256_permute2f128_pd(a[i], a[i + 2], 0x31);
    }
}

static inline vf vf_permute(vf x, vf at) { return _mm256_permutevar8x32_ps(x, _mm256_castps_si256(at)); }
static inline vd vd_permute(vd x, vd at) { /* each as two floats: 2 i and 2 i + 1 of i in the lower half */
    const __m256i twice = _mm256_slli_epi64(_mm256_castpd_si256(at), 1);
    const __m256i both = _mm256_or_si256(twice, _mm256_slli_epi64(twice, 32));
    return _mm256_castps_pd(
        vf_permute(_mm256_castpd_ps(x), _mm256_castsi256_ps(_mm256_or_si256(both, _mm256_set1_epi64x(1LL << 32)))));
}

static inline vf vf_load_pieces(const float *p, intptr_t step) {
    return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(p)), _mm_loadu_ps(p + step), 1);
}
static inline void vf_store_piece(float *p, vf x, int piece) {
    _mm_storeu_ps(p, piece ? _mm256_extractf128_ps(x, 1) : _mm256_castps256_ps128(x));
}
static inline void vf_transpose_pieces(vf *v) {
    vd a[4];
    for (int i = 0; i < 4; i += 2) {
        a[i] = _mm256_castps_pd(_mm256_unpacklo_ps(v[i], v[i + 1]));
        a[i + 1] = _mm256_castps_pd(_mm256_unpackhi_ps(v[i], v[i + 1]));
    }
    for (int k = 0; k < 2; k++) {
        v[2 * k] = _mm256_castpd_ps(_mm256_unpacklo_pd(a[k], a[k + 2]));
        v[2 * k + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a[k], a[k + 2]));
    }
}
static inline void vf_turn_threes(const float *p, vf v[3]) {
    const vf a = vf_load(p), b = vf_load(p + 8), c = vf_load(p + 16);
    v[0] = _mm256_blend_ps(_mm256_blend_ps(a, b, 0x92), c, 0x24); /* rows 0 3 6 1 4 7 2 5 */
    v[1] = _mm256_blend_ps(_mm256_blend_ps(a, b, 0x24), c, 0x49); /* 5 0 3 6 1 4 7 2 */
    v[2] = _mm256_blend_ps(_mm256_blend_ps(a, b, 0x49), c, 0x92); /* 2 5 0 3 6 1 4 7 */
    v[0] = _mm256_permutevar8x32_ps(v[0], _mm256_setr_epi32(0, 3, 6, 1, 4, 7, 2, 5));
    v[1] = _mm256_permutevar8x32_ps(v[1], _mm256_setr_epi32(1, 4, 7, 2, 5, 0, 3, 6));
    v[2] = _mm256_permutevar8x32_ps(v[2], _mm256_setr_epi32(2, 5, 0, 3, 6, 1, 4, 7));
}
static inline vd vd_load_pieces(const double *p, intptr_t step) {
    return _mm256_castps_pd(vf_load_pieces((const float *)p, 2 * step));
}
static inline void vd_store_piece(double *p, vd x, int piece) {
    vf_store_piece((float *)p, _mm256_castpd_ps(x), piece);
}
static inline void vd_transpose_pieces(vd *v) {
    const vd low = _mm256_unpacklo_pd(v[0], v[1]);
    v[1] = _mm256_unpackhi_pd(v[0], v[1]);
    v[0] = low;
}

static inline vd vd_set1(double x) { return _mm256_set1_pd(x); }
static inline vd vd_load(const double *p) { return _mm256_loadu_pd(p); }
static inline void vd_store(double *p, vd x) { _mm256_storeu_pd(p, x); }
static inline vd vd_load_up_to(const double *p, intptr_t n, vd fill) {
    __m256i first = vd_first(n);
    return _mm256_blendv_pd(fill, _mm256_maskload_pd(p, first), _mm256_castsi256_pd(first));
}
static inline void vd_store_up_to(double *p, intptr_t n, vd x) {
    if (n >= 4)
        vd_store(p, x);
    else
        _mm256_maskstore_pd(p, vd_first(n), x); /* slow on AMD */
}
static inline vd vd_up_to(vd x, intptr_t n) { return _mm256_and_pd(x, _mm256_castsi256_pd(vd_first(n))); }
static inline vd vd_add(vd a, vd b) { return _mm256_add_pd(a, b); }
static inline vd vd_sub(vd a, vd b) { return _mm256_sub_pd(a, b); }
static inline vd vd_mul(vd a, vd b) { return _mm256_mul_pd(a, b); }
static inline vd vd_div(vd a, vd b) { return _mm256_div_pd(a, b); }
static inline vd vd_fma(vd a, vd b, vd c) { return _mm256_fmadd_pd(a, b, c); }
static inline vd vd_fms(vd a, vd b, vd c) { return _mm256_fmsub_pd(a, b, c); }
static inline vd vd_max(vd a, vd b) { return _mm256_max_pd(a, b); }
static inline double vd_largest(vd x) {
    __m128d m = _mm_max_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd(x, 1));
    return _mm_cvtsd_f64(_mm_max_sd(m, _mm_unpackhi_pd(m, m)));
}
static inline vd vd_bits_of_any(vd a, vd b, vd c) { return _mm256_or_pd(_mm256_or_pd(a, b), c); }
static inline v_mask vd_ge(vd a, vd b) { return _mm256_castpd_ps(_mm256_cmp_pd(a, b, _CMP_GE_OQ)); }
static inline v_mask vd_not_le(vd a, vd b) { return _mm256_castpd_ps(_mm256_cmp_pd(a, b, _CMP_NLE_UQ)); }
static inline vd vd_select_ge(vd a, vd b, vd yes, vd no) {
    return _mm256_blendv_pd(no, yes, _mm256_cmp_pd(a, b, _CMP_GE_OQ));
}
static inline vd vd_keep_ge(vd a, vd b, vd x) { return _mm256_and_pd(x, _mm256_cmp_pd(a, b, _CMP_GE_OQ)); }
static inline v_mask vd_is_nan(vd x) { return _mm256_castpd_ps(_mm256_cmp_pd(x, x, _CMP_UNORD_Q)); }
static inline vd vd_times_two_to(vd p, vd k) {
    __m256i shifted = _mm256_slli_epi64(_mm256_castpd_si256(k), 52);
    return _mm256_castsi256_pd(_mm256_add_epi64(_mm256_castpd_si256(p), shifted));
}

static inline vf vf_down(vf x, vf least) {
    const __m256 sum = _mm256_add_ps(x, _mm256_max_ps(x, least));
    return _mm256_castsi256_ps(_mm256_sub_epi32(_mm256_castps_si256(sum), _mm256_castps_si256(least)));
}
static inline vd vd_down(vd x, vd least) {
    const __m256d sum = _mm256_add_pd(x, _mm256_max_pd(x, least));
    return _mm256_castsi256_pd(_mm256_sub_epi64(_mm256_castpd_si256(sum), _mm256_castpd_si256(least)));
}

static inline double vd_lane_0(vd x) { return _mm256_cvtsd_f64(x); }
static inline vd vd_power(vd x) {
    const __m256i from_half_root = _mm256_set1_epi64x((1023LL << 52) - HALF_ROOT_BITS);
    const __m256i power = _mm256_srli_epi64(_mm256_add_epi64(_mm256_castpd_si256(x), from_half_root), 52);
    const __m256i as_double = _mm256_or_si256(power, _mm256_castpd_si256(vd_set1(0x1p52)));
    return vd_sub(_mm256_castsi256_pd(as_double), vd_set1(0x1p52 + 1023));
}

static inline vf vf_where(v_mask a, vf x) { return _mm256_and_ps(a, x); }
static inline vd vd_where(v_mask a, vd x) { return _mm256_and_pd(_mm256_castps_pd(a), x); }
static inline vf vf_add_where(vf x, v_mask a, vf y) { return _mm256_add_ps(x, vf_where(a, y)); }
static inline vd vd_add_where(vd x, v_mask a, vd y) { return _mm256_add_pd(x, vd_where(a, y)); }
static inline void vd_interleave(vd v[2]) {
    const vd low = _mm256_unpacklo_pd(v[0], v[1]), high = _mm256_unpackhi_pd(v[0], v[1]);
    v[0] = _mm256_permute2f128_pd(low, high, 0x20);
    v[1] = _mm256_permute2f128_pd(low, high, 0x31);
}
static inline int vf_count(v_mask a) { return __builtin_popcount((unsigned)_mm256_movemask_ps(a)); }
static inline int vd_count(v_mask a) { return __builtin_popcount((unsigned)_mm256_movemask_pd(_mm256_castps_pd(a))); }
typedef __m256i vc;
static inline vc vc_zero(void) { return _mm256_setzero_si256(); }
static inline vc vc_up_where(vc x, v_mask a) { return _mm256_sub_epi64(x, _mm256_castps_si256(a)); }
static inline void vc_store(int64_t *p, vc x) { _mm256_storeu_si256((__m256i *)p, x); }
static inline int vf_first_without(v_mask a) { return __builtin_ctz(~(unsigned)_mm256_movemask_ps(a)); }
static inline int vd_first_without(v_mask a) {
    return __builtin_ctz(~(unsigned)_mm256_movemask_pd(_mm256_castps_pd(a)));
}
/* The lanes of which a bit is set, a byte each, for all eight bits: 2 KB, but one permutation and one store. */
#define PLACE(bits, lane)                                                                                              \
    ((uint64_t)((bits) >> (lane) & 1) * (lane) << 8 * __builtin_popcount((bits) & ((1 << (lane)) - 1)))
#define PLACES(bits)                                                                                                   \
    (PLACE(bits, 1) | PLACE(bits, 2) | PLACE(bits, 3) | PLACE(bits, 4) | PLACE(bits, 5) | PLACE(bits, 6) |             \
     PLACE(bits, 7))
#define FOUR_PLACES(bits) PLACES(bits), PLACES(bits + 1), PLACES(bits + 2), PLACES(bits + 3)
#define SIXTEEN_PLACES(bits) FOUR_PLACES(bits), FOUR_PLACES(bits + 4), FOUR_PLACES(bits + 8), FOUR_PLACES(bits + 12)
#define ALL_PLACES(bits)                                                                                               \
    SIXTEEN_PLACES(bits), SIXTEEN_PLACES(bits + 16), SIXTEEN_PLACES(bits + 32), SIXTEEN_PLACES(bits + 48)
static inline void vf_collect(float *p, vf x, v_mask a) {
    static const uint64_t places[256] = {ALL_PLACES(0), ALL_PLACES(64), ALL_PLACES(128), ALL_PLACES(192)};
    const __m128i lanes = _mm_loadl_epi64((const __m128i *)&places[_mm256_movemask_ps(a)]);
    vf_store(p, _mm256_permutevar8x32_ps(x, _mm256_cvtepu8_epi32(lanes)));
}
/* The same of doubles, each as two floats. */
#define PAIR(bits, lane)                                                                                               \
    ((uint64_t)((bits) >> (lane) & 1) * (0x0100 + 0x0202 * (lane))                                                     \
     << 16 * __builtin_popcount((bits) & ((1 << (lane)) - 1)))
#define PAIRS(bits) (PAIR(bits, 0) | PAIR(bits, 1) | PAIR(bits, 2) | PAIR(bits, 3))
#define FOUR_PAIRS(bits) PAIRS(bits), PAIRS(bits + 1), PAIRS(bits + 2), PAIRS(bits + 3)
static inline void vd_collect(double *p, vd x, v_mask a) {
    static const uint64_t pairs[16] = {FOUR_PAIRS(0), FOUR_PAIRS(4), FOUR_PAIRS(8), FOUR_PAIRS(12)};
    const __m128i lanes = _mm_loadl_epi64((const __m128i *)&pairs[_mm256_movemask_pd(_mm256_castps_pd(a))]);
    vd_store(p, _mm256_castps_pd(_mm256_permutevar8x32_ps(_mm256_castpd_ps(x), _mm256_cvtepu8_epi32(lanes))));
}

static inline v_mask v_mask_and(v_mask a, v_mask b) { return _mm256_and_ps(a, b); }
static inline v_mask v_mask_and_not(v_mask a, v_mask b) { return _mm256_andnot_ps(b, a); }
static inline v_mask v_mask_or(v_mask a, v_mask b) { return _mm256_or_ps(a, b); }
static inline int v_mask_any(v_mask a) { return _mm256_movemask_ps(a) != 0; }

static inline vd vf_part_to_vd(vf x, int part) {
    return _mm256_cvtps_pd(part ? _mm256_extractf128_ps(x, 1) : _mm256_castps256_ps128(x));
}
static inline vd vf_widened(vf x, int odd) {
    __m256i bits = _mm256_castps_si256(x);
    const __m256i mask = _mm256_set1_epi64x(0x1fffffffe0000000);
    return _mm256_castsi256_pd(_mm256_and_si256(odd ? _mm256_srli_epi64(bits, 3) : _mm256_slli_epi64(bits, 29), mask));
}
/* As they lie: by bits every second one would lie across lines, and some CPUs load no more than two vectors a cycle. */
#define SUMMANDS_TOOK 1.0
static inline vd vf_summands(vf x, int part) { return vf_part_to_vd(x, part); }
static inline vd vf_summands_at(const float *p, int part) { return _mm256_cvtps_pd(_mm_loadu_ps(p + 4 * part)); }
static inline vd vd_add_neighbours(vd a, vd b) { return _mm256_hadd_pd(a, b); } /* of sums 0 2 1 3 */
static inline double vd_add_up(vd x) {
    const __m128d two = _mm_hadd_pd(_mm256_castpd256_pd128(x), _mm256_extractf128_pd(x, 1));
    return _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)));
}
static inline vd vd_add_up_each(const vd *v) {
    const vd a = _mm256_hadd_pd(v[0], v[1]), b = _mm256_hadd_pd(v[2], v[3]);
    return vd_add(_mm256_permute2f128_pd(a, b, 0x20), _mm256_permute2f128_pd(a, b, 0x31));
}
static inline vf vf_from_vd(const vd *parts) {
    return _mm256_set_m128(_mm256_cvtpd_ps(parts[1]), _mm256_cvtpd_ps(parts[0]));
}

static inline vf vf_load_f16(const uint16_t *p) { return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p)); }
static inline void vf_store_f16(uint16_t *p, vf x) {
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT));
}
static inline vf vf_load_bf16(const uint16_t *p) {
    __m256i wide = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(wide, 16));
}
static inline void vf_store_bf16(uint16_t *p, vf x) { /* no NaN but the default one, which stays NaN */
    __m256i bits = _mm256_castps_si256(x);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    bits = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
    bits = _mm256_srli_epi32(bits, 16);
    __m128i packed = _mm_packus_epi32(_mm256_castsi256_si128(bits), _mm256_extracti128_si256(bits, 1));
    _mm_storeu_si128((__m128i *)p, packed);
}

#endif
