"""From timings to what is kept of them: rows of numbers, their file and its schema, and a comparison with an earlier
one. README.md describes the schema.
"""

from __future__ import annotations

import datetime
import importlib.util
import json
import os
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from . import machine, targets
from .cases import MAPS, Case
from .implementations import PEER, TEMPSOFT, Implementation
from .table import IMPLEMENTATIONS

BUSY = 0.1  # CPUs that others take: from here on it is said
SCHEMA = "tempsoft-benchmarks/1"
Row = dict[str, Any]


def quartiles(values: np.ndarray) -> dict[str, float]:
    """The median and the quartiles of what is not NaN."""
    lower, median, upper = np.nanquantile(values, [0.25, 0.5, 0.75]).tolist()
    return {"median": median, "lower_quartile": lower, "upper_quartile": upper}


def ratios(some: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Of each round that both took part in; of the medians where one was timed once."""
    if min(np.isfinite(some).sum(), np.isfinite(others).sum()) == 1:
        return np.array([np.nanmedian(some) / np.nanmedian(others)])
    return some / others


def row(
    function: str,
    case: Case,
    threads: int,
    implementations: Mapping[str, Implementation],
    seconds: Mapping[str, np.ndarray],
    errors: Mapping[str, float | None],
) -> Row:
    """What is kept of the timings of one function on one case."""
    ceiling = "copy_nontemporal" if function in MAPS else "read_only"
    traffic = case.traffic(function)
    results = {}
    for name, timings in seconds.items():
        times = quartiles(timings)
        results[name] = {
            "kind": implementations[name].kind,
            "threads": implementations[name].uses(threads),
            "rounds": int(np.isfinite(timings).sum()),
            "seconds": {**times, "best": float(np.nanmin(timings))},
            "gigabytes_per_second": traffic / times["median"] / 1e9,
            "times_tempsoft": quartiles(ratios(timings, seconds[TEMPSOFT.name])),
            "times_ceiling": quartiles(ratios(timings, seconds[ceiling])) if ceiling in seconds else None,
            "error_ulp": errors.get(name),
        }
    return {
        "function": function,
        "case": case.name,
        "label": case.label,
        "shape": list(case.shape),
        "dtype": case.dtype,
        "distribution": case.distribution,
        "output": case.output_kind(function),
        "threads": threads,
        "main": function in case.main,
        "bytes": traffic,
        "ceiling": ceiling if ceiling in seconds else None,
        "results": results,
        "targets": [_judged(target, results, seconds) for target in targets.of(function, case.name, threads)],
    }


def _judged(target: targets.Target, results: Row, seconds: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """The target, the median of the ratios in each round, and whether that is met; None where it was not measured."""
    others = [target.other]
    if target.other == targets.EVERY_PEER:
        others = [name for name in results if results[name]["kind"] == PEER]
    found = {
        other: quartiles(ratios(seconds[target.ours], seconds[other]))["median"]
        for other in others
        if other in seconds and target.ours in seconds
    }
    nearest = max(found, key=found.__getitem__) if found else None
    ratio = found[nearest] if nearest else None
    return {
        "ours": target.ours,
        "other": target.other,
        "limit": target.limit,
        "nearest": nearest,
        "ratio": ratio,
        "met": None if ratio is None else ratio <= target.limit,
    }


def peers(row: Row) -> dict[str, Any]:
    """The results of the peers of a row, by name."""
    return {name: result for name, result in row["results"].items() if result["kind"] == PEER}


def is_lost(row: Row) -> bool:
    """Whether a peer is faster."""
    return any(peer["times_tempsoft"]["median"] < 1 for peer in peers(row).values())


def is_missed(row: Row) -> bool:
    """Whether a target is not met."""
    return any(target["met"] is False for target in row["targets"])


def others_cpus(rows: Iterable[Row]) -> float:
    """The most CPUs that others took during a row; 0 where that is little or not known."""
    most = max((row["others_cpus"] or 0.0 for row in rows), default=0.0)
    return most if most >= BUSY else 0.0


def document(settings: Mapping[str, Any]) -> dict[str, Any]:
    """A run without rows, as it goes to a file."""
    installed = [each for each in IMPLEMENTATIONS if all(map(_is_installed, each.packages))]
    return {
        "schema": SCHEMA,
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(),
        "machine": {"cpu": machine.cpu_model(), "isa": machine.isa(), "slug": machine.slug()},
        "versions": machine.versions(installed),
        "not_installed": sorted({p for each in IMPLEMENTATIONS for p in each.packages if not _is_installed(p)}),
        "settings": dict(settings),
        "rows": [],
    }


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def write(file: pathlib.Path, text: str) -> None:
    """Write beside the file, then rename: there is never half a file."""
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.write_text(text, encoding="utf-8")
    beside.replace(file)


def dump(found: Mapping[str, Any]) -> str:
    return json.dumps(found, indent=1, allow_nan=False) + "\n"


def load(file: pathlib.Path) -> dict[str, Any]:
    """A run from a file of this schema."""
    found: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        raise ValueError(f"{file.name} is not of the schema {SCHEMA}")
    return found


def changes(rows: Iterable[Row], earlier: Mapping[str, Any]) -> list[tuple[Row, float, float | None]]:
    """(row, our median by the earlier one, the same of the ratios to the ceiling, None without one) where both have
    the row.
    """
    before = {_key(row): row for row in earlier["rows"]}
    found = []
    for now in rows:
        if _key(now) in before:
            ours, theirs = (each["results"][TEMPSOFT.name] for each in (now, before[_key(now)]))
            by_ceiling = None
            if ours["times_ceiling"] and theirs["times_ceiling"]:
                by_ceiling = ours["times_ceiling"]["median"] / theirs["times_ceiling"]["median"]
            found.append((now, ours["seconds"]["median"] / theirs["seconds"]["median"], by_ceiling))
    return found


def _key(row: Row) -> tuple[Any, ...]:
    return row["function"], row["case"], tuple(row["shape"]), row["threads"]
