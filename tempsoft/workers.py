"""Slices of a batch, and the threads they are worked on.

Promises that the number of workers changes speed and nothing else: a slice is rows that follow each other in C order,
and each is computed by itself. Big calls are sliced with one worker too, so that Ctrl-C is answered between slices;
after an interruption nothing touches the arrays any more. No OpenMP: it hangs in forked children. No executor either:
an exception from a signal can leave one of its locks taken.
"""

from __future__ import annotations

import contextlib
import math
import os
import queue
import threading
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import Any

from . import _kernels, arguments

SLICE_SIZE = 1 << 20  # numbers in a slice: so few that Ctrl-C is soon answered, and copies of one are small
LARGE_SLICE = 1 << 23  # the same of one thread, where nothing is copied: columns begin anew in each slice
TURNS_SLICE = 1 << 22  # the same where threads take turns: none waits long for another
SHARED_SLICE = 1 << 25  # the same where threads share each slice
SMALLEST_SLICE = 1 << 14  # numbers in a slice that is worth a thread
SMALLEST_SHARED = 1 << 16  # numbers in a call that is worth handing to threads

_default: ContextVar[int | None] = ContextVar("workers", default=None)
_tasks: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
_threads: list[threading.Thread] = []  # that wait for tasks
_pool_lock = threading.RLock()  # a handler of a signal may call us

Index = tuple[Any, ...]  # of ints, slices and perhaps an Ellipsis


@contextlib.contextmanager
def set_workers(n: int) -> Iterator[None]:
    """Set the default number of workers inside a ``with`` block.

    Parameters
    ----------
    n : int
        At least 1, or -1 for every CPU this process may use.

    Raises
    ------
    ValueError
        If `n` is 0 or below -1.
    TypeError
        If `n` is not an integer.

    Notes
    -----
    As in `scipy.fft.set_workers`, the default belongs to the current thread and context. Outside of such a block it is
    the environment variable ``TEMPSOFT_WORKERS``, or 1.

    Examples
    --------
    >>> import tempsoft
    >>> with tempsoft.set_workers(2):
    ...     tempsoft.capabilities()["workers"]
    2
    """
    token = _default.set(arguments.workers(arguments.integer(n, "workers")))
    try:
        yield
    finally:
        _default.reset(token)


def resolve(workers: Any) -> int:
    """The number of workers meant by an argument `workers`."""
    count = arguments.workers(workers)
    if count is None:
        count = _default.get()
    if count is None:
        count = _from_environment()
    return _cpus() if count == -1 else count


def _from_environment() -> int:
    text = os.environ.get("TEMPSOFT_WORKERS", "1")
    try:
        return arguments.workers(int(text)) or 1
    except ValueError:
        raise ValueError(f"the environment variable TEMPSOFT_WORKERS must be -1 or >= 1, got {text!r}") from None


