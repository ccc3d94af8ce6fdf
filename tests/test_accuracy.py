"""The contract's bounds against exact arithmetic: 3 ulp in float32 and float64, one rounding in the narrower dtypes."""

from __future__ import annotations

import pathlib

import exact
import limits
import numpy as np
import pytest
import rows

BOUND = 3  # ulp
ROWS_A_TEMPERATURE = 8
MEASURES = {
    "softmax": exact.worst_probability,
    "log_softmax": exact.worst_logarithm,
    "logsumexp": exact.worst_logarithm,
}
WHISPER = pathlib.Path(__file__).parents[2] / "shared" / "data" / "whisper_tiny_en_logits.npz"
needs_long_double = pytest.mark.skipif(
    not exact.GOOD_FOR_FLOAT64, reason="long double is a plain double here; known_answers covers float64"
)


def check(implementation, logits, temperatures, answers):
    worst = {}
    for name, measure in MEASURES.items():
        result = getattr(implementation, name)(logits, temperatures)
        assert result.dtype == logits.dtype
        worst[name] = measure(result, answers[name])
    assert max(worst.values()) <= BOUND, worst


@pytest.mark.parametrize("n", rows.SIZES)
def test_float32(implementation, n):
    check(implementation, *rows.with_answers(rows.batch, n, "float32", ROWS_A_TEMPERATURE, 1))


@needs_long_double
@pytest.mark.parametrize("n", rows.SIZES)
def test_float64(compiled, n):
    check(compiled, *rows.with_answers(rows.batch, n, "float64", ROWS_A_TEMPERATURE, 2))


@pytest.mark.parametrize("n", [2, 17, 130, 2100])
def test_extreme_temperatures_float32(implementation, n):
    check(implementation, *rows.with_answers(rows.extreme_batch, n, "float32", 5))


@needs_long_double
@pytest.mark.parametrize("n", [2, 17, 130, 2100])
def test_extreme_temperatures_float64(compiled, n):
    check(compiled, *rows.with_answers(rows.extreme_batch, n, "float64", 6))


@pytest.mark.parametrize("n", rows.LONG_SIZES)
def test_long_rows_of_float32(implementation, n):
    check(implementation, *rows.with_answers(rows.long_batch, n, "float32", 3))


@needs_long_double
@pytest.mark.parametrize("n", rows.LONG_SIZES)
def test_long_rows_of_float64(compiled, n):
    check(compiled, *rows.with_answers(rows.long_batch, n, "float64", 4))


@pytest.mark.slow
@pytest.mark.parametrize("n", rows.SIZES)
@pytest.mark.parametrize("seed", range(100, 110))
def test_more_float32(compiled, n, seed):
    check(compiled, *rows.with_answers(rows.batch, n, "float32", ROWS_A_TEMPERATURE, seed))


@needs_long_double
@pytest.mark.slow
@pytest.mark.parametrize("n", rows.SIZES)
@pytest.mark.parametrize("seed", range(200, 210))
def test_more_float64(compiled, n, seed):
    check(compiled, *rows.with_answers(rows.batch, n, "float64", ROWS_A_TEMPERATURE, seed))


@pytest.mark.skipif(not WHISPER.exists(), reason="real logits are not beside this checkout")
@pytest.mark.parametrize("t", [0.3, 1.0, 1.7])
def test_logits_of_a_language_model(implementation, t):
    with np.load(WHISPER) as archive:
        logits = archive["logits"][::8]
    assert (logits == np.finfo(np.float32).min).any()
    temperatures = np.full(len(logits), t)
    answers = {name: getattr(exact, name)(logits, temperatures) for name in MEASURES}
    check(implementation, logits, temperatures, answers)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_rows_reach_what_they_are_for(dtype):
    """Every temperature has rows neither one-hot nor uniform, and results lie around the last normal number."""
    tiny, most = np.finfo(dtype).tiny, np.finfo(dtype).max
    informative = dict.fromkeys(rows.TEMPERATURES, 0)
    reached = dict.fromkeys(("small", "subnormal", "masked", "far", "cancelling", "overflowing"), False)
    for n in (16, 17, 63, 64):
        logits, temperatures, answers = rows.with_answers(rows.batch, n, dtype, ROWS_A_TEMPERATURE, 1)
        probabilities, log_sums = answers["softmax"], answers["logsumexp"]
        largest = probabilities.max(axis=-1)
        for t in informative:
            informative[t] += ((temperatures == t) & (largest > 1.01 / n) & (largest < 0.999)).sum()
        reached["small"] |= ((probabilities > tiny) & (probabilities < 1e6 * tiny)).any()
        reached["subnormal"] |= ((probabilities > 0) & (probabilities < tiny)).any()
        reached["masked"] |= (logits == -np.inf).any()
        reached["far"] |= (np.abs(logits[np.isfinite(logits)]) > 1e5).any()
        reached["cancelling"] |= (np.abs(log_sums) < 0.5).any()
        reached["overflowing"] |= (np.abs(log_sums) > most).any() or dtype == "float64"
    assert min(informative.values()) >= 5, informative
    assert all(reached.values()), reached


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("n", [1, 3, 16, 17, 64, 100, 1024, 1025, 5000])
def test_narrow_results_are_float32_results_rounded_once(implementation, dtype, n):
    """Rounded by NumPy and by ml_dtypes, which have no code in common with the kernels; subnormals included."""
    dtype = limits.DTYPES[dtype]
    rng = np.random.default_rng(n)
    temperatures = np.repeat([0.05, 0.3, 1.0, 4.0, 30.0], 6)
    logits = rng.normal(0, np.tile([0.1, 1, 3, 8, 20, 60], 5)[:, None], (30, n)).astype(dtype)
    for name in ("softmax", "log_softmax"):
        function = getattr(implementation, name)
        in_float32 = function(logits.astype(np.float32), temperatures)
        with np.errstate(over="ignore"):
            right = in_float32.astype(dtype)
        assert function(logits, temperatures).tobytes() == right.tobytes()
        if n == 100 and name == "softmax" and dtype == np.float16:
            subnormal = (in_float32 > 0) & (in_float32 < np.finfo(np.float16).tiny)
            assert subnormal.sum() > 30
            assert (right[subnormal] > 0).any()
        if n == 5000 and name == "softmax" and dtype == np.float16:
            ties = (in_float32.view(np.uint32) & 0x1FFF == 0x1000) & (in_float32 >= np.finfo(np.float16).tiny)
            assert ties.any()  # halfway between two float16
    log_sums = implementation.logsumexp(logits, temperatures)
    assert log_sums.tobytes() == implementation.logsumexp(logits.astype(np.float32), temperatures).tobytes()
