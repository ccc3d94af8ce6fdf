"""The comparison: every function of every case, all implementations in turns on the same arrays, checked before.

One thread first, then all. What is not installed, and what gives wrong results, is left out with its reason; ours has
to be right.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterable, Iterator

import tempsoft

from . import checks, machine, results, targets, turns
from .cases import Case
from .implementations import OURS, PLAIN_DRAW, REFERENCE, TEMPSOFT, Implementation, WrongResultError
from .table import IMPLEMENTATIONS

LARGE = 16e6  # bytes of traffic: from here on the reference takes part where a target asks for it, in no quick run


def rows(
    cases: Iterable[Case],
    threads: int,
    effort: turns.Effort,
    everyone: Iterable[Implementation] = IMPLEMENTATIONS,
    *,
    main: bool = False,
    only: str = "",
) -> Iterator[results.Row]:
    """Rows of results on so many threads: of the main functions alone, or of those whose names contain a text."""
    for case in cases:
        if threads > 1 and not case.shared:
            continue
        for function in case.main if main else case.functions:
            if only in f"{function} {case.label}":
                yield measure(function, case, threads, effort, everyone)


def contestants(
    function: str, case: Case, threads: int, everyone: Iterable[Implementation] = IMPLEMENTATIONS
) -> list[Implementation]:
    """Who takes part: ours, whoever has the function, and of our other forms those that say something here."""
    wanted = {TEMPSOFT.name, PLAIN_DRAW.name}
    wanted.update(name for target in targets.of(function, case.name, threads) for name in (target.ours, target.other))
    if threads > 1:
        wanted.add("one_worker")
    elif case.traffic(function) < LARGE:
        wanted.add(REFERENCE.name)
    return [each for each in everyone if each.does(function, case) and (each.kind != OURS or each.name in wanted)]


def measure(
    function: str,
    case: Case,
    threads: int,
    effort: turns.Effort,
    everyone: Iterable[Implementation] = IMPLEMENTATIONS,
) -> results.Row:
    """Check all who have the function, then time them in turns."""
    taking_part, runs, errors, estimates, left_out = {}, {}, {}, {}, {}
    with tempsoft.set_workers(threads):
        for each in contestants(function, case, threads, everyone):
            if each is REFERENCE and effort is turns.QUICK and case.traffic(function) >= LARGE:
                continue
            if missing := each.missing(case):
                left_out[each.name] = f"not installed: {', '.join(missing)}"
                continue
            try:
                runs[each.name], estimates[each.name], errors[each.name] = _checked(each, function, case, threads)
            except Exception as error:
                if each is TEMPSOFT:
                    raise
                left_out[each.name] = _reason(error)
                continue
            taking_part[each.name] = each
        others = machine.Others()
        seconds = turns.in_turns(runs, estimates, effort)
    row = results.row(function, case, threads, taking_part, seconds, errors)
    return {**row, "others_cpus": others.cpus(), "left_out": left_out}


def _checked(each: Implementation, function: str, case: Case, threads: int) -> tuple[turns.Run, float, float | None]:
    """What is to be timed, about how many seconds it takes, and its largest error."""
    task = each.task(function, case, threads)
    checks.spoil(case)
    started = time.perf_counter()
    result = task.run()
    first = time.perf_counter() - started
    error = checks.check(each, function, case, task, result)
    del result
    is_all = each is REFERENCE and first > turns.SLOW  # it compiles nothing, and takes seconds
    return task.run, first if is_all else turns.estimate(task.run), error


def _reason(error: Exception) -> str:
    """Why one is left out. The text of a failure may name files of this machine, so it goes to the terminal alone."""
    if isinstance(error, WrongResultError):
        return f"wrong: {error}"
    traceback.print_exception(error)
    return f"failed: {type(error).__name__}"
