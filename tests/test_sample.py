"""Draws against the exact cumulative distribution, and that what has no weight is never drawn."""

from __future__ import annotations

import itertools

import exact
import implementations
import limits
import numpy as np
import pytest
import scipy.special
import scipy.stats

LAST_U = 1 - 2.0**-53
DRAWS = 400
SIZES = (1, 2, 3, 5, 16, 17, 63, 64, 65, 130, 1000, 1023, 1024, 1025, 2048, 3100, 5000)
TOLERANCE = {"float16": 1e-6, "bfloat16": 1e-6, "float32": 1e-6, "float64": 1e-12}


@pytest.fixture(params=limits.DTYPES)
def dtype(request):
    return limits.DTYPES[request.param]


def working(dtype):
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def some_rows(n, dtype):
    """Nearly equal, ordinary, peaked, quantised with many ties, half of it masked; each at several temperatures."""
    rng = np.random.default_rng(n)
    x = np.array(
        [
            0.01 * rng.normal(size=n),
            3 * rng.normal(size=n),
            12 * rng.normal(size=n) - 100,
            np.round(rng.normal(size=n)),
            np.where(np.arange(n) % 2 == 1, -np.inf, rng.normal(size=n)),
        ]
    ).astype(dtype)
    return np.tile(x, (3, 1)), np.repeat([0.4, 1.0, 5.0], 5)


@pytest.mark.parametrize("n", SIZES)
def test_inverse_of_the_exact_distribution(implementation, dtype, n):
    """The index drawn is one whose share of [0, 1) contains u, but for the rounding that the dtype allows."""
    x, t = some_rows(n, dtype)
    u = np.random.default_rng(n + 1).random((len(x), DRAWS))
    u[:, 0], u[:, 1] = 0, LAST_U
    u.sort(axis=-1)
    drawn = implementation.sample(x, t, u=u, num_samples=DRAWS)
    assert (np.diff(drawn) >= 0).all()  # index order

    after = np.cumsum(exact.softmax(x.astype(working(dtype)), t), axis=-1)
    before = np.concatenate([np.zeros((len(x), 1), exact.Real), after[:, :-1]], axis=-1)
    tolerance = TOLERANCE[dtype.name]
    assert (np.take_along_axis(before, drawn, -1) - tolerance <= u).all()
    assert (u < np.take_along_axis(after, drawn, -1) + tolerance).all()
    if n <= 1000:
        right = np.array([np.searchsorted(row, each, side="right") for row, each in zip(after, u, strict=True)])
        assert (np.minimum(right, n - 1) == drawn).mean() >= 0.999
        assert len(np.unique(drawn)) > min(n, 100) // 2


def weightless_rows(dtype):
    """(name, row) where entries at the ends weigh nothing, or nearly nothing, in the working precision."""
    deep = {"float64": 800.0}.get(dtype.name, 120.0)
    for n in (3, 16, 17, 64, 65, 1000, 1025, 3072, 3100):
        third = n // 3
        for name, low in (("-inf", -np.inf), ("lowest", -float(limits.ml_dtypes.finfo(dtype).max)), ("deep", -deep)):
            for place, at in (
                ("leading", np.s_[:third]),
                ("trailing", np.s_[n - third :]),
                ("all but one", np.s_[np.arange(n) != third]),
                ("all but the first", np.s_[1:]),
                ("all but the last", np.s_[:-1]),
                ("every second", np.s_[::2]),
                ("first block", np.s_[: min(1024, third)]),
                ("last block", np.s_[max(n - 1024, 2 * third) :]),
            ):
                x = np.zeros(n)
                x[at] = low
                yield f"{name}, {place}, n={n}", x.astype(dtype)
    # Whole blocks whose weights count beside each other and are nothing, or next to it, as probabilities.
    edge = (707, 738, 742, 744, 745, 746) if dtype == np.float64 else (86, 96, 100, 102, 103, 104)
    for low, at in itertools.product(edge, (np.s_[:1024], np.s_[1024:2048], np.s_[2048:], np.s_[:2048], np.s_[1024:])):
        x = np.zeros(3000)
        x[at] = -low
        yield f"{-low} at {at}", x.astype(dtype)
    # From weights well within the range to none, through the subnormal numbers, from either end.
    for n in (200, 1500):
        slope = np.zeros(n)
        slope[:150] = -np.linspace(deep * 1.1, deep * 0.8, 150)
        yield f"slope up, n={n}", slope.astype(dtype)
        yield f"slope down, n={n}", slope[::-1].astype(dtype)


