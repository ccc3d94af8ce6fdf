"""A guard against regressions that needs no clock: instructions of fixed calls, beside those recorded.

``python -m benchmarks.guard`` makes each call in a child under valgrind and counts what the whole call executes, Python
included. A call that needs over 2 % more than instruction_counts.json says is an error; ``--record`` writes that file
anew. Says nothing of memory, branches and threads, nor of AVX-512, which valgrind does not run.
"""

from __future__ import annotations

import argparse
import collections
import gc
import json
import os
import pathlib
import platform
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from tempsoft import _kernels

from .cases import BY_NAME, Case
from .implementations import TEMPSOFT
from .results import write

RECORD = pathlib.Path(__file__).with_name("instruction_counts.json")
SCHEMA = "tempsoft-instruction-counts/1"
TOLERANCE = 0.02
MORE, FEWER, NOT_RECORDED, NO_CASE = "MORE", "fewer", "not recorded", "no longer called"  # verdicts
AGAIN = "python -m benchmarks.guard --record writes the record anew"
ISA, CPU_FEATURES = "avx2", "AVX2, FMA, F16C"  # the best that valgrind runs, and what dispatch.c asks of a CPU for it
FIXED = {"PYTHONHASHSEED": "0", "TEMPSOFT_ISA": ISA, "TEMPSOFT_WORKERS": "1", "OPENBLAS_NUM_THREADS": "1"}
WARM_UP = 10  # calls: more than the interpreter takes to specialise its bytecode
FEWEST_CALLS, FEWEST_NUMBERS = 3, 1000  # counted of each: calls, and logits of all of them
FILLING, PAGE = 10_000, 4096  # blocks of memory; bytes

SHAPES: dict[str, tuple[int, ...]] = {  # of cases of cases.py: valgrind is fifty times slower and more
    "four_logits": (4,),
    "agents": (8, 10),
    "classifier": (200, 1000),
    "classifier_float64": (100, 1000),
    "classifier_float16": (200, 1000),
    "own_temperatures": (100, 1000),
    "language_model_step": (10, 16384),
    "digits": (2000, 10),
    "many_agents": (2000, 10),
    "likely_digits": (2000, 10),
    "pixel_mask": (3, 2000),
    "pixel_classes": (1000, 256),
    "decoding_top_k": (4, 32768),
    "decoding_min_p": (4, 32768),
    "decoding_top_p": (4, 32768),
    "decoding_top_p_spread": (4, 32768),
    "decoding_top_p_flat": (4, 32768),
    "alternatives": (4, 32768),
    "many_draws": (10, 1000),
    "slates": (2000, 10),
    "monte_carlo": (10_000,),
    "mixture_components": (2000, 100),
}
MOST_DRAWS = 10**5  # from a row


class CannotCountError(Exception):
    """There is nothing to compare."""


class Line(NamedTuple):
    """A call, its recorded instructions and those of now; None where there are none."""

    call: str
    recorded: int | None
    now: int | None

    @property
    def change(self) -> float:
        return (self.now - self.recorded) / self.recorded if self.now and self.recorded else 0.0

    @property
    def verdict(self) -> str:
        if self.recorded is None:
            return NOT_RECORDED
        if self.now is None:
            return NO_CASE
        return MORE if self.change > TOLERANCE else FEWER if self.change < -TOLERANCE else ""


def calls(only: str = "") -> Iterator[tuple[str, str, Case]]:
    """(name, function, case) of the calls whose name contains the text."""
    for case_name, shape in SHAPES.items():
        case = BY_NAME[case_name]
        case = replace(case, shape=shape, num_samples=case.num_samples and min(case.num_samples, MOST_DRAWS))
        for function in case.functions:
            name = f"{function} {case.label}"
            if only in name:
                yield name, function, case


def perform(only: str) -> None:
    """What the child does: each call a few times, between two system calls that nothing else here makes. Callgrind sets
    its counter to 0 before the first and writes it to a file before the second. Prints what the counts depend on.
    """
    gc.disable()
    for _, function, case in calls(only):
        run = _placed(TEMPSOFT.task(function, case).run)
        # no holes in the heap, so that what malloc does for a call does not depend on all that was freed before
        filling = [bytes(1000) for _ in range(FILLING)]
        for _ in range(WARM_UP):
            run()
        os.getpgrp()
        for _ in range(n_calls(case)):
            run()
        os.getppid()
        del filling
    ran = [name for name, count in _kernels.calls().items() if count]
    if ran != [ISA]:
        raise SystemExit(f"these kernels ran, not {ISA} alone: {', '.join(ran)}")
    print(json.dumps({
        "compiler": compiler(),
        "cpu_features": CPU_FEATURES,
        "isa": ISA,
        "libc": " ".join(platform.libc_ver()),
        "numpy": np.__version__,
        "python": platform.python_version(),
    }))  # fmt: skip


def _placed(run: Any) -> Callable[[], Any]:
    """The call with its arrays where malloc puts large ones, 16 bytes from the start of a page. Where it puts smaller
    ones depends on what came before, and kernels do what lies before a line of the cache by itself.
    """

    def placed(array: np.ndarray) -> np.ndarray:
        memory = np.empty(array.nbytes + PAGE, np.uint8)
        start = (16 - memory.ctypes.data) % PAGE
        copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
        copy[...] = array
        return copy

    arguments = {name: placed(value) if name == "out" else value for name, value in run.keywords.items()}
    return partial(run.func, placed(run.args[0]), **arguments)


