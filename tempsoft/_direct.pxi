# The direct path: calls of a kernel on rows that were laid by _rows.pxi, and their results. Part of _kernels.pyx.

# ---- results ---------------------------------------------------------------------------------------------------------

cdef np.ndarray empty(const plain_call *c, int dtype, int at=-1, np.npy_intp n=0):
    """An array of the batch shape, perhaps with an axis of length n at this place."""
    cdef np.npy_intp shape[MOST_AXES + 1]
    cdef np.npy_intp numbers = c.rows.n_rows * n if at >= 0 else c.rows.n_rows
    cdef int i, has_axis = at >= 0
    for i in range(c.n_axes):
        shape[i + (has_axis and i >= at)] = c.shape[i]
    if has_axis:
        shape[at] = n
    if not keeps or numbers < TS_LEAST_KEPT // 8 or numbers * np.PyArray_DescrFromType(dtype).itemsize < TS_LEAST_KEPT:
        return np.PyArray_EMPTY(c.n_axes + has_axis, shape, dtype, 0)
    before = begin_keeping()
    try:
        return np.PyArray_EMPTY(c.n_axes + has_axis, shape, dtype, 0)
    finally:
        end_keeping(before)


cdef inline object scalar_or(np.ndarray out):
    """A 0-d array as a NumPy scalar, any other as it is."""
    return out if np.PyArray_NDIM(out) else np.PyArray_ToScalar(np.PyArray_DATA(out), out)


cdef void bounds(np.ndarray array, char **first, char **last) noexcept:
    """Of the memory of an array that is not empty."""
    cdef int i
    cdef np.npy_intp length
    first[0] = last[0] = np.PyArray_BYTES(array)
    for i in range(np.PyArray_NDIM(array)):
        length = np.PyArray_STRIDE(array, i) * (np.PyArray_DIM(array, i) - 1)
        if length < 0:
            first[0] += length
        else:
            last[0] += length
    last[0] += np.PyArray_ITEMSIZE(array)


cdef bint is_plain_output(const plain_call *c, object logits, object out) noexcept:
    """Whether `out` is a plain array of the shape and dtype of these logits, and is them or apart from them."""
    cdef char *first
    cdef char *last
    cdef char *first_out
    cdef char *last_out
    if c.has_arrays:  # which may be in its memory
        return False
    if out is logits:  # each number by itself
        return np.PyArray_ISWRITEABLE(<np.ndarray>out) and np.PyArray_ISONESEGMENT(<np.ndarray>out)
    if (not np.PyArray_CheckExact(out) or not np.PyArray_SAMESHAPE(<np.ndarray>logits, <np.ndarray>out)
            or np.PyArray_TYPE(<np.ndarray>out) != c.dtype or not np.PyArray_ISBEHAVED(<np.ndarray>out)):
        return False
    bounds(<np.ndarray>logits, &first, &last)
    bounds(<np.ndarray>out, &first_out, &last_out)
    if last <= first_out or last_out <= first:
        return True
    return (np.PyArray_BYTES(<np.ndarray>logits) == np.PyArray_BYTES(<np.ndarray>out)
            and np.PyArray_IS_C_CONTIGUOUS(<np.ndarray>logits) and np.PyArray_IS_C_CONTIGUOUS(<np.ndarray>out))


cdef inline bint lay_result(ts_vector *vector, intptr_t *step, np.ndarray array, int axis, ts_type number) noexcept:
    """Have what there is of a row be in this array, whose `axis` is not one of the batch, if it lies evenly."""
    vector[0] = ts_vector(np.PyArray_BYTES(array), 0 if axis < 0 else np.PyArray_STRIDE(array, axis), number)
    return lie_evenly(array, axis, step)


cdef inline ts_type type_of_working(const plain_call *c) noexcept:
    return TS_F64 if c.working == np.NPY_DOUBLE else TS_F32


