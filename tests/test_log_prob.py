"""log_prob, top_log_probs, entropy and support: values, shapes, limits."""

from __future__ import annotations

import math

import brute_force
import exact
import filter_rows
import implementations
import limits
import numpy as np
import pytest

INF, NAN = np.inf, np.nan
LAST = pytest.mark.parametrize("last", [False, True], ids=["temperature first", "temperature last"])
ENTROPY_TOLERANCE = {"float32": 1e-6, "float64": 1e-12}  # of max(entropy, 1)


@pytest.fixture(params=limits.DTYPES)
def dtype(request):
    return limits.DTYPES[request.param]


def working(dtype):
    return np.dtype(np.float64 if dtype == np.float64 else np.float32)


def wide_log_softmax(implementation, x, t, **filters):
    return implementation.log_softmax(x, t, **filters, out=np.empty(x.shape, working(x.dtype)))


@LAST
def test_log_prob_is_log_softmax_at_the_index(implementation, dtype, last):
    """To the bit, in the working precision, every index of short rows and some of long ones."""
    for n in filter_rows.FEW:
        x, t, parameters, _ = filter_rows.batch(n, dtype, last)
        rng = np.random.default_rng(n)
        index = rng.permuted(np.tile(np.arange(n), (len(x), 1)), axis=-1)[:, :70]
        for filters in ({}, parameters):
            right = wide_log_softmax(implementation, x, t, **filters)
            got = implementation.log_prob(x, index, t, **filters)
            assert got.dtype == working(dtype)
            assert got.tobytes() == np.take_along_axis(right, index, -1).tobytes(), n
            one = implementation.log_prob(x, index[:, 0], t, **filters)
            assert one.shape == (len(x),)
            assert one.tobytes() == got[:, 0].tobytes()


