"""Counts of many draws against the exact law, by the G-test.

Each test has a false-alarm rate of 1e-8 over seeds (they are fixed here). There are 9 cases, of 10**5 draws on every
implementation and of 10**7 on every instruction set: 9 * (4 + 3) = 63 tests at most, and with those of test_sample.py
fewer than 100, below 1e-6 for the suite. Each test also shows that it can fail: the same counts are refused against
probabilities in which one category has 1 % more than its share (10 % more for the few draws).
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import brute_force
import numpy as np
import pytest
import scipy.special
import scipy.stats

FALSE_ALARM = 1e-8
FEWEST = 100  # expected in a bin, for the law of the statistic to hold in its tail
SHARES = np.array([0.2, 0.02, 0.25, 0.1, 0.13, 0.03, 0.15, 0.12])
PAIRED = np.array([0.0, -0.1, 0.03, -0.05])


class Case(NamedTuple):
    logits: np.ndarray
    temperature: float
    filters: dict
    kept: int
    num_samples: int


def a_long_row():
    return np.random.default_rng(1).normal(0, 2, 3000).astype(np.float32)


CASES = {
    "plain": Case(2 * np.log(SHARES) + 30, 2.0, {}, 8, 10),
    "top_k": Case((0.7 * np.log(SHARES)).astype(np.float32), 0.7, {"top_k": 5}, 5, 10),
    "top_p": Case((1.3 * np.log(SHARES)).astype(np.float32), 1.3, {"top_p": 0.9}, 6, 10),
    "min_p": Case((np.log(SHARES) - 5).astype(np.float32), 2.0, {"min_p": 0.45, "temperature_last": True}, 5, 10),
    "top_p of a long row": Case(a_long_row(), 1.5, {"top_p": 0.8}, 0, 1000),
}


def exact_law(case):
    """Probabilities of one row, after its filters."""
    row = case.logits.astype(np.float64).tolist()
    found = brute_force.prefix(row, case.temperature, brute_force.Filters(**case.filters), 1e-6)
    assert found.fewest == found.most
    assert found.fewest in (case.kept, len(found.order)) or not case.kept
    kept = brute_force.keep(case.logits[None], [found], [found.fewest])
    return brute_force.distribution(kept, np.array([case.temperature]))[0][0].astype(float)


def g_statistic(counts, probabilities):
    expected = counts.sum() * probabilities
    return 2 * scipy.special.xlogy(counts, counts / expected).sum()


def is_suspicious(counts, probabilities):
    assert counts[probabilities == 0].sum() == 0
    counts, probabilities = counts[probabilities > 0], probabilities[probabilities > 0]
    assert (counts.sum() * probabilities).min() >= FEWEST
    return g_statistic(counts, probabilities) > scipy.stats.chi2.isf(FALSE_ALARM, counts.size - 1)


def with_bias(probabilities, part):
    """The largest with that much more than its share, at the cost of the others."""
    at = probabilities.argmax()
    biased = probabilities * (1 - (1 + part) * probabilities[at]) / (1 - probabilities[at])
    biased[at] = (1 + part) * probabilities[at]
    assert abs(biased.sum() - 1) < 1e-12
    return biased


def in_few_bins(counts, probabilities):
    """Neighbours together, so that each bin has a tenth at least: what was removed lies between what was kept."""
    if probabilities.size <= 12:
        return counts, probabilities
    bin_of = np.minimum(np.cumsum(probabilities) * 8, 7.999).astype(int)
    return np.bincount(bin_of, counts), np.bincount(bin_of, probabilities)


def check(counts, probabilities, part):
    assert (counts[probabilities == 0] == 0).all()
    counts, probabilities = in_few_bins(counts, probabilities)
    assert not is_suspicious(counts, probabilities)
    assert is_suspicious(counts, with_bias(probabilities, part))


def counts_of(draw, rows, chunk, minlength):
    """Counts of the draws of that many rows, made in chunks that continue one another."""
    counts = np.zeros(minlength, np.int64)
    for first in range(0, rows, chunk):
        counts += np.bincount(draw(min(chunk, rows - first), first).ravel(), minlength=minlength)
    return counts


def check_case(implementation, name, n_draws, part):
    case = CASES[name]
    rows = n_draws // case.num_samples

    def draw(count, first):
        x = np.broadcast_to(case.logits, (count, case.logits.size))
        options = {"rng": 20261101, "num_samples": case.num_samples, "first_row": first}
        return implementation.sample(x, case.temperature, **case.filters, **options)

    counts = counts_of(draw, rows, 100_000, case.logits.size)
    assert counts.sum() == n_draws
    check(counts, exact_law(case), part)


def check_weights(implementation, n_draws, part):
    w = (1000 * SHARES).astype(np.float32)
    w[6] = 0

    def draw(count, first):
        x = np.broadcast_to(w, (count, w.size))
        return implementation.sample_weights(x, rng=20261102, num_samples=10, first_row=first)

    counts = counts_of(draw, n_draws // 10, 100_000, w.size)
    check(counts, w.astype(float) / w.sum(dtype=float), part)


def check_pairs(implementation, temperature, n_pairs, part):
    """The first and second of two draws without replacement: p_i p_j / (1 - p_i)."""
    n = PAIRED.size

    def draw(count, first):
        x = np.broadcast_to(PAIRED.astype(np.float32), (count, n))
        options = {"rng": 20261103, "num_samples": 2, "replace": False, "first_row": first}
        first_of_pair, second = implementation.sample(x, temperature, **options).T
        return first_of_pair * n + second

    p = brute_force.distribution(PAIRED.astype(np.float32)[None], np.array([temperature]))[0][0]
    law = np.array([p[i] * p[j] / (1 - p[i]) if i != j else 0 for i, j in itertools.product(range(n), repeat=2)])
    counts = counts_of(draw, n_pairs, 100_000, n * n)
    assert counts.sum() == n_pairs
    assert not is_suspicious(counts, law.astype(float))
    assert is_suspicious(counts, with_bias(law.astype(float), part))


TEMPERATURES = pytest.mark.parametrize("temperature", [0.05, 1.0, 5.0])


@pytest.mark.parametrize("name", CASES)
def test_few_draws(implementation, name):
    check_case(implementation, name, 10**5, 0.1)


def test_few_draws_from_weights(implementation):
    check_weights(implementation, 10**5, 0.1)


@TEMPERATURES
def test_few_pairs(implementation, temperature):
    check_pairs(implementation, temperature, 2 * 10**5, 0.1)


@pytest.mark.slow
@pytest.mark.parametrize("name", CASES)
def test_many_draws(compiled, name):
    check_case(compiled, name, 10**7, 0.01)


@pytest.mark.slow
def test_many_draws_from_weights(compiled):
    check_weights(compiled, 10**7, 0.01)


@pytest.mark.slow
@TEMPERATURES
def test_many_pairs(compiled, temperature):
    check_pairs(compiled, temperature, 2 * 10**7, 0.01)
