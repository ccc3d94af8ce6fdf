"""Workers: how many there are, and what must hold with more than one: errors, Ctrl-C, forks, threads."""

from __future__ import annotations

import concurrent.futures
import contextvars
import gc
import math
import os
import signal
import sys
import threading
import time

import implementations
import numpy as np
import pytest

import tempsoft
from tempsoft import calls
from tempsoft.workers import LARGE_SLICE, SHARED_SLICE, SLICE_SIZE, SMALLEST_SHARED, TURNS_SLICE, for_each_slice

pytestmark = pytest.mark.skipif(implementations.KERNELS is None, reason="tempsoft._kernels is not built")
CPUS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def current():
    return tempsoft.capabilities()["workers"]


def test_set_workers():
    outside = current()
    with tempsoft.set_workers(3):
        assert current() == 3
        with tempsoft.set_workers(-1):
            assert current() == CPUS
        assert current() == 3
        with pytest.raises(RuntimeError), tempsoft.set_workers(2):
            raise RuntimeError
        assert current() == 3
    assert current() == outside


def test_set_workers_is_of_this_thread():
    seen = []
    with tempsoft.set_workers(3):
        thread = threading.Thread(target=contextvars.Context().run, args=(lambda: seen.append(current()),))
        thread.start()
        thread.join()
        assert current() == 3
    assert seen == [current()]


@pytest.mark.parametrize(
    ("n", "exception", "says"),
    [
        (0, ValueError, "0"),
        (-2, ValueError, "-2"),
        (1.0, TypeError, "float"),
        ("2", TypeError, "'2'"),
        (None, TypeError, "None"),
    ],
)
def test_bad_numbers(n, exception, says):
    before = current()
    with pytest.raises(exception, match=says), tempsoft.set_workers(n):
        pass
    assert current() == before


REPORT = "import tempsoft; print(tempsoft.capabilities()['workers'])"


def test_environment():
    for text, workers in (("3", 3), ("-1", CPUS), ("1", 1)):
        assert implementations.in_a_new_process(REPORT, TEMPSOFT_WORKERS=text).stdout == f"{workers}\n"
    assert implementations.in_a_new_process(REPORT).stdout == "1\n"
    for text in ("0", "-2", "two", "1.5"):
        process = implementations.in_a_new_process(REPORT, TEMPSOFT_WORKERS=text)
        assert process.returncode != 0
        assert "TEMPSOFT_WORKERS" in process.stderr.splitlines()[-1]
        assert repr(text) in process.stderr.splitlines()[-1]


def test_default_is_used_and_changes_no_bit(compiled):
    x = np.random.default_rng(0).normal(size=(300, 1000))
    right = compiled.softmax(x, 0.7).tobytes()
    with tempsoft.set_workers(2):
        assert compiled.softmax(x, 0.7).tobytes() == right
        assert compiled.sample(x, rng=1).tolist() == compiled.sample(x, rng=1, workers=1).tolist()


SHAPES = [
    *(((n_rows,), 50257) for n_rows in (1, 2, 3, 10, 17, 33, 34, 48, 68, 100, 136, 256, 600)),
    *(((n_rows,), 1_400_000) for n_rows in (1, 3, 10)),
    *(((n_rows,), n) for n_rows, n in ((17, 61680), (300, 500), (32768, 1000), (1_000_000, 10), (10_485_761, 1))),
    *((batch, 1000) for batch in ((3, 1000), (3, 5000), (5, 2000), (3, 70, 70), (2, 3, 4, 5), (1, 4000, 1), ())),
]


