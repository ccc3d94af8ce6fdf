"""A pytest plugin: tests that are collected find the functions of tempsoft.special under the names of SciPy's.

With TEMPSOFT_PLANTED in the environment, softmax is wrong in the last digits: to see that the tests would notice.
"""

from __future__ import annotations

import collections
import functools
import os

import tempsoft.special

CALLS = collections.Counter()


def counted(function):
    factor = 1 + 1e-6 * (function.__name__ == os.environ.get("TEMPSOFT_PLANTED"))

    @functools.wraps(function)
    def call(*arguments, **options):
        CALLS[function.__name__] += 1
        result = function(*arguments, **options)
        return result if factor == 1 else (result * factor).astype(result.dtype)

    return call


def pytest_collection_modifyitems(items):
    for module in {item.module for item in items}:
        for name in tempsoft.special.__all__:
            assert hasattr(module, name)
            setattr(module, name, counted(getattr(tempsoft.special, name)))


def pytest_terminal_summary(terminalreporter):
    terminalreporter.write_line(" ".join(f"{name}={CALLS[name]}" for name in tempsoft.special.__all__))
