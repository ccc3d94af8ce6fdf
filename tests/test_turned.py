"""Columns that are turned into rows on the way have the bits of rows, whatever they are turned for."""

from __future__ import annotations

import contextlib

import ml_dtypes
import numpy as np
import pytest
from implementations import without_direct_path
from test_end_of_memory import at_the_end
from ways import as_bytes, past_the_cache

import tempsoft
from tempsoft import calls

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
DTYPES = ["float16", BFLOAT16, "float32", "float64"]
OPTIONS = {"on_invalid": "mark", "return_log_prob": True, "num_samples": 2}
FUNCTIONS = {
    "softmax": lambda of, x, t, u, axis, **o: of.softmax(x, t, axis=axis, **o),
    "log_softmax": lambda of, x, t, u, axis, **o: of.log_softmax(x, t, axis=axis, **o),
    "softmax, top_p": lambda of, x, t, u, axis, **o: of.softmax(x, t, top_p=0.8, axis=axis, **o),
    "log_softmax, top_k of each": lambda of, x, t, u, axis, **o: of.log_softmax(
        x, t, top_k=1 + np.arange(len(u)) % 5, axis=axis, **o
    ),
    "logsumexp": lambda of, x, t, u, axis: of.logsumexp(x, t, axis=axis),
    "entropy": lambda of, x, t, u, axis: of.entropy(x, t, axis=axis),
    "entropy, min_p": lambda of, x, t, u, axis: of.entropy(x, t, min_p=0.1, axis=axis),
    "support": lambda of, x, t, u, axis: of.support(x, t, top_p=0.5, axis=axis),
    "log_prob": lambda of, x, t, u, axis: of.log_prob(x, np.arange(len(u)) % x.shape[axis], t, axis=axis),
    "top_log_probs": lambda of, x, t, u, axis: of.top_log_probs(x, min(3, x.shape[axis]), t, axis=axis),
    "sample": lambda of, x, t, u, axis: of.sample(x, t, u=u, axis=axis, **OPTIONS),
    "sample, top_k": lambda of, x, t, u, axis: of.sample(x, t, u=u[:, 0], top_k=3, axis=axis, on_invalid="mark"),
    "sample_weights": lambda of, x, t, u, axis: of.sample_weights(np.abs(x), u=u, axis=axis, **OPTIONS),
}
MAPS = [name for name in FUNCTIONS if "softmax" in name]


def logits(n_rows, n, dtype):
    x = np.random.default_rng(n).normal(0, 3, (n_rows, n))
    x[3, -1], x[5, 0], x[7, : n // 2], x[9] = np.nan, np.inf, -np.inf, 0.0
    return x.astype(dtype)


def as_rows(result):
    return np.ascontiguousarray(result.T)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [2, 3, 8, 12, 13, 17, 20, 21, 100, 129, 1000, 1025, 9000])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_columns_and_rows(compiled, name, n, dtype):
    function = FUNCTIONS[name]
    for n_rows in (15, 16, 17, 40, 333) if n < 1000 else (16, 70):
        x = logits(n_rows, n, dtype)
        u = np.random.default_rng(1).random((n_rows, 2))
        for t in (0.7, np.linspace(0.1, 2.0, n_rows)):
            right = function(compiled, x, t, u, -1)
            columns = as_rows(x)
            wide = np.pad(columns, ((0, 0), (2, 3)))[:, 2:-3]
            for laid in (columns, wide, columns[::-1].copy()[::-1]):
                result = function(compiled, laid, t, u, 0)
                if name in MAPS:
                    assert as_rows(result).tobytes() == right.tobytes()
                else:
                    assert as_bytes(result) == as_bytes(right)
                result = function(compiled, laid.T, t, u, -1)  # in Fortran's order
                assert as_bytes(result) == as_bytes(right)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [3, 40, 300])
@pytest.mark.parametrize("name", MAPS)
def test_outputs(compiled, name, n, dtype):
    """From rows to columns and back, in place, to another dtype, past the cache: nothing else is written."""
    function, n_rows = FUNCTIONS[name], 50
    x, u = logits(n_rows, n, dtype), np.zeros((n_rows, 1))
    right = function(compiled, x, 0.7, u, -1)
    for target in {np.dtype(dtype), np.dtype("float32" if np.dtype(dtype).itemsize == 2 else dtype)}:
        wide = function(compiled, x, 0.7, u, -1, out=np.empty(x.shape, target))
        for from_columns in (False, True):
            source = as_rows(x).T if from_columns else x
            for to_columns in (False, True):
                around = np.full((n + 2, n_rows + 3) if to_columns else (n_rows + 3, n + 2), 7, target)
                out = around[1:-1, 2:-1].T if to_columns else around[2:-1, 1:-1]
                for _ in range(2):
                    out[...] = 5
                    function(compiled, source, 0.7, u, -1, out=out)
                    assert np.ascontiguousarray(out).tobytes() == wide.tobytes()
                    out[...] = 7
                    assert (around == 7).all()
                with past_the_cache():
                    function(compiled, source, np.array(0.7), u, -1, out=out)
                assert np.ascontiguousarray(out).tobytes() == wide.tobytes()
    columns = as_rows(x).T
    function(compiled, columns, 0.7, u, -1, out=columns)
    assert np.ascontiguousarray(columns).tobytes() == right.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [2, 3, 12, 16, 33, 130, 1000])
