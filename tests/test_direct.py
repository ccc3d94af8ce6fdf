"""The direct path gives what the other one gives, in results and in errors, and is taken where it should be."""

from __future__ import annotations

import implementations
import limits
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ways import as_bytes

import tempsoft
from tempsoft import _kernels

DTYPES = (np.float32, np.float64, np.float16, limits.ml_dtypes.bfloat16, np.int64, np.uint8, np.bool_, ">f4")


@st.composite
def arrays(draw):
    """Logits or weights of few shapes and many layouts, sometimes with odd values."""
    shape = draw(
        st.sampled_from(
            [(4,), (1,), (3, 5), (1, 6), (6, 1), (2, 3, 4), (2, 1, 4), (3, 2, 2, 2), (1, 1), (0, 3), (3, 0), ()]
        )
    )
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    x = rng.normal(1, 3, shape)
    for value in draw(st.sets(st.sampled_from([np.nan, np.inf, -np.inf, 0.0]), max_size=1)):
        x[rng.random(shape) < 0.3] = value
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    with np.errstate(invalid="ignore"):
        x = np.asarray(np.abs(x) if draw(st.booleans()) else x).astype(dtype)
    layout = draw(st.sampled_from(["C", "F", "reversed", "every other", "zero", "list", "unaligned", "read-only"]))
    if layout == "F":
        x = np.asfortranarray(x)
    elif layout == "reversed":
        x = x[..., ::-1] if x.ndim else x
    elif layout == "every other" and x.ndim:
        x = np.repeat(x, 2, axis=draw(st.integers(0, x.ndim - 1)))[..., ::2]
    elif layout == "zero" and x.ndim and len(x):
        x = np.broadcast_to(x[:1], x.shape)
    elif layout == "list":
        x = x.tolist()
    elif layout == "unaligned":
        x = np.frombuffer(b"-" + x.tobytes(), np.uint8)[1:].view(x.dtype).reshape(x.shape)
    elif layout == "read-only":
        x.flags.writeable = False
    return x


def mostly(usual, odd):
    """One of the usual values, or now and then an odd one."""
    return st.integers(0, 11).flatmap(lambda n: st.sampled_from(usual if n else odd))


def parameters(shape, usual, odd, dtypes):
    """None, a number, or an array or list of some, mostly of this shape."""

    def array(numbers, shape, dtype):
        if dtype is list:
            return np.resize(numbers, shape).tolist()
        with np.errstate(invalid="ignore"):
            return np.resize(np.asarray(numbers).astype(dtype), shape)

    values = mostly(usual, odd)
    shapes = mostly([shape, shape, ()], [(1,), (3,), (4,), (2, 3), (2, 1), (2,), (0,)])
    return (
        st.none() | values | st.builds(array, st.lists(values, min_size=1, max_size=4), shapes, mostly(dtypes, [list]))
    )


def outcome(function, arguments, options):
    """The bytes, dtypes and shapes of what it returns, or the error it raises."""
    try:
        result = function(*arguments, **options)
    except Exception as error:
        return type(error), str(error)
    parts = result if isinstance(result, tuple) else (result,)
    return as_bytes(result), [(type(part), part.dtype, part.shape) for part in parts]


@st.composite
def calls(draw):
    name = draw(st.sampled_from([name for name in implementations.FUNCTIONS if name != "uniforms"]))
    x = draw(arrays())
    axis = draw(mostly([-1, -1, 0, np.ndim(x) - 1, np.ndim(x) - 2], [1, -2, 2, 5, None]))
    batch = np.shape(x) if axis is None else tuple(np.delete(np.shape(x), axis)) if -1 <= axis < np.ndim(x) != 0 else ()
    arguments, options = [x], {"axis": axis, "workers": draw(mostly([None, 1, 2], [0, "2"]))}
    if name == "log_prob":
        index = np.resize(
            draw(st.lists(st.integers(0, 2), min_size=1, max_size=4)), draw(mostly([batch, (*batch, 2)], [(2,)]))
        )
        index = index - draw(mostly([0], [1, -3]))
        arguments.append(draw(mostly([index, index.tolist(), index.astype(np.int16)], [index + 0.0])))
    if name == "top_log_probs":
        arguments.append(draw(mostly([1, 2, 4], [0, 9, -1, True, 1.0])))
    if name != "sample_weights":
        numbers = parameters(batch, [0.0, 0.5, 1, 2.5, np.inf], [-1.0, np.nan], [np.float64, np.float32, np.int8])
        options["temperature"] = draw(numbers)
    if name not in ("sample_weights", "logsumexp", "top_log_probs"):
        counts = parameters(
            batch, [-1, 0, 1, 2, 5], [-2, 2**31, 2**63, 1.0], [np.int64, np.int8, np.longlong, np.uint64]
        )
        ratios = parameters(batch, [0.0, 0.3, 1, 1.0, 0.95], [-0.1, np.nan, 2], [np.float64, np.float32])
        options |= {"top_k": draw(counts), "top_p": draw(ratios), "min_p": draw(ratios)}
        options["temperature_last"] = draw(mostly([None, False, True], [1]))
    if name == "logsumexp":
        options["keepdims"] = draw(mostly([None, False, True], [1]))
    if name.startswith("sample"):
        num_samples = draw(mostly([None, None, 1, 2], [5, 0, -1, 2.0]))
        options |= {
            "num_samples": num_samples,
            "replace": draw(mostly([None, True, False], [0])),
            "first_row": draw(mostly([None, 0, 7], [-1, 2**62, 2**63, 1.5])),
            "return_log_prob": draw(mostly([None, False, True], ["no"])),
            "on_invalid": draw(mostly(["mark"], [None, "raise", "ignore"])),
            "rng": draw(mostly([5], [-1, 0.5])),
        }
        shape = batch if num_samples is None or type(num_samples) is float else (*batch, abs(num_samples))
        u = draw(parameters(shape, [0.0, 0.2, 0.999], [1.0, np.nan], [np.float64, np.float32]))
        if u is not None:
            options |= {"u": u, "rng": draw(mostly([None], [5]))}
    return name, arguments, {key: value for key, value in options.items() if value is not None}


