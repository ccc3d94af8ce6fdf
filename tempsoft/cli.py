"""The command `tempsoft`: softmax and draws on .npy files, ``tempsoft VERB IN [-o OUT]``.

Promises: the numbers are those of the library, in a preview too; nothing in a file is unpickled; an output appears
whole or not at all; a bad file or value is one line on stderr that names the file, and exit status 2. Leaves every
check of an argument and all arithmetic on logits to the library.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from numpy.typing import DTypeLike
from rich.console import Console
from rich.table import Table

import tempsoft

from . import arguments
from ._version import __version__

ROWS_SHOWN = 10
PLACES = ("1st", "2nd", "3rd", "4th")
# With these, a line of six-digit categories fits 80 columns.
PLACES_BESIDE_DRAWS = 3
WIDTH_OF_DRAWS = 19

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

# What verbs share, each defined once; the options of the filters belong here too.
Input = Annotated[Path, typer.Argument(metavar="IN.npy", help="The logits, a .npy file.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="OUT.npy", help="Write all rows there; without it, show the first rows."),
]
Temperature = Annotated[float, typer.Option(help="Divides the logits, >= 0; 0 and inf are the limits.")]
Axis = Annotated[int, typer.Option(help="The axis of the categories.")]
Workers = Annotated[
    int | None,
    typer.Option(help="Threads; -1 is every CPU this process may use.", show_default="TEMPSOFT_WORKERS, or 1"),
]


@app.command("softmax")
def softmax_of_file(
    source: Input, output: Output = None, temperature: Temperature = 1.0, axis: Axis = -1, workers: Workers = None
) -> None:
    """Probabilities from logits, in the dtype of the logits."""
    softmax = partial(tempsoft.softmax, temperature=temperature, workers=workers)
    with refusing(source):
        logits = read(source)
        rows = arguments.rows(logits, temperature, axis)
        if output is not None:
            write(output, rows.dtype, logits.shape, lambda new: softmax(logits, axis=axis, out=new))
            return
        probabilities = softmax(first_rows(rows))
    show(rows, probabilities)


@app.command("sample")
def sample_of_file(
    source: Input,
    output: Output = None,
    temperature: Temperature = 1.0,
    num_samples: Annotated[int | None, typer.Option(help="Draws per row, on a new last axis.")] = None,
    seed: Annotated[int | None, typer.Option(help="In [0, 2**64); without it, a fresh one, which is shown.")] = None,
    axis: Axis = -1,
    workers: Workers = None,
) -> None:
    """Draws from logits: the category of each draw, as int64."""
    with refusing(source):
        logits = read(source)
        rows = arguments.rows(logits, temperature, axis)
        count = arguments.number_of_samples(num_samples)
        seed = arguments.seed(seed)
        sample = partial(tempsoft.sample, temperature=temperature, rng=seed, workers=workers)
        if output is not None:
            shape = rows.batch_shape if count is None else (*rows.batch_shape, count)
            write(output, np.int64, shape, lambda new: np.copyto(new, sample(logits, num_samples=count, axis=axis)))
            typer.echo(f"seed {seed}", err=True)
            return
        # Draw j of row i depends on (seed, i, j) and on its own row alone, so no other need be drawn.
        fit = max(1, WIDTH_OF_DRAWS // len(f"{rows.n_categories - 1} "))
        first = first_rows(rows)
        draws = sample(first, num_samples=1 if count is None else min(count, fit))
        probabilities = tempsoft.softmax(first, temperature, workers=workers)
    more = " ..." if count is not None and count > fit else ""
    show(rows, probabilities, [" ".join(map(str, row)) + more for row in draws])
    typer.echo(f"seed {seed}")


@app.command()
def info(as_json: Annotated[bool, typer.Option("--json", help="As one JSON object.")] = False) -> None:
    """The version, the instruction sets and the number of workers."""
    with refusing("info"):
        facts = tempsoft.capabilities()
    if as_json:
        typer.echo(json.dumps(facts))
        return
    titles = {"isa": "instruction set", "isas": "supported here"}
    for name, value in facts.items():
        typer.echo(f"{titles.get(name, name):<17}{', '.join(value) if isinstance(value, tuple) else value}")


def show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tempsoft {__version__}")
        raise typer.Exit


@app.callback()
def tempsoft_command(
    version: Annotated[
        bool, typer.Option("--version", callback=show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Softmax with temperature, and draws from logits, on .npy files."""


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


def first_rows(rows: arguments.Rows) -> np.ndarray:
    """The first rows in C order of the batch shape, as a 2-D array of their own."""
    first = [rows.logits[index] for index in islice(np.ndindex(rows.batch_shape), ROWS_SHOWN)]
    return np.array(first, rows.logits.dtype).reshape(len(first), rows.n_categories)


def show(rows: arguments.Rows, probabilities: np.ndarray, drawn: Sequence[str] = ()) -> None:
    """Print the first rows as a table, the likeliest categories first, and under it what the whole file is."""
    places = PLACES[: PLACES_BESIDE_DRAWS if drawn else None][: rows.n_categories]
    table = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0))
    for title in ("row", *(["drawn"] if drawn else []), *places):
        table.add_column(title, justify="left" if title == "drawn" else "right", no_wrap=True)
    for number, row in enumerate(probabilities):
        best = np.argsort(-row, kind="stable")[: len(places)]
        table.add_row(str(number), *drawn[number : number + 1], *(cell(int(i), float(row[i])) for i in best))

    console = Console(highlight=False)
    if len(probabilities):
        console.print(table)
        console.print()
    n_rows = math.prod(rows.batch_shape)
    batch = f" of batch shape {rows.batch_shape}" if len(rows.batch_shape) > 1 else ""
    size = f"{n_rows} {'row' if n_rows == 1 else 'rows'}{batch} x {rows.n_categories} categories"
    console.print(f"{size}, {rows.logits.dtype}, temperature {rows.temperature}")
    if n_rows > len(probabilities):
        console.print(f"rows not shown: {n_rows - len(probabilities)} (-o OUT.npy writes all of them)")


def cell(category: int, probability: float) -> str:
    """A category and its probability; nothing for one that is never drawn."""
    if not probability > 0:
        return "" if probability == 0 else "NaN"
    percent = f"{100 * probability:.1f}"
    if percent == "0.0":
        percent = "<0.1"
    elif percent == "100.0":
        percent = "100" if probability == 1 else ">99.9"
    return f"[bold]{category}[/] {percent:>5} %"
