"""Every case, by every implementation that does it: checked, then timed with pytest-benchmark, on one thread.

Grouped so that our function, the reference, the peers and the ceilings stand side by side. Only when asked for:
``pytest benchmarks``. Durations of neighbours in a group are seconds apart; for ratios see runner.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import tempsoft

from . import checks, machine, turns
from .cases import CASES, Case
from .implementations import REFERENCE, Implementation
from .runner import LARGE, contestants

LONG = 0.1  # seconds: calls from here on get no more rounds than fit into
SECONDS_OF_LONG_CALLS = 0.8


def _parameters() -> Iterator[Any]:
    for case in CASES:
        for function in case.functions:
            for implementation in contestants(function, case, 1):
                missing = implementation.missing(case)
                yield pytest.param(
                    *(function, case, implementation),
                    id=f"{function}-{case.name}-{implementation.name}",
                    marks=pytest.mark.skipif(bool(missing), reason=f"not installed: {', '.join(missing)}"),
                )


@pytest.mark.filterwarnings("ignore:Benchmark fixture was not used")  # where a check failed
@pytest.mark.benchmark(max_time=0.2, min_time=0.0002, min_rounds=5, disable_gc=True, warmup=False)
@pytest.mark.parametrize(("function", "case", "implementation"), list(_parameters()))
def test_speed(benchmark: Any, function: str, case: Case, implementation: Implementation) -> None:
    benchmark.group = f"{function}: {case.label}"
    with tempsoft.set_workers(1):
        task = implementation.task(function, case)
        checks.spoil(case)
        is_slow = implementation is REFERENCE and case.traffic(function) > LARGE
        # what is slow is timed in the run that is checked
        result = benchmark.pedantic(task.run, rounds=1) if is_slow else task.run()
        error = checks.check(implementation, function, case, task, result)
        if not is_slow:
            seconds = turns.estimate(task.run)
            if seconds < LONG:
                benchmark(task.run)
            else:
                benchmark.pedantic(task.run, rounds=max(1, int(SECONDS_OF_LONG_CALLS / seconds)))
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
