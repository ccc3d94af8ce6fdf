/* The AVX-512 intrinsics that vec_avx512.h uses, in plain C: to test the AVX-512 kernels on a CPU without it.
 *
 * Built with TEMPSOFT_EMULATE_AVX512=1 (`make test-avx512`). Written from the description of each instruction, lane by
 * lane, so that it shares nothing with the vector code it stands in for. Slow. Not part of any release.
 */
#ifndef TEMPSOFT_EMULATED_AVX512_H
#define TEMPSOFT_EMULATED_AVX512_H

#include <math.h>
#include <stdint.h>
#include <string.h>
#include <xmmintrin.h>

#include "../../tempsoft/kernel/half.h"

typedef union {
    float f[16];
    double d[8];
    uint32_t u[16];
    uint64_t q[8];
} emulated_512;

typedef union {
    float f[8];
    double d[4];
    uint16_t h[16];
} emulated_256;

#define __m512 emulated_512
#define __m512d emulated_512
#define __m512i emulated_512
#define __m256 emulated_256
#define __m256d emulated_256
#define __m256i emulated_256
#define __mmask16 uint16_t
#define __mmask8 uint8_t
#ifndef _CMP_GE_OQ
#define _CMP_GE_OQ 29
#define _CMP_NLE_UQ 22
#define _CMP_UNORD_Q 3
#endif
#undef _MM_FROUND_TO_NEAREST_INT
#define _MM_FROUND_TO_NEAREST_INT 0

#define _mm256_zeroupper() ((void)0)

#define EACH(n, statement)                                                                                             \
    emulated_512 r;                                                                                                    \
    for (int i = 0; i < n; i++)                                                                                        \
        statement;                                                                                                     \
    return r

/* op(ps, float, 16 lanes, member f), and the same for doubles */
#define FOR_BOTH(define) define(ps, float, 16, f, fmaf) define(pd, double, 8, d, fma)

