"""Arrays of other libraries are taken on their own memory, and what is not in host memory is a TypeError that says so.

Each library is left out where it is not installed; `make test-migration` installs them all.
"""

from __future__ import annotations

import types

import implementations
import ml_dtypes
import numpy as np
import pytest

import tempsoft
from tempsoft import arguments, special

BFLOAT16 = np.dtype(ml_dtypes.bfloat16)
LOGITS = np.random.default_rng(0).normal(0, 3, (3, 5)).astype(np.float32)


def address(array):
    return array.__array_interface__["data"][0]


def results(logits, options=types.MappingProxyType({})):
    """What every public function makes of logits."""
    return {
        "softmax": tempsoft.softmax(logits, 0.7, **options),
        "softmax, plain": tempsoft.softmax(logits, **options),
        "log_softmax": tempsoft.log_softmax(logits, top_k=3, **options),
        "logsumexp": tempsoft.logsumexp(logits, **options),
        "sample": tempsoft.sample(logits, rng=3, num_samples=4, **options),
        "log_prob": tempsoft.log_prob(logits, tempsoft.sample(logits, rng=3, **options), **options),
        "top_log_probs": tempsoft.top_log_probs(logits, 2, **options)[0],
        "entropy": tempsoft.entropy(logits, top_p=0.9, **options),
        "support": tempsoft.support(logits, min_p=0.1, **options)[1],
        "reference": tempsoft.reference.softmax(logits, **options),
        "special.softmax": special.softmax(logits),
        "special.log_softmax": special.log_softmax(logits, axis=0),
        "special.logsumexp": special.logsumexp(logits, axis=0),
    }


def check(value, array, shared):
    """`value` gives the results of `array`, as ndarrays; `shared` is the address of its memory, if seen."""
    taken = arguments.plain_array(value, "x")
    assert type(taken) is np.ndarray
    assert (taken.dtype, taken.shape) == (array.dtype, array.shape)
    if shared is not None:
        assert address(taken) == shared
    before = taken.tobytes()
    right = results(array)
    for name, got in results(value).items():
        assert isinstance(got, np.ndarray | np.generic), name
        assert (got.dtype, got.shape) == (right[name].dtype, right[name].shape), name
        if name == "reference":  # its last bits are no promise
            np.testing.assert_allclose(got.astype(float), right[name].astype(float), rtol=1e-6)
        else:
            assert got.tobytes() == right[name].tobytes(), name
    assert arguments.plain_array(value, "x").tobytes() == before


# ---- NumPy's own, and protocols -------------------------------------------------------------------------------------


def speaking(array, *protocols):
    """(an object that has these protocols of `array` and no others, the list of those it was asked for)."""
    asked = []

    def passed_on(protocol):
        def method(self, *positional, **named):
            asked.append(protocol)
            return getattr(array, protocol)(*positional, **named)

        return method

    return type("Speaks", (), {protocol: passed_on(protocol) for protocol in protocols})(), asked


def test_dlpack_alone():
    """NumPy's asarray makes a 0-d object array of such; its from_dlpack takes it."""
    array = LOGITS.copy()
    value, asked = speaking(array, "__dlpack__", "__dlpack_device__")
    assert np.asarray(value).dtype == object
    check(value, array, address(array))
    assert set(asked) == {"__dlpack__", "__dlpack_device__"}


def test_dlpack_and_array():
    """The array protocol goes first, as NumPy has no dtypes from DLPack that it does not know, such as bfloat16."""
    array = LOGITS.astype(BFLOAT16)
    value, asked = speaking(array, "__array__")
    type(value).__dlpack_device__ = lambda self: (1, 0)
    check(value, array, address(array))
    assert set(asked) == {"__array__"}


def test_memory_map(tmp_path):
    LOGITS.tofile(tmp_path / "logits")
    value = np.memmap(tmp_path / "logits", np.float32, "r", shape=LOGITS.shape)
    check(value, LOGITS, address(value))


