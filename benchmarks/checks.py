"""Is what is about to be timed right? Values against the formula in long double, draws against `tempsoft.reference`, on
a subset of the rows.

Values have to be within the implementation's own bound; draws have to fall where their uniform numbers say, or, where
those are unknown, to be uniform once put through the cumulative distribution. A failure is a `WrongResultError`.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tempsoft import reference

from .cases import (
    DRAWS,
    ENTROPY,
    LOG_PROB,
    LOG_SOFTMAX,
    LOGSUMEXP,
    MAPS,
    SAMPLE_WEIGHTS,
    SOFTMAX,
    SUPPORT,
    TOP_LOG_PROBS,
    Case,
)
from .implementations import Implementation, Task, demand

MOST_NUMBERS, FEWEST_ROWS, FEWEST_ROWS_OF_DRAWS = 1 << 20, 4, 64  # of the subset
FEWEST_DRAWS = 1000  # for the uniformity of draws, when a call makes fewer and is fast
FAST = 1e4  # bytes of traffic
STANDARD_ERRORS = 5.5  # two-sided false alarm of 4e-8 a check
IS_WIDE = np.finfo(np.longdouble).nmant > np.finfo(np.float64).nmant
ULPS_OF_JUDGE = 64.0  # what the formula itself may be off in float64, where long double is no wider
ULPS_OF_HALF = 32.0  # allowed in float16 and bfloat16, where 4000 ulp would be anything


def spoil(case: Case) -> None:
    """Make sure that a result found in the shared output was written by who is checked next."""
    if case.output() is not None:
        case.output().fill(np.nan)


def check(implementation: Implementation, function: str, case: Case, task: Task, result: Any) -> float | None:
    """Check the result of the task's first run.

    Returns the largest error in units in the last place of the result's dtype (of at least 1 for logarithms), where
    results are values.
    """
    if task.own_check is not None:
        task.own_check(result)
        return None
    if function in DRAWS:
        _check_draws(function, case, task, result)
        return None
    values = task.as_array(result)
    if function == SUPPORT:
        return _check_support(implementation, case, *values)
    if function == TOP_LOG_PROBS:
        values, indices = values
        _check_best(case, indices)
        values = values.astype(np.float64 if case.dtype == "float64" else np.float32)
        rows, expected = _rows(case), _expected(LOG_SOFTMAX, case)
        expected = np.take_along_axis(expected, indices[rows], axis=-1)
    else:
        shape = case.shape if function in MAPS else case.batch_shape
        demand(values.shape == shape, f"shape {values.shape}, not {shape}")
        if function in MAPS:
            values = np.moveaxis(values, case.axis, -1)
        rows, expected = _rows(case), _expected(function, case)
    error = largest_error(function, values.reshape(case.n_rows, -1)[rows], expected)
    bound = allowed(implementation, values.dtype)
    demand(error <= bound, f"{error:.1f} ulp off, {bound:.0f} allowed")
    return error


def allowed(implementation: Implementation, dtype: np.dtype[Any]) -> float:
    """How many ulps of a dtype the implementation may be off."""
    if dtype.itemsize == 2:
        return min(implementation.ulps, ULPS_OF_HALF)
    return max(implementation.ulps, 0 if IS_WIDE or dtype != np.float64 else ULPS_OF_JUDGE)


def largest_error(function: str, values: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference in ulps of the values' dtype: of the expected value for probabilities, which count where
    they are normal numbers; of the expected value, or of 1 where that is larger, for logarithms. NaN if there is one.
    """
    limits = _finfo(values.dtype)
    sizes = np.abs(expected)
    counted = sizes >= float(limits.smallest_normal) if function == SOFTMAX else np.isfinite(expected)
    if function != SOFTMAX:
        sizes = np.maximum(sizes, 1)
    demand(counted.any(), "nothing to compare")
    _, exponents = np.frexp(sizes[counted])
    difference = np.abs(values[counted].astype(np.longdouble) - expected[counted])
    return float((difference / np.ldexp(float(limits.eps), exponents - 1)).max())


def _finfo(dtype: np.dtype[Any]) -> Any:
    if dtype.name == "bfloat16":
        import ml_dtypes

        return ml_dtypes.finfo(dtype)
    return np.finfo(dtype)


