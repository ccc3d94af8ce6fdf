"""The command: its numbers are the library's, and what it shows of them. Its files are the matter of test_files.py.

Most tests run the command in this process; those of streams and imports give it a process of its own. What the numbers
ought to be is left to the tests of the library.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("rich")

from command import DIGITS, in_its_own_process, names, refuse, run, saved, succeed

import tempsoft

LARGEST_SEED = 2**64 - 1


def reported_seed(output: str) -> int:
    (seed,) = re.findall(r"^seed (\d+)$", output, re.MULTILINE)
    return int(seed)


def table_of(output: str) -> list[tuple[int, list[int], list[tuple[int, str]]]]:
    """The row number, the draws, and the categories with their percentages, of every line of a preview's table."""
    pair = r"(\d+) {1,4}([<>]?[\d.]+) %"
    table = []
    for line in output.partition("\n\n")[0].splitlines()[1:]:
        number, *drawn = re.sub(pair, "", line).replace("...", "").split()
        table.append((int(number), [int(i) for i in drawn], [(int(i), text) for i, text in re.findall(pair, line)]))
    return table


# The options of the filters, and what the library calls them.
FILTERS: dict[str, dict[str, Any]] = {
    "--top-k 3": {"top_k": 3},
    "--top-p 0.9": {"top_p": 0.9},
    "--min-p 0.05": {"min_p": 0.05},
    "--top-k 5 --top-p 0.8 --temperature-last": {"top_k": 5, "top_p": 0.8, "temperature_last": True},
}