def test_memoryview():
    value = LOGITS.copy()
    check(memoryview(value), value, address(value))


class OnADevice:
    """As an array on a GPU: DLPack says where it is, and a library may copy to the host without a word."""

    def __init__(self, device):
        self.device = device

    def __dlpack_device__(self):
        return self.device

    def __dlpack__(self, **_):
        raise AssertionError("asked for memory that is not the host's")

    def __array__(self, dtype=None, copy=None):
        raise AssertionError("asked to copy")


@pytest.mark.parametrize("device", [(2, 0), (10, 1), (8, 0), (14, 3)])
def test_devices(device):
    for call in (
        tempsoft.softmax, tempsoft.logsumexp, tempsoft.sample, tempsoft.sample_weights, tempsoft.reference.softmax,
        special.softmax, special.logsumexp,
    ):  # fmt: skip
        with pytest.raises(TypeError, match=rf"OnADevice.*device, {device[0]}:{device[1]}.*host"):
            call(OnADevice(device))
    with pytest.raises(TypeError, match="temperature, a OnADevice"):
        tempsoft.softmax(LOGITS, OnADevice(device))


@pytest.mark.parametrize("error", [TypeError, RuntimeError, BufferError])
def test_refusals_of_others(error):
    """What another library says against the conversion is passed on, as a TypeError that names the argument."""

    class Refuses:
        def __array__(self, dtype=None, copy=None):
            raise error("not like this")

    with pytest.raises(TypeError, match="logits, a Refuses, cannot be taken as an array: not like this"):
        tempsoft.softmax(Refuses())


def test_masked_arrays():
    value = np.ma.masked_array(LOGITS, LOGITS > 3)
    for call in (tempsoft.softmax, tempsoft.sample, special.softmax, special.logsumexp):
        with pytest.raises(TypeError, match=r"MaskedArray.*mask.*filled\(-numpy.inf\)"):
            call(value)
    filled = tempsoft.softmax(value.filled(-np.inf))
    assert (filled[value.mask] == 0).all()


# ---- bfloat16 -------------------------------------------------------------------------------------------------------


def test_bfloat16_in_and_out():
    x = LOGITS.astype(BFLOAT16)
    wide = results(x.astype(np.float32))
    for name, got in results(x).items():
        if "softmax" in name or name == "reference":
            assert got.dtype == BFLOAT16, name
            assert (got == wide[name].astype(BFLOAT16)).all(), name
        elif name == "special.logsumexp":  # float64, as SciPy makes of it
            np.testing.assert_allclose(got, wide[name], rtol=1e-6)
        else:
            assert got.tobytes() == wide[name].tobytes(), name
    out = np.empty(x.shape, BFLOAT16)
    assert tempsoft.softmax(x, out=out) is out
    assert (out == tempsoft.softmax(x)).all()
    wider = np.empty(x.shape, np.float32)
    assert tempsoft.log_softmax(x, out=wider).tobytes() == tempsoft.log_softmax(x.astype(np.float32)).tobytes()
    assert tempsoft.softmax(x, np.array(0.5, BFLOAT16)).tobytes() == tempsoft.softmax(x, 0.5).tobytes()
    assert tempsoft.sample_weights(np.exp(x), rng=1).shape == (3,)


def test_no_other_dtype_is_taken_for_bfloat16():
    """In a new process no bfloat16 was seen; a dtype of NumPy's newer kind, as its own for tests, has the number -1."""
    done = implementations.in_a_new_process(
        """
import numpy as np, tempsoft
from numpy._core import _multiarray_umath
class bfloat16(np.void): pass
def refused(x):
    for call in tempsoft.softmax, tempsoft.log_softmax, tempsoft.logsumexp, tempsoft.entropy, tempsoft.sample:
        try:
            call(x)
        except TypeError as error:
            assert "has dtype" in str(error), error
        else:
            raise AssertionError((call, x.dtype))
refused(np.ones((2, 4)).view(_multiarray_umath._get_sfloat_dtype()(1.0)))
for _ in range(20):
    refused(np.zeros((200, 40), np.dtype((bfloat16, [("a", "f2")]))))
    refused(np.zeros((200, 40), "V8"))
    refused(np.zeros((200, 40), "V2"))
"""
    )
    assert (done.returncode, done.stderr) == (0, "")


