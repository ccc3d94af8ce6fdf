"""tempsoft.special is scipy.special: SciPy's own tests pass on it, and shapes, dtypes and odd values are SciPy's.

Leaves accuracy, and the dtypes of which SciPy's numbers are wrong, to test_special_numbers.py.
"""

from __future__ import annotations

import importlib.util
import inspect
import itertools
import os
import pathlib
import re
import subprocess
import sys

import implementations
import limits
import ml_dtypes
import numpy as np
import pytest
import scipy.special
import test_docs

from tempsoft import special

INF, NAN = np.inf, np.nan
MAPS = ("softmax", "log_softmax")
FUNCTIONS = (*MAPS, "logsumexp")
# dtypes, and whether SciPy's results for some numbers of them are right
DTYPES = {
    **dict.fromkeys(("float16", "float32", "float64", ">f4", "int8", "int16", "int32", "int64", ">i2"), True),
    **dict.fromkeys(("uint8", "uint16", "uint32", "uint64"), False),
    **dict.fromkeys(("longdouble", "complex64", "complex128"), True),
}
SHAPES = ((), (1,), (5,), (3, 4), (2, 3, 4), (1, 1), (0,), (2, 0), (0, 3), (0, 0), (2, 0, 3))
AXES = (None, 0, -1, 1, 2, -2, -4, (0,), (0, 1), (1, 0), (-1,), (), (0, 2), (2, 0), (0, 0), np.int64(0), 0.5, "0")


def outcome(function, *arguments, **options):
    """(what the result is, the result), or (the type of the exception, None)."""
    with np.errstate(all="ignore"):
        try:
            result = function(*arguments, **options)
        except (ValueError, TypeError, IndexError) as error:
            return type(error), None
    return (type(result), result.dtype, np.shape(result)), result


def ours_and_scipys(name, *arguments, **options):
    return (outcome(getattr(module, name), *arguments, **options) for module in (special, scipy.special))


def numbers(shape, dtype, seed=0):
    """Numbers whose differences, exponentials and sums are in the range of all dtypes."""
    return (5 * np.random.default_rng(seed).random(shape)).astype(dtype)[()]


def agree(got, right, ulps=8):
    """SciPy itself is some ulp off."""
    eps = np.finfo(right.dtype).eps
    np.testing.assert_allclose(got, right, rtol=ulps * eps, atol=ulps * eps)


# ---- SciPy's own tests ----------------------------------------------------------------------------------------------


