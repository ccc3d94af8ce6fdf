"""Ways of working, to compare with one another: each row by itself, and results that go past the cache."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
from implementations import without_direct_path

from tempsoft import _kernels, calls


def one_by_one(function, x, **options):
    return np.stack([function(row, **options) for row in x])


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
