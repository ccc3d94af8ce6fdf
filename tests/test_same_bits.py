"""Compiled results are the same to the last bit on any instruction set, layout, chunking, neighbours and workers."""

from __future__ import annotations

import implementations
import limits
import numpy as np
import pytest

FUNCTIONS = ("softmax", "log_softmax", "logsumexp", "entropy", "sample")
FEW = (1, 2, 3, 5, 8, 15, 16, 17, 31, 33, 63, 64, 65, 100, 1023, 1024, 1025, 1089, 2049, 5121)
SIZES = (*range(1, 70), 127, 128, 129, 255, 1000, 1023, 1024, 1025, 1087, 1088, 1089, 2047, 2048, 2049, 3000, 5121)


@pytest.fixture(params=limits.DTYPES)
def dtype(request):
    return limits.DTYPES[request.param]


def grid(n, dtype):
    """Rows of many spreads and offsets at many temperatures, each limit of the contract among them."""
    rng = np.random.default_rng(n)
    largest = float(limits.ml_dtypes.finfo(dtype).max)
    x = rng.normal(0, 1, (20, n)) * 10.0 ** np.linspace(-3, 2, 20)[:, None]
    x[5:10] += np.array([1e2, -1e3, 1e4, -3e4, 6e4])[:, None]
    x[10, rng.random(n) < 0.5] = -np.inf
    x[11, rng.random(n) < 0.5] = -largest
    x[12, n // 2], x[13, n - 1], x[14, 0] = np.nan, np.inf, -np.inf
    x[15] = np.round(x[15] * 4)
    x[16] = rng.choice([-largest, largest, 0.0], n)
    x[17] *= float(limits.ml_dtypes.finfo(dtype).smallest_subnormal)
    t = np.array([1, 0.7, 0.01, 3, 50, 1, 2, 30, 1, 0.3, 1, 1, 0.5, 1, 1e-30, 0, 1e38, 1e-40, np.inf, 1e30])
    return x.astype(dtype), t


def call(implementation, function, x, t, u=None, **options):
    """The function's arrays as bytes; draws with their log-probabilities."""
    if function == "sample":
        result = implementation.sample(x, t, u=u, num_samples=3, return_log_prob=True, on_invalid="mark", **options)
        return b"".join(part.tobytes() for part in result)
    return getattr(implementation, function)(x, t, **options).tobytes()


def numbers_for(x):
    return np.random.default_rng(x.shape[-1]).random((*x.shape[:-1], 3))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_instruction_sets(compiled, function, dtype):
    others = [isa for isa in implementations.ISAS if isa != compiled.name]
    assert others or len(implementations.ISAS) == 1
    for n in SIZES:
        x, t = grid(n, dtype)
        u = numbers_for(x)
        result = call(compiled, function, x, t, u)
        for isa in others:
            assert compiled.on(isa, lambda: call(compiled, function, x, t, u)) == result, (isa, n)  # noqa: B023


@pytest.mark.parametrize("function", FUNCTIONS)
def test_rows_alone_and_in_a_batch(compiled, function, dtype):
    """A row's bits do not depend on its neighbours, their temperatures or how many there are."""
    for n in FEW:
        x, t = grid(n, dtype)
        u = numbers_for(x)
        alone = [call(compiled, function, x[i : i + 1], t[i : i + 1], u[i : i + 1]) for i in range(len(x))]
        single = [call(compiled, function, x[i], float(t[i]), u[i]) for i in range(len(x))]
        assert alone == single
        order = np.random.default_rng(0).permutation(3 * len(x)) % len(x)
        together = call(compiled, function, x[order], t[order], u[order])
        split = split_rows(function, together, x[order])
        assert split == [alone[i] for i in order]


def split_rows(function, data, x):
    """The bytes of a batch's result, row by row, as `call` gives those of one row."""
    count = len(x)
    if function == "sample":
        draws, rest = data[: count * 24], data[count * 24 :]
        size = len(rest) // count
        return [draws[24 * i : 24 * (i + 1)] + rest[size * i : size * (i + 1)] for i in range(count)]
    size = len(data) // count
    return [data[size * i : size * (i + 1)] for i in range(count)]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_layouts(compiled, function, dtype):
    for n in (1, 2, 7, 16, 63, 64, 65, 200, 1024, 1025, 2100):
        x, t = grid(n, dtype)
        u = numbers_for(x)
        right = call(compiled, function, x, t, u)
        wide = np.repeat(x, 3, axis=1)
        tall = np.repeat(x, 2, axis=0)
        backwards = x[::-1, ::-1].copy()[::-1, ::-1]
        for laid in (np.asfortranarray(x), wide[:, ::3], wide[:, 1::3], tall[::2], backwards):
            assert call(compiled, function, laid, t, u) == right
        for columns in (x.T, x.T.copy(), np.asfortranarray(x.T), np.repeat(x.T, 2, axis=1)[:, ::2]):
            if function in ("logsumexp", "entropy", "sample"):
                assert call(compiled, function, columns, t, u, axis=0) == right
            else:
                result = getattr(compiled, function)(columns, t, axis=0)
                assert np.ascontiguousarray(result.T).tobytes() == right


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("columns", [1, 2, 15, 16, 17, 33, 500])
def test_columns(compiled, function, columns):
    """Few and many columns, where whole vectors of them may be worked on at once."""
    for dtype in (np.float32, np.float64):
        for n in (1, 2, 5, 64, 70, 1024, 1030, 2100):
            x = np.random.default_rng(n).normal(0, 4, (n, columns)).astype(dtype)
            x[0, 0], x[n // 2, columns - 1] = np.inf, np.nan
            t = np.random.default_rng(1).uniform(0.1, 4, columns)
            t[columns // 2] = 0
            u = numbers_for(x.T)
            right = call(compiled, function, np.ascontiguousarray(x.T), t, u)
            if function in ("logsumexp", "entropy", "sample"):
                assert call(compiled, function, x, t, u, axis=0) == right
            else:
                result = getattr(compiled, function)(x, t, axis=0)
                assert np.ascontiguousarray(result.T).tobytes() == right


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("workers", [2, 3, -1])
def test_workers_and_chunks(compiled, function, workers, dtype):
    for shape in ((7, 30000), (300, 700), (30000, 5), (3, 20, 2000)):
        x = np.random.default_rng(shape[0]).normal(0, 3, shape).astype(dtype)
        t = np.random.default_rng(1).uniform(0.1, 3, shape[:-1])
        u = numbers_for(x)
        right = call(compiled, function, x, t, u, workers=1)
        assert call(compiled, function, x, t, u, workers=workers) == right
        assert call(compiled, function, np.asfortranarray(x), t, u, workers=workers) == right
        assert call(compiled, function, x, 0.7, u, workers=workers) == call(compiled, function, x, 0.7, u, workers=1)
        if function != "sample":
            chunks = np.array_split(np.arange(shape[0]), 5)
            pieces = [call(compiled, function, x[c], t[c], u[c]) for c in chunks if len(c)]
            assert b"".join(pieces) == right


@pytest.mark.parametrize("function", FUNCTIONS)
def test_one_temperature_and_one_a_row(compiled, function, dtype):
    """A scalar, a 0-d array, an array of equals, a zero-stride array and a float32 take different paths."""
    for n in (1, 3, 64, 1000, 2100):
        x, _ = grid(n, dtype)
        u = numbers_for(x)
        for t in (0.0, 0.75, 1.0, 1, np.inf, 1e-40, 1e30):
            right = call(compiled, function, x, t, u)
            full = np.full(len(x), float(t))
            several = (np.array(t), full, np.broadcast_to(float(t), (len(x),)), np.repeat(full, 2)[::2], [float(t)])
            for given in several:
                assert call(compiled, function, x, given, u) == right
            if t in (0.75, 1.0):
                assert call(compiled, function, x, np.full(len(x), t, np.float32), u) == right


@pytest.mark.parametrize("function", FUNCTIONS)
def test_small_calls(compiled, function, dtype):
    """A short plain row, for which there may be a shorter way, as in a batch; and into `out`, and not aligned."""
    for n in (*range(1, 19), 32, 33, 64, 100, 1030):
        x, t = grid(n, dtype)
        for i in (0, 1, 2, 6, 10, 11, 12, 13, 15, 18):
            u = numbers_for(x[i])
            right = call(compiled, function, x[i], t[i], u)
            listed = x[i].astype(np.float64).tolist() if dtype == np.float64 else x[i].copy()
            raw = np.zeros(x[i].nbytes + 1, np.uint8)
            shifted = raw[1:].view(dtype)
            shifted[...] = x[i]
            for given in (listed, shifted, x[i][None][0], np.asfortranarray(x)[i]):
                assert call(compiled, function, given, float(t[i]), u) == right
            assert call(compiled, function, x[i][None], t[i : i + 1], u[None]) == right
            if function in ("softmax", "log_softmax"):
                out = np.empty(n, dtype)
                assert getattr(compiled, function)(x[i], t[i], out=out).tobytes() == right


def test_single_draws_and_many(compiled, dtype):
    """One draw, a few and very many (for which a table may be made) from the same row."""
    for n in (1, 3, 64, 1000, 1025, 5000):
        x, t = grid(n, dtype)
        for i in (0, 1, 3, 10, 11, 15):
            u = np.random.default_rng(i).random(3000)
            many = compiled.sample(x[i], t[i], u=u, num_samples=3000)
            assert [compiled.sample(x[i], t[i], u=each) for each in u[:40]] == many[:40].tolist()
            assert compiled.sample(x[i], t[i], u=u[:7], num_samples=7).tolist() == many[:7].tolist()


@pytest.mark.slow
@pytest.mark.parametrize("function", FUNCTIONS)
def test_instruction_sets_on_many_rows(compiled, function, dtype):
    """A few million random numbers of every spread, where one in a million might round otherwise."""
    rng = np.random.default_rng(77)
    others = [isa for isa in implementations.ISAS if isa != compiled.name]
    for n in (3, 10, 50, 300, 1024, 4000):
        shape = (200000 // n + 1, n)
        x = (rng.normal(0, 1, shape) * 10.0 ** rng.uniform(-4, 3, (shape[0], 1))).astype(dtype)
        t = 10.0 ** rng.uniform(-3, 3, shape[0])
        u = numbers_for(x)
        result = call(compiled, function, x, t, u)
        for isa in others:
            assert compiled.on(isa, lambda: call(compiled, function, x, t, u)) == result, (isa, n)  # noqa: B023
