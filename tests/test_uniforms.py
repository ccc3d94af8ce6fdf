"""The uniform numbers of draws are NumPy's Philox streams, bit for bit: column j has the key (seed, j)."""

from __future__ import annotations

import implementations
import numpy as np
import pytest

SEEDS = [0, 1, 20261101, 2**63 - 1, 2**63, 2**63 + 1, 2**64 - 1]


def by_numpy(seed, rows, columns, first_row=0):
    """The contract's formula, with the rows before first_row skipped four at a time."""
    result = np.empty((rows, columns))
    for j in range(columns):
        stream = np.random.Philox(key=np.array([seed, j], dtype=np.uint64))
        stream.advance(first_row // 4)
        result[:, j] = np.random.Generator(stream).random(first_row % 4 + rows)[first_row % 4 :]
    return result


def test_skipping_rows_is_what_the_contract_says():
    for first_row in (0, 1, 3, 4, 7, 101):
        stream = np.random.Philox(key=np.array([5, 2], dtype=np.uint64))
        right = np.random.Generator(stream).random(first_row + 9)[first_row:]
        assert by_numpy(5, 9, 3, first_row)[:, 2].tolist() == right.tolist()


@pytest.mark.parametrize("seed", SEEDS)
def test_streams(implementation, seed):
    for rows, columns in ((1, 1), (3, 1), (4, 2), (5, 3), (64, 7), (1001, 5), (17, 64), (2, 1025)):
        got = implementation.uniforms(seed, rows, columns)
        assert type(got) is np.ndarray
        assert got.dtype == np.float64
        assert got.flags.c_contiguous
        assert got.shape == (rows, columns)
        assert got.tobytes() == by_numpy(seed, rows, columns).tobytes()


def test_one_column_is_the_default(implementation):
    assert implementation.uniforms(3, 6).tolist() == by_numpy(3, 6, 1).tolist()


@pytest.mark.parametrize("first_row", [*range(10), 63, 64, 1000, 123457])
def test_first_row(implementation, first_row):
    for rows in (1, 2, 3, 4, 5, 8, 21):
        got = implementation.uniforms(9, rows, 3, first_row=first_row)
        assert got.tobytes() == by_numpy(9, rows, 3, first_row).tobytes()


@pytest.mark.parametrize("first_row", [2**31 - 2, 2**32 - 1, 2**32 + 3, 2**40 + 1, 2**53 + 1, 2**62, 2**63 - 10])
def test_first_row_far_away(compiled, first_row):
    """Where making the rows before is out of the question; the last are the last there are."""
    got = compiled.uniforms(2**63 + 5, 9, 3, first_row=first_row)
    assert got.tobytes() == by_numpy(2**63 + 5, 9, 3, first_row).tobytes()


@pytest.mark.parametrize("seed", [0, 2**32 - 1, 2**63 + 5, 2**64 - 1])
def test_enough_for_lanes(compiled, seed):
    """Numbers that are made many at once, of one stream or of many: from anywhere in a counter, with and without some
    that are left over, and as far away as there are any."""
    shapes = [(rows, 1) for rows in (28, 29, 32, 33, 36, 61, 64, 65, 131)]
    shapes += [(1, 8), (1, 9), (2, 33), (4, 16), (5, 17), (9, 31), (67, 2), (129, 3), (70, 15), (66, 16), (130, 40)]
    for first_row in (0, 1, 2, 3, 123457, 2**34 - 50, 2**63 - 132):
        for rows, columns in shapes:
            got = compiled.uniforms(seed, rows, columns, first_row=first_row)
            assert got.tobytes() == by_numpy(seed, rows, columns, first_row).tobytes()


def test_many(compiled):
    """Words of all kinds: in lanes their products are put together from those of halves."""
    got = compiled.uniforms(20261129, 1 << 22)
    assert got.tobytes() == by_numpy(20261129, 1 << 22, 1).tobytes()


@pytest.mark.parametrize(("rows", "columns"), [(0, 1), (0, 0), (5, 0), (0, 9), (2**40, 0)])
def test_nothing(implementation, rows, columns):
    for first_row in (0, 7):
        got = implementation.uniforms(1, rows, columns, first_row=first_row)
        assert got.shape == (rows, columns)
        assert got.dtype == np.float64


def test_integers_of_any_kind(implementation):
    right = implementation.uniforms(7, 3, 2, first_row=1).tolist()
    for kind in (np.int8, np.uint64, np.int64, np.array):
        assert implementation.uniforms(kind(7), kind(3), kind(2), first_row=kind(1)).tolist() == right
    assert implementation.uniforms(np.uint64(2**64 - 1), 3).tolist() == by_numpy(2**64 - 1, 3, 1).tolist()


BIT_GENERATORS = [np.random.PCG64, np.random.PCG64DXSM, np.random.MT19937, np.random.Philox, np.random.SFC64]


@pytest.mark.parametrize("kind", BIT_GENERATORS, ids=lambda kind: kind.__name__)
def test_generators_advance(implementation, kind):
    """A Generator, or a BitGenerator wrapped in one, gives integers(0, 2**64) as the seed, each time the next."""
    twin = np.random.Generator(kind(42))
    seeds = [int(twin.integers(0, 2**64, dtype=np.uint64)) for _ in range(3)]
    assert len(set(seeds)) == 3
    for rng in (np.random.Generator(kind(42)), kind(42)):
        for seed in seeds:
            assert implementation.uniforms(rng, 4, 2).tolist() == by_numpy(seed, 4, 2).tolist()
    # What the generator gives next is what its twin gives next: exactly three numbers were taken.
    generator = np.random.Generator(kind(42))
    for _ in range(3):
        implementation.uniforms(generator, 1000, 3)
    assert generator.integers(0, 2**64, dtype=np.uint64) == twin.integers(0, 2**64, dtype=np.uint64)


def test_seed_sequences_do_not_advance(implementation):
    sequence = np.random.SeedSequence(2026)
    seed = int(np.random.SeedSequence(2026).generate_state(1, np.uint64)[0])
    for _ in range(2):
        assert implementation.uniforms(sequence, 4, 2).tolist() == by_numpy(seed, 4, 2).tolist()
    child = np.random.SeedSequence(2026).spawn(1)[0]
    assert implementation.uniforms(child, 4, 2).tolist() != by_numpy(seed, 4, 2).tolist()
    assert sequence.n_children_spawned == 0


def test_none_is_fresh_each_time(implementation):
    """Two seeds of 64 random bits are equal once in 2**64 runs."""
    assert implementation.uniforms(None, 4).tolist() != implementation.uniforms(None, 4).tolist()


def test_the_global_state_of_numpy_is_left_alone(implementation):
    def state():
        kind, keys, *rest = np.random.get_state()  # noqa: NPY002
        return kind, keys.tolist(), *rest

    before = state()
    implementation.uniforms(None, 10)
    implementation.uniforms(1, 10)
    assert state() == before


def test_all_instruction_sets_agree(compiled):
    for isa in implementations.ISAS:
        other = compiled.on(isa, lambda: compiled.uniforms(11, 1000, 9, first_row=3))
        assert other.tobytes() == compiled.uniforms(11, 1000, 9, first_row=3).tobytes()
