"""How the cost of a call grows with its size: measured, fitted and drawn, for docs/performance.md.

``python -m benchmarks.growth`` writes results/growth.svg and prints the slopes. Durations are the best of some runs,
on one thread but for the last panel. A slope is fitted to the upper half of a line, where both axes are logarithmic.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import tempsoft

from .turns import seconds_of

TARGET = Path(__file__).with_name("results") / "growth.svg"
RUNS = 7

Line = tuple[list[int], list[float]]


def seconds(call: Callable[[], Any]) -> float:
    call()
    return min(seconds_of(call) for _ in range(RUNS))


def normal(rows: int, n: int) -> np.ndarray:
    return np.random.default_rng(n).standard_normal((rows, n), np.float32)


def slope(line: Line) -> float:
    x, y = (np.log(values[len(values) // 2 :]) for values in line)
    return float(np.polyfit(x, y, 1)[0])


def functions(x: np.ndarray) -> dict[str, Callable[[], Any]]:
    out = np.empty_like(x)
    return {
        "softmax": lambda: tempsoft.softmax(x, out=out),
        "logsumexp": lambda: tempsoft.logsumexp(x),
        "one draw": lambda: tempsoft.sample(x, rng=1),
        "one draw, top_p=0.9": lambda: tempsoft.sample(x, top_p=0.9, rng=1),
    }


def over(sizes: list[int], shape: Callable[[int], tuple[int, int]]) -> dict[str, Line]:
    lines: dict[str, Line] = {}
    for size in sizes:
        for name, call in functions(normal(*shape(size))).items():
            x, y = lines.setdefault(name, ([], []))
            x.append(size)
            y.append(seconds(call))
    return lines


def panels() -> dict[str, dict[str, Line]]:
    row, batch = normal(1, 50_000)[0], normal(4000, 1000)
    out = np.empty_like(batch)
    draws = [4**k for k in range(2, 11)]
    many = [seconds(lambda m=m: tempsoft.sample(row, num_samples=m, rng=1)) for m in draws]
    workers = list(range(1, (os.cpu_count() or 1) + 1))
    shared = [seconds(lambda w=w: tempsoft.softmax(batch, out=out, workers=w)) for w in workers]
    return {
        "rows of 1000": over([4**k for k in range(1, 8)], lambda rows: (rows, 1000)),
        "categories of 16 rows": over([4**k for k in range(2, 10)], lambda n: (16, n)),
        "draws from a row of 50,000": {"draws": (draws, many)},
        "workers, softmax 4000 x 1000": {"softmax": (workers, shared)},
    }


def main() -> None:
    """Draw the panels and print the slopes."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "growth"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(2, 2, figsize=(10, 7), layout="constrained")
    with tempsoft.set_workers(1):
        for axis, (title, lines) in zip(axes.flat, panels().items(), strict=True):
            for name, line in lines.items():
                label = f"{name}, slope {slope(line):.2f}" if len(line[0]) > 3 else name
                print(f"{title}: {label}")
                axis.loglog(*line, marker="o", label=label)
            axis.set(xlabel=title, ylabel="seconds")
            axis.legend(fontsize=8)
    partial = TARGET.with_suffix(".part")
    figure.savefig(partial, format="svg", metadata={"Date": None})
    partial.replace(TARGET)


if __name__ == "__main__":
    main()
