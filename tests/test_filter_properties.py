"""Random logits, temperatures and filters, against brute force and against what must hold of any of them."""

from __future__ import annotations

import brute_force
import hypothesis.strategies as st
import numpy as np
from hypothesis import assume, given
from test_properties import LAST_U, PAIR, any_logits, any_temperatures, eps, ordinary, settings, tiny

INF = np.inf

top_ks = st.one_of(st.integers(-1, 30), st.integers(1, 2000))
portions = st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.5, 0.9, 1.0, 1e-300, 1 - 2.0**-53]))
any_filters = st.builds(brute_force.Filters, top_ks, portions, portions, st.booleans())


def off_by_chance(draw, filters):
    """Each filter off half of the time, so that each is seen alone."""
    off = brute_force.Filters()
    return filters._replace(**{name: getattr(off, name) for name in off._fields[:3] if draw(st.booleans())})


def slack(dtype):
    return brute_force.SLACK.get(dtype.name, 1e-12)


@settings
@given(data=st.data())
def test_kept_sets(implementation, data):
    """The number that brute force allows, its mass, and weight nowhere else."""
    x, axis = data.draw(any_logits())
    t = data.draw(any_temperatures(x.shape[:axis] + x.shape[axis + 1 :]))
    filters = off_by_chance(data.draw, data.draw(any_filters))
    options = {**filters._asdict(), "axis": axis - x.ndim}
    before = x.tobytes()
    numbers, masses = implementation.support(x, t, **options)
    p = np.moveaxis(implementation.softmax(x, t, **options), axis - x.ndim, -1)
    h = implementation.entropy(x, t, **options)
    assert x.tobytes() == before
    assert numbers.shape == masses.shape == h.shape == p.shape[:-1]
    rows = np.broadcast_to(np.moveaxis(x, axis, -1), p.shape)
    temperatures = np.broadcast_to(t, numbers.shape)
    for at in np.ndindex(numbers.shape):
        row = rows[at].astype(np.float64)
        if np.isnan(row).any() or not (row > -INF).any():
            assert numbers[at] == 0
            assert np.isnan([masses[at], h[at], *p[at].astype(float)]).all()
            continue
        right = brute_force.prefix(row.tolist(), float(temperatures[at]), filters, slack(x.dtype))
        assert right.fewest <= numbers[at] <= right.most
        assert abs(masses[at] - right.mass[numbers[at]]) <= slack(x.dtype)
        assert set(np.flatnonzero(p[at])) <= set(right.order[: numbers[at]].tolist())
        assert 0 <= h[at] <= np.log(numbers[at]) * (1 + 1e-6) + 1e-300


@settings
@given(data=st.data())
def test_draws(implementation, reference, data):
    """Draws with and without replacement are kept, distinct where they must be, and fail as the reference does."""
    x, axis = data.draw(any_logits())
    t = data.draw(any_temperatures(x.shape[:axis] + x.shape[axis + 1 :]))
    filters = off_by_chance(data.draw, data.draw(any_filters))
    distribution = {**filters._asdict(), "axis": axis - x.ndim}
    options = {"rng": data.draw(st.integers(0, 2**64 - 1)), "num_samples": data.draw(st.integers(1, 4))}
    options |= {"replace": data.draw(st.booleans()), **distribution}
    numbers = [which.support(x, t, **distribution)[0] for which in (implementation, reference)]
    assume((numbers[0] == numbers[1]).all())  # test_kept_sets is about the rest
    outcomes = []
    for which in (implementation, reference):
        try:
            which.sample(x, t, **options)
            outcomes.append(None)
        except ValueError as error:
            outcomes.append(str(error))
    drawn, logs = implementation.sample(x, t, **options, return_log_prob=True, on_invalid="mark")
    weakest = -745 if logs.dtype == np.float64 else -103  # of what is drawable, give or take the last subnormal
    with np.errstate(invalid="ignore"):
        log_p = reference.log_softmax(x.astype(np.float64), t, **distribution)
    if not (np.abs(log_p - weakest) < 2).any():
        assert outcomes[0] == outcomes[1]
    invalid = drawn[..., 0] < 0
    assert (np.isnan(logs) == invalid[..., None]).all()
    assert (drawn[invalid] == -1).all()
    found = implementation.log_prob(x, np.where(drawn < 0, 0, drawn), t, **distribution)
    assert found[~invalid].tobytes() == logs[~invalid].tobytes()
    assert (logs[~invalid] > -INF).all()
    if not options["replace"]:
        assert (np.diff(np.sort(drawn[~invalid], axis=-1), axis=-1) > 0).all()


