"""The yardstick of the accuracy tests against mpmath, and that it measures errors it is given."""

from __future__ import annotations

import exact
import mpmath
import numpy as np
import pytest

ROWS = [
    ([0.0, -1.0, 2.5, 2.5], 1.0),
    ([1e6 + 0.1, 1e6 - 0.3, 1e6 + 7], 0.7),
    ([-745.0, 0.0, -700.1, 3.0], 1.0),
    ([3.25, -2.75, 0.1], 1e-3),
    ([1e-300, 5e-324, -3e-310], 1e-308),
    ([1.0, -1e300, 2.0, -np.inf], 1e300),
    ([1.7e308, -1.7e308, 1.69e308], 2.5e306),
    ([0.1, 0.2, 0.3], 5e-324),
    (list(np.linspace(-30, 30, 301)), 1 / 3),
]


def with_mpmath(row, t):
    """(softmax, log_softmax, logsumexp) of one row to 60 digits; the exponent range of mpmath has no end."""
    with mpmath.workdps(60):
        tempered = [mpmath.mpf(float(x)) / mpmath.mpf(t) for x in row if x > -np.inf]
        largest = max(tempered)
        log_sum = mpmath.log(mpmath.fsum(mpmath.exp(z - largest) for z in tempered))
        values = iter(tempered)
        logs = [next(values) - largest - log_sum if x > -np.inf else -mpmath.inf for x in row]
        return [mpmath.exp(z) for z in logs], logs, largest + log_sum


def error_in_ulp(ours, theirs, floor):
    """|ours - theirs| in ulp of a double at max(|theirs|, floor), with mpmath."""
    if abs(theirs) > np.finfo(np.float64).max:
        assert abs(ours) > np.finfo(np.float64).max
        return 0.0
    with mpmath.workdps(60):
        unit = mpmath.mpf(2) ** (mpmath.frexp(max(abs(theirs), floor))[1] - 53)
        scale = exact.Real(2) ** (600 if abs(ours) < 1 else 0)  # away from the subnormal doubles
        high = float(ours * scale)  # a long double is the sum of two doubles
        low = float(ours * scale - exact.Real(high))
        return float(abs((mpmath.mpf(high) + mpmath.mpf(low)) / mpmath.mpf(float(scale)) - theirs) / unit)


@pytest.mark.skipif(not exact.GOOD_FOR_FLOAT64, reason="long double is a plain double here")
@pytest.mark.parametrize(("row", "t"), ROWS, ids=lambda value: None if isinstance(value, list) else f"T={value:g}")
def test_agrees_with_mpmath_to_a_fiftieth_of_an_ulp(row, t):
    x = np.array([row])
    probabilities, logs, log_sum = with_mpmath(row, t)
    tiny = np.finfo(np.float64).tiny
    for ours, theirs in zip(exact.softmax(x, [t])[0], probabilities, strict=True):
        assert error_in_ulp(ours, theirs, tiny) < 0.02
    for ours, theirs in zip(exact.log_softmax(x, [t])[0], logs, strict=True):
        assert error_in_ulp(ours, theirs, 1) < 0.02
    assert error_in_ulp(exact.logsumexp(x, [t])[0], log_sum, 1) < 0.02


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_errors_are_measured(dtype):
    right = np.array([0.75, 0.5, np.nextafter(dtype(0.5), dtype(0)), 1.5], dtype)
    off = right.copy()
    for _ in range(4):
        off = np.nextafter(off, dtype(9))
    # The last places below 0.5 are half as large, but one step up leads out of them.
    assert exact.ulps(off, right.astype(exact.Real)).tolist() == [4, 4, 7, 4]
    assert exact.worst_probability(off[:2], right[:2].astype(exact.Real)) == 4
    assert exact.worst_logarithm(np.array([3 * np.finfo(dtype).eps], dtype), exact.Real(0)) == 3
    assert exact.worst_probability(np.array([np.nan], dtype), exact.Real(0.5)) == np.inf
    assert exact.worst_probability(np.array([0], dtype), exact.Real(np.finfo(dtype).tiny)) > 3
    assert exact.worst_probability(np.array([0], dtype), exact.Real(np.finfo(dtype).tiny) / 2) == 0
    assert exact.worst_logarithm(np.array([np.inf], dtype), exact.Real(3)) == np.inf
    assert exact.worst_logarithm(np.array([-np.inf], dtype), -exact.Real(np.finfo(dtype).max) * 2) == 0
