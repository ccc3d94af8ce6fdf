"""The one table of cases: workloads by name, each able to make its input and to count its traffic.

A case says which shape, dtype, axis, temperature, filters and distribution of logits a workload has, and which
functions it is for. Whoever times something (runner.py, test_kernels.py) takes its cases from here and what to time
from table.py; a case knows of neither. What is expected of the times is in targets.py.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

SOFTMAX, LOG_SOFTMAX, LOGSUMEXP, ENTROPY, LOG_PROB = "softmax", "log_softmax", "logsumexp", "entropy", "log_prob"
SAMPLE, SAMPLE_WEIGHTS, TOP_LOG_PROBS, SUPPORT = "sample", "sample_weights", "top_log_probs", "support"
MAPS = (SOFTMAX, LOG_SOFTMAX)  # a number for each logit
DRAWS = (SAMPLE, SAMPLE_WEIGHTS)
PAIRS = (TOP_LOG_PROBS, SUPPORT)  # of arrays

# the input, from a generator, a shape and a float type
DISTRIBUTIONS: dict[str, Callable[[np.random.Generator, Any, Any], np.ndarray]] = {
    "normal, sd 1": lambda rng, shape, dtype: rng.standard_normal(shape, dtype),
    "normal, sd 2": lambda rng, shape, dtype: rng.standard_normal(shape, dtype) * dtype(2),
    "normal, sd 3": lambda rng, shape, dtype: rng.standard_normal(shape, dtype) * dtype(3),
    "normal, sd 3, half of it -inf": lambda rng, shape, dtype: np.where(
        rng.random(shape, np.float32) < 0.5, dtype(-np.inf), rng.standard_normal(shape, dtype) * dtype(3)
    ),
    "normal, sd 12": lambda rng, shape, dtype: rng.standard_normal(shape, dtype) * dtype(12),
    "uniform in [0, 1)": lambda rng, shape, dtype: rng.random(shape, dtype),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """A workload. `temperature` is one number, or the (lowest, highest) of one per row; `filters` are arguments of
    `tempsoft.sample`; `num_samples` None is one draw a row, `replace` whether several may be equal; `n_best` is
    for `top_log_probs`. `ready_output` is whether results go to memory that was used before, where a function has an
    `out`. `main` are the functions that a quick run and the README show, `shared` says that all threads are tried after
    one. `path` is a file with the logits.
    """

    name: str
    shape: tuple[int, ...]
    functions: tuple[str, ...]
    main: tuple[str, ...] = ()
    shared: bool = False
    dtype: str = "float32"
    axis: int = -1
    temperature: float | tuple[float, float] = 1.0
    filters: tuple[tuple[str, float], ...] = ()
    distribution: str = "normal, sd 3"
    num_samples: int | None = None
    replace: bool = True
    n_best: int | None = None
    ready_output: bool = True
    seed: int = 20
    path: str | None = None

    @property
    def label(self) -> str:
        """What the case is, in one line."""
        parts = [self.name, " x ".join(f"{length:,}" for length in self.shape)]
        if self.dtype != "float32":
            parts.append(self.dtype)
        if self.axis != -1:
            parts.append(f"axis={self.axis}")
        if self.temperature != 1.0:
            parts.append("temperature per row" if self.has_temperature_per_row else f"temperature={self.temperature}")
        parts.extend(f"{name}={value}" for name, value in self.filters)
        if self.num_samples is not None:
            parts.append(f"num_samples={self.num_samples:,}")
        if not self.replace:
            parts.append("replace=False")
        if self.n_best is not None:
            parts.append(f"k={self.n_best}")
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

    def output_kind(self, function: str) -> str:
        """Whether the result goes to "ready" memory or a "new" array; "small" where it is no map of the logits."""
        if function not in MAPS:
            return "small"
        return "ready" if self.ready_output else "new"

    def logits(self) -> np.ndarray:
        """The input; made once while one case is worked on, and not to be written to."""
        return _logits(self)

    def output(self) -> np.ndarray | None:
        """Memory for a result of the logits' shape and dtype, shared by all who work on the case; None where `out` is
        not to be used.
        """
        return _output(self) if self.ready_output else None

    def chosen(self) -> np.ndarray:
        """A category of each row, for `log_prob`."""
        return np.random.default_rng(self.seed + 1).integers(self.n_categories, size=self.batch_shape)

    def temperatures(self) -> float | np.ndarray:
        """A number, or float64 of the batch shape, in random order."""
        if not self.has_temperature_per_row:
            return self.temperature
        values = np.geomspace(*self.temperature, self.n_rows)
        return np.random.default_rng(self.seed).permutation(values).reshape(self.batch_shape)

    def traffic(self, function: str) -> int:
        """Bytes that have to be read and written, each once."""
        logits = math.prod(self.shape) * self.number_type.itemsize
        parameters = 8 * self.n_rows * (self.has_temperature_per_row + (function == LOG_PROB))
        number = max(4, self.number_type.itemsize)
        if function in MAPS:
            results = logits
        elif function in DRAWS:
            results = 8 * self.n_rows * self.n_draws
        elif function == TOP_LOG_PROBS:
            results = (8 + number) * self.n_rows * (self.n_best or 0)
        elif function == SUPPORT:
            results = (8 + number) * self.n_rows
        else:
            results = number * self.n_rows
        return logits + parameters + results


@functools.lru_cache(maxsize=1)
def _logits(case: Case) -> np.ndarray:
    if case.path is not None:
        return np.ascontiguousarray(np.load(case.path, allow_pickle=False), case.number_type)
    working = np.float64 if case.dtype == "float64" else np.float32
    made = DISTRIBUTIONS[case.distribution](np.random.default_rng(case.seed), case.shape, working)
    return made.astype(case.number_type, copy=False)


@functools.lru_cache(maxsize=1)
def _output(case: Case) -> np.ndarray:
    return np.ones(case.shape, case.number_type)


_ONE_DECISION = Case(
    name="four_logits", shape=(4,), functions=(*MAPS, LOGSUMEXP, SAMPLE), main=(SOFTMAX,), ready_output=False
)
_CLASSIFIER = Case(
    name="classifier", shape=(1000, 1000), functions=(*MAPS, LOGSUMEXP, ENTROPY, LOG_PROB, SAMPLE), main=(SOFTMAX,)
)
_EVALUATION = Case(
    name="evaluation_set", shape=(32768, 1000), functions=(SOFTMAX, SAMPLE), main=(SOFTMAX,), shared=True
)
_STEP = Case(
    name="language_model_step",
    shape=(256, 128256),
    functions=(*MAPS, LOGSUMEXP, SAMPLE),
    main=(SOFTMAX, LOGSUMEXP, SAMPLE),
    shared=True,
)
_OF_LABELS = (*MAPS, LOGSUMEXP, ENTROPY, LOG_PROB, SAMPLE)
_PIXELS = Case(name="pixel_classes", shape=(1000, 32768), functions=(SOFTMAX, *_OF_LABELS[2:]), main=(SOFTMAX,), axis=0)
_DECODING = Case(name="", shape=(64, 128256), functions=(SAMPLE,), main=(SAMPLE,), seed=1)

CASES: tuple[Case, ...] = (
    # one decision: choosing an action, a token by hand
    _ONE_DECISION,
    # the actions of a few agents, each as curious as it is
    replace(
        _ONE_DECISION,
        name="agents",
        shape=(8, 10),
        functions=(SOFTMAX, SAMPLE),
        main=(),
        temperature=(0.5, 2.0),
    ),
    # the evidence of a few and of many hypotheses, in log-probabilities
    replace(_ONE_DECISION, name="one_row", shape=(1000,), functions=(*MAPS, LOGSUMEXP), main=()),
    replace(
        _ONE_DECISION,
        name="long_row",
        shape=(1_000_000,),
        functions=(*MAPS, LOGSUMEXP),
        main=(),
        shared=True,
    ),
    # a batch from an image classifier, a larger one, and a whole evaluation set of it
    _CLASSIFIER,
    # its five best labels
    replace(_CLASSIFIER, name="top_five", functions=(TOP_LOG_PROBS,), main=(), n_best=5),
    replace(_CLASSIFIER, name="classifier_new", functions=(SOFTMAX,), main=(), ready_output=False),
    Case(name="inference_service", shape=(4000, 1000), functions=(SOFTMAX,), shared=True),
    _EVALUATION,
    replace(_EVALUATION, name="evaluation_set_new", functions=(SOFTMAX,), main=(), ready_output=False),
    # the logits of one step of a language model, a row for each sequence
    _STEP,
    replace(_STEP, name="language_model_step_new", functions=(SOFTMAX,), main=(), ready_output=False),
    # short rows by the million: discrete choices between few alternatives, digits; and 100 labels
    Case(name="discrete_choice", shape=(1_000_000, 3), functions=(SOFTMAX,)),
    Case(name="digits", shape=(1_000_000, 10), functions=_OF_LABELS, main=(SOFTMAX, SAMPLE)),
    Case(name="hundred_labels", shape=(300_000, 100), functions=_OF_LABELS[:-1], main=(SOFTMAX,)),
    # actions of many agents, each as curious as it is; digits that are likely enough
    Case(name="many_agents", shape=(200_000, 10), functions=(*MAPS, SAMPLE), main=(), temperature=(0.5, 2.0)),
    Case(name="likely_digits", shape=(200_000, 10), functions=(SAMPLE, SUPPORT), main=(), filters=(("top_p", 0.9),)),
    # class scores of the pixels of an image, classes first; a mask of three classes; classes of many
    _PIXELS,
    replace(_PIXELS, name="pixel_mask", shape=(3, 1_000_000), functions=MAPS, main=()),
    replace(_PIXELS, name="pixel_words", shape=(5000, 4000), functions=(SOFTMAX,), main=()),
    replace(_PIXELS, name="pixel_classes_float16", functions=(SOFTMAX,), main=(), dtype="float16"),
    # the same at an annealed temperature
    Case(name="annealed_pixels", shape=(1000, 32768), functions=(SOFTMAX,), axis=0, temperature=0.1),
    # the classifier as it comes in other dtypes
    replace(_CLASSIFIER, name="classifier_float64", functions=(*MAPS, LOGSUMEXP, SAMPLE), main=(), dtype="float64"),
    replace(_CLASSIFIER, name="classifier_float16", functions=MAPS, main=(), dtype="float16"),
    replace(_CLASSIFIER, name="classifier_bfloat16", functions=MAPS, main=(), dtype="bfloat16"),
    # classes that may not be chosen, by a mask; and an annealed temperature, at which most probabilities are next to 0
    replace(_CLASSIFIER, name="masked_classes", functions=MAPS, main=(), distribution="normal, sd 3, half of it -inf"),
    replace(_CLASSIFIER, name="annealed", functions=(SOFTMAX,), main=(), temperature=0.1),
    # teacher probabilities; requests with their own temperatures in one batch
    Case(name="distillation", shape=(1000, 1000), functions=(SOFTMAX,), temperature=4.0),
    Case(name="own_temperatures", shape=(1000, 1000), functions=(SOFTMAX, SAMPLE), temperature=(0.5, 2.0)),
    # decoding of 64 sequences: nearly greedy; with one filter each; the best alternatives with their log-probabilities
    replace(_DECODING, name="decoding_cold", main=(), temperature=0.25, distribution="normal, sd 12"),
    # decoding by a grammar: half of the tokens may not come next
    replace(
        _DECODING,
        name="decoding_masked",
        functions=(SOFTMAX, SAMPLE),
        main=(),
        distribution="normal, sd 3, half of it -inf",
    ),
    # a single sequence, in a chat
    replace(_DECODING, name="one_sequence", shape=(1, 128256), main=(), filters=(("top_k", 50), ("top_p", 0.9))),
    replace(_DECODING, name="decoding_top_k", filters=(("top_k", 50),)),
    replace(_DECODING, name="decoding_min_p", main=(), filters=(("min_p", 0.05),)),
    replace(_DECODING, name="decoding_top_p", filters=(("top_p", 0.9),), distribution="normal, sd 12"),
    replace(_DECODING, name="decoding_top_p_spread", main=(), filters=(("top_p", 0.9),), distribution="normal, sd 2"),
    replace(
        _DECODING,
        name="decoding_top_p_flat",
        main=(),
        temperature=2.0,
        filters=(("top_p", 0.9),),
        distribution="normal, sd 1",
    ),
    replace(_DECODING, name="alternatives", functions=(TOP_LOG_PROBS,), main=(), n_best=50),
    # a few opinions on each digit; different items for each visitor; Monte Carlo: many draws from each of a few
    # distributions; from one; components of mixtures, by their weights
    Case(name="committee", shape=(1_000_000, 10), functions=(SAMPLE,), num_samples=4),
    Case(name="slates", shape=(200_000, 10), functions=(SAMPLE,), num_samples=3, replace=False),
    Case(name="many_draws", shape=(100, 1000), functions=(SAMPLE,), num_samples=1000),
    Case(name="monte_carlo", shape=(50_000,), functions=(SAMPLE,), num_samples=10**6),
    Case(
        name="mixture_components",
        shape=(100_000, 100),
        functions=(SAMPLE_WEIGHTS,),
        dtype="float64",
        distribution="uniform in [0, 1)",
    ),
)

BY_NAME = {case.name: case for case in CASES}


def of_file(path: str) -> Case:
    """The user's own logits, from a .npy file of one or two axes, categories last."""
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    dtype = array.dtype.newbyteorder("=").name
    if dtype not in ("float16", "float32", "float64") or array.ndim not in (1, 2) or array.size == 0:
        raise ValueError(f"logits must be float16, float32 or float64 with one or two axes, not {dtype} {array.shape}")
    case = Case(
        name="input",
        shape=array.shape,
        functions=(SOFTMAX, LOGSUMEXP, SAMPLE),
        main=(SOFTMAX, LOGSUMEXP, SAMPLE),
        shared=True,
        dtype=dtype,
        distribution="the user's",
        path=path,
    )
    if not np.isfinite(case.logits().max(axis=-1)).all():
        raise ValueError("a row of the logits has NaN, +inf or only -inf: rivals do not agree on what it means")
    return case
