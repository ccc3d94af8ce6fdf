"""Looks for rows with a large error, by hill climbing from random starts, and adds the worst to rows.json.

    python tests/adversarial/climb.py --seconds 600 --dtype float32 --function softmax

Each climber keeps a row and a temperature and accepts a change that makes the worst error in ulp larger: entries or
the temperature moved by a few units in the last place, an entry put elsewhere, the whole row shifted or scaled. One
that has not climbed for a while starts anew. `--isa naive` climbs on the usual expression in plain NumPy instead, to
see the climb at work; nothing is stored then.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import time

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

import exact
import implementations
import rows

TARGET = pathlib.Path(__file__).with_name("rows.json")
CLIMBERS = 256
PATIENCE = 60  # changes without a climb before a new start
SIZES = (2, 3, 5, 8, 16, 17, 33, 64, 65, 100, 130)


def naive(x, t):
    z = x / np.asarray(t, x.dtype)[..., None]
    weights = np.exp(z - z.max(axis=-1, keepdims=True))
    return weights / weights.sum(axis=-1, keepdims=True)


def errors(function, name, x, t):
    """The worst error of each row in ulp, as the tests count it."""
    got, answers = function(x, t), getattr(exact, name)(x, t)
    if name == "logsumexp":
        return np.array([exact.worst_logarithm(got[i : i + 1], answers[i : i + 1]) for i in range(len(x))])
    if name == "log_softmax":
        return np.array([exact.worst_logarithm(*pair) for pair in zip(got, answers, strict=True)])
    vanished = (got == 0) & (answers < np.finfo(got.dtype).tiny)
    return np.where(vanished, 0, exact.ulps(got, answers)).max(axis=-1).astype(float)


def nudged(rng, x, furthest):
    """`x` moved by up to `furthest` units in the last place."""
    return x + np.spacing(np.abs(x)) * rng.integers(-furthest, furthest + 1, x.shape).astype(x.dtype)


def start(rng, n, dtype):
    t = 10.0 ** (rng.uniform(-3, 3) if rng.random() < 0.9 else rng.uniform(-30, 30))
    return rows.random_row(rng, n, t, dtype).astype(dtype), t


def changed(rng, x, t):
    """A neighbour of the row and the temperature."""
    n, dtype = x.size, x.dtype
    kind = rng.integers(8)
    if kind == 0:
        x = x.copy()
        i = rng.integers(n)
        x[i] = nudged(rng, x[i], 8)
    elif kind == 1:
        x = nudged(rng, x, 3)
    elif kind == 2:
        x = x.copy()
        depth = 90 if dtype == np.float32 else 710
        x[rng.integers(n)] = x.max() - t * rng.uniform(0, depth * rng.random())
    elif kind == 3:
        t = t * (1 + rng.integers(-8, 9) * 2.0**-52)
    elif kind == 4:
        t = t * (1 + rng.uniform(-1, 1) * 10.0 ** rng.uniform(-7, -0.5))
    elif kind == 5:
        x = (x + t * rng.normal(0, 30)).astype(dtype)
    elif kind == 6:
        factor = 2.0 ** rng.uniform(-3, 3)
        x, t = (x * factor).astype(dtype), t * factor
    else:
        part = rng.random(n) < 0.2
        x = np.where(part, x + t * rng.normal(0, 1, n), x).astype(dtype)
    return x, t


def usable(x, t):
    return np.isfinite(x.max()) and not np.isnan(x).any() and 0 < t < np.inf


def climb(function, name, dtype, n, seconds, rng):
    """The best rows found in `seconds` among rows of n, as (error, logits, temperature)."""
    best = []
    climbers = [start(rng, n, dtype) for _ in range(CLIMBERS)]
    heights = np.full(CLIMBERS, -1.0)
    idle = np.zeros(CLIMBERS, int)
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        fresh = idle > PATIENCE
        for i in np.flatnonzero(fresh):
            best.append((heights[i], *climbers[i]))
            climbers[i], heights[i], idle[i] = start(rng, n, dtype), -1.0, 0
        with np.errstate(all="ignore"):
            tried = [climbers[i] if heights[i] < 0 else changed(rng, *climbers[i]) for i in range(CLIMBERS)]
        tried = [new if usable(*new) else old for new, old in zip(tried, climbers, strict=True)]
        new_heights = errors(function, name, np.array([x for x, _ in tried]), np.array([t for _, t in tried]))
        idle += 1
        for i in np.flatnonzero(new_heights > heights):
            climbers[i], heights[i], idle[i] = tried[i], new_heights[i], 0
    best += [(heights[i], *climbers[i]) for i in range(CLIMBERS)]
    return sorted(best, key=lambda found: -found[0])[:4]


def stored(found, name, dtype):
    error, x, t = found
    return {
        "function": name,
        "dtype": dtype,
        "ulp_when_found": round(float(error), 3),
        "temperature": float(t).hex(),
        "logits": [float(each).hex() for each in x],
    }


def save(found, keep):
    """Add the `keep` worst to rows.json. Rows that are there stay: they are hard for some other arithmetic."""
    old = json.loads(TARGET.read_text(encoding="utf-8")) if TARGET.exists() else []
    new = sorted(found, key=lambda row: -row["ulp_when_found"])[:keep]
    both = sorted(old + new, key=lambda row: (row["function"], row["dtype"], -row["ulp_when_found"]))
    TARGET.write_text("[\n" + ",\n".join(json.dumps(row) for row in both) + "\n]\n", encoding="utf-8")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--dtype", choices=["float32", "float64"], default="float32")
    parser.add_argument("--function", choices=["softmax", "log_softmax", "logsumexp"], default="softmax")
    parser.add_argument("--isa", choices=["naive", "reference", *implementations.ISAS])
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--keep", type=int, default=4, help="how many rows to add")
    options = parser.parse_args()
    isa = options.isa or (implementations.ISAS or ("reference",))[0]
    if isa == "naive" and options.function != "softmax":
        parser.error("--isa naive has softmax only")

    rng = np.random.default_rng(options.seed)
    found = []
    try:
        with implementations.chosen("reference" if isa == "naive" else isa) as chosen:
            function = naive if isa == "naive" else getattr(chosen, options.function)
            for n in SIZES:
                best = climb(function, options.function, options.dtype, n, options.seconds / len(SIZES), rng)
                found += [stored(each, options.function, options.dtype) for each in best]
                print(f"{isa} {options.function} {options.dtype} n={n}: {best[0][0]:.3f} ulp at T={best[0][2]:.4g}")
    finally:
        if isa != "naive":
            save(found, options.keep)


if __name__ == "__main__":
    main()
