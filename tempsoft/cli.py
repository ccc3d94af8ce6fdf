"""The command `tempsoft`: softmax and draws on .npy files, ``tempsoft VERB IN [-o OUT]``.

Promises: the numbers are those of the library, in a preview too. Leaves every check of an argument and all arithmetic
on logits to the library, and files, with what is said of a bad file or value, to files.py.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

import tempsoft

from . import arguments
from ._version import __version__
from .files import read, refusing, write

ROWS_SHOWN = 10
PLACES = ("1st", "2nd", "3rd", "4th")
# With these, a line of six-digit categories fits 80 columns.
PLACES_BESIDE_DRAWS = 3
WIDTH_OF_DRAWS = 19

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)

# What verbs share, each defined once.
Input = Annotated[Path, typer.Argument(metavar="IN.npy", help="The logits, a .npy file.")]
Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="OUT.npy", help="Write all rows there; without it, show the first rows."),
]
Temperature = Annotated[float, typer.Option(help="Divides the logits, >= 0; 0 and inf are the limits.")]
TopK = Annotated[int | None, typer.Option(help="Keep the k largest logits; 0 and -1 keep all.", metavar="K")]
TopP = Annotated[
    float | None,
    typer.Option(help="Keep the fewest categories that add up to this probability, in [0, 1].", metavar="P"),
]
MinP = Annotated[
    float | None,
    typer.Option(help="Keep categories of at least this times the largest probability, in [0, 1].", metavar="P"),
]
TemperatureLast = Annotated[
    bool, typer.Option("--temperature-last", help="Filter at temperature 1, then apply the temperature.")
]
Axis = Annotated[int, typer.Option(help="The axis of the categories.")]
Workers = Annotated[
    int | None,
    typer.Option(help="Threads; -1 is every CPU this process may use.", show_default="TEMPSOFT_WORKERS, or 1"),
]


@app.command("softmax")
def softmax_of_file(
    source: Input,
    output: Output = None,
    temperature: Temperature = 1.0,
    top_k: TopK = None,
    top_p: TopP = None,
    min_p: MinP = None,
    temperature_last: TemperatureLast = False,
    axis: Axis = -1,
    workers: Workers = None,
) -> None:
    """Probabilities from logits, in the dtype of the logits."""
    knobs = knobs_of(temperature, top_k, top_p, min_p, temperature_last)

    def fill(new: np.ndarray) -> None:
        tempsoft.softmax(logits, **knobs, axis=axis, out=new, workers=workers)

    with refusing(source):
        logits = read(source)
        rows = arguments.rows(logits, axis=axis, **knobs)
        if output is not None:
            write(output, rows.dtype, logits.shape, fill)
            return
        first = first_rows(rows)
        probabilities = tempsoft.softmax(first, **knobs, workers=workers)
        kept = what_is_kept(rows, first, knobs)
    show(rows, probabilities, kept)


@app.command("sample")
def sample_of_file(
    source: Input,
    output: Output = None,
    temperature: Temperature = 1.0,
    top_k: TopK = None,
    top_p: TopP = None,
    min_p: MinP = None,
    temperature_last: TemperatureLast = False,
    num_samples: Annotated[int | None, typer.Option(help="Draws per row, on a new last axis.")] = None,
    without_replacement: Annotated[
        bool, typer.Option("--without-replacement", help="Draw no category of a row twice.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="In [0, 2**64); without it, a fresh one, which is shown.")] = None,
    axis: Axis = -1,
    workers: Workers = None,
) -> None:
    """Draws from logits: the category of each draw, as int64."""
    knobs = knobs_of(temperature, top_k, top_p, min_p, temperature_last)

    def draw(logits: np.ndarray, count: int | None, axis: int = -1) -> np.ndarray:
        options: dict[str, Any] = {"replace": not without_replacement, "rng": seed, "axis": axis, "workers": workers}
        return np.asarray(tempsoft.sample(logits, **knobs, num_samples=count, **options))

    with refusing(source):
        logits = read(source)
        rows = arguments.rows(logits, axis=axis, **knobs)
        count = arguments.number_of_samples(num_samples)
        seed = arguments.seed(seed)
        if output is not None:
            shape = rows.batch_shape if count is None else (*rows.batch_shape, count)
            write(output, np.int64, shape, lambda new: np.copyto(new, draw(logits, count, axis)))
            typer.echo(f"seed {seed}", err=True)
            return
        # Draw j of row i depends on (seed, i, j) and on its own row alone, so no other need be drawn, except to see
        # whether a row has as many categories as are wanted of it.
        fit = max(1, WIDTH_OF_DRAWS // len(f"{rows.n_categories - 1} "))
        wanted = 1 if count is None else count
        first = first_rows(rows)
        draws = draw(first, wanted if without_replacement else min(wanted, fit))[:, :fit]
        probabilities = tempsoft.softmax(first, **knobs, workers=workers)
        kept = what_is_kept(rows, first, knobs)
    more = " ..." if wanted > fit else ""
    show(rows, probabilities, kept, [" ".join(map(str, row)) + more for row in draws])
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


def knobs_of(
    temperature: float, top_k: int | None, top_p: float | None, min_p: float | None, temperature_last: bool
) -> dict[str, Any]:
    """What reshapes the distribution, by the names that the library has for it."""
    filters = {"top_k": top_k, "top_p": top_p, "min_p": min_p, "temperature_last": temperature_last}
    return {"temperature": temperature, **filters}


def first_rows(rows: arguments.Rows) -> np.ndarray:
    """The first rows in C order of the batch shape, as a 2-D array of their own."""
    first = [rows.logits[index] for index in islice(np.ndindex(rows.batch_shape), ROWS_SHOWN)]
    return np.array(first, rows.logits.dtype).reshape(len(first), rows.n_categories)


def what_is_kept(rows: arguments.Rows, first: np.ndarray, knobs: dict[str, Any]) -> list[str]:
    """Which filters are on, and how much they keep of the first rows; nothing where none is."""
    if rows.filters is None:
        return []
    top_k, top_p, min_p, last = rows.filters
    are_on = {f"top_k {top_k}": top_k != 0, f"top_p {top_p}": top_p != 1, f"min_p {min_p}": min_p != 0}
    filters = f"filters{' at temperature 1' * last}: {', '.join(text for text, is_on in are_on.items() if is_on)}"
    number, mass = tempsoft.support(first, **knobs)
    number, mass = number[number > 0], mass[number > 0]  # of the rows that have a distribution
    if not number.size:
        return [filters]
    numbers = span(str(number.min()), str(number.max()))
    masses = span(percent(float(mass.min())), percent(float(mass.max())))
    categories = "category" if number.max() == 1 else "categories"
    return [filters, f"kept in these rows: {numbers} {categories}, {masses} % of the probability"]


def show(rows: arguments.Rows, probabilities: np.ndarray, kept: Sequence[str], drawn: Sequence[str] = ()) -> None:
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
    for line in (f"{size}, {rows.logits.dtype}, temperature {rows.temperature}", *kept):
        console.print(line)
    if n_rows > len(probabilities):
        console.print(f"rows not shown: {n_rows - len(probabilities)} (-o OUT.npy writes all of them)")


def cell(category: int, probability: float) -> str:
    """A category and its probability; nothing for one that is never drawn."""
    if not probability > 0:
        return "" if probability == 0 else "NaN"
    return f"[bold]{category}[/] {percent(probability):>5} %"


def percent(probability: float) -> str:
    """A probability above 0 in percent, never rounded to none or all."""
    text = f"{100 * probability:.1f}"
    if text == "0.0":
        return "<0.1"
    return text if text != "100.0" else "100" if probability == 1 else ">99.9"


def span(least: str, most: str) -> str:
    return least if least == most else f"{least} to {most}"
