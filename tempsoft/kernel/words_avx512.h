/* 64-bit words in lanes for AVX-512 F: 8. Halves of a word are of 32 bits; philox_lanes.h has what is made of these. */
#ifndef TEMPSOFT_WORDS_H
#define TEMPSOFT_WORDS_H

#define VW_LANES 8
#define VW_BESIDE 0 /* counters one by one while others are in lanes: not measured */
#define UPPER_HALVES 0xaaaa

typedef __m512i vw;

static inline vw vw_set1(uint64_t x) { return _mm512_set1_epi64((long long)x); }
static inline vw vw_add(vw a, vw b) { return _mm512_add_epi64(a, b); }
static inline vw vw_from(uint64_t first) { return vw_add(vw_set1(first), _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7)); }
static inline vw vw_xor(vw a, vw b, vw c) { return _mm512_ternarylogic_epi64(a, b, c, 0x96); }
static inline vw vw_times(vw a, vw b) { return _mm512_mul_epu32(a, b); }
static inline vw vw_upper(vw x) { return _mm512_srli_epi64(x, 32); }
static inline vw vw_lower(vw x) { return _mm512_and_si512(x, vw_set1(0xffffffff)); }
static inline vw vw_joined(vw lower, vw upper) { return _mm512_mask_shuffle_epi32(lower, UPPER_HALVES, upper, 0xa0); }

/* 21 bits and 32 bits as parts of 2^84 and of 2^52: the sum is exact. */
static inline vd vw_uniform(vw x) {
    const vw upper = _mm512_or_si512(_mm512_srli_epi64(x, 43), _mm512_castpd_si512(vd_set1(0x1p84)));
    const vw whole = _mm512_castpd_si512(vd_set1(0x1p52));
    const vw lower = _mm512_mask_blend_epi32(UPPER_HALVES, _mm512_srli_epi64(x, 11), whole);
    const vd number = vd_sub(_mm512_castsi512_pd(upper), vd_set1(0x1p84 + 0x1p52));
    return vd_mul(vd_add(number, _mm512_castsi512_pd(lower)), vd_set1(0x1p-53));
}

#endif
