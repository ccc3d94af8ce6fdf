"""sample_weights: draws from rows of non-negative weights, by the rules of sample."""

from __future__ import annotations

import brute_force
import implementations
import limits
import numpy as np
import pytest
from test_rare_categories import PART, interval, places

INF, NAN = np.inf, np.nan
LAST_U = 1 - 2.0**-53
SIZES = (1, 2, 3, 16, 17, 63, 64, 65, 1000, 1025, 2049, 5000)
Real = np.longdouble


@pytest.fixture(params=limits.DTYPES)
def dtype(request):
    return limits.DTYPES[request.param]


def working(dtype):
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def some_weights(n, dtype):
    """Uniform, skewed, equal, sparse, ends of 0, one alone, beyond the largest sum, subnormal, sums far from 1."""
    rng = np.random.default_rng(n)
    largest = float(limits.ml_dtypes.finfo(dtype).max)
    w = np.stack(
        [
            rng.random(n),
            rng.exponential(1, n) ** 3,
            np.ones(n),
            rng.random(n) * (rng.random(n) < 0.3),
            rng.random(n) * (np.abs(np.arange(n) - n / 2) < n / 4),
            np.zeros(n),
            rng.uniform(0.5, 1, n) * largest,
            rng.integers(0, 5, n) * float(limits.ml_dtypes.finfo(dtype).smallest_subnormal),
            rng.random(n) * 1e-4,
            rng.random(n) * 6e4,
            np.where(np.arange(n) % 2 == 0, -0.0, rng.random(n)),
        ]
    )
    w = w.astype(dtype)
    w[~(w > 0).any(axis=-1), n // 2] = limits.ml_dtypes.finfo(dtype).smallest_subnormal
    return w


def shares(w):
    w = w.astype(Real)
    return w / w.sum(axis=-1, keepdims=True)


@pytest.mark.parametrize("n", SIZES)
def test_inverse_of_the_exact_distribution(implementation, dtype, n):
    w = some_weights(n, dtype)
    u = np.random.default_rng(n + 1).random((len(w), 200))
    u[:, 0], u[:, 1] = 0, LAST_U
    u.sort(axis=-1)
    drawn, logs = implementation.sample_weights(w, u=u, num_samples=200, return_log_prob=True)
    assert (drawn.dtype, logs.dtype) == (np.int64, working(dtype))
    assert (np.diff(drawn) >= 0).all()
    probabilities = shares(w)
    after = np.cumsum(probabilities, axis=-1)
    tolerance = brute_force.SLACK[dtype.name]
    right = np.take_along_axis(probabilities, drawn, -1)
    assert (right > 0).all()
    assert (np.take_along_axis(after, drawn, -1) - right - tolerance <= u).all()
    assert (u < np.take_along_axis(after, drawn, -1) + tolerance).all()
    exact = np.log(right)
    assert (np.abs(logs - exact) <= 4 * np.finfo(working(dtype)).eps * np.maximum(np.abs(exact), 1)).all()
    for i in range(len(w)):
        positive = np.flatnonzero(w[i])
        assert drawn[i, 0] == positive[0]
        assert drawn[i, -1] <= positive[-1]
        assert implementation.sample_weights(w[i], u=u[i, 5]) == drawn[i, 5]


@pytest.mark.parametrize("kind", [np.bool_, np.int8, np.uint16, np.int64, np.uint64])
def test_counts(implementation, kind):
    """Integers count as float64."""
    w = np.array([[0, 1, 0, 1], [1, 1, 1, 0]], kind)
    if kind is not np.bool_:
        w *= np.array([[1, 3, 5, 1], [100, 20, 7, 1]], kind)
    u = np.random.default_rng(0).random((2, 300))
    drawn, logs = implementation.sample_weights(w, u=u, num_samples=300, return_log_prob=True)
    right = implementation.sample_weights(w.astype(float), u=u, num_samples=300, return_log_prob=True)
    assert logs.dtype == np.float64
    assert [drawn.tobytes(), logs.tobytes()] == [part.tobytes() for part in right]
    after = np.cumsum(shares(w), axis=-1)
    assert (drawn == [np.searchsorted(a, row, side="right") for a, row in zip(after, u, strict=True)]).all()


def test_a_number_on_a_boundary_belongs_to_the_next(implementation, dtype):
    """The cumulative probability of an index exceeds its number; here both are exact."""
    u = [0, 0.25, 0.5, 0.75, np.nextafter(0.25, 0), LAST_U]
    for w in ([1, 1, 1, 1], [0, 3, 3, 0, 3, 3, 0]):
        drawn = implementation.sample_weights(np.array(w, dtype), u=u, num_samples=len(u))
        assert drawn.tolist() == [np.flatnonzero(w)[i] for i in (0, 1, 2, 3, 0, 3)]
    once = implementation.sample_weights(np.array([1, 2, 1], dtype), u=[0.25, 0.5], num_samples=2, replace=False)
    assert once.tolist() == [1, 2]


def test_draws_are_those_of_the_logarithms(implementation):
    """The same u, the same index but next to a boundary: one distribution, given twice."""
    w = np.random.default_rng(5).exponential(1, (50, 300))
    u = np.random.default_rng(6).random((50, 100))
    drawn = implementation.sample_weights(w, u=u, num_samples=100)
    assert (drawn == implementation.sample(np.log(w), u=u, num_samples=100)).mean() > 0.999
    scaled = implementation.sample_weights(w * 2.0**300, u=u, num_samples=100)
    assert (drawn == scaled).mean() > 0.999


def test_the_numbers_are_those_of_uniforms(implementation):
    w = np.random.default_rng(5).random((9, 40))
    u = implementation.uniforms(7, 9, 3, first_row=2)
    right = implementation.sample_weights(w, u=u, num_samples=3)
    assert (implementation.sample_weights(w, rng=7, num_samples=3, first_row=2) == right).all()
    assert (implementation.sample_weights(w, rng=7, first_row=2) == right[:, 0]).all()
    chunks = [implementation.sample_weights(w[a:b], rng=7, num_samples=3, first_row=2 + a) for a, b in ((0, 4), (4, 9))]
    assert (np.concatenate(chunks) == right).all()
    assert (implementation.sample_weights(w, rng=np.random.SFC64(3)) != implementation.sample_weights(w)).any()
    assert implementation.sample_weights(w, rng=7, num_samples=0).shape == (9, 0)
    assert type(implementation.sample_weights(w[0], rng=7)) is np.int64
    assert implementation.sample_weights(np.zeros((0, 4)), rng=7, num_samples=3).shape == (0, 3)


def test_axes_layouts_and_workers(implementation, dtype):
    for shape in ((5, 7), (3, 1030), (4, 3, 70), (5000, 6)):
        w = np.random.default_rng(3).random(shape).astype(dtype)
        before = w.tobytes()
        options = {"rng": 7, "num_samples": 3, "return_log_prob": True}
        right = [part.tobytes() for part in implementation.sample_weights(w, **options)]
        gaps = np.full((*shape[:-1], 2 * shape[-1]), NAN, dtype)
        gaps[..., ::2] = w
        locked = w.copy()
        locked.flags.writeable = False
        for laid in (
            np.asfortranarray(w),
            gaps[..., ::2],
            w[::-1].copy()[::-1],
            w.astype(dtype.newbyteorder()),
            locked,
        ):
            assert [part.tobytes() for part in implementation.sample_weights(laid, **options)] == right
        first = np.ascontiguousarray(np.moveaxis(w, -1, 0))
        assert [part.tobytes() for part in implementation.sample_weights(first, axis=0, **options)] == right
        assert [part.tobytes() for part in implementation.sample_weights(w, workers=2, **options)] == right
        assert w.tobytes() == before


BAD = [([1, NAN, 3], "NaN"), ([1, -1, 3], "negative"), ([1, INF, 3], "infinite"), ([0, 0, 0], "all its weights are 0")]
BAD += [([NAN, -1, INF], "NaN"), ([0, -INF, 1], "negative"), ([INF, INF, INF], "infinite"), ([-0.0, 0, 0], "are 0")]


@pytest.mark.parametrize("n", [3, 70, 1030])
def test_invalid_rows(implementation, dtype, n):
    good = np.random.default_rng(2).random((5, n)).astype(dtype)
    right = implementation.sample_weights(good, rng=9, num_samples=2, return_log_prob=True)
    for values, reason in BAD:
        for at in (0, n - 3):
            w = good.copy()
            w[3] = 0 if "0" in reason else 1
            w[3, at : at + 3] = values
            for options in ({}, {"num_samples": 2}, {"num_samples": 0}, {"replace": False, "num_samples": 2}):
                with pytest.raises(ValueError, match=f"row 3 .*{reason}"):
                    implementation.sample_weights(w, rng=9, **options)
            options = {"rng": 9, "num_samples": 2, "return_log_prob": True, "on_invalid": "mark"}
            drawn, logs = implementation.sample_weights(w, **options)
            assert drawn[3].tolist() == [-1, -1]
            assert np.isnan(logs[3]).all()
            others = [0, 1, 2, 4]
            assert (drawn[others] == right[0][others]).all()
            assert logs[others].tobytes() == right[1][others].tobytes()
            assert implementation.sample_weights(w[3], rng=9, on_invalid="mark") == -1


def test_without_replacement(implementation, dtype):
    for n in (3, 16, 65, 1030):
        w = some_weights(n, dtype)
        positive = (w > 0).sum(axis=-1)
        count = 6
        u = np.random.default_rng(n).random((len(w), count))
        u[::3, 0], u[1::3, 1] = 0, LAST_U
        options = {"u": u, "num_samples": count, "replace": False, "return_log_prob": True, "on_invalid": "mark"}
        drawn, logs = implementation.sample_weights(w, **options)
        enough = positive >= count
        assert (drawn[~enough] == -1).all()
        assert np.isnan(logs[~enough]).all()
        for i in np.flatnonzero(enough):
            brute_force.check_successive(shares(w[i]), u[i], drawn[i], brute_force.SLACK[dtype.name])
        exact = np.log(np.take_along_axis(shares(w[enough]), drawn[enough], -1))
        ulp = 4 * np.finfo(working(dtype)).eps
        assert (np.abs(logs[enough] - exact) <= ulp * np.maximum(np.abs(exact), 1)).all()
        for row, number in zip(w, positive, strict=True):
            every = implementation.sample_weights(row, rng=3, num_samples=number, replace=False)
            assert sorted(every) == np.flatnonzero(row).tolist()
            with pytest.raises(ValueError, match=f"fewer .*{number + 1}"):
                implementation.sample_weights(row, rng=3, num_samples=number + 1, replace=False)


def test_a_weight_too_small_beside_the_sum_is_not_drawable(implementation):
    for dtype, small in ((np.float32, 1e-30), (np.float64, 1e-200)):
        w = np.array([small, 1 / small, 0, 1 / small, small], dtype)
        assert (w[[0, 4]] > 0).all()
        u = [0, 5e-324, 0.3, 0.7, LAST_U]
        assert implementation.sample_weights(w, u=u, num_samples=5).tolist() == [1, 1, 1, 3, 3]
        assert sorted(implementation.sample_weights(w, rng=3, num_samples=2, replace=False)) == [1, 3]
        with pytest.raises(ValueError, match="fewer drawable"):
            implementation.sample_weights(w, rng=3, num_samples=3, replace=False)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [100, 1024, 2100])