LAYOUTS = {
    "float16": lambda x: x.astype(np.float16),
    "float32": lambda x: x,
    "float64": lambda x: x.astype(np.float64),
    "integers": lambda x: np.round(x).astype(np.int8),
    "byte-swapped": lambda x: x.astype(">f4"),
    "Fortran order": np.asfortranarray,
    "one row": lambda x: x[8],
    "more batch axes": lambda x: x[:896].reshape(7, 8, 16, 10),
    "no rows": lambda x: x[:0],
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_softmax_writes_what_the_library_gives(tmp_path: Path, layout: str) -> None:
    logits = LAYOUTS[layout](np.load(DIGITS))
    out = tmp_path / "out.npy"
    succeed("softmax", saved(tmp_path / "in.npy", logits), "-o", out, "--temperature", 1.5, "--workers", 2)
    written = np.load(out, allow_pickle=False)
    expected = tempsoft.softmax(logits, 1.5)
    assert written.dtype == expected.dtype
    np.testing.assert_array_equal(written, expected)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("count", [None, 0, 3])
def test_sample_writes_what_the_library_gives(tmp_path: Path, layout: str, count: int | None) -> None:
    logits = LAYOUTS[layout](np.load(DIGITS))
    out = tmp_path / "out.npy"
    options = () if count is None else ("--num-samples", count)
    source = saved(tmp_path / "in.npy", logits)
    succeed("sample", source, "-o", out, "--temperature", 3, "--seed", LARGEST_SEED, "--workers", 2, *options)
    written = np.load(out, allow_pickle=False)
    assert written.dtype == np.int64
    expected = tempsoft.sample(logits, 3, num_samples=count, rng=LARGEST_SEED)
    np.testing.assert_array_equal(written, expected, strict=True)


@pytest.mark.parametrize("words", FILTERS)
def test_filters_are_those_of_the_library(tmp_path: Path, words: str) -> None:
    logits, out = np.load(DIGITS), tmp_path / "out.npy"
    softmax, sample = tempsoft.softmax(logits, 4), tempsoft.sample(logits, 4, rng=3)
    filtered = tempsoft.softmax(logits, 4, **FILTERS[words])
    assert (filtered != softmax).any()  # or an option that does nothing would pass
    succeed("softmax", DIGITS, "-o", out, "--temperature", 4, *words.split())
    np.testing.assert_array_equal(np.load(out), filtered)
    succeed("sample", DIGITS, "-o", out, "--temperature", 4, "--seed", 3, *words.split())
    draws = np.load(out)
    np.testing.assert_array_equal(draws, tempsoft.sample(logits, 4, rng=3, **FILTERS[words]))
    assert (draws != sample).any()


def test_draws_without_replacement(tmp_path: Path) -> None:
    logits, out = np.load(DIGITS), tmp_path / "out.npy"
    options = ("--temperature", 9, "--seed", 3, "--num-samples", 4)
    succeed("sample", DIGITS, "-o", out, "--without-replacement", *options)
    draws = np.load(out)
    np.testing.assert_array_equal(draws, tempsoft.sample(logits, 9, rng=3, num_samples=4, replace=False))
    assert (np.diff(np.sort(draws)) > 0).all()
    succeed("sample", DIGITS, "-o", out, *options)
    assert not (np.diff(np.sort(np.load(out))) > 0).all()


@pytest.mark.parametrize("axis", [0, 1, -2])
def test_axis_is_that_of_the_library(tmp_path: Path, axis: int) -> None:
    logits = np.load(DIGITS)[:60].reshape(5, 12, 10)
    source, out = saved(tmp_path / "in.npy", logits), tmp_path / "out.npy"
    succeed("softmax", source, "-o", out, "--axis", axis)
    np.testing.assert_array_equal(np.load(out), tempsoft.softmax(logits, axis=axis))
    succeed("sample", source, "-o", out, "--axis", axis, "--seed", 3, "--num-samples", 2)
    np.testing.assert_array_equal(np.load(out), tempsoft.sample(logits, axis=axis, rng=3, num_samples=2))


def test_the_reported_seed_repeats_the_run(tmp_path: Path) -> None:
    first, second, again = (tmp_path / name for name in ("first.npy", "second.npy", "again.npy"))
    seed = reported_seed(succeed("sample", DIGITS, "-o", first, "--temperature", 9))
    other_seed = reported_seed(succeed("sample", DIGITS, "-o", second, "--temperature", 9))
    assert reported_seed(succeed("sample", DIGITS, "-o", again, "--temperature", 9, "--seed", seed)) == seed
    assert first.read_bytes() == again.read_bytes()
    assert seed != other_seed
    assert first.read_bytes() != second.read_bytes()


@pytest.mark.parametrize("count", [None, 5, 500])
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_preview_is_the_beginning_of_the_output(tmp_path: Path, axis: int, count: int | None) -> None:
    logits = np.load(DIGITS)[:84].reshape(7, 12, 10)
    source = saved(tmp_path / "in.npy", logits)
    options = ["--axis", axis, "--temperature", 4]
    draw = ["--seed", 11, *(() if count is None else ("--num-samples", count))]
    shown = table_of(succeed("sample", source, *options, *draw))
    assert [number for number, _, _ in shown] == list(range(10))

    draws, probabilities = tmp_path / "draws.npy", tmp_path / "probabilities.npy"
    succeed("sample", source, *options, *draw, "-o", draws)
    succeed("softmax", source, *options, "-o", probabilities)
    by_row = np.load(draws).reshape(-1, count or 1)
    rows = np.moveaxis(np.load(probabilities), axis, -1).reshape(-1, logits.shape[axis])
    assert len({tuple(row) for row in by_row[:10]}) > 1  # or a preview of another row would pass
    for number, drawn, places in shown:
        assert 1 <= len(drawn) <= (count or 1)
        assert drawn == by_row[number, : len(drawn)].tolist()
        best = np.argsort(-rows[number], kind="stable")[:3]
        assert places == [(int(i), f"{100 * rows[number, i]:.1f}") for i in best]
    assert [(number, [], places[:3]) for number, _, places in table_of(succeed("softmax", source, *options))] == [
        (number, [], places) for number, _, places in shown
    ]


def test_preview_of_known_probabilities(tmp_path: Path) -> None:
    with np.errstate(divide="ignore"):
        rows = np.log([[1, 2, 7, 10], [4, 4, 4, 4], [0.0004, 0, 0, 1]])
    assert succeed("softmax", saved(tmp_path / "in.npy", rows)).splitlines() == [
        "row         1st         2nd         3rd         4th",
        "  0   3  50.0 %   2  35.0 %   1  10.0 %   0   5.0 %",
        "  1   0  25.0 %   1  25.0 %   2  25.0 %   3  25.0 %",
        "  2   3 >99.9 %   0  <0.1 %                        ",
        "",
        "3 rows x 4 categories, float64, temperature 1.0",
    ]


def test_preview_with_filters(tmp_path: Path) -> None:
    """What is kept alone is shown, renormalised, and how much of each row that is."""
    rows = np.log([[1, 2, 7, 10], [4, 4, 4, 4], [1, 16, 1, 2]])
    source = saved(tmp_path / "in.npy", rows)
    assert succeed("softmax", source, "--top-k", 3, "--top-p", 0.55).splitlines() == [
        "row         1st         2nd   3rd   4th",
        "  0   3  58.8 %   2  41.2 %            ",
        "  1   0  50.0 %   1  50.0 %            ",
        "  2   1   100 %                        ",
        "",
        "3 rows x 4 categories, float64, temperature 1.0",
        "filters: top_k 3, top_p 0.55",
        "kept in these rows: 1 to 2 categories, 50.0 to 85.0 % of the probability",
    ]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("--top-k 2", ["filters: top_k 2", "kept in these rows: 2 categories, 50.0 to 90.0 % of the probability"]),
        ("--top-k 1", ["filters: top_k 1", "kept in these rows: 1 category, 25.0 to 80.0 % of the probability"]),
        ("--min-p 0.05", ["filters: min_p 0.05", "kept in these rows: 4 categories, 100 % of the probability"]),
        (
            "--top-p 0.8 --min-p 0.1 --temperature-last --temperature 0",
            [
                "filters at temperature 1: top_p 0.8, min_p 0.1",
                "kept in these rows: 1 to 4 categories, 80.0 to 100 % of the probability",
            ],
        ),
        ("--top-k 0 --top-p 1 --min-p 0 --temperature-last", []),
        ("--top-k 4", []),
    ],
)
@pytest.mark.parametrize("verb", ["softmax", "sample"])
def test_what_filters_keep(tmp_path: Path, verb: str, words: str, expected: list[str]) -> None:
    source = saved(tmp_path / "in.npy", np.log([[4, 4, 4, 4], [1, 16, 1, 2]]))
    lines = succeed(verb, source, *words.split()).partition("\n\n")[2].splitlines()
    assert [line for line in lines[1:] if not line.startswith("seed")] == expected


