"""Every check of an argument that can fail and every error text, for the kernels and the reference alike.

Promises: whatever passes here is safe to compute with, and nothing has been written when a check
fails. A bad value is a ``ValueError``, a bad type a ``TypeError``; both say what was given, what is
allowed and, where it applies, the first bad row. Leaves the arithmetic on logits to others.
"""

from __future__ import annotations

import math
import operator
from typing import Any, NamedTuple

import numpy as np

# the dtype of the arithmetic for each dtype of logits, by scalar type; bfloat16 joins when it is first seen
_WORKING: dict[type, np.dtype[Any]] = {
    np.float16: np.dtype(np.float32),
    np.float32: np.dtype(np.float32),
    np.float64: np.dtype(np.float64),
}
_ALLOWED = "allowed are float16, bfloat16, float32 and float64, and bool and integers, which count as float64"


class Filters(NamedTuple):
    """Filters of which at least one is on in at least one row; each array broadcasts to the batch shape.

    ``top_k`` is int64, 0 where it is off or would keep every category; ``top_p`` (off: 1) and ``min_p`` (off: 0)
    are float64.
    """

    top_k: np.ndarray
    top_p: np.ndarray
    min_p: np.ndarray
    temperature_last: bool


NO_FILTERS = Filters(np.array(0, np.int64), np.array(1.0), np.array(0.0), False)


class Rows(NamedTuple):
    """Logits, temperatures and filters that passed the checks.

    ``logits`` has its categories on the last axis and keeps its own dtype; ``temperature`` is a float64 array
    that broadcasts to ``batch_shape``. ``dtype`` is that of a probability, ``working`` that of the arithmetic
    and of a reduction's result. ``filters`` is None where all are off, so that this takes the path of a call
    without any.
    """

    logits: np.ndarray
    temperature: np.ndarray
    batch_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    working: np.dtype[Any]
    filters: Filters | None = None

    @property
    def n_categories(self) -> int:
        return int(self.logits.shape[-1])


def plain_array(value: Any, name: str) -> np.ndarray:
    """`value` as a plain ndarray, on its own memory where NumPy can see it, no wrapper stripped of its meaning."""
    kind = type(value)
    if isinstance(value, np.ndarray) and kind is not np.ndarray and kind is not np.memmap:
        if isinstance(value, np.ma.MaskedArray):
            nothing = "0" if name == "weights" else "-numpy.inf"
            text = f"whose mask would be lost; fill it first: {name}.filled({nothing})"
            raise TypeError(f"{name} is a {kind.__name__}, {text}")
        raise TypeError(f"{name} is a {kind.__name__}, whose meaning would be lost; pass numpy.asarray({name})")
    try:
        if not isinstance(value, np.ndarray) and hasattr(value, "__dlpack_device__"):
            return _shared_array(value)
        return np.asarray(value)
    except ValueError as error:
        raise ValueError(f"{name} does not make an array: {error}") from None
    except (TypeError, RuntimeError, BufferError) as error:
        hint = _TORCH_BFLOAT16 if "BFloat16" in str(error) else ""
        raise TypeError(f"{name}, a {kind.__name__}, cannot be taken as an array: {error}{hint}") from error


_HOST = (1, 3, 11)  # DLPack's numbers of ordinary memory, and of such that is pinned for CUDA or ROCm
_REGISTERED = 256  # from this number on (NPY_USERDEF) NumPy has the dtypes that extensions register with it
_TORCH_BFLOAT16 = "; such a tensor goes in as tensor.view(torch.uint16).numpy().view(ml_dtypes.bfloat16)"


def _shared_array(value: Any) -> np.ndarray:
    """The array of an object that speaks DLPack; a TypeError where its memory is that of a device.

    Some libraries would copy from a device without a word. NumPy's own protocol goes first: it knows more dtypes.
    """
    try:
        device, number = value.__dlpack_device__()
    except ValueError as error:  # a device that DLPack has no number for
        raise TypeError(str(error)) from None
    if device not in _HOST:
        raise TypeError(f"its memory is on a device, {int(device)}:{number} in DLPack's numbers; copy it to the host")
    return np.asarray(value) if hasattr(value, "__array__") else np.from_dlpack(value)


