# The direct path: plain calls straight to the kernel. Part of _kernels.pyx.
#
# A call that is plain enough needs no check and no gufunc, which cost more than the arithmetic of few logits: an array
# that is C-contiguous, with its categories last, and plain numbers beside it. Whatever else it is, and where it would
# be too long without Ctrl-C, the call is left to the functions of probabilities.py and sampling.py.

cdef int bfloat16 = np.NPY_NOTYPE  # NumPy's number of that dtype, once one was seen; no array has this one


def know_bfloat16(int number):
    """Have the direct path take arrays of the dtype of this number, which is bfloat16."""
    global bfloat16
    bfloat16 = number


cdef struct knobs:
    double temperature, top_p, min_p
    int64_t top_k, options
    bint has_filters


cdef object float64 = numpy.float64


cdef inline bint is_plain_float(number) noexcept:
    """Whether it is a float of Python or NumPy, and no other kind of one, which may mean another number."""
    return type(number) is float or type(number) is float64


cdef bint are_direct_filters(top_k, top_p, min_p, temperature_last, knobs *k) noexcept:
    """Whether each is None, or a plain number in its range, of `top_k` a small one."""
    k.top_k, k.top_p, k.min_p, k.options, k.has_filters = 0, 1.0, 0.0, 0, False
    if top_k is None and top_p is None and min_p is None and temperature_last is False:
        return True
    if top_k is not None:
        if type(top_k) is not int or not -1 <= top_k < 0x7fffffff:
            return False
        k.top_k = top_k
    if top_p is not None:
        if not is_plain_float(top_p):
            return False
        k.top_p = top_p
    if min_p is not None:
        if not is_plain_float(min_p):
            return False
        k.min_p = min_p
    if type(temperature_last) is not bool:
        return False
    k.options = TS_TEMPERATURE_LAST if temperature_last else 0
    k.has_filters = k.top_k > 0 or k.top_p != 1 or k.min_p != 0
    return 0 <= k.top_p <= 1 and 0 <= k.min_p <= 1


cdef bint is_direct(object logits, object temperature, np.npy_intp largest, knobs *k) noexcept:
    """Whether both are so plain that no check is needed: a C-contiguous array of at most `largest` logits, of one of
    the four float dtypes, and a plain number, of integers a small one."""
    if not np.PyArray_CheckExact(logits):
        return False
    cdef np.ndarray array = <np.ndarray>logits
    cdef int number = np.PyArray_TYPE(array)
    if number != np.NPY_FLOAT and number != np.NPY_DOUBLE and number != np.NPY_FLOAT16 and number != bfloat16:
        return False
    if not is_plain_float(temperature):
        if type(temperature) is not int or not -1000 < temperature < 1000:
            return False
    k.temperature = temperature
    return (k.temperature >= 0 and np.PyArray_NDIM(array) > 0 and 0 < np.PyArray_SIZE(array) <= largest
            and np.PyArray_CHKFLAGS(array, np.NPY_ARRAY_CARRAY_RO) and np.PyArray_ISNOTSWAPPED(array))


cdef inline bint is_of_numbers(ts_function which) noexcept:
    """Whether a result is a number of each row, of the dtype of the arithmetic."""
    return which == TS_LOGSUMEXP or which == TS_ENTROPY


cdef inline int working_type(np.ndarray logits) noexcept:
    """The dtype of the arithmetic."""
    return np.NPY_DOUBLE if np.PyArray_TYPE(logits) == np.NPY_DOUBLE else np.NPY_FLOAT


