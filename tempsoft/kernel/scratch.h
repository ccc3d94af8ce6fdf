/* The scratch memory of a gufunc loop, which has no way to raise: a loop that gets none does nothing and says so here,
 * to its own thread, and the caller of the gufunc asks. `ts_fail_allocations` lets a test see it happen. */
#ifndef TEMPSOFT_SCRATCH_H
#define TEMPSOFT_SCRATCH_H

#include <stdlib.h>

#if defined(_MSC_VER)
#define TS_THREAD_LOCAL __declspec(thread)
#else
#define TS_THREAD_LOCAL __thread
#endif

static TS_THREAD_LOCAL int ts_out_of_memory;
static int ts_fail_allocations;

static double *ts_allocate(size_t n_doubles) {
    double *memory = NULL;
    if (!ts_fail_allocations && n_doubles <= (size_t)-1 / sizeof *memory)
        memory = (double *)malloc(n_doubles * sizeof *memory);
    if (!memory)
        ts_out_of_memory = 1;
    return memory;
}

/* Whether the results of the gufuncs that this thread calls are better written past the cache. */
static TS_THREAD_LOCAL int ts_past_cache;

static void ts_set_past_cache(int past_cache) { ts_past_cache = past_cache; }
static int ts_get_past_cache(void) { return ts_past_cache; }

static int ts_take_out_of_memory(void) {
    int was = ts_out_of_memory;
    ts_out_of_memory = 0;
    return was;
}

#endif
