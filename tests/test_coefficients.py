"""The polynomials in the tree are those that the checked-in script makes."""

from __future__ import annotations

import pathlib
import subprocess
import sys

import pytest

KERNEL = pathlib.Path(__file__).parents[1] / "tempsoft" / "kernel"


def test_coefficients():
    pytest.importorskip("mpmath")
    made = subprocess.run(
        [sys.executable, KERNEL / "coefficients.py"], check=True, capture_output=True, encoding="utf-8"
    ).stdout
    assert made == (KERNEL / "coefficients.h").read_text(encoding="utf-8")
    assert made.count("0x1.") > 30
