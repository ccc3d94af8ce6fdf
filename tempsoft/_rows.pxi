# From arguments to rows, for the direct path. Part of _kernels.pyx.
#
# Checks, slices and a gufunc take longer than the arithmetic of few logits. The direct path is for calls whose rows are
# steps of one length through memory, and whose parameters are numbers, or arrays of one a row. All of it is looked at
# here, and whatever is not as it should be, or would take too long without Ctrl-C, is left to probabilities.py and
# sampling.py, which know what to say. So nothing in here raises an exception of its own.

cdef enum:
    MOST_AXES = 64          # of an array,
    MOST_GROWN = 32         # and of what NumPy broadcasts
    MOST_TOP_K = 1 << 30    # that is taken here
    MOST_NUMBERS = 1 << 16  # that are converted or looked at one by one

cdef int bfloat16 = np.NPY_NOTYPE  # NumPy's number of that dtype, once one was seen; no array has this one
cdef object float64 = numpy.float64
cdef object _threads_for = None
cdef np.npy_intp few_logits = 0  # so few that one thread takes them, whatever `workers` may be meant by None


def know_bfloat16(int number):
    """Have the direct path take arrays of the dtype of this number, which is bfloat16."""
    global bfloat16
    bfloat16 = number


def set_threads_for(function, np.npy_intp few):
    """Have `function` tell how many threads a call may take, of its numbers, bytes of logits, whether it has filters
    and its argument `workers`; 0 if it is not for the direct path. It is not asked for `few` numbers and one worker.
    Return both as they were before."""
    global _threads_for, few_logits
    before = _threads_for, few_logits
    _threads_for, few_logits = function, few
    return before


# A call that is being made. Its pointers are into arrays that `begin` has its caller keep, and into itself.
cdef struct plain_call:
    ts_rows rows
    ts_knobs own                   # parameters that are one number for all rows
    int dtype, working             # NumPy's numbers of that of the logits, and of the arithmetic
    int axis                       # of the categories in a result
    int n_axes                     # of the batch
    np.npy_intp shape[MOST_AXES]   # of the batch
    bint may_grow                  # to the shape of a parameter
    bint has_arrays                # among the parameters
    int split                      # axes up to this one are turns, those behind it the rows of a turn; or -1
    intptr_t logits_turn, out_turn  # bytes from turn to turn
    int n_threads                  # it may take
    PyObject *logits               # the array


# ---- arguments that are made plain first -----------------------------------------------------------------------------

cdef bint is_short_list(object value) except -1:
    """Whether it is a list or tuple, of no more numbers than are looked at here as far as its first item tells."""
    cdef Py_ssize_t n
    if type(value) is not list and type(value) is not tuple:
        return False
    n = len(value)
    if n and (type(value[0]) is list or type(value[0]) is tuple):
        n *= len(value[0])
    return n <= MOST_NUMBERS


cdef object plain_logits(object logits):
    """A short list or tuple as an array, and few integers as float64; all else as it is."""
    if not np.PyArray_CheckExact(logits):
        if not is_short_list(logits):
            return logits
        try:
            logits = numpy.asarray(logits)
        except Exception:  # the other path will say so
            return logits
    if ((np.PyArray_ISINTEGER(<np.ndarray>logits) or np.PyArray_ISBOOL(<np.ndarray>logits))
            and np.PyArray_SIZE(<np.ndarray>logits) <= MOST_NUMBERS):
        return np.PyArray_Cast(<np.ndarray>logits, np.NPY_DOUBLE)
    return logits


cdef object real_array = arguments.real_array
cdef object integer_array = arguments.integer_array


cdef object plain_array(object value, int dtype, object check):
    """A short list or tuple, an array or a scalar of NumPy as the array of this dtype that a check of arguments.py
    makes of it; all else as it is, and what is refused."""
    if np.PyArray_CheckExact(value):
        if np.PyArray_TYPE(<np.ndarray>value) == dtype or np.PyArray_SIZE(<np.ndarray>value) > MOST_NUMBERS:
            return value
    elif not (is_short_list(value) or np.PyArray_CheckScalar(value)):
        return value
    try:
        return check(value, "")
    except Exception:  # the other path will say so
        return value


cdef inline bint is_plain_float(number) noexcept:
    """Whether it is a float of Python or NumPy, and no other kind of one, which may mean another number."""
    return type(number) is float or type(number) is float64


cdef inline object plain_numbers(object value):
    return value if value is None or is_plain_float(value) else plain_array(value, np.NPY_DOUBLE, real_array)


cdef inline object plain_counts(object value):
    return value if value is None or type(value) is int else plain_array(value, np.NPY_INT64, integer_array)


# ---- from arguments to rows ------------------------------------------------------------------------------------------

