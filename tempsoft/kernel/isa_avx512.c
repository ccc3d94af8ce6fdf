/* The kernels for x86-64 with AVX-512 F. Built at the baseline; the pragma raises the level for this file. No one
 * is asked for prfchw: an x86-64 without it takes it for an instruction that does nothing. */
#if defined(__x86_64__) || defined(_M_X64)
#if defined(TEMPSOFT_EMULATE_AVX512)
/* plain C: see vec_avx512.h */
#elif defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx2,fma,f16c,prfchw"))), apply_to = function)
#elif defined(__GNUC__)
#pragma GCC target("avx512f,avx2,fma,f16c,prfchw")
#endif
#define TS_ISA avx512
#include "vec_avx512.h"
#include "words_avx512.h"

#include "kernels.h"
#if defined(__clang__) && !defined(TEMPSOFT_EMULATE_AVX512)
#pragma clang attribute pop
#endif
#else
typedef int ts_not_built; /* another architecture */
#endif
