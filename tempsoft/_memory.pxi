# Memory of large results, by an allocator of NumPy that keeps some of it for the next. Part of _kernels.pyx.
#
# NumPy asks an allocator that is set for the thread, and an array remembers the one that its memory is from.

cdef extern from "kernel/kept.h":
    bint TS_KEEPS_MEMORY
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

cdef PyDataMem_Handler _keeping
memcpy(_keeping.name, b"tempsoft", 9)
_keeping.version = 1
_keeping.allocator = PyDataMemAllocator(NULL, ts_kept_malloc, ts_kept_calloc, ts_kept_realloc, ts_kept_free)
cdef object keeping = PyCapsule_New(&_keeping, "mem_handler", NULL)


def empty_kept(shape, dtype):
    """As `numpy.empty`, in memory that may be kept for the next when it is given back: for large results. The default
    of NumPy alone is replaced, and no allocator that someone has set."""
    if not TS_KEEPS_MEMORY:
        return numpy.empty(shape, dtype)
    before = PyDataMem_SetHandler(keeping)
    try:
        if <PyObject *>before == PyDataMem_DefaultHandler:
            return numpy.empty(shape, dtype)
    finally:
        PyDataMem_SetHandler(before)
    return numpy.empty(shape, dtype)


def forget_memory():
    """Let the system have all memory that is kept, and return how many bytes that was."""
    return ts_forget_memory()


def forget_before_fork():
    """The same, and also, when it is given back, memory that is in use now."""
    ts_forget_before_fork()
