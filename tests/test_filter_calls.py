"""Calls with filters: parameters a row and a sweep, axes, out, rows of several kinds together, filters that are off."""

from __future__ import annotations

import itertools
import warnings

import filter_rows
import implementations
import limits
import numpy as np
import pytest

from tempsoft import arguments

INF = np.inf
FUNCTIONS = ("softmax", "log_softmax", "sample", "log_prob", "entropy", "support")
LAST_U = 1 - 2.0**-53


@pytest.fixture(params=limits.DTYPES)
def dtype(request):
    return limits.DTYPES[request.param]


def call(implementation, function, x, t, axis=-1, **filters):
    """The function's results as a list of arrays with the categories of `x`, if they have them, last."""
    batch = np.broadcast_shapes(np.moveaxis(x, axis, -1).shape[:-1], np.shape(t), *map(np.shape, filters.values()))
    rng = np.random.default_rng(7)
    if function == "sample":
        u = rng.random((*batch, 4))
        options = {"num_samples": 4, "return_log_prob": True, "on_invalid": "mark"}
        return list(implementation.sample(x, t, axis=axis, u=u, **options, **filters))
    if function == "log_prob":
        index = rng.integers(0, x.shape[axis], (*batch, 3))
        return [implementation.log_prob(x, index, t, axis=axis, **filters)]
    result = getattr(implementation, function)(x, t, axis=axis, **filters)
    if function in ("softmax", "log_softmax"):
        return [np.ascontiguousarray(np.moveaxis(result, axis, -1))]
    return list(result) if isinstance(result, tuple) else [result]


def same(results, others):
    return [a.tobytes() for a in results] == [a.tobytes() for a in others]


def one_row(implementation, function, x, t, filters, number, batch):
    """The results of row `number` of a batch, from a call with that row alone."""
    at = np.unravel_index(number, batch)
    scalars = {name: value if name == "temperature_last" else value[at].item() for name, value in filters.items()}
    rng = np.random.default_rng(7)
    if function == "sample":
        u = rng.random((*batch, 4))[at]
        options = {"num_samples": 4, "return_log_prob": True, "on_invalid": "mark"}
        return list(implementation.sample(x[at], t[at], u=u, **options, **scalars))
    if function == "log_prob":
        return [implementation.log_prob(x[at], rng.integers(0, x.shape[-1], (*batch, 3))[at], t[at], **scalars)]
    result = getattr(implementation, function)(x[at], t[at], **scalars)
    return list(result) if isinstance(result, tuple) else [result]


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("last", [False, True])
def test_parameters_of_each_row(implementation, function, dtype, last):
    """A batch with parameters a row gives each row what a call with that row and its parameters alone gives."""
    for n in filter_rows.FEW:
        x, t, parameters, _ = filter_rows.batch(n, dtype, last)
        together = call(implementation, function, x, t, **parameters)
        for i in range(len(x)):
            alone = one_row(implementation, function, x, t, parameters, i, t.shape)
            assert same(alone, [result[i] for result in together]), (n, i)


SWEEPS = [  # shapes of temperature, top_k, top_p, min_p over logits of batch shape (3, 2)
    ((), (4, 1, 1), (), ()),
    ((), (), (5, 1, 1), (2,)),
    ((2, 1, 1, 1), (3, 1), (4, 1, 1), (1,)),
    ((3, 2), (1, 1), (1, 3, 2), (1, 2)),
    ((), (), (), (2, 3, 2)),
]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_parameters_that_enlarge_the_batch(implementation, function):
    n = 33
    x = (2 * np.random.default_rng(5).normal(size=(3, 2, n))).astype(np.float32)
    rng = np.random.default_rng(6)
    for shapes in SWEEPS:
        batch = np.broadcast_shapes((3, 2), *shapes)
        t = rng.choice([0.0, 0.5, 1.0, 3.0], shapes[0])
        filters = {
            "top_k": rng.integers(0, n, shapes[1]),
            "top_p": rng.uniform(0.3, 1, shapes[2]),
            "min_p": rng.uniform(0, 0.2, shapes[3]),
        }
        wide = {name: np.broadcast_to(value, batch) for name, value in filters.items()}
        rows, temperatures = np.broadcast_to(x, (*batch, n)), np.broadcast_to(t, batch)
        got = call(implementation, function, x, t, **filters)
        assert got[0].shape[: len(batch)] == batch
        assert same(got, call(implementation, function, rows.copy(), temperatures, **wide))
        for number in range(int(np.prod(batch))):
            alone = one_row(implementation, function, rows, temperatures, wide, number, batch)
            assert same(alone, [result[np.unravel_index(number, batch)] for result in got])