cdef int first_even_axis(np.ndarray array, int axis, int end, intptr_t *step) noexcept:
    """The first axis of those before `end` and but for `axis` that are in C order steps of one length; that length."""
    cdef np.npy_intp n = 1
    cdef int i
    step[0] = 0
    for i in range(end - 1, -1, -1):
        if i == axis or np.PyArray_DIM(array, i) == 1:
            continue
        if n == 1:
            step[0] = np.PyArray_STRIDE(array, i)
        elif np.PyArray_STRIDE(array, i) != step[0] * n:
            return i + 1
        n *= np.PyArray_DIM(array, i)
    return 0


cdef inline bint lie_evenly(np.ndarray array, int axis, intptr_t *step) noexcept:
    """Whether all axes but `axis` are in C order steps of one length, and that length."""
    return first_even_axis(array, axis, np.PyArray_NDIM(array), step) == 0


cdef inline bint lie_in_turns(np.ndarray array, int axis, int split, intptr_t *step, intptr_t *turn) noexcept:
    """Whether those behind `split` are, and those up to it, of another length."""
    return (first_even_axis(array, axis, np.PyArray_NDIM(array), step) <= split + 1
            and first_even_axis(array, axis, split + 1, turn) == 0)


cdef bint lay_logits(plain_call *c, object logits, object axis) noexcept:
    """Begin a call with these logits, if they are a plain array of at least one and `axis` is one of its axes."""
    if not np.PyArray_CheckExact(logits) or type(axis) is not int:
        return False
    cdef np.ndarray array = <np.ndarray>logits
    cdef int i, at = 0, n_axes = np.PyArray_NDIM(array), dtype = np.PyArray_TYPE(array)
    cdef ts_type number
    if dtype == np.NPY_FLOAT:
        number = TS_F32
    elif dtype == np.NPY_DOUBLE:
        number = TS_F64
    elif dtype == np.NPY_FLOAT16:
        number = TS_F16
    elif dtype == bfloat16:
        number = TS_BF16
    else:
        return False
    c.may_grow = axis == -1
    if c.may_grow:
        c.axis = n_axes - 1
    elif -n_axes <= axis < n_axes:
        c.axis = (axis + n_axes) % n_axes
    else:
        return False
    if n_axes == 0 or np.PyArray_SIZE(array) == 0 or not np.PyArray_ISBEHAVED_RO(array):
        return False
    c.logits = <PyObject *>logits
    memset(&c.rows, 0, sizeof(c.rows))
    c.split = first_even_axis(array, c.axis, n_axes, &c.rows.logits_step) - 1
    if first_even_axis(array, c.axis, c.split + 1, &c.logits_turn) > 0:
        return False
    c.rows.n_categories = np.PyArray_DIM(array, c.axis)
    c.rows.n_rows = np.PyArray_SIZE(array) // c.rows.n_categories
    c.rows.logits = ts_vector(np.PyArray_BYTES(array), np.PyArray_STRIDE(array, c.axis), number)
    c.dtype, c.working = dtype, np.NPY_DOUBLE if dtype == np.NPY_DOUBLE else np.NPY_FLOAT
    c.has_arrays = False
    c.n_axes = n_axes - 1
    for i in range(n_axes):
        if i != c.axis:
            c.shape[at] = np.PyArray_DIM(array, i)
            at += 1
    return True


cdef bint lay_array(plain_call *c, object value, int dtype, const char **data, intptr_t *step) noexcept:
    """Have an array be a parameter of each row, if it is of this dtype and the batch is of its shape, or of one row."""
    if not np.PyArray_CheckExact(value):
        return False
    cdef np.ndarray array = <np.ndarray>value
    cdef int i, n_axes = np.PyArray_NDIM(array)
    if (np.PyArray_TYPE(array) != dtype or np.PyArray_SIZE(array) > MOST_NUMBERS
            or not np.PyArray_ISBEHAVED_RO(array) or not lie_evenly(array, -1, step)):
        return False
    if 0 < n_axes <= MOST_GROWN and c.n_axes == 0 and c.may_grow and np.PyArray_SIZE(array):
        c.n_axes = c.axis = n_axes
        c.rows.n_rows, c.rows.logits_step = np.PyArray_SIZE(array), 0
        for i in range(n_axes):
            c.shape[i] = np.PyArray_DIM(array, i)
    if n_axes != 0 and n_axes != c.n_axes:
        return False
    for i in range(n_axes):
        if np.PyArray_DIM(array, i) != c.shape[i]:
            return False
    data[0] = np.PyArray_BYTES(array)
    c.has_arrays = True
    return True


cdef bint lay_numbers(plain_call *c, object value, double most, double *own, const char **data,
                      intptr_t *step) noexcept:
    """Have a parameter be this number or array, if all of it is in 0 ... most."""
    cdef intptr_t i
    cdef double number
    if is_plain_float(value) or (type(value) is int and -1000 < value < 1000):
        own[0] = value
        data[0], step[0] = <const char *>own, 0
        return 0 <= own[0] <= most
    if not lay_array(c, value, np.NPY_DOUBLE, data, step):
        return False
    for i in range(c.rows.n_rows if step[0] else 1):
        number = (<const double *>(data[0] + i * step[0]))[0]
        if not 0 <= number <= most:
            return False
    return True