def test_rare_weights_keep_their_rate(implementation, n, dtype):
    """A category of 1e-12 owns an interval of u that long to 1 part in 100, wherever it stands."""
    cases = [(place, p) for place in places(n) for p in (1e-6, 1e-12)]
    row, at = np.arange(len(cases)), np.array([place for place, _ in cases])
    w = np.random.default_rng(n).exponential(1, (len(cases), n))
    w[row, at] = 0
    w[row, at] = w.sum(axis=-1) * [p for _, p in cases]
    w = w.astype(dtype)
    probabilities = shares(w)
    p = probabilities[row, at].astype(float)
    before = (np.cumsum(probabilities, axis=-1)[row, at] - probabilities[row, at]).astype(float)
    start, end = interval(lambda rows, u: implementation.sample_weights(w[rows], u=u), at, n, before, p)
    assert (np.abs((end - start) / p - 1) <= PART).all()
    assert (np.abs(start - before) < {"float32": 1e-6, "float64": 1e-12}[dtype]).all()


def test_instruction_sets(compiled, dtype):
    others = [isa for isa in implementations.ISAS if isa != compiled.name]
    for n in (*range(1, 70), 1000, 1023, 1024, 1025, 2049, 5000):
        w = some_weights(n, dtype)
        w[0, n // 3] = NAN
        for replace in (True, False):

            def draws(w=w, replace=replace):
                options = {"num_samples": 3, "replace": replace, "return_log_prob": True, "on_invalid": "mark"}
                return [part.tobytes() for part in compiled.sample_weights(w, rng=3, **options)]

            right = draws()
            for isa in others:
                assert compiled.on(isa, draws) == right, (isa, n)
