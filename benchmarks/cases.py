"""The one table of cases: workloads by name, each able to make its input and to count its traffic.

A case says which shape, dtype, axis, temperature and distribution of logits a workload has, and which functions it is
for. Whoever times something (test_kernels.py, targets.py) takes its cases from here and what to time from
implementations.py; a case knows of neither.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

SOFTMAX, LOG_SOFTMAX, LOGSUMEXP, SAMPLE = "softmax", "log_softmax", "logsumexp", "sample"
ALL = (SOFTMAX, LOG_SOFTMAX, LOGSUMEXP, SAMPLE)

# standard normal numbers to logits
DISTRIBUTIONS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "normal, sd 3": lambda normal: np.multiply(normal, 3, out=normal),
    "normal, sd 12": lambda normal: np.multiply(normal, 12, out=normal),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A workload. `temperature` is one number, or the (lowest, highest) of one per row; `num_samples` None is one draw
    a row; `ready_output` is whether results go to memory that was used before, where a function has an `out`.
    """

    name: str
    shape: tuple[int, ...]
    functions: tuple[str, ...] = ALL
    dtype: str = "float32"
    axis: int = -1
    temperature: float | tuple[float, float] = 1.0
    distribution: str = "normal, sd 3"
    num_samples: int | None = None
    ready_output: bool = True
    seed: int = 20

    @property
    def label(self) -> str:
        """What the case is, in one line."""
        parts = [self.name, " x ".join(map(str, self.shape)), self.dtype]
        if self.axis != -1:
            parts.append(f"axis={self.axis}")
        if self.temperature != 1.0:
            parts.append("temperature per row" if self.has_temperature_per_row else f"temperature={self.temperature}")
        if self.num_samples is not None:
            parts.append(f"num_samples={self.num_samples}")
        return " ".join(parts)

    @property
    def has_temperature_per_row(self) -> bool:
        return isinstance(self.temperature, tuple)

    @property
    def packages(self) -> tuple[str, ...]:
        """What has to be installed to make the input, beyond NumPy."""
        return ("ml_dtypes",) if self.dtype == "bfloat16" else ()

    @property
    def number_type(self) -> np.dtype[Any]:
        if self.dtype == "bfloat16":
            import ml_dtypes

            return np.dtype(ml_dtypes.bfloat16)
        return np.dtype(self.dtype)

    @property
    def n_categories(self) -> int:
        return self.shape[self.axis]

    @property
    def batch_shape(self) -> tuple[int, ...]:
        axis = self.axis % len(self.shape)
        return self.shape[:axis] + self.shape[axis + 1 :]

    @property
    def n_rows(self) -> int:
        return math.prod(self.batch_shape)

    @property
    def n_draws(self) -> int:
        """Draws from each row."""
        return 1 if self.num_samples is None else self.num_samples

    def logits(self) -> np.ndarray:
        """The input; made once while one case is worked on, and not to be written to."""
        return _logits(self)

    def output(self) -> np.ndarray | None:
        """Memory for a result of the logits' shape and dtype, shared by all who work on the case; None where `out` is
        not to be used.
        """
        return _output(self) if self.ready_output else None

    def temperatures(self) -> float | np.ndarray:
        """A number, or float64 of the batch shape, in random order."""
        if not self.has_temperature_per_row:
            return self.temperature
        values = np.geomspace(*self.temperature, self.n_rows)
        return np.random.default_rng(self.seed).permutation(values).reshape(self.batch_shape)

    def traffic(self, function: str) -> int:
        """Bytes that have to be read and written, each once."""
        logits = math.prod(self.shape) * self.number_type.itemsize
        temperatures = 8 * self.n_rows if self.has_temperature_per_row else 0
        if function == LOGSUMEXP:
            results = self.n_rows * max(4, self.number_type.itemsize)
        else:
            results = 8 * self.n_rows * self.n_draws if function == SAMPLE else logits
        return logits + temperatures + results


@functools.lru_cache(maxsize=1)
def _logits(case: Case) -> np.ndarray:
    working = np.float64 if case.dtype == "float64" else np.float32
    normal = np.random.default_rng(case.seed).standard_normal(case.shape, dtype=working)
    return DISTRIBUTIONS[case.distribution](normal).astype(case.number_type, copy=False)


@functools.lru_cache(maxsize=1)
def _output(case: Case) -> np.ndarray:
    return np.ones(case.shape, case.number_type)


CASES: tuple[Case, ...] = (
    # one decision: choosing an action, a token by hand
    Case(name="four_logits", shape=(4,), ready_output=False),
    # the evidence of a few and of many hypotheses, in log-probabilities
    Case(name="one_row", shape=(1000,), functions=(SOFTMAX, LOG_SOFTMAX, LOGSUMEXP), ready_output=False),
    Case(name="long_row", shape=(1_000_000,), functions=(SOFTMAX, LOG_SOFTMAX, LOGSUMEXP), ready_output=False),
    # a batch from an image classifier, and a whole evaluation set of it
    Case(name="classifier", shape=(1000, 1000)),
    Case(name="classifier_large", shape=(32768, 1000)),
    # the logits of one step of a language model, a row for each sequence
    Case(name="language_model_step", shape=(256, 128256)),
    Case(
        name="language_model_cold",
        shape=(64, 128256),
        functions=(SAMPLE,),
        temperature=0.25,
        distribution="normal, sd 12",
    ),
    # choice models, small action spaces, digits
    Case(name="short_rows", shape=(1_000_000, 10), functions=(SOFTMAX, LOGSUMEXP, SAMPLE)),
    # class scores of the pixels of an image, classes first
    Case(name="pixel_classes", shape=(1000, 32768), functions=(SOFTMAX, LOGSUMEXP), axis=0),
    # the classifier as it comes in other dtypes
    Case(name="classifier_float16", shape=(1000, 1000), functions=(SOFTMAX, LOG_SOFTMAX), dtype="float16"),
    Case(name="classifier_bfloat16", shape=(1000, 1000), functions=(SOFTMAX, LOG_SOFTMAX), dtype="bfloat16"),
    Case(name="classifier_float64", shape=(1000, 1000), dtype="float64"),
    # teacher probabilities; requests with their own temperatures in one batch
    Case(name="distillation", shape=(1000, 1000), functions=(SOFTMAX,), temperature=4.0),
    Case(name="temperature_per_row", shape=(1000, 1000), functions=(SOFTMAX, SAMPLE), temperature=(0.5, 2.0)),
    # Monte Carlo: many draws from each of a few distributions
    Case(name="many_draws", shape=(100, 1000), functions=(SAMPLE,), num_samples=1000),
)

BY_NAME = {case.name: case for case in CASES}
