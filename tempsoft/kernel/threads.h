/* What team.h needs of the system: a lock, a signal that a thread sleeps for, and on Linux who a thread is and where it
 * may run. Not Python's locks: their memory is Python's, which may have hooks (tracemalloc) that take the GIL.
 */
#ifndef TEMPSOFT_THREADS_H
#define TEMPSOFT_THREADS_H

#if defined(_WIN32)
#define WIN32_LEAN_AND_MEAN
#define NOMINMAX
#include <windows.h>

typedef SRWLOCK ts_lock;
typedef CONDITION_VARIABLE ts_signal;
#define TS_NO_LOCK SRWLOCK_INIT
#define TS_NO_SIGNAL CONDITION_VARIABLE_INIT
static int ts_try(ts_lock *lock) { return TryAcquireSRWLockExclusive(lock); }
static void ts_acquire(ts_lock *lock) { AcquireSRWLockExclusive(lock); }
static void ts_release(ts_lock *lock) { ReleaseSRWLockExclusive(lock); }
static void ts_sleep(ts_signal *signal, ts_lock *lock) { SleepConditionVariableSRW(signal, lock, INFINITE, 0); }
static void ts_send(ts_signal *signal) { WakeConditionVariable(signal); }
static void ts_end_signal(ts_signal *signal) { (void)signal; }
static void ts_yield(void) { SwitchToThread(); }
static void ts_doze(void) { Sleep(1); }
#else
#include <pthread.h>
#include <sched.h>
#include <time.h>

typedef pthread_mutex_t ts_lock;
typedef pthread_cond_t ts_signal;
#define TS_NO_LOCK PTHREAD_MUTEX_INITIALIZER
#define TS_NO_SIGNAL PTHREAD_COND_INITIALIZER
static int ts_try(ts_lock *lock) { return pthread_mutex_trylock(lock) == 0; }
static void ts_acquire(ts_lock *lock) { pthread_mutex_lock(lock); }
static void ts_release(ts_lock *lock) { pthread_mutex_unlock(lock); }
static void ts_sleep(ts_signal *signal, ts_lock *lock) { pthread_cond_wait(signal, lock); }
static void ts_send(ts_signal *signal) { pthread_cond_signal(signal); }
static void ts_end_signal(ts_signal *signal) { pthread_cond_destroy(signal); }
static void ts_yield(void) { sched_yield(); }
static void ts_doze(void) { nanosleep(&(struct timespec){.tv_nsec = 20000}, NULL); }
#endif

#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>

typedef struct {
    pid_t number;
    cpu_set_t cpus; /* that it was told to run on */
} ts_place;

static ts_place ts_own_place(void) { return (ts_place){.number = (pid_t)syscall(SYS_gettid)}; }

/* The CPUs this thread may use, but for the one it is on unless there is no other; 0 if the system does not say. */
static int ts_other_cpus(cpu_set_t *others) {
    const int cpu = sched_getcpu();
    if (cpu < 0 || sched_getaffinity(0, sizeof *others, others) != 0)
        return 0;
    if (CPU_COUNT(others) > 1)
        CPU_CLR((size_t)cpu, others);
    return 1;
}

static void ts_move(ts_place *place, const cpu_set_t *cpus) {
    if (!CPU_EQUAL(&place->cpus, cpus) && sched_setaffinity(place->number, sizeof *cpus, cpus) == 0)
        place->cpus = *cpus;
}
#endif

#endif
