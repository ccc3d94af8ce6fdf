/* The kernels for x86-64 with AVX2, FMA and F16C. Built at the baseline; the pragma raises the level for this file. No
 * one is asked for prfchw: an x86-64 without it takes it for an instruction that does nothing. */
#if defined(__x86_64__) || defined(_M_X64)
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,prfchw"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx2,fma,f16c,prfchw")
#endif
#define TS_ISA avx2
#include "vec_avx2.h"
#include "words_avx2.h"

#include "kernels.h"
#if defined(__clang__)
#pragma clang attribute pop
#endif
#else
typedef int ts_not_built; /* another architecture */
#endif
