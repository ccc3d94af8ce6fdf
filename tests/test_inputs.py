"""However the logits lie in memory, the answer is that of a plain contiguous copy, and the input is left alone."""

from __future__ import annotations

import warnings

import limits
import numpy as np
import pytest

FUNCTIONS = ("softmax", "log_softmax", "logsumexp", "entropy", "sample")
SHAPES = [(5, 7), (3, 1030), (2, 3, 70)]


def numbers(shape, dtype, seed=3):
    return np.random.default_rng(seed).normal(0, 3, shape).astype(dtype)


@pytest.fixture(params=limits.DTYPES)
def dtype(request):
    return limits.DTYPES[request.param]


# Each makes, from a plain array, one of equal values that lies otherwise in memory.
def read_only(x, _):
    x = x.copy()
    x.flags.writeable = False
    return x


def fortran(x, _):
    return np.asfortranarray(x)


def negative_strides(x, _):
    return x[tuple(slice(None, None, -1) for _ in x.shape)].copy()[tuple(slice(None, None, -1) for _ in x.shape)]


def every_third(x, _):
    wide = np.full((*x.shape[:-1], 3 * x.shape[-1]), np.nan, x.dtype)
    wide[..., 1::3] = x
    return wide[..., 1::3]


def rows_apart(x, _):
    wide = np.full((2 * x.shape[0], *x.shape[1:]), np.nan, x.dtype)
    wide[::2] = x
    return wide[::2]


def misaligned(x, _):
    raw = np.zeros(x.nbytes + 1, np.uint8)
    view = raw[1:].view(x.dtype).reshape(x.shape)
    view[...] = x
    return view


def byte_swapped(x, _):
    return x.astype(x.dtype.newbyteorder())


def swapped_and_misaligned(x, tmp_path):
    return misaligned(byte_swapped(x, tmp_path), tmp_path)


def mapped(x, tmp_path):
    x.tofile(tmp_path / "logits")
    return np.memmap(tmp_path / "logits", dtype=x.dtype, mode="r", shape=x.shape)


LAYOUTS = {
    layout.__name__: layout
    for layout in (
        read_only, fortran, negative_strides, every_third, rows_apart, misaligned, byte_swapped,
        swapped_and_misaligned, mapped,
    )
}  # fmt: skip
IN_FORCE = {
    "read_only": lambda a: not a.flags.writeable,
    "fortran": lambda a: a.flags.f_contiguous and not a.flags.c_contiguous,
    "negative_strides": lambda a: all(stride < 0 for stride in a.strides),
    "every_third": lambda a: a.strides[-1] == 3 * a.itemsize,
    "rows_apart": lambda a: not a.flags.c_contiguous and a.strides[-1] == a.itemsize,
    "misaligned": lambda a: not a.flags.aligned,
    "byte_swapped": lambda a: not a.dtype.isnative,
    "swapped_and_misaligned": lambda a: not a.dtype.isnative and not a.flags.aligned,
    "mapped": lambda a: isinstance(a, np.memmap) and not a.flags.writeable,
}


def call(implementation, function, x, axis=-1, temperature=0.7):
    if function == "sample":
        return implementation.sample(x, temperature, axis=axis, rng=11, num_samples=2, return_log_prob=True)
    return (getattr(implementation, function)(x, temperature, axis=axis),)


def same(got, right):
    """Equal type, dtype, shape and bits: also of the reference, whose arithmetic does not see the layout."""
    for one, other in zip(got, right, strict=True):
        assert type(one) is type(other)
        assert one.dtype == other.dtype
        assert one.dtype.isnative
        assert one.shape == other.shape
        assert one.tobytes() == other.tobytes()


def close(got, right):
    """The reference may add in another order; then 4 units in the last place, and equal draws."""
    for one, other in zip(got, right, strict=True):
        assert (type(one), one.dtype, one.shape) == (type(other), other.dtype, other.shape)
        if one.dtype.kind == "i":
            assert (one == other).all()
        else:
            eps = float(limits.ml_dtypes.finfo(one.dtype).eps)
            np.testing.assert_allclose(one.astype(float), other.astype(float), rtol=4 * eps, atol=0)


