"""The benchmarks check before they time, keep what they say they keep, and run where no rival is installed. No test
looks at how long anything took.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import json
import pathlib
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

import tempsoft

ROOT = pathlib.Path(__file__).parents[1]

pytestmark = pytest.mark.skipif(not (ROOT / "benchmarks").exists(), reason="this copy of the tree has no benchmarks")


@pytest.fixture(autouse=True, scope="module")
def importable():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(ROOT))
        yield


def module(name):
    return importlib.import_module(f"benchmarks.{name}")


def run(*words, cwd=ROOT):
    command = [sys.executable, "-m", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False, cwd=cwd)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """What a run on a small input prints, and the folder of its files."""
    folder = tmp_path_factory.mktemp("benchmarks")
    np.save(folder / "logits.npy", np.linspace(-2, 2, 15, dtype=np.float32).reshape(3, 5))
    options = ["--input", folder / "logits.npy", "--against", "numpy_expression", "scipy", "--output", folder / "out"]
    done = run("benchmarks", "--quick", "--threads", 2, *options)
    assert done.returncode == 0, done.stderr
    return done.stdout, folder / "out"


def test_a_run_writes_its_files(written):
    text, folder = written
    has_chart = importlib.util.find_spec("matplotlib") is not None
    endings = [".json", ".md", ".svg"] if has_chart else [".json", ".md"]
    assert sorted(file.suffix for file in folder.iterdir()) == endings
    assert has_chart or "no chart: matplotlib is not installed" in text


def test_the_file_has_its_schema(written):
    (file,) = written[1].glob("*.json")
    found = module("results").load(file)
    keys = {"schema", "date", "machine", "versions", "not_installed", "settings", "rows"}
    assert set(found) == keys
    assert [(row["function"], row["threads"]) for row in found["rows"]] == [
        (function, threads) for threads in (1, 2) for function in ("softmax", "logsumexp", "sample")
    ]
    row = found["rows"][0]
    described = (ROOT / "benchmarks" / "README.md").read_text()
    inner = {*row["results"]["tempsoft"], *row["results"]["tempsoft"]["seconds"], *found["machine"], *found["settings"]}
    for key in keys | set(row) | inner:
        assert f"`{key}`" in described, key
    assert row["shape"] == [3, 5]
    assert row["results"]["tempsoft"]["error_ulp"] < 4
    assert row["results"]["tempsoft"]["times_tempsoft"]["median"] == 1


def test_another_schema_is_refused(tmp_path):
    file = tmp_path / "other.json"
    file.write_text(json.dumps({"schema": "tempsoft-benchmarks/0", "rows": []}))
    with pytest.raises(ValueError, match="not of the schema"):
        module("results").load(file)


def test_a_run_beside_itself_has_not_changed(written):
    (file,) = written[1].glob("*.json")
    found = module("results").load(file)
    changes = module("results").changes(found["rows"], found)
    assert [change for _, change, _ in changes] == [1.0] * 6


def test_the_report_goes_between_its_comments(written, tmp_path):
    report, (file,) = module("report"), written[1].glob("*.json")
    document = tmp_path / "README.md"
    document.write_text(f"before\n{report.BEGIN}\n{report.END}\nafter\n")
    texts = []
    for _ in range(2):
        done = run("benchmarks.report", file, "--into", document)
        assert done.returncode == 0, done.stderr
        texts.append(document.read_text())
    assert texts[0] == texts[1]
    assert texts[0].startswith(f"before\n{report.BEGIN}\n")
    assert texts[0].endswith(f"{report.END}\nafter\n")
    assert "| softmax input 3 x 5 | 1 |" in texts[0]
    with pytest.raises(ValueError, match="the document must have"):
        report.insert("no comments", "text")


def test_what_is_not_a_run_is_refused(tmp_path):
    np.save(tmp_path / "nan.npy", np.array([[0.0, np.nan]]))
    done = run("benchmarks", "--input", tmp_path / "nan.npy")
    assert done.returncode == 2
    assert "a row of the logits has NaN" in done.stderr
    done = run("benchmarks", "--baseline", "--quick")
    assert done.returncode == 2
    assert "a baseline is a full run" in done.stderr


def rival(name, run):
    """An implementation of one function, that returns run(case)."""
    implementations = module("implementations")

    class Rival(implementations.Implementation):
        def does(self, function, case):
            return True

        def versions(self):
            return {}

        def task(self, function, case, threads=1):
            return implementations.Task(lambda: run(case))

    made = Rival()
    made.name = name
    return made


def measured(function, case, *rivals):
    runner, tempsoft = module("runner"), module("implementations").TEMPSOFT
    return runner.measure(function, case, 1, module("turns").QUICK, (tempsoft, *rivals))


def softmax(x):
    weights = np.exp(x - x.max(-1, keepdims=True))
    return weights / weights.sum(-1, keepdims=True)


def test_a_wrong_rival_is_not_timed():
    cases = module("cases")
    case = cases.Case(name="small", shape=(20, 30), functions=(cases.SOFTMAX,))
    rivals = {
        "right": lambda case: softmax(case.logits()),
        "a little off": lambda case: softmax(case.logits()) * np.float32(1.001),
        "one value off": lambda case: softmax(case.logits()) + np.eye(20, 30, dtype=np.float32) * 1e-3,
        "not a number": lambda case: softmax(case.logits()) * np.float32(np.nan),
        "another shape": lambda case: softmax(case.logits())[:10],
        "fails": lambda case: softmax(None),
    }
    row = measured(cases.SOFTMAX, case, *(rival(name, run) for name, run in rivals.items()))
    assert set(row["results"]) == {"tempsoft", "right"}
    assert {name: reason.partition(":")[0] for name, reason in row["left_out"].items()} == {
        "a little off": "wrong", "one value off": "wrong", "not a number": "wrong", "another shape": "wrong",
        "fails": "failed",
    }  # fmt: skip


def test_a_wrong_support_is_not_timed():
    cases = module("cases")
    case = cases.Case(name="small", shape=(300, 10), functions=(cases.SUPPORT,), filters=(("top_p", 0.9),))

    def right(case):
        return np.array(tempsoft.reference.support(case.logits().astype(float), top_p=0.9))

    rivals = [
        rival("right", right),
        rival("one more of each", lambda case: right(case) + np.array([[1], [0]])),
        rival("more of one", lambda case: right(case) + np.array([np.arange(300) == 7, np.zeros(300)])),
        rival("less mass", lambda case: right(case) * np.array([[1], [0.99]])),
        rival("another shape", lambda case: right(case)[:, :10]),
    ]
    row = measured(cases.SUPPORT, case, *rivals)
    assert set(row["results"]) == {"tempsoft", "right"}
    assert all(reason.startswith("wrong: ") for reason in row["left_out"].values())


def test_wrong_draws_are_not_timed():
    cases, rng = module("cases"), np.random.default_rng(1)
    case = cases.Case(name="small", shape=(300, 4), functions=(cases.SAMPLE,))
    cold = 2.0  # a temperature that is not the case's

    def inverted(case, temperature=1.0):
        cumulative = np.cumsum(softmax(case.logits() / temperature), axis=-1)
        return (cumulative > rng.random((case.n_rows, 1)) * cumulative[:, -1:]).argmax(axis=-1)

    rivals = [
        rival("right", inverted),
        rival("always the largest", lambda case: case.logits().argmax(axis=-1)),
        rival("uniform", lambda case: rng.integers(4, size=300)),
        rival("another temperature", lambda case: inverted(case, cold)),
        rival("out of range", lambda case: np.full(300, 4)),
    ]
    row = measured(cases.SAMPLE, case, *rivals)
    assert set(row["results"]) == {"tempsoft", "right"}
    assert all(reason.startswith("wrong: ") for reason in row["left_out"].values())


def test_wrong_draws_without_replacement_are_not_timed():
    cases, rng = module("cases"), np.random.default_rng(1)
    case = cases.Case(name="small", shape=(300, 4), functions=(cases.SAMPLE,), num_samples=2, replace=False)

    def by_noise(case, temperature=1.0):
        return np.argsort(-(case.logits() / temperature + rng.gumbel(size=case.shape)), axis=-1)[:, :2]

    rivals = [
        rival("right", by_noise),
        rival("twice the same", lambda case: by_noise(case)[:, [0, 0]]),
        rival("in another order", lambda case: by_noise(case)[:, ::-1]),
        rival("another temperature", lambda case: by_noise(case, 2.0)),
    ]
    row = measured(cases.SAMPLE, case, *rivals)
    assert set(row["results"]) == {"tempsoft", "right"}
    assert all(reason.startswith("wrong: ") for reason in row["left_out"].values())


def test_a_wrong_tempsoft_ends_the_run(monkeypatch):
    implementations, cases = module("implementations"), module("cases")
    monkeypatch.setattr(implementations.TEMPSOFT, "ulps", -1.0)
    with pytest.raises(implementations.WrongResultError):
        measured(cases.SOFTMAX, cases.Case(name="small", shape=(3, 4), functions=(cases.SOFTMAX,)))


def test_what_is_not_installed_is_named():
    cases, absent = module("cases"), rival("absent", None)
    absent.packages = ("no_such_package",)
    row = measured(cases.SOFTMAX, cases.Case(name="small", shape=(3, 4), functions=(cases.SOFTMAX,)), absent)
    assert row["left_out"] == {"absent": "not installed: no_such_package"}


def test_targets_name_what_there_is():
    targets, cases, table = module("targets"), module("cases"), module("table")
    for target in targets.TARGETS:
        case = cases.BY_NAME[target.case]
        assert target.function in case.functions
        assert case.shared or not target.shared
        for name in {target.ours, target.other} - {targets.EVERY_PEER}:
            assert table.BY_NAME[name].does(target.function, case), target


def test_ceilings_move_every_byte():
    ceilings, cases = module("ceilings"), module("cases")
    if ceilings.library() is None:
        pytest.skip("no C compiler")
    for shape, threads in (((3, 5), 1), ((3, 5), 2), ((7, 333), 3), ((1 << 16,), 2)):
        case = cases.Case(name="small", shape=shape, functions=(cases.SOFTMAX,))
        for ceiling in (ceilings.ReadOnly(), ceilings.CopyNontemporal(), ceilings.NumpyCopyto()):
            case.output().fill(np.nan)
            task = ceiling.task(cases.SOFTMAX, case, threads)
            result = task.run()
            task.own_check(result)
            with pytest.raises(module("implementations").WrongResultError):
                task.own_check(result[:0] or [0] if isinstance(result, list) else result + 1)


@pytest.mark.skipif(not pathlib.Path("/proc/self/task").exists(), reason="no list of threads")
def test_a_thread_that_spins_is_seen():
    """As is that it no longer does: timings wait for it."""
    turns = module("turns")
    thread = threading.Thread(target=hashlib.pbkdf2_hmac, args=("sha256", b"", b"", 10**6))
    thread.start()
    while thread.is_alive() and not turns.is_a_thread_running():
        time.sleep(0.001)
    assert thread.is_alive()
    thread.join()
    for _ in range(1000):
        if not turns.is_a_thread_running():
            return
        time.sleep(0.01)
    pytest.fail("a thread is still running")