#define DEFINE(suffix, real, n, m, fused)                                                                              \
    static inline emulated_512 _mm512_set1_##suffix(real x) { EACH(n, r.m[i] = x); }                                   \
    static inline emulated_512 _mm512_loadu_##suffix(const real *p) { EACH(n, r.m[i] = p[i]); }                        \
    static inline void _mm512_storeu_##suffix(real *p, emulated_512 a) {                                               \
        for (int i = 0; i < n; i++)                                                                                    \
            p[i] = a.m[i];                                                                                             \
    }                                                                                                                  \
    static inline emulated_512 _mm512_mask_loadu_##suffix(emulated_512 a, unsigned k, const real *p) {                 \
        EACH(n, r.m[i] = k >> i & 1 ? p[i] : a.m[i]);                                                                  \
    }                                                                                                                  \
    static inline void _mm512_mask_storeu_##suffix(real *p, unsigned k, emulated_512 a) {                              \
        for (int i = 0; i < n; i++)                                                                                    \
            if (k >> i & 1)                                                                                            \
                p[i] = a.m[i];                                                                                         \
    }                                                                                                                  \
    static inline emulated_512 _mm512_maskz_mov_##suffix(unsigned k, emulated_512 a) {                                 \
        EACH(n, r.m[i] = k >> i & 1 ? a.m[i] : 0);                                                                     \
    }                                                                                                                  \
    static inline emulated_512 _mm512_maskz_compress_##suffix(unsigned k, emulated_512 a) {                            \
        emulated_512 r = {0};                                                                                          \
        for (int i = 0, to = 0; i < n; i++)                                                                            \
            if (k >> i & 1)                                                                                            \
                r.m[to++] = a.m[i];                                                                                    \
        return r;                                                                                                      \
    }                                                                                                                  \
    static inline emulated_512 _mm512_mask_blend_##suffix(unsigned k, emulated_512 a, emulated_512 b) {                \
        EACH(n, r.m[i] = k >> i & 1 ? b.m[i] : a.m[i]);                                                                \
    }                                                                                                                  \
    static inline emulated_512 _mm512_mask_add_##suffix(emulated_512 c, unsigned k, emulated_512 a, emulated_512 b) {  \
        EACH(n, r.m[i] = k >> i & 1 ? a.m[i] + b.m[i] : c.m[i]);                                                       \
    }                                                                                                                  \
    static inline emulated_512 _mm512_add_##suffix(emulated_512 a, emulated_512 b) {                                   \
        EACH(n, r.m[i] = a.m[i] + b.m[i]);                                                                             \
    }                                                                                                                  \
    static inline emulated_512 _mm512_sub_##suffix(emulated_512 a, emulated_512 b) {                                   \
        EACH(n, r.m[i] = a.m[i] - b.m[i]);                                                                             \
    }                                                                                                                  \
    static inline emulated_512 _mm512_mul_##suffix(emulated_512 a, emulated_512 b) {                                   \
        EACH(n, r.m[i] = a.m[i] * b.m[i]);                                                                             \
    }                                                                                                                  \
    static inline emulated_512 _mm512_fmadd_##suffix(emulated_512 a, emulated_512 b, emulated_512 c) {                 \
        EACH(n, r.m[i] = fused(a.m[i], b.m[i], c.m[i]));                                                               \
    }                                                                                                                  \
    static inline emulated_512 _mm512_fmsub_##suffix(emulated_512 a, emulated_512 b, emulated_512 c) {                 \
        EACH(n, r.m[i] = fused(a.m[i], b.m[i], -c.m[i]));                                                              \
    }                                                                                                                  \
    static inline emulated_512 _mm512_max_##suffix(emulated_512 a, emulated_512 b) {                                   \
        EACH(n, r.m[i] = a.m[i] > b.m[i] ? a.m[i] : b.m[i]);                                                           \
    }                                                                                                                  \
    static inline emulated_512 _mm512_min_##suffix(emulated_512 a, emulated_512 b) {                                   \
        EACH(n, r.m[i] = a.m[i] < b.m[i] ? a.m[i] : b.m[i]);                                                           \
    }                                                                                                                  \
    static inline emulated_512 _mm512_div_##suffix(emulated_512 a, emulated_512 b) {                                   \
        EACH(n, r.m[i] = a.m[i] / b.m[i]);                                                                             \
    }                                                                                                                  \
    static inline void _mm512_stream_##suffix(real *p, emulated_512 a) {                                               \
        for (int i = 0; i < n; i++)                                                                                    \
            p[i] = a.m[i];                                                                                             \
    }                                                                                                                  \
    /* in each quarter, of n / 4 numbers, the low or high ones of a and b by turns */                                  \
    static inline emulated_512 _mm512_unpacklo_##suffix(emulated_512 a, emulated_512 b) {                              \
        EACH(n, r.m[i] = (i & 1 ? b : a).m[i / (n / 4) * (n / 4) + i % (n / 4) / 2]);                                  \
    }                                                                                                                  \
    static inline emulated_512 _mm512_unpackhi_##suffix(emulated_512 a, emulated_512 b) {                              \
        EACH(n, r.m[i] = (i & 1 ? b : a).m[i / (n / 4) * (n / 4) + n / 8 + i % (n / 4) / 2]);                          \
    }                                                                                                                  \
    static inline real _mm512_reduce_max_##suffix(emulated_512 a) {                                                    \
        real r = a.m[0];                                                                                               \
        for (int i = 1; i < n; i++)                                                                                    \
            r = a.m[i] > r ? a.m[i] : r;                                                                               \
        return r;                                                                                                      \
    }                                                                                                                  \
    static inline uint16_t _mm512_cmp_##suffix##_mask(emulated_512 a, emulated_512 b, int how) {                       \
        unsigned k = 0;                                                                                                \
        for (int i = 0; i < n; i++) {                                                                                  \
            int unordered = a.m[i] != a.m[i] || b.m[i] != b.m[i];                                                      \
            int holds = how == _CMP_UNORD_Q ? unordered : how == _CMP_NLE_UQ ? !(a.m[i] <= b.m[i]) : a.m[i] >= b.m[i]; \
            k |= (unsigned)holds << i;                                                                                 \
        }                                                                                                              \
        return (uint16_t)k;                                                                                            \
    }
FOR_BOTH(DEFINE)

#define CASTS(define)                                                                                                  \
    define(_mm512_castps_si512) define(_mm512_castsi512_ps) define(_mm512_castpd_si512) define(_mm512_castsi512_pd)    \
        define(_mm512_castps_pd) define(_mm512_castpd_ps)
#define CAST(name)                                                                                                     \
    static inline emulated_512 name(emulated_512 a) { return a; }
CASTS(CAST)
static inline emulated_256 emulated_castpd_ps(emulated_256 a) { return a; }
#define _mm256_castpd_ps emulated_castpd_ps
#define _mm256_castps_pd emulated_castpd_ps

