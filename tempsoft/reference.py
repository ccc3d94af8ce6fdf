"""The definition: the functions of `tempsoft` in plain NumPy, with float64 inside.

The kernels are checked against this module, and a user can swap it in to compare. It promises the
same signatures, shapes, dtypes and errors, and says what each function means in the simplest code; it promises neither
speed nor the same last bits. The checks of arguments are shared with the compiled functions.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from . import arguments

__all__ = ["log_softmax", "logsumexp", "sample", "softmax", "uniforms"]


def _quiet() -> np.errstate:
    """Infinities and underflow are ordinary here."""
    return np.errstate(all="ignore")


def softmax(logits: Any, temperature: Any = 1.0, *, axis: int = -1, out: Any = None, workers: Any = None) -> Any:
    """``exp(logits / temperature)`` divided by its sum over `axis`: the probabilities. See `tempsoft.softmax`."""
    return _result(_softmax, logits, temperature, axis, out, workers)


def log_softmax(logits: Any, temperature: Any = 1.0, *, axis: int = -1, out: Any = None, workers: Any = None) -> Any:
    """The logarithm of `softmax`. See `tempsoft.log_softmax`."""
    return _result(_log_softmax, logits, temperature, axis, out, workers)


def logsumexp(
    logits: Any, temperature: Any = 1.0, *, axis: int = -1, keepdims: bool = False, workers: Any = None
) -> Any:
    """``log(sum(exp(logits / temperature)))`` over `axis`. See `tempsoft.logsumexp`."""
    rows = arguments.rows(logits, temperature, axis)
    arguments.workers(workers)
    with _quiet():
        values = _logsumexp(*_broadcast(rows)).astype(rows.working)
    return np.expand_dims(values, axis) if keepdims else values[()]


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
    """Draw categories by inverse CDF in index order, each from one uniform number. See `tempsoft.sample`."""
    rows = arguments.rows(logits, temperature, axis)
    num_samples = arguments.number_of_samples(num_samples)
    first_row = arguments.non_negative(first_row, "first_row")
    raises = arguments.invalid_rows(on_invalid)
    arguments.workers(workers)
    arguments.one_source(rng, u)
    arguments.refuse_no_categories(rows)
    n_rows = int(np.prod(rows.batch_shape))
    shape = rows.batch_shape if num_samples is None else (*rows.batch_shape, num_samples)
    n_draws = 1 if num_samples is None else num_samples
    if u is not None:
        numbers = arguments.uniform_numbers(u, rows.batch_shape, num_samples).reshape(n_rows, n_draws)
    else:
        numbers = uniforms(rng, n_rows, n_draws, first_row=first_row)

    x, t = (a.reshape(n_rows, a.shape[-1]) for a in _broadcast(rows))
    with _quiet():
        log_probabilities = _log_softmax(x, t).astype(rows.working)
        weights = _softmax(x, t).astype(rows.working).astype(np.float64)
    invalid = ~(weights > 0).any(axis=-1)
    if raises and invalid.any():
        first = int(invalid.argmax())
        arguments.refuse_row(x[first], first)
    indices = np.full((n_rows, n_draws), -1)
    chosen = np.full((n_rows, n_draws), np.nan, rows.working)
    for i in np.flatnonzero(~invalid):
        (drawable,) = np.nonzero(weights[i])
        cumulative = np.cumsum(weights[i, drawable])
        position = np.searchsorted(cumulative, numbers[i] * cumulative[-1], side="right")
        indices[i] = drawable[np.minimum(position, drawable.size - 1)]
        chosen[i] = log_probabilities[i, indices[i]]
    if return_log_prob:
        return indices.reshape(shape)[()], chosen.reshape(shape)[()]
    return indices.reshape(shape)[()]


def uniforms(rng: Any, rows: int, num_samples: int = 1, *, first_row: int = 0) -> np.ndarray:
    """The uniform numbers of `sample`: column j is NumPy's Philox stream of key (seed, j). See `tempsoft.uniforms`."""
    rows, num_samples, first_row = arguments.block_of_uniforms(rows, num_samples, first_row)
    key = arguments.seed(rng)
    numbers = np.empty((rows, num_samples))
    for j in range(num_samples):
        stream = np.random.Philox(key=np.array([key, j], dtype=np.uint64))
        numbers[:, j] = np.random.Generator(stream).random(first_row + rows)[first_row:]
    return numbers


def _result(function: Any, logits: Any, temperature: Any, axis: Any, out: Any, workers: Any) -> Any:
    """`function` of every row, rounded once to the dtype of the result."""
    rows = arguments.rows(logits, temperature, axis)
    arguments.workers(workers)
    shape = arguments.with_axis((*rows.batch_shape, rows.n_categories), axis)
    target = arguments.output(out, shape, rows.dtype)
    with _quiet():
        np.moveaxis(target, axis, -1)[...] = function(*_broadcast(rows)).astype(rows.working)
    return target


def _broadcast(rows: arguments.Rows) -> tuple[np.ndarray, np.ndarray]:
    """float64 logits of the batch shape + (n,), and temperatures of the batch shape + (1,)."""
    with _quiet():
        logits = rows.logits.astype(np.float64)
    x = np.broadcast_to(logits, (*rows.batch_shape, rows.n_categories))
    return x, np.broadcast_to(rows.temperature, rows.batch_shape)[..., None]


@_quiet()
def _tempered(x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(z, M, which rows are NaN): log-weights relative to the largest logit M, so that a row's distribution is
    proportional to exp(z), with every limit of the contract's table already in z."""
    largest = x.max(axis=-1, keepdims=True, initial=-np.inf)
    difference = x - largest
    halved = (x / 2 - largest / 2) / t * 2  # for a difference that does not fit
    z = np.where(np.isinf(difference) & np.isfinite(x), halved, difference / t)
    first_of_largest = np.arange(x.shape[-1]) == (x == largest).argmax(axis=-1, keepdims=True) if x.size else x == 0
    z = np.where(t == np.inf, np.where(x > -np.inf, 0.0, -np.inf), z)
    z = np.where(t == 0, np.where(first_of_largest, 0.0, -np.inf), z)
    z = np.where(largest == np.inf, np.where(x == np.inf, 0.0, -np.inf), z)
    return z, largest, np.isnan(largest) | (largest == -np.inf)


@_quiet()
def _softmax(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    z, _, nowhere = _tempered(x, t)
    weights = np.exp(z)
    return np.where(nowhere, np.nan, weights / weights.sum(axis=-1, keepdims=True))


@_quiet()
def _log_softmax(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    z, _, nowhere = _tempered(x, t)
    return np.where(nowhere, np.nan, z - np.log(np.exp(z).sum(axis=-1, keepdims=True)))


@_quiet()
def _logsumexp(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    z, largest, nowhere = _tempered(x, t)
    z = np.where((t == 0) & (x == largest), 0.0, z)  # all the maxima count, not the first alone
    scaled = np.where(largest == 0, 0.0, largest / (t + 0.0))  # a temperature of -0 is 0
    values = scaled + np.log(np.exp(z).sum(axis=-1, keepdims=True))
    return np.where(nowhere | (largest == np.inf), largest, values)[..., 0]
