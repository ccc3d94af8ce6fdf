"""Random shapes, dtypes, strides, temperatures and special values, against the reference and against what must hold.

Tolerances. A result is within 3 ulp of the exact value (the contract), and 1 ulp is at most eps of it. So two results
that are equal in exact arithmetic differ by at most 6 eps (PAIR). The reference computes in float64: for the narrower
dtypes it is within half an ulp, together 3.5; for float64 its exponent (x - M) / T, at most 750 in size, is rounded
twice, so it is within 2 * 750 + n + 8 units of 2**-53 (`against_reference`). Below the smallest normal number 0 is
right as well.
"""

from __future__ import annotations

import hypothesis
import hypothesis.extra.numpy
import hypothesis.strategies as st
import limits
import numpy as np
from hypothesis import given

PAIR = 6
REFERENCE_UNITS = 2 * 750 + 8
LAST_U = 1 - 2.0**-53

settings = hypothesis.settings(
    max_examples=120,
    # The fixture chooses an implementation and holds no state of an example.
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture, hypothesis.HealthCheck.too_slow],
)


def eps(dtype):
    return float(limits.ml_dtypes.finfo(dtype).eps)


def tiny(dtype):
    return float(limits.ml_dtypes.finfo(dtype).smallest_normal)


dtypes = st.sampled_from(list(limits.DTYPES.values()))
lengths = st.one_of(st.integers(1, 20), st.sampled_from([31, 32, 33, 63, 64, 65, 130, 1025]))


@st.composite
def strided(draw, array):
    """The same values with another layout in memory."""
    kind = draw(st.sampled_from(["plain", "fortran", "gaps", "backwards", "swapped", "misaligned"]))
    if kind == "fortran":
        return np.asfortranarray(array)
    if kind == "gaps":
        return np.repeat(array, 2, axis=-1)[..., ::2]
    if kind == "backwards":
        return array[..., ::-1].copy()[..., ::-1]
    if kind == "swapped":
        return array.astype(array.dtype.newbyteorder())
    if kind == "misaligned":
        view = np.zeros(array.nbytes + 1, np.uint8)[1:].view(array.dtype).reshape(array.shape)
        view[...] = array
        return view
    return array


@st.composite
def any_logits(draw):
    """Logits of any float dtype or integers, with specials, on any axis: (array, axis)."""
    n = draw(lengths)
    batch = draw(st.lists(st.integers(0 if n > 1 else 1, 4), max_size=2))
    axis = draw(st.integers(0, len(batch)))
    shape = (*batch[:axis], n, *batch[axis:])
    if draw(st.integers(0, 5)) == 0:
        kind = draw(st.sampled_from([np.int8, np.uint16, np.int64, np.bool_]))
        return draw(hypothesis.extra.numpy.arrays(kind, shape)), axis
    seed, scale, offset = draw(st.integers(0, 10**6)), draw(st.floats(-3, 3)), draw(st.sampled_from([0, 0, -5, 1e3]))
    x = np.random.default_rng(seed).normal(offset, 10**scale, shape)
    dtype = draw(dtypes)
    largest = float(limits.ml_dtypes.finfo(dtype).max)
    special = st.sampled_from([np.inf, -np.inf, np.nan, largest, -largest, 0.0, -0.0, 1e-30, -65504.0])
    for _ in range(draw(st.integers(0, 4)) if x.size else 0):
        x.flat[draw(st.integers(0, x.size - 1))] = draw(special)
    return draw(strided(np.clip(x, -largest, largest, where=np.isfinite(x), out=x.copy()).astype(dtype))), axis


temperature_values = st.one_of(
    st.floats(0.05, 20), st.sampled_from([0.0, 1.0, np.inf, 1e-3, 1e3, 1e-30, 1e30]), st.floats(0, 1e300)
)


@st.composite
def any_temperatures(draw, batch):
    """A scalar, or an array that fits the batch shape or enlarges it."""
    if draw(st.booleans()):
        return draw(temperature_values)
    shape = [size if draw(st.booleans()) else 1 for size in batch]
    shape = ([draw(st.integers(1, 3))] if draw(st.booleans()) else []) + shape
    return draw(hypothesis.extra.numpy.arrays(np.float64, tuple(shape), elements=temperature_values))


