"""sample and uniforms: where the random numbers come from, and the calls that turn them into draws."""

from __future__ import annotations

import math
import os
from typing import Any

import numpy as np

from . import _kernels, arguments
from .calls import Extra, broadcast, character, run
from .workers import SMALLEST_SHARED, Index, resolve

_INDEX = np.dtype(np.int64)
_Generator = np.random.Generator


def sample(
    logits: Any,
    temperature: Any = 1.0,
    *,
    num_samples: int | None = None,
    rng: Any = None,
    u: Any = None,
    first_row: int = 0,
    axis: int = -1,
    return_log_prob: bool = False,
    on_invalid: str = "raise",
    workers: Any = None,
) -> Any:
    """Draw categories from ``softmax(logits, temperature)``, each from one uniform number.

    Parameters
    ----------
    logits, temperature, axis, workers
        As in `softmax`.
    num_samples : int, optional
        Draws from each row, on a new last axis; None is one draw and no axis.
    rng : int, numpy.random.SeedSequence, Generator or BitGenerator, optional
        Where `uniforms` takes its seed from. An int in [0, 2**64) is the seed; a Generator and a BitGenerator advance;
        None takes fresh entropy.
    u : array_like, optional
        The uniform numbers themselves, in [0, 1): of the batch shape, or batch shape + (num_samples,). Not with `rng`.
    first_row : int, optional
        Number of the first row in a larger batch, of which these logits are a chunk.
    return_log_prob : bool, optional
        Also return the log-probability of each draw.
    on_invalid : {"raise", "mark"}, optional
        What to do with a row that has no distribution, because it contains NaN or only -inf: raise, or give -1 (and a
        log-probability of NaN) for it and right draws for every other row.

    Returns
    -------
    indices : ndarray or scalar
        int64 of the batch shape, or batch shape + (num_samples,).
    log_probs : ndarray or scalar
        With `return_log_prob`: float64 for float64 and integer logits, float32 for the rest.

    Raises
    ------
    ValueError
        As in `softmax`; an invalid row (naming it), no categories, `u` outside [0, 1) or of another shape, both `rng`
        and `u`, a negative `num_samples`.
    TypeError
        As in `softmax`; an `rng` of another type.

    Notes
    -----
    Inversion of the cumulative distribution (Devroye, "Non-uniform random variate generation", 1986, section III.2) in
    the order of the indices: the smallest category whose cumulative probability exceeds the uniform number. Draw j of
    row i depends on the seed, on first_row + i, on j and on that row's distribution alone, so any chunks, workers and
    machines give the same draws. A category whose probability is 0 in the working precision is never drawn.

    Examples
    --------
    >>> import numpy as np
    >>> import tempsoft
    >>> logits = np.array([[2.0, 1.0, 0.5, 0.1], [0.0, 0.0, -np.inf, 0.0]])
    >>> tempsoft.sample(logits, temperature=0.7, rng=7)
    array([2, 0])
    >>> tempsoft.sample(logits, u=[0.0, 0.99])
    array([0, 3])
    >>> tempsoft.sample(logits, rng=7, num_samples=5).shape
    (2, 5)
    """
    seed = None
    if (
        (num_samples is None and u is None and workers is None)
        and (type(axis) is int and axis == -1 and type(first_row) is int and first_row == 0)
        and (return_log_prob is False and type(on_invalid) is str and on_invalid == "raise")
        and _kernels.is_direct_draw(logits, temperature, SMALLEST_SHARED)
    ):
        seed = _seed(rng)
        index = _kernels.sample_direct(logits, temperature, seed)
        if index is not None:
            return index
    rows = arguments.rows(logits, temperature, axis)
    num_samples = arguments.number_of_samples(num_samples)
    first_row = arguments.non_negative(first_row, "first_row")
    raises = arguments.invalid_rows(on_invalid)
    n_workers = resolve(workers)
    arguments.one_source(rng, u)
    arguments.refuse_no_categories(rows)
    n_draws = 1 if num_samples is None else num_samples
    shape = (*rows.batch_shape, n_draws)
    if u is not None:
        numbers = _given(arguments.uniform_numbers(u, rows.batch_shape, num_samples).reshape(shape))
    else:
        arguments.block_of_uniforms(math.prod(rows.batch_shape), n_draws, first_row)
        numbers = _made(_seed(rng) if seed is None else seed, first_row, n_draws)
    if n_draws == 0:  # a row is as invalid with no draws as with one
        numbers = _given(np.zeros((*rows.batch_shape, 1)))

    rows = broadcast(rows)
    indices, log_probs = _draw(rows, numbers, max(n_draws, 1), return_log_prob, n_workers)
    if raises:
        _refuse_invalid(rows, indices)
    final = rows.batch_shape if num_samples is None else shape
    drawn = indices[..., :n_draws].reshape(final)[()]
    return drawn if log_probs is None else (drawn, log_probs[..., :n_draws].reshape(final)[()])


def _given(u: np.ndarray) -> Extra:
    """Uniform numbers of the batch shape + (draws,), slice by slice."""
    return lambda index, first_row, batch_shape: (u[index],)


def _made(seed: int, first_row: int, n_draws: int) -> Extra:
    """Uniform numbers made for each slice when it is drawn, so that few of them are in memory."""

    def numbers(index: Index, start: int, batch_shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
        made = _kernels.uniforms(seed, first_row + start, math.prod(batch_shape), n_draws)
        return (made.reshape(*batch_shape, n_draws),)

    return numbers


def _draw(
    rows: arguments.Rows, numbers: Extra, n_draws: int, with_log_probs: bool, workers: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Indices, -1 in invalid rows, and log-probabilities if they are wanted, of the batch shape + (draws,)."""
    indices = np.empty((*rows.batch_shape, n_draws), _INDEX)
    if not with_log_probs:
        run(_kernels.draw, rows, (indices,), _INDEX.char, workers, numbers, n_draws)
        return indices, None
    log_probs = np.empty(indices.shape, rows.working)
    results = _INDEX.char + character(rows.working)
    run(_kernels.draw_with_log_prob, rows, (indices, log_probs), results, workers, numbers, n_draws)
    return indices, log_probs


def _refuse_invalid(rows: arguments.Rows, indices: np.ndarray) -> None:
    """Raise the ValueError for the first row marked with -1, if there is one."""
    marked = indices[..., 0] < 0
    if marked.any():
        row = int(marked.argmax())
        arguments.refuse_row(rows.logits[np.unravel_index(row, rows.batch_shape)], row)


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
        A negative number of rows or samples, or a seed outside [0, 2**64).
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
    return _kernels.uniforms(_seed(rng), first_row, rows, num_samples)


def _seed(rng: Any) -> int:
    """What `arguments.seed` returns, without NumPy's price for one number."""
    kind = type(rng)
    if kind is int and 0 <= rng < 2**64:
        return rng  # type: ignore[no-any-return]
    if rng is None:
        return _fresh_seed()
    if kind is _Generator:
        return _kernels.next_uint64(rng.bit_generator)
    return arguments.seed(rng)


_fresh_seeds: list[int] = []
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_fresh_seeds.clear)


def _fresh_seed() -> int:
    """All that can be seen of a fresh SeedSequence. From the system some at a time, as asking takes longer than a draw."""
    while True:
        try:
            return _fresh_seeds.pop()
        except IndexError:
            _fresh_seeds.extend(memoryview(os.urandom(8 * 64)).cast("Q"))