def test_off_values_enlarge_the_batch_as_well(implementation):
    x = np.arange(8, dtype=np.float32).reshape(2, 4)
    right = implementation.softmax(x)
    for off in ({"top_k": [[0], [-1], [4]]}, {"top_p": [[1.0]] * 3}, {"min_p": np.zeros((3, 2))}):
        got = implementation.softmax(x, **off)
        assert got.shape == (3, 2, 4)
        assert (got == right).all()
        assert implementation.sample(x, rng=3, **off).tolist() == implementation.sample(x, [[1.0]] * 3, rng=3).tolist()


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("last", [False, True])
def test_axis(implementation, function, last, dtype):
    """Categories on the first axis and on a middle one, few columns and many."""
    for n, columns in itertools.product((1, 5, 64, 70, 1030), (1, 3, 17, 40)):
        x = filter_rows.some_rows(n, dtype, 3)[:columns]
        t, parameters = filter_rows.settings(n, len(x))
        parameters["temperature_last"] = last
        right = call(implementation, function, x, t, **parameters)
        for laid in (x.T, np.ascontiguousarray(x.T)):
            assert same(call(implementation, function, laid, t, axis=0, **parameters), right)
    x = filter_rows.some_rows(n, dtype, 1).reshape(4, 4, n)
    t, parameters = filter_rows.settings(n, 16)
    parameters = {name: value.reshape(4, 4) for name, value in parameters.items()}
    t = t.reshape(4, 4)
    right = call(implementation, function, x, t, **parameters)
    middle = np.ascontiguousarray(np.moveaxis(x, -1, 1))
    assert same(call(implementation, function, middle, t, axis=1, **parameters), right)
    assert same(call(implementation, function, middle, t, axis=-2, **parameters), right)


@pytest.mark.parametrize("name", ["softmax", "log_softmax"])
@pytest.mark.parametrize("last", [False, True])
def test_out(implementation, name, last, dtype):
    """In place, shifted over the input, wider, with gaps: the result of no out; separate input is left alone."""
    function = getattr(implementation, name)
    for n in (1, 7, 64, 1030):
        x, t, parameters, _ = filter_rows.batch(n, dtype, last)
        before = x.tobytes()
        right = function(x, t, **parameters)
        assert x.tobytes() == before
        out = np.empty_like(x)
        assert function(x, t, **parameters, out=out) is out
        assert out.tobytes() == right.tobytes()
        own = x.copy()
        assert function(own, t, **parameters, out=own) is own
        assert own.tobytes() == right.tobytes()
        columns = np.asfortranarray(x)
        function(columns.T, t, **parameters, axis=0, out=columns.T)
        assert columns.tobytes() == right.tobytes()
        gaps = np.ones((len(x), 2 * n), dtype)
        function(x, t, **parameters, out=gaps[:, ::2])
        assert gaps[:, ::2].tobytes() == right.tobytes()
        assert (gaps[:, 1::2] == 1).all()
        memory = np.concatenate([x, x[:1]])
        function(memory[:-1], t, **parameters, out=memory[1:])
        assert memory[1:].tobytes() == right.tobytes()