def against_reference(got, right, n, floor):
    """Equal type, shape, dtype, NaN; values within the tolerance above."""
    assert (got.dtype, got.shape, type(got)) == (right.dtype, right.shape, type(right))
    a, b = np.asarray(got).astype(np.float64), np.asarray(right).astype(np.float64)
    assert (np.isnan(a) == np.isnan(b)).all()
    units = REFERENCE_UNITS + n if got.dtype == np.float64 else 4
    if got.dtype.itemsize == 2:
        units = 1  # float32 values a few ulp apart round to the same number or to neighbours
    least = 0 if floor else tiny(got.dtype) * (1 if got.dtype.itemsize > 2 else eps(got.dtype))
    with np.errstate(all="ignore"):
        close = np.abs(a - b) <= units * eps(got.dtype) * np.maximum(np.abs(b), floor) + least
        largest = float(limits.ml_dtypes.finfo(got.dtype).max)
        at_the_end = (np.minimum(np.abs(a), np.abs(b)) > 0.999 * largest) & (np.sign(a) == np.sign(b))
    assert (close | (a == b) | np.isnan(a) | at_the_end).all()


@settings
@given(data=st.data())
def test_agrees_with_the_reference(implementation, reference, data):
    x, axis = data.draw(any_logits())
    batch = x.shape[:axis] + x.shape[axis + 1 :]
    t = data.draw(any_temperatures(batch))
    axis = data.draw(st.sampled_from([axis, axis - x.ndim])) if np.ndim(t) <= len(batch) else axis - x.ndim
    before = x.tobytes()
    for name, floor in (("softmax", 0), ("log_softmax", 1), ("logsumexp", 1)):
        got, right = (getattr(which, name)(x, t, axis=axis) for which in (implementation, reference))
        against_reference(got, right, x.shape[axis], floor)
    assert x.tobytes() == before


@settings
@given(data=st.data())
def test_draws_agree_with_the_reference(implementation, reference, data):
    """The index owns u, within 1e-6 (1e-12 for float64) of the reference's cumulative distribution; rows fail alike."""
    x, axis = data.draw(any_logits())
    t = data.draw(any_temperatures(x.shape[:axis] + x.shape[axis + 1 :]))
    axis -= x.ndim
    options = {"axis": axis, "rng": data.draw(st.integers(0, 2**64 - 1)), "num_samples": 3}
    outcomes = []
    for which in (implementation, reference):
        try:
            which.sample(x, t, **options)
            outcomes.append(None)
        except ValueError as error:
            outcomes.append(str(error))
    assert outcomes[0] == outcomes[1]
    drawn, logs = implementation.sample(x, t, return_log_prob=True, on_invalid="mark", **options)
    right, right_logs = reference.sample(x, t, return_log_prob=True, on_invalid="mark", **options)
    assert ((drawn == -1) == (right == -1)).all()
    n = x.shape[axis]
    against_reference(np.where(drawn == right, logs, 0), np.where(drawn == right, right_logs, 0), n, 1)

    probabilities = np.moveaxis(reference.softmax(x.astype(np.float64), t, axis=axis), axis, -1).reshape(-1, n)
    tolerance = 1e-12 if logs.dtype == np.float64 else 1e-6
    u = implementation.uniforms(options["rng"], len(probabilities), 3)
    for i, row in enumerate(drawn.reshape(-1, 3)):
        after = np.cumsum(probabilities[i])
        for index, number in zip(row, u[i], strict=True):
            if index >= 0:
                assert after[index] - probabilities[i, index] - tolerance <= number < after[index] + tolerance
                assert probabilities[i, index] > 0


@st.composite
def ordinary(draw):
    """A row of finite logits and a temperature that leaves several of them with weight."""
    n, dtype = draw(st.integers(2, 200)), draw(st.sampled_from([np.float32, np.float64]))
    t = draw(st.floats(1e-3, 1e3))
    x = np.random.default_rng(draw(st.integers(0, 10**6))).normal(0, draw(st.floats(0.1, 30)), n) * t
    return x.astype(dtype), t


