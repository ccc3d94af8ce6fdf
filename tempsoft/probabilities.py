"""softmax, log_softmax and logsumexp: checks, axis, slices, and a call of a kernel. No arithmetic on logits."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _kernels, arguments
from .calls import map_rows
from .workers import SLICE_SIZE, SMALLEST_SHARED, resolve


def softmax(logits: Any, temperature: Any = 1.0, *, axis: int = -1, out: Any = None, workers: Any = None) -> Any:
    """Probabilities ``exp(logits / temperature) / sum(exp(logits / temperature))`` over one axis.

    Parameters
    ----------
    logits : array_like
        Categories on `axis`, every other axis is batch. float16, bfloat16 (`ml_dtypes`), float32, float64; bool and
        integers count as float64.
    temperature : array_like, optional
        Divides the logits; in their units, >= 0. An array broadcasts with the batch shape (the logits' shape without
        `axis`) and may enlarge it: one of shape (K, 1) over logits of shape (B, n) gives a sweep of shape (K, B, n).
        0 puts all on the first of the largest logits, inf gives every logit above -inf an equal share.
    axis : int, optional
        The categories. A negative axis counts from the end in the result as well.
    out : ndarray, optional
        Where to put the result: of its shape, and the same or a wider float dtype. May be the input itself.
    workers : int, optional
        Threads; -1 is every CPU this process may use. Default: see `set_workers`. Changes speed and nothing else.

    Returns
    -------
    ndarray
        Probabilities of the logits' own float dtype (float64 for integers), or `out`. A row with NaN is NaN, and so is
        a row of only -inf; entries of +inf share the whole row.

    Raises
    ------
    ValueError
        A temperature that is negative or NaN (naming the row), shapes that do not broadcast, an `out` of another shape.
    TypeError
        Complex, object, str, longdouble or masked logits; an `out` that is no ndarray or of a narrower dtype.
    numpy.exceptions.AxisError
        `axis` is not an axis of the logits.

    Notes
    -----
    Within 3 ulp of the exact value for every result that is a normal number, and the same bits for any instruction set,
    layout, neighbours in the batch and number of workers. With energies -logits and kT = temperature this is the
    Boltzmann distribution. For the temperature in machine learning see Hinton, Vinyals, Dean, "Distilling the knowledge
    in a neural network" (2015), equation 1.

    Examples
    --------
    >>> import numpy as np
    >>> import tempsoft
    >>> logits = np.array([2.0, 1.0, 0.5, 0.1])
    >>> tempsoft.softmax(logits).round(3)
    array([0.575, 0.211, 0.128, 0.086])
    >>> tempsoft.softmax(logits, temperature=[[0.5], [2.0]]).shape
    (2, 1, 4)
    >>> tempsoft.softmax(logits, temperature=0.5).round(3)
    array([0.828, 0.112, 0.041, 0.019])
    """
    if workers is None and type(axis) is int and axis == -1:
        result = _kernels.softmax_direct(logits, temperature, out, SMALLEST_SHARED)
        if result is not None:
            return result
    return _map(_kernels.softmax, _kernels.softmax_direct, logits, temperature, axis, out, workers)


def log_softmax(logits: Any, temperature: Any = 1.0, *, axis: int = -1, out: Any = None, workers: Any = None) -> Any:
    """Log-probabilities, ``logits / temperature - logsumexp(logits / temperature)``, over one axis.

    Parameters
    ----------
    logits, temperature, axis, out, workers
        As in `softmax`.

    Returns
    -------
    ndarray
        Natural logarithms of what `softmax` returns, of the same shape and dtype, without its underflow: within 3 ulp
        of ``max(abs(result), 1)``. 0 and -inf for a temperature of 0; -inf where a value does not fit.

    Raises
    ------
    ValueError, TypeError, numpy.exceptions.AxisError
        As in `softmax`.

    Notes
    -----
    Blanchard, Higham, Higham, "Accurately computing the log-sum-exp and softmax functions" (2021), discuss the formula;
    here the difference is rounded once.

    Examples
    --------
    >>> import numpy as np
    >>> import tempsoft
    >>> tempsoft.log_softmax(np.array([0.0, -1000.0]))
    array([    0., -1000.])
    """
    if workers is None and type(axis) is int and axis == -1:
        result = _kernels.log_softmax_direct(logits, temperature, out, SMALLEST_SHARED)
        if result is not None:
            return result
    return _map(_kernels.log_softmax, _kernels.log_softmax_direct, logits, temperature, axis, out, workers)


def logsumexp(
    logits: Any, temperature: Any = 1.0, *, axis: int = -1, keepdims: bool = False, workers: Any = None
) -> Any:
    """``log(sum(exp(logits / temperature)))`` over one axis: the log-partition function.

    Parameters
    ----------
    logits, temperature, axis, workers
        As in `softmax`.
    keepdims : bool, optional
        Leave the axis in the result, with length 1.

    Returns
    -------
    ndarray or scalar
        Of the batch shape; float64 for float64 and integer logits, float32 for the rest. Within 3 ulp of
        ``max(abs(result), 1)``. NaN for a row with NaN, -inf for one of only -inf or without categories.

    Raises
    ------
    ValueError, TypeError, numpy.exceptions.AxisError
        As in `softmax`.

    Notes
    -----
    With energies -logits and kT = temperature, ``-temperature * logsumexp(...)`` is the free energy. For the formula
    see Blanchard, Higham, Higham, "Accurately computing the log-sum-exp and softmax functions" (2021).

    Examples
    --------
    >>> import numpy as np
    >>> import tempsoft
    >>> print(tempsoft.logsumexp(np.array([1000.0, 1000.0])).round(4))
    1000.6931
    """
    if workers is None and not keepdims and type(axis) is int and axis == -1:
        result = _kernels.logsumexp_direct(logits, temperature, SMALLEST_SHARED)
        if result is not None:
            return result
    rows = arguments.rows(logits, temperature, axis)
    n_workers = resolve(workers)
    values = np.empty(rows.batch_shape, rows.working)
    map_rows(_kernels.logsumexp, rows, values, n_workers)
    return np.expand_dims(values, axis) if keepdims else values[()]


def _map(gufunc: np.ufunc, direct: Any, logits: Any, temperature: Any, axis: Any, out: Any, workers: Any) -> np.ndarray:
    if workers is None and type(axis) is int and axis == -1 and resolve(None) == 1:  # one slice, one worker
        result: np.ndarray | None = direct(logits, temperature, out, SLICE_SIZE)
        if result is not None:
            return result
    rows = arguments.rows(logits, temperature, axis)
    n_workers = resolve(workers)
    shape = arguments.with_axis((*rows.batch_shape, rows.n_categories), axis)
    target = arguments.output(out, shape, rows.dtype)
    map_rows(gufunc, rows, target if axis == -1 else np.moveaxis(target, axis, -1), n_workers)
    return target
