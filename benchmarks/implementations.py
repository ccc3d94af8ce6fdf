"""What is timed: what an implementation is, our functions, the reference, and the ceiling. The others are in peers.py.

An implementation says with `does` which functions of which cases it has, and with `task` makes a call without
arguments, everything ready: input in its own type, output where it takes one, one thread. Packages are imported when
the first task is made, so one that is not installed costs nothing.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import tempsoft

from .cases import LOG_SOFTMAX, SAMPLE, SOFTMAX, Case


class Task(NamedTuple):
    """`run` is what is timed; `as_array` makes its result an array, or is None where there is nothing to check;
    `numbers` are the uniform numbers behind the draws of the first run, where they can be known.
    """

    run: Callable[[], Any]
    as_array: Callable[[Any], np.ndarray] | None = np.asarray
    numbers: np.ndarray | None = None


class Implementation:
    """`ulps` is how far from the reference a result may be, in units in the last place of its dtype."""

    name: str
    packages: tuple[str, ...] = ()
    ulps: float = 1000.0  # float32 sums and rounded differences: torch with AVX2 is 405 off at 128256 categories

    def missing(self, case: Case) -> list[str]:
        """Packages it needs for this case that are not installed."""
        return [package for package in (*self.packages, *case.packages) if importlib.util.find_spec(package) is None]

    def versions(self) -> dict[str, str]:
        return {package: importlib.metadata.version(package) for package in ("numpy", *self.packages)}

    def does(self, function: str, case: Case) -> bool:
        raise NotImplementedError

    def task(self, function: str, case: Case) -> Task:
        raise NotImplementedError


class Tempsoft(Implementation):
    """`tempsoft`, or a module with the same functions. One worker is the caller's business."""

    def __init__(self, name: str, module: Any, ulps: float) -> None:
        self.name, self.ulps = name, ulps
        self._module = module

    def does(self, function: str, case: Case) -> bool:
        return True

    def task(self, function: str, case: Case) -> Task:
        arguments: dict[str, Any] = {}
        if case.temperature != 1.0:
            arguments["temperature"] = case.temperatures()
        if case.axis != -1:
            arguments["axis"] = case.axis
        numbers = None
        if function in (SOFTMAX, LOG_SOFTMAX) and case.output() is not None:
            arguments["out"] = case.output()
        elif function == SAMPLE:
            arguments["rng"] = np.random.default_rng(case.seed)
            numbers = tempsoft.reference.uniforms(np.random.default_rng(case.seed), case.n_rows, case.n_draws)
            if case.num_samples is not None:
                arguments["num_samples"] = case.num_samples
        return Task(partial(getattr(self._module, function), case.logits(), **arguments), numbers=numbers)


class Memory(Implementation):
    """The ceiling, no rival: reading the logits once and, where a result has their shape, writing as much."""

    name = "memory"

    def does(self, function: str, case: Case) -> bool:
        if function in (SOFTMAX, LOG_SOFTMAX):
            return case.ready_output
        return case.ready_output and case.dtype in ("float32", "float64") and case.num_samples is None

    def task(self, function: str, case: Case) -> Task:
        if function in (SOFTMAX, LOG_SOFTMAX):
            return Task(partial(np.copyto, case.output(), case.logits()), None)
        return Task(case.logits().max, None)


TEMPSOFT = Tempsoft("tempsoft", tempsoft, ulps=4.0)  # promised 3, and the reference itself is rounded
REFERENCE = Tempsoft("reference", tempsoft.reference, ulps=1.0)
MEMORY = Memory()
