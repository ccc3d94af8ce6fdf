"""Rows that the kernels take together, or put off, have the bits that each has by itself.

Each way of working has odd rows among ordinary ones, so that a tile or a neighbour is declined in the middle of it.
"""

from __future__ import annotations

import contextlib

import ml_dtypes
import numpy as np
import pytest
from implementations import without_direct_path
from ways import as_bytes, one_by_one, past_the_cache

from tempsoft import calls

DTYPES = ["float16", "float32", "float64"]
BFLOAT16 = ml_dtypes.bfloat16
MAPS = ("softmax", "log_softmax")
FUNCTIONS = (*MAPS, "logsumexp", "entropy", "log_prob")
ODD = {3: np.nan, 40: np.inf, 41: -np.inf, 77: 3e4, 78: -3e4, 130: 200.0}


def rows(number, n, dtype):
    """Ordinary rows but for some: with an odd number at the end, and a masked and a constant row."""
    x = np.random.default_rng(n).normal(0, 3, (number, n))
    for row, value in ODD.items():
        if row < number:
            x[row, -1] = value
    x[number // 2, : n // 2] = -np.inf
    x[number // 2 - 1] = 0.0
    return x.astype(dtype)


def function_of(compiled, name):
    """The function; for log_prob, that of two categories of each row, of which one follows from its last logit."""
    if name != "log_prob":
        return getattr(compiled, name)

    def log_prob(x, temperature=1.0, axis=-1):
        n = x.shape[axis]
        last = np.moveaxis(x, axis, -1)[..., -1].astype(np.float64)
        last = np.nan_to_num(last, nan=1.0, posinf=2.0, neginf=3.0).clip(-1e9, 1e9)
        index = np.stack([(1000 * last).astype(np.int64) % n, np.full(last.shape, n - 1)], axis=-1)
        return compiled.log_prob(x, index, temperature, axis=axis)

    return log_prob


@pytest.mark.parametrize("dtype", [*DTYPES, BFLOAT16])
@pytest.mark.parametrize("n", [2, 3, 7, 8, 9, 16, 17, 63, 64, 65, 100, 127, 128, 129, 1000, 1023, 1024])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_rows_together(compiled, function, n, dtype):
    x = rows(200, n, dtype)
    call = function_of(compiled, function)
    for number in (200, 31, 17, 2):
        for temperature in (1.0, 0.3):
            together = call(x[:number], temperature)
            assert together.tobytes() == one_by_one(call, x[:number], temperature=temperature).tobytes()


# of adjacent rows, at most, in nats: one c is within reach of all, or of most
OFFSETS = {"near": 0.0, "within reach": 8.0, "at the end of reach": 12.5, "apart": 95.0}


@pytest.mark.parametrize("dtype", [*DTYPES, BFLOAT16])
@pytest.mark.parametrize("n", [*range(2, 18), 20, 31, 32, 33, 47, 48, 49, 63, 64, 65, 80, 100, 127, 128])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_adjacent_rows(compiled, name, n, dtype):
    rng = np.random.default_rng(n)
    function = function_of(compiled, name)
    for offset in OFFSETS.values():
        for spread, temperature in ((0.1, 1.0), (3.0, 3.0), (20.0, 0.7), (20.0, 0.01)):
            x = rng.normal(0, spread, (150, n)) + rng.uniform(-offset, offset, (150, 1))
            x[70:, 0] -= rng.uniform(60, 110, 80)  # some results are subnormal, some 0
            x[90:][rng.random((60, n)) < 0.3] = -np.inf
            x = x.astype(dtype)
            together = function(x, temperature)
            assert together.tobytes() == one_by_one(function, x, temperature=temperature).tobytes()
            if name not in MAPS:
                continue
            memory = np.full(x.size + 2, 7, dtype)
            ways = (contextlib.nullcontext, temperature), (past_the_cache, np.array(temperature))
            for past_cache, of_all in ways:
                memory[:] = 7
                with past_cache():
                    function(x, of_all, out=memory[1:-1].reshape(x.shape))
                assert memory[1:-1].tobytes() == together.tobytes()
                assert memory[0] == memory[-1] == 7


STEPS = {
    "none": [0],
    "small": [-3, 3],
    "large": [-9, 9, 25, -25],
    "rare": [0] * 40 + [60, -60],
    "huge": [0] * 20 + [1e4],
}


@pytest.mark.parametrize("dtype", [*DTYPES, BFLOAT16])
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("n", [3, 10, 33, 64, 100, 128])
def test_adjacent_rows_that_drift(compiled, n, steps, dtype):
    """What did for the rows before is tried: here the largest logit rises and falls from row to row, by what does not
    matter, by what is seen in a sum, or in exponentials; some rows have logits far below, NaN or infinities.
    """
    rng = np.random.default_rng(n)
    x = rng.normal(0, 2, (1500, n)) + np.cumsum(rng.choice(STEPS[steps], 1500)).clip(-3e4, 3e4)[:, None]
    for row in rng.integers(600, 1500, 6):
        x[row, rng.integers(n)] = rng.choice([np.nan, np.inf, -np.inf, -60 + x[row, 0], -200 + x[row, 0]])
    x = x.astype(dtype)
    for function in FUNCTIONS:
        call = function_of(compiled, function)
        for plain in (1.0, 0.1):
            right, temperature = one_by_one(call, x, temperature=plain).tobytes(), np.array(plain)
            assert call(x, temperature).tobytes() == right
            with past_the_cache():
                assert call(x, temperature).tobytes() == right
                assert call(x[5:], temperature).tobytes() == right[5 * len(right) // len(x) :]
                if function in MAPS:
                    in_place = x.copy()
                    assert call(in_place, temperature, out=in_place).tobytes() == right


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [3, 10, 100, 300])
def test_entropies_of_next_to_nothing(compiled, n, dtype):
    """What counts of a row beside its largest logit is far below it, or differs from it by next to nothing."""
    rng = np.random.default_rng(n)
    x = np.full((400, n), -1e5) + rng.normal(size=(400, n))
    x[np.arange(400), rng.integers(n, size=400)] = 0.0
    for i, depth in enumerate(np.linspace(1, 760, 300)):
        x[i, np.argmin(x[i])] = -depth
    x[300:350, :2] = 2.0 ** -rng.uniform(40, 1070, (50, 2))
    x[350:] = rng.normal(size=(50, n)) * 2.0 ** -rng.uniform(40, 1070, (50, 1))
    x = x.astype(dtype)
    for temperature in (1.0, 2.0**-30, 2.0**40):
        together = compiled.entropy(x, temperature)
        assert together.tobytes() == one_by_one(compiled.entropy, x, temperature=temperature).tobytes()
        for start in range(0, 400, 50):
            assert compiled.entropy(x[start : start + 40], temperature).tobytes() == together[start:][:40].tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [2, 10, 40, 100, 1000])
def test_log_prob_is_of_log_softmax(compiled, n, dtype):
    x = rows(200, n, dtype)
    for temperature in (1.0, np.linspace(0.1, 3.0, 200)):
        every = np.broadcast_to(np.arange(n), x.shape)
        assert compiled.log_prob(x, every, temperature).tobytes() == compiled.log_softmax(x, temperature).tobytes()
        index = np.random.default_rng(n).integers(n, size=(200, 2))[:, ::2]  # not contiguous
        chosen = np.take_along_axis(compiled.log_softmax(x, temperature), index, axis=-1)
        assert compiled.log_prob(x, index, temperature).tobytes() == chosen.tobytes()


@pytest.mark.parametrize("dtype", [*DTYPES, BFLOAT16])
@pytest.mark.parametrize("n", [2, 7, 8, 10, 16, 17, 63, 64, 65, 100, 128, 129, 200, 1000, 1024])
def test_the_best_together(compiled, n, dtype):
    """Few are taken out one by one, more are searched for; equal ones come in their order, and a row may have less."""
    x = rows(150, n, dtype)
    x[100:120] = np.random.default_rng(n).integers(-2, 3, (20, n)).astype(dtype)
    x[120, 1:] = -np.inf
    x[121, : n // 2] = -0.0
    x[121, n // 2 :] = 0.0
    for k in sorted({1, 2, min(n, 5), min(n, 64), min(n, 65), n}):
        for temperature in (1.0, np.linspace(0.1, 3.0, 150)):
            log_probs, indices = compiled.top_log_probs(x, k, temperature)
            of_each = {"temperature": np.broadcast_to(temperature, 150)}
            assert as_bytes((log_probs, indices)) == as_bytes(one_by_one(compiled.top_log_probs, x, of_each, k=k))
        order = np.argsort(-x[100:121].astype(np.float64), axis=-1, kind="stable")[:, :k]
        assert (np.where(indices[100:121] < 0, order, indices[100:121]) == order).all()


@pytest.mark.parametrize("n", [16, 100])
def test_short_rows_at_extreme_temperatures(compiled, n):
    """Not every fast formula holds for these: that of the logarithm for fewer than that of exponentials."""
    temperatures = {
        "float32": (1e-40, 1e-22, 1e-15, 2.0**-21, 2.0**-19, 1e21, 1e30),
        "float64": (1e-200, 1e-130, 1e-30, 2.0**-51, 2.0**-49, 1e130),
    }
    for dtype, of_type in temperatures.items():
        for temperature in of_type:
            x = (np.random.default_rng(n).normal(0, 1, (64, n)) * temperature).astype(dtype)
            for name in FUNCTIONS:
                function = function_of(compiled, name)
                together = function(x, temperature)
                assert together.tobytes() == one_by_one(function, x, temperature=temperature).tobytes()
                columns = function(x.T.copy(), temperature, axis=0)
                assert together.tobytes() == (columns.T if name in MAPS else columns).tobytes()
            best = compiled.top_log_probs(x, 5, temperature)
            assert as_bytes(best) == as_bytes(one_by_one(compiled.top_log_probs, x, k=5, temperature=temperature))


@pytest.mark.parametrize("n", [2, 16, 60, 100])
def test_short_rows_far_from_zero(compiled, n):
    """At the end of what a c in reach of the fast formula does for, and beyond."""
    rng = np.random.default_rng(n)
    for place in (22_560, 22_640, 22_700, 22_710, 22_720, 1e5):
        for sign in (1, -1):
            x = sign * place + rng.normal(0, 1, (1600, n)) + rng.uniform(-12, 12, (1600, 1))
            x = x.astype("float32")
            for name in FUNCTIONS:
                function = function_of(compiled, name)
                assert function(x).tobytes() == one_by_one(function, x).tobytes()


@pytest.mark.parametrize("n", [3, 16, 100])
def test_short_rows_with_gaps(compiled, n):
    """Rows and results that lie as far apart as one another, and not side by side."""
    memory = np.random.default_rng(n).normal(0, 3, (150, n + 4)).astype("float32")
    for function in (compiled.softmax, compiled.log_softmax):
        out = np.full_like(memory, 7)
        function(memory[:, :n], out=out[:, :n])
        assert out[:, :n].tobytes() == one_by_one(function, memory[:, :n]).tobytes()
        assert (out[:, n:] == 7).all()


@pytest.mark.parametrize("function", ["softmax", "log_softmax"])
def test_rows_in_place(compiled, function):
    call = getattr(compiled, function)
    for n in (5, 64, 100, 1000):
        x = rows(150, n, "float32")
        again, right = x.copy(), call(x)
        assert call(x, out=x) is x
        assert x.tobytes() == right.tobytes()
        with past_the_cache():
            call(again, np.array(1.0), out=again)
        assert again.tobytes() == right.tobytes()


@pytest.mark.parametrize("dtype", [*DTYPES, BFLOAT16])
@pytest.mark.parametrize("n", [2, 3, 8, 10, 16, 33, 64, 65, 100, 128, 129])
def test_draws_together(compiled, n, dtype):
    u = np.random.default_rng(1).random(200)
    u[::7], u[1::7] = 0.0, 1 - 2.0**-53
    x = rows(200, n, dtype)
    draws = compiled.sample(x, 0.8, u=u, on_invalid="mark")
    assert draws.tolist() == one_by_one(compiled.sample, x, {"u": u}, temperature=0.8, on_invalid="mark").tolist()
    assert (draws[[3, 41]] == [-1, draws[41]]).all()
    assert not np.isneginf(x[np.arange(200), draws][draws >= 0]).any()


@pytest.mark.parametrize("dtype", [*DTYPES, BFLOAT16])
@pytest.mark.parametrize("n", [2, 3, 4, 7, 8, 10, 16, 17, 33, 50, 64])
def test_draws_from_adjacent_rows(compiled, n, dtype):
    rng = np.random.default_rng(n)
    u = rng.random(150)
    u[::7], u[1::7] = 0.0, 1 - 2.0**-53
    for offset, far in [(offset, far) for offset in OFFSETS.values() for far in (0, -22_700)]:
        for spread in (0.1, 3.0, 20.0):
            x = (far + rng.normal(0, spread, (150, n)) + rng.uniform(-offset, offset, (150, 1))).astype(dtype)
            draws = compiled.sample(x, u=u)
            assert draws.tolist() == one_by_one(compiled.sample, x, {"u": u}).tolist()


@pytest.mark.parametrize("dtype", [*DTYPES, BFLOAT16])
@pytest.mark.parametrize("n", [2, 3, 10, 33, 64, 100, 128, 129])
def test_draws_in_turn(compiled, n, dtype):
    """A few from each short row, and log-probabilities of any number: what a row by itself has."""
    x = rows(700, n, dtype)
    for count in (1, 2, 3, 256 // n, 256 // n + 1, 40):
        u = np.random.default_rng(count).random((700, count))
        u[::7, 0], u[1::7, 0] = 0.0, 1 - 2.0**-53
        for temperature in (0.8, np.linspace(0.0, 2.0, 700)):
            options = {"num_samples": count, "on_invalid": "mark"}
            draws, log_probs = compiled.sample(x, temperature, u=u, return_log_prob=True, **options)
            assert compiled.sample(x, temperature, u=u, **options).tobytes() == draws.tobytes()
            backwards = compiled.sample(x, temperature, u=u[:, ::-1], return_log_prob=True, **options)
            assert backwards[0].tobytes() == draws[:, ::-1].tobytes()
            assert backwards[1].tobytes() == log_probs[:, ::-1].tobytes()
            for row in range(0, 700, 1 if count == 2 else 11):
                t = temperature if np.ndim(temperature) == 0 else temperature[row]
                alone = compiled.sample(x[row], t, u=u[row], return_log_prob=True, **options)
                assert draws[row].tobytes() == alone[0].tobytes()
                assert log_probs[row].tobytes() == alone[1].tobytes()
    assert (draws[3] == -1).all()
    assert np.isnan(log_probs[3]).all()


@pytest.mark.parametrize("dtype", ["float16", BFLOAT16, "float32", "float64"])
@pytest.mark.parametrize("n", [2, 3, 8, 10, 33, 100, 128, 129])
def test_draws_from_weights_together(compiled, n, dtype):
    rng = np.random.default_rng(n)
    u, weights = rng.random(200), rng.exponential(1, (200, n))
    weights[rng.random((200, n)) < 0.3] = 0
    weights[:, 0] = 1.0
    weights[5, 1], weights[6, 1], weights[7, 1] = np.nan, -1.0, np.inf
    weights[50], weights[51, 1], weights[52, 1], weights[53, 1] = 0.0, 1e-37, 1e37, -0.0
    with np.errstate(over="ignore"):  # float16 ends before 1e37
        weights = weights.astype(dtype)
    draws = compiled.sample_weights(weights, u=u, on_invalid="mark")
    assert draws.tolist() == one_by_one(compiled.sample_weights, weights, {"u": u}, on_invalid="mark").tolist()
    assert (draws[[5, 6, 7, 50]] == -1).all()
    assert (weights[np.arange(200), draws][draws >= 0] > 0).all()
    u = np.column_stack([u, u[::-1]])
    draws = compiled.sample_weights(weights, u=u, num_samples=2, on_invalid="mark", return_log_prob=True)
    options = {"num_samples": 2, "on_invalid": "mark", "return_log_prob": True}
    assert as_bytes(draws) == as_bytes(one_by_one(compiled.sample_weights, weights, {"u": u}, **options))
    assert compiled.sample_weights(weights, u=u, num_samples=2, on_invalid="mark").tobytes() == draws[0].tobytes()


@pytest.mark.parametrize("columns", [31, 32, 64, 100, 128, 200, 333])
@pytest.mark.parametrize("n", [2, 64, 65, 1000, 1025, 2047, 2050])
def test_strips(compiled, n, columns):
    """Columns come into cache by strips, which begin where a line of the cache does."""
    x = np.ascontiguousarray(rows(columns, n, "float32").T)
    for function in FUNCTIONS:
        call = function_of(compiled, function)
        right = one_by_one(call, x.T)
        result = call(x, axis=0)
        assert (result.T if function in MAPS else result).tobytes() == right.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [2, 16, 64, 65, 1000, 1024, 1025, 2048])
def test_strips_among_others(compiled, n, dtype, monkeypatch):
    """A strip is divided while the next is read, whatever either is like."""
    x = np.random.default_rng(n).normal(0, 3, (n, 700))
    x[n // 2 :, 130] += 200.0  # c is raised on the way
    x[-1, 300] = 1e5
    x[: n // 2, 380] = -np.inf
    x[:, 381] = -np.inf
    x[0, 450] = np.nan
    x[-1, 515] = np.inf
    x[1024:, 520] -= 90.0  # a block of which little is left, or nothing
    x[1024:, 521] -= 500.0
    x[:, 580] *= 1e6
    x[:, 640] += 22_700.0
    x = x.astype(dtype)
    of_each = np.where(np.arange(700) < 200, 1.0, 0.3)
    of_each[600:610] = 0.0, np.inf, 1e-300, 1e300, 5.0, 1e-3, 1.0, 2.0, 0.3, 1.0
    for temperature in (np.array(1.0), of_each):
        of_each = {"temperature": np.broadcast_to(temperature, 700)}
        for name in FUNCTIONS:
            function = function_of(compiled, name)
            right = one_by_one(function, x.T, of_each)
            right = right.T.copy() if name in MAPS else right
            assert function(x, temperature, axis=0).tobytes() == right.tobytes()
            if name not in MAPS:
                continue
            for past_cache, offset in ((0, 0), (0, 3), (1 << 40, 3)):
                monkeypatch.setattr(calls, "PAST_CACHE", past_cache)
                memory = np.full(right.size + 16, 7, right.dtype)
                out = memory[offset : offset + right.size].reshape(right.shape)
                function(x, temperature, axis=0, out=out)
                assert out.tobytes() == right.tobytes()
                assert (memory[:offset] == 7).all()
                assert (memory[offset + right.size :] == 7).all()
            monkeypatch.undo()
            in_place = x.copy()
            function(in_place, temperature, axis=0, out=in_place)
            assert in_place.tobytes() == right.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_past_the_cache(compiled, dtype):
    """Large results are written in another way, at any alignment; nothing beside them is touched."""
    cases = [(150, n) for n in (5, 65, 80, 100, 128, 1000, 1024, 1025, 5000)] + [(2, 300_000)]
    for number, n in cases:
        x = rows(number, n, dtype)
        for function in (compiled.softmax, compiled.log_softmax):
            right = {axis: function(x, axis=axis) for axis in (0, 1)}
            for axis in (0, 1):
                for offset in (0, 1, 5):
                    memory = np.full(x.size + 16, 7, dtype)
                    out = memory[offset : offset + x.size].reshape(x.shape)
                    with past_the_cache():
                        function(x, np.array(1.0), axis=axis, out=out)
                    assert out.tobytes() == right[axis].tobytes()
                    assert (memory[:offset] == 7).all()
                    assert (memory[offset + x.size :] == 7).all()


@pytest.mark.parametrize("way", [1, 2])
@pytest.mark.parametrize("n", [10, 16, 100, 128, 129, 500, 1000, 1024])
def test_every_way_past_the_cache(compiled, n, way, monkeypatch):
    """Whatever this CPU is best read by."""
    monkeypatch.setattr(calls, "WAY_PAST_CACHE", way)
    for dtype in ("float32", "float64"):
        x = rows(160, n, dtype)
        for function in (compiled.softmax, compiled.log_softmax):
            right = function(x)
            with past_the_cache():
                assert function(x, np.array(1.0)).tobytes() == right.tobytes()
                columns = function(np.ascontiguousarray(x.T), np.array(1.0), axis=0)
            assert columns.T.tobytes() == right.tobytes()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [5, 17, 100, 300, 1000, 1100, 5000])
def test_past_the_cache_between_others(compiled, dtype, n):
    """Lines that rows share with what is beside them are written for the rows alone, in whatever order these lie."""
    x = rows(50, n, dtype)
    for function in (compiled.softmax, compiled.log_softmax):
        right = one_by_one(function, x)
        for width in (n, n + 1, n + 3, n + 16):
            for step in (1, -1):
                memory = np.full((50, width), 7, dtype)
                with past_the_cache():
                    function(x, np.array(1.0), out=memory[::step, :n])
                assert memory[::step, :n].tobytes() == right.tobytes()
                assert (memory[:, n:] == 7).all()


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("n", [1025, 2048, 3000, 8192, 20_011, 40_000])
def test_long_rows_that_wait(compiled, dtype, n):
    """A long row is divided while the next is read, whatever either is like."""
    rng = np.random.default_rng(n)
    x = rng.normal(0, 3, (24, n))
    x[1, n // 2 :] += 60.0  # c is raised on the way
    x[2, 1024:] -= 1e4  # blocks of which nothing is left
    x[3, :1024] -= 1e4
    x[4, :1024] = -np.inf
    x[6] = -np.inf
    x[7, -1] = np.nan
    x[9, n // 3] = np.inf
    x[11] = 1e30
    x[12, ::2] *= 1e6
    x[13] -= 70.0
    x[13, 1000:1030] += 70.0
    x[15] = np.linspace(-200.0, 90.0, n)
    x[16] = x[15][::-1]
    x = x.astype(dtype)
    temperatures = np.ones(24)
    temperatures[17:] = 0.0, np.inf, 1e-300, 1e300, 0.3, 5.0, 1e-3
    for temperature in (np.array(1.0), temperatures):
        each = zip(x, np.broadcast_to(temperature, 24), strict=True)
        right = np.stack([compiled.softmax(row, t) for row, t in each])
        for past_cache in (past_the_cache, contextlib.nullcontext):
            for offset in (0, 3):
                memory = np.full(x.size + 16, 7, dtype)
                out = memory[offset : offset + x.size].reshape(x.shape)
                with past_cache():
                    compiled.softmax(x, temperature, out=out)
                assert out.tobytes() == right.tobytes()
                assert (memory[:offset] == 7).all()
                assert (memory[offset + x.size :] == 7).all()
            again = x.copy()
            with past_cache():
                compiled.softmax(again, temperature, out=again)
            assert again.tobytes() == right.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_strips_for_which_the_first_logits_do_not_tell(compiled, function, dtype):
    """Columns of wide and of narrow rows in turn: strips are declined, left out, and tried again."""
    rng = np.random.default_rng(11)
    spread = np.repeat(rng.choice([0.1, 5.0], 60), 100)
    x = (spread * rng.normal(0, 1, (200, len(spread)))).astype(dtype)
    call = function_of(compiled, function)
    right = np.stack([call(column, 0.05) for column in x.T], axis=-1 if function in MAPS else 0)
    assert call(x, 0.05, axis=0).tobytes() == right.tobytes()
    with past_the_cache():
        assert call(x, 0.05, axis=0).tobytes() == right.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("n", [3, 100, 1024, 1025, 2048, 5000, 100_000])
def test_filtered_rows_past_the_cache(compiled, dtype, n):
    """Filters and results that go past the cache do not get into each other's memory."""
    x = rows(20, n, dtype)
    top_k = np.array([1, 3, n // 2 + 1, n] * 5)
    cases = [{"top_k": 5}, {"top_p": 0.9}, {"min_p": 0.1}, {"top_k": top_k, "top_p": 0.7}, {"top_k": n + 7}]
    for filters in cases:
        for function in (compiled.softmax, compiled.log_softmax):
            right = np.stack(
                [function(row, **{k: v[i] if np.ndim(v) else v for k, v in filters.items()}) for i, row in enumerate(x)]
            )
            with past_the_cache():
                result = function(x, np.array(1.0), **filters)
            assert result.tobytes() == right.tobytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_plain_calls(compiled, dtype):
    """Plain arrays and numbers take a shorter way through Python, to the same results and dtypes."""
    x = rows(120, 50, dtype)
    for logits in (x, x[0], x[3], x[:, :1], x[:4].reshape(2, 2, 50)):
        for temperature in (1.0, 0.3, 0.0, np.inf):
            for name in FUNCTIONS:
                function = function_of(compiled, name)
                with without_direct_path():
                    other = function(logits, temperature)
                for number in (temperature, np.float64(temperature)):
                    plain = function(logits, number)
                    assert type(plain) is type(other)
                    assert (plain.dtype, plain.tobytes()) == (other.dtype, other.tobytes())
            out = np.empty_like(logits)
            with without_direct_path():
                right = compiled.softmax(logits, temperature).tobytes()
            assert compiled.softmax(logits, temperature, out=out).tobytes() == right
        index = np.random.default_rng(5).integers(logits.shape[-1], size=logits.shape[:-1])
        of_each = np.stack([index, index], axis=-1)
        for chosen in (index, of_each, index.astype(np.int32), index.astype(">i8"), of_each[..., ::2], index.tolist()):
            with without_direct_path():
                right = compiled.log_prob(logits, chosen, 0.7)
            assert compiled.log_prob(logits, chosen, 0.7).tobytes() == right.tobytes()
    drawable = x[42:60]
    with without_direct_path():
        right = compiled.sample(drawable, 0.7, rng=3)
    assert (compiled.sample(drawable, 0.7, rng=3) == right).all()


WITH_FILTERS = {
    "softmax": lambda of, x, t, **filters: [of.softmax(x, t, **filters)],
    "softmax, out": lambda of, x, t, **filters: [of.softmax(x, t, out=np.empty_like(x), **filters)],
    "log_softmax": lambda of, x, t, **filters: [of.log_softmax(x, t, **filters)],
    "entropy": lambda of, x, t, **filters: [of.entropy(x, t, **filters)],
    "log_prob": lambda of, x, t, **filters: [
        of.log_prob(x, np.arange(x.size // 50).reshape(x.shape[:-1]) % 50, t, **filters)
    ],
    "sample": lambda of, x, t, **filters: [of.sample(x, t, rng=3, **filters)],
    "sample, 5": lambda of, x, t, **filters: [of.sample(x, t, rng=3, num_samples=5, **filters)],
    "support": lambda of, x, t, **filters: of.support(x, t, **filters),
    "sample, log_prob": lambda of, x, t, **filters: of.sample(x, t, rng=3, return_log_prob=True, **filters),
}


@pytest.mark.parametrize("dtype", [*DTYPES, BFLOAT16])
@pytest.mark.parametrize("temperature_last", [False, True])
@pytest.mark.parametrize("name", WITH_FILTERS)
def test_plain_filters(compiled, name, temperature_last, dtype):
    """Numbers, floats of NumPy and arrays go straight to the kernel, to what they give by way of the checks."""
    x = np.random.default_rng(1).normal(0, 3, (2, 10, 50)).astype(dtype)
    settings = [
        (k, p, m)
        for k in (None, -1, 0, 1, 7, 49, 50, 51, 2**40)
        for p in (None, 0.0, 0.6, 1.0)
        for m in (None, 0.0, 0.1, 1.0)
    ]

    def call(logits, temperature, *filters):
        named = dict(zip(("top_k", "top_p", "min_p"), filters, strict=True), temperature_last=temperature_last)
        return WITH_FILTERS[name](compiled, logits, temperature, **named)

    def of(kind, number):
        return None if number is None else kind(number)

    for logits in (x, x[0], x[0, 0]):
        for top_k, top_p, min_p in settings:
            with without_direct_path():
                right = call(logits, 0.7, top_k, top_p, min_p)
            plain = call(logits, 0.7, top_k, top_p, min_p)
            scalars = call(logits, np.float64(0.7), top_k, of(np.float64, top_p), of(np.float64, min_p))
            arrays = call(logits, np.array(0.7), *(of(np.array, number) for number in (top_k, top_p, min_p)))
            for one, *others in zip(right, plain, scalars, arrays, strict=True):
                for two in others:
                    assert (one.dtype, one.shape, type(one)) == (two.dtype, two.shape, type(two))
                    assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("dtype", [*DTYPES, BFLOAT16])
def test_plain_calls_for_the_best(compiled, dtype):
    x = rows(30, 50, dtype)
    for logits in (x, x.reshape(5, 6, 50), x[0], x[3], x[:0]):
        for k in (0, 1, 5, 50):
            for one, two in zip(
                compiled.top_log_probs(logits, k),
                compiled.top_log_probs(logits, np.int64(k), np.array(1.0)),
                strict=True,
            ):
                assert one.dtype == two.dtype
                assert one.shape == two.shape
                assert one.tobytes() == two.tobytes()


@pytest.mark.parametrize("workers", [None, 1, 2])
@pytest.mark.parametrize("n", [10, 100_000])
def test_plain_draws_of_an_invalid_row(compiled, n, workers):
    """They are as those of valid rows up to there: the seed is made once."""
    x = np.random.default_rng(1).normal(0, 3, (3, n))
    x[1] = -np.inf
    for options in ({}, {"top_k": 5}, {"return_log_prob": True}, {"num_samples": 3}):
        rng = np.random.default_rng(5)
        with pytest.raises(ValueError, match="row 1"):
            compiled.sample(x, rng=rng, workers=workers, **options)
        other = np.random.default_rng(5)
        other.integers(0, 2**64, dtype=np.uint64)
        assert rng.bit_generator.state == other.bit_generator.state


class Halved(float):
    """Another number to whoever asks for one than to whoever looks at its memory."""

    def __float__(self):
        return float.__float__(self) / 2


@pytest.mark.parametrize("name", ["softmax", "entropy", "sample"])
def test_floats_of_another_kind(compiled, name):
    """They mean the same on every path."""
    x = np.random.default_rng(0).normal(0, 3, (20, 30))
    for temperature, filters in ((Halved(2.0), {}), (1.0, {"top_p": Halved(0.8)}), (1.0, {"min_p": Halved(0.4)})):
        got = WITH_FILTERS[name](compiled, x, temperature, **filters)
        with without_direct_path():
            right = WITH_FILTERS[name](compiled, x, temperature, **filters)
        assert got[0].tobytes() == right[0].tobytes()


def test_many_rows_of_few_categories(compiled):
    """Uniform numbers of very many rows are not made at once, nor are they of many workers."""
    x = np.random.default_rng(0).normal(0, 3, (300_000, 2)).astype(np.float32)
    with without_direct_path():
        right = compiled.sample(x, rng=1)
        right_of_filtered = compiled.sample(x, rng=1, top_p=0.9)
    for workers in (1, 2):
        assert compiled.sample(x, rng=1, workers=workers).tobytes() == right.tobytes()
        few = compiled.sample(x[:200_000], rng=1, workers=workers)
        assert few.tobytes() == right[:200_000].tobytes()
        filtered = compiled.sample(x, rng=1, top_p=0.9, workers=workers)
        assert filtered.tobytes() == right_of_filtered.tobytes()
