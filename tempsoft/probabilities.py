"""softmax and what is read off it: checks, axis, slices, and a call of a kernel. No arithmetic on logits."""

from __future__ import annotations

from typing import Any

import numpy as np

from . import _kernels, arguments
from .calls import INDEX, broadcast, character, given, map_rows, run
from .workers import resolve


@_kernels.direct_first
def softmax(
    logits: Any,
    temperature: Any = 1.0,
    *,
    top_k: Any = None,
    top_p: Any = None,
    min_p: Any = None,
    temperature_last: bool = False,
    axis: int = -1,
    out: Any = None,
    workers: Any = None,
) -> Any:
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
    top_k : array_like of int, optional
        Keep the k largest logits, of equal ones those of lower index; None, 0 and -1 keep all. This and what follows
        broadcast as the temperature does; every category that is not kept has probability 0.
    top_p : array_like, optional
        In [0, 1]: keep the fewest of the largest whose probabilities, after `top_k`, add up to top_p; at least one.
        None and 1 keep all.
    min_p : array_like, optional
        In [0, 1]: keep the categories of probability >= min_p times the largest. None and 0 keep all.
    temperature_last : bool, optional
        Have the filters look at the distribution of temperature 1, and apply the temperature to what they leave.
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
        A temperature that is negative or NaN, a filter out of its range (naming the row), shapes that do not broadcast,
        an `out` of another shape, a number of `workers` that is 0 or below -1.
    TypeError
        Complex, object, str, longdouble or masked logits; a `top_k` or `workers` that is not of integers; an
        `out` that is no ndarray or of a narrower dtype.
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
    rows = arguments.rows(logits, temperature, axis, top_k, top_p, min_p, temperature_last)
    return _map(_kernels.softmax, rows, axis, out, workers)


