"""What filters cost beside the plain draw of the same rows, and beside others: ``python -m benchmarks.filters``.

Measured as in targets.py, in turns. `--worst` goes over rows that are hard on a search for the cut instead (many equal
entries, sorted, masked, steep, made against the sample that the search takes) and shows the dearest filters of each.
"""

from __future__ import annotations

import argparse
import importlib.util
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

import tempsoft

from . import machine
from .targets import _duration, measure

N = 128256
FILTERS: tuple[dict[str, Any], ...] = (
    {"top_k": 1}, {"top_k": 50}, {"top_k": 1000}, {"top_k": N // 2}, {"top_k": N - 1},
    {"top_p": 1e-9}, {"top_p": 0.5}, {"top_p": 0.9}, {"top_p": 0.999}, {"top_p": 1 - 1e-9},
    {"min_p": 0.05}, {"top_k": 50, "top_p": 0.9, "min_p": 0.05}, {"top_k": N - 5, "top_p": 0.95},
)  # fmt: skip


def normal(scale: float, rows: int = 64, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, N), np.float32) * np.float32(scale)


def masked(value: float) -> np.ndarray:
    x = normal(3, 8)
    x[np.random.default_rng(2).random(x.shape) < 0.99] = value
    return x


def worst_rows() -> dict[str, np.ndarray]:
    places, few = np.arange(N), normal(1, 8, seed=3)
    ascending = np.sort(normal(3, 8), axis=-1)
    return {
        "all equal": np.zeros((8, N), np.float32),
        "two-valued": (few > 0).astype(np.float32),
        "few high, the rest equal": 5 * (few > 3).astype(np.float32),
        "ascending": ascending,
        "descending": np.ascontiguousarray(ascending[:, ::-1]),
        "geometric": np.broadcast_to(-0.001 * places, (8, N)).astype(np.float32),
        "geometric, steep": np.broadcast_to(-0.5 * places, (8, N)).astype(np.float32),
        "quantised": np.round(2 * normal(3, 8)) / 2,
        "largest in one block": np.where(places < 1024, 5 + 0.1 * few, 0.1 * few),
        "largest in one lane": np.where(places % 64 == 5, 5 + 0.1 * few, 0.1 * few),
        "99 % -inf": masked(-np.inf),
        "99 % finfo.min": masked(float(np.finfo(np.float32).min)),
        "periodic": np.where(places % 501 == 250, few, 0).astype(np.float32),
    }


def _torch(call: str, *arguments: Any, **options: Any) -> Callable[[], Any] | None:
    if importlib.util.find_spec("torch") is None:
        return None
    import torch

    torch.set_num_threads(1)
    arrays = (torch.from_numpy(a) if isinstance(a, np.ndarray) else a for a in arguments)
    return partial(getattr(torch, call), *arrays, **options)


def pairs() -> Iterator[tuple[str, float, Callable[[], Any], Callable[[], Any] | None]]:
    """(what, target, ours, the other or None where it is not installed)."""
    sample = partial(tempsoft.sample, rng=1)
    x, flat, cold = normal(3), normal(1), normal(12)
    for name, target, logits, temperature, filters in (
        ("top_k=50", 1.3, x, 1.0, {"top_k": 50}),
        ("min_p=0.05", 1.3, x, 1.0, {"min_p": 0.05}),
        ("top_p=0.9, peaked rows", 1.4, cold, 1.0, {"top_p": 0.9}),
        ("top_p=0.9, flat rows", 3.0, flat, 2.0, {"top_p": 0.9}),
    ):
        plain = partial(sample, logits, temperature)
        yield f"draw with {name} / without", target, partial(plain, **filters), plain
    yield "top_log_probs, k = 50 / torch.topk", 1 / 3, partial(tempsoft.top_log_probs, x, 50), _torch("topk", x, 50)
    row = np.random.default_rng(4).normal(0, 3, 50_000).astype(np.float32)
    p = tempsoft.softmax(row.astype(np.float64))
    many = partial(sample, row, num_samples=10**6)
    yield "10^6 draws / Generator.choice", 1 / 3, many, partial(np.random.default_rng(5).choice, row.size, 10**6, p=p)
    yield "10^6 draws / torch.multinomial", 1 / 3, many, _torch("multinomial", p.astype(np.float32), 10**6, True)
    weights = np.random.default_rng(6).random((100_000, 100))
    yield (
        "sample_weights / cumsum expression",
        1 / 5,
        partial(tempsoft.sample_weights, weights, rng=1),
        partial(_cumsum_expression, weights, np.random.default_rng(7)),
    )


def _cumsum_expression(weights: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    cumulative = np.cumsum(weights, axis=1)
    result: np.ndarray = (cumulative > rng.random(len(weights))[:, None] * cumulative[:, -1:]).argmax(axis=1)
    return result


def show_pairs() -> None:
    print(f"{'ratio of durations':<38} {'target':>6} {'median':>7} {'ours':>9} {'other':>9}  met")
    for name, target, ours, other in pairs():
        if other is None:
            print(f"{name:<38} not installed")
            continue
        timings = measure(ours, other, 100, 6.0)
        ratio = timings.ratio_quantile(0.5)
        durations = [_duration(float(np.median(seconds))) for seconds in timings]
        met = "yes" if ratio <= target else "NO"
        print(f"{name:<38} {target:>6.3f} {ratio:>7.3f} {durations[0]:>9} {durations[1]:>9}  {met}", flush=True)


def show_worst() -> None:
    print(f"{'rows':<26} times the plain draw, the three dearest filters")
    for name, x in worst_rows().items():
        plain = partial(tempsoft.sample, x, rng=1)
        ratios = [(measure(partial(plain, **f), plain, 15, 1.0).ratio_quantile(0.5), f) for f in FILTERS]
        dearest = sorted(ratios, key=lambda pair: -pair[0])[:3]
        texts = (f"{ratio:.2f} {', '.join(f'{k}={v:.6g}' for k, v in f.items())}" for ratio, f in dearest)
        print(f"{name:<26} {'; '.join(texts)}", flush=True)


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.filters", description=__doc__)
    parser.add_argument("--worst", action="store_true", help="rows that are hard on the search for a cut")
    worst = parser.parse_args().worst
    print(f"{machine.cpu_model()}, {machine.isa()}, one thread")
    with tempsoft.set_workers(1):
        show_worst() if worst else show_pairs()


if __name__ == "__main__":
    main()
