"""The filters are those of language-model decoding: the same kept sets as the logits warpers of `transformers`.

Their rule, said again here in NumPy: divide by the temperature; keep the k largest; of the ascending cumulative
probabilities of these remove what is at most 1 - p; of what is left remove what is less probable than min_p times the
most probable. It keeps all ties of the k-th largest where the order here cuts them, hence rows without ties. Where a
cumulative probability is within SLACK of top_p, either side is right.
"""

from __future__ import annotations

import functools
import itertools
import pathlib

import numpy as np
import pytest

REAL_LOGITS = pathlib.Path(__file__).parents[2] / "shared" / "data" / "whisper_tiny_en_logits.npz"
SLACK = 1e-6
INF = np.inf


def probabilities_of(x):
    weights = np.exp(x - x.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def kept_by_warpers(x, temperature, top_k, top_p, min_p):
    """Which entries of rows are kept, by the rule above."""
    x = x.astype(np.float64) / temperature
    if top_k:
        kth = np.sort(x, axis=-1)[:, -min(top_k, x.shape[-1])]
        x = np.where(x < kth[:, None], -INF, x)
    if top_p < 1:
        ascending = np.argsort(x, axis=-1)
        removed = np.cumsum(probabilities_of(np.take_along_axis(x, ascending, -1)), axis=-1) <= 1 - top_p
        removed[:, -1] = False
        x[np.arange(len(x))[:, None], ascending] = np.where(removed, -INF, np.take_along_axis(x, ascending, -1))
    if min_p:
        p = probabilities_of(x)
        x = np.where(p < min_p * p.max(axis=-1, keepdims=True), -INF, x)
    return x > -INF


def rows_without_ties(n, dtype):
    rng = np.random.default_rng(n)
    m = 2 * n + 20
    x = np.concatenate([rng.normal(0, 1, (3, m)), rng.normal(0, 5, (3, m)), 20 + rng.gumbel(0, 2, (3, m))])
    x = np.array([rng.permutation(np.unique(row))[:n] for row in x.astype(dtype)])
    assert x.shape == (9, n)
    return x


def real_logits():
    return np.load(REAL_LOGITS)["logits"]


@functools.cache
def answers(make, *options):
    """The rows, and for each setting (filters, what the warpers keep, the fewest and the most that are right)."""
    x = make(*options)
    found = []
    for temperature, top_k, top_p, min_p in GRID if options else SETTINGS:
        right = kept_by_warpers(x, temperature, top_k, top_p, min_p)
        sides = [right] * 2
        if 0 < top_p < 1:
            sides = [kept_by_warpers(x, temperature, top_k, p, min_p) for p in (top_p - SLACK, top_p + SLACK)]
        filters = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "min_p": min_p}
        found.append((filters, right, *(side.sum(axis=-1) for side in sides)))
    return x, found


def share_that_is_certain(implementation, make, *options):
    """Checks every row and setting; of how many there is one answer."""
    x, found = answers(make, *options)
    certain = []
    for filters, right, fewest, most in found:
        numbers = implementation.support(x, **filters)[0]
        assert ((fewest <= numbers) & (numbers <= most)).all(), filters
        kept = implementation.log_softmax(x, **filters) > -INF
        certain.append(fewest == most)
        assert (kept[certain[-1]] == right[certain[-1]]).all(), filters
    return np.mean(certain)


GRID = list(itertools.product((0.3, 0.7, 1.0, 1.5), (0, 1, 5, 40), (0.0, 0.5, 0.9, 0.95, 1.0), (0.0, 0.05, 0.3)))
SETTINGS = [
    (1.0, 0, 0.9, 0.0), (0.7, 0, 0.95, 0.0), (1.0, 40, 1.0, 0.0), (0.8, 50, 0.9, 0.0),
    (1.0, 0, 1.0, 0.05), (1.2, 0, 0.999, 0.001), (2.0, 1000, 0.98, 0.01),
]  # fmt: skip


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1, 3, 40, 65, 300, 2000])
def test_rows_without_ties(implementation, n, dtype):
    assert share_that_is_certain(implementation, rows_without_ties, n, dtype) > 0.98


@pytest.mark.skipif(not REAL_LOGITS.exists(), reason="the logits of a speech-recognition model are not here")
def test_real_logits(compiled):
    check_real_logits(compiled)


@pytest.mark.slow
@pytest.mark.skipif(not REAL_LOGITS.exists(), reason="the logits of a speech-recognition model are not here")
def test_real_logits_in_the_reference(reference):
    check_real_logits(reference)


def check_real_logits(implementation):
    assert share_that_is_certain(implementation, real_logits) > 0.95
    x, found = answers(real_logits)
    filters, kept, _, most = found[3]
    drawn = implementation.sample(x, **filters, rng=3, num_samples=20)
    certain = kept.sum(axis=-1) == most
    assert np.take_along_axis(kept, drawn, -1)[certain].all()
