"""The definition: the functions of `tempsoft` in plain NumPy, with float64 inside.

The kernels are checked against this module, and a user can swap it in to compare. It promises the
same signatures, shapes, dtypes and errors, and says what each function means in the simplest code; it promises neither
speed nor the same last bits. The checks of arguments are shared with the compiled functions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from . import arguments, definition

__all__ = [
    "entropy",
    "log_prob",
    "log_softmax",
    "logsumexp",
    "sample",
    "sample_weights",
    "softmax",
    "support",
    "top_log_probs",
    "uniforms",
]


def softmax(
    logits: Any,
    temperature: Any = 1.0,
    *,
    top_k: Any = None,
    top_p: Any = None,
    min_p: Any = None,
    temperature_last: bool = False,
    axis: int = -1,
    out: Any = None,
    workers: Any = None,
) -> Any:
    """``exp(logits / temperature)`` of what the filters kept, divided by its sum. See `tempsoft.softmax`."""
    rows = arguments.rows(logits, temperature, axis, top_k, top_p, min_p, temperature_last)
    return _result(definition.softmax, rows, axis, out, workers)


def log_softmax(
    logits: Any,
    temperature: Any = 1.0,
    *,
    top_k: Any = None,
    top_p: Any = None,
    min_p: Any = None,
    temperature_last: bool = False,
    axis: int = -1,
    out: Any = None,
    workers: Any = None,
) -> Any:
    """The logarithm of `softmax`. See `tempsoft.log_softmax`."""
    rows = arguments.rows(logits, temperature, axis, top_k, top_p, min_p, temperature_last)
    return _result(definition.log_softmax, rows, axis, out, workers)


def logsumexp(
    logits: Any, temperature: Any = 1.0, *, axis: int = -1, keepdims: bool = False, workers: Any = None
) -> Any:
    """``log(sum(exp(logits / temperature)))`` over `axis`. See `tempsoft.logsumexp`."""
    rows = arguments.rows(logits, temperature, axis)
    arguments.workers(workers)
    with definition.quiet():
        values = definition.logsumexp(*_distribution(rows)).astype(rows.working)
    return np.expand_dims(values, axis) if keepdims else values[()]


def log_prob(
    logits: Any,
    index: Any,
    temperature: Any = 1.0,
    *,
    top_k: Any = None,
    top_p: Any = None,
    min_p: Any = None,
    temperature_last: bool = False,
    axis: int = -1,
    workers: Any = None,
) -> Any:
    """The entries of `log_softmax` at `index`. See `tempsoft.log_prob`."""
    rows = arguments.rows(logits, temperature, axis, top_k, top_p, min_p, temperature_last)
    indices, has_axis = arguments.token_index(index, rows.batch_shape, rows.n_categories)
    arguments.workers(workers)
    with definition.quiet():
        values = definition.log_softmax(*_distribution(rows)).astype(rows.working)
    chosen = np.take_along_axis(values, indices, -1)
    return chosen if has_axis else chosen[..., 0][()]


def top_log_probs(logits: Any, k: int, temperature: Any = 1.0, *, axis: int = -1, workers: Any = None) -> Any:
    """The k first in the order, and their entries of `log_softmax`. See `tempsoft.top_log_probs`."""
    rows = arguments.rows(logits, temperature, axis)
    k = arguments.number_of_best(k, rows.n_categories)
    arguments.workers(workers)
    x, t = _distribution(rows)
    indices = definition.order(x)[..., :k]
    with definition.quiet():
        values = np.take_along_axis(definition.log_softmax(x, t), indices, -1).astype(rows.working)
    is_ordered = np.take_along_axis(x, indices, -1) > -np.inf
    return values, np.where(is_ordered & ~np.isnan(values), indices, -1)


def entropy(
    logits: Any,
    temperature: Any = 1.0,
    *,
    top_k: Any = None,
    top_p: Any = None,
    min_p: Any = None,
    temperature_last: bool = False,
    axis: int = -1,
    workers: Any = None,
) -> Any:
    """``-sum(p * log(p))`` of ``p = softmax(...)``, in nats. See `tempsoft.entropy`."""
    rows = arguments.rows(logits, temperature, axis, top_k, top_p, min_p, temperature_last)
    arguments.workers(workers)
    with definition.quiet():
        return definition.entropy(*_distribution(rows)).astype(rows.working)[()]


def support(
    logits: Any,
    temperature: Any = 1.0,
    *,
    top_k: Any = None,
    top_p: Any = None,
    min_p: Any = None,
    temperature_last: bool = False,
    axis: int = -1,
    workers: Any = None,
) -> Any:
    """How many entries the filters keep, and what these weigh without filters. See `tempsoft.support`."""
    rows = arguments.rows(logits, temperature, axis, top_k, top_p, min_p, temperature_last)
    arguments.workers(workers)
    number, mass = definition.support(*_broadcast(rows), rows.filters or arguments.NO_FILTERS)
    return number[()], mass.astype(rows.working)[()]


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
    """Draw categories by inverse CDF in index order, each from one uniform number. See `tempsoft.sample`."""
    rows = arguments.rows(logits, temperature, axis, top_k, top_p, min_p, temperature_last)

    def distribution() -> tuple[np.ndarray, np.ndarray]:
        x, t = _distribution(rows)
        return definition.softmax(x, t), definition.log_softmax(x, t)

    draws = arguments.draws(rows, False, num_samples, replace, rng, u, first_row, return_log_prob, on_invalid, workers)
    return _draw(rows, distribution, draws, rng)


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
    """`sample` from rows of weights >= 0 instead of logits. See `tempsoft.sample_weights`."""
    rows = arguments.weights(weights, axis)
    draws = arguments.draws(rows, True, num_samples, replace, rng, u, first_row, return_log_prob, on_invalid, workers)
    return _draw(rows, lambda: definition.proportional(_broadcast(rows)[0]), draws, rng)


def uniforms(rng: Any, rows: int, num_samples: int = 1, *, first_row: int = 0) -> np.ndarray:
    """The uniform numbers of `sample`: column j is NumPy's Philox stream of key (seed, j). See `tempsoft.uniforms`."""
    rows, num_samples, first_row = arguments.block_of_uniforms(rows, num_samples, first_row)
    key = arguments.seed(rng)
    numbers = np.empty((rows, num_samples))
    for j in range(num_samples):
        stream = np.random.Philox(key=np.array([key, j], dtype=np.uint64))
        numbers[:, j] = np.random.Generator(stream).random(first_row + rows)[first_row:]
    return numbers