def test_what_has_no_weight_is_never_drawn(implementation, dtype):
    rng = np.random.default_rng(8)
    seen = weightless = 0
    for name, x in weightless_rows(dtype):
        probabilities = implementation.softmax(x, out=np.empty(x.shape, working(dtype)))
        drawable = np.flatnonzero(probabilities)
        assert drawable.size > 0, name
        weightless += drawable.size < x.size
        edges = np.cumsum(probabilities, dtype=float)
        edges = np.unique(np.clip(edges[np.r_[drawable[:5], drawable[-5:]]], 0, LAST_U))
        u = np.concatenate([[0, 5e-324, 1e-300, 1e-40, 1e-17, LAST_U, np.nextafter(LAST_U, 0)], rng.random(20), edges])
        u = np.concatenate([u, np.nextafter(edges, 0), np.minimum(np.nextafter(edges, 1), LAST_U)])
        drawn = implementation.sample(x, u=u, num_samples=len(u))
        assert (probabilities[drawn] > 0).all(), name
        assert (drawn[u == 0] == drawable[0]).all(), name
        seen += (drawn == drawable[-1]).any()
        one = np.array([implementation.sample(x, u=each) for each in u[:8]])
        assert (one == drawn[:8]).all(), name
    assert weightless > 200
    assert seen > 200  # the last drawable place is reached, from rows that go on after it


def test_log_probabilities_are_those_of_the_draw(implementation, dtype):
    for n in (1, 5, 64, 1000, 3100):
        x, t = some_rows(n, dtype)
        drawn, got = implementation.sample(x, t, rng=3, num_samples=6, return_log_prob=True)
        assert got.dtype == working(dtype)
        right = implementation.log_softmax(x, t, out=np.empty(x.shape, working(dtype)))
        assert got.tobytes() == np.take_along_axis(right, drawn, -1).tobytes()
        assert (drawn == implementation.sample(x, t, rng=3, num_samples=6)).all()
        one, log_probability = implementation.sample(x[1], t[1], rng=4, return_log_prob=True)
        assert log_probability == right[1, one]