@_kernels.direct_first
def log_softmax(
    logits: Any,
    temperature: Any = 1.0,
    *,
    top_k: Any = None,
    top_p: Any = None,
    min_p: Any = None,
    temperature_last: bool = False,
    axis: int = -1,
    out: Any = None,
    workers: Any = None,
) -> Any:
    """Log-probabilities, ``logits / temperature - logsumexp(logits / temperature)``, over one axis.

    Parameters
    ----------
    logits, temperature, top_k, top_p, min_p, temperature_last, axis, out, workers
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
    rows = arguments.rows(logits, temperature, axis, top_k, top_p, min_p, temperature_last)
    return _map(_kernels.log_softmax, rows, axis, out, workers)


@_kernels.direct_first
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
    rows = arguments.rows(logits, temperature, axis)
    n_workers = resolve(workers)
    values = _kernels.new_result(rows.batch_shape, rows.working)
    map_rows(_kernels.logsumexp, rows, values, n_workers)
    return np.expand_dims(values, axis) if keepdims else values[()]


@_kernels.direct_first
def log_prob(
    logits: Any,
    index: Any,
    temperature: Any = 1.0,
    *,
    top_k: Any = None,
    top_p: Any = None,
    min_p: Any = None,
    temperature_last: bool = False,
    axis: int = -1,
    workers: Any = None,
) -> Any:
    """Log-probabilities of chosen categories: the entries of `log_softmax` at `index`, without the others.

    Parameters
    ----------
    logits, temperature, top_k, top_p, min_p, temperature_last, axis, workers
        As in `softmax`.
    index : array_like of int
        The categories, in 0 ... n - 1: one a row, of the batch shape, or several, of batch shape + (m,).

    Returns
    -------
    ndarray or scalar
        Of the shape of `index`; float64 for float64 and integer logits, float32 for the rest. -inf for what the filters
        removed; NaN in a row without a distribution.

    Raises
    ------
    ValueError
        As in `softmax`; an index outside 0 ... n - 1 (naming the row) or of another shape.
    TypeError
        As in `softmax`; an index that is not of integers.
    numpy.exceptions.AxisError
        As in `softmax`.

    Notes
    -----
    The score of a sequence of tokens is the sum of these. An index is not wrapped: -1 is an error.

    Examples
    --------
    >>> import numpy as np
    >>> import tempsoft
    >>> logits = np.array([2.0, 1.0, 0.5, 0.1])
    >>> tempsoft.log_prob(logits, [0, 3], top_k=2).round(3)
    array([-0.313,   -inf])
    """
    rows = arguments.rows(logits, temperature, axis, top_k, top_p, min_p, temperature_last)
    indices, has_axis = arguments.token_index(index, rows.batch_shape, rows.n_categories)
    values = _kernels.new_result(indices.shape, rows.working)
    n_workers = resolve(workers)
    run(_kernels.log_prob, broadcast(rows), (values,), character(rows.working), n_workers, given(indices))
    return values if has_axis else values[..., 0][()]


@_kernels.direct_first
def top_log_probs(logits: Any, k: int, temperature: Any = 1.0, *, axis: int = -1, workers: Any = None) -> Any:
    """The k most probable categories and their log-probabilities, best first.

    Parameters
    ----------
    logits, temperature, axis, workers
        As in `softmax`.
    k : int
        How many, 0 ... n.

    Returns
    -------
    log_probs : ndarray
        Of batch shape + (k,), under the whole distribution; float64 for float64 and integer logits, float32 for the
        rest.
    indices : ndarray
        int64, of the same shape. The order is that of the filters: the larger logit first, then the lower index. Where
        a row has fewer than k logits above -inf, the rest is -1 with a log-probability of -inf; a row without a
        distribution is -1 and NaN throughout.

    Raises
    ------
    ValueError
        As in `softmax`; a k outside 0 ... n.
    TypeError
        As in `softmax`; a k that is not an integer.
    numpy.exceptions.AxisError
        As in `softmax`.

    Notes
    -----
    What the ``top_logprobs`` of an API and a beam search need. The row is not sorted.

    Examples
    --------
    >>> import numpy as np
    >>> import tempsoft
    >>> log_probs, indices = tempsoft.top_log_probs(np.array([0.5, 2.0, 0.1, 1.0]), 2)
    >>> indices
    array([1, 3])
    >>> log_probs.round(3)
    array([-0.554, -1.554])
    """
    rows = arguments.rows(logits, temperature, axis)
    shape = (*rows.batch_shape, arguments.number_of_best(k, rows.n_categories))
    indices, values = _kernels.new_result(shape, INDEX), _kernels.new_result(shape, rows.working)
    n_workers = resolve(workers)
    run(_kernels.best, broadcast(rows), (indices, values), indices.dtype.char + character(rows.working), n_workers)
    return values, indices


@_kernels.direct_first
def entropy(
    logits: Any,
    temperature: Any = 1.0,
    *,
    top_k: Any = None,
    top_p: Any = None,
    min_p: Any = None,
    temperature_last: bool = False,
    axis: int = -1,
    workers: Any = None,
) -> Any:
    """Entropy of the distribution, ``-sum(p * log(p))``, in nats.

    Parameters
    ----------
    logits, temperature, top_k, top_p, min_p, temperature_last, axis, workers
        As in `softmax`.

    Returns
    -------
    ndarray or scalar
        Of the batch shape; float64 for float64 and integer logits, float32 for the rest. 0 for one possible category,
        log(m) for m equally probable ones, NaN in a row without a distribution.

    Raises
    ------
    ValueError, TypeError, numpy.exceptions.AxisError
        As in `softmax`.

    Notes
    -----
    Shannon, "A mathematical theory of communication" (1948). ``exp(entropy)``, the perplexity, is the number of equally
    probable categories that would be as uncertain.

    Examples
    --------
    >>> import numpy as np
    >>> import tempsoft
    >>> print(tempsoft.entropy(np.zeros(8), top_k=4).round(4))
    1.3863
    """
    rows = arguments.rows(logits, temperature, axis, top_k, top_p, min_p, temperature_last)
    values = _kernels.new_result(rows.batch_shape, rows.working)
    map_rows(_kernels.entropy, rows, values, resolve(workers))
    return values[()]


@_kernels.direct_first
def support(
    logits: Any,
    temperature: Any = 1.0,
    *,
    top_k: Any = None,
    top_p: Any = None,
    min_p: Any = None,
    temperature_last: bool = False,
    axis: int = -1,
    workers: Any = None,
) -> Any:
    """How many categories the filters keep, and what they weigh in the distribution that the filters look at.

    Parameters
    ----------
    logits, temperature, top_k, top_p, min_p, temperature_last, axis, workers
        As in `softmax`.

    Returns
    -------
    number : ndarray or scalar
        int64 of the batch shape: the categories kept; without filters those above -inf. 0 in a row without a
        distribution.
    mass : ndarray or scalar
        Their probability before the filters, at the temperature of the row, or at 1 with `temperature_last`; float64
        for float64 and integer logits, float32 for the rest. NaN in a row without a distribution.

    Raises
    ------
    ValueError, TypeError, numpy.exceptions.AxisError
        As in `softmax`.

    Notes
    -----
    The kept set of top-p is the nucleus of Holtzman et al., "The curious case of neural text degeneration" (2020).

    Examples
    --------
    >>> import numpy as np
    >>> import tempsoft
    >>> number, mass = tempsoft.support(np.array([2.0, 1.0, 0.5, 0.1]), top_p=0.7)
    >>> print(number, mass.round(3))
    2 0.786
    """
    rows = arguments.rows(logits, temperature, axis, top_k, top_p, min_p, temperature_last)
    number, mass = _kernels.new_result(rows.batch_shape, INDEX), _kernels.new_result(rows.batch_shape, rows.working)
    types = number.dtype.char + character(rows.working)
    run(_kernels.support, broadcast(rows), (number, mass), types, resolve(workers))
    return number[()], mass[()]


def _map(gufunc: np.ufunc, rows: arguments.Rows, axis: Any, out: Any, workers: Any) -> np.ndarray:
    n_workers = resolve(workers)
    shape = arguments.with_axis((*rows.batch_shape, rows.n_categories), axis)
    target = _kernels.new_result(shape, rows.dtype) if out is None else arguments.output(out, shape, rows.dtype)
    map_rows(gufunc, rows, target if axis == -1 else np.moveaxis(target, axis, -1), n_workers)
    return target
