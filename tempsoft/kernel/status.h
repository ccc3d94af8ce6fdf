/* The floating-point status, which a call leaves as it found it: overflow and infinities are ordinary in here, and
 * NumPy would warn of them. Also what is counted: calls, so that a test can tell which instruction set ran, and rows
 * with +inf and draws that are -1, so that a caller for whom these matter need not look for them. */

static uint64_t n_calls, n_infinite, n_undrawn;

#if defined(_MSC_VER)
#include <intrin.h>
#endif

#if defined(__x86_64__) || defined(_M_X64)
#include <xmmintrin.h>

static inline unsigned get_status(void) { return _mm_getcsr(); }
static inline void set_status(unsigned status) { _mm_setcsr(status); }
#else
#include <fenv.h>

static inline unsigned get_status(void) { return (unsigned)fetestexcept(FE_ALL_EXCEPT); }
static inline void set_status(unsigned status) { feclearexcept(FE_ALL_EXCEPT & ~(int)status); }
#endif

static void count_one(uint64_t *count) {
#if defined(_MSC_VER)
    _InterlockedIncrement64((volatile __int64 *)count);
#else
    __atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
#endif
}

static unsigned begin_call(void) {
#if defined(__GNUC__)
    /* of two threads at a time one may be lost: not worth the 6 ns of a locked addition in a call of 250 */
    __atomic_store_n(&n_calls, __atomic_load_n(&n_calls, __ATOMIC_RELAXED) + 1, __ATOMIC_RELAXED);
#else
    n_calls++;
#endif
    return get_status();
}

static void end_call(unsigned status) {
#if defined(__GNUC__)
    __asm__ volatile("" ::: "memory"); /* arithmetic stays before this */
#endif
    v_done();
    set_status(status);
}
