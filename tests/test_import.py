"""Importing tempsoft brings in NumPy and the standard library alone, prints nothing and starts nothing."""

from __future__ import annotations

import json

import implementations
import pytest

PROBE = """
import json, os, sys, threading, warnings
import numpy
before, filters, environment = set(sys.modules), list(warnings.filters), dict(os.environ)
{}
assert warnings.filters == filters
assert dict(os.environ) == environment
assert threading.active_count() == 1
found = {{name for name in set(sys.modules) - before if sys.modules[name].__spec__}}  # Cython makes some of nothing
names = {{name.partition(".")[0] for name in found}}
print(json.dumps(sorted(names - sys.stdlib_module_names - {{"numpy"}})))
"""


def brought_in(code):
    """Top-level modules that are not the standard library's or NumPy's, and that `code` brings in."""
    done = implementations.in_a_new_process(PROBE.format(code))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert done.stdout.count("\n") == 1, done.stdout
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "code",
    [
        "import tempsoft",
        "import tempsoft.special",
        "from tempsoft.reference import softmax",
        "import tempsoft; tempsoft.capabilities(); tempsoft.sample(numpy.zeros(3)); tempsoft.special.softmax([1, 2])",
    ],
)
def test_numpy_alone(code):
    assert brought_in(code) == ["tempsoft"]


def test_others_would_be_seen():
    assert brought_in("import tempsoft, ml_dtypes") == ["ml_dtypes", "tempsoft"]
    with pytest.raises(AssertionError):
        brought_in("import tempsoft; print('hello')")
    with pytest.raises(AssertionError):
        brought_in("import tempsoft; os.environ['TEMPSOFT_X'] = '1'")


def test_special_comes_along():
    """`tempsoft.special` needs no import of its own, as `scipy.special` needs none."""
    done = implementations.in_a_new_process("import tempsoft; print(tempsoft.special.softmax([0.0, 0.0]))")
    assert (done.returncode, done.stdout) == (0, "[0.5 0.5]\n"), done.stderr
