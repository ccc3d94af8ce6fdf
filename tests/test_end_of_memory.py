"""Nothing beyond an array is touched, though it ends where memory begins that may not be."""

from __future__ import annotations

import ctypes
import mmap
import sys

import implementations
import ml_dtypes
import numpy as np
import pytest
from ways import past_the_cache

import tempsoft

pytestmark = [
    pytest.mark.skipif(implementations.KERNELS is None, reason="tempsoft._kernels is not built"),
    pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is protected by a call of Linux"),
]
PAGE = mmap.PAGESIZE
BFLOAT16 = np.dtype(ml_dtypes.bfloat16)


def at_the_end(shape, dtype):
    """An array that ends at a page that cannot be touched."""
    n_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
    n_pages = -(-n_bytes // PAGE) + 1
    memory = mmap.mmap(-1, n_pages * PAGE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    protect = ctypes.CDLL(None, use_errno=True).mprotect
    protect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int
    assert protect(address + (n_pages - 1) * PAGE, PAGE, 0) == 0
    return np.frombuffer(memory, dtype, int(np.prod(shape)), (n_pages - 1) * PAGE - n_bytes).reshape(shape)


@pytest.mark.parametrize("dtype", [np.float16, BFLOAT16, np.float32, np.float64])
@pytest.mark.parametrize("n", [2, 3, 5, 7, 8, 9, 10, 13, 17, 31, 64, 65, 100, 1000, 1024, 3000])
def test_the_end_of_memory(compiled, n, dtype):
    for n_rows in (1, 16, 33, 128, 256, 300) if n < 200 else (1, 3):
        x, out = at_the_end((n_rows, n), dtype), at_the_end((n_rows, n), dtype)
        x[...] = np.random.default_rng(n).normal(size=x.shape)
        apart = x.copy()
        for function in tempsoft.softmax, tempsoft.log_softmax:
            np.testing.assert_array_equal(function(x, out=out), function(apart))
            with past_the_cache():
                np.testing.assert_array_equal(function(x, np.array(1.0), out=out), function(apart))
        np.testing.assert_array_equal(tempsoft.softmax(x, top_k=2), tempsoft.softmax(apart, top_k=2))
        index = at_the_end(n_rows, np.int64)
        index[:] = np.arange(n_rows) % n
        assert tempsoft.log_prob(x, index).tobytes() == tempsoft.log_prob(apart, index).tobytes()
        for function in tempsoft.logsumexp, tempsoft.entropy:
            np.testing.assert_array_equal(function(x), function(apart))
        np.testing.assert_array_equal(tempsoft.sample(x, rng=1), tempsoft.sample(apart, rng=1))
        several = {"rng": 1, "num_samples": 3, "return_log_prob": True}
        for got, right in zip(tempsoft.sample(x, **several), tempsoft.sample(apart, **several), strict=True):
            np.testing.assert_array_equal(got, right)
        for got, right in zip(tempsoft.top_log_probs(x, 2), tempsoft.top_log_probs(apart, 2), strict=True):
            np.testing.assert_array_equal(got, right)
        wide = at_the_end((n_rows, n + 3), dtype)  # rows with something between them, to be left alone
        wide[...] = 7
        tempsoft.softmax(x, out=wide[:, 3:])
        assert (wide[:, :3] == 7).all()
        np.testing.assert_array_equal(wide[:, 3:], tempsoft.softmax(apart))
        np.testing.assert_array_equal(tempsoft.softmax(x[:, ::-1]), tempsoft.softmax(apart[:, ::-1].copy()))
        np.testing.assert_array_equal(tempsoft.softmax(x[::-1]), tempsoft.softmax(apart[::-1].copy()))
        np.testing.assert_array_equal(
            tempsoft.softmax(np.broadcast_to(x[-1], x.shape)), tempsoft.softmax(np.tile(apart[-1], (n_rows, 1)))
        )
