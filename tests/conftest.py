"""The harness: every test that takes `implementation` runs on the reference and on each instruction set of this CPU.

Promises that the implementation named is the one that ran (each instruction set counts its own kernel calls), that one
of them takes no call by the direct path, and that the process is left as it was found. Where no kernels have been
built, only the reference runs. Tests marked `slow` are left out unless asked for with ``-m slow``.
"""

from __future__ import annotations

import os

import hypothesis
import implementations
import pytest

hypothesis.settings.register_profile("reproducible", deadline=None, derandomize=True, print_blob=True)
hypothesis.settings.register_profile("search", deadline=None)
hypothesis.settings.load_profile(os.environ.get("TEMPSOFT_HYPOTHESIS_PROFILE", "reproducible"))

if implementations.KERNELS is not None:
    implementations.KERNELS.set_thread_least(1 << 14)  # as most calls of tests are small, more of them are shared


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: a longer campaign, run by `make test-slow`")


def pytest_collection_modifyitems(config, items):
    if config.option.markexpr:
        return
    slow = [item for item in items if item.get_closest_marker("slow")]
    config.hook.pytest_deselected(items=slow)
    items[:] = [item for item in items if not item.get_closest_marker("slow")]


_NO_KERNELS = pytest.param("no kernels", marks=pytest.mark.skip(reason="tempsoft._kernels is not built"))


@pytest.fixture(params=["reference", *implementations.ISAS])
def implementation(request):
    """The reference, then each instruction set: an object with the public functions and a name."""
    with implementations.chosen(request.param) as chosen:
        yield chosen


@pytest.fixture(params=implementations.ISAS or [_NO_KERNELS])
def compiled(request):
    """Each instruction set, for what only compiled code promises: 3 ulp in float64, same bits, memory."""
    with implementations.chosen(request.param) as chosen:
        yield chosen


@pytest.fixture
def reference():
    """The definition that the others are compared with."""
    return implementations.Implementation("reference")