def _rows(case: Case, fewest: int = FEWEST_ROWS) -> np.ndarray:
    """Numbers of the rows to look at: evenly spaced, the first and the last among them."""
    count = max(fewest, MOST_NUMBERS // case.n_categories)
    return np.unique(np.linspace(0, case.n_rows - 1, count).astype(np.int64))


def _input(case: Case, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The logits of rows, and their temperatures."""
    logits = np.moveaxis(case.logits(), case.axis, -1).reshape(case.n_rows, case.n_categories)[rows]
    return logits, np.broadcast_to(case.temperatures(), case.batch_shape).reshape(case.n_rows)[rows]


@functools.lru_cache(maxsize=1)
def _expected(function: str, case: Case) -> np.ndarray:
    """Values of these rows in long double, one row of the array a row."""
    rows = _rows(case)
    logits, temperatures = _input(case, rows)
    x = logits.astype(np.longdouble)
    x = (x - x.max(axis=-1, keepdims=True)) / temperatures[:, None]
    weights = np.exp(x)
    total = weights.sum(axis=-1, keepdims=True)
    if function == SOFTMAX:
        return weights / total
    if function == LOG_SOFTMAX:
        return x - np.log(total)
    if function == LOG_PROB:
        chosen = case.chosen().reshape(case.n_rows)[rows]
        return np.take_along_axis(x, chosen[:, None], axis=-1) - np.log(total)
    if function == ENTROPY:
        kept = np.where(weights > 0, x, 0)
        return np.log(total) - (weights * kept).sum(axis=-1, keepdims=True) / total
    assert function == LOGSUMEXP
    return np.log(total) + logits.max(axis=-1, keepdims=True).astype(np.longdouble) / temperatures[:, None]


def _check_support(implementation: Implementation, case: Case, number: np.ndarray, mass: np.ndarray) -> float:
    """As many as the reference keeps, but for one more or less where a sum is next to its target; their mass."""
    rows = _rows(case)
    logits, temperatures = _input(case, rows)
    expected, share = reference.support(logits.astype(np.float64), temperatures, **dict(case.filters))
    demand(number.shape == mass.shape == case.batch_shape, f"shapes {number.shape} and {mass.shape}")
    number, mass = number.reshape(case.n_rows)[rows], mass.reshape(case.n_rows)[rows]
    is_same = number == expected
    demand((np.abs(number - expected) <= 1).all() and is_same.mean() > 1 - 1e-4, "not the number that is kept")
    error = largest_error(SOFTMAX, mass[is_same], share[is_same].astype(np.longdouble))
    bound = allowed(implementation, mass.dtype)
    demand(error <= bound, f"{error:.1f} ulp off, {bound:.0f} allowed")
    return error


def _check_best(case: Case, indices: np.ndarray) -> None:
    """The logits chosen are the largest, in falling order."""
    logits = case.logits()
    demand(indices.shape == (*case.batch_shape, case.n_best), f"indices of shape {indices.shape}")
    largest = np.sort(np.partition(logits, -case.n_best, axis=-1)[..., -case.n_best :], axis=-1)[..., ::-1]
    demand((np.take_along_axis(logits, indices, axis=-1) == largest).all(), "not the largest logits")


@functools.lru_cache(maxsize=1)
def _cumulative(function: str, case: Case) -> np.ndarray:
    """The cumulative distribution of these rows, in float64."""
    values, temperatures = _input(case, _rows(case, FEWEST_ROWS_OF_DRAWS))
    values = values.astype(np.float64)
    if function == SAMPLE_WEIGHTS:
        cumulative = np.cumsum(values, axis=-1)
    else:
        cumulative = np.cumsum(reference.softmax(values, temperatures, **dict(case.filters)), axis=-1)
    return cumulative / cumulative[:, -1:]


def _check_draws(function: str, case: Case, task: Task, result: Any) -> None:
    rows, cumulative = _rows(case, FEWEST_ROWS_OF_DRAWS), _cumulative(function, case)
    first = _draws(case, task, result)[rows]
    draws = [first]
    if case.traffic(function) < FAST:
        while sum(map(np.size, draws)) < FEWEST_DRAWS:
            draws.append(_draws(case, task, task.run())[rows])
    numbers = None if task.numbers is None else task.numbers[rows]
    if case.replace:
        _check_known_numbers(case, numbers, first, cumulative)
        _check_law(case, np.concatenate(draws, axis=-1), cumulative)
        return
    p = np.diff(cumulative, prepend=0.0)
    for i in range(case.n_draws):  # each from what those before it left
        column = slice(i, i + 1)
        cumulative = np.cumsum(p, axis=-1) / p.sum(axis=-1, keepdims=True)
        of_column = None if numbers is None else numbers[:, column]
        _check_known_numbers(case, of_column, first[:, column], cumulative)
        _check_law(case, first[:, column], cumulative)
        np.put_along_axis(p, first[:, column], 0.0, axis=-1)


def _draws(case: Case, task: Task, result: Any) -> np.ndarray:
    draws = np.asarray(task.as_array(result))
    demand(draws.size == case.n_rows * case.n_draws, f"{draws.shape} draws from logits of shape {case.shape}")
    demand(draws.dtype == np.int64, f"draws of dtype {draws.dtype}")
    demand((draws >= 0).all() and (draws < case.n_categories).all(), "a draw is no category")
    return draws.reshape(case.n_rows, case.n_draws)


def _interval(draws: np.ndarray, cumulative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cumulative probability below each draw, and up to and with it."""
    below = np.where(draws > 0, np.take_along_axis(cumulative, np.maximum(draws - 1, 0), axis=-1), 0.0)
    return below, np.take_along_axis(cumulative, draws, axis=-1)


def _check_known_numbers(case: Case, numbers: np.ndarray | None, draws: np.ndarray, cumulative: np.ndarray) -> None:
    """Each draw is the category whose interval holds the uniform number, but for rounding of a serial float32 sum."""
    if numbers is None:
        return
    tolerance = max(case.n_categories * 2.0**-24, 2.0**-20)
    below, through = _interval(draws, cumulative)
    outside = (numbers < below - tolerance) | (numbers > through + tolerance)
    demand(not outside.any(), f"{outside.sum()} of {outside.size} draws are not where their uniform numbers are")


def _check_law(case: Case, draws: np.ndarray, cumulative: np.ndarray) -> None:
    below, through = _interval(draws, cumulative)
    demand((through > below).all(), "a category without probability was drawn")
    _check_uniform(below, through, case.seed)


def _check_uniform(below: np.ndarray, through: np.ndarray, seed: int) -> None:
    """A point chosen at random in the interval of each draw is uniform in [0, 1): look at its mean and its variance."""
    points = below + (through - below) * np.random.default_rng(seed + 1).random(below.shape)
    for power, mean, variance in ((1, 0.0, 1 / 3), (2, 1 / 3, 4 / 45)):
        found = float(((2 * points - 1) ** power).mean())
        margin = STANDARD_ERRORS * (variance / points.size) ** 0.5
        demand(abs(found - mean) <= margin, f"draws are biased: {found:.4f}, not {mean:.4f} +- {margin:.4f}")
