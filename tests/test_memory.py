"""Memory: nothing the size of the input is made where `out` is given or nothing but draws are asked for.

The bounds are of what NumPy allocates, by tracemalloc, and far above the slices in use: they fail on a whole copy.
"""

from __future__ import annotations

import tracemalloc

import implementations
import limits
import numpy as np
import pytest

MEGABYTE = 2**20
SLICES = 20 * MEGABYTE  # converted slices of float64, of one worker or two


def peak(function):
    """The most bytes allocated at once during the second call."""
    function()
    tracemalloc.start()
    try:
        function()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_the_measure_sees_a_copy():
    x = np.zeros(3 * MEGABYTE, np.uint8)
    assert peak(x.copy) > 2.9 * MEGABYTE
    assert peak(lambda: x.sum()) < MEGABYTE


@pytest.mark.parametrize("function", ["softmax", "log_softmax"])
@pytest.mark.parametrize("name", limits.DTYPES)
def test_plain_rows_into_out(compiled, function, name):
    call = getattr(compiled, function)
    x = np.zeros((4000, 1000), limits.DTYPES[name])
    out = np.empty_like(x)
    for options in ({"out": out}, {"out": x}, {"out": out, "workers": 2}, {"out": out, "axis": 0}):
        assert peak(lambda: call(x, 0.7, **options)) < MEGABYTE, options  # noqa: B023
    assert peak(lambda: call(x[:, ::2], 0.7, out=out[:, 1::2])) < MEGABYTE
    assert peak(lambda: call(x, np.full(4000, 0.7), out=out)) < MEGABYTE


@pytest.mark.parametrize("workers", [1, 2])
def test_converted_rows_into_out(compiled, workers):
    """Integers, byte-swapped and misaligned logits are converted a slice at a time: 64 MB in all here."""
    shape = (8000, 1000)
    out = np.empty(shape)
    for x in (np.zeros(shape, np.int8), np.zeros(shape, np.dtype(float).newbyteorder())):
        assert peak(lambda: compiled.softmax(x, out=out, workers=workers)) < SLICES  # noqa: B023
        assert peak(lambda: compiled.logsumexp(x, workers=workers)) < SLICES  # noqa: B023


def test_reductions_and_draws(compiled):
    row = np.zeros(1000, np.float32)
    x = np.broadcast_to(row, (20000, 1000))
    assert peak(lambda: compiled.logsumexp(x)) < MEGABYTE
    assert peak(lambda: compiled.sample(x, rng=1)) < MEGABYTE
    assert peak(lambda: compiled.sample(x, rng=1, workers=2)) < MEGABYTE
    t = np.ones((50, 1))
    assert peak(lambda: compiled.logsumexp(np.broadcast_to(row, (400, 1000)), t)) < MEGABYTE


def test_uniforms_in_flight(compiled):
    """32 MB of draws are 32 MB of uniform numbers, which are made a slice at a time."""
    x = np.zeros((4000, 3), np.float32)
    result = 4000 * 1000 * 8
    assert peak(lambda: compiled.sample(x, rng=1, num_samples=1000)) < result + SLICES


def test_no_scratch_memory(compiled):
    """Where a kernel's scratch memory cannot be had, MemoryError; never a wrong answer."""
    rng = np.random.default_rng(0)
    failed = 0
    for shape in ((5,), (3, 70), (4, 5000), (200, 3), (2, 70000)):
        x = rng.normal(size=shape).astype(np.float32)
        for laid in (x, x.astype(np.float16), np.asfortranarray(x), np.repeat(x, 2, axis=-1)[..., ::2]):
            for function, options in (
                ("softmax", {}), ("log_softmax", {}), ("logsumexp", {}),
                ("sample", {"rng": 1}), ("sample", {"rng": 1, "num_samples": 300}),
                ("sample", {"rng": 1, "return_log_prob": True}), ("softmax", {"out": np.empty(shape, np.float32)}),
            ):  # fmt: skip
                call = getattr(compiled, function)
                right = call(laid, 0.7, **options)
                right = [part.copy() for part in right] if isinstance(right, tuple) else right.copy()
                implementations.KERNELS.fail_allocations(True)
                try:
                    result = call(laid, 0.7, **options)
                except MemoryError:
                    failed += 1
                else:
                    assert np.array_equal(result, right)
                finally:
                    implementations.KERNELS.fail_allocations(False)
                assert np.array_equal(call(laid, 0.7, **options), right)
    assert failed
