"""What a run shows while it goes on: tables by rich, or in plain text where rich is not installed."""

from __future__ import annotations

import importlib.util
from collections.abc import Mapping
from typing import Any

from . import report, results

WIDTH = 120  # characters, at least, where the output is no terminal


def show_machine(found: Mapping[str, Any]) -> None:
    """Where this runs, and with what."""
    print(f"{found['machine']['cpu']}, {found['machine']['isa']}")
    print(report.versions(found))
    if found["not_installed"]:
        print(f"left out, not installed: {', '.join(found['not_installed'])}", flush=True)


def show_row(row: results.Row) -> None:
    """One row of results: who was how fast, who is left out and why, which targets are met."""
    print(f"\n{report.title(row)}, {report.threads(row)}", flush=True)
    header = ["", "median", "quartiles", "GB/s", "x tempsoft", "x ceiling", "ulp", "threads", "rounds"]
    _show_table(header, [_line(name, result) for name, result in row["results"].items()])
    if others := results.others_cpus([row]):
        print(f"  other work took {others:.1f} CPUs meanwhile")
    for name, reason in row["left_out"].items():
        print(f"  {name}: {reason}")
    for target in row["targets"]:
        print(f"  target {report.judgement(target)}", flush=True)


def show_changes(found: Mapping[str, Any], earlier: Mapping[str, Any]) -> None:
    """Our times by those of an earlier run."""
    print(f"\ntempsoft beside the run of {earlier['date']}, {earlier['machine']['cpu']}, {earlier['machine']['isa']}")
    lines = [
        [report.title(row), str(row["threads"]), report.ratio(times), "" if ceiling is None else report.ratio(ceiling)]
        for row, times, ceiling in results.changes(found["rows"], earlier)
    ]
    _show_table(["", "threads", "time: now by then", "x ceiling: now by then"], lines)


def _line(name: str, result: Mapping[str, Any]) -> list[str]:
    times, ceiling, error = result["seconds"], result["times_ceiling"], result["error_ulp"]
    return [
        name,
        report.duration(times["median"]),
        f"{report.duration(times['lower_quartile'])} - {report.duration(times['upper_quartile'])}",
        f"{result['gigabytes_per_second']:.3g}",
        report.ratio(result["times_tempsoft"]["median"]),
        "" if ceiling is None else report.ratio(ceiling["median"]),
        "" if error is None else f"{error:.1f}",
        str(result["threads"]),
        str(result["rounds"]),
    ]


def _show_table(header: list[str], lines: list[list[str]]) -> None:
    if importlib.util.find_spec("rich") is not None:
        from rich import box, console, table

        shown = table.Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, show_edge=False)
        for number, name in enumerate(header):
            shown.add_column(name, justify="right" if number else "left", no_wrap=True)
        for line in lines:
            shown.add_row(*line, style="bold" if line[0] == "tempsoft" else None)
        console.Console(width=max(WIDTH, console.Console().width), highlight=False).print(shown)
        return
    widths = [max(map(len, column)) for column in zip(header, *lines, strict=True)]
    for line in (header, *lines):
        cells = [cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True)]
        print("  ".join([line[0].ljust(widths[0]), *cells]))