def run_scipys_tests(cwd, *options, **environment):
    """The output of SciPy's tests, on NumPy arrays, pointed at tempsoft.special."""
    here = pathlib.Path(__file__).parent
    command = [sys.executable, "-m", "pytest", "-q", "-p", "scipy_plugin", "-p", "no:cacheprovider", "--pyargs"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)]), **environment}
    for variable in ("SCIPY_ARRAY_API", "PYTEST_ADDOPTS"):
        environment.pop(variable, None)
    done = subprocess.run(
        [*command, "scipy.special.tests.test_logsumexp", *options],
        env=environment,
        cwd=cwd,
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout


HAS_TESTS = importlib.util.find_spec("scipy.special.tests.test_logsumexp") is not None


@pytest.mark.skipif(not HAS_TESTS, reason="SciPy is installed without its tests")
def test_scipys_own_tests(tmp_path):
    code, output = run_scipys_tests(tmp_path)
    assert code == 0, output
    assert int(re.search(r"(\d+) passed", output)[1]) > 300
    assert "failed" not in output
    assert "skipped" not in output
    for name in FUNCTIONS:
        assert int(re.search(rf"\b{name}=(\d+)", output)[1]) > 10


@pytest.mark.skipif(not HAS_TESTS, reason="SciPy is installed without its tests")
@pytest.mark.parametrize("name", MAPS)
def test_scipys_own_tests_can_fail(name, tmp_path):
    code, output = run_scipys_tests(tmp_path, "-k", "Softmax", TEMPSOFT_PLANTED=name)
    assert code == 1, output
    assert "failed" in output


# ---- what SciPy would return ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
def test_signatures(name):
    ours, scipys = (inspect.signature(getattr(module, name)).parameters for module in (special, scipy.special))
    assert [(p.name, p.kind, p.default) for p in ours.values()] == [
        (p.name, p.kind, p.default) for p in scipys.values()
    ]


def is_a_fault_of_scipy(name, x, axis):
    """Empty arrays of which SciPy's logsumexp makes a wrong shape or an IndexError: unless there is one axis to sum."""
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    return name == "logsumexp" and x.size == 0 and (len(axes) != 1 or isinstance(axis, float | str))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_shapes_dtypes_and_errors(name, dtype):
    n_results = 0
    for shape, axis in itertools.product(SHAPES, AXES):
        x = numbers(shape, dtype)
        if is_a_fault_of_scipy(name, x, axis):
            continue
        for options in ({"keepdims": False}, {"keepdims": True}) if name == "logsumexp" else ({},):
            (kind, got), (right_kind, right) = ours_and_scipys(name, x, axis=axis, **options)
            if got is None:
                # an AxisError is an IndexError and a ValueError
                assert issubclass(kind, right_kind), (shape, axis, kind, right_kind)
            else:
                assert kind == right_kind, (shape, axis)
                n_results += 1
                if DTYPES[dtype] or name == "logsumexp":
                    agree(got, right)
    assert n_results > 50


def test_empty_arrays_of_several_axes():
    """The sum of nothing is 0 here as well, one for each place that is left."""
    for axis, shape, right in (
        (None, (2, 0), ()),
        ((0, 1), (0, 3), ()),
        ((), (2, 0), (2, 0)),
        ((0, 2), (2, 3, 0), (3,)),
    ):
        got = special.logsumexp(np.ones(shape, np.float32), axis=axis)
        assert got.dtype == np.float32
        assert got.shape == right
        assert (got == -INF).all()
    assert special.logsumexp(np.ones((2, 0)), axis=None, keepdims=True).shape == (1, 1)


@pytest.mark.parametrize(
    "value", [3, -2.5, True, np.float32(2), [1, 2], [[1.0, 2.0], [3.0, 4.0]], (1, 2), INF, -INF, NAN]
)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_python_numbers_and_lists(name, value):
    (kind, got), (right_kind, right) = ours_and_scipys(name, value)
    if value is True and name in MAPS:  # which SciPy cannot subtract
        assert right is None
        assert (kind, got) == ((np.float64, np.dtype(float), ()), 1.0 if name == "softmax" else 0.0)
    else:
        assert kind == right_kind
        agree(got, right)


def arrays_with_odd_values(dtype):
    """Rows of all of these values, each alone and among others, at places where a look might miss them."""
    values = (INF, -INF, NAN, 0.0, 1.5, limits.ml_dtypes.finfo(dtype).max, limits.ml_dtypes.finfo(dtype).min)
    yield np.array(list(itertools.product(values, repeat=3))).astype(dtype)
    rng = np.random.default_rng(1)
    for n in (70, 3000):
        x = rng.normal(0, 1, (60, n))
        for row, places in zip(x, itertools.cycle(((0,), (1,), (2,), (n - 1,), (0, 1), (5, n // 2))), strict=False):
            row[list(places)] = rng.choice([INF, -INF, NAN], len(places), p=[0.6, 0.2, 0.2])
        yield x.astype(dtype)
        yield x[:, ::-1].astype(dtype)
    x = rng.normal(0, 1, (4, 40000))  # more than the direct path takes
    x[1, 39999], x[3, 7] = INF, -INF
    yield x.astype(dtype)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_odd_values(compiled, name, dtype):
    compiled.must_have_run = True
    kinds = set()
    for x in arrays_with_odd_values(np.dtype(dtype)):
        whole = [(array, None) for array in (x, *x[:6], x[-1])]
        for laid, axis in [(x, -1), (x.T, 0), (x[..., None], (1, 2)), *whole]:
            (kind, got), (right_kind, right) = ours_and_scipys(name, laid.astype(np.float64), axis=axis)
            assert kind == right_kind
            # float64 first, as SciPy's float16 sums overflow; then our own in the dtype
            agree(got, right, ulps=64)
            own = getattr(special, name)(laid, axis=axis)
            with np.errstate(over="ignore"):
                rounded = got.astype(dtype)
            odd = ~np.isfinite(rounded)
            assert own.dtype == dtype
            assert np.array_equal(np.isnan(own), np.isnan(rounded))
            assert np.array_equal(own[odd & ~np.isnan(rounded)], rounded[odd & ~np.isnan(rounded)])
            kinds |= {str(value) for value in np.unique(rounded[odd])}
    assert "nan" in kinds
    assert name == "softmax" or "-inf" in kinds


@pytest.mark.parametrize("name", MAPS)
def test_odd_values_of_bfloat16(name):
    for x in arrays_with_odd_values(limits.DTYPES["bfloat16"]):
        got = getattr(special, name)(x, axis=-1)
        right = getattr(special, name)(x.astype(np.float32), axis=-1).astype(x.dtype)
        assert got.dtype == x.dtype
        assert np.array_equal(got, right, equal_nan=True)


# ---- what is left to SciPy ------------------------------------------------------------------------------------------


REAL = np.random.default_rng(7).normal(0, 1, (3, 4))
NOT_OURS = (REAL.astype(np.longdouble), REAL + 1j, (REAL + 1j).astype(np.complex64), np.array(1j))
WEIGHTS = np.array([1.0, -2, 0, 3])
LEFT_TO_SCIPY = [
    *((name, x, {"axis": 0 if x.ndim else None}) for name, x in itertools.product(FUNCTIONS, NOT_OURS)),
    ("logsumexp", REAL, {"b": WEIGHTS, "axis": 1, "keepdims": True}),
    ("logsumexp", REAL, {"b": WEIGHTS, "return_sign": True}),
    ("logsumexp", REAL.astype(np.float32), {"return_sign": True, "axis": (0, 1)}),
    ("logsumexp", np.array([1, 2], np.int8), {"b": [1, 2]}),
    ("logsumexp", NOT_OURS[0], {"keepdims": True}),
]


@pytest.mark.parametrize(("name", "x", "options"), LEFT_TO_SCIPY)
def test_left_to_scipy(name, x, options):
    """The very numbers of SciPy, and no kernel has run."""
    right = getattr(scipy.special, name)(x, **options)
    before = implementations.KERNELS.calls()
    got = getattr(special, name)(x, **options)
    assert implementations.KERNELS.calls() == before
    assert type(got) is type(right)
    pairs = zip(got, right, strict=True) if isinstance(got, tuple) else [(got, right)]
    for one, other in pairs:
        assert (type(one), one.dtype, np.shape(one)) == (type(other), other.dtype, np.shape(other))
        assert np.array_equal(one, other, equal_nan=True)


def test_bfloat16_with_weights():
    """SciPy takes this dtype in some calls; what goes to it is the float64 that it makes there."""
    x = np.array([1.0, 2.0, 3.0], ml_dtypes.bfloat16)
    weights = np.array([1.0, -1.0, 2.0], np.float32)
    right = scipy.special.logsumexp(x.astype(float), b=weights)
    assert special.logsumexp(x, b=weights) == right
    assert special.logsumexp(x.astype(float), b=weights.astype(ml_dtypes.bfloat16)) == right


WITHOUT_SCIPY = """
import sys
sys.modules["scipy"] = None
import numpy as np
from tempsoft import special
for dtype in (np.float16, np.float32, np.float64, np.int8, np.uint64, bool):
    for function in (special.softmax, special.log_softmax, special.logsumexp):
        for axis in (None, 0, (0, 1)):
            function(np.ones((2, 3), dtype), axis=axis)
for call, what in (
    (lambda: special.softmax(1j), "complex128"),
    (lambda: special.log_softmax(np.longdouble(1)), str(np.dtype(np.longdouble))),
    (lambda: special.logsumexp(1j), "complex128"),
    (lambda: special.logsumexp(1.0, b=2), "`b`"),
    (lambda: special.logsumexp(1.0, return_sign=True), "`return_sign`"),
):
    try:
        call()
    except ImportError as error:
        assert what in str(error) and "SciPy" in str(error), error
    else:
        raise AssertionError(what)
print("all")
"""


def test_without_scipy():
    done = implementations.in_a_new_process(WITHOUT_SCIPY)
    assert (done.returncode, done.stdout) == (0, "all\n"), done.stderr


# ---- errors and documentation ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FUNCTIONS)
@pytest.mark.parametrize(
    ("value", "fragments"),
    [
        (np.ma.masked_array([1.0, 2.0], [True, False]), ("MaskedArray", "mask")),
        (np.ones((2, 2)).view(np.matrix), ("matrix",)),
        (np.array([1.0, 2.0], object), ("object", "float64")),
        (["a"], ("<U1",)),
        (np.array(["2026-01-01"], "M8[D]"), ("datetime64",)),
    ],
)
def test_refused(name, value, fragments):
    argument = "a" if name == "logsumexp" else "x"
    with pytest.raises(TypeError, match=rf"^{argument}\b") as caught:
        getattr(special, name)(value)
    assert all(fragment in str(caught.value) for fragment in fragments)
    if name == "logsumexp" and isinstance(value, np.ma.MaskedArray):
        for options in ({"b": [1, 2]}, {"return_sign": True}):
            with pytest.raises(TypeError, match="mask"):
                special.logsumexp(value, **options)
        with pytest.raises(TypeError, match=r"^b is a MaskedArray"):
            special.logsumexp([1.0, 2.0], b=value)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_refused_axes(name):
    function = getattr(special, name)
    for axis in (2, -3, (0, 2)):
        with pytest.raises(np.exceptions.AxisError, match="dimension 2"):
            function(np.ones((2, 3)), axis=axis)
    with pytest.raises(TypeError, match="axis"):
        function(np.ones((2, 3)), axis=1.0)
    with pytest.raises(ValueError, match="axis"):
        function(np.ones((2, 3)), axis=(0, -2))
    if name in MAPS:
        with pytest.raises(ValueError, match="nothing to sum"):
            function(np.ones((2, 0)), axis=1)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring(name):
    text = inspect.getdoc(getattr(special, name))
    said, count = test_docs.failures(text, name, {})
    assert count
    assert not said, said
    for parameter in inspect.signature(getattr(special, name)).parameters:
        assert re.search(rf"^(\w+, )*{parameter}(, \w+)*( :|$)", text, re.MULTILINE), parameter
