"""Bad calls: the exception's type, what its message must say, and that nothing was written.

The table of bad_calls.py, on every implementation; the compiled functions say exactly what the reference says.
"""

from __future__ import annotations

import inspect
import re

import numpy as np
import pytest
from bad_calls import ALL, AXIS, BETWEEN, CALLS, EVERY, NAN, TWO, T, V, X, with_invalid


@pytest.mark.parametrize(("bad", "function"), CALLS, ids=[f"{function}: {bad.name}" for bad, function in CALLS])
def test_refused(implementation, reference, bad, function):
    with pytest.raises(bad.exception) as error:
        getattr(implementation, function)(*bad.arguments, **bad.options)
    assert error.type is bad.exception
    text = str(error.value)
    for fragment in bad.fragments:
        assert fragment in text
    with pytest.raises(bad.exception) as defined:
        getattr(reference, function)(*bad.arguments, **bad.options)
    assert (error.type, text) == (defined.type, str(defined.value))


@pytest.mark.parametrize("function", EVERY)
def test_every_parameter_is_refused_somewhere(reference, function):
    table = " ".join(f"{bad.name} {list(bad.options)}" for bad, name in CALLS if name == function)
    parameters = set(inspect.signature(getattr(reference, function)).parameters) - {"keepdims", "return_log_prob"}
    assert {parameter for parameter in parameters if parameter in table} == parameters


@pytest.mark.parametrize("function", EVERY)
def test_signatures_are_the_same(implementation, reference, function):
    one, other = (inspect.signature(getattr(which, function)) for which in (implementation, reference))
    described = [[(p.name, p.kind, p.default) for p in signature.parameters.values()] for signature in (one, other)]
    assert described[0] == described[1]


WRITES_NOTHING = [
    ({"temperature": -1.0}, V),
    ({"temperature": [1.0, 1.0, NAN]}, V),
    ({"temperature": [1.0, 2.0]}, V),
    ({"temperature": "hot"}, T),
    ({"axis": 5}, AXIS),
    ({"workers": 0}, V),
    ({"workers": 1.5}, T),
    ({"top_k": -2}, V),
    ({"top_k": 1.5}, T),
    ({"top_p": [1.0, 1.0, NAN]}, V),
    ({"min_p": 2}, V),
    ({"temperature_last": 0}, T),
]


@pytest.mark.parametrize("function", TWO)
@pytest.mark.parametrize("logits", [X, X[0], np.tile(X, (1, 3000))], ids=["rows", "one row", "long rows"])
def test_out_is_untouched(implementation, function, logits):
    call = getattr(implementation, function)
    out = np.full(logits.shape, 17, np.float32)
    for options, exception in WRITES_NOTHING:
        if logits.ndim == 1 and any(np.ndim(value) for value in options.values()):
            continue
        with pytest.raises(exception):
            call(logits, out=out, **options)
        assert (out == 17).all()
    for bad in (logits.astype(complex), np.ma.masked_array(logits), np.float32(1)):
        with pytest.raises((TypeError, AXIS)):
            call(bad, out=out)
        assert (out == 17).all()
    narrow = np.full(logits.shape, 17, np.float16)
    with pytest.raises(TypeError):
        call(logits, out=narrow)
    assert (narrow == 17).all()
    locked = np.full(logits.shape, 17, np.float32)
    locked.flags.writeable = False
    with pytest.raises(ValueError, match="read-only"):
        call(logits, out=locked)
    assert (locked == 17).all()
    call(logits, out=out)  # and a good call does write
    assert (out != 17).all()


