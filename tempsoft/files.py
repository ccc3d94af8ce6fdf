"""The files of the command: logits in, results out, and what is wrong with them in one line.

Promises: nothing in a file is unpickled; an output appears whole or not at all; a refusal is one line on stderr that
names the file or what else it is about, and exit status 2. Leaves the meaning of what a file holds to the library.
"""

from __future__ import annotations

import os
import secrets
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import typer
from numpy.typing import DTypeLike


@contextmanager
def refusing(subject: Path | str) -> Iterator[None]:
    """Turn what is wrong with a file or a value into one line that names the file, and exit status 2."""
    try:
        yield
    except (OSError, MemoryError, TypeError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        reason = reason.partition("; on_invalid=")[0]  # advice for callers in Python; the command has no such option
        typer.echo(f"tempsoft: {subject}: {' '.join(reason.split()) or 'out of memory'}", err=True)
        raise typer.Exit(2) from None


def read(path: Path) -> np.ndarray:
    """The array in a .npy file, memory-mapped, so that only what is looked at is read. Other formats join here."""
    refuse_special(path)
    with path.open("rb") as file:
        magic = file.read(len(np.lib.format.MAGIC_PREFIX))
    # numpy.load would take a zip for an archive of arrays, and everything else that is not .npy for a pickle.
    if magic != np.lib.format.MAGIC_PREFIX:
        raise ValueError(
            "not a .npy file" + ("; of an .npz archive, save one array alone" if magic[:2] == b"PK" else "")
        )
    try:
        array = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # a damaged header fails in NumPy as ValueError, OverflowError, TokenError, SyntaxError
        raise ValueError(f"not a .npy file of numbers that can be mapped: {error}") from None
    if array.dtype == np.dtype("V2"):
        raise TypeError("its dtype is V2, to which .npy reduces bfloat16; save it as float32, which loses nothing")
    return array


def write(path: Path, dtype: DTypeLike, shape: tuple[int, ...], fill: Callable[[np.ndarray], object]) -> None:
    """Make `path` the .npy file of an array that `fill` fills in place; until that is done, `path` is untouched."""
    # As with a shell's redirection, a symbolic link stays, and the file it points to is the one that changes.
    target = Path(os.path.realpath(path))
    temporary = target.with_name(f".tempsoft-{secrets.token_hex(8)}.tmp")
    with refusing(path):
        if not target.parent.is_dir():
            raise ValueError(f"there is no directory '{path.parent}'")
        if target.exists():
            refuse_special(target)
    try:
        with refusing(path):
            new = np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=shape)
            if sys.platform == "linux":  # or a disk that fills up would be a fatal signal in the middle of `fill`
                with temporary.open("r+b") as file:
                    os.posix_fallocate(file.fileno(), 0, temporary.stat().st_size)
        fill(new)
        del new  # a mapped file cannot be renamed on every system
        with refusing(path):
            os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    typer.echo(f"wrote {path}: {np.dtype(dtype)}, shape {shape}", err=True)


def refuse_special(path: Path) -> None:
    """Raise unless `path` is a regular file: mapping needs one, and a rename would put one in a device's place."""
    path.stat()
    if not path.is_file():
        raise ValueError("is a directory" if path.is_dir() else "not a regular file")
