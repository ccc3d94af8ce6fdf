"""`out=`: where a result may be written, what may overlap it, and that a wider one holds the working precision."""

from __future__ import annotations

import itertools

import limits
import numpy as np
import pytest

BOTH = ("softmax", "log_softmax")
SHAPES = [(7,), (5, 7), (3, 1100), (40, 70)]
PLACES = ["contiguous", "every second", "negative strides", "fortran", "byte-swapped", "misaligned", "memmap"]


@pytest.fixture(params=BOTH)
def function(request, implementation):
    return getattr(implementation, request.param)


@pytest.fixture(params=limits.DTYPES)
def dtype(request):
    return limits.DTYPES[request.param]


def numbers(shape, dtype, seed=4):
    return np.random.default_rng(seed).normal(0, 3, shape).astype(dtype)


WIDER = {
    "float16": (np.float32, np.float64),
    "bfloat16": (np.float32, np.float64),
    "float32": (np.float64,),
    "float64": (),
}


def place(kind, shape, dtype, tmp_path):
    """An array to write to, and all the memory around it, filled with ones."""
    if kind == "every second":
        around = np.ones((*shape[:-1], 2 * shape[-1]), dtype)
        return around[..., ::2], around
    if kind == "negative strides":
        around = np.ones(shape, dtype)
        return around[tuple(slice(None, None, -1) for _ in shape)], around
    if kind == "misaligned":
        around = np.ones(int(np.prod(shape)) * dtype.itemsize + 1, np.uint8)
        return around[1:].view(dtype).reshape(shape), around
    if kind == "memmap":
        around = np.memmap(tmp_path / "out", dtype=dtype, mode="w+", shape=shape)
        return around, around
    stored = dtype.newbyteorder() if kind == "byte-swapped" else dtype
    around = np.ones(shape, stored, "F" if kind == "fortran" else "C")
    return around, around


@pytest.mark.parametrize("kind", PLACES)
def test_places(function, dtype, kind, tmp_path):
    """The same values wherever they are written, and nothing beside them."""
    for shape in SHAPES:
        x = numbers(shape, dtype)
        right = function(x, 0.6)
        out, around = place(kind, shape, dtype, tmp_path)
        assert function(x, 0.6, out=out) is out
        assert out.astype(dtype).tobytes() == right.tobytes()
        if kind == "every second":
            assert (around[..., 1::2] == 1).all()
        if kind == "misaligned":
            assert not out.flags.aligned
            assert around[0] == 1


def test_wider_out_holds_the_working_precision(function, dtype):
    for shape, to in itertools.product(SHAPES, WIDER[dtype.name]):
        x = numbers(shape, dtype)
        out = np.empty(shape, to)
        function(x, 0.6, out=out)
        # The float32 result itself, which is that of the same logits in float32, not rounded to the narrow dtype.
        right = function(x.astype(np.float32), 0.6)
        assert (out == right).all()
        assert (right.astype(dtype).astype(np.float32) != right).any() or dtype == np.float32
        assert function(x, 0.6).tobytes() == right.astype(dtype).tobytes()


def test_integers_into_float64(function):
    x = np.arange(12).reshape(3, 4)
    out = np.empty((3, 4))
    assert function(x, out=out) is out
    assert (out == function(x.astype(float))).all()
    with pytest.raises(TypeError, match="float64"):
        function(x, out=np.empty((3, 4), np.float32))


@pytest.mark.parametrize("axis", [0, -1])
def test_in_place(function, dtype, axis):
    for shape in SHAPES:
        x = numbers(shape, dtype)
        for laid in (x.copy(), x.copy(order="F"), x[::-1].copy()[::-1], np.repeat(x, 2, axis=-1)[..., ::2]):
            right = function(laid.copy(), 0.6, axis=axis)
            assert function(laid, 0.6, axis=axis, out=laid) is laid
            assert (laid == right).all()


