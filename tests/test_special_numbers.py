"""tempsoft.special is accurate, also of the dtypes of which SciPy's numbers are wrong, and has the bits of tempsoft.

SciPy's integers overflow and its sums of float16 are in float16, so exact arithmetic is the yardstick here.
"""

from __future__ import annotations

import exact
import limits
import ml_dtypes
import numpy as np
import pytest
import scipy.special

import tempsoft
from tempsoft import special

INF, NAN = np.inf, np.nan
MAPS = ("softmax", "log_softmax")
RESULT_OF = {"int8": "float16", "uint8": "float16", "int16": "float32", "uint16": "float32"}


@pytest.mark.parametrize("dtype", ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64", "bool"])
def test_integers(compiled, dtype):
    """Of every size and sign: the softmax of the same numbers in float64, rounded once, in the dtype of SciPy."""
    compiled.must_have_run = True
    if dtype == "bool":
        x = np.array([True, False, True])
    else:
        info = np.iinfo(dtype)
        x = np.array([info.max, info.min, info.max - 1, info.min + 1, 3, info.max - 7], dtype)
    wide = x.astype(np.float64)
    right = {"softmax": exact.softmax(wide, 1.0), "log_softmax": exact.log_softmax(wide, 1.0)}
    result = np.dtype(RESULT_OF.get(dtype, "float64"))
    for name in MAPS:
        got = getattr(special, name)(x)
        assert got.dtype == result
        if result == np.float16:
            rounded = right[name].astype(np.float16)
            assert np.abs(got.view(np.int16) - rounded.view(np.int16)).max() <= 1
        else:
            worst = exact.worst_probability if name == "softmax" else exact.worst_logarithm
            assert worst(got, right[name]) <= 3
    log_sum = special.logsumexp(x)
    assert log_sum.dtype == np.float64
    assert exact.worst_logarithm(np.array([log_sum]), exact.logsumexp(wide, 1.0)) <= 3


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_long_sums_of_halves(compiled, dtype):
    """Sums that a half cannot hold or cannot count: 200000 equal shares, and a row of all sizes."""
    compiled.must_have_run = True
    dtype = limits.DTYPES[dtype]
    n = 200_000
    equal = special.softmax(np.zeros(n, dtype))
    assert equal.dtype == dtype
    assert (equal == np.float64(1 / n).astype(dtype)).all()
    x = np.random.default_rng(3).normal(0, 3, 20_000).astype(dtype)
    right = exact.log_softmax(x.astype(np.float64), 1.0)
    half_unit = np.spacing(np.abs(right).astype(dtype)).astype(np.float64) / 2
    got = special.log_softmax(x).astype(np.float64)
    assert (np.abs(got - right) <= half_unit + 3 * 2.0**-23 * np.maximum(np.abs(right), 1)).all()
    log_sum = special.logsumexp(x)
    right = exact.logsumexp(x.astype(np.float64), 1.0)
    if dtype == np.float16:
        assert log_sum.dtype == np.float16
        assert log_sum == right.astype(np.float16)
    else:  # SciPy takes bfloat16 here, and makes float64 of it
        assert log_sum.dtype == np.float64
        assert exact.worst_logarithm(np.array([log_sum]), right) <= 3
        assert log_sum.dtype == scipy.special.logsumexp(x[:3]).dtype


def test_float16_that_overflows():
    """The result does not fit, and nothing warns."""
    most = np.finfo(np.float16).max
    assert special.logsumexp(np.broadcast_to(most, 2**10)) == most
    assert special.logsumexp(np.broadcast_to(most, 2**24)) == INF  # log(2**24) is half a unit


WHERE = [
    ((50,), None), ((40, 70), None), ((40, 70), 0), ((40, 70), 1),
    ((6, 7, 8, 9), (0, 2)), ((6, 7, 8), (1, 2)), ((300, 300), None),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize(("shape", "axis"), WHERE, ids=str)
def test_accuracy(compiled, shape, axis, dtype):
    """3 ulp of exact arithmetic, over whichever axes."""
    if dtype == "float64" and not exact.GOOD_FOR_FLOAT64:
        pytest.skip("long double is a double")
    compiled.must_have_run = True
    axes = tuple(range(len(shape))) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    x = (20 + 6 * np.random.default_rng(5).normal(0, 1, shape)).astype(dtype)

    def as_rows(array):
        moved = np.moveaxis(array, axes, range(-len(axes), 0))
        return moved.reshape(*moved.shape[: -len(axes)], -1)

    rows = as_rows(x)
    ones = np.ones(rows.shape[:-1])
    for name, worst in (("softmax", exact.worst_probability), ("log_softmax", exact.worst_logarithm)):
        got = getattr(special, name)(x, axis=axis)
        assert got.flags.c_contiguous
        assert worst(as_rows(got), getattr(exact, name)(rows, ones)) <= 3
    got = special.logsumexp(x, axis=axis)
    assert exact.worst_logarithm(np.asarray(got), exact.logsumexp(rows, ones)) <= 3


@pytest.mark.parametrize("dtype", limits.DTYPES)
def test_the_bits_of_tempsoft(compiled, dtype):
    """However the numbers lie in memory, in whatever order the axes are named, with any number of threads."""
    compiled.must_have_run = True
    dtype = limits.DTYPES[dtype]
    x = np.random.default_rng(2).normal(0, 3, (60, 1500)).astype(dtype)
    padded = np.full((120, 3000), NAN).astype(dtype)
    padded[::2, ::2] = x
    read_only = x.copy()
    read_only.flags.writeable = False
    layouts = (x, np.asfortranarray(x), padded[::2, ::2], x.astype(dtype.newbyteorder()), read_only)
    for name in MAPS:
        function = getattr(special, name)
        for laid in layouts:
            before = laid.tobytes()
            assert function(laid, axis=1).tobytes() == getattr(tempsoft, name)(x).tobytes()
            assert function(laid, axis=-2).tobytes() == getattr(tempsoft, name)(x, axis=0).tobytes()
            whole = getattr(tempsoft, name)(x.reshape(-1))
            for axis in (None, (0, 1), (1, 0)):
                assert function(laid, axis=axis).tobytes() == whole.tobytes()
            with tempsoft.set_workers(2):
                assert function(laid, axis=1).tobytes() == getattr(tempsoft, name)(x).tobytes()
            assert laid.tobytes() == before
    if dtype != np.float16 and dtype != ml_dtypes.bfloat16:
        for laid in layouts:
            assert special.logsumexp(laid, axis=1).tobytes() == tempsoft.logsumexp(x).tobytes()
            assert special.logsumexp(laid) == tempsoft.logsumexp(x.reshape(-1))