def n_calls(case: Case) -> int:
    """How many are counted: the smallest differ a little from call to call."""
    return max(FEWEST_CALLS, FEWEST_NUMBERS // (case.n_rows * case.n_categories))


def compiler() -> str:
    """Name and major.minor version of what the kernels were compiled by, as it stands in the extension."""
    found = re.search(rb"(GCC|clang version)(?:: \([^)]*\))? (\d+\.\d+)", pathlib.Path(_kernels.__file__).read_bytes())
    return b" ".join(found.groups()).decode() if found else "unknown"


def measure(only: str = "") -> dict[str, Any]:
    """The instructions of each call, and what they depend on: the content of the record."""
    valgrind = shutil.which("valgrind")
    if valgrind is None:
        raise CannotCountError("valgrind is not installed, and nothing else here counts instructions")
    version = subprocess.run([valgrind, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    with tempfile.TemporaryDirectory() as folder:
        options = ["-q", "--tool=callgrind", f"--callgrind-out-file={folder}/part", "--dump-line=no"]
        marks = ["--zero-before=getpgrp", "--dump-before=getppid"]
        child = [sys.executable, "-c", f"from benchmarks import guard; guard.perform({only!r})"]
        done = subprocess.run(
            [valgrind, *options, *marks, *child],
            capture_output=True,
            text=True,
            check=False,
            cwd=pathlib.Path(__file__).parents[1],
            env={**os.environ, **FIXED},
        )
        if done.returncode != 0:
            raise CannotCountError(f"the calls failed under valgrind:\n{done.stderr.strip()}")
        parts = enumerate(calls(only), 1)
        counts = {name: _summary(pathlib.Path(folder, f"part.{i}")) // n_calls(case) for i, (name, _, case) in parts}
    made_with = {**json.loads(done.stdout), "valgrind": version.removeprefix("valgrind-")}
    return {"schema": SCHEMA, "made_with": made_with, "instructions": counts}


def _summary(part: pathlib.Path) -> int:
    """Instructions between the marks. Not the line "totals", where callgrind adds some from before the first."""
    found = re.search(r"^summary: (\d+)$", part.read_text(), re.MULTILINE) if part.exists() else None
    if found is None:
        raise CannotCountError("callgrind did not see the system calls between which it counts")
    return int(found[1])


def load(only: str = "") -> dict[str, Any]:
    """The record, of calls whose name contains the text."""
    if not RECORD.exists():
        raise CannotCountError(f"there is no {RECORD.name}: write it with --record")
    found: dict[str, Any] = json.loads(RECORD.read_text(encoding="utf-8"))
    if found.get("schema") != SCHEMA:
        raise CannotCountError(f"{RECORD.name} is not of the schema {SCHEMA}")
    return {**found, "instructions": {name: count for name, count in found["instructions"].items() if only in name}}


def compare(recorded: Mapping[str, int], now: Mapping[str, int]) -> list[Line]:
    """All calls of both."""
    return [Line(name, recorded.get(name), now.get(name)) for name in {**now, **recorded}]


def differences(recorded: Mapping[str, str], now: Mapping[str, str]) -> list[str]:
    """What the counts depend on and is not as it was, the compiler among it."""
    return [
        f"recorded with {name} {recorded.get(name)}, here it is {now.get(name)}: counts differ for that reason too"
        for name in {**now, **recorded}
        if recorded.get(name) != now.get(name)
    ]


def judge(lines: Iterable[Line]) -> tuple[list[str], int]:
    """What to say of them, and the exit status: 1 if a call needs more than recorded or has no record."""
    counts = collections.Counter(line.verdict for line in lines)
    says = {
        MORE: f"need over {TOLERANCE:.0%} more instructions than recorded",
        NOT_RECORDED: f"have no record; {AGAIN}",
        FEWER: f"need over {TOLERANCE:.0%} fewer than recorded; {AGAIN}",
        NO_CASE: f"are recorded and no longer called; {AGAIN}",
    }
    said = [f"{counts[verdict]} of the calls {text}" for verdict, text in says.items() if counts[verdict]]
    return said or [f"all within {TOLERANCE:.0%}"], int(bool(counts[MORE] + counts[NOT_RECORDED]))


def show(lines: Iterable[Line]) -> None:
    """The table."""
    print(f"{'instructions of a call':64}{'recorded':>12}{'now':>12}{'change':>10}")
    for line in lines:
        recorded, now = ("" if count is None else f"{count:,}" for count in (line.recorded, line.now))
        change = f"{line.change:+.2%}" if recorded and now else ""
        print(f"{line.call:64}{recorded:>12}{now:>12}{change:>10}  {line.verdict}".rstrip())


def main() -> int:
    """Count, compare or record; the exit status is 2 where nothing could be counted."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.guard", description=__doc__)
    parser.add_argument("--only", default="", metavar="TEXT", help='only calls whose name contains it, as "sample "')
    parser.add_argument("--record", action="store_true", help=f"write {RECORD.name} anew")
    options = parser.parse_args()
    if options.record and options.only:
        parser.error("a record has all calls: --record goes without --only")
    if not any(calls(options.only)):
        parser.error(f"no call has {options.only!r} in its name")
    try:
        before = None if options.record else load(options.only)
        now = measure(options.only)
    except CannotCountError as error:
        print(error, file=sys.stderr)
        return 2
    if before is None:
        write(RECORD, json.dumps(now, indent=1) + "\n")
        print(f"written: {RECORD}")
        return 0
    lines = compare(before["instructions"], now["instructions"])
    said, status = judge(lines)
    show(lines)
    print(*differences(before["made_with"], now["made_with"]), *said, sep="\n")
    return status


if __name__ == "__main__":
    sys.exit(main())