cdef object run_direct(ts_function which, np.ndarray logits, const knobs *k, double *u, int64_t *index,
                       intptr_t n_draws, np.ndarray out, int n_threads):
    """The kernel on all rows at once: so many draws from each by the numbers `u`, or entries of each, at `index`, or
    the number kept; of draws `out` may be None."""
    cdef ts_rows rows
    cdef int dtype = np.PyArray_TYPE(logits)
    cdef bint is_double = dtype == np.NPY_DOUBLE
    cdef ts_type number = (TS_F64 if is_double else TS_F16 if dtype == np.NPY_FLOAT16
                           else TS_BF16 if dtype == bfloat16 else TS_F32)
    cdef intptr_t size = np.PyArray_ITEMSIZE(logits)
    memset(&rows, 0, sizeof(rows))
    rows.n_categories = np.PyArray_DIM(logits, np.PyArray_NDIM(logits) - 1)
    rows.n_rows = np.PyArray_SIZE(logits) // rows.n_categories
    rows.n_draws = n_draws
    rows.logits = ts_vector(np.PyArray_BYTES(logits), size, number)
    rows.logits_step = size * rows.n_categories
    rows.temperature = <const char *>&k.temperature
    if k.has_filters:
        rows.top_k, rows.top_p, rows.min_p = <const char *>&k.top_k, <const char *>&k.top_p, <const char *>&k.min_p
        rows.options = <const char *>&k.options
    if which == TS_DRAW or which == TS_LOG_PROB or which == TS_BEST:
        rows.u, rows.index = ts_vector(<char *>u, 8, TS_F64), ts_vector(<char *>index, 8, TS_F64)
        rows.u_step = rows.index_step = 8 * rows.n_draws
        if out is not None:
            rows.log_prob = ts_vector(np.PyArray_BYTES(out), np.PyArray_ITEMSIZE(out), TS_F64 if is_double else TS_F32)
            rows.log_prob_step = np.PyArray_ITEMSIZE(out) * rows.n_draws
    elif is_of_numbers(which) or which == TS_SUPPORT:
        rows.index, rows.index_step = ts_vector(<char *>index, 0, TS_F64), 8
        rows.out = ts_vector(np.PyArray_BYTES(out), 0, TS_F64 if is_double else TS_F32)
        rows.out_step = np.PyArray_ITEMSIZE(out)
    else:
        rows.out = ts_vector(np.PyArray_BYTES(out), size, number)
        rows.out_step = rows.logits_step
    run(which, is_double, &rows, n_threads)
    if ts_take_out_of_memory():
        raise MemoryError("no memory for the scratch space of a row")


cdef inline object scalar_or(np.ndarray out):
    """A 0-d array as a NumPy scalar, any other as it is."""
    return out if np.PyArray_NDIM(out) else np.PyArray_ToScalar(np.PyArray_DATA(out), out)


cdef bint is_direct_output(np.ndarray logits, object out) noexcept:
    """Whether `out` is as plain as these logits, of their shape and dtype, and is them or apart from them."""
    if not np.PyArray_CheckExact(out):
        return False
    cdef np.ndarray target = <np.ndarray>out
    cdef char *a = np.PyArray_BYTES(logits)
    cdef char *b = np.PyArray_BYTES(target)
    return (np.PyArray_SAMESHAPE(logits, target) and np.PyArray_TYPE(logits) == np.PyArray_TYPE(target)
            and np.PyArray_CHKFLAGS(target, np.NPY_ARRAY_CARRAY) and np.PyArray_ISNOTSWAPPED(target)
            and (a == b or a + np.PyArray_NBYTES(logits) <= b or b + np.PyArray_NBYTES(target) <= a))


cdef object direct(ts_function which, object logits, object temperature, knobs *k, object out, np.npy_intp largest,
                   int n_threads):
    """A result for what `is_direct` with filters that are, or None."""
    if not is_direct(logits, temperature, largest, k):
        return None
    cdef np.ndarray array = <np.ndarray>logits
    cdef int n_axes = np.PyArray_NDIM(array) - is_of_numbers(which)
    cdef int dtype = np.PyArray_TYPE(array)
    if is_of_numbers(which):
        dtype = working_type(array)
    if out is None:
        out = np.PyArray_EMPTY(n_axes, np.PyArray_DIMS(array), dtype, 0)
    elif not is_direct_output(array, out):
        return None
    run_direct(which, array, k, NULL, NULL, 0, <np.ndarray>out, n_threads)
    return scalar_or(out)


def softmax_direct(logits, temperature, out, largest, n_threads=1, top_k=None, top_p=None, min_p=None,
                   temperature_last=False):
    """softmax over the last axis of a plain array of at most so many logits, or None where it is not one."""
    cdef knobs k
    if not are_direct_filters(top_k, top_p, min_p, temperature_last, &k):
        return None
    return direct(TS_SOFTMAX, logits, temperature, &k, out, largest, n_threads)


def log_softmax_direct(logits, temperature, out, largest, n_threads=1, top_k=None, top_p=None, min_p=None,
                       temperature_last=False):
    """As softmax_direct."""
    cdef knobs k
    if not are_direct_filters(top_k, top_p, min_p, temperature_last, &k):
        return None
    return direct(TS_LOG_SOFTMAX, logits, temperature, &k, out, largest, n_threads)


def logsumexp_direct(logits, temperature, largest, n_threads=1):
    """As softmax_direct."""
    cdef knobs k
    are_direct_filters(None, None, None, False, &k)
    return direct(TS_LOGSUMEXP, logits, temperature, &k, None, largest, n_threads)


