"""Rows whose largest entries come late: exponentials are scaled by the first 64 entries until a block exceeds that.

A block may exceed it by 53 bits (float32) or 255 (float64) before its exponentials are made again. These rows climb by
about that much, by much more, and in several steps; and hold NaN and infinities where nobody looks for them first.
"""

from __future__ import annotations

import exact
import numpy as np
import pytest

PLACES = (64, 100, 1023, 1024, 1500, 2047, 2048, 3000)
BORDER = (53.87, 53.93, 54.06, 55.87, 55.93, 56.06)  # n of float32 is in eighths, and c is 0 or 2
BEYOND = (100, 126, 149, 176, 200, 1e3, 3e4, 4e4)
CLIMBS = {
    np.float32: (1, 20, 23, 24.5, 35, 36, 37, 51.5, 52, 52.5, 53, 53.5, 54, 54.5, 55, *BORDER, 58, 74, *BEYOND),
    np.float64: (1, 100, 253.5, 254, 254.5, 255, 255.5, 256, 257, 258, 300, 900, 1022, 1074, 1332, 2e3, 1e6, 1e9, 3e9),
}


def climbing(dtype, n=3001):
    """A row for each climb in bits and place: normal logits, and one that much higher."""
    cases = [(bits, place) for bits in CLIMBS[dtype] for place in PLACES]
    x = np.random.default_rng(5).normal(0, 0.3, (len(cases), n))
    for row, (bits, place) in zip(x, cases, strict=True):
        row[place] = bits * np.log(2)
    return x.astype(dtype)


def stairs(dtype, n=6000):
    """Rows that climb at each block, by steps of some bits; some have nothing but -inf at first."""
    steps = np.array([0.5, 5, 20, 36, 52, 54, 130, 500])[:, None] * np.log(2)
    x = np.random.default_rng(6).normal(0, 1, (8, n)) + np.arange(n) // 1024 * steps
    x = np.concatenate([x, x, x[:, ::-1]])
    x[8:12, :64] = -np.inf
    x[12:16, :1100] = -np.inf
    return x.astype(dtype)


@pytest.fixture(params=[np.float32, np.float64], ids=["float32", "float64"])
def dtype(request):
    return request.param


@pytest.mark.parametrize("make", [climbing, stairs])
def test_accuracy(compiled, dtype, make):
    x = make(dtype)
    for t in (1.0, 0.25, 3.0):
        assert exact.worst_probability(compiled.softmax(x, t), exact.softmax(x, np.full(len(x), t))) <= 3
        right = exact.log_softmax(x, np.full(len(x), t))
        assert exact.worst_logarithm(compiled.log_softmax(x, t), right) <= 3
        assert exact.worst_logarithm(compiled.logsumexp(x, t), exact.logsumexp(x, np.full(len(x), t))) <= 3


@pytest.mark.parametrize("make", [climbing, stairs])
def test_columns_and_strided_rows_are_rows(compiled, dtype, make):
    x = make(dtype)
    apart = np.zeros((len(x), 2 * x.shape[1]), dtype)[:, ::2]
    apart[...] = x
    for function in (compiled.softmax, compiled.log_softmax):
        alone = np.stack([function(row) for row in x])
        assert function(x).tobytes() == alone.tobytes()
        assert function(apart).tobytes() == alone.tobytes()
        assert np.ascontiguousarray(function(np.ascontiguousarray(x.T), axis=0).T).tobytes() == alone.tobytes()
        in_place = np.ascontiguousarray(x.T)
        function(in_place, axis=0, out=in_place)
        assert np.ascontiguousarray(in_place.T).tobytes() == alone.tobytes()
    in_place = x.copy()
    assert compiled.softmax(in_place, out=in_place).tobytes() == compiled.softmax(x).tobytes()


@pytest.mark.parametrize("make", [climbing, stairs])
def test_draws(compiled, dtype, make):
    """Each draw is right by the probabilities, whether or not their logarithms are asked for."""
    x = make(dtype)
    u = np.tile([0.0, 1e-30, 1e-9, 0.1, 0.5, 0.9, 1 - 2**-53], (len(x), 1))
    draws, log_probs = compiled.sample(x, u=u, num_samples=7, return_log_prob=True)
    assert (draws == compiled.sample(x, u=u, num_samples=7)).all()
    assert (log_probs == np.take_along_axis(compiled.log_softmax(x), draws, axis=1)).all()
    p = exact.softmax(x, np.ones(len(x)))
    above = np.cumsum(p, axis=1)
    within = 1e-6 if dtype == np.float32 else 1e-12
    assert (u < np.take_along_axis(above, draws, axis=1) + within).all()
    assert (u >= np.take_along_axis(above - p, draws, axis=1) - within).all()
    assert (np.take_along_axis(compiled.softmax(x), draws, axis=1) > 0).all()


@pytest.mark.parametrize("place", PLACES)
def test_what_hides_behind_the_first_entries(compiled, dtype, place):
    x = np.random.default_rng(7).normal(0, 1, (32, 3001)).astype(dtype)
    for value in (np.nan, -np.nan, np.inf):
        y = x.copy()
        y[3, place] = value
        right = np.full(3001, np.nan) if np.isnan(value) else np.arange(3001) == place
        for probabilities in (compiled.softmax(y), compiled.softmax(np.ascontiguousarray(y.T), axis=0).T):
            assert np.array_equal(probabilities[3], right, equal_nan=True)
            assert probabilities[4].tobytes() == compiled.softmax(x[4]).tobytes()
        assert np.array_equal(compiled.logsumexp(y)[3], abs(value), equal_nan=True)
        draw = compiled.sample(y, rng=1, on_invalid="mark")
        assert draw[3] == (-1 if np.isnan(value) else place)


def test_mass_kept_where_only_the_cut_row_is_out_of_reach(compiled, dtype):
    """The first group is in reach of the fast formula, and what a filter keeps is not; and the other way round."""
    limit = {np.float32: 2.0**15, np.float64: 2.0**30}[dtype]
    for first, last, top_k in [(-8, 1, 1), (-3, 2, 1), (-40, 1, 2), (1, -8, 1), (1, -1, 90)]:
        x = np.full(100, (limit + first) * np.log(2), dtype)
        x[-1] = (limit + last) * np.log(2)
        if first > 0:
            x = -x
        probabilities = exact.softmax(x[None], np.ones(1))[0]
        count, mass = compiled.support(x, top_k=top_k)
        assert count == top_k
        right = float(np.sort(probabilities)[::-1][:top_k].sum())
        assert abs(float(mass) - right) <= 4 * np.finfo(dtype).eps * right