@pytest.mark.parametrize("together", [1, 16])
@pytest.mark.parametrize("workers", [1, 2, 3, 8])
def test_slices_are_alike(workers, together):
    """Every row is in one slice, none is larger than it may be, and workers that take turns have about as many rows."""
    for batch_shape, n in SHAPES:
        rows = np.arange(math.prod(batch_shape)).reshape(batch_shape)
        for largest in (SLICE_SIZE, LARGE_SLICE, SHARED_SLICE):
            taken: list = []
            for_each_slice(lambda *one, to=taken: to.append(one), batch_shape, n, workers, largest, together)
            taken.sort(key=lambda slice_taken: slice_taken[1])
            parts = [np.ravel(rows[index]) for index, _ in taken]
            assert [first for _, first in taken] == [part[0] for part in parts]
            np.testing.assert_array_equal(np.concatenate(parts), rows.ravel())
            lengths = np.array([len(part) for part in parts])
            most = max(min(largest, TURNS_SLICE if workers > 1 else largest), n)
            assert (lengths * n <= most).all()
            if len(batch_shape) == 1:
                lot = together if most // n >= together else 1
                assert (np.cumsum(lengths)[:-1] % lot == 0).all()
                n_workers = workers if rows.size * n >= SMALLEST_SHARED else 1
                assert sum(lengths[::n_workers]) <= -(-rows.size // n_workers) + lot * len(lengths[::n_workers])


def test_no_slices_of_nothing():
    taken = []
    for batch_shape, n in (((0,), 1000), ((3, 0), 10), ((0, 5), 0)):
        for_each_slice(lambda *slice_taken: taken.append(slice_taken), batch_shape, n, 2)
    assert taken == []


def test_slices_of_draws(monkeypatch):
    """Those of one thread are large where the numbers that draws are made of are few."""
    limits = []
    monkeypatch.setattr(
        calls, "for_each_slice", lambda task, shape, numbers, workers, largest, *_: limits.append(largest)
    )
    for n, num_samples, limit in ((640, 10, LARGE_SLICE), (639, 10, SLICE_SIZE), (64, None, LARGE_SLICE)):
        for batch_shape in ((), (3,)):
            x = np.zeros((*batch_shape, n), np.float32)
            with implementations.without_direct_path():
                tempsoft.sample(x, num_samples=num_samples, rng=1, on_invalid="mark")
            assert limits.pop() == (limit if tempsoft.capabilities()["isa"] != "scalar" else SLICE_SIZE)
    assert limits == []


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no interval timer on this platform")
@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("seconds", [0.02, 0.1])
def test_interruption(workers, seconds):
    """KeyboardInterrupt comes in the middle of the call, and nothing writes to `out` afterwards."""
    x = np.random.default_rng(0).normal(size=(20000, 1000))
    out = np.full(x.shape, 17.0)
    with implementations.chosen("scalar") as slow:
        previous = signal.signal(signal.SIGALRM, signal.default_int_handler)
        try:
            signal.setitimer(signal.ITIMER_REAL, seconds)
            with pytest.raises(KeyboardInterrupt):
                slow.softmax(x, out=out, workers=workers)
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, previous)
        written = (out != 17).sum()
        assert written < out.size, "the call ended before it was interrupted"
        time.sleep(0.2)
        assert (out != 17).sum() == written
        assert slow.softmax(x[:200], workers=workers).tobytes() == slow.softmax(x[:200]).tobytes()


FORK = """
import warnings; warnings.simplefilter("ignore", DeprecationWarning)
import os, numpy, tempsoft
x = numpy.random.default_rng(0).normal(size=(400, 1000))
right = tempsoft.softmax(x, workers=2).tobytes()
child = os.fork()
if child == 0:
    os._exit(0 if tempsoft.softmax(x, workers=2).tobytes() == right else 3)
_, status = os.waitpid(child, 0)
assert tempsoft.softmax(x, workers=2).tobytes() == right
print(os.waitstatus_to_exitcode(status))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this platform")
def test_fork_after_threads():
    process = implementations.in_a_new_process(
        "import warnings; warnings.simplefilter('ignore', DeprecationWarning)\n" + FORK
    )
    assert (process.stdout, process.stderr) == ("0\n", "")


@pytest.mark.parametrize("function", ["softmax", "logsumexp", "sample", "support"])
def test_other_threads_run_meanwhile(compiled, function):
    """A call lets go of the GIL, however few its results are: nobody takes it by force here."""
    x = np.zeros((16, 500_000), np.float32)
    call, interval = getattr(compiled, function), sys.getswitchinterval()
    begun, was_over, is_over = threading.Event(), [], threading.Event()

    def work():
        begun.set()
        call(x)
        is_over.set()

    sys.setswitchinterval(100)
    try:
        for _ in range(5):  # the main thread may be late
            begun.clear(), is_over.clear()
            thread = threading.Thread(target=work)
            thread.start()
            begun.wait()
            was_over.append(is_over.is_set())
            thread.join()
    finally:
        sys.setswitchinterval(interval)
    assert not all(was_over)


APART = """
import os, threading, time, numpy, tempsoft
x, before = numpy.zeros((500, 1000), "f"), os.sched_getaffinity(0)
for logits in (x, x.astype(int)):
    tempsoft.softmax(logits, workers=2)
    helper, = (thread for thread in threading.enumerate() if thread.name == "tempsoft")
    for cpu in sorted(before)[:2]:
        for _ in range(1000):  # the caller may be moved before it is asked where it is
            time.sleep(0.001)
            os.sched_setaffinity(0, {cpu})
            os.sched_setaffinity(0, before)
            tempsoft.softmax(logits, workers=2)
            if os.sched_getaffinity(helper.native_id) == before - {cpu}:
                break
        else:
            print("was never told to stay off CPU", cpu)
