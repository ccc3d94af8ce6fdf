"""Memory of large results: whose it is, that it is used again, and that no array can tell."""

from __future__ import annotations

import gc
import os
import threading
import tracemalloc

import implementations
import numpy as np
import pytest
from numpy._core.multiarray import get_handler_name

import tempsoft

KERNELS = implementations.KERNELS
KEPT = 8 * KERNELS.LEAST_KEPT
LARGE_PAGE = 2**21
ROWS, CATEGORIES = KEPT // 4000 + 1, 1000  # float32: just enough
pytestmark = pytest.mark.skipif(os.name == "nt", reason="memory is kept by mmap")


def empty(n):
    return KERNELS.new_result((n,), np.dtype(np.uint8))


def address(array):
    return array.__array_interface__["data"][0]


@pytest.fixture(scope="module")
def logits():
    return np.random.default_rng(0).normal(size=(ROWS, CATEGORIES)).astype(np.float32)


@pytest.fixture(autouse=True)
def _nothing_kept():
    KERNELS.forget_memory()
    yield
    KERNELS.forget_memory()


def test_results_of_large_calls_only(logits):
    assert get_handler_name(tempsoft.softmax(logits)) == "tempsoft"
    assert get_handler_name(tempsoft.softmax(logits, axis=0)) == "tempsoft"
    assert get_handler_name(tempsoft.special.log_softmax(logits, axis=1)) == "tempsoft"
    few = logits[: KERNELS.LEAST_KEPT // 4000]
    assert get_handler_name(tempsoft.softmax(few)) == "default_allocator"
    assert get_handler_name(tempsoft.softmax(logits[: len(few) + 1])) == "tempsoft"  # by the direct path
    assert get_handler_name(tempsoft.softmax(few.astype(np.float16))) == "default_allocator"
    assert get_handler_name(tempsoft.sample(few, num_samples=600, rng=1).base) == "tempsoft"
    assert get_handler_name(np.empty(KEPT)) == "default_allocator"  # nothing is left set
    out = np.empty_like(logits)
    assert tempsoft.softmax(logits, out=out) is out


def test_memory_is_used_again():
    array = empty(KEPT)
    array[:] = 5
    first = address(array)
    del array
    again = empty(KEPT)
    assert address(again) == first
    assert (again == 5).all()  # new pages are 0


def test_results_in_memory_that_was_used(logits):
    expected = tempsoft.softmax(logits).copy()
    for _ in range(3):
        again = tempsoft.softmax(logits)
        assert np.array_equal(again, expected)
        again[:] = np.nan
        del again
    assert KERNELS.forget_memory() > 0


def test_two_results_at_a_time(logits):
    """A loop has a result while it makes the next."""
    seen = set()
    result = tempsoft.softmax(logits)
    for temperature in np.linspace(1, 2, 6):
        before, kept = result, result[::1000].copy()
        result = tempsoft.softmax(logits, temperature)
        assert address(before) != address(result)
        assert np.array_equal(before[::1000], kept)
        seen |= {address(result), address(before)}
        del before
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("n", "is_used"), [(KEPT, True), (KEPT - KEPT // 8, True), (2 * KEPT, False), (KEPT // 2, False)]
)
def test_other_lengths(n, is_used):
    """A block is not used for a result that is longer, or much shorter."""
    array = empty(KEPT)
    array[:] = 5
    del array
    other = empty(n)
    assert (other == 5).all() == is_used
    assert (KERNELS.forget_memory() == 0) == is_used


def test_a_bounded_amount_is_kept():
    """No more than four blocks, and no more than a GiB."""
    arrays = [empty(KEPT) for _ in range(7)]
    assert KERNELS.forget_memory() == 0
    arrays.clear()
    assert 4 * KEPT < KERNELS.forget_memory() <= 4 * (KEPT + LARGE_PAGE)
    for n, kept in ((2**29 - LARGE_PAGE, 2**30), (2**30 - LARGE_PAGE, 2**30), (2**30, 0)):
        arrays = [empty(n), empty(n)]
        arrays.clear()
        assert KERNELS.forget_memory() == kept


def test_what_is_traced():
    """Memory that is kept is nobody's."""
    tracemalloc.start()
    try:
        array = empty(KEPT)
        assert KEPT <= tracemalloc.get_traced_memory()[0] < KEPT + 2**20
        del array
        assert tracemalloc.get_traced_memory()[0] < 2**20
    finally:
        tracemalloc.stop()


def test_resize():
    array = empty(KEPT)
    array[:] = np.arange(KEPT, dtype=np.uint8)
    array.resize(3 * KEPT, refcheck=False)
    assert np.array_equal(array[:KEPT], np.arange(KEPT, dtype=np.uint8))
    assert not array[KEPT:].any()
    array.resize(5, refcheck=False)
    assert array.tolist() == [0, 1, 2, 3, 4]
    assert get_handler_name(array) == "tempsoft"
    assert KERNELS.forget_memory() > 3 * KEPT  # a few numbers take no large pages
    del array
    assert KERNELS.forget_memory() == 0


def test_too_much():
    with pytest.raises(MemoryError):
        empty(2**62)
    assert get_handler_name(np.empty(3)) == "default_allocator"


SWITCHED = """
import numpy, tempsoft
from numpy._core.multiarray import get_handler_name
for rows in (2000, 20000):
    print(get_handler_name(tempsoft.softmax(numpy.zeros((rows, 1000), "f"))))
"""


@pytest.mark.parametrize(("value", "name"), [("0", "default_allocator"), ("1", "tempsoft")])
def test_switched(value, name):
    process = implementations.in_a_new_process(SWITCHED, TEMPSOFT_KEEP_MEMORY=value)
    assert (process.stdout, process.stderr) == (f"{name}\n{name}\n", "")


def test_threads():
    """Each array is what its thread wrote, whoever had the memory before."""
    wrong = []

    def work(mark):
        for _ in range(40):
            array = empty(KEPT)
            array[:: 1 << 16] = mark
            if not (array[:: 1 << 16] == mark).all():
                wrong.append(mark)
            del array

    threads = [threading.Thread(target=work, args=(mark,)) for mark in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    gc.collect()
    assert not wrong


FORK = """
import warnings; warnings.simplefilter("ignore", DeprecationWarning)
import os, numpy
import tempsoft
from tempsoft._kernels import new_result, forget_memory
shape = (1 << 25,)
used = new_result(shape, numpy.dtype("b"))
used[:] = 1
new_result(shape, numpy.dtype("b"))[:] = 1
child = os.fork()
array = new_result(shape, numpy.dtype("b"))
seen = used.min(), array.max()
array[:] = 2 + (child == 0)
used = None
kept = forget_memory()
array_is = array.min(), array.max()
array = None
kept = kept, forget_memory() > 0
if child == 0:
    os._exit(int(seen == (1, 0) and array_is == (3, 3) and kept == (0, True)))
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), *seen, *array_is, kept)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork")
def test_nothing_is_kept_beyond_a_fork():
    """Neither what was kept, nor what was in use, of which the system would not take pages that a child may see."""
    process = implementations.in_a_new_process(FORK)
    assert (process.stdout, process.stderr) == ("1 1 0 2 2 (0, True)\n", "")
