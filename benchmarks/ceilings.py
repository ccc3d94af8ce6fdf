"""What memory allows: a pass that only reads, a copy whose stores go past the caches, and NumPy's copy.

The first two are ceilings.c, built at first use with `$CC` or `cc` into a temporary directory and called without the
GIL; where there is no compiler they are left out. No rivals: they say how far one could get.
"""

from __future__ import annotations

import ctypes
import functools
import os
import pathlib
import queue
import shlex
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from .cases import MAPS, Case
from .implementations import CEILING, Implementation, Task, demand

SOURCE = pathlib.Path(__file__).with_name("ceilings.c")
LINE = 64  # bytes; no two threads share a cache line
SMALLEST = 1 << 20  # bytes of traffic: below, a call is not about memory


@functools.cache
def library() -> ctypes.CDLL | None:
    """The compiled functions; None where there is no compiler."""
    compiler = shlex.split(os.environ.get("CC", "cc"))
    if shutil.which(compiler[0]) is None:
        return None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        target = pathlib.Path(folder, "ceilings.so")
        command = [*compiler, "-O3", "-shared", "-fPIC", str(SOURCE), "-o", str(target)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            return None
        built = ctypes.CDLL(str(target))
    built.read_only.restype = ctypes.c_uint64
    built.read_only.argtypes = ctypes.c_void_p, ctypes.c_size_t
    built.copy_nontemporal.restype = None
    built.copy_nontemporal.argtypes = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t
    return built


class Ceiling(Implementation):
    """A ceiling of maps or of functions with small results, on as many threads as it is told."""

    kind = CEILING
    writes: bool

    def does(self, function: str, case: Case) -> bool:
        return (function in MAPS) == self.writes and case.traffic(function) >= SMALLEST and case.n_draws == 1

    def missing(self, case: Case) -> list[str]:
        return super().missing(case) or ([] if library() else ["a C compiler"])

    def versions(self) -> dict[str, str]:
        return {}

    def uses(self, threads: int) -> int:
        return threads


class ReadOnly(Ceiling):
    """Reads every byte of the input."""

    name = "read_only"
    writes = False

    def task(self, function: str, case: Case, threads: int = 1) -> Task:
        built = library()
        assert built is not None
        logits = case.logits()
        parts = [
            partial(built.read_only, logits.ctypes.data + start, stop - start)
            for start, stop in _parts(logits.nbytes, threads)
        ]
        return Task(partial(_together, parts), own_check=partial(_check_read, logits))


class CopyNontemporal(Ceiling):
    """Copies the input to the output: as many bytes as a map has to move."""

    name = "copy_nontemporal"
    writes = True

    def task(self, function: str, case: Case, threads: int = 1) -> Task:
        built = library()
        assert built is not None
        logits, ready = case.logits(), case.output()
        spans = _parts(logits.nbytes, threads)

        def copy() -> np.ndarray:
            out = np.empty_like(logits) if ready is None else ready
            to, source = out.ctypes.data, logits.ctypes.data
            _together(
                [partial(built.copy_nontemporal, to + start, source + start, stop - start) for start, stop in spans]
            )
            return out

        return Task(copy, own_check=partial(_check_copy, logits))


class NumpyCopyto(Ceiling):
    """``np.copyto``, which knows of no threads."""

    name = "numpy_copyto"
    writes = True

    def missing(self, case: Case) -> list[str]:
        return Implementation.missing(self, case)

    def uses(self, threads: int) -> int:
        return 1

    def task(self, function: str, case: Case, threads: int = 1) -> Task:
        logits, ready = case.logits(), case.output()

        def copy() -> np.ndarray:
            out = np.empty_like(logits) if ready is None else ready
            np.copyto(out, logits)
            return out

        return Task(copy, own_check=partial(_check_copy, logits))


def _check_read(logits: np.ndarray, result: list[int]) -> None:
    words = _bytes(logits)[: logits.nbytes // 8 * 8].view(np.uint64)
    found = functools.reduce(int.__xor__, result)
    demand(found == int(np.bitwise_xor.reduce(words)), "the read-only pass did not read all")


def _check_copy(logits: np.ndarray, result: np.ndarray) -> None:
    demand(np.array_equal(_bytes(result), _bytes(logits)), "the copy is none")


def _bytes(array: np.ndarray) -> np.ndarray:
    return array.reshape(-1).view(np.uint8)


def _parts(n_bytes: int, threads: int) -> list[tuple[int, int]]:
    """The bytes from start to stop of each thread."""
    length = -(-n_bytes // threads // LINE) * LINE
    return [(start, min(start + length, n_bytes)) for start in range(0, n_bytes, length)]


# threads that stay, as those of the library under test do
_waiting: list[queue.SimpleQueue[tuple[Callable[[], Any], queue.SimpleQueue[Any]]]] = []


def _serve(tasks: queue.SimpleQueue[tuple[Callable[[], Any], queue.SimpleQueue[Any]]]) -> None:
    while True:
        task, results = tasks.get()
        results.put(task())


def _together(tasks: list[Callable[[], Any]]) -> list[Any]:
    """Results of tasks, in any order: the first of them in the calling thread, each other in one of its own."""
    while len(_waiting) < len(tasks) - 1:
        _waiting.append(queue.SimpleQueue())
        threading.Thread(target=_serve, args=(_waiting[-1],), daemon=True).start()
    results: queue.SimpleQueue[Any] = queue.SimpleQueue()
    for task, thread in zip(tasks[1:], _waiting, strict=False):
        thread.put((task, results))
    return [tasks[0](), *(results.get() for _ in tasks[1:])]
