"""What the functions of `tempsoft.reference` compute, for rows of float64 with the categories on the last axis.

`x` are logits of the batch shape + (n,) and `t` temperatures of the batch shape + (1,), both checked. Promises every
limit and odd value of the contract in the simplest code that says what it means; leaves arguments, dtypes and shapes
of results to reference.py.
"""

from __future__ import annotations

import numpy as np

from .arguments import Filters


def quiet() -> np.errstate:
    """Infinities and underflow are ordinary here."""
    return np.errstate(all="ignore")


@quiet()
def tempered(x: np.ndarray, t: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
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


@quiet()
def softmax(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    z, _, nowhere = tempered(x, t)
    weights = np.exp(z)
    return np.where(nowhere, np.nan, weights / weights.sum(axis=-1, keepdims=True))


@quiet()
def log_softmax(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    z, _, nowhere = tempered(x, t)
    return np.where(nowhere, np.nan, z - np.log(np.exp(z).sum(axis=-1, keepdims=True)))


@quiet()
def logsumexp(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    z, largest, nowhere = tempered(x, t)
    z = np.where((t == 0) & (x == largest), 0.0, z)  # all the maxima count, not the first alone
    scaled = np.where(largest == 0, 0.0, largest / (t + 0.0))  # a temperature of -0 is 0
    values = scaled + np.log(np.exp(z).sum(axis=-1, keepdims=True))
    return np.where(nowhere | (largest == np.inf), largest, values)[..., 0]


@quiet()
def entropy(x: np.ndarray, t: np.ndarray) -> np.ndarray:
    """The mean of -log(w / S) with weights w = exp(z) and their sum S: log S less the mean of z."""
    z, _, nowhere = tempered(x, t)
    weights = np.exp(z)
    total = weights.sum(axis=-1)
    mean = np.where(weights > 0, weights * z, 0.0).sum(axis=-1) / total  # 0 * -inf is 0 here
    return np.where(nowhere[..., 0], np.nan, np.log(total) - mean)


def order(x: np.ndarray) -> np.ndarray:
    """Indices by descending logit, equal ones ascending; NaN last."""
    return np.argsort(-x, axis=-1, kind="stable")


def filtered(x: np.ndarray, t: np.ndarray, filters: Filters) -> np.ndarray:
    """The logits, with -inf for what the filters removed."""
    _, is_kept = _prefix(x, t, filters)
    kept = np.empty(x.shape, bool)
    np.put_along_axis(kept, order(x), is_kept, -1)
    return np.where(kept | np.isnan(x).any(axis=-1, keepdims=True), x, -np.inf)


@quiet()
def support(x: np.ndarray, t: np.ndarray, filters: Filters) -> tuple[np.ndarray, np.ndarray]:
    """(number of entries kept, their probability before any filter)."""
    weights, is_kept = _prefix(x, t, filters)
    cumulative = np.cumsum(weights, axis=-1)
    mass = np.where(is_kept, cumulative, 0.0).max(axis=-1, initial=0.0) / cumulative.max(axis=-1, initial=0.0)
    return is_kept.sum(axis=-1), np.where(is_kept.any(axis=-1), mass, np.nan)


@quiet()
def _prefix(x: np.ndarray, t: np.ndarray, filters: Filters) -> tuple[np.ndarray, np.ndarray]:
    """(weights that the filters look at, which of them they keep), both in the order; none of a row with NaN."""
    top_k, top_p, min_p = (values[..., None] for values in filters[:3])
    t = np.ones_like(t) if filters.temperature_last else t
    z, largest, _ = tempered(x, t)
    logits, weights = (np.take_along_axis(values, order(x), -1) for values in (x, np.exp(z)))
    place = np.arange(x.shape[-1])

    is_kept = np.where(largest == np.inf, logits == np.inf, logits > -np.inf) & ~np.isnan(largest)
    is_kept &= (top_k == 0) | (place < top_k)
    # A weight is 1 for the largest, so that a sum of equal ones is exact.
    cumulative = np.cumsum(np.where(is_kept, weights, 0.0), axis=-1)
    too_little = cumulative < top_p * cumulative.max(axis=-1, keepdims=True, initial=0.0)
    is_kept &= (top_p == 1) | (place <= too_little.sum(axis=-1, keepdims=True))
    # What temperatures of 0 and inf make of 0 * -inf and inf * 0 is said here: min_p 0 keeps all, 1 the ties.
    threshold = np.where((min_p == 1) | (largest == np.inf), largest, largest + t * np.log(min_p))
    is_kept &= (min_p == 0) | (logits >= threshold)
    return weights, is_kept


@quiet()
def proportional(weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(probabilities proportional to weights, their logarithms); NaN for a row with a bad weight or nothing but 0."""
    largest = weights.max(axis=-1, keepdims=True, initial=0.0)
    is_valid = ((weights >= 0) & (weights < np.inf)).all(axis=-1, keepdims=True) & (largest > 0)
    relative = weights / np.where(is_valid, largest, np.nan)  # so that the sum fits
    total = relative.sum(axis=-1, keepdims=True)
    return relative / total, np.log(relative) - np.log(total)


def inverted(weights: np.ndarray, u: np.ndarray) -> np.ndarray:
    """For each number the smallest index of weight > 0 whose cumulative probability exceeds it."""
    (drawable,) = np.nonzero(weights)
    cumulative = np.cumsum(weights[drawable])
    position = np.searchsorted(cumulative, u * cumulative[-1], side="right")
    indices: np.ndarray = drawable[np.minimum(position, drawable.size - 1)]
    return indices


def inverted_and_removed(weights: np.ndarray, u: np.ndarray) -> np.ndarray:
    """The same one number after the other, each index drawn being taken out before the next."""
    indices = np.empty(u.size, np.int64)
    weights = weights.copy()
    for j, number in enumerate(u):
        indices[j] = inverted(weights, number)
        weights[indices[j]] = 0.0
    return indices
