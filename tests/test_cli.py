"""The command: its numbers are the library's, its errors are one line, and no run leaves half a file behind.

Most tests run the command in this process; those of streams, signals and imports give it a process of its own. What
the numbers ought to be is left to the tests of the library.
"""

from __future__ import annotations

import json
import os
import pickle
import re
import struct
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("rich")

from typer.testing import CliRunner

import tempsoft
from tempsoft.cli import app

DIGITS = Path(__file__).parents[1] / "examples" / "digits_logits.npy"
LARGEST_SEED = 2**64 - 1


def run(*words: object) -> Any:
    result = CliRunner().invoke(app, [str(word) for word in words], prog_name="tempsoft")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def succeed(*words: object) -> str:
    result = run(*words)
    assert result.exit_code == 0, result.output
    return str(result.output)


def refuse(*words: object) -> str:
    """The one line that a run is refused with."""
    result = run(*words)
    assert result.exit_code == 2, result.output
    (line,) = result.output.splitlines()
    assert line.startswith("tempsoft: ")
    return str(line)


def in_its_own_process(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *(str(word) for word in words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def saved(path: Path, array: Any) -> Path:
    np.save(path, array)
    return path


def names(directory: Path) -> list[str]:
    return sorted(os.listdir(directory))


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
    for verb in (["softmax"], ["sample", "--num-samples", 40, "--seed", LARGEST_SEED]):
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


# What cannot be read


def npy_of_header(header: str) -> bytes:
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + bytes(256)


UNREADABLE = {
    "empty": (b"", "not a .npy file"),
    "text": (b"0.1 0.2\n", "not a .npy file"),
    "archive": (b"PK\x03\x04", "not a .npy file; of an .npz archive"),
    "pickle": (pickle.dumps([0.1, 0.2]), "not a .npy file"),
    "cut header": (b"\x93NUMPY\x01\x00\x76", "not a .npy file of numbers that can be mapped"),
    "open header": (npy_of_header("{" * 99), "not a .npy file of numbers that can be mapped"),
    "negative shape": (
        npy_of_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-3, 10), }\n"),
        "not a .npy file of numbers that can be mapped",
    ),
    "cut data": (DIGITS.read_bytes()[:5000], "not a .npy file of numbers that can be mapped"),
}


@pytest.mark.parametrize("content", UNREADABLE)
@pytest.mark.parametrize("verb", ["softmax", "sample"])
def test_unreadable_input(tmp_path: Path, verb: str, content: str) -> None:
    source = tmp_path / "in.npy"
    source.write_bytes(UNREADABLE[content][0])
    assert refuse(verb, source).startswith(f"tempsoft: {source}: {UNREADABLE[content][1]}")
    assert refuse(verb, source, "-o", tmp_path / "out.npy") == refuse(verb, source)
    assert names(tmp_path) == ["in.npy"]


@pytest.mark.parametrize(
    ("array", "reason"),
    [
        (np.zeros((2, 3), "V2"), "its dtype is V2, to which .npy reduces bfloat16"),
        (np.zeros((2, 3), complex), "logits has dtype complex128"),
        (np.array(["a", "b"]), "logits has dtype <U1"),
        (np.zeros(3, [("x", "f4")]), "logits has dtype [('x', '<f4')]"),
        (np.float32(3), "logits has no axis of categories"),
    ],
)
@pytest.mark.parametrize("verb", ["softmax", "sample"])
def test_arrays_that_are_not_logits(tmp_path: Path, verb: str, array: Any, reason: str) -> None:
    source = saved(tmp_path / "in.npy", array)
    assert refuse(verb, source).startswith(f"tempsoft: {source}: {reason}")
    assert refuse(verb, source, "-o", tmp_path / "out.npy") == refuse(verb, source)
    assert names(tmp_path) == ["in.npy"]


def test_missing_input_directory_and_device(tmp_path: Path) -> None:
    assert refuse("softmax", tmp_path / "none.npy") == f"tempsoft: {tmp_path / 'none.npy'}: No such file or directory"
    assert refuse("softmax", tmp_path) == f"tempsoft: {tmp_path}: is a directory"
    assert refuse("softmax", os.devnull) == f"tempsoft: {os.devnull}: not a regular file"


