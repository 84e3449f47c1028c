"""What each strategy makes of the same options."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from router.choosing.pricing import Estimate
from router.choosing.strategies import STRATEGIES, Option
from router.choosing.terms import Terms
from router.fleet.specs import PolicySpec, PolicyWeights
from router.request import Used
from tests.fleets import pool_of

WEIGHTS = PolicyWeights(cost=0.2, latency=0.2)


def option(name: str, quality: float, cost_usd: float, **more: object) -> Option:
    return Option(pool_of(name, 0, 1), Estimate(100, 0, 100, cost_usd), quality, **more)


CHEAP, MIDDLE, DEAR = option("cheap", 0.6, 0.001), option("middle", 0.8, 0.004), option("dear", 0.9, 0.010)
ALL = (CHEAP, MIDDLE, DEAR)


def best(strategy: str, options: tuple[Option, ...] = ALL, usd_price: float = 0.0, **policy: object) -> str:
    terms = Terms(PolicySpec("p", strategy, **{"weights": WEIGHTS, **policy}), usd_price)
    utilities = STRATEGIES[strategy]().utilities(options, terms)
    ranked = [(utility, each.pool.name) for each, utility in zip(options, utilities, strict=True) if utility is not None]
    return max(ranked)[1]


@pytest.mark.parametrize(
    ("weight", "name"),
    [
        (0.0, "dear"),  # quality alone
        (0.2, "middle"),  # 0.6 − 0.02, 0.8 − 0.08, 0.9 − 0.2
        (1.0, "cheap"),  # 0.6 − 0.1, 0.8 − 0.4, 0.9 − 1
    ],
)
def test_balanced_asks_the_dearest_to_be_better_by_the_weight_than_a_free_one(weight: float, name: str) -> None:
    assert best("balanced", weights=PolicyWeights(cost=weight)) == name


def test_a_budget_that_runs_short_makes_balanced_thriftier() -> None:
    assert best("balanced") == "middle"
    assert best("balanced", usd_price=100.0) == "cheap"
    assert best("balanced", usd_price=1.0) == "middle"  # 20 quality a dollar is dearer than that already


@pytest.mark.parametrize(("usd_price", "name"), [(0.0, "dear"), (10.0, "dear"), (30.0, "middle"), (100.0, "cheap")])
def test_budget_takes_the_best_that_is_worth_its_money(usd_price: float, name: str) -> None:
    # From cheap to middle a dollar buys 0.2/0.003 = 67 of quality, from middle to dear 0.1/0.006 = 17.
    assert best("budget", usd_price=usd_price) == name


@pytest.mark.parametrize(("floor", "name"), [(0.0, "cheap"), (0.6, "cheap"), (0.61, "middle"), (0.85, "dear"), (0.95, "dear")])
def test_the_cheapest_that_is_good_enough_else_the_best(floor: float, name: str) -> None:
    assert best("qualityFloor", quality_floor=floor) == name


def test_below_the_floor_nothing_comes_before_what_is_above_it_however_late() -> None:
    late = option("late", 0.9, 0.01, miss=1.0)
    close = option("close", 0.84, 0.0001)
    assert best("qualityFloor", (late, close), quality_floor=0.85, weights=PolicyWeights(latency=5.0)) == "late"


def test_fixed_takes_one_and_no_other() -> None:
    terms = Terms(PolicySpec("p", "fixed", pool="middle"))
    assert STRATEGIES["fixed"]().utilities(ALL, terms) == [None, 0.0, None]


def test_lateness_and_footprint_count_as_weighed() -> None:
    slow = option("slow", 0.9, 0.001, miss=1.0)
    assert best("balanced", (slow, MIDDLE)) == "slow"
    assert best("balanced", (slow, MIDDLE), weights=PolicyWeights(cost=0.2, latency=0.5)) == "middle"
    dirty = option("dirty", 0.9, 0.001, used=Used(energy_wh=2.0, carbon_g=1.0, water_ml=4.0))
    assert best("balanced", (dirty, MIDDLE)) == "dirty"
    for term, weight in (("energy", 0.2), ("carbon", 0.4), ("water", 0.1)):
        assert best("balanced", (dirty, MIDDLE), weights=PolicyWeights(cost=0.2, **{term: weight})) == "middle"


def test_options_that_cost_nothing_are_ranked_by_quality() -> None:
    free = (option("a", 0.5, 0.0), option("b", 0.7, 0.0))
    assert [best(strategy, free, usd_price=1e9, quality_floor=0.1) for strategy in ("balanced", "budget")] == ["b", "b"]
    assert best("qualityFloor", free, quality_floor=0.6) == "b"


qualities = st.floats(0, 1)
costs = st.floats(0, 1)


@given(st.lists(st.tuples(qualities, costs), min_size=2, max_size=6), st.floats(0, 1e6))
def test_with_a_higher_price_of_money_never_a_dearer_choice(given_options: list[tuple[float, float]], price: float) -> None:
    options = [option(f"p{at}", quality, cost) for at, (quality, cost) in enumerate(given_options)]
    taken = []
    for usd_price in (price, price * 1.5 + 1e-3):
        utilities = STRATEGIES["budget"]().utilities(options, Terms(PolicySpec("p", "budget"), usd_price))
        taken.append(max(zip(utilities, (-each.estimate.cost_usd for each in options), strict=True))[1])
    assert -taken[1] <= -taken[0] + 1e-12
