"""Draw j of row i depends on the seed, i, j and that row's distribution, and on nothing else."""

from __future__ import annotations

import itertools

import numpy as np
import pytest


def numbers(shape, seed=6):
    return np.random.default_rng(seed).normal(0, 2, shape).astype(np.float32)


@pytest.mark.parametrize("n", [5, 70, 1500])
def test_chunks(implementation, n):
    x = numbers((23, n))
    whole = implementation.sample(x, 0.8, rng=7, num_samples=3)
    single = implementation.sample(x, 0.8, rng=7)
    assert (single == whole[:, 0]).all()
    for cuts in ([0, 23], [0, 1, 23], [0, 4, 8, 12, 16, 20, 23], [0, 0, 3, 10, 10, 23], list(range(24))):
        pieces = list(itertools.pairwise(cuts))
        for right, count in ((whole, 3), (single, None)):
            chunks = [implementation.sample(x[a:b], 0.8, rng=7, num_samples=count, first_row=a) for a, b in pieces]
            assert (np.concatenate(chunks) == right).all()
    shifted = implementation.sample(x, 0.8, rng=7, num_samples=3, first_row=1)
    assert (shifted != whole).any()


def test_chunks_of_more_batch_axes(implementation):
    """`first_row` of a leading index is that many times the rows in it."""
    x = numbers((6, 4, 5, 30))
    whole = implementation.sample(x, rng=7, num_samples=2)
    assert (whole == implementation.sample(x.reshape(120, 30), rng=7, num_samples=2).reshape(6, 4, 5, 2)).all()
    for a, b in ((0, 2), (2, 3), (3, 6)):
        assert (implementation.sample(x[a:b], rng=7, num_samples=2, first_row=20 * a) == whole[a:b]).all()


def test_fewer_samples_come_first(implementation):
    x = numbers((9, 40))
    many = implementation.sample(x, rng=7, num_samples=70)
    for count in (0, 1, 2, 3, 8, 33, 64, 65):
        assert (implementation.sample(x, rng=7, num_samples=count) == many[:, :count]).all()


def test_more_draws_than_a_slice_holds(implementation):
    """Large counts in rows, in columns and in both are the draws of the same uniforms handed in."""
    x = numbers((3000, 3))
    u = implementation.uniforms(12, 3000, 70)
    drawn = implementation.sample(x, rng=12, num_samples=70)
    assert (drawn == implementation.sample(x, u=u, num_samples=70)).all()
    picked = [(0, 0), (2999, 69), (1024, 1), (2048, 64)]
    assert [implementation.sample(x[i], u=u[i, j]) for i, j in picked] == [drawn[place] for place in picked]
    row = numbers((1, 1500))
    u = implementation.uniforms(12, 1, 9000)
    assert (
        implementation.sample(row, rng=12, num_samples=9000) == implementation.sample(row, u=u, num_samples=9000)
    ).all()


@pytest.mark.parametrize("workers", [1, 2, 3, -1, None])
def test_workers(implementation, workers):
    for shape in ((1, 9), (5, 2000), (500, 70), (20000, 3)):
        x = numbers(shape)
        right = implementation.sample(x, 0.8, rng=7, num_samples=2, return_log_prob=True)
        drawn = implementation.sample(x, 0.8, rng=7, num_samples=2, return_log_prob=True, workers=workers)
        assert (drawn[0] == right[0]).all()
        assert drawn[1].tobytes() == right[1].tobytes()
    x[[7, 19000]] = np.nan
    with pytest.raises(ValueError, match="row 7 "):
        implementation.sample(x, rng=7, workers=workers)
    x[[7]] = 0
    with pytest.raises(ValueError, match="row 19000 "):
        implementation.sample(x, rng=7, workers=workers)


def test_neighbours_and_their_temperatures(implementation):
    x = numbers((12, 70))
    t = np.linspace(0, 3, 12)
    t[-1] = np.inf
    drawn = implementation.sample(x, t, rng=7, num_samples=4)
    for i in range(12):
        alone = implementation.sample(x[i], t[i], rng=7, num_samples=4, first_row=i)
        assert (alone == drawn[i]).all()
    others = x.copy()
    others[::2] = np.inf
    assert (implementation.sample(others, t, rng=7, num_samples=4)[1::2] == drawn[1::2]).all()