def test_rows_without_a_distribution_keep_nothing(tmp_path: Path) -> None:
    rows = np.array([[0, np.nan], [-np.inf, -np.inf], [0, 0]], np.float32)
    some, none = saved(tmp_path / "some.npy", rows), saved(tmp_path / "none.npy", rows[:2])
    kept = "kept in these rows: 1 category, 50.0 % of the probability"
    assert succeed("softmax", some, "--top-k", 1).splitlines()[-2:] == ["filters: top_k 1", kept]
    assert succeed("softmax", none, "--top-k", 1).splitlines()[-1] == "filters: top_k 1"


@pytest.mark.parametrize("count", [1, 3, 12])
def test_preview_without_replacement(tmp_path: Path, count: int) -> None:
    logits = np.random.default_rng(5).normal(size=(20, 12))
    source, out = saved(tmp_path / "in.npy", logits), tmp_path / "out.npy"
    options = ("--num-samples", count, "--without-replacement", "--seed", 2)
    shown = table_of(succeed("sample", source, *options))
    succeed("sample", source, "-o", out, *options)
    for number, drawn, _ in shown:
        assert drawn == np.load(out)[number, : len(drawn)].tolist()
        assert len(drawn) == min(count, 6)  # of two digits, beside the table


def test_preview_of_odd_rows(tmp_path: Path) -> None:
    rows = np.array([[0, np.nan, 0], [-np.inf, -np.inf, -np.inf], [0, np.inf, 0]], np.float32)
    lines = succeed("softmax", saved(tmp_path / "in.npy", rows)).splitlines()
    assert [line.split() for line in lines[1:4]] == [["0", *["NaN"] * 3], ["1", *["NaN"] * 3], ["2", "1", "100", "%"]]


def test_preview_puts_the_lower_index_of_equals_first(tmp_path: Path) -> None:
    ((_, _, places),) = table_of(succeed("softmax", saved(tmp_path / "in.npy", np.arange(200) % 2)))
    assert [category for category, _ in places] == [1, 3, 5, 7]