@pytest.mark.parametrize("axis", [0, 1])
def test_overlap(function, dtype, axis):
    """Any overlap gives the result of no overlap: shifted both ways along both axes, reversed, transposed, between."""
    n = 60
    x = numbers((n + 4, n + 4), dtype)
    views = {
        "later": (np.s_[:n, :n], np.s_[1 : n + 1, :n]),
        "earlier": (np.s_[1 : n + 1, :n], np.s_[:n, :n]),
        "right": (np.s_[:n, :n], np.s_[:n, 3 : n + 3]),
        "left": (np.s_[:n, 3 : n + 3], np.s_[:n, :n]),
        "reversed rows": (np.s_[:n, :n], np.s_[n - 1 :: -1, :n]),
        "reversed columns": (np.s_[:n, :n], np.s_[:n, n - 1 :: -1]),
        "reversed and shifted": (np.s_[:n, :n], np.s_[n:0:-1, n:0:-1]),
    }
    for name, (source, target) in views.items():
        memory = x.copy()
        logits, out = memory[source], memory[target]
        assert np.shares_memory(logits, out)
        right = function(logits.copy(), 0.6, axis=axis)
        function(logits, 0.6, axis=axis, out=out)
        assert (out == right).all(), name
    square = x[:n, :n].copy()
    right = function(square.copy(), 0.6, axis=axis)
    function(square, 0.6, axis=axis, out=square.T)
    assert (right == square.T).all()


@pytest.mark.parametrize("workers", [1, 2])
def test_overlap_of_many_rows(function, workers):
    """So many that they are worked on in slices, none of which may see what another has written."""
    rows, n = 1200, 1000
    x = numbers((rows + 1, n), np.float32)
    views = {
        "later": (np.s_[:rows], np.s_[1:]),
        "earlier": (np.s_[1:], np.s_[:rows]),
        "reversed": (np.s_[:rows], np.s_[rows - 1 :: -1]),
    }
    for name, (source, target) in views.items():
        memory = x.copy()
        logits, out = memory[source], memory[target]
        assert np.shares_memory(logits, out)
        right = function(logits.copy(), 0.6)
        function(logits, 0.6, out=out, workers=workers)
        assert (out == right).all(), name
    t = np.linspace(0.5, 3, rows)
    memory = np.zeros((rows, n))
    memory.reshape(-1)[:rows] = t  # in the first rows of the result, needed for the last
    right = function(x[:rows].astype(np.float64), t)
    function(x[:rows].astype(np.float64), memory.reshape(-1)[:rows], out=memory, workers=workers)
    assert (memory == right).all()


def test_overlap_of_other_widths(function):
    """float32 results over the bytes of float16 logits, in both orders, and float64 over float32."""
    for narrow, wide in ((np.float16, np.float32), (np.float32, np.float64)):
        for offset in (0, 1):
            x = numbers((6, 40), narrow)
            memory = np.zeros(6 * 40 * 2, narrow)
            logits = memory[offset * 240 :][:240].reshape(6, 40)
            logits[...] = x
            out = memory.view(wide).reshape(6, 40)
            assert np.shares_memory(logits, out)
            right = np.empty((6, 40), wide)
            function(x, 0.6, out=right)
            function(logits, 0.6, out=out)
            assert (out == right).all()


def test_overlap_when_the_batch_is_enlarged(function):
    memory = numbers((4, 3, 50), np.float32)
    logits = memory[2]
    t = np.array([0.5, 1, 2, 4])[:, None]
    right = function(logits.copy(), t)
    function(logits, t, out=memory)
    assert (memory == right).all()


def test_overlap_with_the_temperatures(function):
    """Temperatures are read before any result is written over them."""
    x = numbers((6, 8), np.float64)
    t = np.linspace(0.5, 3, 6)
    right = function(x, t)
    memory = np.zeros((6, 8))
    memory[0, :6] = t
    assert np.shares_memory(memory, memory[0, :6])
    function(x, memory[0, :6], out=memory)
    assert (memory == right).all()
    memory = np.zeros((6, 8))
    memory[:, 3] = t
    function(x, memory[:, 3], out=memory)
    assert (memory == right).all()
    zero = np.full((1, 1), 0.7)
    function(np.array([[2.0]]), zero[0], out=zero)
    assert zero == function(np.array([[2.0]]), 0.7)


def test_input_beside_out_is_left_alone(function, dtype):
    """With a separate out, no byte of the input changes, special values among them."""
    x = numbers((5, 1100), dtype)
    x[0, 3], x[1, 4], x[2, :] = np.nan, np.inf, -np.inf
    for logits in (x, np.asfortranarray(x), x[:, ::-1]):
        before = logits.tobytes()
        for t, axis in itertools.product((0.5, 0, np.inf), (0, 1)):
            function(logits, t, axis=axis, out=np.empty(x.shape, dtype))
        assert logits.tobytes() == before
