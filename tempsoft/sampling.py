"""sample and sample_weights: where the uniform numbers come from, and the calls that turn them into draws."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from . import _kernels, arguments
from .calls import INDEX, Extra, broadcast, character, given, run
from .random import seed_of
from .workers import Index, resolve

_kernels.set_seed_of(seed_of)


@_kernels.direct_first
def sample(
    logits: Any,
    temperature: Any = 1.0,
    *,
    top_k: Any = None,
    top_p: Any = None,
    min_p: Any = None,
    temperature_last: bool = False,
    num_samples: int | None = None,
    replace: bool = True,
    rng: Any = None,
    u: Any = None,
    first_row: int = 0,
    axis: int = -1,
    return_log_prob: bool = False,
    on_invalid: str = "raise",
    workers: Any = None,
) -> Any:
    """Draw categories from ``softmax(logits, temperature, ...)``, each from one uniform number.

    Parameters
    ----------
    logits, temperature, top_k, top_p, min_p, temperature_last, axis, workers
        As in `softmax`.
    num_samples : int, optional
        Draws from each row, on a new last axis; None is one draw and no axis.
    replace : bool, optional
        False: successive draws, each from what those before it left, renormalised.
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
        What to do with a row that has no distribution, because it contains NaN or only -inf, or that has fewer drawable
        categories than draws without replacement: raise, or give -1 (and a log-probability of NaN) in all its draws and
        right draws in every other row.

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
        and `u`, a negative `num_samples` or `first_row`, an unknown `on_invalid`.
    TypeError
        As in `softmax`; an `rng` of another type, a `replace` or `return_log_prob` that is not a bool.
    numpy.exceptions.AxisError
        As in `softmax`.

    Notes
    -----
    Inversion of the cumulative distribution (Devroye, "Non-uniform random variate generation", 1986, section III.2) in
    the order of the indices: the smallest category whose cumulative probability exceeds the uniform number. Draw j of
    row i depends on the seed, on first_row + i, on j and on that row's distribution alone, so any chunks, workers and
    machines give the same draws. A category whose probability is 0 in the working precision is never drawn. Draws
    without replacement have the law of the Gumbel-top-k trick (Kool, van Hoof, Welling, "Stochastic beams and where to
    find them", 2019), from one number each.

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
    >>> tempsoft.sample(logits, top_k=2, u=[0.9, 0.9])
    array([1, 1])
    """
    rows = arguments.rows(logits, temperature, axis, top_k, top_p, min_p, temperature_last)
    draws = arguments.draws(rows, False, num_samples, replace, rng, u, first_row, return_log_prob, on_invalid, workers)
    return _sample(rows, draws, rng, workers)


@_kernels.direct_first
def sample_weights(
    weights: Any,
    *,
    num_samples: int | None = None,
    replace: bool = True,
    rng: Any = None,
    u: Any = None,
    first_row: int = 0,
    axis: int = -1,
    return_log_prob: bool = False,
    on_invalid: str = "raise",
    workers: Any = None,
) -> Any:
    """Draw categories from rows of weights, which need not add up to 1.

    Parameters
    ----------
    weights : array_like
        Categories on `axis`, every other axis is batch: finite numbers >= 0, at least one of a row above 0. Dtypes as
        for the logits of `softmax`.
    num_samples, replace, rng, u, first_row, axis, return_log_prob, on_invalid, workers
        As in `sample`; a row with a negative, infinite or NaN weight, or of zeros alone, is invalid.

    Returns
    -------
    indices, log_probs
        As in `sample`; the log-probability is that of the weight divided by the sum of its row.

    Raises
    ------
    ValueError, TypeError, numpy.exceptions.AxisError
        As in `sample`.

    Notes
    -----
    The draws of `sample`, of the same uniform numbers and promises, with the weights in place of exponentials.
    ``numpy.random.Generator.choice`` takes one row at a time and refuses one whose sum is off by more than 1e-8.

    Examples
    --------
    >>> import numpy as np
    >>> import tempsoft
    >>> counts = np.array([[3, 0, 1], [0, 5, 5]])
    >>> tempsoft.sample_weights(counts, u=[0.8, 0.2])
    array([2, 1])
    """
    rows = arguments.weights(weights, axis)
    draws = arguments.draws(rows, True, num_samples, replace, rng, u, first_row, return_log_prob, on_invalid, workers)
    return _sample(rows, draws, rng, workers)


def _sample(rows: arguments.Rows, draws: arguments.Draws, rng: Any, workers: Any) -> Any:
    """Draws from rows that passed the checks."""
    numbers = _made(seed_of(rng), draws.first_row) if draws.u is None else _given(draws.u)
    if draws.n_draws == 0:  # a row is as invalid with no draws as with one
        numbers = _given(np.zeros((*rows.batch_shape, 1)))
    rows = broadcast(rows)
    options = _kernels.WEIGHTS * draws.are_weights | _kernels.WITHOUT_REPLACEMENT * (not draws.replace)
    n_undrawn = _kernels.n_undrawn()
    indices, log_probs = _draw(rows, numbers, max(draws.n_draws, 1), options, draws.return_log_prob, resolve(workers))
    if draws.raises and _kernels.n_undrawn() != n_undrawn and indices[..., 0].min(initial=0) < 0:
        row = int((indices[..., 0] < 0).argmax())
        arguments.refuse_row(rows.logits[np.unravel_index(row, rows.batch_shape)], row, draws)
    shape = rows.batch_shape if draws.num_samples is None else (*rows.batch_shape, draws.num_samples)
    drawn = indices[..., : draws.n_draws].reshape(shape)[()]
    return drawn if log_probs is None else (drawn, log_probs[..., : draws.n_draws].reshape(shape)[()])


# the uniform numbers of draws first ... first + count of each row, as an operand
_Numbers = Callable[[int, int], Extra]
MOST_TOGETHER = 1 << 18  # draws from one row: few enough for a cache; each part makes the plan of the row again


def _given(u: np.ndarray) -> _Numbers:
    """Uniform numbers of the batch shape + (draws,)."""
    return lambda first, count: given(u[..., first : first + count])


def _made(seed: int, first_row: int) -> _Numbers:
    """Uniform numbers made for each slice when it is drawn, so that few of them are in memory."""

    def numbers(first: int, count: int) -> Extra:
        def of_slice(index: Index, start: int, batch_shape: tuple[int, ...]) -> tuple[np.ndarray, ...]:
            made = _kernels.uniforms(seed, first_row + start, math.prod(batch_shape), first, count)
            return (made.reshape(*batch_shape, count),)

        return of_slice

    return numbers


def _draw(
    rows: arguments.Rows, numbers: _Numbers, n_draws: int, options: int, with_log_probs: bool, workers: int
) -> tuple[np.ndarray, np.ndarray | None]:
    """Indices, -1 in invalid rows, and log-probabilities if they are wanted, of the batch shape + (draws,)."""
    indices = _kernels.new_result((*rows.batch_shape, n_draws), INDEX)
    log_probs = _kernels.new_result(indices.shape, rows.working) if with_log_probs else None
    together = n_draws if options & _kernels.WITHOUT_REPLACEMENT else MOST_TOGETHER
    for first in range(0, n_draws, together):
        part = slice(first, min(first + together, n_draws))
        operand = numbers(first, part.stop - first)
        if log_probs is None:
            run(_kernels.draw, rows, (indices[..., part],), INDEX.char, workers, operand, options)
        else:
            outputs = indices[..., part], log_probs[..., part]
            types = INDEX.char + character(rows.working)
            run(_kernels.draw_with_log_prob, rows, outputs, types, workers, operand, options)
    return indices, log_probs
