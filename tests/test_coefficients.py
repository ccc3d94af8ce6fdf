"""The constants in the tree are those that the checked-in script makes, and as good as their comments say."""

from __future__ import annotations

import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

KERNEL = pathlib.Path(__file__).parents[1] / "tempsoft" / "kernel"


def test_coefficients():
    pytest.importorskip("mpmath")
    made = subprocess.run(
        [sys.executable, KERNEL / "coefficients.py"], check=True, capture_output=True, encoding="utf-8"
    ).stdout
    assert made == (KERNEL / "coefficients.h").read_text(encoding="utf-8")
    assert made.count("0x1.") == 4 + 5 + 12 + 9


def test_powers_of_an_eighth():
    """They are 2^(j/8) to 2^-28 but for one factor, and adding 8 n + j at bit 20 makes them those of n + j / 8."""
    mpmath = pytest.importorskip("mpmath")
    header = (KERNEL / "coefficients.h").read_text(encoding="utf-8")
    entries = [int(bits, 16) for bits in re.findall(r"EACH\((0x[0-9a-f]{8})u\)", header)]
    assert len(entries) == 8
    for n in (-100, -1, 0, 3, 100):
        bits = np.array([(entry + ((8 * n + j) << 20)) % 2**32 for j, entry in enumerate(entries)], np.uint32)
        powers = [mpmath.mpf(float(power)) for power in bits.view(np.float32)]
        with mpmath.workdps(40):
            factors = [power / mpmath.mpf(2) ** (n + mpmath.mpf(j) / 8) for j, power in enumerate(powers)]
            assert 1 <= min(factors) <= max(factors) < 2
            assert max(factors) / min(factors) - 1 < 2 * mpmath.mpf(2) ** -28
