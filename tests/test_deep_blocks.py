"""Rows whose blocks lie far apart: what is left of the lower ones, in rows, columns and draws.

A block of 1024 categories is scaled by a power of two, its depth below the largest in bits. These rows have depths
around every limit of that: where probabilities become subnormal, where they vanish, and far beyond the range of an int.
"""

from __future__ import annotations

import numpy as np
import pytest

BLOCK = 1024
DEPTHS = [
    0.5,
    40,
    44.5,
    60,
    86,
    88,
    103,
    104.2,
    106,
    360,
    700,
    709,
    744,
    747,
    1e3,
    1.5e3,
    2e3,
    2.5e3,
    1e4,
    3e5,
    1e10,
    3e38,
]


def rows(depths, dtype, n=BLOCK + 76):
    """One row a depth: the first block that far below the rest."""
    x = np.zeros((len(depths), n), dtype)
    x[:, :BLOCK] = -np.array(depths)[:, None]
    return x


@pytest.mark.parametrize("temperature", [0.005, 1.0, 1e3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_columns_are_rows(compiled, dtype, temperature):
    x = np.repeat(rows(DEPTHS, dtype), 32, axis=0)  # a whole tile of each
    for function in (compiled.softmax, compiled.log_softmax):
        by_row = function(x, temperature)
        assert not np.isnan(by_row).any()
        by_column = function(np.ascontiguousarray(x.T), temperature, axis=0)
        assert by_column.T.tobytes() == by_row.tobytes()
    in_place = x.copy()
    compiled.softmax(in_place, temperature, out=in_place)
    assert in_place.tobytes() == compiled.softmax(x, temperature).tobytes()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_probabilities(compiled, dtype):
    x = rows(DEPTHS, dtype)
    got = compiled.softmax(x)[:, 0].astype(np.longdouble)
    depth = -x[:, 0].astype(np.longdouble)
    right = np.exp(-depth) / (BLOCK * np.exp(-depth) + 76)
    normal = right >= np.finfo(dtype).tiny
    assert normal.any()
    assert (~normal).any()
    assert (np.abs(got - right)[normal] <= 3 * np.spacing(right.astype(dtype))[normal]).all()
    assert (got[right < np.finfo(dtype).smallest_subnormal / 4] == 0).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("first", [90.0, 104.2, 745.2, 1e4])
def test_a_draw_passes_blocks_of_which_nothing_is_left(compiled, dtype, first):
    for middle in (-1e10, -3e38, -2e3, -110.0):
        x = np.zeros((1, 3 * BLOCK), dtype)
        x[0, :BLOCK] = -first
        x[0, BLOCK : 2 * BLOCK] = middle
        x[0, 2 * BLOCK + 1 :] = -np.inf
        probabilities = compiled.softmax(x)[0]
        for u in (0.0, 1e-300, 1e-40, 1e-17, 0.5, 1 - 2**-53):
            assert probabilities[compiled.sample(x, u=[u])[0]] > 0
        assert compiled.sample(x, u=[0.0])[0] == np.flatnonzero(probabilities)[0]


def test_a_declined_tile_does_not_change_its_neighbours(compiled):
    x = np.random.default_rng(1).normal(size=(200, 10)).astype(np.float32)
    x[::37, 3] = np.nan
    x[5, 2] = np.inf
    x[70, 1] = 1e30
    one_by_one = np.stack([compiled.softmax(row) for row in x])
    assert compiled.softmax(x).tobytes() == one_by_one.tobytes()


@pytest.mark.parametrize(("dtype", "bits"), [(np.float32, 15), (np.float64, 30)])
def test_the_limit_of_the_fast_formula(compiled, dtype, bits):
    """Around it, a row, a tile of rows and columns take the same of the two formulas."""
    numbers = np.random.default_rng(bits)
    for largest in np.log(2) * (2.0**bits + np.array([-2, -0.75, -0.5, -0.25, 0, 0.25, 2])):
        for sign in (1, -1):
            row = (sign * largest - 3 * np.abs(numbers.normal(size=17))).astype(dtype)
            tile = np.repeat(row[None], 32, axis=0)
            for function in (compiled.softmax, compiled.log_softmax):
                alone = function(row)
                assert (function(tile) == alone).all()
                assert (alone == function(np.ascontiguousarray(tile.T), axis=0).T).all()