# ---- each library ---------------------------------------------------------------------------------------------------


class TestTorch:
    @pytest.fixture
    def torch(self):
        return pytest.importorskip("torch")

    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int64"])
    def test_shared(self, torch, dtype):
        value = torch.tensor(5 * LOGITS).to(getattr(torch, dtype))
        check(value, value.numpy(), value.data_ptr())
        turned = value.T
        check(turned, turned.numpy(), value.data_ptr())

    def test_parameters(self, torch):
        u = np.random.default_rng(1).random(3)
        right = tempsoft.sample(LOGITS, [0.5, 1, 2], top_k=[1, 2, 3], u=u)
        got = tempsoft.sample(
            torch.tensor(LOGITS), torch.tensor([0.5, 1, 2]), top_k=torch.tensor([1, 2, 3]), u=torch.tensor(u)
        )
        assert (got == right).all()
        assert (tempsoft.log_prob(LOGITS, torch.tensor(got)) == tempsoft.log_prob(LOGITS, got)).all()

    def test_bfloat16(self, torch):
        """As docs/migrating.md says: in through a view of its bits, and out."""
        value = torch.tensor(LOGITS).to(torch.bfloat16)
        array = value.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)
        check(array, array, value.data_ptr())
        assert (array.astype(np.float32) == value.float().numpy()).all()
        result = tempsoft.softmax(array)
        tensor = torch.from_numpy(result.view(np.uint16)).view(torch.bfloat16)
        assert tensor.data_ptr() == address(result)
        torch.testing.assert_close(tensor, torch.softmax(value, -1), rtol=2**-7, atol=0)
        with pytest.raises(TypeError, match=r"logits, a Tensor.*BFloat16.*view\(torch.uint16\)"):
            tempsoft.softmax(value)

    def test_refused(self, torch):
        for value, word in (
            (torch.ones(3, requires_grad=True), "detach"),
            (torch.ones(3, device="meta"), "meta"),
            (torch.ones(3).to_sparse(), "to_dense"),
        ):
            for call in (tempsoft.softmax, special.softmax):
                with pytest.raises(TypeError, match=rf"^(logits|x), a Tensor, .*{word}"):
                    call(value)


class TestJax:
    @pytest.fixture
    def jnp(self):
        return pytest.importorskip("jax.numpy")

    @pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float32", "int32"])
    def test_shared(self, jnp, dtype):
        value = jnp.asarray(LOGITS, dtype)
        check(value, np.array(value), value.unsafe_buffer_pointer())

    def test_bfloat16_and_back(self, jnp):
        result = tempsoft.softmax(jnp.asarray(LOGITS, jnp.bfloat16))
        assert jnp.asarray(result).dtype == jnp.bfloat16

    def test_refused(self, jnp):
        jax = pytest.importorskip("jax")
        with pytest.raises(TypeError, match=r"logits, a \w+, cannot be taken as an array: .*trac"):
            jax.jit(tempsoft.softmax)(jnp.ones(3))
        with pytest.raises(TypeError, match="key"):
            tempsoft.softmax(jax.random.key(0))


