"""The chart of a run, as SVG: how long the peers take beside tempsoft, one line a workload. Needs matplotlib."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

from .report import NAMES, threads, title
from .results import is_lost, is_missed, peers

MARKS = {  # peers: marker and colour, of a palette that colour-blind people can tell apart
    "numpy_expression": ("s", "#0072b2"), "scipy": ("D", "#56b4e9"), "numba": ("^", "#009e73"),
    "torch": ("o", "#d55e00"), "onnxruntime": ("P", "#cc79a7"), "jax": ("X", "#e69f00"),
    "generator_choice": ("v", "#555555"), "transformers": ("*", "#000000"),
}  # fmt: skip


def svg(found: Mapping[str, Any]) -> str:
    """The main rows and all rows where a peer is faster or a target is missed; the same text from the same results."""
    import matplotlib

    matplotlib.use("svg")
    from matplotlib import pyplot
    from matplotlib.ticker import FuncFormatter

    rows = [row for row in found["rows"] if peers(row) and (row["main"] or is_lost(row) or is_missed(row))]
    with pyplot.rc_context({"svg.hashsalt": "tempsoft", "svg.fonttype": "none", "font.size": 9}):
        figure, axes = pyplot.subplots(figsize=(11, 1.6 + 0.3 * len(rows)), layout="constrained")
        seen = {}
        for place, row in enumerate(rows):
            axes.axhline(place, color="#e5e5e5", linewidth=0.8, zorder=0)
            for name, peer in peers(row).items():
                marker, colour = MARKS[name]
                (seen[name],) = axes.plot(
                    *(peer["times_tempsoft"]["median"], place), marker=marker, color=colour, linestyle="", markersize=7
                )
            ours = row["results"]["tempsoft"]["times_ceiling"]
            if ours:  # how short the call would be if memory were all
                seen["ceiling"] = axes.vlines(1 / ours["median"], place - 0.35, place + 0.35, color="#999999")
        axes.axvline(1, color="black", linewidth=1.5)
        axes.set_xscale("log")
        axes.set_xlim(left=min(axes.get_xlim()[0], 0.4))
        axes.axvspan(axes.get_xlim()[0], 1, color="#fbe3e0", zorder=-1)
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_yticks(range(len(rows)), [f"{title(row)}, {threads(row)}" for row in rows])
        axes.set_ylim(len(rows) - 0.5, -0.5)
        axes.set_xlabel("time, in times that of tempsoft: right of the black line a peer is slower, left of it faster")
        axes.set_title(f"{found['machine']['cpu']}, {found['machine']['isa']}", fontsize=9)
        labels = [NAMES.get(name, "what memory allows") for name in seen]
        figure.legend(list(seen.values()), labels, loc="outside lower center", ncols=len(seen), frameon=False)
        text = io.StringIO()
        figure.savefig(text, format="svg", metadata={"Date": None})
        pyplot.close(figure)
    return text.getvalue()
