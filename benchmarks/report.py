"""Tables and sentences from results: for the terminal, and Markdown for documents, between two comments in them.

``python -m benchmarks.report RESULTS.json ... --into README.md`` writes the main rows and all rows that are lost or
miss a target; with ``--all-rows``, all.
"""

from __future__ import annotations

import argparse
import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from . import results
from .results import Row, is_lost, is_missed, peers

BEGIN, END = "<!-- benchmarks: begin -->", "<!-- benchmarks: end -->"
COLUMNS = {  # peers with a column of their own, and how they are written
    "numpy_expression": "NumPy", "scipy": "SciPy", "numba": "numba", "torch": "torch", "onnxruntime": "onnxruntime",
    "jax": "JAX",
}  # fmt: skip
NAMES = {
    **COLUMNS, "generator_choice": "Generator.choice", "transformers": "transformers", "every_peer": "every peer",
    "copy_nontemporal": "non-temporal copy", "numpy_copyto": "np.copyto", "read_only": "read-only pass",
    "plain_draw": "the plain draw", "one_worker": "one worker", "special": "tempsoft.special",
}  # fmt: skip


def duration(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("us", 1e-6)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def ratio(value: float) -> str:
    return f"{value:.0f}" if value >= 99.5 else f"{value:.2g}" if value < 0.1 or value >= 10 else f"{value:.2f}"


def threads(row: Row) -> str:
    return "1 thread" if row["threads"] == 1 else f"{row['threads']} threads"


def title(row: Row) -> str:
    new = ", new output" if row["output"] == "new" else ""
    return f"{row['function']} {row['label']}{new}"


def versions(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in found["versions"].items())


def judgement(target: Mapping[str, Any]) -> str:
    """One target in words."""
    ours = "" if target["ours"] == "tempsoft" else f"{NAMES[target['ours']]}: "
    other = NAMES.get(target["other"], target["other"])
    if target["other"] == "every_peer" and target["nearest"]:
        other += f" ({NAMES[target['nearest']]})"
    limit = f"{ours}{ratio(target['limit'])} x {other}"
    if target["met"] is None:
        return f"{limit}: not measured"
    return f"{limit}: {'met' if target['met'] else 'NOT met'}, {target['ratio']:.3g}"


def summary(rows: Sequence[Row]) -> str:
    """How many targets are met, those that are not, and the rows in which a peer is faster, one a line."""
    judged = [(row, target) for row in rows for target in row["targets"]]
    found = [target["met"] for _, target in judged]
    lines = [f"targets: {found.count(True)} met, {found.count(False)} NOT met, {found.count(None)} not measured"]
    lines += [
        f"  {title(row)}, {threads(row)}: {judgement(target)}" for row, target in judged if target["met"] is False
    ]
    lost = [f"  {title(row)}, {threads(row)}" for row in rows if is_lost(row)]
    return "\n".join([*(lines if judged else []), *(["a peer is faster:", *lost] if lost else [])])


def markdown(found: Mapping[str, Any], *, all_rows: bool = True) -> str:
    """The table of a run, with what one has to know to read it."""
    rows = [row for row in found["rows"] if all_rows or row["main"] or is_lost(row) or is_missed(row)]
    absent = f" Not installed: {', '.join(found['not_installed'])}." if found["not_installed"] else ""
    quick = " A quick run: few rounds." if found["settings"].get("quick") else ""
    others = results.others_cpus(found["rows"])
    busy = f" Other work took up to {others:.1f} CPUs meanwhile." if others else ""
    shown = "all rows" if all_rows else "the main rows, and every row where a peer is faster or a target is missed"
    header = [
        "function and workload", "threads", "tempsoft (quartiles)", "GB/s", "x ceiling", *COLUMNS.values(), "others",
        "error in ulp: ours / peers", "targets met",
    ]  # fmt: skip
    lines = [header, ["---"] * len(header), *map(_line, rows)]
    made = f"{found['machine']['cpu']}, {found['machine']['isa']}, {found['date']}. {versions(found)}."
    return "\n".join([
        f"{made}{absent}{quick}{busy}",
        "",
        f"Shown are {shown}. Medians of timings in turns; peers: their time by ours, so below 1, in bold, they are",
        "faster. Ceiling: a non-temporal copy where results are as large as the logits, else a read-only pass, on as",
        "many threads. NumPy and SciPy use one thread always.",
        "",
        *(f"| {' | '.join(cells)} |" for cells in lines),
    ]) + "\n"  # fmt: skip


def _line(row: Row) -> list[str]:
    ours, others = row["results"]["tempsoft"], peers(row)
    times = ours["seconds"]
    quartiles = f"{duration(times['lower_quartile'])} to {duration(times['upper_quartile'])}"
    cells = [title(row), str(row["threads"]), f"{duration(times['median'])} ({quartiles})"]
    cells.append(f"{ours['gigabytes_per_second']:.3g}")
    cells.append(ratio(ours["times_ceiling"]["median"]) if ours["times_ceiling"] else "")
    cells.extend(_peer(others[name]) if name in others else "" for name in COLUMNS)
    cells.append(", ".join(f"{NAMES[name]} {_peer(each)}" for name, each in others.items() if name not in COLUMNS))
    errors = sorted(each["error_ulp"] for each in others.values() if each["error_ulp"] is not None)
    between = f" / {errors[0]:.1f} to {errors[-1]:.1f}" if errors else ""
    cells.append("" if ours["error_ulp"] is None else f"{ours['error_ulp']:.1f}{between}")
    judged = [target for target in row["targets"] if target["met"] is not None]
    missed = [judgement(target) for target in judged if not target["met"]]
    count = f"{len(judged) - len(missed)} of {len(judged)}" if judged else ""
    return [*cells, "; ".join([count, *missed])]


def _peer(result: Mapping[str, Any]) -> str:
    median = result["times_tempsoft"]["median"]
    return f"**{ratio(median)}**" if median < 1 else ratio(median)


def insert(document: str, text: str) -> str:
    """The document with the text between its two comments; the same again if done again."""
    if document.count(BEGIN) != 1 or document.count(END) != 1 or document.index(BEGIN) > document.index(END):
        raise ValueError(f"the document must have one line {BEGIN} and, below it, one line {END}")
    before, _, rest = document.partition(BEGIN)
    return f"{before}{BEGIN}\n{text.strip()}\n{END}{rest.partition(END)[2]}"


def section(files: Iterable[pathlib.Path], document: pathlib.Path, *, all_rows: bool) -> str:
    """What goes into a document: chart and table of each file."""
    parts = []
    for file in files:
        found = results.load(file)
        chart = file.with_suffix(".svg")
        if chart.exists():
            link = pathlib.Path(os.path.relpath(chart, document.parent)).as_posix()
            parts.append(f"![times of the peers relative to tempsoft, {found['machine']['isa']}]({link})\n")
        parts.append(markdown(found, all_rows=all_rows))
    return "\n".join(parts)


def main() -> None:
    """Write the tables of files into documents."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description=__doc__)
    parser.add_argument("results", nargs="+", type=pathlib.Path, help="files that `python -m benchmarks` wrote")
    parser.add_argument("--into", nargs="+", type=pathlib.Path, required=True, metavar="DOCUMENT",
                        help=f"documents with the comments {BEGIN} and {END}")  # fmt: skip
    parser.add_argument("--all-rows", action="store_true", help="all rows, not only the main ones and the bad ones")
    options = parser.parse_args()
    for document in options.into:
        text = section(options.results, document, all_rows=options.all_rows)
        results.write(document, insert(document.read_text(encoding="utf-8"), text))


if __name__ == "__main__":
    main()
