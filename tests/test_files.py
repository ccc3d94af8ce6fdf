"""Files of the command: its errors are one line, and no run unpickles anything or leaves half a file behind.

Most tests run the command in this process; that of a signal gives it a process of its own.
"""

from __future__ import annotations

import os
import pickle
import re
import struct
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("typer")
pytest.importorskip("rich")

from command import DIGITS, in_its_own_process, names, refuse, run, saved, succeed

import tempsoft

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