def integer(value: Any, name: str) -> int:
    """`value` as an int; floats and strings are a TypeError."""
    try:
        return int(operator.index(value))
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r} of type {type(value).__name__}") from None


def true_or_false(value: Any, name: str) -> bool:
    """`value` as a bool; numbers, which may be meant for another parameter, are a TypeError."""
    if not isinstance(value, bool | np.bool_):
        raise TypeError(f"{name} must be True or False, got {value!r} of type {type(value).__name__}")
    return bool(value)


def result_axis(axis: Any, ndim: int, name: str = "logits") -> int:
    """`axis` as an int, checked against the logits' number of dimensions and otherwise left as it was.

    A negative axis counts from the end in the result as well, where parameters may have put axes in front.
    """
    position = integer(axis, "axis")
    if not -ndim <= position < ndim:
        raise np.exceptions.AxisError(position, ndim, name if ndim else f"{name} has no axis of categories")
    return position


def rows(
    logits: Any,
    temperature: Any,
    axis: Any,
    top_k: Any = None,
    top_p: Any = None,
    min_p: Any = None,
    temperature_last: Any = False,
) -> Rows:
    """Check logits, axis, temperature and filters, and lay the categories last.

    Types and shapes are checked first, in the order of the parameters, then values in the same order: a bad row
    has its number in the batch that all parameters make.
    """
    array, dtype, working = _categories_last(logits, axis, "logits")
    batch_shape = array.shape[:-1]
    no_filters = top_k is None and top_p is None and min_p is None and temperature_last is False
    temperatures = real_array(temperature, "temperature")
    batch_shape = _enlarged(batch_shape, temperatures, "temperature", "of the logits")
    if no_filters:
        refuse(~(temperatures >= 0), temperatures, batch_shape, "temperature must be >= 0 and not NaN")
        return Rows(array, temperatures, batch_shape, dtype, working)

    before = "made by the arguments before it"
    counts = NO_FILTERS.top_k if top_k is None else integer_array(top_k, "top_k")
    batch_shape = _enlarged(batch_shape, counts, "top_k", before)
    masses = NO_FILTERS.top_p if top_p is None else real_array(top_p, "top_p")
    batch_shape = _enlarged(batch_shape, masses, "top_p", before)
    ratios = NO_FILTERS.min_p if min_p is None else real_array(min_p, "min_p")
    batch_shape = _enlarged(batch_shape, ratios, "min_p", before)
    last = true_or_false(temperature_last, "temperature_last")
    refuse(~(temperatures >= 0), temperatures, batch_shape, "temperature must be >= 0 and not NaN")
    refuse(counts < -1, counts, batch_shape, "top_k must be >= -1")
    refuse(~((masses >= 0) & (masses <= 1)), masses, batch_shape, "top_p must be in [0, 1] and not NaN")
    refuse(~((ratios >= 0) & (ratios <= 1)), ratios, batch_shape, "min_p must be in [0, 1] and not NaN")
    counts = np.where((counts == -1) | (counts >= array.shape[-1]), 0, counts)
    is_on = (counts != 0).any() or (masses != 1).any() or (ratios != 0).any()
    filters = Filters(counts, masses, ratios, last) if is_on else None
    return Rows(array, temperatures, batch_shape, dtype, working, filters)


def weights(weights: Any, axis: Any) -> Rows:
    """Check weights and axis as `rows` does logits; their values are the business of the draw, row by row."""
    array, dtype, working = _categories_last(weights, axis, "weights")
    return Rows(array, np.asarray(1.0), array.shape[:-1], dtype, working)


