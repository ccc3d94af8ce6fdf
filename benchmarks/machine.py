"""What a measurement was made on: processor, instruction set in use, versions. No names of hosts, no paths."""

from __future__ import annotations

import os
import pathlib
import platform
import re
import time
from collections.abc import Iterable

import tempsoft

from .implementations import Implementation


def _cpu_information() -> dict[str, str]:
    """The first processor's lines of /proc/cpuinfo, where there is such a file."""
    file = pathlib.Path("/proc/cpuinfo")
    if not file.exists():
        return {}
    lines = file.read_text().partition("\n\n")[0].splitlines()
    return {name.strip(): value.strip() for name, _, value in (line.partition(":") for line in lines)}


def cpu_name() -> str:
    """The processor's name; with family and model where a virtual machine hides its number."""
    information = _cpu_information()
    name = information.get("model name") or platform.processor() or platform.machine()
    if not re.search(r"\d", name) and "model" in information:
        name += f" (family {information['cpu family']}, model {information['model']})"
    return name


def cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def cpu_model() -> str:
    """The processor's name and how many of them this process may use."""
    return f"{cpu_name()} ({platform.machine()}, {cpus()} CPUs)"


class Others:
    """How many CPUs others have taken since this was made: all that were busy, without this process."""

    def __init__(self) -> None:
        self._started, self._busy, self._own = time.perf_counter(), _busy_seconds(), time.process_time()

    def cpus(self) -> float | None:
        """Their mean number; None where the system does not say."""
        busy = _busy_seconds()
        if busy is None or self._busy is None:
            return None
        theirs = busy - self._busy - (time.process_time() - self._own)
        return max(0.0, theirs / (time.perf_counter() - self._started))


def _busy_seconds() -> float | None:
    """Seconds since boot that CPUs were not idle, stolen ones of a virtual machine among them."""
    file = pathlib.Path("/proc/stat")
    if not file.exists():
        return None
    user, nice, system, _idle, _waiting, *rest = map(int, file.read_text().splitlines()[0].split()[1:9])
    return (user + nice + system + sum(rest)) / os.sysconf("SC_CLK_TCK")


def isa() -> str:
    """The instruction set in use."""
    return str(tempsoft.capabilities()["isa"])


def slug() -> str:
    """Processor and instruction set, as a file name."""
    name = re.sub(r"\((R|TM)\)", "", cpu_name(), flags=re.IGNORECASE)
    return re.sub(r"[^a-z0-9]+", "-", f"{name} {isa()}".lower()).strip("-")


def versions(implementations: Iterable[Implementation]) -> dict[str, str]:
    """Versions of Python, of tempsoft and of what these implementations, all installed, are made of."""
    found = {"python": platform.python_version(), "tempsoft": tempsoft.__version__}
    for implementation in implementations:
        found.update(implementation.versions())
    return found