cdef bint lay_counts(plain_call *c, object value, int64_t *own, const char **data, intptr_t *step) noexcept:
    """The same of integers in -1 ... MOST_TOP_K."""
    cdef intptr_t i
    cdef int64_t number
    if type(value) is int:
        if not -1 <= value <= MOST_TOP_K:
            return False
        own[0] = value
        data[0], step[0] = <const char *>own, 0
        return True
    if not lay_array(c, value, np.NPY_INT64, data, step):
        return False
    for i in range(c.rows.n_rows if step[0] else 1):
        number = (<const int64_t *>(data[0] + i * step[0]))[0]
        if not -1 <= number <= MOST_TOP_K:
            return False
    return True


cdef bint are_on(const plain_call *c) noexcept:
    """Whether a filter does something in a row."""
    cdef const ts_rows *rows = &c.rows
    cdef intptr_t i
    for i in range(rows.n_rows):
        if (0 < (<const int64_t *>(rows.top_k + i * rows.top_k_step))[0] < rows.n_categories
                or (<const double *>(rows.top_p + i * rows.top_p_step))[0] != 1
                or (<const double *>(rows.min_p + i * rows.min_p_step))[0] != 0):
            return True
        if not (rows.top_k_step or rows.top_p_step or rows.min_p_step):
            break
    return False


cdef bint lay_filters(plain_call *c, object top_k, object top_p, object min_p, object temperature_last,
                      int64_t options=0) noexcept:
    """Have a call filter its rows, if these are filters and not all of them off; its draws have such options anyway."""
    cdef ts_rows *rows = &c.rows
    rows.draw_options = options
    if top_k is None and top_p is None and min_p is None and temperature_last is False:
        return True
    if type(temperature_last) is not bool:
        return False
    c.own.top_k, c.own.top_p, c.own.min_p = 0, 1.0, 0.0
    c.own.options = options | (TS_TEMPERATURE_LAST if temperature_last else 0)
    rows.top_k, rows.options = <const char *>&c.own.top_k, <const char *>&c.own.options
    rows.top_p, rows.min_p = <const char *>&c.own.top_p, <const char *>&c.own.min_p
    if not ((top_k is None or lay_counts(c, top_k, &c.own.top_k, &rows.top_k, &rows.top_k_step))
            and (top_p is None or lay_numbers(c, top_p, 1, &c.own.top_p, &rows.top_p, &rows.top_p_step))
            and (min_p is None or lay_numbers(c, min_p, 1, &c.own.min_p, &rows.min_p, &rows.min_p_step))):
        return False
    if not are_on(c):
        rows.top_k = NULL
    return True


cdef bint lay_temperature(plain_call *c, object temperature) noexcept:
    return lay_numbers(c, temperature, INFINITY, &c.own.temperature, &c.rows.temperature, &c.rows.temperature_step)


cdef bint have_threads(plain_call *c, object workers) except -1:
    """Whether the call may take one thread or more, and not the other path."""
    cdef np.npy_intp numbers = c.rows.n_rows * c.rows.n_categories
    c.n_threads = 1
    if numbers > few_logits or not (workers is None or (type(workers) is int and workers == 1)):
        c.n_threads = _threads_for(numbers, numbers * ts_size_of(c.rows.logits.type), c.rows.top_k != NULL, workers)
    return c.n_threads > 0 and (c.n_threads == 1 or c.split < 0)


cdef object begin(plain_call *c, logits, temperature, axis, workers):
    """Begin a call without filters: what the caller is to keep until it is over, or None if it is not to be made."""
    logits, temperature = plain_logits(logits), plain_numbers(temperature)
    if lay_logits(c, logits, axis) and lay_temperature(c, temperature) and have_threads(c, workers):
        return (logits, temperature) if c.has_arrays else logits
    return None


cdef object begin_filtered(plain_call *c, logits, temperature, top_k, top_p, min_p, temperature_last, axis, workers,
                           int64_t options=0):
    """The same of a call with filters, or with such options."""
    logits, temperature = plain_logits(logits), plain_numbers(temperature)
    if top_k is not None or top_p is not None or min_p is not None:
        top_k, top_p, min_p = plain_counts(top_k), plain_numbers(top_p), plain_numbers(min_p)
    if (lay_logits(c, logits, axis) and lay_temperature(c, temperature)
            and lay_filters(c, top_k, top_p, min_p, temperature_last, options) and have_threads(c, workers)):
        return (logits, temperature, top_k, top_p, min_p) if c.has_arrays else logits
    return None
