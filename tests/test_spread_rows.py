"""Long rows of which top_p keeps many entries: what is known of them before the cut serves after it, to the bit.

They are divided at two pivots while their exponentials are made, and sums of what the cut leaves are made of the parts.
A row in which the rest is -inf from the beginning has neither pivots nor a cut, and must give the same.
"""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest

INF = np.inf
DTYPES = ["float16", ml_dtypes.bfloat16, "float32", "float64"]


def normal(rng, n):
    return rng.normal(0, 1, n)


def wide(rng, n):
    return rng.normal(0, 2, n)


def all_equal(rng, n):
    return np.full(n, 0.3)


def rounded(rng, n):
    """Hundreds of entries equal the one that is cut into."""
    return rng.normal(0, 1, n).round(1)


def masked(rng, n):
    return np.where(rng.random(n) < 0.4, -INF, rng.normal(0, 1, n))


def masked_in_blocks(rng, n):
    """Blocks without an entry, the last one among them."""
    return np.where(np.arange(n) // 1024 % 3 == n // 1024 % 3, -INF, rng.normal(0, 1, n))


def low_at_first(rng, n):
    """Exponentials of blocks that count are relative to powers of two that differ."""
    x = rng.normal(0, 0.5, n)
    x[:64] -= 30
    x[3000] = 10
    return x


def nothing_at_first(rng, n):
    x = rng.normal(0, 0.5, n)
    x[:1024] -= 500
    return x


def ascending(rng, n):
    return np.sort(rng.normal(0, 1, n))


def rare_groups(rng, n):
    """A glance at some groups is likely to miss those that have most of the mass."""
    return rng.normal(0, 0.5, n) + np.where(np.arange(n) // 64 % 50 == 17, 5, 0)


def mixed_groups(rng, n):
    """Groups differ more than their entries do, so that a glance knows little of the sum."""
    return rng.normal(0, 0.1, n) + np.repeat(rng.normal(0, 1.5, n // 64 + 1), 64)[:n]


def far_apart(rng, n):
    """What is left differs by more than sums of floats are exact for."""
    return rng.uniform(-25, 0, n)


ROWS = [normal, wide, all_equal, rounded, masked, masked_in_blocks, low_at_first, nothing_at_first, ascending]
ROWS += [rare_groups, mixed_groups, far_apart]


def kept_by_hand(x, t, p, slack):
    """Which entries of a row of floats top_p keeps, and whether that is beyond doubt."""
    e = np.exp((x - x.max()) / t)
    order = np.lexsort((np.arange(len(x)), -x))
    cumulative = np.cumsum(e[order]) / e.sum()
    number = np.searchsorted(cumulative, p) + 1
    is_sure = np.abs(cumulative - p).min() > slack
    kept = np.zeros(len(x), bool)
    kept[order[:number]] = True
    return kept & (x > -INF), is_sure


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", ROWS)
@pytest.mark.parametrize("n", [4096, 5001, 40_000])
def test_what_is_left(compiled, make, n, dtype):
    rng = np.random.default_rng(n)
    x = make(rng, n).astype(dtype)
    u = (np.arange(500) + rng.random(500)) / 500
    slack = 1e-12 if dtype == "float64" else 1e-6
    few_left_out = [] if dtype == "float16" else [1 - 1e-6]  # float16 has 0 for some that are left
    n_sure = 0
    for t in (1.0, 0.6, 2.0):
        for p in (0.02, 0.5, 0.9, 0.999, *few_left_out):
            probabilities = compiled.softmax(x, t, top_p=p)
            kept, is_sure = kept_by_hand(x.astype(float), t, p, slack)
            if is_sure:
                n_sure += 1
                assert ((probabilities > 0) == kept).all()
            left = np.where(probabilities > 0, x, np.array(-INF, dtype))
            assert probabilities.tobytes() == compiled.softmax(left, t).tobytes()
            draws = compiled.sample(x, t, top_p=p, u=u, num_samples=500)
            assert (draws == compiled.sample(left, t, u=u, num_samples=500)).all()
            for others in ({"min_p": 1e-30}, {"return_log_prob": True}):
                again = compiled.sample(x, t, top_p=p, u=u, num_samples=500, **others)
                assert (draws == (again[0] if isinstance(again, tuple) else again)).all()
    assert n_sure > 0 or make is all_equal


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", [normal, rounded, masked, low_at_first])
def test_what_is_left_at_another_temperature(compiled, make, dtype):
    """The filter looks at a temperature of 1, where exponentials were kept that are not those of the row."""
    rng = np.random.default_rng(1)
    x = make(rng, 5000).astype(dtype)
    u = (np.arange(300) + rng.random(300)) / 300
    for p in (0.5, 0.9, 0.999):
        left = np.where(compiled.softmax(x, top_p=p) > 0, x, np.array(-INF, dtype))
        for t in (0.6, 2.0, 0.0, INF, 1.0):
            probabilities = compiled.softmax(x, t, top_p=p, temperature_last=True)
            assert probabilities.tobytes() == compiled.softmax(left, t).tobytes()
            draws = compiled.sample(x, t, top_p=p, temperature_last=True, u=u, num_samples=300)
            assert (draws == compiled.sample(left, t, u=u, num_samples=300)).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_blocks_far_below(compiled, dtype):
    """However many bits below the rest, blocks that hold nothing are nothing to the search."""
    x = np.random.default_rng(1).normal(0, 1, 8192)
    for bits in (150, 160, 210, *range(2035, 2055), 4096, *range(6130, 6150)):
        row = x.copy()
        row[:1024] -= bits * np.log(2)
        row = row.astype(dtype)
        kept, is_sure = kept_by_hand(row.astype(float), 1.0, 0.9, 1e-6)
        assert is_sure
        assert ((compiled.softmax(row, top_p=0.9) > 0) == kept).all()


def test_the_last_category_of_next_to_all(compiled):
    """A min_p that removes nothing moves no cut, though sums in another order would where entries are 1e-16 of all."""
    rng = np.random.default_rng(2)
    for deviation in (3, 5):
        x = np.sort(rng.normal(0, deviation, 140_001)).astype("float32")
        p = 1 - 10 ** rng.uniform(-12.5, -11.5, 200)
        number, _ = compiled.support(x, 0.5, top_p=p)
        assert (number == compiled.support(x, 0.5, top_p=p, min_p=1e-300)[0]).all()


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rows_among_others(compiled, dtype):
    """Nothing of a spread row is left for the next, which is of another kind or lies otherwise in memory."""
    rng = np.random.default_rng(5)
    x = np.stack([make(rng, 5000) for make in ROWS] + [rng.normal(0, 9, 5000), np.full(5000, -INF)]).astype(dtype)
    x = np.repeat(x, 2, axis=0)
    u = rng.random(len(x))
    top_p = np.where(np.arange(len(x)) % 2, 1.0, 0.9)
    for filters in ({"top_p": 0.9}, {"top_p": top_p}, {"top_p": 0.9, "temperature_last": True}):
        each = [{k: v[i] if np.ndim(v) else v for k, v in filters.items()} for i in range(len(x))]
        right = [compiled.softmax(row, 0.7, **each[i]) for i, row in enumerate(x)]
        draws = [compiled.sample(row, 0.7, u=u[i], on_invalid="mark", **each[i]) for i, row in enumerate(x)]
        for logits, axis in ((x, -1), (np.ascontiguousarray(x.T), 0), (np.ascontiguousarray(x[:, ::-1])[:, ::-1], -1)):
            result = np.moveaxis(compiled.softmax(logits, 0.7, axis=axis, **filters), axis, -1)
            assert result.tobytes() == np.stack(right).tobytes()
            result = compiled.sample(logits, 0.7, axis=axis, u=u, on_invalid="mark", **filters)
            assert (result == draws).all()