@pytest.mark.parametrize("axis", [0, 1, 2, -1, -2, -3])
def test_axis(implementation, axis):
    """Rows are numbered in C order of the batch shape, wherever the categories are."""
    x = numbers((4, 5, 6))
    last = np.moveaxis(x, axis, -1).copy()
    right = implementation.sample(last, rng=7, num_samples=2)
    assert (implementation.sample(x, rng=7, num_samples=2, axis=axis) == right).all()
    flat = implementation.sample(last.reshape(-1, last.shape[-1]), rng=7, num_samples=2)
    assert (flat.reshape(right.shape) == right).all()


def test_sweep(implementation):
    """A temperature of shape (K, 1) makes K B rows, each with its own numbers."""
    x = numbers((5, 30))
    t = np.array([[0.5], [1.0], [2.0]])
    drawn = implementation.sample(x, t, rng=7, num_samples=2)
    assert drawn.shape == (3, 5, 2)
    for k in range(3):
        assert (implementation.sample(x, t[k], rng=7, num_samples=2, first_row=5 * k) == drawn[k]).all()


def test_common_random_numbers(implementation):
    """The same u under another temperature: the number handed in is used, and nothing else is random."""
    x = numbers((50, 30))
    u = np.random.default_rng(0).random((50, 3))
    first = implementation.sample(x, 0.7, u=u, num_samples=3)
    assert (first == implementation.sample(x, 0.7, u=u.tolist(), num_samples=3)).all()
    assert (first == implementation.sample(x, 0.7, u=np.asfortranarray(u), num_samples=3)).all()
    assert (first == implementation.sample(x, 0.7, u=u[::-1].copy()[::-1], num_samples=3, first_row=99)).all()
    columns = [implementation.sample(x, 0.7, u=u[:, j]) for j in range(3)]
    assert (np.stack(columns, axis=-1) == first).all()
    rounded = u.astype(np.float32)
    rounded = np.minimum(rounded, np.nextafter(np.float32(1), np.float32(0)))
    narrow = implementation.sample(x, 0.7, u=rounded, num_samples=3)
    assert (narrow == implementation.sample(x, 0.7, u=rounded.astype(float), num_samples=3)).all()


SOURCES = {
    "int": lambda: 2**64 - 1,
    "NumPy int": lambda: np.uint64(2**63 + 1),
    "SeedSequence": lambda: np.random.SeedSequence(5),
    "Generator": lambda: np.random.default_rng(5),
    "BitGenerator": lambda: np.random.SFC64(5),
}


@pytest.mark.parametrize("source", SOURCES)
def test_rng_is_that_of_uniforms(implementation, source):
    x = numbers((40, 30))
    for count in (None, 4):
        u = implementation.uniforms(SOURCES[source](), 40, count or 1, first_row=2)
        right = implementation.sample(x, u=u if count else u[:, 0], num_samples=count)
        assert (implementation.sample(x, rng=SOURCES[source](), num_samples=count, first_row=2) == right).all()


def test_generators_advance_by_one_number_a_call(implementation):
    for make in (lambda: np.random.default_rng(5), lambda: np.random.MT19937(5), lambda: np.random.Philox(5)):
        rng, twin = make(), make()
        twin_generator = np.random.Generator(twin) if isinstance(twin, np.random.BitGenerator) else twin
        seeds = twin_generator.integers(0, 2**64, 2, dtype=np.uint64)
        x = numbers((30, 50))
        for seed in seeds:
            drawn = implementation.sample(x, rng=rng, num_samples=3)
            assert (drawn == implementation.sample(x, rng=int(seed), num_samples=3)).all()
        raw = rng.random_raw() if isinstance(rng, np.random.BitGenerator) else rng.random()
        assert raw == (twin.random_raw() if isinstance(twin, np.random.BitGenerator) else twin.random())


def test_none_differs_between_calls(implementation):
    """600 draws of 40 nearly equal categories agree by chance once in 40**600 runs."""
    x = np.zeros((600, 40), np.float32)
    assert (implementation.sample(x) != implementation.sample(x)).any()