def _categories_last(values: Any, axis: Any, name: str) -> tuple[np.ndarray, np.dtype[Any], np.dtype[Any]]:
    """(the array with its categories last, dtype of a probability, dtype of the arithmetic)."""
    array = plain_array(values, name)
    working = working_dtype(array.dtype, name)
    axis = result_axis(axis, array.ndim, name)
    if axis not in (-1, array.ndim - 1):
        array = np.moveaxis(array, axis, -1)
    dtype = array.dtype if is_float(array.dtype) else working
    return array, dtype if dtype.isnative else dtype.newbyteorder("="), working


def _enlarged(batch_shape: tuple[int, ...], values: np.ndarray, name: str, whose: str) -> tuple[int, ...]:
    """The batch shape that a parameter makes of this one."""
    if values.shape in ((), batch_shape):
        return batch_shape
    try:
        return np.broadcast_shapes(batch_shape, values.shape)
    except ValueError:
        raise ValueError(
            f"{name} has shape {values.shape}, which does not broadcast with the batch shape {batch_shape} {whose}"
        ) from None


def with_axis(shape: tuple[int, ...], axis: int) -> tuple[int, ...]:
    """`shape`, whose categories are last, with that axis moved to where the result has it."""
    *batch, n_categories = shape
    batch.insert(axis if axis >= 0 else len(shape) + axis, n_categories)
    return tuple(batch)


def is_bfloat16(dtype: np.dtype[Any]) -> bool:
    """Whether this is the dtype that an extension of NumPy registers by that name."""
    return dtype.num >= _REGISTERED and dtype.type.__name__ == "bfloat16" and dtype.itemsize == 2


def is_float(dtype: np.dtype[Any]) -> bool:
    """Whether this is one of the four float dtypes that are taken."""
    if is_bfloat16(dtype):
        _WORKING[dtype.type] = np.dtype(np.float32)
    return dtype.type in _WORKING


def working_dtype(dtype: np.dtype[Any], name: str = "logits") -> np.dtype[Any]:
    """float32 for float16, bfloat16 and float32 logits; float64 for float64, integers and bool."""
    if is_float(dtype):
        return _WORKING[dtype.type]
    if dtype.kind in "biu":
        return np.dtype(np.float64)
    raise TypeError(f"{name} has dtype {dtype}; {_ALLOWED}")


def real_array(value: Any, name: str) -> np.ndarray:
    """`value` as a float64 array; complex, object, str, longdouble are a TypeError."""
    array = plain_array(value, name)
    if array.dtype.kind not in "biu" and not is_float(array.dtype):
        raise TypeError(f"{name} must be real numbers, got dtype {array.dtype}")
    with np.errstate(invalid="ignore"):  # a signalling NaN is a NaN like others
        return array.astype(np.float64, copy=False)


def integer_array(value: Any, name: str) -> np.ndarray:
    """`value` as an int64 array, numbers beyond it clipped; bool, floats, object and str are a TypeError."""
    if type(value) is int:
        value = min(max(value, -(2**63)), 2**63 - 1)
    array = plain_array(value, name)
    if array.dtype.kind not in "iu":
        raise TypeError(f"{name} must be integers, got dtype {array.dtype}")
    if array.dtype.kind == "u":
        array = np.minimum(array, np.uint64(2**63 - 1))
    return _int64(array)


def _int64(array: np.ndarray) -> np.ndarray:
    """As int64 by that very name: "q", long long, is equal to it, and no other to the kernels."""
    return array.astype(np.int64, copy=False).view(np.int64)


def refuse(bad: np.ndarray, values: np.ndarray, batch_shape: tuple[int, ...], rule: str) -> None:
    """Raise a ValueError naming the first row of the batch, in C order, in which `bad` holds."""
    if bad.any():
        where = np.broadcast_to(bad, np.broadcast_shapes(bad.shape, batch_shape))
        first = int(where.argmax()) if where.size else 0
        value = np.broadcast_to(values, where.shape).flat[first] if where.size else values[bad][0]
        raise ValueError(f"{rule}, got {value} at row {first}")