class _Touch:
    """Something whose unpickling would create a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.path,)


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    source = saved(tmp_path / "in.npy", np.array([_Touch(mark)], object))
    assert "Python objects" in refuse("softmax", source)
    assert "Python objects" in refuse("sample", source, "-o", tmp_path / "out.npy")
    assert names(tmp_path) == ["in.npy"]
    np.load(source, allow_pickle=True)
    assert mark.exists()  # so this file would have done it


# What cannot be meant


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("softmax --temperature -1", "temperature must be >= 0 and not NaN, got -1.0"),
        ("softmax --temperature nan", "temperature must be >= 0 and not NaN, got nan"),
        ("softmax --axis 2", "axis 2 is out of bounds"),
        ("softmax --workers 0", "workers must be None, -1 or >= 1, got 0"),
        ("sample --temperature -1", "temperature must be >= 0 and not NaN, got -1.0"),
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


@pytest.mark.parametrize("words", ["", "softmax", "soften in.npy", "softmax in.npy --seed 1", "sample in.npy --seed x"])
def test_misuse_has_status_2(words: str) -> None:
    assert run(*words.split()).exit_code in ((0, 2) if words == "" else (2,))  # older typer: help is not an error


# What is written, and what is left behind


def test_bad_targets(tmp_path: Path) -> None:
    nowhere = tmp_path / "none" / "out.npy"
    assert refuse("softmax", DIGITS, "-o", nowhere).endswith(f"{nowhere}: there is no directory '{nowhere.parent}'")
    assert refuse("softmax", DIGITS, "-o", tmp_path).endswith(f"{tmp_path}: is a directory")
    assert names(tmp_path) == []


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="a pipe stands in for a device, which a failure would destroy")
def test_target_that_is_no_file(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert refuse("softmax", DIGITS, "-o", pipe) == f"tempsoft: {pipe}: not a regular file"
    assert names(tmp_path) == ["pipe"]
    assert pipe.is_fifo()


def test_target_may_be_the_input(tmp_path: Path) -> None:
    logits = np.load(DIGITS)
    both = saved(tmp_path / "both.npy", logits)
    succeed("softmax", both, "-o", both)
    np.testing.assert_array_equal(np.load(both), tempsoft.softmax(logits))
    assert names(tmp_path) == ["both.npy"]


@pytest.mark.skipif(os.name != "posix", reason="permission bits and symbolic links as POSIX has them")
def test_new_file_is_an_ordinary_one_and_links_stay(tmp_path: Path) -> None:
    target, link = tmp_path / "target.npy", tmp_path / "link.npy"
    link.symlink_to("target.npy")
    before = os.umask(0o027)
    try:
        succeed("softmax", DIGITS, "-o", link)
    finally:
        os.umask(before)
    assert link.is_symlink()
    assert not target.is_symlink()
    assert target.stat().st_mode & 0o777 == 0o640
    np.testing.assert_array_equal(np.load(target), tempsoft.softmax(np.load(DIGITS)))
    assert names(tmp_path) == ["link.npy", "target.npy"]


@pytest.mark.parametrize(("error", "status"), [(KeyboardInterrupt, 130), (MemoryError, 2), (OSError, 2)])
def test_failure_in_the_middle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: type[BaseException], status: int
) -> None:
    during: list[str] = []

    def begin_and_fail(logits: np.ndarray, *, out: np.ndarray, **options: Any) -> None:
        out[:5] = 0.5
        during.extend(names(tmp_path))
        raise error

    monkeypatch.setattr(tempsoft, "softmax", begin_and_fail)
    out = tmp_path / "out.npy"
    out.write_text("as it was")
    assert run("softmax", DIGITS, "-o", out).exit_code == status
    assert len(during) == 2  # the target and the temporary file
    assert names(tmp_path) == ["out.npy"]
    assert out.read_text() == "as it was"


@pytest.mark.skipif(sys.platform != "linux", reason="where the room for the output is taken before it is filled")
def test_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_room(descriptor: int, offset: int, size: int) -> None:
        assert offset == 0
        assert size == os.fstat(descriptor).st_size == DIGITS.stat().st_size
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "posix_fallocate", no_room)
    out = tmp_path / "out.npy"
    assert refuse("softmax", DIGITS, "-o", out) == f"tempsoft: {out}: No space left on device"
    assert names(tmp_path) == []


INTERRUPTED = """
import os, signal, sys, time, tempsoft
from tempsoft.__main__ import main

def begin_and_wait(logits, out, **options):
    out[:5] = 0.5
    print(os.listdir(sys.argv[-1].rpartition(os.sep)[0]), flush=True)
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(30)

signal.signal(signal.SIGINT, signal.default_int_handler)  # a test run in the background may have it ignored
tempsoft.softmax = begin_and_wait
main()
"""


@pytest.mark.skipif(os.name != "posix", reason="signals as POSIX has them")
def test_interrupt(tmp_path: Path) -> None:
    out = tmp_path / "out.npy"
    out.write_text("as it was")
    finished = in_its_own_process("-c", INTERRUPTED, "softmax", DIGITS, "-o", out)
    assert finished.returncode == 130
    assert finished.stderr == ""
    assert re.fullmatch(r"\['.*\.tempsoft-\w+\.tmp'.*\]\n", finished.stdout)
    assert names(tmp_path) == ["out.npy"]
    assert out.read_text() == "as it was"


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
