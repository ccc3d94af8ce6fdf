"""Short rows, many of which are drawn from together, give the draws that each gives by itself."""

from __future__ import annotations

import itertools
from functools import partial

import numpy as np
import pytest
from test_short_filters import DTYPES, LENGTHS, N_ROWS, rows_of
from ways import as_bytes, one_by_one

KINDS = ["usual", "ties", "masked", "odd"]
LAST_U = 1 - 2.0**-53


def numbers(n, n_draws):
    u = np.random.default_rng(n).random((N_ROWS, n_draws))
    u[::7], u[3::7] = 0, LAST_U
    return u


def weights_of(n, kind, dtype):
    """Of the rows that kind has: zeros for -inf and ties, and where it is odd what no weight is, or hardly."""
    weights = np.exp2(rows_of(n, kind))
    if kind == "ties":
        weights = np.abs(np.round(rows_of(n, kind) / 2))  # with -0
    if kind == "odd":
        tiny, huge = (float(limit) for limit in (np.finfo(np.float16).tiny, np.finfo(np.float16).max))
        weights[10, 0], weights[70], weights[130, -1], weights[100, 0] = -1.0, 0.0, tiny, huge
    return weights.astype(dtype)


def check(draw, x, u, **options):
    for replace, logs in itertools.product([True, False], [True, False]):
        options |= {"replace": replace, "return_log_prob": logs, "on_invalid": "mark", "num_samples": u.shape[1]}
        together = draw(x, u=u, **options)
        assert as_bytes(together) == as_bytes(one_by_one(draw, x, {"u": u}, **options))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", LENGTHS)
def test_logits(compiled, n, dtype):
    for kind, n_draws in itertools.product(KINDS, [1, 2, 11]):
        check(partial(compiled.sample, temperature=0.7), rows_of(n, kind).astype(dtype), numbers(n, n_draws))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", LENGTHS)
def test_weights(compiled, n, dtype):
    for kind, n_draws in itertools.product(KINDS, [1, 2, 11]):
        check(compiled.sample_weights, weights_of(n, kind, dtype), numbers(n, n_draws))


@pytest.mark.parametrize("n", [3, 10, 33])
def test_many_draws(compiled, n):
    """So many of a row that each is made of fewer rows together, or of one."""
    for n_draws in (60, 700):
        u = numbers(n, n_draws)
        check(compiled.sample, rows_of(n, "odd").astype(np.float32), u)
        check(compiled.sample_weights, weights_of(n, "masked", np.float64), u)


@pytest.mark.parametrize("dtype", DTYPES)
def test_columns(compiled, dtype):
    """As they lie, or turned into rows."""
    for n, n_draws in itertools.product([2, 12, 20], [1, 3]):
        x, u = rows_of(n, "usual").astype(dtype), numbers(n, n_draws)
        for replace in (True, False):
            options = {"num_samples": n_draws, "replace": replace, "return_log_prob": True, "on_invalid": "mark"}
            rows = compiled.sample(x, u=u, **options)
            assert as_bytes(compiled.sample(x.T.copy(), u=u, axis=0, **options)) == as_bytes(rows)
            weights = weights_of(n, "masked", dtype)
            rows = compiled.sample_weights(weights, u=u, **options)
            assert as_bytes(compiled.sample_weights(weights.T.copy(), u=u, axis=0, **options)) == as_bytes(rows)