def differ_by(p, q):
    """The largest relative difference in eps, where either is a normal number."""
    normal = np.maximum(p, q) >= 2 * tiny(p.dtype)
    larger = np.maximum(p, q)[normal].astype(np.longdouble)
    return float((np.abs(p[normal].astype(np.longdouble) - q[normal]) / larger).max(initial=0)) / eps(p.dtype)


@settings
@given(row=ordinary())
def test_sums_to_one(compiled, row):
    """Each probability is within 3 eps of itself, so their exact sum is within 3 eps of 1."""
    x, t = row
    p = compiled.softmax(x, t)
    assert abs(p.sum(dtype=np.longdouble) - 1) <= 3 * eps(x.dtype) + x.size * tiny(x.dtype)
    assert (p >= 0).all()


@settings
@given(row=ordinary())
def test_larger_logits_have_larger_probabilities(compiled, row):
    x, t = row
    p = compiled.softmax(x, t)[np.argsort(x, kind="stable")]
    assert differ_by(np.maximum.accumulate(p), p) <= PAIR
    assert p[-1] > p[0] or np.ptp(x) < PAIR * eps(x.dtype) * t


@settings
@given(row=ordinary(), seed=st.integers(0, 10**6))
def test_permuted_categories_have_permuted_probabilities(compiled, row, seed):
    x, t = row
    order = np.random.default_rng(seed).permutation(x.size)
    assert differ_by(compiled.softmax(x[order], t), compiled.softmax(x, t)[order]) <= PAIR


@settings
@given(row=ordinary(), exponent=st.integers(-40, 40))
def test_scaling_logits_and_temperature_together(compiled, row, exponent):
    """By a power of two, which is exact: the same distribution."""
    x, t = row
    factor = 2.0**exponent
    scaled = x * x.dtype.type(factor)
    assert (scaled / x.dtype.type(factor) == x).all()
    assert differ_by(compiled.softmax(scaled, t * factor), compiled.softmax(x, t)) <= PAIR


@settings
@given(row=ordinary(), sign=st.sampled_from([-1, 1]))
def test_adding_a_constant_to_all_logits(compiled, row, sign):
    """A power of two, after rounding the logits so that the sums are exact: the same distribution."""
    x, t = row
    shift = x.dtype.type(sign * 2.0 ** np.ceil(np.log2(np.abs(x).max() + tiny(x.dtype)) + 6))
    x = (x + shift) - shift
    assert (((x + shift) - shift) == x).all()
    assert differ_by(compiled.softmax(x + shift, t), compiled.softmax(x, t)) <= PAIR


@settings
@given(row=ordinary())
def test_the_three_functions_agree(compiled, row):
    """log_softmax is the logarithm of softmax and x / T - logsumexp: 3 ulp each of max(|.|, 1), and roundings here."""
    x, t = row
    p, log_p, log_sum = compiled.softmax(x, t), compiled.log_softmax(x, t), compiled.logsumexp(x, t)
    z = x.astype(np.longdouble) / t
    scale = np.maximum(np.maximum(np.abs(z), abs(np.longdouble(log_sum))), 1)
    assert (np.abs(z - log_sum - log_p) <= PAIR * eps(x.dtype) * scale).all()
    normal = p >= 2 * tiny(x.dtype)
    difference = np.abs(np.log(p[normal].astype(np.longdouble)) - log_p[normal])
    assert (difference <= PAIR * eps(x.dtype) * np.maximum(np.abs(log_p[normal]), 1)).all()


@settings
@given(row=ordinary(), seed=st.integers(0, 2**64 - 1))
def test_draws_rise_with_u(implementation, row, seed):
    x, t = row
    u = np.sort(np.append(implementation.uniforms(seed, 1, 30)[0], [0, LAST_U]))
    drawn = implementation.sample(x, t, u=u, num_samples=u.size)
    assert (np.diff(drawn) >= 0).all()
    assert ((drawn >= 0) & (drawn < x.size)).all()