def test_parameters_under_out(implementation):
    """Parameters that lie in the memory of out are read before it is written."""
    x = np.random.default_rng(4).normal(size=(6, 8))
    p = np.linspace(0.2, 0.9, 6)
    for name in ("top_p", "min_p", "temperature"):
        right = implementation.softmax(x, **{"top_k": 5, name: p})
        memory = np.zeros((6, 8))
        memory[0, :6] = p
        implementation.softmax(x, **{"top_k": 5, name: memory[0, :6]}, out=memory)
        assert (memory == right).all()
    k = np.array([1, 2, 3, 4, 5, 6])
    right = implementation.softmax(x, top_k=k)
    memory = np.zeros((6, 8))
    inside = memory.view(np.int64)[:, 3]
    inside[...] = k
    implementation.softmax(x, top_k=inside, out=memory)
    assert (memory == right).all()


def neutral(x):
    """Filters that remove nothing of these rows: off, and on with nothing to do."""
    n = x.shape[-1]
    rows = len(x)
    fewer = np.where((x > -INF).all(axis=-1), 0, np.maximum((x > -INF).sum(axis=-1), 1))
    yield {"top_k": 0}
    yield {"top_k": -1, "top_p": 1.0, "min_p": 0.0}
    yield {"top_k": n, "temperature_last": True}
    yield {"top_k": 2**62, "top_p": 1, "min_p": 0}
    yield {"top_k": np.full(rows, n), "top_p": np.ones(rows), "min_p": np.zeros(rows)}
    yield {"top_k": np.where(np.arange(rows) % 2 == 0, n, -1), "top_p": np.ones((1, rows))[0]}
    yield {"top_k": fewer}
    yield {"top_k": fewer, "temperature_last": True}


