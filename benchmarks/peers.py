"""Peers that need no framework: what people write in NumPy, SciPy and numba. For frameworks see frameworks.py.

Each is called as its users would call it at its best: on input of its own type, into ready memory where it takes any.
For what a class has to say of itself see implementations.py.
"""

from __future__ import annotations

import functools
import importlib
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import tempsoft

from .cases import (
    ENTROPY,
    LOG_PROB,
    LOG_SOFTMAX,
    LOGSUMEXP,
    MAPS,
    PAIRS,
    SAMPLE,
    SAMPLE_WEIGHTS,
    SOFTMAX,
    SUPPORT,
    TOP_LOG_PROBS,
    Case,
)
from .implementations import Implementation, Task


def temperature_along_rows(case: Case) -> float | np.ndarray | None:
    """None for 1, a number, or an array of the logits' dtype that broadcasts with them."""
    if not case.has_temperature_per_row:
        return None if case.temperature == 1.0 else case.temperature
    return np.expand_dims(case.temperatures(), case.axis).astype(case.number_type)


def is_support_of_top_p(function: str, case: Case) -> bool:
    """Whether it is this function and filter: probabilities in falling order are added up until they reach top_p."""
    return function == SUPPORT and [name for name, _ in case.filters] == ["top_p"] and case.axis == -1


class NumpyExpression(Implementation):
    """What people write by hand: subtract the maximum, exp, divide; for draws compare a cumulative sum with a uniform
    number, or, without replacement, take those of the largest logits with noise; for the best, a partition. In the
    dtype of the logits.
    """

    name = "numpy_expression"

    def does(self, function: str, case: Case) -> bool:
        # ml_dtypes sums in bfloat16: over 1000 categories that is no softmax
        if case.filters:
            return is_support_of_top_p(function, case)
        return (case.num_samples is None or not case.replace) and case.dtype != "bfloat16"

    def task(self, function: str, case: Case, threads: int = 1) -> Task:
        logits, axis, temperature = case.logits(), case.axis, temperature_along_rows(case)
        rng = np.random.default_rng(case.seed)
        chosen = np.expand_dims(case.chosen(), axis) if function == LOG_PROB else None

        def tempered() -> np.ndarray:
            return logits if temperature is None else logits / temperature

        def softmax() -> np.ndarray:
            x = tempered()
            weights = np.exp(x - x.max(axis, keepdims=True))
            return weights / weights.sum(axis, keepdims=True)

        def log_softmax() -> np.ndarray:
            x = tempered()
            x = x - x.max(axis, keepdims=True)
            return x - np.log(np.exp(x).sum(axis, keepdims=True))

        def logsumexp() -> np.ndarray:
            x = tempered()
            largest = x.max(axis, keepdims=True)
            return np.log(np.exp(x - largest).sum(axis)) + largest.squeeze(axis)

        def entropy() -> np.ndarray:
            log_p = log_softmax()
            return -(np.exp(log_p) * log_p).sum(axis)

        def log_prob() -> np.ndarray:
            x = tempered()
            x = x - x.max(axis, keepdims=True)
            taken = np.take_along_axis(x, chosen, axis)
            return (taken - np.log(np.exp(x).sum(axis, keepdims=True))).squeeze(axis)

        def draw(weights: np.ndarray) -> np.ndarray:
            cumulative = np.cumsum(weights, axis)
            numbers = np.expand_dims(rng.random(case.batch_shape), axis)
            thresholds = numbers * np.take(cumulative, [-1], axis)
            return (cumulative > thresholds.astype(logits.dtype)).argmax(axis)

        def sample() -> np.ndarray:
            x = tempered()
            return draw(np.exp(x - x.max(axis, keepdims=True)))

        def sample_different() -> np.ndarray:
            keys = tempered() + rng.gumbel(size=case.shape).astype(logits.dtype)
            largest = np.argpartition(-keys, case.n_draws, axis)[..., : case.n_draws]
            order = np.argsort(-np.take_along_axis(keys, largest, axis), axis)
            return np.take_along_axis(largest, order, axis)

        def sample_weights() -> np.ndarray:
            return draw(logits)

        def top_log_probs() -> tuple[np.ndarray, np.ndarray]:
            best = np.argpartition(-logits, case.n_best, axis)[..., : case.n_best]
            values = np.take_along_axis(logits, best, axis)
            order = np.argsort(-values, axis)
            values = np.take_along_axis(values, order, axis) - logsumexp()[..., None]
            return values, np.take_along_axis(best, order, axis)

        def support() -> tuple[np.ndarray, np.ndarray]:
            cumulative = np.cumsum(np.sort(softmax(), axis)[..., ::-1], axis)
            number = (cumulative < dict(case.filters)["top_p"]).sum(axis) + 1
            return number, np.take_along_axis(cumulative, number[..., None] - 1, axis)[..., 0]

        runs: dict[str, Callable[[], Any]] = {
            SOFTMAX: softmax, LOG_SOFTMAX: log_softmax, LOGSUMEXP: logsumexp, ENTROPY: entropy, LOG_PROB: log_prob,
            SAMPLE: sample if case.replace else sample_different, SAMPLE_WEIGHTS: sample_weights,
            TOP_LOG_PROBS: top_log_probs, SUPPORT: support,
        }  # fmt: skip
        if function in (SAMPLE, SAMPLE_WEIGHTS) and case.replace:
            return Task(runs[function], numbers=np.random.default_rng(case.seed).random((case.n_rows, 1)))
        return Task(runs[function], tuple if function in PAIRS else np.asarray)


