"""Rows and parameters for the tests of filters: many shapes of distribution, each with a few settings of its own."""

from __future__ import annotations

import functools

import brute_force
import limits
import numpy as np

INF = np.inf
SIZES = (*range(1, 71), 1000, 1024, 1025, 2049, 5000)
FEW = (1, 2, 3, 15, 16, 17, 64, 65, 1000, 1025, 2049)
TEMPERATURES = (1.0, 1.0, 0.7, 0.05, 2.0, 10.0, 0.0, INF, 1e-30, 1e30)
TOP_P = (0.0, 1e-30, 1e-3, 0.1, 0.5, 0.9, 0.95, 0.999, 1 - 1e-6, 1 - 2.0**-53)
MIN_P = (1e-300, 1e-30, 1e-3, 0.05, 0.1, 0.5, 0.999, 1.0)


def normal(rng, n):
    return rng.normal(0, 1, n)


def peaked(rng, n):
    return rng.normal(0, 8, n)


def flat(rng, n):
    return rng.normal(0, 0.01, n)


def all_equal(rng, n):
    return np.full(n, rng.uniform(-3, 3))


def two_valued(rng, n):
    return np.where(rng.random(n) < 0.5, -1.5, 0.0)


def quantised(rng, n):
    return np.round(rng.normal(0, 1, n) * 2) / 2


def zeros_of_both_signs(rng, n):
    return np.where(rng.random(n) < 0.5, -0.0, 0.0)


def ascending(rng, n):
    return np.sort(rng.normal(0, 2, n))


def descending(rng, n):
    return -ascending(rng, n)


def geometric(rng, n):
    return -0.25 * np.arange(n)


def geometric_shuffled(rng, n):
    return rng.permutation(geometric(rng, n))


def masked(rng, n):
    x = rng.normal(0, 1, n)
    x[rng.random(n) < 0.6] = -INF
    x[rng.integers(n)] = 0.5
    return x


def lowest_masked(rng, n):
    x = rng.normal(0, 1, n)
    x[rng.random(n) < 0.6] = -INF  # becomes the lowest finite number
    x[rng.integers(n)] = 0.5
    return x


def one_left(rng, n):
    x = np.full(n, -INF)
    x[rng.integers(n)] = rng.normal()
    return x


def infinite(rng, n):
    x = rng.normal(0, 1, n)
    x[rng.random(n) < 0.3] = INF
    x[rng.random(n) < 0.2] = -INF
    x[rng.integers(n)] = INF
    return x


def far_from_zero(rng, n):
    return 300 + rng.normal(0, 3, n)


SHAPES = (
    normal, peaked, flat, all_equal, two_valued, quantised, zeros_of_both_signs, ascending, descending, geometric,
    geometric_shuffled, masked, lowest_masked, one_left, infinite, far_from_zero,
)  # fmt: skip


def some_rows(n, dtype, per_shape=1):
    """`per_shape` rows of each shape."""
    rng = np.random.default_rng([n, per_shape])
    rows = []
    for shape in SHAPES:
        for _ in range(per_shape):
            x = shape(rng, n)
            if shape is lowest_masked:
                x[x == -INF] = float(limits.ml_dtypes.finfo(dtype).min)
            rows.append(x)
    return np.array(rows).astype(dtype)


def off_or(rng, off, values, size):
    """One of the values for each row, or the one that turns the filter off."""
    return np.where(rng.random(size) < 0.5, off, rng.choice(values, size))


def settings(n, count):
    """(temperature, filters) of `count` rows; near n, near 1, alone and together, in no particular order."""
    rng = np.random.default_rng([n, count])
    few = np.unique(np.clip([1, 2, 3, 5, n // 3, n // 2, n - 2, n - 1, n, n + 1], 1, None))
    top_k = off_or(rng, rng.choice([0, -1], count), few, count)
    top_p, min_p = off_or(rng, 1.0, TOP_P, count), off_or(rng, 0.0, MIN_P, count)
    return rng.choice(TEMPERATURES, count), {"top_k": top_k, "top_p": top_p, "min_p": min_p}


def filters_of(parameters, i, last):
    """The filters of row i."""
    values = {name: np.ravel(value)[i].item() for name, value in parameters.items()}
    return brute_force.Filters(**values, temperature_last=last)


@functools.cache
def batch(n, dtype, last, per_shape=2):
    """(logits, temperatures, parameters, what may be kept of each row)."""
    x = some_rows(n, dtype, per_shape)
    t, parameters = settings(n, len(x))
    slack = brute_force.SLACK[dtype.name]
    prefixes = [
        brute_force.prefix(row.astype(np.float64).tolist(), float(t[i]), filters_of(parameters, i, last), slack)
        for i, row in enumerate(x)
    ]
    return x, t, {**parameters, "temperature_last": last}, prefixes