@settings(max_examples=1000)
@given(calls())
def test_same_as_by_the_checks(call):
    name, arguments, options = call
    function = getattr(tempsoft, name)
    assert outcome(function, arguments, options) == outcome(function.__wrapped__, arguments, options)


@settings(max_examples=500)
@given(
    arrays(), st.sampled_from(["new", "same", "backwards", "above", "wider", "Fortran", "shape"]), st.integers(-2, 1)
)
def test_out(x, kind, axis):
    x = np.array(x, subok=False, copy=True, order="K")
    made = []
    for function in (tempsoft.softmax, tempsoft.softmax.__wrapped__):
        memory = np.zeros(2 * x.size + 1, x.dtype)
        logits = (
            np.lib.stride_tricks.as_strided(memory[x.size :], x.shape, x.strides)
            if x.flags.c_contiguous
            else x.copy("K")
        )
        logits[...] = x
        out = {
            "new": lambda: np.zeros_like(x),
            "same": lambda logits=logits: logits,
            "backwards": lambda logits=logits: logits[..., ::-1] if logits.ndim else logits,
            "above": lambda memory=memory: memory[1 : x.size + 1].reshape(x.shape),
            "wider": lambda: np.zeros(x.shape, np.float64),
            "Fortran": lambda: np.zeros(x.shape, x.dtype, order="F"),
            "shape": lambda: np.zeros((*x.shape, 1), x.dtype),
        }[kind]()
        made.append((outcome(function, (logits,), {"out": out, "axis": axis, "temperature": 0.7}), out.tobytes()))
    assert made[0] == made[1]


X = np.linspace(-1, 1, 12).reshape(3, 4).astype(np.float32)
OF_ROWS = np.array([0.5, 1.0, 2.0])
DIRECT = {
    "plain": lambda: tempsoft.softmax(X),
    "axis 0": lambda: tempsoft.softmax(X, axis=0),
    "a middle axis": lambda: tempsoft.softmax(np.stack([X, X]), axis=1),
    "draws over a middle axis": lambda: tempsoft.sample(np.stack([X, X]), axis=1, num_samples=2, rng=1),
    "rows in turns": lambda: tempsoft.entropy(np.stack([X, X])[:, 1:], [[0.5, 1.0], [2.0, 3.0]]),
    "a list": lambda: tempsoft.log_softmax([1.0, 2.0]),
    "integers": lambda: tempsoft.entropy(np.arange(4)),
    "a step": lambda: tempsoft.softmax(X[:, ::2]),
    "the last of each sequence": lambda: tempsoft.sample(np.stack([X, X])[:, -1], rng=1),
    "temperatures": lambda: tempsoft.softmax(X, OF_ROWS),
    "a sweep of one row": lambda: tempsoft.softmax(X[0], OF_ROWS),
    "float32 temperatures": lambda: tempsoft.softmax(X, OF_ROWS.astype(np.float32)),
    "filters of rows": lambda: tempsoft.sample(X, OF_ROWS, top_k=[1, 2, 0], top_p=OF_ROWS / 2, rng=1),
    "keepdims": lambda: tempsoft.logsumexp(X, keepdims=True),
    "u": lambda: tempsoft.sample(X, u=OF_ROWS / 4),
    "without replacement": lambda: tempsoft.sample(X, num_samples=3, replace=False, rng=1),
    "marked": lambda: tempsoft.sample(X * np.nan, on_invalid="mark", first_row=3, rng=1),
    "weights": lambda: tempsoft.sample_weights([3, 0, 1], rng=1),
    "log_prob": lambda: tempsoft.log_prob(X, [0, 1, 2]),
    "top_log_probs": lambda: tempsoft.top_log_probs(X, 2),
    "support": lambda: tempsoft.support(X, top_p=0.5),
    "two workers": lambda: tempsoft.softmax(X, workers=2),
    "out": lambda: tempsoft.softmax(X, out=np.empty_like(X)),
}
OTHERS = {
    "turns in turns": lambda: tempsoft.softmax(np.zeros((2, 3, 4, 5), np.float32)[:, :2, :3]),
    "a batch that grows": lambda: tempsoft.softmax(X, [[0.5], [1.0]]),
    "byte-swapped": lambda: tempsoft.softmax(X.astype(">f4")),
    "no rows": lambda: tempsoft.softmax(X[:0]),
    "wider out": lambda: tempsoft.softmax(X, out=np.empty(X.shape)),
}


@pytest.mark.parametrize("name", [*DIRECT, *OTHERS])
def test_taken(name):
    """The direct path, which asks for its threads; and by the others to the end of what they do not share."""
    asked, called = [], []
    general = _kernels.call
    with pytest.MonkeyPatch.context() as patch:
        before = _kernels.set_threads_for(lambda *call: asked.append(call) or 1, 0)
        patch.setattr(_kernels, "call", lambda *call: called.append(call) or general(*call))
        try:
            (DIRECT | OTHERS)[name]()
        finally:
            _kernels.set_threads_for(*before)
    if name in DIRECT:
        assert len(asked) == 1
        assert not called
    elif name == "no rows":
        assert not asked
        assert not called
    else:
        assert called
