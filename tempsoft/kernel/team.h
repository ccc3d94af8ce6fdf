/* Threads that share the rows of a call, or the blocks of a long row, without Python: one that needs the GIL is woken
 * twice, and to be woken takes 50 us, in which two threads work on 100,000 numbers.
 *
 * A call open to helpers is on a list until all of its parts are taken, and helpers without work sleep on another. Both
 * lists and all they hold are guarded by one lock, which is never held for long: not while parts are worked on, and not
 * to wait for anything. Each thread takes parts as it comes to them, many at first and ever fewer, so that none is late
 * at the end, and each is computed by itself: who takes it changes no bit.
 */
#ifndef TEMPSOFT_TEAM_H
#define TEMPSOFT_TEAM_H

#include <string.h>

#include "plan.h"
#include "scratch.h"
#include "threads.h"

enum {
    TS_FILTERED = 4,      /* numbers that take as long as one of a row with filters, */
    TS_DOUBLE = 2,        /* and as one of float64 */
    TS_PARTS = 32,        /* of a thread's share, what is taken at once is at least one, */
    TS_OF_LEAST = 4,      /* and of the least that is worth a thread one of so many, */
    TS_OF_LEAST_ROW = 16, /* or, of the blocks of a row, for whose end all wait twice, of so many */
    TS_LONG = 4,          /* a row that is shared has so many times the least that is worth a thread */
    TS_LOT = 16,          /* rows that are best taken together, where they are short or columns */
    TS_LARGE_LOT = 128,   /* the same of many: columns of a strip */
    TS_YIELDS = 100,      /* of a thread that stays awake, as something is to come soon: some 50 us */
    TS_TRIES = 1000       /* to get the lock: some 20 us */
};

/* Numbers of float32 for each thread of a call, which take as long as to be woken. A test has fewer. */
static intptr_t ts_thread_least = 1 << 17;

typedef struct ts_work {
    struct ts_work *next;
    void (*function)(const struct ts_work *work, intptr_t first, intptr_t n, ts_scratch *scratch); /* does n parts */
    const void *what;                                                                              /* it works on */
    int n_threads, n_wanted; /* helpers that may still join */
    int n_at_work, is_out_of_memory;
    intptr_t n_parts, n_taken, least, lot;
    int is_awaited;
    ts_signal ended; /* if it is awaited */
} ts_work;

typedef struct ts_helper {
    struct ts_helper *next;
    int is_asleep;
    ts_signal wake;
#if defined(__linux__)
    ts_place place;
#endif
} ts_helper;

static struct {
    ts_lock lock;
    ts_work *open;
    ts_helper *asleep;
    int n_called; /* helpers that are to leave */
} ts_team = {.lock = TS_NO_LOCK};

/* Whoever has the lock is about to let go of it: it is asked for many times before this thread sleeps. */
static void ts_lock_team(void) {
    for (int i = 0; i < TS_TRIES; i++)
        if (ts_try(&ts_team.lock))
            return;
    ts_acquire(&ts_team.lock);
}

static void ts_unlock_team(void) { ts_release(&ts_team.lock); }

/* Let others have the lock, and the CPU. */
static void ts_wait_awake(void) {
    ts_unlock_team();
    ts_yield();
    ts_lock_team();
}

/* In a forked child all other threads are gone, and any may have held the lock. */
static void ts_forget_team(void) {
    const ts_lock lock = TS_NO_LOCK;
    memset(&ts_team, 0, sizeof ts_team);
    ts_team.lock = lock;
}

/* ---- taking parts ----------------------------------------------------------------------------------------------- */

/* The number of the next part, and in *n how many are taken, if there are any: of what is left three quarters of a
 * thread's share, so that a thread that comes late finds enough, and what is last is little. */
static intptr_t ts_take(ts_work *work, intptr_t *n) {
    const intptr_t first = work->n_taken, left = work->n_parts - first;
    *n = left / work->n_threads * 3 / 4;
    *n -= *n % work->lot;
    *n = *n < work->least ? work->least : *n;
    *n = *n < left ? *n : left;
    work->n_taken += *n;
    return first;
}

/* Work on parts until all are taken. The team is locked before and after. */
static void ts_take_part(ts_work *work) {
    ts_scratch scratch;
    ts_begin_scratch(&scratch);
    work->n_at_work++;
    while (!work->is_out_of_memory && work->n_taken < work->n_parts) {
        intptr_t n;
        const intptr_t first = ts_take(work, &n);
        ts_unlock_team();
        work->function(work, first, n, &scratch);
        ts_lock_team();
        work->is_out_of_memory |= ts_take_out_of_memory();
    }
    ts_unlock_team();
    ts_end_scratch(&scratch);
    ts_lock_team();
    work->n_at_work--;
    if (work->is_awaited && work->n_at_work == 0)
        ts_send(&work->ended);
}

/* ---- helpers ---------------------------------------------------------------------------------------------------- */

