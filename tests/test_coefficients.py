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
    assert made.count("0x1.") == 4 + 5 + 12 + 9 + 7 + 6


HEADER = (KERNEL / "coefficients.h").read_text(encoding="utf-8")


def of_macro(name, pattern):
    """What the macro of eight has."""
    (body,) = re.findall(rf"#define {name}\(EACH\)((?:.*\\\n)*.*)\n", HEADER)
    found = re.findall(pattern, body)
    assert len(found) == 8
    return found


def patterns_of(name):
    return [int(bits, 16) for bits in of_macro(name, r"EACH\((0x[0-9a-f]{8})u\)")]


def test_powers_of_an_eighth():
    """They are 2^(j/8) to 2^-28 but for one factor, and adding 8 n + j at bit 20 makes them those of n + j / 8."""
    mpmath = pytest.importorskip("mpmath")
    entries = patterns_of("EXP2_EIGHTHS")
    for n in (-100, -1, 0, 3, 100):
        bits = np.array([(entry + ((8 * n + j) << 20)) % 2**32 for j, entry in enumerate(entries)], np.uint32)
        powers = [mpmath.mpf(float(power)) for power in bits.view(np.float32)]
        with mpmath.workdps(40):
            factors = [power / mpmath.mpf(2) ** (n + mpmath.mpf(j) / 8) for j, power in enumerate(powers)]
            assert 1 <= min(factors) <= max(factors) < 2
            assert max(factors) / min(factors) - 1 < 2 * mpmath.mpf(2) ** -28


def test_logarithms_by_table():
    """A logarithm is log(1 + r) - log c, as log.h takes it: r is small, 0 for s = 1, and c = 1 up to 9/8."""
    mpmath = pytest.importorskip("mpmath")
    inverses = patterns_of("LOG_INVERSES")
    logs = [float.fromhex(text) for text in of_macro("LOG_EIGHTHS", r"EACH\((\S+)f\)")]
    (body,) = re.findall(r"LOG_F32\[6\] = \{([^}]*)\}", HEADER)
    coefficients = [float.fromhex(text.strip()) for text in body.split(",")[:6]]
    rng = np.random.default_rng(0)
    edges = np.float32(1 + np.arange(9) / 8)
    tried = np.concatenate([np.exp2(rng.uniform(0, 64, 300)), 1 + 2.0 ** -rng.uniform(1, 52, 100), edges])
    tried = np.concatenate([tried, np.nextafter(edges, np.float32(0))]).astype(np.float64)
    for s in [*tried, *(tried * (1 + 2.0**-25))]:
        bits = np.float32(s).view(np.int32)
        k = int((np.int32(0x3F8FFFFF) - bits) >> 20)
        c = float(np.array((inverses[k & 7] + (k << 20)) % 2**32, np.uint32).view(np.float32))
        with mpmath.workdps(40):
            r = mpmath.mpf(s) * c - 1
            assert -1 / 512 < r < 1 / 8 + 2.0**-20
            polynomial = sum(mpmath.mpf(a) * r**i for i, a in enumerate(coefficients))
            found = r * polynomial + logs[k & 7] - k * mpmath.log(2) / 8
            exact = mpmath.log(s)
            assert abs(found - exact) <= 2.0**-34.8
            if 1 <= s < 9 / 8:
                assert abs(found - exact) <= 2.0**-32 * exact
