"""Every case, by every implementation that does it: checked, then timed with pytest-benchmark.

Grouped so that our function, the reference, the peers and the memory ceiling stand side by side. Only when asked for:
``pytest benchmarks``. Durations of neighbours in a group are seconds apart; for ratios see targets.py.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

import tempsoft

from . import checks, machine
from .cases import CASES, Case
from .implementations import Implementation
from .peers import IMPLEMENTATIONS

SLOW = 0.1  # seconds: calls from here on get a fixed number of rounds
SECONDS_OF_SLOW_CALLS = 0.8
LEAST_ROUNDS, MOST_ROUNDS = 1, 5


def _parameters() -> Iterator[Any]:
    for case in CASES:
        for function in case.functions:
            for implementation in IMPLEMENTATIONS:
                if implementation.does(function, case):
                    yield pytest.param(function, case, implementation, id=f"{function}-{case.name}-{implementation.name}")


@pytest.mark.benchmark(max_time=0.25, min_rounds=5, disable_gc=True, warmup=False)
@pytest.mark.parametrize(("function", "case", "implementation"), _parameters())
def test_speed(benchmark: Any, function: str, case: Case, implementation: Implementation) -> None:
    missing = [*implementation.missing(), *checks.missing(case)]
    if missing:
        pytest.skip(f"{implementation.name} needs {', '.join(missing)}")
    benchmark.group = f"{function}: {case.label}"
    with tempsoft.set_workers(1):
        task = implementation.task(function, case)
        checks.spoil(case)
        started = time.perf_counter()
        result = task.run()
        seconds = time.perf_counter() - started
        error = checks.check(implementation, function, case, task, result)
        benchmark.extra_info.update(
            function=function,
            case=case.name,
            implementation=implementation.name,
            isa=machine.isa(),
            versions=machine.versions([implementation]),
            rows=case.n_rows,
            bytes=case.traffic(function),
            largest_error_ulp=error,
        )
        if seconds < SLOW:
            benchmark(task.run)
        else:
            rounds = min(MOST_ROUNDS, max(LEAST_ROUNDS, int(SECONDS_OF_SLOW_CALLS / seconds)))
            benchmark.pedantic(task.run, rounds=rounds)
