"""Draws under filters: from exactly the kept, at the rates of softmax, rare categories included."""

from __future__ import annotations

import brute_force
import exact
import filter_rows
import limits
import numpy as np
import pytest
from test_rare_categories import PART, interval, places

INF = np.inf
LAST_U = 1 - 2.0**-53
DRAWS = 60


@pytest.fixture(params=limits.DTYPES)
def dtype(request):
    return limits.DTYPES[request.param]


def working(dtype):
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


@pytest.mark.parametrize("last", [False, True])
def test_inverse_of_the_exact_distribution(implementation, dtype, last):
    """Each index is kept and its share of [0, 1) contains u; its log-probability is that of log_softmax to the bit."""
    removed = 0
    for n in filter_rows.FEW:
        x, t, parameters, prefixes = filter_rows.batch(n, dtype, last)
        numbers = implementation.support(x, t, **parameters)[0]
        probabilities = brute_force.distribution(brute_force.keep(x, prefixes, numbers), t)[0]
        u = np.random.default_rng(n).random((len(x), DRAWS))
        u[:, 0], u[:, 1] = 0, LAST_U
        u.sort(axis=-1)
        drawn, logs = implementation.sample(x, t, u=u, num_samples=DRAWS, return_log_prob=True, **parameters)
        assert (np.diff(drawn) >= 0).all()
        after = np.cumsum(probabilities, axis=-1)
        before = after - probabilities
        tolerance = brute_force.SLACK[dtype.name]
        assert (np.take_along_axis(before, drawn, -1) - tolerance <= u).all()
        assert (u < np.take_along_axis(after, drawn, -1) + tolerance).all()
        assert (np.take_along_axis(probabilities, drawn, -1) > 0).all()  # not what was removed, next to an end
        wide = implementation.log_softmax(x, t, out=np.empty(x.shape, working(dtype)), **parameters)
        assert logs.tobytes() == np.take_along_axis(wide, drawn, -1).tobytes()
        one = implementation.sample(x, t, u=u[:, 7], **parameters)
        assert (one == drawn[:, 7]).all()
        for i, (prefix, number) in enumerate(zip(prefixes, numbers, strict=True)):
            assert set(drawn[i]) <= set(prefix.order[:number].tolist())
            removed += number < len(prefix.order)
    assert removed > 100


def test_what_is_drawn_without_filters_stays_if_nothing_between_is_removed(implementation, dtype):
    """Removing from the end of the row what u does not reach moves no draw below it in index order."""
    n = 1030
    x = np.sort(np.random.default_rng(2).normal(size=n))[::-1].astype(dtype)
    u = np.linspace(0, 0.999, 200)
    number, mass = implementation.support(x, top_p=0.6)
    plain = implementation.sample(x, u=u * mass, num_samples=len(u))
    assert (np.abs(implementation.sample(x, u=u, num_samples=len(u), top_p=0.6) - plain) <= 1).all()
    assert implementation.sample(x, u=LAST_U, top_p=0.6) == number - 1


