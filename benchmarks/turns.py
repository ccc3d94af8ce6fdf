"""Timing in turns: A B C A B C ..., so that whatever the machine does meets all alike, and ratios are those of
neighbours.

A timing is one call, or so many that they take 0.2 ms. Before each, threads that still spin after the call of the one
before are waited for, and calls that are not long are made once untimed, which wakes the processor and its caches.
"""

from __future__ import annotations

import contextlib
import gc
import itertools
import math
import os
import pathlib
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np

SHORTEST_TIMING = 0.0002  # seconds; faster calls are timed in loops of so long
LONG = 0.01  # seconds: the state of the machine before a longer call is no part of its time
SLOW = 0.2  # seconds: calls that get the fewest rounds
PAUSE = 0.001  # seconds
MOST_PAUSES = 50
THREADS = "/proc/self/task"

Run = Callable[[], Any]


class Effort(NamedTuple):
    """How often to time each: so many rounds as fit into `seconds`, within limits."""

    seconds: float
    most_rounds: int
    fewest_rounds: int
    rounds_of_slow: int
    seconds_of_once: float  # a call so long is timed once

    def rounds(self, estimate: float) -> int:
        """How many timings there are of a call that takes about so many seconds."""
        if estimate >= self.seconds_of_once:
            return 1
        fewest = self.rounds_of_slow if estimate >= SLOW else self.fewest_rounds
        duration = max(estimate, SHORTEST_TIMING) * (2 if estimate < LONG else 1) + 0.0012  # and a wait
        return min(max(int(self.seconds / duration), fewest), self.most_rounds)


FULL = Effort(seconds=1.2, most_rounds=40, fewest_rounds=5, rounds_of_slow=3, seconds_of_once=2.0)
QUICK = Effort(seconds=0.12, most_rounds=11, fewest_rounds=3, rounds_of_slow=1, seconds_of_once=0.1)


def seconds_of(run: Run, calls: int = 1) -> float:
    """Seconds a call."""
    started = time.perf_counter()
    for _ in itertools.repeat(None, calls):
        run()
    return (time.perf_counter() - started) / calls


def estimate(run: Run) -> float:
    """Seconds a call, of one that was called before: the first may have compiled something or met fresh memory."""
    second = seconds_of(run)
    return second if second > LONG else min(seconds_of(run) for _ in range(3))


def in_turns(runs: Mapping[str, Run], estimates: Mapping[str, float], effort: Effort) -> dict[str, np.ndarray]:
    """Seconds a call in each round, by name; NaN in rounds that one does not take part in. These are evenly spread. Of
    a call that is timed once, the estimate is that.
    """
    counts = {name: effort.rounds(estimates[name]) for name in runs}
    calls = {name: math.ceil(SHORTEST_TIMING / max(estimates[name], 1e-9)) for name in runs}
    rounds = max(counts.values())
    seconds = {name: np.full(rounds, np.nan) for name in runs}
    for name in runs:
        if counts[name] == 1:
            seconds[name][0], counts[name] = estimates[name], 0
    gc.collect()
    gc.disable()
    try:
        for number in range(rounds):
            for name, run in runs.items():
                if (number + 1) * counts[name] // rounds == number * counts[name] // rounds:
                    continue
                _wait_until_quiet()
                if estimates[name] < LONG:
                    run()
                seconds[name][number] = seconds_of(run, calls[name])
    finally:
        gc.enable()
    return seconds


def _wait_until_quiet() -> None:
    """Sleep until the threads of this process sleep as well: pools of OpenMP, onnxruntime and XLA spin for a while."""
    for _ in range(MOST_PAUSES):
        time.sleep(PAUSE)
        if not is_a_thread_running():
            return


def is_a_thread_running() -> bool:
    """Whether a thread of this process but the calling one is running, or waits for a CPU. The time that the process
    has used would not show it: that of a thread on another CPU is added up only every few milliseconds.
    """
    here = str(threading.get_native_id())
    try:
        others = [name for name in os.listdir(THREADS) if name != here]
    except OSError:  # not Linux
        return False
    for name in others:
        with contextlib.suppress(OSError):  # it has ended
            state = pathlib.Path(THREADS, name, "stat").read_bytes().rpartition(b")")[2].split()[0]
            if state == b"R":
                return True
    return False
