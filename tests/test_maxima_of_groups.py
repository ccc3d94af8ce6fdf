"""Filters of longer rows, which look at the maxima of groups of 64 and read no more than what these leave.

What is kept is found by sorting; a row of it alone, -inf elsewhere, is what a filtered one must be to the bit.
"""

from __future__ import annotations

import numpy as np
import pytest

INF = np.inf
DTYPES = ["float16", "float32", "float64"]
SIZES = [129, 1000, 1024, 1025, 4099, 20_000]


def normal(rng, n):
    return rng.normal(0, 3, n)


def rounded(rng, n):
    """Many groups have the same maximum, and the k-th of them is one of many equal entries."""
    return rng.normal(0, 2, n).round()


def in_one_group(rng, n):
    """The largest lie side by side: the maxima of groups bound nothing."""
    x = rng.normal(0, 1, n)
    x[n // 2 : n // 2 + 50] += 20
    return x


def few(rng, n):
    """Fewer entries than most k, in fewer groups."""
    return np.where(rng.random(n) < 20 / n, rng.normal(0, 1, n), -INF)


def one_of_each_group(rng, n):
    """As many groups as entries."""
    return np.where(np.arange(n) % 64 == 63, rng.normal(0, 3, n), -INF)


def descending(rng, n):
    return -np.sort(rng.normal(0, 3, n))


ROWS = [normal, rounded, in_one_group, few, one_of_each_group, descending]


def rows(make, dtype, seed):
    rng = np.random.default_rng(seed)
    for n in SIZES:
        x = make(rng, n).astype(dtype)
        x[rng.integers(n)] = 1  # so that there is an entry
        yield n, x


def first_of(x, k):
    """The row with -inf in place of all but the k first of its entries, by falling size and then by index."""
    order = np.lexsort((np.arange(len(x)), -x.astype(float)))
    left = np.full_like(x, -INF)
    left[order[:k]] = x[order[:k]]
    return left


def check(compiled, x, left, **filters):
    number, _ = compiled.support(x, **filters)
    assert number == np.count_nonzero(left > -INF)
    assert compiled.softmax(x, **filters).tobytes() == compiled.softmax(left).tobytes()
    assert compiled.log_softmax(x, **filters).tobytes() == compiled.log_softmax(left).tobytes()
    assert compiled.entropy(x, **filters) == compiled.entropy(left)
    u = (np.arange(20) + 0.5) / 20
    assert (compiled.sample(x, u=u, num_samples=20, **filters) == compiled.sample(left, u=u, num_samples=20)).all()
    n_draws = min(5, number)
    one_by_one = {"u": u[:n_draws], "num_samples": n_draws, "replace": False}
    assert (compiled.sample(x, **one_by_one, **filters) == compiled.sample(left, **one_by_one)).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", ROWS)
def test_top_k(compiled, make, dtype):
    for n, x in rows(make, dtype, 3):
        for k in {1, 2, 7, 8, 9, n // 128, n // 128 + 1, n // 64, 50, 63, 64, 65, 500, n // 2, n - 1}:
            if 0 < k < n:
                check(compiled, x, first_of(x, k), top_k=k)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", ROWS)
def test_top_p_after_top_k(compiled, make, dtype):
    """top_p of what top_k left is top_p of a row of that alone."""
    for n, x in rows(make, dtype, 4):
        for k in (3, n // 20, n // 3):
            alone = first_of(x, k)
            left = np.where(compiled.softmax(alone, top_p=0.77) > 0, alone, np.array(-INF, dtype))
            check(compiled, x, left, top_k=k, top_p=0.77)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", ROWS)
def test_min_p(compiled, make, dtype):
    for _, x in rows(make, dtype, 5):
        for min_p in (0.3, 0.003):
            least = float(x.max()) + np.log(min_p)
            assert np.abs(x.astype(float) - least).min() > 1e-12  # else rounding decides
            check(compiled, x, np.where(x.astype(float) >= least, x, np.array(-INF, dtype)), min_p=min_p)


def test_maxima_are_of_the_row_itself(compiled):
    """Those of the row before, or of one without a filter, are not taken for its own."""
    rng = np.random.default_rng(6)
    x = rng.normal(0, 3, (40, 1500)).astype(np.float32)
    x[::3] -= 40
    top_k = np.where(np.arange(40) % 4 == 1, 5, -1)
    top_p = np.where(np.arange(40) % 4 == 2, 0.5, 1.0)
    min_p = np.where(np.arange(40) % 4 == 3, 0.01, 0.0)
    together = compiled.softmax(x, top_k=top_k, top_p=top_p, min_p=min_p)
    for i, row in enumerate(x):
        alone = compiled.softmax(row, top_k=top_k[i], top_p=top_p[i], min_p=min_p[i])
        assert together[i].tobytes() == alone.tobytes()