def _cpus() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def slices(batch_shape: tuple[int, ...], most: int, workers: int, lot: int) -> Iterator[tuple[Index, int]]:
    """(index, number of its first row) of slices that cover the batch in C order. Each has at most so many rows, not
    fewer than a lot. They are alike, in whole lots if they run along the last axis, and as many for each worker unless
    there are too few rows.
    """
    axis, inner = len(batch_shape), 1  # the slices run along `axis`; `inner` rows lie behind one step of it
    while axis > 0 and inner * batch_shape[axis - 1] <= most:
        axis -= 1
        inner *= batch_shape[axis]
    if axis == 0:
        yield (), 0
        return
    axis -= 1
    length, step = batch_shape[axis], max(1, most // inner)
    n_outer = math.prod(batch_shape[:axis])
    if inner > 1:
        lot = 1
    n_lots = -(-length // lot)
    alike = workers // math.gcd(workers, n_outer)
    count = -(-length // (step - step % lot))
    count = min(-(-count // alike) * alike, n_lots)
    for outer in range(n_outer):
        leading: list[int] = []
        for size in reversed(batch_shape[:axis]):
            outer, position = divmod(outer, size)
            leading.insert(0, position)
        first = 0
        for size, position in zip(batch_shape[:axis], leading, strict=True):
            first = first * size + position
        for i in range(count):
            start, end = (min(lot * (n_lots * k // count), length) for k in (i, i + 1))
            yield (*leading, slice(start, end)), (first * length + start) * inner


def useful(workers: int, numbers: int) -> int:
    """As many of the workers as a call of so many numbers has use for."""
    return 1 if numbers < SMALLEST_SHARED else min(workers, -(-numbers // SMALLEST_SLICE))


def for_each_slice(
    task: Callable[[Index, int], None],
    batch_shape: tuple[int, ...],
    numbers_per_row: int,
    workers: int,
    largest: int = SLICE_SIZE,
    together: int = 1,
) -> None:
    """Call ``task(index, first row)`` for every slice of the batch, in order with one worker. `largest` is numbers,
    `together` rows that are best left together.
    """
    n_rows = math.prod(batch_shape)
    if n_rows == 0:
        return
    numbers_per_row = max(numbers_per_row, 1)
    if n_rows * numbers_per_row <= SMALLEST_SLICE:
        task((), 0)
        return
    if workers > 1:
        largest = min(largest, TURNS_SLICE)
    most = max(1, largest // numbers_per_row)
    lot = together if most >= together else 1
    workers = min(useful(workers, n_rows * numbers_per_row), -(-n_rows // lot))
    share = -(-n_rows // (workers * lot)) * lot
    work = slices(batch_shape, min(most, share), workers, lot)
    if workers == 1:
        for index, first_row in work:
            task(index, first_row)
    else:
        _Sharing(task, work).run(workers)


class _Sharing:
    """Slices shared among the calling thread and threads of the pool: each takes the next until there are none.

    An exception in one ends all. Whatever happens, none of them is at work any more when `run` is over. A signal may
    raise in the calling thread anywhere, so it holds only locks that are taken in C, where no handler runs in between.
    """

    def __init__(self, task: Callable[[Index, int], None], work: Iterator[tuple[Index, int]]) -> None:
        self.task, self.work = task, work
        self.lock = threading.Lock()
        self.is_over = False
        self.n_started = self.n_ended = 0  # threads of the pool
        self.error: BaseException | None = None

    def run(self, workers: int) -> None:
        try:
            _submit(self._help, workers - 1)
            self._take_slices()
        finally:
            self.is_over = True
            _kernels.wait_for_helpers(self)
        if self.error is not None:
            raise self.error

    def _take_slices(self) -> None:
        while not self.is_over:
            with self.lock:
                item = next(self.work, None)
            if item is None:
                return
            self.task(*item)

    def _help(self) -> None:
        with self.lock:
            if self.is_over:
                return
            self.n_started += 1
        try:
            self._take_slices()
        except BaseException as error:
            self.error, self.is_over = error, True
        with self.lock:
            self.n_ended += 1


def have_helpers(count: int) -> None:
    """Have so many threads that help, if they can be had: they are made when first needed, and then stay."""
    if len(_threads) >= count:
        return
    with _pool_lock, contextlib.suppress(RuntimeError):  # no more threads can be had: those there are do the work
        while len(_threads) < count:
            thread = threading.Thread(target=_serve, args=(_tasks,), name="tempsoft", daemon=True)
            thread.start()
            _threads.append(thread)


def _submit(task: Callable[[], None], count: int) -> None:
    """Have so many helpers run `task`, or those there are."""
    have_helpers(count)
    count = min(count, len(_threads))
    try:
        for _ in range(count):
            _tasks.put(task)
    finally:
        _kernels.call_helpers(count)


def _serve(tasks: queue.SimpleQueue[Callable[[], None]]) -> None:
    while True:
        _kernels.help_kernels()
        with contextlib.suppress(queue.Empty):
            while True:
                tasks.get_nowait()()


def _forget_pool() -> None:
    """In a forked child the pool's threads are gone, and its locks may be held for ever."""
    _kernels.forget_team()
    global _tasks, _threads, _pool_lock
    _tasks, _threads, _pool_lock = queue.SimpleQueue(), [], threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
