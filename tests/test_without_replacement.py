"""Draws without replacement: each from what is left, renormalised, by its own uniform number."""

from __future__ import annotations

import brute_force
import filter_rows
import implementations
import limits
import numpy as np
import pytest

INF, NAN = np.inf, np.nan
LAST_U = 1 - 2.0**-53


@pytest.fixture(params=limits.DTYPES)
def dtype(request):
    return limits.DTYPES[request.param]


def working(dtype):
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def numbers(shape, dtype=np.float32, seed=6):
    return np.random.default_rng(seed).normal(0, 2, shape).astype(dtype)


def drawable_of(implementation, x, t, **filters):
    """How many categories of each row have a probability that is not 0 in the working precision."""
    p = implementation.softmax(x, t, **filters, out=np.empty(x.shape, working(x.dtype)))
    return (p > 0).sum(axis=-1)


@pytest.mark.parametrize("last", [False, True])
def test_each_draw_is_from_what_is_left(implementation, dtype, last):
    seen_all = 0
    for n in filter_rows.FEW:
        x, t, parameters, prefixes = filter_rows.batch(n, dtype, last)
        for filters, kept in (({}, x), (parameters, None)):
            if kept is None:
                kept = brute_force.keep(x, prefixes, implementation.support(x, t, **filters)[0])
            drawable = drawable_of(implementation, x, t, **filters)
            probabilities = brute_force.distribution(kept, t)[0]
            probabilities[probabilities < np.finfo(working(dtype)).smallest_subnormal / 2] = 0
            count = 12
            u = np.random.default_rng(n).random((len(x), count))
            u[::5, 0], u[1::5, 1], u[2::5, 2] = 0, LAST_U, LAST_U
            options = {"num_samples": count, "replace": False, "return_log_prob": True, "on_invalid": "mark"}
            drawn, logs = implementation.sample(x, t, u=u, **options, **filters)
            enough = drawable >= count
            assert (drawn[~enough] == -1).all()
            assert np.isnan(logs[~enough]).all()
            for i in np.flatnonzero(enough):
                brute_force.check_successive(probabilities[i], u[i], drawn[i], brute_force.SLACK[dtype.name])
            right = implementation.log_prob(x[enough], drawn[enough], t[enough], **of_rows(filters, enough))
            assert logs[enough].tobytes() == right.tobytes()
            # As many as are drawable: all of them.
            for i in np.flatnonzero(drawable > 0)[:: 1 if n < 100 else 9]:
                each = {name: value if name == "temperature_last" else value[i] for name, value in filters.items()}
                every = implementation.sample(x[i], t[i], rng=i, replace=False, num_samples=drawable[i], **each)
                logs_of_row = implementation.log_softmax(x[i], t[i], **each)
                assert len(set(every.tolist())) == drawable[i]
                assert (logs_of_row[every] > -INF).all()
                seen_all += 1
                with pytest.raises(ValueError, match=f"row 0 has fewer .*{drawable[i] + 1}"):
                    implementation.sample(x[i], t[i], rng=i, replace=False, num_samples=drawable[i] + 1, **each)
    assert seen_all > 200


def of_rows(filters, chosen):
    return {name: value if name == "temperature_last" else value[chosen] for name, value in filters.items()}


def test_one_draw_and_the_first_of_many(implementation, dtype):
    """The first draw is the one with replacement; fewer draws come first; None is one draw without an axis."""
    for n in (4, 16, 70, 1030):
        x = numbers((9, n), dtype)
        many = implementation.sample(x, 0.8, rng=7, num_samples=4, replace=False)
        again = implementation.sample(x, 0.8, rng=7, num_samples=4, replace=True)
        assert (many[:, 0] == again[:, 0]).all()
        assert (implementation.sample(x, 0.8, rng=7, replace=False) == many[:, 0]).all()
        for count in (0, 1, 2, 3):
            drawn = implementation.sample(x, 0.8, rng=7, num_samples=count, replace=False)
            assert (drawn == many[:, :count]).all()
        alone = implementation.sample(x[0], rng=7, replace=False)
        assert type(alone) is np.int64
        u = implementation.uniforms(7, 9, 4)
        assert (implementation.sample(x, 0.8, u=u, num_samples=4, replace=False) == many).all()
    assert (np.diff(np.sort(many, axis=-1), axis=-1) > 0).all()
    assert (again != many).any()