def _result(function: Any, rows: arguments.Rows, axis: int, out: Any, workers: Any) -> Any:
    """`function` of every row, rounded once to the dtype of the result."""
    arguments.workers(workers)
    shape = arguments.with_axis((*rows.batch_shape, rows.n_categories), axis)
    target = arguments.output(out, shape, rows.dtype)
    with definition.quiet():
        np.moveaxis(target, axis, -1)[...] = function(*_distribution(rows)).astype(rows.working)
    return target


def _draw(rows: arguments.Rows, distribution: Any, draws: arguments.Draws, rng: Any) -> Any:
    """Draws from ``distribution() = (probabilities, their logarithms)``."""
    n_rows, n_draws = math.prod(rows.batch_shape), draws.n_draws
    u = uniforms(rng, n_rows, n_draws, first_row=draws.first_row) if draws.u is None else draws.u
    numbers = u.reshape(n_rows, n_draws)
    with definition.quiet():
        rounded = (values.astype(rows.working).reshape(n_rows, rows.n_categories) for values in distribution())
        probabilities, log_probabilities = rounded
    # A row is as invalid with no draws as with one.
    needed = 1 if draws.replace else max(n_draws, 1)
    invalid = (probabilities > 0).sum(axis=-1) < needed
    if draws.raises and invalid.any():
        first = int(invalid.argmax())
        row = _broadcast(rows)[0].reshape(n_rows, -1)[first]
        arguments.refuse_row(row, first, draws)
    indices = np.full((n_rows, n_draws), -1)
    chosen = np.full((n_rows, n_draws), np.nan, rows.working)
    for i in np.flatnonzero(~invalid):
        draw = definition.inverted if draws.replace else definition.inverted_and_removed
        indices[i] = draw(probabilities[i].astype(np.float64), numbers[i])
        chosen[i] = log_probabilities[i, indices[i]]
    shape = rows.batch_shape if draws.num_samples is None else (*rows.batch_shape, draws.num_samples)
    drawn = indices.reshape(shape)[()]
    return (drawn, chosen.reshape(shape)[()]) if draws.return_log_prob else drawn


def _broadcast(rows: arguments.Rows) -> tuple[np.ndarray, np.ndarray]:
    """float64 logits of the batch shape + (n,), and temperatures of the batch shape + (1,)."""
    with definition.quiet():
        logits = rows.logits.astype(np.float64, order="C")  # the order of NumPy's sums depends on the layout
    x = np.broadcast_to(logits, (*rows.batch_shape, rows.n_categories))
    return x, np.broadcast_to(rows.temperature, rows.batch_shape)[..., None]


def _distribution(rows: arguments.Rows) -> tuple[np.ndarray, np.ndarray]:
    """The same, with -inf for what the filters removed."""
    x, t = _broadcast(rows)
    if rows.filters is None:
        return x, t
    return definition.filtered(x, t, rows.filters), t
