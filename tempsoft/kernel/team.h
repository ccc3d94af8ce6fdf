/* Threads that share the rows of a call, without Python: one that needs the GIL is woken twice, and to be woken takes
 * 50 us, in which two threads work on 100,000 numbers.
 *
 * A call open to helpers is on a list until all of its rows are taken; a helper without work sleeps on a lock of its
 * own. Both lists and all they hold are guarded by `lock`, which is never held for long: not while rows are worked on,
 * and not to wait for anything. Each thread takes rows as it comes to it, many at first and ever fewer, so that none
 * is late at the end, and each row is computed by itself: who takes it changes no bit.
 *
 * The locks are Python's, which are there on every system and need no GIL.
 */
#ifndef TEMPSOFT_TEAM_H
#define TEMPSOFT_TEAM_H

#include <Python.h>
#include <string.h>

#include "plan.h"
#include "scratch.h"

#if defined(__unix__) || defined(__APPLE__)
#include <sched.h>
#define TS_YIELD() ((void)sched_yield())
#else
#define TS_YIELD() ((void)0)
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

enum {
    TS_FILTERED = 4,    /* as long as so many numbers takes one of a row with filters, */
    TS_DOUBLE = 2,      /* and as long as so many one of float64 */
    TS_PARTS = 32,      /* for each thread: at the end they are no smaller than so many of a size, */
    TS_OF_LEAST = 4,    /* nor than so many of the least that is worth a thread */
    TS_LOT = 16,        /* rows that are best taken together, where they are short or columns */
    TS_LARGE_LOT = 128, /* the same of many: columns of a strip */
    TS_YIELDS = 100     /* of a thread that stays awake, as something is to come soon: some 50 us */
};

/* Numbers of float32 for each thread of a call, which take as long as to be woken. A test has fewer. */
static intptr_t ts_thread_least = 1 << 17;

typedef struct ts_work {
    struct ts_work *next;
    const ts_rows *rows;
    void (*function)(const ts_rows *rows, double *scratch);
    ts_function which;
    int n_threads, n_wanted; /* helpers that may still join */
    int n_at_work, is_out_of_memory;
    intptr_t n_taken, least, lot; /* rows */
    PyThread_type_lock ended;     /* NULL, or what the caller waits for */
} ts_work;

typedef struct ts_helper {
    struct ts_helper *next;
    PyThread_type_lock awake;
#if defined(__linux__)
    pid_t number;
    cpu_set_t cpus; /* that it was told to run on */
#endif
} ts_helper;

static struct {
    PyThread_type_lock lock;
    ts_work *open;
    ts_helper *asleep;
    int n_called; /* helpers that Python has work for */
} ts_team;

static void ts_lock_team(void) { PyThread_acquire_lock(ts_team.lock, WAIT_LOCK); }
static void ts_unlock_team(void) { PyThread_release_lock(ts_team.lock); }

/* A team without helpers and work: at the beginning, and in a forked child, where all other threads are gone and any
 * of them may have held the lock. */
static int ts_new_team(void) {
    memset(&ts_team, 0, sizeof ts_team);
    ts_team.lock = PyThread_allocate_lock();
    return ts_team.lock != NULL;
}

/* ---- taking rows ------------------------------------------------------------------------------------------------ */

/* Rows from number n on. */
static void ts_skip(ts_rows *rows, intptr_t n) {
    rows->n_rows -= n;
    ts_vector *const vectors[] = {&rows->logits, &rows->out, &rows->u, &rows->index, &rows->log_prob};
    const char **const numbers[] = {&rows->temperature, &rows->top_k, &rows->top_p, &rows->min_p, &rows->options};
    const intptr_t of_vectors[] = {rows->logits_step, rows->out_step, rows->u_step, rows->index_step,
                                   rows->log_prob_step};
    const intptr_t of_numbers[] = {rows->temperature_step, rows->top_k_step, rows->top_p_step, rows->min_p_step,
                                   rows->options_step};
    for (int i = 0; i < 5; i++) {
        if (vectors[i]->data)
            vectors[i]->data += n * of_vectors[i];
        if (*numbers[i])
            *numbers[i] += n * of_numbers[i];
    }
}

/* The next rows, if there are any: of what is left three quarters of a thread's share, so that a thread that comes late
 * finds enough, and what is last is little. */
static int ts_take(ts_work *work, ts_rows *part) {
    const intptr_t left = work->rows->n_rows - work->n_taken;
    intptr_t n = left / work->n_threads * 3 / 4;
    n -= n % work->lot;
    n = n < work->least ? work->least : n;
    n = n < left ? n : left;
    *part = *work->rows;
    ts_skip(part, work->n_taken);
    part->n_rows = n;
    work->n_taken += n;
    return n > 0;
}

/* Work on rows until all are taken. The team is locked before and after. */
static void ts_take_part(ts_work *work) {
    double stack[TS_STACK_DOUBLES], *memory = stack;
    size_t n_doubles = TS_STACK_DOUBLES;
    ts_rows part;
    work->n_at_work++;
    while (!work->is_out_of_memory && ts_take(work, &part)) {
        ts_unlock_team();
        const size_t needed = ts_scratch_doubles(work->which, &part);
        if (needed > n_doubles) {
            if (memory != stack)
                free(memory);
            memory = ts_allocate(needed);
            n_doubles = memory ? needed : 0;
        }
        if (memory)
            work->function(&part, memory);
        ts_lock_team();
        work->is_out_of_memory |= !memory;
    }
    work->n_at_work--;
    if (work->ended && work->n_at_work == 0)
        PyThread_release_lock(work->ended);
    if (memory != stack)
        free(memory);
}

/* ---- helpers ---------------------------------------------------------------------------------------------------- */

