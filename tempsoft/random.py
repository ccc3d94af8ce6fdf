"""uniforms: the numbers that draws are made of, and the seeds they start from."""

from __future__ import annotations

import os
from typing import Any

import numpy as np

from . import _kernels, arguments


def uniforms(rng: Any, rows: int, num_samples: int = 1, *, first_row: int = 0) -> np.ndarray:
    """Make the uniform numbers that `sample` uses.

    Parameters
    ----------
    rng : int, numpy.random.SeedSequence, Generator, BitGenerator or None
        As in `sample`.
    rows : int
        How many rows.
    num_samples : int, optional
        How many numbers a row.
    first_row : int, optional
        Number of the first row in a larger batch.

    Returns
    -------
    ndarray
        float64 of shape (rows, num_samples), in [0, 1). Column j is exactly
        ``numpy.random.Generator(numpy.random.Philox(key=numpy.array([seed, j], dtype=numpy.uint64)))
        .random(first_row + rows)[first_row:]``.

    Raises
    ------
    ValueError
        A negative number of rows, of samples or of the first row, a sum of `first_row` and `rows` of 2**63 or above, or
        a seed outside [0, 2**64).
    TypeError
        An `rng` of another type, numbers that are not integers.

    Notes
    -----
    Philox4x64-10 of Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3" (2011).

    Examples
    --------
    >>> import tempsoft
    >>> tempsoft.uniforms(7, rows=2, num_samples=3).shape
    (2, 3)
    >>> bool((tempsoft.uniforms(7, 5)[2:] == tempsoft.uniforms(7, 3, first_row=2)).all())
    True
    """
    rows, num_samples, first_row = arguments.block_of_uniforms(rows, num_samples, first_row)
    return _kernels.uniforms(seed_of(rng), first_row, rows, 0, num_samples)


def seed_of(rng: Any) -> int:
    """What `arguments.seed` returns, without NumPy's price for one number."""
    kind = type(rng)
    if kind is int and 0 <= rng < 2**64:
        return rng  # type: ignore[no-any-return]
    if rng is None:
        return _fresh_seed()
    if kind is np.random.Generator:
        return _kernels.next_uint64(rng.bit_generator)
    return arguments.seed(rng)


_fresh_seeds: list[int] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fresh_seeds.clear)


def _fresh_seed() -> int:
    """All that can be seen of a fresh SeedSequence. Some at a time, as asking the system takes longer than a draw."""
    while True:
        try:
            return _fresh_seeds.pop()
        except IndexError:
            _fresh_seeds.extend(memoryview(os.urandom(8 * 64)).cast("Q"))
