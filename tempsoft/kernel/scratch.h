/* What a gufunc loop has from its thread, and tells it: its scratch memory, and how it is to work. A loop has no way to
 * raise: one that gets no memory does nothing and says so here, and the caller of the gufunc asks.
 * `ts_fail_allocations` lets a test see it happen.
 */
#ifndef TEMPSOFT_SCRATCH_H
#define TEMPSOFT_SCRATCH_H

#include <stdlib.h>

#include "plan.h"

#if defined(_MSC_VER)
#define TS_THREAD_LOCAL __declspec(thread)
#else
#define TS_THREAD_LOCAL __thread
#endif

enum { TS_STACK_DOUBLES = 4608 }; /* of a row of one block, where no draw is one of many */

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

/* Memory for one kernel call after another: on the stack of a function, or where that is not enough. */
typedef struct {
    double stack[TS_STACK_DOUBLES], *memory;
    size_t n_doubles;
} ts_scratch;

static inline void ts_begin_scratch(ts_scratch *scratch) {
    scratch->memory = scratch->stack;
    scratch->n_doubles = TS_STACK_DOUBLES;
}

static inline void ts_end_scratch(ts_scratch *scratch) {
    if (scratch->memory != scratch->stack)
        free(scratch->memory);
}

/* At least n doubles, of which nothing is kept from before; NULL if there are none. */
static inline double *ts_reserve(ts_scratch *scratch, size_t n) {
    if (n > scratch->n_doubles) {
        ts_end_scratch(scratch);
        scratch->memory = ts_allocate(n);
        scratch->n_doubles = scratch->memory ? n : 0;
    }
    return scratch->memory;
}

/* What else the loops of this thread are to know: the threads that may share a call, and whether the results of all
 * calls together are better written past the cache. */
static TS_THREAD_LOCAL struct {
    int n_threads;
    ts_past past_cache;
} ts_manner;

static int ts_take_out_of_memory(void) {
    int was = ts_out_of_memory;
    ts_out_of_memory = 0;
    return was;
}

#endif
