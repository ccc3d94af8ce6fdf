"""Every cell of the contract's table of limits and odd values, in every float dtype, short rows and long."""

from __future__ import annotations

import limits
import numpy as np
import pytest

INF, NAN = np.inf, np.nan
LAST_U = 1 - 2.0**-53


@pytest.fixture(params=limits.DTYPES)
def dtype(request):
    return limits.DTYPES[request.param]


@pytest.fixture(params=limits.PLACES)
def n(request):
    return request.param


def working(dtype):
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def check_row(got, right, floor):
    """`got` is `right` within 3 ulp of max(|right|, floor), NaN and infinities (floor 0: and zeros) in their places."""
    with np.errstate(over="ignore"):
        rounded = right.astype(got.dtype).astype(np.float64)
    values = got.astype(np.float64)
    ordinary = np.isfinite(rounded) & ((rounded != 0) | (floor > 0))
    assert np.array_equal(values[~ordinary], rounded[~ordinary], equal_nan=True)
    # 3 ulp in the working precision and one rounding to a narrower one; 1e-14 covers the oracle's own error.
    relative = {2: 1.0, 4: 3.0, 8: 3.0}[got.dtype.itemsize] * float(limits.ml_dtypes.finfo(got.dtype).eps) + 1e-14
    error = np.abs(values[ordinary] - right[ordinary])
    assert (error <= relative * np.maximum(np.abs(right[ordinary]), floor)).all()


def in_layouts(function, logits, temperature):
    """The row's result when it stands alone, between other rows, and as a column."""
    other = np.arange(logits.size).astype(logits.dtype)
    yield function(logits, temperature)
    yield function(np.stack([other, logits, other]), temperature)[1]
    columns = np.stack([other, logits, other], axis=1)
    result = function(columns, temperature, axis=0)
    yield result[:, 1] if result.ndim == 2 else result[1]


@pytest.mark.parametrize(("name", "floor"), [("softmax", 0), ("log_softmax", 1)])
def test_rows(implementation, name, floor, dtype, n):
    for case, places in limits.grid(n):
        logits = limits.row(case, n, places, dtype)
        right = getattr(limits.expected_for(case, n, places, dtype), name)
        for got in in_layouts(getattr(implementation, name), logits, case.temperature):
            assert got.dtype == dtype
            check_row(got, right, floor)


def test_logsumexp(implementation, dtype, n):
    for case, places in limits.grid(n):
        logits = limits.row(case, n, places, dtype)
        right = limits.expected_for(case, n, places, dtype).logsumexp
        for got in in_layouts(implementation.logsumexp, logits, case.temperature):
            assert got.dtype == working(dtype)
            # Against max(|result|, 1): one that cancels to near 0 has no relative accuracy.
            with np.errstate(over="ignore"):
                rounded = float(right.astype(got.dtype))
            if np.isfinite(rounded):
                assert abs(float(got) - right) <= 3 * np.finfo(got.dtype).eps * max(abs(right), 1) + 1e-14
            else:
                assert np.array_equal(got, rounded, equal_nan=True), case


def test_draws(implementation, dtype, n):
    """In each row the middle of some categories' intervals of u, and both ends of [0, 1)."""
    other = np.zeros(n, dtype)
    for case, places in limits.grid(n):
        logits = limits.row(case, n, places, dtype)
        answers = limits.expected_for(case, n, places, dtype)
        u, right = some_draws(answers.softmax, working(dtype))
        if not len(right):
            check_invalid(implementation, logits, other, case.temperature)
            continue
        for rows, axis in ((logits, -1), (np.stack([other, logits], 1), 0)):
            two_rows = rows.ndim == 2
            numbers = np.broadcast_to(u, (2, len(u))) if two_rows else u
            drawn, log_probabilities = implementation.sample(
                rows, case.temperature, u=numbers, num_samples=len(u), axis=axis, return_log_prob=True
            )
            drawn, log_probabilities = (a[1] if two_rows else a for a in (drawn, log_probabilities))
            assert drawn.tolist() == right
            check_log_probabilities(log_probabilities, answers.log_softmax[right], working(dtype))


