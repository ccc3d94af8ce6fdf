"""The guard of instruction counts judges as it says. Nothing here needs valgrind."""

from __future__ import annotations

import importlib
import json
import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(not (ROOT / "benchmarks").exists(), reason="this copy of the tree has no benchmarks")

MADE_WITH = {"compiler": "GCC 12.2", "numpy": "2.4.6"}
DIGITS, STEP = "softmax digits 2,000 x 10", "softmax language_model_step 10 x 16,384"


@pytest.fixture(scope="module")
def guard():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield importlib.import_module("benchmarks.guard")


@pytest.fixture
def run(guard, monkeypatch, tmp_path, capsys):
    """Runs the guard with these counts in place of measured ones: (exit status, output, errors)."""
    record = tmp_path / "counts.json"
    monkeypatch.setattr(guard, "RECORD", record)

    def document(counts, compiler="GCC 12.2"):
        return {"schema": guard.SCHEMA, "made_with": {**MADE_WITH, "compiler": compiler}, "instructions": counts}

    def runs(now, *options, recorded=None, compiler="GCC 12.2"):
        if recorded is not None:
            record.write_text(json.dumps(document(recorded)))
        monkeypatch.setattr(guard, "measure", lambda only: document(now, compiler))
        monkeypatch.setattr(sys, "argv", ["guard", *options])
        return guard.main(), *capsys.readouterr()

    return runs


@pytest.mark.parametrize(
    ("now", "status", "says"),
    [
        (100_000, 0, "all within 2%"),
        (102_000, 0, "all within 2%"),
        (102_001, 1, "1 of the calls need over 2% more instructions than recorded"),
        (98_000, 0, "all within 2%"),
        (97_999, 0, "1 of the calls need over 2% fewer than recorded; python -m benchmarks.guard --record"),
    ],
)
def test_two_per_cent(run, now, status, says):
    found, output, _ = run({DIGITS: now, STEP: 500}, recorded={DIGITS: 100_000, STEP: 500})
    assert found == status
    assert says in output
    assert ("MORE" in output, "fewer" in output) == (now > 102_000, now < 98_000)


def test_one_that_needs_less_does_not_hide_one_that_needs_more(run):
    status, output, _ = run({DIGITS: 50, STEP: 103}, recorded={DIGITS: 100, STEP: 100})
    assert status == 1
    assert "-50.00%  fewer" in output
    assert "+3.00%  MORE" in output


def test_a_call_without_a_record_is_an_error(run):
    status, output, _ = run({DIGITS: 100, STEP: 100}, recorded={DIGITS: 100})
    assert status == 1
    assert "1 of the calls have no record" in output


def test_a_record_without_a_call_is_said(run):
    status, output, _ = run({DIGITS: 100}, recorded={DIGITS: 100, STEP: 100})
    assert status == 0
    assert "1 of the calls are recorded and no longer called" in output


def test_what_is_left_out_is_not_missed(run):
    status, output, _ = run({DIGITS: 100}, "--only", "digits", recorded={DIGITS: 100, STEP: 100})
    assert status == 0
    assert STEP not in output
    assert "all within 2%" in output


@pytest.mark.parametrize(("now", "status"), [(100, 0), (103, 1)])
def test_another_compiler_is_said_and_compared(run, now, status):
    found, output, _ = run({DIGITS: now}, recorded={DIGITS: 100}, compiler="GCC 14.2")
    assert found == status
    assert "recorded with compiler GCC 12.2, here it is GCC 14.2" in output
    assert "numpy" not in output


def test_a_record_is_what_the_next_run_compares_with(run):
    assert run({DIGITS: 100})[0] == 2
    assert run({DIGITS: 100}, "--record")[0] == 0
    assert run({DIGITS: 100})[0] == 0
    assert run({DIGITS: 103})[0] == 1


def test_without_valgrind_the_status_is_2(guard, monkeypatch, capsys):
    monkeypatch.setattr(guard.shutil, "which", lambda name: None)
    monkeypatch.setattr(sys, "argv", ["guard", "--record"])
    assert guard.main() == 2
    assert "valgrind is not installed" in capsys.readouterr().err


@pytest.mark.parametrize("options", [["--record", "--only", "digits"], ["--only", "no such call"]])
def test_options_that_make_no_sense(run, options):
    with pytest.raises(SystemExit) as caught:
        run({DIGITS: 100}, *options)
    assert caught.value.code == 2


def test_every_call_has_its_record(guard):
    if not guard.RECORD.exists():
        pytest.skip("this copy of the tree has no record")
    names = [name for name, _, _ in guard.calls()]
    assert len(names) == len(set(names)) > 30
    assert list(guard.load()["instructions"]) == names


def test_the_compiler_is_that_of_the_extension(guard):
    if not sys.platform.startswith("linux"):
        pytest.skip("only there is its name in the file")
    assert guard.compiler().startswith(("GCC ", "clang version "))