def output(out: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
    """`out` if it can take a result of this shape and dtype, or a new array where it is None."""
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray) or type(out) not in (np.ndarray, np.memmap):
        raise TypeError(f"out must be a numpy.ndarray, got {type(out).__name__}")
    if not is_float(out.dtype) or not np.can_cast(dtype, out.dtype, "safe"):
        raise TypeError(f"out has dtype {out.dtype}; allowed are {dtype} and wider float dtypes")
    if out.shape != shape:
        raise ValueError(f"out has shape {out.shape}, the result has shape {shape}")
    if not out.flags.writeable:
        raise ValueError("out is read-only")
    return out


def number_of_samples(num_samples: Any) -> int | None:
    if num_samples is None:
        return None
    count = integer(num_samples, "num_samples")
    if count < 0:
        raise ValueError(f"num_samples must be >= 0 or None, got {count}")
    return count


def non_negative(value: Any, name: str) -> int:
    count = integer(value, name)
    if not 0 <= count < 2**63:
        raise ValueError(f"{name} must be in [0, 2**63), got {count}")
    return count


def block_of_uniforms(rows: Any, num_samples: Any, first_row: Any) -> tuple[int, int, int]:
    rows = non_negative(rows, "rows")
    num_samples = non_negative(num_samples, "num_samples")
    first_row = non_negative(first_row, "first_row")
    if first_row + rows >= 2**63:
        raise ValueError(f"first_row + rows must be below 2**63, got {first_row} + {rows}")
    return rows, num_samples, first_row


def workers(value: Any) -> int | None:
    """A number of workers: None, -1 (every CPU this process may use) or at least 1."""
    if value is None:
        return None
    count = integer(value, "workers")
    if count != -1 and count < 1:
        raise ValueError(f"workers must be None, -1 or >= 1, got {count}")
    return count


def uniform_numbers(u: Any, batch_shape: tuple[int, ...], num_samples: int | None) -> np.ndarray:
    """`u` as float64 of the batch shape, or batch shape + (num_samples,), every number in [0, 1)."""
    array = real_array(u, "u")
    shape = batch_shape if num_samples is None else (*batch_shape, num_samples)
    if array.shape != shape:
        kind = "the batch shape" if num_samples is None else "the batch shape + (num_samples,)"
        raise ValueError(f"u has shape {array.shape}, it must have {kind}, {shape}")
    bad = ~((array >= 0) & (array < 1))
    if bad.any():
        first = int(bad.argmax())
        row = first if num_samples is None else first // num_samples
        raise ValueError(f"u must be in [0, 1) and not NaN, got {array.flat[first]} at row {row}")
    return array


def invalid_rows(on_invalid: Any) -> bool:
    """True where an invalid row raises, False where it is marked."""
    if not isinstance(on_invalid, str) or on_invalid not in ("raise", "mark"):
        raise ValueError(f"on_invalid must be 'raise' or 'mark', got {on_invalid!r}")
    return bool(on_invalid == "raise")


def refuse_row(values: np.ndarray, row: int, draws: Draws) -> None:
    """Raise the ValueError for an invalid row of a draw; `values` is that row of logits, or of weights."""
    with np.errstate(invalid="ignore"):
        values = values.astype(np.float64)
    cure = "on_invalid='mark' gives -1 in such rows"
    reason = _reason_of_weights(values) if draws.are_weights else _reason_of_logits(values)
    if reason is None and not draws.replace:
        raise ValueError(f"row {row} has fewer drawable categories than num_samples, {draws.n_draws}; {cure}")
    raise ValueError(f"row {row} has no distribution to draw from: {reason}; {cure}")


def _reason_of_logits(row: np.ndarray) -> str | None:
    if np.isnan(row).any():
        return "it contains NaN"
    return None if (row > -np.inf).any() else "all its logits are -inf"


def _reason_of_weights(row: np.ndarray) -> str | None:
    if np.isnan(row).any():
        return "it contains NaN"
    if (row < 0).any():
        return f"it contains a negative weight, {row[row < 0][0]}"
    if (row == np.inf).any():
        return "it contains an infinite weight"
    return None if (row > 0).any() else "all its weights are 0"


