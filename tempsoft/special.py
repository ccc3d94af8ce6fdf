"""softmax, log_softmax and logsumexp as SciPy has them, on the kernels of this library: change the import, no more.

Promises the signatures, axes, dtypes, shapes and odd values of `scipy.special`, with the accuracy and the errors of
tempsoft. Leaves complex numbers, long doubles, weights and signs to SciPy itself, which is imported when they come.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal, overload

import numpy as np
from numpy import ndarray
from numpy.lib.array_utils import normalize_axis_tuple

from . import _kernels, arguments, probabilities
from .workers import SMALLEST_SHARED

__all__ = ["log_softmax", "logsumexp", "softmax"]

_INF = math.inf
_FLOATS: tuple[type, ...] = (np.float16, np.float32, np.float64)
# NumPy's rule for a function of small integers, which all are numbers of these dtypes
_OF_SMALL_INTEGERS: dict[int, np.dtype[Any]] = {1: np.dtype(np.float16), 2: np.dtype(np.float32)}

Axis = int | tuple[int, ...] | None


def softmax(x: Any, axis: Axis = None) -> Any:
    """Probabilities ``exp(x) / sum(exp(x))`` over some axes, in place of `scipy.special.softmax`.

    Parameters
    ----------
    x : array_like
        Real numbers of any NumPy dtype or bfloat16 (`ml_dtypes`); complex numbers and long doubles go to SciPy.
    axis : int or tuple of ints, optional
        The axes that a sum runs over. None is all of them.

    Returns
    -------
    ndarray or scalar
        Of the shape and float dtype of `x`. Of integers: float16 for those of 8 bits, float32 of 16, float64 of more;
        float64 of bool. NaN where +inf or NaN or only -inf are summed.

    Raises
    ------
    ValueError
        There is nothing to sum.
    TypeError
        A masked array, another subclass of ndarray, an array on a device, object or str.
    numpy.exceptions.AxisError
        `axis` is not an axis of `x`.
    ImportError
        Complex numbers or long doubles, without SciPy.

    See Also
    --------
    tempsoft.softmax : with temperature and filters, over the last axis, where entries of +inf share the whole row.

    Notes
    -----
    Within 3 ulp, or 1/2 of float16 and bfloat16, where SciPy rounds each step in the dtype of `x`: its results for
    8-bit integers overflow, and those of float16 are sums of float16. There are no warnings.

    Examples
    --------
    >>> import numpy as np
    >>> from tempsoft.special import softmax
    >>> x = np.array([[1.0, 0.5], [0.2, 3.0]])
    >>> softmax(x).round(3)
    array([[0.106, 0.064],
           [0.048, 0.782]])
    >>> softmax(x, axis=0).round(3)
    array([[0.69 , 0.076],
           [0.31 , 0.924]])
    """
    result = _map_plain(probabilities.softmax, x, axis)
    return _map(probabilities.softmax, x, axis) if result is None else result


def log_softmax(x: Any, axis: Axis = None) -> Any:
    """Logarithms of `softmax`, without its underflow, in place of `scipy.special.log_softmax`.

    Parameters
    ----------
    x, axis
        As in `softmax`.

    Returns
    -------
    ndarray or scalar
        Of the shape and dtype of `softmax`. NaN where NaN or only -inf are summed; in a sum with +inf, NaN at +inf and
        -inf elsewhere.

    Raises
    ------
    ValueError, TypeError, numpy.exceptions.AxisError, ImportError
        As in `softmax`.

    See Also
    --------
    tempsoft.log_softmax : with temperature and filters, over the last axis.

    Examples
    --------
    >>> import numpy as np
    >>> from tempsoft.special import log_softmax
    >>> log_softmax(np.array([1000.0, 1.0]))
    array([   0., -999.])
    """
    result = _map_plain(probabilities.log_softmax, x, axis)
    return _map(probabilities.log_softmax, x, axis) if result is None else result


@overload
def logsumexp(
    a: Any, axis: Axis = None, b: Any = None, keepdims: bool = False, return_sign: Literal[False] = False
) -> Any: ...
@overload
def logsumexp(
    a: Any, axis: Axis = None, b: Any = None, keepdims: bool = False, *, return_sign: Literal[True]
) -> tuple[Any, Any]: ...
@overload
def logsumexp(a: Any, axis: Axis, b: Any, keepdims: bool, return_sign: Literal[True]) -> tuple[Any, Any]: ...
@overload
def logsumexp(a: Any, axis: Axis = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any: ...
def logsumexp(a: Any, axis: Axis = None, b: Any = None, keepdims: bool = False, return_sign: bool = False) -> Any:
    """``log(sum(exp(a)))`` over some axes, in place of `scipy.special.logsumexp`.

    Parameters
    ----------
    a, axis
        As `x` and `axis` in `softmax`.
    b : array_like, optional
        Factors of the exponentials, of any sign. With these SciPy computes.
    keepdims : bool, optional
        Leave the axes in the result, with length 1.
    return_sign : bool, optional
        Also return the sign of the sum, computed by SciPy.

    Returns
    -------
    result : ndarray or scalar
        In the float dtype of `a`; float64 of integers, bool and bfloat16. -inf for a sum of nothing or of only -inf.
    sign : ndarray or scalar
        With `return_sign`.

    Raises
    ------
    TypeError, numpy.exceptions.AxisError
        As in `softmax`.
    ImportError
        Complex numbers, long doubles, `b` or `return_sign`, without SciPy.

    See Also
    --------
    tempsoft.logsumexp : with temperature, over the last axis.

    Examples
    --------
    >>> import numpy as np
    >>> from tempsoft.special import logsumexp
    >>> print(logsumexp(np.array([1000.0, 1000.0])).round(4))
    1000.6931
    >>> logsumexp(np.zeros((2, 3, 4)), axis=(0, 2)).round(4)
    array([2.0794, 2.0794, 2.0794])
    """
    if b is None and not return_sign:
        result = _sum_plain(a, axis, keepdims)
        return _sum(a, axis, keepdims) if result is None else result
    a, b = _known_to_scipy(a, "a"), None if b is None else _known_to_scipy(b, "b")
    function = _of_scipy("logsumexp", "`return_sign`" if b is None else "`b`")
    return function(a, axis=axis, b=b, keepdims=keepdims, return_sign=return_sign)


# ---- arrays that need no check: the price of a call on few numbers is what they cost ---------------------------------


def _plain_rows(x: Any, axis: Any) -> tuple[ndarray, int] | None:
    """A small plain array with one axis to sum over, and that axis, where that takes no more than a look; else None."""
    if type(x) is not ndarray or not 0 < x.size <= SMALLEST_SHARED or x.ndim == 0 or x.dtype.char not in "efd":
        return None
    if axis is None:
        return (x if x.ndim == 1 else x.reshape(-1)), -1
    return (x, axis) if type(axis) is int and -x.ndim <= axis < x.ndim else None


def _map_plain(function: Callable[..., ndarray], x: Any, axis: Any) -> ndarray | None:
    plain = _plain_rows(x, axis)
    if plain is None:
        return None
    rows, position = plain
    n_infinite = _kernels.n_infinite()
    result = function(rows, axis=position)
    if _kernels.n_infinite() != n_infinite:  # +inf, of which SciPy makes something else
        return None
    return result if rows is x else result.reshape(x.shape)


def _sum_plain(a: Any, axis: Any, keepdims: Any) -> Any:
    plain = _plain_rows(a, axis)
    if plain is None or a.dtype.char == "e" or (keepdims and a.ndim > 1 and axis is None):
        return None  # of float16 SciPy makes float16
    rows, position = plain
    return probabilities.logsumexp(rows, axis=position, keepdims=bool(keepdims))


# ---- all others -----------------------------------------------------------------------------------------------------


def _map(function: Callable[..., ndarray], x: Any, axis: Any) -> Any:
    array = arguments.plain_array(x, "x")
    if _is_left_to_scipy(array.dtype):
        return _of_scipy(function.__name__, str(array.dtype))(array, axis=axis)
    array = array.astype(_dtype_of_map(array.dtype), copy=False)
    if array.ndim == 0:
        if axis not in (0, -1):  # NumPy lets these pass
            _axes(axis, 0)
        return _map(function, array.reshape(1), None)[0]
    axes = _axes(axis, array.ndim)
    if array.size == 0:
        if any(array.shape[i] == 0 for i in axes):
            raise ValueError(f"x has shape {array.shape}, so that there is nothing to sum along axis {axis}")
        return np.empty(array.shape, array.dtype)
    rows, position = _joined(array, axes)
    n_infinite = _kernels.n_infinite()
    result = function(rows, axis=position)
    if _kernels.n_infinite() != n_infinite:  # +inf, of which SciPy makes something else
        with np.errstate(invalid="ignore"):  # bfloat16 says so where it compares NaN
            infinite = rows == _INF
        is_logarithm = function is probabilities.log_softmax
        where = infinite if is_logarithm else infinite.any(axis=position, keepdims=True)
        np.copyto(result, np.nan, where=where)
    if rows.ndim == array.ndim:
        return result
    moved = result.reshape(np.moveaxis(array, axes, range(-len(axes), 0)).shape)
    return np.ascontiguousarray(np.moveaxis(moved, range(-len(axes), 0), axes))


def _sum(a: Any, axis: Any, keepdims: bool) -> Any:
    array = arguments.plain_array(a, "a")
    if _is_left_to_scipy(array.dtype):
        return _of_scipy("logsumexp", str(array.dtype))(array, axis=axis, keepdims=keepdims)
    arguments.working_dtype(array.dtype, "a")
    dtype = array.dtype.type if array.dtype.type in _FLOATS else np.float64
    array = np.atleast_1d(array.astype(dtype, copy=False))
    axes = _axes(axis, array.ndim)
    rows, position = _joined(array, axes)
    sums = probabilities.logsumexp(rows, axis=position)
    if dtype is np.float16:
        with np.errstate(over="ignore"):
            sums = sums.astype(dtype)
    return np.expand_dims(sums, axes) if keepdims else sums


def _axes(axis: Any, ndim: int) -> tuple[int, ...]:
    """The axes in ascending order, so that a sum does not depend on theirs."""
    if axis is None:
        return tuple(range(ndim))
    if not isinstance(axis, tuple):
        axis = arguments.integer(axis, "axis")
    return tuple(sorted(normalize_axis_tuple(axis, ndim)))


def _joined(array: ndarray, axes: tuple[int, ...]) -> tuple[ndarray, int]:
    """An array in which one axis has the entries of all these, and that axis."""
    if len(axes) == 1:
        return array, axes[0]
    if len(axes) == array.ndim:
        return array.reshape(-1), 0
    moved = np.moveaxis(array, axes, range(-len(axes), 0))
    kept = array.ndim - len(axes)
    return moved.reshape(*moved.shape[:kept], math.prod(moved.shape[kept:])), -1


def _dtype_of_map(dtype: np.dtype[Any]) -> np.dtype[Any]:
    working = arguments.working_dtype(dtype, "x")
    if arguments.is_float(dtype):
        return dtype.newbyteorder("=")
    return _OF_SMALL_INTEGERS.get(dtype.itemsize, working) if dtype.kind in "iu" else working


# ---- what SciPy computes --------------------------------------------------------------------------------------------


def _is_left_to_scipy(dtype: np.dtype[Any]) -> bool:
    return dtype.kind == "c" or dtype.type is np.longdouble


def _known_to_scipy(value: Any, name: str) -> ndarray:
    """`value` as an array; of bfloat16, which SciPy takes in some calls only, as the float64 it makes of it there."""
    array = arguments.plain_array(value, name)
    return array.astype(np.float64) if array.dtype.type.__name__ == "bfloat16" else array


def _of_scipy(name: str, what: str) -> Callable[..., Any]:
    try:
        from scipy import special
    except ImportError as error:
        raise ImportError(f"tempsoft.special.{name} leaves {what} to SciPy, which is not here: {error}") from error
    function: Callable[..., Any] = getattr(special, name)
    return function
