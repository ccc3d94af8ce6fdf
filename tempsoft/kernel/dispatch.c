/* Which instruction sets this build has, which this CPU and system run, and which one is in use.
 *
 * Our own cpuid and xgetbv: the system must save the wide registers as well as the CPU have them. To add an instruction
 * set: a vec_*.h, an isa_*.c, and a line in the table here.
 */
#include "plan.h"

#if defined(__AVX__)
#error "dispatch.c must be built for the baseline CPU, without -march=native or -mavx"
#endif

extern const ts_kernels ts_kernels_scalar;

#if defined(__x86_64__) || defined(_M_X64)
extern const ts_kernels ts_kernels_avx512, ts_kernels_avx2;

#if defined(_MSC_VER)
#include <intrin.h>
static void cpuid(int leaf, int registers[4]) { __cpuidex(registers, leaf, 0); }
static unsigned enabled_state(void) { return (unsigned)_xgetbv(0); }
#else
#include <cpuid.h>
static void cpuid(int leaf, int registers[4]) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid_max(0, NULL) >= (unsigned)leaf)
        __cpuid_count(leaf, 0, a, b, c, d);
    registers[0] = (int)a, registers[1] = (int)b, registers[2] = (int)c, registers[3] = (int)d;
}
static unsigned enabled_state(void) {
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}
#endif

enum { FMA = 1 << 12, OSXSAVE = 1 << 27, AVX = 1 << 28, F16C = 1 << 29, AVX2 = 1 << 5, AVX512F = 1 << 16 };
enum { YMM_STATE = 0x06, ZMM_STATE = 0xe6 }; /* bits of xcr0 */

static int has_avx2(void) {
    int basic[4], extended[4], needed = FMA | OSXSAVE | AVX | F16C;
    cpuid(1, basic);
    cpuid(7, extended);
    return (basic[2] & needed) == needed && (extended[1] & AVX2) && (enabled_state() & YMM_STATE) == YMM_STATE;
}

static int has_avx512(void) {
#ifdef TEMPSOFT_EMULATE_AVX512
    return 1;
#else
    int extended[4];
    cpuid(7, extended);
    return has_avx2() && (extended[1] & AVX512F) && (enabled_state() & ZMM_STATE) == ZMM_STATE;
#endif
}
#endif

static int always(void) { return 1; }

static const struct {
    const ts_kernels *kernels;
    int (*is_supported)(void);
} table[] = {
#if defined(__x86_64__) || defined(_M_X64)
    {&ts_kernels_avx512, has_avx512},
    {&ts_kernels_avx2, has_avx2},
#endif
    {&ts_kernels_scalar, always},
};

const ts_kernels *ts_active = &ts_kernels_scalar;

const ts_kernels *ts_kernels_at(int i) {
    return i >= 0 && (size_t)i < sizeof table / sizeof table[0] ? table[i].kernels : NULL;
}

int ts_is_supported(const ts_kernels *kernels) {
    for (size_t i = 0; i < sizeof table / sizeof table[0]; i++)
        if (table[i].kernels == kernels)
            return table[i].is_supported();
    return 0;
}

size_t ts_scratch_doubles(ts_function which, const ts_rows *rows) {
    const size_t n_blocks = (size_t)(rows->n_categories / TS_BLOCK + 1);
    const size_t n_draws = which == TS_DRAW ? (size_t)rows->n_draws : 0;
    const size_t n_together = n_draws < TS_DRAWS ? n_draws : TS_DRAWS;
    /* block.h: three blocks, six numbers a block and the first of its draws; four numbers a draw */
    const size_t always = TS_LINE / sizeof(double) + 3 * TS_BLOCK + TS_SKEW + 66 + 7 * n_blocks + 4 * n_together;
    /* chosen.h: two lists of number and index; draw_row.h: a bit an entry */
    const size_t lists = which == TS_BEST ? 4 * (size_t)rows->n_draws : which == TS_DRAW ? n_blocks * TS_BLOCK / 64 : 0;
    if (rows->top_k || which == TS_BEST) /* block.h, for filters */
        return always + lists + TS_GROUP + 2 * ((size_t)ts_room(rows->n_categories) + 16) + n_blocks * TS_BLOCK;
    const size_t turned = (size_t)ts_together_doubles(rows);
    if (which == TS_DRAW)
        return always + (rows->n_categories <= TS_SHORT ? turned : 0);
    const size_t row = ts_has_row(which, rows) ? (size_t)ts_row_doubles(rows) : 0; /* softmax.h */
    const size_t tiles = (size_t)(ts_n_tiles(which, rows) * ts_tile_doubles(rows));
    const size_t strip = (size_t)rows->n_categories * TS_STRIP_BYTES / sizeof(double); /* strips.h */
    return always + turned + tiles + row + (ts_has_strip(which, rows) ? strip : 0);
}
