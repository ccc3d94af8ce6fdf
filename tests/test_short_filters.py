"""Short rows, many of which are cut together, keep what each keeps by itself."""

from __future__ import annotations

import itertools
from functools import partial

import ml_dtypes
import numpy as np
import pytest
from test_team import shared_from
from ways import as_bytes, one_by_one

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = ["float16", BFLOAT16, "float32", "float64"]
N_ROWS = 139  # four tiles of float32 and some rows
LENGTHS = [2, 3, 7, 10, 17, 33, 65, 128]
OF_ROWS = np.arange(N_ROWS)
FILTERS = {
    "top_k": {"top_k": 3},
    "top_k of each": {"top_k": OF_ROWS % 7 - 1},
    "top_p": {"top_p": 0.8},
    "top_p of each": {"top_p": OF_ROWS % 11 / 10},
    "min_p": {"min_p": 0.1},
    "min_p of each": {"min_p": OF_ROWS % 11 / 10, "temperature": 0.3},
    "all": {"top_k": 5, "top_p": 0.9, "min_p": 0.05, "temperature": 1.7},
    "all of each": {"top_k": OF_ROWS % 9, "top_p": 1 - OF_ROWS % 5 / 10, "min_p": OF_ROWS % 3 / 20},
    "temperature last": {"top_k": 6, "top_p": 0.7, "temperature": 0.1, "temperature_last": True},
    "several temperatures": {"top_p": 0.7, "temperature": np.where(OF_ROWS < 40, 0.5, 1.0)},
    "limits": {"top_k": 4, "temperature": np.array([0.0, 1.0, np.inf])[OF_ROWS // 32 % 3]},
    "far": {"top_p": 0.9, "temperature": 1e-30},
}
FUNCTIONS = {
    "softmax": lambda of, x, u, **filters: of.softmax(x, **filters),
    "log_softmax": lambda of, x, u, **filters: of.log_softmax(x, **filters),
    "entropy": lambda of, x, u, **filters: of.entropy(x, **filters),
    "support": lambda of, x, u, **filters: of.support(x, **filters),
    "log_prob": lambda of, x, u, **filters: of.log_prob(x, (u[..., 0] * x.shape[-1]).astype(int), **filters),
    "sample": lambda of, x, u, **filters: of.sample(
        x, u=u, num_samples=3, return_log_prob=True, on_invalid="mark", **filters
    ),
    "without replacement": lambda of, x, u, **filters: of.sample(
        x, u=u, num_samples=3, replace=False, return_log_prob=True, on_invalid="mark", **filters
    ),
}


def rows_of(n, kind):
    rng = np.random.default_rng(n)
    x = rng.normal(0, 3, (N_ROWS, n))
    if kind == "ties":
        x = np.round(x / 2)
        x[::5] = 1.0
        x[3::10, ::2] = -0.0
        x[4::10] = 0.0
    elif kind == "masked":
        x[rng.random(x.shape) < 0.5] = -np.inf
        x[np.isneginf(x).all(axis=1), 0] = 0.0
    elif kind == "odd":  # in one tile of four
        x[33, 0], x[34, -1], x[40], x[41, 0] = np.nan, np.inf, -np.inf, np.inf
    return x


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FILTERS)
def test_together_and_one_by_one(compiled, name, dtype):
    of_each = {key: value for key, value in FILTERS[name].items() if isinstance(value, np.ndarray)}
    of_all = {key: value for key, value in FILTERS[name].items() if key not in of_each}
    for n, kind in itertools.product(LENGTHS, ["usual", "ties", "masked", "odd"]):
        if n > 33 and kind != "usual":
            continue
        x = rows_of(n, kind).astype(dtype)
        u = np.random.default_rng(n).random((N_ROWS, 3))
        few = [FUNCTIONS["softmax"], FUNCTIONS["support"]]
        for function in FUNCTIONS.values() if n in (3, 17) else few:
            together = function(compiled, x, u, **FILTERS[name])
            alone = one_by_one(partial(function, compiled), x, {"u": u, **of_each}, **of_all)
            assert as_bytes(together) == as_bytes(alone)


@pytest.mark.parametrize("n", range(2, 13))
def test_every_order(compiled, n):
    """A network of exchanges that sorts all rows of zeros and ones sorts every row."""
    x = np.array(list(itertools.product([0.0, 1.0], repeat=n)), np.float32)
    x = np.tile(x, (-(-64 // len(x)), 1))
    n_ones = x.sum(axis=1)
    for k in range(1, n):
        kept = compiled.softmax(x, top_k=k) > 0
        np.testing.assert_array_equal(kept.sum(axis=1), k)
        np.testing.assert_array_equal((kept & (x == 1)).sum(axis=1), np.minimum(n_ones, k))


@pytest.mark.parametrize("n", [13, 16, 31, 32, 33, 64, 100, 127, 128])
def test_many_orders(compiled, n):
    rng = np.random.default_rng(n)
    x = rng.permuted(np.tile(np.arange(n, dtype=np.float32), (320, 1)), axis=1)
    for k in (1, 2, n // 2, n - 1):
        np.testing.assert_array_equal(compiled.softmax(x, 100.0, top_k=k) > 0, x >= n - k)


@pytest.mark.parametrize("name", FILTERS)
def test_layouts_and_workers(compiled, name):
    x = rows_of(10, "usual").astype(np.float32)
    right = as_bytes(compiled.softmax(x, **FILTERS[name]))
    for laid in (
        np.pad(x, ((0, 0), (1, 2)))[:, 1:-2],
        np.asfortranarray(x),
        x[::-1].copy()[::-1],
        x[:, ::-1].copy()[:, ::-1],
    ):
        assert as_bytes(compiled.softmax(laid, **FILTERS[name])) == right
    with shared_from(64):
        assert as_bytes(compiled.softmax(x, workers=2, **FILTERS[name])) == right
    out = x.copy()
    assert as_bytes(compiled.softmax(out, out=out, **FILTERS[name])) == right