/* Have helpers run on any CPU that the calling thread may use but the one it is on. Linux may wake a thread on the CPU
 * of the one that wakes it, and leave it waiting there for milliseconds while another CPU is idle. */
static void ts_keep_apart(ts_helper *helpers) {
#if defined(__linux__)
    cpu_set_t apart;
    const int cpu = sched_getcpu();
    if (cpu < 0 || sched_getaffinity(0, sizeof apart, &apart) != 0)
        return;
    if (CPU_COUNT(&apart) > 1)
        CPU_CLR((size_t)cpu, &apart);
    for (ts_helper *helper = helpers; helper; helper = helper->next)
        if (!CPU_EQUAL(&helper->cpus, &apart) && sched_setaffinity(helper->number, sizeof apart, &apart) == 0)
            helper->cpus = apart;
#else
    (void)helpers;
#endif
}

/* At most n helpers that are asleep, for ts_wake. The team is locked. */
static ts_helper *ts_call_up(int n) {
    ts_helper *const first = ts_team.asleep;
    ts_helper **end = &ts_team.asleep;
    for (; n > 0 && *end; n--)
        end = &(*end)->next;
    ts_helper *const rest = *end;
    *end = NULL;
    ts_team.asleep = rest;
    return first == rest ? NULL : first;
}

/* The team is not locked. */
static void ts_wake(ts_helper *helpers) {
    ts_keep_apart(helpers);
    while (helpers) {
        ts_helper *const next = helpers->next; /* once it is awake it may be gone */
        PyThread_release_lock(helpers->awake);
        helpers = next;
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

/* Help with calls until this thread is called. Without memory for a lock it is on its way at once. */
static void ts_help(void) {
    ts_helper self = {.awake = PyThread_allocate_lock()};
    if (!self.awake)
        return;
    PyThread_acquire_lock(self.awake, WAIT_LOCK);
#if defined(__linux__)
    self.number = (pid_t)syscall(SYS_gettid);
#endif
    int n_yields = 0;
    ts_lock_team();
    while (ts_team.n_called == 0) {
        ts_work *const work = ts_find_work();
        if (work) {
            work->n_wanted--;
            ts_take_part(work);
            n_yields = 0;
        } else if (n_yields++ < TS_YIELDS) {
            ts_unlock_team();
            TS_YIELD();
            ts_lock_team();
        } else {
            self.next = ts_team.asleep;
            ts_team.asleep = &self;
            ts_unlock_team();
            PyThread_acquire_lock(self.awake, WAIT_LOCK);
            ts_lock_team();
            n_yields = 0;
        }
    }
    ts_team.n_called--;
    ts_unlock_team();
    PyThread_free_lock(self.awake);
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
    for (int i = 0; work->n_at_work && i < TS_YIELDS; i++) {
        ts_unlock_team();
        TS_YIELD();
        ts_lock_team();
    }
    if (work->n_at_work && (work->ended = PyThread_allocate_lock())) {
        PyThread_acquire_lock(work->ended, WAIT_LOCK);
        ts_unlock_team();
        PyThread_acquire_lock(work->ended, WAIT_LOCK);
        PyThread_release_lock(work->ended);
        ts_lock_team();
        PyThread_free_lock(work->ended);
    }
    while (work->n_at_work) { /* there was no memory for a lock */
        ts_unlock_team();
        TS_YIELD();
        ts_lock_team();
    }
}

/* So many threads as a call is worth, at most `most`. */
static int ts_worth(const ts_rows *rows, int is_double, int most) {
    const intptr_t numbers = rows->n_rows * (rows->n_categories + rows->n_draws);
    const intptr_t least = ts_thread_least / (is_double ? TS_DOUBLE : 1) / (rows->top_k ? TS_FILTERED : 1) + 1;
    const intptr_t threads = numbers / least < rows->n_rows ? numbers / least : rows->n_rows;
    return threads < most ? (int)threads : most;
}

static void ts_run_alone(const ts_work *work) {
    double stack[TS_STACK_DOUBLES], *memory = stack;
    const size_t n_doubles = ts_scratch_doubles(work->which, work->rows);
    if (n_doubles > TS_STACK_DOUBLES)
        memory = ts_allocate(n_doubles);
    if (memory)
        work->function(work->rows, memory);
    if (memory != stack)
        free(memory);
}

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
    ts_out_of_memory |= work->is_out_of_memory;
}

/* Call the kernel on all rows, with the help of at most n_threads - 1 others, and the scratch memory that it needs.
 * Without memory, leave it to `ts_take_out_of_memory`. */
static void ts_run(ts_function which, int is_double, const ts_rows *rows, int n_threads) {
    ts_work work = {.rows = rows, .which = which, .function = ts_active->functions[which][is_double]};
    if (n_threads > 1)
        n_threads = ts_worth(rows, is_double, n_threads);
    if (n_threads <= 1) {
        ts_run_alone(&work);
        return;
    }
    const intptr_t size = rows->logits.type == TS_F64 ? 8 : rows->logits.type == TS_F32 ? 4 : 2;
    const int are_together = rows->n_categories <= TS_SHORT || rows->logits.stride != size;
    const intptr_t of_size = ts_thread_least / TS_OF_LEAST / (rows->n_categories + rows->n_draws);
    const intptr_t of_rows = rows->n_rows / n_threads / TS_PARTS;
    work.n_threads = n_threads;
    work.n_wanted = n_threads - 1;
    work.lot = !are_together ? 1 : rows->n_rows / n_threads < 2 * TS_LARGE_LOT ? TS_LOT : TS_LARGE_LOT;
    work.least = ((of_size > of_rows ? of_size : of_rows) / work.lot + 1) * work.lot;
    ts_run_shared(&work);
}

#endif