/* Have helpers run on any CPU that the calling thread may use but the one it is on. Linux may wake a thread on the CPU
 * of the one that wakes it, and leave it waiting there for milliseconds while another CPU is idle. */
static void ts_keep_apart(ts_helper *helpers) {
#if defined(__linux__)
    cpu_set_t others;
    if (helpers && ts_other_cpus(&others))
        for (; helpers; helpers = helpers->next)
            ts_move(&helpers->place, &others);
#else
    (void)helpers;
#endif
}

/* At most n helpers that were asleep, for ts_wake. The team is locked. */
static ts_helper *ts_call_up(int n) {
    ts_helper *called = NULL;
    for (; n > 0 && ts_team.asleep; n--) {
        ts_helper *const helper = ts_team.asleep;
        ts_team.asleep = helper->next;
        helper->next = called;
        called = helper;
    }
    return called;
}

/* Wake those that were called up, which stay asleep until this is about to: their `next` is read before. */
static void ts_wake(ts_helper *helpers) {
    ts_keep_apart(helpers);
    while (helpers) {
        ts_helper *const helper = helpers;
        helpers = helper->next;
        ts_lock_team();
        helper->is_asleep = 0;
        ts_send(&helper->wake); /* before it can be gone */
        ts_unlock_team();
    }
}

/* Have n helpers leave ts_help, now or as soon as they have nothing else to do. */
static void ts_call_helpers(int n) {
    ts_lock_team();
    ts_team.n_called += n;
    ts_helper *const helpers = ts_call_up(n);
    ts_unlock_team();
    ts_wake(helpers);
}

/* A call that a helper can join. The team is locked. */
static ts_work *ts_find_work(void) {
    ts_work *work = ts_team.open;
    while (work && work->n_wanted == 0)
        work = work->next;
    return work;
}

static void ts_fall_asleep(ts_helper *helper) {
    helper->is_asleep = 1;
    helper->next = ts_team.asleep;
    ts_team.asleep = helper;
    while (helper->is_asleep)
        ts_sleep(&helper->wake, &ts_team.lock);
}

/* Help with calls until this thread is called. */
static void ts_help(void) {
    ts_helper self = {.wake = TS_NO_SIGNAL};
    int n_yields = 0;
#if defined(__linux__)
    self.place = ts_own_place();
#endif
    ts_lock_team();
    while (ts_team.n_called == 0) {
        ts_work *const work = ts_find_work();
        if (work) {
            work->n_wanted--;
            ts_take_part(work);
            n_yields = 0;
        } else if (n_yields++ < TS_YIELDS) {
            ts_wait_awake();
        } else {
            ts_fall_asleep(&self);
            n_yields = 0;
        }
    }
    ts_team.n_called--;
    ts_unlock_team();
    ts_end_signal(&self.wake);
}

/* ---- running a call --------------------------------------------------------------------------------------------- */

static void ts_close(ts_work *work) {
    ts_work **at = &ts_team.open;
    while (*at != work)
        at = &(*at)->next;
    *at = work->next;
}

/* Wait for helpers that are at work, awake at first, as to be woken takes long. The team is locked before and after. */
static void ts_join(ts_work *work) {
    for (int i = 0; work->n_at_work && i < TS_YIELDS; i++)
        ts_wait_awake();
    work->is_awaited = 1;
    while (work->n_at_work)
        ts_sleep(&work->ended, &ts_team.lock);
}

/* Have a call worked on, with the help of others. */
static void ts_run_shared(ts_work *work) {
    ts_lock_team();
    work->next = ts_team.open;
    ts_team.open = work;
    ts_helper *const helpers = ts_call_up(work->n_wanted);
    ts_unlock_team();
    ts_wake(helpers);
    ts_lock_team();
    ts_take_part(work);
    ts_close(work);
    ts_join(work);
    ts_unlock_team();
    ts_end_signal(&work->ended);
    ts_out_of_memory |= work->is_out_of_memory;
}

/* ---- rows ------------------------------------------------------------------------------------------------------- */

/* Rows of a call, and the kernel for them. */
typedef struct {
    const ts_rows *rows;
    ts_function which;
    void (*function)(const ts_rows *rows, double *scratch);
} ts_call;

static void ts_call_kernel(const ts_call *call, const ts_rows *rows, ts_scratch *scratch) {
    double *const memory = ts_reserve(scratch, ts_scratch_doubles(call->which, rows));
    if (memory)
        call->function(rows, memory);
}

static void ts_take_rows(const ts_work *work, intptr_t first, intptr_t n, ts_scratch *scratch) {
    const ts_call *const call = (const ts_call *)work->what;
    ts_rows rows = *call->rows;
    ts_skip(&rows, first);
    rows.n_rows = n;
    ts_call_kernel(call, &rows, scratch);
}

