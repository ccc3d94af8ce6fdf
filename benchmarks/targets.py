"""The ratios that tempsoft sets itself as targets, measured here and now: ``python -m benchmarks.targets``.

Ours and the other run in turns, A B A B, in one process on one thread; the ratio of each pair is taken, and the median
and quartiles of the ratios are shown. What is timed is checked first. Never a test: a busy machine is no regression.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np

import tempsoft
from tempsoft import _kernels

from . import cases, checks, machine
from .implementations import TEMPSOFT, Implementation
from .peers import BY_NAME

SHORTEST_TIMING = 0.0002  # seconds; faster calls are timed in loops of so long
FEWEST_PAIRS = 5


class Target(NamedTuple):
    """Our time, or that of another module of ours, is to be at most `limit` times the other's."""

    function: str
    case: str
    other: str
    limit: float
    ours: str = TEMPSOFT.name

    @property
    def name(self) -> str:
        return f"{'' if self.ours == TEMPSOFT.name else f'{self.ours}.'}{self.function} {self.case}"


TARGETS = (
    Target(cases.SOFTMAX, "four_logits", "torch", 0.6),
    Target(cases.SOFTMAX, "four_logits", "numpy_expression", 0.12),
    Target(cases.SAMPLE, "four_logits", "generator_choice", 0.2),
    Target(cases.SOFTMAX, "classifier", "reference", 0.2),
    Target(cases.SOFTMAX, "classifier", "onnxruntime", 1.0),
    Target(cases.SAMPLE, "language_model_step", "reference", 0.05),
    Target(cases.SAMPLE, "language_model_step", "torch", 1 / 20),
    Target(cases.SAMPLE, "language_model_step", "numpy_expression", 1 / 10),
    # a change of one import
    *(
        Target(function, case, "scipy", limit, "special")
        for case, limit_of_sums in (("four_logits", 0.2), ("one_row", 0.2), ("classifier", 0.1), ("long_row", 0.1))
        for function, limit in ((cases.SOFTMAX, 0.2), (cases.LOGSUMEXP, limit_of_sums))
    ),
)


class Pairs(NamedTuple):
    """Seconds a call, ours and the other's, of timings made in turns."""

    ours: np.ndarray
    other: np.ndarray

    def ratio_quantile(self, quantile: float) -> float:
        return float(np.quantile(self.ours / self.other, quantile))


def _seconds(run: Callable[[], Any], calls: int) -> float:
    started = time.perf_counter()
    for _ in itertools.repeat(None, calls):
        run()
    return (time.perf_counter() - started) / calls


def _calls_a_timing(run: Callable[[], Any]) -> int:
    once = min(_seconds(run, 1) for _ in range(3)) if _seconds(run, 1) < SHORTEST_TIMING else SHORTEST_TIMING
    return math.ceil(SHORTEST_TIMING / once)


def measure(ours: Callable[[], Any], other: Callable[[], Any], most_pairs: int, most_seconds: float) -> Pairs:
    """Time both in turns until there are enough pairs, or the time is up."""
    our_calls, other_calls = _calls_a_timing(ours), _calls_a_timing(other)
    our_seconds, other_seconds = [], []
    end = time.perf_counter() + most_seconds
    gc.collect()
    gc.disable()
    try:
        while len(our_seconds) < most_pairs and (time.perf_counter() < end or len(our_seconds) < FEWEST_PAIRS):
            our_seconds.append(_seconds(ours, our_calls))
            other_seconds.append(_seconds(other, other_calls))
    finally:
        gc.enable()
    return Pairs(np.array(our_seconds), np.array(other_seconds))


def _checked(implementation: Implementation, function: str, case: cases.Case) -> Callable[[], Any]:
    task = implementation.task(function, case)
    checks.spoil(case)
    checks.check(implementation, function, case, task, task.run())
    return task.run


def _duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


HEADER = (
    f"{'case':<34} {'against':<17} {'target':>6} {'median':>7} {'quartiles':>15} {'best':>7}"
    f" {'ours':>9} {'other':>9} {'pairs':>6}  met"
)


def _line(target: Target, pairs: Pairs) -> str:
    median = pairs.ratio_quantile(0.5)
    quartiles = f"{pairs.ratio_quantile(0.25):.3f}-{pairs.ratio_quantile(0.75):.3f}"
    best = pairs.ours.min() / pairs.other.min()
    durations = [_duration(float(np.median(seconds))) for seconds in pairs]
    return (
        f"{target.name:<34} {target.other:<17} {target.limit:>6.3g} {median:>7.3f}"
        f" {quartiles:>15} {best:>7.3f} {durations[0]:>9} {durations[1]:>9} {len(pairs.ours):>6}"
        f"  {'yes' if median <= target.limit else 'NO'}"
    )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.targets", description=__doc__)
    parser.add_argument("--isa", help="instruction set to use, as TEMPSOFT_ISA would force it: %(choices)s",
                        choices=_kernels.supported_isas())  # fmt: skip
    parser.add_argument("--pairs", type=int, default=300, help="most pairs of timings a target (default: %(default)s)")
    parser.add_argument("--seconds", type=float, default=10.0, help="most seconds a target (default: %(default)s)")
    parser.add_argument("--only", default="", metavar="TEXT", help="only targets whose names contain this text")
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    arguments = _arguments()
    if arguments.isa:
        _kernels.set_isa(arguments.isa)
    chosen = [target for target in TARGETS if arguments.only in f"{target.name} {target.other}"]
    others = [BY_NAME[target.other] for target in chosen]
    installed = [other for other, target in zip(others, chosen, strict=True)
                 if not other.missing(cases.BY_NAME[target.case])]  # fmt: skip
    print(machine.cpu_model())
    print(f"instruction set: {machine.isa()} (built and supported here: {', '.join(_kernels.supported_isas())})")
    print(", ".join(f"{name} {version}" for name, version in machine.versions(installed).items()))
    print("ratios: our time by the other's, pair by pair, one thread; best: best of ours by best of the other")
    print()
    print(HEADER)
    with tempsoft.set_workers(1):
        for target, other in zip(chosen, others, strict=True):
            case = cases.BY_NAME[target.case]
            if missing := other.missing(case):
                print(f"{target.name:<34} {target.other:<17} not installed: {', '.join(missing)}")
                continue
            runs = [_checked(each, target.function, case) for each in (BY_NAME[target.ours], other)]
            print(_line(target, measure(*runs, arguments.pairs, arguments.seconds)), flush=True)


if __name__ == "__main__":
    main()