cdef enum: FEW = 64  # uniform numbers that need no memory of their own

cdef object _seed_of = None


def set_seed_of(function):
    """Have `function` make a seed of an argument `rng`."""
    global _seed_of
    _seed_of = function


cdef enum: MOST_AXES = 64  # of an array

cdef np.ndarray empty_of_rows(np.ndarray logits, np.npy_intp n, int dtype):
    """An array of the batch shape of these logits, and an axis of `n` numbers behind it unless that is 0."""
    cdef np.npy_intp shape[MOST_AXES]
    cdef int i, batch_axes = np.PyArray_NDIM(logits) - 1
    for i in range(batch_axes):
        shape[i] = np.PyArray_DIM(logits, i)
    shape[batch_axes] = n
    return np.PyArray_EMPTY(batch_axes + (n > 0), shape, dtype, 0)


cdef object draw_direct(np.ndarray logits, const knobs *k, np.npy_intp n_draws, uint64_t seed, bint with_log_probs,
                        int n_threads):
    """So many draws from each row of what `is_direct`, perhaps with their log-probabilities, or one without an axis of
    draws if that is 0; None where a row is invalid."""
    cdef double few[FEW]
    cdef double *u = few
    cdef np.npy_intp i, each = n_draws if n_draws > 0 else 1
    cdef np.ndarray numbers, log_probs = None, out = empty_of_rows(logits, n_draws, np.NPY_INT64)
    cdef np.npy_intp n = np.PyArray_SIZE(out)
    cdef int64_t *indices = <int64_t *>np.PyArray_DATA(out)
    if n > FEW:
        numbers = np.PyArray_EMPTY(1, &n, np.NPY_DOUBLE, 0)
        u = <double *>np.PyArray_DATA(numbers)
    if with_log_probs:
        log_probs = empty_of_rows(logits, n_draws, working_type(logits))
    if n < GIL_SIZE:
        ts_active.uniforms(seed, 0, n // each, 0, each, u)
    else:
        with nogil:
            ts_active.uniforms(seed, 0, n // each, 0, each, u)
    run_direct(TS_DRAW, logits, k, u, indices, each, log_probs, n_threads)
    for i in range(n // each):
        if indices[i * each] < 0:
            return None
    return scalar_or(out) if log_probs is None else (scalar_or(out), scalar_or(log_probs))


cdef np.npy_intp direct_draws(num_samples, np.ndarray logits):
    """Draws from each row, 0 for None; -1 for what is no such number, or where all are too many to be made at once."""
    cdef np.npy_intp n_rows = np.PyArray_SIZE(logits) // np.PyArray_DIM(logits, np.PyArray_NDIM(logits) - 1)
    if num_samples is None:
        return 0 if n_rows <= MOST_DRAWN else -1
    if type(num_samples) is not int or not 0 < num_samples <= MOST_DRAWN // n_rows:
        return -1
    return num_samples


cdef enum: MOST_DRAWN = 1 << 18  # from all rows: their uniform numbers stay in cache, and take a millisecond


def sample_direct(logits, temperature, top_k, top_p, min_p, temperature_last, num_samples, rng, with_log_probs,
                  int n_threads):
    """As softmax_direct, but a pair: what `draw_direct` gives or None, and the seed made of `rng`, or `rng` itself."""
    cdef knobs k
    if not (are_direct_filters(top_k, top_p, min_p, temperature_last, &k)
            and is_direct(logits, temperature, np.PyArray_SIZE(<np.ndarray>logits), &k)):
        return None, rng
    cdef np.npy_intp n_draws = direct_draws(num_samples, <np.ndarray>logits)
    if n_draws < 0:
        return None, rng
    seed = _seed_of(rng)
    return draw_direct(<np.ndarray>logits, &k, n_draws, seed, with_log_probs, n_threads), seed


# To call a function of Python is dear beside a kernel on four logits: so a public one is a compiled one that tries the
# direct path and, where that is not for its arguments, calls the one in probabilities.py or sampling.py.

cdef bint is_one_slice(object logits, object axis, object workers):
    """Whether the categories are on the last axis, and one worker was given or will do for few logits."""
    if workers is not None and (type(workers) is not int or workers != 1):
        return False
    return type(axis) is int and (
        axis == -1 or (np.PyArray_CheckExact(logits) and axis == np.PyArray_NDIM(<np.ndarray>logits) - 1))


cdef inline direct_filtered(ts_function which, logits, temperature, top_k, top_p, min_p, temperature_last, axis, out,
                            workers, Py_ssize_t largest):
    """What takes filters, by the direct path, or None."""
    cdef knobs k
    if is_one_slice(logits, axis, workers) and are_direct_filters(top_k, top_p, min_p, temperature_last, &k):
        return direct(which, logits, temperature, &k, out, largest, 1)
    return None


# A function each, as its name is in its error messages.
def _softmax_or(function, Py_ssize_t largest):
    def softmax(logits, temperature=1.0, *, top_k=None, top_p=None, min_p=None, temperature_last=False, axis=-1,
                out=None, workers=None):
        result = direct_filtered(TS_SOFTMAX, logits, temperature, top_k, top_p, min_p, temperature_last, axis, out,
                                 workers, largest)
        return function(logits, temperature, top_k=top_k, top_p=top_p, min_p=min_p, temperature_last=temperature_last,
                        axis=axis, out=out, workers=workers) if result is None else result
    return softmax


def _log_softmax_or(function, Py_ssize_t largest):
    def log_softmax(logits, temperature=1.0, *, top_k=None, top_p=None, min_p=None, temperature_last=False, axis=-1,
                    out=None, workers=None):
        result = direct_filtered(TS_LOG_SOFTMAX, logits, temperature, top_k, top_p, min_p, temperature_last, axis, out,
                                 workers, largest)
        return function(logits, temperature, top_k=top_k, top_p=top_p, min_p=min_p, temperature_last=temperature_last,
                        axis=axis, out=out, workers=workers) if result is None else result
    return log_softmax


def _logsumexp_or(function, Py_ssize_t largest):
    def logsumexp(logits, temperature=1.0, *, axis=-1, keepdims=False, workers=None):
        cdef knobs k
        result = None
        if keepdims is False and is_one_slice(logits, axis, workers):
            are_direct_filters(None, None, None, False, &k)
            result = direct(TS_LOGSUMEXP, logits, temperature, &k, None, largest, 1)
        return (function(logits, temperature, axis=axis, keepdims=keepdims, workers=workers)
                if result is None else result)
    return logsumexp


def _entropy_or(function, Py_ssize_t largest):
    def entropy(logits, temperature=1.0, *, top_k=None, top_p=None, min_p=None, temperature_last=False, axis=-1,
                workers=None):
        result = direct_filtered(TS_ENTROPY, logits, temperature, top_k, top_p, min_p, temperature_last, axis, None,
                                 workers, largest)
        return function(logits, temperature, top_k=top_k, top_p=top_p, min_p=min_p, temperature_last=temperature_last,
                        axis=axis, workers=workers) if result is None else result
    return entropy


cdef object log_prob_direct(object logits, object index, object temperature, knobs *k, np.npy_intp largest):
    """log_prob of what `is_direct`, at a Python integer, of one row, or a C-contiguous array of int64, of any; or None.
    """
    cdef int64_t one
    cdef int64_t *indices = &one
    cdef np.npy_intp i, n_rows, n_indices = 1
    cdef np.npy_intp *shape = NULL
    cdef int n_axes = 0
    if not is_direct(logits, temperature, largest, k):
        return None
    cdef np.ndarray array = <np.ndarray>logits
    cdef int batch_axes = np.PyArray_NDIM(array) - 1
    cdef np.npy_intp n_categories = np.PyArray_DIM(array, batch_axes)
    n_rows = np.PyArray_SIZE(array) // n_categories
    if np.PyArray_CheckExact(index):
        n_axes, shape = np.PyArray_NDIM(<np.ndarray>index), np.PyArray_DIMS(<np.ndarray>index)
        n_indices, indices = np.PyArray_SIZE(<np.ndarray>index), <int64_t *>np.PyArray_DATA(<np.ndarray>index)
        if (np.PyArray_TYPE(<np.ndarray>index) != np.NPY_INT64 or not 0 < n_indices <= largest
                or not np.PyArray_CHKFLAGS(<np.ndarray>index, np.NPY_ARRAY_CARRAY_RO)
                or not np.PyArray_ISNOTSWAPPED(<np.ndarray>index)
                or (n_axes != batch_axes and n_axes != batch_axes + 1)):
            return None
        for i in range(batch_axes):
            if shape[i] != np.PyArray_DIM(array, <int>i):
                return None
    elif type(index) is int and batch_axes == 0 and 0 <= index < n_categories:
        one = index
    else:
        return None
    for i in range(n_indices):
        if not 0 <= indices[i] < n_categories:
            return None
    cdef np.ndarray out = np.PyArray_EMPTY(n_axes, shape, working_type(array), 0)
    run_direct(TS_LOG_PROB, array, k, NULL, indices, n_indices // n_rows, out, 1)
    return scalar_or(out)


def _log_prob_or(function, Py_ssize_t largest):
    def log_prob(logits, index, temperature=1.0, *, top_k=None, top_p=None, min_p=None, temperature_last=False,
                 axis=-1, workers=None):
        cdef knobs k
        result = None
        if is_one_slice(logits, axis, workers) and are_direct_filters(top_k, top_p, min_p, temperature_last, &k):
            result = log_prob_direct(logits, index, temperature, &k, largest)
        return function(logits, index, temperature, top_k=top_k, top_p=top_p, min_p=min_p,
                        temperature_last=temperature_last, axis=axis, workers=workers) if result is None else result
    return log_prob


def _support_or(function, Py_ssize_t largest):
    def support(logits, temperature=1.0, *, top_k=None, top_p=None, min_p=None, temperature_last=False, axis=-1,
                workers=None):
        cdef knobs k
        cdef np.ndarray number, mass
        if (is_one_slice(logits, axis, workers)
                and are_direct_filters(top_k, top_p, min_p, temperature_last, &k)
                and is_direct(logits, temperature, largest, &k)):
            number = empty_of_rows(<np.ndarray>logits, 0, np.NPY_INT64)
            mass = empty_of_rows(<np.ndarray>logits, 0, working_type(<np.ndarray>logits))
            run_direct(TS_SUPPORT, <np.ndarray>logits, &k, NULL, <int64_t *>np.PyArray_DATA(number), 0, mass, 1)
            return scalar_or(number), scalar_or(mass)
        return function(logits, temperature, top_k=top_k, top_p=top_p, min_p=min_p, temperature_last=temperature_last,
                        axis=axis, workers=workers)
    return support


def _top_log_probs_or(function, Py_ssize_t largest):
    def top_log_probs(logits, k, temperature=1.0, *, axis=-1, workers=None):
        cdef knobs plain
        cdef np.ndarray indices, log_probs, array
        are_direct_filters(None, None, None, False, &plain)
        if is_one_slice(logits, axis, workers) and type(k) is int and is_direct(logits, temperature, largest, &plain):
            array = <np.ndarray>logits
            if 0 < k <= np.PyArray_DIM(array, np.PyArray_NDIM(array) - 1):
                indices = empty_of_rows(array, k, np.NPY_INT64)
                log_probs = empty_of_rows(array, k, working_type(array))
                run_direct(TS_BEST, array, &plain, NULL, <int64_t *>np.PyArray_DATA(indices), k, log_probs, 1)
                return log_probs, indices
        return function(logits, k, temperature, axis=axis, workers=workers)
    return top_log_probs


def _sample_or(function, Py_ssize_t largest):
    def sample(logits, temperature=1.0, *, top_k=None, top_p=None, min_p=None, temperature_last=False,
               num_samples=None, replace=True, rng=None, u=None, first_row=0, axis=-1, return_log_prob=False,
               on_invalid="raise", workers=None):
        cdef knobs k
        cdef np.npy_intp n_draws
        result, seed = None, rng
        if (replace is True and u is None and type(first_row) is int and first_row == 0
                and type(return_log_prob) is bool and type(on_invalid) is str and on_invalid == "raise"
                and is_one_slice(logits, axis, workers)
                and are_direct_filters(top_k, top_p, min_p, temperature_last, &k)
                and is_direct(logits, temperature, largest, &k)):
            n_draws = direct_draws(num_samples, <np.ndarray>logits)
            if n_draws >= 0:
                seed = _seed_of(rng)
                result = draw_direct(<np.ndarray>logits, &k, n_draws, seed, return_log_prob, 1)
        return function(logits, temperature, top_k=top_k, top_p=top_p, min_p=min_p, temperature_last=temperature_last,
                        num_samples=num_samples, replace=replace, rng=seed, u=u, first_row=first_row, axis=axis,
                        return_log_prob=return_log_prob, on_invalid=on_invalid,
                        workers=workers) if result is None else result
    return sample


def direct_first(largest):
    """Have one of these functions try the direct path before itself, for up to `largest` logits."""
    tries = {"softmax": _softmax_or, "log_softmax": _log_softmax_or, "logsumexp": _logsumexp_or,
             "entropy": _entropy_or, "log_prob": _log_prob_or, "support": _support_or,
             "top_log_probs": _top_log_probs_or, "sample": _sample_or}
    return lambda function: functools.update_wrapper(tries[function.__name__](function, largest), function)
