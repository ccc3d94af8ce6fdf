/* float16 and bfloat16 to and from float32, one number at a time, rounded to nearest even by integer operations.
 *
 * Exact for every number, subnormals included (the bfloat16 instruction of x86 would flush them). NaN stays NaN.
 */
#ifndef TEMPSOFT_HALF_H
#define TEMPSOFT_HALF_H

#include <stdint.h>
#include <string.h>

static inline float f32_from_bits(uint32_t bits) {
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

static inline uint32_t bits_from_f32(float x) {
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

static inline float f32_from_f16(uint16_t h) {
    uint32_t sign = (uint32_t)(h & 0x8000u) << 16, rest = h & 0x7fffu;
    if (rest < 0x0400u) /* 0 and subnormals: multiples of 2^-24 */
        return f32_from_bits(sign | bits_from_f32((float)rest * 0x1p-24f));
    if (rest >= 0x7c00u)
        return f32_from_bits(sign | 0x7f800000u | ((rest & 0x03ffu) << 13));
    return f32_from_bits(sign | ((rest << 13) + 0x38000000u));
}

static inline uint16_t f16_from_f32(float x) {
    uint32_t bits = bits_from_f32(x), sign = (bits >> 16) & 0x8000u, rest = bits & 0x7fffffffu;
    if (rest > 0x7f800000u)
        return (uint16_t)(sign | 0x7e00u);
    if (rest >= 0x477ff000u) /* 65520 and above round to infinity */
        return (uint16_t)(sign | 0x7c00u);
    if (rest < 0x38800000u) /* below 2^-14: the unit of 0.5 in float32 is 2^-24, the unit of these */
        return (uint16_t)(sign | (bits_from_f32(f32_from_bits(rest) + 0.5f) - 0x3f000000u));
    rest += 0x0fffu + ((rest >> 13) & 1u);
    return (uint16_t)(sign | ((rest - 0x38000000u) >> 13));
}

static inline float f32_from_bf16(uint16_t b) { return f32_from_bits((uint32_t)b << 16); }

static inline uint16_t bf16_from_f32(float x) {
    uint32_t bits = bits_from_f32(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)((bits >> 16) | 0x0040u);
    return (uint16_t)((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

#endif
