"""What top_k, top_p, min_p and their chain keep, and the probabilities of that, against brute force.

A kept set is right if it is a prefix of the order whose length brute_force.py allows; probabilities are then those of
exactly that set, within the contract's 3 ulp.
"""

from __future__ import annotations

import itertools
import math

import brute_force
import exact
import filter_rows
import limits
import numpy as np
import pytest

INF, NAN = np.inf, np.nan
LAST = pytest.mark.parametrize("last", [False, True], ids=["temperature first", "temperature last"])


@pytest.fixture(params=limits.DTYPES)
def dtype(request):
    return limits.DTYPES[request.param]


def working(dtype):
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


@LAST
def test_kept_sets_and_probabilities(implementation, dtype, last):
    removed = ambiguous = 0
    for n in filter_rows.SIZES:
        x, t, parameters, prefixes = filter_rows.batch(n, dtype, last)
        numbers, masses = implementation.support(x, t, **parameters)
        assert (numbers.dtype, masses.dtype) == (np.int64, working(dtype))
        for i, one in enumerate(prefixes):
            assert one.fewest <= numbers[i] <= one.most, (n, i)
            assert abs(masses[i] - one.mass[numbers[i]]) <= brute_force.SLACK[dtype.name], (n, i)
            removed += numbers[i] < len(one.order)
            ambiguous += one.fewest < one.most
        right = brute_force.distribution(brute_force.keep(x, prefixes, numbers), t)
        got = implementation.softmax(x, t, out=np.empty(x.shape, working(dtype)), **parameters)
        logs = implementation.log_softmax(x, t, out=np.empty(x.shape, working(dtype)), **parameters)
        allowed = brute_force.allowed_ulps(implementation, dtype, n)
        assert exact.worst_probability(got, right[0]) <= allowed, n
        assert (got[right[0] == 0] == 0).all(), n
        assert exact.worst_logarithm(logs, right[1]) <= allowed, n
        assert implementation.softmax(x, t, **parameters).tobytes() == got.astype(dtype).tobytes(), n
    rows = len(filter_rows.SIZES) * len(x)
    assert removed > rows / 3
    assert ambiguous < rows / 20  # nearly every answer is the only right one


@pytest.mark.parametrize("kind", [np.int8, np.uint16, np.int64, np.uint64, np.bool_])
def test_integers(implementation, kind):
    rng = np.random.default_rng(3)
    for n in (1, 7, 64, 1025):
        x = rng.integers(0, 2 if kind is np.bool_ else 6, (12, n)).astype(kind)
        t, parameters = filter_rows.settings(n, 12)
        got = implementation.support(x, t, **parameters)
        right = implementation.support(x.astype(np.float64), t, **parameters)
        assert [a.tobytes() for a in got] == [a.tobytes() for a in right]
        got = implementation.softmax(x, t, **parameters)
        assert got.tobytes() == implementation.softmax(x.astype(np.float64), t, **parameters).tobytes()