static void ts_share_rows(const ts_call *call, int n_threads) {
    const ts_rows *const rows = call->rows;
    const int are_together = rows->n_categories <= TS_SHORT || rows->logits.stride != ts_size_of(rows->logits.type);
    const intptr_t of_size = ts_thread_least / TS_OF_LEAST / (rows->n_categories + rows->n_draws);
    const intptr_t of_rows = rows->n_rows / n_threads / TS_PARTS;
    const intptr_t lot = !are_together ? 1 : rows->n_rows / n_threads < 2 * TS_LARGE_LOT ? TS_LOT : TS_LARGE_LOT;
    ts_work work = {.function = ts_take_rows,
                    .what = call,
                    .n_threads = n_threads,
                    .n_wanted = n_threads - 1,
                    .n_parts = rows->n_rows,
                    .least = ((of_size > of_rows ? of_size : of_rows) / lot + 1) * lot,
                    .lot = lot,
                    .ended = TS_NO_SIGNAL};
    ts_run_shared(&work);
}

static void ts_run_alone(const ts_call *call) {
    ts_scratch scratch;
    ts_begin_scratch(&scratch);
    ts_call_kernel(call, call->rows, &scratch);
    ts_end_scratch(&scratch);
}

/* ---- blocks of a row -------------------------------------------------------------------------------------------- */

/* Threads that share each row of a call. */
typedef struct {
    ts_sharing sharing; /* first, so that a pointer to it is one to all of this */
    int n_threads;
} ts_crew;

typedef struct {
    ts_part function;
    void *work;
} ts_blocks_of_row;

static void ts_take_blocks(const ts_work *work, intptr_t first, intptr_t n, ts_scratch *scratch) {
    const ts_blocks_of_row *const blocks = (const ts_blocks_of_row *)work->what;
    (void)scratch;
    blocks->function(blocks->work, first, n);
}

static void ts_share_blocks(const ts_sharing *sharing, ts_part function, void *what, intptr_t n_blocks) {
    const int n_threads = ((const ts_crew *)sharing)->n_threads;
    const ts_blocks_of_row blocks = {function, what};
    const intptr_t of_size = ts_thread_least / TS_OF_LEAST_ROW / TS_BLOCK, of_blocks = n_blocks / n_threads / TS_PARTS;
    ts_work work = {.function = ts_take_blocks,
                    .what = &blocks,
                    .n_threads = n_threads,
                    .n_wanted = n_threads - 1,
                    .n_parts = n_blocks,
                    .least = (of_size > of_blocks ? of_size : of_blocks) + 1,
                    .lot = 1,
                    .ended = TS_NO_SIGNAL};
    ts_run_shared(&work);
}

/* ---- a call ----------------------------------------------------------------------------------------------------- */

/* Numbers that are worth a thread. */
static intptr_t ts_least(const ts_rows *rows, int is_double) {
    return ts_thread_least / (is_double ? TS_DOUBLE : 1) / (rows->top_k ? TS_FILTERED : 1) + 1;
}

/* Whether threads had better share each row than all rows: these are long, few, and not as many for each thread. Draws
 * from a row are made by one of them, so they are not to be many unless there is no other row. */
static int ts_is_shared_by_blocks(ts_function which, const ts_rows *rows, int is_double, int n_threads) {
    const int has_blocks = which != TS_BEST && which != TS_SUPPORT && !rows->top_k && !rows->draw_options;
    const int are_few_draws = rows->n_draws <= TS_BLOCK / 16 || rows->n_rows == 1;
    const intptr_t least = ts_least(rows, is_double) > TS_BLOCK ? ts_least(rows, is_double) : TS_BLOCK;
    return has_blocks && are_few_draws && rows->n_categories / TS_LONG >= least && rows->n_rows < TS_LOT &&
           rows->n_rows < 4 * (intptr_t)n_threads && rows->n_rows % n_threads != 0;
}

/* So many threads as n parts of this size are worth, at most `most`. */
static int ts_worth(intptr_t n, intptr_t size, intptr_t least, int most) {
    const intptr_t threads = n * size / least < n ? n * size / least : n;
    return threads < most ? (int)threads : most;
}

/* Call the kernel on all rows, with the help of at most n_threads - 1 others, and the scratch memory that it needs.
 * Without memory, leave it to `ts_take_out_of_memory`. */
static void ts_run(ts_function which, int is_double, const ts_rows *rows, int n_threads) {
    const ts_call call = {rows, which, ts_active->functions[which][is_double]};
    if (n_threads > 1 && ts_is_shared_by_blocks(which, rows, is_double, n_threads)) {
        ts_rows shared = *rows;
        ts_crew crew = {{ts_share_blocks}, 0};
        crew.n_threads = ts_worth(rows->n_categories / TS_BLOCK, TS_BLOCK, ts_least(rows, is_double), n_threads);
        shared.sharing = &crew.sharing;
        const ts_call of_blocks = {&shared, which, call.function};
        ts_run_alone(&of_blocks);
        return;
    }
    if (n_threads > 1)
        n_threads = ts_worth(rows->n_rows, rows->n_categories + rows->n_draws, ts_least(rows, is_double), n_threads);
    if (n_threads > 1)
        ts_share_rows(&call, n_threads);
    else
        ts_run_alone(&call);
}

#endif
