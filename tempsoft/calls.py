"""From checked rows to calls of a kernel: slices, dtypes that the kernels do not take, overlap of input and output.

Promises the same values for any layout, byte order and alignment, with no copy of more than a slice unless `out`
overlaps the input without being it. Leaves the arithmetic to the kernels and the checks to arguments.py.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _kernels
from .arguments import NO_FILTERS, Filters, Rows, is_bfloat16
from .workers import (
    LARGE_SLICE,
    SHARED_SLICE,
    SLICE_SIZE,
    SMALLEST_SHARED,
    TURNS_SLICE,
    Index,
    for_each_slice,
    have_helpers,
    resolve,
    useful,
)

# Bytes of results, from which on they are better written past the cache: logits and results of a quarter of it fill
# half, and the rest is for what else is going on. Of a large cache, or one of unknown size, 32 MB.
PAST_CACHE = min(1 << 25, _kernels.cache_bytes() // 4 or 1 << 25)

WAY_PAST_CACHE = _kernels.way_past_cache()

INDEX = np.dtype(np.int64)  # of categories

SHORT, TOGETHER = 128, 16  # categories of rows, and columns of any, that the kernels take so many together
FEW = 64  # categories to a draw, from which on the numbers that draws are made of are few beside a slice

# operands past logits and temperature, for the slice of this index, first row and batch shape
Extra = Callable[[Index, int, tuple[int, ...]], tuple[np.ndarray, ...]]


def map_rows(gufunc: np.ufunc, rows: Rows, target: np.ndarray, workers: int) -> None:
    """`gufunc` of every row into `target`, whose categories, if it has them, are last."""
    rows = broadcast(rows)
    if np.may_share_memory(rows.logits, target) and not _is_same(rows.logits, target):
        rows = rows._replace(logits=rows.logits.copy())
    rows = _with_parameters(rows, lambda array: array.copy() if np.may_share_memory(array, target) else array)
    wider = rows.working == np.float32 and target.dtype.type is not rows.dtype.type
    run(gufunc, rows, (target,), "f" if wider else character(target.dtype), workers)


def run(
    gufunc: np.ufunc,
    rows: Rows,
    outputs: tuple[np.ndarray, ...],
    results: str,
    workers: int,
    extra: Extra | None = None,
    options: int = 0,
) -> None:
    """`gufunc` over slices of broadcast rows into `outputs`, with the loop that gives dtype characters `results`."""
    outputs = tuple(_bits(array) for array in outputs)
    operand = character(rows.dtype)
    if operand == "H":
        _kernels.know_bfloat16(rows.dtype.num)
    is_plain = rows.logits.dtype == rows.dtype and rows.logits.flags.aligned
    parameters = _parameters(rows, options) if gufunc.nin > 2 else (rows.temperature,)
    types = operand + "".join(array.dtype.char for array in parameters)

    past_cache = WAY_PAST_CACHE if outputs[-1].nbytes >= PAST_CACHE else 0
    # of the draws or categories of a row, the more numerous
    numbers_per_row = max(rows.n_categories, outputs[0].shape[-1] if outputs[0].ndim > len(rows.batch_shape) else 1)
    has_few = extra is None or outputs[0].shape[-1] * FEW <= rows.n_categories
    is_quick = is_plain and has_few and _kernels.isa() != "scalar"
    n_sharing = 1  # threads, in the kernel's own way to share rows, which is begun sooner than ours
    if workers > 1 and is_quick and _is_one_loop(len(rows.batch_shape), (rows.logits, *outputs, *parameters)):
        n_sharing = useful(workers, math.prod(rows.batch_shape) * numbers_per_row)

    def task(index: Index, first_row: int) -> None:
        index = (*index, ...)  # always a view, of a 0-d array too
        part = rows.logits[index]
        if not is_plain:
            part = part.astype(rows.dtype)  # a copy of the slice that is aligned, native and floating
        others = extra(index, first_row, part.shape[:-1]) if extra else ()
        if n_sharing > 1:
            others = tuple(map(np.ascontiguousarray, others))  # they are few, and one loop then
        signature = f"{types}{''.join(array.dtype.char for array in others)}->{results}"
        parts = tuple(array[index] for array in outputs)
        per_row = tuple(array if array.ndim == 0 else array[index] for array in parameters)
        _kernels.call(gufunc, (_bits(part), *per_row, *others), parts, signature, past_cache, n_sharing)

    is_short = rows.n_categories <= SHORT or rows.logits.strides[-1] != rows.logits.itemsize
    largest = LARGE_SLICE if is_quick else SLICE_SIZE
    if n_sharing > 1:
        have_helpers(n_sharing - 1)
        workers, largest = 1, SHARED_SLICE if rows.filters is None else TURNS_SLICE
    for_each_slice(task, rows.batch_shape, numbers_per_row, workers, largest, TOGETHER if is_short else 1)


def direct_threads(numbers: int, n_bytes: int, has_filters: bool, workers: Any) -> int:
    """On how many threads the direct path may take a call, of so many bytes of logits. 0 where it may not: one thread,
    or several with filters, take no more than a slice, as Ctrl-C waits, and none what is better written past the cache.
    """
    if workers is not None and (type(workers) is not int or workers < -1 or workers == 0):
        return 0  # a bad number is left to the checks, which have their order
    n_threads = useful(resolve(workers), numbers)
    if n_bytes >= PAST_CACHE or (numbers > SLICE_SIZE and (n_threads == 1 or has_filters)):
        return 0
    have_helpers(n_threads - 1)
    return n_threads


_kernels.set_threads_for(direct_threads, SMALLEST_SHARED)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_kernels.forget_before_fork)


def _is_one_loop(n_axes: int, arrays: tuple[np.ndarray, ...]) -> bool:
    """Whether the batch axes of each array are steps of one length in C order: a gufunc runs through them in a loop."""
    for array in arrays:
        step = None
        for length, stride in zip(reversed(array.shape[:n_axes]), reversed(array.strides[:n_axes]), strict=True):
            if length > 1:
                if step is not None and stride != step:
                    return False
                step = length * stride
    return True


def given(array: np.ndarray) -> Extra:
    """An operand of the batch shape + (draws,), slice by slice."""
    return lambda index, first_row, batch_shape: (array[index],)


def _parameters(rows: Rows, options: int) -> tuple[np.ndarray, ...]:
    """Temperature, top_k, top_p, min_p and options, each of the batch shape or 0-d."""
    top_k, top_p, min_p, last = rows.filters or NO_FILTERS
    return rows.temperature, top_k, top_p, min_p, np.array(options | _kernels.TEMPERATURE_LAST * last, np.int64)


def _with_parameters(rows: Rows, change: Callable[[np.ndarray], np.ndarray]) -> Rows:
    """The same with its temperature and filters changed, each array by itself."""
    filters = rows.filters
    if filters is not None:
        changed = change(filters.top_k), change(filters.top_p), change(filters.min_p)
        filters = Filters(*changed, filters.temperature_last)
    return rows._replace(temperature=change(rows.temperature), filters=filters)


def broadcast(rows: Rows) -> Rows:
    """The same with logits of the batch shape + (n,) and parameters of the batch shape or 0-d, as views."""
    if rows.logits.shape[:-1] != rows.batch_shape:
        logits = np.broadcast_to(rows.logits, (*rows.batch_shape, rows.n_categories))
        rows = rows._replace(logits=logits)
    return _with_parameters(rows, lambda array: array if array.ndim == 0 else np.broadcast_to(array, rows.batch_shape))


def character(dtype: np.dtype[Any]) -> str:
    """The kernels' name of a dtype: its character, and that of uint16 for bfloat16, which travels as its bits."""
    return "H" if is_bfloat16(dtype) else dtype.char


def _bits(array: np.ndarray) -> np.ndarray:
    if not is_bfloat16(array.dtype):
        return array
    bits = np.dtype(np.uint16)
    return array.view(bits if array.dtype.isnative else bits.newbyteorder())


def _is_same(a: np.ndarray, b: np.ndarray) -> bool:
    """Whether both are the same view of the same memory, so that each row is read before it is written."""
    return (
        a.dtype == b.dtype
        and a.shape == b.shape
        and a.strides == b.strides
        and a.__array_interface__["data"][0] == b.__array_interface__["data"][0]
    )
