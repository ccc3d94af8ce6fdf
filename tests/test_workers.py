"""Workers: how many there are, and what must hold with more than one: errors, Ctrl-C, forks, threads."""

from __future__ import annotations

import concurrent.futures
import contextvars
import gc
import os
import signal
import sys
import threading
import time

import implementations
import numpy as np
import pytest

import tempsoft
from tempsoft.workers import SHARED_SLICE, SLICE_SIZE, for_each_slice

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


@pytest.mark.parametrize("workers", [1, 2, 3, 8])
@pytest.mark.parametrize(
    "shape", [(256, 128256), (32768, 1000), (1_000_000, 10), (10_485_761, 1), (300, 500), (3, 1 << 22)]
)
def test_slices_are_alike(shape, workers):
    """Every row is in one slice, and workers that take turns have as many rows each but for what is taken together."""
    n_rows, n = shape
    taken = []
    for_each_slice(lambda index, first: taken.append((index, first)), (n_rows,), n, workers)
    taken.sort(key=lambda slice_taken: slice_taken[1])
    ends = [index[0].stop if index else n_rows for index, _ in taken]
    assert [first for _, first in taken] == [0, *ends[:-1]]
    assert ends[-1] == n_rows
    lengths = np.diff([0, *ends])
    assert (lengths[:-1] * n <= max(SHARED_SLICE if workers > 1 else SLICE_SIZE, n) + 16 * n).all()
    share = sum(lengths[::workers])
    assert share <= -(-n_rows // workers) + 16 * len(lengths[::workers])


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


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity") or CPUS < 2, reason="no CPUs to choose from")
def test_helpers_wake_on_other_cpus(monkeypatch):
    """Where one is woken on the CPU of the caller it waits for it, though another CPU is idle."""
    x, before = np.zeros((200, 1000), np.float32), os.sched_getaffinity(0)
    for cpu in sorted(before)[:2]:
        monkeypatch.setattr(tempsoft.workers._kernels, "current_cpu", lambda cpu=cpu: cpu)
        tempsoft.softmax(x, workers=2)
        helpers = [thread for thread in threading.enumerate() if thread.name == "tempsoft"]
        assert helpers
        assert all(os.sched_getaffinity(helper.native_id) == before - {cpu} for helper in helpers)
    assert os.sched_getaffinity(0) == before


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
@pytest.mark.parametrize("raised", [KeyboardInterrupt, TimeoutError])
def test_nothing_is_written_after_an_exception_from_outside(compiled, raised):
    def handler(number, frame):
        raise raised

    x = np.zeros((300 if compiled.name == "scalar" else 1500, 1400), np.float32)  # a millisecond or some
    out = compiled.softmax(x, workers=2)  # the pool is warm
    started = time.perf_counter()
    compiled.softmax(x, out=out, workers=2)
    duration = time.perf_counter() - started
    gc.disable()  # what calls back from a collection has nobody to raise to
    before = signal.signal(signal.SIGALRM, handler)
    n_interrupted = 0
    try:
        for delay in np.linspace(2e-5, duration, 40):
            out = np.full_like(x, -1)
            try:
                signal.setitimer(signal.ITIMER_REAL, float(delay))
                compiled.softmax(x, out=out, workers=2)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except raised:
                n_written = np.count_nonzero(out != -1)
                time.sleep(0.01)
                assert np.count_nonzero(out != -1) == n_written
                n_interrupted += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.enable()
    assert n_interrupted > 5