class TestPandas:
    @pytest.fixture
    def pandas(self):
        return pytest.importorskip("pandas")

    def test_shared(self, pandas):
        frame = pandas.DataFrame(LOGITS)
        check(frame, LOGITS, address(frame.to_numpy(copy=False)))
        for dtype in (None, "Float32", "float[pyarrow]"):
            if dtype == "float[pyarrow]":
                pytest.importorskip("pyarrow")
            series = pandas.Series(LOGITS[0], dtype=dtype)
            assert tempsoft.softmax(series).tobytes() == tempsoft.softmax(LOGITS[0]).tobytes()
            if dtype is None:
                assert address(arguments.plain_array(series, "x")) == address(series.to_numpy(copy=False))

    def test_missing_values(self, pandas):
        """They are NaN, so that their row is invalid, never a number."""
        for dtype in ("float64", "Float64"):
            assert np.isnan(tempsoft.softmax(pandas.Series([1.0, None], dtype=dtype))).all()
        with pytest.raises(TypeError, match="logits has dtype object"):
            tempsoft.softmax(pandas.DataFrame({"a": [1.0], "b": [None]}, dtype="Float32"))


class TestPolars:
    @pytest.fixture
    def polars(self):
        return pytest.importorskip("polars")

    def test_shared(self, polars):
        for value in (polars.Series(LOGITS[0]), polars.Series(LOGITS)):
            array = value.to_numpy(allow_copy=False)
            assert address(arguments.plain_array(value, "x")) == address(array)
            assert tempsoft.softmax(value).tobytes() == tempsoft.softmax(np.array(array)).tobytes()
        frame = polars.DataFrame(LOGITS)  # NumPy gets a copy, as each column is an array
        check(frame, LOGITS, None)

    def test_missing_values(self, polars):
        assert np.isnan(tempsoft.softmax(polars.Series([1.0, None]))).all()


class TestPyarrow:
    @pytest.fixture
    def pyarrow(self):
        return pytest.importorskip("pyarrow")

    @pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int64"])
    def test_shared(self, pyarrow, dtype):
        value = pyarrow.array((5 * LOGITS[0]).astype(dtype))
        array = value.to_numpy()
        assert address(arguments.plain_array(value, "x")) == value.buffers()[1].address
        assert tempsoft.softmax(value).tobytes() == tempsoft.softmax(np.array(array)).tobytes()

    def test_of_more_axes(self, pyarrow):
        value = pyarrow.FixedShapeTensorArray.from_numpy_ndarray(LOGITS)
        array = value.to_numpy_ndarray()
        assert address(array) == value.storage.flatten().buffers()[1].address
        check(array, LOGITS, address(array))
        with pytest.raises(TypeError, match="logits has dtype object"):
            tempsoft.softmax(value)
        tensor = pyarrow.Tensor.from_numpy(LOGITS)
        check(tensor, LOGITS, address(LOGITS))

    def test_missing_values(self, pyarrow):
        assert np.isnan(tempsoft.softmax(pyarrow.array([1.0, None]))).all()


class TestXarray:
    @pytest.fixture
    def xarray(self):
        return pytest.importorskip("xarray")

    def test_shared(self, xarray):
        logits = LOGITS.copy()
        check(xarray.DataArray(logits, dims=("row", "token")), logits, address(logits))

    def test_apply_ufunc(self, xarray):
        """As docs/migrating.md says: names and coordinates stay."""
        logits = xarray.DataArray(LOGITS.T, dims=("token", "row"), coords={"row": ["a", "b", "c"]})
        seen = []

        def softmax(array, **options):
            seen.append(array)
            return tempsoft.softmax(array, **options)

        got = xarray.apply_ufunc(
            softmax, logits, input_core_dims=[["token"]], output_core_dims=[["token"]], kwargs={"temperature": 0.7}
        )
        assert np.shares_memory(seen[0], LOGITS)
        assert got.dims == ("row", "token")
        assert list(got.coords["row"].values) == ["a", "b", "c"]
        assert got.values.tobytes() == tempsoft.softmax(LOGITS, 0.7).tobytes()
        drawn = xarray.apply_ufunc(tempsoft.sample, logits, input_core_dims=[["token"]], kwargs={"rng": 7})
        assert drawn.dims == ("row",)
        assert (drawn.values == tempsoft.sample(LOGITS, rng=7)).all()