assert os.sched_getaffinity(0) == before
"""


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or CPUS < 2, reason="no CPUs to choose from")
def test_helpers_wake_on_other_cpus():
    """Where one is woken on the CPU of the caller it waits for it, though another CPU is idle."""
    process = implementations.in_a_new_process(APART)
    assert (process.stdout, process.stderr) == ("", "")


def test_calls_from_many_threads(compiled):
    """Each with its own data, and a workers argument of its own."""
    inputs = [np.random.default_rng(i).normal(size=(40, 3000)).astype(np.float32) for i in range(8)]
    rights = [(compiled.softmax(x, 0.5).tobytes(), compiled.sample(x, rng=i).tolist()) for i, x in enumerate(inputs)]

    def work(i):
        return compiled.softmax(inputs[i], 0.5, workers=1 + i % 3).tobytes(), compiled.sample(inputs[i], rng=i).tolist()

    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in range(5):
            assert list(pool.map(work, range(8))) == rights


@pytest.mark.parametrize("n", [7, 3000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_input_that_changes_during_the_call(compiled, n, dtype):
    """The result may be of either input or a mixture; the indices stay within the row, and nothing crashes."""
    x = np.zeros((100000 // n, n), dtype)
    stop = threading.Event()

    def disturb():
        values = (0.0, -np.inf, np.nan, 100.0, np.inf, -1e30, 664.0)  # exp(664) times 2**64 is near the largest double
        i = 0
        while not stop.is_set():
            x[:, i % n] = values[i % len(values)]
            x[i % len(x)] = values[(i + 1) % len(values)]
            i += 1

    thread = threading.Thread(target=disturb)
    thread.start()
    try:
        end = time.monotonic() + 0.5
        seen = set()
        while time.monotonic() < end:
            drawn, _ = compiled.sample(x, rng=1, num_samples=3, on_invalid="mark", return_log_prob=True)
            assert ((drawn >= -1) & (drawn < n)).all()
            seen.add(drawn.tobytes())
            compiled.softmax(x, out=x.copy(), workers=2)
    finally:
        stop.set()
        thread.join()
    assert len(seen) > 1  # the input did change


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="needs interval timers")
@pytest.mark.parametrize("dtype", [np.float32, np.int16])
@pytest.mark.parametrize("raised", [KeyboardInterrupt, TimeoutError])
def test_nothing_is_written_after_an_exception_from_outside(compiled, raised, dtype):
    """Of two signals, the second comes while the call is about to end because of the first."""
    left = 0

    def handler(number, frame):
        nonlocal left
        left -= 1
        if left >= 0:
            raise raised

    x = np.zeros((300 if compiled.name == "scalar" else 1500, 1400), dtype)  # a millisecond or some
    out = compiled.softmax(x, workers=2)  # the pool is warm
    started = time.perf_counter()
    compiled.softmax(x, out=out, workers=2)
    duration = time.perf_counter() - started
    gc.disable()  # what calls back from a collection has nobody to raise to
    before = signal.signal(signal.SIGALRM, handler)
    n_interrupted = 0
    try:
        for delay in np.linspace(2e-5, duration, 60):
            out = np.full_like(out, -1)
            left = 2
            try:
                try:
                    signal.setitimer(signal.ITIMER_REAL, float(delay), 1e-4)
                    compiled.softmax(x, out=out, workers=2)
                finally:
                    left = 0
            except raised:
                n_written = np.count_nonzero(out != -1)
                time.sleep(0.01)
                assert np.count_nonzero(out != -1) == n_written
                n_interrupted += 1
            signal.setitimer(signal.ITIMER_REAL, 0)
    finally:
        left = 0
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()
    assert n_interrupted > 5
