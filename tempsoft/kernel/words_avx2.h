/* 64-bit words in lanes for AVX2: 4. Halves of a word are of 32 bits; philox_lanes.h has what is made of these. */
#ifndef TEMPSOFT_WORDS_H
#define TEMPSOFT_WORDS_H

#define VW_LANES 4
#define VW_BESIDE 2 /* counters one by one while others are in lanes */
#define UPPER_HALVES 0xaa

typedef __m256i vw;

static inline vw vw_set1(uint64_t x) { return _mm256_set1_epi64x((long long)x); }
static inline vw vw_add(vw a, vw b) { return _mm256_add_epi64(a, b); }
static inline vw vw_from(uint64_t first) { return vw_add(vw_set1(first), _mm256_setr_epi64x(0, 1, 2, 3)); }
static inline vw vw_xor(vw a, vw b, vw c) { return _mm256_xor_si256(_mm256_xor_si256(a, b), c); }
static inline vw vw_times(vw a, vw b) { return _mm256_mul_epu32(a, b); }
static inline vw vw_upper(vw x) { return _mm256_srli_epi64(x, 32); }
static inline vw vw_lower(vw x) { return _mm256_blend_epi32(x, _mm256_setzero_si256(), UPPER_HALVES); }
static inline vw vw_joined(vw lower, vw upper) {
    return _mm256_blend_epi32(lower, _mm256_slli_epi64(upper, 32), UPPER_HALVES);
}

/* 21 bits and 32 bits as parts of 2^84 and of 2^52: the sum is exact. */
static inline vd vw_uniform(vw x) {
    const vw upper = _mm256_or_si256(_mm256_srli_epi64(x, 43), _mm256_castpd_si256(vd_set1(0x1p84)));
    const vw whole = _mm256_castpd_si256(vd_set1(0x1p52));
    const vw lower = _mm256_blend_epi32(_mm256_srli_epi64(x, 11), whole, UPPER_HALVES);
    const vd number = vd_sub(_mm256_castsi256_pd(upper), vd_set1(0x1p84 + 0x1p52));
    return vd_mul(vd_add(number, _mm256_castsi256_pd(lower)), vd_set1(0x1p-53));
}

#endif
