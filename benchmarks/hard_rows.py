"""Rows that are hard on the search for a cut: many equal entries, sorted, masked, steep, made against the sample that
the search takes. ``python -m benchmarks.hard_rows`` shows the dearest filters of each, in times of the plain draw of
the same rows, measured in turns on one thread.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import tempsoft

from . import machine, turns
from .results import quartiles

N = 128256
FILTERS: tuple[dict[str, Any], ...] = (
    {"top_k": 1}, {"top_k": 50}, {"top_k": 1000}, {"top_k": N // 2}, {"top_k": N - 1},
    {"top_p": 1e-9}, {"top_p": 0.5}, {"top_p": 0.9}, {"top_p": 0.999}, {"top_p": 1 - 1e-9},
    {"min_p": 0.05}, {"top_k": 50, "top_p": 0.9, "min_p": 0.05}, {"top_k": N - 5, "top_p": 0.95},
)  # fmt: skip
EFFORT = turns.Effort(seconds=0.5, most_rounds=15, fewest_rounds=5, rounds_of_slow=3, seconds_of_once=10.0)
N_DEAREST = 3


def _normal(scale: float, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((8, N), np.float32) * np.float32(scale)


def _masked(value: float) -> np.ndarray:
    x = _normal(3)
    x[np.random.default_rng(2).random(x.shape) < 0.99] = value
    return x


def rows() -> dict[str, np.ndarray]:
    """Eight rows of each kind."""
    places, few = np.arange(N), _normal(1, seed=3)
    ascending = np.sort(_normal(3), axis=-1)
    return {
        "all equal": np.zeros((8, N), np.float32),
        "two-valued": (few > 0).astype(np.float32),
        "few high, the rest equal": 5 * (few > 3).astype(np.float32),
        "ascending": ascending,
        "descending": np.ascontiguousarray(ascending[:, ::-1]),
        "geometric": np.broadcast_to(-0.001 * places, (8, N)).astype(np.float32),
        "geometric, steep": np.broadcast_to(-0.5 * places, (8, N)).astype(np.float32),
        "quantised": np.round(2 * _normal(3)) / 2,
        "largest in one block": np.where(places < 1024, 5 + 0.1 * few, 0.1 * few),
        "largest in one lane": np.where(places % 64 == 5, 5 + 0.1 * few, 0.1 * few),
        "99 % -inf": _masked(-np.inf),
        "99 % finfo.min": _masked(float(np.finfo(np.float32).min)),
        "periodic": np.where(places % 501 == 250, few, 0).astype(np.float32),
    }


def main() -> None:
    """Print the table."""
    print(f"{machine.cpu_model()}, {machine.isa()}, one thread")
    print(f"{'rows':<26} times the plain draw, the {N_DEAREST} dearest filters")
    with tempsoft.set_workers(1):
        for name, x in rows().items():
            plain = partial(tempsoft.sample, x, rng=1)
            runs: dict[str, Callable[[], Any]] = {"": plain}
            runs.update(
                {", ".join(f"{k}={v:.6g}" for k, v in each.items()): partial(plain, **each) for each in FILTERS}
            )
            estimates = {key: turns.estimate(run) for key, run in runs.items()}
            seconds = turns.in_turns(runs, estimates, EFFORT)
            ratios = {key: quartiles(timings / seconds[""])["median"] for key, timings in seconds.items() if key}
            dearest = sorted(ratios, key=ratios.__getitem__, reverse=True)[:N_DEAREST]
            print(f"{name:<26} {'; '.join(f'{ratios[key]:.2f} {key}' for key in dearest)}", flush=True)


if __name__ == "__main__":
    main()
