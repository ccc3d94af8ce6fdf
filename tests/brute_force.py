"""Filters said again, one row at a time in Python's sort and NumPy's long double, with the leeway a result may have.

Promises to know nothing of the library. A chain of filters keeps a prefix of the order, so what they keep is a length;
an implementation may differ where a cumulative probability is within `slack` of top_p, or a logit within the roundings
of a double of min_p's threshold, so `prefix` gives the shortest and the longest length that are right. Where entries
are counted (temperatures of 0 and inf, +inf) there is no leeway.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import exact
import limits
import numpy as np

INF = math.inf
Real = exact.Real
SLACK = {"float16": 1e-6, "bfloat16": 1e-6, "float32": 1e-6, "float64": 1e-12}
# The logarithm of min_p to 1 ulp, its product with the temperature and the sum with the largest logit to half of one.
ROUNDINGS = 2.0**-51


class Filters(NamedTuple):
    """The parameters of one row."""

    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    temperature_last: bool = False


class Prefix(NamedTuple):
    order: np.ndarray
    fewest: int
    most: int
    mass: np.ndarray  # probability of the first 0, 1, 2, ... of the order, before any filter


def order_of(x):
    """Indices by descending logit, equal ones ascending, without -inf."""
    return sorted((i for i in range(len(x)) if x[i] > -INF), key=lambda i: -x[i])


def weights_of(x, t):
    """Weights of descending logits relative to the first, and whether they are counted."""
    if t == 0:
        return np.array([1] + [0] * (len(x) - 1), Real), True
    if t == INF:
        return np.ones(len(x), Real), True
    with np.errstate(under="ignore", over="ignore"):
        return np.exp((np.array(x, Real) - Real(x[0])) / Real(t)), False


def prefix(x, t, filters, slack):
    """What may be kept of a row of Python floats without NaN, at least one of them above -inf."""
    order = order_of(x)
    if x[order[0]] == INF:  # the +inf are the whole distribution, and all alike
        order, t = [i for i in order if x[i] == INF], INF
        filters = filters._replace(min_p=0.0, temperature_last=False)
    look = 1.0 if filters.temperature_last else t
    x = [x[i] for i in order]
    weights, is_counted = weights_of(x, look)
    all_sums = np.cumsum(weights)
    fewest = most = min(filters.top_k, len(order)) if filters.top_k > 0 else len(order)
    if filters.top_p < 1:
        sums, leeway = all_sums[:most], 0 if is_counted else Real(slack)
        target = filters.top_p * float(sums[-1]) if is_counted else Real(filters.top_p) * sums[-1]
        lengths = [int((sums < target + side * leeway * sums[-1]).sum()) + 1 for side in (-1, 1)]
        fewest, most = min(fewest, lengths[0]), min(most, lengths[1])
    if filters.min_p > 0:
        lengths = lengths_of_min_p(x, look, filters.min_p)
        fewest, most = min(fewest, lengths[0]), min(most, lengths[1])
    return Prefix(np.array(order), fewest, most, np.concatenate([[0], all_sums]) / all_sums[-1])


def lengths_of_min_p(x, t, min_p):
    """The shortest and the longest prefix of descending logits that min_p may keep."""
    if t == 0 or min_p == 1:
        return (x.count(x[0]),) * 2
    if t == INF:
        return (len(x),) * 2
    product = t * math.log(min_p)
    threshold, leeway = x[0] + product, ROUNDINGS * (abs(x[0]) + abs(product))
    if threshold == -INF:
        return (len(x),) * 2
    lengths = [sum(each >= threshold + side * leeway for each in x) for side in (1, -1)]
    return max(lengths[0], 1), lengths[1]


def keep(x, prefixes, numbers):
    """The rows with -inf for all but the first `numbers` of each order."""
    kept = np.full_like(x, -INF)
    for i, (one, number) in enumerate(zip(prefixes, numbers, strict=True)):
        chosen = one.order[:number]
        kept[i, chosen] = x[i, chosen]
    return kept


def distribution(x, t):
    """(softmax, log_softmax) of rows that have one, in long double, the limits of the contract's table among them."""
    ordinary = (x.max(axis=-1) < INF) & (t > 0) & (t < INF)
    answers = np.empty((2, *x.shape), Real)
    for i in np.flatnonzero(~ordinary):
        answers[:, i] = limits.expected(x[i].astype(np.float64).tolist(), float(t[i]))[:2]
    if ordinary.any():
        answers[:, ordinary] = exact.softmax(x[ordinary], t[ordinary]), exact.log_softmax(x[ordinary], t[ordinary])
    return answers


def entropies(probabilities, logarithms):
    """Of rows of both."""
    return -np.where(probabilities > 0, probabilities * np.where(probabilities > 0, logarithms, 0), 0).sum(axis=-1)


def allowed_ulps(implementation, dtype, n):
    """The contract's 3 ulp; of the reference in float64 what tests/test_properties.py derives for it."""
    return 3 if not implementation.is_reference or dtype != np.float64 else 2 * (2 * 750 + 8 + n)


def check_successive(probabilities, u, drawn, tolerance):
    """Each of one row's draws is left, and its share of [0, 1) among what is left contains its number."""
    left = probabilities.copy()
    for number, index in zip(u, drawn, strict=True):
        assert left[index] > 0
        total = left.sum()
        before = left[:index].sum()
        assert before / total - tolerance <= number < (before + left[index]) / total + tolerance
        left[index] = 0