def some_draws(probabilities, precision):
    """(u, index) with u in the middle of the index's interval, for some drawable indices; none for a NaN row."""
    drawable = np.flatnonzero(probabilities >= np.finfo(precision).tiny)
    if not drawable.size:
        return [], []
    after = np.cumsum(probabilities)
    some = [i for i in drawable[:: max(1, drawable.size // 30)] if probabilities[i] > 1e-9]
    u = [0.0, *((after[i] - probabilities[i] / 2) for i in some)]
    right = [int(drawable[0]), *(int(i) for i in some)]
    if probabilities[drawable[-1]] > 1e-9:
        u.append(LAST_U)
        right.append(int(drawable[-1]))
    return u, right


def check_log_probabilities(got, right, precision):
    assert got.dtype == precision
    error = np.abs(got - right)
    assert (error <= 3 * np.finfo(precision).eps * np.maximum(np.abs(right), 1) + 1e-14).all()


def check_invalid(implementation, logits, other, temperature):
    with pytest.raises(ValueError, match="row 0"):
        implementation.sample(logits, temperature, u=0.5)
    batch = np.stack([other, logits, other, logits])
    u = [0.0, 0.5, 0.999, 0.0]
    with pytest.raises(ValueError, match="row 1"):
        implementation.sample(batch, temperature, u=u)
    drawn, log_probabilities = implementation.sample(batch, temperature, u=u, on_invalid="mark", return_log_prob=True)
    alone = [implementation.sample(other, temperature, u=each) for each in (0.0, 0.999)]
    assert drawn.tolist() == [alone[0], -1, alone[1], -1]
    assert np.isnan(log_probabilities).tolist() == [False, True, False, True]


def test_every_case_in_one_batch(implementation, dtype, n):
    """Each row's answer is its own: neighbours with other specials and other temperatures change no bit of it."""
    grid = limits.grid(n)
    batch = np.stack([limits.row(case, n, places, dtype) for case, places in grid])
    temperatures = np.array([case.temperature for case, _ in grid])
    for name in ("softmax", "log_softmax", "logsumexp"):
        function = getattr(implementation, name)
        together = function(batch, temperatures)
        for i, t in enumerate(temperatures):
            alone = function(batch[i], t)
            assert together[i].tobytes() == alone.tobytes(), f"{name} of {grid[i]}"


def test_the_table_is_covered():
    """The rows above reach every cell: each kind of answer, in short and in long rows."""
    for n in limits.PLACES:
        seen = {}
        for case, places in limits.grid(n):
            answers = limits.expected_for(case, n, places, limits.DTYPES["float32"])
            logits = limits.row(case, n, places, limits.DTYPES["float32"])
            kind = (
                "nan" if np.isnan(logits).any()
                else "only -inf" if (logits == -INF).all()
                else "+inf" if (logits == INF).any()
                else "cold" if case.temperature == 0
                else "hot" if case.temperature == INF
                else "ordinary"
            )  # fmt: skip
            seen.setdefault(kind, []).append((answers, case.temperature))
        assert set(seen) == {"nan", "only -inf", "+inf", "cold", "hot", "ordinary"}
        for kind in ("nan", "only -inf", "+inf"):
            assert {0, 1, INF} <= {t for _, t in seen[kind]}
        cold = {float(answers.logsumexp) for answers, _ in seen["cold"]}
        assert cold >= {INF, -INF, 0.0, np.log(2), np.log(n)}
        assert any((answers.softmax == 0).any() for answers, _ in seen["ordinary"])
        with np.errstate(over="ignore"):
            logarithms = [answers.log_softmax.astype(np.float32) for answers, _ in seen["ordinary"]]
        assert any((np.isinf(logs)).any() for logs in logarithms)


@pytest.mark.parametrize("integer", [np.int8, np.uint8, np.int16, np.int32, np.uint32, np.int64, np.uint64, np.bool_])
def test_integers(implementation, integer):
    row = np.array([0, 1, 1, 0], integer)
    assert implementation.softmax(row, 0).tolist() == [0, 1, 0, 0]
    assert implementation.log_softmax(row, 0).tolist() == [-INF, 0, -INF, -INF]
    assert implementation.logsumexp(row, 0) == INF
    assert implementation.logsumexp(np.zeros(4, integer), 0) == np.float64(np.log(4))
    assert implementation.softmax(row, INF).tolist() == [0.25] * 4
    assert implementation.logsumexp(row, INF) == pytest.approx(np.log(4), rel=1e-15)
    assert implementation.sample(row, 0, u=0.9) == 1
    assert [implementation.sample(row, INF, u=u) for u in (0, 0.25, 0.5, LAST_U)] == [0, 1, 2, 3]
    assert implementation.softmax(row).dtype == implementation.logsumexp(row).dtype == np.float64


def test_integers_count_as_float64(implementation):
    """Integers that differ and are one float64 are tied."""
    row = np.array([2**53, 2**53 + 1, 0], np.int64)
    assert implementation.softmax(row, 0).tolist() == [1, 0, 0]
    assert implementation.softmax(row).tolist() == [0.5, 0.5, 0]
    extremes = np.array([np.iinfo(np.uint64).max, 0], np.uint64)
    assert implementation.logsumexp(extremes) == 2.0**64


def test_one_category(implementation, dtype):
    for x in (3.0, -2.5, 0.0, float(limits.ml_dtypes.finfo(dtype).min), INF):
        for t in (1, 0.5, 0, INF):
            row = np.array([x], dtype)
            assert implementation.softmax(row, t).tolist() == [1]
            slack = 3 * np.finfo(working(dtype)).eps if 0 < t < INF else 0
            assert abs(float(implementation.log_softmax(row, t)[0])) <= slack
            assert implementation.sample(row, t, u=LAST_U) == 0
            right = limits.expected([float(row[0])], t).logsumexp
            with np.errstate(over="ignore"):
                assert implementation.logsumexp(row, t) == np.float64(right).astype(working(dtype))
    for x in (NAN, -INF):
        row = np.array([x], dtype)
        assert np.isnan(implementation.softmax(row).astype(float)).all()
        assert np.array_equal(implementation.logsumexp(row), x, equal_nan=True)


@pytest.mark.parametrize("shape", [(0,), (2, 0), (0, 0), (0, 3), (3, 0, 2), (2, 0, 3)])
def test_empty(implementation, dtype, shape):
    x = np.empty(shape, dtype)
    for axis in range(-len(shape), len(shape)):
        batch = tuple(np.delete(shape, axis))
        for name in ("softmax", "log_softmax"):
            result = getattr(implementation, name)(x, 0.7, axis=axis)
            assert (result.shape, result.dtype) == (shape, dtype)
        log_sum = implementation.logsumexp(x, 0.7, axis=axis)
        assert (log_sum.shape, log_sum.dtype) == (batch, working(dtype))
        assert (log_sum == -INF).all()
        kept = implementation.logsumexp(x, 0.7, axis=axis, keepdims=True)
        assert kept.shape == tuple(1 if i == axis % len(shape) else size for i, size in enumerate(shape))
        if shape[axis] or 0 in batch:
            drawn, log_probabilities = implementation.sample(
                x, 0.7, rng=1, axis=axis, num_samples=2, return_log_prob=True
            )
            assert (drawn.shape, drawn.dtype) == ((*batch, 2), np.int64)
            assert (log_probabilities.shape, log_probabilities.dtype) == ((*batch, 2), working(dtype))
        else:
            for on_invalid in ("raise", "mark"):
                with pytest.raises(ValueError, match="no categories"):
                    implementation.sample(x, 0.7, rng=1, axis=axis, on_invalid=on_invalid)


def test_a_sweep_over_no_temperatures_is_empty(implementation, dtype):
    x = np.ones((2, 3), dtype)
    none = np.empty((0, 1))
    assert implementation.softmax(x, none).shape == (0, 2, 3)
    assert implementation.logsumexp(x, none).shape == (0, 2)
    assert implementation.sample(x, none, rng=1).shape == (0, 2)