def agree(implementation, got, right):
    (close if implementation.is_reference else same)(got, right)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_layouts(implementation, function, layout, dtype, tmp_path):
    for shape in SHAPES:
        plain = numbers(shape, dtype)
        laid = LAYOUTS[layout](plain, tmp_path)
        assert IN_FORCE[layout](laid)
        before = laid.tobytes()
        for axis in range(len(shape)):
            agree(
                implementation,
                call(implementation, function, laid, axis),
                call(implementation, function, np.moveaxis(plain, axis, -1).copy(), -1)
                if function in ("logsumexp", "entropy", "sample")
                else (np.moveaxis(call(implementation, function, np.moveaxis(plain, axis, -1).copy())[0], -1, axis),),
            )
        assert laid.tobytes() == before


@pytest.mark.parametrize("function", FUNCTIONS)
def test_zero_strides(implementation, function, dtype):
    row = numbers(70, dtype)
    repeated = np.broadcast_to(row, (4, 70))
    assert repeated.strides[0] == 0
    agree(implementation, call(implementation, function, repeated), call(implementation, function, repeated.copy()))
    one = np.broadcast_to(dtype.type(1.5), (3, 70))
    assert one.strides == (0, 0)
    agree(implementation, call(implementation, function, one), call(implementation, function, one.copy()))
    columns = np.broadcast_to(row[:, None], (70, 4))
    agree(
        implementation,
        call(implementation, function, columns, 0)[-1:],
        call(implementation, function, columns.copy(), 0)[-1:],
    )


@pytest.mark.parametrize("function", FUNCTIONS)
def test_lists_tuples_and_integers(implementation, function):
    rows = [[3, 1, 2], [0, 0, 1]]
    right = call(implementation, function, np.array(rows, np.float64))
    for given in (rows, tuple(map(tuple, rows)), [np.array(row) for row in rows], memoryview(np.array(rows, float))):
        same(call(implementation, function, given), right)
    for integer in "bBhHiIlLqQ":
        array = np.array(rows, integer)
        same(call(implementation, function, array), right)
        same(call(implementation, function, array.astype(array.dtype.newbyteorder())), right)
    bits = np.array(rows) > 1
    same(call(implementation, function, bits), call(implementation, function, bits.astype(np.float64)))
    agree(
        implementation,
        call(implementation, function, np.array(rows, order="F"), 0),
        call(implementation, function, np.array(rows, np.float64), 0),
    )


@pytest.mark.parametrize("function", FUNCTIONS)
def test_long_integer_rows(implementation, function):
    """Longer than any slice in which they might be converted, in every layout."""
    integers = np.random.default_rng(5).integers(-20, 20, (3, 2500))
    right = call(implementation, function, integers.astype(np.float64))
    for given in (integers, integers.astype(np.int8), np.asfortranarray(integers), integers[:, ::-1].copy()[:, ::-1]):
        agree(implementation, call(implementation, function, given), right)


def test_arrays_that_are_not_numpy(implementation):
    class Foreign:
        def __array__(self, dtype=None, copy=None):
            return np.array([[1.0, 2.0]])

    same((implementation.softmax(Foreign()),), (implementation.softmax([[1.0, 2.0]]),))


@pytest.mark.parametrize("t", [0.7, np.float32(0.7), np.float16(0.5), 2, np.int8(2), True, np.array(0.7)])
def test_kinds_of_temperature(implementation, t, dtype):
    """A temperature is a double: its own precision, not that of the logits, and no cast of them."""
    x = numbers((3, 9), dtype)
    for function in FUNCTIONS:
        right = call(implementation, function, x, temperature=float(t))
        same(call(implementation, function, x, temperature=t), right)
        if np.asarray(t).dtype.kind == "f":
            laid = np.full(6, np.nan, np.asarray(t).dtype)[::2]
            laid[...] = t
            same(call(implementation, function, x, temperature=laid), right)
            swapped = np.full(3, t, np.asarray(t).dtype.newbyteorder())
            same(call(implementation, function, x, temperature=swapped), right)


def test_temperature_keeps_its_double_precision(implementation):
    """Two temperatures that are one float32 give the float32 results of two temperatures."""
    x = np.array([0, -80], np.float32)
    near, nearer = 1.0, 1 + 2.0**-26
    assert np.float32(near) == np.float32(nearer)
    small, larger = (float(implementation.softmax(x, t)[1]) for t in (near, nearer))
    assert larger / small == pytest.approx(np.exp(80 * 2.0**-26), rel=6 * 2.0**-23)
    assert larger > small * (1 + 8 * 2.0**-23)


