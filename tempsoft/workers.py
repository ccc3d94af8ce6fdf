"""Slices of a batch, and the threads they are worked on.

Promises that the number of workers changes speed and nothing else: a slice is rows that follow each other in C order,
and each is computed by itself. Big calls are sliced with one worker too, so that Ctrl-C is answered between slices;
after an interruption nothing touches the arrays any more. No OpenMP: it hangs in forked children.
"""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextvars import ContextVar
from typing import Any

from . import arguments

SLICE_SIZE = 1 << 20  # numbers in a slice: so few that Ctrl-C is soon answered
SMALLEST_SHARED = 1 << 16  # numbers in a call that is worth handing to threads

_default: ContextVar[int | None] = ContextVar("workers", default=None)
_pool: ThreadPoolExecutor | None = None
_pool_size = 0
_pool_lock = threading.Lock()

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
    if n is None:
        raise TypeError("workers must be an integer, got None of type NoneType")
    token = _default.set(arguments.workers(n))
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


def slices(batch_shape: tuple[int, ...], rows_per_slice: int) -> Iterator[tuple[Index, int]]:
    """(index, number of its first row) of slices that cover the batch in C order, each of at most so many rows."""
    axis, inner = len(batch_shape), 1  # the slices run along `axis`; `inner` rows lie behind one step of it
    while axis > 0 and inner * batch_shape[axis - 1] <= rows_per_slice:
        axis -= 1
        inner *= batch_shape[axis]
    if axis == 0:
        yield (), 0
        return
    axis -= 1
    length, step = batch_shape[axis], max(1, rows_per_slice // inner)
    for outer in range(math.prod(batch_shape[:axis])):
        leading: list[int] = []
        for size in reversed(batch_shape[:axis]):
            outer, position = divmod(outer, size)
            leading.insert(0, position)
        first = 0
        for size, position in zip(batch_shape[:axis], leading, strict=True):
            first = first * size + position
        for start in range(0, length, step):
            yield (*leading, slice(start, min(start + step, length))), (first * length + start) * inner


def for_each_slice(
    task: Callable[[Index, int], None], batch_shape: tuple[int, ...], numbers_per_row: int, workers: int
) -> None:
    """Call ``task(index, first row)`` for every slice of the batch, in order with one worker."""
    n_rows = math.prod(batch_shape)
    if n_rows == 0:
        return
    workers = min(workers, n_rows)
    size = n_rows * max(numbers_per_row, 1)
    if workers == 1 or size < SMALLEST_SHARED:
        for index, first_row in slices(batch_shape, max(1, SLICE_SIZE // max(numbers_per_row, 1))):
            task(index, first_row)
        return
    slice_size = min(SLICE_SIZE, -(-size // workers))
    _run_on_pool(task, slices(batch_shape, max(1, slice_size // max(numbers_per_row, 1))), workers)


def _run_on_pool(task: Callable[[Index, int], None], work: Iterator[tuple[Index, int]], workers: int) -> None:
    """Each worker takes the next slice until there are none; an exception in one ends all, and is raised."""
    lock, stopped = threading.Lock(), threading.Event()

    def take_slices() -> None:
        while not stopped.is_set():
            with lock:
                item = next(work, None)
            if item is None:
                return
            try:
                task(*item)
            except BaseException:
                stopped.set()
                raise

    futures: list[Future[None]] = []
    try:
        _submit(take_slices, workers, futures)
        wait(futures)
    finally:  # whatever was raised, Ctrl-C or a time-out: join first, however often it comes
        stopped.set()
        while not all(future.done() for future in futures):
            with contextlib.suppress(BaseException):
                wait(futures)
    for future in futures:
        future.result()


def _submit(task: Callable[[], None], count: int, futures: list[Future[None]]) -> None:
    """Have `task` run on so many threads of the pool, which is made or enlarged when first needed."""
    global _pool, _pool_size
    with _pool_lock:
        if _pool is None or _pool_size < count:
            if _pool is not None:
                _pool.shutdown(wait=False)
            _pool, _pool_size = ThreadPoolExecutor(count, thread_name_prefix="tempsoft"), count
        for _ in range(count):
            futures.append(_pool.submit(task))


def _forget_pool() -> None:
    """In a forked child the pool's threads are gone, and its lock may be held for ever."""
    global _pool, _pool_lock
    _pool, _pool_lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
