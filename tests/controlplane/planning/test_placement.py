from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.planning.placement import PoolWant, concave, share_gpus, want_of
from controlplane.resources.status import ScalingStatus
from controlplane.world import PoolLoad
from tests.controlplane.planning.worlds import spec

GPU = {"gpus": 2}
SCALED = {"minReplicas": 1, "maxReplicas": 4, "targetUtilization": 0.5}


def gained(want: PoolWant, replicas: int) -> float:
    return sum(want.gains[: max(0, replicas - want.floor)])


def best(wants: list[PoolWant], budget: int) -> float:
    """By trying everything that keeps the floors."""
    ranges = [range(want.floor, want.floor + len(want.gains) + 1) for want in wants]
    fitting = (
        shares for shares in product(*ranges) if sum(n * want.gpus for n, want in zip(shares, wants, strict=True)) <= budget
    )
    return max((sum(gained(want, n) for n, want in zip(shares, wants, strict=True)) for shares in fitting), default=0.0)


def test_busiest_first_and_floors_before_all():
    wants = [PoolWant("a", 1, 1, (5.0, 5.0, 1.0)), PoolWant("b", 1, 2, (3.0, 3.0))]
    assert share_gpus(wants, 10) == {"a": 4, "b": 4}
    assert share_gpus(wants, 6) == {"a": 3, "b": 3}
    assert share_gpus(wants, 3) == {"a": 1, "b": 2}
    assert share_gpus(wants, 2) == {"a": 1, "b": 1}
    assert share_gpus([replace(wants[0], priority=-1), wants[1]], 2) == {"a": 0, "b": 2}
    assert share_gpus(wants, 0) == {"a": 0, "b": 0}
    assert share_gpus([], 8) == {}


def test_gain_is_counted_per_gpu():
    wants = [PoolWant("large", 8, 0, (10.0,)), PoolWant("small", 1, 0, (2.0,) * 8)]
    assert share_gpus(wants, 8) == {"large": 0, "small": 8}
    assert share_gpus(wants, 16) == {"large": 1, "small": 8}


def test_what_is_left_goes_to_whom_it_fits():
    wants = [PoolWant("large", 8, 0, (100.0, 100.0)), PoolWant("small", 1, 0, (1.0,) * 4)]
    assert share_gpus(wants, 11) == {"large": 1, "small": 3}


def test_replicas_that_only_help_together_are_taken_together():
    wants = [PoolWant("pair", 1, 0, (0.0, 10.0)), PoolWant("plain", 1, 0, (4.0, 1.0))]
    assert share_gpus(wants, 2) == {"pair": 2, "plain": 0}
    assert concave([0.0, 10.0, 3.0]) == [(5.0, 2), (3.0, 1)]


@pytest.mark.parametrize(
    ("running", "gains"),
    [
        (0, (0.005, 0.005, 0.0)),  # nothing runs: the two warm ones are worth little, but something
        (12, (5.0, 2.0, 0.0)),  # the first five are the floor's
        (99, (5.0, 5.0, 5.0)),
    ],
)
def test_want_is_goodput_by_load(running, gains):
    scaling = ScalingStatus(desired_replicas=3, slots_per_replica=10.0)
    load = PoolLoad(routers=1, running=running, answers_per_s=float(running))  # a second in a replica
    want = want_of("a", spec(hardware=GPU, autoscaling=SCALED), scaling, load)
    assert (want.gpus, want.floor) == (2, 1)
    assert want.gains == pytest.approx(gains, abs=1e-4)


def test_what_nobody_needs_may_be_taken_by_all():
    """So a pool may scale up at once, ahead of load that is not there yet."""
    wants = [want_of(name, spec(hardware=GPU, autoscaling=SCALED), None, PoolLoad(routers=1)) for name in ("a", "b")]
    assert share_gpus(wants, 12) == {"a": 3, "b": 3}


def test_want_of_others():
    assert want_of("a", spec(replicas=3, hardware=GPU), None, PoolLoad()) == PoolWant("a", 2, 3)
    external = spec(replicas=2, hardware=GPU, autoscaling=SCALED | {"mode": "External"})
    assert want_of("a", external, None, PoolLoad()) == PoolWant("a", 2, 2)
    blind = want_of(
        "a", spec(hardware=GPU, autoscaling=SCALED), ScalingStatus(desired_replicas=3, slots_per_replica=10.0), PoolLoad()
    )
    assert blind.gains == pytest.approx((5.0, 5.0, 0.0), abs=1e-4)  # as if what is there were fully used


sizes = st.integers(1, 4)
gains = st.lists(st.integers(0, 20).map(float), max_size=4).map(tuple)
falling = gains.map(lambda values: tuple(sorted(values, reverse=True)))


def wants_with(size: st.SearchStrategy[int], gain: st.SearchStrategy[tuple[float, ...]]) -> st.SearchStrategy[list[PoolWant]]:
    one = st.tuples(size, st.integers(0, 2), gain, st.integers(-1, 1))
    return st.lists(one, max_size=4).map(lambda many: [PoolWant(f"pool-{at}", *fields) for at, fields in enumerate(many)])


@given(wants_with(sizes, gains), st.integers(0, 30), st.randoms(use_true_random=False))
def test_never_above_budget_floors_first_and_in_any_order(wants, budget, rng):
    granted = share_gpus(wants, budget)
    assert sum(granted[want.pool] * want.gpus for want in wants) <= budget
    if sum(want.floor * want.gpus for want in wants) <= budget:
        assert all(granted[want.pool] >= want.floor for want in wants)
    assert all(granted[want.pool] <= want.floor + len(want.gains) for want in wants)
    shuffled = list(wants)
    rng.shuffle(shuffled)
    assert share_gpus(shuffled, budget) == granted


@given(wants_with(st.just(1), falling), st.integers(0, 20))
def test_exact_where_sizes_are_one_and_gains_fall(wants, budget):
    if sum(want.floor for want in wants) > budget:
        return
    granted = share_gpus(wants, budget)
    assert sum(gained(want, granted[want.pool]) for want in wants) == best(wants, budget)
    for taker, giver in product(wants, wants):  # so nobody can gain by a swap
        if taker is not giver and granted[giver.pool] > giver.floor and granted[taker.pool] < taker.floor + len(taker.gains):
            lost = giver.gains[granted[giver.pool] - giver.floor - 1]
            assert taker.gains[granted[taker.pool] - taker.floor] <= lost


@given(wants_with(sizes, falling), st.integers(0, 20))
def test_close_to_the_best_where_sizes_differ(wants, budget):
    """Greedy loses at most what the one replica that did not fit would have gained."""
    if sum(want.floor * want.gpus for want in wants) > budget:
        return
    granted = share_gpus(wants, budget)
    largest = max((gain for want in wants for gain in want.gains), default=0.0)
    assert sum(gained(want, granted[want.pool]) for want in wants) >= best(wants, budget) - largest
