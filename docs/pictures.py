"""Draw the pictures of decoding.md: what each knob leaves of a distribution.

Promises: `panels()` gives every number that is drawn, from tempsoft alone; `draw(folder)` writes one SVG per picture,
the same bytes at every run with one version of matplotlib, with its numbers as JSON in its description. Leaves what
they mean to decoding.md. Run it as ``python docs/pictures.py`` after a change; it needs the extra `plot`.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

import tempsoft

HERE = Path(__file__).parent
RANK = np.arange(1, 11)
LOGITS = -np.log(RANK)  # at temperature T, the probability of rank r is r ** (-1 / T), over the sum of these
PEAKED, FLAT = 2 * LOGITS, LOGITS / 2  # LOGITS at temperature 1/2 and 2
LIGHT, DARK = "#c9ced6", "#2a5da8"


class Panel(NamedTuple):
    """One distribution: all of it in light, what a knob leaves of it, renormalised, in dark."""

    title: str
    before: Any  # probabilities
    after: Any
    threshold: float | None = None  # a dashed line across the light bars
    categories: Any = RANK


def panels() -> dict[str, list[Panel]]:
    """The panels of every picture, from left to right."""
    return {
        "temperature": [_tempered(t) for t in (0, 0.5, 1, 2, np.inf)],
        "top_k": [_filtered(name, logits, top_k=4) for name, logits in (("peaked", PEAKED), ("flat", FLAT))],
        "top_p": [_filtered(name, logits, top_p=0.75) for name, logits in (("peaked", PEAKED), ("flat", FLAT))],
        "min_p": [_filtered(name, logits, min_p=0.1) for name, logits in (("peaked", PEAKED), ("flat", FLAT))],
        "composition": _composed(top_k=6, top_p=0.8, min_p=0.3),
        "temperature_last": [
            _filtered("temperature first", LOGITS, 2.0, top_p=0.75),
            _filtered("temperature last", LOGITS, 2.0, top_p=0.75, temperature_last=True),
        ],
        "without_replacement": _without_replacement(u=(0.1, 0.4, 0.5)),
        "looking": _looked_at(np.load(HERE.parent / "examples" / "digits_logits.npy"), top_p=0.95),
    }


def _tempered(temperature: float) -> Panel:
    return Panel(f"T = {temperature:g}", tempsoft.softmax(LOGITS), tempsoft.softmax(LOGITS, temperature))


def _filtered(name: str, logits: Any, temperature: float = 1.0, **filters: Any) -> Panel:
    before = tempsoft.softmax(logits, temperature)
    count, _ = tempsoft.support(logits, temperature, **filters)
    threshold = filters["min_p"] * before.max() if "min_p" in filters else None
    return Panel(f"{name}: keeps {count}", before, tempsoft.softmax(logits, temperature, **filters), threshold)


def _composed(**filters: Any) -> list[Panel]:
    """The filters one after the other, each on what the one before left."""
    steps, before = [], tempsoft.softmax(LOGITS)
    for n in range(1, 1 + len(filters)):
        so_far = dict(list(filters.items())[:n])
        name = list(filters)[n - 1]
        count, _ = tempsoft.support(LOGITS, **so_far)
        after = tempsoft.softmax(LOGITS, **so_far)
        threshold = filters["min_p"] * before.max() if name == "min_p" else None
        steps.append(Panel(f"{name} = {filters[name]}: keeps {count}", before, after, threshold))
        before = after
    return steps


def _without_replacement(u: tuple[float, ...]) -> list[Panel]:
    """What each draw chooses from: the rest of the row, renormalised."""
    draws = tempsoft.sample(LOGITS, num_samples=len(u), replace=False, u=np.array(u))
    steps, left = [], LOGITS.copy()
    for n, drawn in enumerate(draws, 1):
        steps.append(
            Panel(f"draw {n}: u = {u[n - 1]}, rank {RANK[drawn]}", tempsoft.softmax(LOGITS), tempsoft.softmax(left))
        )
        left[drawn] = -np.inf
    return steps


def _looked_at(logits: Any, top_p: float) -> list[Panel]:
    """Three rows of the example data: half of all rows have no more entropy than the first; 95 %; all."""
    entropy = tempsoft.entropy(logits)
    count, _ = tempsoft.support(logits, top_p=top_p)
    surest_first = np.argsort(entropy, kind="stable")
    return [
        Panel(
            f"row {row}: {entropy[row]:.3f} nats, keeps {count[row]}",
            tempsoft.softmax(logits[row]),
            tempsoft.softmax(logits[row], top_p=top_p),
            categories=np.arange(10),
        )
        for row in surest_first[[len(logits) // 2, len(logits) * 95 // 100, -1]]
    ]


def numbers(picture: list[Panel]) -> list[dict[str, Any]]:
    """What a picture shows, as JSON holds it: four digits after the point."""

    def rounded(values: Any) -> list[float]:
        return [round(float(value), 4) for value in values]

    return [{"title": p.title, "before": rounded(p.before), "after": rounded(p.after)} for p in picture]


def draw(folder: Path) -> None:
    """Write every picture into `folder`."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    style = {
        "svg.hashsalt": "tempsoft",  # ids, and so bytes, that do not change
        "svg.fonttype": "none",  # text stays text
        "font.sans-serif": ["DejaVu Sans"],
        "font.size": 8,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
    for name, picture in panels().items():
        with mpl.rc_context(style):
            figure = Figure(figsize=(6.8, 1.7), layout="constrained")
            for axes, panel in zip(figure.subplots(1, len(picture), sharey=True), picture, strict=True):
                for heights, width, color in ((panel.before, 0.84, LIGHT), (panel.after, 0.42, DARK)):
                    edges = np.add.outer(panel.categories, [-width / 2, width / 2]).ravel()
                    between = np.column_stack((heights, np.zeros_like(heights))).ravel()[:-1]
                    axes.stairs(between, edges, fill=True, color=color)  # all bars in one path
                if panel.threshold is not None:
                    axes.axhline(panel.threshold, color="black", linewidth=0.8, linestyle="--")
                axes.set_title(panel.title, fontsize=8)
                axes.set_xticks(panel.categories if len(picture) < 4 else panel.categories[::3])
                axes.tick_params(length=2)
            description = json.dumps(numbers(picture))
            metadata = {"Date": None, "Creator": None, "Title": name, "Description": description}
            figure.savefig(folder / f"{name}.svg", metadata=metadata)


if __name__ == "__main__":
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "pictures"
    target.mkdir(exist_ok=True)
    draw(target)