def test_the_end_of_memory(compiled, n, dtype):
    """Whole vectors are read and written in scratch memory alone."""
    for n_rows in (16, 17, 31, 50):
        laid, out = at_the_end((n, n_rows), dtype), at_the_end((n, n_rows), dtype)
        laid[...] = as_rows(logits(n_rows, n, dtype))
        apart, u = laid.copy(), np.full((n_rows, 2), 0.5)
        for name, function in FUNCTIONS.items():
            if name == "sample_weights":
                continue  # makes new arrays
            assert as_bytes(function(tempsoft, laid, 0.7, u, 0)) == as_bytes(function(tempsoft, apart, 0.7, u, 0))
            if name in MAPS:
                function(tempsoft, laid, 0.7, u, 0, out=out)
                assert out.tobytes() == function(tempsoft, apart, 0.7, u, 0).tobytes()


def far_apart(x):
    """One column for which the c of all others does not do."""
    x[100] += 400


def below(x):
    """Quotients that are subnormal, and logits of -inf."""
    x[::3, 0] -= 95
    x[1::3, 0] = -np.inf


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [2, 3, 10, 20])
@pytest.mark.parametrize("change", [None, far_apart, below])
def test_few_categories(compiled, change, n, dtype):
    """Of columns that are all usual, many are taken together: to any type, in place, past the cache, to the end of
    memory.
    """
    n_rows = 151
    x = np.random.default_rng(n).normal(0, 2, (n_rows, n))
    if change:
        change(x)
    x = x.astype(dtype)
    columns, out = at_the_end((n, n_rows), dtype), at_the_end((n, n_rows), dtype)
    columns[...] = as_rows(x)
    aligned = at_the_end((n, 192), "float32" if np.dtype(dtype).itemsize == 2 else dtype)[:, :n_rows]
    assert as_bytes(compiled.logsumexp(columns, 0.7, axis=0)) == as_bytes(compiled.logsumexp(x, 0.7))
    for function in (compiled.softmax, compiled.log_softmax):
        right = as_rows(function(x, 0.7)).tobytes()
        function(columns, 0.7, axis=0, out=out)
        assert out.tobytes() == right
        wide = as_rows(function(x, 0.7, out=np.empty(x.shape, aligned.dtype)))
        function(columns, 0.7, axis=0, out=aligned)
        assert as_bytes(aligned) == as_bytes(wide)
        aligned[...] = 7
        with past_the_cache():
            function(columns, 0.7, axis=0, out=aligned)
        assert as_bytes(aligned) == as_bytes(wide)
        function(columns, 0.7, axis=0, out=columns)
        assert columns.tobytes() == right
        columns[...] = as_rows(x)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [2, 5, 20])
def test_one_category_many_times(compiled, n, dtype):
    """Categories that are all in one place: a step of 0."""
    numbers = at_the_end((40,), dtype)
    numbers[...] = np.random.default_rng(n).normal(0, 2, 40)
    columns = np.broadcast_to(numbers, (n, 40))
    for name in ("softmax", "log_softmax", "logsumexp"):
        function = getattr(compiled, name)
        assert as_bytes(function(columns, 0.7, axis=0)) == as_bytes(function(columns.copy(), 0.7, axis=0))


@pytest.mark.parametrize("n", [65_000, 66_000])
def test_rows_too_long_to_be_turned(compiled, n):
    x = np.random.default_rng(n).normal(0, 3, (16, n)).astype(np.float16)
    u = np.linspace(0, 0.99, 16)
    columns = as_rows(x)
    assert as_rows(compiled.softmax(columns, axis=0)).tobytes() == compiled.softmax(x).tobytes()
    assert compiled.sample(columns, axis=0, u=u, top_k=50).tobytes() == compiled.sample(x, u=u, top_k=50).tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("workers", [2, 5])
def test_shared_columns(compiled, workers, dtype, monkeypatch):
    monkeypatch.setattr(calls, "SHARED_SLICE", 1 << 16)
    x = logits(5000, 70, dtype)
    right = as_bytes(compiled.sample(x, 0.7, rng=1, on_invalid="mark", return_log_prob=True))
    columns = as_rows(x)
    options = {"axis": 0, "workers": workers}
    for path in (contextlib.nullcontext, without_direct_path):
        with path():
            got = compiled.sample(columns, 0.7, rng=1, on_invalid="mark", return_log_prob=True, **options)
            assert as_bytes(got) == right
            got = compiled.softmax(columns, 0.7, **options)
            assert as_rows(got).tobytes() == compiled.softmax(x, 0.7).tobytes()