TWO_MISTAKES = [
    {"logits": X.astype(complex), "temperature": -1.0},
    {"logits": X.astype(complex), "axis": 5},
    {"temperature": -1.0, "axis": 5},
    {"temperature": "hot", "workers": 0},
    {"axis": 5, "workers": 0},
    {"temperature": -1.0, "out": [0.0]},
    {"workers": 0, "out": [0.0]},
    {"logits": X.astype(complex), "rng": 1.5},
    {"temperature": -1.0, "rng": -1},
    {"num_samples": -1, "rng": 1.5},
    {"num_samples": -1, "first_row": -1},
    {"num_samples": 2.5, "u": [0.5]},
    {"first_row": -1, "rng": -1},
    {"first_row": -1, "on_invalid": "no"},
    {"on_invalid": "no", "workers": 0},
    {"on_invalid": "no", "rng": -1},
    {"workers": 0, "rng": -1},
    {"workers": 0, "u": [0.5]},
    {"workers": 0, "u": [0.5], "rng": 1},
    {"u": [7.0], "rng": 1.5},
    {"logits": with_invalid(1, NAN), "u": [0.5]},
    {"logits": with_invalid(1, NAN), "rng": -1},
    {"logits": with_invalid(1, NAN), "workers": 0},
    {"logits": np.empty((3, 0)), "u": [0.5]},
    {"logits": np.empty((3, 0)), "rng": -1},
    {"logits": X.astype(complex), "top_k": -2},
    {"axis": 5, "top_k": -2},
    {"temperature": -1.0, "top_k": -2},
    {"temperature": -1.0, "top_k": 0.5},
    {"temperature": -1.0, "top_k": [1, 2]},
    {"top_k": -2, "top_p": 2.0},
    {"top_k": -2, "top_p": "all"},
    {"top_p": 2.0, "min_p": NAN},
    {"top_p": [1.0, 2.0], "min_p": "no"},
    {"min_p": 2.0, "temperature_last": 1},
    {"temperature_last": 1, "workers": 0},
    {"min_p": 2.0, "out": [0.0]},
    {"top_p": 2.0, "num_samples": -1},
    {"num_samples": -1, "replace": 1},
    {"replace": 1, "first_row": -1},
    {"replace": 1, "rng": -1},
    {"replace": False, "num_samples": 5, "u": [0.5]},
    {"logits": with_invalid(1, NAN), "replace": 1},
]


@pytest.mark.parametrize("mistakes", TWO_MISTAKES, ids=lambda mistakes: " and ".join(mistakes))
def test_two_mistakes(implementation, reference, mistakes):
    """The one of which the reference speaks."""
    options = {"logits": X, **mistakes}
    reached = False
    for function in ALL:
        if set(options) <= set(inspect.signature(getattr(reference, function)).parameters):
            reached = True
            errors = []
            for which in (implementation, reference):
                with pytest.raises((TypeError, ValueError)) as error:
                    getattr(which, function)(**options)
                errors.append((error.type, str(error.value)))
            assert errors[0] == errors[1]
    assert reached


def test_a_refused_call_takes_nothing_from_a_generator(implementation):
    several = (
        {"temperature": -1},
        {"axis": 7},
        {"workers": 0},
        {"num_samples": -1},
        {"first_row": 0.5},
        {"replace": 2},
    )
    for options in (*several, {"top_k": -2}, {"top_p": NAN}, {"min_p": -1}, {"temperature_last": 1}):
        rng = np.random.default_rng(3)
        with pytest.raises((TypeError, ValueError)):
            implementation.sample(X, rng=rng, **options)
        assert rng.random() == np.random.default_rng(3).random()


def test_keywords_are_keywords(implementation):
    """Options after temperature (and num_samples of uniforms) cannot be given by position."""
    for function in (*ALL, *BETWEEN):
        arguments = (X, *BETWEEN.get(function, ()))
        with pytest.raises(TypeError, match="positional"):
            getattr(implementation, function)(*arguments, 1.0, -1)
        with pytest.raises(TypeError, match=re.escape("'temprature'")):
            getattr(implementation, function)(*arguments, temprature=1.0)
    with pytest.raises(TypeError, match="positional"):
        implementation.sample_weights(X, 3)
    with pytest.raises(TypeError, match="positional"):
        implementation.uniforms(1, 2, 3, 4)
    with pytest.raises(TypeError, match="'out'"):
        implementation.logsumexp(X, out=np.zeros(3, np.float32))