def test_what_is_left_keeps_its_rates_beside_a_dominant_category(implementation, dtype):
    """After a category of nearly all the probability is gone, the rest are drawn as if it had never been there."""
    tolerance = brute_force.SLACK[dtype.name]
    for n, at in ((5, 2), (64, 0), (1025, 1024), (2100, 700)):
        rest = numbers(n, dtype)
        rest[at] = -INF
        x = rest.copy()
        x[at] = 45.0
        assert drawable_of(implementation, x, 1.0) == n
        after = np.cumsum(brute_force.distribution(rest[None], np.array([1.0]))[0][0])
        u = np.random.default_rng(n).random((400, 2))
        u[:, 0] = 0.5
        u[:2, 1] = 0, LAST_U
        drawn = implementation.sample(np.broadcast_to(x, (400, n)), u=u, num_samples=2, replace=False)
        assert (drawn[:, 0] == at).all()
        second = drawn[:, 1]
        assert (second != at).all()
        assert (u[:, 1] < after[second] + tolerance).all()
        assert (after[second] - np.diff(after, prepend=0)[second] - tolerance <= u[:, 1]).all()
        assert len(np.unique(second)) > min(n, 100) // 2


def test_a_rare_category_keeps_its_rate_in_later_draws(implementation):
    """One of 1e-10 of what is left has an interval that long to 1 part in 100, found by bisection."""
    for dtype in (np.float32, np.float64):
        for n, at in ((20, 7), (64, 63), (1500, 1100)):
            x = numbers(n, np.float64)
            x[3] = np.log(np.exp(np.delete(x, [3, at])).sum())  # half
            x[at] = np.log(1e-10) + np.log(np.exp(np.delete(x, [3, at])).sum())
            x = x.astype(dtype)
            left = x.copy()
            left[3] = -INF
            p = brute_force.distribution(left[None], np.array([1.0]))[0][0]
            before, share = float(p[:at].sum()), float(p[at])
            ends = [bisected(implementation, x, at + side, before) if at + side < n else 1.0 for side in (0, 1)]
            assert abs((ends[1] - ends[0]) / share - 1) < 0.01


def bisected(implementation, x, beyond, near):
    """The least u of the second draw for which it is at least `beyond`, where the first takes category 3."""
    first = float(brute_force.distribution(x[None], np.array([1.0]))[0][0][:3].sum()) + 0.1
    low, high = max(near - 1e-5, 0.0), min(near + 1e-5, LAST_U)
    while high - low > 1e-15 and low < (low + high) / 2 < high:
        middle = (low + high) / 2
        drawn = implementation.sample(x, u=[first, middle], num_samples=2, replace=False)
        assert drawn[0] == 3
        low, high = (low, middle) if drawn[1] >= beyond else (middle, high)
    return high


def test_limits(implementation, dtype):
    x = np.array([[2, 5, 5, 1], [INF, 3, INF, INF], [-INF, 0, -INF, 1], [NAN, 1, 2, 3], [-INF] * 4], dtype)

    def drawn(count, t=1.0, **options):
        u = np.full((len(x), count), 0.4)
        return implementation.sample(x, t, u=u, num_samples=count, replace=False, on_invalid="mark", **options).tolist()

    none = [-1, -1]
    assert drawn(2)[1:] == [[2, 0], [3, 1], none, none]
    assert drawn(3)[1:] == [[2, 0, 3], [-1] * 3, [-1] * 3, [-1] * 3]
    assert drawn(2, INF) == [[1, 2], [2, 0], [1, 3], none, none]
    assert drawn(1, 0) == [[1], [2], [3], [-1], [-1]]
    assert drawn(2, 0) == [none, [2, 0], none, none, none]
    assert drawn(2, top_k=2) == [[1, 2], [0, 2], [3, 1], none, none]
    assert drawn(2, top_k=1) == [none] * 5
    assert drawn(2, 0, top_k=2) == [none, [0, 2], none, none, none]
    for row, reason in ((3, "NaN"), (4, "-inf")):
        for count in (0, 2):
            with pytest.raises(ValueError, match=f"row 0 .*{reason}"):
                implementation.sample(x[row], rng=1, num_samples=count, replace=False)


