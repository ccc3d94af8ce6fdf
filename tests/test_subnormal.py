"""Probabilities at the end of the range of floats, where some CPUs are a hundred times slower, and masked logits.

The kernels do no arithmetic on subnormal numbers: they make such probabilities a power of two larger, where there may
be any, and bring them down by integers. Every way of working has a way of doing so, and all must agree.
"""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from ways import one_by_one, past_the_cache

LENGTHS = [2, 3, 10, 15, 16, 17, 33, 64, 100, 128, 129, 200, 1000, 1024, 1025, 3000, 8200]
# nats from the largest logit to where probabilities are subnormal, and to where they round to 0
FIRST_SUBNORMAL = {"float32": 87.34, "float64": 708.4}
LAST_SUBNORMAL = {"float32": 103.97, "float64": 745.13}


def rows(n, dtype, number=70):
    """Rows with subnormal probabilities, some more near the end of the range and some masked, among ordinary rows."""
    rng = np.random.default_rng(n)
    end = FIRST_SUBNORMAL[dtype]
    x = rng.normal(0, 2, (number, n))
    x[::2] -= np.where(rng.random((len(x[::2]), n)) < 0.4, rng.uniform(0.7 * end, 1.3 * end, (len(x[::2]), n)), 0)
    x[1::6][rng.random((len(x[1::6]), n)) < 0.5] = -np.inf
    x[4] = -np.linspace(0.9 * end, 1.25 * end, n)
    x[np.arange(number), rng.integers(0, n, number)] = 8.0  # late in some rows
    x[6], x[6, 0] = 0.0, -end - 8.0
    return x.astype(dtype)


def one_of_each(n, dtype):
    """Rows of -inf but for the first and, that far below it, the last: next to nothing in a block of its own."""
    below = np.linspace(FIRST_SUBNORMAL[dtype] - 3, LAST_SUBNORMAL[dtype] + 2, 70)
    x = np.full((70, n), -np.inf)
    x[:, 0] = np.linspace(-1.5, 1.5, 70)
    x[:, -1] = x[:, 0] - below
    return x.astype(dtype)


def exact(x):
    wide = x.astype(np.longdouble)
    e = np.exp(wide - wide.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


@pytest.mark.skipif(np.finfo(np.longdouble).nmant < 63, reason="longdouble is no wider than double")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("make", [rows, one_of_each])
def test_probabilities_are_right(compiled, make, n, dtype):
    x = make(n, dtype)
    got, right = compiled.softmax(x).astype(np.longdouble), exact(x)
    smallest = np.longdouble(np.finfo(dtype).smallest_subnormal)
    spacing = np.maximum(np.spacing(right.astype(dtype)).astype(np.longdouble), smallest)
    assert (np.abs(got - right) <= 3 * spacing).all()
    is_subnormal = (right > smallest) & (right < np.finfo(dtype).tiny)
    assert is_subnormal.any()
    assert (got[is_subnormal] > 0).all()
    assert (got[right < smallest / 4] == 0).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", LENGTHS)
@pytest.mark.parametrize("make", [rows, one_of_each])
def test_every_way_has_the_same_bits(compiled, make, n, dtype):
    x = make(n, dtype)
    for function in (compiled.softmax, compiled.log_softmax, compiled.logsumexp):
        right = one_by_one(function, x)
        assert function(x).tobytes() == right.tobytes()
        columns = function(np.ascontiguousarray(x.T), axis=0)
        assert np.ascontiguousarray(columns.T).tobytes() == right.tobytes()
        apart = np.zeros((len(x), n + 5), dtype)
        apart[:, :n] = x
        assert function(apart[:, :n]).tobytes() == right.tobytes()
        if right.ndim == 1:
            continue
        for offset in (0, 3):
            memory = np.full(x.size + 16, 7, dtype)
            out = memory[offset : offset + x.size].reshape(x.shape)
            with past_the_cache():
                function(x, np.array(1.0), out=out)
            assert out.tobytes() == right.tobytes()
            assert (memory[:offset] == 7).all()
            assert (memory[offset + x.size :] == 7).all()


@pytest.mark.parametrize("n", [2, 10, 17, 100, 1000, 1024, 3000])
def test_half_precision(compiled, n):
    """float16 has no logits so far apart that probabilities are subnormal in float32, but for a low temperature."""
    x = rows(n, "float32").astype("float16")
    for temperature in (1.0, 0.5):
        together = compiled.softmax(x, temperature)
        assert together.tobytes() == one_by_one(compiled.softmax, x, temperature=temperature).tobytes()
        wide = compiled.softmax(x.astype("float32"), temperature)
        assert together.tobytes() == wide.astype("float16").tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [2, 10, 100, 128, 1000, 1025, 3000])
def test_what_is_0_is_not_drawn_and_nothing_else_is_left_out(compiled, n, dtype):
    """The only entry is drawn by u next to 0 where its probability is the smallest there is, or none."""
    end = LAST_SUBNORMAL[dtype]
    for below in np.linspace(end - 2, end + 2, 41):
        x = np.full(n, -np.inf)
        x[0], x[-1] = -below, 0
        x = x.astype(dtype)
        p = compiled.softmax(x)
        assert compiled.sample(x, u=0.0) == (0 if p[0] > 0 else n - 1)
        if n > 2:  # together with others
            many = np.repeat(x[None], 40, axis=0)
            assert (compiled.sample(many, u=np.zeros(40)) == compiled.sample(x, u=0.0)).all()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(depth=st.floats(80, 110), offset=st.floats(-100, 100), n=st.integers(2, 40))
def test_a_deep_entry(compiled, depth, offset, n):
    x = np.full((40, n), offset, "float32")
    x[:, 0] -= np.float32(depth)
    x[::3, -1] = offset + 5
    together = compiled.softmax(x)
    assert together.tobytes() == one_by_one(compiled.softmax, x).tobytes()
    right = exact(x)
    assert (np.abs(together - right) <= 3 * np.maximum(np.spacing(right.astype("float32")), 2.0**-149)).all()