def test_filters_that_are_off_take_the_path_of_none():
    x = np.zeros((3, 4))
    for off in (
        {"top_k": [0, -1, 4]},
        {"top_k": 2**70},
        {"top_p": 1, "min_p": [0, 0.0, 0]},
        {"temperature_last": True},
    ):
        assert arguments.rows(x, 1.0, -1, **off).filters is None
    for on in ({"top_k": [0, 3, 4]}, {"top_p": np.nextafter(1, 0)}, {"min_p": [0, 5e-324, 0]}):
        assert arguments.rows(x, 1.0, -1, **on).filters is not None


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_filter_that_removes_nothing_changes_no_bit(implementation, function, dtype):
    active = 0
    for n in (2, 3, 16, 63, 64, 65, 1000, 1025, 2100):
        x = filter_rows.some_rows(n, dtype)
        x[0, n // 2] = -INF  # top_k = n - 1 keeps the rest
        t = filter_rows.settings(n, len(x))[0]
        right = call(implementation, function, x, t)
        for filters in neutral(x):
            assert same(call(implementation, function, x, t, **filters), right), filters
            active += np.any((np.array(filters["top_k"]) > 0) & (np.array(filters["top_k"]) < n))
        # A top_p or a min_p so mild that all are kept, and rows of which they keep everything.
        lowest = x.astype(np.float64).min(axis=-1)
        even = np.flatnonzero((lowest > -INF) & (x.max(axis=-1) - lowest < 5) & (t >= 0.5) & (t < 1e30))
        for filters in ({"min_p": 1e-300}, {"top_p": 1 - 2.0**-53, "min_p": 1e-290}):
            numbers = implementation.support(x[even], t[even], **filters)[0]
            all_kept = even[numbers == n]
            assert all_kept.size > 0 or "top_p" in filters
            plain = call(implementation, function, x[all_kept], t[all_kept])
            assert same(call(implementation, function, x[all_kept], t[all_kept], **filters), plain)
    assert active > 10


@pytest.mark.parametrize("n", [8, 64, 1030, 3000])
def test_a_greedy_row_a_nucleus_and_a_plain_row_in_one_call(implementation, dtype, n):
    x = (3 * np.random.default_rng(n).normal(size=(3, n))).astype(dtype)
    t, p, k = [0.0, 0.7, 1.0], [1.0, 0.9, 1.0], [0, 0, -1]
    probabilities = implementation.softmax(x, t, top_p=p, top_k=k)
    numbers, masses = implementation.support(x, t, top_p=p)
    assert np.flatnonzero(probabilities[0]).tolist() == [x[0].astype(float).argmax()]
    assert 1 < numbers[1] < n
    assert masses[1] >= 0.9 - 1e-6
    assert numbers[2] == n
    assert probabilities[2].tobytes() == implementation.softmax(x[2]).tobytes()
    for function in FUNCTIONS:
        together = call(implementation, function, x, t, top_p=p, top_k=k)
        greedy, nucleus, plain = ([result[i] for result in together] for i in range(3))
        filters = {"top_p": np.array(p), "top_k": np.array(k)}
        for i, part in enumerate((greedy, nucleus, plain)):
            assert same(part, one_row(implementation, function, x, np.array(t), filters, i, (3,)))


@pytest.mark.parametrize("n", [3, 3000])
@pytest.mark.parametrize("last", [False, True])
def test_no_warnings_and_clean_status(implementation, dtype, n, last):
    """Whatever the rows, temperatures and filters, and whatever the caller's floating-point error handling."""
    cases = [(case, places) for case, places in limits.grid(n) if places == limits.PLACES[n][0]]
    x = np.stack([limits.row(case, n, places, dtype) for case, places in cases])
    t = np.array([case.temperature for case, _ in cases])
    filters = {"top_k": [[0], [2], [0], [0], [2]], "top_p": [[1], [1], [0.5], [1], [1 - 2.0**-53]]}
    filters |= {"min_p": [[0], [0], [0], [5e-324], [1]], "temperature_last": last}
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        for temperature in (t,) if implementation.is_reference else (t, 1.0, 5e-324, 1e300):
            for function in FUNCTIONS:
                results = call(implementation, function, x, temperature, **filters)
                assert results[0].shape[:2] == (5, len(x))
            for replace in (True, False):
                options = {"num_samples": 2, "replace": replace, "rng": 3, "on_invalid": "mark"}
                implementation.sample(x, temperature, **filters, **options)
                implementation.sample_weights(x, **options)
            implementation.top_log_probs(x, 2, temperature)


ALL_SIZES = pytest.param(filter_rows.SIZES, marks=pytest.mark.slow, id="all")


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("last", [False, True])
@pytest.mark.parametrize("sizes", [pytest.param(filter_rows.FEW, id="few"), ALL_SIZES])
def test_instruction_sets_and_workers(compiled, function, last, dtype, sizes):
    others = [isa for isa in implementations.ISAS if isa != compiled.name]
    for n in sizes:
        x, t, parameters, _ = filter_rows.batch(n, dtype, last)
        right = call(compiled, function, x, t, **parameters)
        for isa in others:
            other = compiled.on(isa, lambda: call(compiled, function, x, t, **parameters))  # noqa: B023
            assert same(other, right), (isa, n)
        order = np.random.default_rng(1).permutation(len(x))
        shuffled = {name: value if name == "temperature_last" else value[order] for name, value in parameters.items()}
        if function not in ("sample", "log_prob"):  # their numbers are made by place
            moved = call(compiled, function, x[order], t[order], **shuffled)
            assert same(moved, [result[order] for result in right])
        for workers in (2, -1):
            many = call(compiled, function, np.tile(x, (20, 1)), np.tile(t, 20), **tiled(parameters, 20))
            shared = call(
                compiled, function, np.tile(x, (20, 1)), np.tile(t, 20), **tiled(parameters, 20), workers=workers
            )
            assert same(shared, many)


def tiled(parameters, times):
    return {k: v if k == "temperature_last" else np.tile(v, times) for k, v in parameters.items()}
