"""Rows that threads share inside a kernel: each is worked on once, by whoever comes to it, and changes no bit."""

from __future__ import annotations

import contextlib
import os
import threading
import time

import implementations
import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ways import as_bytes, past_the_cache

import tempsoft
from tempsoft import _kernels


@contextlib.contextmanager
def shared_from(numbers):
    """Within, so few numbers are worth a thread, to the kernels and to Python."""
    before = _kernels.set_thread_least(numbers)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(tempsoft.workers, "SMALLEST_SHARED", 0)
            patch.setattr(tempsoft.workers, "SMALLEST_SLICE", 1)
            yield
    finally:
        _kernels.set_thread_least(before)


CALLS = {
    "softmax": lambda of, x, t, u, **o: of.softmax(x, t, **o),
    "softmax of filtered": lambda of, x, t, u, **o: of.softmax(x, t, top_k=5, top_p=0.8, **o),
    "softmax, a temperature": lambda of, x, t, u, **o: of.softmax(x, 0.7, **o),
    "log_softmax": lambda of, x, t, u, **o: of.log_softmax(x, t, **o),
    "logsumexp": lambda of, x, t, u, **o: of.logsumexp(x, t, **o),
    "entropy": lambda of, x, t, u, **o: of.entropy(x, t, top_k=np.arange(1, len(x) + 1), **o),
    "support": lambda of, x, t, u, **o: of.support(x, t, min_p=np.linspace(0, 0.5, len(x)), **o),
    "log_prob": lambda of, x, t, u, **o: of.log_prob(x, (u * x.shape[1]).astype(int), t, **o),
    "top_log_probs": lambda of, x, t, u, **o: of.top_log_probs(x, 1, t, **o),
    "sample": lambda of, x, t, u, **o: of.sample(x, t, u=u, return_log_prob=True, **o),
    "sample, top_p": lambda of, x, t, u, **o: of.sample(x, t, u=u, top_p=np.linspace(0.2, 1, len(x)), **o),
    "sample, replace=False": lambda of, x, t, u, **o: of.sample(x, t, rng=1, num_samples=1, replace=False, **o),
}
LAYOUTS = {
    "plain": lambda x: x,
    "columns": np.asfortranarray,
    "reversed": lambda x: x[::-1].copy()[::-1],
    "apart": lambda x: np.pad(x, ((0, 0), (0, 3)))[:, : x.shape[1]],
    "every other": lambda x: np.repeat(x, 2, axis=1)[:, ::2],
    "the same": lambda x: np.broadcast_to(x[:1], x.shape),
}


SHAPES = st.tuples(st.integers(2, 700), st.one_of(st.integers(1, 40), st.integers(64, 150)))


@given(
    st.sampled_from(sorted(CALLS)), st.sampled_from(sorted(LAYOUTS)), st.sampled_from(["e", "f", "d"]),
    SHAPES, st.integers(2, 5), st.integers(1, 500), st.integers(0, 2**32),
)  # fmt: skip
@settings(max_examples=300)
def test_shared_rows_have_the_same_bits(call, layout, dtype, shape, workers, least, seed):
    """Draws of at least 64 categories, as of fewer their numbers are made slice by slice."""
    rng = np.random.default_rng(seed)
    x = LAYOUTS[layout](rng.normal(0, 3, shape).astype(dtype))
    t, u = rng.uniform(0.2, 3, len(x)), rng.random(len(x))
    right = as_bytes(CALLS[call](tempsoft, x, t, u))
    with shared_from(least):
        assert as_bytes(CALLS[call](tempsoft, x, t, u, workers=workers)) == right


