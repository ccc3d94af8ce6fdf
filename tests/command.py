"""Runs of the command, in this process or in one of their own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
from typer.testing import CliRunner

from tempsoft.cli import app

DIGITS = Path(__file__).parents[1] / "examples" / "digits_logits.npy"


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