def test_log_prob_of_every_limit(implementation, dtype):
    for n in limits.PLACES:
        for case, places in limits.grid(n):
            x = limits.row(case, n, places, dtype)
            index = np.array(sorted({0, 1, n // 2, n - 1, *places}))
            with np.errstate(over="ignore"):
                right = limits.expected_for(case, n, places, dtype).log_softmax[index].astype(working(dtype))
            got = implementation.log_prob(x, index, case.temperature)
            assert (np.isnan(got) == np.isnan(right)).all()
            ordinary = np.isfinite(right)
            assert (got[~ordinary & ~np.isnan(right)] == right[~ordinary & ~np.isnan(right)]).all()
            error = np.abs(got[ordinary].astype(float) - right[ordinary])
            ulp = 4 * float(np.finfo(working(dtype)).eps)
            assert (error <= ulp * np.maximum(np.abs(right[ordinary]), 1)).all()


def test_shapes_of_log_prob(implementation):
    x = np.random.default_rng(1).normal(size=(2, 3, 5)).astype(np.float32)
    logs = implementation.log_softmax(x)
    index = np.random.default_rng(2).integers(0, 5, (2, 3, 4))
    assert implementation.log_prob(x, index).shape == (2, 3, 4)
    assert implementation.log_prob(x, index[..., 0]).shape == (2, 3)
    assert implementation.log_prob(x, index[..., :0]).shape == (2, 3, 0)
    one = implementation.log_prob(x[0, 0], 3)
    assert type(one) is np.float32
    assert one == logs[0, 0, 3]
    assert implementation.log_prob(x[0, 0], [3]).tolist() == [one]
    assert implementation.log_prob(x[0, 0].astype(float), np.int8(3)).dtype == np.float64
    for laid in (
        index.tolist(),
        index.astype(np.uint8),
        index.astype(">i8"),
        np.asfortranarray(index),
        index[::-1][::-1],
    ):
        assert (implementation.log_prob(x, laid) == np.take_along_axis(logs, index, -1)).all()
    # As many rows as draws of each: the batch shape means one a row.
    square = x[:, 0, :]
    assert implementation.log_prob(square, [4, 0]).shape == (2,)
    assert implementation.log_prob(square, [[4, 0], [1, 2]]).shape == (2, 2)
    # The batch is that of all parameters.
    swept = implementation.log_prob(square, index[:, :2, 0], [[0.5], [2.0]])
    assert swept.shape == (2, 2)
    assert swept[1, 0] == implementation.log_prob(square[0], index[1, 0, 0], 2.0)
    with pytest.raises(ValueError, match=r"\(2, 2\)"):
        implementation.log_prob(square, [0, 1], [[0.5], [2.0]])
    by_column = implementation.log_prob(np.moveaxis(x, -1, 0), index, axis=0)
    assert (by_column == implementation.log_prob(x, index)).all()
    many = np.random.default_rng(3).normal(size=(4000, 40))
    at = np.random.default_rng(4).integers(0, 40, (4000, 2))
    assert (implementation.log_prob(many, at, workers=2) == implementation.log_prob(many, at)).all()


def test_nothing_to_look_up(implementation):
    assert implementation.log_prob(np.zeros((0, 4)), np.zeros(0, int)).shape == (0,)
    assert implementation.log_prob(np.zeros((3, 0)), np.zeros((3, 0), int)).shape == (3, 0)
    with pytest.raises(ValueError, match="row 0"):
        implementation.log_prob(np.zeros((3, 0)), [0, 0, 0])
    for k_dtype, x in ((np.float32, np.zeros((2, 0), np.float32)), (np.float64, np.zeros((2, 0)))):
        logs, indices = implementation.top_log_probs(x, 0)
        assert (logs.shape, indices.shape, logs.dtype, indices.dtype) == ((2, 0), (2, 0), k_dtype, np.int64)
        numbers, masses = implementation.support(x, top_k=2)
        assert numbers.tolist() == [0, 0]
        assert np.isnan(masses).all()
        assert np.isnan(implementation.entropy(x)).all()
    for shape in ((0, 4), (2, 0, 4)):
        logs, indices = implementation.top_log_probs(np.zeros(shape), 3)
        assert logs.shape == indices.shape == (*shape[:-1], 3)
        assert implementation.entropy(np.zeros(shape), top_p=0.5).shape == shape[:-1]
        assert [part.shape for part in implementation.support(np.zeros(shape))] == [shape[:-1]] * 2


def test_draws_have_the_log_prob_of_log_prob(implementation, dtype):
    for n in (3, 70, 1030):
        x, t, parameters, _ = filter_rows.batch(n, dtype, False)
        drawn, logs = implementation.sample(x, t, rng=5, num_samples=4, return_log_prob=True, **parameters)
        assert implementation.log_prob(x, drawn, t, **parameters).tobytes() == logs.tobytes()
        assert (logs > -INF).all()


def check_best(implementation, x, t, k):
    """Best first in the order, and log_softmax there to the bit; -1 and -inf where there are no more."""
    logs, indices = implementation.top_log_probs(x, k, t)
    assert (logs.shape, indices.shape) == ((len(x), k), (len(x), k))
    assert (logs.dtype, indices.dtype) == (working(x.dtype), np.int64)
    right = wide_log_softmax(implementation, x, t)
    for i, row in enumerate(x):
        order = brute_force.order_of(row.astype(float).tolist())[:k]
        assert indices[i].tolist() == order + [-1] * (k - len(order))
        assert logs[i, : len(order)].tobytes() == right[i, order].tobytes()
        assert (logs[i, len(order) :] == -INF).all()


def test_top_log_probs(implementation, dtype):
    for n in (*range(1, 20), 63, 64, 65, 1000, 1025, 2049):
        x = filter_rows.some_rows(n, dtype)
        t = filter_rows.settings(n, len(x))[0]
        for k in sorted({0, 1, min(2, n), min(5, n), min(40, n), n // 2, n - 1, n}):
            check_best(implementation, x, t, k)
    few = brute_force.order_of(x[11].astype(float).tolist())
    assert len(few) < n  # rows where -1 follows


def test_top_log_probs_of_odd_rows(implementation, dtype):
    x = np.array([[1, NAN, 3], [-INF] * 3, [1, 2, 2], [-INF, 0, -INF], [INF, 1, INF]], dtype)
    for t in (0.0, 0.5, INF):
        logs, indices = implementation.top_log_probs(x, 3, t)
        assert indices.tolist() == [[-1] * 3, [-1] * 3, [1, 2, 0], [1, -1, -1], [0, 2, 1]]
        assert np.isnan(logs[:2]).all()
        assert logs[3].tolist() == [0, -INF, -INF]
        assert np.allclose(logs[4], [-math.log(2), -math.log(2), -INF], rtol=1e-6)
    assert implementation.top_log_probs(x, 3, 0)[0][2].tolist() == [0, -INF, -INF]
    assert np.allclose(implementation.top_log_probs(x, 3, INF)[0][2], -math.log(3), rtol=1e-6)


def test_shapes_of_top_log_probs(implementation):
    x = np.random.default_rng(1).normal(size=(2, 6, 3)).astype(np.float32)
    logs, indices = implementation.top_log_probs(x, 4, axis=1)
    assert logs.shape == indices.shape == (2, 3, 4)
    for i, j in np.ndindex(2, 3):
        alone = implementation.top_log_probs(x[i, :, j], 4)
        assert alone[0].tolist() == logs[i, j].tolist()
        assert alone[1].tolist() == indices[i, j].tolist()
    swept = implementation.top_log_probs(x, 2, [[[0.5]], [[2.0]]], axis=1)
    assert swept[0].shape == swept[1].shape == (2, 2, 3, 2)
    many = np.random.default_rng(3).normal(size=(3000, 50))
    one, shared = (implementation.top_log_probs(many, 5, workers=workers) for workers in (1, 2))
    assert (one[0] == shared[0]).all()
    assert (one[1] == shared[1]).all()
    assert implementation.top_log_probs([3, 1, 2], 2)[1].tolist() == [0, 2]  # integers


@LAST
def test_entropy(implementation, dtype, last):
    for n in filter_rows.SIZES:
        x, t, parameters, prefixes = filter_rows.batch(n, dtype, last)
        numbers = implementation.support(x, t, **parameters)[0]
        right = brute_force.entropies(*brute_force.distribution(brute_force.keep(x, prefixes, numbers), t))
        got = implementation.entropy(x, t, **parameters)
        assert (got.dtype, got.shape) == (working(dtype), (len(x),))
        tolerance = ENTROPY_TOLERANCE[working(dtype).name]
        assert (np.abs(got - right) <= tolerance * np.maximum(right, 1)).all(), n
        assert (got >= 0).all()
        assert (got[(numbers == 1) | ((t == 0) & (x.max(axis=-1) < INF))] == 0).all()


def test_entropy_of_odd_rows(implementation, dtype):
    x = np.array([[1, NAN, 3], [-INF] * 3, [2, 2, 2], [-INF, 0, -INF], [INF, 1, INF], [0, 700, 0]], dtype)
    for filters in ({}, {"top_k": 3}, {"min_p": 1e-300}, {"top_p": 1 - 2.0**-30}):
        got = implementation.entropy(x, **filters)
        right = [NAN, NAN, math.log(3), 0, math.log(2), 0]
        ulp = 3 * np.finfo(working(dtype)).eps
        assert np.allclose(got, right, rtol=ulp, atol=1e-300, equal_nan=True)  # float64 may keep what exp(-700) gives
        cold = implementation.entropy(x, 0, **filters)
        assert np.allclose(cold, [NAN, NAN, 0, 0, math.log(2), 0], rtol=3e-7, atol=0, equal_nan=True)
        hot = implementation.entropy(x, INF, **filters)
        assert np.allclose(hot[2:], np.log([3, 1, 2, 3]), rtol=3e-7, atol=0)
    assert type(implementation.entropy(x[2])) is working(dtype).type
    assert implementation.entropy(x.T, axis=0).tobytes() == implementation.entropy(x).tobytes()


def test_support_without_filters(implementation, dtype):
    x = np.array([[1, NAN, 3], [-INF] * 3, [2, -99, 2], [-INF, 0, -INF], [INF, 1, INF], [-INF, INF, 1]], dtype)
    for t in (0, 1e-30, 0.7, 1.0, INF):
        number, mass = implementation.support(x, t)
        assert number.tolist() == [0, 0, 3, 1, 2, 1]
        assert np.array_equal(mass, [NAN, NAN, 1, 1, 1, 1], equal_nan=True)
    number, mass = implementation.support(x[2])
    assert (type(number), type(mass)) == (np.int64, working(dtype).type)
    swept = implementation.support(x, [[1.0], [2.0]], top_k=[[[1]], [[2]], [[3]]])
    assert [part.shape for part in swept] == [(3, 2, 6)] * 2
    assert [part.tobytes() for part in implementation.support(x.T, axis=0)] == [
        part.tobytes() for part in implementation.support(x)
    ]


def test_the_mass_is_what_the_filters_lost(implementation, dtype):
    """Of the distribution without filters: top_k's loss counts where top_p follows."""
    x = np.log(np.array([0.5, 0.25, 0.15, 0.1])).astype(dtype)
    exactly = exact.softmax(x[None], [1.0])[0].astype(float)
    for filters, number in (
        ({"top_k": 2}, 2),
        ({"top_p": 0.6}, 2),
        ({"top_k": 2, "top_p": 0.7}, 2),
        ({"top_k": 2, "top_p": 0.6}, 1),  # 0.5 of 0.75
        ({"min_p": 0.25}, 3),
        ({"top_k": 3, "min_p": 0.4, "temperature_last": True}, 2),
    ):
        kept, mass = implementation.support(x, **filters)
        assert kept == number
        assert abs(mass - exactly[:number].sum()) < ENTROPY_TOLERANCE[working(dtype).name]


def test_integers_by_another_name(implementation):
    """Long long is int64 by another name."""
    index = np.array([0, 1, 2], "q")
    x = np.random.default_rng(0).normal(size=(3, 5))
    assert implementation.log_prob(x, index).tobytes() == implementation.log_prob(x, index.astype(np.int64)).tobytes()
    assert implementation.softmax(x, top_k=index).tobytes() == implementation.softmax(x, top_k=[0, 1, 2]).tobytes()


@pytest.mark.skipif(implementations.KERNELS is None, reason="tempsoft._kernels is not built")
@pytest.mark.parametrize("path", ["", ".__wrapped__"])
def test_input_that_changes_meanwhile(path):
    """Values are undefined where another thread changes the input during a call, but indices are of the row, and
    nothing crashes. NaN in any lane, as some are lost where the largest is looked for.
    """
    done = implementations.in_a_new_process(
        f"""
import sys, threading, time
import numpy as np, tempsoft
x, index, end = np.zeros((600, 60), np.float32), np.zeros(600, np.int64), time.monotonic() + 1.5
def change():
    at = 0
    while time.monotonic() < end:
        at = (at + 1) % 60
        index[:], x[:, at] = 1 << 40, np.nan
        index[:], x[:, at] = 0, 1
thread = threading.Thread(target=change)
sys.setswitchinterval(1e-6)
thread.start()
while time.monotonic() < end:
    try:
        _, best = tempsoft.top_log_probs{path}(x, 5)
        assert ((-1 <= best) & (best < 60)).all()
        tempsoft.log_prob{path}(x, index)
    except ValueError:
        pass
thread.join()
"""
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_what_has_all_the_mass(compiled, dtype):
    """Its log-probability is 0, whatever is rounded on the way."""
    x = (10 * np.random.default_rng(1).normal(size=(2000, 1))).astype(dtype)
    peaked = np.concatenate([x - np.asarray(200, x.dtype), x, x - np.asarray(300, x.dtype)], axis=1)
    for t in (1e-4, 0.05, 0.1, 0.3, 0.7, 0.9, 1.0, 1.3, 1.7, np.linspace(0.01, 2, 2000)):
        assert (compiled.log_softmax(x, t) == 0).all()
        assert (compiled.log_softmax(peaked, t)[:, 1] == 0).all()
        assert (compiled.log_softmax(peaked.T.copy(), t, axis=0)[1] == 0).all()
        assert (compiled.log_prob(peaked, np.ones(2000, int), t) == 0).all()
        assert (compiled.top_log_probs(peaked, 1, t)[0] == 0).all()
        assert (compiled.sample(peaked, t, top_k=1, rng=1, return_log_prob=True)[1] == 0).all()