@pytest.mark.parametrize(
    ("array", "summary"),
    [
        (np.zeros((12, 3), np.float16), "12 rows x 3 categories, float16, temperature 0.1\nrows not shown: 2 (-o OUT"),
        (np.zeros((2, 7, 3)), "14 rows of batch shape (2, 7) x 3 categories, float64, temperature 0.1\nrows not sh"),
        (np.zeros(3, int), "1 row x 3 categories, int64, temperature 0.1\n"),
        (np.zeros((0, 3)), "0 rows x 3 categories, float64, temperature 0.1\n"),
        (np.zeros((2, 0)), "2 rows x 0 categories, float64, temperature 0.1\n"),
    ],
)
def test_summary(tmp_path: Path, array: np.ndarray, summary: str) -> None:
    output = succeed("softmax", saved(tmp_path / "in.npy", array), "--temperature", 0.1)
    assert ("\n\n" in output) == (len(array) > 0)
    assert output.rpartition("\n\n")[2].startswith(summary)


def test_preview_looks_at_the_shown_rows_alone(tmp_path: Path) -> None:
    logits = np.load(DIGITS)
    logits[700, 3] = np.nan
    source = saved(tmp_path / "in.npy", logits)
    succeed("sample", source)
    assert "row 700" in refuse("sample", source, "-o", tmp_path / "out.npy")


def test_preview_fits_80_columns_and_is_plain_in_a_pipe(tmp_path: Path) -> None:
    logits = np.random.default_rng(5).normal(size=(20, 200_000)).astype(np.float32)
    source = saved(tmp_path / "in.npy", logits)
    filters = ["--top-k", 150_000, "--top-p", 0.9, "--min-p", 0.0001]
    for verb in (["softmax", *filters], ["sample", "--num-samples", 40, "--seed", LARGEST_SEED, *filters]):
        piped = in_its_own_process("-m", "tempsoft", *verb, source)
        assert piped.returncode == 0
        assert piped.stderr == ""
        assert "\x1b" not in piped.stdout
        lines = piped.stdout.splitlines()
        assert [line.split()[0] for line in lines[:11]] == ["row", *map(str, range(10))]
        assert max(len(line) for line in lines) <= 80
        assert "…" not in piped.stdout  # rich's mark of a cell that did not fit


def test_output_says_so_on_stderr_alone(tmp_path: Path) -> None:
    finished = in_its_own_process("-m", "tempsoft", "sample", DIGITS, "-o", tmp_path / "out.npy", "--seed", 4)
    assert finished.returncode == 0
    assert finished.stdout == ""
    assert finished.stderr == f"wrote {tmp_path / 'out.npy'}: int64, shape (899,)\nseed 4\n"
    assert names(tmp_path) == ["out.npy"]


# What cannot be meant


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("softmax --temperature -1", "temperature must be >= 0 and not NaN, got -1.0"),
        ("softmax --temperature nan", "temperature must be >= 0 and not NaN, got nan"),
        ("softmax --axis 2", "axis 2 is out of bounds"),
        ("softmax --workers 0", "workers must be None, -1 or >= 1, got 0"),
        ("sample --temperature -1", "temperature must be >= 0 and not NaN, got -1.0"),
        ("softmax --top-k -2", "top_k must be >= -1, got -2"),
        ("softmax --top-p 1.5", "top_p must be in [0, 1] and not NaN, got 1.5"),
        ("softmax --min-p nan", "min_p must be in [0, 1] and not NaN, got nan"),
        ("sample --top-k -2", "top_k must be >= -1, got -2"),
        ("sample --top-p -0.1", "top_p must be in [0, 1] and not NaN, got -0.1"),
        ("sample --min-p 2", "min_p must be in [0, 1] and not NaN, got 2.0"),
        ("sample --num-samples -1", "num_samples must be >= 0 or None, got -1"),
        ("sample --workers -2", "workers must be None, -1 or >= 1, got -2"),
        ("sample --seed -1", "seed must be in [0, 2**64), got -1"),
        (f"sample --seed {LARGEST_SEED + 1}", f"seed must be in [0, 2**64), got {LARGEST_SEED + 1}"),
    ],
)
def test_bad_values(tmp_path: Path, words: str, reason: str) -> None:
    verb, *options = words.split()
    line = refuse(verb, DIGITS, *options)
    assert line.startswith(f"tempsoft: {DIGITS}: ")
    assert reason in line
    assert refuse(verb, DIGITS, "-o", tmp_path / "out.npy", *options) == line
    assert names(tmp_path) == []