class GeneratorChoice(Implementation):
    """``Generator.choice(n, p=p)`` of NumPy, with the probabilities ready in float64."""

    name = "generator_choice"

    def does(self, function: str, case: Case) -> bool:
        return function == SAMPLE and len(case.shape) == 1 and not case.filters and case.replace

    def task(self, function: str, case: Case, threads: int = 1) -> Task:
        p = tempsoft.reference.softmax(case.logits().astype(np.float64), case.temperatures())
        size = {} if case.num_samples is None else {"size": case.num_samples}
        return Task(partial(np.random.default_rng(case.seed).choice, case.n_categories, p=p, **size))


class Scipy(Implementation):
    """The functions of `scipy.special`, or of the module that stands in for it."""

    def __init__(self, name: str, module: str, packages: tuple[str, ...], kind: str, ulps: float) -> None:
        self.name, self.packages, self.kind, self.ulps = name, packages, kind, ulps
        self._module = module

    def does(self, function: str, case: Case) -> bool:
        # exponentials added in bfloat16 are no softmax
        return function in (*MAPS, LOGSUMEXP) and case.temperature == 1.0 and case.dtype != "bfloat16"

    def task(self, function: str, case: Case, threads: int = 1) -> Task:
        call = getattr(importlib.import_module(self._module), function)
        return Task(partial(call, case.logits(), axis=case.axis))


class Numba(Implementation):
    """The loops people write, one row after the other, compiled without fastmath; over rows in parallel on threads."""

    name = "numba"
    packages = ("numba",)

    def does(self, function: str, case: Case) -> bool:
        return (
            function in (SOFTMAX, LOGSUMEXP, SAMPLE)
            and case.axis == -1
            and case.dtype in ("float32", "float64")
            and case.temperature == 1.0
            and case.num_samples is None
            and not case.filters
        )

    def uses(self, threads: int) -> int:
        return threads

    def task(self, function: str, case: Case, threads: int = 1) -> Task:
        import numba

        numba.set_num_threads(threads)
        logits = case.logits().reshape(case.n_rows, case.n_categories)
        compiled = _numba_functions(threads > 1)[function]
        if function == SOFTMAX:
            ready = case.output()

            def softmax() -> np.ndarray:
                out = np.empty(case.shape, case.number_type) if ready is None else ready
                compiled(logits, out.reshape(logits.shape))
                return out

            return Task(softmax)
        if function == LOGSUMEXP:
            return Task(partial(compiled, logits), lambda result: result.reshape(case.batch_shape))
        rng = np.random.default_rng(case.seed)
        numbers = np.random.default_rng(case.seed).random((case.n_rows, 1))
        return Task(lambda: compiled(logits, rng.random(case.n_rows)), numbers=numbers)


@functools.cache
def _numba_functions(parallel: bool) -> dict[str, Callable[..., Any]]:
    import numba

    @numba.njit(parallel=parallel)
    def softmax(x: Any, out: Any) -> None:
        for i in numba.prange(x.shape[0]):
            largest = x[i].max()
            total = 0.0
            for j in range(x.shape[1]):
                weight = np.exp(x[i, j] - largest)
                out[i, j] = weight
                total += weight
            scale = x.dtype.type(1.0 / total)
            for j in range(x.shape[1]):
                out[i, j] *= scale

    @numba.njit(parallel=parallel)
    def logsumexp(x: Any) -> Any:
        out = np.empty(x.shape[0], x.dtype)
        for i in numba.prange(x.shape[0]):
            largest = x[i].max()
            total = 0.0
            for j in range(x.shape[1]):
                total += np.exp(x[i, j] - largest)
            out[i] = largest + np.log(total)
        return out

    @numba.njit(parallel=parallel)
    def sample(x: Any, numbers: Any) -> Any:
        out = np.empty(x.shape[0], np.int64)
        for i in numba.prange(x.shape[0]):
            cumulative = np.cumsum(np.exp(x[i] - x[i].max()))
            place = np.searchsorted(cumulative, numbers[i] * cumulative[-1], "right")
            out[i] = min(place, x.shape[1] - 1)
        return out

    return {SOFTMAX: softmax, LOGSUMEXP: logsumexp, SAMPLE: sample}
