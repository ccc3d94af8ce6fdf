"""Ways of working, to compare with one another: each row by itself, and results that go past the cache."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from implementations import without_direct_path

from tempsoft import _kernels, calls

EVERY = 9  # row of many that is worked on in a call of its own


def apart(x):
    """The rows with a gap behind each number, so that kernels take them one after another."""
    return np.repeat(x, 2, axis=-1)[..., ::2]


def one_by_one(function, x, of_each=None, **options):
    """What rows have by themselves: all of a few, and some of many, in calls of their own. `of_each` are arguments of
    which each row has one."""
    of_each = of_each or {}
    every = function(apart(x), **of_each, **options)
    for i in range(0, len(x), 1 if len(x) < EVERY else EVERY):
        alone = function(x[i], **{name: values[i] for name, values in of_each.items()}, **options)
        row = tuple(part[i] for part in every) if isinstance(every, tuple) else every[i]
        assert as_bytes(alone) == as_bytes(row)
    return every


def as_bytes(result):
    """Of an array, or of each of a tuple of them."""
    return [part.tobytes() for part in (result if isinstance(result, tuple) else (result,))]


@contextlib.contextmanager
def past_the_cache():
    """Within, all results go past the cache, and so no call by the direct path."""
    were_past = []
    call = _kernels.call

    def noting(gufunc, operands, out, signature, past_cache=False, *rest):
        were_past.append(past_cache)
        return call(gufunc, operands, out, signature, past_cache, *rest)

    with pytest.MonkeyPatch.context() as patch, without_direct_path():
        patch.setattr(calls, "PAST_CACHE", 0)
        patch.setattr(_kernels, "call", noting)
        yield
    assert were_past
    assert all(were_past)