WHOLE_ROW = ["softmax, a temperature", "log_softmax", "logsumexp", "entropy of all", "log_prob", "sample"]
CALLS["entropy of all"] = lambda of, x, t, u, **o: of.entropy(x, t, **o)
RELIEFS = {
    "flat": lambda x, at: x,
    "rising": lambda x, at: np.sort(x, axis=1) * 30,
    "falling": lambda x, at: -np.sort(-x, axis=1) * 30,
    "steps": lambda x, at: x + 60 * (np.arange(x.shape[1]) // (at + 1)),
    "one out of reach": lambda x, at: np.where(np.arange(x.shape[1]) == at, 3000, x),
    "all out of reach": lambda x, at: x + 60_000.0,
    "nothing before": lambda x, at: np.where(np.arange(x.shape[1]) < at, -np.inf, x),
    "nothing after": lambda x, at: np.where(np.arange(x.shape[1]) > at, -np.inf, x),
    "infinite": lambda x, at: np.where(np.arange(x.shape[1]) == at, np.inf, x),
}


@given(
    st.sampled_from(WHOLE_ROW), st.sampled_from(sorted(LAYOUTS)), st.sampled_from(["e", ml_dtypes.bfloat16, "f", "d"]),
    st.sampled_from(sorted(RELIEFS)), st.integers(1, 7), st.integers(18_000, 100_000), st.integers(2, 9),
    st.integers(1, 4000), st.integers(0, 2**32),
)  # fmt: skip
@settings(max_examples=300)
def test_shared_blocks_have_the_same_bits(call, layout, dtype, relief, n_rows, n, workers, least, seed):
    """Of few long rows the blocks are shared, whether a block exceeds what the first ones say or not."""
    rng = np.random.default_rng(seed)
    x = RELIEFS[relief](rng.normal(0, 3, (n_rows, n)), rng.integers(n)).astype(dtype)
    x = LAYOUTS[layout](x)
    t, u = rng.choice([0.0, 1e-30, 0.2, 1.0, 3.0, 1e25, np.inf], n_rows), rng.random(n_rows)
    right = as_bytes(CALLS[call](tempsoft, x, t, u))
    with shared_from(least):
        assert as_bytes(CALLS[call](tempsoft, x, t, u, workers=workers)) == right


@pytest.mark.parametrize("function", ["softmax", "log_softmax"])
@pytest.mark.parametrize("dtype", ["e", "f", "d"])
def test_results_of_shared_blocks(function, dtype):
    """In place, into gaps, to a wider dtype, and past the cache."""
    x = np.random.default_rng(0).normal(0, 3, (3, 50_000)).astype(dtype)
    call = getattr(tempsoft, function)
    right, wider = call(x, 0.7), call(x, 0.7, out=np.empty(x.shape, "d" if dtype == "d" else "f"))
    with shared_from(1000):
        for number, ways in ((0.7, contextlib.nullcontext), (np.array(0.7), past_the_cache)):
            with ways():
                same, apart = x.copy(), np.full((3, 50_000, 2), 7.0, dtype)
                call(same, number, out=same, workers=2)
                call(x, number, out=apart[..., 0], workers=2)
                assert same.tobytes() == np.ascontiguousarray(apart[..., 0]).tobytes() == right.tobytes()
                assert (apart[..., 1] == 7).all()
                assert call(x, number, out=np.empty(x.shape, wider.dtype), workers=2).tobytes() == wider.tobytes()


@pytest.mark.parametrize("n_rows", [1, 3])
def test_many_draws_from_shared_rows(n_rows):
    x = np.random.default_rng(0).normal(0, 3, (n_rows, 50_000)).astype("f")
    for count in (2, 64, 65, 700):
        options = {"rng": 1, "num_samples": count, "return_log_prob": True}
        right = as_bytes(tempsoft.sample(x, **options))
        with shared_from(1000):
            assert as_bytes(tempsoft.sample(x, workers=2, **options)) == right


def test_rows_too_short_to_have_blocks():
    x = np.random.default_rng(0).normal(0, 3, (3, 100)).astype("f")
    with shared_from(10):
        for laid in (x, np.asfortranarray(x)):
            assert tempsoft.log_softmax(laid, np.ones(3), workers=2).tobytes() == tempsoft.log_softmax(x).tobytes()


@pytest.mark.parametrize("call", WHOLE_ROW)
def test_nan_in_shared_blocks(call):
    x = np.zeros((1, 50_000), np.float32)
    for at in (0, 17_000, 30_000, 49_999):  # before others help, and after
        x[0, at] = np.nan
        with shared_from(1000):
            if call == "sample":
                with pytest.raises(ValueError, match="NaN"):
                    CALLS[call](tempsoft, x, np.ones(1), np.full(1, 0.5), workers=3)
            else:
                assert np.isnan(CALLS[call](tempsoft, x, np.ones(1), np.full(1, 0.5), workers=3)).all()
        x[0, at] = 0


@pytest.mark.parametrize("n", [3, 1000, 5000, 70_000])
@pytest.mark.parametrize("function", ["softmax", "log_softmax", "logsumexp", "sample"])
def test_rows_of_any_length(compiled, function, n):
    x = np.random.default_rng(n).normal(0, 3, (1 + 200_000 // n, n)).astype(np.float32)
    options = {"rng": 3} if function == "sample" else {}
    right = getattr(compiled, function)(x, 0.7, **options).tobytes()
    with shared_from(1000):
        for workers in (2, 3, 8):
            assert getattr(compiled, function)(x, 0.7, workers=workers, **options).tobytes() == right


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_batches_of_several_axes(axis):
    """Those that are one loop to a gufunc are shared by it, others in slices."""
    x = np.random.default_rng(0).normal(size=(30, 40, 50))
    t = np.random.default_rng(1).uniform(0.2, 3, (1, np.delete(x.shape, axis)[1]))
    with shared_from(100):
        for laid in (x, np.asfortranarray(x), x.transpose(1, 0, 2).copy().transpose(1, 0, 2)):
            for temperature in (0.7, t):
                one, two = (tempsoft.softmax(laid, temperature, axis=axis, workers=n) for n in (1, 2))
                assert one.tobytes() == two.tobytes()


def seconds_of_helpers():
    helpers = [thread.ident for thread in threading.enumerate() if thread.name == "tempsoft"]
    return sum(time.clock_gettime(time.pthread_getcpuclockid(helper)) for helper in helpers)


def assert_helpers_take_part(call):
    """They do in one of many calls: in each of them a helper may come late."""
    started, before = time.monotonic(), seconds_of_helpers()
    while seconds_of_helpers() < before + 0.02:
        call()
        assert time.monotonic() < started + 60


has_clocks = pytest.mark.skipif(not hasattr(time, "pthread_getcpuclockid"), reason="a thread has no clock here")


@has_clocks
@pytest.mark.parametrize("function", ["softmax", "log_softmax", "logsumexp", "entropy", "sample"])
@pytest.mark.parametrize("rows", [1, 2, 4000])
def test_helpers_take_part(rows, function):
    """Of one long row they take blocks, of two one row, of many some."""
    x = np.zeros((rows, 8_000_000 // rows), np.float32)
    assert_helpers_take_part(lambda: getattr(tempsoft, function)(x, workers=2))


@has_clocks
def test_draws_from_numbers_in_any_order_are_shared():
    """Uniform numbers of two axes in Fortran's order are many short loops to a gufunc."""
    x = np.random.default_rng(0).normal(size=(200, 200, 640)).astype(np.float32)
    u = np.asfortranarray(np.random.default_rng(1).random((200, 200)))
    assert (tempsoft.sample(x, u=u, workers=2) == tempsoft.sample(x, u=u)).all()
    assert_helpers_take_part(lambda: tempsoft.sample(x, u=u, workers=2))


@pytest.mark.parametrize(
    ("function", "options"), [("softmax", {"top_k": 100}), ("logsumexp", {}), ("sample", {"top_p": 0.5, "rng": 1})]
)
def test_no_memory_for_helpers(function, options):
    """Rows of 70,000 need scratch memory: MemoryError without it, and the next call has it."""
    x = np.random.default_rng(0).normal(size=(40, 70_000)).astype(np.float32)
    call = getattr(tempsoft, function)
    right = as_bytes(call(x, **options))
    for _ in range(20):
        _kernels.fail_allocations(True)
        try:
            with pytest.raises(MemoryError):
                call(x, workers=3, **options)
        finally:
            _kernels.fail_allocations(False)
        assert as_bytes(call(x, workers=3, **options)) == right


WITHOUT_THREADS = """
import threading, numpy, tempsoft
def start(thread): raise RuntimeError("can't start new thread")
threading.Thread.start = start
x = numpy.random.default_rng(0).normal(size=(500, 1000))
assert tempsoft.softmax(x, workers=4).tobytes() == tempsoft.softmax(x).tobytes()
assert tempsoft.softmax(x, workers=4, axis=0).tobytes() == tempsoft.softmax(x, axis=0).tobytes()
assert tempsoft.softmax(x.astype(int), workers=4).tobytes() == tempsoft.softmax(x.astype(int)).tobytes()
import gc, weakref
arrays = [x.astype(int) for _ in range(5)]
alive = [weakref.ref(array) for array in arrays]
while arrays:
    tempsoft.softmax(arrays.pop(), workers=4)
gc.collect()
print(threading.active_count(), sum(array() is not None for array in alive))
"""


def test_no_threads_can_be_had():
    process = implementations.in_a_new_process(WITHOUT_THREADS)
    assert (process.stdout, process.stderr) == ("1 0\n", "")


MANY = """
import threading, numpy, tempsoft
x = numpy.random.default_rng(0).normal(size=(500, 1000))
for workers in (10**12, -1):
    with tempsoft.set_workers(workers):
        assert tempsoft.softmax(x).tobytes() == tempsoft.softmax(x, workers=1).tobytes()
    assert tempsoft.softmax(x, 0.7, axis=0, workers=workers).tobytes() == tempsoft.softmax(x, 0.7, axis=0).tobytes()
print(threading.active_count() <= 32)
"""


def test_no_more_threads_than_there_is_work_for():
    process = implementations.in_a_new_process(MANY)
    assert (process.stdout, process.stderr) == ("True\n", "")


def test_many_callers():
    """Of one team, at once: kernels that share rows, and slices of Python."""
    rng = np.random.default_rng(0)
    inputs = [rng.normal(size=(50 + 30 * i, 300)).astype(np.float32) for i in range(6)]
    integers = [(10 * x).astype(np.int16) for x in inputs]
    rights = [
        (tempsoft.softmax(x).tobytes(), tempsoft.softmax(k).tobytes()) for x, k in zip(inputs, integers, strict=True)
    ]
    wrong = []

    def work(i):
        for turn in range(60):
            workers = 1 + (i + turn) % 5
            found = (
                tempsoft.softmax(inputs[i], workers=workers).tobytes(),
                tempsoft.softmax(integers[i], workers=workers).tobytes(),
            )
            if found != rights[i]:
                wrong.append((i, turn))

    with shared_from(500):
        threads = [threading.Thread(target=work, args=(i,)) for i in range(len(inputs))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert not wrong


FORK_MEANWHILE = """
import warnings; warnings.simplefilter("ignore", DeprecationWarning)
import os, threading, numpy, tempsoft
x = numpy.random.default_rng(0).normal(size=(2000, 1000)).astype("f")
right = tempsoft.softmax(x, workers=2).tobytes()
is_over = threading.Event()
def work():
    while not is_over.is_set():
        tempsoft.softmax(x, workers=2)
thread = threading.Thread(target=work)
thread.start()
codes = []
for _ in range(30):
    child = os.fork()
    if child == 0:
        os._exit(0 if tempsoft.softmax(x, workers=2).tobytes() == right else 3)
    codes.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
is_over.set()
thread.join()
print(set(codes))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_forks_while_rows_are_shared():
    """The team's lock may be held, and a call be under way, in a thread that the child does not have."""
    process = implementations.in_a_new_process(FORK_MEANWHILE)
    assert (process.stdout, process.stderr) == ("{0}\n", "")
