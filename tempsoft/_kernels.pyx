# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The compiled face of kernel/: gufuncs, a direct path for small plain calls, Philox, the choice of instruction set.

Refuses nothing: arguments were checked by arguments.py, or the direct path finds that they are plain and in range, and
leaves them to that otherwise. To gufuncs bfloat16 comes as its bits, in uint16, because NumPy knows that type only
through an extension.
"""

import functools
import os

import numpy

from tempsoft import arguments

cimport numpy as np
from cpython.object cimport PyObject
from cpython.pycapsule cimport PyCapsule_GetPointer, PyCapsule_New
from libc.math cimport INFINITY
from libc.stdint cimport int64_t, intptr_t, uint64_t
from libc.string cimport memcpy, memset

cdef extern from "numpy/random/bitgen.h":  # a cimport would import numpy.random, at most of our price
    ctypedef struct bitgen_t:
        void *state
        uint64_t (*next_uint64)(void *) noexcept nogil

np.import_array()
np.import_umath()


cdef extern from "kernel/plan.h" nogil:
    ctypedef enum ts_type:
        TS_F16
        TS_BF16
        TS_F32
        TS_F64

    ctypedef struct ts_vector:
        char *data
        intptr_t stride
        ts_type type

    ctypedef struct ts_rows:
        intptr_t n_rows, n_categories, n_draws
        ts_vector logits, out, u, index, log_prob
        const char *temperature
        const char *top_k
        const char *top_p
        const char *min_p
        const char *options
        intptr_t logits_step, out_step, u_step, index_step, log_prob_step
        intptr_t temperature_step, top_k_step, top_p_step, min_p_step, options_step
        int draw_options
        ts_past past_cache

    ctypedef struct ts_knobs:
        double temperature
        int64_t top_k
        double top_p, min_p
        int64_t options

    ctypedef enum ts_past:
        TS_NOT_PAST

    ctypedef enum ts_option:
        TS_TEMPERATURE_LAST
        TS_WITHOUT_REPLACEMENT
        TS_WEIGHTS

    ctypedef enum ts_function:
        TS_SOFTMAX
        TS_LOG_SOFTMAX
        TS_LOGSUMEXP
        TS_ENTROPY
        TS_SUPPORT
        TS_LOG_PROB
        TS_BEST
        TS_DRAW
        TS_N_FUNCTIONS

    ctypedef struct ts_kernels:
        const char *name
        void (*functions[8][2])(const ts_rows *rows, double *scratch) noexcept nogil
        void (*uniforms)(uint64_t seed, uint64_t first_row, intptr_t n_rows, uint64_t first_column, intptr_t n_columns,
                         double *out) noexcept nogil
        uint64_t *n_calls
        uint64_t *n_infinite
        uint64_t *n_undrawn

    intptr_t ts_size_of(ts_type type)
    ts_rows ts_some(const ts_rows *rows, intptr_t first, intptr_t n)
    const ts_kernels *ts_kernels_at(int i)
    int ts_is_supported(const ts_kernels *kernels)
    intptr_t ts_cache_bytes()
    ts_past ts_way_past_cache()
    const ts_kernels *ts_active

cdef extern from "kernel/scratch.h" nogil:
    int ts_take_out_of_memory()
    int ts_fail_allocations

    struct ts_manner_of_thread:
        int n_threads
        ts_past past_cache

    ts_manner_of_thread ts_manner

cdef extern from "kernel/threads.h" nogil:
    void ts_doze()

cdef extern from "kernel/team.h" nogil:
    void ts_run(ts_function which, int is_double, const ts_rows *rows, int n_threads)
    void ts_forget_team()
    intptr_t ts_thread_least
    void ts_help()
    void ts_call_helpers(int n)

cdef extern from * nogil:
    """
    #if PY_VERSION_HEX >= 0x030d0000
    #define ts_current_thread PyThreadState_GetUnchecked
    #else
    #define ts_current_thread _PyThreadState_UncheckedGet
    #endif
    """
    ctypedef struct PyThreadState:
        pass
    PyThreadState *ts_current_thread()  # in old versions that of whichever thread has the GIL
    PyThreadState *PyGILState_GetThisThreadState()
    PyThreadState *PyEval_SaveThread()
    void PyEval_RestoreThread(PyThreadState *)


# ---- calling a kernel ----------------------------------------------------------------------------------------------

cdef enum: GIL_SIZE = 1 << 12  # numbers; with more it is worth letting go of the GIL


cdef void run(ts_function which, bint is_double, ts_rows *rows, int n_threads) noexcept nogil:
    """Call the kernel without the GIL: NumPy keeps it for a gufunc whose results are few, however many numbers they
    take."""
    cdef PyThreadState *thread = NULL
    if rows.n_rows * (rows.n_categories + rows.n_draws) >= GIL_SIZE:
        thread = ts_current_thread()
        if thread != NULL and thread == PyGILState_GetThisThreadState():
            PyEval_SaveThread()
        else:
            thread = NULL
    ts_run(which, is_double, rows, n_threads)
    if thread != NULL:
        PyEval_RestoreThread(thread)


# ---- gufuncs -------------------------------------------------------------------------------------------------------
#
# The operands are logits; then, with filters, temperature, top_k, top_p, min_p and options, or temperature alone; then
# what there is one of for each draw; then the results.

ctypedef struct loop_kind:
    ts_function which
    bint is_double, has_filters
    int n_operands, n_results
    ts_type logits, result  # the last result


cdef inline bint are_off(const ts_rows *rows) noexcept nogil:
    """Whether the filters of the first row do nothing."""
    return ((<const int64_t *>rows.top_k)[0] <= 0 and (<const double *>rows.top_p)[0] >= 1
            and (<const double *>rows.min_p)[0] <= 0)


cdef void any_loop(char **args, const np.npy_intp *dimensions, const np.npy_intp *steps, void *data) noexcept nogil:
    cdef loop_kind *kind = <loop_kind *>data
    cdef int first_result = kind.n_operands, last = kind.n_operands + kind.n_results - 1, at = last + 1, parameters = 2
    cdef ts_rows rows
    memset(&rows, 0, sizeof(rows))
    rows.n_rows, rows.n_categories = dimensions[0], dimensions[1]
    rows.past_cache = ts_manner.past_cache
    rows.logits, rows.logits_step = ts_vector(args[0], steps[at], kind.logits), steps[0]
    rows.temperature, rows.temperature_step = args[1], steps[1]
    if kind.has_filters:
        rows.top_k, rows.top_k_step = args[2], steps[2]
        rows.top_p, rows.top_p_step = args[3], steps[3]
        rows.min_p, rows.min_p_step = args[4], steps[4]
        rows.options, rows.options_step = args[5], steps[5]
        parameters = 6
        if not (rows.top_k_step or rows.top_p_step or rows.min_p_step or rows.options_step) and are_off(&rows):
            rows.top_k = NULL  # the kernels' way to know before they look at a row
            rows.draw_options = <int>((<const int64_t *>rows.options)[0] & ~TS_TEMPERATURE_LAST)
    at += 1
    if kind.which == TS_SOFTMAX or kind.which == TS_LOG_SOFTMAX:
        rows.out, rows.out_step = ts_vector(args[last], steps[at], kind.result), steps[last]
    elif kind.which == TS_LOGSUMEXP or kind.which == TS_ENTROPY:
        rows.out, rows.out_step = ts_vector(args[last], 0, kind.result), steps[last]
    elif kind.which == TS_SUPPORT:
        rows.index, rows.index_step = ts_vector(args[first_result], 0, TS_F64), steps[first_result]
        rows.out, rows.out_step = ts_vector(args[last], 0, kind.result), steps[last]
    else:
        rows.n_draws = dimensions[2]
        if kind.which == TS_DRAW:
            rows.u, rows.u_step = ts_vector(args[parameters], steps[at], TS_F64), steps[parameters]
            at += 1
        if kind.which == TS_LOG_PROB:
            first_result = parameters  # where the index is
        rows.index, rows.index_step = ts_vector(args[first_result], steps[at], TS_F64), steps[first_result]
        if kind.which == TS_LOG_PROB or kind.n_results == 2:
            rows.log_prob, rows.log_prob_step = ts_vector(args[last], steps[at + 1], kind.result), steps[last]
    run(kind.which, kind.is_double, &rows, ts_manner.n_threads)


# A gufunc keeps pointers to these for the life of the process.
cdef enum: MAX_LOOPS = 64
cdef loop_kind kinds[MAX_LOOPS]
cdef void *kind_pointers[MAX_LOOPS]
cdef np.PyUFuncGenericFunction loops[MAX_LOOPS]
cdef char loop_types[MAX_LOOPS * 10]
cdef int n_loops = 0, n_loop_types = 0

# dtype character: type in the kernels, whether the arithmetic is float64. "H", uint16, carries bfloat16.
_TYPES = {"e": (TS_F16, False), "H": (TS_BF16, False), "f": (TS_F32, False), "d": (TS_F64, True)}
_INT = numpy.dtype(numpy.int64).char
_FILTERS = "d" + _INT + "dd" + _INT
_names = []  # a gufunc keeps a pointer to its name


cdef object make_gufunc(str name, ts_function which, str core, str operands, list results, bint has_filters=True):
    """A gufunc with loops of these dtype characters: `operands` past the logits and the parameters, and of the results
    for each dtype of logits, in `results` as pairs."""
    global n_loops, n_loop_types
    cdef int first = n_loops, first_type = n_loop_types
    cdef loop_kind *kind = &kinds[n_loops]
    parameters = _FILTERS if has_filters else "d"
    for logits, result in results:
        kind = &kinds[n_loops]
        kind.which, kind.has_filters = which, has_filters
        kind.logits, kind.is_double = _TYPES[logits]
        kind.n_operands, kind.n_results = 1 + len(parameters) + len(operands), len(result)
        kind.result = _TYPES[result[len(result) - 1]][0] if result[len(result) - 1] != _INT else TS_F64
        kind_pointers[n_loops] = kind
        loops[n_loops] = <np.PyUFuncGenericFunction>any_loop
        for character in logits + parameters + operands + result:
            loop_types[n_loop_types] = numpy.dtype(character).num
            n_loop_types += 1
        n_loops += 1
    signature = "(n)," + ",".join(["()"] * len(parameters)) + core
    kept = name.encode(), signature.encode()
    _names.append(kept)
    return np.PyUFunc_FromFuncAndDataAndSignature(
        &loops[first], &kind_pointers[first], &loop_types[first_type], len(results), kind.n_operands, kind.n_results,
        np.PyUFunc_None, kept[0], b"", 0, kept[1])


_MAPS = [("e", "e"), ("e", "f"), ("H", "H"), ("H", "f"), ("f", "f"), ("d", "d")]
_REDUCTIONS = [("e", "f"), ("H", "f"), ("f", "f"), ("d", "d")]
_DRAWS = [(logits, _INT) for logits, _ in _REDUCTIONS]
_PAIRS = [(logits, _INT + result) for logits, result in _REDUCTIONS]
softmax = make_gufunc("softmax", TS_SOFTMAX, "->(n)", "", _MAPS)
log_softmax = make_gufunc("log_softmax", TS_LOG_SOFTMAX, "->(n)", "", _MAPS)
logsumexp = make_gufunc("logsumexp", TS_LOGSUMEXP, "->()", "", _REDUCTIONS, has_filters=False)
entropy = make_gufunc("entropy", TS_ENTROPY, "->()", "", _REDUCTIONS)
support = make_gufunc("support", TS_SUPPORT, "->(),()", "", _PAIRS)
log_prob = make_gufunc("log_prob", TS_LOG_PROB, ",(m)->(m)", _INT, _REDUCTIONS)
best = make_gufunc("best", TS_BEST, "->(k),(k)", "", _PAIRS, has_filters=False)
draw = make_gufunc("draw", TS_DRAW, ",(m)->(m)", "d", _DRAWS)
draw_with_log_prob = make_gufunc("draw_with_log_prob", TS_DRAW, ",(m)->(m),(m)", "d", _PAIRS)


def call(gufunc, operands, out, signature, int past_cache=TS_NOT_PAST, int n_threads=1):
    """`gufunc` into the arrays `out`, with exactly the loop whose dtype characters are `signature`; MemoryError where
    it had no scratch memory. `past_cache`: 0, or `way_past_cache()` if the results of all such calls together are more
    than a cache holds. At most `n_threads` share the rows."""
    ts_take_out_of_memory()
    ts_manner.past_cache = <ts_past>past_cache
    ts_manner.n_threads = n_threads
    try:
        gufunc(*operands, out=out, signature=signature)
    finally:
        ts_manner.past_cache = TS_NOT_PAST
        ts_manner.n_threads = 1
    if ts_take_out_of_memory():
        raise MemoryError("no memory for the scratch space of a row")


include "_rows.pxi"
include "_direct.pxi"
include "_public.pxi"
include "_memory.pxi"


# ---- threads -------------------------------------------------------------------------------------------------------

def help_kernels():
    """What a helper does for most of its life: it shares calls of kernels, until it is called by `call_helpers`."""
    with nogil:
        ts_help()


def call_helpers(int n):
    """Have `n` threads return from `help_kernels`."""
    with nogil:
        ts_call_helpers(n)


def wait_for_helpers(sharing):
    """Return when as many helpers have ended as have started. No handler of a signal, which may raise, runs in here."""
    while sharing.n_ended != sharing.n_started:
        with nogil:
            ts_doze()


def set_thread_least(intptr_t n):
    """Have a call be worth another thread for so many numbers, and return the number before: for tests."""
    global ts_thread_least
    cdef intptr_t before = ts_thread_least
    ts_thread_least = n
    return before


def forget_team():
    """Forget all helpers: in a forked child there are none."""
    ts_forget_team()


# ---- uniforms ------------------------------------------------------------------------------------------------------

def uniforms(uint64_t seed, uint64_t first_row, np.npy_intp n_rows, uint64_t first_column, np.npy_intp n_columns):
    """Numbers first_row ... first_row + n_rows of the Philox streams of keys (seed, first_column ...)."""
    cdef np.npy_intp[2] shape = [n_rows, n_columns]
    cdef np.ndarray out = np.PyArray_EMPTY(2, shape, np.NPY_DOUBLE, 0)
    cdef double *numbers = <double *>np.PyArray_DATA(out)
    with nogil:
        ts_active.uniforms(seed, first_row, n_rows, first_column, n_columns, numbers)
    return out


def next_uint64(bit_generator):
    """What Generator(bit_generator).integers(0, 2**64, dtype=uint64) returns, at a tenth of its price."""
    cdef bitgen_t *generator = <bitgen_t *>PyCapsule_GetPointer(bit_generator.capsule, "BitGenerator")
    with bit_generator.lock:
        return generator.next_uint64(generator.state)


TEMPERATURE_LAST = <int>TS_TEMPERATURE_LAST
WITHOUT_REPLACEMENT = <int>TS_WITHOUT_REPLACEMENT
WEIGHTS = <int>TS_WEIGHTS


# ---- the CPU -------------------------------------------------------------------------------------------------------

def supported_isas():
    """Names of the instruction sets built and supported here, the most preferred first."""
    names = []
    cdef int i = 0
    while ts_kernels_at(i) != NULL:
        if ts_is_supported(ts_kernels_at(i)):
            names.append(ts_kernels_at(i).name.decode())
        i += 1
    return tuple(names)


def cache_bytes():
    """Bytes of the largest cache that this CPU says it has; 0 if it does not say."""
    return ts_cache_bytes()


def way_past_cache():
    """How this CPU is to work where results go past the cache: 1 or 2."""
    return <int>ts_way_past_cache()


def isa():
    """The instruction set in use."""
    return ts_active.name.decode()


def set_isa(name):
    """Use another instruction set, in the whole process: for tests and comparisons."""
    global ts_active
    cdef int i = 0
    while ts_kernels_at(i) != NULL:
        if ts_is_supported(ts_kernels_at(i)) and ts_kernels_at(i).name.decode() == name:
            ts_active = ts_kernels_at(i)
            return
        i += 1
    raise ValueError(f"unknown or unsupported instruction set {name!r}; available here: {', '.join(supported_isas())}")


def calls():
    """How many times the kernels of each instruction set were called."""
    counts = {}
    cdef int i = 0
    while ts_kernels_at(i) != NULL:
        counts[ts_kernels_at(i).name.decode()] = ts_kernels_at(i).n_calls[0]
        i += 1
    return counts


def n_infinite():
    """A number that is another one after a call that met a row with +inf."""
    return ts_active.n_infinite[0]


def n_undrawn():
    """A number that is another one after a call that drew -1."""
    return ts_active.n_undrawn[0]


def fail_allocations(bint fail):
    """Whether the allocation of scratch memory fails from now on: for tests."""
    global ts_fail_allocations
    ts_fail_allocations = fail
