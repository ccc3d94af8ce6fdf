"""What a measurement was made on: processor, instruction set in use, versions."""

from __future__ import annotations

import os
import pathlib
import platform
from collections.abc import Iterable

import tempsoft

from .implementations import Implementation


def cpu_model() -> str:
    """The processor's name and how many of them this machine has."""
    name = platform.processor() or platform.machine()
    information = pathlib.Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    return f"{name} ({platform.machine()}, {os.cpu_count()} CPUs)"


def isa() -> str:
    """The instruction set in use."""
    return str(tempsoft.capabilities()["isa"])


def versions(implementations: Iterable[Implementation]) -> dict[str, str]:
    """Versions of Python, of tempsoft and of what these implementations, all installed, are made of."""
    found = {"python": platform.python_version(), "tempsoft": tempsoft.__version__}
    for implementation in implementations:
        found.update(implementation.versions())
    return found