cdef void run_in_turns(ts_function which, plain_call *c) noexcept:
    """Rows that are steps of one length at a time, as those on either side of a middle axis."""
    cdef ts_rows some
    cdef np.npy_intp first, n_turns = 1
    cdef int i
    for i in range(c.split + 1):
        if i != c.axis:
            n_turns *= np.PyArray_DIM(<np.ndarray>c.logits, i)
    for i in range(n_turns):
        first = i * (c.rows.n_rows // n_turns)
        some = ts_some(&c.rows, first, c.rows.n_rows // n_turns)
        some.logits.data = c.rows.logits.data + i * c.logits_turn
        if which == TS_SOFTMAX or which == TS_LOG_SOFTMAX:
            some.out.data = c.rows.out.data + i * c.out_turn
        run(which, c.working == np.NPY_DOUBLE, &some, 1)


cdef int run_plain(ts_function which, plain_call *c) except -1:
    if c.split < 0:
        run(which, c.working == np.NPY_DOUBLE, &c.rows, c.n_threads)
    else:
        run_in_turns(which, c)
    if ts_take_out_of_memory():
        raise MemoryError("no memory for the scratch space of a row")
    return 0


cdef object map_plain(ts_function which, plain_call *c, object out):
    """A result of the shape of the logits, or None if `out` is not plain."""
    if out is None:
        out = empty(c, c.dtype, c.axis, c.rows.n_categories)
    elif not is_plain_output(c, <object>c.logits, out):
        return None
    c.rows.out = ts_vector(np.PyArray_BYTES(<np.ndarray>out), np.PyArray_STRIDE(<np.ndarray>out, c.axis),
                           c.rows.logits.type)
    if not lie_in_turns(<np.ndarray>out, c.axis, c.split, &c.rows.out_step, &c.out_turn):
        return None
    run_plain(which, c)
    return out


cdef object reduce_plain(ts_function which, plain_call *c, bint keepdims):
    """A number of each row."""
    cdef np.ndarray out = empty(c, c.working, c.axis, 1) if keepdims else empty(c, c.working)
    lay_result(&c.rows.out, &c.rows.out_step, out, -1, type_of_working(c))
    run_plain(which, c)
    return scalar_or(out)


cdef bint lay_indices(plain_call *c, np.ndarray indices, bint has_axis) noexcept:
    """Have int64 of each row, or of each draw from it, be in this array."""
    return lay_result(&c.rows.index, &c.rows.index_step, indices, c.n_axes if has_axis else -1, TS_F64)


cdef bint lay_log_probs(plain_call *c, np.ndarray log_probs, bint has_axis) noexcept:
    return lay_result(&c.rows.log_prob, &c.rows.log_prob_step, log_probs, c.n_axes if has_axis else -1,
                      type_of_working(c))


# ---- indices ---------------------------------------------------------------------------------------------------------

cdef bint is_of_draws(const plain_call *c, np.ndarray array, int dtype, bint *has_axis) noexcept:
    """Whether a contiguous array is of this dtype and of the batch shape, perhaps with an axis behind it."""
    cdef int i
    has_axis[0] = np.PyArray_NDIM(array) == c.n_axes + 1
    if (np.PyArray_TYPE(array) != dtype or not np.PyArray_ISBEHAVED_RO(array)
            or not np.PyArray_IS_C_CONTIGUOUS(array) or np.PyArray_NDIM(array) != c.n_axes + has_axis[0]):
        return False
    for i in range(c.n_axes):
        if np.PyArray_DIM(array, i) != c.shape[i]:
            return False
    return True


cdef object log_prob_plain(plain_call *c, object index):
    """Log-probabilities at an integer, or an array of int64, or None."""
    cdef np.ndarray indices, out
    cdef int64_t *numbers
    cdef np.npy_intp i, n
    cdef bint has_axis
    if type(index) is int and c.n_axes == 0:
        if not 0 <= index < c.rows.n_categories:
            return None
        indices = empty(c, np.NPY_INT64)
        (<int64_t *>np.PyArray_DATA(indices))[0] = index
    elif np.PyArray_CheckExact(index):
        indices = <np.ndarray>index
    else:
        return None
    n = np.PyArray_SIZE(indices)
    if not is_of_draws(c, indices, np.NPY_INT64, &has_axis) or n == 0 or n > MOST_NUMBERS:
        return None
    numbers = <int64_t *>np.PyArray_DATA(indices)
    for i in range(n):
        if not 0 <= numbers[i] < c.rows.n_categories:
            return None
    c.rows.n_draws = n // c.rows.n_rows
    out = empty(c, c.working, c.n_axes if has_axis else -1, c.rows.n_draws)
    lay_indices(c, indices, has_axis)
    lay_log_probs(c, out, has_axis)
    run_plain(TS_LOG_PROB, c)
    return scalar_or(out)


cdef object best_plain(plain_call *c, object k):
    """The k best of each row, and their log-probabilities; None if that is not a plain number."""
    if type(k) is not int or not 0 < k <= c.rows.n_categories:
        return None
    cdef np.ndarray indices = empty(c, np.NPY_INT64, c.n_axes, k), log_probs = empty(c, c.working, c.n_axes, k)
    c.rows.n_draws = k
    lay_indices(c, indices, True)
    lay_log_probs(c, log_probs, True)
    run_plain(TS_BEST, c)
    return log_probs, indices


cdef object support_plain(plain_call *c):
    cdef np.ndarray number = empty(c, np.NPY_INT64), mass = empty(c, c.working)
    lay_indices(c, number, False)
    lay_result(&c.rows.out, &c.rows.out_step, mass, -1, type_of_working(c))
    run_plain(TS_SUPPORT, c)
    return scalar_or(number), scalar_or(mass)


# ---- draws -----------------------------------------------------------------------------------------------------------

cdef enum:
    FEW = 64              # uniform numbers that need no memory of their own
    MOST_DRAWN = 1 << 18  # from all rows: their uniform numbers stay in cache, and take a millisecond

cdef object _seed_of = None


def set_seed_of(function):
    """Have `function` make a seed of an argument `rng`."""
    global _seed_of
    _seed_of = function


cdef struct draw_kind:
    bint has_axis, with_log_probs, raises  # for an invalid row
    np.npy_intp n_draws                    # of each row
    uint64_t first_row, seed
    bint is_seeded                         # of `rng`, which may be another for that


cdef bint are_plain_draws(const plain_call *c, draw_kind *kind, object num_samples, object replace, object first_row,
                          object return_log_prob, object on_invalid) noexcept:
    """Whether these say in a plain way what is to be drawn, and that is not too much to be made at once."""
    kind.has_axis = num_samples is not None
    if type(num_samples) is int:
        if not 0 < num_samples <= MOST_DRAWN // c.rows.n_rows:
            return False
        kind.n_draws = num_samples
    elif num_samples is None:
        kind.n_draws = 1
    else:
        return False
    if (c.rows.n_rows * kind.n_draws > MOST_DRAWN or type(replace) is not bool or type(return_log_prob) is not bool
            or type(first_row) is not int or not 0 <= first_row < 1 << 62 or type(on_invalid) is not str):
        return False
    kind.with_log_probs, kind.first_row = return_log_prob, first_row
    kind.raises = on_invalid == "raise"
    return kind.raises or on_invalid == "mark"


cdef bint lay_given(plain_call *c, object u, const draw_kind *kind, double *few) noexcept:
    """Have draws be made of these uniform numbers, if they are as many, and each is in [0, 1)."""
    cdef np.npy_intp i, n = c.rows.n_rows * kind.n_draws
    cdef double *numbers = few
    cdef bint has_axis
    if type(u) is float and c.n_axes == 0 and not kind.has_axis:
        few[0] = u
    elif (np.PyArray_CheckExact(u) and is_of_draws(c, <np.ndarray>u, np.NPY_DOUBLE, &has_axis)
            and has_axis == kind.has_axis and np.PyArray_SIZE(<np.ndarray>u) == n):
        numbers = <double *>np.PyArray_DATA(<np.ndarray>u)
    else:
        return False
    for i in range(n):
        if not 0 <= numbers[i] < 1:
            return False
    c.rows.u, c.rows.u_step = ts_vector(<char *>numbers, 8, TS_F64), 8 * kind.n_draws
    return True


cdef object make_uniforms(plain_call *c, const draw_kind *kind, double *few):
    """Have draws be made of the numbers of this seed, which are in an array that is returned unless they are few."""
    cdef np.npy_intp n = c.rows.n_rows * kind.n_draws
    cdef np.ndarray array = None
    cdef double *numbers = few
    if n > FEW:
        array = np.PyArray_EMPTY(1, &n, np.NPY_DOUBLE, 0)
        numbers = <double *>np.PyArray_DATA(array)
    if n < GIL_SIZE:
        ts_active.uniforms(kind.seed, kind.first_row, c.rows.n_rows, 0, kind.n_draws, numbers)
    else:
        with nogil:
            ts_active.uniforms(kind.seed, kind.first_row, c.rows.n_rows, 0, kind.n_draws, numbers)
    c.rows.u, c.rows.u_step = ts_vector(<char *>numbers, 8, TS_F64), 8 * kind.n_draws
    return array


cdef object make_draws(plain_call *c, const draw_kind *kind):
    """Draws made of numbers that are there, or None if a row is invalid and that is not to be marked."""
    cdef np.npy_intp i
    cdef int at = c.n_axes if kind.has_axis else -1
    cdef np.ndarray log_probs = None, indices = empty(c, np.NPY_INT64, at, kind.n_draws)
    cdef int64_t *first_draws = <int64_t *>np.PyArray_DATA(indices)
    c.rows.n_draws = kind.n_draws
    lay_indices(c, indices, kind.has_axis)
    if kind.with_log_probs:
        log_probs = empty(c, c.working, at, kind.n_draws)
        lay_log_probs(c, log_probs, kind.has_axis)
    run_plain(TS_DRAW, c)
    if kind.raises:
        for i in range(c.rows.n_rows):
            if first_draws[i * kind.n_draws] < 0:
                return None
    return scalar_or(indices) if log_probs is None else (scalar_or(indices), scalar_or(log_probs))


cdef object draw_plain(plain_call *c, draw_kind *kind, num_samples, replace, rng, u, first_row, return_log_prob,
                       on_invalid):
    """Draws, or None where the arguments are not plain or a row is invalid."""
    cdef double few[FEW]
    if not (are_plain_draws(c, kind, num_samples, replace, first_row, return_log_prob, on_invalid)
            and (u is None or rng is None)):
        return None
    if u is None:
        kind.seed, kind.is_seeded = _seed_of(rng), True
        u = make_uniforms(c, kind, few)
    else:
        u = plain_numbers(u)
        if not lay_given(c, u, kind, few):
            return None
    return make_draws(c, kind)