@settings
@given(row=ordinary(), filters=any_filters, other=st.tuples(top_ks, portions, portions))
def test_larger_knobs_keep_more(implementation, row, filters, other):
    x, t = row
    looser = filters._replace(
        top_k=max(filters.top_k, other[0]) if min(filters.top_k, other[0]) > 0 else 0,
        top_p=max(filters.top_p, other[1]),
        min_p=min(filters.min_p, other[2]),
    )
    one_at_a_time = [filters._replace(**{name: getattr(looser, name)}) for name in ("top_p", "min_p")]
    number = implementation.support(x, t, **filters._asdict())[0]
    for each in one_at_a_time:
        assert implementation.support(x, t, **each._asdict())[0] >= number
    without_mass = [each._replace(top_p=1.0) for each in (filters, looser)]
    assert np.diff([implementation.support(x, t, **each._asdict())[0] for each in without_mass]) >= 0
    assert number >= 1
    assert number <= (filters.top_k if filters.top_k > 0 else x.size)


@settings
@given(row=ordinary(), filters=any_filters)
def test_a_chain_is_the_shortest_prefix(implementation, row, filters):
    """top_k and min_p together keep the fewer of the two; top_p of what top_k left is top_p of that row alone."""
    x, t = row
    filters = filters._replace(temperature_last=False)
    alone = [brute_force.Filters(top_k=filters.top_k), brute_force.Filters(min_p=filters.min_p)]
    numbers = [implementation.support(x, t, **each._asdict())[0] for each in alone]
    assert implementation.support(x, t, top_k=filters.top_k, min_p=filters.min_p)[0] == min(numbers)
    order = np.array(brute_force.order_of(x.tolist()))
    left = np.full_like(x, -INF)
    left[order[: numbers[0]]] = x[order[: numbers[0]]]
    together = implementation.support(x, t, top_k=filters.top_k, top_p=filters.top_p)[0]
    right = brute_force.prefix(left.tolist(), t, brute_force.Filters(top_p=filters.top_p), slack(x.dtype))
    assert right.fewest <= together <= right.most


@settings
@given(row=ordinary(), filters=any_filters)
def test_the_removed_count_as_minus_infinity(implementation, row, filters):
    """The same distribution as that of the row with -inf for them, within the 3 ulp of each."""
    x, t = row
    number = implementation.support(x, t, **filters._asdict())[0]
    order = np.array(brute_force.order_of(x.tolist()))[:number]
    left = np.full_like(x, -INF)
    left[order] = x[order]
    p, q = implementation.softmax(x, t, **filters._asdict()), implementation.softmax(left, t)
    normal = np.maximum(p, q) >= 2 * tiny(x.dtype)
    difference = np.abs(p[normal].astype(np.longdouble) - q[normal])
    assert (difference <= PAIR * eps(x.dtype) * np.maximum(p, q)[normal]).all()
    assert (p[left == -INF] == 0).all()


@settings
@given(row=ordinary(), filters=any_filters, seed=st.integers(0, 2**64 - 1))
def test_draws_rise_with_u(implementation, row, filters, seed):
    x, t = row
    u = np.sort(np.append(implementation.uniforms(seed, 1, 30)[0], [0, LAST_U]))
    drawn = implementation.sample(x, t, u=u, num_samples=u.size, **filters._asdict())
    assert (np.diff(drawn) >= 0).all()
    kept = np.flatnonzero(implementation.softmax(x, t, **filters._asdict()))
    assert set(drawn) <= set(kept)
    assert drawn[0] == kept[0]