def rows_with_removed(n, dtype, t, last):
    """Rows with one rare category each and a third of the row a thousand times rarer, which filters can remove."""
    rng = np.random.default_rng(n)
    cases = [(place, p) for place in places(n) for p in (1e-6, 1e-12)]
    row, at = np.arange(len(cases)), np.array([place for place, _ in cases])
    logits = rng.normal(0, 1.5, (len(cases), n))
    lower = np.zeros(logits.shape, bool)
    for i, place in enumerate(at):  # the ends of the row stay, so that an end of the interval can be searched for
        lower[i, rng.permutation(np.setdiff1d(np.arange(2, n - 2), place))[: n // 3]] = True
    logits[lower], logits[row, at] = -INF, -INF
    rare = np.log([p for _, p in cases]) + np.log(np.exp(logits).sum(axis=-1))
    logits[row, at] = rare
    logits = np.where(lower, rare[:, None] - np.log(1000), logits)
    logits = (logits * t).astype(dtype)
    ratio = np.exp((logits[row, at].astype(float) - logits.max(axis=-1)) / (1 if last else t))
    kept = np.where(lower, -INF, logits).astype(dtype)
    probabilities = exact.softmax(kept, np.full(len(row), t))
    before = np.cumsum(probabilities, axis=-1)[row, at] - probabilities[row, at]
    filters = {"top_k": np.full(len(row), n - n // 3), "min_p": ratio * 0.1}
    return logits, at, filters, probabilities[row, at].astype(float), before.astype(float)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [100, 1024, 2100])
@pytest.mark.parametrize("name", ["top_k", "min_p"])
@pytest.mark.parametrize("last", [False, True])
def test_rare_categories_keep_their_rate(implementation, n, dtype, name, last):
    """A kept category of 1e-12 owns an interval of u that long to 1 part in 100, wherever it stands."""
    t = 0.7
    logits, at, filters, p, before = rows_with_removed(n, dtype, t, last)
    assert p.min() < 2e-12
    values = filters[name]
    number = implementation.support(logits, t, **{name: values}, temperature_last=last)[0]
    assert (number == n - n // 3).all()

    def draw(rows, u):
        return implementation.sample(logits[rows], t, u=u, **{name: values[rows]}, temperature_last=last)

    start, end = interval(draw, at, n, before, p)
    assert (np.abs((end - start) / p - 1) <= PART).all()
    assert (np.abs(start - before) < {"float32": 1e-6, "float64": 1e-12}[dtype]).all()


def awkward(dtype):
    """(name, row, temperature, filters): distributions with what must not be drawn at the ends, between and nearly."""
    largest = float(limits.ml_dtypes.finfo(dtype).max)
    deep = 800.0 if dtype == np.float64 else 120.0
    for n in (3, 17, 64, 65, 1000, 1025, 3072):
        rng = np.random.default_rng(n)
        base = rng.normal(0, 2, n)
        third = n // 3
        ends = np.zeros(n)
        ends[:third], ends[n - third :] = -INF, -largest
        every_second = np.where(np.arange(n) % 2 == 0, base, -deep)
        slope = -np.linspace(deep * 1.1, deep * 0.8, n)
        slope[n // 2] = 0
        infinite = base.copy()
        infinite[[third, n - 1]] = INF
        yield f"masked ends, n={n}", ends, 1.0, {}
        yield f"every second underflows, n={n}", every_second, 1.0, {}
        yield f"around underflow, n={n}", slope, 1.0, {}
        yield f"around underflow upside down, n={n}", slope[::-1], 1.0, {"min_p": 1e-300}
        yield f"top_k among ties, n={n}", np.round(base), 0.5, {"top_k": max(1, n // 2)}
        yield f"top_p, n={n}", base, 0.7, {"top_p": 0.9}
        yield f"min_p with the temperature last, n={n}", base, 3.0, {"min_p": 0.05, "temperature_last": True}
        yield f"chain of all, n={n}", base - 50, 1.3, {"top_k": max(1, n - 1), "top_p": 0.99, "min_p": 1e-3}
        yield f"two +inf, n={n}", infinite, 1.0, {"top_p": 0.5}
        yield f"hot, n={n}", np.where(np.arange(n) % 3 == 1, base, -INF), INF, {"top_k": max(1, n // 5)}


def check_no_undrawable(implementation, u, dtype, options):
    checked = undrawable = 0
    for name, row, t, filters in awkward(dtype):
        x = np.asarray(row).astype(dtype)
        p = implementation.softmax(x, t, **filters, out=np.empty(x.shape, working(dtype)))
        kept = brute_force.prefix(x.astype(float).tolist(), t, brute_force.Filters(**filters), 1e-6)
        allowed = np.zeros(x.size, bool)
        allowed[kept.order[: kept.most]] = True
        allowed &= p > 0
        counts = np.zeros(x.size, np.int64)
        for part in np.array_split(u, max(1, len(u) >> 21)):
            drawn = implementation.sample(x, t, u=part, num_samples=len(part), **filters, **options)
            assert drawn.min() >= 0, name
            counts += np.bincount(drawn, minlength=x.size)
        assert counts.sum() == len(u), name
        assert (counts[~allowed] == 0).all(), name
        checked += 1
        undrawable += (~allowed).any()
    assert checked >= 50
    assert undrawable >= 50


def test_what_was_removed_is_never_drawn(implementation, dtype):
    u = np.arange(2**10) / 2.0**10
    check_no_undrawable(implementation, np.append(u, [LAST_U, 1 - 2.0**-24, 5e-324]), dtype, {})


@pytest.mark.slow
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_uniform_of_24_bits(compiled, dtype):
    """All 2**24 numbers j / 2**24, and those next below."""
    u = np.arange(2**24) / 2.0**24
    check_no_undrawable(compiled, u, np.dtype(dtype), {})
    check_no_undrawable(compiled, np.nextafter(u[1:], 0), np.dtype(dtype), {})