@pytest.mark.parametrize("t", [1.0, 0.1, 1e-30, 1e30, INF])
def test_equal_logits_are_cut_by_index(implementation, dtype, t):
    """Of n equal ones the first k of them, or the smallest number r >= 1 with r >= p n."""
    for n, value in itertools.product((1, 2, 3, 10, 64, 100, 1000, 1024, 3000), (0.0, -2.5, 300.0)):
        x = np.full(n, value, dtype)
        for number in {1, 2, n // 3, n // 2, n - 1, n} - {0}:
            if number > n:
                continue
            check_first(implementation, x, t, number, top_p=(number - 0.5) / n)
            check_first(implementation, x, t, number, top_k=number)
            if t == INF:  # here entries are counted, where other temperatures have sums that are rounded
                check_first(implementation, x, t, max(1, math.ceil(number / n * n)), top_p=number / n)
        check_first(implementation, x, t, 1, top_p=0.0)
        check_first(implementation, x, t, n, top_k=n + 5)
        for p in (1e-300, 0.5, 1.0):
            check_first(implementation, x, t, n, min_p=p)
        half = (n + 1) // 2
        check_first(implementation, x, t, half // 2 + 1, top_k=half, top_p=(half // 2 + 0.5) / half)


def check_first(implementation, x, t, number, **filters):
    """Exactly the first `number` are kept, in equal shares; with their places moved by -inf as well."""
    wide = np.full(2 * x.size + 1, -INF, x.dtype)
    wide[1::2] = x
    for row, at in ((x, np.arange(x.size)), (wide, np.arange(1, wide.size, 2))):
        assert implementation.support(row, t, **filters)[0] == number, filters
        p = implementation.softmax(row, t, **filters)
        assert np.flatnonzero(p).tolist() == at[:number].tolist(), filters
        assert (p[at[:number]] == p[at[0]]).all()


def test_ties_of_the_largest_and_below(implementation, dtype):
    """-0 equals +0; min_p=1 keeps the ties of the largest; top_k and top_p cut among ties by index."""
    for n in (5, 16, 70, 1030):
        x = np.zeros(n, dtype)
        x[1::2] = -0.0
        x[::5] = -1.0
        largest = np.flatnonzero(x == 0)
        lower = np.flatnonzero(x == -1)
        for t in (0.3, 1.0, 7.0, 0.0, INF):
            assert kept(implementation, x, t, min_p=1.0) == ([largest[0]] if t == 0 else largest.tolist())
            assert implementation.support(x, t, min_p=1.0)[0] == largest.size
            assert implementation.support(x, t, min_p=1.0, temperature_last=True)[0] == largest.size
            for k in (1, largest.size // 2, largest.size, largest.size + 1):
                right = [largest[0]] if t == 0 else sorted([*largest, *lower][:k])
                assert kept(implementation, x, t, top_k=k) == right
                assert implementation.support(x, t, top_k=k)[0] == k
        share = 1 / (largest.size + lower.size * math.exp(-1))
        for number in (1, largest.size // 2, largest.size):
            assert kept(implementation, x, 1.0, top_p=(number - 0.5) * share) == largest[:number].tolist()


def kept(implementation, x, t, **filters):
    return np.flatnonzero(implementation.softmax(x, t, **filters)).tolist()


def test_top_k_1_is_argmax(implementation, dtype):
    for n in filter_rows.FEW:
        x = filter_rows.some_rows(n, dtype)
        wide = x.astype(np.float64)
        for t in (0.0, 0.5, 1.0, 1e30, INF):
            got = implementation.softmax(x, t, top_k=1)
            assert (got == (np.arange(n) == wide.argmax(axis=-1)[:, None])).all()
            drawn = implementation.sample(x, t, top_k=1, u=np.full(len(x), 0.999))
            assert (drawn == wide.argmax(axis=-1)).all()
            assert (implementation.softmax(x, t, top_p=0.0) == got).all()
        cold = implementation.softmax(x, 0, top_p=0.5, temperature_last=True)
        finite = wide.max(axis=-1) < INF  # of several +inf, half are kept
        assert (cold[finite] == got[finite]).all()
        assert finite.sum() > len(x) / 2


LIMITS = [  # logits, temperature, filters, number kept, their mass, probabilities
    ([2, 5, 5, 1], 0, {"top_k": 3}, 3, 1, [0, 1, 0, 0]),
    ([2, 5, 5, 1], 0, {"top_p": 0.999}, 1, 1, [0, 1, 0, 0]),
    ([2, 5, 5, 1], 0, {"top_p": 0.999, "top_k": 3}, 1, 1, [0, 1, 0, 0]),
    ([2, 5, 5, 1], 0, {"min_p": 1e-9}, 2, 1, [0, 1, 0, 0]),
    ([2, 5, 5, 1], 0, {"min_p": 1.0}, 2, 1, [0, 1, 0, 0]),
    ([2, 5, 5, -INF], 0, {"top_k": 0}, 3, 1, [0, 1, 0, 0]),
    ([2, 5, 5, 1], INF, {"top_k": 3}, 3, 0.75, [1 / 3, 1 / 3, 1 / 3, 0]),
    ([2, 5, 5, 1], INF, {"top_p": 0.5}, 2, 0.5, [0, 0.5, 0.5, 0]),
    ([2, 5, 5, 1], INF, {"top_p": 0.51}, 3, 0.75, [1 / 3, 1 / 3, 1 / 3, 0]),
    ([2, 5, 5, 1], INF, {"top_p": 0.0}, 1, 0.25, [0, 1, 0, 0]),
    ([2, 5, 5, 1], INF, {"min_p": 0.999}, 4, 1, [0.25] * 4),
    ([2, 5, 5, 1], INF, {"min_p": 1.0}, 2, 0.5, [0, 0.5, 0.5, 0]),
    ([2, 5, -INF, -INF], INF, {"top_p": 0.6}, 2, 1, [0.5, 0.5, 0, 0]),
    ([2, 5, -INF, -INF], INF, {"top_k": 3}, 2, 1, [0.5, 0.5, 0, 0]),
    ([INF, 3, INF, INF], 1, {}, 3, 1, [1 / 3, 0, 1 / 3, 1 / 3]),
    ([INF, 3, INF, INF], 1, {"top_k": 2}, 2, 2 / 3, [0.5, 0, 0.5, 0]),
    ([INF, 3, INF, INF], 1, {"top_k": 4}, 3, 1, [1 / 3, 0, 1 / 3, 1 / 3]),
    ([INF, 3, INF, INF], 0, {"top_k": 2}, 2, 2 / 3, [0.5, 0, 0.5, 0]),
    ([INF, 3, INF, INF], INF, {"top_k": 2}, 2, 2 / 3, [0.5, 0, 0.5, 0]),
    ([INF, 3, INF, INF], 1, {"top_p": 0.5}, 2, 2 / 3, [0.5, 0, 0.5, 0]),
    ([INF, 3, INF, INF], INF, {"top_p": 0.3}, 1, 1 / 3, [1, 0, 0, 0]),
    ([INF, 3, INF, INF], 0, {"top_p": 0.5}, 2, 2 / 3, [0.5, 0, 0.5, 0]),
    ([INF, 3, INF, -INF], 1, {"min_p": 1.0}, 2, 1, [0.5, 0, 0.5, 0]),
    ([INF, 3, INF, -INF], INF, {"min_p": 0.5}, 2, 1, [0.5, 0, 0.5, 0]),
    ([2, 5, 5, -INF], 1e-30, {"top_p": 0.5}, 1, 0.5, [0, 1, 0, 0]),
    ([2, 5, 5, -INF], 1e-30, {"min_p": 1e-300}, 2, 1, [0, 0.5, 0.5, 0]),
    ([2, 5, 5, -INF], 1e-30, {"top_k": 3}, 3, 1, [0, 0.5, 0.5, 0]),
    ([2, 5, 5, 1], 1e30, {"min_p": 0.999}, 4, 1, [0.25] * 4),
    ([NAN, 5, 5, 1], 1, {"top_k": 2}, 0, NAN, [NAN] * 4),
    ([INF, 5, NAN, 1], 0, {"top_k": 1}, 0, NAN, [NAN] * 4),
    ([-INF] * 4, 1, {"top_k": 2}, 0, NAN, [NAN] * 4),
    ([-INF] * 4, INF, {"top_p": 0.5, "min_p": 1.0}, 0, NAN, [NAN] * 4),
]


def test_limits(implementation, dtype):
    """Each cell alone, with the temperature last where that means the same, and all in one batch."""
    for logits, t, filters, number, mass, right in LIMITS:
        x = np.array(logits, dtype)
        check_limit(implementation, x, t, filters, number, mass, right)
        if not np.isfinite(x.astype(np.float64)).all() and np.nanmax(x.astype(np.float64)) != 5:
            check_limit(implementation, x, t, {**filters, "temperature_last": True}, number, mass, right)
    x = np.array([row[0] for row in LIMITS], dtype)
    t = np.array([row[1] for row in LIMITS], float)
    off = {"top_k": 0, "top_p": 1.0, "min_p": 0.0}
    filters = {name: [row[2].get(name, value) for row in LIMITS] for name, value in off.items()}
    numbers, masses = implementation.support(x, t, **filters)
    probabilities = implementation.softmax(x, t, **filters)
    for i, (logits, t, filters, *_) in enumerate(LIMITS):
        alone = implementation.support(np.array(logits, dtype), t, **filters)
        assert (numbers[i], masses[i].tobytes()) == (alone[0], alone[1].tobytes())
        assert probabilities[i].tobytes() == implementation.softmax(np.array(logits, dtype), t, **filters).tobytes()


def check_limit(implementation, x, t, filters, number, mass, right):
    got = implementation.support(x, t, **filters)
    assert got[0] == number, (x, t, filters)
    ulp = 3 * float(np.finfo(working(x.dtype)).eps)
    assert np.allclose(got[1], mass, rtol=ulp, atol=0, equal_nan=True), (x, t, filters)
    p = implementation.softmax(x, t, **filters).astype(np.float64)
    ulp = max(ulp, float(limits.ml_dtypes.finfo(x.dtype).eps))
    assert np.allclose(p, right, rtol=ulp, atol=0, equal_nan=True), (x, t, filters)


def test_temperature_last(implementation, dtype):
    """The filters look at temperature 1, so what they keep does not depend on the temperature."""
    for n in (4, 64, 1030):
        x = (3 * np.random.default_rng(n).normal(size=n)).astype(dtype)
        for filters in ({"top_k": 3}, {"top_p": 0.8}, {"min_p": 0.1}, {"top_k": n // 2, "top_p": 0.9, "min_p": 0.02}):
            plain = implementation.support(x, 1.0, **filters)
            seen = set()
            for t in (0.0, 1e-30, 0.2, 1.0, 3.0, 1e30, INF):
                number, mass = implementation.support(x, t, **filters, temperature_last=True)
                assert (number, mass) == plain
                chosen = np.argsort(-x.astype(np.float64), kind="stable")[:number]
                right = brute_force.distribution(masked_but(x, chosen)[None], np.array([t]))[0][0]
                got = implementation.softmax(x, t, **filters, temperature_last=True)
                wide = implementation.softmax(
                    x, t, **filters, temperature_last=True, out=np.empty(n, working(dtype))
                )  # fmt: skip
                assert got.tobytes() == wide.astype(dtype).tobytes()
                allowed = brute_force.allowed_ulps(implementation, dtype, n)
                assert exact.worst_probability(wide, right) <= allowed
                seen.add(int(implementation.support(x, t, **filters)[0]))
            assert len(seen) > 1 or "top_k" in filters  # with the temperature first it does depend


def masked_but(x, chosen):
    kept_row = np.full_like(x, -INF)
    kept_row[chosen] = x[chosen]
    return kept_row