class Draws(NamedTuple):
    """What is to be drawn from rows, checked."""

    are_weights: bool
    num_samples: int | None  # the length of the axis of draws, None for no such axis
    n_draws: int
    replace: bool
    u: np.ndarray | None  # float64, of the batch shape + (n_draws,)
    first_row: int
    return_log_prob: bool
    raises: bool  # for an invalid row, which is marked otherwise


def draws(
    rows: Rows,
    are_weights: bool,
    num_samples: Any,
    replace: Any,
    rng: Any,
    u: Any,
    first_row: Any,
    return_log_prob: Any,
    on_invalid: Any,
    n_workers: Any,
) -> Draws:
    """The parameters of a draw, in the order in which their mistakes are told; `rng` and `n_workers` are not kept."""
    num_samples = number_of_samples(num_samples)
    replace = true_or_false(replace, "replace")
    first_row = non_negative(first_row, "first_row")
    return_log_prob = true_or_false(return_log_prob, "return_log_prob")
    raises = invalid_rows(on_invalid)
    workers(n_workers)
    if rng is not None and u is not None:
        raise ValueError("rng and u were both given; allowed is at most one, as u replaces the numbers made from rng")
    if rows.n_categories == 0 and 0 not in rows.batch_shape:
        name = "weights" if are_weights else "logits"
        raise ValueError(f"{name} has no categories (n = 0), nothing can be drawn; at least 1 is needed")
    n_draws = 1 if num_samples is None else num_samples
    if u is None:
        block_of_uniforms(math.prod(rows.batch_shape), n_draws, first_row)
    else:
        u = uniform_numbers(u, rows.batch_shape, num_samples).reshape(*rows.batch_shape, n_draws)
    return Draws(are_weights, num_samples, n_draws, replace, u, first_row, return_log_prob, raises)


def token_index(index: Any, batch_shape: tuple[int, ...], n_categories: int) -> tuple[np.ndarray, bool]:
    """`index` as int64 of the batch shape + (m,), and whether it came with that last axis or is one a row."""
    array = plain_array(index, "index")
    if array.dtype.kind not in "iu":
        raise TypeError(f"index must be integers, got dtype {array.dtype}")
    has_axis = array.shape != batch_shape
    if has_axis and (array.ndim == 0 or array.shape[:-1] != batch_shape):
        raise ValueError(f"index has shape {array.shape}, it must have the batch shape, {batch_shape}, or that + (m,)")
    array = array if has_axis else array[..., None]
    if array.size > 0 and not (array.min() >= 0 and array.max() < n_categories):
        first = int(((array < 0) | (array >= n_categories)).argmax())
        raise ValueError(
            f"index must be in [0, n) with n = {n_categories} categories, "
            f"got {array.flat[first]} at row {first // array.shape[-1]}"
        )
    return _int64(array), has_axis


def number_of_best(k: Any, n_categories: int) -> int:
    count = integer(k, "k")
    if not 0 <= count <= n_categories:
        raise ValueError(f"k must be in [0, n] with n = {n_categories} categories, got {count}")
    return count


def seed(rng: Any) -> int:
    """The seed in [0, 2**64) that `rng` stands for; a Generator and a BitGenerator advance, the rest do not."""
    if rng is None:
        rng = np.random.SeedSequence()
    if isinstance(rng, np.random.SeedSequence):
        return int(rng.generate_state(1, np.uint64)[0])
    if isinstance(rng, np.random.BitGenerator):
        rng = np.random.Generator(rng)
    if isinstance(rng, np.random.Generator):
        return int(rng.integers(0, 2**64, dtype=np.uint64))
    try:
        value = operator.index(rng)
    except TypeError:
        raise TypeError(
            "rng must be None, an integer, a numpy.random.SeedSequence, Generator or BitGenerator, "
            f"got {rng!r} of type {type(rng).__name__}"
        ) from None
    if not 0 <= value < 2**64:
        raise ValueError(f"rng as an integer seed must be in [0, 2**64), got {value}")
    return value
