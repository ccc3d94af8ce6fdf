"""What is timed: what an implementation is, our functions, and the reference. The others are in peers.py,
frameworks.py and ceilings.py; the table of all is in table.py.

An implementation says with `does` which functions of which cases it has, and with `task` makes a call without
arguments, everything ready: input in its own type, output where it takes one, as many threads as it is told. Packages
are imported when the first task is made, so one that is not installed costs nothing.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

import tempsoft

from .cases import DRAWS, LOG_PROB, MAPS, PAIRS, SAMPLE, TOP_LOG_PROBS, Case

OURS, PEER, CEILING = "ours", "peer", "ceiling"  # kinds


class WrongResultError(Exception):
    """A result is not what the function means."""


def demand(condition: Any, text: str) -> None:
    if not condition:
        raise WrongResultError(text)


class Task(NamedTuple):
    """`run` is what is timed; `as_array` makes its result an array (two for `PAIRS`); `numbers` are the uniform
    numbers behind the draws of the first run, where they can be known; `own_check` takes the place of the checks where
    the result is not the function's.
    """

    run: Callable[[], Any]
    as_array: Callable[[Any], Any] = np.asarray
    numbers: np.ndarray | None = None
    own_check: Callable[[Any], None] | None = None


class Implementation:
    """`ulps` is how far from exact a result may be, in units in the last place of its dtype."""

    name: str
    kind: str = PEER
    packages: tuple[str, ...] = ()
    ulps: float = 4000.0  # float32 sums and rounded differences: torch is 1174 off at 1,000,000 categories

    def missing(self, case: Case) -> list[str]:
        """Packages it needs for this case that are not installed."""
        return [package for package in (*self.packages, *case.packages) if importlib.util.find_spec(package) is None]

    def versions(self) -> dict[str, str]:
        return {package: importlib.metadata.version(package) for package in ("numpy", *self.packages)}

    def does(self, function: str, case: Case) -> bool:
        """Whether it has the function, for such a case."""
        raise NotImplementedError

    def uses(self, threads: int) -> int:
        """How many threads its tasks use when they may use so many."""
        return 1

    def task(self, function: str, case: Case, threads: int = 1) -> Task:
        raise NotImplementedError


class Tempsoft(Implementation):
    """`tempsoft`, or a module with the same functions. Whoever runs the task sets the default number of workers to the
    number of threads, as `tempsoft.set_workers` does: the calls are those without an argument `workers`.
    """

    kind = OURS

    def __init__(self, name: str, module: Any, ulps: float, *, most_threads: int | None = None) -> None:
        self.name, self.ulps = name, ulps
        self._module, self._most_threads = module, most_threads

    def does(self, function: str, case: Case) -> bool:
        return True

    def uses(self, threads: int) -> int:
        return threads if self._most_threads is None else min(threads, self._most_threads)

    def task(self, function: str, case: Case, threads: int = 1) -> Task:
        arguments: dict[str, Any] = dict(case.filters)
        if case.temperature != 1.0:
            arguments["temperature"] = case.temperatures()
        if case.axis != -1:
            arguments["axis"] = case.axis
        if self.uses(threads) != threads:
            arguments["workers"] = self.uses(threads)
        if function in MAPS and case.output() is not None:
            arguments["out"] = case.output()
        elif function == LOG_PROB:
            arguments["index"] = case.chosen()
        elif function == TOP_LOG_PROBS:
            arguments["k"] = case.n_best
        numbers = None
        if function in DRAWS:
            arguments["rng"] = np.random.default_rng(case.seed)
            numbers = tempsoft.uniforms(np.random.default_rng(case.seed), case.n_rows, case.n_draws)
            if case.num_samples is not None:
                arguments["num_samples"] = case.num_samples
            if not case.replace:
                arguments["replace"] = False
        run = partial(getattr(self._module, function), case.logits(), **arguments)
        return Task(run, tuple if function in PAIRS else np.asarray, numbers)


class PlainDraw(Tempsoft):
    """Our draw of the same rows without the filters of the case: what these cost is the ratio to it."""

    def __init__(self) -> None:
        super().__init__("plain_draw", tempsoft, ulps=0.0)

    def does(self, function: str, case: Case) -> bool:
        return function == SAMPLE and bool(case.filters)

    def task(self, function: str, case: Case, threads: int = 1) -> Task:
        run = super().task(function, case, threads).run
        assert isinstance(run, partial)
        kept = {name: value for name, value in run.keywords.items() if name not in dict(case.filters)}
        return Task(partial(run.func, *run.args, **kept), own_check=_has_draws)


def _has_draws(result: np.ndarray) -> None:
    demand(result.dtype == np.int64, f"draws of dtype {result.dtype}")


TEMPSOFT = Tempsoft(
    "tempsoft", tempsoft, ulps=4.0
)  # promised 3, and where no longer float is, the judge is rounded too
ONE_WORKER = Tempsoft("one_worker", tempsoft, ulps=4.0, most_threads=1)
PLAIN_DRAW = PlainDraw()
REFERENCE = Tempsoft("reference", tempsoft.reference, ulps=1.0, most_threads=1)
