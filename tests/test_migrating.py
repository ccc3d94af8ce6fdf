"""docs/migrating.md: what it shows is tests/migration_pairs.py, and each of its lines is executed and compared.

Pairs of a library that is not installed are skipped; `make test-migration` installs those it can. Values agree within
16 units in the last place (of 1, for results near 0), as other libraries round x / t and add up in float32. Draws are
compared with the exact law by a G-test of false-alarm rate 1e-8, of at most 50 tests; one shows that it sees a bias.
"""

from __future__ import annotations

import ast
import importlib.util
import re
import warnings

import migration_facts
import migration_pairs
import numpy as np
import pytest
import scipy.stats
import test_docs

UNITS = 16
FALSE_ALARM = 1e-8
N_DRAWS = 30_000
MARKERS = ["the names", *migration_pairs.LIBRARIES]


def run(code, names):
    """The value of the expression that ends `code`."""
    *before, last = ast.parse(code).body
    exec(compile(ast.Module(before, []), code, "exec"), names)
    return eval(compile(ast.Expression(last.value), code, "eval"), names)


def softmax(logits):
    """The law of draws, in float64, by a formula that shares nothing with the library."""
    weights = np.exp(np.asarray(logits, np.float64))
    return weights / weights.sum()


def raises(kind, function, text=""):
    try:
        function()
    except kind as error:
        return text in str(error)
    return False


def warns(function):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        with np.errstate(all="warn"):
            function()
    return bool(caught)


@pytest.fixture
def names_of():
    """Makes the names that the lines of a library use; `rows` is how often the first row of x is repeated."""
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # the other libraries' own

        def make(library, **changes):
            for module in library.needs:
                pytest.importorskip(module)
            names = {"softmax": softmax, "raises": raises, "warns": warns}
            exec(migration_pairs.BASE, names)
            if rows := changes.pop("rows", 0):
                names.update({name: np.repeat(names[name][:1], rows, 0) for name in ("x", "w", "y")})
            names.update(changes)
            exec(library.setup, names)
            return names

        yield make


def parts(value):
    return [np.asarray(each) for each in value] if isinstance(value, tuple | list) else [np.asarray(value)]


def compare(got, right):
    """Equal integers; floats of one dtype and shape, close."""
    for one, other in zip(parts(got), parts(right), strict=True):
        assert one.shape == other.shape
        if other.dtype.kind == "i":
            assert one.dtype == np.int64
            assert np.array_equal(one, other)
        else:
            assert one.dtype == other.dtype
            eps = np.finfo(other.dtype).eps
            np.testing.assert_allclose(one, other, rtol=UNITS * eps, atol=UNITS / 8 * eps)


def kind_and_name(item):
    return (
        f"{item.library}: {item.old}" if isinstance(item, migration_pairs.Pair) else f"{item.library}: {item.text[:40]}"
    )


VALUES = [pair for pair in migration_pairs.PAIRS if not pair.draws]
DRAWS = [pair for pair in migration_pairs.PAIRS if pair.draws]


@pytest.mark.parametrize("pair", VALUES, ids=kind_and_name)
def test_values(pair, names_of):
    library = migration_pairs.LIBRARIES[pair.library]
    for seed in range(20) if "seed" in pair.old else (7,):
        old, new = (run(code, names_of(library, seed=seed)) for code in (pair.old, pair.new))
        compare(new, old)


def counts_of(draws, probabilities):
    """(how often each draw or sequence of different draws occurred, its probability)."""
    draws = draws.reshape(N_DRAWS, -1)
    n, length = len(probabilities), draws.shape[1]
    place = n ** np.arange(length)
    counts = np.bincount(draws @ place, minlength=n**length)
    sequences = np.arange(n**length)[:, None] // place % n
    law, left = np.ones(n**length), np.ones(n**length)
    for j in range(length):
        drawn = probabilities[sequences[:, j]]
        law *= np.where((sequences[:, :j] == sequences[:, j : j + 1]).any(axis=1), 0, drawn / left)
        left = np.maximum(left - drawn, 1e-300)
    return counts, law


