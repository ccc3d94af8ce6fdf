"""Tiny probabilities keep their rate: the length of a rare category's interval of u, wherever it stands.

The interval's ends are found by bisection over the doubles in [0, 1), its length compared with the exact probability.
"""

from __future__ import annotations

import exact
import numpy as np
import pytest

# One block of 1024, two, and five; whole and not.
SIZES = (100, 1024, 1500, 2048, 5000)
PROBABILITIES = (1e-6, 1e-9, 1e-12)
PART = 0.01  # of the length, the contract


def places(n):
    """First, middle and last of the row, of its blocks of 1024 and of groups of 64."""
    chosen = {0, 1, n // 2, n - 2, n - 1, 31, 63, 64}
    for block in (1024, 2048, 4096):
        chosen |= {block - 1024, block - 512, block - 1, block, block + 63, block + 64}
    chosen |= {(n - 1) // 1024 * 1024, (n - 1) // 64 * 64}
    return sorted(place for place in chosen if 0 <= place < n)


def batch(n, dtype, temperature):
    """Rows with one rare category each: (logits, its place, its exact probability, the exact sum before it)."""
    rng = np.random.default_rng(n)
    cases = [(place, p) for place in places(n) for p in PROBABILITIES]
    logits = rng.normal(0, 1.5, (len(cases), n))
    at = np.array([place for place, _ in cases])
    row = np.arange(len(cases))
    logits[row, at] = -np.inf
    logits[row, at] = np.log([p for _, p in cases]) + np.log(np.exp(logits).sum(axis=-1))
    logits = (logits * temperature).astype(dtype)
    probabilities = exact.softmax(logits, np.full(len(cases), temperature))
    before = np.cumsum(probabilities, axis=-1)[row, at] - probabilities[row, at]
    return logits, at, probabilities[row, at].astype(float), before.astype(float)


def first_u(draw, beyond, low, high, fineness):
    """The least u (to `fineness`) at which `draw(u) >= beyond`, between `low` and `high`, row by row."""
    assert (draw(low) < beyond).all()
    assert (draw(high) >= beyond).all()
    while ((high - low > fineness) & (np.nextafter(low, 1) < high)).any():
        middle = low + (high - low) / 2
        reached = draw(middle) >= beyond
        low, high = np.where(reached, low, middle), np.where(reached, middle, high)
    return high


def interval(draw, at, n, before, p):
    """Both ends of the place's interval of u; the row's own ends need no search."""
    fineness = p * 1e-4
    low, high = np.maximum(before - 1e-5, 0), np.minimum(before + p + 1e-5, 1 - 2.0**-53)
    inner = at > 0
    start, end = np.zeros(len(at)), np.ones(len(at))
    start[inner] = first_u(lambda u: draw(inner, u), at[inner], low[inner], high[inner], fineness[inner])
    inner = at < n - 1
    end[inner] = first_u(lambda u: draw(inner, u), at[inner] + 1, low[inner], high[inner], fineness[inner])
    return start, end


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", SIZES)
def test_length_of_the_interval(implementation, n, dtype):
    temperature = 0.7
    logits, at, p, before = batch(n, dtype, temperature)
    assert p.min() < 1.001e-12
    start, end = interval(lambda rows, u: implementation.sample(logits[rows], temperature, u=u), at, n, before, p)
    assert (np.abs((end - start) / p - 1) <= PART).all()
    assert (np.abs(start - before) < {"float32": 1e-6, "float64": 1e-12}[dtype]).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [64, 1025, 5000])
def test_many_draws_from_one_row(implementation, n, dtype):
    """Where a table of the row serves many draws, the intervals are those of single draws."""
    logits, at, p, before = batch(n, dtype, 1.0)
    columns = 9

    def draw(rows, u):
        many = np.repeat(u[:, None], columns, axis=1)
        many[:, 1:-1] = np.linspace(0.01, 0.99, columns - 2)
        return implementation.sample(logits[rows], 1.0, u=many, num_samples=columns)[:, -1]

    start, end = interval(draw, at, n, before, p)
    assert (np.abs((end - start) / p - 1) <= PART).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [16, 1024, 5000])
def test_at_the_start_of_the_row_even_less_is_kept(implementation, n, dtype):
    """Doubles are dense near 0, so a first category of 1e-30 has its interval too."""
    logits = np.random.default_rng(n).normal(0, 1, (1, n))
    logits[0, 0] = np.log(1e-30) + np.log(np.exp(logits[0, 1:]).sum())
    logits = logits.astype(dtype)
    p = exact.softmax(logits, [1.0])[:, 0].astype(float)
    end = first_u(lambda u: implementation.sample(logits, u=u), 1, np.zeros(1), np.full(1, 0.5), p * 1e-4)
    assert abs(end / p - 1) <= PART


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("where", ["first", "middle", "last"])
def test_a_whole_block_of_rare_categories(implementation, dtype, where):
    """1024 categories of 1e-12 each have 1.024e-9 together."""
    logits = np.random.default_rng(3).normal(0, 1, (1, 3 * 1024))
    first = {"first": 0, "middle": 1024, "last": 2048}[where]
    rare = np.s_[0, first : first + 1024]
    logits[rare] = -np.inf
    logits[rare] = np.log(1e-12) + np.log(np.exp(logits).sum())
    logits = logits.astype(dtype)
    probabilities = exact.softmax(logits, [1.0])
    p = probabilities[rare].sum()[None].astype(float)
    before = probabilities[0, :first].sum()[None].astype(float)

    start, end = np.zeros(1), np.ones(1)
    draw = lambda u: implementation.sample(logits, u=u)  # noqa: E731
    low, high = np.maximum(before - 1e-5, 0), np.minimum(before + 1e-5, 1 - 2.0**-53)
    if where != "first":
        start = first_u(draw, first, low, high, p * 1e-4)
    if where != "last":
        end = first_u(draw, first + 1024, low, high, p * 1e-4)
    assert abs((end - start) / p - 1) <= PART
    inside = implementation.sample(logits, u=start + 0.5 * (end - start))
    assert abs(inside - (first + 512)) < 8
