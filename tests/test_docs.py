"""The examples in README.md, in docs/ and in the docstrings of the public functions run and print what they say."""

from __future__ import annotations

import doctest
import inspect
import operator
import pathlib
import re

import implementations
import numpy as np
import pytest

import tempsoft
from tempsoft import special

ROOT = pathlib.Path(__file__).parents[1]
PAGES = [
    pytest.param(ROOT / name, marks=pytest.mark.skipif(not (ROOT / name).exists(), reason=f"no {name} in this copy"))
    for name in ("README.md", "docs/decoding.md")
]
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
FUNCTIONS = [f"tempsoft.{name}" for name in tempsoft.__all__ if callable(getattr(tempsoft, name))]
FUNCTIONS += [f"tempsoft.special.{name}" for name in special.__all__]


def python_blocks(text):
    """(line of the opening fence, code) of each block fenced as python."""
    pattern = re.compile(r"^```python[^\n]*\n(.*?)^```", re.MULTILINE | re.DOTALL)
    return [(text.count("\n", 0, match.start()) + 1, match[1]) for match in pattern.finditer(text)]


def failures(text, name, names):
    """What doctest says of the examples in `text`, and how many there are."""
    test = doctest.DocTestParser().get_doctest(text, names, name, None, 0)
    said = []
    doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append, clear_globs=False)
    return "".join(said), len(test.examples)


@pytest.fixture(autouse=True)
def default_printing():
    with np.printoptions(precision=8, threshold=1000, edgeitems=3, linewidth=75, suppress=False, floatmode="maxprec"):
        yield


@pytest.mark.parametrize("page", PAGES)
def test_page(page, monkeypatch, tmp_path):
    """Its blocks run in order, in one namespace, as a reader types them; those with prompts print what they say."""
    blocks = python_blocks(page.read_text(encoding="utf-8"))
    assert blocks, f"{page.name} has no python block"
    monkeypatch.chdir(tmp_path)
    names = {"__name__": page.stem}
    for line, code in blocks:
        if ">>>" in code:
            said, count = failures(code, f"{page.name}, line {line}", names)
            assert count
            assert not said, said
        else:
            exec(compile("\n" * line + code, str(page), "exec"), names)
    assert any(getattr(value, "__name__", None) == "tempsoft" for value in names.values())


def function_named(name):
    return operator.attrgetter(name.partition(".")[2])(tempsoft)


def test_every_public_function_is_looked_at():
    assert {f"tempsoft.{name}" for name in (*implementations.FUNCTIONS, "set_workers")} <= set(FUNCTIONS)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstring(name):
    text = inspect.getdoc(function_named(name))
    said, count = failures(text, name, {})
    assert count, f"the docstring of {name} has no example"
    assert not said, said


@pytest.mark.parametrize("name", FUNCTIONS)
def test_docstrings_name_every_parameter(name):
    function = function_named(name)
    section = inspect.getdoc(function)
    for parameter in inspect.signature(function).parameters:
        assert re.search(rf"^\s*(\w+, )*{parameter}(, \w+)*( :|$)", section, re.MULTILINE), parameter


def test_wrong_examples_are_found():
    assert failures(">>> 1 + 1\n3\n", "planted", {})[0]
    assert failures(">>> import numpy as np\n>>> np.ones(2)\narray([1.,  1.])\n", "planted", {}) == ("", 2)
    assert python_blocks("a\n```python\nx\n```\n```sh\ny\n```\n") == [(2, "x\n")]
