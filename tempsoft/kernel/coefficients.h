/* Made by coefficients.py; do not edit. Constants and polynomials of exp2 and log. */
/* clang-format off */

#ifndef TEMPSOFT_COEFFICIENTS_H
#define TEMPSOFT_COEFFICIENTS_H

#define LOG2_E_HI 0x1.71547652b82fep+0
#define LOG2_E_LO 0x1.777d0ffda0d24p-56
#define LOG_2_HI 0x1.62e42fefa39efp-1
#define LOG_2_LO 0x1.abc9e3b39803fp-56

/* Bits of about 1.0877 2^(j/8), less j << 20; largest error of their ratios 2.8e-09 = 2^-28.4. */
#define EXP2_EIGHTHS(EACH) \
    EACH(0x3f8b3a3eu) EACH(0x3f87d424u) EACH(0x3f859202u) EACH(0x3f848e45u) \
    EACH(0x3f84e5beu) EACH(0x3f86b7dau) EACH(0x3f8a26deu) EACH(0x3f8f5829u)

/* 2^r on [-1/16 - 1/512, 1/16 + 1/512], relative; largest error 2.4e-10 = 2^-32.0. */
static const float EXP2_F32[5] = {
    0x1.0000000000000p+0f,
    0x1.62e4300000000p-1f,
    0x1.ebfbe20000000p-3f,
    0x1.c6b9900000000p-5f,
    0x1.3b0ab80000000p-7f,
};

/* 2^r on [-1/2 - 1/512, 1/2 + 1/512], relative; largest error 6.9e-18 = 2^-57.0. */
static const double EXP2_F64[12] = {
    0x1.0000000000000p+0,
    0x1.62e42fefa39efp-1,
    0x1.ebfbdff82c5a6p-3,
    0x1.c6b08d704a11dp-5,
    0x1.3b2ab6fb9fcfcp-7,
    0x1.5d87fe78a2253p-10,
    0x1.4309130fa61c5p-13,
    0x1.ffcbfc5483ec2p-17,
    0x1.62bfc59c0fd48p-20,
    0x1.b525480884c57p-24,
    0x1.e61ec9ee750d5p-28,
    0x1.e93dcdabe8b33p-32,
};

/* q(s^2) in log((1 + s)/(1 - s)) = 2 s + s^3 q(s^2), |s| <= 0.1716, absolute; largest error 6.2e-22 = 2^-70.5. */
static const double LOG_Q[9] = {
    0x1.5555555555555p-1,
    0x1.9999999999b76p-2,
    0x1.2492492472357p-2,
    0x1.c71c71ead859cp-3,
    0x1.745d0bdabec9ap-3,
    0x1.3b15d7fc9978fp-3,
    0x1.10d6377170672p-3,
    0x1.e7dbcee4184eap-4,
    0x1.a7791501fc718p-4,
};

/* For j = -i modulo 8: bits of c just below 1 / (1 + i/8), plus i << 20;
 * and about -log(c) - i log(2) / 8; largest error 1.5e-13 = 2^-42.6. */
#define LOG_INVERSES(EACH) \
    EACH(0x3f800000u) EACH(0x3f7857a3u) EACH(0x3f72471bu) EACH(0x3f6d4ce8u) \
    EACH(0x3f6aa7dau) EACH(0x3f6a10ceu) EACH(0x3f6c9d27u) EACH(0x3f736069u)

#define LOG_EIGHTHS(EACH) \
    EACH(0x0.0p+0f) EACH(0x1.811a460000000p-6f) EACH(0x1.461f380000000p-5f) EACH(0x1.b8c1160000000p-5f) \
    EACH(0x1.e2f7980000000p-5f) EACH(0x1.e489c20000000p-5f) EACH(0x1.9fdff80000000p-5f) EACH(0x1.058a700000000p-5f)

/* log(1 + r) / r on [-1/512, 1/8], relative; largest error 2.2e-10 = 2^-32.1. */
static const double LOG_F32[6] = {
    0x1.ffffffffda6adp-1,
    -0x1.fffffa7a0bc7ap-2,
    0x1.5552ecda57c6fp-2,
    -0x1.ff4d5d3b446d2p-3,
    0x1.8e17d79c6c5c5p-3,
    -0x1.f812762f52619p-4,
};

#endif
