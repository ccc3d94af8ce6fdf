"""Rows for the accuracy tests: many shapes of distribution at every temperature, offset and scale of the contract."""

from __future__ import annotations

import functools

import exact
import numpy as np

SIZES = (1, 2, 3, 7, 8, 15, 16, 17, 31, 63, 64, 65, 100, 255, 1000, 1023, 1024, 1025, 2047, 2049, 4096, 5000)
LONG_SIZES = (128256, 2**20)
COLDEST = float(np.float32(1e-45))
TEMPERATURES = (COLDEST, 1e-30, 1e-3, 1e-2, 0.1, 0.5, 1.0, 2.0, 10.0, 1e2, 1e3, 1e30)


def normal(rng, n):
    return rng.normal(0, 1, n)


def uniform(rng, n):
    return rng.uniform(-1, 1, n)


def two_valued(rng, n):
    return np.where(rng.random(n) < 0.3, -1.0, 0.0)


def all_equal(rng, n):
    return np.full(n, rng.uniform(-1, 1))


def ascending(rng, n):
    return np.sort(rng.normal(0, 1, n))


def descending(rng, n):
    return -np.sort(rng.normal(0, 1, n))


def quantised(rng, n):
    return np.round(rng.normal(0, 1, n) * 8) / 8


def heavy_tail(rng, n):
    return rng.standard_t(1.5, n)


def one_dominant(rng, n):
    row = rng.normal(0, 0.1, n)
    row[rng.integers(n)] = 1.0
    return row


def stepped(rng, n):
    """Runs of 64 or 1024 at levels of their own, some far below the rest."""
    run = rng.choice((64, 1024))
    levels = rng.choice((0, 0, -1, -20, -30, -1e3), n // run + 1)
    return rng.normal(0, 0.3, n) + np.repeat(levels, run)[:n]


DISTRIBUTIONS = (
    normal, uniform, two_valued, all_equal, ascending, descending, quantised, heavy_tail, one_dominant, stepped
)  # fmt: skip
SPREADS = {"float32": (0.1, 1, 4, 20, 80), "float64": (0.1, 1, 4, 20, 80, 600)}


@np.errstate(over="ignore", invalid="ignore")
def random_row(rng, n, t, dtype):
    """Logits some multiples of the temperature apart, or of a scale of their own; with or without an offset."""
    shape = DISTRIBUTIONS[rng.integers(len(DISTRIBUTIONS))](rng, n)
    if rng.random() < 0.7:
        scale = t * rng.choice(SPREADS[dtype])
        # The second makes logsumexp cancel; the last, up to 2**20 temperatures from 0, leaves differences few bits.
        offset = rng.choice((0, -t * np.log(n), scale, t * rng.choice((-1, 1)) * 2.0 ** rng.uniform(4, 20)))
    else:
        scale = 10.0 ** rng.uniform(-1, 4)
        offset = rng.choice((0, 1, -1)) * 10.0 ** rng.uniform(0, 6)
    largest = float(np.finfo(dtype).max)
    row = np.clip(offset, -largest / 2, largest / 2) + np.clip(scale * shape, -largest / 2, largest / 2)
    row = np.where(np.isnan(row), 0, row)  # an infinite scale of 0
    if rng.random() < 0.1 and n > 1:
        row[rng.permutation(n)[: n // 3]] = rng.choice((-np.inf, -largest))
    return row


# For float64, whose logits can be as extreme: around 2**-600 and 2**600, subnormal, the largest.
MORE_TEMPERATURES = (
    5e-324,
    1e-320,
    1e-308,
    1e-200,
    2.0**-600,
    1e-180,
    1e180,
    2.0**600,
    1e181,
    1e250,
    1e305,
    1e306,
    3e307,
    1.7e308,
)


def extreme_batch(n, dtype, seed):
    """(logits, temperatures) of rows at MORE_TEMPERATURES and around every power of two from 2**-70 to 2**70."""
    rng = np.random.default_rng([seed, n])
    near = 2.0 ** np.arange(-70, 71) * (1 + rng.choice((-1, 0, 1), 141) * 2.0**-52)
    temperatures = np.concatenate([near, np.repeat(MORE_TEMPERATURES, 6)])
    return np.array([random_row(rng, n, t, dtype) for t in temperatures]).astype(dtype), temperatures


def batch(n, dtype, per_temperature, seed):
    """(logits, temperatures) of `per_temperature` rows at each of TEMPERATURES and as many at random ones."""
    rng = np.random.default_rng([seed, n])
    temperatures = np.concatenate(
        [np.repeat(TEMPERATURES, per_temperature), 10.0 ** rng.uniform(-3, 3, 3 * per_temperature)]
    )
    logits = np.array([random_row(rng, n, t, dtype) for t in temperatures])
    return logits.astype(dtype), temperatures


def long_batch(n, dtype, seed):
    """A few long rows: ordinary logits, cold, warm, nearly equal, and far from 0."""
    rng = np.random.default_rng([seed, n])
    logits = [3 * normal(rng, n), normal(rng, n), 1e-3 * uniform(rng, n), 1e5 + 4 * heavy_tail(rng, n)]
    count = 4 if n < 2**20 else 2
    return np.array(logits[:count]).astype(dtype), np.array([0.8, 0.05, 1.0, 1.5])[:count]


@functools.lru_cache(maxsize=4)
def with_answers(make, n, dtype, *options):
    """The rows of `make` and their exact softmax, log_softmax and logsumexp."""
    logits, temperatures = make(n, dtype, *options)
    answers = {
        "softmax": exact.softmax(logits, temperatures),
        "log_softmax": exact.log_softmax(logits, temperatures),
        "logsumexp": exact.logsumexp(logits, temperatures),
    }
    return logits, temperatures, answers
