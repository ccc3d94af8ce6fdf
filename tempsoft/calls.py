"""From checked rows to calls of a kernel: slices, dtypes that the kernels do not take, overlap of input and output.

Promises the same values for any layout, byte order and alignment, with no copy of more than a slice unless `out`
overlaps the input without being it. Leaves the arithmetic to the kernels and the checks to arguments.py.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from . import _kernels
from .arguments import Rows
from .workers import Index, for_each_slice

# operands past logits and temperature, for the slice of this index, first row and batch shape
Extra = Callable[[Index, int, tuple[int, ...]], tuple[np.ndarray, ...]]


def map_rows(gufunc: np.ufunc, rows: Rows, target: np.ndarray, workers: int) -> None:
    """`gufunc` of every row into `target`, whose categories, if it has them, are last."""
    rows = broadcast(rows)
    logits, temperature = rows.logits, rows.temperature
    if np.may_share_memory(logits, target) and not _is_same(logits, target):
        rows = rows._replace(logits=logits.copy())
    if np.may_share_memory(temperature, target):
        rows = rows._replace(temperature=temperature.copy())
    wider = rows.working == np.float32 and target.dtype.type is not rows.dtype.type
    run(gufunc, rows, (target,), "f" if wider else character(target.dtype), workers)


def run(
    gufunc: np.ufunc,
    rows: Rows,
    outputs: tuple[np.ndarray, ...],
    results: str,
    workers: int,
    extra: Extra | None = None,
    numbers_per_row: int = 0,
) -> None:
    """`gufunc` over slices of broadcast rows into `outputs`, with the loop that gives dtype characters `results`."""
    outputs = tuple(_bits(array) for array in outputs)
    operand = character(rows.dtype)
    is_plain = rows.logits.dtype == rows.dtype and rows.logits.flags.aligned

    def task(index: Index, first_row: int) -> None:
        index = (*index, ...)  # always a view, of a 0-d array too
        part = rows.logits[index]
        if not is_plain:
            part = part.astype(rows.dtype)  # a copy of the slice that is aligned, native and floating
        others = extra(index, first_row, part.shape[:-1]) if extra else ()
        signature = f"{operand}d{'d' * len(others)}->{results}"
        parts = tuple(array[index] for array in outputs)
        _kernels.call(gufunc, (_bits(part), rows.temperature[index], *others), parts, signature)

    for_each_slice(task, rows.batch_shape, max(rows.n_categories, numbers_per_row), workers)


def broadcast(rows: Rows) -> Rows:
    """The same with logits of the batch shape + (n,) and temperatures of the batch shape, as views."""
    if rows.logits.shape[:-1] != rows.batch_shape:
        logits = np.broadcast_to(rows.logits, (*rows.batch_shape, rows.n_categories))
        rows = rows._replace(logits=logits)
    return rows._replace(temperature=np.broadcast_to(rows.temperature, rows.batch_shape))


def character(dtype: np.dtype[Any]) -> str:
    """The kernels' name of a dtype: its character, and that of uint16 for bfloat16, which travels as its bits."""
    return "H" if dtype.type.__name__ == "bfloat16" else dtype.char


def _bits(array: np.ndarray) -> np.ndarray:
    if array.dtype.type.__name__ != "bfloat16":
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