def is_suspicious(counts, law):
    """By the G-test, rare outcomes together."""
    assert abs(law.sum() - 1) < 1e-9
    assert counts[law == 0].sum() == 0
    rare = law * N_DRAWS < 100
    counts = np.append(counts[~rare], counts[rare].sum())
    law = np.append(law[~rare], law[rare].sum())
    kept = law * N_DRAWS >= 25
    assert counts[~kept].sum() <= 100
    counts, law = counts[kept], law[kept] / law[kept].sum()
    assert counts.size > 1
    statistic = 2 * scipy.special.xlogy(counts, counts / (law * counts.sum())).sum()
    return statistic > scipy.stats.chi2.isf(FALSE_ALARM, counts.size - 1)


@pytest.mark.parametrize("pair", DRAWS, ids=kind_and_name)
def test_draws(pair, names_of):
    library = migration_pairs.LIBRARIES[pair.library]
    changes = {"rows": N_DRAWS} if pair.draws == "rows" else {"n": N_DRAWS} if pair.draws == "n" else {}
    names = names_of(library, **changes)
    probabilities = np.asarray(run(pair.law, names), np.float64)
    probabilities /= probabilities.sum()
    shapes = set()
    for code in (pair.old, pair.new):
        if pair.draws == "seeds":
            draws = np.array([run(code, names | {"seed": seed}) for seed in range(N_DRAWS)])
        else:
            draws = np.asarray(run(code, names)).astype(np.int64)
        shapes.add(draws.shape)
        counts, law = counts_of(draws, probabilities)
        assert not is_suspicious(counts, law), code
        biased = probabilities * np.where(np.arange(6) == probabilities.argmax(), 0.85, 1)
        assert is_suspicious(*counts_of(draws, biased / biased.sum())), "a bias of 15 % is not seen"
    assert len(shapes) == 1


@pytest.mark.parametrize("fact", migration_facts.FACTS, ids=kind_and_name)
def test_facts(fact, names_of):
    names = names_of(migration_pairs.LIBRARIES[fact.library])
    for check in fact.checks:
        assert run(check, names), check


def test_differences_are_seen():
    right = np.array([0.25, -3.0], np.float32)
    compare(right, right)
    compare((right, np.array([1])), (right, np.array([1], np.int32)))
    for wrong in (right * np.float32(1 + 3e-6), right.astype(float), right[:, None], -right):
        with pytest.raises(AssertionError):
            compare(wrong, right)
    with pytest.raises(AssertionError):
        compare(np.array([1, 2]), np.array([1, 3]))
    with pytest.raises(ValueError, match="longer"):
        compare((right,), (right, right))


# ---- the page -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def page():
    if not migration_pairs.PAGE.exists():
        pytest.skip("no docs/migrating.md in this copy")
    return migration_pairs.PAGE.read_text(encoding="utf-8")


def test_the_page_shows_what_is_executed(page):
    assert re.findall(r"<!-- pairs: ([^>]+) -->", page) == MARKERS
    assert {item.library for item in migration_pairs.PAIRS} == set(migration_pairs.LIBRARIES)
    assert migration_pairs.with_pairs(page) == page, "run python tests/migration_pairs.py"
    assert "|" not in "".join(pair.old + pair.new + pair.differs for pair in migration_pairs.PAIRS)


def modules_of(code):
    """The modules that Python code, or examples with prompts, import."""
    pattern = re.compile(r"^(?:>>> |\.\.\. )?\s*(?:import|from) (\w+)", re.MULTILINE)
    return set(pattern.findall(code))


def test_other_examples(page, names_of):
    """The blocks between the tables, those of libraries that are not here left out."""
    rest = re.sub(
        r"<!-- pairs: ([^>]+) -->.*?<!-- end -->", lambda match: "\n" * match[0].count("\n"), page, flags=re.DOTALL
    )
    names = names_of(migration_pairs.LIBRARIES["NumPy"])
    n_examples = 0
    for line, code in test_docs.python_blocks(rest):
        if any(importlib.util.find_spec(module) is None for module in modules_of(code)):
            continue
        n_examples += 1
        if ">>>" in code:
            said, count = test_docs.failures(code, f"migrating.md, line {line}", names)
            assert count
            assert not said, said
        else:
            exec(compile("\n" * line + code, "migrating.md", "exec"), names)
    assert n_examples