def test_what_underflows_is_not_drawable(implementation):
    for dtype, low in ((np.float32, -120.0), (np.float64, -800.0), (np.float16, -120.0)):
        x = np.array([0, low, 1, low, 0.5, -INF], dtype)
        assert sorted(implementation.sample(x, rng=3, num_samples=3, replace=False)) == [0, 2, 4]
        with pytest.raises(ValueError, match="fewer drawable"):
            implementation.sample(x, rng=3, num_samples=4, replace=False)
        # At a temperature at which they count, they are.
        assert sorted(implementation.sample(x, 10, rng=3, num_samples=5, replace=False)) == [0, 1, 2, 3, 4]


def test_marked_rows_leave_the_others_right(implementation, dtype):
    for n in (6, 70, 1030):
        x = numbers((7, n), dtype)
        good = implementation.sample(x, rng=9, num_samples=4, replace=False, return_log_prob=True)
        x[1, n // 2], x[3] = NAN, -INF
        x[6, 3:] = -INF
        invalid = np.array([False, True, False, True, False, False, True])
        for row, reason in ((1, "NaN"), (3, "-inf"), (6, "fewer")):
            with pytest.raises(ValueError, match=f"row {row} .*{reason}"):
                implementation.sample(np.where(np.arange(7)[:, None] == row, x, x[0]), replace=False, num_samples=4)
        drawn, logs = implementation.sample(
            x, rng=9, num_samples=4, replace=False, on_invalid="mark", return_log_prob=True
        )  # fmt: skip
        assert (drawn[invalid] == -1).all()
        assert np.isnan(logs[invalid]).all()
        assert (drawn[~invalid] == good[0][~invalid]).all()
        assert logs[~invalid].tobytes() == good[1][~invalid].tobytes()


def test_chunks_workers_and_axes(implementation):
    for n in (5, 70, 1500):
        x = numbers((23, n))
        right = implementation.sample(x, 0.8, rng=7, num_samples=3, replace=False)
        chunks = [
            implementation.sample(x[a:b], 0.8, rng=7, num_samples=3, replace=False, first_row=a)
            for a, b in ((0, 1), (1, 9), (9, 23))
        ]
        assert (np.concatenate(chunks) == right).all()
        columns = implementation.sample(x.T, 0.8, rng=7, num_samples=3, replace=False, axis=0)
        assert (columns == right).all()
        backwards = x[:, ::-1].copy()[:, ::-1]
        assert (implementation.sample(backwards, 0.8, rng=7, num_samples=3, replace=False) == right).all()
        swept = implementation.sample(x, [[0.8], [2.0]], rng=7, num_samples=3, replace=False)
        assert (swept[0] == right).all()
    for shape in ((5, 2000), (500, 70), (9000, 4)):
        x = numbers(shape)
        one, two = (
            implementation.sample(x, rng=7, num_samples=3, replace=False, workers=w, return_log_prob=True)
            for w in (1, 2)
        )
        assert [a.tobytes() for a in one] == [a.tobytes() for a in two]


def test_instruction_sets(compiled, dtype):
    others = [isa for isa in implementations.ISAS if isa != compiled.name]
    for n in filter_rows.SIZES:
        x, t, parameters, _ = filter_rows.batch(n, dtype, False)

        def draws(x=x, t=t, parameters=parameters):
            options = {"num_samples": 5, "replace": False, "return_log_prob": True, "on_invalid": "mark", "rng": 3}
            return [part.tobytes() for part in compiled.sample(x, t, **options, **parameters)]

        right = draws()
        for isa in others:
            assert compiled.on(isa, draws) == right, (isa, n)


def test_every_category_of_a_long_row(implementation):
    """In an order that depends on the numbers alone, by a law that is checked for each of 3000 draws."""
    x = numbers(3000, np.float64)
    u = np.random.default_rng(3).random(3000)
    drawn = implementation.sample(x, u=u, num_samples=3000, replace=False)
    assert sorted(drawn.tolist()) == list(range(3000))
    brute_force.check_successive(np.exp(x - x.max()).astype(np.longdouble), u, drawn, 1e-11)