/* Two quarters of a, then two of b, which two bits each of `which` name. */
static inline emulated_512 emulated_shuffle_quarters(emulated_512 a, emulated_512 b, unsigned which) {
    EACH(8, r.q[i] = (i < 4 ? a : b).q[2 * (which >> i / 2 * 2 & 3) + (unsigned)i % 2]);
}
#define _mm512_shuffle_f32x4 emulated_shuffle_quarters
#define _mm512_shuffle_f64x2 emulated_shuffle_quarters

static inline emulated_512 _mm512_set1_epi32(int x) { EACH(16, r.u[i] = (uint32_t)x); }
static inline emulated_512 _mm512_srai_epi32(emulated_512 a, unsigned n) {
    EACH(16, r.u[i] = (uint32_t)((int32_t)a.u[i] >> n));
}
static inline emulated_512 _mm512_cvtepi32_ps(emulated_512 a) { EACH(16, r.f[i] = (float)(int32_t)a.u[i]); }
static inline emulated_512 _mm512_slli_epi32(emulated_512 a, unsigned n) { EACH(16, r.u[i] = a.u[i] << n); }
static inline emulated_512 _mm512_srli_epi32(emulated_512 a, unsigned n) { EACH(16, r.u[i] = a.u[i] >> n); }
static inline emulated_512 _mm512_set1_epi64(long long x) { EACH(8, r.q[i] = (uint64_t)x); }
static inline emulated_512 _mm512_setzero_si512(void) { return _mm512_set1_epi64(0); }
static inline emulated_512 _mm512_mask_add_epi64(emulated_512 other, __mmask8 mask, emulated_512 a, emulated_512 b) {
    EACH(8, r.q[i] = mask >> i & 1 ? a.q[i] + b.q[i] : other.q[i]);
}
static inline void _mm512_storeu_si512(void *p, emulated_512 a) { memcpy(p, &a, sizeof a); }
static inline emulated_512 _mm512_permutexvar_ps(emulated_512 at, emulated_512 a) {
    EACH(16, r.f[i] = a.f[at.u[i] % 16]);
}
static inline emulated_512 _mm512_permutexvar_pd(emulated_512 at, emulated_512 a) {
    EACH(8, r.d[i] = a.d[at.q[i] % 8]);
}
static inline emulated_512 _mm512_permutex2var_ps(emulated_512 a, emulated_512 at, emulated_512 b) {
    EACH(16, r.f[i] = (at.u[i] & 16 ? b : a).f[at.u[i] % 16]);
}
static inline emulated_512 _mm512_permutex2var_pd(emulated_512 a, emulated_512 at, emulated_512 b) {
    EACH(8, r.d[i] = (at.q[i] & 8 ? b : a).d[at.q[i] % 8]);
}
#define _mm512_setr_epi32(...) ((emulated_512){.u = {__VA_ARGS__}})
#define _mm512_setr_epi64(...) ((emulated_512){.q = {__VA_ARGS__}})
static inline __mmask16 _mm512_cmpgt_epi32_mask(emulated_512 a, emulated_512 b) {
    __mmask16 mask = 0;
    for (int i = 0; i < 16; i++)
        mask |= (__mmask16)(((int32_t)a.u[i] > (int32_t)b.u[i]) << i);
    return mask;
}
static inline emulated_512 _mm512_mask_sub_epi32(emulated_512 other, __mmask16 mask, emulated_512 a, emulated_512 b) {
    EACH(16, r.u[i] = mask >> i & 1 ? a.u[i] - b.u[i] : other.u[i]);
}
static inline emulated_512 _mm512_ternarylogic_epi64(emulated_512 a, emulated_512 b, emulated_512 c, int table) {
    emulated_512 to;
    for (int i = 0; i < 8; i++) {
        to.q[i] = 0;
        for (int bit = 0; bit < 64; bit++) {
            const int row = (int)(4 * (a.q[i] >> bit & 1) + 2 * (b.q[i] >> bit & 1) + (c.q[i] >> bit & 1));
            to.q[i] |= (uint64_t)(table >> row & 1) << bit;
        }
    }
    return to;
}
static inline emulated_512 _mm512_mul_epu32(emulated_512 a, emulated_512 b) {
    EACH(8, r.q[i] = (uint64_t)a.u[2 * i] * b.u[2 * i]);
}
static inline emulated_512 _mm512_srli_epi64(emulated_512 a, unsigned n) { EACH(8, r.q[i] = a.q[i] >> n); }
static inline emulated_512 _mm512_slli_epi64(emulated_512 a, unsigned n) { EACH(8, r.q[i] = a.q[i] << n); }
static inline emulated_512 _mm512_add_epi32(emulated_512 a, emulated_512 b) { EACH(16, r.u[i] = a.u[i] + b.u[i]); }
static inline emulated_512 _mm512_add_epi64(emulated_512 a, emulated_512 b) { EACH(8, r.q[i] = a.q[i] + b.q[i]); }
static inline emulated_512 _mm512_sub_epi32(emulated_512 a, emulated_512 b) { EACH(16, r.u[i] = a.u[i] - b.u[i]); }
static inline emulated_512 _mm512_sub_epi64(emulated_512 a, emulated_512 b) { EACH(8, r.q[i] = a.q[i] - b.q[i]); }
static inline emulated_512 _mm512_or_si512(emulated_512 a, emulated_512 b) { EACH(16, r.u[i] = a.u[i] | b.u[i]); }
static inline emulated_512 _mm512_mask_blend_epi32(__mmask16 mask, emulated_512 a, emulated_512 b) {
    EACH(16, r.u[i] = mask >> i & 1 ? b.u[i] : a.u[i]);
}
/* In each quarter the numbers that two bits each of `which` name, where the mask says so. */
static inline emulated_512 _mm512_mask_shuffle_epi32(emulated_512 other, __mmask16 mask, emulated_512 a, int which) {
    EACH(16, r.u[i] = mask >> i & 1 ? a.u[i / 4 * 4 + (which >> i % 4 * 2 & 3)] : other.u[i]);
}
static inline double _mm512_cvtsd_f64(emulated_512 a) { return a.d[0]; }
static inline emulated_512 _mm512_and_si512(emulated_512 a, emulated_512 b) { EACH(16, r.u[i] = a.u[i] & b.u[i]); }