@pytest.mark.parametrize("axis", range(-3, 3))
@pytest.mark.parametrize("sweep", [(), (4,), (3, 1), (3, 4), (2, 1, 1), (2, 3, 4), (1,)], ids=str)
def test_axis_and_sweeps(implementation, axis, sweep, dtype):
    """Result shapes and places for every axis, where temperatures fit the batch (3, 4) or enlarge it."""
    n = 9
    shape = [3, 4]
    shape.insert(axis if axis >= 0 else 3 + axis, n)
    x = numbers(shape, dtype)
    t = np.random.default_rng(1).uniform(0.3, 3, sweep)
    batch = np.broadcast_shapes((3, 4), sweep)
    rows = np.broadcast_to(np.moveaxis(x, axis, -1), (*batch, n)).reshape(-1, n)
    ts = np.broadcast_to(t, batch).reshape(-1)
    u = np.random.default_rng(2).random((*batch, 2))

    for function in ("softmax", "log_softmax"):
        result = getattr(implementation, function)(x, t, axis=axis)
        alone = [getattr(implementation, function)(row, each) for row, each in zip(rows, ts, strict=True)]
        right = np.moveaxis(np.reshape(alone, (*batch, n)), -1, axis)
        agree(implementation, (result,), (right,))
        out = np.full(right.shape, 9, dtype)
        assert getattr(implementation, function)(x, t, axis=axis, out=out) is out
        same((out,), (result,))

    alone = np.reshape([implementation.logsumexp(row, each) for row, each in zip(rows, ts, strict=True)], batch)
    agree(implementation, (implementation.logsumexp(x, t, axis=axis),), (alone,))
    kept = implementation.logsumexp(x, t, axis=axis, keepdims=True)
    agree(implementation, (kept,), (np.expand_dims(alone, axis),))
    drawn = [
        implementation.sample(row, each, u=numbers, num_samples=2)
        for row, each, numbers in zip(rows, ts, u.reshape(-1, 2), strict=True)
    ]
    same((implementation.sample(x, t, u=u, num_samples=2, axis=axis),), (np.reshape(drawn, (*batch, 2)),))


def test_result_types(implementation, dtype):
    row, rows = numbers(5, dtype), numbers((2, 5), dtype)
    precision = np.float64 if dtype == np.float64 else np.float32
    assert type(implementation.logsumexp(row)) is precision
    assert type(implementation.sample(row, u=0.5)) is np.int64
    index, log_probability = implementation.sample(row, rng=1, return_log_prob=True)
    assert type(index) is np.int64
    assert type(log_probability) is precision
    for array, shape, kind in (
        (implementation.softmax(row), (5,), dtype),
        (implementation.log_softmax(row), (5,), dtype),
        (implementation.logsumexp(rows), (2,), precision),
        (implementation.logsumexp(row, keepdims=True), (1,), precision),
        (implementation.logsumexp(row, [1.0]), (1,), precision),
        (implementation.sample(rows, rng=1), (2,), np.int64),
        (implementation.sample(row, rng=1, num_samples=3), (3,), np.int64),
        (implementation.sample(row, rng=1, num_samples=0), (0,), np.int64),
    ):
        assert type(array) is np.ndarray
        assert array.shape == shape
        assert array.dtype == kind
        assert array.flags.writeable
        assert array.flags.owndata or array.base is not None


@pytest.mark.parametrize("n", [3, 3000])
def test_no_warnings_and_clean_status(implementation, dtype, n):
    """Whatever the row holds, nothing warns, whatever the caller's floating-point error handling."""
    cases = [(case, places) for case, places in limits.grid(n) if places == limits.PLACES[n][0]]
    rows = np.stack([limits.row(case, n, places, dtype) for case, places in cases])
    subnormal = float(limits.ml_dtypes.finfo(dtype).smallest_subnormal)
    odd = np.full((2, n), subnormal).astype(dtype)
    odd[1, ::2] = -subnormal
    rows = np.concatenate([rows, odd])
    temperatures = np.array([*(case.temperature for case, _ in cases), subnormal, 1e-300])
    assert np.isnan(rows).any()
    with np.errstate(all="raise"), warnings.catch_warnings():
        warnings.simplefilter("error")
        for x in (rows, np.asfortranarray(rows)):
            for t in (temperatures, 1.0, 1e-40, 1e300):
                for function in ("softmax", "log_softmax", "logsumexp"):
                    getattr(implementation, function)(x, t)
                implementation.sample(x, t, rng=1, num_samples=2, on_invalid="mark", return_log_prob=True)
            implementation.softmax(x, temperatures, out=np.empty(x.shape, np.float64))