def test_marked_rows_leave_the_others_right(implementation, dtype):
    for n in (3, 70, 3100):
        x = np.random.default_rng(n).normal(size=(7, n)).astype(dtype)
        good = implementation.sample(x, 0.5, rng=9, num_samples=4, return_log_prob=True)
        x[1, n // 2], x[3], x[6, -1] = np.nan, -np.inf, np.nan
        invalid = np.array([False, True, False, True, False, False, True])
        with pytest.raises(ValueError, match="row 1"):
            implementation.sample(x, 0.5, rng=9, num_samples=4)
        drawn, got = implementation.sample(x, 0.5, rng=9, num_samples=4, on_invalid="mark", return_log_prob=True)
        assert (drawn[invalid] == -1).all()
        assert np.isnan(got[invalid]).all()
        assert (drawn[~invalid] == good[0][~invalid]).all()
        assert got[~invalid].tobytes() == good[1][~invalid].tobytes()
        one = implementation.sample(x, 0.5, rng=9, on_invalid="mark")
        assert (one == drawn[:, 0]).all()


def test_no_samples(implementation, dtype):
    x = np.zeros((2, 3), dtype)
    drawn, got = implementation.sample(x, rng=1, num_samples=0, return_log_prob=True)
    assert (drawn.shape, drawn.dtype, got.shape, got.dtype) == ((2, 0), np.int64, (2, 0), working(dtype))
    assert implementation.sample(x, u=np.empty((2, 0)), num_samples=0).shape == (2, 0)


# The G-test: 10**6 draws with a false-alarm rate of 1e-8 each. Fewer than 30 runs of it: below 1e-6 for the suite.
FALSE_ALARM = 1e-8
SHARES = np.array([0.5, 0.25, 0.125, 0.075, 0.05])


def g_statistic(counts, probabilities):
    expected = counts.sum() * probabilities
    return 2 * scipy.special.xlogy(counts, counts / expected).sum()


def is_suspicious(counts, probabilities):
    return g_statistic(counts, probabilities) > scipy.stats.chi2.isf(FALSE_ALARM, len(counts) - 1)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_frequencies(implementation, dtype):
    logits = 2 * np.log(SHARES).astype(dtype) + 30
    drawn = implementation.sample(np.broadcast_to(logits, (1000, 5)), 2.0, rng=20261124, num_samples=1000)
    counts = np.bincount(drawn.ravel(), minlength=5)
    assert counts.sum() == 10**6
    assert not is_suspicious(counts, SHARES)


def test_frequencies_over_many_blocks(implementation):
    """Of 5000 categories in 25 bins of 200, which straddle the blocks."""
    logits = np.random.default_rng(1).normal(0, 2, 5000).astype(np.float32)
    drawn = implementation.sample(np.broadcast_to(logits, (1000, 5000)), 1.5, rng=20261125, num_samples=1000)
    probabilities = exact.softmax(logits[None], [1.5])[0].astype(float).reshape(25, 200).sum(axis=-1)
    assert not is_suspicious(np.bincount(drawn.ravel() // 200, minlength=25), probabilities)


def test_the_g_test_finds_a_bias_of_one_percent():
    rng = np.random.default_rng(2)
    biased = np.array([0.505, *(SHARES[1:] * 0.495 / 0.5)])  # at the cost of the others
    for _ in range(20):
        assert is_suspicious(rng.multinomial(10**6, biased), SHARES)
        assert not is_suspicious(rng.multinomial(10**6, SHARES), SHARES)


@pytest.mark.parametrize("n", [129, 1000, 1025, 60_000, 600_000])
def test_many_draws_are_those_of_few(compiled, dtype, n):
    """However many draws are sorted by their block, and however that is found."""
    rng = np.random.default_rng(n)
    x, u = rng.normal(0, 3, n).astype(dtype), rng.random(40_000)
    x[: n // 3] = -30.0
    u[::100], u[50::100], u[7::100] = 0, LAST_U, u[7::100] / 2**30
    many = compiled.sample(x, u=u, num_samples=len(u))
    few = [compiled.sample(x, u=part, num_samples=len(part)) for part in np.split(u, [1, 3, 20, 120, 1100, 2000])]
    assert (many == np.concatenate(few)).all()


def test_numbers_that_change_meanwhile(compiled):
    """A thread may change the uniform numbers after they were looked at: no draw is right then, but none is beyond the
    categories, and nothing crashes."""
    done = implementations.in_a_new_process(
        """
import sys, threading, time
import numpy as np, tempsoft
u, end = np.zeros(20_000), time.monotonic() + 1.5
def change():
    while time.monotonic() < end:
        for number in (1e6, np.nan, -1e5, 0.5, 1 << 40, 0.5):
            u[:] = number
thread = threading.Thread(target=change)
sys.setswitchinterval(1e-6)
thread.start()
x, calls = np.zeros(4096, np.float32), 0
while time.monotonic() < end:
    for n, shape in ((4096, (20_000,)), (1000, (20_000,)), (20, (20_000,)), (20, (100, 200))):
        logits = np.broadcast_to(x[:n], (*shape[:-1], n))
        try:
            drawn = tempsoft.sample(logits, u=u.reshape(shape), num_samples=shape[-1])
        except ValueError:
            continue
        assert ((-1 <= drawn) & (drawn < n)).all()
        calls += 1
thread.join()
assert calls > 5
""",
        TEMPSOFT_ISA=compiled.name,
    )
    assert (done.returncode, done.stderr) == (0, "")
