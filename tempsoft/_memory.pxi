# Memory of large results, by an allocator of NumPy that keeps some of it for the next. Part of _kernels.pyx.
#
# NumPy asks the allocator that is set for the thread, and an array remembers whose memory it has.

cdef extern from "kernel/kept.h":
    bint TS_KEEPS_MEMORY
    int TS_LEAST_KEPT
    void *ts_kept_malloc(void *context, size_t bytes) noexcept
    void *ts_kept_calloc(void *context, size_t n, size_t size) noexcept
    void *ts_kept_realloc(void *context, void *memory, size_t bytes) noexcept
    void ts_kept_free(void *context, void *memory, size_t bytes) noexcept
    size_t ts_forget_memory()
    void ts_forget_before_fork()

cdef extern from "numpy/arrayobject.h":
    ctypedef struct PyDataMemAllocator:
        void *ctx
        void *(*malloc)(void *context, size_t bytes) noexcept
        void *(*calloc)(void *context, size_t n, size_t size) noexcept
        void *(*realloc)(void *context, void *memory, size_t bytes) noexcept
        void (*free)(void *context, void *memory, size_t bytes) noexcept

    ctypedef struct PyDataMem_Handler:
        char name[127]
        unsigned char version
        PyDataMemAllocator allocator

    object PyDataMem_SetHandler(object handler)
    PyObject *PyDataMem_DefaultHandler

LEAST_KEPT = TS_LEAST_KEPT  # bytes of a result
cdef bint keeps = TS_KEEPS_MEMORY and os.environ.get("TEMPSOFT_KEEP_MEMORY") != "0"
cdef PyDataMem_Handler _keeping
memcpy(_keeping.name, b"tempsoft", 9)
_keeping.version = 1
_keeping.allocator = PyDataMemAllocator(NULL, ts_kept_malloc, ts_kept_calloc, ts_kept_realloc, ts_kept_free)
cdef object keeping = PyCapsule_New(&_keeping, "mem_handler", NULL)


cdef object begin_keeping():
    """Have the arrays that are made next be of memory that is kept, until `end_keeping` is called with what this
    returns. The default of NumPy alone is replaced, and no allocator that someone has set."""
    before = PyDataMem_SetHandler(keeping)
    if <PyObject *>before == PyDataMem_DefaultHandler:
        return before
    PyDataMem_SetHandler(before)
    return None


cdef object end_keeping(object before):
    if before is not None:
        PyDataMem_SetHandler(before)


def new_result(shape, dtype):
    """As `numpy.empty`, for results: of large ones the memory may be kept for the next when it is given back."""
    n_bytes = dtype.itemsize
    for length in shape:
        n_bytes *= length
    if not keeps or n_bytes < TS_LEAST_KEPT:
        return numpy.empty(shape, dtype)
    before = begin_keeping()
    try:
        return numpy.empty(shape, dtype)
    finally:
        end_keeping(before)


def forget_memory():
    """Let the system have all memory that is kept, and return how many bytes that was."""
    return ts_forget_memory()


def forget_before_fork():
    """The same, and also, when it is given back, memory that is in use now."""
    ts_forget_before_fork()
