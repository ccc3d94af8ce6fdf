"""Is what is about to be timed right? Against `tempsoft.reference`, in float64, on a subset of the rows.

Values have to be within the implementation's own bound; draws have to fall where their uniform numbers say, or, where
those are unknown, to be uniform once put through the cumulative distribution. A failure is an AssertionError.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tempsoft import reference

from .cases import LOG_SOFTMAX, LOGSUMEXP, SAMPLE, SOFTMAX, Case
from .implementations import Implementation, Task

MOST_NUMBERS, FEWEST_ROWS = 1 << 20, 64  # of the subset
FEWEST_DRAWS = 1000  # for the uniformity of draws, when a call makes fewer and is fast
FAST = 1e4  # bytes of traffic
STANDARD_ERRORS = 5.5  # two-sided false alarm of 4e-8 a check
REFERENCE_ULPS_FLOAT64 = 64.0  # what the reference itself may be off: it rounds differences and sums in float64


def spoil(case: Case) -> None:
    """Make sure that a result found in the shared output was written by who is checked next."""
    if case.output() is not None:
        case.output().fill(np.nan)


def check(implementation: Implementation, function: str, case: Case, task: Task, result: Any) -> float | None:
    """Check the result of the task's first run.

    Returns the largest error in units in the last place of the result's dtype (of at least 1 for logarithms), where
    results are values.
    """
    if task.as_array is None:
        return None
    if function == SAMPLE:
        _check_draws(case, task, result)
        return None
    values = task.as_array(result)
    shape = case.shape if function in (SOFTMAX, LOG_SOFTMAX) else case.batch_shape
    assert values.shape == shape, f"{implementation.name} gave shape {values.shape}, not {shape}"
    if function != LOGSUMEXP:
        values = np.moveaxis(values, case.axis, -1)
    rows = _rows(case)
    error = largest_error(function, values.reshape(case.n_rows, -1)[rows], _expected(function, case, rows))
    bound = max(implementation.ulps, REFERENCE_ULPS_FLOAT64 if case.dtype == "float64" else 0)
    assert error <= bound, f"{implementation.name}, {function}, {case.label}: {error:.1f} ulp off, {bound:.0f} allowed"
    return error


def largest_error(function: str, values: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference in ulps of the values' dtype: of the expected value for probabilities, which count where
    they are normal numbers; of the expected value, or of 1 where that is larger, for logarithms.
    """
    limits = _finfo(values.dtype)
    sizes = np.abs(expected)
    counted = sizes >= float(limits.smallest_normal) if function == SOFTMAX else np.isfinite(expected)
    if function != SOFTMAX:
        sizes = np.maximum(sizes, 1)
    assert counted.any(), "nothing to compare"
    _, exponents = np.frexp(sizes[counted])
    difference = np.abs(values[counted].astype(np.float64) - expected[counted])
    return float((difference / np.ldexp(float(limits.eps), exponents - 1)).max())


def _finfo(dtype: np.dtype[Any]) -> Any:
    if dtype.name == "bfloat16":
        import ml_dtypes

        return ml_dtypes.finfo(dtype)
    return np.finfo(dtype)


def _rows(case: Case) -> np.ndarray:
    """Numbers of the rows to look at: evenly spaced, the first and the last among them."""
    count = max(FEWEST_ROWS, MOST_NUMBERS // case.n_categories)
    return np.unique(np.linspace(0, case.n_rows - 1, count).astype(np.int64))


def _expected(function: str, case: Case, rows: np.ndarray) -> np.ndarray:
    """The reference's results for these rows, in float64, one row of the array a row."""
    logits = np.moveaxis(case.logits(), case.axis, -1).reshape(case.n_rows, case.n_categories)[rows]
    temperatures = np.broadcast_to(case.temperatures(), case.batch_shape).reshape(case.n_rows)[rows]
    values = getattr(reference, function)(logits.astype(np.float64), temperatures)
    return values[:, None] if function == LOGSUMEXP else values


def _check_draws(case: Case, task: Task, result: Any) -> None:
    assert case.axis == -1
    rows = _rows(case)
    cumulative = np.cumsum(_expected(SOFTMAX, case, rows), axis=-1)
    first = _draws(case, task, result)[rows]
    _check_known_numbers(case, task, first, cumulative, rows)
    draws = [first]
    if case.traffic(SAMPLE) < FAST:
        while sum(map(np.size, draws)) < FEWEST_DRAWS:
            draws.append(_draws(case, task, task.run())[rows])
    _check_uniform(np.concatenate(draws, axis=-1), cumulative, case.seed)


def _draws(case: Case, task: Task, result: Any) -> np.ndarray:
    assert task.as_array is not None
    draws = task.as_array(result)
    assert draws.size == case.n_rows * case.n_draws, f"{draws.shape} draws from logits of shape {case.shape}"
    assert draws.dtype == np.int64
    assert (draws >= 0).all()
    assert (draws < case.n_categories).all()
    return draws.reshape(case.n_rows, case.n_draws)


def _interval(draws: np.ndarray, cumulative: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cumulative probability below each draw, and up to and with it."""
    below = np.where(draws > 0, np.take_along_axis(cumulative, np.maximum(draws - 1, 0), axis=-1), 0.0)
    return below, np.take_along_axis(cumulative, draws, axis=-1)


def _check_known_numbers(case: Case, task: Task, draws: np.ndarray, cumulative: np.ndarray, rows: np.ndarray) -> None:
    """Each draw is the category whose interval holds the uniform number, but for rounding of a serial float32 sum."""
    if task.numbers is None:
        return
    tolerance = max(case.n_categories * 2.0**-24, 2.0**-20)
    below, through = _interval(draws, cumulative)
    numbers = task.numbers[rows]
    outside = (numbers < below - tolerance) | (numbers > through + tolerance)
    assert not outside.any(), f"{outside.sum()} of {outside.size} draws are not where their uniform numbers are"


def _check_uniform(draws: np.ndarray, cumulative: np.ndarray, seed: int) -> None:
    """A point chosen at random in the interval of each draw is uniform in [0, 1): look at its mean and its variance."""
    below, through = _interval(draws, cumulative)
    points = below + (through - below) * np.random.default_rng(seed + 1).random(draws.shape)
    for power, mean, variance in ((1, 0.0, 1 / 3), (2, 1 / 3, 4 / 45)):
        found = float(((2 * points - 1) ** power).mean())
        margin = STANDARD_ERRORS * (variance / draws.size) ** 0.5
        assert abs(found - mean) <= margin, f"draws are biased: {found:.4f}, not {mean:.4f} +- {margin:.4f}"
