"""The worst rows that adversarial/climb.py has found stay within the contract's 3 ulp."""

from __future__ import annotations

import json
import pathlib

import exact
import numpy as np
import pytest

STORED = pathlib.Path(__file__).parent / "adversarial" / "rows.json"
ROWS = json.loads(STORED.read_text(encoding="utf-8"))
BOUND = 3  # ulp
GROUPS = sorted({(row["function"], row["dtype"]) for row in ROWS})


def batch(row):
    logits = np.array([[float.fromhex(x) for x in row["logits"]]])
    assert (logits.astype(row["dtype"]) == logits).all()
    return logits.astype(row["dtype"]), np.array([float.fromhex(row["temperature"])])


def worst(name, got, logits, temperatures):
    measure = exact.worst_probability if name == "softmax" else exact.worst_logarithm
    return measure(got, getattr(exact, name)(logits, temperatures))


def check(implementation, row):
    logits, temperatures = batch(row)
    function = getattr(implementation, row["function"])
    for got in (function(logits, temperatures), function(logits[0], temperatures[0])[None]):
        assert worst(row["function"], got, logits, temperatures) <= BOUND


def of_dtype(dtype):
    numbered = [pytest.param(row, id=f"{row['function']}-{i}") for i, row in enumerate(ROWS) if row["dtype"] == dtype]
    return pytest.mark.parametrize("row", numbered)


@of_dtype("float32")
def test_float32(implementation, row):
    check(implementation, row)


@pytest.mark.skipif(not exact.GOOD_FOR_FLOAT64, reason="long double is a plain double here")
@of_dtype("float64")
def test_float64(compiled, row):
    check(compiled, row)


def test_the_rows_are_hard():
    """Each function and dtype is there, and the usual float expression is off by more than the bound on most rows."""
    assert len(GROUPS) == 6
    assert len(ROWS) >= 36
    assert max(len(row["logits"]) for row in ROWS) <= 130
    missed = []
    for row in ROWS:
        logits, temperatures = batch(row)
        if row["function"] == "softmax":
            with np.errstate(all="ignore"):
                z = logits / temperatures.astype(row["dtype"])[:, None]
                weights = np.exp(z - z.max(axis=-1, keepdims=True))
                got = weights / weights.sum(axis=-1, keepdims=True)
            missed.append(worst("softmax", got, logits, temperatures) > BOUND)
    assert np.mean(missed) > 0.5
