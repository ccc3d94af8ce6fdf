"""Answers from mpmath, fractions and Random123, made by known_answers/generate.py, which knows nothing of tempsoft."""

from __future__ import annotations

import json
import pathlib
import subprocess
import sys

import exact
import numpy as np
import pytest

HERE = pathlib.Path(__file__).with_name("known_answers")
ANSWERS = json.loads((HERE / "answers.json").read_text(encoding="utf-8"))
ROWS = ANSWERS["rows"] + ANSWERS["formula_rows"]
BOUND = 3  # ulp, the contract


def floats(texts):
    return np.array([float.fromhex(text) for text in texts])


def inputs(case):
    """(logits, temperature, places of the stored answers)."""
    if "n" in case:
        logits = (7919 * np.arange(case["n"]) % 1009) / 16 - 32
        return logits.astype(case["dtype"]), float.fromhex(case["temperature"]), case["at"]
    return floats(case["logits"]).astype(case["dtype"]), float.fromhex(case["temperature"]), slice(None)


def name(case):
    return f"{case['name']}, {case['dtype']}, T={float.fromhex(case['temperature']):.4g}"


def reference_slack(case, answers):
    """Ulp of a double that the reference may be off, which promises no last bits: it rounds (x - M) / T twice."""
    finite = answers["log_softmax"][np.isfinite(answers["log_softmax"])]
    depth = min(np.abs(finite).max(initial=0), 750)  # beyond, exp vanishes
    return 2 * depth + len(finite) + 8 if case["dtype"] == "float64" else 0


@pytest.mark.parametrize("case", ROWS, ids=name)
def test_rows(implementation, case):
    logits, temperature, at = inputs(case)
    answers = {key: floats(case[key]) for key in ("softmax", "log_softmax")}
    answers["logsumexp"] = float.fromhex(case["logsumexp"])
    bound = BOUND + (reference_slack(case, answers) if implementation.is_reference else 0)

    probabilities = implementation.softmax(logits, temperature)[at]
    logarithms = implementation.log_softmax(logits, temperature)[at]
    log_sum = implementation.logsumexp(logits, temperature)

    assert probabilities.dtype == logarithms.dtype == logits.dtype
    assert exact.worst_logarithm(np.array([log_sum]), exact.Real(answers["logsumexp"])) <= bound
    if case["dtype"] == "float16":
        for got, right, scale in (
            (probabilities, answers["softmax"], answers["softmax"]),
            (logarithms, answers["log_softmax"], np.maximum(1, np.abs(answers["log_softmax"]))),
        ):
            rounded_float32_between(got, right, BOUND * 2.0**-23 * scale)
    else:
        assert exact.worst_probability(probabilities, answers["softmax"].astype(exact.Real)) <= bound
        assert exact.worst_logarithm(logarithms, answers["log_softmax"].astype(exact.Real)) <= bound


def rounded_float32_between(got, right, slack):
    """`got` is a number within `slack` of `right`, rounded to float16."""
    with np.errstate(over="ignore", invalid="ignore"):
        low, high = (np.where(np.isinf(right), right, right + sign * slack) for sign in (-1, 1))
        assert (got >= low.astype(np.float16)).all()
        assert (got <= high.astype(np.float16)).all()


def test_rows_reach_what_they_are_for():
    names = {case["name"] for case in ROWS}
    assert len(names) >= 18
    by_dtype = {dtype: [case for case in ROWS if case["dtype"] == dtype] for dtype in ("float16", "float32", "float64")}
    for dtype, cases in by_dtype.items():
        tiny = float(np.finfo(dtype).tiny)
        probabilities = np.concatenate([floats(case["softmax"]) for case in cases])
        assert ((probabilities > tiny) & (probabilities < 16 * tiny)).any()
        assert ((probabilities > 0) & (probabilities < tiny)).any()
        assert (probabilities == 0).any()
        logits = np.concatenate([inputs(case)[0] for case in cases])
        assert (logits == np.finfo(dtype).min).any()
        assert (logits == -np.inf).any()
        assert ((logits != 0) & (np.abs(logits) < np.finfo(dtype).tiny)).any()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize(
    ("temperature", "percent"),
    [(0.5, [82.8, 11.2, 4.1, 1.9]), (1.0, [57.5, 21.1, 12.8, 8.6]), (2.0, [40.6, 24.6, 19.2, 15.7])],
)
def test_numbers_anyone_can_check(implementation, dtype, temperature, percent):
    probabilities = implementation.softmax(np.array([2, 1, 0.5, 0.1], dtype), temperature)
    np.testing.assert_allclose(100 * probabilities.astype(float), percent, rtol=0, atol=0.051)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("low", [-np.inf, -6e4], ids=["masked by -inf", "underflowing"])
@pytest.mark.parametrize("case", ANSWERS["draws"], ids=lambda case: case["name"])
def test_draws(implementation, case, low, dtype):
    logits = np.full(case["n"], low, dtype)
    # equal weights whose sums are exact: those of float64 only where the exponential is a power of two
    logits[case["drawable"]] = 0 if dtype is np.float64 else 0.5
    u = floats(case["u"])
    drawn = implementation.sample(logits, 0.25, u=u, num_samples=len(u))
    right = np.array(case["index"])
    if dtype == np.float64:
        # Sums of weights may round, and move a boundary by an ulp or two: there the place before will do as well.
        share = 1 / len(case["drawable"])
        at_a_boundary = np.abs(u - np.round(u / share) * share) <= 2 * np.finfo(float).eps
        places = np.searchsorted(case["drawable"], right)
        assert (np.abs(np.searchsorted(case["drawable"], drawn) - places)[at_a_boundary] <= 1).all()
        assert (drawn == right)[~at_a_boundary].all()
        assert np.isin(drawn, case["drawable"]).all()
        assert not at_a_boundary.all()
    else:
        assert drawn.tolist() == case["index"]
    one_by_one = [implementation.sample(logits, 0.25, u=number) for number in u[:50]]
    assert one_by_one == drawn[:50].tolist()


def test_numpy_has_the_published_philox():
    assert len(ANSWERS["philox4x64_10"]) == 3
    for vector in ANSWERS["philox4x64_10"]:
        counter, key, output = ([int(word, 16) for word in vector[part]] for part in ("counter", "key", "output"))
        before = (sum(word << (64 * i) for i, word in enumerate(counter)) - 1) % 2**256  # NumPy counts up first
        words = [before >> (64 * i) & (2**64 - 1) for i in range(4)]
        stream = np.random.Philox(counter=np.array(words, np.uint64), key=np.array(key, np.uint64))
        assert stream.random_raw(4).tolist() == output


def test_uniforms(implementation):
    for seed, column, row, number in ANSWERS["uniforms"]:
        block = implementation.uniforms(int(seed), 1, column + 1, first_row=row)
        assert block.shape == (1, column + 1)
        assert block[0, column].hex() == number


def test_the_generator_writes_what_is_stored():
    check = subprocess.run([sys.executable, HERE / "generate.py", "--check"], capture_output=True, text=True)
    assert check.returncode == 0, check.stderr
    assert not check.stderr