@pytest.mark.parametrize("value", [np.nan, -np.inf])
def test_rows_that_cannot_be_drawn_from(tmp_path: Path, value: float) -> None:
    rows = np.zeros((4, 3))
    rows[2] = value
    source, out = saved(tmp_path / "in.npy", rows), tmp_path / "out.npy"
    out.write_text("as it was")
    for options in ((), ("-o", out)):
        line = refuse("sample", source, *options)
        assert line.startswith(f"tempsoft: {source}: row 2 has no distribution to draw from: ")
        assert "on_invalid" not in line
    assert names(tmp_path) == ["in.npy", "out.npy"]
    assert out.read_text() == "as it was"


@pytest.mark.parametrize("count", [4, 7, 500])
def test_more_draws_than_categories(tmp_path: Path, count: int) -> None:
    """With 3 left in a row, a preview says so as well, although it would have room for some of the draws alone."""
    source = saved(tmp_path / "in.npy", np.zeros((4, 3)))
    options = ("--num-samples", count, "--without-replacement")
    line = refuse("sample", source, *options)
    assert line == f"tempsoft: {source}: row 0 has fewer drawable categories than num_samples, {count}"
    assert refuse("sample", source, "-o", tmp_path / "out.npy", *options) == line
    assert names(tmp_path) == ["in.npy"]


@pytest.mark.parametrize(
    "words",
    [
        "",
        "softmax",
        "softmax in.npy --top-k 2.5",
        "softmax in.npy --without-replacement",
        "soften in.npy",
        "softmax in.npy --seed 1",
        "sample in.npy --seed x",
    ],
)
def test_misuse_has_status_2(words: str) -> None:
    assert run(*words.split()).exit_code in ((0, 2) if words == "" else (2,))  # older typer: help is not an error


# The rest


def test_version() -> None:
    assert succeed("--version") == f"tempsoft {tempsoft.__version__}\n"


def test_info() -> None:
    facts = tempsoft.capabilities()
    assert json.loads(succeed("info", "--json")) == {**facts, "isas": list(facts["isas"])}
    lines = dict(re.split(r" {2,}", line) for line in succeed("info").splitlines())
    assert lines == {
        "version": facts["version"],
        "instruction set": facts["isa"],
        "supported here": ", ".join(facts["isas"]),
        "workers": str(facts["workers"]),
    }


def test_info_refuses_a_bad_number_of_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TEMPSOFT_WORKERS", "many")
    assert "TEMPSOFT_WORKERS must be -1 or >= 1, got 'many'" in refuse("info")


def test_library_does_not_import_the_command() -> None:
    check = "import sys, tempsoft; sys.exit(sorted({'typer', 'rich', 'click', 'tempsoft.cli'} & set(sys.modules)) or 0)"
    finished = in_its_own_process("-c", check)
    assert (finished.returncode, finished.stderr) == (0, "")


WITHOUT_A_MODULE = """
import runpy, sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name == sys.argv[1]:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Absent())
runpy.run_module("tempsoft", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("module", ["typer", "rich"])
def test_without_the_extra_one_line_says_what_to_install(module: str) -> None:
    finished = in_its_own_process("-c", WITHOUT_A_MODULE, module)
    assert finished.returncode == 1
    assert finished.stdout == ""
    (line,) = finished.stderr.splitlines()
    assert line.startswith(f"tempsoft: the command needs {module}")
    assert line.endswith('pip install "tempsoft[cli]"')


def test_another_missing_module_is_not_blamed_on_the_extra() -> None:
    finished = in_its_own_process("-c", WITHOUT_A_MODULE, "tempsoft.cli")
    assert "No module named 'tempsoft.cli'" in finished.stderr
    assert "pip install" not in finished.stderr
