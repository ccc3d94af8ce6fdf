"""The contract's table "Limits and odd values", said again in Python floats row by row, and rows for its cells."""

from __future__ import annotations

import functools
import itertools
import math
from typing import NamedTuple

import ml_dtypes
import numpy as np

INF, NAN = math.inf, math.nan
DTYPES = {
    "float16": np.dtype(np.float16),
    "bfloat16": np.dtype(ml_dtypes.bfloat16),
    "float32": np.dtype(np.float32),
    "float64": np.dtype(np.float64),
}
LOWEST, LARGEST = "lowest", "largest"  # the most extreme finite numbers of the dtype

# Short rows, and long ones with the special entries in the first, a middle and the last block of 1024, and across.
PLACES = {3: ((0, 1), (1, 2), (2, 0)), 3000: ((5, 900), (2047, 1100), (2999, 2048), (1024, 1023), (2900, 3))}


class Case(NamedTuple):
    """A row of `base` (None: ordinary numbers, the largest -1) with `values` written at special places."""

    name: str
    values: tuple
    temperature: float
    base: float | str | None = None


CASES = [
    *(Case("nan", (NAN,), t) for t in (1, 0, INF, 1e-40)),
    Case("nan with its sign set", (-NAN,), 1),
    *(Case("nan and +inf", values, t) for values in ((NAN, INF), (INF, NAN)) for t in (1, 0, INF)),
    *(Case("nan and -inf", (NAN, -INF), t) for t in (1, 0, INF)),
    *(Case("nan among -inf", (NAN,), t, -INF) for t in (1, 0, INF)),
    *(Case("only -inf", (), t, -INF) for t in (1, 0, INF, 1e-40, 1e40)),
    *(Case("one +inf", (INF,), t) for t in (1, 0, INF, 1e-40, 1e40)),
    *(Case("two +inf", (INF, INF), t) for t in (1, 0, INF)),
    *(Case("+inf and -inf", (INF, -INF), t) for t in (1, 0, INF)),
    *(Case("+inf and the largest", (INF, LARGEST), t) for t in (1, 0, INF)),
    *(Case("+inf among -inf", (INF,), t, -INF) for t in (1, 0, INF)),
    *(Case("only +inf", (), t, INF) for t in (1, 0, INF)),
    Case("cold", (2.0,), 0),
    Case("cold, temperature -0", (2.0,), -0.0),
    Case("cold, ties", (2.0, 2.0), 0),
    Case("cold, negative", (-0.5,), 0),
    Case("cold, negative ties", (-0.5, -0.5), 0),
    Case("cold, zero", (0.0,), 0),
    Case("cold, zeros of both signs", (-0.0, 0.0), 0),
    Case("cold, -inf", (2.0, -INF), 0),
    Case("cold, among -inf", (-3.0,), 0, -INF),
    *(Case("cold, all tied", (), 0, base) for base in (1.5, 0.0, -0.0, -2.0, LOWEST, LARGEST)),
    Case("cold, largest", (LARGEST, LARGEST), 0),
    *(Case("hot", values, INF) for values in ((2.0,), (-INF, -INF), (LARGEST, LOWEST), (0.0, -0.0))),
    Case("hot, among -inf", (1.0,), INF, -INF),
    *(Case("hot, all tied", (), INF, base) for base in (0.0, LOWEST, LARGEST)),
    *(Case("-inf", (-INF, -INF), t) for t in (1, 0.5, 1e-40, 1e40)),
    *(Case("among -inf", (1.0,), t, -INF) for t in (1, 1e-40, 1e40)),
    *(Case("zero among -inf", (0.0,), t, -INF) for t in (1, 1e-40, 1e40, 5e-324)),
    Case("lowest", (LOWEST, LOWEST), 1),
    Case("only lowest", (), 1, LOWEST),
    Case("only largest", (), 1, LARGEST),
    Case("lowest and largest", (LOWEST, LARGEST), 1),
    Case("sum of largest does not fit", (LARGEST, LARGEST), 0.5),
    Case("tempered logits do not fit", (LARGEST, LOWEST), 1e-3),
    Case("coldest", (1.0, 1.0), 5e-324),
    Case("hottest", (LARGEST, LOWEST), 1.7e308),
    Case("all tied", (), 1, 0.75),
]


def row(case, n, places, dtype):
    """The logits of a case, as an array of the dtype."""
    largest = float(ml_dtypes.finfo(dtype).max)
    number = {LOWEST: -largest, LARGEST: largest}
    base = number.get(case.base, case.base)
    values = np.array([-1.0 - 0.25 * (i % 7) for i in range(n)] if base is None else [base] * n)
    for place, value in zip(places, case.values, strict=False):
        values[place] = number.get(value, value)
    return values.astype(dtype)


class Expected(NamedTuple):
    softmax: list
    log_softmax: list
    logsumexp: float


def _equal_shares(at, n, logsumexp):
    share = 1 / len(at)
    kept = set(at)
    return Expected(
        [share if i in kept else 0.0 for i in range(n)],
        [-math.log(len(at)) if i in kept else -INF for i in range(n)],
        logsumexp,
    )


def expected(logits, t):
    """What the table says of one row of Python floats, its cells in the order of the table."""
    n = len(logits)
    if any(math.isnan(x) for x in logits):
        return Expected([NAN] * n, [NAN] * n, NAN)
    largest = max(logits, default=-INF)
    if largest == -INF:
        return Expected([NAN] * n, [NAN] * n, -INF)
    if largest == INF:
        return _equal_shares([i for i in range(n) if logits[i] == INF], n, INF)
    if t == 0:
        log_sum = math.copysign(INF, largest) if largest else math.log(logits.count(0.0))
        return _equal_shares([logits.index(largest)], n, log_sum)
    if t == INF:
        kept = [i for i in range(n) if logits[i] > -INF]
        return _equal_shares(kept, n, math.log(len(kept)))
    z = [(x - largest) / t if x - largest > -INF or x == -INF else (x / 2 - largest / 2) / t * 2 for x in logits]
    weights = [math.exp(each) for each in z]
    total = math.fsum(weights)
    log_sum = math.log(total)
    return Expected([weight / total for weight in weights], [each - log_sum for each in z], largest / t + log_sum)


@functools.cache
def expected_for(case, n, places, dtype):
    logits = row(case, n, places, dtype).astype(np.float64).tolist()
    return Expected(*(np.array(part) for part in expected(logits, case.temperature)))


def grid(n):
    """(case, places) for rows of n, places that do not matter given once."""
    return [
        (case, places) for case, places in itertools.product(CASES, PLACES[n]) if case.values or places == PLACES[n][0]
    ]
