/* Which instruction sets this build has, which this CPU and system run, and which one is in use; how much cache it has.
 *
 * Our own cpuid and xgetbv: the system must save the wide registers as well as the CPU have them. To add an instruction
 * set: a vec_*.h, an isa_*.c, and a line in the table here.
 */
#include "plan.h"
#include "masked.h"
#include "turned.h"

#if defined(__AVX__)
#error "dispatch.c must be built for the baseline CPU, without -march=native or -mavx"
#endif

extern const ts_kernels ts_kernels_scalar;

#if defined(__x86_64__) || defined(_M_X64)
extern const ts_kernels ts_kernels_avx512, ts_kernels_avx2;

#if defined(_MSC_VER)
#include <intrin.h>
static void cpuid_at(int leaf, int index, int registers[4]) {
    int least[4];
    __cpuid(least, leaf & (int)0x80000000);
    registers[0] = registers[1] = registers[2] = registers[3] = 0;
    if ((unsigned)least[0] >= (unsigned)leaf)
        __cpuidex(registers, leaf, index);
}
static unsigned enabled_state(void) { return (unsigned)_xgetbv(0); }
#else
#include <cpuid.h>
static void cpuid_at(int leaf, int index, int registers[4]) {
    unsigned a = 0, b = 0, c = 0, d = 0;
    if (__get_cpuid_max((unsigned)leaf & 0x80000000, NULL) >= (unsigned)leaf)
        __cpuid_count(leaf, index, a, b, c, d);
    registers[0] = (int)a, registers[1] = (int)b, registers[2] = (int)c, registers[3] = (int)d;
}
static unsigned enabled_state(void) {
    unsigned low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return low;
}
#endif

static void cpuid(int leaf, int registers[4]) { cpuid_at(leaf, 0, registers); }

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

intptr_t ts_cache_bytes(void) {
    intptr_t bytes = 0;
#if defined(__x86_64__) || defined(_M_X64)
    const int leaves[2] = {4, (int)0x8000001d}; /* of Intel and of AMD: a cache for each index, to one of no kind */
    for (int i = 0; i < 2; i++)
        for (int index = 0; index < 8; index++) {
            int r[4];
            cpuid_at(leaves[i], index, r);
            if ((r[0] & 0x1f) == 0)
                break;
            const intptr_t ways = ((r[1] >> 22) & 0x3ff) + 1, parts = ((r[1] >> 12) & 0x3ff) + 1;
            const intptr_t size = ways * parts * ((r[1] & 0xfff) + 1) * ((intptr_t)(unsigned)r[2] + 1);
            bytes = size > bytes ? size : bytes;
        }
#endif
    return bytes;
}

/* On an Intel CPU rows are a tenth to a quarter faster that way, and columns a seventh; others were not measured. */
ts_past ts_way_past_cache(void) {
#if defined(__x86_64__) || defined(_M_X64)
    int r[4];
    cpuid(0, r);
    if (r[1] == 0x756e6547 && r[3] == 0x49656e69 && r[2] == 0x6c65746e) /* GenuineIntel */
        return TS_PAST_READ_TWICE;
#endif
    return TS_PAST_READ_NEAR;
}

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

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* What scratch_of in workspace.h takes. */
static size_t doubles_of_rows(ts_function which, const ts_rows *rows) {
    const intptr_t n_blocks = rows->n_categories / TS_BLOCK + 1;
    const intptr_t n_draws = which != TS_DRAW ? 0 : rows->n_draws < TS_DRAWS ? rows->n_draws : TS_DRAWS;
    const intptr_t of_blocks =
        4 * ts_lines(n_blocks) + ts_lines(n_blocks + 2 * TS_LINE_DOUBLES) + ts_lines(n_blocks + 2);
    const intptr_t of_draws = ts_lines(n_draws) + ts_lines(n_draws / 4 + 1) + ts_lines(n_draws / 2 + 1);
    intptr_t always = TS_LINE_DOUBLES + 3 * TS_BLOCK + TS_SKEW + of_blocks + of_draws;
    /* chosen.h: two lists of number and index; draw_row.h: a bit an entry */
    const intptr_t lists = which == TS_BEST   ? ts_lines(4 * rows->n_draws)
                           : which == TS_DRAW ? n_blocks * TS_BLOCK / 64
                                              : 0;
    const intptr_t together = ts_together_doubles(rows);
    if (ts_has_search(which, rows)) { /* a vector, two windows, and a row; maxima of groups */
        const intptr_t filters = lists + TS_GROUP + 2 * (ts_room(rows->n_categories) + TS_SLACK) + n_blocks * TS_BLOCK;
        always += ts_lines(n_blocks * (TS_BLOCK / TS_GROUP));
        return (size_t)(always + (filters > together ? filters : together));
    }
    if (which == TS_DRAW && rows->n_categories <= TS_SHORT) {
        const size_t log_probs = rows->log_prob.data ? doubles_of_rows(TS_LOG_PROB, rows) : 0; /* after draws */
        return larger((size_t)(always + (lists > together ? lists : together)), log_probs);
    }
    if (which == TS_DRAW)
        return (size_t)(always + lists);
    const intptr_t row = ts_has_row(which, rows) ? ts_lines(ts_row_doubles(rows)) : 0; /* softmax.h */
    const intptr_t tiles = ts_n_tiles(which, rows) * ts_tile_doubles(rows);
    const intptr_t strip =
        rows->n_categories * TS_WIDE_STRIP * TS_STRIP_BYTES / (intptr_t)sizeof(double); /* strips.h */
    return (size_t)(always + together + tiles + row + (ts_has_strip(which, rows) ? strip : 0));
}

/* The same, and what work_on_masked in masking.h takes before it. */
static size_t doubles_of_work(ts_function which, const ts_rows *rows) {
    if (!ts_are_masked(rows))
        return doubles_of_rows(which, rows);
    const intptr_t n = ts_n_masked(rows);
    const ts_rows masked = ts_masked(rows, n);
    ts_rows filtered = *rows;
    filtered.n_rows = n;
    return (size_t)(TS_LINE_DOUBLES + ts_masked_doubles(rows) + 3 * ts_cut_doubles(rows)) +
           larger(doubles_of_rows(which, &filtered), doubles_of_rows(which, &masked));
}

/* The same, and what work_on_turned or work_on_widened in turning.h take before it. */
size_t ts_scratch_doubles(ts_function which, const ts_rows *rows) {
    const ts_turning what = ts_turning_of(which, rows);
    if (what.widened) {
        const ts_rows widened = ts_widened(rows, ts_n_widened(rows), NULL);
        return (size_t)(TS_LINE_DOUBLES + ts_widened_doubles(rows)) + doubles_of_work(which, &widened);
    }
    if (!what.logits && !what.out)
        return doubles_of_work(which, rows);
    const ts_rows turned = ts_turned(rows, what, ts_n_turned(rows));
    const intptr_t of_logits = what.logits ? ts_turned_doubles(rows, rows->logits.type) : 0;
    const intptr_t of_out = what.out ? ts_turned_doubles(rows, rows->out.type) : 0;
    return (size_t)(TS_LINE_DOUBLES + of_logits + of_out) + doubles_of_work(which, &turned);
}
