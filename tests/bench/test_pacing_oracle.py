"""The linear program against all choices, tried one by one."""

from itertools import product

import numpy as np
import pytest

from tests.bench.pacing_load import Load
from tests.bench.pacing_oracle import best_quality, is_reachable
from tests.bench.pacing_rivals import FixedPrice, spend_usd

rng = np.random.default_rng(3)
QUALITY, COST = rng.random((6, 3)), rng.random((6, 3))
LOAD = Load(np.arange(6.0), QUALITY, QUALITY, COST, 6.0)


def tried(budget_usd: float) -> float:
    """The best of the 729 that can be paid."""
    every = (list(enumerate(picks)) for picks in product(range(3), repeat=6))
    return max(sum(QUALITY[pick] for pick in picks) for picks in every if sum(COST[pick] for pick in picks) <= budget_usd)


@pytest.mark.parametrize("budget_usd", [1.5, 2.0, 3.0])
def test_the_optimum_is_no_less_than_any_choice_and_no_more_than_one_split_request_above(budget_usd):
    assert tried(budget_usd) - 1e-6 <= best_quality(LOAD, budget_usd) <= tried(budget_usd) + 1


def test_with_money_for_all_it_is_the_best_of_each():
    assert best_quality(LOAD, 100.0) == pytest.approx(QUALITY.max(axis=1).sum())


def test_what_can_not_be_paid_is_no_number():
    assert np.isnan(best_quality(LOAD, 0.1))


def test_a_plan_can_only_take_away():
    even = Load(np.arange(0.5, 8, 0.2), *(np.tile(part, (7, 1))[:38] for part in (QUALITY, QUALITY, COST)), 8.0)
    budget_usd = float(even.cost_usd.mean(axis=1).sum())
    held, free = best_quality(even, budget_usd, lambda part: part, within=0.05), best_quality(even, budget_usd)
    assert 0 < held <= free + 1e-6


def test_silence_in_a_quarter_puts_an_even_plan_out_of_reach():
    at_s = np.concatenate([np.linspace(0.1, 5.9, 60), [7.9]])
    load = Load(at_s, np.ones((61, 1)), np.ones((61, 1)), np.ones((61, 1)), 8.0)
    assert not is_reachable(load, 61.0, load.cost_usd[:, 0], lambda part: part)
    assert is_reachable(load, 61.0, load.cost_usd[:, 0], lambda part: min(1.0, part * 4 / 3))


def test_the_fixed_price_spends_a_tenth_in_the_first_tenth():
    at_s = np.linspace(0, 99.9, 3000)
    quality = np.sort(rng.random((3000, 2)), axis=1)
    load = Load(at_s, quality, quality, np.tile([0.1, 1.0], (3000, 1)), 100.0)
    price = FixedPrice(load, 1500.0).price(0.0)
    assert spend_usd(load, price) == pytest.approx(1500, rel=0.05)
