"""Which implementations there are here, how to switch to one, and the proof that it was the one that ran."""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np

import tempsoft
import tempsoft.reference

FUNCTIONS = (
    "softmax", "log_softmax", "logsumexp", "log_prob", "top_log_probs", "entropy", "support",
    "sample", "sample_weights", "uniforms",
)  # fmt: skip

# A module that is there and does not import is an error, never a reason to test less.
KERNELS = importlib.import_module("tempsoft._kernels") if importlib.util.find_spec("tempsoft._kernels") else None
ISAS = tuple(tempsoft.capabilities()["isas"]) if KERNELS else ()
# The direct path and the other one know nothing of instruction sets, so each is tested on some of these.
WITHOUT_DIRECT_PATH = ISAS[1:2]


class Implementation:
    """The public functions of the reference, or of the compiled module on one instruction set."""

    def __init__(self, name):
        self.name = name
        self.is_reference = name == "reference"
        self.must_have_run = False
        self._elsewhere = {}
        module = tempsoft.reference if self.is_reference else tempsoft
        for function in FUNCTIONS:
            found = getattr(module, function, None)
            setattr(self, function, found and self._watched(found))

    def __repr__(self):
        return self.name

    def _watched(self, function):
        """`function`, noting whether a kernel must have run: it returned numbers about some logits."""

        @functools.wraps(function)
        def watched(*arguments, **options):
            result = function(*arguments, **options)
            if function.__name__ != "uniforms" and np.size(arguments[0]) and np.size(result):
                self.must_have_run = True
            return result

        return watched

    def on(self, isa, function):
        """`function()` with another instruction set, whose kernel calls are then not held against this one."""
        before = KERNELS.calls()
        KERNELS.set_isa(isa)
        try:
            return function()
        finally:
            KERNELS.set_isa(self.name)
            for name, count in KERNELS.calls().items():
                self._elsewhere[name] = self._elsewhere.get(name, 0) + count - before[name]

    def check_who_ran(self, before):
        after = KERNELS.calls()
        moved = {isa for isa in after if after[isa] - before[isa] > self._elsewhere.get(isa, 0)}
        if self.is_reference:
            assert not moved, f"the reference ran kernels of {moved}"
        else:
            assert moved <= {self.name}, f"set to {self.name}, but kernels of {moved} ran"
            assert moved or not self.must_have_run, f"no kernel of {self.name} ran"


@contextlib.contextmanager
def without_direct_path():
    """Within, every call goes by the checks of arguments.py, slices and a gufunc."""
    before = KERNELS.set_threads_for(lambda numbers, n_bytes, has_filters, workers: 0, 0)
    try:
        yield
    finally:
        KERNELS.set_threads_for(*before)


@contextlib.contextmanager
def chosen(name):
    """The implementation of that name, in use until the end of the block and proved to be the one that ran."""
    if KERNELS is None:
        yield Implementation(name)
        return
    original = tempsoft.capabilities()["isa"]
    before = KERNELS.calls()
    implementation = Implementation(name)
    if not implementation.is_reference:
        KERNELS.set_isa(name)
    try:
        with without_direct_path() if name in WITHOUT_DIRECT_PATH else contextlib.nullcontext():
            yield implementation
        implementation.check_who_ran(before)
    finally:
        KERNELS.set_isa(original)


def in_a_new_process(code, **environment):
    """The finished process of Python code, with this very package and no other environment variables of it."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("TEMPSOFT_")}
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        env={**inherited, **environment},
        cwd=pathlib.Path(tempsoft.__file__).parents[1],  # first on the path of the new process
        capture_output=True,
        text=True,
    )