static inline emulated_256 _mm512_extractf64x4_pd(emulated_512 a, int half) {
    emulated_256 r;
    memcpy(&r, &a.d[4 * half], sizeof r);
    return r;
}
static inline emulated_256 _mm512_castpd512_pd256(emulated_512 a) { return _mm512_extractf64x4_pd(a, 0); }
static inline emulated_512 _mm512_insertf64x4(emulated_512 a, emulated_256 b, int half) {
    memcpy(&a.d[4 * half], &b, sizeof b);
    return a;
}
static inline emulated_512 _mm512_castpd256_pd512(emulated_256 a) {
    emulated_512 r = {.q = {0}};
    return _mm512_insertf64x4(r, a, 0);
}
static inline __m128 _mm512_extractf32x4_ps(emulated_512 a, int quarter) { return _mm_loadu_ps(&a.f[4 * quarter]); }
static inline __m128 _mm512_castps512_ps128(emulated_512 a) { return _mm512_extractf32x4_ps(a, 0); }
static inline emulated_512 _mm512_insertf32x4(emulated_512 a, __m128 b, int quarter) {
    _mm_storeu_ps(&a.f[4 * quarter], b);
    return a;
}
static inline emulated_512 _mm512_castps128_ps512(__m128 a) {
    emulated_512 r = {.q = {0}};
    return _mm512_insertf32x4(r, a, 0);
}
static inline emulated_512 _mm512_cvtps_pd(emulated_256 a) { EACH(8, r.d[i] = (double)a.f[i]); }
static inline emulated_256 _mm512_cvtpd_ps(emulated_512 a) {
    emulated_256 r;
    for (int i = 0; i < 8; i++)
        r.f[i] = (float)a.d[i];
    return r;
}

static inline emulated_256 emulated_load_256(const void *p) {
    emulated_256 r;
    memcpy(&r, p, sizeof r);
    return r;
}
static inline void emulated_store_256(void *p, emulated_256 a) { memcpy(p, &a, sizeof a); }
#define _mm256_loadu_si256 emulated_load_256
#define _mm256_loadu_ps emulated_load_256
#define _mm256_storeu_si256 emulated_store_256
static inline emulated_512 _mm512_cvtph_ps(emulated_256 a) { EACH(16, r.f[i] = f32_from_f16(a.h[i])); }
static inline emulated_512 _mm512_cvtepu16_epi32(emulated_256 a) { EACH(16, r.u[i] = a.h[i]); }
static inline emulated_256 _mm512_cvtps_ph(emulated_512 a, int rounding) {
    emulated_256 r;
    (void)rounding;
    for (int i = 0; i < 16; i++)
        r.h[i] = f16_from_f32(a.f[i]);
    return r;
}
static inline emulated_256 _mm512_cvtepi32_epi16(emulated_512 a) {
    emulated_256 r;
    for (int i = 0; i < 16; i++)
        r.h[i] = (uint16_t)a.u[i];
    return r;
}

#endif
