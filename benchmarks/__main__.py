"""tempsoft beside others and beside what memory allows: ``python -m benchmarks``.

Every result is checked, then all take turns on the same arrays: one thread first, then all. What is not installed is
left out and named. README.md says what the numbers mean.
"""

from __future__ import annotations

import argparse
import importlib.util
import pathlib
import time
from typing import Any

from . import machine, report, results, runner, terminal, turns
from .cases import CASES, of_file
from .implementations import TEMPSOFT
from .table import BY_NAME, IMPLEMENTATIONS

BASELINES = pathlib.Path(__file__).with_name("results")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    add = parser.add_argument
    add("--quick", action="store_true", help="a minute: the main rows, few rounds")
    add("--input", metavar="FILE.npy", help="your own logits, rows of categories, in place of the cases")
    add("--only", default="", metavar="TEXT", help='only rows whose name contains it, as "softmax classifier "')
    others = [name for name in BY_NAME if name != TEMPSOFT.name]
    add("--against", nargs="+", choices=others, metavar="NAME", help="only these beside tempsoft: %(choices)s")
    threads = "of the second pass; 1: no second pass (default: every CPU, here %(default)s)"
    add("--threads", type=int, default=machine.cpus(), metavar="N", help=threads)
    add("--output", type=pathlib.Path, metavar="FOLDER", help="write PROCESSOR-ISA.json, .md and .svg there")
    add("--baseline", action="store_true", help="write them to benchmarks/results")
    add("--compare", type=pathlib.Path, metavar="RESULTS.json", help="show changes against this run")
    return parser


def save(found: dict[str, Any], folder: pathlib.Path) -> None:
    """Write the three files."""
    texts = {".json": results.dump(found), ".md": report.markdown(found)}
    if importlib.util.find_spec("matplotlib") is None:
        print("no chart: matplotlib is not installed")
    else:
        from . import chart

        texts[".svg"] = chart.svg(found)
    for ending, text in texts.items():
        name = found["machine"]["slug"] + ("-input" if found["settings"]["input"] else "") + ending
        results.write(folder / name, text)
        print(f"written: {folder / name}")


def main() -> None:
    """Measure, show, write."""
    parser = _parser()
    options = parser.parse_args()
    if options.threads < 1:
        parser.error("--threads must be at least 1")
    if options.baseline and (options.quick or options.input or options.only or options.against or options.output):
        parser.error("a baseline is a full run: --baseline goes with --threads and --compare alone")
    try:
        earlier = results.load(options.compare) if options.compare else None
        cases = [of_file(options.input)] if options.input else CASES
    except (OSError, ValueError) as error:
        parser.error(str(error))
    everyone = [each for each in IMPLEMENTATIONS if not options.against or each.name in options.against]
    if TEMPSOFT not in everyone:
        everyone.insert(0, TEMPSOFT)
    passes = [1] if options.threads == 1 else [1, options.threads]
    settings = {"quick": options.quick, "threads": passes, "input": bool(options.input)}
    found = results.document(settings)
    terminal.show_machine(found)
    started = time.monotonic()
    effort = turns.QUICK if options.quick else turns.FULL
    for threads in passes:
        for row in runner.rows(cases, threads, effort, everyone, main=options.quick, only=options.only):
            found["rows"].append(row)
            terminal.show_row(row)
    if not found["rows"]:
        parser.error(f"no row's name contains {options.only!r}")
    print(f"\n{report.summary(found['rows'])}\n{time.monotonic() - started:.0f} seconds")
    if earlier:
        terminal.show_changes(found, earlier)
    if options.baseline or options.output:
        save(found, options.output or BASELINES)


if __name__ == "__main__":
    main()
