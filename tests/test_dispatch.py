"""Instruction sets: what is offered, how one is forced, and that the harness notices when another one runs."""

from __future__ import annotations

import implementations
import numpy as np
import pytest

import tempsoft

pytestmark = pytest.mark.skipif(implementations.KERNELS is None, reason="tempsoft._kernels is not built")
X = np.ones((3, 5), np.float32)


def test_capabilities():
    found = tempsoft.capabilities()
    assert set(found) == {"version", "isa", "isas", "workers"}
    assert found["version"] == tempsoft.__version__
    assert type(found["isas"]) is tuple
    assert found["isa"] in found["isas"]
    assert found["isas"][-1] == "scalar"
    assert len(set(found["isas"])) == len(found["isas"])
    assert set(found["isas"]) <= set(implementations.KERNELS.calls())
    assert found["workers"] >= 1


def test_switching(compiled):
    assert tempsoft.capabilities()["isa"] == compiled.name
    compiled.softmax(X)


@pytest.mark.parametrize("name", ["sse2", "AVX2", "", "none", None, 3])
def test_unknown_names_are_refused(name):
    before = tempsoft.capabilities()["isa"]
    with pytest.raises(ValueError, match=", ".join(implementations.ISAS)):
        implementations.KERNELS.set_isa(name)
    assert tempsoft.capabilities()["isa"] == before


def test_unsupported_names_are_refused():
    for name in set(implementations.KERNELS.calls()) - set(implementations.ISAS):
        with pytest.raises(ValueError, match=name):
            implementations.KERNELS.set_isa(name)


REPORT = """
import numpy, tempsoft
from tempsoft import _kernels
tempsoft.softmax(numpy.ones(5)); tempsoft.sample(numpy.ones((2, 5)), rng=1)
print(tempsoft.capabilities()["isa"], *(isa for isa, count in _kernels.calls().items() if count))
"""


@pytest.mark.parametrize("isa", implementations.ISAS)
def test_environment_forces_one(isa):
    process = implementations.in_a_new_process(REPORT, TEMPSOFT_ISA=isa)
    assert (process.stdout.split(), process.stderr) == ([isa, isa], "")


@pytest.mark.parametrize("environment", [{}, {"TEMPSOFT_ISA": ""}])
def test_the_first_is_the_default(environment):
    process = implementations.in_a_new_process(REPORT, **environment)
    assert process.stdout.split() == [implementations.ISAS[0]] * 2


def test_environment_with_an_unknown_name():
    process = implementations.in_a_new_process("import tempsoft", TEMPSOFT_ISA="mmx")
    assert process.returncode != 0
    for fragment in ("TEMPSOFT_ISA", "'mmx'", *implementations.ISAS):
        assert fragment in process.stderr.splitlines()[-1]


def test_the_harness_notices_the_wrong_implementation(monkeypatch):
    """A reference that runs kernels, a compiled function that runs none, and another instruction set are all caught."""

    def under(name, module):
        with implementations.chosen(name) as chosen:
            monkeypatch.setattr(chosen, "softmax", chosen._watched(module.softmax))
            chosen.softmax(X)

    with pytest.raises(AssertionError, match="the reference ran kernels"):
        under("reference", tempsoft)
    with pytest.raises(AssertionError, match="no kernel of scalar ran"):
        under("scalar", tempsoft.reference)
    under("scalar", tempsoft)
    for other in set(implementations.ISAS) - {"scalar"}:

        def switch(x, other=other):
            implementations.KERNELS.set_isa(other)
            return tempsoft.softmax(x)

        switch.__name__ = "softmax"
        wrong = type("wrong", (), {"softmax": staticmethod(switch)})
        with pytest.raises(AssertionError, match=f"set to scalar, but kernels of .*{other}"):
            under("scalar", wrong)
    with implementations.chosen("scalar") as chosen:
        chosen.on(implementations.ISAS[0], lambda: tempsoft.softmax(X))
        chosen.softmax(X)
