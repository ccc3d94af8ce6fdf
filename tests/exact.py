"""softmax, log_softmax and logsumexp of ordinary rows, far more exactly than any result dtype, and errors in ulp.

An ordinary row holds finite logits and -inf, and 0 < temperature < inf. The arithmetic is NumPy's long double. With
64 bits of mantissa (x86; more on other machines) the error is below 0.02 ulp of a double for any row up to 2**20:

- (x - M) / t is kept as q + c: the subtraction by TwoSum, exact; q the quotient rounded to a double; c the remainder
  over t, found from products of 26- and 27-bit halves, which are exact. So q + c is right to 2**-85 of itself.
- exp(q + c) = exp(q) (1 + c + c^2/2) with |c| < 2**-39 where exp does not vanish; `exp` and `log` of glibc are right
  to 1 unit of 2**-64, and NumPy sums in pairs, which adds at most log2(n / 128) + 16 such units: 40 in all, 0.02 ulp.

Where long double is a plain double the same bound is 40 units of 2**-53, below 1e-7 ulp of a float32: good for float32
and not for float64 (`GOOD_FOR_FLOAT64`). tests/test_exact.py checks these claims against mpmath.
"""

from __future__ import annotations

import numpy as np

Real = np.longdouble
GOOD_FOR_FLOAT64 = bool(np.finfo(Real).nmant >= 63)
_VANISHES = -12000.0  # exp of less than this is 0 even in the exponent range of a long double
_DIGITS = {"float32": 24, "float64": 53}


def _halves(a):
    """A double in a long double, as the sum of 26 and 27 bits."""
    split = a * (Real(2) ** (np.finfo(Real).nmant + 1 - 26) + 1)
    high = split - (split - a)
    return high, a - high


def _quotient(a, b, t):
    """(a + b) / t as q + c."""
    total = a + b
    b_part = total - a
    low = (a - (total - b_part)) + (b - b_part)
    quotient = total / t
    q = quotient.astype(np.float64).astype(Real)
    q_high, q_low = _halves(q)
    t_high, t_low = _halves(t)
    remainder = (((total - q_high * t_high) - q_high * t_low) - q_low * t_high) - q_low * t_low
    c = (remainder + low) / t
    fits = np.isfinite(q)
    return np.where(fits, q, quotient), np.where(fits, c, 0)


def _rows(x, t):
    x = np.asarray(x).astype(Real)
    t = np.asarray(t, np.float64).astype(Real)[..., None]
    largest = x.max(axis=-1, keepdims=True)
    finite = x > -np.inf
    assert np.isfinite(largest).all(), "not an ordinary row"
    assert ((t > 0) & (t < np.inf)).all(), "not an ordinary temperature"
    q, c = _quotient(np.where(finite, x, largest), -largest, t)
    return np.where(finite, q, -np.inf), np.where(finite, c, 0), largest, t


def _exponential(q, c):
    c = np.where(q > _VANISHES, c, 0)
    return np.exp(np.maximum(q, _VANISHES)) * (q > _VANISHES) * (1 + c + c * c / 2)


def softmax(x, t):
    """Of rows x, categories last, and temperatures of the shape of the rows."""
    with np.errstate(all="ignore"):
        q, c, _, _ = _rows(x, t)
        weights = _exponential(q, c)
        return weights / weights.sum(axis=-1, keepdims=True)


def log_softmax(x, t):
    with np.errstate(all="ignore"):
        q, c, _, _ = _rows(x, t)
        return (q - np.log(_exponential(q, c).sum(axis=-1, keepdims=True))) + c


def logsumexp(x, t):
    with np.errstate(all="ignore"):
        q, c, largest, t = _rows(x, t)
        log_sum = np.log(_exponential(q, c).sum(axis=-1, keepdims=True))
        q, c = _quotient(largest, np.zeros_like(largest), t)
        return ((q + log_sum) + c)[..., 0]


def ulps(got, exact, floor=0.0):
    """|got - exact| in units in the last place of max(|exact|, floor), in the dtype of `got`."""
    digits = _DIGITS[got.dtype.name]
    _, exponent = np.frexp(np.maximum(np.abs(exact), Real(floor)))
    smallest = np.finfo(got.dtype).minexp - (digits - 1)  # the exponent of the smallest subnormal
    unit = np.ldexp(Real(1), np.maximum(exponent - digits, smallest))
    return np.abs(got.astype(Real) - exact) / unit


def worst_probability(got, exact):
    """The largest error of probabilities in ulp; 0 is right for what lies below the smallest normal number."""
    vanished = (got == 0) & (exact < np.finfo(got.dtype).tiny)
    error = np.where(vanished, 0, ulps(got, exact))
    return float(error.max(initial=0)) if not np.isnan(error).any() else np.inf


def worst_logarithm(got, exact):
    """The largest error in ulp of max(|result|, 1); infinite is right for what does not fit the dtype."""
    with np.errstate(all="ignore"):
        error = ulps(got, exact, 1.0)
        too_large = np.abs(exact) > Real(np.finfo(got.dtype).max) * (1 - 2 * Real(np.finfo(got.dtype).eps))
        infinite = (got == np.copysign(np.inf, exact)) & (too_large | np.isinf(exact))
        error = np.where(infinite, 0, error)
    return float(error.max(initial=0)) if not np.isnan(error).any() else np.inf
