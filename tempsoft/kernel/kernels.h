/* Every kernel of one instruction set. Included once by each isa_*.c, after its vec_*.h and its words_*.h if it has
 * one; TS_ISA is its name.
 *
 * The order is that of the layers: numbers, exponentials, sums, plans, what is made of plans. float64 comes first
 * because the careful formulas of float32 work in it.
 */
#if defined(__FAST_MATH__)
#error "the order of operations is part of the result: build without -ffast-math and -Ofast"
#endif

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "coefficients.h"
#include "log.h"
#include "masked.h"
#include "plan.h"
#include "tempering.h"
#include "turned.h"

#if defined(__GNUC__)
#define TS_INLINE static inline __attribute__((always_inline))
#define TS_APART static __attribute__((noinline))
#else
#define TS_INLINE static inline
#define TS_APART static
#endif

/* A loop of a few steps, each with constants of its own. */
#if defined(__clang__)
#define TS_UNROLL _Pragma("clang loop unroll(full)")
#elif defined(__GNUC__)
#define TS_UNROLL _Pragma("GCC unroll 16")
#else
#define TS_UNROLL
#endif

/* A vector that is used twice is loaded once: to a compiler another load costs nothing, but it may be loads that are
 * waited for. */
#if defined(__GNUC__) && defined(__x86_64__) && !defined(TEMPSOFT_EMULATE_AVX512)
#define TS_LOADED(x) __asm__("" : "+v"(x))
#else
#define TS_LOADED(x) (void)(x)
#endif

#include "philox.h"
#if defined(VW_LANES)
#include "philox_lanes.h"
#define TS_UNIFORMS uniforms_in_lanes
#else
#define TS_UNIFORMS ts_uniforms
#endif
#include "place.h"
#include "status.h"

#define TS_REAL 64
#include "real.h"

#include "all.h"
#undef TS_REAL
#define TS_REAL 32
#include "real.h"

#include "all.h"

#define TS_PASTE(a, b) a##b
#define TS_TABLE(isa) TS_PASTE(ts_kernels_, isa)
#define TS_TEXT(isa) TS_STRING(isa)
#define TS_STRING(isa) #isa

const ts_kernels TS_TABLE(TS_ISA) = {
    .name = TS_TEXT(TS_ISA),
    .functions =
        {
            [TS_SOFTMAX] = {softmax_f32, softmax_f64},
            [TS_LOG_SOFTMAX] = {log_softmax_f32, log_softmax_f64},
            [TS_LOGSUMEXP] = {logsumexp_f32, logsumexp_f64},
            [TS_ENTROPY] = {entropy_f32, entropy_f64},
            [TS_SUPPORT] = {support_f32, support_f64},
            [TS_LOG_PROB] = {log_prob_f32, log_prob_f64},
            [TS_BEST] = {best_f32, best_f64},
            [TS_DRAW] = {draw_f32, draw_f64},
        },
    .uniforms = TS_UNIFORMS,
    .n_calls = &n_calls,
    .n_infinite = &n_infinite,
    .n_undrawn = &n_undrawn,
};
